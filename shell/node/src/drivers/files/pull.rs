//! Fetching one transfer: a few streams at once, segment by segment, each verified before it is written; what is done is
//! noted in the store after the bytes are on disk.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_protocol::transfer::plan::{GROUP_BYTES, Plan, STREAMS, groups};
use starling_store::blobs::Downloads;
use starling_store::transfers::{self, Transfer};
use starling_wire::file::{FILE_FRAME_MAX, Pull, PullAnswer};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::show::Show;
use crate::bulk::BulkError;
use crate::bulk::fetch::{self as bytes, Target};
use crate::traffic::Purpose;
use crate::transport::stream;

/// Between two notes of what is done at least, one sync of the file each: so much work a power cut costs.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Fetches what is missing of an accepted transfer and gives the file its name. Returns where it lies. What was fetched is
/// noted however it ends.
pub async fn fetch(
    show: Arc<Show>,
    connection: Connection,
    row: Transfer,
) -> Result<PathBuf, BulkError> {
    // Acceptance stored it.
    let folder = row.path.clone().ok_or(BulkError::Gone)?;
    let id = row.id;
    let opened = tokio::task::spawn_blocking(move || {
        let downloads = Downloads::open(&folder)?;
        let (file, fresh) = open_part(&downloads, &row)?;
        Ok::<_, BulkError>((downloads, file, fresh, row))
    });
    let (downloads, file, fresh, row) = opened.await.map_err(BulkError::task)??;
    let saved: &[u8] = if fresh { &[] } else { &row.ranges };
    let plan = Plan::new(groups(row.size), saved);
    let name = row.name.clone();
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
    result?;
    let path = tokio::task::spawn_blocking(move || downloads.finish(id, &name));
    Ok(path.await.map_err(BulkError::task)??)
}

fn open_part(downloads: &Downloads, row: &Transfer) -> Result<(File, bool), BulkError> {
    let (file, fresh) = match downloads.resume(row.id)? {
        Some(file) => (file, false),
        None => (downloads.begin(row.id)?, true),
    };
    downloads.check_room(row.size, if fresh { 0 } else { row.done })?;
    Ok((file, fresh))
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
