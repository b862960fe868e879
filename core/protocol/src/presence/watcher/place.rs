//! One list at one supernode, and what is known of the ids in it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use starling_wire::ids::{EndpointKey, SubscriptionId};
use starling_wire::presence::Sighting;
use starling_wire::supernode::SupernodeAddr;

use super::{Seen, Target};

/// What is known of one id.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) door: EndpointKey,
    pub(super) seen: Seen,
    /// Stands for the last sighting.
    pub(super) mark: u64,
    /// It was here and its supernode knows nothing of it: it is asked for once more.
    pub(super) doubted: bool,
}

impl Known {
    fn new(door: EndpointKey) -> Self {
        Self {
            door,
            seen: Seen::Unknown,
            mark: 0,
            doubted: false,
        }
    }

    pub(super) fn hear(&mut self, sighting: Sighting, changes: &mut VecDeque<(EndpointKey, Seen)>) {
        self.doubted = false;
        self.mark = sighting.mark();
        self.set(Seen::Said(sighting), changes);
    }

    pub(super) fn lose(&mut self, changes: &mut VecDeque<(EndpointKey, Seen)>) {
        self.doubted = false;
        self.set(Seen::Unknown, changes);
    }

    fn set(&mut self, seen: Seen, changes: &mut VecDeque<(EndpointKey, Seen)>) {
        if self.seen != seen {
            self.seen = seen.clone();
            changes.push_back((self.door, seen));
        }
    }
}

/// A list at a supernode.
#[derive(Debug)]
pub(super) struct Place {
    /// Where cards say it is, the most named first. Never empty while it is asked.
    pub(super) addresses: Vec<SupernodeAddr>,
    /// Which of them is asked.
    pub(super) at: usize,
    pub(super) ids: BTreeMap<SubscriptionId, Known>,
    /// It has this very list.
    pub(super) told: bool,
    pub(super) next_ask: Duration,
    pub(super) failures: u32,
    /// The question that is out.
    pub(super) asking: Option<u64>,
    /// Since it went out, what is to be asked has changed.
    pub(super) stale: bool,
}

impl Place {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            addresses: Vec::new(),
            at: 0,
            ids: BTreeMap::new(),
            told: false,
            next_ask: now,
            failures: 0,
            asking: None,
            stale: false,
        }
    }

    /// These are watched here from now on.
    pub(super) fn want(
        &mut self,
        addresses: &[SupernodeAddr],
        ids: &[(SubscriptionId, EndpointKey)],
        known: &BTreeMap<EndpointKey, Known>,
        now: Duration,
    ) {
        if self.addresses == addresses && self.ids.keys().eq(ids.iter().map(|(id, _)| id)) {
            return;
        }
        // An address that works is kept while anybody names it.
        let used = self.addresses.get(self.at);
        let at = addresses.iter().position(|address| Some(address) == used);
        if at.is_none() {
            // PRESENCE-08: what is asked at the old address is not waited for.
            self.asking = None;
            self.stale = false;
        }
        self.at = at.unwrap_or(0);
        self.addresses = addresses.to_vec();
        let entry = |(id, door): &(SubscriptionId, EndpointKey)| {
            let known = known.get(door).cloned();
            (*id, known.unwrap_or_else(|| Known::new(*door)))
        };
        self.ids = ids.iter().map(entry).collect();
        self.ask_anew(now);
    }

    /// Nobody is watched here any more.
    pub(super) fn withdraw(&mut self, now: Duration) {
        if !self.ids.is_empty() {
            self.ids.clear();
            self.ask_anew(now);
        }
    }

    /// The whole list is due now.
    pub(super) fn ask_anew(&mut self, now: Duration) {
        self.told = false;
        self.next_ask = now;
        self.failures = 0;
        self.stale = self.asking.is_some();
    }
}

/// What cards say about one supernode.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    ids: BTreeMap<SubscriptionId, EndpointKey>,
    named: BTreeMap<SupernodeAddr, usize>,
}

impl Wanted {
    pub(super) fn add(&mut self, target: &Target) {
        self.ids.insert(target.id, target.door);
        *self.named.entry(target.home.clone()).or_default() += 1;
    }

    /// Its addresses, the most named first, and the ids.
    pub(super) fn in_order(self) -> (Vec<SupernodeAddr>, Vec<(SubscriptionId, EndpointKey)>) {
        let mut named: Vec<_> = self.named.into_iter().collect();
        named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let addresses = named.into_iter().map(|(address, _)| address).collect();
        (addresses, self.ids.into_iter().collect())
    }
}
