//! A holder with its driver: a disk that outlives the process, until the machine dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_protocol::mailbox::holder::disk::Disk;
use starling_protocol::mailbox::holder::{Caps, Connection, Event, Holder, Setup, Transmit};
use starling_wire::ids::{EndpointKey, EntryId};
use starling_wire::log::Entry;
use starling_wire::log::frames::{Answer, Ask};
use starling_wire::ordering::grounds::{Grounds, SignedGrounded};
use starling_wire::ordering::statement::Signed;

/// Who is at the other end of a connection: which member of which conversation, for which generation's box.
pub type Visitor = (usize, usize, usize);

/// An answer, with the body of an entry.
pub type Said = (Visitor, Answer, Option<Arc<[u8]>>);

/// One holder.
#[derive(Debug)]
pub struct Station {
    key: SigningKey,
    /// Two stations share one.
    pub block: u32,
    /// Nothing once the machine has died.
    holder: Option<Holder>,
    disk: Disk,
    issuer: EndpointKey,
    visitors: BTreeMap<Connection, Visitor>,
    connections: BTreeMap<Visitor, Connection>,
    next: u64,
    /// Whether the role ends.
    pub leaving: bool,
    /// What was copied here in place of another.
    pub repaired: u64,
    /// The most that was stored at the end of a day.
    pub stored: u64,
}

impl Station {
    /// An empty one.
    pub fn new(number: u32, issuer: EndpointKey, today: u32) -> Self {
        let mut seed = [0x5a; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        let mut station = Self {
            key: SigningKey::from_bytes(&seed),
            block: number / 2,
            holder: None,
            disk: Disk::default(),
            issuer,
            visitors: BTreeMap::new(),
            connections: BTreeMap::new(),
            next: u64::from(number) << 32,
            leaving: false,
            repaired: 0,
            stored: 0,
        };
        station.start(today, Duration::ZERO);
        station
    }

    /// Its key.
    pub fn id(&self) -> EndpointKey {
        EndpointKey(self.key.verifying_key().to_bytes())
    }

    /// Whether it is there.
    pub const fn lives(&self) -> bool {
        self.holder.is_some()
    }

    /// The process begins, with what is on the disk. Returns who was connected.
    pub fn start(&mut self, today: u32, now: Duration) -> Vec<Visitor> {
        let setup = Setup {
            own: self.id(),
            caps: Caps::default(),
            issuers: BTreeSet::from([self.issuer]),
            today,
            seed: self.next,
        };
        self.holder = Some(self.disk.restore(setup, now));
        self.cut()
    }

    /// The machine dies, and its disk with it. Returns who was connected.
    pub fn die(&mut self) -> Vec<Visitor> {
        self.holder = None;
        self.disk = Disk::default();
        self.cut()
    }

    fn cut(&mut self) -> Vec<Visitor> {
        self.visitors.clear();
        std::mem::take(&mut self.connections).into_keys().collect()
    }

    /// What is on its disk.
    pub fn entries(&self) -> BTreeSet<EntryId> {
        self.disk.entries().map(Entry::id).collect()
    }

    /// Whoever is connected.
    pub fn has(&self, visitor: Visitor) -> bool {
        self.connections.contains_key(&visitor)
    }

    /// Somebody connects, under a key that is used once.
    pub fn connect(&mut self, visitor: Visitor, asker: EndpointKey, now: Duration) {
        let Some(holder) = &mut self.holder else {
            return;
        };
        self.next += 1;
        let connection = Connection(self.next);
        if holder.handle_connected(connection, asker, now) {
            self.visitors.insert(connection, visitor);
            self.connections.insert(visitor, connection);
        }
    }

    /// A member has gone offline.
    pub fn disconnect(&mut self, visitor: Visitor) {
        if let (Some(connection), Some(holder)) =
            (self.connections.remove(&visitor), &mut self.holder)
        {
            self.visitors.remove(&connection);
            holder.handle_lost(connection);
        }
    }

    /// Somebody asks.
    pub fn ask(&mut self, visitor: Visitor, ask: Ask, body: Arc<[u8]>, now: Duration) -> Vec<Said> {
        if let (Some(connection), Some(holder)) = (self.connections.get(&visitor), &mut self.holder)
        {
            holder.handle_frame(*connection, ask, body, now);
        }
        self.drain()
    }

    /// The role ends.
    pub fn leave(&mut self, now: Duration) -> Vec<Said> {
        self.leaving = true;
        if let Some(holder) = &mut self.holder {
            holder.handle_leaving(now);
        }
        self.drain()
    }

    /// Another day.
    pub fn day(&mut self, today: u32) {
        if let Some(holder) = &mut self.holder {
            holder.handle_day(today);
            self.stored = self.stored.max(holder.figures().bytes);
        }
        self.drain();
    }

    /// Time; `true` once the time after leaving is over.
    pub fn timeout(&mut self, now: Duration) -> bool {
        let Some(holder) = &mut self.holder else {
            return false;
        };
        holder.handle_timeout(now);
        let left = holder.poll_event() == Some(Event::Left);
        self.drain();
        left
    }

    /// Time, for those who wait for their turn at a slot.
    pub fn pass(&mut self, now: Duration) -> Vec<Said> {
        if let Some(holder) = &mut self.holder {
            holder.handle_timeout(now);
        }
        self.drain()
    }

    /// What is to be kept is kept, then what is said.
    fn drain(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        let Some(holder) = &mut self.holder else {
            return said;
        };
        while let Some(persist) = holder.poll_persist() {
            self.disk.write(persist);
        }
        while let Some((to, transmit)) = holder.poll_transmit() {
            let Some(visitor) = self.visitors.get(&to) else {
                continue;
            };
            if let Some((answer, body)) = answer(&self.disk, &self.key, transmit) {
                said.push((*visitor, answer, body));
            }
        }
        said
    }
}

fn answer(
    disk: &Disk,
    key: &SigningKey,
    transmit: Transmit,
) -> Option<(Answer, Option<Arc<[u8]>>)> {
    let answer = match transmit {
        Transmit::Answer(answer) => answer,
        Transmit::Receipt(said) => Answer::Receipt(Signed::new(said, key)),
        Transmit::Promise(said) => {
            let kept = disk.grounds(said.seat.mailbox, said.slot);
            Answer::Promise(Box::new(SignedGrounded {
                promise: Signed::new(said, key),
                grounds: kept.map(Grounds::signed).unwrap_or_default(),
            }))
        }
        Transmit::Vote(said) => Answer::Vote(Signed::new(said, key)),
        Transmit::Certificate { mailbox, slot } => {
            let kept = disk.certificate(mailbox, slot)?;
            Answer::Settled(Box::new(kept.signed()))
        }
        Transmit::Entry { mailbox, number } => {
            let entry = disk.entry(mailbox, number)?;
            let head = *entry.head();
            return Some((Answer::Item { number, head }, Some(entry.body().clone())));
        }
    };
    Some((answer, None))
}
