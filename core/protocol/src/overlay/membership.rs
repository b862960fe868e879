//! The list of all supernodes, as one supernode knows it: SWIM (Das, Gupta, Motivala 2002) by the `foca` engine, with three
//! rules of ours round it, because members are strangers (`MEMBER-05` to `MEMBER-08`):
//!
//! - Nobody counts as a member without a description that he signed himself; it is asked for where the news came from.
//! - Nobody counts as gone because others say so: the rumour only makes us look ourselves.
//! - Who brings news of members that nobody has heard of is believed slowly, and all members together are bounded.
//!
//! SWIM tells what changes; whoever missed it learns it by comparing lists with one other member every three minutes (`MEMBER-09`).
//! One probe each [`PROBE_EVERY`] and one comparison: a member at rest costs tens of bytes a second.

mod belief;
pub mod digest;
mod lists;
mod load;
mod merge;
mod peer;
mod unheard;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, OwnedNotification, PostcardCodec, Timer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use starling_wire::descriptor::VerifiedDescriptor;
use starling_wire::ids::EndpointKey;
use starling_wire::overlay::{DESCRIBED_MAX, GOSSIP_MAX};

use self::belief::News;
use self::digest::Digest;
use self::load::Loads;
use self::merge::Merge;
use self::peer::{Peer, config};
use crate::backoff::Jitter;
use crate::machine::{Deadline, Outputs, Time};

/// How often one other member is probed.
pub const PROBE_EVERY: Duration = Duration::from_secs(10);
/// A member that is rumoured dead is asked by ourselves; this is how long it has for each of two tries.
pub const OWN_PROBE_WAIT: Duration = Duration::from_secs(3);
/// One that is alive in spite of the rumour is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A description is asked for again after this, three times.
const ASK_AGAIN: Duration = Duration::from_secs(5);
const ASKS_MAX: u8 = 3;
/// A description this old is asked for anew, at its owner's.
pub const REFRESH_AFTER: Duration = Duration::from_secs(12 * 3600);
/// How often lists are compared.
pub const COMPARE_EVERY: Duration = Duration::from_secs(180);
/// Where lists differ, so many members are told at most: what differs is mostly news, so the latest first, and some by chance.
const LISTED_LATEST: usize = 48;
const LISTED_BY_CHANCE: usize = 16;
/// Somebody who knows less than one in so many of ours is new, and told everything.
const NEWCOMER: usize = 4;
/// When so large a share of the members has come back since the last comparison, halves merge: the next ones follow within
/// this, until so many in a row have found no difference, but not for ever.
const MERGED: usize = 8;
const COMPARE_MERGED: Duration = Duration::from_secs(8);
const EQUAL_ENOUGH: u8 = 2;
const MERGE_COMPARISONS_MAX: u8 = 30;
/// When one who was gone is back, others who are gone may be: so many are called, so often at most (`MEMBER-10`).
const CALLED: usize = 64;
const CALL_EVERY: Duration = Duration::from_secs(5);
/// Members known, with and without a description.
pub const MEMBERS_MAX: usize = 10_000;
/// Keys that one member may bring up for the first time within a minute.
pub const NEWS_PER_MINUTE: u32 = 300;

/// What a description must tell.
pub trait Description: Clone + PartialEq + fmt::Debug {
    /// The supernode's key.
    fn id(&self) -> EndpointKey;
    /// Higher replaces lower.
    fn issued(&self) -> u64;
}

impl Description for VerifiedDescriptor {
    fn id(&self) -> EndpointKey {
        Self::id(self)
    }

    fn issued(&self) -> u64 {
        self.get().issued
    }
}

/// What is said to another member.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<D> {
    /// One packet of the engine.
    Gossip(Vec<u8>),
    /// "Who are these?"
    Describe(Vec<EndpointKey>),
    /// Descriptions asked for.
    Descriptions(Vec<D>),
    /// "This is my list, in short; and yours?"
    Digest(Box<Digest>),
    /// "It differs from mine, which is this."
    DigestBack(Box<Digest>),
    /// "Where yours differs I have these, each in this life of his."
    Listed(Vec<(D, u32)>),
    /// "Are you there?"
    Ping,
    /// "Yes, and so full am I, in percent."
    Pong(u8),
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub enum MembershipEvent<D> {
    /// Somebody is a member now.
    Joined(D),
    /// A member describes itself differently.
    Changed(D),
    /// A member is gone.
    Left(EndpointKey),
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The engine's own.
    Engine,
    /// A member that is rumoured dead.
    Rumour,
    /// A description that did not come, or is old.
    Description,
    /// Lists are compared.
    Compare,
}

type Engine = Foca<Peer, PostcardCodec, ChaCha8Rng, NoCustomBroadcast>;

/// One supernode's list of all.
pub struct Membership<D> {
    own: D,
    engine: Engine,
    effects: AccumulatingRuntime<Peer>,
    timers: BTreeMap<(Time, u64), Timer<Peer>>,
    timers_made: u64,
    known: BTreeMap<EndpointKey, Known<D>>,
    /// Members with something to do at a time.
    due: BTreeSet<(Time, EndpointKey)>,
    news: BTreeMap<EndpointKey, News>,
    compare_at: Option<Time>,
    departed: BTreeSet<EndpointKey>,
    called: Option<(Time, EndpointKey)>,
    merge: Merge,
    own_load: u8,
    loads: Loads,
    chance: Jitter,
    transmits: Outputs<(EndpointKey, Message<D>)>,
    events: Outputs<MembershipEvent<D>>,
}

/// A key that the engine told of.
#[derive(Debug)]
struct Known<D> {
    description: Option<D>,
    /// Which of its lives the engine knows.
    generation: u32,
    /// The engine holds it to be alive.
    rumoured_alive: bool,
    /// We told our driver that it is a member.
    joined: bool,
    /// And when.
    joined_at: Time,
    /// What is to be done about it, and when.
    task: Option<(Time, Task)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// Ask `of` for its description; so many times already.
    Ask { of: EndpointKey, times: u8 },
    /// Its answer to a probe of ours is waited for; so many were sent.
    Await { probes: u8 },
    /// It is alive, whatever others say: look again.
    LookAgain,
    /// Its description is old.
    Refresh,
}

impl<D: Description> fmt::Debug for Membership<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("own", &self.own.id())
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}

impl<D: Description> Membership<D> {
    /// Knows itself only. `generation` is higher than in any earlier run (Unix seconds will do).
    pub fn new(own: D, generation: u32, seed: [u8; 32]) -> Self {
        let peer = Peer {
            key: own.id(),
            generation,
        };
        let [a, b, c, d, e, f, g, h, ..] = seed;
        let engine_chance = ChaCha8Rng::from_seed(seed);
        Self {
            own,
            engine: Foca::new(peer, config(), engine_chance, PostcardCodec),
            effects: AccumulatingRuntime::new(),
            timers: BTreeMap::new(),
            timers_made: 0,
            known: BTreeMap::new(),
            due: BTreeSet::new(),
            news: BTreeMap::new(),
            compare_at: None,
            departed: BTreeSet::new(),
            called: None,
            merge: Merge::default(),
            own_load: 0,
            loads: Loads::default(),
            chance: Jitter::new(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// Introduces itself to members it was told of: by the network file, a host cache, a home supernode.
    pub fn handle_introduction(&mut self, members: Vec<D>, now: Time) {
        self.assert_drained();
        for member in members.into_iter().take(DESCRIBED_MAX) {
            if member.id() == self.own.id() {
                continue;
            }
            let peer = Peer {
                key: member.id(),
                generation: 0,
            };
            self.describe(member, now);
            let _ = self.engine.announce(peer, &mut self.effects);
        }
        self.carry_out(None, now);
    }

    /// What this supernode says about itself from now on.
    pub fn handle_own_description(&mut self, own: D) {
        if own.id() == self.own.id() {
            self.own = own;
        }
    }

    /// Says goodbye to a few, who tell the rest.
    pub fn handle_leaving(&mut self, now: Time) {
        self.assert_drained();
        let _ = self.engine.leave_cluster(&mut self.effects);
        self.carry_out(None, now);
    }

    /// A packet of the engine came from a member whose key its connection proved.
    pub fn handle_gossip(&mut self, from: EndpointKey, packet: &[u8], now: Time) {
        self.assert_drained();
        if !self.is_believable(from, packet, now) {
            return;
        }
        // What does not fit the engine's state changes nothing.
        let _ = self.engine.handle_data(packet, &mut self.effects);
        self.carry_out(Some(from), now);
    }

    /// Somebody asks who these are.
    pub fn handle_describe(&mut self, from: EndpointKey, keys: &[EndpointKey]) {
        self.assert_drained();
        let mut descriptions = Vec::new();
        for key in keys.iter().take(DESCRIBED_MAX) {
            let known = self.known.get(key).and_then(|k| k.description.as_ref());
            if *key == self.own.id() {
                descriptions.push(self.own.clone());
            } else if let Some(description) = known {
                descriptions.push(description.clone());
            }
        }
        if !descriptions.is_empty() {
            self.transmits
                .push((from, Message::Descriptions(descriptions)));
        }
    }

    /// Verified descriptions came. Of members that the engine never told of they are no news.
    pub fn handle_descriptions(&mut self, descriptions: Vec<D>, now: Time) {
        self.assert_drained();
        for description in descriptions.into_iter().take(DESCRIBED_MAX) {
            if self.known.contains_key(&description.id()) {
                self.describe(description, now);
            }
        }
    }

    /// Somebody asks whether this supernode is there.
    pub fn handle_ping(&mut self, from: EndpointKey) {
        self.assert_drained();
        self.transmits.push((from, Message::Pong(self.own_load)));
    }

    /// A member is there: a rumour is wrong (`MEMBER-06`), or we wanted to know how full it is.
    pub fn handle_pong(&mut self, from: EndpointKey, load: u8, now: Time) {
        self.assert_drained();
        if self.known.get(&from).is_some_and(|known| known.joined) {
            self.loads.hear(from, load, now);
        }
        let asked = |known: &&mut Known<D>| matches!(known.task, Some((_, Task::Await { .. })));
        if self.known.get_mut(&from).filter(asked).is_some() {
            self.plan(from, now + LOOK_AGAIN, Task::LookAgain);
        }
    }

    /// A message to a member could not be delivered at all.
    pub fn handle_unreachable(&mut self, member: EndpointKey, now: Time) {
        self.assert_drained();
        let task = self.known.get(&member).and_then(|known| known.task);
        if let Some((_, Task::Await { probes })) = task {
            self.probe_again(member, probes, now);
        }
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        while let Some(((at, number), _)) = self.timers.first_key_value() {
            if *at > now {
                break;
            }
            let id = (*at, *number);
            if let Some(timer) = self.timers.remove(&id) {
                let _ = self.engine.handle_timer(timer, &mut self.effects);
                self.carry_out(None, now);
            }
        }
        if self.compare_at.is_some_and(|at| at <= now) {
            self.compare(now);
        }
        while let Some((at, key)) = self.due.first().copied() {
            if at > now {
                break;
            }
            self.due.remove(&(at, key));
            let task = self.known.get_mut(&key).and_then(|known| known.task.take());
            if let Some((_, task)) = task {
                self.do_task(key, task, now);
            }
        }
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        let engine = self.timers.keys().next().map(|(at, _)| *at);
        let task = self.due.first().map(|(at, key)| {
            let task = self.known.get(key).and_then(|known| known.task);
            let reason = match task {
                Some((_, Task::Await { .. } | Task::LookAgain)) => Wake::Rumour,
                _ => Wake::Description,
            };
            Deadline::new(*at, reason)
        });
        Deadline::earliest([
            engine.map(|at| Deadline::new(at, Wake::Engine)),
            task,
            self.compare_at.map(|at| Deadline::new(at, Wake::Compare)),
        ])
    }

    /// What is said, and to whom.
    pub fn poll_transmit(&mut self) -> Option<(EndpointKey, Message<D>)> {
        self.transmits.pop()
    }

    /// What changed.
    pub fn poll_event(&mut self) -> Option<MembershipEvent<D>> {
        self.events.pop()
    }

    /// The members, without this one.
    pub fn members(&self) -> impl Iterator<Item = &D> {
        self.known
            .values()
            .filter(|known| known.joined)
            .filter_map(|known| known.description.as_ref())
    }

    fn assert_drained(&self) {
        self.transmits.assert_drained();
        self.events.assert_drained();
    }

    /// Does what the engine wants. `from` brought the news.
    fn carry_out(&mut self, from: Option<EndpointKey>, now: Time) {
        while let Some((after, timer)) = self.effects.to_schedule() {
            self.timers_made += 1;
            self.timers.insert((now + after, self.timers_made), timer);
        }
        while let Some((to, packet)) = self.effects.to_send() {
            self.transmits
                .push((to.key, Message::Gossip(packet.to_vec())));
        }
        let mut unheard = Vec::new();
        while let Some(notification) = self.effects.to_notify() {
            match notification {
                OwnedNotification::MemberUp(peer) => {
                    unheard.extend(self.rumoured_up(&peer, now).then_some(peer.key));
                }
                OwnedNotification::Rename(_, peer) => self.note_generation(&peer),
                OwnedNotification::MemberDown(peer) => self.rumoured_down(peer.key, now),
                _ => {}
            }
        }
        self.ask_who(&unheard, from, now);
    }

    fn note_generation(&mut self, peer: &Peer) {
        if let Some(known) = self.known.get_mut(&peer.key) {
            known.generation = peer.generation;
        }
    }

    /// Somebody is said to be there: whether nobody has told us yet who that is.
    fn rumoured_up(&mut self, peer: &Peer, now: Time) -> bool {
        // The first one of all is asked for everybody else at once.
        if self.compare_at.is_none() {
            self.compare_at = Some(now + self.chance.spread(COMPARE_EVERY));
            let all = Message::Digest(Box::new(self.digest()));
            self.transmits.push((peer.key, all));
        }
        let key = peer.key;
        let known = self.known.entry(key).or_insert_with(Known::unheard);
        known.generation = peer.generation;
        known.rumoured_alive = true;
        if self.departed.remove(&key) {
            self.call_departed(now);
            self.note_returned(now);
        }
        let Some(known) = self.known.get_mut(&key) else {
            return false;
        };
        match (&known.description, known.joined) {
            (Some(description), false) => {
                let description = description.clone();
                known.joined = true;
                known.joined_at = now;
                self.events.push(MembershipEvent::Joined(description));
                self.plan(key, now + REFRESH_AFTER, Task::Refresh);
            }
            (Some(_), true) => self.plan(key, now + REFRESH_AFTER, Task::Refresh),
            (None, _) => return true,
        }
        false
    }

    /// `MEMBER-06`: a rumour makes us look.
    fn rumoured_down(&mut self, key: EndpointKey, now: Time) {
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        known.rumoured_alive = false;
        if known.joined {
            self.probe_again(key, 0, now);
        } else {
            self.forget(key);
        }
    }

    fn probe_again(&mut self, key: EndpointKey, probes: u8, now: Time) {
        if probes >= 2 {
            self.leave(key);
            return;
        }
        self.transmits.push((key, Message::Ping));
        self.plan(
            key,
            now + OWN_PROBE_WAIT,
            Task::Await { probes: probes + 1 },
        );
    }

    fn leave(&mut self, key: EndpointKey) {
        if let Some(known) = self.known.get_mut(&key)
            && std::mem::replace(&mut known.joined, false)
        {
            self.events.push(MembershipEvent::Left(key));
            self.departed.insert(key);
            if self.departed.len() > MEMBERS_MAX {
                self.departed.pop_first();
            }
        }
        if self
            .known
            .get(&key)
            .is_some_and(|known| !known.rumoured_alive)
        {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: EndpointKey) {
        if let Some(known) = self.known.remove(&key)
            && let Some((at, _)) = known.task
        {
            self.due.remove(&(at, key));
        }
    }

    fn do_task(&mut self, key: EndpointKey, task: Task, now: Time) {
        match task {
            Task::Ask { of, times } if times < ASKS_MAX => {
                // Whoever told us may have been wrong: others are asked.
                let of = self.another(key, of);
                self.transmits.push((of, Message::Describe(vec![key])));
                let times = times + 1;
                self.plan(key, now + ASK_AGAIN, Task::Ask { of, times });
            }
            Task::Ask { .. } => {}
            Task::Await { probes } => self.probe_again(key, probes, now),
            Task::LookAgain => match self.known.get(&key) {
                Some(known) if !known.rumoured_alive => self.probe_again(key, 0, now),
                _ => self.plan(key, now + REFRESH_AFTER, Task::Refresh),
            },
            Task::Refresh => {
                self.transmits.push((key, Message::Describe(vec![key])));
                self.plan(key, now + REFRESH_AFTER, Task::Refresh);
            }
        }
    }

    fn describe(&mut self, description: D, now: Time) {
        let key = description.id();
        let known = self.known.entry(key).or_insert_with(Known::unheard);
        // MEMBER-08: an older description does not come back.
        let newer = known
            .description
            .as_ref()
            .is_none_or(|old| old.issued() < description.issued());
        if !newer {
            return;
        }
        known.description = Some(description.clone());
        if known.joined {
            self.events.push(MembershipEvent::Changed(description));
        } else if known.rumoured_alive {
            known.joined = true;
            known.joined_at = now;
            self.events.push(MembershipEvent::Joined(description));
            self.plan(key, now + REFRESH_AFTER, Task::Refresh);
        }
    }

    fn plan(&mut self, key: EndpointKey, at: Time, task: Task) {
        let Some(known) = self.known.get_mut(&key) else {
            return;
        };
        if let Some((before, _)) = known.task.replace((at, task)) {
            self.due.remove(&(before, key));
        }
        self.due.insert((at, key));
    }
}

impl<D> Known<D> {
    const fn unheard() -> Self {
        Self {
            description: None,
            generation: 0,
            rumoured_alive: false,
            joined: false,
            joined_at: Time::ZERO,
            task: None,
        }
    }
}

#[cfg(test)]
mod tests;
