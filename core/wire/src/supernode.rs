//! What a client says to a supernode (ALPN `starling/1/super` and `starling/1/index`), and where a supernode is.
//!
//! A client opens one bidirectional stream per request; the answer comes back on it. A supernode that has something to
//! say opens a connection to the client's front door and sends [`Notice`] frames on a stream of its own.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, EndpointKey, EnvelopeId};
use crate::limits::{ENVELOPE_MAX, RECORD_MAX, WATCH_MAX};
use crate::record::SignedRecord;

/// Where a supernode answers. Always an IP literal: no name is ever looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SupernodeAddr {
    /// Its key: the certificate of its relay and its endpoint both prove it.
    pub id: EndpointKey,
    /// The relay's TCP address (TLS). Default port 27474.
    pub tcp: SocketAddr,
    /// The UDP port for address discovery on the same IP. Default 27476; 0 when it has none.
    pub discovery_port: u16,
}

impl SupernodeAddr {
    /// The relay's URL.
    pub fn relay_url(&self) -> String {
        format!("https://{}", self.tcp)
    }

    /// Whether the address is reachable from its own machine or LAN only.
    pub fn is_private(&self) -> bool {
        is_private(self.tcp.ip())
    }
}

/// Loopback, link-local, RFC 1918 and RFC 4193 addresses.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

/// A request to a supernode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// "This front door belongs to this account; keep its record and its envelopes." The asker's endpoint is the front door.
    Register {
        /// The account's public record.
        record: SignedRecord,
    },
    /// "Which record do you hold for this account?" (the only request of `starling/1/index`)
    Lookup {
        /// Whose.
        account: AccountId,
    },
    /// "Keep this sealed envelope until its owner collects it."
    Deposit {
        /// For whom.
        account: AccountId,
        /// At most [`ENVELOPE_MAX`] bytes.
        envelope: Vec<u8>,
    },
    /// "Give me what waits for my account." Only after `Register` from the same front door.
    Collect,
    /// "I have these; forget them."
    Collected {
        /// What was stored durably.
        ids: Vec<EnvelopeId>,
    },
    /// "Tell me now, and again when it changes, whether these front doors are here." Replaces the earlier list.
    Watch {
        /// Front doors that the asker was told by their owners.
        doors: Vec<EndpointKey>,
        /// Where the asker's front door is reached (its own home supernode).
        reply_to: SupernodeAddr,
    },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done.
    Ok,
    /// The record asked for.
    Record(Option<SignedRecord>),
    /// Envelopes that wait.
    Envelopes(Vec<Vec<u8>>),
    /// Which of the watched doors are here.
    Presence(Vec<(EndpointKey, bool)>),
    /// Refused.
    Refused(Refusal),
}

/// Why a supernode refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The record's signature, sequence or age is wrong.
    #[error("the supernode says the account's record is not valid")]
    InvalidRecord,
    /// Register first.
    #[error("the supernode does not know this device; it has to register first")]
    NotRegistered,
    /// That account has no place here.
    #[error("the supernode serves no such account")]
    UnknownAccount,
    /// A bound was reached.
    #[error("the supernode keeps no more for this account; try again later")]
    Full,
    /// Too large or malformed.
    #[error("the supernode could not read the request")]
    Malformed,
}

/// What a supernode tells a client unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// A watched front door came or went.
    Presence(EndpointKey, bool),
    /// An envelope waits: collect.
    EnvelopeWaiting,
    /// The supernode is about to stop.
    Leaving,
}

/// Bound on one request or answer.
pub const REQUEST_MAX: usize = 32 * WATCH_MAX + 1024;

impl Request {
    /// Bounds that postcard does not know (`SUPER-01`).
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Deposit { envelope, .. } if envelope.len() > ENVELOPE_MAX => {
                Err(Refusal::Malformed)
            }
            Self::Watch { doors, .. } if doors.len() > WATCH_MAX => Err(Refusal::Malformed),
            Self::Register { record } if record.encoded_len() > RECORD_MAX => {
                Err(Refusal::InvalidRecord)
            }
            _ => Ok(()),
        }
    }
}

/// The id of an envelope: the first 16 bytes of its BLAKE3 hash.
pub fn envelope_id(envelope: &[u8]) -> EnvelopeId {
    let hash = blake3::hash(envelope);
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_bytes()[..16]);
    EnvelopeId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ranges_are_recognised_also_when_mapped() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.9",
            "172.16.0.1",
            "169.254.3.4",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "2001:db8::1", "::ffff:9.9.9.9"] {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn super_01_oversized_requests_are_refused() {
        let big = Request::Deposit {
            account: AccountId([1; 32]),
            envelope: vec![0; ENVELOPE_MAX + 1],
        };
        assert_eq!(big.check(), Err(Refusal::Malformed));
        let at = SupernodeAddr {
            id: EndpointKey([1; 32]),
            tcp: "127.0.0.1:1".parse().unwrap(),
            discovery_port: 0,
        };
        let many = Request::Watch {
            doors: vec![EndpointKey([0; 32]); WATCH_MAX + 1],
            reply_to: at,
        };
        assert_eq!(many.check(), Err(Refusal::Malformed));
    }
}
