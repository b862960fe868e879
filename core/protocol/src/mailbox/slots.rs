//! The slots of one box: their registers while they are open, and what they are settled on. A slot is taken part in only if it
//! follows from one that is settled here (`BOX-15`): so nobody can make a holder keep registers of epochs that are none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use starling_wire::ids::{EntryId, EpochTag};
use starling_wire::log::frames::Refusal;
use starling_wire::ordering::Slot;

use super::register::Register;
use crate::machine::Time;

/// Slots of one box. None is ever forgotten while the box is there, for it would be written a second time; a group that has
/// used up all begins another generation.
pub const SLOTS_MAX: usize = 4_096;
/// What a slot takes on disk, with its certificate. Longer grounds count on top.
pub const SLOT_COST: u64 = 1_536;
/// After so long nobody can say that he had not heard of the certificate.
pub const STALE_AFTER: Duration = Duration::from_secs(60);

/// How a slot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may be settled on anything that its register allows.
    Open(Register),
    /// It is settled.
    Settled {
        /// On what.
        entry: EntryId,
        /// The epoch that this begins, if the entry was ever here.
        next: Option<EpochTag>,
        /// Since when that is known.
        since: Time,
    },
}

/// All slots of a box.
#[derive(Debug)]
pub struct Slots {
    slots: BTreeMap<Slot, Standing>,
    /// The first epoch, and those that settled commits began.
    epochs: BTreeSet<EpochTag>,
    /// What is kept of some slots beyond [`SLOT_COST`].
    beyond: BTreeMap<Slot, u64>,
}

impl Slots {
    /// Of a box whose first epoch this is.
    pub fn new(first: EpochTag) -> Self {
        Self {
            slots: BTreeMap::new(),
            epochs: BTreeSet::from([first]),
            beyond: BTreeMap::new(),
        }
    }

    /// What all of them take on disk.
    pub fn bytes(&self) -> u64 {
        self.slots.len() as u64 * SLOT_COST + self.beyond.values().sum::<u64>()
    }

    /// So many bytes of grounds or of a certificate are kept of a slot.
    pub fn weigh(&mut self, slot: Slot, bytes: u64) {
        match bytes.saturating_sub(SLOT_COST) {
            0 => self.beyond.remove(&slot),
            beyond => self.beyond.insert(slot, beyond),
        };
    }

    /// How a slot stands; `None` if nothing was ever said of it here.
    pub fn get(&self, slot: Slot) -> Option<&Standing> {
        self.slots.get(&slot)
    }

    /// Of how many anything was said.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing was ever said of any.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// `BOX-15`: the register of an open slot that follows from a settled one; an empty one if nothing was said of it yet.
    pub fn register(&self, slot: Slot) -> Result<Register, Refusal> {
        match self.slots.get(&slot) {
            Some(Standing::Open(register)) => Ok(*register),
            Some(Standing::Settled { .. }) => Err(Refusal::NotAllowed),
            None if !self.follows(slot) => Err(Refusal::UnknownSlot),
            None if self.slots.len() >= SLOTS_MAX => Err(Refusal::BoxFull),
            None => Ok(Register::default()),
        }
    }

    /// Whether the slot is the first of an epoch that begins, or one whose last attempt is settled.
    pub fn follows(&self, slot: Slot) -> bool {
        match slot.attempt.checked_sub(1) {
            None => self.epochs.contains(&slot.epoch),
            Some(attempt) => {
                let before = Slot { attempt, ..slot };
                matches!(self.slots.get(&before), Some(Standing::Settled { .. }))
            }
        }
    }

    /// A register changed.
    pub fn put(&mut self, slot: Slot, register: Register) {
        self.slots.insert(slot, Standing::Open(register));
    }

    /// A slot is settled: by a certificate that was looked at. `next` if the entry is here. Whether there was room for it.
    pub fn settle(
        &mut self,
        slot: Slot,
        entry: EntryId,
        next: Option<EpochTag>,
        since: Time,
    ) -> bool {
        if !self.slots.contains_key(&slot) && self.slots.len() >= SLOTS_MAX {
            return false;
        }
        self.epochs.extend(next);
        let settled = Standing::Settled { entry, next, since };
        self.slots.insert(slot, settled);
        true
    }

    /// The entry that a slot is settled on has come after its certificate. Whether that is so, and was not known.
    pub fn note_next(&mut self, slot: Slot, id: EntryId, begins: EpochTag) -> bool {
        match self.slots.get_mut(&slot) {
            Some(Standing::Settled { entry, next, .. }) if *entry == id && next.is_none() => {
                *next = Some(begins);
                self.epochs.insert(begins);
                true
            }
            _ => false,
        }
    }

    /// What a slot is settled on.
    pub fn settled_on(&self, slot: Slot) -> Option<EntryId> {
        match self.slots.get(&slot) {
            Some(Standing::Settled { entry, .. }) => Some(*entry),
            _ => None,
        }
    }

    /// `BOX-14`: whether a slot was settled so long ago that nothing new belongs to it.
    pub fn is_stale(&self, slot: Slot, now: Time) -> bool {
        matches!(self.slots.get(&slot), Some(Standing::Settled { since, .. }) if *since + STALE_AFTER < now)
    }

    /// Whether an entry was agreed to here, or settled.
    pub fn is_bound_to(&self, slot: Slot, id: EntryId) -> bool {
        match self.slots.get(&slot) {
            Some(Standing::Open(register)) => {
                let (_, accepted) = register.kept();
                accepted.is_some_and(|(_, entry)| entry == id)
            }
            Some(Standing::Settled { entry, .. }) => *entry == id,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: EpochTag = EpochTag([1; 16]);
    const NEXT: EpochTag = EpochTag([2; 16]);
    const X: EntryId = EntryId([9; 32]);

    fn slot(epoch: EpochTag, attempt: u16) -> Slot {
        Slot { epoch, attempt }
    }

    #[test]
    fn box_15_a_slot_follows_from_one_that_is_settled() {
        let mut slots = Slots::new(FIRST);
        let unknown = Err(Refusal::UnknownSlot);
        assert_eq!(slots.register(slot(FIRST, 0)), Ok(Register::default()));
        assert_eq!(slots.register(slot(FIRST, 1)), unknown);
        assert_eq!(slots.register(slot(NEXT, 0)), unknown);
        assert!(slots.settle(slot(FIRST, 0), X, None, Time::ZERO));
        assert_eq!(slots.register(slot(FIRST, 0)), Err(Refusal::NotAllowed));
        assert_eq!(slots.register(slot(FIRST, 1)), Ok(Register::default()));
        assert_eq!(
            slots.register(slot(NEXT, 0)),
            unknown,
            "the commit is not here"
        );
        assert!(!slots.note_next(slot(FIRST, 0), EntryId([8; 32]), NEXT));
        assert!(slots.note_next(slot(FIRST, 0), X, NEXT));
        assert_eq!(slots.register(slot(NEXT, 0)), Ok(Register::default()));
    }

    #[test]
    fn box_15_the_slots_of_a_box_are_bounded_and_none_is_forgotten() {
        let mut slots = Slots::new(FIRST);
        for number in 0..SLOTS_MAX as u32 {
            let mut tag = [0xff; 16];
            tag[..4].copy_from_slice(&number.to_be_bytes());
            assert!(slots.settle(slot(EpochTag(tag), 0), X, None, Time::ZERO));
        }
        assert!(!slots.settle(slot(FIRST, 0), X, None, Time::ZERO));
        assert_eq!(slots.register(slot(FIRST, 0)), Err(Refusal::BoxFull));
    }

    #[test]
    fn box_11_long_grounds_count_as_long_as_they_are_kept() {
        let mut slots = Slots::new(FIRST);
        slots.put(slot(FIRST, 0), Register::default());
        slots.weigh(slot(FIRST, 0), SLOT_COST);
        assert_eq!(slots.bytes(), SLOT_COST);
        slots.weigh(slot(FIRST, 0), 40_000);
        assert_eq!(slots.bytes(), 40_000);
        slots.weigh(slot(FIRST, 0), 1_000);
        assert_eq!(slots.bytes(), SLOT_COST);
    }

    #[test]
    fn box_14_a_slot_is_stale_a_minute_after_its_certificate_came() {
        let mut slots = Slots::new(FIRST);
        let since = Duration::from_secs(100);
        slots.settle(slot(FIRST, 0), X, Some(NEXT), since);
        assert!(!slots.is_stale(slot(FIRST, 0), since + STALE_AFTER));
        let later = since + STALE_AFTER + Duration::from_millis(1);
        assert!(slots.is_stale(slot(FIRST, 0), later));
        assert!(!slots.is_stale(slot(NEXT, 0), later));
    }
}
