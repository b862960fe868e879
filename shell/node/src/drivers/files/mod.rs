//! Files: offers, answers, progress. One task per contact with something to say or to move owns that contact's machine
//! (`session`); bytes are moved by `pull`, `serve` and `bulk`; `rows` is the store, `show` what people see.

mod pull;
mod rows;
mod serve;
mod session;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_control::{ErrorKind, Failure, view};
use starling_protocol::transfer::exchange::TransferCommand;
use starling_store::StoreError;
use starling_store::blobs::Downloads;
use starling_store::transfers::{self, Transfer, TransferState};
use starling_wire::file::{Offer, safe_file_name};
use starling_wire::ids::{AccountId, TransferId};
use starling_wire::limits::FILE_SIZE_MAX;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::debug;

use crate::book::{Reach, Relation};
use crate::bulk::BulkError;
use crate::bulk::index::Indexed;
use crate::clock::{random, wall_ms};
use crate::context::{Context, store_failure};

use session::Input;
use show::Show;

const LISTING: u32 = 200;
/// Stopping waits for so long for what runs.
const STOP_TIME: Duration = Duration::from_secs(3);

/// All transfers of one account.
#[derive(Debug)]
pub struct Files {
    ctx: Arc<Context>,
    show: Arc<Show>,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    open: BTreeMap<AccountId, mpsc::Sender<Input>>,
    /// Clearing up; what is not done when the node stops is done at the next start.
    clearing: JoinSet<()>,
    stopped: bool,
}

impl Files {
    /// For a session; what is open goes on when the contact is there, what a killed node has left behind is removed.
    pub fn start(ctx: Arc<Context>) -> Self {
        // Listed before anything can be sent: what is indexed from now on is not among them.
        let indexes = indexes(&ctx);
        let files = Self {
            show: Arc::new(Show::new(Arc::clone(&ctx))),
            sessions: Mutex::default(),
            ctx,
        };
        let ctx = Arc::clone(&files.ctx);
        files.clear(async move {
            let swept = sweep(&ctx, indexes).await;
            let cleared = rows::clear_cancelled(&ctx, None).await;
            if let Err(error) = swept.and(cleared) {
                debug!(%error, "what a transfer left behind stays");
            }
        });
        files
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
        let index = NewIndex(Some(self.outboard(id)?));
        let source = path.clone();
        let indexed =
            tokio::task::spawn_blocking(move || Ok((index.create(&source)?, index))).await;
        let (indexed, index) = indexed
            .map_err(BulkError::task)
            .flatten()
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        let offer = Offer {
            id,
            name,
            size: indexed.size,
            root: indexed.root,
            sent_at: wall_ms(),
        };
        let row = rows::fresh(account, offer.clone(), true, Some(path));
        self.ctx
            .db
            .write_then(
                move |tx| transfers::insert(tx, &row),
                // From here on the row says that it is there.
                move |_| index.keep(),
            )
            .await
            .map_err(store_failure)?;
        self.command(account, TransferCommand::Offer(offer)).await?;
        self.view(account, id).await
    }

    /// Newest first.
    pub async fn list(&self) -> Result<Vec<view::Transfer>, Failure> {
        let rows = self
            .ctx
            .db
            .read(|tx| transfers::list(tx, LISTING))
            .await
            .map_err(store_failure)?;
        Ok(rows.iter().map(|row| self.show.view(row)).collect())
    }

    /// Says yes to an offer: it goes to `to`, or to the download folder.
    pub async fn accept(&self, id: &str, to: Option<&str>) -> Result<view::Transfer, Failure> {
        let row = self.find(id).await?;
        let (account, id) = (row.contact, row.id);
        if !row.outgoing && row.state == TransferState::Offered {
            let folder = to.map_or_else(|| self.ctx.config.download_folder(), PathBuf::from);
            self.make_part(row, folder).await?;
        }
        self.command(account, TransferCommand::Accept(id)).await?;
        self.view(account, id).await
    }

    /// Makes the unfinished file, so that a folder that cannot be used is known before the sender hears a yes.
    async fn make_part(&self, row: Transfer, folder: PathBuf) -> Result<(), Failure> {
        if !folder.is_absolute() {
            let sentence = "the folder's path has to be absolute";
            return Err(Failure::new(ErrorKind::Usage, sentence));
        }
        let (account, id, size) = (row.contact, row.id, row.size);
        let place = folder.clone();
        let made = tokio::task::spawn_blocking(move || {
            let downloads = Downloads::open(&folder)?;
            downloads.check_room(size, 0)?;
            if downloads.resume(id)?.is_none() {
                downloads.begin(id)?;
            }
            Ok(downloads.part_path(id))
        });
        let part = made
            .await
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?
            .map_err(store_failure)?;
        let stored = self
            .ctx
            .db
            .write(move |tx| transfers::place(tx, account, id, &place, Some(&part)));
        stored.await.map_err(store_failure)
    }

    /// Cancels a transfer, or says no to an offer.
    pub async fn cancel(&self, id: &str) -> Result<view::Transfer, Failure> {
        let row = self.find(id).await?;
        let command = TransferCommand::Cancel(row.id);
        self.command(row.contact, command).await?;
        self.view(row.contact, row.id).await
    }

    /// A contact opened a connection for files.
    pub async fn arrived(&self, account: AccountId, connection: Connection) {
        self.tell(account, Input::Arrival(connection)).await;
    }

    /// A contact came or went: what waits for it goes on.
    pub async fn presence(&self, account: AccountId, reach: Reach) {
        let running = self.lock().open.get(&account).cloned();
        if let Some(running) = running
            && running.send(Input::Presence(reach)).await.is_ok()
        {
            return;
        }
        if reach != Reach::Here {
            return;
        }
        let open = self
            .ctx
            .db
            .read(move |tx| transfers::open(tx, account))
            .await;
        if open.is_ok_and(|open| !open.is_empty()) {
            self.tell(account, Input::Presence(reach)).await;
        }
    }

    /// With whom something is going on.
    pub fn partners(&self) -> Vec<AccountId> {
        self.lock().open.keys().copied().collect()
    }

    /// Somebody is a contact no more; the store has cancelled what was open. Nobody waits for the clearing up.
    pub async fn gone(&self, account: AccountId) {
        let running = self.lock().open.remove(&account);
        let show = Arc::clone(&self.show);
        self.clear(async move {
            if let Some(running) = running {
                let _ = running.send(Input::Stop).await;
                let _ = tokio::time::timeout(STOP_TIME, running.closed()).await;
            }
            match rows::clear_cancelled(&show.ctx, Some(account)).await {
                Ok(rows) => rows.iter().for_each(|row| {
                    show.end(row.id);
                    show.changed(row);
                }),
                Err(error) => debug!(%error, "what a transfer left behind stays"),
            }
        });
    }

    fn clear(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut sessions = self.lock();
        while sessions.clearing.try_join_next().is_some() {}
        if !sessions.stopped {
            sessions.clearing.spawn(work);
        }
    }

    /// Closes every connection; what was fetched is noted.
    pub async fn stop(&self) {
        let running = {
            let mut sessions = self.lock();
            sessions.stopped = true;
            sessions.clearing.abort_all();
            std::mem::take(&mut sessions.open)
        };
        for session in running.values() {
            let _ = session.send(Input::Stop).await;
        }
        let closed = async {
            for session in running.values() {
                session.closed().await;
            }
        };
        let _ = tokio::time::timeout(STOP_TIME, closed).await;
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

    async fn view(&self, account: AccountId, id: TransferId) -> Result<view::Transfer, Failure> {
        let row = self
            .ctx
            .db
            .read(move |tx| transfers::get(tx, account, id))
            .await
            .map_err(store_failure)?;
        let gone = || Failure::new(ErrorKind::System, "the transfer is not in the store");
        row.map(|row| self.show.view(&row)).ok_or_else(gone)
    }

    fn outboard(&self, id: TransferId) -> Result<PathBuf, Failure> {
        let folder = index_folder(&self.ctx);
        std::fs::create_dir_all(&folder).map_err(|error| {
            Failure::new(
                ErrorKind::System,
                format!("{} cannot be made: {error}", folder.display()),
            )
        })?;
        Ok(outboard_path(&self.ctx, id))
    }

    async fn command(&self, account: AccountId, command: TransferCommand) -> Result<(), Failure> {
        let (sender, answer) = oneshot::channel();
        self.tell(account, Input::Command(command, sender)).await;
        let unanswered = || Failure::new(ErrorKind::System, "the node is about to stop");
        answer.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Tells the contact's session, started if there is none.
    async fn tell(&self, account: AccountId, mut input: Input) {
        // The one found may be about to end; the one started then is not.
        for _ in 0..2 {
            let Some(session) = self.session(account) else {
                return;
            };
            match session.send(input).await {
                Ok(()) => return,
                Err(mpsc::error::SendError(back)) => input = back,
            }
        }
    }

    fn session(&self, account: AccountId) -> Option<mpsc::Sender<Input>> {
        let mut sessions = self.lock();
        if sessions.stopped {
            return None;
        }
        if let Some(open) = sessions.open.get(&account)
            && !open.is_closed()
        {
            return Some(open.clone());
        }
        let sender = session::spawn(Arc::clone(&self.show), account);
        sessions.open.insert(account, sender.clone());
        Some(sender)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An index that no row knows of yet: it goes when whoever makes it does.
struct NewIndex(Option<PathBuf>);

impl NewIndex {
    fn create(&self, source: &Path) -> Result<Indexed, BulkError> {
        Indexed::create(source, self.0.as_deref().unwrap_or(source))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for NewIndex {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

const INDEX_ENDING: &str = "outboard";

fn outboard_path(ctx: &Context, id: TransferId) -> PathBuf {
    index_folder(ctx).join(format!("{id}.{INDEX_ENDING}"))
}

fn index_folder(ctx: &Context) -> PathBuf {
    ctx.config.home.join("transfers")
}

fn indexes(ctx: &Context) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(index_folder(ctx));
    let paths = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_index = |path: &PathBuf| {
        path.extension()
            .is_some_and(|ending| ending == INDEX_ENDING)
    };
    paths.filter(is_index).collect()
}

/// Removes indexes of files that are not on their way: of sendings that broke off before they were stored.
async fn sweep(ctx: &Context, indexes: Vec<PathBuf>) -> Result<(), StoreError> {
    if indexes.is_empty() {
        return Ok(());
    }
    let open = ctx.db.read(transfers::outgoing).await?;
    let of_use: BTreeSet<PathBuf> = open.into_iter().map(|id| outboard_path(ctx, id)).collect();
    let removal = tokio::task::spawn_blocking(move || {
        for index in indexes.iter().filter(|index| !of_use.contains(*index)) {
            let _ = std::fs::remove_file(index);
        }
    });
    let _ = removal.await;
    Ok(())
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
