//! What a mailbox holder keeps of conversations' logs, also when its process is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use ed25519_dalek::SigningKey;
use starling_store::logs::{self, KeptSlot};
use starling_store::{Store, StoreError, StoreHandle};
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, MailboxId};
use starling_wire::log::grant::Grant;
use starling_wire::log::keys::{Generation, Plan};
use starling_wire::log::{Entry, Kind};
use starling_wire::ordering::choice::SignedCertificate;
use starling_wire::ordering::grounds::SignedGrounds;
use starling_wire::ordering::statement::{Promise, Signed, Vote};
use starling_wire::ordering::{Ballot, Seat, Slot};

use crate::carol;

const TODAY: u32 = 20_800;
const HOLDER: EndpointKey = EndpointKey([1; 32]);
const SLOT: Slot = Slot {
    epoch: EpochTag([2; 16]),
    attempt: 0,
};
const BALLOT: Ballot = Ballot {
    counter: 1,
    salt: [3; 8],
};

fn generation(secret: u8) -> Generation {
    Generation {
        number: 1,
        secret: [secret; 32].into(),
        first: SLOT.epoch,
        holders: vec![HOLDER],
    }
}

fn plan(secret: u8) -> (Plan, MailboxId) {
    let plan = generation(secret).plan();
    let mailbox = plan.mailbox(HOLDER);
    (plan, mailbox)
}

fn grant(serial: u8) -> Grant {
    Grant {
        issuer: EndpointKey([7; 32]),
        serial: [serial; 16],
        until_day: TODAY + 3,
    }
}

fn entry(secret: u8, number: u64) -> Entry {
    let mut body = vec![0; 512];
    body[..8].copy_from_slice(&number.to_be_bytes());
    let key = generation(secret).keys(HOLDER).deposit;
    let place = (plan(secret).1, &key);
    Entry::new((Kind::Message, SLOT), body.into(), place).unwrap()
}

fn open(store: &mut Store, secret: u8) -> MailboxId {
    let (plan, mailbox) = plan(secret);
    store
        .write(|tx| logs::open(tx, mailbox, &plan, &grant(secret), TODAY))
        .unwrap();
    mailbox
}

#[test]
fn a_box_and_its_entries_are_found_again() {
    let (dir, mut store) = carol();
    let (ours, theirs) = (open(&mut store, 1), open(&mut store, 2));
    store
        .write(|tx| {
            for number in 1..=3 {
                logs::keep(tx, &entry(1, number), number, TODAY + 30)?;
            }
            logs::keep(tx, &entry(2, 9), 1, TODAY + 30)?;
            logs::drop_entries(tx, ours, &[2, 3], 2)?;
            logs::note_used(tx, ours, TODAY + 1)?;
            logs::close(tx, ours, TODAY + 2)
        })
        .unwrap();
    drop(store);
    let mut store = Store::open(&dir.path().join("profile")).unwrap();
    let read = |store: &Store| store.read(logs::boxes).unwrap();
    let boxes = read(&store);
    let kept = boxes.iter().find(|kept| kept.mailbox == ours).unwrap();
    assert_eq!((boxes.len(), &kept.plan), (2, &plan(1).0));
    assert_eq!((kept.last, kept.dropped), (3, 2), "numbers go on");
    assert_eq!(
        (kept.used_day, kept.closing_day),
        (TODAY + 1, Some(TODAY + 2))
    );
    let entries = store.read(|tx| logs::entries(tx, ours)).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].number, entries[0].id), (1, entry(1, 1).id()));
    let (head, body) = store.read(|tx| logs::entry(tx, ours, 1)).unwrap().unwrap();
    let key = generation(1)
        .keys(HOLDER)
        .deposit
        .verifying_key()
        .to_bytes();
    assert_eq!(head.verify(body.into(), ours, &key), Ok(entry(1, 1)));
    assert_eq!(store.read(|tx| logs::entry(tx, ours, 2)), Ok(None));
    let grants = store.read(logs::grants).unwrap();
    assert_eq!(grants, [(grant(1), ours), (grant(2), theirs)]);
    store
        .write(|tx| {
            logs::end(tx, ours, Some(TODAY + 400))?;
            logs::forget(tx, TODAY + 4)
        })
        .unwrap();
    assert_eq!(read(&store).len(), 1);
    assert_eq!(store.read(|tx| logs::entry(tx, ours, 1)), Ok(None));
    assert!(
        store
            .read(|tx| logs::entry(tx, theirs, 1))
            .unwrap()
            .is_some()
    );
    assert_eq!(store.read(logs::grants).unwrap(), []);
    assert_eq!(store.read(logs::over).unwrap(), [(ours, TODAY + 400)]);
    store.write(|tx| logs::end_all(tx, TODAY + 401)).unwrap();
    assert_eq!(read(&store), []);
    let over = store.read(logs::over).unwrap();
    assert_eq!(over, [(ours, TODAY + 400)], "decided nothing, forgotten");
}

#[test]
fn box_07_a_box_that_decided_anything_is_remembered_when_the_role_ends() {
    let (_dir, mut store) = carol();
    let (ours, theirs) = (open(&mut store, 1), open(&mut store, 2));
    let promised = (Some(BALLOT), None);
    store
        .write(|tx| {
            logs::keep_register(tx, (ours, SLOT), promised, None)?;
            logs::end_all(tx, TODAY + 400)
        })
        .unwrap();
    assert_eq!(store.read(logs::boxes), Ok(Vec::new()));
    let over = store.read(logs::over).unwrap();
    assert_eq!(over, [(ours, TODAY + 400)], "and not {theirs:?}");
}

#[test]
fn an_entry_of_no_box_is_an_error_and_nothing_is_kept() {
    let (_dir, mut store) = carol();
    let kept = store.write(|tx| logs::keep(tx, &entry(1, 1), 1, TODAY));
    assert_eq!(kept, Err(StoreError::Missing("box")));
}

const fn seat(mailbox: MailboxId) -> Seat {
    Seat {
        holder: HOLDER,
        mailbox,
    }
}

fn why(mailbox: MailboxId) -> SignedGrounds {
    let promise = Promise {
        seat: seat(mailbox),
        slot: SLOT,
        ballot: BALLOT,
        accepted: None,
    };
    SignedGrounds(vec![Signed::new(
        promise,
        &SigningKey::from_bytes(&[4; 32]),
    )])
}

fn vote(mailbox: MailboxId, entry: EntryId) -> Signed<Vote> {
    let vote = Vote {
        seat: seat(mailbox),
        slot: SLOT,
        ballot: BALLOT,
        entry,
    };
    Signed::new(vote, &SigningKey::from_bytes(&[4; 32]))
}

#[test]
fn a_register_stays_until_its_slot_is_settled() {
    let (_dir, mut store) = carol();
    let mailbox = open(&mut store, 1);
    let place = (mailbox, SLOT);
    let slot = |store: &Store| {
        let slots = store.read(|tx| logs::slots(tx, mailbox)).unwrap();
        assert_eq!((slots.len(), slots[0].slot), (1, SLOT));
        (slots[0].kept, slots[0].bytes)
    };
    let grounds = |store: &Store| store.read(|tx| logs::grounds(tx, mailbox, SLOT)).unwrap();
    let id = EntryId([5; 32]);
    let why = why(mailbox);
    let promised = (Some(BALLOT), None);
    let agreed = (Some(BALLOT), Some((BALLOT, id)));
    let later = Ballot {
        counter: 9,
        ..BALLOT
    };
    let promised_more = (Some(later), agreed.1);
    for (register, new) in [
        (promised, None),
        (agreed, Some(&why)),
        (promised_more, None),
    ] {
        store
            .write(|tx| logs::keep_register(tx, place, register, new))
            .unwrap();
        assert_eq!(slot(&store).0, KeptSlot::Open(register));
    }
    assert_eq!(grounds(&store), why, "a promise leaves them");
    assert!(slot(&store).1 > 100, "their bytes");
    assert_eq!(
        store.read(|tx| logs::certificate(tx, mailbox, SLOT)),
        Ok(None)
    );
    let certificate = SignedCertificate {
        votes: vec![vote(mailbox, id)],
        grounds: why,
    };
    store
        .write(|tx| logs::settle(tx, place, id, &certificate, None))
        .unwrap();
    assert_eq!(slot(&store).0, KeptSlot::Settled(id, None));
    assert_eq!(grounds(&store), SignedGrounds::default(), "gone");
    assert!(slot(&store).1 > 300, "the certificate's bytes");
    let next = EpochTag([6; 16]);
    store.write(|tx| logs::note_next(tx, place, next)).unwrap();
    assert_eq!(slot(&store).0, KeptSlot::Settled(id, Some(next)));
    let kept = store.read(|tx| logs::certificate(tx, mailbox, SLOT));
    assert_eq!(kept, Ok(Some(certificate)));
}

const CHILD: &str = "STARLING_TEST_KILLED_HOLDER";

/// Not a test of its own: the process that [`what_was_receipted_is_there_after_a_kill`] starts and kills. It gives a receipt for a number
/// only after the store said that it is durable.
#[test]
fn holder_to_be_killed() {
    let Some(profile) = std::env::var_os(CHILD) else {
        return;
    };
    let mut store = Store::open(Path::new(&profile)).unwrap();
    open(&mut store, 1);
    let store = StoreHandle::start(store).unwrap();
    let (done, answers) = mpsc::channel();
    for number in 1..=100_000_u64 {
        let (done, entry) = (done.clone(), entry(1, number));
        store.run(
            move |tx| logs::keep(tx, &entry, number, TODAY + 30),
            move |result| done.send(result.map(|()| number)).unwrap(),
        );
        while let Ok(durable) = answers.try_recv() {
            println!("receipt {}", durable.unwrap());
        }
    }
}

#[test]
fn what_was_receipted_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["logs::holder_to_be_killed", "--exact", "--nocapture"])
        .env(CHILD, &profile)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: &str| {
        let receipt = line.rsplit_once("receipt ");
        receipt.and_then(|(_, number)| number.parse::<u64>().ok())
    };
    let mut receipted = None;
    for line in lines.by_ref().map_while(Result::ok) {
        receipted = receipted.max(number(&line));
        if receipted >= Some(500) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        receipted = receipted.max(number(&line));
    }
    let receipted = receipted.expect("the child gave receipts");
    assert!((500..100_000).contains(&receipted), "{receipted}");
    let store = Store::open(&profile).unwrap();
    let mailbox = plan(1).1;
    let kept = store.read(|tx| logs::entries(tx, mailbox)).unwrap();
    let numbers: Vec<u64> = kept.iter().map(|entry| entry.number).collect();
    let expected: Vec<u64> = (1..=kept.len() as u64).collect();
    assert_eq!(numbers, expected, "none is missing in between");
    assert!(kept.len() as u64 >= receipted);
    assert!(kept.iter().all(|one| one.id == entry(1, one.number).id()));
    let boxes = store.read(logs::boxes).unwrap();
    assert_eq!(boxes[0].last, kept.len() as u64, "both or neither");
}
