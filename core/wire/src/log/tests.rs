//! Entries: what holders and readers look at before they believe one.

use proptest::prelude::*;

use super::*;
use crate::frame::{decode_body, encode_body};
use crate::log::frames::{Answer, Ask, LOG_FRAME_MAX, PAGE_ENTRIES_MAX, Refusal};
use crate::ordering::choice::{Certificate, SignedCertificate};
use crate::ordering::grounds::{Grounds, PROMISES_MAX, SignedGrounded, SignedGrounds};
use crate::ordering::statement::{Promise, Signed, Vote};
use crate::ordering::{Ballot, HOLDERS_MAX, Holders, Seat};

const HERE: MailboxId = MailboxId([1; 32]);
const SLOT: Slot = Slot {
    epoch: EpochTag([2; 16]),
    attempt: 0,
};
const COMMIT: Kind = Kind::Commit {
    next: EpochTag([3; 16]),
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn body(bytes: usize) -> Arc<[u8]> {
    vec![7; bytes].into()
}

fn entry(kind: Kind, bytes: usize) -> Result<Entry, EntryError> {
    Entry::new((kind, SLOT), body(bytes), (HERE, &key(1)))
}

#[test]
fn box_02_a_body_has_one_of_few_lengths_up_to_its_kinds_longest() {
    assert!(entry(Kind::Message, 512).is_ok());
    assert!(entry(Kind::Message, BODY_MAX).is_ok());
    for short in [0, 511, 513, 1_000] {
        let refused = entry(Kind::Message, short);
        assert_eq!(refused, Err(EntryError::NotPadded), "{short}");
    }
    let longer = 67_584;
    for kind in [Kind::Message, Kind::Certificate, Kind::Moved] {
        assert_eq!(entry(kind, longer), Err(EntryError::TooLarge));
    }
    for kind in [COMMIT, Kind::GroupInfo, Kind::Welcome] {
        assert!(entry(kind, longer).is_ok() && entry(kind, COMMIT_BODY_MAX).is_ok());
        assert_eq!(entry(kind, 2 << 20), Err(EntryError::TooLarge));
    }
    let late = Slot {
        attempt: ATTEMPTS_MAX + 1,
        ..SLOT
    };
    let late = Entry::new((COMMIT, late), body(512), (HERE, &key(1)));
    assert_eq!(late, Err(EntryError::TooLarge));
}

#[test]
fn box_02_a_newer_entry_is_told_from_a_damaged_one() {
    let mut head = *entry(Kind::Message, 512).unwrap().head();
    head.version = VERSION + 1;
    assert_eq!(head.check(), Err(EntryError::Newer));
}

#[test]
fn box_03_only_who_has_the_boxs_key_signs_for_it() {
    let entry = entry(COMMIT, 1_024).unwrap();
    let verify = |head: Head| head.verify(body(1_024), HERE, &public(1));
    assert_eq!(verify(*entry.head()), Ok(entry.clone()));
    let other_key = entry.head().verify(body(1_024), HERE, &public(2));
    assert_eq!(other_key, Err(EntryError::NotSigned));
    let elsewhere = entry
        .head()
        .verify(body(1_024), MailboxId([9; 32]), &public(1));
    assert_eq!(elsewhere, Err(EntryError::OtherBox));
    let shorter = entry.head().verify(body(512), HERE, &public(1));
    assert_eq!(shorter, Err(EntryError::Length));
    let other_body = vec![8; 1_024].into();
    let other_body = entry.head().verify(other_body, HERE, &public(1));
    assert_eq!(other_body, Err(EntryError::NotSigned));
    let changes: [fn(&mut Head); 3] = [
        |head| head.kind = Kind::Message,
        |head| head.slot.attempt = 1,
        |head| head.kind = Kind::Commit { next: SLOT.epoch },
    ];
    for change in changes {
        let mut head = *entry.head();
        change(&mut head);
        assert_eq!(verify(head), Err(EntryError::NotSigned));
    }
}

#[test]
fn box_03_an_entry_has_one_id_at_all_holders() {
    let here = entry(Kind::Message, 512).unwrap();
    let there = here.signed_for(MailboxId([4; 32]), &key(2));
    assert_eq!(here.id(), there.id());
    let verified = there
        .head()
        .verify(body(512), MailboxId([4; 32]), &public(2));
    assert_eq!(verified, Ok(there));
}

#[test]
fn box_06_the_largest_frames_fit_their_bound() {
    let holder = key(5);
    let seat = Seat {
        holder: crate::ids::EndpointKey(holder.verifying_key().to_bytes()),
        mailbox: HERE,
    };
    let ballot = Ballot {
        counter: u32::MAX,
        salt: [9; 8],
    };
    let promise = Promise {
        seat,
        slot: SLOT,
        ballot,
        accepted: Some((ballot, EntryId([6; 32]))),
    };
    let vote = Vote {
        seat,
        slot: SLOT,
        ballot,
        entry: EntryId([6; 32]),
    };
    let certificate = SignedCertificate {
        votes: vec![Signed::new(vote, &holder); HOLDERS_MAX],
        grounds: SignedGrounds(vec![Signed::new(promise, &holder); PROMISES_MAX]),
    };
    let fits = |ask: Ask| encode_body(&ask).len() <= LOG_FRAME_MAX && ask.check().is_ok();
    assert!(fits(Ask::Settle(Box::new(certificate.clone()))));
    assert!(fits(Ask::State {
        slots: vec![SLOT; 64]
    }));
    assert!(fits(Ask::Get {
        entries: vec![EntryId([6; 32]); 64]
    }));
    assert!(fits(Ask::Accept {
        slot: SLOT,
        ballot,
        entry: vote.entry,
        grounds: certificate.grounds.clone(),
    }));
    let told = Answer::Promise(Box::new(SignedGrounded {
        promise: certificate.grounds.0[0],
        grounds: certificate.grounds.clone(),
    }));
    assert!(encode_body(&told).len() <= LOG_FRAME_MAX);
    let told = Answer::Settled(Box::new(certificate));
    assert!(encode_body(&told).len() <= LOG_FRAME_MAX);
}

#[test]
fn box_06_what_is_beyond_its_bounds_is_refused() {
    let late = Slot {
        attempt: ATTEMPTS_MAX + 1,
        ..SLOT
    };
    let ballot = Ballot {
        counter: 1,
        salt: [0; 8],
    };
    let asked = [
        Ask::Fetch { after: 0, limit: 0 },
        Ask::Fetch {
            after: 0,
            limit: PAGE_ENTRIES_MAX + 1,
        },
        Ask::Follow {
            after: 0,
            credit: 0,
        },
        Ask::Follow {
            after: 0,
            credit: 1_001,
        },
        Ask::Get { entries: vec![] },
        Ask::Get {
            entries: vec![EntryId([0; 32]); 65],
        },
        Ask::State { slots: vec![] },
        Ask::State {
            slots: vec![SLOT; 65],
        },
        Ask::State { slots: vec![late] },
        Ask::Prepare {
            slot: late,
            ballot,
            seen: None,
        },
    ];
    for ask in asked {
        assert_eq!(ask.check(), Err(Refusal::Malformed), "{ask:?}");
    }
    let mut head = *entry(Kind::Message, 512).unwrap().head();
    head.body_bytes = u32::MAX;
    assert_eq!(Ask::Deposit(head).check(), Err(Refusal::BadEntry));
    assert_eq!(
        Answer::Item { number: 1, head }.body_bytes(),
        Err(EntryError::TooLarge)
    );
}

/// Nobody is a holder of a group without holders, so there is nothing to be settled.
#[test]
fn a_certificate_of_nobody_settles_nothing() {
    assert!(Certificate::new(&Holders::default(), vec![], Grounds::default()).is_err());
}

proptest! {
    #[test]
    fn entries_round_trip(
        kind in prop_oneof![
            Just(Kind::Message), Just(COMMIT), Just(Kind::Certificate), Just(Kind::GroupInfo), Just(Kind::Moved),
            any::<[u8; 16]>().prop_map(|next| Kind::ExternalCommit { next: EpochTag(next) }),
        ],
        class in 0_u32..8,
        attempt in 0..=ATTEMPTS_MAX,
        byte: u8,
    ) {
        let slot = Slot { attempt, ..SLOT };
        let body: Arc<[u8]> = vec![byte; 512 << class].into();
        let entry = Entry::new((kind, slot), body.clone(), (HERE, &key(1))).unwrap();
        let bytes = encode_body(&Ask::Deposit(*entry.head()));
        let Ask::Deposit(head) = decode_body(&bytes, LOG_FRAME_MAX).unwrap() else {
            return Err(TestCaseError::fail("a deposit"));
        };
        prop_assert_eq!(head.verify(body, HERE, &public(1)), Ok(entry));
    }
}
