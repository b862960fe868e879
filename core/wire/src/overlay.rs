//! What supernodes say to each other (ALPN `starling/1/index`). The connection proves the speaker's key.
//!
//! A [`Question`] has a bidirectional stream to itself, and the [`Reply`] comes back on it. A [`Word`] has a unidirectional
//! stream, and nothing comes back: it may be lost like a packet. Whoever is no supernode may ask, and has nothing to say.

use serde::{Deserialize, Serialize};

use crate::descriptor::{DESCRIPTOR_MAX, SignedDescriptor};
use crate::ids::EndpointKey;
use crate::limits::{FRAME_MAX, RECORD_MAX};
use crate::name_query::{NameQuestion, NameReply, NameWord};
use crate::placement::IndexKey;
use crate::record::SignedRecord;

/// Bytes of one packet of the membership engine.
pub const GOSSIP_MAX: usize = 1_200;
/// Descriptions in one word, and keys in one question for them.
pub const DESCRIBED_MAX: usize = 32;
/// Keys in one comparison of records.
pub const COMPARED_MAX: usize = 500;
/// Numbers in the short form of a list of members.
pub const DIGEST_LEN: usize = 128;
/// Bound on one word: the longest comparison.
pub const WORD_MAX: usize = COMPARED_MAX * (32 + 10) + 16;
/// Bound on one question.
pub const QUESTION_MAX: usize = RECORD_MAX + DESCRIPTOR_MAX + 64;
/// Bound on one reply: a page of the registrar's log is the longest.
pub const REPLY_MAX: usize = FRAME_MAX;

/// What is asked of a supernode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// "Who are you?"
    Describe,
    /// "Which record do you hold?"
    Record(IndexKey),
    /// "It was brought to me for its holders: keep it."
    Put(Box<SignedRecord>),
    /// About the registrar's log.
    Names(NameQuestion),
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The supernode's description of itself.
    Description(Box<SignedDescriptor>),
    /// The record asked for.
    Record(Option<Box<SignedRecord>>),
    /// It is kept, on disk.
    Kept,
    /// It is not.
    Refused(IndexRefusal),
    /// About the registrar's log.
    Names(NameReply),
}

/// Why a record was not kept, or a question not answered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
pub enum IndexRefusal {
    /// Forged, expired or too large.
    #[error("the record is not valid, or a clock is wrong")]
    Invalid,
    /// A newer one, or another of the same number, is known.
    #[error("a newer record is known")]
    Older,
    /// Too many.
    #[error("the supernode keeps no more records; try again in an hour")]
    Full,
    /// It belongs to others.
    #[error("this supernode is not among the record's holders")]
    NotHolder,
    /// Only supernodes of the network bring records.
    #[error("only a supernode of this network may bring records")]
    NotMember,
    /// Malformed.
    #[error("the supernode could not read the question")]
    Malformed,
}

/// What a supernode says without waiting for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// One packet of the membership engine.
    Gossip(Vec<u8>),
    /// "Who are these?"
    Describe(Vec<EndpointKey>),
    /// Descriptions asked for.
    Descriptions(Vec<SignedDescriptor>),
    /// "This is my list of members, in short; and yours?"
    Digest(Vec<u16>),
    /// "It differs from mine, which is this."
    DigestBack(Vec<u16>),
    /// "Where yours differs I have these, each in this life of his."
    Listed(Vec<(SignedDescriptor, u32)>),
    /// "Are you there?"
    Ping,
    /// "Yes, and so full am I, in percent."
    Pong(u8),
    /// "These we should both have, each with its number."
    Compare(Vec<(IndexKey, u64)>),
    /// "These I lack."
    Want(Vec<IndexKey>),
    /// A record for one of its holders.
    Hand(Box<SignedRecord>),
    /// "Send a packet to this UDP port of mine." The answer is a [`Word::Pong`].
    Knock(u16),
    /// About the registrar's log.
    Names(Box<NameWord>),
}

impl Word {
    /// Whether it is said in a packet of its own where that works: what everybody says all the time. Whether somebody is
    /// really gone is asked over a link.
    pub const fn is_chatter(&self) -> bool {
        matches!(
            self,
            Self::Gossip(_) | Self::Digest(_) | Self::DigestBack(_)
        )
    }

    /// Bounds that postcard does not know (`OVER-01`).
    pub fn fits(&self) -> bool {
        match self {
            Self::Gossip(packet) => packet.len() <= GOSSIP_MAX,
            Self::Describe(keys) => keys.len() <= DESCRIBED_MAX,
            Self::Descriptions(list) => list.len() <= DESCRIBED_MAX,
            Self::Digest(digest) | Self::DigestBack(digest) => digest.len() == DIGEST_LEN,
            Self::Listed(list) => list.len() <= DESCRIBED_MAX,
            Self::Compare(list) => list.len() <= COMPARED_MAX,
            Self::Want(keys) => keys.len() <= COMPARED_MAX,
            Self::Hand(record) => record.encoded_len() <= RECORD_MAX,
            Self::Ping | Self::Pong(_) | Self::Knock(_) | Self::Names(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::encode_body;

    #[test]
    fn over_01_the_longest_of_each_fits_a_frame_and_one_more_is_refused() {
        let key = IndexKey([0xff; 32]);
        let longest = [
            Word::Gossip(vec![0; GOSSIP_MAX]),
            Word::Describe(vec![EndpointKey([9; 32]); DESCRIBED_MAX]),
            Word::Digest(vec![u16::MAX; DIGEST_LEN]),
            Word::Compare(vec![(key, u64::MAX); COMPARED_MAX]),
            Word::Want(vec![key; COMPARED_MAX]),
        ];
        for word in longest {
            assert!(word.fits(), "{word:?}");
            assert!(encode_body(&word).len() <= WORD_MAX, "{word:?}");
        }
        assert!(!Word::Gossip(vec![0; GOSSIP_MAX + 1]).fits());
        assert!(!Word::Want(vec![key; COMPARED_MAX + 1]).fits());
        assert!(!Word::Digest(vec![0; DIGEST_LEN - 1]).fits());
        const { assert!(DESCRIBED_MAX * (DESCRIPTOR_MAX + 5) + 16 <= WORD_MAX) };
    }
}
