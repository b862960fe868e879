//! Transfers with one contact: the task that owns the machine ([`Transfers`]), carries out what it says and tells it what
//! happened. It lives while something is connected or has to be said.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream};
use starling_control::{ErrorKind, Failure};
use starling_protocol::transfer::entry::Entry;
use starling_protocol::transfer::exchange::{
    LinkEnd, LinkId, Persist, Reach, TransferCommand, TransferEvent,
};
use starling_protocol::transfer::receiver::FetchEnd;
use starling_protocol::transfer::transfers::Transfers;
use starling_store::StoreError;
use starling_store::transfers::{self, Transfer};
use starling_wire::alpn;
use starling_wire::file::{FILE_FRAME_MAX, FileFrame, Pull, PullAnswer};
use starling_wire::ids::{AccountId, TransferId};
use starling_wire::permissions::Permission;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use super::pull::Fetched;
use super::show::Show;
use super::{pull, rows, serve};
use crate::book;
use crate::bulk::BulkError;
use crate::drivers::meet;
use crate::paths::PathGuard;
use crate::traffic::Purpose;
use crate::transport::dial::DialError;
use crate::transport::inner::InnerLease;
use crate::transport::{congestion, dial, endpoint, stream};

/// Streams of the contact at once on one connection: pulls of a few files, and the control stream.
const STREAMS_AT_ONCE: u32 = 16;
const INBOX: usize = 64;
/// A contact that does not read what we say for so long is not there.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// A connection from a contact has its first stream within this time.
const OPEN_TIME: Duration = Duration::from_secs(10);
/// What runs when the node stops may note for so long what it has done.
const STOP_TIME: Duration = Duration::from_secs(2);
const CLOSED: u32 = 0;
const BROKEN: u32 = 1;
const STOPPING: u32 = 2;

/// What others tell a session.
#[derive(Debug)]
pub enum Input {
    /// The person wants something; whether it could be done.
    Command(TransferCommand, oneshot::Sender<Result<(), Failure>>),
    /// The contact's presence changed.
    Presence(book::Reach),
    /// The contact opened a connection.
    Arrival(Connection),
    /// The node stops, or the contact is one no more: close and note.
    Stop,
}

enum Done {
    /// A connection was dialled, or not.
    Dialled(Option<Opened>),
    /// The contact's connection got its first stream, or did not.
    Arrived(Option<Opened>),
    /// A frame came on a control stream; `None` when it ended.
    Frame(LinkId, Option<FileFrame>, RecvStream),
    /// The contact's next stream.
    Stream(LinkId, Option<(SendStream, RecvStream)>),
    /// What that stream wants.
    Asked(Option<Pull>, SendStream),
    /// A pull of the contact was answered with bytes, or could not be.
    Served(TransferId, Result<(), BulkError>),
    /// A pull was refused.
    Refused,
    /// A file was fetched or got its name, or could not be.
    Fetched(TransferId, LinkId, Result<Fetched, BulkError>),
}

struct Opened {
    lease: Option<InnerLease>,
    connection: Connection,
    control: SendStream,
    receive: RecvStream,
}

struct Link {
    connection: Connection,
    control: SendStream,
    _lease: Option<InnerLease>,
    _path: PathGuard,
}

/// Starts the task.
pub fn spawn(show: Arc<Show>, account: AccountId) -> mpsc::Sender<Input> {
    let (sender, inputs) = mpsc::channel(INBOX);
    tokio::spawn(async move {
        match Session::load(show, account).await {
            Ok(session) => session.run(inputs).await,
            Err(error) => debug!(%error, "transfers cannot be read"),
        }
    });
    sender
}

struct Session {
    show: Arc<Show>,
    account: AccountId,
    machine: Transfers,
    links: BTreeMap<LinkId, Link>,
    last_link: LinkId,
    fetches: BTreeMap<TransferId, AbortHandle>,
    /// Where the file lies whose last step is about to be stored.
    finished: Option<(TransferId, PathBuf)>,
    /// Files of ours that were pulled since the last connection came.
    served: Vec<TransferId>,
    tasks: JoinSet<Done>,
}

impl Session {
    async fn load(show: Arc<Show>, account: AccountId) -> Result<Self, StoreError> {
        let mut session = Self {
            machine: Transfers::default(),
            links: BTreeMap::new(),
            last_link: 0,
            fetches: BTreeMap::new(),
            finished: None,
            served: Vec::new(),
            tasks: JoinSet::new(),
            account,
            show,
        };
        session.read_stored().await?;
        Ok(session)
    }

    async fn read_stored(&mut self) -> Result<(), StoreError> {
        let account = self.account;
        let open = self
            .show
            .ctx
            .db
            .read(move |tx| transfers::open(tx, account));
        self.machine = Transfers::new(open.await?.iter().map(rows::entry));
        let person = self.show.ctx.book.person(account);
        // Before anything is dialled: whoever is known to be away is waited for.
        if person.is_some_and(|person| person.reach == book::Reach::Gone) {
            self.machine.handle_reach(Reach::Offline, self.now());
        }
        Ok(())
    }

    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        loop {
            if self.machine.is_idle() && self.tasks.is_empty() && inputs.is_empty() {
                inputs.close();
            }
            let wake = self.machine.poll_timeout();
            let wake = async {
                match wake {
                    Some(deadline) => {
                        let wait = deadline.at.saturating_sub(self.show.ctx.clock.now());
                        tokio::time::sleep(wait).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let result = tokio::select! {
                input = inputs.recv() => match input {
                    None | Some(Input::Stop) => break,
                    Some(input) => self.handle(input).await,
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(done) => self.done(done).await,
                    // A fetch that was stopped is no news.
                    Err(_) => Ok(()),
                },
                () = wake => {
                    let now = self.now();
                    self.machine.handle_timeout(now);
                    self.drain().await
                }
            };
            if let Err(error) = result
                && !self.start_over(&error).await
            {
                break;
            }
        }
        self.close().await;
    }

    /// The store failed: what was to be told of that drain was not. Everything begins again from what is stored.
    async fn start_over(&mut self, error: &StoreError) -> bool {
        debug!(%error, "a transfer could not be stored");
        self.drop_links(BROKEN, b"cannot store");
        for (_, fetch) in std::mem::take(&mut self.fetches) {
            fetch.abort();
        }
        if self.read_stored().await.is_err() {
            return false;
        }
        // Not at once.
        let now = self.now();
        self.machine.handle_dial_failed(now);
        self.drain().await.is_ok()
    }

    async fn close(mut self) {
        self.drop_links(STOPPING, b"stopping");
        let fetching = async {
            while !self.fetches.is_empty()
                && let Some(done) = self.tasks.join_next().await
            {
                let Ok(Done::Fetched(id, link, result)) = done else {
                    continue;
                };
                // What is complete gets its name, and that is stored.
                if result.is_err() || self.fetched(id, link, result).await.is_err() {
                    self.fetches.remove(&id);
                }
            }
        };
        let _ = tokio::time::timeout(STOP_TIME, fetching).await;
        self.tasks.shutdown().await;
    }

    async fn handle(&mut self, input: Input) -> Result<(), StoreError> {
        let now = self.now();
        match input {
            Input::Command(command, answer) => {
                let done = self.machine.handle_command(command, now);
                let stored = self.drain().await;
                let done = match (&stored, done) {
                    (Err(error), _) => Err(crate::context::store_failure(error.clone())),
                    (_, Err(refused)) => Err(Failure::new(ErrorKind::State, refused.to_string())),
                    (_, Ok(())) => Ok(()),
                };
                let _ = answer.send(done);
                return stored;
            }
            Input::Presence(reach) => {
                let reach = match reach {
                    book::Reach::Here => Reach::Online,
                    book::Reach::Gone => Reach::Offline,
                    book::Reach::Unknown => Reach::Unknown,
                };
                self.machine.handle_reach(reach, now);
            }
            Input::Arrival(connection) => {
                let show = Arc::clone(&self.show);
                self.tasks.spawn(arrive(show, self.account, connection));
            }
            Input::Stop => {}
        }
        self.drain().await
    }

    async fn done(&mut self, done: Done) -> Result<(), StoreError> {
        let now = self.now();
        match done {
            Done::Dialled(Some(opened)) | Done::Arrived(Some(opened)) => self.connected(opened),
            Done::Dialled(None) => self.machine.handle_dial_failed(now),
            Done::Frame(link, frame, receive) => return self.heard(link, frame, receive).await,
            Done::Stream(link, Some((send, receive))) => self.stream(link, send, receive),
            Done::Asked(Some(pull), send) => return self.pulled(pull, send).await,
            Done::Served(id, result) => {
                self.machine.handle_served(now);
                self.drain().await?;
                match result {
                    Ok(()) | Err(BulkError::Lost) => {}
                    Err(error) => {
                        let now = self.now();
                        self.machine.handle_source_lost(id, error.to_string(), now);
                    }
                }
            }
            Done::Fetched(id, link, result) => return self.fetched(id, link, result).await,
            Done::Arrived(None) | Done::Stream(_, None) | Done::Asked(None, _) | Done::Refused => {}
        }
        self.drain().await
    }

    fn connected(&mut self, opened: Opened) {
        self.last_link += 1;
        let link = self.last_link;
        debug!(link, "connected for files");
        let connection = &opened.connection;
        connection.set_max_concurrent_bi_streams(STREAMS_AT_ONCE.into());
        let path = self.show.ctx.paths.enter(self.account, "files", connection);
        self.next_frame(link, opened.receive);
        self.next_stream(link, connection.clone());
        let entry = Link {
            connection: opened.connection,
            control: opened.control,
            _lease: opened.lease,
            _path: path,
        };
        self.links.insert(link, entry);
        let now = self.now();
        self.machine.handle_link_up(link, now);
    }

    fn next_frame(&mut self, link: LinkId, mut receive: RecvStream) {
        self.tasks.spawn(async move {
            let frame = stream::read(&mut receive, FILE_FRAME_MAX).await;
            Done::Frame(link, frame.ok().flatten(), receive)
        });
    }

    fn next_stream(&mut self, link: LinkId, connection: Connection) {
        self.tasks
            .spawn(async move { Done::Stream(link, connection.accept_bi().await.ok()) });
    }

    async fn heard(
        &mut self,
        link: LinkId,
        frame: Option<FileFrame>,
        receive: RecvStream,
    ) -> Result<(), StoreError> {
        let Some(frame) = frame else {
            if let Some(gone) = self.links.remove(&link) {
                let end = link_end(&gone.connection);
                gone.connection.close(BROKEN.into(), b"no frame");
                debug!(link, ?end, "a connection for files ended");
                self.machine.handle_link_down(link, end, self.now());
                self.pause_served().await?;
            }
            return self.drain().await;
        };
        let bytes = starling_wire::frame::encode(&frame).len() as u64;
        self.show.ctx.traffic.received(Purpose::Files, bytes);
        self.next_frame(link, receive);
        let may = |what| self.show.ctx.abouts.allows(self.account, what); // CONTACT-05
        if matches!(frame, FileFrame::Offer(_)) && !may(Permission::Files) {
            return self.drain().await;
        }
        let past = match self.machine.asks_for(&frame) {
            Some(id) => self.row(id).await?.as_ref().map(rows::entry),
            None => None,
        };
        self.machine
            .handle_frame(link, frame, past.as_ref(), self.now());
        self.drain().await
    }

    fn stream(&mut self, link: LinkId, send: SendStream, mut receive: RecvStream) {
        let Some(open) = self.links.get(&link) else {
            return;
        };
        let connection = open.connection.clone();
        self.next_stream(link, connection);
        self.tasks
            .spawn(async move { Done::Asked(serve::asked(&mut receive).await, send) });
    }

    async fn pulled(&mut self, pull: Pull, send: SendStream) -> Result<(), StoreError> {
        let row = self.row(pull.id).await?;
        let past: Option<Entry> = row.as_ref().map(rows::entry);
        let now = self.now();
        let answer = self.machine.handle_pull(&pull, past.as_ref(), now);
        self.drain().await?;
        match row {
            Some(row) if answer == PullAnswer::Bytes => {
                if !self.served.contains(&row.id) {
                    self.served.push(row.id);
                }
                let row = self.row(row.id).await?.unwrap_or(row);
                let show = Arc::clone(&self.show);
                self.tasks.spawn(async move {
                    let id = row.id;
                    Done::Served(id, serve::serve_pull(&show, row, pull, send).await)
                });
            }
            _ => {
                self.tasks.spawn(async move {
                    serve::refuse(send, answer).await;
                    Done::Refused
                });
            }
        }
        Ok(())
    }

    async fn fetched(
        &mut self,
        id: TransferId,
        link: LinkId,
        result: Result<Fetched, BulkError>,
    ) -> Result<(), StoreError> {
        self.fetches.remove(&id);
        let end = match result {
            Ok(Fetched::Complete) => FetchEnd::Complete,
            Ok(Fetched::Placed(path)) => {
                self.finished = Some((id, path));
                FetchEnd::Done
            }
            Err(BulkError::Lost) => FetchEnd::Lost,
            Err(BulkError::Gone) => FetchEnd::Gone,
            Err(BulkError::Changed | BulkError::Vanished) => FetchEnd::Changed,
            Err(BulkError::Corrupt) => FetchEnd::Corrupt,
            Err(error @ (BulkError::Disk(_) | BulkError::Folder(_))) => {
                FetchEnd::Storage(error.to_string())
            }
        };
        debug!(?end, "a fetch ended");
        if end != FetchEnd::Complete {
            self.show.pause(id);
        }
        let (lost, now) = (end == FetchEnd::Lost, self.now());
        self.machine.handle_fetched(id, link, end, now);
        self.drain().await?;
        // Where it ended, the machine said so.
        match self.row(id).await? {
            Some(row) if lost => self.show.changed(&row),
            _ => {}
        }
        Ok(())
    }

    /// Commits, then sends, then does the rest.
    async fn drain(&mut self) -> Result<(), StoreError> {
        let persists: Vec<Persist> = std::iter::from_fn(|| self.machine.poll_persist()).collect();
        let finished = self.finished.take();
        if !persists.is_empty() {
            rows::commit(&self.show.ctx, self.account, persists, finished).await?;
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            self.say(transmit.link, &transmit.frame).await;
        }
        while let Some(event) = self.machine.poll_event() {
            self.carry_out(event).await?;
        }
        Ok(())
    }

    /// What cannot be said is said again on the next connection: the reader notices that this one is gone.
    async fn say(&mut self, link: LinkId, frame: &FileFrame) {
        let Some(open) = self.links.get_mut(&link) else {
            return;
        };
        let bytes = starling_wire::frame::encode(frame);
        let written = stream::write_bytes(&mut open.control, &bytes);
        match tokio::time::timeout(WRITE_TIME, written).await {
            Ok(Ok(())) => {
                let count = bytes.len() as u64;
                self.show.ctx.traffic.sent(Purpose::Files, count);
            }
            Ok(Err(_)) | Err(_) => open.connection.close(BROKEN.into(), b"not read"),
        }
    }

    async fn carry_out(&mut self, event: TransferEvent) -> Result<(), StoreError> {
        match event {
            TransferEvent::Dial => self.dial(),
            TransferEvent::Close(link) => {
                if let Some(link) = self.links.remove(&link) {
                    link.connection.close(CLOSED.into(), b"done");
                }
            }
            TransferEvent::Fetch(id, link) => self.fetch(id, link).await?,
            TransferEvent::Finish(id, link) => self.finish(id, link).await?,
            TransferEvent::Stop(id) => {
                if let Some(fetch) = self.fetches.remove(&id) {
                    fetch.abort();
                }
            }
            TransferEvent::Changed(id) => {
                if let Some(row) = self.row(id).await? {
                    self.show.changed(&row);
                }
            }
            TransferEvent::Tidy(id) => {
                self.show.end(id);
                if let Some(row) = self.row(id).await? {
                    rows::tidy(&self.show.ctx, row).await;
                }
            }
            TransferEvent::Refused(reason) => debug!(%reason, "a contact was not followed"),
        }
        Ok(())
    }

    fn dial(&mut self) {
        let (show, account) = (Arc::clone(&self.show), self.account);
        self.tasks.spawn(async move {
            let opened = open(&show, account).await;
            Done::Dialled(
                opened
                    .inspect_err(|error| debug!(%error, "no connection for files"))
                    .ok(),
            )
        });
    }

    async fn fetch(&mut self, id: TransferId, link: LinkId) -> Result<(), StoreError> {
        let connection = self.links.get(&link).map(|link| link.connection.clone());
        let row = self.row(id).await?;
        let show = Arc::clone(&self.show);
        let fetch = self.tasks.spawn(async move {
            let (Some(connection), Some(row)) = (connection, row) else {
                return Done::Fetched(id, link, Err(BulkError::Lost));
            };
            show.begin(&row, row.done);
            Done::Fetched(id, link, pull::fetch(show, connection, row).await)
        });
        self.fetches.insert(id, fetch);
        Ok(())
    }

    async fn finish(&mut self, id: TransferId, link: LinkId) -> Result<(), StoreError> {
        let row = self.row(id).await?;
        let show = Arc::clone(&self.show);
        let finish = self.tasks.spawn(async move {
            let finished = match row {
                Some(row) => pull::finish(show, row).await,
                None => Err(BulkError::Gone),
            };
            Done::Fetched(id, link, finished)
        });
        self.fetches.insert(id, finish);
        Ok(())
    }

    /// With the last connection gone, nobody pulls.
    async fn pause_served(&mut self) -> Result<(), StoreError> {
        if !self.links.is_empty() {
            return Ok(());
        }
        for id in std::mem::take(&mut self.served) {
            if self.show.pause(id)
                && let Some(row) = self.row(id).await?
            {
                self.show.changed(&row);
            }
        }
        Ok(())
    }

    fn drop_links(&mut self, code: u32, reason: &[u8]) {
        for (_, link) in std::mem::take(&mut self.links) {
            link.connection.close(code.into(), reason);
        }
    }

    async fn row(&self, id: TransferId) -> Result<Option<Transfer>, StoreError> {
        let account = self.account;
        let row = self
            .show
            .ctx
            .db
            .read(move |tx| transfers::get(tx, account, id));
        row.await
    }

    fn now(&self) -> Duration {
        self.show.ctx.clock.now()
    }
}

async fn open(show: &Show, account: AccountId) -> Result<Opened, DialError> {
    let (lease, inner) = meet::ask(&show.ctx, account).await?;
    let address = endpoint::inner_addr(&inner).ok_or(DialError::NoAddress)?;
    let connection =
        dial::connect(lease.endpoint(), address, alpn::FILE, congestion::bulk()).await?;
    let (control, receive) = connection.open_bi().await.map_err(|_| DialError::Refused)?;
    Ok(Opened {
        lease: Some(lease),
        connection,
        control,
        receive,
    })
}

async fn arrive(show: Arc<Show>, account: AccountId, connection: Connection) -> Done {
    let Ok(Ok((control, receive))) = tokio::time::timeout(OPEN_TIME, connection.accept_bi()).await
    else {
        return Done::Arrived(None);
    };
    Done::Arrived(Some(Opened {
        lease: show.ctx.lease_for(account).await.ok(),
        connection,
        control,
        receive,
    }))
}

fn link_end(connection: &Connection) -> LinkEnd {
    match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(close)) if close.error_code == CLOSED.into() => {
            LinkEnd::Closed
        }
        _ => LinkEnd::Lost,
    }
}
