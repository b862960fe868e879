//! The global index (DESIGN 3.5): who holds a record ([`holder`]), who asks for one ([`resolver`]), both as one supernode
//! drives them ([`full`], behind [`Index`]), and who brings his own and looks whether it is there ([`publisher`]). Where a
//! record lies follows from the list of supernodes ([`starling_wire::placement`]); which of them are trusted no longer, from
//! what they did ([`standing`]).
//!
//! All sides take records that were verified already: a record that is forged, expired or too large never gets this far, it
//! is counted where it was refused.

mod admission;
pub mod full;
pub mod holder;
pub mod publisher;
pub mod resolver;
mod scores;
pub mod standing;

use std::fmt::Debug;
use std::time::Duration;

use starling_wire::placement::{IndexKey, Position};
use starling_wire::record::{Content, Verified, VerifiedRecord};

use self::holder::{Persist, PutRefusal, Source};
use self::resolver::{Fault, LookupId, Reply};
use crate::machine::{Deadline, Time};

/// What the index needs to know of a record (BEP 44).
pub trait Record: Clone + PartialEq + Debug {
    /// What it is found by.
    fn key(&self) -> IndexKey;
    /// Higher replaces lower: its number; of what an account signs, the recovery key's word before it.
    fn order(&self) -> u64;
    /// Whether the network's owner stands behind it: all others anybody can make, as many as he likes.
    fn is_vouched_for(&self) -> bool {
        false
    }
}

/// Of any kind: what supernodes hold.
impl Record for VerifiedRecord {
    fn key(&self) -> IndexKey {
        self.key()
    }

    fn order(&self) -> u64 {
        self.signed().order()
    }

    fn is_vouched_for(&self) -> bool {
        self.is_vouched_for()
    }
}

/// Of one kind: what its owner publishes, and what is looked up for its sake.
impl<T: Content + Debug> Record for Verified<T> {
    fn key(&self) -> IndexKey {
        self.key()
    }

    fn order(&self) -> u64 {
        self.record().order()
    }
}

/// One supernode's part of the index, whatever it knows of the others. `M` names a supernode, `B` an address block of
/// clients. A machine: see [`crate::machine`].
pub trait Index<M, B, R> {
    /// A supernode is a member now, or stands elsewhere.
    fn handle_joined(&mut self, member: M, position: Position, now: Time);
    /// A supernode is gone.
    fn handle_left(&mut self, member: M, now: Time);
    /// A client's record: kept if it belongs here, and brought to its holders.
    fn handle_publish(
        &mut self,
        source: Source<M, B>,
        record: R,
        lives_for: Duration,
        now: Time,
    ) -> Result<(), PutRefusal>;
    /// A record that another supernode brings.
    fn handle_put(
        &mut self,
        from: M,
        record: R,
        lives_for: Duration,
        now: Time,
    ) -> Result<(), PutRefusal>;
    /// What was to be kept under this key, up to this number, is on disk.
    fn handle_written(&mut self, key: IndexKey, order: u64);
    /// What is held here.
    fn get(&self, key: IndexKey, now: Time) -> Option<&R>;
    /// Somebody wants a record; the answer is an event. Numbers from 2^63 on are the machine's own.
    fn handle_lookup(&mut self, id: LookupId, key: IndexKey, now: Time);
    /// Another supernode answered.
    fn handle_reply(&mut self, id: LookupId, from: M, reply: Reply<R>, now: Time);
    /// Another holder compares.
    fn handle_compare(&mut self, from: M, theirs: &[(IndexKey, u64)], now: Time);
    /// Another holder lacks these.
    fn handle_want(&mut self, from: M, keys: &[IndexKey], now: Time);
    /// This supernode leaves: everything goes to whoever follows.
    fn handle_leaving(&mut self);
    /// Time.
    fn handle_timeout(&mut self, now: Time);
    /// When to come back.
    fn poll_timeout(&self) -> Option<Deadline<Wake>>;
    /// What must be on disk before anything else is done.
    fn poll_persist(&mut self) -> Option<Persist<R>>;
    /// What is said, and to whom.
    fn poll_transmit(&mut self) -> Option<Transmit<M, R>>;
    /// What became of look-ups.
    fn poll_event(&mut self) -> Option<IndexEvent<M, R>>;
}

/// Something for another supernode.
#[derive(Debug, Clone, PartialEq)]
pub enum Transmit<M, R> {
    /// "Which record do you hold?", for a look-up.
    Ask(LookupId, M, IndexKey),
    /// A client's record.
    Put(M, R),
    /// A record that it should hold.
    Hand(M, R),
    /// What both should hold.
    Compare(M, Vec<(IndexKey, u64)>),
    /// What is lacking here.
    Want(M, Vec<IndexKey>),
}

/// What became of a look-up.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexEvent<M, R> {
    /// Found, at another supernode or here.
    Found(LookupId, Option<M>, R),
    /// A newer one came after it.
    Newer(LookupId, M, R),
    /// Nobody has it.
    NotFound(LookupId),
    /// A supernode did not do what it should.
    Blame(M, Fault),
    /// It is over: nothing more comes.
    Ended(LookupId),
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// For what is held.
    Holder(holder::Wake),
    /// For a look-up.
    Resolver(resolver::Wake),
    /// To ask somebody again who was told a record.
    Told,
}
