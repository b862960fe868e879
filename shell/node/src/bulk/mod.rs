//! Files as verified streams: BLAKE3 in 16 KiB groups (`bao-tree`). The sender indexes a file once; the receiver pulls
//! ranges of groups and writes nothing that was not verified.

pub mod fetch;
pub mod index;
pub mod serve;

use std::time::Duration;

use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use starling_protocol::transfer::plan::GROUP_BYTES;

/// 2^4 chunks of 1 KiB.
const BLOCK: BlockSize = BlockSize::from_chunk_log(4);
/// A stream that moves no byte for so long is as good as lost.
const STALL: Duration = Duration::from_secs(60);
/// The sender's reset of a stream whose file is not the one offered any more.
const SOURCE_LOST: u32 = 1;

fn tree(size: u64) -> BaoTree {
    BaoTree::new(size, BLOCK)
}

fn chunk_ranges(groups: &std::ops::Range<u64>) -> ChunkRanges {
    let chunks_per_group = GROUP_BYTES / 1024;
    ChunkRanges::from(
        ChunkNum(groups.start * chunks_per_group)..ChunkNum(groups.end * chunks_per_group),
    )
}

/// Why a file could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// This machine's disk.
    #[error("the file cannot be read or written: {0}")]
    Disk(std::io::Error),
    /// The receiving folder.
    #[error(transparent)]
    Folder(#[from] starling_store::StoreError),
    /// The file is not what was offered.
    #[error("the file was changed after it was offered; send it again")]
    Changed,
    /// The file is not where it was.
    #[error("the file is not there any more; put it back and send it again")]
    Vanished,
    /// The other side knows of no such transfer.
    #[error("the transfer was cancelled")]
    Gone,
    /// What came does not fit the file's hash.
    #[error("the other side sent bytes that do not belong to the file; nothing of them was kept")]
    Corrupt,
    /// The connection ended first, or nothing came for a long time.
    #[error("the connection was lost")]
    Lost,
}

impl BulkError {
    /// A blocking task that did not end well.
    pub fn task(error: tokio::task::JoinError) -> Self {
        // Only a node that ends cancels one: nothing is wrong with the file, and it goes on at the next start.
        if error.is_cancelled() {
            return Self::Lost;
        }
        Self::Disk(std::io::Error::other(error))
    }
}

#[cfg(test)]
mod tests;
