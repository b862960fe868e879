//! What lies in one box, without the bodies: numbers in the order of arrival, sizes, days. It can be made anew from the store.
//! When the box is full, what is needed least makes room (`BOX-09`).

use std::collections::BTreeMap;

use starling_wire::ids::EntryId;
use starling_wire::log::frames::PAGE_BYTES_MAX;
use starling_wire::log::{BOX_BYTES_MAX, BOX_ENTRIES_MAX, Entry, Kind};
use starling_wire::ordering::Slot;

use super::slots::Slots;

/// Proposals of one slot that is open, and of all slots that are not known together. More of them make room among themselves, so that
/// nobody crowds out what was said.
pub const PROPOSALS_MAX: usize = 16;
/// The same in bytes.
pub const PROPOSALS_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub id: EntryId,
    /// What it is.
    pub kind: Kind,
    /// Its slot.
    pub slot: Slot,
    /// What it takes of the box.
    pub cost: u64,
    /// The last day it is kept.
    pub until_day: u32,
}

/// One box's entries.
#[derive(Debug, Default)]
pub struct Shelf {
    items: BTreeMap<u64, Item>,
    numbers: BTreeMap<EntryId, u64>,
    bytes: u64,
    /// The highest number that was given.
    last: u64,
    /// The highest number of those that made room.
    dropped: u64,
}

/// Entries to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Their numbers.
    pub numbers: Vec<u64>,
    /// Up to here everything was looked at.
    pub up_to: u64,
    /// Whether there is more.
    pub more: bool,
}

/// What makes room first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A proposal of a slot that is settled on another one.
    Lost,
    /// What was said, and what somebody needed to join once.
    Said,
    /// A proposal of a slot that is not known.
    Foreign,
    /// Certificates of holders of before.
    Before,
    /// A proposal of an open slot that was not agreed to: for its rivals only.
    Rival,
}

impl Item {
    /// Of an entry.
    pub const fn of(entry: &Entry, until_day: u32) -> Self {
        Self {
            id: entry.id(),
            kind: entry.head().kind,
            slot: entry.head().slot,
            cost: entry.head().cost(),
            until_day,
        }
    }
}

impl Shelf {
    /// As it was kept: the highest number that was given, and of those that made room.
    pub fn restored(last: u64, dropped: u64) -> Self {
        Self {
            last,
            dropped,
            ..Self::default()
        }
    }

    /// An entry that was kept.
    pub fn restore(&mut self, number: u64, item: Item) {
        self.last = self.last.max(number);
        self.bytes += item.cost;
        self.numbers.insert(item.id, number);
        self.items.insert(number, item);
    }

    /// Puts one at the end.
    pub fn add(&mut self, item: Item) -> u64 {
        let number = self.last + 1;
        self.restore(number, item);
        number
    }

    /// The number of an entry.
    pub fn number(&self, id: EntryId) -> Option<u64> {
        self.numbers.get(&id).copied()
    }

    /// The entry with a number.
    pub fn get(&self, number: u64) -> Option<&Item> {
        self.items.get(&number)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What they take.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The highest number of those that made room before their time; 0 if none did.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The first entries after a number, at least one, as many as `limit` and a page allow.
    pub fn page(&self, after: u64, limit: u16) -> Page {
        let mut page = Page {
            numbers: Vec::new(),
            up_to: self.last.max(after),
            more: false,
        };
        let mut bytes = 0;
        for (number, item) in self.items.range(after.saturating_add(1)..) {
            bytes += item.cost;
            let full = page.numbers.len() >= usize::from(limit);
            if full || (bytes > PAGE_BYTES_MAX && !page.numbers.is_empty()) {
                page.more = true;
                page.up_to = page.numbers.last().copied().unwrap_or(after);
                break;
            }
            page.numbers.push(*number);
        }
        page
    }

    /// Those whose last day is over.
    pub fn expired(&self, today: u32) -> Vec<u64> {
        let over = |(number, item): (&u64, &Item)| (item.until_day < today).then_some(*number);
        self.items.iter().filter_map(over).collect()
    }

    /// Takes them away; `early` if they made room. Returns what they took.
    pub fn remove(&mut self, numbers: &[u64], early: bool) -> u64 {
        let mut freed = 0;
        for number in numbers {
            let Some(item) = self.items.remove(number) else {
                continue;
            };
            self.numbers.remove(&item.id);
            freed += item.cost;
            if early {
                self.dropped = self.dropped.max(*number);
            }
        }
        self.bytes -= freed;
        freed
    }

    /// `BOX-09`: which entries make room for one more, or `None` if they cannot. Never a settled commit, never the newest GroupInfo; a
    /// proposal of an open slot only for another one of it, and none that was agreed to.
    pub fn make_room(&self, newcomer: &Item, slots: &Slots) -> Option<Vec<u64>> {
        let mut gone = self.among_proposals(newcomer, slots);
        let cost = |number: &u64| self.items.get(number).map_or(0, |item| item.cost);
        let mut bytes = self.bytes + newcomer.cost - gone.iter().map(cost).sum::<u64>();
        let mut count = self.items.len() + 1 - gone.len();
        let fits = |count: usize, bytes: u64| count <= BOX_ENTRIES_MAX && bytes <= BOX_BYTES_MAX;
        if fits(count, bytes) {
            return Some(gone);
        }
        let newest_info = self.newest_info();
        for rank in [Rank::Lost, Rank::Said, Rank::Foreign, Rank::Before] {
            for (number, item) in &self.items {
                let free = rank_of(item, slots) == Some(rank) && Some(*number) != newest_info;
                if !free || gone.contains(number) {
                    continue;
                }
                gone.push(*number);
                bytes -= item.cost;
                count -= 1;
                if fits(count, bytes) {
                    return Some(gone);
                }
            }
        }
        None
    }

    /// Proposals that make room for another one of their slot.
    fn among_proposals(&self, newcomer: &Item, slots: &Slots) -> Vec<u64> {
        let rank = rank_of(newcomer, slots);
        let Some(rank @ (Rank::Rival | Rank::Foreign)) = rank else {
            return Vec::new();
        };
        let like = |item: &Item| {
            let same = rank == Rank::Foreign || item.slot == newcomer.slot;
            same && rank_of(item, slots) == Some(rank)
        };
        let rivals: Vec<_> = self.items.iter().filter(|(_, item)| like(item)).collect();
        let mut bytes: u64 = rivals.iter().map(|(_, item)| item.cost).sum();
        let mut left = rivals.len();
        let mut gone = Vec::new();
        for (number, item) in rivals {
            if left < PROPOSALS_MAX && bytes + newcomer.cost <= PROPOSALS_BYTES_MAX {
                break;
            }
            gone.push(*number);
            bytes -= item.cost;
            left -= 1;
        }
        gone
    }

    fn newest_info(&self) -> Option<u64> {
        let info = |(_, item): &(&u64, &Item)| item.kind == Kind::GroupInfo;
        self.items
            .iter()
            .rev()
            .find(info)
            .map(|(number, _)| *number)
    }
}

/// What an entry is worth; `None` for what makes no room.
fn rank_of(item: &Item, slots: &Slots) -> Option<Rank> {
    match item.kind {
        Kind::Message | Kind::Moved | Kind::GroupInfo | Kind::Welcome => Some(Rank::Said),
        Kind::Certificate => Some(Rank::Before),
        Kind::Commit { .. } | Kind::ExternalCommit { .. } => {
            if slots.is_bound_to(item.slot, item.id) {
                None
            } else if slots.settled_on(item.slot).is_some() {
                Some(Rank::Lost)
            } else if slots.get(item.slot).is_some() || slots.follows(item.slot) {
                Some(Rank::Rival)
            } else {
                Some(Rank::Foreign)
            }
        }
    }
}

#[cfg(test)]
mod tests;
