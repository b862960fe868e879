//! Files as verified streams: BLAKE3 in 16 KiB groups (`bao-tree`). The sender indexes a file once; the receiver pulls
//! ranges of groups and writes nothing that was not verified.

pub mod fetch;
pub mod index;
pub mod serve;

use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};

/// 2^4 chunks of 1 KiB.
const BLOCK: BlockSize = BlockSize::from_chunk_log(4);
/// Bytes of one group.
pub const GROUP_BYTES: u64 = 16 * 1024;

/// Groups in a file of `size` bytes.
pub const fn groups(size: u64) -> u64 {
    size.div_ceil(GROUP_BYTES)
}

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
    /// The file is not what was offered.
    #[error("the file was changed after it was offered; send it again")]
    Changed,
    /// What came does not fit the file's hash.
    #[error("the other side sent bytes that do not belong to the file; nothing of them was kept")]
    Corrupt,
    /// The connection ended first.
    #[error("the connection was lost")]
    Lost,
}
