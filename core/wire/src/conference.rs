//! Rooms at a focus (ALPN `starling/1/focus`, spec page `forwarding.md`): a node that forwards sealed datagrams between those
//! who know a room. Who is in a call opens a room at a home supernode and tells the other side by signalling, which that
//! supernode cannot read; the key of what is sent there goes with it.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ids::RoomId;
use crate::limits::MEDIA_PAYLOAD_MAX;
use crate::supernode::SupernodeAddr;
use crate::tunnel::may_serve_at;

/// Bound on one frame of a participant, and of the focus.
pub const FOCUS_FRAME_MAX: usize = 64;
/// The largest datagram that a focus forwards: a packet of voice, sealed.
pub const FOCUS_DATAGRAM_MAX: usize = MEDIA_PAYLOAD_MAX + 64;

/// What a participant says first, on a bidirectional stream of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Which room.
    pub room: RoomId,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joined {
    /// Datagrams are forwarded from now on.
    Welcome,
    /// They are not.
    Refused(JoinRefusal),
}

/// Why somebody is not let into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRefusal {
    /// There is none of that name, or it is over.
    #[error("the forwarder has no such room")]
    NoRoom,
    /// As many as may be are in it.
    #[error("the room is full")]
    Full,
    /// What was said is no frame of this protocol.
    #[error("the forwarder could not read what was said")]
    Malformed,
}

/// A room, as one participant tells it to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The supernode that forwards.
    pub forwarder: SupernodeAddr,
    /// Its UDP port.
    pub port: u16,
    /// The room there.
    pub id: RoomId,
    /// What both seal with.
    pub key: RoomKey,
}

/// What the keys of both directions are derived from. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomKey(pub [u8; 32]);

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomKey")
    }
}

impl Room {
    /// `FWD-13`: at a place where a supernode can be, and at a port that belongs to no other service.
    pub fn fits(&self) -> bool {
        self.forwarder.is_usable() && may_serve_at(self.port)
    }

    /// Where the forwarder is reached, if its supernode is dialled at `place`.
    pub const fn at(&self, place: &SupernodeAddr) -> SocketAddr {
        SocketAddr::new(place.tcp.ip(), self.port)
    }
}

/// A participant's sign of life, sealed like everything else: ten times a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// Whether it hears the other one in this room.
    pub hears: bool,
    /// Its round-trip time to the forwarder, in milliseconds.
    pub rtt_ms: u16,
}

impl Sign {
    /// No packet of voice begins with it: theirs is the version of RTP.
    const KIND: u8 = 1;

    /// Its four bytes.
    pub const fn write(self) -> [u8; 4] {
        let [high, low] = self.rtt_ms.to_be_bytes();
        [Self::KIND, self.hears as u8, high, low]
    }

    /// What four bytes say; nothing if they are none.
    pub const fn read(bytes: &[u8]) -> Option<Self> {
        let &[Self::KIND, hears @ (0 | 1), high, low] = bytes else {
            return None;
        };
        Some(Self {
            hears: hears == 1,
            rtt_ms: u16::from_be_bytes([high, low]),
        })
    }
}

/// A fuzz body: any bytes as what comes to a focus, and to a participant.
#[doc(hidden)]
pub mod fuzz {
    use super::{FOCUS_FRAME_MAX, Join, Joined, Sign};
    use crate::frame;

    /// Frames both ways, and the sign of life.
    pub fn fuzz_focus(data: &[u8]) {
        let _ = frame::decode_body::<Join>(data, FOCUS_FRAME_MAX);
        let _ = frame::decode_body::<Joined>(data, FOCUS_FRAME_MAX);
        if let Some(sign) = Sign::read(data) {
            assert_eq!(sign.write(), data, "what was read is written again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use crate::ids::EndpointKey;

    fn room(tcp: &str, port: u16) -> Room {
        Room {
            forwarder: SupernodeAddr {
                id: EndpointKey([1; 32]),
                tcp: tcp.parse().expect("an address"),
                discovery_port: 27476,
            },
            port,
            id: RoomId([2; 16]),
            key: RoomKey([3; 32]),
        }
    }

    #[test]
    fn fwd_13_a_room_is_where_a_supernode_can_be() {
        let good = room("192.0.2.1:27474", 27474);
        assert!(good.fits());
        assert_eq!(good.at(&good.forwarder).to_string(), "192.0.2.1:27474");
        for (tcp, port) in [
            ("0.0.0.0:27474", 27474),
            ("224.0.0.1:27474", 27474),
            ("192.0.2.1:27474", 0),
            ("192.0.2.1:27474", 53),
        ] {
            assert!(!room(tcp, port).fits(), "{tcp} {port}");
        }
    }

    #[test]
    fn a_key_is_never_shown_and_a_sign_is_read_as_it_was_written() {
        let shown = format!("{:?}", room("192.0.2.1:27474", 27474));
        assert!(shown.contains("RoomKey") && !shown.contains("[3, 3"));
        for hears in [false, true] {
            let sign = Sign { hears, rtt_ms: 321 };
            assert_eq!(Sign::read(&sign.write()), Some(sign));
        }
        for other in [&[0_u8][..], &[1, 2, 0, 0], &[1, 1, 0], &[0x80, 1, 0, 0]] {
            assert_eq!(Sign::read(other), None);
        }
        let refused = Joined::Refused(JoinRefusal::Full);
        assert!(frame::encode_body(&refused).len() <= FOCUS_FRAME_MAX);
        let join = Join {
            room: RoomId([2; 16]),
        };
        assert!(frame::encode_body(&join).len() <= FOCUS_FRAME_MAX);
    }
}
