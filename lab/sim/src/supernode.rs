//! One simulated supernode: the machines of `overlay` and `index`, and the driver's part between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use starling_protocol::backoff::Jitter;
use starling_protocol::index::full::FullIndex;
use starling_protocol::index::holder::{Persist, Source};
use starling_protocol::index::resolver::{AT_ONCE, Reply};
use starling_protocol::index::{Index, IndexEvent, Transmit};
use starling_protocol::overlay::crowd::{Crowd, SAY_EVERY};
use starling_protocol::overlay::membership::{Membership, MembershipEvent, Message as Member};
use starling_protocol::overlay::promotion::BUSY;
use starling_wire::placement::{Block, IndexKey};

use crate::message::{Card, Message, NodeId, Note};
use crate::world::{Outbox, node_of};

/// A record lives for a week (`RECORD_TTL_S`).
const LIVES: Duration = Duration::from_secs(7 * 24 * 3600);
/// Supernodes named to a client.
const NAMED: usize = 8;
/// Others say within this how full they are.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// A TLS handshake alone is so small a part of a registration.
const HANDSHAKE: u32 = 3;

/// A supernode.
#[derive(Debug)]
pub struct Supernode {
    card: Card,
    membership: Membership<Card>,
    index: FullIndex<NodeId, Block, Note>,
    others: BTreeMap<NodeId, Card>,
    clients: BTreeSet<NodeId>,
    /// Who of them could serve.
    crowd: Crowd,
    /// Records that clients registered here, by their number: kept when they go.
    registered: BTreeMap<IndexKey, u64>,
    clients_max: u32,
    most_clients: u32,
    liar: bool,
    registration: Duration,
    busy_until: Duration,
    lookups: BTreeMap<u64, Asking>,
    next_lookup: u64,
    /// When it is looked whether to call for help, or, once the others were asked how full they are, what they said.
    look_at_load: Option<Duration>,
    others_asked: bool,
    chance: Jitter,
}

/// A client's look-up.
#[derive(Debug, Clone, Copy)]
struct Asking {
    client: NodeId,
    number: u64,
    /// Holders asked.
    asked: usize,
}

/// How a supernode is.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Clients it takes.
    pub clients_max: u32,
    /// Whether it lies about records.
    pub liar: bool,
    /// Its processor's time for one registration.
    pub registration: Duration,
}

impl Supernode {
    /// Introduces itself to `known`.
    pub fn new(
        card: Card,
        setting: Setting,
        known: Vec<Card>,
        now: Duration,
        out: &mut Outbox,
    ) -> Self {
        let seed = u64::from(card.node) * 0x9e37_79b9 + 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let generation = u32::try_from(now.as_secs()).unwrap_or(u32::MAX) + 1;
        let mut supernode = Self {
            membership: Membership::new(card.clone(), generation, bytes),
            index: FullIndex::new(card.node, card.position(), seed, now),
            others: BTreeMap::new(),
            clients: BTreeSet::new(),
            crowd: Crowd::default(),
            registered: BTreeMap::new(),
            clients_max: setting.clients_max,
            most_clients: 0,
            liar: setting.liar,
            registration: setting.registration,
            busy_until: now,
            lookups: BTreeMap::new(),
            next_lookup: 0,
            look_at_load: None,
            others_asked: false,
            chance: Jitter::new(seed),
            card,
        };
        supernode.membership.handle_introduction(known, now);
        supernode.drain(now, out);
        supernode
    }

    /// What it says about itself.
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// Whether it lies.
    pub const fn is_liar(&self) -> bool {
        self.liar
    }

    /// Clients now, and the most it ever had.
    pub fn clients(&self) -> (u32, u32) {
        (self.client_count(), self.most_clients)
    }

    /// Who is at home here.
    pub fn client_list(&self) -> Vec<NodeId> {
        self.clients.iter().copied().collect()
    }

    /// Other supernodes it knows.
    pub fn others(&self) -> impl Iterator<Item = NodeId> {
        self.others.keys().copied()
    }

    /// It stops serving: records, the list and the clients are told.
    pub fn leave(&mut self, now: Duration, out: &mut Outbox) {
        self.index.handle_leaving();
        self.drain(now, out);
        self.membership.handle_leaving(now);
        self.drain(now, out);
        for client in &self.clients {
            out.send(*client, Message::Closed);
        }
    }

    /// When it has something to do.
    pub fn due(&self) -> Option<Duration> {
        let machines = [
            self.membership.poll_timeout().map(|due| due.at),
            self.index.poll_timeout().map(|due| due.at),
            self.look_at_load,
        ];
        machines.into_iter().flatten().min()
    }

    /// Time.
    pub fn wake(&mut self, now: Duration, out: &mut Outbox) {
        self.membership.handle_timeout(now);
        self.drain(now, out);
        self.index.handle_timeout(now);
        self.drain(now, out);
        if self.look_at_load.is_some_and(|at| at <= now) {
            self.look_at_load(now, out);
        }
    }

    /// Something came.
    pub fn hear(&mut self, from: NodeId, message: Message, now: Duration, out: &mut Outbox) {
        match message {
            Message::Register { record, eligible } => {
                self.register(from, record, eligible, now, out);
            }
            Message::Closed => {
                self.clients.remove(&from);
                self.membership.handle_own_load(self.percent());
            }
            Message::Lookup { number, key } => self.look_up(from, number, key, now, out),
            Message::Ask(id, key) => self.answer(from, id, key, now, out),
            Message::Reply(id, note) => {
                let reply = match note {
                    Some(note) if note.forged => Reply::Forged,
                    Some(note) => Reply::Record(note),
                    None => Reply::None,
                };
                out.verified += u64::from(note.is_some());
                self.index.handle_reply(id, from, reply, now);
            }
            Message::Publish(note) => self.publish(from, note, Duration::ZERO, now, out),
            Message::Put(note) | Message::Hand(note) => self.put(from, note, now, out),
            Message::Compare(theirs) => self.index.handle_compare(from, &theirs, now),
            Message::Want(keys) => self.index.handle_want(from, &keys, now),
            Message::Member(message) => self.hear_member(from, message, now, out),
            Message::Probe => out.send(from, Message::Alive),
            Message::Seek(number) => {
                let turn = self.take_turn(self.registration / HANDSHAKE, now);
                out.send_after(turn, from, Message::Here(number));
            }
            Message::Registered { .. }
            | Message::Full { .. }
            | Message::Alive
            | Message::Here(_)
            | Message::Load { .. }
            | Message::Answer { .. } => {}
        }
        self.drain(now, out);
    }

    fn hear_member(
        &mut self,
        from: NodeId,
        message: Member<Card>,
        now: Duration,
        out: &mut Outbox,
    ) {
        let key = crate::world::key_of(from);
        match message {
            Member::Gossip(packet) => self.membership.handle_gossip(key, &packet, now),
            Member::Describe(keys) => self.membership.handle_describe(key, &keys),
            Member::Descriptions(list) => {
                out.verified += list.len() as u64;
                self.membership.handle_descriptions(list, now);
            }
            Member::Digest(theirs) => self.membership.handle_digest(key, &theirs),
            Member::DigestBack(theirs) => self.membership.handle_digest_back(key, &theirs),
            Member::Listed(list) => {
                out.verified += list.len() as u64;
                self.membership.handle_listed(key, list, now);
            }
            Member::Ping => self.membership.handle_ping(key),
            Member::Pong(load) => self.membership.handle_pong(key, load, now),
        }
    }

    /// A place for a client, after its turn at the processor; its record goes to the holders.
    fn register(
        &mut self,
        from: NodeId,
        record: Note,
        eligible: bool,
        now: Duration,
        out: &mut Outbox,
    ) {
        let others = self.some_others();
        let known = self.clients.contains(&from);
        if !known && self.client_count() >= self.clients_max {
            // Refusing costs no signature.
            out.send(from, Message::Full { others });
            return;
        }
        let turn = self.take_turn(self.registration, now);
        out.verified += 3;
        self.clients.insert(from);
        self.crowd
            .handle_willing(crate::world::key_of(from), eligible);
        self.most_clients = self.most_clients.max(self.client_count());
        self.membership.handle_own_load(self.percent());
        out.send_after(turn, from, Message::Registered { others });
        // INDEX-24: holders hear nothing of a record that is known here.
        if self.registered.insert(record.key, record.sequence) != Some(record.sequence) {
            self.publish(from, record, turn, now, out);
        }
        if self.percent() >= BUSY && !self.others_asked {
            self.look_at_load(now, out);
        }
    }

    /// Work for the processor: when it will be done.
    fn take_turn(&mut self, work: Duration, now: Duration) -> Duration {
        self.busy_until = self.busy_until.max(now) + work;
        self.busy_until - now
    }

    /// Brings a client's record to its holders. A liar does not.
    fn publish(
        &mut self,
        from: NodeId,
        record: Note,
        turn: Duration,
        now: Duration,
        out: &mut Outbox,
    ) {
        if self.liar {
            return;
        }
        let source = Source::Client(block(from));
        // Whether it is kept here as well is looked at by its owner.
        let _ = self.index.handle_publish(source, record, LIVES, now);
        self.write();
        while let Some(transmit) = self.index.poll_transmit() {
            if let Transmit::Put(holder, note) = transmit {
                out.send_after(turn, holder, Message::Put(note));
            }
        }
    }

    fn put(&mut self, from: NodeId, note: Note, now: Duration, out: &mut Outbox) {
        out.verified += 1;
        // A liar acknowledges and keeps nothing.
        if !note.forged && !self.liar {
            let _ = self.index.handle_put(from, note, LIVES, now);
        }
    }

    fn look_up(
        &mut self,
        client: NodeId,
        number: u64,
        key: IndexKey,
        now: Duration,
        out: &mut Outbox,
    ) {
        if self.liar {
            out.send(
                client,
                Message::Answer {
                    number,
                    found: None,
                    waves: 0,
                },
            );
            return;
        }
        self.next_lookup += 1;
        let asking = Asking {
            client,
            number,
            asked: 0,
        };
        self.lookups.insert(self.next_lookup, asking);
        self.index.handle_lookup(self.next_lookup, key, now);
    }

    /// To another supernode that asks. Half of the liars deny, half forge.
    fn answer(&self, from: NodeId, id: u64, key: IndexKey, now: Duration, out: &mut Outbox) {
        let found = if !self.liar {
            self.index.get(key, now).copied()
        } else if self.card.node.is_multiple_of(2) {
            None
        } else {
            Some(Note {
                key,
                sequence: u64::MAX,
                forged: true,
            })
        };
        out.send(from, Message::Reply(id, found));
    }

    fn drain(&mut self, now: Duration, out: &mut Outbox) {
        while let Some((to, message)) = self.membership.poll_transmit() {
            out.send(node_of(to), Message::Member(message));
        }
        while let Some(event) = self.membership.poll_event() {
            match event {
                MembershipEvent::Joined(card) | MembershipEvent::Changed(card) => {
                    let (node, position) = (card.node, card.position());
                    self.others.insert(node, card);
                    self.index.handle_joined(node, position, now);
                }
                MembershipEvent::Left(key) => {
                    self.others.remove(&node_of(key));
                    self.index.handle_left(node_of(key), now);
                }
            }
            self.drain_index(out);
        }
        self.drain_index(out);
    }

    /// The disk takes no time here.
    fn write(&mut self) {
        while let Some(persist) = self.index.poll_persist() {
            if let Persist::Keep(note) = persist {
                self.index.handle_written(note.key, note.sequence);
            }
        }
    }

    fn drain_index(&mut self, out: &mut Outbox) {
        self.write();
        while let Some(transmit) = self.index.poll_transmit() {
            let (to, message) = match transmit {
                Transmit::Ask(id, to, key) => {
                    if let Some(asking) = self.lookups.get_mut(&id) {
                        asking.asked += 1;
                    }
                    (to, Message::Ask(id, key))
                }
                Transmit::Put(to, note) => (to, Message::Put(note)),
                Transmit::Hand(to, note) => (to, Message::Hand(note)),
                Transmit::Compare(to, list) => (to, Message::Compare(list)),
                Transmit::Want(to, keys) => (to, Message::Want(keys)),
            };
            if !self.liar {
                out.send(to, message);
            }
        }
        while let Some(event) = self.index.poll_event() {
            match event {
                IndexEvent::Found(id, _, note) => self.tell_found(id, Some(note), out),
                IndexEvent::NotFound(id) => self.tell_found(id, None, out),
                IndexEvent::Ended(id) => {
                    self.lookups.remove(&id);
                }
                IndexEvent::Newer(..) | IndexEvent::Blame(..) => {}
            }
        }
    }

    fn tell_found(&self, id: u64, found: Option<Note>, out: &mut Outbox) {
        let Some(asking) = self.lookups.get(&id) else {
            return;
        };
        let asked = u32::try_from(asking.asked).unwrap_or(u32::MAX);
        let at_once = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let more = asked.saturating_sub(at_once).div_ceil(2);
        let answer = Message::Answer {
            number: asking.number,
            found,
            waves: u32::from(asked > 0) + more,
        };
        out.send(asking.client, answer);
    }

    /// Some of the others, by chance: clients spread.
    fn some_others(&mut self) -> Vec<Card> {
        let count = u32::try_from(self.others.len()).unwrap_or(u32::MAX);
        let mut named: Vec<Card> = Vec::with_capacity(NAMED);
        for _ in 0..NAMED {
            let at = self.chance.below(count) as usize;
            if let Some(card) = self.others.values().nth(at)
                && !named.contains(card)
            {
                named.push(card.clone());
            }
        }
        named
    }

    /// Asks the others how full they are if it is time to call for help, and calls when they have had time to answer.
    fn look_at_load(&mut self, now: Duration, out: &mut Outbox) {
        let own = self.percent();
        self.look_at_load = (own >= BUSY).then_some(now + SAY_EVERY);
        if std::mem::take(&mut self.others_asked) {
            return self.call_for_help(now, out);
        }
        let clients = &self.clients;
        self.crowd
            .retain(|client| clients.contains(&node_of(client)));
        if !self.crowd.is_due(own, now) {
            return;
        }
        if self.others.is_empty() {
            return self.call_for_help(now, out);
        }
        self.membership.handle_load_wanted(now);
        self.drain(now, out);
        self.others_asked = true;
        self.look_at_load = Some(now + ANSWERED_WITHIN);
    }

    fn call_for_help(&mut self, now: Duration, out: &mut Outbox) {
        let others = self.membership.others_load(now);
        let keys = self.others.keys().map(|other| crate::world::key_of(*other));
        self.crowd.handle_others(keys, now);
        let Some(call) = self.crowd.call(self.percent(), others, now) else {
            return;
        };
        let candidates = u32::try_from(call.clients.len()).unwrap_or(u32::MAX);
        for client in call.clients {
            let load = Message::Load {
                percent: call.percent,
                candidates,
            };
            out.send(node_of(client), load);
        }
    }

    fn client_count(&self) -> u32 {
        u32::try_from(self.clients.len()).unwrap_or(u32::MAX)
    }

    fn percent(&self) -> u8 {
        u8::try_from(self.client_count() * 100 / self.clients_max.max(1)).unwrap_or(100)
    }
}

/// The address block of a node.
fn block(node: NodeId) -> Block {
    Block::of(crate::world::address_of(node))
}
