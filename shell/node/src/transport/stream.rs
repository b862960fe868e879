//! Frames on QUIC streams: length first, bound checked, then the body. The only place that reads bytes off a stream.

use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use serde::{Serialize, de::DeserializeOwned};
use starling_wire::frame::{self, FrameError, LENGTH_BYTES};
use tokio::sync::mpsc;

/// What was said last gets this long to arrive before the connection is closed.
pub const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Why nothing could be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The other side closed in the middle of a frame, or the connection was lost.
    #[error("the connection was lost")]
    Lost,
    /// What came is no frame of the protocol.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Reads one frame; `None` when the stream ended cleanly between two frames.
pub async fn read<T: DeserializeOwned>(
    stream: &mut RecvStream,
    max: usize,
) -> Result<Option<T>, StreamError> {
    Ok(read_counted(stream, max).await?.map(|(value, _)| value))
}

/// The same, with the bytes that the frame had.
pub async fn read_counted<T: DeserializeOwned>(
    stream: &mut RecvStream,
    max: usize,
) -> Result<Option<(T, usize)>, StreamError> {
    let mut prefix = [0; LENGTH_BYTES];
    let mut have = 0;
    while have < LENGTH_BYTES {
        match stream.read(&mut prefix[have..]).await {
            Ok(Some(count)) => have += count,
            Ok(None) if have == 0 => return Ok(None),
            Ok(None) | Err(_) => return Err(StreamError::Lost),
        }
    }
    let length = frame::body_length(prefix, max)?;
    let mut body = vec![0; length];
    stream
        .read_exact(&mut body)
        .await
        .map_err(|_| StreamError::Lost)?;
    let value = frame::decode_body(&body, max)?;
    Ok(Some((value, LENGTH_BYTES + length)))
}

/// Writes one frame.
pub async fn write<T: Serialize>(stream: &mut SendStream, value: &T) -> Result<(), StreamError> {
    write_bytes(stream, &frame::encode(value)).await
}

/// Writes frames that are encoded already.
pub async fn write_bytes(stream: &mut SendStream, bytes: &[u8]) -> Result<(), StreamError> {
    stream.write_all(bytes).await.map_err(|_| StreamError::Lost)
}

/// Writes what is queued, encoded already, until nobody queues any more or it cannot be written; then flushes and closes.
pub async fn write_queued(
    connection: Connection,
    mut stream: SendStream,
    mut queue: mpsc::Receiver<Vec<u8>>,
) {
    while let Some(bytes) = queue.recv().await {
        if write_bytes(&mut stream, &bytes).await.is_err() {
            break;
        }
    }
    flush(&mut stream).await;
    connection.close(0u32.into(), b"done");
}

/// Ends a stream, and waits until the other side has it all, for [`FLUSH_TIME`] at most.
pub async fn flush(stream: &mut SendStream) {
    if stream.finish().is_ok() {
        let _ = tokio::time::timeout(FLUSH_TIME, stream.stopped()).await;
    }
}
