//! What a client says to a supernode (ALPN `starling/1/super`), and where a supernode is.
//!
//! A client opens one bidirectional stream per request; the answer comes back on it. A supernode that has something to
//! say opens a connection to the client's front door and sends [`Notice`] frames on a stream of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::descriptor::SignedDescriptor;
use crate::ending::Ending;
use crate::ids::{AccountId, EndpointKey, EnvelopeId, RoomId, SubscriptionId};
use crate::key_package::{LEFT_BYTES_MAX, Packages, Taking};
use crate::limits::{
    DEPOSITS_TOLD_MAX, ENVELOPE_MAX, FRAME_MAX, GRANTED_TO_MAX, RECORD_MAX, SIGHTINGS_MAX,
    WATCH_LISTS_MAX, WATCH_MAX,
};
use crate::log::grant::SignedGrant;
use crate::name_query::{NameQuestion, NameReply};
use crate::placement::IndexKey;
use crate::postage::{Postage, Stamped};
use crate::presence::{SEALED, Sealed, Sighting};
use crate::record::{AccountRecord, Signed, SignedRecord};
use crate::registration::Registration;
use crate::rescue::RESCUE_MAX;
use crate::tunnel::may_serve_at;

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
        format!("https://{}", relay_authority(self.tcp))
    }

    /// Whether the address is reachable from its own machine or LAN only.
    pub fn is_private(&self) -> bool {
        is_private(self.tcp.ip())
    }

    /// Whether it may be reachable from everywhere.
    pub fn is_public(&self) -> bool {
        is_public(self.tcp.ip())
    }

    /// Whether a supernode can be there at all: one machine, and a port. (`0.0.0.0` is this machine on Linux.)
    pub const fn is_usable(&self) -> bool {
        let one = match self.tcp.ip() {
            IpAddr::V4(v4) => is_one_machine(v4),
            IpAddr::V6(v6) => match embedded(v6) {
                Some(v4) => is_one_machine(v4),
                None => !v6.is_unspecified() && !v6.is_multicast(),
            },
        };
        one && self.tcp.port() != 0
    }
}

/// What stands for an IPv6 address where a URL's host has to be a TLS name, too, as it has in iroh: its 32 digits, below a
/// domain that can never be looked up (RFC 2606).
const V6_DOMAIN: &str = ".ip6.invalid";

/// Host and port of a relay's URL.
fn relay_authority(tcp: SocketAddr) -> String {
    match tcp {
        SocketAddr::V4(v4) => v4.to_string(),
        SocketAddr::V6(v6) => format!("{:032x}{V6_DOMAIN}:{}", v6.ip().to_bits(), v6.port()),
    }
}

/// The address that the host of a relay's URL stands for.
pub fn relay_ip(host: &str) -> Option<IpAddr> {
    let Some(digits) = host.strip_suffix(V6_DOMAIN) else {
        return host.parse().ok();
    };
    let plain = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let bits = plain.then(|| u128::from_str_radix(digits, 16).ok())?;
    bits.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

/// The address that host and port of a relay's URL stand for.
pub fn relay_address(authority: &str) -> Option<SocketAddr> {
    authority.parse().ok().or_else(|| {
        let (host, port) = authority.rsplit_once(':')?;
        Some(SocketAddr::new(relay_ip(host)?, port.parse().ok()?))
    })
}

/// This machine or this network: loopback, link-local, RFC 1918 and RFC 4193 addresses.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

/// Not only others' private ranges are not public: neither are shared space (RFC 6598), `0.0.0.0/8`, what is no single
/// machine, and the IPv6 forms of all of these (mapped, compatible, NAT64, 6to4).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            is_one_machine(v4) && a != 0 && a < 240 && !shared && !is_private(ip)
        }
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_public(IpAddr::V4(v4)),
            // 2000::/3 is all that is given out; NAT64's own range is within `embedded`.
            None => v6.segments()[0] & 0xe000 == 0x2000,
        },
    }
}

const fn is_one_machine(ip: Ipv4Addr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast()
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
pub(crate) const fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let (high, low) = match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        // `::1` is loopback, not 0.0.0.1.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => (high, low),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(((high as u32) << 16) | low as u32))
}

/// A request to a supernode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// "This front door is mine; keep my account's record and envelopes." The asker's endpoint is the front door.
    Register(Box<Registration>),
    /// "Which record does the index have of this account?"
    Lookup {
        /// Whose.
        account: AccountId,
    },
    /// "Keep this sealed envelope until its owner collects it."
    Deposit {
        /// For whom.
        account: AccountId,
        /// Why it is to be let in.
        postage: Postage,
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
    /// "Tell me how these stand, now and whenever it changes." Replaces this list of the asker's.
    Watch(Watch),
    /// "I still watch that list, and know this of it": the [`digest`](crate::presence::digest) of ids and sightings.
    StillWatch {
        /// Which of the asker's lists.
        list: u8,
        /// Where the asker's front door is reached.
        reply_to: SupernodeAddr,
        /// What is known.
        digest: [u8; 16],
    },
    /// "Which other supernodes do you know?"
    Supernodes,
    /// "Bring this record to its holders": its owner found it nowhere, or it is new. Of whatever kind.
    Publish(Box<SignedRecord>),
    /// "Can you reach me at these ports?" Asked under the key that answers there; the address is the one the asker comes from.
    DialBack(Ports),
    /// "Take this": the asker measures how fast it goes.
    Upstream {
        /// Anything; at most [`UPSTREAM_MAX`] bytes.
        filler: Vec<u8>,
    },
    /// "I could serve others", or no more. Only after `Register` from the same front door.
    Willing(bool),
    /// "Which record does the index have under this key?" Of whatever kind.
    Find(IndexKey),
    /// "This account is no more": forget it, and tell its record's holders. From any front door.
    End(Box<Ending>),
    /// "Keep this rescue copy of my account", in place of the one before. Only after `Register` from the same front door.
    Keep {
        /// Sealed.
        copy: Vec<u8>,
        /// As in [`crate::rescue::bring`].
        signature: ([u8; 32], [u8; 32]),
    },
    /// "Give me the rescue copy of this account; I have its recovery key." From any front door.
    Rescue {
        /// Whose.
        account: AccountId,
        /// As in [`crate::rescue::ask`].
        signature: ([u8; 32], [u8; 32]),
    },
    /// "These may see how I am." Replaces the earlier ones. Only after `Register` from the same front door.
    Grant(Grant),
    /// "This is how I am." Only after `Register` from the same front door.
    State(Sealed),
    /// About the registrar's log.
    Names(NameQuestion),
    /// "Open a room where you forward for me and somebody else." Only after `Register` from the same front door.
    OpenRoom,
    /// "Which supernodes keep conversations' boxes?"
    Holders,
    /// "Let me open a box at each of the holders." Only after `Register` from the same front door.
    GrantBox,
    /// "Keep these key packages of my device." Only after `Register` from the same front door.
    LeavePackages(Packages),
    /// "Give me a key package of this device."
    TakePackage(Taking),
}

/// Who may see how a device's person is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// These; with [`Grant::unseen`] at most [`GRANTED_TO_MAX`].
    pub ids: Vec<SubscriptionId>,
    /// These see nothing at all, not even that the device left: they reach it all the same.
    pub unseen: Vec<SubscriptionId>,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Which of the asker's lists.
    pub list: u8,
    /// At most [`WATCH_MAX`], in ascending order.
    pub ids: Vec<SubscriptionId>,
    /// Where the asker's front door is reached (its own home supernode).
    pub reply_to: SupernodeAddr,
}

/// Where the asker of a dial-back answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Of its relay: TLS.
    pub tcp: u16,
    /// Of its endpoint for other supernodes: QUIC.
    pub udp: u16,
}

/// What came of a dial-back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Where the asker comes from.
    pub ip: IpAddr,
    /// Whether the asker's key was proved there over TCP.
    pub tcp: bool,
    /// And over UDP.
    pub udp: bool,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done.
    Ok,
    /// The account's record.
    Record(Option<Signed<AccountRecord>>),
    /// Envelopes that wait.
    Envelopes {
        /// Those of contacts first.
        letters: Vec<Stamped>,
        /// What a stranger's letter to this account costs here now, in bits of work.
        work: u8,
    },
    /// How the watched ids stand, in the order in which they were asked.
    Presence(Vec<Sighting>),
    /// Refused.
    Refused(Refusal),
    /// Some of the network's supernodes, by chance, at most [`SUPERNODES_TOLD`]; or some of those that keep boxes.
    Supernodes(Vec<SignedDescriptor>),
    /// What came of a dial-back.
    Reached(Reached),
    /// The record found.
    Found(Option<Box<SignedRecord>>),
    /// The rescue copy, if one is kept for whoever has this recovery key.
    Rescue(Option<Vec<u8>>),
    /// About the registrar's log.
    Names(NameReply),
    /// A room is open.
    Room {
        /// Its name.
        id: RoomId,
        /// The UDP port where it is entered.
        port: u16,
    },
    /// One box may be opened at each holder.
    BoxGranted(SignedGrant),
    /// So many packages of the device are kept, beside the one of last resort.
    PackagesKept {
        /// How many.
        fresh: u32,
    },
    /// A key package, if there is one.
    Package(Option<Vec<u8>>),
}

/// Why a supernode refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The record's or registration's signature or age is wrong.
    #[error("the supernode says the account's record is not valid; perhaps a clock is wrong")]
    InvalidRecord,
    /// A newer record is known.
    #[error("the supernode knows a newer record of this account")]
    Older,
    /// Register first.
    #[error("the supernode does not know this device; it has to register first")]
    NotRegistered,
    /// That account has no place here.
    #[error("the supernode serves no such account")]
    UnknownAccount,
    /// A bound was reached.
    #[error("the supernode is full, or keeps no more for this account; try again later")]
    Full,
    /// Too large or malformed.
    #[error("the supernode could not read the request")]
    Malformed,
    /// It keeps no letters.
    #[error("the supernode keeps no letters for anybody")]
    NoMailbox,
    /// So often is too often.
    #[error("the supernode was asked for this a moment ago")]
    TooSoon,
    /// What it has is something else: it wants to be told all of it.
    #[error("the supernode has another list")]
    Changed,
    /// Too many searches.
    #[error("the supernode was searched too often from here; wait a minute before the next search")]
    TooManySearches,
    /// A stranger's letter to this account costs so many bits of work here now.
    #[error("the supernode wants more work of strangers before it takes a letter to this person")]
    Work(u8),
    /// It forwards for nobody, or not over UDP.
    #[error("the supernode forwards no calls")]
    NoForwarder,
    /// The token is not that of a contact.
    #[error("the supernode was not shown that this device is a contact's")]
    NotContact,
}

/// What a supernode tells a client unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// How watched ids stand by now, at most [`SIGHTINGS_MAX`].
    Presence(Vec<(SubscriptionId, Sighting)>),
    /// An envelope waits: collect.
    EnvelopeWaiting,
    /// The supernode is about to stop.
    Leaving,
    /// The network is nearly full, and whoever hears this could serve.
    Load {
        /// How full, in percent.
        percent: u8,
        /// How many of the supernode's clients hear it.
        candidates: u32,
    },
}

/// Supernodes told in one answer.
pub const SUPERNODES_TOLD: usize = 8;
/// Bound on one request or answer: the longest is the answer to the longest watch list.
pub const REQUEST_MAX: usize = SIGHTING_MAX * WATCH_MAX + 1024;
/// The longest sighting, with its length.
const SIGHTING_MAX: usize = SEALED + 16;
const _: () = assert!(RESCUE_MAX + 1024 <= REQUEST_MAX && LEFT_BYTES_MAX + 1024 <= REQUEST_MAX);
/// Of one measurement of the way up.
pub const UPSTREAM_MAX: usize = 48 * 1024;
/// Bound on one notice.
pub const NOTICE_MAX: usize = (SIGHTING_MAX + 16) * SIGHTINGS_MAX + 16;
const _: () = assert!(REQUEST_MAX <= FRAME_MAX && 16 * GRANTED_TO_MAX + 16 <= REQUEST_MAX);

impl Request {
    /// Bounds that postcard does not know (`SUPER-01`).
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::Deposit { envelope, .. } if envelope.len() > ENVELOPE_MAX => {
                Err(Refusal::Malformed)
            }
            Self::Watch(watch) if !watch.is_bounded() => Err(Refusal::Malformed),
            Self::StillWatch { list, .. } if *list >= WATCH_LISTS_MAX => Err(Refusal::Malformed),
            Self::Grant(grant) if grant.ids.len() + grant.unseen.len() > GRANTED_TO_MAX => {
                Err(Refusal::Malformed)
            }
            Self::State(state) if !state.is_whole() => Err(Refusal::Malformed),
            Self::Register(registration) if registration.record.encoded_len() > RECORD_MAX => {
                Err(Refusal::InvalidRecord)
            }
            Self::End(ending) if ending.record.encoded_len() > RECORD_MAX => {
                Err(Refusal::InvalidRecord)
            }
            Self::Collected { ids } if ids.len() > DEPOSITS_TOLD_MAX => Err(Refusal::Malformed),
            // RESCUE-01
            Self::Keep { copy, .. } if copy.len() > RESCUE_MAX => Err(Refusal::Malformed),
            Self::LeavePackages(packages) if !packages.fits() => Err(Refusal::Malformed),
            Self::Names(question) if !question.fits() => Err(Refusal::Malformed),
            Self::Upstream { filler } if filler.len() > UPSTREAM_MAX => Err(Refusal::Malformed),
            // DIAL-02: never a port that belongs to other services.
            Self::DialBack(ports) if ![ports.tcp, ports.udp].into_iter().all(may_serve_at) => {
                Err(Refusal::Malformed)
            }
            _ => Ok(()),
        }
    }
}

impl Watch {
    fn is_bounded(&self) -> bool {
        // Each id once: what is kept of a list is counted by its ids.
        let ascending = self.ids.is_sorted_by(|one, next| one < next);
        self.list < WATCH_LISTS_MAX && self.ids.len() <= WATCH_MAX && ascending
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
mod tests;
