//! One slot's proposer: single-decree Paxos, from a first ballot to a certificate. It has no clock and no chance: when to try
//! again, and with which salt, is its driver's to say.

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::ids::EntryId;
use starling_wire::ordering::choice::{Certificate, Choice, choose};
use starling_wire::ordering::grounds::{Grounded, Grounds, LINKS_MAX};
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Ballot, Holders, Seat, Slot};

/// A proposal on its way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposer {
    slot: Slot,
    holders: Holders,
    own: EntryId,
    /// Entries that everybody can get from us: ours, and what was fetched.
    here: BTreeSet<EntryId>,
    ballot: Ballot,
    /// The highest promise that was seen of each holder.
    seen: BTreeMap<Seat, Known<Promise>>,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    /// Promises are collected.
    Preparing(BTreeMap<Seat, Grounded>),
    /// Votes are.
    Accepting(Asked, BTreeMap<Seat, Known<Vote>>),
    /// Settled.
    Done(Certificate),
}

/// What holders are asked to agree to, and why they may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asked {
    /// In which ballot.
    pub ballot: Ballot,
    /// To what.
    pub entry: EntryId,
    /// Promises of a majority, and the grounds of what they name.
    pub grounds: Grounds,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask all holders to promise this ballot, and show them why its number is so high.
    Prepare(Ballot, Option<Known<Promise>>),
    /// Get these entries from a holder: one of them may be settled, and is to be asked for.
    Fetch(BTreeSet<EntryId>),
    /// Deposit the entry and ask all holders to agree.
    Accept(Asked),
    /// Somebody else's ballot is in the way: try again after a pause ([`Proposer::again`]).
    Overtaken,
    /// It is decided.
    Settled(Certificate),
}

impl Proposer {
    /// For a slot that nothing is known of, with our own entry. The first step is [`Self::ask_again`].
    pub fn new(slot: Slot, holders: Holders, own: EntryId, salt: [u8; 8]) -> Self {
        Self {
            slot,
            holders,
            own,
            here: BTreeSet::from([own]),
            ballot: Ballot { counter: 1, salt },
            seen: BTreeMap::new(),
            phase: Phase::Preparing(BTreeMap::new()),
        }
    }

    /// What is asked for now, to say it once more when answers are missing.
    pub fn ask_again(&self) -> Step {
        match &self.phase {
            Phase::Preparing(_) => Step::Prepare(self.ballot, self.in_the_way().copied()),
            Phase::Accepting(asked, _) => Step::Accept(asked.clone()),
            Phase::Done(certificate) => Step::Settled(certificate.clone()),
        }
    }

    /// Whether no majority is left for this ballot.
    pub fn is_overtaken(&self) -> bool {
        let higher = self
            .in_the_way()
            .is_some_and(|promise| promise.get().ballot > self.ballot);
        higher && !matches!(self.phase, Phase::Done(_))
    }

    /// The slot.
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The ballot of this try.
    pub const fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Begins anew with a ballot that a majority can promise.
    pub fn again(&mut self, salt: [u8; 8]) -> Step {
        let above = self.in_the_way().map(|promise| promise.get().ballot);
        let above = above
            .max(Some(self.ballot))
            .map_or(0, |ballot| ballot.counter);
        self.ballot = Ballot {
            counter: above.saturating_add(1),
            salt,
        };
        self.phase = Phase::Preparing(BTreeMap::new());
        self.ask_again()
    }

    /// The promise that a ballot has to be above for a majority to promise it: a single holder that speaks of higher ones is
    /// not followed.
    fn in_the_way(&self) -> Option<&Known<Promise>> {
        let mut seen: Vec<_> = self.seen.values().collect();
        seen.sort_unstable_by_key(|promise| promise.get().ballot);
        // As many have said nothing: they are in nobody's way.
        let silent = self.holders.seats.len().saturating_sub(seen.len());
        seen.get(self.holders.majority().checked_sub(silent + 1)?)
            .copied()
    }

    /// `ORDER-12`: a holder answered with a promise, of our ballot or of the one in the way. What it names comes with its grounds, so no
    /// holder can lead us to an entry that it was not allowed to agree to.
    pub fn handle_promise(&mut self, grounded: Grounded) -> Option<Step> {
        let promise = *grounded.promise();
        let said = promise.get();
        if said.slot != self.slot || !self.holders.has(said.seat) {
            return None;
        }
        let before = self.is_overtaken();
        let seen = self.seen.entry(said.seat).or_insert(promise);
        if seen.get().ballot < said.ballot {
            *seen = promise;
        }
        if self.is_overtaken() {
            return (!before).then_some(Step::Overtaken);
        }
        let Phase::Preparing(promises) = &mut self.phase else {
            return None;
        };
        let before = said.accepted.is_none_or(|(last, _)| last < self.ballot);
        if said.ballot != self.ballot || !before || promises.contains_key(&said.seat) {
            return None;
        }
        promises.insert(said.seat, grounded);
        self.ask()
    }

    /// An entry that had to be fetched is here.
    pub fn handle_entry(&mut self, entry: EntryId) -> Option<Step> {
        self.here.insert(entry).then(|| self.ask()).flatten()
    }

    /// A holder agreed.
    pub fn handle_vote(&mut self, vote: Known<Vote>) -> Option<Step> {
        let Phase::Accepting(asked, votes) = &mut self.phase else {
            return None;
        };
        let said = vote.get();
        let ours =
            said.slot == self.slot && said.ballot == asked.ballot && said.entry == asked.entry;
        if !ours || !self.holders.has(said.seat) {
            return None;
        }
        votes.insert(said.seat, vote);
        let votes = votes.values().copied().collect();
        let settled = Certificate::new(&self.holders, votes, asked.grounds.clone()).ok()?;
        self.phase = Phase::Done(settled.clone());
        Some(Step::Settled(settled))
    }

    /// With the promises so far: what can be asked for, or what has to be fetched for it. Each majority will do, so a holder that
    /// speaks of an entry nobody has stops nobody. Of several the one with the shortest grounds is taken.
    fn ask(&mut self) -> Option<Step> {
        let Phase::Preparing(promises) = &self.phase else {
            return None;
        };
        let of = (self.slot, self.ballot, self.own);
        let ways: Vec<Asked> = majorities(promises)
            .iter()
            .filter_map(|majority| asked_by(&self.holders, of, majority))
            .collect();
        let here = ways.iter().filter(|asked| self.here.contains(&asked.entry));
        if let Some(asked) = here.min_by_key(|asked| asked.grounds.links()).cloned() {
            self.phase = Phase::Accepting(asked.clone(), BTreeMap::new());
            return Some(Step::Accept(asked));
        }
        let wanted: BTreeSet<EntryId> = ways.iter().map(|asked| asked.entry).collect();
        (!wanted.is_empty()).then_some(Step::Fetch(wanted))
    }
}

/// What the promises of these holders allow to ask for, `own` if it is anything, unless it takes more grounds than there may be.
fn asked_by(
    holders: &Holders,
    (slot, ballot, own): (Slot, Ballot, EntryId),
    majority: &[&Grounded],
) -> Option<Asked> {
    let said = majority.iter().map(|grounded| *grounded.promise().get());
    let said: Vec<Promise> = said.collect();
    let (entry, below) = match choose(holders, slot, ballot, &said) {
        Ok(Choice::Free) => (own, Grounds::default()),
        Ok(Choice::Must(last, entry)) => {
            let named = Some((last, entry));
            let names = |one: &&&Grounded| one.promise().get().accepted == named;
            let shortest = majority.iter().filter(names).map(|one| one.grounds());
            (entry, shortest.min_by_key(|one| one.links())?.clone())
        }
        Ok(Choice::Unclear) | Err(_) => return None,
    };
    let top = majority.iter().map(|grounded| *grounded.promise());
    let grounds = below.under(top.collect());
    (grounds.links() <= LINKS_MAX).then_some(Asked {
        ballot,
        entry,
        grounds,
    })
}

/// All promises, and then, of three, each two.
fn majorities(promises: &BTreeMap<Seat, Grounded>) -> Vec<Vec<&Grounded>> {
    let all: Vec<_> = promises.values().collect();
    let mut sets = vec![all.clone()];
    if all.len() == 3 {
        for left_out in 0..3 {
            let mut two = all.clone();
            two.remove(left_out);
            sets.push(two);
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_wire::ids::{EndpointKey, EpochTag, MailboxId};

    const SLOT: Slot = Slot {
        epoch: EpochTag([1; 16]),
        attempt: 0,
    };
    const OURS: EntryId = EntryId([0x10; 32]);
    const THEIRS: EntryId = EntryId([0x20; 32]);
    const NOBODYS: EntryId = EntryId([0x30; 32]);

    fn seat(number: u8) -> Seat {
        Seat {
            holder: EndpointKey([number; 32]),
            mailbox: MailboxId([number; 32]),
        }
    }

    fn ballot(counter: u32, salt: u8) -> Ballot {
        Ballot {
            counter,
            salt: [salt; 8],
        }
    }

    fn known(holder: u8, ballot: Ballot, accepted: Option<(Ballot, EntryId)>) -> Known<Promise> {
        Known::in_a_model(Promise {
            seat: seat(holder),
            slot: SLOT,
            ballot,
            accepted,
        })
    }

    /// What it names was agreed to where nothing was before.
    fn promise(holder: u8, ballot: Ballot, accepted: Option<(Ballot, EntryId)>) -> Grounded {
        let beginning = accepted.map(|(first, _)| {
            Grounds::first(vec![
                known(holder, first, None),
                known((holder + 1) % 3, first, None),
            ])
        });
        let grounds = beginning.unwrap_or_default();
        Grounded::new(&three(), known(holder, ballot, accepted), grounds).unwrap()
    }

    fn three() -> Holders {
        Holders {
            generation: 1,
            seats: (0..3).map(seat).collect(),
        }
    }

    fn vote(holder: u8, ballot: Ballot, entry: EntryId) -> Known<Vote> {
        Known::in_a_model(Vote {
            seat: seat(holder),
            slot: SLOT,
            ballot,
            entry,
        })
    }

    fn alice() -> Proposer {
        Proposer::new(SLOT, three(), OURS, [7; 8])
    }

    #[test]
    fn an_entry_goes_through_an_empty_slot_with_two_of_three() {
        let mut alice = alice();
        let first = ballot(1, 7);
        assert_eq!(alice.ask_again(), Step::Prepare(first, None));
        assert_eq!(alice.handle_promise(promise(0, first, None)), None);
        assert_eq!(
            alice.handle_promise(promise(0, first, None)),
            None,
            "once more"
        );
        let Some(Step::Accept(asked)) = alice.handle_promise(promise(2, first, None)) else {
            panic!("two promised");
        };
        assert_eq!((asked.entry, asked.grounds.promises().len()), (OURS, 2));
        assert_eq!(alice.handle_vote(vote(0, first, OURS)), None);
        assert_eq!(
            alice.handle_vote(vote(1, first, THEIRS)),
            None,
            "not what was asked"
        );
        assert_eq!(alice.handle_vote(vote(9, first, OURS)), None, "a stranger");
        let Some(Step::Settled(certificate)) = alice.handle_vote(vote(1, first, OURS)) else {
            panic!("two agreed");
        };
        assert_eq!(certificate.entry(), OURS);
        assert_eq!(alice.handle_vote(vote(2, first, OURS)), None, "told once");
    }

    #[test]
    fn order_03_what_may_be_settled_is_fetched_and_asked_for_in_place_of_ours() {
        let mut alice = alice();
        let (first, earlier) = (ballot(1, 7), ballot(1, 1));
        alice.handle_promise(promise(0, first, None));
        let step = alice.handle_promise(promise(1, first, Some((earlier, THEIRS))));
        assert_eq!(step, Some(Step::Fetch(BTreeSet::from([THEIRS]))));
        let Some(Step::Accept(asked)) = alice.handle_entry(THEIRS) else {
            panic!("it is here");
        };
        assert_eq!(asked.entry, THEIRS);
        assert_eq!(asked.grounds.links(), 2);
        assert_eq!(alice.ask_again(), Step::Accept(asked));
    }

    #[test]
    fn order_12_of_two_majorities_the_one_with_the_shorter_grounds_is_taken() {
        let mut alice = alice();
        let (first, second) = (ballot(1, 1), ballot(2, 1));
        let short = promise(0, first, None);
        let named = known(0, second, Some((first, THEIRS)));
        let below = Grounds::first(vec![*short.promise(), known(1, first, None)]);
        let long = below.under(vec![named, known(1, second, None)]);
        let mine = ballot(3, 7);
        while alice.ballot() < mine {
            let _ = alice.again([7; 8]);
        }
        let accepted = known(0, mine, Some((second, THEIRS)));
        let told = Grounded::new(&three(), accepted, long).unwrap();
        assert!(alice.handle_promise(told).is_none(), "one alone");
        let other = promise(1, mine, Some((second, THEIRS)));
        assert!(matches!(alice.handle_promise(other), Some(Step::Fetch(_))));
        let Some(Step::Accept(asked)) = alice.handle_entry(THEIRS) else {
            panic!("it is here");
        };
        assert_eq!(asked.grounds.links(), 2);
    }

    #[test]
    fn a_holder_that_speaks_of_an_entry_nobody_has_stops_nobody() {
        let mut alice = alice();
        let (first, earlier) = (ballot(1, 7), ballot(1, 1));
        alice.handle_promise(promise(0, first, Some((earlier, NOBODYS))));
        let step = alice.handle_promise(promise(1, first, None));
        assert_eq!(step, Some(Step::Fetch(BTreeSet::from([NOBODYS]))));
        let Some(Step::Accept(asked)) = alice.handle_promise(promise(2, first, None)) else {
            panic!("the other two are a majority");
        };
        assert_eq!(asked.entry, OURS);
        let of: Vec<Seat> = asked
            .grounds
            .promises()
            .iter()
            .map(|promise| promise.get().seat)
            .collect();
        assert_eq!(of, [seat(1), seat(2)]);
    }

    #[test]
    fn higher_ballots_in_the_way_are_told_once_and_gone_above() {
        let mut alice = alice();
        let higher = promise(0, ballot(4, 1), None);
        assert_eq!(
            alice.handle_promise(higher),
            None,
            "the other two are a majority"
        );
        assert_eq!(
            alice.handle_promise(promise(1, ballot(9, 1), None)),
            Some(Step::Overtaken)
        );
        assert_eq!(
            alice.handle_promise(promise(2, ballot(12, 1), None)),
            None,
            "told once"
        );
        let above = known(1, ballot(9, 1), None);
        assert_eq!(
            alice.again([8; 8]),
            Step::Prepare(ballot(10, 8), Some(above))
        );
        assert_eq!(
            alice.handle_promise(promise(0, ballot(1, 7), None)),
            None,
            "of before"
        );
        assert_eq!(alice.handle_promise(promise(0, ballot(10, 8), None)), None);
        assert!(matches!(
            alice.handle_promise(promise(1, ballot(10, 8), None)),
            Some(Step::Accept(_))
        ));
    }

    #[test]
    fn a_holder_that_promises_the_highest_number_there_is_stops_nobody() {
        let mut alice = alice();
        let last = ballot(u32::MAX, 255);
        assert_eq!(alice.handle_promise(promise(0, last, None)), None);
        assert_eq!(
            alice.handle_promise(promise(1, ballot(2, 0), None)),
            Some(Step::Overtaken)
        );
        let Step::Prepare(next, _) = alice.again([8; 8]) else {
            panic!("it goes on");
        };
        assert_eq!(next.counter, 3);
    }
}
