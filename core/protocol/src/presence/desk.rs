//! The supernode's side: leases of front doors (a lease is a relay link) and the people who watch them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::limits::WATCH_MAX;
use starling_wire::supernode::SupernodeAddr;

/// A link that ends is often followed by the next at once (a new network, a relay dialled afresh): nobody is told before.
pub const GRACE: Duration = Duration::from_secs(2);
/// Watch lists kept at once.
pub const WATCHERS_MAX: usize = 20_000;

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

#[derive(Debug)]
struct Watch {
    doors: BTreeSet<EndpointKey>,
    reply_to: SupernodeAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// The number of the link that counts.
    Here(u64),
    /// The link ended; nobody was told yet.
    Leaving(Duration),
}

/// Who is here, and who wants to know.
#[derive(Debug, Default)]
pub struct Desk {
    leases: BTreeMap<EndpointKey, Lease>,
    watches: BTreeMap<EndpointKey, Watch>,
    watched: BTreeMap<EndpointKey, BTreeSet<EndpointKey>>,
    tells: VecDeque<Tell>,
}

impl Desk {
    /// `PRESENCE-01`: a door's newest link is its lease.
    pub fn link_up(&mut self, door: EndpointKey, link: u64) {
        let before = self.leases.get(&door).copied();
        if matches!(before, Some(Lease::Here(newer)) if newer > link) {
            return;
        }
        self.leases.insert(door, Lease::Here(link));
        if before.is_none() {
            self.tell(door, true);
        }
    }

    /// `PRESENCE-02`: the end of an older link changes nothing; the end of the newest is told after [`GRACE`].
    pub fn link_down(&mut self, door: EndpointKey, link: u64, now: Duration) {
        if self.leases.get(&door) == Some(&Lease::Here(link)) {
            self.leases.insert(door, Lease::Leaving(now + GRACE));
        }
    }

    /// Whether a door's link is up at this moment.
    pub fn is_here(&self, door: EndpointKey) -> bool {
        matches!(self.leases.get(&door), Some(Lease::Here(_)))
    }

    /// Replaces what `watcher` watches; returns how things stand. `None` when no more watchers are taken (`PRESENCE-03`).
    pub fn watch(
        &mut self,
        watcher: EndpointKey,
        doors: &[EndpointKey],
        reply_to: SupernodeAddr,
    ) -> Option<Vec<(EndpointKey, bool)>> {
        let full = self.watches.len() >= WATCHERS_MAX && !self.watches.contains_key(&watcher);
        if full || doors.len() > WATCH_MAX {
            return None;
        }
        self.unwatch(watcher);
        let doors: BTreeSet<EndpointKey> = doors.iter().copied().collect();
        for door in &doors {
            self.watched.entry(*door).or_default().insert(watcher);
        }
        let state = doors
            .iter()
            .map(|door| (*door, self.leases.contains_key(door)))
            .collect();
        if !doors.is_empty() {
            self.watches.insert(watcher, Watch { doors, reply_to });
        }
        Some(state)
    }

    /// Forgets a watcher that could not be told (`PRESENCE-04`): it asks again when it is back.
    pub fn unwatch(&mut self, watcher: EndpointKey) {
        let Some(watch) = self.watches.remove(&watcher) else {
            return;
        };
        for door in watch.doors {
            if let Some(watchers) = self.watched.get_mut(&door) {
                watchers.remove(&watcher);
                if watchers.is_empty() {
                    self.watched.remove(&door);
                }
            }
        }
    }

    /// Ends leases whose grace is over.
    pub fn handle_timeout(&mut self, now: Duration) {
        let over = |lease: &Lease| matches!(lease, Lease::Leaving(at) if *at <= now);
        let gone: Vec<EndpointKey> = self
            .leases
            .iter()
            .filter(|(_, lease)| over(lease))
            .map(|(door, _)| *door)
            .collect();
        for door in gone {
            self.leases.remove(&door);
            self.tell(door, false);
        }
    }

    /// When the next grace is over.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.leases
            .values()
            .filter_map(|lease| match lease {
                Lease::Leaving(at) => Some(*at),
                Lease::Here(_) => None,
            })
            .min()
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
        assert_eq!(desk.watch(ALICE, &[BOB], home()), Some(vec![(BOB, false)]));
        desk.link_up(BOB, 2);
        desk.link_up(BOB, 1);
        assert_eq!(told(&mut desk), [true]);
        desk.link_down(BOB, 1, seconds(0));
        assert!(desk.is_here(BOB));
        assert_eq!(desk.watch(ALICE, &[BOB], home()), Some(vec![(BOB, true)]));
    }

    #[test]
    fn presence_02_a_link_dialled_afresh_is_no_absence() {
        let mut desk = Desk::default();
        desk.watch(ALICE, &[BOB], home());
        desk.link_up(BOB, 1);
        desk.link_down(BOB, 1, seconds(5));
        assert_eq!(desk.poll_timeout(), Some(seconds(7)));
        desk.link_up(BOB, 2);
        desk.handle_timeout(seconds(60));
        assert_eq!(told(&mut desk), [true]);
        desk.link_down(BOB, 2, seconds(61));
        desk.handle_timeout(seconds(62));
        assert_eq!(told(&mut desk), [] as [bool; 0]);
        desk.handle_timeout(seconds(63));
        assert_eq!(told(&mut desk), [false]);
        assert_eq!(desk.poll_timeout(), None);
    }

    #[test]
    fn presence_03_watch_lists_are_bounded() {
        let mut desk = Desk::default();
        assert_eq!(desk.watch(ALICE, &vec![BOB; WATCH_MAX + 1], home()), None);
        for number in 0..WATCHERS_MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            assert!(desk.watch(EndpointKey(key), &[BOB], home()).is_some());
        }
        assert_eq!(desk.watch(ALICE, &[BOB], home()), None);
    }

    #[test]
    fn presence_04_who_cannot_be_told_is_forgotten() {
        let mut desk = Desk::default();
        desk.watch(ALICE, &[BOB], home());
        desk.unwatch(ALICE);
        desk.link_up(BOB, 1);
        assert_eq!(told(&mut desk), [] as [bool; 0]);
        assert!(desk.watched.is_empty());
    }
}
