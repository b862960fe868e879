//! Fuzz bodies for a conversation's log: what a holder is asked, what it answers, and what lies inside a body once it is opened.

use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::frames::{Answer, Ask, LOG_FRAME_MAX};
use super::grant::Token;
use super::keys::{Ends, Generation, PublicBox, Side};
use super::seal::{Inside, SealError};
use super::{Entry, Kind, padding};
use crate::frame;
use crate::ids::{EndpointKey, EpochTag, MailboxId};
use crate::ordering::grounds::LINKS_MAX;
use crate::ordering::{HOLDERS_MAX, Holders, Seat, Slot};

/// What a holder is asked: the frame, then the body. Entries are signed with the key whose seed is 32 ones.
pub fn asked(data: &[u8]) {
    let Ok((ask, body)) = frame::decode_start::<Ask>(&data[..data.len().min(LOG_FRAME_MAX)]) else {
        return;
    };
    if ask.check().is_err() {
        return;
    }
    let ends = Ends {
        holder: EndpointKey([7; 32]),
        asker: EndpointKey([8; 32]),
    };
    match ask {
        Ask::Open {
            token: Token::Granted(grant),
            plan,
        } => {
            let _ = grant.verify(20_800, |_| true);
            let holders = plan.holders();
            assert!(holders.check().is_ok());
        }
        Ask::Enter { proof, .. } => {
            let keys = PublicBox {
                holder: ends.holder,
                deposit: [1; 32],
                read: [2; 32],
            };
            let _ = Side::Read.is_proved(&keys, MailboxId([3; 32]), ends, proof);
        }
        Ask::Deposit(head) => {
            let key = SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
            if let Ok(entry) = head.verify(Arc::from(body), head.mailbox, &key) {
                assert!(entry.body().len() <= head.kind.body_max());
            }
        }
        Ask::Accept {
            slot,
            ballot,
            entry,
            grounds,
        } => {
            let holders = named(grounds.0.iter().map(|promise| promise.statement.seat));
            if let Ok(grounds) = grounds.verify(&holders, slot, (ballot, entry)) {
                assert!((1..=LINKS_MAX).contains(&grounds.links()));
            }
        }
        Ask::Settle(certificate) => {
            let holders = named(certificate.votes.iter().map(|vote| vote.statement.seat));
            let _ = certificate.verify(&holders);
        }
        _ => {}
    }
}

/// The first of those that are named, as if they were a slot's holders.
fn named(seats: impl Iterator<Item = Seat>) -> Holders {
    let mut holders = Holders::default();
    for seat in seats {
        if holders.seats.len() < HOLDERS_MAX && !holders.has(seat) {
            holders.seats.push(seat);
        }
    }
    holders
}

/// What a holder answers.
pub fn answered(data: &[u8]) {
    let Ok(answer) = frame::decode_body::<Answer>(data, LOG_FRAME_MAX) else {
        return;
    };
    let bytes = answer.body_bytes();
    assert!(bytes.is_err() || bytes.is_ok_and(|bytes| bytes <= super::COMMIT_BODY_MAX));
    match answer {
        Answer::Receipt(receipt) => drop(receipt.verify()),
        Answer::Promise(promise) => {
            let holders = named([promise.promise.statement.seat].into_iter());
            drop(promise.verify(&holders));
        }
        Answer::Vote(vote) => drop(vote.verify()),
        _ => {}
    }
}

/// What was opened, in an entry of any kind.
pub fn opened(data: &[u8]) {
    let Ok(plain) = padding::unpad(data) else {
        return;
    };
    assert!(plain.len() < data.len());
    for kind in [
        Kind::Message,
        Kind::Welcome,
        Kind::GroupInfo,
        Kind::Certificate,
    ] {
        match Inside::read(kind, plain) {
            Ok(inside) => assert_eq!(Inside::read(kind, &inside.write()), Ok(inside)),
            Err(SealError::NotSealed | SealError::NotPadded) => unreachable!("it is open"),
            Err(SealError::Newer | SealError::Malformed) => {}
        }
    }
}

/// A body that somebody who has the deposit key signed: sealed with the key of the generation whose secret is 32 nines, or not.
pub fn sealed(data: &[u8]) {
    let generation = Generation {
        number: 1,
        secret: [9; 32].into(),
        first: EpochTag([3; 16]),
        holders: Vec::new(),
    };
    let place = (MailboxId([2; 32]), &SigningKey::from_bytes(&[1; 32]));
    let slot = Slot::first(generation.first);
    if let Ok(entry) = Entry::new((Kind::Message, slot), data.into(), place)
        && let Ok(plain) = generation.open(&entry)
    {
        assert!(plain.len() < data.len());
        let _ = Inside::read(Kind::Message, &plain);
    }
}
