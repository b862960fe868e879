//! One connection of a conversation: a task that reads frames, a task that writes them, bounded queues between them and
//! the conversation.

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream, VarInt};
use starling_chat::{CloseReason, LinkId};
use starling_wire::alpn;
use starling_wire::chat::{CHAT_FRAME_MAX, ChatFrame};
use starling_wire::frame;
use starling_wire::ids::AccountId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

use crate::context::Context;
use crate::traffic::Purpose;
use crate::transport::stream::{self, StreamError};

/// Closed because there was nothing to say.
const SILENCE: VarInt = VarInt::from_u32(0);
/// Closed because something was wrong.
pub const REFUSED: VarInt = VarInt::from_u32(1);
/// Frames that wait to be written. An honest reader holds us to a window of messages and as many receipts; who leaves
/// more unread does not read.
const UNWRITTEN_MAX: usize = 1_024;
/// Frames written at once.
const WRITE_BATCH: usize = 128;
/// Who opened a connection says something within this time.
const FIRST_FRAME_TIME: Duration = Duration::from_secs(10);

/// A connection with its stream.
#[derive(Debug)]
pub struct Ends {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

/// What a link heard; `None` when it is gone.
pub type Heard = (LinkId, Option<ChatFrame>);

/// A link in use; closed when dropped.
#[derive(Debug)]
pub struct Link {
    connection: Connection,
    unwritten: mpsc::Sender<Vec<u8>>,
}

/// Dials the contact's devices in the card's order until one answers.
pub async fn dial(ctx: &Context, account: AccountId) -> Option<Ends> {
    let person = ctx.book.person(account)?;
    for door in person.doors() {
        let Ok(connection) = ctx.door.dial(door, alpn::CHAT).await else {
            continue;
        };
        if let Ok((send, receive)) = connection.open_bi().await {
            return Some(Ends {
                connection,
                send,
                receive,
            });
        }
    }
    None
}

/// Waits for the stream of a connection that the contact opened.
pub async fn accept(connection: Connection) -> Option<Ends> {
    match tokio::time::timeout(FIRST_FRAME_TIME, connection.accept_bi()).await {
        Ok(Ok((send, receive))) => Some(Ends {
            connection,
            send,
            receive,
        }),
        _ => {
            debug!(
                reason = "silent",
                "closed a chat connection that said nothing"
            );
            connection.close(REFUSED, b"silent");
            None
        }
    }
}

impl Link {
    /// Starts the two tasks. The last thing heard of the link is `None`.
    pub fn start(
        id: LinkId,
        ends: Ends,
        ctx: &Arc<Context>,
        heard: mpsc::Sender<Heard>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (unwritten, queue) = mpsc::channel(UNWRITTEN_MAX);
        let connection = ends.connection;
        tasks.spawn(write(ends.send, connection.clone(), queue, Arc::clone(ctx)));
        let (reading, reader) = (connection.clone(), Arc::clone(ctx));
        tasks.spawn(async move {
            read(id, ends.receive, &reader, &heard, &reading).await;
            let _ = heard.send((id, None)).await;
        });
        Self {
            connection,
            unwritten,
        }
    }

    /// Queues a frame.
    pub fn send(&self, frame: &ChatFrame) {
        if self.unwritten.try_send(frame::encode(frame)).is_err() {
            // Full, or the writer has ended: the reader reports the link's end.
            self.connection.close(REFUSED, b"not reading");
        }
    }

    /// Closes it.
    pub fn close(self, reason: CloseReason) {
        debug!(%reason, "closing a chat connection");
        let code = match reason {
            CloseReason::Silence => SILENCE,
            _ => REFUSED,
        };
        self.connection.close(code, reason.to_string().as_bytes());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Without effect where a reason was given before.
        self.connection.close(SILENCE, b"over");
    }
}

/// Reads until the stream ends or says something that is no frame.
async fn read(
    id: LinkId,
    mut receive: RecvStream,
    ctx: &Context,
    heard: &mpsc::Sender<Heard>,
    connection: &Connection,
) {
    loop {
        match stream::read_counted::<ChatFrame>(&mut receive, CHAT_FRAME_MAX).await {
            Ok(Some((frame, bytes))) => {
                ctx.traffic.received(Purpose::Chat, bytes as u64);
                if heard.send((id, Some(frame))).await.is_err() {
                    return;
                }
            }
            Ok(None) | Err(StreamError::Lost) => return connection.close(SILENCE, b"over"),
            Err(StreamError::Frame(error)) => {
                debug!(reason = "malformed", %error, "closing a chat connection");
                return connection.close(REFUSED, b"malformed");
            }
        }
    }
}

async fn write(
    mut send: SendStream,
    connection: Connection,
    mut queue: mpsc::Receiver<Vec<u8>>,
    ctx: Arc<Context>,
) {
    let mut frames = Vec::with_capacity(WRITE_BATCH);
    while queue.recv_many(&mut frames, WRITE_BATCH).await > 0 {
        let bytes = frames.concat();
        frames.clear();
        if stream::write_bytes(&mut send, &bytes).await.is_err() {
            return connection.close(SILENCE, b"over");
        }
        ctx.traffic.sent(Purpose::Chat, bytes.len() as u64);
    }
}
