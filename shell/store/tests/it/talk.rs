//! Messages, outbox, calls and transfers.

use std::path::Path;

use proptest::prelude::*;
use starling_chat::{Batch, Outcome};
use starling_store::calls::{self, Call, KEPT, KEPT_MS};
use starling_store::contacts::{self, Relation};
use starling_store::messages::{self, Delivery};
use starling_store::outbox;
use starling_store::transfers::{self, Transfer, TransferState};
use starling_store::{StoreError, Tx};
use starling_wire::chat::ChatMessage;
use starling_wire::ids::{CallId, MessageId, TransferId};

use crate::{ALICE, BOB, NOW, carol, carol_with_friends, message};

#[test]
fn a_conversation_keeps_the_order_of_storage_whatever_the_clocks_say() {
    let (_dir, mut store) = carol_with_friends();
    let from_the_future = ChatMessage {
        sent_at: u64::MAX,
        ..message(1, "my clock is wrong")
    };
    store
        .write(|tx| {
            messages::insert_incoming(tx, ALICE, &from_the_future, NOW)?;
            // Carol's own clock is set back between the two.
            messages::insert_outgoing(tx, ALICE, &message(2, "it is"), NOW - 86_400_000)?;
            messages::insert_incoming(tx, BOB, &message(3, "elsewhere"), NOW)
        })
        .unwrap();
    let page = store
        .read(|tx| messages::page(tx, ALICE, None, 10))
        .unwrap();
    let texts: Vec<_> = page.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["my clock is wrong", "it is"]);
    assert_eq!(
        page[0].sent_at,
        i64::MAX as u64,
        "kept as the latest time there is"
    );
    assert_eq!(page[1].delivery, Delivery::Pending);
}

#[test]
fn pages_go_back_to_the_beginning_without_gap_or_overlap() {
    let (_dir, mut store) = carol_with_friends();
    store
        .write(|tx| {
            (0..25).try_for_each(|n| {
                messages::insert_incoming(tx, ALICE, &message(n, &n.to_string()), NOW).map(drop)
            })
        })
        .unwrap();
    let mut seen = Vec::new();
    let mut before = None;
    for _ in 0..4 {
        let page = store
            .read(|tx| messages::page(tx, ALICE, before, 10))
            .unwrap();
        before = page.first().map(|m| m.id).or(before);
        seen.splice(0..0, page.into_iter().map(|m| m.text));
    }
    let all: Vec<_> = (0..25).map(|n| n.to_string()).collect();
    assert_eq!(seen, all);
    let unknown = store.read(|tx| messages::page(tx, ALICE, Some(MessageId([9; 16])), 10));
    assert_eq!(unknown, Err(StoreError::Missing("message")));
}

#[test]
fn chat_03_a_message_that_comes_twice_is_stored_once() {
    let (_dir, mut store) = carol_with_friends();
    let hello = message(1, "hello");
    let fresh = |tx: &Tx<'_>| messages::insert_incoming(tx, ALICE, &hello, NOW);
    assert_eq!(store.write(fresh), Ok(true));
    assert_eq!(store.write(fresh), Ok(false));
    // The same id from somebody else is another message.
    assert_eq!(
        store.write(|tx| messages::insert_incoming(tx, BOB, &hello, NOW)),
        Ok(true)
    );
    let summary = store.read(|tx| messages::summary(tx, ALICE)).unwrap();
    assert_eq!(summary.unseen, 1);
    assert_eq!(store.write(|tx| messages::mark_seen(tx, ALICE)), Ok(1));
    assert_eq!(
        store
            .read(|tx| messages::summary(tx, ALICE))
            .unwrap()
            .unseen,
        0
    );
}

#[test]
fn a_batch_of_a_conversation_is_one_transaction() {
    let (_dir, mut store) = carol_with_friends();
    let ours = message(1, "ours");
    store
        .write(|tx| messages::insert_outgoing(tx, ALICE, &ours, NOW))
        .unwrap();
    let batch = Batch {
        number: 7,
        incoming: vec![message(2, "a"), message(3, "b"), message(2, "a")],
        delivered: vec![ours.id, message(9, "").id],
    };
    let outcome = store.write(|tx| messages::commit(tx, ALICE, &batch, NOW));
    let expected = Outcome {
        number: 7,
        fresh: vec![message(2, "").id, message(3, "").id],
        delivered: vec![ours.id],
    };
    assert_eq!(outcome, Ok(expected));
    let again = store
        .write(|tx| messages::commit(tx, ALICE, &batch, NOW))
        .unwrap();
    assert!(again.fresh.is_empty() && again.delivered.is_empty());
    let broken = store.write(|tx| {
        messages::commit(tx, BOB, &batch, NOW)?;
        Err::<(), _>(StoreError::Full)
    });
    assert_eq!(broken, Err(StoreError::Full));
    let page = store.read(|tx| messages::page(tx, BOB, None, 10));
    assert_eq!(page, Ok(vec![]), "all or nothing");
}

#[test]
fn the_outbox_is_what_has_no_receipt_in_order() {
    let (_dir, mut store) = carol_with_friends();
    store
        .write(|tx| {
            (0..5).try_for_each(|n| messages::insert_outgoing(tx, ALICE, &message(n, "hi"), NOW))
        })
        .unwrap();
    let ids = |range: std::ops::Range<u64>| range.map(|n| message(n, "").id).collect::<Vec<_>>();
    let (first, last) = store
        .read(|tx| outbox::pending(tx, ALICE, None, 3))
        .unwrap();
    assert_eq!(first.iter().map(|m| m.id).collect::<Vec<_>>(), ids(0..3));
    assert!(!last);
    let receipts = vec![message(1, "").id, MessageId([9; 16])];
    let changed = store
        .write(|tx| messages::mark_delivered(tx, ALICE, &receipts, NOW + 7))
        .unwrap();
    assert_eq!(changed, ids(1..2), "an unknown id changes nothing");
    let (rest, last) = store
        .read(|tx| outbox::pending(tx, ALICE, Some(message(2, "").id), 3))
        .unwrap();
    assert_eq!(rest.iter().map(|m| m.id).collect::<Vec<_>>(), ids(3..5));
    assert!(last);
    assert_eq!(store.read(outbox::contacts), Ok(vec![ALICE]));
    let delivered = store
        .read(|tx| messages::get(tx, ALICE, message(1, "").id))
        .unwrap()
        .unwrap();
    assert_eq!(delivered.delivered_at, Some(NOW + 7));
}

#[test]
fn removing_a_contact_keeps_the_history_and_ends_the_rest() {
    let (_dir, mut store) = carol_with_friends();
    let offer = transfer(TransferState::Offered);
    store
        .write(|tx| {
            messages::insert_incoming(tx, ALICE, &message(1, "bye"), NOW)?;
            messages::insert_outgoing(tx, ALICE, &message(2, "never sent"), NOW)?;
            transfers::insert(tx, &offer)?;
            contacts::remove(tx, ALICE)
        })
        .unwrap();
    store
        .read(|tx| {
            assert_eq!(messages::page(tx, ALICE, None, 10)?.len(), 1);
            assert_eq!(outbox::contacts(tx)?, []);
            assert_eq!(contacts::list(tx)?.len(), 1);
            assert_eq!(contacts::find(tx, "alice")?, []);
            let gone = contacts::get(tx, ALICE)?.unwrap();
            assert_eq!((gone.relation, gone.card), (Relation::Removed, None));
            let state = transfers::get(tx, ALICE, offer.id)?.unwrap().state;
            assert_eq!(state, TransferState::Cancelled);
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_a_removal_cancels_is_named_once() {
    let (_dir, mut store) = carol_with_friends();
    let open = transfer(TransferState::Accepted);
    let long_ago = Transfer {
        id: TransferId([4; 16]),
        reason: Some("cancelled by Alice".into()),
        ..transfer(TransferState::Cancelled)
    };
    store
        .write(|tx| {
            transfers::insert(tx, &open)?;
            transfers::insert(tx, &long_ago)?;
            contacts::remove(tx, ALICE)
        })
        .unwrap();
    let take = |contact| move |tx: &Tx<'_>| transfers::take_cancelled(tx, contact, "removed");
    assert_eq!(store.write(take(Some(BOB))), Ok(vec![]));
    let named = Transfer {
        state: TransferState::Cancelled,
        reason: Some("removed".into()),
        ..open
    };
    assert_eq!(store.write(take(Some(ALICE))), Ok(vec![named]));
    assert_eq!(store.write(take(None)), Ok(vec![]), "once");
}

#[test]
fn file_10_offers_that_ended_unanswered_do_not_pile_up() {
    let (_dir, mut store) = carol_with_friends();
    let numbered = |n: u8| {
        let mut id = [0; 16];
        id[0] = n;
        Transfer {
            id: TransferId(id),
            part: None,
            reason: Some("cancelled by Alice".into()),
            ..transfer(TransferState::Cancelled)
        }
    };
    let kept = [
        transfer(TransferState::Offered),
        Transfer {
            path: Some("/tmp".into()),
            ..numbered(201)
        },
        Transfer {
            outgoing: true,
            path: Some("/tmp/ours".into()),
            ..numbered(202)
        },
        Transfer {
            contact: BOB,
            ..numbered(203)
        },
    ];
    store
        .write(|tx| {
            for transfer in &kept {
                transfers::insert(tx, transfer)?;
            }
            for n in 1..=200 {
                transfers::insert(tx, &numbered(n))?;
                transfers::forget_unanswered(tx, ALICE)?;
            }
            Ok(())
        })
        .unwrap();
    let mut left = store.read(|tx| transfers::list(tx, 1_000)).unwrap();
    left.reverse();
    assert_eq!(left[..4], kept, "answered, open, ours, or somebody else's");
    let newest: Vec<_> = (101..=200).map(numbered).collect();
    assert_eq!(left[4..], newest);
}

#[test]
fn file_11_a_file_gets_its_name_only_while_its_transfer_goes_on() {
    let (_dir, mut store) = carol_with_friends();
    let photo = transfer(TransferState::Accepted);
    let id = photo.id;
    let path = Path::new("/tmp/photo (2).jpg");
    let name = move |tx: &Tx<'_>| transfers::name(tx, ALICE, id, path);
    store.write(|tx| transfers::insert(tx, &photo)).unwrap();
    assert_eq!(store.write(name), Ok(true));
    let stored = store.read(|tx| transfers::get(tx, ALICE, id)).unwrap();
    assert_eq!(stored.unwrap().path.as_deref(), Some(path));
    store.write(|tx| contacts::remove(tx, ALICE)).unwrap();
    assert_eq!(store.write(name), Ok(false));
}

fn transfer(state: TransferState) -> Transfer {
    Transfer {
        id: TransferId([3; 16]),
        contact: ALICE,
        outgoing: false,
        name: "photo.jpg".into(),
        size: 1 << 40,
        root: [4; 32],
        path: None,
        part: Some("/tmp/\u{fc}.part".into()),
        state,
        done: 0,
        ranges: vec![1, 2, 3],
        reason: None,
        offered_at: NOW,
        changed_at: NOW,
    }
}

#[test]
fn a_transfer_goes_on_after_a_restart() {
    let (dir, mut store) = carol_with_friends();
    let mut photo = transfer(TransferState::Offered);
    assert_eq!(store.write(|tx| transfers::insert(tx, &photo)), Ok(true));
    assert_eq!(
        store.write(|tx| transfers::insert(tx, &photo)),
        Ok(false),
        "the first offer with an id stays"
    );
    let (folder, part) = (Path::new("/tmp"), Path::new("/tmp/\u{fc}.part"));
    photo.state = TransferState::Accepted;
    photo.path = Some(folder.into());
    photo.done = 500;
    photo.ranges = vec![9; 100];
    photo.changed_at = NOW + 1;
    let (id, ranges) = (photo.id, photo.ranges.clone());
    store
        .write(|tx| {
            transfers::place(tx, ALICE, id, folder, Some(part))?;
            transfers::step(tx, ALICE, id, TransferState::Accepted, None, NOW + 1)?;
            transfers::note(tx, ALICE, id, 500, &ranges)
        })
        .unwrap();
    drop(store);
    let mut store = starling_store::Store::open(&dir.path().join("profile")).unwrap();
    store
        .read(|tx| {
            assert_eq!(transfers::open(tx, ALICE)?, std::slice::from_ref(&photo));
            assert_eq!(transfers::find(tx, &photo.id.short())?, [photo.clone()]);
            assert_eq!(transfers::find(tx, "am")?, [], "too short to mean one");
            Ok(())
        })
        .unwrap();
    let end =
        |state, reason| move |tx: &Tx<'_>| transfers::step(tx, ALICE, id, state, reason, NOW + 2);
    assert_eq!(store.write(end(TransferState::Done, None)), Ok(true));
    let late = store.write(end(TransferState::Failed, Some("too late")));
    assert_eq!(late, Ok(false), "what is over stays as it is");
    store
        .write(|tx| transfers::note(tx, ALICE, id, 7, &[]))
        .unwrap();
    let ended = store
        .read(|tx| transfers::get(tx, ALICE, id))
        .unwrap()
        .unwrap();
    assert_eq!((ended.state, ended.done), (TransferState::Done, ended.size));
}

/// Bob's.
fn ring(n: u16) -> Call {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    Call {
        id: CallId(id),
        contact: BOB,
        outgoing: false,
        started_at: NOW + u64::from(n),
        rang_at: Some(NOW + u64::from(n)),
        answered_at: None,
        ended_at: None,
        reason: None,
        path: None,
        answered_on: None,
        missed: false,
        seen: true,
        technical: None,
    }
}

#[test]
fn call_27_what_was_missed_is_counted_until_it_was_seen() {
    let (_dir, mut store) = carol_with_friends();
    let missed = Call {
        ended_at: Some(NOW + 60),
        missed: true,
        seen: false,
        technical: Some("{}".into()),
        ..ring(1)
    };
    store.write(|tx| calls::put(tx, &ring(1))).unwrap();
    store.write(|tx| calls::put(tx, &missed)).unwrap();
    // It rang when the program ended.
    store.write(|tx| calls::put(tx, &ring(2))).unwrap();
    assert_eq!(store.write(|tx| calls::close_open(tx, NOW + 90)), Ok(1));
    let beginning = &missed.id.to_string()[..8];
    let found = store.read(|tx| calls::find(tx, beginning)).unwrap();
    assert_eq!(found, [missed]);
    assert_eq!(store.read(calls::missed), Ok(2));
    let listed = store.read(|tx| calls::list(tx, true, 5)).unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(store.write(calls::see), Ok(2));
    assert_eq!(store.read(calls::missed), Ok(0));
}

#[test]
fn call_27_the_log_is_bounded_in_number_and_age() {
    let (_dir, mut store) = carol_with_friends();
    let many = KEPT as u16 + 5;
    let write = store.write(|tx| (0..many).try_for_each(|n| calls::put(tx, &ring(n))));
    write.unwrap();
    assert_eq!(store.write(|tx| calls::prune(tx, NOW)), Ok(5));
    let newest = store.read(|tx| calls::list(tx, false, 1)).unwrap();
    assert_eq!(newest[0].id, ring(many - 1).id);
    let later = NOW + KEPT_MS + u64::from(many) - 1;
    let gone = store.write(|tx| calls::prune(tx, later)).unwrap();
    assert_eq!(gone, KEPT as usize - 1);
}

#[test]
fn a_call_that_ended_stays_as_it_ended() {
    let (_dir, mut store) = carol_with_friends();
    let mut call = Call {
        id: CallId([1; 16]),
        contact: BOB,
        outgoing: true,
        started_at: NOW,
        answered_at: Some(NOW + 5),
        ended_at: None,
        reason: None,
        path: Some("direct".into()),
        seen: true,
        ..ring(1)
    };
    store.write(|tx| calls::put(tx, &call)).unwrap();
    assert_eq!(store.write(|tx| calls::close_open(tx, NOW + 9)), Ok(1));
    call.ended_at = Some(NOW + 99);
    store.write(|tx| calls::put(tx, &call)).unwrap();
    let listed = store.read(|tx| calls::list(tx, false, 5)).unwrap();
    assert_eq!(listed[0].ended_at, Some(NOW + 9));
    assert_eq!(listed[0].answered_at, Some(NOW + 5));
}

#[test]
fn nothing_is_stored_for_somebody_unknown() {
    let (_dir, mut store) = carol();
    let stranger = store.write(|tx| messages::insert_incoming(tx, ALICE, &message(1, "hi"), NOW));
    assert_eq!(stranger, Err(StoreError::Missing("contact")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_text_reads_back(text in ".{0,300}", sent_at: u64) {
        let (_dir, mut store) = carol_with_friends();
        let sent = ChatMessage { sent_at, ..message(1, &text) };
        store.write(|tx| messages::insert_incoming(tx, ALICE, &sent, NOW)).unwrap();
        let stored = store.read(|tx| messages::get(tx, ALICE, sent.id)).unwrap().unwrap();
        prop_assert_eq!(stored.text, text);
    }
}
