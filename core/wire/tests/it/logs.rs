//! A conversation's log: what a holder is asked and answers, mutated.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use starling_wire::frame::encode_body;
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, MailboxId};
use starling_wire::log::frames::{About, Answer, Ask, Refusal};
use starling_wire::log::grant::{SignedGrant, Token};
use starling_wire::log::keys::{Ends, Generation, Side};
use starling_wire::log::seal::{Inside, NONCE, OVERHEAD};
use starling_wire::log::{Entry, Kind, fuzz, padding};
use starling_wire::ordering::choice::SignedCertificate;
use starling_wire::ordering::grounds::{SignedGrounded, SignedGrounds};
use starling_wire::ordering::statement::{Promise, Receipt, Signed, Vote};
use starling_wire::ordering::{Ballot, Seat, Slot};

use crate::{corpus, mutator};

const MAILBOX: MailboxId = MailboxId([2; 32]);
const SLOT: Slot = Slot {
    epoch: EpochTag([3; 16]),
    attempt: 1,
};
const BALLOT: Ballot = Ballot {
    counter: 1,
    salt: [4; 8],
};
const ENTRY: EntryId = EntryId([5; 32]);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn seat() -> Seat {
    Seat {
        holder: EndpointKey(key(6).verifying_key().to_bytes()),
        mailbox: MAILBOX,
    }
}

fn generation() -> Generation {
    Generation {
        number: 1,
        secret: [9; 32].into(),
        first: SLOT.epoch,
        holders: vec![seat().holder, EndpointKey([7; 32])],
    }
}

fn entry() -> Entry {
    let next = EpochTag([8; 16]);
    let body: Arc<[u8]> = vec![1; padding::SHORTEST].into();
    Entry::new((Kind::Commit { next }, SLOT), body, (MAILBOX, &key(1))).expect("it is small")
}

fn promise() -> Signed<Promise> {
    let statement = Promise {
        seat: seat(),
        slot: SLOT,
        ballot: BALLOT,
        accepted: None,
    };
    Signed::new(statement, &key(6))
}

/// A promise of a higher ballot, with the grounds of what it names.
fn grounded() -> Box<SignedGrounded> {
    let statement = Promise {
        ballot: Ballot {
            counter: 2,
            ..BALLOT
        },
        accepted: Some((BALLOT, ENTRY)),
        ..promise().statement
    };
    Box::new(SignedGrounded {
        promise: Signed::new(statement, &key(6)),
        grounds: SignedGrounds(vec![promise()]),
    })
}

fn vote() -> Signed<Vote> {
    let statement = Vote {
        seat: seat(),
        slot: SLOT,
        ballot: BALLOT,
        entry: ENTRY,
    };
    Signed::new(statement, &key(6))
}

fn certificate() -> Box<SignedCertificate> {
    Box::new(SignedCertificate {
        votes: vec![vote()],
        grounds: SignedGrounds(vec![promise()]),
    })
}

fn enter() -> Ask {
    let ends = Ends {
        holder: seat().holder,
        asker: EndpointKey([8; 32]),
    };
    Ask::Enter {
        mailbox: MAILBOX,
        side: Side::Read,
        proof: Side::Read.prove(&key(2), MAILBOX, ends),
    }
}

#[test]
fn what_a_holder_is_asked() {
    let open = Ask::Open {
        token: Token::Granted(SignedGrant::new([1; 16], 20_810, &key(3))),
        plan: Box::new(generation().plan()),
    };
    let deposit = encode_body(&Ask::Deposit(*entry().head()));
    let accept = Ask::Accept {
        slot: SLOT,
        ballot: BALLOT,
        entry: ENTRY,
        grounds: SignedGrounds(vec![promise()]),
    };
    let follow = Ask::Follow {
        after: 7,
        credit: 100,
    };
    let prepare = Ask::Prepare {
        slot: SLOT,
        ballot: BALLOT,
        seen: Some(promise()),
    };
    let made = [
        ("open", encode_body(&open)),
        ("enter", encode_body(&enter())),
        ("deposit", [deposit, entry().body().to_vec()].concat()),
        (
            "fetch",
            encode_body(&Ask::Fetch {
                after: 1 << 40,
                limit: 256,
            }),
        ),
        ("follow", encode_body(&follow)),
        (
            "get",
            encode_body(&Ask::Get {
                entries: vec![ENTRY; 3],
            }),
        ),
        ("prepare", encode_body(&prepare)),
        ("accept", encode_body(&accept)),
        ("settle", encode_body(&Ask::Settle(certificate()))),
        (
            "state",
            encode_body(&Ask::State {
                slots: vec![SLOT; 2],
            }),
        ),
        ("close", encode_body(&Ask::Close)),
    ];
    mutator::run(31, &corpus::committed("logs-asked", &made), fuzz::asked);
}

#[test]
fn what_a_holder_answers() {
    let receipt = Receipt {
        seat: seat(),
        entry: ENTRY,
        number: 300,
        until_day: 20_830,
    };
    let page = Answer::Page {
        up_to: 300,
        more: true,
        dropped: 0,
    };
    let item = Answer::Item {
        number: 300,
        head: *entry().head(),
    };
    let refused = Answer::Refused(About::Entry(ENTRY), Refusal::Stale);
    let made = [
        ("opened", encode_body(&Answer::Opened(MAILBOX))),
        (
            "receipt",
            encode_body(&Answer::Receipt(Signed::new(receipt, &key(6)))),
        ),
        ("item", encode_body(&item)),
        ("page", encode_body(&page)),
        ("promise", encode_body(&Answer::Promise(grounded()))),
        ("vote", encode_body(&Answer::Vote(vote()))),
        ("settled", encode_body(&Answer::Settled(certificate()))),
        ("untouched", encode_body(&Answer::Untouched(SLOT))),
        ("refused", encode_body(&refused)),
    ];
    mutator::run(
        32,
        &corpus::committed("logs-answered", &made),
        fuzz::answered,
    );
}

#[test]
fn what_was_opened() {
    let pad = |bytes| padding::pad(bytes, OVERHEAD).expect("it is short");
    let welcome = Inside::Welcome {
        welcome: vec![3; 100],
        tree: Some(vec![4; 300]),
    };
    let info = Inside::GroupInfo {
        info: vec![3; 100],
        tree: None,
    };
    let made = [
        ("nothing", pad(Vec::new())),
        ("message", pad(Inside::Mls(vec![3; 100]).write())),
        ("longest", pad(Inside::Mls(vec![3; 468]).write())),
        ("next", pad(Inside::Mls(vec![3; 469]).write())),
        ("welcome", pad(welcome.write())),
        ("group-info", pad(info.write())),
        (
            "certificate",
            pad(Inside::Certificate(certificate()).write()),
        ),
        ("newer", pad(vec![100; 10])),
    ];
    mutator::run(33, &corpus::committed("logs-opened", &made), fuzz::opened);
}

#[test]
fn what_was_sealed() {
    let seal = |plain| {
        let slot = Slot::first(SLOT.epoch);
        let sealed = generation().seal(Kind::Message, slot, plain, [7; NONCE]);
        sealed.expect("it is short")
    };
    let made = [
        ("message", seal(Inside::Mls(vec![3; 100]).write())),
        ("nothing", seal(Vec::new())),
        ("no-seal", vec![1; padding::SHORTEST]),
    ];
    mutator::run(34, &corpus::committed("logs-sealed", &made), fuzz::sealed);
}
