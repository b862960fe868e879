//! What watch lists of those take who are not registered here (`PRESENCE-28`): contacts of our people, who are at home elsewhere;
//! or anybody, since a key costs nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use starling_wire::limits::{WATCH_SHORT, WATCHED_MAX, WATCHERS_MAX};

/// Lists of all of them; the rest is for those who are registered.
const LISTS_MAX: usize = WATCHERS_MAX / 4 * 3;
const IDS_MAX: usize = WATCHED_MAX / 4 * 3;
/// Of those in one block of addresses, which may be another supernode's clients.
const LISTS_OF_BLOCK: usize = WATCHERS_MAX / 4;
const IDS_OF_BLOCK: usize = WATCHED_MAX / 4;

/// Lists, and ids in them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Taken {
    lists: usize,
    ids: usize,
}

impl Taken {
    const fn fits(self, ids: usize, (lists_max, ids_max): (usize, usize)) -> bool {
        self.lists < lists_max && (self.ids + ids <= ids_max || ids <= WATCH_SHORT)
    }

    const fn add(&mut self, ids: usize) {
        self.lists += 1;
        self.ids += ids;
    }

    const fn remove(&mut self, ids: usize) {
        self.lists -= 1;
        self.ids -= ids;
    }
}

#[derive(Debug, Default)]
pub(super) struct Strangers {
    all: Taken,
    of_block: BTreeMap<IpAddr, Taken>,
}

impl Strangers {
    /// Whether one more list with so many ids has room.
    pub(super) fn has_room(&self, block: Option<IpAddr>, ids: usize) -> bool {
        let taken = block.and_then(|block| self.of_block.get(&block));
        let taken = taken.copied().unwrap_or_default();
        self.all.fits(ids, (LISTS_MAX, IDS_MAX)) && taken.fits(ids, (LISTS_OF_BLOCK, IDS_OF_BLOCK))
    }

    pub(super) fn add(&mut self, block: Option<IpAddr>, ids: usize) {
        self.all.add(ids);
        if let Some(block) = block {
            self.of_block.entry(block).or_default().add(ids);
        }
    }

    pub(super) fn remove(&mut self, block: Option<IpAddr>, ids: usize) {
        self.all.remove(ids);
        if let Some(block) = block
            && let Some(taken) = self.of_block.get_mut(&block)
        {
            taken.remove(ids);
            if *taken == Taken::default() {
                self.of_block.remove(&block);
            }
        }
    }
}
