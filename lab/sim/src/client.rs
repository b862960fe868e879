//! One simulated client: the machines of its side, and what its driver does between them.

use std::collections::BTreeMap;
use std::time::Duration;

use starling_protocol::index::publisher::{self, Last, Publisher, PublisherEvent};
use starling_protocol::index::resolver::{Fault, Reply, Resolver, ResolverEvent, Transmit};
use starling_protocol::index::standing::Standing;
use starling_protocol::overlay::home::{Home, HomeAction};
use starling_protocol::overlay::promotion::{Promotion, PromotionEvent};
use starling_wire::placement::IndexKey;
use starling_wire::supernode::SupernodeAddr;

use crate::message::{Card, Message, NodeId, Note};
use crate::world::{Outbox, address_of, key_of, node_of};

/// Supernodes a client remembers (a real one's cache has 200; what counts here is that they are few).
const REMEMBERED: usize = 16;
/// So many supernodes are asked for a record, one after another.
const ASKED: usize = 8;
/// So many at once, its home among them: their answers are compared.
const COMPARED: u32 = 2;
/// Handshakes with those that are sought have so long.
const SOUGHT_FOR: Duration = Duration::from_millis(1_500);
/// The number of a look at the own record.
const OWN: u64 = u64::MAX;

/// The record is on its timetable.
const PUBLISHED: Duration = starling_protocol::index::publisher::PUBLISH_EVERY;

/// What the world wants to know of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// At home, after having sought for so long.
    AtHome(Duration),
    /// It begins to serve.
    Serves,
    /// The first answer to a look-up, or that there is none; and how many waves of questions it took.
    Found(u64, u32, Option<Note>),
}

/// A client.
#[derive(Debug)]
pub struct Client {
    home: Home,
    promotion: Option<Promotion>,
    resolver: Resolver<NodeId, Note>,
    publisher: Publisher<NodeId, Note>,
    standing: Standing<NodeId>,
    known: Vec<NodeId>,
    record: Note,
    /// Look-ups: supernodes asked, and the waves that the last answer cost there.
    asked: BTreeMap<u64, (u32, u32)>,
    /// Where it is registered.
    registered: Option<NodeId>,
    /// A supernode was found to be bad: those that may be used are others now.
    left_one: bool,
    /// The last search, and until when the first answer to it counts.
    search: u32,
    seeks_until: Duration,
    /// Since when it has been without a home; `None` at home.
    seeking: Option<Duration>,
}

impl Client {
    /// Comes, with the supernodes it has heard of.
    pub fn new(
        node: NodeId,
        known: Vec<NodeId>,
        eligible: bool,
        now: Duration,
        out: &mut Outbox,
    ) -> Self {
        let promotion = eligible.then(|| {
            let mut promotion = Promotion::new(u64::from(node) * 0x0100_0193 + 7);
            promotion.handle_eligible(true, now);
            promotion
        });
        let record = Note {
            key: crate::world::record_key(node),
            sequence: 1,
            forged: false,
        };
        let seed = u64::from(node) * 0x85eb_ca6b + 3;
        let mut client = Self {
            home: Home::new(addresses(&known), now),
            promotion,
            resolver: Resolver::new(COMPARED as usize),
            publisher: Publisher::new(Some(record), Last::DueIn(PUBLISHED), seed, now),
            standing: Standing::default(),
            known,
            record,
            asked: BTreeMap::new(),
            registered: None,
            left_one: false,
            search: 0,
            seeks_until: Duration::ZERO,
            seeking: Some(now),
        };
        client.drain(now, out);
        client
    }

    /// Whether it is at home.
    pub const fn is_home(&self) -> bool {
        self.seeking.is_none()
    }

    /// Its home supernode, if it is there.
    pub fn home(&self) -> Option<NodeId> {
        let current = self.home.current().filter(|_| self.is_home())?;
        Some(node_of(current.id))
    }

    /// Supernodes it knows.
    pub fn known(&self) -> &[NodeId] {
        &self.known
    }

    /// When it has something to do.
    pub fn due(&self) -> Option<Duration> {
        let home = self.home.poll_timeout().map(|(at, _)| at);
        let promotion = self.promotion.as_ref().and_then(Promotion::poll_timeout);
        let resolver = self.resolver.poll_timeout().map(|due| due.at);
        let publisher = self.publisher.poll_timeout().map(|due| due.at);
        [home, promotion.map(|due| due.at), resolver, publisher]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time.
    pub fn wake(&mut self, now: Duration, out: &mut Outbox) -> Option<Fact> {
        self.home.handle_timeout(now);
        self.publisher.handle_timeout(now);
        self.drain(now, out);
        self.resolver.handle_timeout(now);
        if let Some(found) = self.drain_resolver(now, out) {
            return Some(found);
        }
        let promotion = self.promotion.as_mut()?;
        promotion.handle_timeout(now);
        match promotion.poll_event() {
            Some(PromotionEvent::Begin) => Some(Fact::Serves),
            Some(PromotionEvent::End) | None => None,
        }
    }

    /// Something came.
    pub fn hear(
        &mut self,
        from: NodeId,
        message: Message,
        now: Duration,
        out: &mut Outbox,
    ) -> Option<Fact> {
        let from_home = self.home.current().map(|home| node_of(home.id)) == Some(from);
        let mut fact = None;
        match message {
            Message::Registered { others } if from_home => {
                fact = self.arrive(from, &others, now, out);
            }
            Message::Full { others } if from_home => {
                self.remember(&others, now);
                self.home.handle_refused(now);
            }
            // It went on elsewhere in the meantime.
            Message::Registered { .. } => out.send(from, Message::Closed),
            Message::Load {
                percent,
                candidates,
            } => {
                if let Some(promotion) = &mut self.promotion {
                    promotion.handle_home_load(percent, candidates, now);
                }
            }
            Message::Alive if from_home => self.home.handle_heard(now),
            Message::Here(search) if search == self.search && self.seeks_until > now => {
                self.seeks_until = Duration::ZERO;
                self.home.handle_found(key_of(from), now);
            }
            Message::Answer {
                number,
                found,
                waves,
            } => fact = self.take_answer(from, (number, found, waves), now, out),
            Message::Closed if from_home && self.is_home() => {
                self.seeking = Some(now);
                self.home.handle_disconnected(now);
            }
            _ => {}
        }
        self.drain(now, out);
        fact
    }

    /// At home.
    fn arrive(
        &mut self,
        home: NodeId,
        others: &[Card],
        now: Duration,
        out: &mut Outbox,
    ) -> Option<Fact> {
        self.remember(others, now);
        self.home.handle_connected(now);
        self.home.handle_linked();
        let before = self.registered.replace(home);
        if let Some(before) = before.filter(|before| *before != home) {
            out.send(before, Message::Closed);
        }
        let supernodes = self.supernodes(home);
        self.publisher.handle_supernodes(supernodes, now);
        self.drain_publisher(now, out);
        self.publisher.handle_published(home, now);
        let since = self.seeking.take()?;
        Some(Fact::AtHome(now.saturating_sub(since)))
    }

    fn take_answer(
        &mut self,
        from: NodeId,
        (number, found, waves): (u64, Option<Note>, u32),
        now: Duration,
        out: &mut Outbox,
    ) -> Option<Fact> {
        let reply = match found {
            Some(note) if note.forged => Reply::Forged,
            Some(note) => Reply::Record(note),
            None => Reply::None,
        };
        out.verified += u64::from(found.is_some());
        if number == OWN {
            self.publisher.handle_reply(from, reply, now);
            return None;
        }
        if let Some(asked) = self.asked.get_mut(&number) {
            asked.1 = waves;
        }
        self.resolver.handle_reply(number, from, reply, now);
        self.drain_resolver(now, out)
    }

    /// Looks a record up: at home and at another one at once, and where these deny it, at others that it knows.
    pub fn look_up(&mut self, number: u64, key: IndexKey, now: Duration, out: &mut Outbox) {
        let Some(home) = self.home() else {
            return;
        };
        let mut asked = self.supernodes(home);
        asked.truncate(ASKED);
        self.resolver.handle_lookup(number, key, asked, None, now);
        self.drain_resolver(now, out);
    }

    /// One to the first two, one for each two more, and those behind whoever answered.
    fn waves(&self, number: u64) -> u32 {
        let (asked, behind) = self.asked.get(&number).copied().unwrap_or_default();
        1 + asked.saturating_sub(COMPARED).div_ceil(2) + behind
    }

    /// A call began or ended.
    pub fn set_in_call(&mut self, in_call: bool, now: Duration, out: &mut Outbox) {
        self.home.set_in_call(in_call, now);
        self.drain(now, out);
    }

    /// Nothing is heard in a call: the home may be dead.
    pub fn suspect(&mut self, now: Duration, out: &mut Outbox) {
        self.home.handle_suspicion(now);
        self.drain(now, out);
    }

    /// The home, and the others it knows, the latest first.
    fn supernodes(&self, home: NodeId) -> Vec<NodeId> {
        let others = self.known.iter().rev().filter(|other| **other != home);
        std::iter::once(&home).chain(others).copied().collect()
    }

    /// What the owner's side of the index does about the own record.
    fn drain_publisher(&mut self, now: Duration, out: &mut Outbox) {
        while self.publisher.poll_persist().is_some() {}
        while let Some(transmit) = self.publisher.poll_transmit() {
            match transmit {
                publisher::Transmit::Publish(by, note) => out.send(by, Message::Publish(note)),
                publisher::Transmit::Ask(whom, key) => {
                    out.send(whom, Message::Lookup { number: OWN, key });
                }
            }
        }
        while let Some(event) = self.publisher.poll_event() {
            match event {
                PublisherEvent::Blame(whom, fault) => self.blame(whom, fault, now),
                PublisherEvent::Renew => {
                    self.record.sequence += 1;
                    self.publisher.handle_record(self.record, now);
                    return self.drain_publisher(now, out);
                }
                PublisherEvent::Witnessed | PublisherEvent::Newer(_) => {}
            }
        }
    }

    /// A supernode that has done too much is left, and not used again.
    fn blame(&mut self, whom: NodeId, fault: Fault, now: Duration) {
        if self.standing.handle_blame(whom, fault, now) && self.known.len() > 1 {
            self.known.retain(|other| *other != whom);
            self.home.set_candidates(addresses(&self.known), now);
            self.left_one = true;
        }
    }

    fn drain_resolver(&mut self, now: Duration, out: &mut Outbox) -> Option<Fact> {
        while let Some(transmit) = self.resolver.poll_transmit() {
            if let Transmit::Ask(number, supernode, key) = transmit {
                self.asked.entry(number).or_default().0 += 1;
                out.send(supernode, Message::Lookup { number, key });
            }
        }
        let mut fact = None;
        while let Some(event) = self.resolver.poll_event() {
            match event {
                ResolverEvent::Found(number, _, note) => {
                    fact = Some(Fact::Found(number, self.waves(number), Some(note)));
                }
                ResolverEvent::NotFound(number) => fact = Some(Fact::Found(number, 0, None)),
                ResolverEvent::Blame(whom, fault) => self.blame(whom, fault, now),
                ResolverEvent::Ended(number) => {
                    self.asked.remove(&number);
                }
                ResolverEvent::Newer(..) => {}
            }
        }
        fact
    }

    fn remember(&mut self, others: &[Card], now: Duration) {
        for card in others {
            let bad = self.standing.is_bad(card.node, now);
            if !bad && !self.known.contains(&card.node) {
                self.known.push(card.node);
            }
        }
        let current = self.home.current().map(|home| node_of(home.id));
        while self.known.len() > REMEMBERED {
            let oldest = self.known.iter().position(|node| Some(*node) != current);
            self.known.remove(oldest.unwrap_or(0));
        }
        self.home.set_candidates(addresses(&self.known), now);
    }

    fn drain(&mut self, now: Duration, out: &mut Outbox) {
        self.drain_publisher(now, out);
        if std::mem::take(&mut self.left_one)
            && let Some(home) = self.home.current().map(|home| node_of(home.id))
        {
            self.publisher.handle_supernodes(self.supernodes(home), now);
            self.drain_publisher(now, out);
        }
        while let Some(action) = self.home.poll_action() {
            match action {
                HomeAction::Dial(supernode) | HomeAction::Renew(supernode) => {
                    if !self.home.is_up() {
                        self.seeking.get_or_insert(now);
                    }
                    let register = Message::Register {
                        record: self.record,
                        eligible: self.promotion.is_some(),
                    };
                    out.send(node_of(supernode.id), register);
                }
                HomeAction::Probe => {
                    if let Some(home) = self.home.current() {
                        out.send(node_of(home.id), Message::Probe);
                    }
                }
                HomeAction::Seek(sought) => self.seek(&sought, now, out),
                HomeAction::Register(_) | HomeAction::Collect(_) => {}
            }
        }
    }

    /// A handshake with each, all at once: the first to answer counts.
    fn seek(&mut self, sought: &[SupernodeAddr], now: Duration, out: &mut Outbox) {
        if self.seeks_until <= now {
            self.search += 1;
            self.seeks_until = now + SOUGHT_FOR;
            for supernode in sought {
                out.send(node_of(supernode.id), Message::Seek(self.search));
            }
        }
    }
}

fn addresses(nodes: &[NodeId]) -> Vec<SupernodeAddr> {
    nodes
        .iter()
        .map(|node| SupernodeAddr {
            id: key_of(*node),
            tcp: address_of(*node),
            discovery_port: 0,
        })
        .collect()
}
