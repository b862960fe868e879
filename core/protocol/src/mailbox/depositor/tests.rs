//! Alice leaves something at three holders.

use super::*;
use ed25519_dalek::SigningKey;
use starling_wire::ids::{EpochTag, MailboxId};
use starling_wire::log::keys::Generation;
use starling_wire::ordering::statement::Signed;

const SLOT: Slot = Slot {
    epoch: EpochTag([1; 16]),
    attempt: 0,
};

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[100 + number; 32])
}

fn holder(number: u8) -> EndpointKey {
    EndpointKey(key(number).verifying_key().to_bytes())
}

fn seat(number: u8) -> Seat {
    Seat {
        holder: holder(number),
        mailbox: MailboxId([number; 32]),
    }
}

/// Holders in these blocks.
fn alice(blocks: &[u8]) -> Depositor<u8> {
    let generation = Generation {
        number: 1,
        secret: [9; 32].into(),
        first: SLOT.epoch,
        holders: (0..blocks.len() as u8).map(holder).collect(),
    };
    let target = |(number, block): (u8, &u8)| Target {
        seat: seat(number),
        keys: generation.keys(holder(number)),
        block: *block,
    };
    Depositor::new((0..).zip(blocks).map(target).collect(), 5)
}

fn body(byte: u8) -> Arc<[u8]> {
    vec![byte; 512].into()
}

fn say(alice: &mut Depositor<u8>, byte: u8, now: Time) -> EntryId {
    let message = (Kind::Message, SLOT);
    alice.handle_deposit(message, body(byte), now).unwrap()
}

fn asked(alice: &mut Depositor<u8>) -> Vec<EndpointKey> {
    std::iter::from_fn(|| alice.poll_transmit())
        .map(|transmit| transmit.holder)
        .collect()
}

fn events(alice: &mut Depositor<u8>) -> Vec<Event> {
    while alice.poll_persist().is_some() {}
    std::iter::from_fn(|| alice.poll_event()).collect()
}

fn receipt(number: u8, entry: EntryId) -> Receipt {
    Receipt {
        seat: seat(number),
        entry,
        number: 1,
        until_day: 20_830,
    }
}

fn receipted(number: u8, entry: EntryId) -> Answer {
    Answer::Receipt(Signed::new(receipt(number, entry), &key(number)))
}

fn refused(entry: EntryId, why: Refusal) -> Answer {
    Answer::Refused(About::Entry(entry), why)
}

#[test]
fn box_21_held_by_counts_signed_receipts_of_different_blocks() {
    let mut alice = alice(&[1, 1, 2]);
    for number in 0..3 {
        alice.handle_connected(holder(number), Time::ZERO);
    }
    let entry = say(&mut alice, 1, Time::ZERO);
    let transmits: Vec<_> = std::iter::from_fn(|| alice.poll_transmit()).collect();
    for (number, transmit) in (0..).zip(&transmits) {
        let Ask::Deposit(head) = transmit.ask else {
            panic!("{transmit:?}");
        };
        assert_eq!(head.mailbox, seat(number).mailbox);
        assert_eq!(head.id(&transmit.body), entry, "the same everywhere");
    }
    let forged = Answer::Receipt(Signed::new(receipt(2, entry), &key(0)));
    let elsewhere = Signed::new(
        Receipt {
            seat: Seat {
                mailbox: MailboxId([9; 32]),
                ..seat(2)
            },
            ..receipt(2, entry)
        },
        &key(2),
    );
    let other = receipted(2, EntryId([9; 32]));
    for wrong in [
        forged,
        Answer::Receipt(elsewhere),
        other,
        receipted(1, entry),
    ] {
        alice.handle_answer(holder(2), &wrong, Time::ZERO);
        assert_eq!(events(&mut alice), []);
    }
    for (number, by) in [(0, 1), (1, 1), (2, 2)] {
        let answer = receipted(number, entry);
        alice.handle_answer(holder(number), &answer, Time::ZERO);
        let persist = alice.poll_persist();
        assert!(
            matches!(persist, Some(Persist::Receipt(known)) if known.get().seat == seat(number))
        );
        assert_eq!(events(&mut alice), [Event::Held { entry, by }]);
    }
    assert_eq!(alice.pending(), 0);
}

#[test]
fn what_was_sent_is_sent_again_after_silence_and_by_the_next_connection() {
    let mut alice = alice(&[1, 2]);
    let entry = say(&mut alice, 1, Time::ZERO);
    assert_eq!(asked(&mut alice), [], "nobody is there");
    assert_eq!(
        alice.standing(entry),
        [(holder(0), Standing::Waits), (holder(1), Standing::Waits)]
    );
    alice.handle_connected(holder(0), Time::ZERO);
    assert_eq!(asked(&mut alice), [holder(0)]);
    let due = alice.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (ANSWER_WITHIN, Wake::NoAnswer));
    alice.handle_timeout(due.at);
    assert_eq!(asked(&mut alice), [], "after a pause");
    let silent = Standing::Paused(Reason::NoAnswer);
    assert_eq!(alice.standing(entry)[0], (holder(0), silent));
    let due = alice.poll_timeout().unwrap();
    assert_eq!(due.reason, Wake::Again);
    alice.handle_timeout(due.at);
    assert_eq!(asked(&mut alice), [holder(0)]);
    alice.handle_lost(holder(0));
    alice.handle_connected(holder(0), due.at);
    assert_eq!(asked(&mut alice), [holder(0)]);
}

#[test]
fn a_holder_without_room_is_asked_again_ever_later() {
    let mut alice = alice(&[1]);
    alice.handle_connected(holder(0), Time::ZERO);
    let entry = say(&mut alice, 1, Time::ZERO);
    let mut pauses = Vec::new();
    let mut now = Time::ZERO;
    for _ in 0..12 {
        assert_eq!(asked(&mut alice), [holder(0)]);
        alice.handle_answer(holder(0), &refused(entry, Refusal::HolderFull), now);
        let full = Standing::Paused(Reason::Said(Refusal::HolderFull));
        assert_eq!(alice.standing(entry), [(holder(0), full)]);
        let due = alice.poll_timeout().unwrap();
        pauses.push(due.at - now);
        now = due.at;
        alice.handle_timeout(now);
    }
    assert!(pauses[0] <= PAUSE.0 && pauses[3] > pauses[0]);
    assert!(pauses[11] <= PAUSE.1 && pauses[11] >= PAUSE.1 / 2);
    asked(&mut alice);
    alice.handle_answer(holder(0), &receipted(0, entry), now);
    assert_eq!(events(&mut alice), [Event::Held { entry, by: 1 }]);
}

#[test]
fn what_is_stale_comes_back_and_what_nobody_takes_fails_with_the_reason() {
    let mut alice = alice(&[1, 2]);
    alice.handle_connected(holder(0), Time::ZERO);
    alice.handle_connected(holder(1), Time::ZERO);
    let stale = say(&mut alice, 1, Time::ZERO);
    asked(&mut alice);
    alice.handle_answer(holder(0), &receipted(0, stale), Time::ZERO);
    events(&mut alice);
    alice.handle_answer(holder(1), &refused(stale, Refusal::Stale), Time::ZERO);
    assert_eq!(events(&mut alice), [Event::Stale(stale)]);
    let closed = say(&mut alice, 2, Time::ZERO);
    asked(&mut alice);
    alice.handle_answer(holder(0), &refused(closed, Refusal::Closed), Time::ZERO);
    assert_eq!(events(&mut alice), []);
    alice.handle_answer(holder(1), &refused(closed, Refusal::Leaving), Time::ZERO);
    let failed = Event::Failed(closed, Refusal::Leaving);
    assert_eq!(events(&mut alice), [failed]);
    let one = say(&mut alice, 3, Time::ZERO);
    asked(&mut alice);
    alice.handle_answer(holder(0), &refused(one, Refusal::Closed), Time::ZERO);
    alice.handle_answer(holder(1), &receipted(1, one), Time::ZERO);
    assert_eq!(events(&mut alice), [Event::Held { entry: one, by: 1 }]);
    assert_eq!(alice.pending(), 0);
}

#[test]
fn a_box_that_is_not_open_is_asked_for_once() {
    let mut alice = alice(&[1]);
    alice.handle_connected(holder(0), Time::ZERO);
    let one = say(&mut alice, 1, Time::ZERO);
    asked(&mut alice);
    let two = say(&mut alice, 2, Time::ZERO);
    asked(&mut alice);
    let no_box = |entry| refused(entry, Refusal::NoBox);
    alice.handle_answer(holder(0), &no_box(one), Time::ZERO);
    assert_eq!(events(&mut alice), [Event::NeedsBox(holder(0))]);
    alice.handle_answer(holder(0), &no_box(two), Time::ZERO);
    assert_eq!(events(&mut alice), []);
    alice.handle_opened(holder(0), Time::ZERO);
    assert_eq!(asked(&mut alice), [holder(0), holder(0)]);
}

#[test]
fn little_is_on_its_way_at_once_and_what_waits_is_bounded() {
    let mut alice = alice(&[1]);
    alice.handle_connected(holder(0), Time::ZERO);
    let mut ids = Vec::new();
    for number in 0..PENDING_MAX as u32 {
        let mut body = vec![0; 512];
        body[..4].copy_from_slice(&number.to_be_bytes());
        let message = (Kind::Message, SLOT);
        ids.push(
            alice
                .handle_deposit(message, body.into(), Time::ZERO)
                .unwrap(),
        );
        let sent = asked(&mut alice).len();
        assert_eq!(sent, usize::from((number as usize) < IN_FLIGHT_MAX));
    }
    let more = alice.handle_deposit((Kind::Message, SLOT), body(1), Time::ZERO);
    assert_eq!(more, Err(DepositError::Backlog));
    alice.handle_answer(holder(0), &receipted(0, ids[0]), Time::ZERO);
    assert_eq!(events(&mut alice).len(), 1);
    assert_eq!(asked(&mut alice).len(), 1);
    let nobody = super::Depositor::<u8>::new(vec![], 1).put((Kind::Message, SLOT), body(1), &[]);
    assert_eq!(nobody, Err(DepositError::NoHolders));
}

#[test]
fn after_a_restart_only_what_is_missing_is_left_again() {
    let mut before = alice(&[1, 2]);
    let entry = say(&mut before, 1, Time::ZERO);
    let kept = Signed::new(receipt(0, entry), &key(0)).verify().unwrap();
    let mut alice = alice(&[1, 2]);
    let again = alice.restore((Kind::Message, SLOT), body(1), &[kept]);
    assert_eq!(again, Ok(entry));
    alice.handle_connected(holder(0), Time::ZERO);
    assert_eq!(asked(&mut alice), []);
    alice.handle_connected(holder(1), Time::ZERO);
    assert_eq!(asked(&mut alice), [holder(1)]);
    alice.handle_answer(holder(1), &receipted(1, entry), Time::ZERO);
    assert_eq!(events(&mut alice), [Event::Held { entry, by: 2 }]);
}
