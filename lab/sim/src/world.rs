//! The world: nodes, what is on the way between them, and what befalls them.

mod calls;
mod churn;
mod figures;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::placement::IndexKey;

use crate::chance::Chance;
use crate::client::{Client, Fact};
use crate::message::{Card, Message, NodeId};
use crate::nat::Nat;
use crate::places::Place;
use crate::queue::Queue;
use crate::report::Report;
use crate::scenario::{Scenario, What};
use crate::supernode::{Setting, Supernode};

use self::calls::Call;
use self::figures::Figures;

/// A link whose other end vanished is noticed by its own ping, between these (one every 15 s, given up 5 s later).
const NOTICED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));
/// After a storm's beginning everybody who was away has come.
const STORM: Duration = Duration::from_secs(10);
/// How often it is looked whether the list of supernodes is one again.
const LOOK: Duration = Duration::from_secs(1);

/// What one node says while it handles one thing.
#[derive(Debug, Default)]
pub struct Outbox {
    said: Vec<(Duration, NodeId, Message)>,
    /// Signatures it would have checked.
    pub verified: u64,
}

impl Outbox {
    /// Now.
    pub fn send(&mut self, to: NodeId, message: Message) {
        self.send_after(Duration::ZERO, to, message);
    }

    /// After its turn at the processor.
    pub fn send_after(&mut self, wait: Duration, to: NodeId, message: Message) {
        self.said.push((wait, to, message));
    }
}

#[derive(Debug)]
enum Event {
    Deliver(NodeId, NodeId, Message),
    Wake(NodeId),
    Come(NodeId),
    /// A node goes, if it is still in that session.
    Go(NodeId, u32),
    /// A supernode dies without a word.
    Die(NodeId),
    /// A side of this call has heard nothing for a while.
    Silent(usize),
    /// A call's machine wanted to be woken.
    WakeCall(usize),
    /// The caller's word to the callee is due.
    Resume(usize),
    Befall(What),
    LookUp,
    LookAtMembership,
}

#[derive(Debug)]
struct Node {
    place: Place,
    client: Option<Client>,
    supernode: Option<Box<Supernode>>,
    eligible: bool,
    nat: Nat,
    away: bool,
    dead: bool,
    /// Counts its times online, and how often it began to serve.
    session: u32,
    served: u32,
    /// Supernodes it remembers from last time.
    cache: Vec<NodeId>,
    in_call: Option<usize>,
    wakes_at: Option<Duration>,
    /// Which half, while the world is parted.
    half: bool,
}

/// A look-up on the way.
#[derive(Debug)]
struct Asked {
    at: Duration,
    key: IndexKey,
    rung: usize,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    now: Duration,
    queue: Queue<Event>,
    nodes: Vec<Node>,
    chance: Chance,
    parted: bool,
    befallen: bool,
    /// Nodes, and supernodes among them, that are there.
    there: u32,
    serving: u32,
    rejoined: Option<Duration>,
    asked: BTreeMap<u64, Asked>,
    calls: Vec<Call>,
    figures: Figures,
}

/// A node's key; its number is in front, so that it can be read back.
pub fn key_of(node: NodeId) -> EndpointKey {
    let mut key = [0x5a; 32];
    key[..4].copy_from_slice(&node.to_be_bytes());
    EndpointKey(key)
}

/// The number of a key's node.
pub const fn node_of(key: EndpointKey) -> NodeId {
    let [a, b, c, d, ..] = key.0;
    NodeId::from_be_bytes([a, b, c, d])
}

/// A node's public address: spread over 80 times 65,536 blocks.
pub fn address_of(node: NodeId) -> SocketAddr {
    let spread = node.wrapping_mul(2_654_435_761).to_be_bytes();
    let first = 20 + spread[3] % 70;
    SocketAddr::from(([first, spread[0], spread[1], spread[2]], 27474))
}

/// The key of a node's account record.
pub fn record_key(node: NodeId) -> IndexKey {
    IndexKey::account(AccountId(key_of(node).0))
}

impl Node {
    fn new(number: NodeId, scenario: &Scenario, chance: &mut Chance) -> Self {
        Self {
            place: Place::random(chance),
            client: None,
            supernode: None,
            eligible: number >= scenario.founders && chance.is(scenario.eligible),
            nat: Nat::of(number),
            away: number >= scenario.founders && chance.is(scenario.away),
            dead: false,
            session: 0,
            served: 0,
            cache: Vec::new(),
            in_call: None,
            wakes_at: None,
            half: chance.is(0.5),
        }
    }
}

impl World {
    /// As the scenario says, before its first second.
    pub fn new(scenario: Scenario) -> Self {
        let mut chance = Chance::new(scenario.seed);
        let nodes = (0..scenario.nodes)
            .map(|node| Node::new(node, &scenario, &mut chance))
            .collect();
        let mut world = Self {
            now: Duration::ZERO,
            queue: Queue::new(),
            nodes,
            chance,
            parted: false,
            befallen: false,
            there: 0,
            serving: 0,
            rejoined: None,
            asked: BTreeMap::new(),
            calls: Vec::new(),
            figures: Figures::default(),
            scenario,
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        for node in 0..self.scenario.founders {
            self.found(node);
        }
        let ramp = Duration::from_secs(self.scenario.ramp_s);
        for node in self.scenario.founders..self.scenario.nodes {
            if !self.nodes[node as usize].away {
                let at = ramp.mul_f64(self.chance.unit());
                self.queue.add(at, Event::Come(node));
            }
        }
        for event in self.scenario.event.clone() {
            let at = Duration::from_secs(event.at_s);
            self.queue.add(at, Event::Befall(event.what));
        }
    }

    /// To its end.
    pub fn run(mut self) -> Report {
        let end = Duration::from_secs(self.scenario.end_s);
        while let Some((at, event)) = self.queue.next_by(end) {
            self.pass(at);
            self.happen(event);
        }
        self.pass(end);
        self.report()
    }

    fn pass(&mut self, to: Duration) {
        let from = self.now.max(self.measured_from());
        let passed = to.saturating_sub(from).as_secs_f64();
        self.figures.node_seconds += passed * f64::from(self.there);
        self.figures.supernode_seconds += passed * f64::from(self.serving);
        self.now = to;
    }

    const fn measured_from(&self) -> Duration {
        Duration::from_secs(self.scenario.measure_from_s)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(from, to, message) => self.deliver(from, to, message),
            Event::Wake(node) => self.wake(node),
            Event::Come(node) => self.come(node),
            Event::Go(node, session) => self.go(node, session),
            Event::Die(node) => self.die(node),
            Event::Silent(call) => self.hear_silence(call),
            Event::WakeCall(call) => self.wake_call(call),
            Event::Resume(call) => self.resume(call),
            Event::Befall(what) => self.befall(what),
            Event::LookUp => self.look_up(),
            Event::LookAtMembership => self.look_at_membership(),
        }
    }

    fn found(&mut self, node: NodeId) {
        self.there += 1;
        let founders: Vec<Card> = (0..node).map(|other| self.card(other)).collect();
        self.serve(node, founders);
    }

    fn card(&self, node: NodeId) -> Card {
        Card {
            node,
            key: key_of(node),
            address: address_of(node),
            issued: self.now.as_secs(),
        }
    }

    fn serve(&mut self, node: NodeId, known: Vec<Card>) {
        let founder = node < self.scenario.founders;
        let setting = Setting {
            clients_max: self.scenario.clients_max,
            liar: !founder && self.chance.is(self.scenario.liars),
            registration: Duration::from_secs_f64(self.scenario.registration_ms / 1_000.0),
        };
        let mut out = Outbox::default();
        let supernode = Supernode::new(self.card(node), setting, known, self.now, &mut out);
        self.nodes[node as usize].supernode = Some(Box::new(supernode));
        self.serving += 1;
        self.post(node, out);
    }

    fn come(&mut self, node: NodeId) {
        let founders: Vec<NodeId> = (0..self.scenario.founders).collect();
        let mut known = self.chance.some(&founders, 5);
        let cache = std::mem::take(&mut self.nodes[node as usize].cache);
        if !cache.is_empty() {
            // The network file's come after those that it remembers.
            known.truncate(2);
            known.retain(|founder| !cache.contains(founder));
            known.splice(0..0, cache);
        }
        self.nodes[node as usize].dead = false;
        let mut out = Outbox::default();
        let eligible = self.nodes[node as usize].eligible;
        let client = Client::new(node, known, eligible, self.now, &mut out);
        self.nodes[node as usize].client = Some(client);
        self.there += 1;
        self.plan_going(node);
        self.post(node, out);
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, message: Message) {
        let apart = self.parted && self.half(from) != self.half(to);
        if apart || self.nodes[to as usize].dead {
            return;
        }
        let mut out = Outbox::default();
        let for_client = matches!(
            message,
            Message::Registered { .. }
                | Message::Full { .. }
                | Message::Load { .. }
                | Message::Alive
                | Message::Here(_)
                | Message::Answer { .. }
        );
        let node = &mut self.nodes[to as usize];
        let mut fact = None;
        match (&mut node.client, &mut node.supernode) {
            (Some(client), _) if for_client => {
                fact = client.hear(from, message, self.now, &mut out)
            }
            (Some(client), None) => fact = client.hear(from, message, self.now, &mut out),
            (_, Some(supernode)) => {
                // The end of a link concerns whoever had it: the client's home, or the supernode's client.
                if let (Message::Closed, Some(client)) = (&message, &mut node.client) {
                    fact = client.hear(from, Message::Closed, self.now, &mut out);
                }
                supernode.hear(from, message, self.now, &mut out);
            }
            (None, None) => {}
        }
        self.post(to, out);
        self.learn(to, fact);
    }

    fn wake(&mut self, id: NodeId) {
        let node = &mut self.nodes[id as usize];
        if node.wakes_at != Some(self.now) || node.dead {
            return;
        }
        node.wakes_at = None;
        let mut out = Outbox::default();
        let fact = match &mut node.client {
            Some(client) => client.wake(self.now, &mut out),
            None => None,
        };
        if let Some(supernode) = &mut node.supernode {
            supernode.wake(self.now, &mut out);
        }
        self.post(id, out);
        self.learn(id, fact);
    }

    fn learn(&mut self, node: NodeId, fact: Option<Fact>) {
        match fact {
            Some(Fact::AtHome(took)) => {
                if self.befallen {
                    self.figures.back.push(took);
                } else {
                    self.figures.start.push(took);
                }
                self.found_home(node);
            }
            Some(Fact::Serves) => {
                self.figures.promoted += 1;
                let served = &mut self.nodes[node as usize].served;
                *served += 1;
                self.figures.flapped += u32::from(*served > 1);
                let client = self.nodes[node as usize].client.as_ref();
                let known = client.map(|client| client.known().to_vec());
                let cards = known
                    .unwrap_or_default()
                    .into_iter()
                    .map(|other| self.card(other))
                    .collect();
                self.serve(node, cards);
            }
            Some(Fact::Found(number, rounds, found)) => {
                self.answered(number, rounds, found.map(|note| (note.key, note.forged)));
            }
            None => {}
        }
    }

    /// Puts on the way what a node said, and notes when it wakes up next.
    fn post(&mut self, from: NodeId, out: Outbox) {
        self.figures.signatures += out.verified;
        let measured = self.now >= self.measured_from();
        for (wait, to, message) in out.said {
            let bytes = if measured { message.bytes() } else { 0 };
            self.figures.bytes += bytes;
            if message.is_membership() {
                self.figures.membership_bytes += bytes;
            }
            let delay = self.delay(from, to);
            self.queue
                .add(self.now + wait + delay, Event::Deliver(from, to, message));
        }
        let node = &mut self.nodes[from as usize];
        let client = node.client.as_ref().and_then(Client::due);
        let supernode = node
            .supernode
            .as_ref()
            .and_then(|supernode| supernode.due());
        let Some(due) = [client, supernode].into_iter().flatten().min() else {
            return;
        };
        let due = due.max(self.now);
        if node.wakes_at.is_none_or(|at| at > due) {
            node.wakes_at = Some(due);
            self.queue.add(due, Event::Wake(from));
        }
    }

    /// One way.
    fn delay(&self, from: NodeId, to: NodeId) -> Duration {
        let place = |node: NodeId| &self.nodes[node as usize].place;
        self.scenario
            .delay_ms
            .map_or_else(|| place(from).delay(place(to)), Duration::from_millis)
    }

    fn half(&self, node: NodeId) -> bool {
        self.nodes[node as usize].half
    }

    fn numbers(&self) -> std::ops::Range<NodeId> {
        0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn supernodes(&self) -> Vec<NodeId> {
        self.numbers()
            .filter(|node| {
                let node = &self.nodes[*node as usize];
                node.supernode.is_some() && !node.dead
            })
            .collect()
    }

    fn befall(&mut self, what: What) {
        match what {
            What::Lookups(count) => {
                for _ in 0..count {
                    let at = self.now + Duration::from_secs(60).mul_f64(self.chance.unit());
                    self.queue.add(at, Event::LookUp);
                }
            }
            What::Storm(share) => self.storm(share),
            What::Fade(share, over_s) => self.fade(share, Duration::from_secs(over_s)),
            What::Calls(count) => self.begin_calls(count),
            What::Part => {
                self.parted = true;
                self.befallen = true;
                self.break_links(|world, a, b| world.half(a) != world.half(b));
                self.silence_calls(|world, a, b| world.half(a) != world.half(b));
            }
            What::Rejoin => {
                self.parted = false;
                self.rejoined = Some(self.now);
                self.queue.add(self.now + LOOK, Event::LookAtMembership);
            }
        }
    }

    /// Supernodes vanish without a word, and everybody who was away comes.
    fn storm(&mut self, share: f64) {
        self.befallen = true;
        let all = self.supernodes();
        let count = (all.len() as f64 * share) as usize;
        for victim in self.chance.some(&all, count) {
            self.nodes[victim as usize].dead = true;
            self.serving -= 1;
            self.there -= 1;
        }
        self.break_links(|world, _, home| world.nodes[home as usize].dead);
        self.silence_calls(|world, _, home| world.nodes[home as usize].dead);
        for node in self.numbers() {
            if self.nodes[node as usize].away {
                let at = self.now + STORM.mul_f64(self.chance.unit());
                self.queue.add(at, Event::Come(node));
            }
        }
    }

    /// Both ends of the links that are broken notice it, each in its time.
    fn break_links(&mut self, broken: impl Fn(&Self, NodeId, NodeId) -> bool) {
        let (soonest, latest) = NOTICED;
        for node in self.numbers() {
            let client = self.nodes[node as usize].client.as_ref();
            let Some(home) = client.and_then(Client::home) else {
                continue;
            };
            if self.nodes[node as usize].dead || !broken(self, node, home) {
                continue;
            }
            for (from, to) in [(home, node), (node, home)] {
                let wait = soonest + (latest - soonest).mul_f64(self.chance.unit());
                self.queue
                    .add(self.now + wait, Event::Deliver(from, to, Message::Closed));
            }
        }
    }

    fn look_up(&mut self) {
        let asker = self.somebody();
        let whom = self.somebody();
        let (Some((asker, _)), Some((whom, _))) = (asker, whom) else {
            return;
        };
        self.figures.asked += 1;
        let number = u64::from(self.figures.asked);
        let key = record_key(whom);
        let rung = self.nodes[asker as usize]
            .nat
            .rung(self.nodes[whom as usize].nat);
        let at = self.now;
        self.asked.insert(number, Asked { at, key, rung });
        let mut out = Outbox::default();
        if let Some(client) = &mut self.nodes[asker as usize].client {
            client.look_up(number, key, self.now, &mut out);
        }
        self.post(asker, out);
    }

    /// A client at home.
    fn somebody(&mut self) -> Option<(NodeId, NodeId)> {
        for _ in 0..1_000 {
            let node = self.chance.below(self.nodes.len());
            let candidate = &self.nodes[node];
            let home = candidate.client.as_ref().and_then(Client::home);
            if let Some(home) = home.filter(|_| !candidate.dead) {
                return Some((u32::try_from(node).unwrap_or(0), home));
            }
        }
        None
    }

    /// The first answer counts.
    fn answered(&mut self, number: u64, rounds: u32, found: Option<(IndexKey, bool)>) {
        let Some(asked) = self.asked.remove(&number) else {
            return;
        };
        if found == Some((asked.key, false)) {
            self.figures.right += 1;
            self.figures.lookups.push(self.now - asked.at);
            self.figures
                .rounds
                .push(Duration::from_millis(rounds.into()));
            self.figures.rungs[asked.rung] += 1;
        }
    }

    fn look_at_membership(&mut self) {
        if self.membership_right() < 1.0 {
            self.queue.add(self.now + LOOK, Event::LookAtMembership);
        } else if let Some(rejoined) = self.rejoined {
            self.figures.one_again = Some(self.now - rejoined);
        }
    }

    /// Share of the supernodes that know all others and nobody else.
    fn membership_right(&self) -> f64 {
        let all = self.supernodes();
        let right = all
            .iter()
            .filter(|node| {
                let supernode = self.nodes[**node as usize].supernode.as_ref();
                supernode.is_some_and(|supernode| {
                    let mut known: Vec<NodeId> = supernode.others().chain([**node]).collect();
                    known.sort_unstable();
                    known == all
                })
            })
            .count();
        right as f64 / all.len().max(1) as f64
    }
}
