//! Fetching one transfer: a few streams at once, segment by segment, each verified before it is written; what is done is
//! noted in the store after the bytes are on disk. Then the file gets its name, noted before (`FILE-11`): whenever a kill
//! comes, what is here is neither fetched nor stored a second time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_protocol::transfer::plan::{GROUP_BYTES, Plan, STREAMS, groups};
use starling_store::blobs::Downloads;
use starling_store::transfers::{self, Transfer};
use starling_wire::file::{FILE_FRAME_MAX, Pull, PullAnswer};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::rows;
use super::show::Show;
use crate::bulk::BulkError;
use crate::bulk::fetch::{self as bytes, Target};
use crate::traffic::Purpose;
use crate::transport::stream;

/// Between two notes of what is done at least, one sync of the file each: so much work a power cut costs.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// How a fetch ended well.
#[derive(Debug)]
pub enum Fetched {
    /// Complete and verified; [`finish`] gives it its name.
    Complete,
    /// It lies there.
    Placed(PathBuf),
}

/// Fetches what is missing of an accepted transfer. What was fetched is noted however it ends.
pub async fn fetch(
    show: Arc<Show>,
    connection: Connection,
    row: Transfer,
) -> Result<Fetched, BulkError> {
    let opened = tokio::task::spawn_blocking(move || {
        let downloads = Downloads::open(&folder(&row)?)?;
        let part = open_part(&downloads, &row)?;
        Ok::<_, BulkError>((part, row))
    });
    let (part, row) = opened.await.map_err(BulkError::task)??;
    let (file, fresh) = match part {
        Part::Open { file, fresh } => (file, fresh),
        Part::Placed(path) => return Ok(Fetched::Placed(path)),
    };
    let saved: &[u8] = if fresh { &[] } else { &row.ranges };
    let plan = Plan::new(groups(row.size), saved);
    let mut fetch = Fetch {
        noting: None,
        target: Target {
            root: row.root,
            size: row.size,
            file: Arc::new(file),
        },
        show,
        connection,
        plan,
        row,
    };
    let result = fetch.run().await;
    fetch.noted().await?;
    fetch.begin_note();
    fetch.noted().await?;
    result.map(|()| Fetched::Complete)
}

/// Gives a complete file its name.
pub async fn finish(show: Arc<Show>, row: Transfer) -> Result<Fetched, BulkError> {
    let runtime = tokio::runtime::Handle::current();
    let finished = tokio::task::spawn_blocking(move || {
        let downloads = Downloads::open(&folder(&row)?)?;
        let (contact, id) = (row.contact, row.id);
        downloads.finish(id, &row.name, |path| {
            let path = path.to_owned();
            let db = &show.ctx.db;
            let named = db.write(move |tx| transfers::name(tx, contact, id, &path));
            match runtime.block_on(named)? {
                true => Ok(()),
                // Its contact was removed meanwhile.
                false => Err(BulkError::Gone),
            }
        })
    });
    finished
        .await
        .map_err(BulkError::task)?
        .map(Fetched::Placed)
}

/// Acceptance stored it.
fn folder(row: &Transfer) -> Result<PathBuf, BulkError> {
    rows::place(row)
        .map(|(folder, _)| folder)
        .ok_or(BulkError::Gone)
}

enum Part {
    Open { file: File, fresh: bool },
    Placed(PathBuf),
}

fn open_part(downloads: &Downloads, row: &Transfer) -> Result<Part, BulkError> {
    let resumed = downloads.resume(row.id)?;
    if resumed.is_none()
        && let Some(path) = placed(downloads, row)?
    {
        return Ok(Part::Placed(path));
    }
    let (file, fresh) = match resumed {
        Some(file) => (file, false),
        None => (downloads.begin(row.id)?, true),
    };
    downloads.check_room(row.size, if fresh { 0 } else { row.done })?;
    Ok(Part::Open { file, fresh })
}

/// The file under the name that was noted for it, if it is that file: it was moved there before the node was killed.
fn placed(downloads: &Downloads, row: &Transfer) -> Result<Option<PathBuf>, BulkError> {
    let Some((folder, Some(name))) = rows::place(row) else {
        return Ok(None);
    };
    let Some(file) = downloads.finished(&name)? else {
        return Ok(None);
    };
    let is_it = is_file(&file, row.size, &row.root).map_err(BulkError::Disk)?;
    Ok(is_it.then(|| Path::new(&folder).join(name)))
}

fn is_file(file: &File, size: u64, root: &[u8; 32]) -> std::io::Result<bool> {
    if file.metadata()?.len() != size {
        return Ok(false);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize() == *root)
}

struct Fetch {
    show: Arc<Show>,
    connection: Connection,
    row: Transfer,
    plan: Plan,
    target: Target,
    noting: Option<JoinHandle<Result<(), BulkError>>>,
}

impl Fetch {
    async fn run(&mut self) -> Result<(), BulkError> {
        let mut streams = JoinSet::new();
        let mut noted = Instant::now();
        loop {
            while streams.len() < STREAMS
                && let Some((segment, start, end)) = self.plan.take()
            {
                let pull = Pull {
                    id: self.row.id,
                    start,
                    end,
                };
                let segments = pull_segment(
                    Arc::clone(&self.show),
                    self.connection.clone(),
                    pull,
                    self.target.clone(),
                );
                streams.spawn(async move { (segment, segments.await) });
            }
            let Some(ended) = streams.join_next().await else {
                return Ok(());
            };
            let (segment, result) = ended.map_err(BulkError::task)?;
            // What the other streams have not finished is fetched again: a segment each at most.
            result?;
            self.plan.finish(segment);
            let free = self.noting.as_ref().is_none_or(JoinHandle::is_finished);
            if free && noted.elapsed() >= NOTE_EVERY {
                self.noted().await?;
                self.begin_note();
                noted = Instant::now();
            }
        }
    }

    /// First the bytes, then the note: a crash in between costs a second fetch, never a hole. The streams go on meanwhile.
    fn begin_note(&mut self) {
        let (db, file) = (self.show.ctx.db.clone(), Arc::clone(&self.target.file));
        let ranges = self.plan.saved();
        let done = (self.plan.finished_groups() * GROUP_BYTES).min(self.row.size);
        let (contact, id) = (self.row.contact, self.row.id);
        self.noting = Some(tokio::spawn(async move {
            tokio::task::spawn_blocking(move || file.sync_data())
                .await
                .map_err(BulkError::task)?
                .map_err(BulkError::Disk)?;
            let note = db.write(move |tx| transfers::note(tx, contact, id, done, &ranges));
            Ok(note.await?)
        }));
    }

    async fn noted(&mut self) -> Result<(), BulkError> {
        match self.noting.take() {
            Some(noting) => noting.await.map_err(BulkError::task)?,
            None => Ok(()),
        }
    }
}

async fn pull_segment(
    show: Arc<Show>,
    connection: Connection,
    pull: Pull,
    target: Target,
) -> Result<(), BulkError> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(|_| BulkError::Lost)?;
    stream::write(&mut send, &pull)
        .await
        .map_err(|_| BulkError::Lost)?;
    let _ = send.finish();
    match stream::read::<PullAnswer>(&mut receive, FILE_FRAME_MAX).await {
        Ok(Some(PullAnswer::Bytes)) => {}
        Ok(Some(PullAnswer::Changed)) => return Err(BulkError::Changed),
        Ok(Some(PullAnswer::Gone)) => return Err(BulkError::Gone),
        Ok(None) | Err(_) => return Err(BulkError::Lost),
    }
    let traffic = Arc::clone(&show.ctx.traffic);
    bytes::fetch(
        &mut receive,
        &target,
        pull.start..pull.end,
        |count| traffic.received(Purpose::Files, count),
        move |count| show.moved(pull.id, count),
    )
    .await
}
