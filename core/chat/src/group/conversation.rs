//! See [`super`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use starling_wire::group::Record;
use starling_wire::ids::{AccountId, EntryId, EpochTag, MessageId};
use starling_wire::log::keys::Generation;
use starling_wire::log::seal::{Inside, NONCE};
use starling_wire::log::{Entry, Kind, entry_id};
use starling_wire::ordering::{Holders, Seat, Slot};

use super::changes::{Before, Wish, WishError};
use super::ground::{Ground, Lent, Seen};
use super::outputs::{Deposit, Event, Happened, Persist, Transmit, Unreadable, Welcome};
use super::rules::may_write;
use crate::mls::{Client, Leaf, SealError, StateError};
use crate::order::chain::Outcome;
use crate::order::group::{Commit, Group as _};
use crate::order::member::{self as order, Kept, Word};

/// Entries that wait for an epoch, and their bytes.
pub(super) const WAITING_MAX: usize = 1_000;
pub(super) const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often a change is tried while others are quicker.
const TRIES_MAX: u32 = 20;
/// Changes that wait for their turn.
const WISHES_MAX: usize = 64;

/// One device's side of one group.
#[derive(Debug)]
pub struct Conversation {
    pub(super) ground: Ground,
    pub(super) order: order::Member,
    pub(super) waiting: BTreeMap<EntryId, (EpochTag, Entry)>,
    /// The epoch in which they were looked at last.
    pub(super) waited_in: Option<EpochTag>,
    wishes: VecDeque<Wanted>,
    /// The change whose commit is under way.
    trying: Option<(EntryId, Wanted)>,
    welcomes: BTreeMap<EntryId, Welcome>,
    /// What we said in epochs that may yet fall away.
    said: BTreeMap<MessageId, EpochTag>,
    chance: ChaCha20Rng,
    pub(super) persists: VecDeque<Persist>,
    transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
}

#[derive(Debug, Clone)]
struct Wanted {
    number: u64,
    wish: Wish,
    tries: u32,
}

/// What was kept, to go on after a restart.
#[derive(Debug)]
pub struct Restored {
    /// The last [`Persist::Ground`].
    pub ground: Ground,
    /// The last [`Persist::Order`].
    pub order: Kept,
    /// Entries that wait, with their generations.
    pub waiting: Vec<(EpochTag, Entry)>,
    /// Welcomes that wait.
    pub welcomes: BTreeMap<EntryId, Welcome>,
    /// What was said in epochs that may yet fall away, as far as the store knows.
    pub said: BTreeMap<MessageId, EpochTag>,
}

/// Why something cannot be said now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SayError {
    /// A listener.
    #[error("you may only listen in this conversation")]
    Listener,
    /// It waits until this device is let in again.
    #[error("this device waits to be let in again")]
    Outside,
    /// For good.
    #[error("this device is no longer in this conversation")]
    Removed,
    /// The keys.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Conversation {
    /// Of a group that was just made, or that this device just came into. The seed is fresh randomness.
    pub fn new(ground: Ground, seed: [u8; 32]) -> Self {
        let mut new = Self::restore(
            Restored {
                ground,
                order: Kept::default(),
                waiting: Vec::new(),
                welcomes: BTreeMap::new(),
                said: BTreeMap::new(),
            },
            seed,
        );
        new.persists.push_back(Persist::Ground(new.ground.write()));
        new
    }

    /// As it was kept. The seed is another one each time.
    pub fn restore(restored: Restored, seed: [u8; 32]) -> Self {
        let mut chance = ChaCha20Rng::from_seed(seed);
        let mut of_order = [0; 32];
        chance.fill_bytes(&mut of_order);
        let waiting = restored.waiting.into_iter();
        Self {
            ground: restored.ground,
            order: order::Member::new(restored.order, of_order),
            waiting: waiting
                .map(|(first, entry)| (entry.id(), (first, entry)))
                .collect(),
            waited_in: None,
            wishes: VecDeque::new(),
            trying: None,
            welcomes: restored.welcomes,
            said: restored.said,
            chance,
            persists: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// After a restart: goes on with what was under way.
    pub fn handle_start(&mut self, client: &mut Client, now: Duration) {
        self.handle_words(None, Vec::new(), client, now);
    }

    /// Says something: encrypted in the present epoch, and to be left at the holders. The same bytes, said again, are the same message.
    pub fn handle_say(
        &mut self,
        id: MessageId,
        bytes: &[u8],
        client: &mut Client,
    ) -> Result<EntryId, SayError> {
        self.assert_drained();
        if self.order.chain().is_removed() {
            return Err(SayError::Removed);
        }
        if self.is_outside() {
            return Err(SayError::Outside);
        }
        let own = client.member().account;
        let mut lent = Lent::new(client, &mut self.ground);
        let (record, members) = lent.seen().map_err(SealError::from)?;
        if !may_write(&record, &accounts(&members), own) {
            return Err(SayError::Listener);
        }
        let sealed = lent.group().map_err(SealError::from)?.seal(bytes, &[])?;
        let slot = self.open_slot(client);
        let deposit = self.sealed(Kind::Message, slot, Inside::Mls(sealed));
        let deposit = deposit.ok_or(SealError::TooLong)?;
        let entry = deposit.id;
        self.said.insert(id, self.ground.epoch());
        self.persists.push_back(Persist::Deposit(deposit, Some(id)));
        Ok(entry)
    }

    /// Wants something changed. What comes of it is an event with this number.
    pub fn handle_wish(&mut self, number: u64, wish: Wish, client: &mut Client, now: Duration) {
        self.assert_drained();
        if self.wishes.len() >= WISHES_MAX {
            return self
                .events
                .push_back(Event::Refused(number, WishError::Overtaken));
        }
        self.wishes.push_back(Wanted {
            number,
            wish,
            tries: 0,
        });
        self.go_on(client, now);
    }

    /// A holder, or a member, told something of the order.
    pub fn handle_words(
        &mut self,
        from: Option<Seat>,
        words: Vec<Word>,
        client: &mut Client,
        now: Duration,
    ) {
        self.assert_drained();
        let mut lent = Lent::new(client, &mut self.ground);
        self.order.handle_words(from, words, &mut lent, now);
        let seen = lent.take_seen();
        self.follow(seen, client, now);
    }

    /// An entry of one of this group's boxes, of the generation that began with this epoch.
    pub fn handle_entry(
        &mut self,
        first: EpochTag,
        entry: Entry,
        client: &mut Client,
        now: Duration,
    ) {
        self.assert_drained();
        self.take(first, entry, client, now);
    }

    /// Time.
    pub fn handle_timeout(&mut self, client: &mut Client, now: Duration) {
        self.assert_drained();
        let mut lent = Lent::new(client, &mut self.ground);
        self.order.handle_timeout(&mut lent, now);
        let seen = lent.take_seen();
        self.follow(seen, client, now);
    }

    /// What is to be on disk first, together with the rows of the device's keys.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop_front()
    }

    /// What to ask holders.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to come back.
    pub fn poll_timeout(&mut self, client: &mut Client) -> Option<Duration> {
        let lent = Lent::new(client, &mut self.ground);
        self.order.poll_timeout(&lent).map(|(at, _)| at)
    }

    /// Where the group stands.
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Who decides the end of an epoch, to verify what is said about it.
    pub fn holders_of(&mut self, epoch: EpochTag, client: &mut Client) -> Option<Holders> {
        let lent = Lent::new(client, &mut self.ground);
        self.order.holders_of(epoch, &lent)
    }

    /// The group's record and its devices.
    pub fn seen(&mut self, client: &mut Client) -> Result<(Record, Vec<Leaf>), StateError> {
        Lent::new(client, &mut self.ground).seen()
    }

    /// Whether this device cannot follow by itself.
    pub fn is_outside(&self) -> bool {
        self.ground.is_returning() || self.order.chain().lost().is_some()
    }

    /// Whether a change of ours is under way.
    pub const fn is_changing(&self) -> bool {
        self.trying.is_some()
    }

    /// After every input that reached the order: what it decided, and what we want ourselves.
    pub(super) fn follow(&mut self, seen: Vec<Seen>, client: &mut Client, now: Duration) {
        if let Some(kept) = self.order.poll_persist() {
            self.persists.push_back(Persist::Order(Box::new(kept)));
        }
        while let Some(request) = self.order.poll_transmit() {
            let transmit = self.question(request);
            self.transmits.extend(transmit);
        }
        let mut seen = seen.into_iter();
        while let Some(event) = self.order.poll_event() {
            match event {
                order::Event::Outcome(outcome) => self.note(outcome, &mut seen, client),
                order::Event::Lost(entry) => self.lost(entry),
                // Holders tell those who follow them.
                order::Event::Tell(_) => {}
            }
        }
        self.go_on(client, now);
    }

    fn note(
        &mut self,
        outcome: Outcome,
        seen: &mut impl Iterator<Item = Seen>,
        client: &mut Client,
    ) {
        match outcome {
            Outcome::Merged { entry, settled, .. } => {
                if let Some(seen) = seen.next() {
                    self.merged(entry, settled, seen);
                }
                if settled {
                    self.settled(entry);
                }
            }
            Outcome::Settled { entry, .. } => {
                self.ground_changed();
                self.settled(entry);
            }
            Outcome::Overturned { fallen, .. } => {
                self.ground_changed();
                self.say_again(&fallen, client);
            }
            Outcome::Fetch(epoch, entry) => {
                let first = self.ground.begun_at(epoch);
                self.events
                    .extend(first.map(|first| Event::Fetch(first, entry)));
            }
            Outcome::Rejoin(..) => self.events.push_back(Event::Outside(true)),
            Outcome::Removed(..) => self.events.push_back(Event::Removed),
        }
    }

    fn merged(&mut self, entry: EntryId, settled: bool, seen: Seen) {
        self.ground_changed();
        if let Some(first) = seen.begun {
            let ours = self
                .trying
                .as_ref()
                .is_some_and(|(trying, _)| *trying == entry);
            self.events.push_back(Event::Generation { first, ours });
        }
        if seen.came_back {
            self.events.push_back(Event::Outside(false));
        }
        self.events.push_back(Event::Changed(Box::new(Happened {
            by: seen.by,
            added: seen.added,
            removed: seen.removed,
            record: seen.record,
            settled,
        })));
    }

    fn settled(&mut self, entry: EntryId) {
        if let Some((_, wanted)) = self.trying.take_if(|(trying, _)| *trying == entry) {
            self.events.push_back(Event::Done(wanted.number));
        }
        let Some(Welcome {
            welcome,
            tree,
            members,
        }) = self.welcomes.remove(&entry)
        else {
            return;
        };
        let slot = Slot {
            epoch: self.ground.epoch(),
            attempt: 0,
        };
        if let Some(deposit) = self.sealed(Kind::Welcome, slot, Inside::Welcome { welcome, tree }) {
            let welcome = deposit.id;
            self.persists.push_back(Persist::Deposit(deposit, None));
            self.events.push_back(Event::TakenIn { members, welcome });
        }
        self.persists.push_back(Persist::Welcome(entry, None));
    }

    fn lost(&mut self, entry: EntryId) {
        if self.welcomes.remove(&entry).is_some() {
            self.persists.push_back(Persist::Welcome(entry, None));
        }
        if let Some((_, mut wanted)) = self.trying.take_if(|(trying, _)| *trying == entry) {
            wanted.tries += 1;
            match wanted.tries < TRIES_MAX {
                true => self.wishes.push_front(wanted),
                false => {
                    let event = Event::Refused(wanted.number, WishError::Overtaken);
                    self.events.push_back(event);
                }
            }
        }
    }

    /// What we said in a branch that lost is said again, unless somebody is there who was not when it was said.
    fn say_again(&mut self, fallen: &[(EntryId, EpochTag)], client: &mut Client) {
        let mut lent = Lent::new(client, &mut self.ground);
        let now = lent.seen().map(|(_, members)| members);
        for (_, epoch) in fallen {
            let then = lent.members_in(*epoch).unwrap_or_default();
            let was_there = |leaf: &Leaf| {
                then.iter()
                    .any(|one| one.member.device == leaf.member.device)
            };
            // Where that cannot be said, the person decides.
            let as_then = now.as_ref().is_ok_and(|now| now.iter().all(was_there));
            let said = self.said.iter().filter(|(_, said)| *said == epoch);
            self.events.extend(said.map(|(id, _)| match as_then {
                true => Event::SayAgain(*id),
                false => Event::Withheld(*id),
            }));
            self.said.retain(|_, said| said != epoch);
        }
    }

    /// The next change, if none is under way; and what waited for this epoch.
    fn go_on(&mut self, client: &mut Client, now: Duration) {
        self.read_what_waited(client);
        let open = self.order.chain().may_fall();
        self.said.retain(|_, epoch| open.contains(epoch));
        while self.trying.is_none() && self.order.own().is_none() && !self.is_outside() {
            if self.an_old_one_waits(client) {
                return;
            }
            let Some(wanted) = self.wishes.pop_front() else {
                return;
            };
            let number = wanted.number;
            match self.try_out(wanted, client, now) {
                Ok(true) => {}
                Ok(false) => self.events.push_back(Event::Done(number)),
                Err(error) => self.events.push_back(Event::Refused(number, error)),
            }
        }
    }

    /// Makes the commit for a change, and brings it to its slot. `false` if there is nothing to do.
    fn try_out(
        &mut self,
        wanted: Wanted,
        client: &mut Client,
        now: Duration,
    ) -> Result<bool, WishError> {
        if self.order.chain().is_removed() {
            return Err(WishError::Outside);
        }
        let own = client.member();
        let slot = self.open_slot(client);
        let mut lent = Lent::new(client, &mut self.ground);
        let (record, members) = lent.seen()?;
        let before = Before {
            group: lent.ground.id(),
            record: &record,
            members: &members,
            check: lent.ground.generation().check(),
        };
        let Some((change, aad)) = wanted.wish.prepare(before, own)? else {
            return Ok(false);
        };
        let outgoing = lent.group()?.stage(&change, &aad)?;
        let next = outgoing.next;
        let Some(deposit) = self.sealed(Kind::Commit { next }, slot, Inside::Mls(outgoing.commit))
        else {
            Lent::new(client, &mut self.ground)
                .group()?
                .clear_pending()?;
            return Err(WishError::TooLarge);
        };
        if let Some(welcome) = outgoing.welcome {
            let members = change.add.iter().map(|package| package.member()).collect();
            let welcome = Welcome {
                welcome,
                tree: outgoing.tree,
                members,
            };
            self.persists
                .push_back(Persist::Welcome(deposit.id, Some(welcome.clone())));
            self.welcomes.insert(deposit.id, welcome);
        }
        self.trying = Some((deposit.id, wanted));
        let commit = Commit {
            id: deposit.id,
            slot,
            next,
            external: false,
            body: deposit.body.to_vec(),
        };
        let mut lent = Lent::new(client, &mut self.ground);
        self.order.handle_proposal(commit, &mut lent, now);
        let seen = lent.take_seen();
        self.follow(seen, client, now);
        Ok(true)
    }

    /// Whether a commit of ours that was lost may yet end this epoch. If it may not, it waits no longer, and another can be made.
    fn an_old_one_waits(&mut self, client: &mut Client) -> bool {
        let mut lent = Lent::new(client, &mut self.ground);
        let epoch = lent.epoch();
        if self.order.chain().own_waits(epoch, &lent) {
            return true;
        }
        if let Ok(mut group) = lent.group()
            && group.pending().is_some()
        {
            // What cannot be let go of is told by the next commit that cannot be made.
            let _ = group.clear_pending();
        }
        false
    }

    fn open_slot(&mut self, client: &mut Client) -> Slot {
        let lent = Lent::new(client, &mut self.ground);
        let epoch = lent.epoch();
        self.order.chain().candidates(epoch, &lent).0
    }

    /// An entry for the boxes of the present generation. `None` if it is too large.
    fn sealed(&mut self, kind: Kind, slot: Slot, inside: Inside) -> Option<Deposit> {
        let mut nonce = [0; NONCE];
        self.chance.fill_bytes(&mut nonce);
        let generation: &Generation = self.ground.generation();
        let body: Arc<[u8]> = generation.seal(kind, slot, inside.write(), nonce)?.into();
        Some(Deposit {
            first: generation.first,
            id: entry_id(kind, slot, &body),
            kind,
            slot,
            body,
        })
    }

    fn ground_changed(&mut self) {
        self.persists
            .push_back(Persist::Ground(self.ground.write()));
    }

    pub(super) fn unreadable(&mut self, entry: EntryId, why: impl Into<Unreadable>) {
        self.events.push_back(Event::Unreadable(entry, why.into()));
    }

    fn assert_drained(&self) {
        debug_assert!(
            self.persists.is_empty() && self.transmits.is_empty() && self.events.is_empty(),
            "the machine was fed before its outputs were drained"
        );
    }
}

pub(super) fn accounts(members: &[Leaf]) -> std::collections::BTreeSet<AccountId> {
    members
        .iter()
        .map(|leaf: &Leaf| leaf.member.account)
        .collect()
}
