//! How many new records a supernode takes from one place: within an hour (`INDEX-10`), and from one address block of clients
//! in all (`INDEX-31`).
//!
//! What a client brings is charged to his block at the supernode that he asked, whether it lies here or is only passed on. The
//! holders know who passed it on and not for whom: a client's address is told to nobody. A charge lasts as long as the record,
//! and is not kept over a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use starling_wire::placement::IndexKey;

use super::holder::{ANYBODYS_MAX, RECORDS_MAX};
use crate::machine::Time;

/// New ones that one address block may bring within [`WINDOW`], as many as a block has clients here at most: when a supernode
/// dies, all of its clients bring theirs to another one. Changes of what is known are not counted.
pub(super) const NEW_PER_BLOCK_MAX: u32 = 2_000;
/// New ones that one other holder may hand over within [`WINDOW`].
pub(super) const NEW_PER_MEMBER_MAX: u32 = 10_000;
/// See there.
pub(super) const WINDOW: Duration = Duration::from_secs(3600);
/// Records that one address block may have brought, of those that live: a twentieth of the places that anybody can fill.
pub(super) const OF_BLOCK_MAX: usize = ANYBODYS_MAX / 20;
/// Records that are charged to blocks, those passed on among them: as many as one supernode could keep.
const CHARGED_MAX: usize = RECORDS_MAX;

/// Who brought a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source<M, B> {
    /// Its owner or somebody for him, from this address block.
    Client(B),
    /// Another holder.
    Member(M),
}

/// Why a record was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PutRefusal {
    /// A newer one is kept.
    #[error("a newer record is known")]
    Older,
    /// Another one with this number is kept.
    #[error("another record with this number is known")]
    Conflict,
    /// It was to replace one that is not the one kept (compare-and-set).
    #[error("the record was changed in the meantime")]
    Changed,
    /// It belongs elsewhere.
    #[error("this supernode is not among the record's holders")]
    NotHolder,
    /// The supernode keeps no more.
    #[error("the supernode keeps no more records")]
    Full,
    /// Too many new ones from one place.
    #[error("too many new records came from there; try again in an hour")]
    TooMany,
    /// One place has as many as it may have.
    #[error("the supernode keeps no more records that come from there")]
    BlockFull,
}

/// New records from one place.
#[derive(Debug, Clone, Copy)]
struct Brought {
    since: Time,
    count: u32,
}

/// Whose block a record is charged to, and how long.
#[derive(Debug, Clone, Copy)]
struct Charge<B> {
    block: B,
    ends: Time,
}

/// Who has brought how much.
#[derive(Debug)]
pub(super) struct Admission<M, B> {
    brought: BTreeMap<Source<M, B>, Brought>,
    charged: BTreeMap<IndexKey, Charge<B>>,
    /// The same by their ends.
    ends: BTreeSet<(Time, IndexKey)>,
    of_block: BTreeMap<B, usize>,
}

impl<M, B> Default for Admission<M, B> {
    fn default() -> Self {
        Self {
            brought: BTreeMap::new(),
            charged: BTreeMap::new(),
            ends: BTreeSet::new(),
            of_block: BTreeMap::new(),
        }
    }
}

impl<M: Copy + Ord, B: Copy + Ord> Admission<M, B> {
    /// A record that was not known here, until `ends`.
    pub(super) fn admit(
        &mut self,
        source: Source<M, B>,
        key: IndexKey,
        ends: Time,
        now: Time,
    ) -> Result<(), PutRefusal> {
        self.forget_ended(now);
        let Source::Client(block) = source else {
            return self.count(source, NEW_PER_MEMBER_MAX, now);
        };
        // INDEX-31: no block fills the places of all others.
        if !self.has_room(block) {
            return Err(PutRefusal::BlockFull);
        }
        if self.charged.len() >= CHARGED_MAX {
            return Err(PutRefusal::Full);
        }
        self.count(source, NEW_PER_BLOCK_MAX, now)?;
        self.charge(key, Charge { block, ends });
        Ok(())
    }

    /// A record that is known lives until `ends` now. Whoever brought it last is charged, if his block has room; else
    /// whoever was before: nobody is refused a change.
    pub(super) fn renew(&mut self, source: Source<M, B>, key: IndexKey, ends: Time) {
        let before = self.release(key).map(|charge| charge.block);
        let block = match source {
            Source::Client(block) if self.has_room(block) && self.charged.len() < CHARGED_MAX => {
                Some(block)
            }
            Source::Client(_) | Source::Member(_) => before,
        };
        if let Some(block) = block {
            self.charge(key, Charge { block, ends });
        }
    }

    /// Whether a client brought it here, and it lives.
    pub(super) fn knows(&mut self, key: IndexKey, now: Time) -> bool {
        self.forget_ended(now);
        self.charged.contains_key(&key)
    }

    /// INDEX-10: bounds on what is new.
    fn count(&mut self, source: Source<M, B>, allowed: u32, now: Time) -> Result<(), PutRefusal> {
        self.brought
            .retain(|_, brought| brought.since + WINDOW > now);
        let brought = self.brought.entry(source).or_insert(Brought {
            since: now,
            count: 0,
        });
        if brought.count >= allowed {
            return Err(PutRefusal::TooMany);
        }
        brought.count += 1;
        Ok(())
    }

    fn has_room(&self, block: B) -> bool {
        self.of_block.get(&block).copied().unwrap_or(0) < OF_BLOCK_MAX
    }

    fn charge(&mut self, key: IndexKey, charge: Charge<B>) {
        self.ends.insert((charge.ends, key));
        *self.of_block.entry(charge.block).or_default() += 1;
        self.charged.insert(key, charge);
    }

    fn release(&mut self, key: IndexKey) -> Option<Charge<B>> {
        let charge = self.charged.remove(&key)?;
        self.ends.remove(&(charge.ends, key));
        if let Some(count) = self.of_block.get_mut(&charge.block) {
            *count -= 1;
            if *count == 0 {
                self.of_block.remove(&charge.block);
            }
        }
        Some(charge)
    }

    fn forget_ended(&mut self, now: Time) {
        while let Some((_, key)) = self.ends.first().copied().filter(|(ends, _)| *ends <= now) {
            self.release(key);
        }
    }
}
