//! Branches of a pretended group, and which of them counts.

use super::knowledge::COMMITS_MAX;
use super::*;
use crate::order::pretend::{Change, Pretend};
use proptest::prelude::*;
use starling_wire::ids::{EndpointKey, MailboxId};
use starling_wire::ordering::grounds::Grounds;
use starling_wire::ordering::{Ballot, Seat};

fn seat(number: u8) -> Seat {
    Seat {
        holder: EndpointKey([number; 32]),
        mailbox: MailboxId([number; 32]),
    }
}

fn three(generation: u32) -> Holders {
    Holders {
        generation,
        seats: (0..3).map(seat).collect(),
    }
}

fn ballot(counter: u32) -> Ballot {
    Ballot {
        counter,
        salt: [0; 8],
    }
}

fn vote(holder: u8, counter: u32, commit: &Commit) -> Known<Vote> {
    Known::in_a_model(Vote {
        seat: seat(holder),
        slot: commit.slot,
        ballot: ballot(counter),
        entry: commit.id,
    })
}

fn certificate(commit: &Commit) -> Certificate {
    let promise = |holder| {
        Known::in_a_model(Promise {
            seat: seat(holder),
            slot: commit.slot,
            ballot: ballot(9),
            accepted: None,
        })
    };
    let votes = vec![vote(0, 9, commit), vote(1, 9, commit)];
    let grounds = Grounds::first(vec![promise(0), promise(1)]);
    Certificate::new(&three(1), votes, grounds).unwrap()
}

/// A member with her chain.
#[derive(Debug, Clone)]
struct Member {
    chain: Chain,
    group: Pretend,
}

impl Member {
    fn new(number: u8) -> Self {
        Self {
            chain: Chain::default(),
            group: Pretend::new(number, three(1)),
        }
    }

    fn sees(&mut self, commit: &Commit) -> Vec<Outcome> {
        self.chain.add_commit(commit.clone(), self.group.epoch());
        self.chain.follow(&mut self.group)
    }

    fn settles(&mut self, commit: &Commit) -> Vec<Outcome> {
        self.chain
            .add_certificate(&certificate(commit), &self.group);
        self.chain.follow(&mut self.group)
    }

    fn loses_patience(&mut self) -> Vec<Outcome> {
        self.chain.allow_provisional(self.group.epoch());
        self.chain.follow(&mut self.group)
    }
}

fn merged(commit: &Commit, settled: bool) -> Outcome {
    Outcome::Merged {
        epoch: commit.slot.epoch,
        entry: commit.id,
        settled,
    }
}

/// Two commits for the first epoch, the one with the lower id first.
fn rivals() -> (Commit, Commit) {
    let group = Pretend::new(0, three(1));
    let (one, other) = (
        group.commit(0, &Change::Update, 1),
        group.commit(0, &Change::Update, 2),
    );
    if one.id < other.id {
        (one, other)
    } else {
        (other, one)
    }
}

#[test]
fn a_commit_is_merged_when_it_is_settled_and_not_before() {
    let mut alice = Member::new(0);
    let (commit, _) = rivals();
    assert_eq!(alice.sees(&commit), []);
    assert_eq!(alice.settles(&commit), [merged(&commit, true)]);
    assert_eq!(alice.group.epoch(), commit.next);
    assert_eq!(alice.group.copies(), 0, "nothing to go back to");
    let past = alice.chain.past(commit.slot.epoch).unwrap();
    assert_eq!(
        (past.next(), past.certificate().is_some()),
        (commit.next, true)
    );
    assert!(
        !alice.chain.add_commit(commit.clone(), commit.next),
        "it is past"
    );
}

#[test]
fn a_settled_commit_that_is_not_here_is_fetched() {
    let mut alice = Member::new(0);
    let (commit, _) = rivals();
    assert_eq!(
        alice.settles(&commit),
        [Outcome::Fetch(commit.slot.epoch, commit.id)]
    );
    assert_eq!(alice.sees(&commit), [merged(&commit, true)]);
}

#[test]
fn order_07_a_provisional_branch_gives_way_to_the_one_that_is_settled() {
    let mut alice = Member::new(0);
    let (low, high) = rivals();
    alice.sees(&low);
    assert_eq!(alice.loses_patience(), [merged(&low, false)]);
    let onward = alice.group.commit(0, &Change::Update, 3);
    alice.sees(&onward);
    assert_eq!(alice.loses_patience(), [merged(&onward, false)]);
    assert_eq!(alice.chain.unsettled(&alice.group).len(), 3);
    alice.sees(&high);
    assert_eq!(
        alice.group.epoch(),
        onward.next,
        "a higher entry changes nothing"
    );
    let overturned = Outcome::Overturned {
        epoch: high.slot.epoch,
        fallen: vec![(low.id, low.next), (onward.id, onward.next)],
    };
    assert_eq!(alice.settles(&high), [overturned, merged(&high, true)]);
    assert_eq!(alice.group.merged(), [high.id]);
    assert_eq!(alice.group.copies(), 2, "the branch that lost can be read");
}

#[test]
fn order_07_a_branch_that_wins_again_goes_on_where_it_was_left() {
    let mut alice = Member::new(0);
    let (low, high) = rivals();
    alice.sees(&high);
    alice.loses_patience();
    let onward = alice.group.commit(0, &Change::Update, 3);
    alice.sees(&onward);
    alice.loses_patience();
    let left = alice.group.clone();
    alice.sees(&low);
    assert_eq!(alice.group.merged(), [low.id]);
    alice.settles(&high);
    assert_eq!(alice.group.merged(), [high.id, onward.id]);
    assert_eq!(alice.group.epoch(), left.epoch());
    assert!(
        !alice.group.is_copied(onward.next),
        "taken up, not made anew"
    );
}

#[test]
fn order_07_nobody_goes_back_for_what_is_void() {
    let mut alice = Member::new(0);
    let start = alice.group.clone();
    let garbage = (0..100).map(|salt| start.commit(0, &Change::Garbage, salt));
    let garbage = garbage.min_by_key(|commit| commit.id).unwrap();
    let good = (0..100).map(|salt| start.commit(0, &Change::Update, salt));
    let good = good.max_by_key(|commit| commit.id).unwrap();
    alice.sees(&good);
    alice.loses_patience();
    assert!(garbage.id < good.id);
    assert_eq!(alice.sees(&garbage), []);
}

#[test]
fn order_09_of_branches_that_lost_the_last_are_kept() {
    let mut alice = Member::new(0);
    let start = alice.group.clone();
    let mut rivals: Vec<_> = (0..20)
        .map(|salt| start.commit(0, &Change::Update, salt))
        .collect();
    rivals.sort_by_key(|commit| std::cmp::Reverse(commit.id));
    alice.sees(&rivals[0]);
    alice.loses_patience();
    for rival in &rivals[1..] {
        assert_eq!(alice.sees(rival).len(), 2, "overturned and merged");
    }
    assert_eq!(alice.group.copies(), FALLEN_MAX + 1);
}

#[test]
fn who_is_taken_out_stays_where_the_group_was_left_and_only_once_that_is_settled() {
    let (mut alice, mut bob) = (Member::new(0), Member::new(1));
    let commit = alice.group.commit(0, &Change::Remove(1), 1);
    assert_eq!(bob.sees(&commit), []);
    assert_eq!(bob.loses_patience(), [], "not as long as it may be lost");
    let removed = Outcome::Removed(commit.slot.epoch, commit.id);
    assert_eq!(bob.settles(&commit), [removed]);
    assert_eq!(bob.settles(&commit), [], "told once");
    assert!(bob.chain.is_removed());
    assert_eq!(bob.group.epoch(), commit.slot.epoch);
    assert_eq!(bob.chain.unsettled(&bob.group), []);
    alice.sees(&commit);
    assert_eq!(alice.settles(&commit), [merged(&commit, true)]);
}

#[test]
fn order_09_junk_keeps_nothing_out_that_counts() {
    let mut alice = Member::new(0);
    let start = alice.group.clone();
    let mut junk: Vec<_> = (0..300)
        .map(|salt| start.commit(0, &Change::Garbage, salt))
        .collect();
    junk.sort_by_key(|commit| commit.id);
    let good = (0..1_000).map(|salt| start.commit(0, &Change::Update, salt));
    let good = good.max_by_key(|commit| commit.id).unwrap();
    junk.iter().take(200).for_each(|commit| {
        alice.sees(commit);
    });
    assert!(good.id > junk[COMMITS_MAX].id);
    assert_eq!(
        alice.settles(&good),
        [Outcome::Fetch(good.slot.epoch, good.id)]
    );
    assert_eq!(alice.sees(&good), [merged(&good, true)]);
}

#[test]
fn only_what_is_something_is_proposed() {
    let mut alice = Member::new(0);
    let start = alice.group.clone();
    for salt in 0..10 {
        alice.sees(&start.commit(0, &Change::Garbage, salt));
    }
    let epoch = start.epoch();
    assert_eq!(alice.chain.proposable(epoch, &mut alice.group), None);
    let good = start.commit(0, &Change::Update, 11);
    alice.sees(&good);
    assert_eq!(
        alice.chain.proposable(epoch, &mut alice.group),
        Some(good.id)
    );
}

#[test]
fn order_07_without_anything_settled_the_lower_entry_wins_and_agreement_before_that() {
    let mut alice = Member::new(0);
    let (low, high) = rivals();
    alice.sees(&high);
    alice.loses_patience();
    assert_eq!(alice.sees(&low).len(), 2, "overturned and merged");
    assert_eq!(alice.group.merged(), [low.id]);
    assert!(alice.chain.add_vote(&vote(1, 1, &high), &alice.group));
    alice.chain.follow(&mut alice.group);
    assert_eq!(alice.group.merged(), [high.id]);
}

#[test]
fn what_was_provisional_is_told_when_it_is_settled() {
    let mut alice = Member::new(0);
    let (low, _) = rivals();
    alice.sees(&low);
    alice.loses_patience();
    assert_eq!(alice.group.copies(), 1);
    let settled = Outcome::Settled {
        epoch: low.slot.epoch,
        entry: low.id,
    };
    assert_eq!(alice.settles(&low), [settled]);
    assert_eq!(alice.group.copies(), 0);
}

#[test]
fn order_08_what_is_settled_and_void_begins_the_next_attempt() {
    let mut alice = Member::new(0);
    let garbage = alice.group.commit(0, &Change::Garbage, 1);
    alice.sees(&garbage);
    assert_eq!(alice.settles(&garbage), []);
    let (slot, open) = alice.chain.candidates(garbage.slot.epoch, &alice.group);
    assert_eq!((slot.attempt, open), (1, vec![]));
    let again = alice.group.commit(1, &Change::Update, 2);
    alice.sees(&again);
    assert_eq!(alice.settles(&again), [merged(&again, true)]);
}

#[test]
fn order_07_an_attempt_that_was_settled_twice_parts_nobody_for_ever() {
    let certificate_by = |commit: &Commit, counter, holders: [u8; 2]| {
        let votes = holders.map(|holder| vote(holder, counter, commit)).to_vec();
        let promise = |holder| {
            Known::in_a_model(Promise {
                seat: seat(holder),
                slot: commit.slot,
                ballot: ballot(counter),
                accepted: None,
            })
        };
        Certificate::new(
            &three(1),
            votes,
            Grounds::first(holders.map(promise).to_vec()),
        )
        .unwrap()
    };
    let start = Pretend::new(0, three(1));
    let (good, garbage) = (
        start.commit(0, &Change::Update, 1),
        start.commit(0, &Change::Garbage, 2),
    );
    let again = start.commit(1, &Change::Update, 3);
    let (one, other) = (
        certificate_by(&good, 1, [0, 1]),
        certificate_by(&garbage, 2, [1, 2]),
    );
    let (mut alice, mut bob) = (Member::new(0), Member::new(1));
    for commit in [&good, &garbage, &again] {
        alice.sees(commit);
        bob.sees(commit);
    }
    alice.chain.add_certificate(&one, &alice.group);
    assert_eq!(alice.chain.follow(&mut alice.group), [merged(&good, true)]);
    bob.chain.add_certificate(&other, &bob.group);
    bob.chain.follow(&mut bob.group);
    assert_eq!(bob.settles(&again), [merged(&again, true)]);
    alice.chain.add_certificate(&other, &alice.group);
    assert_eq!(alice.chain.follow(&mut alice.group), [], "the lower ballot");
    bob.chain.add_certificate(&one, &bob.group);
    let rejoin = Outcome::Rejoin(good.slot.epoch, good.id);
    assert_eq!(bob.chain.follow(&mut bob.group), [rejoin]);
    assert!(alice.chain.has(good.slot.epoch, good.id));
}

#[test]
fn order_07_an_attempt_that_came_to_nothing_after_all_parts_nobody_for_ever() {
    let start = Pretend::new(0, three(1));
    let mut salts = (0..).map(|salt| start.commit(0, &Change::Garbage, salt));
    let good = start.commit(0, &Change::Update, 1);
    let garbage = salts.find(|garbage| garbage.id < good.id).unwrap();
    let again = start.commit(1, &Change::Update, 3);
    let (mut alice, mut bob) = (Member::new(0), Member::new(1));
    for commit in [&good, &garbage, &again] {
        alice.sees(commit);
        bob.sees(commit);
    }
    alice.settles(&good);
    bob.settles(&garbage);
    bob.settles(&again);
    // Of two in one ballot the lower entry counts, and that is garbage.
    let rejoin = Outcome::Rejoin(garbage.slot.epoch, garbage.id);
    assert_eq!(alice.settles(&garbage), [rejoin]);
    assert_eq!(bob.settles(&good), []);
    assert!(bob.chain.has(garbage.slot.epoch, garbage.id));
}

#[test]
fn order_08_garbage_that_nobody_settled_takes_nobodys_place() {
    let mut alice = Member::new(0);
    let garbage = (0..100).map(|salt| alice.group.commit(0, &Change::Garbage, salt));
    let garbage = garbage.min_by_key(|commit| commit.id).unwrap();
    let good = alice.group.commit(0, &Change::Update, 1);
    alice.sees(&garbage);
    alice.sees(&good);
    assert_eq!(alice.loses_patience(), [merged(&good, false)]);
}

#[test]
fn order_08_a_commit_for_another_attempt_or_with_another_next_epoch_is_void() {
    let mut alice = Member::new(0);
    let mut lying = alice.group.commit(0, &Change::Update, 1);
    lying.next = EpochTag([7; 16]);
    alice.sees(&lying);
    assert_eq!(alice.loses_patience(), []);
    assert_eq!(alice.group.merged(), []);
}

#[test]
fn what_is_right_for_others_only_asks_to_be_let_in_again() {
    let mut bob = Member::new(1);
    let commit = bob.group.commit(0, &Change::NotFor(1), 1);
    bob.sees(&commit);
    assert_eq!(
        bob.settles(&commit),
        [Outcome::Rejoin(commit.slot.epoch, commit.id)]
    );
    let mut alice = Member::new(0);
    alice.sees(&commit);
    assert_eq!(alice.settles(&commit), [merged(&commit, true)]);
}

#[test]
fn order_09_copies_and_commits_are_bounded() {
    let mut alice = Member::new(0);
    for salt in 0..20 {
        let commit = alice.group.commit(0, &Change::Update, salt);
        alice.sees(&commit);
        alice.loses_patience();
    }
    assert_eq!(alice.group.merged().len(), PROVISIONAL_MAX);
    assert_eq!(alice.group.copies(), PROVISIONAL_MAX);
    for salt in 0..1_000 {
        let commit = alice.group.commit(0, &Change::Update, salt);
        alice.sees(&commit);
        let mut ahead = commit;
        ahead.slot.epoch = EpochTag([salt.to_le_bytes()[0]; 16]);
        alice.sees(&ahead);
    }
    let kept: usize = alice
        .chain
        .known
        .values()
        .map(|known| known.commits.len())
        .sum();
    assert!(kept <= (AHEAD_MAX + PROVISIONAL_MAX + 1) * COMMITS_MAX);
    assert!(alice.chain.known.len() <= AHEAD_MAX + PROVISIONAL_MAX + 1);
}

#[test]
fn order_09_an_epoch_too_long_ago_to_go_back_to_is_past_without_a_certificate() {
    let mut alice = Member::new(0);
    let (first, _) = rivals();
    alice.sees(&first);
    alice.loses_patience();
    for salt in 0..PROVISIONAL_MAX as u64 {
        let commit = alice.group.commit(0, &Change::Update, salt);
        alice.sees(&commit);
        alice.settles(&commit);
    }
    assert_eq!(alice.group.merged().len(), PROVISIONAL_MAX + 1);
    assert_eq!(
        alice
            .chain
            .past(first.slot.epoch)
            .map(|past| past.certificate().is_none()),
        Some(true)
    );
    assert_eq!(alice.group.copies(), 0, "all the others are settled");
    let lower = (0..200).map(|salt| Pretend::new(0, three(1)).commit(0, &Change::Update, salt));
    let lower = lower.min_by_key(|commit| commit.id).unwrap();
    assert!(lower.id < first.id);
    assert_eq!(alice.sees(&lower), [], "nobody goes back for that");
    let rejoin = Outcome::Rejoin(lower.slot.epoch, lower.id);
    assert_eq!(alice.settles(&lower), [rejoin]);
}

/// What can be seen of three epochs with two rivals each.
#[derive(Debug, Clone)]
enum Seen {
    Commit(Commit),
    Vote(Known<Vote>),
    Settled(Certificate),
}

fn everything() -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut ends = vec![Pretend::new(0, three(1))];
    for _ in 0..3 {
        let mut later = Vec::new();
        for (number, group) in (0_u64..).zip(ends) {
            for salt in [2 * number, 2 * number + 1] {
                let commit = group.commit(0, &Change::Update, salt);
                let mut after = group.clone();
                assert!(after.merge(&commit));
                later.push(after);
                seen.push(Seen::Vote(vote(
                    2,
                    1 + u32::try_from(salt % 2).unwrap(),
                    &commit,
                )));
                if salt % 5 == 3 {
                    seen.push(Seen::Settled(certificate(&commit)));
                }
                seen.push(Seen::Commit(commit));
            }
        }
        ends = later;
    }
    seen
}

impl Member {
    fn hears(&mut self, seen: &Seen) {
        match seen {
            Seen::Commit(commit) => {
                self.chain.add_commit(commit.clone(), self.group.epoch());
            }
            Seen::Vote(vote) => {
                self.chain.add_vote(vote, &self.group);
            }
            Seen::Settled(certificate) => {
                self.chain.add_certificate(certificate, &self.group);
            }
        }
        self.chain.follow(&mut self.group);
        self.loses_patience();
    }
}

proptest! {
    /// Whatever of it comes first, how often and in whatever order: once both have all of it, both are on one branch.
    #[test]
    fn order_07_members_with_the_same_evidence_are_on_one_branch(
        turns in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..60),
    ) {
        let everything = everything();
        let (mut alice, mut bob) = (Member::new(0), Member::new(1));
        for (turn, whose) in &turns {
            let seen = &everything[turn.index(everything.len())];
            if *whose { alice.hears(seen) } else { bob.hears(seen) }
        }
        // What is about an epoch that one is not in yet comes again until nothing changes.
        for member in [&mut alice, &mut bob] {
            for _ in 0..8 {
                everything.iter().for_each(|seen| member.hears(seen));
            }
        }
        prop_assert_eq!(alice.group.merged(), bob.group.merged());
        prop_assert_eq!(alice.group.merged().len(), 3);
    }
}
