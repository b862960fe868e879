//! A device with its driver: one conversation, the boxes of its generations, and a disk that is written once for each drain.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use starling_chat::group::conversation::Restored;
use starling_chat::group::ground::{founded, taken_in};
use starling_chat::group::outputs::{Deposit, Event, Persist, Transmit, Unreadable, Welcome};
use starling_chat::group::{Conversation, Ground, Wish};
use starling_chat::mls::{Client, KeyPackage, Suite};
use starling_chat::order::member::Kept;
use starling_protocol::mailbox::collector::{self, Collector, Source};
use starling_protocol::mailbox::depositor::{self, Depositor, Target};
use starling_wire::account::{Change as Entry, Founding};
use starling_wire::content::{Body, Content, Text, Words, message_id};
use starling_wire::credential::{Credential, Member};
use starling_wire::group::Record;
use starling_wire::ids::{DeviceId, EndpointKey, EntryId, EpochTag, GroupId, MessageId};
use starling_wire::limits::AGAIN_MAX;
use starling_wire::log::frames::{Answer, Ask};
use starling_wire::log::keys::{Generation, PublicBox};
use starling_wire::log::seal::Inside;
use starling_wire::log::{Entry as LogEntry, Kind};
use starling_wire::ordering::Seat;
use starling_wire::ordering::statement::{Known, Receipt};

/// The one conversation of this world.
pub const GROUP: GroupId = GroupId([7; 32]);

/// A question to a holder about the box of the generation that began with an epoch.
pub type Question = (EpochTag, EndpointKey, Ask, Arc<[u8]>);

/// What a device wants of the world.
#[derive(Debug, Default)]
pub struct Told {
    pub questions: Vec<Question>,
    pub events: Vec<Event>,
}

/// What is to be left, the message of ours that it is, and the receipts for it.
type Left = (Deposit, Option<MessageId>, Vec<Known<Receipt>>);

/// One device.
#[derive(Debug)]
pub struct Device {
    key: SigningKey,
    credential: Credential,
    client: Client,
    pub conversation: Option<Conversation>,
    boxes: BTreeMap<EpochTag, (Depositor<u32>, Collector)>,
    /// Own messages to be encrypted now.
    again: BTreeSet<MessageId>,
    /// Entries to be left now.
    deposits: VecDeque<(Deposit, Option<MessageId>)>,
    /// Entries to be fetched now, and from which generation's boxes.
    wanted: VecDeque<(EpochTag, EntryId)>,
    pub disk: Disk,
    pub up: bool,
    pub wakes: u64,
}

/// What outlives the process.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    ground: Vec<u8>,
    order: Kept,
    waiting: BTreeMap<EntryId, (EpochTag, LogEntry)>,
    welcomes: BTreeMap<EntryId, Welcome>,
    /// What is to be left at the holders.
    outbox: BTreeMap<EntryId, Left>,
    cursors: BTreeMap<(EpochTag, EndpointKey), u64>,
    /// Everything said that is here, own messages too.
    pub said: BTreeMap<MessageId, Vec<u8>>,
    /// Own messages, and in which epoch they were encrypted last.
    own: BTreeMap<MessageId, EpochTag>,
    /// Own messages that are to be encrypted yet.
    unsaid: BTreeSet<MessageId>,
}

impl Device {
    /// The only device of an account.
    pub fn new(number: u8) -> Self {
        let mut seed = [0x5a; 32];
        seed[0] = number;
        let key = SigningKey::from_bytes(&seed);
        let id = DeviceId(key.verifying_key().to_bytes());
        let founding = Founding::new(&[number; 32]);
        let mut chain = founding.found(id, "laptop");
        let entry = Entry::AddDevice {
            device: id,
            name: format!("device {number}"),
            owner: false,
        };
        chain.append(&founding.signing, entry);
        let credential = Credential::of(&chain, id).expect("it was just added");
        let client = Client::new(&key, &credential, []).expect("a new device");
        Self {
            key,
            credential,
            client,
            conversation: None,
            boxes: BTreeMap::new(),
            again: BTreeSet::new(),
            deposits: VecDeque::new(),
            wanted: VecDeque::new(),
            disk: Disk::default(),
            up: true,
            wakes: 0,
        }
    }

    pub fn member(&self) -> Member {
        self.client.member()
    }

    /// Makes the group.
    pub fn found(&mut self, record: &Record, seed: [u8; 32]) {
        let context = record.write().expect("a record");
        let suite = Suite::Classic;
        self.client
            .create(GROUP, suite, &context, now_s())
            .expect("a group");
        let ground = founded(&mut self.client, GROUP).expect("a group");
        self.conversation = Some(Conversation::new(ground, seed));
    }

    /// A package by which somebody takes this device in.
    pub fn package(&mut self) -> Vec<u8> {
        let made = self
            .client
            .make_key_packages(Suite::Classic, 1, now_s())
            .expect("packages");
        self.commit();
        made.into_iter().next().expect("one")
    }

    pub fn read_package(&mut self, package: &[u8]) -> KeyPackage {
        self.client
            .read_key_package(package, now_s())
            .expect("a package")
    }

    /// Comes in by a Welcome that lies in the log.
    pub fn come_in(&mut self, told: &Generation, welcome: &LogEntry, seed: [u8; 32]) -> bool {
        let inside = told
            .open(welcome)
            .and_then(|plain| Inside::read(Kind::Welcome, &plain));
        let Ok(Inside::Welcome { welcome, tree }) = inside else {
            return false;
        };
        if self.client.join(&welcome, tree.as_deref()).is_err() {
            return false;
        }
        match taken_in(&mut self.client, GROUP, told) {
            Ok(ground) => {
                self.conversation = Some(Conversation::new(ground, seed));
                true
            }
            Err(_) => false,
        }
    }

    /// Which generation it tells somebody whom it took in, and the entry with the Welcome.
    pub fn invitation(&self, welcome: EntryId) -> Option<(Generation, LogEntry)> {
        let (deposit, ..) = self.disk.outbox.get(&welcome)?;
        let ground = self.conversation.as_ref()?.ground();
        let generation = ground.generation_of(deposit.first)?;
        let holder = *generation.holders.first()?;
        let keys = generation.keys(holder);
        let mailbox = generation.plan().mailbox(holder);
        let body = deposit.body.clone();
        let entry = LogEntry::new((deposit.kind, deposit.slot), body, (mailbox, &keys.deposit));
        Some((generation.clone(), entry.ok()?))
    }

    /// Forgets the group, having been taken out: what was said stays.
    pub fn leave_group(&mut self) {
        self.client.remove(GROUP);
        self.conversation = None;
        self.boxes.clear();
        self.disk = Disk {
            rows: std::mem::take(&mut self.disk.rows),
            said: std::mem::take(&mut self.disk.said),
            ..Disk::default()
        };
        self.commit();
    }

    /// The process ends; what is in memory is gone.
    pub fn crash(&mut self) {
        self.up = false;
        self.conversation = None;
        self.boxes.clear();
        self.again.clear();
        self.deposits.clear();
        self.wanted.clear();
    }

    /// It begins again, with what is on disk.
    pub fn start(&mut self, seed: [u8; 32], now: Duration) -> Told {
        self.up = true;
        self.client = Client::new(&self.key, &self.credential, self.disk.rows.clone())
            .expect("what was written");
        if self.disk.ground.is_empty() {
            return Told::default();
        }
        let restored = Restored {
            ground: Ground::read(&self.disk.ground).expect("what was written"),
            order: self.disk.order.clone(),
            waiting: self.disk.waiting.values().cloned().collect(),
            welcomes: self.disk.welcomes.clone(),
            said: self.disk.own.clone(),
        };
        let mut conversation = Conversation::restore(restored, seed);
        conversation.handle_start(&mut self.client, now);
        self.conversation = Some(conversation);
        self.drain(now)
    }

    /// Says something. What cannot be said now is said with the next change of the group.
    pub fn say(&mut self, text: &str, now: Duration) -> (MessageId, Told) {
        let words = Words::new(text);
        let reply_to = None;
        let id = self.note(Body::Text(Text { words, reply_to }), now);
        self.again.insert(id);
        (id, self.drain(now))
    }

    fn note(&mut self, body: Body, now: Duration) -> MessageId {
        let content = Content {
            sent_at: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            predecessors: Vec::new(),
            body,
        };
        let bytes = content.write().expect("a short message");
        let id = message_id(self.member().account, &bytes);
        self.disk.said.insert(id, bytes);
        id
    }

    pub fn wish(&mut self, number: u64, wish: Wish, now: Duration) -> Told {
        if let Some(conversation) = &mut self.conversation {
            conversation.handle_wish(number, wish, &mut self.client, now);
        }
        self.drain(now)
    }

    pub fn members(&mut self) -> Vec<Member> {
        let Some(conversation) = &mut self.conversation else {
            return Vec::new();
        };
        let seen = conversation.seen(&mut self.client);
        let leaves = seen.map(|(_, leaves)| leaves).unwrap_or_default();
        leaves.into_iter().map(|leaf| leaf.member).collect()
    }

    /// The generations whose boxes it uses.
    pub fn generations(&self) -> Vec<Generation> {
        let ground = self.conversation.as_ref().map(Conversation::ground);
        let all = ground.map(Ground::generations).unwrap_or_default();
        all.into_iter().cloned().collect()
    }

    pub fn connected(&mut self, first: EpochTag, holder: EndpointKey, now: Duration) -> Told {
        if let Some((depositor, collector)) = self.boxes.get_mut(&first) {
            depositor.handle_connected(holder, now);
            collector.handle_connected(holder, now);
        }
        self.drain(now)
    }

    pub fn cut(&mut self, first: EpochTag, holder: EndpointKey, now: Duration) {
        if let Some((depositor, collector)) = self.boxes.get_mut(&first) {
            depositor.handle_lost(holder);
            collector.handle_lost(holder, now);
        }
    }

    /// A holder said something.
    pub fn hear(
        &mut self,
        (first, holder): (EpochTag, EndpointKey),
        answer: Answer,
        body: Option<Arc<[u8]>>,
        now: Duration,
    ) -> Told {
        let Some((depositor, collector)) = self.boxes.get_mut(&first) else {
            return Told::default();
        };
        match (answer, body) {
            (Answer::Item { number, head }, Some(body)) => {
                collector.handle_item(holder, number, (head, body));
                self.drain(now)
            }
            (answer, _) => {
                depositor.handle_answer(holder, &answer, now);
                collector.handle_answer(holder, answer.clone());
                let mut told = self.drain(now);
                if let Some(conversation) = &mut self.conversation {
                    let generation = conversation.ground().generation_of(first);
                    let seats = generation.map(|one| one.plan().holders().seats);
                    let seat = seats
                        .into_iter()
                        .flatten()
                        .find(|seat| seat.holder == holder);
                    if let Some(seat) = seat {
                        conversation.handle_answer(seat, &answer, &mut self.client, now);
                    }
                }
                told.add(self.drain(now));
                told
            }
        }
    }

    pub fn timeout(&mut self, now: Duration) -> Told {
        for (depositor, collector) in self.boxes.values_mut() {
            depositor.handle_timeout(now);
            collector.handle_timeout(now);
        }
        let mut told = self.drain(now);
        if let Some(conversation) = &mut self.conversation {
            conversation.handle_timeout(&mut self.client, now);
        }
        told.add(self.drain(now));
        told
    }

    pub fn next_timeout(&mut self) -> Option<Duration> {
        let order = self
            .conversation
            .as_mut()
            .and_then(|conversation| conversation.poll_timeout(&mut self.client));
        let left = self
            .boxes
            .values()
            .filter_map(|(depositor, _)| depositor.poll_timeout());
        left.map(|deadline| deadline.at).chain(order).min()
    }

    /// Everything that the machines want, until they are quiet: first what is to be on disk, then what is asked.
    fn drain(&mut self, now: Duration) -> Told {
        let mut told = Told::default();
        let mut entries = VecDeque::new();
        loop {
            self.drain_boxes(&mut told, &mut entries);
            self.drain_conversation(&mut told, now);
            if let Some(id) = self.again.pop_first() {
                self.encrypt(id);
            } else if let Some((deposit, id)) = self.deposits.pop_front() {
                self.leave(deposit, id, now);
            } else if let Some((first, entry)) = self.wanted.pop_front() {
                if let Some((_, collector)) = self.boxes.get_mut(&first) {
                    collector.handle_wanted(entry);
                }
            } else if let Some((first, entry)) = entries.pop_front() {
                if let Some(conversation) = &mut self.conversation {
                    conversation.handle_entry(first, entry, &mut self.client, now);
                }
            } else {
                return told;
            }
        }
    }

    fn drain_boxes(&mut self, told: &mut Told, entries: &mut VecDeque<(EpochTag, LogEntry)>) {
        let mut stale = Vec::new();
        for (first, (depositor, collector)) in &mut self.boxes {
            while let Some(depositor::Persist::Receipt(receipt)) = depositor.poll_persist() {
                if let Some((.., receipts)) = self.disk.outbox.get_mut(&receipt.get().entry) {
                    receipts.push(receipt);
                }
            }
            while let Some(persist) = collector.poll_persist() {
                match persist {
                    collector::Persist::Entry(entry) => entries.push_back((*first, entry)),
                    collector::Persist::Cursor { holder, number } => {
                        self.disk.cursors.insert((*first, holder), number);
                    }
                }
            }
            while let Some(ask) = depositor.poll_transmit() {
                told.questions.push((*first, ask.holder, ask.ask, ask.body));
            }
            while let Some(ask) = collector.poll_transmit() {
                told.questions
                    .push((*first, ask.holder, ask.ask, Arc::from([])));
            }
            while let Some(event) = depositor.poll_event() {
                if let depositor::Event::Stale(entry) | depositor::Event::Failed(entry, _) = event {
                    stale.push(entry);
                }
            }
            while collector.poll_event().is_some() {}
        }
        for entry in stale {
            if let Some((_, Some(id), _)) = self.disk.outbox.remove(&entry) {
                self.again.insert(id);
            }
        }
    }

    fn drain_conversation(&mut self, told: &mut Told, now: Duration) {
        self.commit();
        self.open_boxes(now);
        let Some(conversation) = &mut self.conversation else {
            return;
        };
        while let Some(Transmit {
            first,
            holder,
            ask,
            body,
        }) = conversation.poll_transmit()
        {
            told.questions.push((first, holder, ask, body));
        }
        let mut lacking = Vec::new();
        while let Some(event) = conversation.poll_event() {
            match event {
                Event::SayAgain(id) => {
                    self.again.insert(id);
                }
                Event::Fetch(first, entry) => self.wanted.push_back((first, entry)),
                Event::Unreadable(entry, Unreadable::Open(why)) => {
                    lacking.push(entry);
                    let why = Unreadable::Open(why);
                    told.events.push(Event::Unreadable(entry, why));
                }
                Event::Changed(_) => {
                    self.again.append(&mut self.disk.unsaid);
                    told.events.push(event);
                }
                event => told.events.push(event),
            }
        }
        if !lacking.is_empty() {
            lacking.truncate(AGAIN_MAX);
            let id = self.note(Body::Again { entries: lacking }, now);
            self.again.insert(id);
        }
    }

    /// What somebody could not open of what we left is said again.
    fn heard(&mut self, bytes: &[u8]) {
        if let Ok(Content {
            body: Body::Again { entries },
            ..
        }) = Content::read(bytes)
        {
            let ours = entries
                .iter()
                .filter_map(|entry| self.disk.outbox.get(entry));
            let ids = ours.filter_map(|(_, id, _)| *id);
            self.again.extend(ids);
        }
    }

    /// One transaction.
    fn commit(&mut self) {
        let conversation = self.conversation.as_mut();
        let persists: Option<Vec<Persist>> =
            conversation.map(|one| std::iter::from_fn(|| one.poll_persist()).collect());
        for persist in persists.unwrap_or_default() {
            if let Persist::Said { bytes, .. } = &persist {
                self.heard(bytes);
            }
            let disk = &mut self.disk;
            match persist {
                Persist::Ground(ground) => disk.ground = ground,
                Persist::Order(kept) => disk.order = *kept,
                Persist::Said { from, bytes, .. } => {
                    disk.said.insert(message_id(from.account, &bytes), bytes);
                }
                Persist::Deposit(deposit, id) => {
                    let kept = (deposit.clone(), id, Vec::new());
                    disk.outbox.insert(deposit.id, kept);
                    self.deposits.push_back((deposit, id));
                }
                Persist::Waits(first, entry) => {
                    disk.waiting.insert(entry.id(), (first, entry));
                }
                Persist::WaitsNoMore(id) => {
                    disk.waiting.remove(&id);
                }
                Persist::Welcome(commit, Some(welcome)) => {
                    disk.welcomes.insert(commit, welcome);
                }
                Persist::Welcome(commit, None) => {
                    disk.welcomes.remove(&commit);
                }
            }
        }
        let disk = &mut self.disk;
        let changes = self.client.take_changes().expect("keys");
        for key in changes.delete {
            disk.rows.remove(&key);
        }
        for (key, value) in changes.put {
            disk.rows.insert(key, value.to_vec());
        }
    }

    fn encrypt(&mut self, id: MessageId) {
        let bytes = self.disk.said[&id].clone();
        let said = self.conversation.as_mut().map(|one| {
            (
                one.handle_say(id, &bytes, &mut self.client),
                one.ground().epoch(),
            )
        });
        match said {
            Some((Ok(_), epoch)) => {
                self.disk.own.insert(id, epoch);
            }
            _ => {
                self.disk.unsaid.insert(id);
            }
        }
    }

    fn leave(&mut self, deposit: Deposit, id: Option<MessageId>, now: Duration) {
        let Some((depositor, collector)) = self.boxes.get_mut(&deposit.first) else {
            return;
        };
        collector.note_seen(deposit.id);
        let (kind, body) = ((deposit.kind, deposit.slot), deposit.body);
        if depositor.handle_deposit(kind, body, now).is_err() {
            self.disk.unsaid.extend(id);
        }
    }

    /// Boxes of generations that are new here.
    fn open_boxes(&mut self, now: Duration) {
        for generation in self.generations() {
            let first = generation.first;
            if self.boxes.contains_key(&first) {
                continue;
            }
            let plan = generation.plan();
            let seats = plan.holders().seats;
            let target = |seat: &Seat| Target {
                seat: *seat,
                keys: generation.keys(seat.holder),
                block: u32::from_be_bytes([seat.holder.0[0], seat.holder.0[1], 0, 0]),
            };
            let source = |(seat, public): (&Seat, &PublicBox)| Source {
                seat: *seat,
                deposit_key: public.deposit,
            };
            let mut depositor = Depositor::new(seats.iter().map(target).collect(), 1);
            let mut collector = Collector::new(seats.iter().zip(&plan.boxes).map(source).collect());
            for ((of, holder), number) in &self.disk.cursors {
                if *of == first {
                    collector.restore_cursor(*holder, *number);
                }
            }
            for (deposit, _, receipts) in self.disk.outbox.values() {
                if deposit.first == first {
                    collector.note_seen(deposit.id);
                    let kind = (deposit.kind, deposit.slot);
                    let kept = depositor.restore(kind, deposit.body.clone(), receipts);
                    debug_assert!(kept.is_ok(), "{kept:?}");
                }
            }
            collector.handle_online(now);
            self.boxes.insert(first, (depositor, collector));
        }
    }
}

impl Told {
    /// What a later drain told, too.
    pub fn add(&mut self, later: Self) {
        self.questions.extend(later.questions);
        self.events.extend(later.events);
    }
}

fn now_s() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
