//! The supernode among others: the list of all of them and its part of the global index (spec pages `overlay.md` and
//! `index.md`). Owns the machines `overlay::membership` and `index::full`.
//!
//! What the index keeps is on disk before anybody is told that it is kept.

mod description;
mod handle;
mod knocking;
mod outgoing;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use starling_protocol::index::full::FullIndex;
use starling_protocol::index::holder::{PutRefusal, Source};
use starling_protocol::index::resolver::{LookupId, Reply as Found};
use starling_protocol::index::{Index, IndexEvent, Transmit};
use starling_protocol::overlay::membership::{Membership, MembershipEvent};
use starling_store::{host_cache, index_records};
use starling_wire::descriptor::{DescriptorError, SignedDescriptor, VerifiedDescriptor};
use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::overlay::{IndexRefusal, Question, Reply, Word};
use starling_wire::record::{Kind, RecordError, SignedRecord, VerifiedRecord};
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

pub use self::description::Membercard;
pub(super) use self::handle::Overlay;
pub(super) use self::handle::Refused;
use self::handle::{OverlayInput, Seen};
use self::knocking::Knocks;
use self::outgoing::{Done, Outgoing};
use super::names::Names;
use crate::clock::{Clock, random, sleep_until, wall_s};
use crate::db::Db;
use crate::transport::overlay::{Heard, OverlayLinks, Peer, Place};

/// A supernode that knows no other asks those it was told of so often.
const ALONE_RETRY: Duration = Duration::from_secs(20);
/// So many of them at once.
const INTRODUCERS: usize = 8;
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// How often the host cache is written, if somebody came or went.
const CACHE_EVERY: Duration = Duration::from_secs(60);
/// Who has left is remembered with its address, to be called later; so many in all.
const PLACES_MAX: usize = 10_000;

/// Starts the driver; it runs in `tasks`.
pub(super) async fn start(
    card: Membercard,
    links: Arc<OverlayLinks>,
    heard: mpsc::Receiver<Heard>,
    (db, clock, names): (Db, Clock, Names),
    tasks: &mut JoinSet<()>,
) -> Result<Overlay, DescriptorError> {
    let (inputs, receiver) = mpsc::channel(256);
    let seen = Seen::default();
    let driver = Driver::new(card, links, (db, clock, names), seen.clone()).await?;
    tasks.spawn(driver.run(receiver, heard));
    Ok(Overlay::new(inputs, seen))
}

struct Driver {
    card: Membercard,
    own: VerifiedDescriptor,
    load: u8,
    links: Arc<OverlayLinks>,
    db: Db,
    clock: Clock,
    membership: Membership<VerifiedDescriptor>,
    index: FullIndex<EndpointKey, Option<IpAddr>, VerifiedRecord>,
    /// The members, and what was refused, for everybody to see.
    seen: Seen,
    /// Where the others are, those who left among them.
    places: BTreeMap<EndpointKey, Place>,
    knocks: Knocks,
    /// Those met in earlier runs.
    cached: Vec<SupernodeAddr>,
    cache_at: Option<Duration>,
    lookups: BTreeMap<LookupId, oneshot::Sender<Option<SignedRecord>>>,
    last_lookup: LookupId,
    outgoing: Outgoing,
    names: Names,
    retry_at: Duration,
    leaving: bool,
}

impl Driver {
    async fn new(
        card: Membercard,
        links: Arc<OverlayLinks>,
        (db, clock, names): (Db, Clock, Names),
        seen: Seen,
    ) -> Result<Self, DescriptorError> {
        let now = clock.now();
        let own = card.describe(links.ports(), 0)?;
        seen.describe(own.clone());
        let generation = u32::try_from(wall_s()).unwrap_or(u32::MAX);
        let seed = u64::from_le_bytes(random());
        let mut index = FullIndex::new(own.id(), own.position(), seed, now);
        let network = card.network;
        restore(&db, network, &mut index, now).await;
        let cached = db.read(move |tx| host_cache::list(tx, network)).await;
        Ok(Self {
            membership: Membership::new(own.clone(), generation, random()),
            own,
            load: 0,
            index,
            seen,
            places: BTreeMap::new(),
            knocks: Knocks::default(),
            cached: cached.unwrap_or_default(),
            cache_at: None,
            lookups: BTreeMap::new(),
            last_lookup: 0,
            outgoing: Outgoing::default(),
            names,
            retry_at: now,
            leaving: false,
            card,
            links,
            db,
            clock,
        })
    }

    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<OverlayInput>,
        mut heard: mpsc::Receiver<Heard>,
    ) {
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        loop {
            let wake = self.wake();
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.handle(input),
                    None => return,
                },
                Some(heard) = heard.recv() => self.heard(heard),
                Some(done) = self.outgoing.next() => self.done(done),
                () = sleep_until(Some(wake)) => self.timeout(),
                _ = housekeeping.tick() => self.keep_house(),
            }
            self.drain();
        }
    }

    fn wake(&self) -> tokio::time::Instant {
        let membership = self.membership.poll_timeout().map(|due| due.at);
        let index = self.index.poll_timeout().map(|due| due.at);
        let retry = self.is_alone().then_some(self.retry_at);
        let next = [membership, index, retry].into_iter().flatten().min();
        let next = next.unwrap_or(self.clock.now() + HOUSEKEEPING);
        self.clock.instant(next)
    }

    fn timeout(&mut self) {
        let now = self.clock.now();
        self.membership.handle_timeout(now);
        self.drain();
        self.index.handle_timeout(now);
        self.drain();
        if self.is_alone() && self.retry_at <= now {
            self.retry_at = now + ALONE_RETRY;
            self.ask_introducers();
        }
    }

    fn keep_house(&mut self) {
        self.links.forget_closed();
        let (_, packet_port) = self.links.ports();
        let own = self.own.get();
        let other = own.packet_port != packet_port || own.roles != self.card.roles();
        if other || own.is_half_over(wall_s()) {
            self.describe_anew();
        }
        self.knock();
        if self.cache_at.is_some_and(|at| at <= self.clock.now()) {
            self.cache_at = None;
            let (network, members) = (self.card.network, self.seen.some(host_cache::CACHE_MAX));
            self.outgoing.write(&self.db, move |tx| {
                let met: Vec<SupernodeAddr> = members.into_iter().map(|m| m.at).collect();
                host_cache::told(tx, network, &met, wall_s())
            });
        }
    }

    fn describe_anew(&mut self) {
        match self.card.describe(self.links.ports(), self.load) {
            Ok(own) => {
                self.own = own.clone();
                self.seen.describe(own.clone());
                self.membership.handle_own_description(own);
            }
            Err(error) => warn!(%error, "this supernode cannot describe itself any more"),
        }
    }

    fn is_alone(&self) -> bool {
        let others = self.card.listed.iter().chain(&self.cached);
        self.seen.is_empty() && others.filter(|one| one.id != self.own.id()).count() > 0
    }

    /// Asks some of those we were told of who they are: the network file's first, then those met before.
    fn ask_introducers(&mut self) {
        let mut asked: Vec<SupernodeAddr> = Vec::new();
        for supernode in self.card.listed.iter().chain(&self.cached) {
            let known = asked.iter().any(|other| other.id == supernode.id);
            if supernode.id != self.own.id() && !known && asked.len() < INTRODUCERS {
                asked.push(supernode.clone());
            }
        }
        for supernode in asked {
            self.outgoing.introduce(&self.links, supernode);
        }
        // Others come first the next time.
        for told in [&mut self.card.listed, &mut self.cached] {
            let asked = INTRODUCERS.min(told.len());
            told.rotate_left(asked);
        }
    }

    fn handle(&mut self, input: OverlayInput) {
        let now = self.clock.now();
        match input {
            OverlayInput::Publish {
                record,
                block,
                kept,
            } => {
                let lives_for = lives_for(&record);
                let source = Source::Client(block);
                let result = self.index.handle_publish(source, *record, lives_for, now);
                self.drain_index(Some(Box::new(move |stored| {
                    let _ = kept.send(if stored {
                        result
                    } else {
                        Err(PutRefusal::Full)
                    });
                })));
            }
            OverlayInput::Lookup { key, found } => {
                self.last_lookup += 1;
                self.lookups.retain(|_, waiting| !waiting.is_closed());
                self.lookups.insert(self.last_lookup, found);
                self.index.handle_lookup(self.last_lookup, key, now);
            }
            OverlayInput::Load(percent) => {
                self.load = percent.min(100);
                self.membership.handle_own_load(self.load);
            }
            OverlayInput::LoadWanted => self.membership.handle_load_wanted(now),
            OverlayInput::OthersLoad(said) => {
                let _ = said.send(self.membership.others_load(now));
            }
            OverlayInput::Leave(left) => {
                self.index.handle_leaving();
                self.drain();
                self.membership.handle_leaving(now);
                self.drain();
                self.leaving = true;
                self.outgoing.call_when_empty(left);
            }
        }
    }

    fn heard(&mut self, heard: Heard) {
        // Whoever heard the goodbye asks whether it is true: an answer would keep us on every list.
        if self.leaving {
            return;
        }
        match heard {
            Heard::Word(from, word) => self.heard_word(from, word),
            Heard::Question(from, question, answer) => self.answer(from, question, answer),
        }
    }

    fn heard_word(&mut self, from: EndpointKey, word: Word) {
        let now = self.clock.now();
        match word {
            Word::Gossip(packet) => self.membership.handle_gossip(from, &packet, now),
            Word::Describe(keys) => self.membership.handle_describe(from, &keys),
            Word::Descriptions(list) => {
                let list = list.iter().filter_map(|one| self.verified(one)).collect();
                self.membership.handle_descriptions(list, now);
            }
            Word::Digest(theirs) => {
                if let Ok(theirs) = theirs.try_into() {
                    self.membership.handle_digest(from, &theirs);
                }
            }
            Word::DigestBack(theirs) => {
                if let Ok(theirs) = theirs.try_into() {
                    self.membership.handle_digest_back(from, &theirs);
                }
            }
            Word::Listed(list) => {
                let list = list.iter();
                let list = list.filter_map(|(one, life)| Some((self.verified(one)?, *life)));
                let list = list.collect();
                self.membership.handle_listed(from, list, now);
            }
            Word::Ping => self.membership.handle_ping(from),
            Word::Pong(load) => self.membership.handle_pong(from, load, now),
            Word::Compare(theirs) => self.index.handle_compare(from, &theirs, now),
            Word::Want(keys) => self.index.handle_want(from, &keys, now),
            Word::Hand(record) => {
                let _ = self.put(from, &record);
            }
            Word::Knock(port) => self.answer_knock(from, port),
            Word::Names(word) => self.names.hear(from, word),
        }
    }

    /// `MEMBER-01` to `MEMBER-04`: a description whose bounds, dates and signature are right.
    fn verified(&self, signed: &SignedDescriptor) -> Option<VerifiedDescriptor> {
        match signed.verify(self.card.network, wall_s()) {
            // MEMBER-20: where only the network file counts, others are no members, whoever vouches for them.
            Ok(other) if !self.card.trusts(other.id()) => {
                debug!(
                    reason = "not in the network file",
                    "refused a supernode's description"
                );
                None
            }
            Ok(description) => Some(description),
            Err(error) => {
                debug!(%error, "refused a supernode's description");
                None
            }
        }
    }

    fn answer(&mut self, from: EndpointKey, question: Question, answer: oneshot::Sender<Reply>) {
        let reply = match question {
            Question::Describe => Reply::Description(Box::new(self.own.signed().clone())),
            Question::Record(key) => {
                let held = self.index.get(key, self.clock.now());
                Reply::Record(held.map(|record| Box::new(record.signed().clone())))
            }
            Question::Names(question) => return self.names.answer(from, question, answer),
            Question::Put(record) => match self.put(from, &record) {
                Ok(()) => Reply::Kept,
                Err(refused) => Reply::Refused(refused.told()),
            },
        };
        self.drain_index(Some(Box::new(move |stored| {
            let lost = Reply::Refused(IndexRefusal::Full);
            let _ = answer.send(if stored { reply } else { lost });
        })));
    }

    /// `OVER-02`: a record that another supernode brings counts only if it is a member, and the record is valid.
    fn put(&mut self, from: EndpointKey, record: &SignedRecord) -> Result<(), Refused> {
        let kept = self.try_put(from, record);
        if let Err(reason) = kept {
            let kind = record.kind();
            debug!(%reason, %kind, "refused a record of another supernode");
            self.seen.count(kind, reason);
        }
        kept
    }

    fn try_put(&mut self, from: EndpointKey, record: &SignedRecord) -> Result<(), Refused> {
        if !self.seen.contains(from) {
            return Err(IndexRefusal::NotMember.into());
        }
        let verified = record.verify(self.card.network, wall_s())?;
        let (lives_for, now) = (lives_for(&verified), self.clock.now());
        self.index.handle_put(from, verified, lives_for, now)?;
        Ok(())
    }

    fn done(&mut self, done: Done) {
        let now = self.clock.now();
        match done {
            Done::Said(_, true) | Done::Noted => {}
            Done::Said(member, false) => self.membership.handle_unreachable(member, now),
            Done::Asked(id, holder, reply) => {
                let refused = |kind, why: RecordError| self.seen.count(kind, why.into());
                let found = found(reply, self.card.network, refused);
                self.index.handle_reply(id, holder, found, now);
            }
            Done::Introduced(supernode, described) => self.introduced(&supernode, described),
            Done::Committed(written, transmits) => {
                for (key, order) in written {
                    self.index.handle_written(key, order);
                }
                self.transmit(transmits);
            }
        }
    }

    fn introduced(&mut self, supernode: &SupernodeAddr, described: Option<SignedDescriptor>) {
        let verified = described.and_then(|signed| self.verified(&signed));
        let (network, id) = (self.card.network, supernode.id);
        match verified.filter(|description| description.id() == id) {
            Some(description) => {
                self.note_place(&description);
                let now = self.clock.now();
                self.membership.handle_introduction(vec![description], now);
                self.outgoing.write(&self.db, move |tx| {
                    host_cache::reached(tx, network, id, wall_s())
                });
            }
            None => self
                .outgoing
                .write(&self.db, move |tx| host_cache::failed(tx, network, id)),
        }
    }

    /// Carries out what the machines want.
    fn drain(&mut self) {
        while let Some((to, message)) = self.membership.poll_transmit() {
            self.say(to, outgoing::word(message));
        }
        while let Some(event) = self.membership.poll_event() {
            self.member_changed(event);
            self.drain_index(None);
        }
        self.drain_index(None);
        self.seen.hold(self.index.len());
    }

    fn member_changed(&mut self, event: MembershipEvent<VerifiedDescriptor>) {
        let now = self.clock.now();
        self.cache_at.get_or_insert(now + CACHE_EVERY);
        match event {
            MembershipEvent::Joined(member) | MembershipEvent::Changed(member) => {
                self.note_place(&member);
                self.links.know(member.id(), true);
                if self.seen.insert(&member) {
                    info!(supernode = %member.get().at.tcp, "another supernode is known");
                }
                self.index
                    .handle_joined(member.id(), member.position(), now);
            }
            MembershipEvent::Left(member) => {
                self.seen.remove(member);
                self.links.know(member, false);
                self.index.handle_left(member, now);
            }
        }
    }

    fn note_place(&mut self, description: &VerifiedDescriptor) {
        let place = handle::place_of(description);
        if self.places.len() >= PLACES_MAX && !self.places.contains_key(&description.id()) {
            let seen = &self.seen;
            self.places.retain(|key, _| seen.contains(*key));
        }
        self.places.insert(description.id(), place);
    }

    /// Commits what the index wants on disk; only then it says what it has to say, and calls `after`.
    fn drain_index(&mut self, after: Option<outgoing::After>) {
        let persists: Vec<_> = std::iter::from_fn(|| self.index.poll_persist()).collect();
        let transmits: Vec<_> = std::iter::from_fn(|| self.index.poll_transmit()).collect();
        while let Some(event) = self.index.poll_event() {
            self.index_event(event);
        }
        if !persists.is_empty() {
            self.outgoing.commit(&self.db, persists, transmits, after);
            return;
        }
        self.transmit(transmits);
        if let Some(after) = after {
            after(true);
        }
    }

    fn transmit(&mut self, transmits: Vec<Transmit<EndpointKey, VerifiedRecord>>) {
        for transmit in transmits {
            match transmit {
                Transmit::Ask(id, holder, key) => {
                    let (holder, question) = (self.peer(holder), Question::Record(key));
                    self.outgoing.ask(&self.links, id, holder, question);
                }
                Transmit::Put(to, record) => {
                    let question = Question::Put(Box::new(record.signed().clone()));
                    let to = self.peer(to);
                    self.outgoing.put(&self.links, to, question);
                }
                Transmit::Hand(to, record) => {
                    self.say(to, Word::Hand(Box::new(record.signed().clone())));
                }
                Transmit::Compare(to, list) => self.say(to, Word::Compare(list)),
                Transmit::Want(to, keys) => self.say(to, Word::Want(keys)),
            }
        }
    }

    fn say(&mut self, to: EndpointKey, word: Word) {
        let to = self.peer(to);
        self.outgoing.say(&self.links, to, word);
    }

    fn peer(&self, key: EndpointKey) -> Peer {
        let place = self.places.get(&key).cloned();
        Peer { key, place }
    }

    fn index_event(&mut self, event: IndexEvent<EndpointKey, VerifiedRecord>) {
        let (id, found) = match event {
            IndexEvent::Found(id, _, record) => (id, Some(record.signed().clone())),
            IndexEvent::NotFound(id) | IndexEvent::Ended(id) => (id, None),
            IndexEvent::Newer(..) => return,
            IndexEvent::Blame(holder, fault) => {
                debug!(holder = %holder.short(), ?fault, "a holder did not do what it should");
                return;
            }
        };
        if let Some(waiting) = self.lookups.remove(&id) {
            let _ = waiting.send(found);
        }
    }
}

/// `OVER-03`: what a holder answers is verified before it counts.
fn found(
    reply: Option<Reply>,
    network: Option<NetworkId>,
    refused: impl FnOnce(Kind, RecordError),
) -> Found<VerifiedRecord> {
    match reply {
        Some(Reply::Record(Some(record))) => match record.verify(network, wall_s()) {
            Ok(verified) => Found::Record(verified),
            Err(error) => {
                debug!(%error, "a holder answered with a record that is none");
                refused(record.kind(), error);
                Found::Forged
            }
        },
        Some(Reply::Record(None)) => Found::None,
        Some(_) | None => Found::Unreachable,
    }
}

fn lives_for(record: &VerifiedRecord) -> Duration {
    Duration::from_secs(record.signed().expires().saturating_sub(wall_s()))
}

/// What was held before a restart.
async fn restore(
    db: &Db,
    network: Option<NetworkId>,
    index: &mut FullIndex<EndpointKey, Option<IpAddr>, VerifiedRecord>,
    now: Duration,
) {
    let wall = wall_s();
    let records = match db.write(move |tx| index_records::load(tx, wall)).await {
        Ok(records) => records,
        Err(error) => {
            warn!(%error, "what was held for the index could not be read");
            return;
        }
    };
    for record in records {
        if let Ok(record) = record.verify(network, wall) {
            let lives_for = lives_for(&record);
            index.restore(record, lives_for, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_wire::record::{AccountRecord, Signed};

    use super::*;
    use crate::identity::Identity;

    #[test]
    fn over_03_a_holders_answer_counts_only_if_its_owner_signed_it() {
        let record = Identity::create("Alice", "laptop")
            .record(5, &[])
            .expect("a key");
        let mut forged = record.clone();
        forged.record.sequence = 6;
        let mut counted = Vec::new();
        let mut hear = |reply| found(reply, None, |kind, why| counted.push((kind, why)));
        let answer = |record: Signed<AccountRecord>| Reply::Record(Some(Box::new(record.into())));
        assert!(matches!(hear(Some(answer(record))), Found::Record(_)));
        assert_eq!(hear(Some(answer(forged))), Found::Forged);
        assert_eq!(hear(Some(Reply::Kept)), Found::Unreachable);
        assert_eq!(hear(None), Found::Unreachable);
        assert_eq!(counted, [(Kind::Account, RecordError::Signature)]);
    }
}
