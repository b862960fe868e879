//! Every rule of the choice, once as it holds and once as it is broken.

use super::*;
use crate::ids::{EndpointKey, EpochTag, MailboxId};
use crate::ordering::Seat;
use ed25519_dalek::SigningKey;

const SLOT: Slot = Slot {
    epoch: EpochTag([1; 16]),
    attempt: 0,
};
const X: EntryId = EntryId([0x10; 32]);
const Y: EntryId = EntryId([0x20; 32]);

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn seat(number: u8) -> Seat {
    Seat {
        holder: EndpointKey(key(number).verifying_key().to_bytes()),
        mailbox: MailboxId([number; 32]),
    }
}

fn three() -> Holders {
    Holders {
        generation: 1,
        seats: (1..=3).map(seat).collect(),
    }
}

fn ballot(counter: u32) -> Ballot {
    Ballot {
        counter,
        salt: [0; 8],
    }
}

fn promise(holder: u8, counter: u32, accepted: Option<(u32, EntryId)>) -> Known<Promise> {
    let promise = Promise {
        seat: seat(holder),
        slot: SLOT,
        ballot: ballot(counter),
        accepted: accepted.map(|(counter, entry)| (ballot(counter), entry)),
    };
    Signed::new(promise, &key(holder)).verify().unwrap()
}

fn vote(holder: u8, counter: u32, entry: EntryId) -> Known<Vote> {
    let vote = Vote {
        seat: seat(holder),
        slot: SLOT,
        ballot: ballot(counter),
        entry,
    };
    Signed::new(vote, &key(holder)).verify().unwrap()
}

fn choice(counter: u32, promises: &[Known<Promise>]) -> Result<Choice, ProofError> {
    let said: Vec<Promise> = promises.iter().map(|promise| *promise.get()).collect();
    choose(&three(), SLOT, ballot(counter), &said)
}

#[test]
fn order_03_what_was_agreed_to_in_the_highest_ballot_must_be_asked_for() {
    assert_eq!(
        choice(1, &[promise(1, 1, None), promise(2, 1, None)]),
        Ok(Choice::Free)
    );
    let later = [promise(1, 3, Some((1, X))), promise(2, 3, Some((2, Y)))];
    assert_eq!(choice(3, &later), Ok(Choice::Must(ballot(2), Y)));
    let one = [promise(1, 3, Some((1, X))), promise(2, 3, None)];
    assert_eq!(choice(3, &one), Ok(Choice::Must(ballot(1), X)));
}

#[test]
fn order_03_promises_that_do_not_fit_allow_nothing() {
    let alone = [promise(1, 1, None)];
    assert_eq!(choice(1, &alone), Err(ProofError::TooFew));
    let twice = [promise(1, 1, None), promise(1, 1, None)];
    assert_eq!(choice(1, &twice), Err(ProofError::Twice));
    let other_ballot = [promise(1, 2, None), promise(2, 1, None)];
    assert_eq!(choice(1, &other_ballot), Err(ProofError::Foreign));
    let stranger = [promise(1, 1, None), promise(4, 1, None)];
    assert_eq!(choice(1, &stranger), Err(ProofError::Foreign));
    let after = [promise(1, 1, Some((1, X))), promise(2, 1, None)];
    assert_eq!(
        choice(1, &after),
        Err(ProofError::Foreign),
        "agreed to in this ballot"
    );
}

/// A member that asks holders for different entries in one ballot.
#[test]
fn order_03_two_entries_of_one_ballot_wait_for_the_last_holder() {
    let two = [promise(1, 2, Some((1, X))), promise(2, 2, Some((1, Y)))];
    assert_eq!(choice(2, &two), Ok(Choice::Unclear));
    let settled = [two[0], two[1], promise(3, 2, Some((1, Y)))];
    assert_eq!(choice(2, &settled), Ok(Choice::Must(ballot(1), Y)));
    let neither = [two[0], two[1], promise(3, 2, None)];
    assert_eq!(
        choice(2, &neither),
        Ok(Choice::Must(ballot(1), X)),
        "any will do; everybody takes the lower"
    );
}

#[test]
fn order_04_a_certificate_is_a_majority_for_one_entry_that_was_allowed() {
    let proof = vec![promise(1, 1, None), promise(2, 1, None)];
    let new =
        |votes, proof: &[_]| Certificate::new(&three(), votes, Grounds::first(proof.to_vec()));
    let settled = new(vec![vote(3, 1, X), vote(1, 1, X)], &proof).unwrap();
    assert_eq!(
        (settled.slot(), settled.entry(), settled.ballot()),
        (SLOT, X, ballot(1))
    );
    for votes in [
        vec![],
        vec![vote(1, 1, X)],
        vec![vote(1, 1, X), vote(1, 1, X)],
        vec![vote(1, 1, X), vote(2, 1, Y)],
        vec![vote(1, 1, X), vote(2, 2, X)],
        vec![vote(1, 1, X), vote(4, 1, X)],
    ] {
        assert_eq!(new(votes, &proof), Err(CertificateError::Votes));
    }
    let votes = vec![vote(1, 2, X), vote(2, 2, X)];
    let other = vec![promise(1, 2, Some((1, Y))), promise(2, 2, None)];
    assert_eq!(
        new(votes.clone(), &other),
        Err(CertificateError::Grounds(GroundsError::OtherEntry))
    );
    let too_few = GroundsError::Link(ProofError::TooFew);
    let too_few = Err(CertificateError::Grounds(too_few));
    assert_eq!(new(votes, &[]), too_few);
}

#[test]
fn order_04_a_certificate_from_outside_is_bounded_and_its_signatures_are_looked_at() {
    let proof = vec![promise(1, 1, None), promise(2, 1, None)];
    let votes = vec![vote(1, 1, X), vote(2, 1, X)];
    let settled = Certificate::new(&three(), votes, Grounds::first(proof)).unwrap();
    let bytes = crate::frame::encode_body(&settled);
    let read: SignedCertificate = crate::frame::decode_body(&bytes, 2_000).unwrap();
    assert_eq!(read, settled.signed());
    assert_eq!(read.clone().verify(&three()), Ok(settled.clone()));
    let mut forged = read.clone();
    for vote in &mut forged.votes {
        vote.statement.entry = Y;
    }
    assert_eq!(forged.verify(&three()), Err(CertificateError::NotSigned));
    let mut large = read;
    large.votes = vec![large.votes[0]; 4];
    assert_eq!(large.verify(&three()), Err(CertificateError::TooLarge));
    let mut long = settled.signed();
    long.grounds.0 = vec![long.grounds.0[0]; 3 * 64 + 1];
    assert_eq!(long.verify(&three()), Err(CertificateError::TooLarge));
}

#[test]
fn order_05_what_no_honest_holder_says() {
    let said_promise = |counter, accepted| Said::Promise(*promise(1, counter, accepted).get());
    let said_vote = |counter, entry| Said::Vote(*vote(1, counter, entry).get());
    let lies = [
        (said_vote(1, X), said_vote(1, Y)),
        (said_vote(1, X), said_promise(2, None)),
        (said_vote(2, X), said_promise(3, Some((1, Y)))),
        (said_promise(2, Some((1, X))), said_promise(3, None)),
        (said_promise(2, Some((1, X))), said_promise(3, Some((1, Y)))),
    ];
    for (one, other) in lies {
        assert!(
            contradict(&one, &other) && contradict(&other, &one),
            "{one:?} {other:?}"
        );
    }
    let honest = [
        (said_promise(1, None), said_vote(1, X)),
        (said_vote(1, X), said_vote(2, Y)),
        (said_vote(1, X), said_promise(2, Some((1, X)))),
        (said_promise(2, None), said_vote(2, X)),
        (said_promise(1, None), said_promise(3, Some((2, Y)))),
        (said_promise(3, Some((2, Y))), said_vote(1, X)),
    ];
    for (one, other) in honest {
        assert!(
            !contradict(&one, &other) && !contradict(&other, &one),
            "{one:?} {other:?}"
        );
    }
    let elsewhere = Said::Vote(*vote(2, 1, Y).get());
    assert!(!contradict(&said_vote(1, X), &elsewhere), "two holders");
}
