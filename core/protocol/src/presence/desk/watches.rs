//! The watch lists at a desk, bounded in number and in ids together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use starling_wire::ids::{EndpointKey, SubscriptionId};
use starling_wire::limits::{WATCH_LISTS_MAX, WATCH_MAX, WATCH_SHORT, WATCHED_MAX, WATCHERS_MAX};
use starling_wire::supernode::SupernodeAddr;

use super::strangers::Strangers;
use super::{DeskRefusal, Watcher};
use crate::machine::Time;
use crate::presence::watcher::REFRESH_MAX;

/// A list that was not sent again for so long is forgotten: its owner is somewhere else.
pub const LIST_TIME: Duration = Duration::from_secs(5 * REFRESH_MAX.as_secs() / 2);

/// One of somebody's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListKey {
    /// Whose.
    pub watcher: EndpointKey,
    /// Which.
    pub list: u8,
}

impl ListKey {
    fn all_of(watcher: EndpointKey) -> RangeInclusive<Self> {
        let key = |list| Self { watcher, list };
        key(0)..=key(WATCH_LISTS_MAX)
    }
}

#[derive(Debug)]
struct List {
    /// Stands for the list in the index of ids.
    number: u32,
    ids: Box<[SubscriptionId]>,
    reply_to: SupernodeAddr,
    until: Time,
    /// Whether it is a stranger's, and from where.
    stranger: Option<Option<IpAddr>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Watches {
    lists: BTreeMap<ListKey, List>,
    /// By number.
    keys: BTreeMap<u32, ListKey>,
    /// Which lists each id stands in.
    watched: BTreeSet<(SubscriptionId, u32)>,
    /// By their end.
    ending: BTreeSet<(Time, ListKey)>,
    strangers: Strangers,
    last: u32,
}

impl Watches {
    /// Replaces a list; an empty one is withdrawn.
    pub(super) fn set(
        &mut self,
        (watcher, list): (&Watcher, u8),
        ids: Vec<SubscriptionId>,
        reply_to: SupernodeAddr,
        now: Time,
    ) -> Result<(), DeskRefusal> {
        let key = ListKey {
            watcher: watcher.key,
            list,
        };
        let known = self.lists.get(&key);
        let before = known.map_or(0, |list| list.ids.len());
        let full = known.is_none() && self.lists.len() >= WATCHERS_MAX;
        let crowded = self.watched.len().saturating_sub(before) + ids.len() > WATCHED_MAX;
        if full || ids.len() > WATCH_MAX || (crowded && ids.len() > before.max(WATCH_SHORT)) {
            return Err(DeskRefusal::Full);
        }
        let stranger = (!watcher.registered).then_some(watcher.block);
        self.make_room(key, stranger, ids.len())?;
        self.remove(key);
        if ids.is_empty() {
            return Ok(());
        }
        if let Some(block) = stranger {
            self.strangers.add(block, ids.len());
        }
        let number = self.free_number();
        self.keys.insert(number, key);
        self.watched.extend(ids.iter().map(|id| (*id, number)));
        let until = now + LIST_TIME;
        self.ending.insert((until, key));
        let list = List {
            number,
            ids: ids.into_boxed_slice(),
            reply_to,
            until,
            stranger,
        };
        self.lists.insert(key, list);
        Ok(())
    }

    /// `PRESENCE-28`: strangers leave room for those who are registered; a list that is replaced makes its own.
    fn make_room(
        &mut self,
        key: ListKey,
        stranger: Option<Option<IpAddr>>,
        ids: usize,
    ) -> Result<(), DeskRefusal> {
        let Some(block) = stranger.filter(|_| ids > 0) else {
            return Ok(());
        };
        let known = self.lists.get(&key);
        let before = known.and_then(|list| Some((list.stranger?, list.ids.len())));
        if let Some((block, ids)) = before {
            self.strangers.remove(block, ids);
        }
        let has_room = self.strangers.has_room(block, ids);
        if let Some((block, ids)) = before {
            self.strangers.add(block, ids);
        }
        has_room.then_some(()).ok_or(DeskRefusal::Full)
    }

    /// A list's ids, if whoever watches is reached where it was.
    pub(super) fn ids(&self, key: ListKey, reply_to: &SupernodeAddr) -> Option<&[SubscriptionId]> {
        let list = self.lists.get(&key)?;
        (list.reply_to == *reply_to).then_some(&*list.ids)
    }

    /// A list counts on, as if it had been sent again.
    pub(super) fn keep(&mut self, key: ListKey, now: Time) {
        if let Some(list) = self.lists.get_mut(&key) {
            self.ending.remove(&(list.until, key));
            list.until = now + LIST_TIME;
            self.ending.insert((list.until, key));
        }
    }

    /// Forgets all lists of somebody that were sent before; where the newest that is left says that they are reached.
    pub(super) fn forget(&mut self, watcher: EndpointKey, before: Time) -> Option<SupernodeAddr> {
        let lists = self.lists.range(ListKey::all_of(watcher));
        let (fresh, old): (Vec<_>, Vec<_>) =
            lists.partition(|(_, list)| list.until > before + LIST_TIME);
        let newest = fresh.into_iter().max_by_key(|(_, list)| list.until);
        let left = newest.map(|(_, list)| list.reply_to.clone());
        let old: Vec<ListKey> = old.into_iter().map(|(key, _)| *key).collect();
        for key in old {
            self.remove(key);
        }
        left
    }

    /// Who watches an id, and where they are reached.
    pub(super) fn of(
        &self,
        id: SubscriptionId,
    ) -> impl Iterator<Item = (EndpointKey, &SupernodeAddr)> {
        let numbers = self.watched.range((id, 0)..=(id, u32::MAX));
        numbers.filter_map(|(_, number)| {
            let key = self.keys.get(number)?;
            Some((key.watcher, &self.lists.get(key)?.reply_to))
        })
    }

    /// Forgets what was not sent again.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        while let Some((at, key)) = self.ending.first().copied()
            && at <= now
        {
            self.remove(key);
        }
    }

    /// When the next list ends.
    pub(super) fn next_end(&self) -> Option<Time> {
        self.ending.first().map(|(at, _)| *at)
    }

    /// Nothing is kept.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let rows = (self.lists.len(), self.keys.len(), self.watched.len());
        rows == (0, 0, 0) && self.ending.is_empty()
    }

    fn remove(&mut self, key: ListKey) {
        let Some(list) = self.lists.remove(&key) else {
            return;
        };
        self.ending.remove(&(list.until, key));
        self.keys.remove(&list.number);
        if let Some(block) = list.stranger {
            self.strangers.remove(block, list.ids.len());
        }
        for id in list.ids {
            self.watched.remove(&(id, list.number));
        }
    }

    /// Numbers come round after four thousand million lists; those in use are few.
    fn free_number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.keys.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}
