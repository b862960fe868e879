//! What people see of transfers: progress while bytes move, at most four times a second and never backwards, and where a
//! transfer stands in words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use starling_control::{Event, view};
use starling_protocol::transfer::entry::Reason;
use starling_store::transfers::{Transfer, TransferState};
use starling_wire::ids::TransferId;

use crate::context::Context;

/// A transfer's progress is shown at most so often.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// Progress of all transfers, and the way to the clients.
#[derive(Debug)]
pub struct Show {
    /// What drivers share.
    pub ctx: Arc<Context>,
    moving: Mutex<BTreeMap<TransferId, Progress>>,
}

#[derive(Debug)]
struct Progress {
    row: Transfer,
    /// Bytes move now; else it waits for the next connection.
    active: bool,
    done: u64,
    /// What was shown already: after a lost connection some bytes are fetched again.
    floor: u64,
    began: Instant,
    began_with: u64,
    shown: Instant,
}

impl Show {
    /// Nothing moves.
    pub fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            moving: Mutex::default(),
        }
    }

    /// Bytes move from now on; `done` of them are there already. Said to the clients if it is news.
    pub fn begin(&self, row: &Transfer, done: u64) {
        let now = Instant::now();
        let mut moving = self.lock();
        let progress = moving.entry(row.id).or_insert_with(|| Progress {
            row: row.clone(),
            active: false,
            done,
            floor: done,
            began: now,
            began_with: done,
            shown: now,
        });
        if progress.active {
            return;
        }
        *progress = Progress {
            row: row.clone(),
            active: true,
            done,
            floor: progress.floor.max(done),
            began: now,
            began_with: done,
            shown: now,
        };
        drop(moving);
        self.changed(row);
    }

    /// More bytes.
    pub fn moved(&self, id: TransferId, bytes: u64) {
        let mut moving = self.lock();
        let Some(progress) = moving.get_mut(&id).filter(|progress| progress.active) else {
            return;
        };
        progress.done = (progress.done + bytes).min(progress.row.size);
        progress.floor = progress.floor.max(progress.done);
        if progress.shown.elapsed() < SHOW_EVERY {
            return;
        }
        progress.shown = Instant::now();
        let row = progress.row.clone();
        drop(moving);
        self.changed(&row);
    }

    /// No bytes move until the next connection. Whether some did.
    pub fn pause(&self, id: TransferId) -> bool {
        let mut moving = self.lock();
        let progress = moving.get_mut(&id);
        progress.is_some_and(|progress| std::mem::take(&mut progress.active))
    }

    /// It is over.
    pub fn end(&self, id: TransferId) {
        self.lock().remove(&id);
    }

    /// Tells the clients how it stands.
    pub fn changed(&self, row: &Transfer) {
        self.ctx.emit(Event::Transfer(self.view(row)));
    }

    /// As clients see it.
    pub fn view(&self, row: &Transfer) -> view::Transfer {
        let who = self.ctx.title(row.contact);
        let (active, done, rate) = self.progress(row);
        let state = match row.state {
            TransferState::Offered | TransferState::Accepted if active => {
                view::TransferState::Running
            }
            TransferState::Offered => view::TransferState::Offered,
            TransferState::Accepted => view::TransferState::Waiting,
            TransferState::Done => view::TransferState::Done,
            TransferState::Cancelled => view::TransferState::Cancelled,
            TransferState::Failed => view::TransferState::Failed,
        };
        let person = self.ctx.book.person(row.contact);
        let online = person.is_some_and(|person| person.is_there());
        let path = row.path.as_ref();
        let shown = path.filter(|_| row.outgoing || state == view::TransferState::Done);
        view::Transfer {
            id: row.id.to_string(),
            contact: row.contact.to_string(),
            outgoing: row.outgoing,
            name: row.name.clone(),
            size: row.size,
            done,
            rate,
            state,
            words: words(row, state, &who, online),
            path: shown.map(|path| path.display().to_string()),
            at: row.offered_at,
            who,
        }
    }

    /// Whether bytes move, how many are there, how many come in a second.
    fn progress(&self, row: &Transfer) -> (bool, u64, u64) {
        let moving = self.lock();
        match moving.get(&row.id) {
            None => (false, row.done, 0),
            Some(progress) if !progress.active => (false, row.done.max(progress.floor), 0),
            Some(progress) => {
                let seconds = progress.began.elapsed().as_secs_f64().max(0.001);
                let rate = (progress.done - progress.began_with) as f64 / seconds;
                (true, progress.floor, rate as u64)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TransferId, Progress>> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words(row: &Transfer, state: view::TransferState, who: &str, online: bool) -> String {
    if let Some(reason) = &row.reason {
        return reason.clone();
    }
    match (state, row.outgoing) {
        (view::TransferState::Offered, true) if online => format!("waits for {who} to accept"),
        (view::TransferState::Offered, true) => format!("waits for {who} to come online"),
        (view::TransferState::Offered, false) => "waits for your answer".to_owned(),
        (view::TransferState::Waiting, _) if online => "is about to start".to_owned(),
        (view::TransferState::Waiting, _) => format!("waits for {who} to come online"),
        (view::TransferState::Running, true) => "sending".to_owned(),
        (view::TransferState::Running, false) => "receiving".to_owned(),
        (view::TransferState::Done, true) => format!("received and verified by {who}"),
        (view::TransferState::Done, false) => "received and verified".to_owned(),
        (view::TransferState::Cancelled, _) => "cancelled".to_owned(),
        (view::TransferState::Failed, _) => "failed".to_owned(),
    }
}

/// Why a transfer ended, for the store and for people.
pub fn sentence(reason: &Reason, who: &str) -> String {
    match reason {
        Reason::DeclinedByUs => "declined by you".to_owned(),
        Reason::DeclinedByThem => format!("declined by {who}"),
        Reason::CancelledByUs => "cancelled by you".to_owned(),
        Reason::CancelledByThem => format!("cancelled by {who}"),
        Reason::SourceLost(words) | Reason::StorageHere(words) => words.clone(),
        Reason::ChangedThere => format!(
            "{who} changed or removed the file after offering it; ask {who} to send it again"
        ),
        Reason::Corrupt => {
            format!("{who} sent bytes that do not belong to the file; nothing of them was kept")
        }
        Reason::FailedThere => format!("{who} could not receive it"),
    }
}
