//! A member's side of the ordering as one machine: it brings commits to their slots, asks holders again when answers are
//! missing, merges provisionally when there is no majority, and follows the evidence ([`super::chain`]).
//!
//! The loop contract is that of `starling_protocol::machine`. The group is lent to each `handle_*`: what it changes there and what
//! [`Member::poll_persist`] announces are committed in one transaction, before anything of the same drain is sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use starling_wire::ids::{EntryId, EpochTag};
use starling_wire::ordering::choice::Certificate;
use starling_wire::ordering::grounds::Grounded;
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Ballot, Holders, Seat, Slot};

use super::chain::{Chain, Outcome, Past};
use super::evidence::{Evidence, Spoken};
use super::group::{Commit, Group};
use super::proposer::{Asked, Proposer, Step};

/// Without a majority of holders for so long, a commit is merged provisionally.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Where holders answer and a slot is not settled all the same, somebody keeps it from being settled: this is enough.
pub const STARVED: Duration = Duration::from_secs(300);
/// How long somebody else's commit is left to its author.
pub const HELP_AFTER: Duration = Duration::from_secs(2);
/// Between two tries of one slot at most.
pub const RETRY_MAX: Duration = Duration::from_secs(600);
/// Before the first, doubling from then on.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// After somebody else's ballot was in the way: up to so long by chance, doubling for as long as it is.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_millis(6_400);

/// A question to one holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whom.
    pub seat: Seat,
    /// What.
    pub ask: Ask,
}

/// What a holder is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// "What do you know of this slot?" Answered with its certificate, or with its promise, and with its commits.
    State(Slot),
    /// "Keep this commit."
    Deposit(Commit),
    /// "Promise this ballot", and the promise of another holder that its number is above.
    Prepare(Slot, Ballot, Option<Known<Promise>>),
    /// "Agree to this."
    Accept(Slot, Asked),
    /// "It is settled."
    Settle(Certificate),
}

/// Something that was heard, from a holder or passed on by a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A commit.
    Commit(Commit),
    /// A promise that shows, with another statement, that its holder lied.
    Promise(Known<Promise>),
    /// A holder's answer: its promise, with the grounds of what it names.
    Promised(Grounded),
    /// A vote.
    Vote(Known<Vote>),
    /// A certificate, verified against the holders of its slot ([`Member::holders_of`]).
    Certificate(Certificate),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What came of the evidence.
    Outcome(Outcome),
    /// Our own commit is not the one that ended its epoch. What it was for may have to be done again.
    Lost(EntryId),
    /// All members who can be reached should hear this.
    Tell(Word),
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A slot is to be tried again.
    Retry,
    /// Patience with a slot is over.
    Patience,
}

/// A slot that is not settled.
#[derive(Debug, Clone)]
struct Run {
    slot: Slot,
    proposer: Option<Proposer>,
    since: Duration,
    next: Duration,
    wait: Duration,
    pause: Duration,
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Member {
    chain: Chain,
    own: Option<Commit>,
    runs: BTreeMap<EpochTag, Run>,
    heard: BTreeMap<Seat, Duration>,
    chance: ChaCha8Rng,
    changed: bool,
    transmits: VecDeque<Request>,
    events: VecDeque<Event>,
}

/// What survives a restart, beside the group.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// The epochs.
    pub chain: Chain,
    /// Our commit that is under way.
    pub own: Option<Commit>,
}

impl From<Spoken> for Word {
    fn from(spoken: Spoken) -> Self {
        match spoken {
            Spoken::Promise(promise) => Self::Promise(promise),
            Spoken::Vote(vote) => Self::Vote(vote),
        }
    }
}

impl Member {
    /// With what was kept. The seed is another one after each start, so that no ballot is used twice.
    pub fn new(kept: Kept, seed: [u8; 32]) -> Self {
        Self {
            chain: kept.chain,
            own: kept.own,
            runs: BTreeMap::new(),
            heard: BTreeMap::new(),
            chance: ChaCha8Rng::from_seed(seed),
            changed: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A commit of ours is staged for the epoch we are in. One at a time: another one takes its place only when this one is merged
    /// or lost.
    pub fn handle_proposal(&mut self, commit: Commit, group: &mut impl Group, now: Duration) {
        self.assert_drained();
        let open = self.own.is_none() && !self.chain.is_removed();
        if open && commit.slot.epoch == group.epoch() {
            self.chain.add_own(commit.clone(), group.epoch());
            self.own = Some(commit.clone());
            self.changed = true;
            self.runs.remove(&commit.slot.epoch);
            self.events.push_back(Event::Tell(Word::Commit(commit)));
        }
        self.go_on(group, now);
    }

    /// Something was heard; `from` is the holder that said it, if it was one.
    pub fn handle_words(
        &mut self,
        from: Option<Seat>,
        words: impl IntoIterator<Item = Word>,
        group: &mut impl Group,
        now: Duration,
    ) {
        self.assert_drained();
        if let Some(seat) = from {
            self.heard.insert(seat, now);
        }
        for word in words {
            self.hear(word, group, now);
        }
        self.go_on(group, now);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, group: &mut impl Group, now: Duration) {
        self.assert_drained();
        let tip = group.epoch();
        let runs: Vec<EpochTag> = self.runs.keys().copied().collect();
        for epoch in runs {
            if epoch == tip && self.is_patience_over(epoch, group, now) {
                self.chain.allow_provisional(epoch);
            }
            if self.runs.get(&epoch).is_some_and(|run| run.next <= now) {
                self.try_again(epoch, group, now);
            }
        }
        self.go_on(group, now);
    }

    /// What is to be kept, with the group, before anything else of this drain is carried out.
    pub fn poll_persist(&mut self) -> Option<Kept> {
        std::mem::take(&mut self.changed).then(|| Kept {
            chain: self.chain.clone(),
            own: self.own.clone(),
        })
    }

    /// What to ask holders.
    pub fn poll_transmit(&mut self) -> Option<Request> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self, group: &impl Group) -> Option<(Duration, Reason)> {
        let retries = self.runs.values().map(|run| (run.next, Reason::Retry));
        let tip = self.runs.get(&group.epoch()).filter(|run| {
            !self.chain.is_provisional(run.slot.epoch) && self.has_candidate(run.slot.epoch, group)
        });
        let patience = tip.map(|run| {
            let starved = run.since + STARVED;
            (
                self.without_majority_until(run, group).min(starved),
                Reason::Patience,
            )
        });
        retries.chain(patience).min_by_key(|(at, _)| *at)
    }

    /// Who decides an epoch's end, to verify what is said about it.
    pub fn holders_of(&self, epoch: EpochTag, group: &impl Group) -> Option<Holders> {
        self.chain.holders_of(epoch, group)
    }

    /// The epochs, for whoever tells others.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What others should hear from us when we meet: certificates, what holders agreed to where nothing is settled, and the statements that
    /// convict somebody.
    pub fn words(&self, group: &impl Group) -> Vec<Word> {
        let certificates = self.chain.told().flat_map(Evidence::certificates);
        let lies = self.chain.told().flat_map(|evidence| evidence.lies());
        let lies = lies.flat_map(|(one, other)| [*one, *other]);
        let agreed = self.chain.agreements(group).copied();
        let certificates = certificates.cloned().map(Word::Certificate);
        certificates
            .chain(lies.chain(agreed).map(Word::from))
            .collect()
    }

    /// Our commit that is under way.
    pub const fn own(&self) -> Option<&Commit> {
        self.own.as_ref()
    }

    /// Let in again by a commit that is not of this chain, with the chain of the member who helped.
    pub fn handle_rejoined(&mut self, theirs: Chain, group: &mut impl Group, now: Duration) {
        self.assert_drained();
        if let Some(own) = self.own.take() {
            self.events.push_back(Event::Lost(own.id));
        }
        self.chain.rejoined(theirs, group);
        self.runs.clear();
        self.changed = true;
        self.go_on(group, now);
    }

    fn hear(&mut self, word: Word, group: &mut impl Group, now: Duration) {
        match word {
            Word::Commit(commit) => {
                let (id, epoch) = (commit.id, commit.slot.epoch);
                self.changed |= self.chain.add_commit(commit, group.epoch());
                let run = self.runs.get_mut(&epoch);
                let step = run.and_then(|run| run.proposer.as_mut()?.handle_entry(id));
                self.act(epoch, step, group, now);
            }
            Word::Promise(promise) => {
                self.changed |= self.chain.add_promise(&promise, group);
            }
            Word::Promised(grounded) => {
                let promise = *grounded.promise();
                self.changed |= self.chain.add_promise(&promise, group);
                let epoch = promise.get().slot.epoch;
                let run = self.runs.get_mut(&epoch);
                let step = run.and_then(|run| run.proposer.as_mut()?.handle_promise(grounded));
                self.act(epoch, step, group, now);
            }
            Word::Vote(vote) => {
                self.changed |= self.chain.add_vote(&vote, group);
                let epoch = vote.get().slot.epoch;
                let run = self.runs.get_mut(&epoch);
                let step = run.and_then(|run| run.proposer.as_mut()?.handle_vote(vote));
                self.act(epoch, step, group, now);
            }
            Word::Certificate(certificate) => {
                self.changed |= self.chain.add_certificate(&certificate, group);
            }
        }
    }

    /// What follows from the state, after every input.
    fn go_on(&mut self, group: &mut impl Group, now: Duration) {
        for outcome in self.chain.follow(group) {
            self.changed = true;
            self.note(&outcome);
            self.events.push_back(Event::Outcome(outcome));
        }
        if let Some(own) = self.own.take_if(|own| is_decided(&self.chain, own, group)) {
            self.changed = true;
            let past = self.chain.past(own.slot.epoch);
            if past.is_none_or(|past| past.next() != own.next) {
                self.events.push_back(Event::Lost(own.id));
            }
        }
        self.attend(group, now);
    }

    fn note(&mut self, outcome: &Outcome) {
        let (Outcome::Merged {
            epoch,
            settled: true,
            ..
        }
        | Outcome::Settled { epoch, .. }) = outcome
        else {
            return;
        };
        let certificate = self.chain.past(*epoch).and_then(Past::certificate).cloned();
        if let Some(certificate) = certificate {
            self.events
                .push_back(Event::Tell(Word::Certificate(certificate)));
        }
    }

    /// Each unsettled epoch with something to settle has a run, and no other has.
    fn attend(&mut self, group: &mut impl Group, now: Duration) {
        let unsettled = self.chain.unsettled(group);
        self.runs.retain(|epoch, _| unsettled.contains(epoch));
        for epoch in unsettled {
            let (slot, _) = self.chain.candidates(epoch, group);
            let stale = self.runs.get(&epoch).is_some_and(|run| run.slot != slot);
            if stale {
                self.runs.remove(&epoch);
            }
            if !self.runs.contains_key(&epoch) && self.has_candidate(epoch, group) {
                self.begin(slot, group, now);
            }
        }
    }

    /// Ours at once; somebody else's is asked after, and helped along when its author does not get there.
    fn begin(&mut self, slot: Slot, group: &mut impl Group, now: Duration) {
        let ours = self.own.as_ref().is_some_and(|own| own.slot == slot);
        let next = if ours {
            now
        } else {
            now + HELP_AFTER + self.up_to(HELP_AFTER)
        };
        self.runs.insert(
            slot.epoch,
            Run {
                slot,
                proposer: None,
                since: now,
                next,
                wait: RETRY_FIRST,
                pause: PAUSE_FIRST,
            },
        );
        if ours {
            self.try_again(slot.epoch, group, now);
        } else {
            self.ask_all(slot.epoch, &Ask::State(slot), group);
        }
    }

    fn try_again(&mut self, epoch: EpochTag, group: &mut impl Group, now: Duration) {
        let Some(entry) = self.worth_proposing(epoch, group) else {
            self.runs.remove(&epoch);
            return;
        };
        let (salt, wait) = (self.salt(), self.runs[&epoch].wait);
        let next = now + wait + self.up_to(wait);
        let holders = self.chain.holders_of(epoch, group).unwrap_or_default();
        let Some(run) = self.runs.get_mut(&epoch) else {
            return;
        };
        (run.next, run.wait) = (next, (2 * wait).min(RETRY_MAX));
        let slot = run.slot;
        let step = match &mut run.proposer {
            Some(proposer) if proposer.is_overtaken() => proposer.again(salt),
            Some(proposer) => proposer.ask_again(),
            none => none
                .insert(Proposer::new(slot, holders, entry, salt))
                .ask_again(),
        };
        if let Some(commit) = self.chain.commit(epoch, entry).cloned() {
            self.ask_all(epoch, &Ask::Deposit(commit), group);
        }
        self.act(epoch, Some(step), group, now);
    }

    /// What to bring to a slot: what was merged there; ours; what somebody else began, if it is something.
    fn worth_proposing(&mut self, epoch: EpochTag, group: &mut impl Group) -> Option<EntryId> {
        let merged = self.chain.merged(epoch);
        let (slot, _) = self.chain.candidates(epoch, group);
        let own = self
            .own
            .as_ref()
            .filter(|own| own.slot == slot)
            .map(|own| own.id);
        merged
            .or(own)
            .or_else(|| self.chain.proposable(epoch, group))
    }

    fn act(&mut self, epoch: EpochTag, step: Option<Step>, group: &impl Group, now: Duration) {
        let Some(slot) = self.runs.get(&epoch).map(|run| run.slot) else {
            return;
        };
        match step {
            Some(Step::Prepare(ballot, seen)) => {
                self.ask_all(epoch, &Ask::Prepare(slot, ballot, seen), group);
            }
            Some(Step::Accept(asked)) => {
                if let Some(commit) = self.chain.commit(epoch, asked.entry).cloned() {
                    self.ask_all(epoch, &Ask::Deposit(commit), group);
                }
                self.ask_all(epoch, &Ask::Accept(slot, asked), group);
            }
            Some(Step::Fetch(entries)) => {
                self.take_what_is_here(epoch, &entries, group, now);
            }
            Some(Step::Overtaken) => self.pause(epoch, now),
            Some(Step::Settled(certificate)) => {
                self.chain.add_certificate(&certificate, group);
                self.changed = true;
                self.ask_all(epoch, &Ask::Settle(certificate), group);
            }
            None => {}
        }
    }

    /// Commits that the proposer did not know of; those that are not here are asked for with the slot's state.
    fn take_what_is_here(
        &mut self,
        epoch: EpochTag,
        entries: &std::collections::BTreeSet<EntryId>,
        group: &impl Group,
        now: Duration,
    ) {
        for entry in entries {
            if self.chain.commit(epoch, *entry).is_none() {
                let outcome = Outcome::Fetch(epoch, *entry);
                self.events.push_back(Event::Outcome(outcome));
                continue;
            }
            let run = self.runs.get_mut(&epoch);
            let step = run.and_then(|run| run.proposer.as_mut()?.handle_entry(*entry));
            self.act(epoch, step, group, now);
        }
    }

    fn pause(&mut self, epoch: EpochTag, now: Duration) {
        let pause = self.runs.get(&epoch).map_or(PAUSE_FIRST, |run| run.pause);
        let next = now + self.up_to(pause);
        if let Some(run) = self.runs.get_mut(&epoch) {
            run.next = next;
            run.pause = (2 * pause).min(PAUSE_MAX);
            run.wait = RETRY_FIRST;
        }
    }

    fn ask_all(&mut self, epoch: EpochTag, ask: &Ask, group: &impl Group) {
        let holders = self.chain.holders_of(epoch, group).unwrap_or_default();
        self.transmits
            .extend(holders.seats.iter().map(|seat| Request {
                seat: *seat,
                ask: ask.clone(),
            }));
    }

    fn has_candidate(&self, epoch: EpochTag, group: &impl Group) -> bool {
        self.chain.merged(epoch).is_some() || !self.chain.candidates(epoch, group).1.is_empty()
    }

    fn is_patience_over(&self, epoch: EpochTag, group: &impl Group, now: Duration) -> bool {
        self.runs.get(&epoch).is_some_and(|run| {
            now >= run.since + STARVED || now >= self.without_majority_until(run, group)
        })
    }

    /// Until when a slot is waited for without a majority: as long as one answers, that time moves on.
    fn without_majority_until(&self, run: &Run, group: &impl Group) -> Duration {
        let holders = self
            .chain
            .holders_of(run.slot.epoch, group)
            .unwrap_or_default();
        let heard = |seat: &Seat| self.heard.get(seat).copied().unwrap_or_default();
        let mut heard: Vec<Duration> = holders.seats.iter().map(heard).collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        // A majority has been heard since this moment.
        let last = heard
            .get(holders.majority() - 1)
            .copied()
            .unwrap_or_default();
        last.max(run.since) + PATIENCE
    }

    fn salt(&mut self) -> [u8; 8] {
        self.chance.next_u64().to_be_bytes()
    }

    /// A span by chance, shorter than this one.
    fn up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.chance.next_u64() % nanos)
    }

    fn assert_drained(&self) {
        debug_assert!(
            self.transmits.is_empty() && self.events.is_empty() && !self.changed,
            "the machine was fed before its outputs were drained"
        );
    }
}

/// Whether our commit can come to nothing more: its epoch's end is past, or it waits for another attempt or at no epoch of ours.
fn is_decided(chain: &Chain, own: &Commit, group: &impl Group) -> bool {
    let epoch = own.slot.epoch;
    let open = chain.unsettled(group).contains(&epoch);
    !open || chain.candidates(epoch, group).0 != own.slot
}
