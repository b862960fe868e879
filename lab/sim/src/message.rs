//! What travels between simulated nodes, and how many bytes it would have.

use std::net::SocketAddr;

use starling_protocol::index::Record;
use starling_protocol::overlay::membership::{Description, Message as MemberMessage};
use starling_wire::ids::EndpointKey;
use starling_wire::placement::{IndexKey, Position};

/// A node's number.
pub type NodeId = u32;

/// IP, UDP, QUIC and frame headers of one message.
const HEADERS: u64 = 75;

/// A record: whose, which, and whether it would verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Found by this.
    pub key: IndexKey,
    /// Higher replaces lower.
    pub sequence: u64,
    /// A liar made it: verification refuses it.
    pub forged: bool,
}

impl Record for Note {
    fn key(&self) -> IndexKey {
        self.key
    }

    fn order(&self) -> u64 {
        self.sequence
    }
}

/// A supernode's description of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its number here.
    pub node: NodeId,
    /// Its key.
    pub key: EndpointKey,
    /// Its address.
    pub address: SocketAddr,
    /// When it was made, in seconds.
    pub issued: u64,
}

impl Description for Card {
    fn id(&self) -> EndpointKey {
        self.key
    }

    fn issued(&self) -> u64 {
        self.issued
    }
}

impl Card {
    /// Among the keys.
    pub fn position(&self) -> Position {
        Position::of(self.key, self.address)
    }
}

/// Something said.
#[derive(Debug, Clone)]
pub enum Message {
    /// A client asks to be at home here.
    Register {
        /// Its record.
        record: Note,
        /// Whether it could serve others.
        eligible: bool,
    },
    /// It is; others to remember, and how full it is.
    Registered {
        /// Other supernodes.
        others: Vec<Card>,
    },
    /// There is no place; try these.
    Full {
        /// Other supernodes.
        others: Vec<Card>,
    },
    /// How full the home is, and how many of its clients could serve.
    Load {
        /// In percent.
        percent: u8,
        /// Clients that could serve.
        candidates: u32,
    },
    /// The connection ended.
    Closed,
    /// A client looks a record up.
    Lookup {
        /// The client's number of it.
        number: u64,
        /// What.
        key: IndexKey,
    },
    /// What was found.
    Answer {
        /// The client's number of it.
        number: u64,
        /// The record.
        found: Option<Note>,
        /// Waves of questions that it cost.
        waves: u32,
    },
    /// A client in a call asks its home for a sign of life.
    Probe,
    /// It is there.
    Alive,
    /// A TLS handshake with a supernode that may be dead; the client's number of the search.
    Seek(u32),
    /// It was answered.
    Here(u32),
    /// A supernode asks a holder.
    Ask(u64, IndexKey),
    /// A holder's answer.
    Reply(u64, Option<Note>),
    /// A client's record, to a supernode that is not its home: a home that lies is not the only way.
    Publish(Note),
    /// A record for a holder, from its owner's home.
    Put(Note),
    /// A record for a holder, from another.
    Hand(Note),
    /// What two holders should both have.
    Compare(Vec<(IndexKey, u64)>),
    /// What is lacking.
    Want(Vec<IndexKey>),
    /// The list of supernodes.
    Member(MemberMessage<Card>),
}

impl Message {
    /// On the wire.
    pub fn bytes(&self) -> u64 {
        const RECORD: u64 = 330;
        const CARD: u64 = 130;
        let body = match self {
            Self::Register { .. } => 590,
            Self::Registered { others } | Self::Full { others } => CARD * others.len() as u64,
            Self::Load { .. } | Self::Closed | Self::Probe | Self::Alive => 8,
            // What a TLS 1.3 handshake sends to a server and back.
            Self::Seek(_) => 600,
            Self::Here(_) => 1_100,
            Self::Lookup { .. } | Self::Ask(..) => 40,
            Self::Answer { found, .. } | Self::Reply(_, found) => found.map_or(2, |_| RECORD),
            Self::Publish(_) | Self::Put(_) | Self::Hand(_) => RECORD,
            Self::Compare(list) => 40 * list.len() as u64,
            Self::Want(list) => 32 * list.len() as u64,
            Self::Member(message) => match message {
                MemberMessage::Gossip(packet) => packet.len() as u64,
                MemberMessage::Describe(keys) => 32 * keys.len() as u64,
                MemberMessage::Descriptions(list) => CARD * list.len() as u64,
                MemberMessage::Digest(_) | MemberMessage::DigestBack(_) => 256,
                MemberMessage::Listed(list) => (CARD + 5) * list.len() as u64,
                MemberMessage::Ping | MemberMessage::Pong(_) => 2,
            },
        };
        HEADERS + body
    }

    /// Between supernodes, to keep their list.
    pub const fn is_membership(&self) -> bool {
        matches!(self, Self::Member(_))
    }
}
