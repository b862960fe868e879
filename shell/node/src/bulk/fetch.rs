//! The receiver's side of one pull: decode, verify, write at its place. Bytes that do not fit the file's hash are never
//! written.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bao_tree::io::BaoContentItem;
use bao_tree::io::sync::DecodeResponseIter;
use bytes::{Buf, Bytes};
use iroh::endpoint::{ReadError, RecvStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{BulkError, SOURCE_LOST, STALL, chunk_ranges, tree};

const PIECE: usize = 256 * 1024;
const QUEUE: usize = 8;

/// What is being fetched.
#[derive(Debug, Clone)]
pub struct Target {
    /// The offered file's hash.
    pub root: [u8; 32],
    /// And size.
    pub size: u64,
    /// Where verified bytes go.
    pub file: Arc<File>,
}

/// Reads `groups` from `stream` into the target. `arrived` hears of bytes off the wire, `verified` of every stretch of the
/// file that was written.
pub async fn fetch<V>(
    stream: &mut RecvStream,
    target: &Target,
    groups: Range<u64>,
    arrived: impl Fn(u64),
    verified: V,
) -> Result<(), BulkError>
where
    V: Fn(u64) + Send + 'static,
{
    let (sender, receiver) = mpsc::channel::<Bytes>(QUEUE);
    let target = target.clone();
    let decoding = tokio::task::spawn_blocking(move || {
        decode(&target, &groups, PieceReader::new(receiver), verified)
    });
    let mut end = Ok(());
    loop {
        match timeout(STALL, stream.read_chunk(PIECE)).await {
            Ok(Ok(Some(chunk))) => {
                arrived(chunk.len() as u64);
                // The decoder stops early on corrupt bytes; its verdict is read below.
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
            Ok(Ok(None)) => break,
            Ok(Err(ReadError::Reset(code))) if code == SOURCE_LOST.into() => {
                end = Err(BulkError::Changed);
                break;
            }
            Ok(Err(_)) | Err(_) => break,
        }
    }
    drop(sender);
    let decoded = decoding.await.map_err(BulkError::task)?;
    match decoded {
        // What is missing was cut off by the sender, who said why.
        Err(BulkError::Lost) => end.and(Err(BulkError::Lost)),
        decoded => decoded,
    }
}

fn decode(
    target: &Target,
    groups: &Range<u64>,
    reader: PieceReader,
    progress: impl Fn(u64),
) -> Result<(), BulkError> {
    let ranges = chunk_ranges(groups);
    let root = blake3::Hash::from_bytes(target.root);
    for item in DecodeResponseIter::new(root, tree(target.size), reader, &ranges) {
        let item = item.map_err(|error| match std::io::Error::from(error).kind() {
            std::io::ErrorKind::UnexpectedEof => BulkError::Lost,
            _ => BulkError::Corrupt,
        })?;
        if let BaoContentItem::Leaf(leaf) = item {
            target
                .file
                .write_all_at(&leaf.data, leaf.offset)
                .map_err(BulkError::Disk)?;
            progress(leaf.data.len() as u64);
        }
    }
    Ok(())
}

struct PieceReader {
    pieces: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl PieceReader {
    const fn new(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
        }
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
