//! Files: offers, answers, progress. One task per contact with open transfers owns the connection between the two inner
//! endpoints (`session`); the bytes are moved by `pull` and `bulk`.

mod pull;
mod session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use iroh::endpoint::Connection;
use starling_control::{ErrorKind, Event, Failure, view};
use starling_store::transfers::{self, Transfer, TransferState};
use starling_store::{StoreError, blobs::Downloads};
use starling_wire::file::safe_file_name;
use starling_wire::ids::{AccountId, TransferId};
use starling_wire::limits::FILE_SIZE_MAX;
use tokio::sync::mpsc;

use crate::book::Relation;
use crate::bulk::index::Indexed;
use crate::clock::{random, wall_ms};
use crate::context::{Context, store_failure};

use session::Input;

const LISTING: u32 = 200;
/// A transfer's progress is shown at most so often.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// All transfers of one account.
#[derive(Debug)]
pub struct Files {
    ctx: Arc<Context>,
    live: Arc<Live>,
    sessions: Mutex<BTreeMap<AccountId, mpsc::Sender<Input>>>,
}

impl Files {
    /// For a session; what was running when the last one ended goes on when the contact is there.
    pub async fn start(ctx: Arc<Context>) -> Result<Self, StoreError> {
        ctx.db.write(transfers::interrupt).await?;
        Ok(Self {
            live: Arc::new(Live::default()),
            sessions: Mutex::default(),
            ctx,
        })
    }

    /// Indexes a file and offers it.
    pub async fn send(&self, account: AccountId, path: &str) -> Result<view::Transfer, Failure> {
        if self.ctx.person(account)?.relation != Relation::Contact {
            return Err(Failure::new(
                ErrorKind::State,
                "files go to accepted contacts only",
            ));
        }
        let path = PathBuf::from(path);
        let name = check_source(&path)?;
        let id = TransferId(random());
        let outboard = self.outboard(id)?;
        let source = path.clone();
        let indexed =
            tokio::task::spawn_blocking(move || Indexed::create(&source, &outboard)).await;
        let indexed = indexed
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        let now = wall_ms();
        let transfer = Transfer {
            id,
            contact: account,
            outgoing: true,
            name,
            size: indexed.size,
            root: indexed.root,
            path: Some(path),
            part: None,
            state: TransferState::Offered,
            done: 0,
            ranges: Vec::new(),
            reason: None,
            offered_at: now,
            changed_at: now,
        };
        let row = transfer.clone();
        self.ctx
            .db
            .write(move |tx| transfers::insert(tx, &row))
            .await
            .map_err(store_failure)?;
        let view = view_of(&self.ctx, &self.live, &transfer);
        self.ctx.emit(Event::Transfer(view.clone()));
        self.tell(account, Input::Wake);
        Ok(view)
    }

    /// Newest first.
    pub async fn list(&self) -> Result<Vec<view::Transfer>, Failure> {
        let rows = self
            .ctx
            .db
            .read(|tx| transfers::list(tx, LISTING))
            .await
            .map_err(store_failure)?;
        Ok(rows
            .iter()
            .map(|row| view_of(&self.ctx, &self.live, row))
            .collect())
    }

    /// Says yes to an offer: it goes to `to`, or to the download folder.
    pub async fn accept(&self, id: &str, to: Option<&str>) -> Result<view::Transfer, Failure> {
        let mut transfer = self.find(id).await?;
        if transfer.outgoing || transfer.state != TransferState::Offered {
            return Err(Failure::new(
                ErrorKind::State,
                "this transfer does not wait for your answer",
            ));
        }
        let folder = to.map_or_else(|| self.ctx.config.download_folder(), PathBuf::from);
        let downloads = Downloads::open(&folder).map_err(store_failure)?;
        transfer.part = Some(downloads.part_path(transfer.id));
        // Everything of a transfer stays in the folder chosen now.
        transfer.path = Some(folder);
        transfer.state = TransferState::Waiting;
        self.store(&mut transfer).await?;
        self.tell(transfer.contact, Input::Accepted(transfer.id));
        Ok(view_of(&self.ctx, &self.live, &transfer))
    }

    /// Cancels a transfer, or says no to an offer.
    pub async fn cancel(&self, id: &str) -> Result<view::Transfer, Failure> {
        let mut transfer = self.find(id).await?;
        if matches!(
            transfer.state,
            TransferState::Done | TransferState::Cancelled | TransferState::Failed
        ) {
            return Err(Failure::new(
                ErrorKind::State,
                "this transfer is over already",
            ));
        }
        let declined = !transfer.outgoing && transfer.state == TransferState::Offered;
        transfer.reason = Some(
            if declined {
                "declined by you"
            } else {
                "cancelled by you"
            }
            .to_owned(),
        );
        transfer.state = TransferState::Cancelled;
        self.store(&mut transfer).await?;
        discard(&transfer);
        self.tell(transfer.contact, Input::Cancelled(transfer.id));
        Ok(view_of(&self.ctx, &self.live, &transfer))
    }

    /// A contact opened a connection for files.
    pub fn arrived(&self, account: AccountId, connection: Connection) {
        self.tell(account, Input::Arrival(connection));
    }

    /// A contact is there: what waits for it goes on.
    pub async fn online(&self, account: AccountId) {
        let open = self
            .ctx
            .db
            .read(move |tx| transfers::open(tx, account))
            .await;
        if open.is_ok_and(|open| !open.is_empty()) {
            self.tell(account, Input::Wake);
        }
    }

    /// Whether bytes move between us and a contact.
    pub fn is_busy(&self, account: AccountId) -> bool {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions
            .get(&account)
            .is_some_and(|sender| !sender.is_closed())
    }

    async fn find(&self, id: &str) -> Result<Transfer, Failure> {
        let wanted = id.to_owned();
        let mut found = self
            .ctx
            .db
            .read(move |tx| transfers::find(tx, &wanted))
            .await
            .map_err(store_failure)?;
        match found.len() {
            0 => Err(Failure::new(
                ErrorKind::NotFound,
                format!("there is no transfer \"{id}\""),
            )),
            1 => Ok(found.remove(0)),
            _ => {
                let lines = found
                    .iter()
                    .map(|transfer| format!("{} {}", transfer.id, transfer.name))
                    .collect();
                Err(Failure::ambiguous(
                    format!("\"{id}\" fits several transfers"),
                    lines,
                ))
            }
        }
    }

    async fn store(&self, transfer: &mut Transfer) -> Result<(), Failure> {
        store(&self.ctx, &self.live, transfer)
            .await
            .map_err(store_failure)
    }

    fn outboard(&self, id: TransferId) -> Result<PathBuf, Failure> {
        let folder = self.ctx.config.home.join("transfers");
        std::fs::create_dir_all(&folder).map_err(|error| {
            Failure::new(
                ErrorKind::System,
                format!("{} cannot be made: {error}", folder.display()),
            )
        })?;
        Ok(outboard_path(&self.ctx, id))
    }

    fn tell(&self, account: AccountId, input: Input) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let input = match sessions.get(&account) {
            None => input,
            Some(open) => match open.try_send(input) {
                // Full: it will look at everything open anyway.
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return,
                Err(mpsc::error::TrySendError::Closed(input)) => input,
            },
        };
        let sender = session::spawn(
            Arc::clone(&self.ctx),
            Arc::clone(&self.live),
            account,
            input,
        );
        sessions.insert(account, sender);
    }
}

fn outboard_path(ctx: &Context, id: TransferId) -> PathBuf {
    ctx.config
        .home
        .join("transfers")
        .join(format!("{id}.outboard"))
}

fn check_source(path: &Path) -> Result<String, Failure> {
    let usage = |text: String| Failure::new(ErrorKind::Usage, text);
    if !path.is_absolute() {
        return Err(usage("the path has to be absolute".to_owned()));
    }
    let metadata = std::fs::metadata(path).map_err(|error| {
        Failure::new(
            ErrorKind::NotFound,
            format!("{} cannot be read: {error}", path.display()),
        )
    })?;
    if !metadata.is_file() {
        return Err(usage(format!(
            "{} is not a file; folders are sent as an archive",
            path.display()
        )));
    }
    if metadata.len() > FILE_SIZE_MAX {
        return Err(usage("a file may have 1 TiB".to_owned()));
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(safe_file_name(&name))
}

/// Removes what a transfer that will not go on has left behind.
fn discard(transfer: &Transfer) {
    if transfer.outgoing {
        return;
    }
    if let Some(folder) = &transfer.path
        && let Ok(downloads) = Downloads::open(folder)
        && let Err(error) = downloads.discard(transfer.id)
    {
        tracing::debug!(%error, "an unfinished file stays");
    }
}

/// Stores a changed row, then tells the clients.
async fn store(ctx: &Arc<Context>, live: &Live, transfer: &mut Transfer) -> Result<(), StoreError> {
    transfer.changed_at = wall_ms();
    let row = transfer.clone();
    ctx.db.write(move |tx| transfers::update(tx, &row)).await?;
    if !matches!(transfer.state, TransferState::Running) {
        live.end(transfer.id);
    }
    ctx.emit(Event::Transfer(view_of(ctx, live, transfer)));
    Ok(())
}

fn view_of(ctx: &Context, live: &Live, transfer: &Transfer) -> view::Transfer {
    let who = ctx.title(transfer.contact);
    let progress = live.progress(transfer.id);
    let running = progress.is_some()
        && matches!(
            transfer.state,
            TransferState::Running | TransferState::Waiting
        );
    let state = match transfer.state {
        _ if running => view::TransferState::Running,
        TransferState::Offered => view::TransferState::Offered,
        TransferState::Waiting | TransferState::Running => view::TransferState::Waiting,
        TransferState::Done => view::TransferState::Done,
        TransferState::Cancelled => view::TransferState::Cancelled,
        TransferState::Failed => view::TransferState::Failed,
    };
    let online = ctx
        .book
        .person(transfer.contact)
        .is_some_and(|person| person.presence == view::Presence::Online);
    let (done, rate) = progress.filter(|_| running).unwrap_or((transfer.done, 0));
    view::Transfer {
        id: transfer.id.to_string(),
        contact: transfer.contact.to_string(),
        outgoing: transfer.outgoing,
        name: transfer.name.clone(),
        size: transfer.size,
        done: if state == view::TransferState::Done {
            transfer.size
        } else {
            done
        },
        rate,
        state,
        words: words(transfer, state, &who, online),
        path: transfer
            .path
            .as_ref()
            .filter(|_| transfer.outgoing || state == view::TransferState::Done)
            .map(|path| path.display().to_string()),
        at: transfer.offered_at,
        who,
    }
}

fn words(transfer: &Transfer, state: view::TransferState, who: &str, online: bool) -> String {
    if let Some(reason) = &transfer.reason {
        return reason.clone();
    }
    match (state, transfer.outgoing) {
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

/// Progress of what moves at this moment.
#[derive(Debug, Default)]
struct Live(Mutex<BTreeMap<TransferId, Progress>>);

#[derive(Debug)]
struct Progress {
    done: u64,
    began: Instant,
    began_with: u64,
    shown: Option<Instant>,
}

impl Live {
    /// Bytes move from now on; `done` of them are there already.
    fn begin(&self, id: TransferId, done: u64) {
        let progress = Progress {
            done,
            began: Instant::now(),
            began_with: done,
            shown: None,
        };
        self.lock().entry(id).or_insert(progress);
    }

    /// More bytes; whether it is time to show it.
    fn add(&self, id: TransferId, bytes: u64) -> bool {
        let mut live = self.lock();
        let Some(progress) = live.get_mut(&id) else {
            return false;
        };
        progress.done += bytes;
        let due = progress
            .shown
            .is_none_or(|shown| shown.elapsed() >= SHOW_EVERY);
        if due {
            progress.shown = Some(Instant::now());
        }
        due
    }

    fn end(&self, id: TransferId) {
        self.lock().remove(&id);
    }

    /// Bytes done and bytes a second.
    fn progress(&self, id: TransferId) -> Option<(u64, u64)> {
        let live = self.lock();
        let progress = live.get(&id)?;
        let seconds = progress.began.elapsed().as_secs_f64().max(0.001);
        let rate = (progress.done - progress.began_with) as f64 / seconds;
        Some((progress.done, rate as u64))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TransferId, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
