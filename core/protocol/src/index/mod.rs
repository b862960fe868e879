//! The global index (DESIGN 3.5): who holds a record ([`holder`]), who asks for one ([`resolver`]) and who brings his own and
//! looks whether it is there ([`publisher`]). Where a record lies follows from the list of supernodes
//! ([`starling_wire::placement`]); which of them are trusted no longer, from what they did ([`standing`]).
//!
//! All sides take records that were verified already: a record that is forged, expired or too large never gets this far, it
//! is counted where it was refused.

pub mod holder;
pub mod publisher;
pub mod resolver;
pub mod standing;

use std::fmt::Debug;

use starling_wire::placement::IndexKey;
use starling_wire::record::VerifiedRecord;

/// What the index needs to know of a record (BEP 44).
pub trait Record: Clone + PartialEq + Debug {
    /// What it is found by.
    fn key(&self) -> IndexKey;
    /// Higher replaces lower.
    fn sequence(&self) -> u64;
}

impl Record for VerifiedRecord {
    fn key(&self) -> IndexKey {
        IndexKey::account(self.account())
    }

    fn sequence(&self) -> u64 {
        self.record().sequence
    }
}
