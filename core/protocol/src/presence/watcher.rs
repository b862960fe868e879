//! The client's side: which contacts' doors are watched at which supernode, what is known of them, when to ask again.

mod place;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::ids::{EndpointKey, SubscriptionId};
use starling_wire::limits::{WATCH_LISTS_MAX, WATCH_MAX};
use starling_wire::presence::{Sighting, digest};
use starling_wire::supernode::SupernodeAddr;

use self::place::{Known, Place, Wanted};
use crate::machine::Deadline;

/// A list is kept on so often: a supernode that was restarted has forgotten it.
pub const REFRESH: Duration = Duration::from_secs(5 * 60);
/// Whoever watches at many supernodes asks each of them less often: two in [`REFRESH`] are asked.
const REFRESH_EACH: Duration = Duration::from_secs(REFRESH.as_secs() / 2);
/// But so often at least.
pub const REFRESH_MAX: Duration = Duration::from_secs(2 * 3600);
/// Whoever was here and is not known any more is asked for again after this: its supernode may have been started anew.
const DOUBT: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

/// A door that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose presence.
    pub door: EndpointKey,
    /// By which id.
    pub id: SubscriptionId,
    /// Where.
    pub home: SupernodeAddr,
}

/// What is known of a door.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seen {
    /// Its supernode could not be asked.
    #[default]
    Unknown,
    /// What its supernode says.
    Said(Sighting),
}

/// A question about one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// To be given back with the answer.
    pub number: u64,
    /// To whom.
    pub supernode: SupernodeAddr,
    /// Which list.
    pub list: u8,
    /// What.
    pub question: Question,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// How these stand.
    Watch(Vec<SubscriptionId>),
    /// Whether that is still so.
    Still([u8; 16]),
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// How the ids stand, in their order.
    Sightings(Vec<Sighting>),
    /// Nothing changed.
    Still,
    /// The supernode has another list: it is told anew.
    Changed,
    /// It could not be asked.
    Failed,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchReason {
    /// A list has to be sent, or sent again.
    ListDue,
}

/// A supernode, and a list there.
type At = (EndpointKey, u8);

/// Watches contacts' doors at their supernodes.
#[derive(Debug)]
pub struct Watcher {
    places: BTreeMap<At, Place>,
    changes: VecDeque<(EndpointKey, Seen)>,
    asks: u64,
    random: u64,
}

impl Watcher {
    /// Watches nobody yet. The seed spreads retries.
    pub const fn new(seed: u64) -> Self {
        Self {
            places: BTreeMap::new(),
            changes: VecDeque::new(),
            asks: 0,
            random: seed | 1,
        }
    }

    /// Replaces who is watched where (`PRESENCE-05`: only what changed is asked anew).
    pub fn set_targets(&mut self, targets: &[Target], now: Duration) {
        let mut wanted: BTreeMap<EndpointKey, Wanted> = BTreeMap::new();
        for target in targets {
            wanted.entry(target.home.id).or_default().add(target);
        }
        let known = self.known();
        let mut kept: BTreeSet<At> = BTreeSet::new();
        for (supernode, wanted) in wanted {
            let (addresses, ids) = wanted.in_order();
            for (list, ids) in (0..WATCH_LISTS_MAX).zip(ids.chunks(WATCH_MAX)) {
                let at = (supernode, list);
                kept.insert(at);
                let place = self.places.entry(at).or_insert_with(|| Place::new(now));
                place.want(&addresses, ids, &known, now);
            }
        }
        for (at, place) in &mut self.places {
            if !kept.contains(at) {
                place.withdraw(now);
            }
        }
    }

    /// What is known by now: a door that is watched by another id, or elsewhere, is not unknown there.
    fn known(&self) -> BTreeMap<EndpointKey, Known> {
        let all = self.places.values().flat_map(|place| place.ids.values());
        all.map(|known| (known.door, known.clone())).collect()
    }

    /// Our own home changed or came back: everybody has to learn where we are reached.
    pub fn ask_all(&mut self, now: Duration) {
        for place in self.places.values_mut() {
            place.ask_anew(now);
        }
    }

    /// The next question that is due.
    pub fn poll_ask(&mut self, now: Duration) -> Option<Ask> {
        let due = |place: &Place| place.asking.is_none() && place.next_ask <= now;
        let (&(_, list), place) = self.places.iter_mut().find(|(_, place)| due(place))?;
        self.asks += 1;
        place.asking = Some(self.asks);
        let question = if place.told {
            let marks = place.ids.iter().map(|(id, known)| (*id, known.mark));
            Question::Still(digest(marks))
        } else {
            Question::Watch(place.ids.keys().copied().collect())
        };
        Some(Ask {
            number: self.asks,
            supernode: place.addresses[place.at].clone(),
            list,
            question,
        })
    }

    /// What came of a question.
    pub fn handle_reply(&mut self, ask: &Ask, reply: Reply, now: Duration) {
        let at = (ask.supernode.id, ask.list);
        let Some(place) = self.places.get_mut(&at) else {
            return;
        };
        if place.asking.take_if(|asked| *asked == ask.number).is_none() {
            return;
        }
        let stale = std::mem::take(&mut place.stale);
        if place.ids.is_empty() && !stale {
            self.places.remove(&at);
            return;
        }
        match (reply, &ask.question) {
            (Reply::Sightings(sightings), Question::Watch(ids)) if sightings.len() == ids.len() => {
                self.answered(at, ids, sightings, now);
            }
            (Reply::Still, Question::Still(_)) => self.heard(at, now),
            (Reply::Changed, Question::Still(_)) => place.ask_anew(now),
            _ => return self.failed(at, now),
        }
        if stale && let Some(place) = self.places.get_mut(&at) {
            place.ask_anew(now);
        }
    }

    fn answered(
        &mut self,
        at: At,
        ids: &[SubscriptionId],
        sightings: Vec<Sighting>,
        now: Duration,
    ) {
        let Some(place) = self.places.get_mut(&at) else {
            return;
        };
        place.told = true;
        let mut doubted = false;
        for (id, sighting) in ids.iter().zip(sightings) {
            let Some(known) = place.ids.get_mut(id) else {
                continue;
            };
            // PRESENCE-21: a supernode that was started anew has nobody's word yet.
            let was_here = matches!(known.seen, Seen::Said(Sighting::Here(_)));
            if was_here && sighting == Sighting::Nothing && !known.doubted {
                known.doubted = true;
                doubted = true;
                continue;
            }
            known.hear(sighting, &mut self.changes);
        }
        if doubted {
            place.told = false;
            place.failures = 0;
            place.next_ask = place.next_ask.max(now + DOUBT);
        } else {
            self.heard(at, now);
        }
    }

    /// A list stands as it should.
    fn heard(&mut self, at: At, now: Duration) {
        let supernodes: BTreeSet<EndpointKey> = self.places.keys().map(|(id, _)| *id).collect();
        let many = u32::try_from(supernodes.len()).unwrap_or(u32::MAX);
        let wait = REFRESH_EACH.saturating_mul(many);
        if let Some(place) = self.places.get_mut(&at) {
            place.failures = 0;
            place.next_ask = place.next_ask.max(now + wait.clamp(REFRESH, REFRESH_MAX));
        }
    }

    /// A supernode could not be asked (`PRESENCE-06`: its doors are unknown, not gone; retries slow down).
    fn failed(&mut self, at: At, now: Duration) {
        let spread = self.spread();
        let Some(place) = self.places.get_mut(&at) else {
            return;
        };
        // PRESENCE-10: a card with a wrong address does not hide the doors that others name.
        place.at = (place.at + 1) % place.addresses.len();
        place.told = false;
        let wait = RETRY_FIRST
            .saturating_mul(1 << place.failures.min(8))
            .min(RETRY_MAX);
        place.failures += 1;
        place.next_ask = now + wait / 2 + wait.mul_f64(spread) / 2;
        for known in place.ids.values_mut() {
            known.lose(&mut self.changes);
        }
    }

    /// A supernode says how an id stands by now. Believed only for ids that are watched there (`PRESENCE-07`).
    pub fn handle_notice(&mut self, supernode: EndpointKey, id: SubscriptionId, said: Sighting) {
        let lists = self
            .places
            .range_mut((supernode, 0)..=(supernode, WATCH_LISTS_MAX));
        for (_, place) in lists {
            if let Some(known) = place.ids.get_mut(&id) {
                known.hear(said.clone(), &mut self.changes);
            }
        }
    }

    /// The next change: a door, and what is known of it now.
    pub fn poll_change(&mut self) -> Option<(EndpointKey, Seen)> {
        self.changes.pop_front()
    }

    /// When the next list is due, and why.
    pub fn poll_timeout(&self) -> Option<Deadline<WatchReason>> {
        let due = |place: &Place| Deadline::new(place.next_ask, WatchReason::ListDue);
        let idle = self.places.values().filter(|place| place.asking.is_none());
        Deadline::earliest(idle.map(|place| Some(due(place))))
    }

    /// xorshift64: good enough to keep a thousand clients from asking in the same second.
    fn spread(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
