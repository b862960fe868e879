//! The sender's side of one pull: encode a range of groups with its hashes and write it to the stream. Disk and hashing
//! run on a blocking thread; a short queue between the two gives back-pressure.

use std::io::Write;
use std::ops::Range;

use bao_tree::io::sync::encode_ranges_validated;
use bytes::Bytes;
use iroh::endpoint::SendStream;
use tokio::sync::mpsc;

use super::index::Indexed;
use super::{BulkError, chunk_ranges};

/// Bytes handed over at once.
const PIECE: usize = 128 * 1024;
/// Pieces that may wait for the network.
const QUEUE: usize = 8;

/// Sends `groups` of the file on `stream` and finishes it. Returns the bytes written.
pub async fn serve(
    stream: &mut SendStream,
    source: &Indexed,
    groups: Range<u64>,
) -> Result<u64, BulkError> {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(QUEUE);
    let source = source.clone();
    let encoding = tokio::task::spawn_blocking(move || {
        let (file, outboard) = source.open()?;
        let mut writer = PieceWriter {
            sender,
            piece: Vec::with_capacity(PIECE),
        };
        // Any failure here means the file on disk is not the one that was indexed, or the receiver is gone.
        encode_ranges_validated(&file, &outboard, &chunk_ranges(&groups), &mut writer)
            .map_err(|_| BulkError::Changed)?;
        writer.flush().map_err(|_| BulkError::Lost)
    });
    let mut sent = 0;
    while let Some(piece) = pieces.recv().await {
        sent += piece.len() as u64;
        if stream.write_chunk(piece).await.is_err() {
            return Err(BulkError::Lost);
        }
    }
    encoding
        .await
        .map_err(|error| BulkError::Disk(std::io::Error::other(error)))??;
    stream.finish().map_err(|_| BulkError::Lost)?;
    Ok(sent)
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
