//! Slots: turns, votes, certificates.

use super::desk::holder_key;
use super::*;
use crate::mailbox::turns::TURN;
use starling_wire::ordering::choice::{Certificate, SignedCertificate};
use starling_wire::ordering::grounds::{Grounds, SignedGrounded, SignedGrounds};
use starling_wire::ordering::statement::{Promise, Signed, Vote};

const BALLOT: Ballot = Ballot {
    counter: 1,
    salt: [1; 8],
};

fn higher(counter: u32) -> Ballot {
    Ballot {
        counter,
        salt: [2; 8],
    }
}

fn three() -> [Desk; 3] {
    let ours = generation(1);
    [0, 1, 2].map(|number| Desk::with_members(number, &ours, &[ALICE, BOB, CAROL]))
}

fn promise(answers: &[(Connection, Answer)]) -> Signed<Promise> {
    match answers {
        [(_, Answer::Promise(grounded))] => grounded.promise,
        _ => panic!("{answers:?}"),
    }
}

fn vote(answers: &[(Connection, Answer)]) -> Signed<Vote> {
    match answers {
        [(_, Answer::Vote(vote))] => *vote,
        _ => panic!("{answers:?}"),
    }
}

fn grounded(answers: &[(Connection, Answer)]) -> SignedGrounded {
    match answers {
        [(_, Answer::Promise(grounded))] => *grounded.clone(),
        _ => panic!("{answers:?}"),
    }
}

fn prepare(slot: Slot, ballot: Ballot) -> Ask {
    Ask::Prepare {
        slot,
        ballot,
        seen: None,
    }
}

/// A holder that was away while the others were asked again and again.
#[test]
fn order_11_a_number_may_be_above_what_another_holder_of_the_slot_promised() {
    let [mut first, mut away, _] = three();
    let far = |counter| Ballot { counter, ..BALLOT };
    let mut seen = promise(&first.ask(ALICE, prepare(SLOT, far(8))));
    for counter in [16, 24] {
        first.now += std::time::Duration::from_secs(2);
        seen = promise(&first.ask(ALICE, prepare(SLOT, far(counter))));
    }
    assert_eq!(seen.statement.ballot, far(24));
    let mut ask = |seen| {
        let slot = SLOT;
        let ballot = far(25);
        away.ask(ALICE, Ask::Prepare { slot, ballot, seen })
    };
    let refused = [(ALICE, Refusal::NotAllowed)];
    assert_eq!(refusals(&ask(None)), refused);
    let forged = Signed::new(seen.statement, &holder_key(9));
    assert_eq!(refusals(&ask(Some(forged))), refused);
    assert_eq!(promise(&ask(Some(seen))).statement.ballot, far(25));
}

/// Alice's commit for a slot, settled by the first two holders; its certificate.
fn settled(desks: &mut [Desk; 3], slot: Slot, kind: Kind) -> (Entry, SignedCertificate) {
    let ours = generation(1);
    let mut proof = Vec::new();
    for desk in &mut desks[..2] {
        proof.push(promise(&desk.ask(ALICE, prepare(slot, BALLOT))));
    }
    proof.sort_unstable();
    let mut votes = Vec::new();
    let entry = desks[0].entry(&ours, kind, slot, 1);
    for desk in &mut desks[..2] {
        let here = desk.entry(&ours, kind, slot, 1);
        desk.leave(ALICE, &here);
        let accept = Ask::Accept {
            slot,
            ballot: BALLOT,
            entry: entry.id(),
            grounds: SignedGrounds(proof.clone()),
        };
        votes.push(vote(&desk.ask(ALICE, accept)));
    }
    let grounds = SignedGrounds(proof);
    (entry, SignedCertificate { votes, grounds })
}

#[test]
fn box_18_two_of_three_settle_a_slot_and_the_third_believes_their_certificate() {
    let mut desks = three();
    let (entry, certificate) = settled(&mut desks, SLOT, COMMIT);
    let holders = generation(1).plan().holders();
    let verified: Certificate = certificate.clone().verify(&holders).unwrap();
    assert_eq!(verified.entry(), entry.id());
    let told = Answer::Settled(Box::new(certificate.clone()));
    let settle = Ask::Settle(Box::new(certificate));
    let follow = Ask::Follow {
        after: 0,
        credit: 9,
    };
    for desk in &mut desks {
        desk.ask(BOB, follow.clone());
        let answers = desk.ask(ALICE, settle.clone());
        assert_eq!(answers, [(ALICE, told.clone()), (BOB, told.clone())]);
        assert_eq!(desk.ask(CAROL, settle.clone()), [(CAROL, told.clone())]);
        let late = desk.ask(CAROL, prepare(SLOT, higher(2)));
        assert_eq!(late, [(CAROL, told.clone())], "in place of a promise");
        desk.restart();
        desk.members(&generation(1), &[ALICE, BOB, CAROL]);
        let slots = vec![SLOT];
        assert_eq!(desk.ask(BOB, Ask::State { slots }), [(BOB, told.clone())]);
    }
}

#[test]
fn box_18_what_is_no_certificate_settles_nothing() {
    let mut desks = three();
    let (_, certificate) = settled(&mut desks, SLOT, COMMIT);
    let mut alone = certificate.clone();
    alone.votes.pop();
    let mut forged = certificate.clone();
    forged.votes[0] = Signed::new(forged.votes[0].statement, &holder_key(9));
    let mut other = certificate.clone();
    other.votes[0].statement.entry = EntryId([9; 32]);
    let mut groundless = certificate.clone();
    groundless.grounds.0.pop();
    let bad = [(BOB, Refusal::BadCertificate)];
    for wrong in [alone, forged, other, groundless] {
        let answers = desks[2].ask(BOB, Ask::Settle(Box::new(wrong)));
        assert_eq!(refusals(&answers), bad);
    }
    let empty = SignedCertificate {
        votes: vec![],
        grounds: SignedGrounds::default(),
    };
    let answers = desks[2].ask(BOB, Ask::Settle(Box::new(empty)));
    assert_eq!(refusals(&answers), bad);
    let slots = vec![SLOT];
    let state = desks[2].ask(BOB, Ask::State { slots });
    assert_eq!(state, [(BOB, Answer::Untouched(SLOT))]);
}

#[test]
fn box_14_a_message_of_a_settled_slot_is_stale_after_a_minute() {
    let mut desks = three();
    let (ours, (winner, certificate)) = (generation(1), settled(&mut desks, SLOT, COMMIT));
    let desk = &mut desks[0];
    desk.ask(ALICE, Ask::Settle(Box::new(certificate)));
    desk.now = seconds(60);
    desk.say(BOB, &ours, 7);
    desk.now = seconds(61);
    let late = desk.entry(&ours, Kind::Message, SLOT, 8);
    let answers = desk.leave(BOB, &late);
    assert!(matches!(answers[0].1, Answer::Settled(_)));
    assert_eq!(refusals(&answers), [(BOB, Refusal::Stale)]);
    let welcome = desk.entry(&ours, Kind::Welcome, SLOT, 8);
    assert_eq!(refusals(&desk.leave(BOB, &welcome)), [], "always");
    let rival = desk.entry(&ours, COMMIT, SLOT, 9);
    assert_eq!(refusals(&desk.leave(BOB, &rival)), [(BOB, Refusal::Stale)]);
    let again = desk.leave(BOB, &winner);
    assert!(matches!(again[..], [(_, Answer::Receipt(_))]));
    let next = Slot {
        epoch: SECOND,
        attempt: 0,
    };
    let message = desk.entry(&ours, Kind::Message, next, 8);
    assert_eq!(refusals(&desk.leave(BOB, &message)), []);
}

#[test]
fn box_15_a_holder_takes_part_in_slots_that_follow_and_catches_up_by_certificate() {
    let mut desks = three();
    let next = Slot {
        epoch: SECOND,
        attempt: 0,
    };
    let invented = Slot {
        epoch: EpochTag([9; 16]),
        attempt: 0,
    };
    let unknown = [(BOB, Refusal::UnknownSlot)];
    let (_, certificate) = settled(&mut desks, SLOT, COMMIT);
    for desk in &mut desks[..2] {
        desk.ask(ALICE, Ask::Settle(Box::new(certificate.clone())));
        assert_eq!(refusals(&desk.ask(BOB, prepare(invented, BALLOT))), unknown);
        promise(&desk.ask(BOB, prepare(next, BALLOT)));
    }
    // The third was away: it needs the certificate and the commit, in any order.
    let ours = generation(1);
    let last = &mut desks[2];
    assert_eq!(refusals(&last.ask(BOB, prepare(next, BALLOT))), unknown);
    last.ask(BOB, Ask::Settle(Box::new(certificate)));
    assert_eq!(refusals(&last.ask(BOB, prepare(next, BALLOT))), unknown);
    let commit = last.entry(&ours, COMMIT, SLOT, 1);
    assert_eq!(refusals(&last.leave(BOB, &commit)), []);
    last.restart();
    last.members(&ours, &[BOB]);
    promise(&last.ask(BOB, prepare(next, BALLOT)));
}

#[test]
fn box_16_who_comes_second_waits_for_his_turn() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE, BOB, CAROL]);
    promise(&desk.ask(ALICE, prepare(SLOT, BALLOT)));
    assert_eq!(desk.ask(BOB, prepare(SLOT, higher(2))), []);
    assert_eq!(desk.ask(CAROL, prepare(SLOT, higher(3))), []);
    let lower = Ballot {
        counter: 1,
        salt: [0; 8],
    };
    let told = promise(&desk.ask(CAROL, prepare(SLOT, lower)));
    assert_eq!(told.statement.ballot, BALLOT, "which cannot be promised");
    let due = desk.holder.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (TURN, Wake::Turn));
    desk.holder.handle_timeout(TURN);
    let answers = desk.drain();
    let ballots: Vec<(Connection, Ballot)> = answers
        .iter()
        .map(|(who, answer)| match answer {
            Answer::Promise(grounded) => (*who, grounded.promise.statement.ballot),
            other => panic!("{other:?}"),
        })
        .collect();
    let drawn = ballots[0].1;
    assert!(drawn == higher(2) || drawn == higher(3));
    assert_eq!(ballots.len(), 2, "and the other one hears of it");
    assert!(ballots.iter().all(|(_, ballot)| *ballot == drawn));
}

#[test]
fn box_16_who_waits_hears_of_the_certificate() {
    let mut desks = three();
    let (_, certificate) = settled(&mut desks, SLOT, COMMIT);
    let desk = &mut desks[0];
    assert_eq!(desk.ask(BOB, prepare(SLOT, higher(2))), []);
    let answers = desk.ask(ALICE, Ask::Settle(Box::new(certificate)));
    let told: Vec<Connection> = answers.iter().map(|(who, _)| *who).collect();
    assert_eq!(told, [ALICE, BOB]);
    assert_eq!(desk.holder.poll_timeout(), None);
}

#[test]
fn box_17_a_holder_agrees_only_to_a_commit_of_the_slot_that_it_has() {
    let mut desks = three();
    let ours = generation(1);
    let mut proof = Vec::new();
    for desk in &mut desks[..2] {
        proof.push(promise(&desk.ask(ALICE, prepare(SLOT, BALLOT))));
    }
    let desk = &mut desks[0];
    let accept = |entry: &Entry, promises: &[Signed<Promise>]| Ask::Accept {
        slot: SLOT,
        ballot: BALLOT,
        entry: entry.id(),
        grounds: SignedGrounds(promises.to_vec()),
    };
    let commit = desk.entry(&ours, COMMIT, SLOT, 1);
    let absent = [(ALICE, Refusal::NoEntry)];
    assert_eq!(refusals(&desk.ask(ALICE, accept(&commit, &proof))), absent);
    let message = desk.say(ALICE, &ours, 2);
    assert_eq!(refusals(&desk.ask(ALICE, accept(&message, &proof))), absent);
    let elsewhere = Slot { attempt: 1, ..SLOT };
    let elsewhere = desk.entry(&ours, COMMIT, elsewhere, 3);
    desk.leave(ALICE, &elsewhere);
    assert_eq!(
        refusals(&desk.ask(ALICE, accept(&elsewhere, &proof))),
        absent
    );
    desk.leave(ALICE, &commit);
    let not_allowed = [(ALICE, Refusal::NotAllowed)];
    let few = desk.ask(ALICE, accept(&commit, &proof[..1]));
    assert_eq!(refusals(&few), not_allowed);
    let mut forged = proof.clone();
    forged[1] = Signed::new(forged[1].statement, &holder_key(9));
    let forged = desk.ask(ALICE, accept(&commit, &forged));
    assert_eq!(refusals(&forged), not_allowed);
    let agreed = vote(&desk.ask(ALICE, accept(&commit, &proof)));
    assert!(agreed.verify().is_ok());
}

/// Alice asks one holder and is gone; Bob brings her commit to the others, with the grounds that the first one hands out.
#[test]
fn order_12_a_holder_keeps_the_grounds_of_what_it_agreed_to_and_hands_them_out() {
    let (mut desks, ours) = (three(), generation(1));
    let holders = ours.plan().holders();
    let mut proof = Vec::new();
    for desk in &mut desks[..2] {
        proof.push(promise(&desk.ask(ALICE, prepare(SLOT, BALLOT))));
    }
    let commit = desks[0].entry(&ours, COMMIT, SLOT, 1);
    let accept = |ballot, proof: &[Signed<Promise>]| Ask::Accept {
        slot: SLOT,
        ballot,
        entry: commit.id(),
        grounds: SignedGrounds(proof.to_vec()),
    };
    desks[0].leave(ALICE, &commit);
    vote(&desks[0].ask(ALICE, accept(BALLOT, &proof)));
    desks[0].restart();
    desks[0].members(&ours, &[BOB]);
    let told = grounded(&desks[0].ask(BOB, prepare(SLOT, higher(2))));
    let named = Some((BALLOT, commit.id()));
    assert_eq!(told.promise.statement.accepted, named);
    assert_eq!(told.grounds.0, proof);
    let told = told.verify(&holders).unwrap();
    desks[2].now = TURN;
    let empty = grounded(&desks[2].ask(BOB, prepare(SLOT, higher(2))));
    let empty = empty.verify(&holders).unwrap();
    let top = vec![*told.promise(), *empty.promise()];
    let here = desks[2].entry(&ours, COMMIT, SLOT, 1);
    desks[2].leave(BOB, &here);
    let not_allowed = [(BOB, Refusal::NotAllowed)];
    let without = Grounds::first(top.clone()).signed();
    let without = desks[2].ask(BOB, accept(higher(2), &without.0));
    assert_eq!(refusals(&without), not_allowed);
    let grounds = told.grounds().under(top).signed();
    vote(&desks[2].ask(BOB, accept(higher(2), &grounds.0)));
    // A promise of a higher ballot leaves the grounds as they are.
    desks[2].now = TURN * 2;
    let later = grounded(&desks[2].ask(BOB, prepare(SLOT, higher(3))));
    assert_eq!(later.grounds, grounds);
    assert_eq!(later.verify(&holders).unwrap().grounds().links(), 2);
}

#[test]
fn box_08_long_grounds_count_as_many_questions() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    let said = promise(&desk.ask(ALICE, prepare(SLOT, BALLOT)));
    let long = Ask::Accept {
        slot: SLOT,
        ballot: BALLOT,
        entry: EntryId([9; 32]),
        grounds: SignedGrounds(vec![said; 3 * 64]),
    };
    let told = |answers: &[(Connection, Answer)]| refusals(answers)[0].1;
    assert_eq!(told(&desk.ask(ALICE, long.clone())), Refusal::NoEntry);
    assert_eq!(told(&desk.ask(ALICE, long)), Refusal::TooOften);
}

#[test]
fn box_16_a_ballot_far_above_is_refused_at_an_empty_slot() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    let far = desk.ask(ALICE, prepare(SLOT, higher(99)));
    assert_eq!(refusals(&far), [(ALICE, Refusal::NotAllowed)]);
    let slots = vec![SLOT];
    let state = desk.ask(ALICE, Ask::State { slots });
    assert_eq!(state, [(ALICE, Answer::Untouched(SLOT))]);
    assert_eq!(desk.holder.figures().bytes, 0);
}
