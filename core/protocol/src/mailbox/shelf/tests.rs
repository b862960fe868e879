//! What makes room in a full box.

use super::*;
use crate::machine::Time;
use crate::mailbox::register::Register;
use proptest::prelude::*;
use starling_wire::ids::EpochTag;
use starling_wire::ordering::Ballot;

const FIRST: EpochTag = EpochTag([1; 16]);
const SECOND: EpochTag = EpochTag([2; 16]);
const OPEN: Slot = Slot {
    epoch: FIRST,
    attempt: 0,
};
const UNKNOWN: Slot = Slot {
    epoch: EpochTag([7; 16]),
    attempt: 0,
};
const COMMIT: Kind = Kind::Commit { next: SECOND };
const MIB: u64 = 1024 * 1024;

fn id(number: u64) -> EntryId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    EntryId(id)
}

fn item(number: u64, kind: Kind, slot: Slot, cost: u64) -> Item {
    Item {
        id: id(number),
        kind,
        slot,
        cost,
        until_day: 30,
    }
}

fn message(number: u64, cost: u64) -> Item {
    item(number, Kind::Message, OPEN, cost)
}

/// Puts one on the shelf as the holder does; what made room, or `None` if it did not fit.
fn put(shelf: &mut Shelf, slots: &Slots, item: Item) -> Option<Vec<u64>> {
    let gone = shelf.make_room(&item, slots)?;
    shelf.remove(&gone, true);
    shelf.add(item);
    Some(gone)
}

#[test]
fn box_09_the_oldest_messages_make_room_by_number_and_by_bytes() {
    let (mut shelf, slots) = (Shelf::default(), Slots::new(FIRST));
    for number in 1..=BOX_ENTRIES_MAX as u64 {
        assert_eq!(put(&mut shelf, &slots, message(number, 512)), Some(vec![]));
    }
    let one_more = message(1 << 40, 512);
    assert_eq!(put(&mut shelf, &slots, one_more), Some(vec![1]));
    assert_eq!((shelf.len(), shelf.dropped()), (BOX_ENTRIES_MAX, 1));
    let mut shelf = Shelf::default();
    for number in 1..=64 {
        assert_eq!(put(&mut shelf, &slots, message(number, MIB)), Some(vec![]));
    }
    let gone = put(&mut shelf, &slots, message(99, MIB + 1));
    assert_eq!(gone, Some(vec![1, 2]));
    assert_eq!(shelf.bytes(), 63 * MIB + 1);
}

#[test]
fn box_09_what_a_slot_needs_never_makes_room_for_what_is_said() {
    let (mut shelf, mut slots) = (Shelf::default(), Slots::new(FIRST));
    let settled = Slot {
        epoch: SECOND,
        attempt: 0,
    };
    slots.settle(settled, id(1), None, Time::ZERO);
    let ballot = Ballot {
        counter: 1,
        salt: [0; 8],
    };
    slots.put(
        OPEN,
        Register::restored(Some(ballot), Some((ballot, id(2)))),
    );
    put(&mut shelf, &slots, item(1, COMMIT, settled, MIB));
    put(&mut shelf, &slots, item(2, COMMIT, OPEN, MIB));
    put(&mut shelf, &slots, item(3, COMMIT, OPEN, MIB));
    put(&mut shelf, &slots, item(4, Kind::GroupInfo, OPEN, MIB));
    put(&mut shelf, &slots, item(5, COMMIT, settled, MIB));
    put(&mut shelf, &slots, item(6, COMMIT, UNKNOWN, MIB));
    put(&mut shelf, &slots, item(7, Kind::Certificate, OPEN, MIB));
    put(&mut shelf, &slots, item(8, Kind::Welcome, OPEN, MIB));
    for number in 9..=64 {
        assert_eq!(put(&mut shelf, &slots, message(number, MIB)), Some(vec![]));
    }
    // The proposal that lost its slot, then messages and Welcomes.
    let gone = |shelf: &mut Shelf, number| put(shelf, &slots, message(number, MIB));
    assert_eq!(gone(&mut shelf, 65), Some(vec![5]));
    assert_eq!(gone(&mut shelf, 66), Some(vec![8]));
    for number in 67..=200 {
        assert!(gone(&mut shelf, number).is_some());
    }
    let left: Vec<u64> = shelf.items.keys().copied().take(7).collect();
    assert_eq!(left[..6], [1, 2, 3, 4, 6, 7]);
}

#[test]
fn box_09_what_cannot_make_room_is_refused() {
    let (mut shelf, mut slots) = (Shelf::default(), Slots::new(FIRST));
    for number in 1..=64 {
        let slot = Slot {
            epoch: FIRST,
            attempt: number,
        };
        slots.settle(slot, id(number.into()), None, Time::ZERO);
        put(&mut shelf, &slots, item(number.into(), COMMIT, slot, MIB));
    }
    assert_eq!(put(&mut shelf, &slots, message(99, 512)), None);
    assert_eq!(shelf.len(), 64);
}

#[test]
fn box_09_proposals_of_a_slot_make_room_among_themselves() {
    for slot in [OPEN, UNKNOWN] {
        let (mut shelf, mut slots) = (Shelf::default(), Slots::new(FIRST));
        put(&mut shelf, &slots, message(1, 512));
        let most = PROPOSALS_MAX as u64;
        for number in 2..2 + most {
            put(&mut shelf, &slots, item(number, COMMIT, slot, 1_024));
        }
        if slot == OPEN {
            let ballot = Ballot {
                counter: 1,
                salt: [0; 8],
            };
            slots.put(
                OPEN,
                Register::restored(Some(ballot), Some((ballot, id(2)))),
            );
            put(&mut shelf, &slots, item(90, COMMIT, slot, 1_024));
        }
        let first = if slot == OPEN { 3 } else { 2 };
        let gone = put(&mut shelf, &slots, item(99, COMMIT, slot, 1_024));
        assert_eq!(gone, Some(vec![first]), "{slot:?}");
        let large = item(100, COMMIT, slot, PROPOSALS_BYTES_MAX);
        let gone = put(&mut shelf, &slots, large).unwrap();
        assert!(!gone.contains(&1) && gone.len() == PROPOSALS_MAX);
    }
}

#[test]
fn a_page_ends_where_its_bytes_or_its_number_do() {
    let (mut shelf, slots) = (Shelf::default(), Slots::new(FIRST));
    for number in 1..=4 {
        put(&mut shelf, &slots, message(number, PAGE_BYTES_MAX / 2));
    }
    let page = |after, limit| shelf.page(after, limit);
    let told = |page: Page| (page.numbers, page.up_to, page.more);
    assert_eq!(told(page(0, 256)), (vec![1, 2], 2, true));
    assert_eq!(told(page(0, 1)), (vec![1], 1, true));
    assert_eq!(told(page(2, 256)), (vec![3, 4], 4, false));
    assert_eq!(told(page(9, 256)), (vec![], 9, false));
    assert_eq!(told(page(u64::MAX, 256)), (vec![], u64::MAX, false));
    let mut one = Shelf::default();
    put(&mut one, &slots, message(1, 2 * PAGE_BYTES_MAX));
    assert_eq!(
        told(one.page(0, 256)),
        (vec![1], 1, false),
        "one in any case"
    );
}

proptest! {
    /// Whatever comes, the box stays within its quota, numbers only grow, and what was agreed to stays.
    #[test]
    fn box_09_a_box_stays_within_its_quota(
        costs in proptest::collection::vec((0_u8..6, 1_u64..(2 * MIB)), 1..300)
    ) {
        let (mut shelf, mut slots) = (Shelf::default(), Slots::new(FIRST));
        let ballot = Ballot { counter: 1, salt: [0; 8] };
        slots.put(OPEN, Register::restored(Some(ballot), Some((ballot, id(0)))));
        put(&mut shelf, &slots, item(0, COMMIT, OPEN, MIB));
        let mut last = 1;
        for (number, (kind, cost)) in (1..).zip(costs) {
            let slot = if kind == 0 { UNKNOWN } else { OPEN };
            let kinds = [COMMIT, COMMIT, Kind::GroupInfo, Kind::Certificate, Kind::Message, Kind::Welcome];
            let kind = kinds[usize::from(kind)];
            if put(&mut shelf, &slots, item(number, kind, slot, cost)).is_some() {
                last += 1;
            }
            prop_assert!(shelf.bytes() <= BOX_BYTES_MAX && shelf.len() <= BOX_ENTRIES_MAX);
            prop_assert_eq!(shelf.bytes(), shelf.items.values().map(|item| item.cost).sum::<u64>());
            prop_assert_eq!(shelf.last, last);
            prop_assert!(shelf.number(id(0)).is_some());
            prop_assert_eq!(shelf.numbers.len(), shelf.items.len());
        }
    }
}
