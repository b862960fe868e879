//! Fetching one transfer: a few streams at once, segment by segment, each verified before it is written; what is done is
//! noted in the store after the bytes are on disk.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use iroh::endpoint::Connection;
use starling_control::Event;
use starling_protocol::transfer::plan::{Plan, STREAMS};
use starling_store::blobs::Downloads;
use starling_store::transfers::{self, Transfer};
use starling_wire::file::{FILE_FRAME_MAX, Pull, PullAnswer};
use tokio::task::JoinSet;

use super::{Live, view_of};
use crate::bulk::fetch::{self as bytes, Target};
use crate::bulk::{self, BulkError};
use crate::clock::wall_ms;
use crate::context::Context;
use crate::traffic::Purpose;
use crate::transport::stream;

/// Segments between two notes of what is done: 64 MiB, one sync of the file each.
const NOTE_EVERY: usize = 16;

/// Fetches what is missing and gives the file its name. Returns where it lies.
pub async fn fetch(
    ctx: &Arc<Context>,
    live: &Arc<Live>,
    connection: &Connection,
    transfer: &mut Transfer,
) -> Result<PathBuf, BulkError> {
    let folder = transfer.path.clone().ok_or(BulkError::Lost)?;
    let downloads = Downloads::open(&folder).map_err(store_trouble)?;
    let (file, fresh) = open_part(&downloads, transfer)?;
    let saved: &[u8] = if fresh { &[] } else { &transfer.ranges };
    let mut plan = Plan::new(bulk::groups(transfer.size), saved);
    let target = Target {
        root: transfer.root,
        size: transfer.size,
        file: Arc::new(file),
    };
    let result = run(ctx, live, connection, transfer, &mut plan, &target).await;
    note(ctx, transfer, &plan, &target).await?;
    result?;
    let (id, name) = (transfer.id, transfer.name.clone());
    tokio::task::spawn_blocking(move || downloads.finish(id, &name))
        .await
        .map_err(|error| BulkError::Disk(std::io::Error::other(error)))?
        .map_err(store_trouble)
}

fn open_part(downloads: &Downloads, transfer: &Transfer) -> Result<(File, bool), BulkError> {
    match downloads.resume(transfer.id).map_err(store_trouble)? {
        Some(file) => Ok((file, false)),
        None => Ok((downloads.begin(transfer.id).map_err(store_trouble)?, true)),
    }
}

fn store_trouble(error: starling_store::StoreError) -> BulkError {
    BulkError::Disk(std::io::Error::other(error.to_string()))
}

async fn run(
    ctx: &Arc<Context>,
    live: &Arc<Live>,
    connection: &Connection,
    transfer: &mut Transfer,
    plan: &mut Plan,
    target: &Target,
) -> Result<(), BulkError> {
    let mut streams = JoinSet::new();
    let mut unnoted = 0;
    loop {
        while streams.len() < STREAMS
            && let Some((segment, start, end)) = plan.take()
        {
            let pull = Pull {
                id: transfer.id,
                start,
                end,
            };
            let (ctx, live, connection) = (Arc::clone(ctx), Arc::clone(live), connection.clone());
            let (target, row) = (target.clone(), transfer.clone());
            streams.spawn(async move {
                (
                    segment,
                    pull_segment(ctx, live, connection, pull, target, row).await,
                )
            });
        }
        let Some(ended) = streams.join_next().await else {
            return Ok(());
        };
        let (segment, result) =
            ended.map_err(|error| BulkError::Disk(std::io::Error::other(error)))?;
        // The other streams' segments are fetched again; aborting them loses at most a few MiB.
        result?;
        plan.finish(segment);
        unnoted += 1;
        if unnoted >= NOTE_EVERY {
            unnoted = 0;
            note(ctx, transfer, plan, target).await?;
        }
    }
}

async fn pull_segment(
    ctx: Arc<Context>,
    live: Arc<Live>,
    connection: Connection,
    pull: Pull,
    target: Target,
    row: Transfer,
) -> Result<(), BulkError> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(|_| BulkError::Lost)?;
    stream::write(&mut send, &pull)
        .await
        .map_err(|_| BulkError::Lost)?;
    let _ = send.finish();
    match stream::read::<PullAnswer>(&mut receive, FILE_FRAME_MAX).await {
        Ok(Some(PullAnswer::Bytes)) => {}
        Ok(Some(PullAnswer::Changed | PullAnswer::Gone)) => return Err(BulkError::Changed),
        Ok(None) | Err(_) => return Err(BulkError::Lost),
    }
    bytes::fetch(&mut receive, &target, pull.start..pull.end, move |count| {
        ctx.traffic.received(Purpose::Files, count);
        if live.add(row.id, count) {
            ctx.emit(Event::Transfer(view_of(&ctx, &live, &row)));
        }
    })
    .await
}

/// First the bytes, then the note: a crash in between costs a second fetch, never a hole.
async fn note(
    ctx: &Arc<Context>,
    transfer: &mut Transfer,
    plan: &Plan,
    target: &Target,
) -> Result<(), BulkError> {
    let file = Arc::clone(&target.file);
    tokio::task::spawn_blocking(move || file.sync_data())
        .await
        .map_err(|error| BulkError::Disk(std::io::Error::other(error)))?
        .map_err(BulkError::Disk)?;
    transfer.ranges = plan.saved();
    transfer.done = (plan.finished_groups() * bulk::GROUP_BYTES).min(transfer.size);
    transfer.changed_at = wall_ms();
    let row = transfer.clone();
    ctx.db
        .write(move |tx| transfers::update(tx, &row))
        .await
        .map_err(store_trouble)
}
