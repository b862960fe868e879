//! The client's side: which front doors are watched at which supernode, what is known of them, when to ask again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::limits::WATCH_MAX;
use starling_wire::supernode::SupernodeAddr;

use crate::machine::Deadline;

/// A subscription is renewed so often: a supernode that was restarted has forgotten it.
pub const REFRESH: Duration = Duration::from_secs(5 * 60);
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

/// What is known of a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Its supernode could not be asked.
    Unknown,
    /// Its link is up.
    Here,
    /// It is not.
    Gone,
}

/// A watch list to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// To be given back with the answer.
    pub number: u64,
    /// To whom.
    pub supernode: SupernodeAddr,
    /// About whom.
    pub doors: Vec<EndpointKey>,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchReason {
    /// A list has to be sent, or sent again.
    ListDue,
}

#[derive(Debug)]
struct Place {
    /// Where cards say it is, the most named first. Never empty.
    addresses: Vec<SupernodeAddr>,
    /// Which of them is asked.
    at: usize,
    doors: BTreeSet<EndpointKey>,
    next_ask: Duration,
    failures: u32,
    /// The question that is out.
    asking: Option<u64>,
}

/// What cards say about one supernode.
#[derive(Debug, Default)]
struct Wanted {
    doors: BTreeSet<EndpointKey>,
    named: BTreeMap<SupernodeAddr, usize>,
}

impl Wanted {
    fn in_order(self) -> (Vec<SupernodeAddr>, BTreeSet<EndpointKey>) {
        let mut named: Vec<_> = self.named.into_iter().collect();
        named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let addresses = named.into_iter().map(|(address, _)| address).collect();
        (addresses, self.doors)
    }
}

/// Watches contacts' doors at their supernodes.
#[derive(Debug)]
pub struct Watcher {
    places: BTreeMap<EndpointKey, Place>,
    seen: BTreeMap<EndpointKey, Seen>,
    changes: VecDeque<(EndpointKey, Seen)>,
    asks: u64,
    random: u64,
}

impl Watcher {
    /// Watches nobody yet. The seed spreads retries.
    pub const fn new(seed: u64) -> Self {
        Self {
            places: BTreeMap::new(),
            seen: BTreeMap::new(),
            changes: VecDeque::new(),
            asks: 0,
            random: seed | 1,
        }
    }

    /// Replaces who is watched where (`PRESENCE-05`: only what changed is asked anew).
    pub fn set_targets(&mut self, targets: &[(EndpointKey, SupernodeAddr)], now: Duration) {
        let mut wanted: BTreeMap<EndpointKey, Wanted> = BTreeMap::new();
        for (door, home) in targets {
            let place = wanted.entry(home.id).or_default();
            place.doors.insert(*door);
            *place.named.entry(home.clone()).or_default() += 1;
        }
        for (id, place) in &mut self.places {
            if !wanted.contains_key(id) && !place.doors.is_empty() {
                place.doors.clear();
                place.next_ask = now;
            }
        }
        for (id, wanted) in wanted {
            let (addresses, doors) = wanted.in_order();
            let fresh = || Place {
                addresses: Vec::new(),
                at: 0,
                doors: BTreeSet::new(),
                next_ask: now,
                failures: 0,
                asking: None,
            };
            let place = self.places.entry(id).or_insert_with(fresh);
            if place.doors != doors || place.addresses != addresses {
                // An address that works is kept while anybody names it.
                let used = place.addresses.get(place.at);
                let at = addresses.iter().position(|address| Some(address) == used);
                if at.is_none() {
                    // PRESENCE-08: what is asked at the old address is not waited for.
                    place.asking = None;
                }
                place.at = at.unwrap_or(0);
                place.doors = doors;
                place.addresses = addresses;
                place.next_ask = now;
                place.failures = 0;
            }
        }
        let watched: BTreeSet<EndpointKey> = targets.iter().map(|(door, _)| *door).collect();
        self.seen.retain(|door, _| watched.contains(door));
        for door in watched {
            self.seen.entry(door).or_insert(Seen::Unknown);
        }
    }

    /// Our own home changed or came back: everybody has to learn where we are reached.
    pub fn ask_all(&mut self, now: Duration) {
        for place in self.places.values_mut() {
            place.next_ask = now;
            place.failures = 0;
        }
    }

    /// The next list that is due.
    pub fn poll_ask(&mut self, now: Duration) -> Option<Ask> {
        let place = self
            .places
            .values_mut()
            .find(|place| place.asking.is_none() && place.next_ask <= now)?;
        self.asks += 1;
        place.asking = Some(self.asks);
        Some(Ask {
            number: self.asks,
            supernode: place.addresses[place.at].clone(),
            // Beyond the bound the whole list would be refused; the rest stays unknown.
            doors: place.doors.iter().copied().take(WATCH_MAX).collect(),
        })
    }

    /// A supernode answered.
    pub fn handle_answer(
        &mut self,
        supernode: EndpointKey,
        number: u64,
        state: &[(EndpointKey, bool)],
        now: Duration,
    ) {
        let Some(place) = self.answered(supernode, number) else {
            return;
        };
        place.failures = 0;
        place.next_ask = place.next_ask.max(now + REFRESH);
        if place.doors.is_empty() {
            self.places.remove(&supernode);
            return;
        }
        let here: Vec<_> = state
            .iter()
            .filter(|(door, _)| place.doors.contains(door))
            .copied()
            .collect();
        for (door, online) in here {
            self.set(door, if online { Seen::Here } else { Seen::Gone });
        }
    }

    /// A supernode could not be asked (`PRESENCE-06`: its doors are unknown, not gone; retries slow down).
    pub fn handle_failure(&mut self, supernode: EndpointKey, number: u64, now: Duration) {
        let Some(place) = self.answered(supernode, number) else {
            return;
        };
        if place.doors.is_empty() {
            self.places.remove(&supernode);
            return;
        }
        // PRESENCE-10: a card with a wrong address does not hide the doors that others name.
        place.at = (place.at + 1) % place.addresses.len();
        let wait = RETRY_FIRST
            .saturating_mul(1 << place.failures.min(8))
            .min(RETRY_MAX);
        place.failures += 1;
        let doors: Vec<_> = place.doors.iter().copied().collect();
        let wait = wait / 2 + wait.mul_f64(self.spread()) / 2;
        if let Some(place) = self.places.get_mut(&supernode) {
            place.next_ask = now + wait;
        }
        for door in doors {
            self.set(door, Seen::Unknown);
        }
    }

    /// A supernode says that a door came or went. Believed only for doors that are watched there (`PRESENCE-07`).
    pub fn handle_notice(&mut self, supernode: EndpointKey, door: EndpointKey, online: bool) {
        if self
            .places
            .get(&supernode)
            .is_some_and(|place| place.doors.contains(&door))
        {
            self.set(door, if online { Seen::Here } else { Seen::Gone });
        }
    }

    /// What is known of a door.
    pub fn seen(&self, door: EndpointKey) -> Seen {
        self.seen.get(&door).copied().unwrap_or(Seen::Unknown)
    }

    /// The next change.
    pub fn poll_change(&mut self) -> Option<(EndpointKey, Seen)> {
        self.changes.pop_front()
    }

    /// When the next list is due, and why.
    pub fn poll_timeout(&self) -> Option<Deadline<WatchReason>> {
        let due = |place: &Place| Deadline::new(place.next_ask, WatchReason::ListDue);
        let idle = self.places.values().filter(|place| place.asking.is_none());
        Deadline::earliest(idle.map(|place| Some(due(place))))
    }

    /// The place whose question has come to an end, if it was its last one.
    fn answered(&mut self, supernode: EndpointKey, number: u64) -> Option<&mut Place> {
        let place = self.places.get_mut(&supernode)?;
        place.asking.take_if(|asked| *asked == number)?;
        Some(place)
    }

    fn set(&mut self, door: EndpointKey, seen: Seen) {
        if let Some(known) = self.seen.get_mut(&door)
            && *known != seen
        {
            *known = seen;
            self.changes.push_back((door, seen));
        }
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
mod tests {
    use super::*;

    const BOB: EndpointKey = EndpointKey([2; 32]);
    const CAROL: EndpointKey = EndpointKey([3; 32]);

    fn home(id: u8) -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([id; 32]),
            tcp: "127.0.0.1:1".parse().expect("an address"),
            discovery_port: 0,
        }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn presence_05_only_what_changed_is_asked_anew() {
        let mut watcher = Watcher::new(1);
        watcher.set_targets(&[(BOB, home(7))], seconds(0));
        assert_eq!(
            watcher.poll_ask(seconds(0)),
            Some(Ask {
                number: 1,
                supernode: home(7),
                doors: vec![BOB]
            })
        );
        assert_eq!(watcher.poll_ask(seconds(0)), None, "an answer is awaited");
        watcher.handle_answer(home(7).id, 1, &[(BOB, true)], seconds(1));
        assert_eq!(watcher.poll_change(), Some((BOB, Seen::Here)));
        watcher.set_targets(&[(BOB, home(7)), (CAROL, home(8))], seconds(2));
        assert_eq!(
            watcher.poll_ask(seconds(2)),
            Some(Ask {
                number: 2,
                supernode: home(8),
                doors: vec![CAROL]
            })
        );
        watcher.handle_answer(home(8).id, 2, &[(CAROL, false)], seconds(2));
        let due = Deadline::new(seconds(301), WatchReason::ListDue);
        assert_eq!(watcher.poll_timeout(), Some(due));
        watcher.set_targets(&[(CAROL, home(8))], seconds(3));
        assert_eq!(
            watcher.poll_ask(seconds(3)),
            Some(Ask {
                number: 3,
                supernode: home(7),
                doors: vec![]
            }),
            "the list is withdrawn"
        );
    }

    #[test]
    fn presence_06_an_unreachable_supernode_makes_its_doors_unknown_and_is_asked_ever_less() {
        let mut watcher = Watcher::new(5);
        watcher.set_targets(&[(BOB, home(7))], seconds(0));
        let mut now = seconds(0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let ask = watcher.poll_ask(now).expect("due");
            watcher.handle_failure(home(7).id, ask.number, now);
            let next = watcher.poll_timeout().expect("a retry").at;
            waits.push(next - now);
            now = next;
        }
        assert!(
            waits[0] <= RETRY_FIRST && waits[11] >= RETRY_MAX / 2 && waits[11] <= RETRY_MAX,
            "{waits:?}"
        );
        assert_eq!(watcher.seen(BOB), Seen::Unknown);
    }

    #[test]
    fn presence_08_a_supernode_that_moved_is_asked_at_once_and_the_old_answer_is_ignored() {
        let mut watcher = Watcher::new(1);
        let mut moved = home(7);
        moved.tcp.set_port(2);
        watcher.set_targets(&[(BOB, home(7))], seconds(0));
        let old = watcher.poll_ask(seconds(0)).expect("due");
        watcher.set_targets(&[(BOB, moved.clone())], seconds(1));
        let new = watcher.poll_ask(seconds(1)).expect("due at once");
        assert_eq!(new.supernode, moved);
        watcher.handle_failure(home(7).id, old.number, seconds(5));
        assert_eq!(watcher.poll_ask(seconds(5)), None, "the new one is out");
        watcher.handle_answer(home(7).id, new.number, &[(BOB, true)], seconds(6));
        assert_eq!(watcher.seen(BOB), Seen::Here);
    }

    #[test]
    fn presence_07_a_notice_counts_only_from_the_doors_own_supernode() {
        let mut watcher = Watcher::new(1);
        watcher.set_targets(&[(BOB, home(7)), (CAROL, home(8))], seconds(0));
        watcher.handle_notice(home(8).id, BOB, true);
        assert_eq!(watcher.poll_change(), None);
        watcher.handle_notice(home(7).id, BOB, true);
        watcher.handle_notice(home(7).id, BOB, true);
        assert_eq!(watcher.poll_change(), Some((BOB, Seen::Here)));
        assert_eq!(watcher.poll_change(), None);
    }

    #[test]
    fn presence_10_a_wrong_address_in_one_card_does_not_hide_the_others() {
        let mut watcher = Watcher::new(1);
        let mut wrong = home(7);
        wrong.tcp = "127.0.0.1:0".parse().expect("sorts before the right one");
        watcher.set_targets(&[(CAROL, wrong.clone()), (BOB, home(7))], seconds(0));
        let first = watcher.poll_ask(seconds(0)).expect("due");
        assert_eq!((first.supernode, first.doors.len()), (wrong, 2));
        watcher.handle_failure(home(7).id, first.number, seconds(5));
        let next = watcher.poll_timeout().expect("a retry").at;
        let second = watcher.poll_ask(next).expect("due");
        assert_eq!((second.supernode, second.doors.len()), (home(7), 2));
        watcher.handle_answer(home(7).id, second.number, &[(BOB, true)], next);
        assert_eq!(watcher.seen(BOB), Seen::Here);
        let again = watcher.poll_ask(next + REFRESH).expect("due");
        assert_eq!(again.supernode, home(7), "what worked is kept");
    }
}
