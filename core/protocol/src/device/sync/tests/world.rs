//! A few devices of one account with their stores, and links that deliver when they are told to. Device 0 is the owner's.

use std::collections::VecDeque;
use std::ops::Range;

use ed25519_dalek::SigningKey;
use starling_wire::account::{self, Chain};
use starling_wire::card::{Card, Door, DoorKeys};
use starling_wire::sync::Place;

use super::*;
use crate::backoff::Jitter;

/// The world's clock begins here, Unix milliseconds.
pub const NOON: u64 = 1_800_000_000_000;

pub fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn device(n: usize) -> DeviceId {
    DeviceId(device_key(n).verifying_key().to_bytes())
}

fn device_key(n: usize) -> SigningKey {
    signing(100 + n as u8)
}

pub fn key(field: &str) -> Key {
    Key {
        about: None,
        field: field.into(),
    }
}

/// As device `n` says it.
pub fn entry(n: usize, field: &str, value: Option<u8>, time: u64) -> Entry {
    let value = value.map(|value| vec![value]);
    let account = card(1).account().id();
    Author::new(account, device_key(n)).sign(key(field), value, time)
}

/// The same, passed off as device `whom`'s.
pub fn forged(n: usize, whom: usize, field: &str, value: u8, time: u64) -> Entry {
    let mut forged = entry(n, field, Some(value), time);
    forged.stamp.device = device(whom);
    forged
}

/// Alice's card with so many devices. The signing key is 1.
pub fn card(count: usize) -> VerifiedCard {
    let recovery = signing(2).verifying_key();
    let mut chain = Chain::create(&signing(1), &recovery, [0; 16], device(0), "0");
    for n in 1..count {
        let add = account::Change::AddDevice {
            device: device(n),
            name: n.to_string(),
            owner: false,
        };
        chain.append(&signing(1), add);
    }
    signed(chain, 1)
}

fn signed(chain: Chain, sequence: u64) -> VerifiedCard {
    let card = Card {
        chain,
        network: None,
        name: "Alice".into(),
        request_key: [0; 32],
        discovery_key: [0; 32],
        sequence,
    };
    card.sign(&signing(1), Vec::new()).verify().unwrap()
}

/// A valid card of another account's with a device of Alice's.
pub fn mallorys() -> SignedCard {
    let chain = Chain::create(
        &signing(6),
        &signing(6).verifying_key(),
        [6; 16],
        device(1),
        "mine",
    );
    let card = Card {
        chain,
        network: None,
        name: "Mallory".into(),
        request_key: [0; 32],
        discovery_key: [0; 32],
        sequence: 9,
    };
    card.sign(&signing(6), Vec::new())
}

/// What is on a device's disk.
#[derive(Clone)]
pub struct Store {
    pub entries: BTreeMap<Place, Entry>,
    pub card: SignedCard,
    pub key: Option<Seed>,
    pub settled: Option<ChainHead>,
}

impl Store {
    fn stored(&self) -> Stored {
        Stored {
            card: self.card.verify().unwrap(),
            signing_key: self.key.clone(),
            entries: self.entries.values().cloned().collect(),
            settled: self.settled,
        }
    }
}

pub struct Device {
    sync: Sync,
    pub store: Store,
    /// How far its clock is ahead.
    pub skew: i64,
    pub events: Vec<SyncEvent>,
    pub removed: Vec<Key>,
}

impl Device {
    pub fn sync(&mut self) -> &mut Sync {
        &mut self.sync
    }

    fn start(n: usize, store: &Store) -> Sync {
        let stored = store.stored();
        let account = stored.card.account().id();
        Sync::new(Author::new(account, device_key(n)), stored)
    }
}

/// Frames under way, by the device that they go to.
struct Pipe {
    between: (usize, usize),
    to: BTreeMap<usize, VecDeque<SyncFrame>>,
    closed_by: Option<usize>,
}

pub struct World {
    pub devices: Vec<Device>,
    pipes: BTreeMap<LinkId, Pipe>,
    next_link: LinkId,
    pub now: u64,
    /// Every state of an entry that was ever kept somewhere.
    pub ever: Vec<Entry>,
}

impl World {
    pub fn new(count: usize) -> Self {
        let card = card(count);
        let device = |n| {
            let store = Store {
                entries: BTreeMap::new(),
                card: card.signed().clone(),
                key: (n == 0).then_some(Seed([1; 32])),
                settled: Some(card.account().head()),
            };
            Device {
                sync: Device::start(n, &store),
                store,
                skew: 0,
                events: Vec::new(),
                removed: Vec::new(),
            }
        };
        Self {
            devices: (0..count).map(device).collect(),
            pipes: BTreeMap::new(),
            next_link: 1,
            now: NOON,
            ever: Vec::new(),
        }
    }

    pub fn clock(&self, n: usize) -> u64 {
        self.now.saturating_add_signed(self.devices[n].skew)
    }

    pub fn clear_events(&mut self) {
        for device in &mut self.devices {
            device.events.clear();
        }
    }

    /// Persists, sends, and closes what is to be closed.
    pub fn drain(&mut self, n: usize) {
        let device = &mut self.devices[n];
        while let Some(persist) = device.sync.poll_persist() {
            match persist {
                SyncPersist::Put(entry) => {
                    self.ever.push(entry.clone());
                    device.store.entries.insert(entry.key.place(), entry);
                }
                SyncPersist::Remove(key) => {
                    device.store.entries.remove(&key.place());
                    device.removed.push(key);
                }
                SyncPersist::Card(card) => device.store.card = *card,
                SyncPersist::SigningKey(seed) => device.store.key = Some(seed),
                SyncPersist::Settled(head) => device.store.settled = Some(head),
            }
        }
        while let Some(SyncTransmit { link, frame }) = device.sync.poll_transmit() {
            // What is sent is read as it was written.
            let bytes = starling_wire::frame::encode_body(&frame);
            let max = starling_wire::sync::SYNC_FRAME_MAX;
            let frame = starling_wire::frame::decode_body(&bytes, max).unwrap();
            if let Some(pipe) = self.pipes.get_mut(&link) {
                pipe.send(n, frame);
            }
        }
        while let Some(event) = device.sync.poll_event() {
            if let SyncEvent::Close(link) = event
                && let Some(pipe) = self.pipes.get_mut(&link)
            {
                pipe.closed_by = Some(n);
            }
            device.events.push(event);
        }
        self.reap();
    }

    /// Pipes that one side closed go when what it had said is read.
    fn reap(&mut self) {
        let done = self.pipes.iter().find_map(|(link, pipe)| {
            let by = pipe.closed_by?;
            let other = pipe.other(by);
            pipe.to[&other].is_empty().then_some((*link, other))
        });
        if let Some((link, other)) = done {
            self.pipes.remove(&link);
            self.devices[other].sync.handle_link_down(link);
            self.drain(other);
        }
    }

    pub fn command(&mut self, n: usize, command: SyncCommand) {
        self.now += 1;
        let clock = self.clock(n);
        self.devices[n].sync.handle_command(command, clock).unwrap();
        self.drain(n);
    }

    pub fn change(&mut self, n: usize, field: &str, value: Option<u8>) {
        let change = (key(field), value.map(|value| vec![value]));
        self.command(n, SyncCommand::Change(vec![change]));
    }

    pub fn link(&mut self, a: usize, b: usize) {
        let link = self.next_link;
        self.next_link += 1;
        let to = BTreeMap::from([(a, VecDeque::new()), (b, VecDeque::new())]);
        let pipe = Pipe {
            between: (a, b),
            to,
            closed_by: None,
        };
        self.pipes.insert(link, pipe);
        for (n, other) in [(a, b), (b, a)] {
            if self.pipes.contains_key(&link) {
                let clock = self.clock(n);
                let sync = &mut self.devices[n].sync;
                sync.handle_link_up(link, device(other), clock);
                self.drain(n);
            }
        }
    }

    fn links(&self, a: usize, b: usize) -> Vec<LinkId> {
        let between = |pipe: &Pipe| pipe.between == (a, b) || pipe.between == (b, a);
        let pipes = self.pipes.iter().filter(|(_, pipe)| between(pipe));
        pipes.map(|(link, _)| *link).collect()
    }

    pub fn is_linked(&self, a: usize, b: usize) -> bool {
        !self.links(a, b).is_empty()
    }

    /// What was under way is lost.
    pub fn unlink(&mut self, a: usize, b: usize) {
        for link in self.links(a, b) {
            self.pipes.remove(&link);
            for n in [a, b] {
                self.devices[n].sync.handle_link_down(link);
                self.drain(n);
            }
        }
    }

    /// One frame from one to the other, if there is one.
    pub fn deliver(&mut self, from: usize, to: usize) -> bool {
        for link in self.links(from, to) {
            let pipe = self.pipes.get_mut(&link);
            let queue = pipe.and_then(|pipe| pipe.to.get_mut(&to));
            if let Some(frame) = queue.and_then(VecDeque::pop_front) {
                let clock = self.clock(to);
                self.devices[to].sync.handle_frame(link, frame, clock);
                self.drain(to);
                return true;
            }
        }
        false
    }

    /// Everything that is under way and what comes of it; how many frames that were.
    pub fn settle(&mut self) -> usize {
        let count = self.devices.len();
        let mut frames = 0;
        loop {
            let before = frames;
            for from in 0..count {
                for to in 0..count {
                    while self.deliver(from, to) {
                        frames += 1;
                        assert!(frames < 100_000, "it never ends");
                    }
                }
            }
            if frames == before {
                return frames;
            }
        }
    }

    /// The same, one frame here and one there, as chance has it.
    pub fn settle_by_chance(&mut self, seed: u64) {
        let mut chance = Jitter::new(seed);
        let count = self.devices.len() as u32;
        for _ in 0..2_000 {
            let from = chance.below(count) as usize;
            let to = chance.below(count) as usize;
            self.deliver(from, to);
        }
        self.settle();
    }

    /// Somebody says what his machine would not.
    pub fn say(&mut self, from: usize, to: usize, frame: SyncFrame) {
        for link in self.links(from, to) {
            if let Some(pipe) = self.pipes.get_mut(&link) {
                pipe.send(from, frame.clone());
            }
        }
    }

    /// The same, before anything that is under way.
    pub fn say_now(&mut self, from: usize, to: usize, frame: SyncFrame) {
        for link in self.links(from, to) {
            let clock = self.clock(to);
            let sync = &mut self.devices[to].sync;
            sync.handle_frame(link, frame.clone(), clock);
            self.drain(to);
        }
    }

    /// The account's key signs a change on this device.
    pub fn sign(&mut self, n: usize, change: account::Change) {
        let mut card = self.devices[n].store.card.card.clone();
        card.chain.append(&signing(1), change);
        let signed = signed(card.chain, card.sequence + 1);
        self.command(n, SyncCommand::Card(Box::new(signed)));
    }

    pub fn revoke(&mut self, by: usize, whom: usize) {
        let device = device(whom);
        self.sign(by, account::Change::RemoveDevice { device });
    }

    /// A card in which this device says where its door is.
    pub fn moved(&self, n: usize) -> VerifiedCard {
        let mut card = self.devices[n].store.card.clone();
        let keeper = DoorKeys {
            account: card.card.chain.id(),
            device: &device_key(n),
            door: &signing(50),
        };
        card.doors = vec![Door::new(&keeper, Vec::new(), self.now)];
        card.verify().unwrap()
    }

    /// The process ends and begins again with what was stored.
    pub fn restart(&mut self, n: usize) {
        for other in 0..self.devices.len() {
            if other != n {
                self.unlink(n, other);
            }
        }
        self.devices[n].sync = Device::start(n, &self.devices[n].store);
    }

    /// What it changes does not reach the disk, nor anybody.
    pub fn change_in_vain(&mut self, n: usize, field: &str, value: u8) {
        let clock = self.clock(n);
        let Device { sync, store, .. } = &mut self.devices[n];
        let change = SyncCommand::Change(vec![(key(field), Some(vec![value]))]);
        sync.handle_command(change, clock).unwrap();
        while sync.poll_persist().is_some() {}
        while sync.poll_transmit().is_some() {}
        while sync.poll_event().is_some() {}
        sync.handle_undone(store.stored());
        self.drain(n);
    }

    /// A removed device whose holder puts back the card that had it in.
    pub fn return_from_the_dead(&mut self, n: usize) {
        let count = self.devices.len();
        self.devices[n].store.card = card(count).signed().clone();
        self.restart(n);
    }

    /// Field and value of everything on a device's disk, in order.
    pub fn values(&self, n: usize) -> Vec<(&str, Option<u8>)> {
        let entries = self.devices[n].store.entries.values();
        let value = |entry: &Entry| entry.value.as_ref().map(|value| value[0]);
        let mut values: Vec<_> = entries
            .map(|entry| (entry.key.field.as_str(), value(entry)))
            .collect();
        values.sort_unstable();
        values
    }

    pub fn stamped_by(&self, n: usize, whom: usize) -> Vec<&Entry> {
        let entries = self.devices[n].store.entries.values();
        entries
            .filter(|entry| entry.stamp.device == device(whom))
            .collect()
    }

    /// All of these have the same on their disks.
    pub fn assert_even(&self, mut devices: Range<usize>) {
        let first = devices.next().unwrap();
        for n in devices {
            let (one, other) = (&self.devices[first].store, &self.devices[n].store);
            assert_eq!(one.entries, other.entries, "{first} and {n}");
        }
    }
}

impl Pipe {
    const fn other(&self, n: usize) -> usize {
        if self.between.0 == n {
            self.between.1
        } else {
            self.between.0
        }
    }

    /// Whoever has closed it hears nothing any more.
    fn send(&mut self, from: usize, frame: SyncFrame) {
        let to = self.other(from);
        if self.closed_by != Some(to)
            && let Some(queue) = self.to.get_mut(&to)
        {
            queue.push_back(frame);
        }
    }
}
