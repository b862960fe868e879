//! The UDP port for short words between supernodes ([`starling_wire::packet`]). It is used once somebody else's packet came in
//! without having been called for: then others reach it, whatever stands in between.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_wire::ids::EndpointKey;
use starling_wire::overlay::Word;
use starling_wire::packet::{PACKET_MAX, Packets};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::debug;

use super::overlay::Heard;
use crate::clock::wall_ms;

/// Nothing came in for so long: the port is reached no more.
const REACHED_FOR: Duration = Duration::from_secs(600);
/// Waited after the socket failed, so that one that fails for ever costs nothing.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The port, and who was heard there.
#[derive(Debug)]
pub struct PacketPort {
    socket: UdpSocket,
    packets: Mutex<Packets>,
    heard_at: Mutex<Option<Instant>>,
}

impl PacketPort {
    /// Opens it; at any port if that one is taken.
    pub async fn open(at: SocketAddr, key: SigningKey) -> std::io::Result<Self> {
        let socket = match UdpSocket::bind(at).await {
            Ok(socket) => socket,
            Err(_) => UdpSocket::bind((at.ip(), 0)).await?,
        };
        Ok(Self {
            socket,
            packets: Mutex::new(Packets::new(key)),
            heard_at: Mutex::default(),
        })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().map_or(0, |at| at.port())
    }

    /// `OVER-07`: whether others reach it.
    pub fn is_reached(&self) -> bool {
        let heard_at = *lock(&self.heard_at);
        heard_at.is_some_and(|at| at.elapsed() < REACHED_FOR)
    }

    /// Somebody is a member, or is none any more.
    pub fn know(&self, other: EndpointKey, member: bool) {
        if member {
            lock(&self.packets).know(other);
        } else {
            lock(&self.packets).forget(other);
        }
    }

    /// Says something; whether it is on its way.
    pub async fn say(&self, to: EndpointKey, at: SocketAddr, word: &Word) -> bool {
        let sealed = lock(&self.packets).seal(to, word, wall_ms());
        match sealed {
            Some(packet) => self.socket.send_to(&packet, at).await.is_ok(),
            None => false,
        }
    }

    /// A packet to somebody who wants to know whether it arrives, from another port: what comes back to this one through our own
    /// router because of it would prove nothing.
    pub async fn answer_knock(&self, to: EndpointKey, at: SocketAddr) {
        let sealed = lock(&self.packets).seal(to, &Word::Pong(0), wall_ms());
        let own = self.socket.local_addr().map(|own| (own.ip(), 0));
        if let (Some(packet), Ok(own)) = (sealed, own)
            && let Ok(socket) = UdpSocket::bind(own).await
        {
            let _ = socket.send_to(&packet, at).await;
        }
    }

    /// Hears what comes until nobody listens.
    pub async fn hear(&self, heard: &mpsc::Sender<Heard>) {
        // One more than allowed: what is longer is seen to be.
        let mut packet = [0; PACKET_MAX + 1];
        loop {
            let Ok((length, _)) = self.socket.recv_from(&mut packet).await else {
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            };
            let opened = lock(&self.packets).open(&packet[..length], wall_ms());
            let Some((speaker, word)) = opened else {
                debug!(reason = "not authentic, or again", "dropped a packet");
                continue;
            };
            *lock(&self.heard_at) = Some(Instant::now());
            // Anything else is the answer to a knock, and has done its work.
            if word.is_chatter() && heard.send(Heard::Word(speaker, word)).await.is_err() {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    async fn port(seed: u8) -> (PacketPort, EndpointKey, SocketAddr) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let id = EndpointKey(key.verifying_key().to_bytes());
        let port = PacketPort::open((Ipv4Addr::LOCALHOST, 0).into(), key)
            .await
            .expect("a port");
        let at = (Ipv4Addr::LOCALHOST, port.port()).into();
        (port, id, at)
    }

    #[tokio::test]
    async fn over_07_a_port_is_used_once_somebody_was_heard_there() {
        let ((a, a_id, _), (b, b_id, b_at)) = (port(1).await, port(2).await);
        let (sender, mut heard) = mpsc::channel(1);
        a.answer_knock(b_id, b_at).await;
        assert!(a.say(b_id, b_at, &Word::Gossip(vec![3])).await);
        assert!(!b.is_reached(), "nobody has looked yet");
        let first = tokio::select! {
            () = b.hear(&sender) => None,
            first = tokio::time::timeout(Duration::from_secs(5), heard.recv()) => first.expect("in time"),
        };
        let Some(Heard::Word(from, Word::Gossip(packet))) = first else {
            panic!("{first:?}");
        };
        assert_eq!(
            (from, packet),
            (a_id, vec![3]),
            "the knock's answer is no word"
        );
        assert!(b.is_reached() && !a.is_reached());
    }
}
