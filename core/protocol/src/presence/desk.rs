//! The supernode's side: leases of front doors (a lease is a relay link), what their devices said of their persons, who may
//! see it and who wants to. It cannot read what it keeps.

mod strangers;
mod turns;
mod watches;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use starling_wire::ids::{EndpointKey, SubscriptionId};
use starling_wire::limits::{GRANTED_MAX, GRANTED_TO_MAX, STATES_MAX, WATCH_SHORT};
use starling_wire::presence::{Sealed, Sighting, digest};
use starling_wire::supernode::{Grant, SupernodeAddr, Watch};

use self::turns::Turns;
pub use self::watches::LIST_TIME;
use self::watches::ListKey;
use self::watches::Watches;
use crate::machine::{Deadline, Time};
use crate::tokens::{Rate, Tokens};

/// A link that ends is often followed by the next at once (a new network, a relay dialled afresh): nobody is told before.
pub const GRACE: Duration = Duration::from_secs(2);
/// What a device left is kept so long after its link has ended.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// A device says so often how its person is.
const SAYING: Rate = Rate {
    at_once: 6,
    every: Duration::from_secs(2),
};
/// And who may see it: another list for each contact who comes or goes, of whom alone it is told.
const GRANTING: Rate = Rate {
    at_once: 20,
    every: Duration::from_secs(2),
};
/// When somebody left is told to the minute.
const ROUND_S: u64 = 60;
/// Those who are reached for what one door announced; more of them hear it later. A person has some dozens of contacts.
const ANNOUNCED_OF_ONE: usize = 64;
/// Ids that may see nothing any more, and are answered as if their device had left.
const PARTED_MAX: usize = 10_000;

/// Somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// Whom.
    pub watcher: EndpointKey,
    /// Where they are reached.
    pub reply_to: SupernodeAddr,
    /// About whom.
    pub id: SubscriptionId,
}

/// Who wants to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watcher {
    /// Whose list it is.
    pub key: EndpointKey,
    /// Whether they are registered here.
    pub registered: bool,
    /// The block of addresses in which they sit, if that is known.
    pub block: Option<IpAddr>,
}

/// Why the desk refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeskRefusal {
    /// No room.
    Full,
    /// Too often.
    TooSoon,
    /// The list is not known, or something about it changed.
    Changed,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeskReason {
    /// A link ended and no new one came.
    GraceOver,
    /// A watch list was not sent again.
    ListOver,
    /// What somebody left is old.
    StateOver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// The number of the link that counts.
    Here(u64),
    /// The link ended; nobody was told yet.
    Leaving(Time),
}

/// What a device said. As small as it can be: thousands of them lie in memory.
#[derive(Debug)]
struct Said {
    state: Option<Box<[u8]>>,
    granted: Box<[SubscriptionId]>,
    /// When its link ended, by this machine's clock and by the world's.
    left: Option<(Time, u64)>,
    /// How often it may still say how its person is, and who may see it.
    saying: Tokens,
    granting: Tokens,
    /// It was announced that it will say so, since it did.
    announced: bool,
}

/// Who is here, what they said, and who wants to know.
#[derive(Debug, Default)]
pub struct Desk {
    leases: BTreeMap<EndpointKey, Lease>,
    /// Leases in their grace, by its end.
    leaving: BTreeSet<(Time, EndpointKey)>,
    said: BTreeMap<EndpointKey, Said>,
    /// What was said by those who are not here, by when they left.
    old: BTreeSet<(Time, EndpointKey)>,
    /// Whose each id is.
    granted: BTreeMap<SubscriptionId, EndpointKey>,
    /// How those are answered that may see nothing any more, and in which order that came.
    parted: BTreeMap<SubscriptionId, Sighting>,
    parting: VecDeque<SubscriptionId>,
    watches: Watches,
    turns: Turns,
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
        if let Some(said) = self.said.get_mut(&door)
            && let Some((at, _)) = said.left.take()
        {
            self.old.remove(&(at, door));
            self.tell(door);
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

    /// A registered door says who may see how it is. `wall_s` is the world's time in seconds.
    pub fn grant(
        &mut self,
        door: EndpointKey,
        grant: Grant,
        now: Time,
        wall_s: u64,
    ) -> Result<(), DeskRefusal> {
        let Grant { mut ids, unseen } = grant;
        ids.sort_unstable();
        ids.dedup();
        // PRESENCE-16: an id is whose it was first; nobody takes another's.
        ids.retain(|id| self.granted.get(id).is_none_or(|owner| *owner == door));
        let before = self.said.get(&door).map_or(0, |said| said.granted.len());
        let crowded = self.granted.len() - before + ids.len() > GRANTED_MAX;
        if ids.len() > GRANTED_TO_MAX || (crowded && ids.len() > before.max(WATCH_SHORT)) {
            return Err(DeskRefusal::Full);
        }
        let said = self.said_by(door, now)?;
        take(&mut said.granting, GRANTING, now)?;
        let before = said.granted.clone();
        for id in before.iter().filter(|id| ids.binary_search(id).is_err()) {
            self.part(*id, unseen.contains(id), wall_s);
        }
        for id in &ids {
            self.granted.insert(*id, door);
            self.parted.remove(id);
        }
        if let Some(said) = self.said.get_mut(&door) {
            said.granted = ids.clone().into_boxed_slice();
        }
        for id in ids.iter().filter(|id| before.binary_search(id).is_err()) {
            self.tell_about(*id);
        }
        Ok(())
    }

    /// `PRESENCE-15`: for whoever may see nothing any more, the device has left; nothing is known of it, if it is still to be
    /// reached.
    fn part(&mut self, id: SubscriptionId, unseen: bool, wall_s: u64) {
        let parted = match self.sighting(id) {
            Sighting::Here(state) => Sighting::Left {
                at: wall_s / ROUND_S * ROUND_S,
                state,
            },
            other => other,
        };
        self.granted.remove(&id);
        if parted != Sighting::Nothing && !unseen {
            self.parted.insert(id, parted);
            self.parting.push_back(id);
        }
        if self.parting.len() > PARTED_MAX
            && let Some(oldest) = self.parting.pop_front()
        {
            self.parted.remove(&oldest);
        }
        self.tell_about(id);
    }

    /// A registered door says how its person is.
    pub fn set_state(
        &mut self,
        door: EndpointKey,
        state: Sealed,
        now: Time,
    ) -> Result<(), DeskRefusal> {
        let said = self.said_by(door, now)?;
        take(&mut said.saying, SAYING, now)?;
        said.state = Some(state.0.into_boxed_slice());
        said.announced = false;
        self.tell(door);
        Ok(())
    }

    /// `PRESENCE-31`: a door is about to say how its person is. Who will be told, and where they are reached, of many the same
    /// few each time; nobody the second time, until it has said so.
    pub fn announce(&mut self, door: EndpointKey) -> BTreeMap<EndpointKey, SupernodeAddr> {
        let said = self.said.get_mut(&door);
        let Some(said) = said.filter(|said| said.state.is_some() && !said.announced) else {
            return BTreeMap::new();
        };
        said.announced = true;
        let watching = said.granted.iter().flat_map(|id| self.watches.of(*id));
        let each: BTreeMap<EndpointKey, &SupernodeAddr> = watching.collect();
        let few = each.into_iter().take(ANNOUNCED_OF_ONE);
        few.map(|(key, at)| (key, at.clone())).collect()
    }

    /// `PRESENCE-17`: the record of what a door said.
    fn said_by(&mut self, door: EndpointKey, now: Time) -> Result<&mut Said, DeskRefusal> {
        if !self.said.contains_key(&door) {
            if self.said.len() >= STATES_MAX && !self.forget_oldest() {
                return Err(DeskRefusal::Full);
            }
            // Its link may not be counted yet; if none comes, this is old some day.
            let left = (!self.leases.contains_key(&door)).then_some((now, 0));
            self.old.extend(left.map(|(at, _)| (at, door)));
            let said = Said {
                state: None,
                granted: Box::default(),
                left,
                saying: Tokens::full(SAYING, now),
                granting: Tokens::full(GRANTING, now),
                announced: false,
            };
            self.said.insert(door, said);
        }
        self.said.get_mut(&door).ok_or(DeskRefusal::Full)
    }

    /// Replaces a watch list; returns how its ids stand. Refused when no more lists, or none so long, are taken
    /// (`PRESENCE-03`, `PRESENCE-28`), or it is too soon (`PRESENCE-29`).
    pub fn watch(
        &mut self,
        watcher: Watcher,
        watch: Watch,
        now: Time,
    ) -> Result<Vec<Sighting>, DeskRefusal> {
        self.turn(&watcher, now)?;
        let standing = watch.ids.iter().map(|id| self.sighting(*id)).collect();
        let list = (&watcher, watch.list);
        self.watches.set(list, watch.ids, watch.reply_to, now)?;
        Ok(standing)
    }

    fn turn(&mut self, watcher: &Watcher, now: Time) -> Result<(), DeskRefusal> {
        let turn = self.turns.take(watcher, now);
        turn.then_some(()).ok_or(DeskRefusal::TooSoon)
    }

    /// `PRESENCE-20`: a list of which nothing changed is kept on without being sent again.
    pub fn still_watch(
        &mut self,
        (watcher, list): (Watcher, u8),
        reply_to: &SupernodeAddr,
        known: [u8; 16],
        now: Time,
    ) -> Result<(), DeskRefusal> {
        self.turn(&watcher, now)?;
        let key = ListKey {
            watcher: watcher.key,
            list,
        };
        let ids = self
            .watches
            .ids(key, reply_to)
            .ok_or(DeskRefusal::Changed)?;
        let marked = ids.iter().map(|id| (*id, self.sighting(*id).mark()));
        if digest(marked) != known {
            return Err(DeskRefusal::Changed);
        }
        self.watches.keep(key, now);
        Ok(())
    }

    /// Forgets the lists of a watcher that could not be told, beginning with `since` (`PRESENCE-04`): it asks again when it is
    /// back. A list that came since then counts: where its owner is reached.
    pub fn unwatch(&mut self, watcher: EndpointKey, since: Time) -> Option<SupernodeAddr> {
        self.watches.forget(watcher, since)
    }

    /// How an id stands. One that nobody lets see anything is answered like one that never was.
    pub fn sighting(&self, id: SubscriptionId) -> Sighting {
        if let Some(parted) = self.parted.get(&id) {
            return parted.clone();
        }
        let door = self.granted.get(&id).copied();
        let said = door.and_then(|door| self.said.get(&door));
        let Some((door, said)) = door.zip(said) else {
            return Sighting::Nothing;
        };
        let Some(state) = said.state.clone() else {
            return Sighting::Nothing;
        };
        let state = Sealed(state.into_vec());
        match said.left {
            None if self.leases.contains_key(&door) => Sighting::Here(state),
            Some((_, at)) if at != 0 => Sighting::Left { at, state },
            _ => Sighting::Nothing,
        }
    }

    /// Ends leases whose grace is over, and forgets lists that were not sent again (`PRESENCE-09`) and states that are old.
    /// `wall_s` is the world's time in seconds.
    pub fn handle_timeout(&mut self, now: Time, wall_s: u64) {
        while let Some((at, door)) = self.leaving.first().copied()
            && at <= now
        {
            self.leaving.remove(&(at, door));
            self.leases.remove(&door);
            if let Some(said) = self.said.get_mut(&door) {
                // The clock may be wrong; 0 stands for "was never here".
                said.left = Some((now, (wall_s / ROUND_S * ROUND_S).max(1)));
                self.old.insert((now, door));
                self.tell(door);
            }
        }
        self.watches.handle_timeout(now);
        while let Some((at, _)) = self.old.first()
            && *at + KEPT <= now
        {
            self.forget_oldest();
        }
    }

    /// When to be woken, and why.
    pub fn poll_timeout(&self) -> Option<Deadline<DeskReason>> {
        let leaving = self.leaving.first().map(|(at, _)| *at);
        let old = self.old.first().map(|(at, _)| *at + KEPT);
        Deadline::earliest([
            leaving.map(|at| Deadline::new(at, DeskReason::GraceOver)),
            self.watches
                .next_end()
                .map(|at| Deadline::new(at, DeskReason::ListOver)),
            old.map(|at| Deadline::new(at, DeskReason::StateOver)),
        ])
    }

    /// Who is to be told next. What is told is how the id stands by then.
    pub fn poll_tell(&mut self) -> Option<Tell> {
        self.tells.pop_front()
    }

    /// Forgets what was said by whoever has been gone longest; whether anybody is gone.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, door)) = self.old.pop_first() else {
            return false;
        };
        let said = self.said.remove(&door);
        for id in said.iter().flat_map(|said| &said.granted) {
            self.granted.remove(id);
        }
        true
    }

    fn tell(&mut self, door: EndpointKey) {
        let Some(said) = self.said.get(&door).filter(|said| said.state.is_some()) else {
            return;
        };
        for id in said.granted.clone() {
            self.tell_about(id);
        }
    }

    fn tell_about(&mut self, id: SubscriptionId) {
        for (watcher, reply_to) in self.watches.of(id) {
            self.tells.push_back(Tell {
                watcher,
                reply_to: reply_to.clone(),
                id,
            });
        }
    }
}

fn take(tokens: &mut Tokens, rate: Rate, now: Time) -> Result<(), DeskRefusal> {
    let may = tokens.take(rate, now);
    may.then_some(()).ok_or(DeskRefusal::TooSoon)
}

#[cfg(test)]
mod tests;
