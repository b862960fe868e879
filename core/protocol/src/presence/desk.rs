//! The supernode's side: leases of front doors (a lease is a relay link) and the people who watch them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::limits::{WATCH_MAX, WATCH_SHORT, WATCHED_MAX, WATCHERS_MAX};
use starling_wire::supernode::SupernodeAddr;

use super::watcher::REFRESH;
use crate::machine::{Deadline, Time};

/// A link that ends is often followed by the next at once (a new network, a relay dialled afresh): nobody is told before.
pub const GRACE: Duration = Duration::from_secs(2);
/// A list that was not sent again for so long is forgotten: its owner is somewhere else.
pub const LIST_TIME: Duration = Duration::from_secs(3 * REFRESH.as_secs());

/// Somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// Whom.
    pub watcher: EndpointKey,
    /// Where they are reached.
    pub reply_to: SupernodeAddr,
    /// About whom.
    pub door: EndpointKey,
    /// Here or gone.
    pub online: bool,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeskReason {
    /// A link ended and no new one came.
    GraceOver,
    /// A watch list was not sent again.
    ListOver,
}

#[derive(Debug)]
struct Watch {
    doors: BTreeSet<EndpointKey>,
    reply_to: SupernodeAddr,
    until: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// The number of the link that counts.
    Here(u64),
    /// The link ended; nobody was told yet.
    Leaving(Time),
}

/// Who is here, and who wants to know.
#[derive(Debug, Default)]
pub struct Desk {
    leases: BTreeMap<EndpointKey, Lease>,
    /// Leases in their grace, by its end.
    leaving: BTreeSet<(Time, EndpointKey)>,
    watches: BTreeMap<EndpointKey, Watch>,
    /// Watch lists, by their end.
    ending: BTreeSet<(Time, EndpointKey)>,
    watched: BTreeMap<EndpointKey, BTreeSet<EndpointKey>>,
    /// Doors in all lists together.
    pairs: usize,
    tells: VecDeque<Tell>,
}

impl Desk {
    /// `PRESENCE-01`: a door's newest link is its lease.
    pub fn link_up(&mut self, door: EndpointKey, link: u64) {
        let before = self.leases.get(&door).copied();
        match before {
            Some(Lease::Here(newer)) if newer > link => return,
            Some(Lease::Leaving(at)) => {
                self.leaving.remove(&(at, door));
            }
            _ => {}
        }
        self.leases.insert(door, Lease::Here(link));
        if before.is_none() {
            self.tell(door, true);
        }
    }

    /// `PRESENCE-02`: the end of an older link changes nothing; the end of the newest is told after [`GRACE`].
    pub fn link_down(&mut self, door: EndpointKey, link: u64, now: Time) {
        if self.leases.get(&door) == Some(&Lease::Here(link)) {
            self.leases.insert(door, Lease::Leaving(now + GRACE));
            self.leaving.insert((now + GRACE, door));
        }
    }

    /// Whether a door's link is up at this moment.
    pub fn is_here(&self, door: EndpointKey) -> bool {
        matches!(self.leases.get(&door), Some(Lease::Here(_)))
    }

    /// Replaces what `watcher` watches; returns how things stand. `None` when no more lists, or none so long, are taken
    /// (`PRESENCE-03`).
    pub fn watch(
        &mut self,
        watcher: EndpointKey,
        doors: &[EndpointKey],
        reply_to: SupernodeAddr,
        now: Time,
    ) -> Option<Vec<(EndpointKey, bool)>> {
        let known = self.watches.get(&watcher);
        let before = known.map_or(0, |watch| watch.doors.len());
        let full = known.is_none() && self.watches.len() >= WATCHERS_MAX;
        let crowded = self.pairs - before + doors.len() > WATCHED_MAX;
        if full || doors.len() > WATCH_MAX || (crowded && doors.len() > WATCH_SHORT) {
            return None;
        }
        self.unwatch(watcher);
        let doors: BTreeSet<EndpointKey> = doors.iter().copied().collect();
        for door in &doors {
            self.watched.entry(*door).or_default().insert(watcher);
        }
        self.pairs += doors.len();
        let state = doors
            .iter()
            .map(|door| (*door, self.leases.contains_key(door)))
            .collect();
        if !doors.is_empty() {
            let until = now + LIST_TIME;
            self.ending.insert((until, watcher));
            let watch = Watch {
                doors,
                reply_to,
                until,
            };
            self.watches.insert(watcher, watch);
        }
        Some(state)
    }

    /// Forgets a watcher that could not be told (`PRESENCE-04`): it asks again when it is back.
    pub fn unwatch(&mut self, watcher: EndpointKey) {
        let Some(watch) = self.watches.remove(&watcher) else {
            return;
        };
        self.ending.remove(&(watch.until, watcher));
        self.pairs -= watch.doors.len();
        for door in watch.doors {
            if let Some(watchers) = self.watched.get_mut(&door) {
                watchers.remove(&watcher);
                if watchers.is_empty() {
                    self.watched.remove(&door);
                }
            }
        }
    }

    /// Ends leases whose grace is over, and lists that were not sent again (`PRESENCE-09`).
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some((at, door)) = self.leaving.first().copied()
            && at <= now
        {
            self.leaving.remove(&(at, door));
            self.leases.remove(&door);
            self.tell(door, false);
        }
        while let Some((at, watcher)) = self.ending.first().copied()
            && at <= now
        {
            self.unwatch(watcher);
        }
    }

    /// When to be woken, and why.
    pub fn poll_timeout(&self) -> Option<Deadline<DeskReason>> {
        let first = |set: &BTreeSet<(Time, EndpointKey)>, reason| {
            set.first().map(|(at, _)| Deadline::new(*at, reason))
        };
        Deadline::earliest([
            first(&self.leaving, DeskReason::GraceOver),
            first(&self.ending, DeskReason::ListOver),
        ])
    }

    /// Who is to be told next.
    pub fn poll_tell(&mut self) -> Option<Tell> {
        self.tells.pop_front()
    }

    fn tell(&mut self, door: EndpointKey, online: bool) {
        for watcher in self.watched.get(&door).into_iter().flatten() {
            if let Some(watch) = self.watches.get(watcher) {
                self.tells.push_back(Tell {
                    watcher: *watcher,
                    reply_to: watch.reply_to.clone(),
                    door,
                    online,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: EndpointKey = EndpointKey([1; 32]);
    const BOB: EndpointKey = EndpointKey([2; 32]);

    fn home() -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([9; 32]),
            tcp: "127.0.0.1:1".parse().expect("an address"),
            discovery_port: 0,
        }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn told(desk: &mut Desk) -> Vec<bool> {
        std::iter::from_fn(|| desk.poll_tell())
            .map(|tell| tell.online)
            .collect()
    }

    #[test]
    fn presence_01_the_newest_link_is_the_lease() {
        let mut desk = Desk::default();
        assert_eq!(
            desk.watch(ALICE, &[BOB], home(), seconds(0)),
            Some(vec![(BOB, false)])
        );
        desk.link_up(BOB, 2);
        desk.link_up(BOB, 1);
        assert_eq!(told(&mut desk), [true]);
        desk.link_down(BOB, 1, seconds(0));
        assert!(desk.is_here(BOB));
        assert_eq!(
            desk.watch(ALICE, &[BOB], home(), seconds(0)),
            Some(vec![(BOB, true)])
        );
    }

    #[test]
    fn presence_02_a_link_dialled_afresh_is_no_absence() {
        let mut desk = Desk::default();
        desk.watch(ALICE, &[BOB], home(), seconds(0));
        desk.link_up(BOB, 1);
        desk.link_down(BOB, 1, seconds(5));
        let grace = Deadline::new(seconds(7), DeskReason::GraceOver);
        assert_eq!(desk.poll_timeout(), Some(grace));
        desk.link_up(BOB, 2);
        desk.handle_timeout(seconds(60));
        assert_eq!(told(&mut desk), [true]);
        desk.link_down(BOB, 2, seconds(61));
        desk.handle_timeout(seconds(62));
        assert_eq!(told(&mut desk), [] as [bool; 0]);
        desk.handle_timeout(seconds(63));
        assert_eq!(told(&mut desk), [false]);
        let list = Deadline::new(LIST_TIME, DeskReason::ListOver);
        assert_eq!(desk.poll_timeout(), Some(list));
    }

    #[test]
    fn presence_03_watch_lists_are_bounded() {
        let mut desk = Desk::default();
        assert_eq!(
            desk.watch(ALICE, &vec![BOB; WATCH_MAX + 1], home(), seconds(0)),
            None
        );
        for number in 0..WATCHERS_MAX {
            let watcher = numbered(number);
            assert!(desk.watch(watcher, &[BOB], home(), seconds(0)).is_some());
        }
        assert_eq!(desk.watch(ALICE, &[BOB], home(), seconds(0)), None);
    }

    fn numbered(number: usize) -> EndpointKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        EndpointKey(key)
    }

    #[test]
    fn presence_03_long_lists_are_bounded_together_and_short_ones_still_taken() {
        let mut desk = Desk::default();
        let doors: Vec<EndpointKey> = (0..WATCH_MAX).map(numbered).collect();
        let fit = WATCHED_MAX / WATCH_MAX;
        for number in 0..fit {
            let watcher = numbered(1_000_000 + number);
            assert!(desk.watch(watcher, &doors, home(), seconds(0)).is_some());
        }
        assert_eq!(desk.watch(ALICE, &doors, home(), seconds(0)), None);
        let short = &doors[..WATCH_SHORT];
        assert!(desk.watch(ALICE, short, home(), seconds(0)).is_some());
        let same = numbered(1_000_000);
        assert!(
            desk.watch(same, &doors, home(), seconds(0)).is_some(),
            "a list that is sent again takes its own place"
        );
        for number in 0..fit {
            desk.unwatch(numbered(1_000_000 + number));
        }
        assert_eq!(desk.pairs, WATCH_SHORT);
    }

    #[test]
    fn presence_09_a_list_that_is_not_sent_again_is_forgotten() {
        let mut desk = Desk::default();
        desk.watch(ALICE, &[BOB], home(), seconds(0));
        desk.watch(ALICE, &[BOB], home(), seconds(100));
        desk.handle_timeout(LIST_TIME);
        desk.link_up(BOB, 1);
        assert_eq!(told(&mut desk), [true]);
        desk.handle_timeout(LIST_TIME + seconds(100));
        assert_eq!(desk.poll_timeout(), None);
        desk.link_down(BOB, 1, seconds(5_000));
        desk.handle_timeout(seconds(5_002));
        assert_eq!(told(&mut desk), [] as [bool; 0]);
        assert!(desk.watched.is_empty() && desk.watches.is_empty() && desk.pairs == 0);
    }

    #[test]
    fn presence_04_who_cannot_be_told_is_forgotten() {
        let mut desk = Desk::default();
        desk.watch(ALICE, &[BOB], home(), seconds(0));
        desk.unwatch(ALICE);
        desk.link_up(BOB, 1);
        assert_eq!(told(&mut desk), [] as [bool; 0]);
        assert!(desk.watched.is_empty());
    }
}
