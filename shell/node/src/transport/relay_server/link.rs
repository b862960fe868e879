//! A client's relay link: WebSocket messages over TLS, each counted and let through in its turn before iroh's relay sees
//! it. Whoever has to wait is not read from: TCP holds the sender back, and nothing piles up here (`RELAY-04`).

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use iroh_relay::protos::streams::StreamError;
use iroh_relay::{ExportKeyingMaterial, MAX_PACKET_SIZE};
use starling_wire::ids::EndpointKey;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_websockets::{Limits, Message, ServerBuilder, WebSocketStream};
use tracing::debug;

use super::counted::Counted;
use crate::roles::Role;
use crate::roles::carrier::{Freight, Lane};

/// Frame type, key, ECN, segment size: what stands before the packets of the longest frame.
const HEAD_MAX: usize = 64;
/// Frame types that carry packets (`iroh_relay::protos::common::FrameType`): to a client, in one piece or several.
const TO_CLIENT: [u8; 2] = [4, 5];
const FROM_CLIENT: [u8; 2] = [6, 7];
/// A circuit that carried nothing for so long is none.
const CIRCUIT_IDLE: Duration = Duration::from_secs(30);

/// The link of one client.
pub struct Link {
    socket: WebSocketStream<TlsStream<Counted>>,
    lane: Lane,
    /// Known once the handshake is over.
    client: Option<EndpointKey>,
    held: Option<Held>,
    /// What the frame written last was for.
    writing: Freight,
    circuits: Circuits,
}

/// A frame whose turn has not come.
struct Held {
    role: Role,
    bytes: u64,
    /// `None`: it is paid for, and goes nowhere.
    frame: Option<Bytes>,
}

/// To whom one client sends: so many at once (`RELAY-06`).
struct Circuits {
    max: usize,
    open: HashMap<EndpointKey, Instant>,
}

impl Link {
    /// After the upgrade to WebSocket.
    pub fn new(tls: TlsStream<Counted>, lane: Lane, circuits: usize) -> Self {
        let limits = Limits::default().max_payload_len(Some(MAX_PACKET_SIZE + HEAD_MAX));
        Self {
            socket: ServerBuilder::new().limits(limits).serve(tls),
            lane,
            client: None,
            held: None,
            writing: Freight::For(Role::Supernode),
            circuits: Circuits {
                max: circuits,
                open: HashMap::new(),
            },
        }
    }

    /// The handshake is over.
    pub fn belongs_to(&mut self, client: EndpointKey) {
        self.client = Some(client);
    }

    fn counted(&mut self) -> &mut Counted {
        self.socket.get_mut().get_mut().0
    }

    /// What a frame is, and whether it goes on.
    fn receive(&mut self, frame: Bytes) -> Poll<Bytes> {
        let bytes = self.counted().take_received();
        let Some(client) = self.client else {
            self.lane.carrier().meter().received(Role::Supernode, bytes);
            return Poll::Ready(frame);
        };
        let own_link = self.lane.carrier().is_own(client);
        let other = addressed(&frame, TO_CLIENT);
        let freight = match other {
            Some(other) => self.lane.carrier().freight(client, other),
            None if own_link => Freight::Own,
            None => Freight::For(Role::Supernode),
        };
        let (role, goes) = match freight {
            Freight::Own => return Poll::Ready(frame),
            Freight::For(role) => (role, own_link || self.circuits.admit(other)),
            Freight::Off(role) => (role, false),
        };
        if !own_link {
            self.lane.carrier().meter().received(role, bytes);
        }
        if !goes {
            debug!(reason = "role off or too many circuits", "dropped a frame");
        }
        self.held = Some(Held {
            role,
            bytes,
            frame: goes.then_some(frame),
        });
        Poll::Pending
    }

    /// What went over the line since is the last frame's.
    fn settle_sent(&mut self) {
        let bytes = self.counted().take_sent();
        let own_link = self
            .client
            .is_some_and(|client| self.lane.carrier().is_own(client));
        if let (Freight::For(role), false) = (self.writing, own_link) {
            self.lane.carrier().meter().sent(role, bytes);
        }
    }
}

/// The key in a frame of packets.
fn addressed(frame: &[u8], types: [u8; 2]) -> Option<EndpointKey> {
    let (kind, rest) = frame.split_first()?;
    let key = types.contains(kind).then(|| rest.first_chunk::<32>())??;
    Some(EndpointKey(*key))
}

impl Circuits {
    fn admit(&mut self, other: Option<EndpointKey>) -> bool {
        let Some(other) = other else { return true };
        let now = Instant::now();
        if let Some(used) = self.open.get_mut(&other) {
            *used = now;
            return true;
        }
        if self.open.len() >= self.max {
            self.open
                .retain(|_, used| now.duration_since(*used) < CIRCUIT_IDLE);
        }
        let room = self.open.len() < self.max;
        if room {
            self.open.insert(other, now);
        }
        room
    }
}

impl Stream for Link {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let link = &mut *self;
        loop {
            if let Some(held) = &link.held {
                ready!(link.lane.poll_pass(held.role, held.bytes, cx));
                match link.held.take().and_then(|held| held.frame) {
                    Some(frame) => return Poll::Ready(Some(Ok(frame))),
                    None => continue,
                }
            }
            let message = match ready!(Pin::new(&mut link.socket).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(Some(Err(StreamError::from_std(error)))),
                None => return Poll::Ready(None),
            };
            if message.is_close() {
                return Poll::Ready(None);
            }
            // Pings of WebSocket itself are answered below us.
            if message.is_binary()
                && let Poll::Ready(frame) = link.receive(message.into_payload().into())
            {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }
}

impl Sink<Bytes> for Link {
    type Error = StreamError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.socket)
            .poll_ready(cx)
            .map_err(StreamError::from_std)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), Self::Error> {
        self.settle_sent();
        self.writing = match (self.client, addressed(&frame, FROM_CLIENT)) {
            (Some(client), Some(other)) => self.lane.carrier().freight(other, client),
            _ => Freight::For(Role::Supernode),
        };
        Pin::new(&mut self.socket)
            .start_send(Message::binary(frame))
            .map_err(StreamError::from_std)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.settle_sent();
        flushed.map_err(StreamError::from_std)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.socket)
            .poll_close(cx)
            .map_err(StreamError::from_std)
    }
}

impl ExportKeyingMaterial for Link {
    fn export_keying_material<T: AsMut<[u8]>>(
        &self,
        output: T,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Option<T> {
        let (_, tls) = self.socket.get_ref().get_ref();
        tls.export_keying_material(output, label, context).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_names_whom_it_is_for() {
        let mut frame = vec![4];
        frame.extend([9; 32]);
        frame.extend([0, 1, 2]);
        assert_eq!(addressed(&frame, TO_CLIENT), Some(EndpointKey([9; 32])));
        assert_eq!(addressed(&frame, FROM_CLIENT), None);
        assert_eq!(addressed(&frame[..32], TO_CLIENT), None, "cut short");
        assert_eq!(addressed(&[], TO_CLIENT), None);
        assert_eq!(addressed(&[9; 9], TO_CLIENT), None, "a ping");
    }

    #[tokio::test(start_paused = true)]
    async fn relay_06_one_client_sends_to_so_many_at_once() {
        let mut circuits = Circuits {
            max: 2,
            open: HashMap::new(),
        };
        let [a, b, c] = [1, 2, 3].map(|byte| Some(EndpointKey([byte; 32])));
        assert!(circuits.admit(a) && circuits.admit(b) && circuits.admit(None));
        assert!(!circuits.admit(c), "no third one");
        tokio::time::advance(CIRCUIT_IDLE / 2).await;
        assert!(circuits.admit(b));
        tokio::time::advance(CIRCUIT_IDLE / 2).await;
        assert!(circuits.admit(c), "the first one is idle");
        assert!(!circuits.admit(a));
    }
}
