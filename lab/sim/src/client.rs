//! One simulated client: the machines of its side, and what its driver does between them.

use std::time::Duration;

use starling_protocol::index::resolver::{Reply, Resolver, ResolverEvent, Transmit};
use starling_protocol::overlay::home::{Home, HomeAction};
use starling_protocol::overlay::promotion::{Promotion, PromotionEvent};
use starling_wire::placement::IndexKey;
use starling_wire::supernode::SupernodeAddr;

use crate::message::{Card, Message, NodeId, Note};
use crate::world::{Outbox, address_of, key_of, node_of};

/// Supernodes a client remembers (a real one's cache has 200; what counts here is that they are few).
const REMEMBERED: usize = 16;

/// What the world wants to know of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// At home, after having sought for so long.
    AtHome(Duration),
    /// It begins to serve.
    Serves,
    /// The first answer to a look-up, or that there is none.
    Found(u64, Option<Note>),
}

/// A client.
#[derive(Debug)]
pub struct Client {
    home: Home,
    promotion: Option<Promotion>,
    resolver: Resolver<NodeId, Note>,
    known: Vec<NodeId>,
    record: Note,
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
        let mut client = Self {
            home: Home::new(addresses(&known), now),
            promotion,
            resolver: Resolver::new(1),
            known,
            record: Note {
                key: crate::world::record_key(node),
                sequence: 1,
                forged: false,
            },
            seeking: Some(now),
        };
        client.drain(out);
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
        [home, promotion.map(|due| due.at), resolver]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time.
    pub fn wake(&mut self, now: Duration, out: &mut Outbox) -> Option<Fact> {
        self.home.handle_timeout(now);
        self.drain(out);
        self.resolver.handle_timeout(now);
        if let Some(found) = self.drain_resolver(out) {
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
                self.remember(&others, now);
                self.home.handle_connected(now);
                self.home.handle_linked();
                self.publish_elsewhere(from, out);
                fact = self
                    .seeking
                    .take()
                    .map(|since| Fact::AtHome(now.saturating_sub(since)));
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
            Message::Answer { number, found } => {
                let reply = match found {
                    Some(note) if note.forged => Reply::Forged,
                    Some(note) => Reply::Record(note),
                    None => Reply::None,
                };
                out.verified += u64::from(found.is_some());
                self.resolver.handle_reply(number, from, reply, now);
                fact = self.drain_resolver(out);
            }
            Message::Closed if from_home && self.is_home() => {
                self.seeking = Some(now);
                self.home.handle_disconnected(now);
            }
            _ => {}
        }
        self.drain(out);
        fact
    }

    /// Looks a record up: at home, and where that denies it, at others that it knows.
    pub fn look_up(&mut self, number: u64, key: IndexKey, now: Duration, out: &mut Outbox) {
        let Some(home) = self.home() else {
            return;
        };
        let others = self.known.iter().rev().filter(|other| **other != home);
        let asked = std::iter::once(&home).chain(others.take(4)).copied();
        self.resolver
            .handle_lookup(number, key, asked.collect(), None, now);
        self.drain_resolver(out);
    }

    /// What a home that lies keeps to itself, another one publishes.
    fn publish_elsewhere(&self, home: NodeId, out: &mut Outbox) {
        let others = self.known.iter().rev().filter(|other| **other != home);
        for other in others.take(2) {
            out.send(*other, Message::Publish(self.record));
        }
    }

    fn drain_resolver(&mut self, out: &mut Outbox) -> Option<Fact> {
        while let Some(transmit) = self.resolver.poll_transmit() {
            if let Transmit::Ask(number, supernode, key) = transmit {
                out.send(supernode, Message::Lookup { number, key });
            }
        }
        let mut fact = None;
        while let Some(event) = self.resolver.poll_event() {
            match event {
                ResolverEvent::Found(number, _, note) => {
                    fact = Some(Fact::Found(number, Some(note)));
                }
                ResolverEvent::NotFound(number) => fact = Some(Fact::Found(number, None)),
                _ => {}
            }
        }
        fact
    }

    fn remember(&mut self, others: &[Card], now: Duration) {
        for card in others {
            if !self.known.contains(&card.node) {
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

    fn drain(&mut self, out: &mut Outbox) {
        while let Some(action) = self.home.poll_action() {
            match action {
                HomeAction::Dial(supernode) | HomeAction::Renew(supernode) => {
                    let register = Message::Register {
                        record: self.record,
                        eligible: self.promotion.is_some(),
                    };
                    out.send(node_of(supernode.id), register);
                }
                HomeAction::Register(_) | HomeAction::Collect(_) | HomeAction::Probe => {}
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
