//! The global index (DESIGN 3.5): who holds a record ([`holder`]) and who asks for one ([`resolver`]). Where a record lies
//! follows from the list of supernodes ([`starling_wire::placement`]).
//!
//! Both sides take records that were verified already: a record that is forged, expired or too large never gets this far, it
//! is counted where it was refused.

pub mod holder;
pub mod resolver;

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
