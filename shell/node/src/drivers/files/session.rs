//! Transfers with one contact: one connection between the inner endpoints, offers and answers on its first stream, pulls
//! on the others. The task lives while something is open and the contact is there, and 30 s longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_control::{Event, view};
use starling_store::StoreError;
use starling_store::transfers::{self, Transfer, TransferState};
use starling_wire::alpn;
use starling_wire::file::{
    FILE_FRAME_MAX, FileFrame, Offer, Pull, PullAnswer, ReceiverState, safe_file_name,
};
use starling_wire::ids::{AccountId, TransferId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use super::{Live, discard, outboard_path, pull, store, view_of};
use crate::bulk::index::Indexed;
use crate::bulk::{self, BulkError, serve};
use crate::clock::wall_ms;
use crate::context::Context;
use crate::drivers::meet;
use crate::traffic::Purpose;
use crate::transport::dial::DialError;
use crate::transport::inner::InnerLease;
use crate::transport::{congestion, dial, endpoint, stream};

const SILENCE: Duration = Duration::from_secs(30);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
const STREAMS_AT_ONCE: u32 = 16;
/// Open offers of one contact; more are refused.
const OFFERS_MAX: usize = 100;
const INBOX: usize = 64;

/// What others tell a session.
#[derive(Debug)]
pub enum Input {
    /// Something may have to be done.
    Wake,
    /// The person accepted an offer.
    Accepted(TransferId),
    /// The person cancelled.
    Cancelled(TransferId),
    /// The contact opened a connection.
    Arrival(Connection),
}

enum Done {
    /// A connection was dialled, or not.
    Dialled(Option<(InnerLease, Connection, SendStream, RecvStream)>),
    /// A frame came on the control stream; `None` when the connection ended.
    Frame(u64, Option<FileFrame>, RecvStream),
    /// A transfer was fetched, or could not be.
    Pulled(Box<Transfer>, Result<std::path::PathBuf, BulkError>),
    /// A pull of the contact was served.
    Served,
    /// The contact's next stream.
    Stream(u64, Option<(SendStream, RecvStream)>),
}

/// Starts the task.
pub fn spawn(
    ctx: Arc<Context>,
    live: Arc<Live>,
    account: AccountId,
    first: Input,
) -> mpsc::Sender<Input> {
    let (sender, inputs) = mpsc::channel(INBOX);
    let _ = sender.try_send(first);
    let session = Session {
        ctx,
        live,
        account,
        link: None,
        links: 0,
        tasks: JoinSet::new(),
        pulling: BTreeMap::new(),
        serving: 0,
        dialling: false,
        failures: 0,
        retry_at: Instant::now(),
        used: Instant::now(),
    };
    tokio::spawn(session.run(inputs));
    sender
}

struct Session {
    ctx: Arc<Context>,
    live: Arc<Live>,
    account: AccountId,
    link: Option<Link>,
    links: u64,
    tasks: JoinSet<Done>,
    pulling: BTreeMap<TransferId, tokio::task::AbortHandle>,
    serving: usize,
    dialling: bool,
    failures: u32,
    retry_at: Instant,
    used: Instant,
}

struct Link {
    number: u64,
    connection: Connection,
    control: SendStream,
    _lease: Option<InnerLease>,
}

impl Session {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        loop {
            let wanted = match self.work().await {
                Ok(wanted) => wanted,
                Err(error) => {
                    debug!(%error, "transfers cannot be read");
                    false
                }
            };
            let wake = if self.link.is_some() {
                self.used + SILENCE
            } else {
                self.retry_at.max(Instant::now() + RETRY_FIRST)
            };
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.handle(input).await,
                    None => break,
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // A pull that was cancelled is no news.
                    if let Ok(done) = done {
                        self.finished(done).await;
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    let silent = self.used.elapsed() >= SILENCE && self.pulling.is_empty() && self.serving == 0;
                    if silent {
                        self.drop_link();
                    }
                    if self.link.is_none() && !wanted && !self.dialling {
                        inputs.close();
                        if inputs.is_empty() {
                            break;
                        }
                    }
                }
            }
        }
        self.drop_link();
        self.tasks.shutdown().await;
    }

    /// Starts whatever can be started; whether anything is open that needs the contact.
    async fn work(&mut self) -> Result<bool, StoreError> {
        let account = self.account;
        let open = self
            .ctx
            .db
            .read(move |tx| transfers::open(tx, account))
            .await?;
        let needs =
            |transfer: &&Transfer| transfer.outgoing || transfer.state != TransferState::Offered;
        let wanted = open.iter().any(|transfer| needs(&transfer));
        let online = self.is_online();
        if self.link.is_none() {
            if wanted && online && !self.dialling && Instant::now() >= self.retry_at {
                self.dial();
            }
            return Ok(wanted && online);
        }
        for transfer in open
            .into_iter()
            .filter(|transfer| !transfer.outgoing && transfer.state != TransferState::Offered)
        {
            if !self.pulling.contains_key(&transfer.id) {
                self.pull(transfer).await;
            }
        }
        Ok(wanted)
    }

    fn is_online(&self) -> bool {
        self.ctx
            .book
            .person(self.account)
            .is_some_and(|person| person.presence != view::Presence::Offline)
    }

    fn dial(&mut self) {
        self.dialling = true;
        let (ctx, account) = (Arc::clone(&self.ctx), self.account);
        self.tasks.spawn(async move {
            let connected = async {
                let (lease, inner) = meet::ask(&ctx, account).await?;
                let address = endpoint::inner_addr(&inner).ok_or(DialError::NoAddress)?;
                let connection =
                    dial::connect(lease.endpoint(), address, alpn::FILE, congestion::bulk())
                        .await?;
                let (send, receive) = connection.open_bi().await.map_err(|_| DialError::Refused)?;
                Ok((lease, connection, send, receive))
            };
            let connected: Result<_, DialError> = connected.await;
            Done::Dialled(
                connected
                    .inspect_err(|error| debug!(%error, "no connection for files"))
                    .ok(),
            )
        });
    }

    async fn handle(&mut self, input: Input) {
        self.used = Instant::now();
        match input {
            Input::Wake => {
                self.retry_at = Instant::now();
                // A new offer on a connection that stands already.
                if let Err(error) = self.say_everything().await {
                    debug!(%error, "open transfers cannot be read");
                }
            }
            Input::Accepted(id) => {
                self.retry_at = Instant::now();
                self.say(&FileFrame::State {
                    id,
                    state: ReceiverState::Accepted,
                })
                .await;
            }
            Input::Cancelled(id) => self.cancelled(id).await,
            Input::Arrival(connection) => {
                if let Ok((send, receive)) = connection.accept_bi().await {
                    self.connected(None, connection, send, receive).await;
                }
            }
        }
    }

    async fn cancelled(&mut self, id: TransferId) {
        if let Some(pull) = self.pulling.remove(&id) {
            pull.abort();
        }
        self.live.end(id);
        let account = self.account;
        let row = self
            .ctx
            .db
            .read(move |tx| transfers::get(tx, account, id))
            .await
            .ok()
            .flatten();
        let frame = match row {
            Some(row) if row.outgoing => FileFrame::Withdraw { id },
            _ => FileFrame::State {
                id,
                state: ReceiverState::Declined,
            },
        };
        self.say(&frame).await;
    }

    /// A connection is there: the newer one counts. Everything open is said again on it.
    async fn connected(
        &mut self,
        lease: Option<InnerLease>,
        connection: Connection,
        control: SendStream,
        receive: RecvStream,
    ) {
        self.drop_link();
        debug!(dialled = lease.is_some(), "connected for files");
        connection.set_max_concurrent_bi_streams(STREAMS_AT_ONCE.into());
        self.links += 1;
        self.failures = 0;
        self.used = Instant::now();
        let lease = match lease {
            Some(lease) => Some(lease),
            None => self
                .ctx
                .inner
                .lease(self.ctx.door.home().as_ref())
                .await
                .ok(),
        };
        self.next_frame(self.links, receive);
        self.next_stream(self.links, connection.clone());
        self.link = Some(Link {
            number: self.links,
            connection,
            control,
            _lease: lease,
        });
        if let Err(error) = self.say_everything().await {
            debug!(%error, "open transfers cannot be read");
        }
    }

    async fn say_everything(&mut self) -> Result<(), StoreError> {
        let account = self.account;
        for transfer in self
            .ctx
            .db
            .read(move |tx| transfers::open(tx, account))
            .await?
        {
            let frame = match (transfer.outgoing, transfer.state) {
                (true, _) => FileFrame::Offer(Offer {
                    id: transfer.id,
                    name: transfer.name,
                    size: transfer.size,
                    root: transfer.root,
                    sent_at: transfer.offered_at,
                }),
                (false, TransferState::Offered) => continue,
                (false, _) => FileFrame::State {
                    id: transfer.id,
                    state: ReceiverState::Accepted,
                },
            };
            self.say(&frame).await;
        }
        Ok(())
    }

    async fn say(&mut self, frame: &FileFrame) {
        let Some(link) = &mut self.link else { return };
        if stream::write(&mut link.control, frame).await.is_err() {
            self.drop_link();
        }
    }

    fn drop_link(&mut self) {
        for (_, pull) in std::mem::take(&mut self.pulling) {
            pull.abort();
        }
        if let Some(link) = self.link.take() {
            link.connection.close(0u32.into(), b"done");
        }
    }

    fn next_frame(&mut self, link: u64, mut receive: RecvStream) {
        self.tasks.spawn(async move {
            let frame = stream::read(&mut receive, FILE_FRAME_MAX)
                .await
                .ok()
                .flatten();
            Done::Frame(link, frame, receive)
        });
    }

    fn next_stream(&mut self, link: u64, connection: Connection) {
        self.tasks
            .spawn(async move { Done::Stream(link, connection.accept_bi().await.ok()) });
    }

    async fn finished(&mut self, done: Done) {
        match done {
            Done::Dialled(Some((lease, connection, send, receive))) => {
                self.dialling = false;
                self.connected(Some(lease), connection, send, receive).await;
            }
            Done::Dialled(None) => {
                self.dialling = false;
                let wait = RETRY_FIRST
                    .saturating_mul(1 << self.failures.min(6))
                    .min(RETRY_MAX);
                self.failures += 1;
                self.retry_at = Instant::now() + wait;
            }
            Done::Frame(link, frame, receive) if self.is_current(link) => match frame {
                Some(frame) => {
                    self.used = Instant::now();
                    self.next_frame(link, receive);
                    if let Err(error) = self.heard(frame).await {
                        debug!(%error, "a transfer could not be stored");
                    }
                }
                None => self.drop_link(),
            },
            Done::Stream(link, Some((send, receive))) if self.is_current(link) => {
                if let Some(connection) = self.link.as_ref().map(|link| link.connection.clone()) {
                    self.next_stream(link, connection);
                }
                self.serving += 1;
                self.used = Instant::now();
                self.tasks.spawn(serve_pull(
                    Arc::clone(&self.ctx),
                    Arc::clone(&self.live),
                    self.account,
                    send,
                    receive,
                ));
            }
            Done::Served => {
                self.serving = self.serving.saturating_sub(1);
                self.used = Instant::now();
            }
            Done::Pulled(transfer, result) => self.pulled(*transfer, result).await,
            Done::Frame(..) | Done::Stream(..) => {}
        }
    }

    fn is_current(&self, link: u64) -> bool {
        self.link
            .as_ref()
            .is_some_and(|current| current.number == link)
    }

    async fn heard(&mut self, frame: FileFrame) -> Result<(), StoreError> {
        match frame {
            FileFrame::Offer(offer) => self.offered(offer).await,
            FileFrame::State { id, state } => self.receiver_says(id, state).await,
            FileFrame::Withdraw { id } => self.withdrawn(id).await,
        }
    }

    async fn offered(&mut self, offer: Offer) -> Result<(), StoreError> {
        if offer.check().is_err() {
            debug!(reason = "malformed", "an offer broke its bounds");
            return Ok(());
        }
        let (account, id, now) = (self.account, offer.id, wall_ms());
        let row = Transfer {
            id,
            contact: account,
            outgoing: false,
            name: safe_file_name(&offer.name),
            size: offer.size,
            root: offer.root,
            path: None,
            part: None,
            state: TransferState::Offered,
            done: 0,
            ranges: Vec::new(),
            reason: None,
            offered_at: now,
            changed_at: now,
        };
        let fresh = row.clone();
        let known = self.ctx.db.write(move |tx| {
            if let Some(known) = transfers::get(tx, account, id)? {
                return Ok(Some(known));
            }
            if transfers::open(tx, account)?.len() >= OFFERS_MAX {
                return Ok(None);
            }
            transfers::insert(tx, &fresh)?;
            Ok(Some(fresh))
        });
        let state = match known.await? {
            // An id of ours, or another file under a known id: not what it seems.
            Some(known) if known.outgoing || known.root != row.root => ReceiverState::Failed,
            Some(known) => {
                self.ctx
                    .emit(Event::Transfer(view_of(&self.ctx, &self.live, &known)));
                match known.state {
                    TransferState::Offered => ReceiverState::Offered,
                    TransferState::Waiting | TransferState::Running => ReceiverState::Accepted,
                    TransferState::Done => ReceiverState::Done,
                    TransferState::Cancelled => ReceiverState::Declined,
                    TransferState::Failed => ReceiverState::Failed,
                }
            }
            None => ReceiverState::Declined,
        };
        self.say(&FileFrame::State { id, state }).await;
        Ok(())
    }

    async fn receiver_says(
        &mut self,
        id: TransferId,
        state: ReceiverState,
    ) -> Result<(), StoreError> {
        let account = self.account;
        let Some(mut row) = self
            .ctx
            .db
            .read(move |tx| transfers::get(tx, account, id))
            .await?
        else {
            return Ok(());
        };
        let over = matches!(
            row.state,
            TransferState::Done | TransferState::Cancelled | TransferState::Failed
        );
        if !row.outgoing || over {
            return Ok(());
        }
        let who = self.ctx.title(account);
        match state {
            ReceiverState::Offered => return Ok(()),
            ReceiverState::Accepted => row.state = TransferState::Waiting,
            ReceiverState::Declined => {
                row.state = TransferState::Cancelled;
                row.reason = Some(format!("declined or cancelled by {who}"));
            }
            ReceiverState::Done => {
                row.state = TransferState::Done;
                row.done = row.size;
            }
            ReceiverState::Failed => {
                row.state = TransferState::Failed;
                row.reason = Some(format!("{who} could not store it"));
            }
        }
        if row.state != TransferState::Waiting {
            let _ = std::fs::remove_file(outboard_path(&self.ctx, id));
        }
        store(&self.ctx, &self.live, &mut row).await
    }

    async fn withdrawn(&mut self, id: TransferId) -> Result<(), StoreError> {
        let account = self.account;
        let Some(mut row) = self
            .ctx
            .db
            .read(move |tx| transfers::get(tx, account, id))
            .await?
        else {
            return Ok(());
        };
        if row.outgoing
            || matches!(
                row.state,
                TransferState::Done | TransferState::Cancelled | TransferState::Failed
            )
        {
            return Ok(());
        }
        if let Some(pull) = self.pulling.remove(&id) {
            pull.abort();
        }
        row.state = TransferState::Cancelled;
        row.reason = Some(format!("cancelled by {}", self.ctx.title(account)));
        discard(&row);
        store(&self.ctx, &self.live, &mut row).await
    }

    async fn pull(&mut self, mut transfer: Transfer) {
        let Some(connection) = self.link.as_ref().map(|link| link.connection.clone()) else {
            return;
        };
        self.live.begin(transfer.id, transfer.done);
        transfer.state = TransferState::Running;
        let _ = store(&self.ctx, &self.live, &mut transfer).await;
        let (ctx, live, id) = (Arc::clone(&self.ctx), Arc::clone(&self.live), transfer.id);
        let handle = self.tasks.spawn(async move {
            let mut transfer = transfer;
            let result = pull::fetch(&ctx, &live, &connection, &mut transfer).await;
            Done::Pulled(Box::new(transfer), result)
        });
        self.pulling.insert(id, handle);
    }

    async fn pulled(
        &mut self,
        mut transfer: Transfer,
        result: Result<std::path::PathBuf, BulkError>,
    ) {
        self.pulling.remove(&transfer.id);
        self.used = Instant::now();
        let state = match result {
            Ok(path) => {
                transfer.state = TransferState::Done;
                transfer.done = transfer.size;
                transfer.path = Some(path);
                transfer.part = None;
                Some(ReceiverState::Done)
            }
            // It goes on when the two are connected again.
            Err(BulkError::Lost) => {
                transfer.state = TransferState::Waiting;
                self.live.end(transfer.id);
                self.drop_link();
                None
            }
            Err(error) => {
                transfer.state = TransferState::Failed;
                transfer.reason = Some(error.to_string());
                discard(&transfer);
                Some(ReceiverState::Failed)
            }
        };
        if let Err(error) = store(&self.ctx, &self.live, &mut transfer).await {
            debug!(%error, "a finished transfer could not be stored");
            return;
        }
        if let Some(state) = state {
            self.say(&FileFrame::State {
                id: transfer.id,
                state,
            })
            .await;
        }
    }
}

/// Answers one pull of the contact.
async fn serve_pull(
    ctx: Arc<Context>,
    live: Arc<Live>,
    account: AccountId,
    mut send: SendStream,
    mut receive: RecvStream,
) -> Done {
    let Ok(Some(pull)) = stream::read::<Pull>(&mut receive, FILE_FRAME_MAX).await else {
        return Done::Served;
    };
    let id = pull.id;
    let row = ctx
        .db
        .read(move |tx| transfers::get(tx, account, id))
        .await
        .ok()
        .flatten();
    let wanted = row.filter(|row| {
        row.outgoing && matches!(row.state, TransferState::Waiting | TransferState::Running)
    });
    let answer = match &wanted {
        Some(row) if pull.check(bulk::groups(row.size)).is_ok() => PullAnswer::Bytes,
        _ => PullAnswer::Gone,
    };
    if stream::write(&mut send, &answer).await.is_err() || answer != PullAnswer::Bytes {
        let _ = send.finish();
        return Done::Served;
    }
    let Some(row) = wanted else {
        return Done::Served;
    };
    let Some(path) = row.path.clone() else {
        return Done::Served;
    };
    let source = Indexed {
        path,
        outboard: outboard_path(&ctx, id),
        root: row.root,
        size: row.size,
    };
    live.begin(id, 0);
    match serve::serve(&mut send, &source, pull.start..pull.end).await {
        Ok(sent) => {
            ctx.traffic.sent(Purpose::Files, sent);
            let bytes = ((pull.end - pull.start) * bulk::GROUP_BYTES)
                .min(row.size - pull.start * bulk::GROUP_BYTES);
            if live.add(id, bytes) {
                ctx.emit(Event::Transfer(view_of(&ctx, &live, &row)));
            }
        }
        Err(BulkError::Lost) => {}
        Err(error) => {
            debug!(%error, "a file cannot be served any more");
            let mut row = row;
            row.state = TransferState::Failed;
            row.reason = Some(error.to_string());
            let _ = send.reset(1u32.into());
            let _ = store(&ctx, &live, &mut row).await;
        }
    }
    Done::Served
}
