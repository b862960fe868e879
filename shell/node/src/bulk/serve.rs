//! The sender's side of one pull: encode a range of groups with its hashes and write it to the stream. Disk and hashing
//! run on a blocking thread; a short queue between the two gives back-pressure.

use std::io::{ErrorKind, Write};
use std::ops::Range;

use bao_tree::io::sync::encode_ranges_validated;
use bytes::Bytes;
use iroh::endpoint::SendStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::index::Source;
use super::{BulkError, SOURCE_LOST, STALL, chunk_ranges};

/// Bytes handed over at once.
const PIECE: usize = 128 * 1024;
/// Pieces that may wait for the network.
const QUEUE: usize = 8;

/// Sends `groups` of the file on `stream` and finishes it. `progress` hears of every piece that the connection took. If the
/// file is not what was indexed, the stream is reset: the receiver hears that too.
pub async fn serve(
    stream: &mut SendStream,
    source: Source,
    groups: Range<u64>,
    progress: impl Fn(u64),
) -> Result<(), BulkError> {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(QUEUE);
    let encoding = tokio::task::spawn_blocking(move || encode(&source, &groups, sender));
    while let Some(piece) = pieces.recv().await {
        let count = piece.len() as u64;
        match timeout(STALL, stream.write_chunk(piece)).await {
            Ok(Ok(())) => progress(count),
            Ok(Err(_)) | Err(_) => return Err(BulkError::Lost),
        }
    }
    let encoded = encoding.await.map_err(BulkError::task)?;
    if encoded.is_err() {
        let _ = stream.reset(SOURCE_LOST.into());
        return encoded;
    }
    stream.finish().map_err(|_| BulkError::Lost)
}

fn encode(
    source: &Source,
    groups: &Range<u64>,
    sender: mpsc::Sender<Bytes>,
) -> Result<(), BulkError> {
    let mut writer = PieceWriter {
        sender,
        piece: Vec::with_capacity(PIECE),
    };
    let ranges = chunk_ranges(groups);
    encode_ranges_validated(&source.file, &source.outboard, &ranges, &mut writer).map_err(
        |error| {
            let error = std::io::Error::from(error);
            match error.kind() {
                // The receiver is gone; the other end of the queue has said so already.
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => BulkError::Lost,
                // A hash that does not fit, or an end that comes too early.
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof => BulkError::Changed,
                _ => BulkError::Disk(error),
            }
        },
    )?;
    writer.flush().map_err(|_| BulkError::Lost)
}

struct PieceWriter {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender
            .blocking_send(piece.into())
            .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}
