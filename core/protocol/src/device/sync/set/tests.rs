//! Sets of two devices, a revoked one, and clocks that are wrong.

use ed25519_dalek::SigningKey;
use starling_wire::ids::AccountId;

use super::*;

const NOON: u64 = 1_800_000_000_000;

const ALICE: AccountId = AccountId([1; 32]);

fn author(n: u8) -> Author {
    Author::new(ALICE, SigningKey::from_bytes(&[n; 32]))
}

fn device(n: u8) -> DeviceId {
    author(n).device()
}

fn empty() -> Set {
    Set::new(author(1), Vec::new())
}

/// Device 1's, in an account of 1 and 2.
fn set() -> Set {
    let mut set = empty();
    set.set_devices(BTreeSet::from([device(1), device(2)]));
    set
}

fn key(field: &str) -> Key {
    Key {
        about: None,
        field: field.into(),
    }
}

fn by(n: u8, field: &str, value: u8, time: u64) -> Entry {
    author(n).sign(key(field), Some(vec![value]), time)
}

fn may(set: &Set, field: &str, value: Option<Vec<u8>>) -> Result<(), SyncRefused> {
    set.may_change(&[(key(field), value)])
}

fn values(set: &Set) -> Vec<Option<Vec<u8>>> {
    let entries = set.entries.values();
    entries.map(|kept| kept.entry.value.clone()).collect()
}

#[test]
fn sync_01_nothing_too_large_gets_in() {
    let mut set = set();
    let mut large = by(2, "a", 1, NOON);
    large.value = Some(vec![0; starling_wire::sync::VALUE_MAX + 1]);
    assert_eq!(set.offer(&large, NOON), Err(Refusal::TooLarge));
    let refused = may(&set, "a", large.value);
    assert_eq!(refused, Err(SyncRefused::TooLarge));
}

#[test]
fn sync_02_the_later_change_counts_in_whatever_order_they_come() {
    let (early, late) = (by(2, "a", 1, NOON), by(2, "a", 2, NOON + 1));
    let mut set_one = set();
    assert_eq!(set_one.offer(&early, NOON), Ok(true));
    assert_eq!(set_one.offer(&late, NOON), Ok(true));
    let mut set_two = set();
    assert_eq!(set_two.offer(&late, NOON), Ok(true));
    assert_eq!(set_two.offer(&early, NOON), Ok(false));
    assert_eq!(set_two.offer(&late, NOON), Ok(false));
    assert_eq!(set_one.digests(), set_two.digests());
}

#[test]
fn sync_02_a_change_is_later_than_what_was_seen_whatever_the_clock_says() {
    let mut set = set();
    set.offer(&by(2, "a", 1, NOON), NOON).unwrap();
    let made = set.change(key("b"), Some(vec![2]), 0).unwrap();
    assert_eq!(made.stamp.time, NOON + 1);
    let made = set.change(key("a"), Some(vec![3]), 0).unwrap();
    assert_eq!(made.stamp.time, NOON + 2);
    assert_eq!(
        set.change(key("a"), Some(vec![3]), NOON + 9),
        None,
        "as it was"
    );
    assert_eq!(set.change(key("c"), None, NOON + 9), None, "never was");
}

#[test]
fn sync_03_a_stamp_more_than_a_day_ahead_is_refused() {
    let mut set = set();
    let ahead = by(2, "a", 1, NOON + AHEAD_MAX_MS + 1);
    assert_eq!(set.offer(&ahead, NOON), Err(Refusal::Ahead));
    assert_eq!(set.offer(&ahead, NOON + 1), Ok(true));
    let last = by(2, "b", 1, u64::MAX);
    assert_eq!(set.offer(&last, NOON), Err(Refusal::Ahead));
}

#[test]
fn sync_04_a_device_that_is_none_of_ours_changes_nothing() {
    let mut set = set();
    assert_eq!(set.offer(&by(3, "a", 1, NOON), NOON), Err(Refusal::Foreign));
    assert!(set.entries.is_empty());
}

#[test]
fn sync_13_a_stamp_that_its_device_did_not_sign_is_refused() {
    let mut set = set();
    let mut passed_off = by(3, "a", 1, NOON);
    passed_off.stamp.device = device(2);
    assert_eq!(set.offer(&passed_off, NOON), Err(Refusal::Forged));
    let mut later = by(2, "a", 1, NOON);
    later.stamp.time += 1;
    assert_eq!(set.offer(&later, NOON), Err(Refusal::Forged));
    assert!(set.entries.is_empty());
    assert_eq!(set.offer(&by(2, "a", 1, NOON), NOON), Ok(true));
}

#[test]
fn sync_05_what_a_revoked_device_left_is_not_told_and_gives_way() {
    let mut set = set();
    set.offer(&by(2, "a", 1, NOON), NOON).unwrap();
    set.offer(&by(2, "b", 2, NOON), NOON).unwrap();
    let empty = empty().digests();
    set.set_devices(BTreeSet::from([device(1), device(3)]));
    assert_eq!(set.digests(), empty);
    let nothing = Have {
        first: [0; 16],
        last: [255; 16],
        listed: Vec::new(),
        more: false,
    };
    assert!(set.lacking(&nothing).is_empty());
    assert_eq!(values(&set).len(), 2, "and is here all the same");
    // An older change of a device that counts.
    assert_eq!(set.offer(&by(3, "a", 3, NOON - 5), NOON), Ok(true));
    assert_eq!(set.drop_left(), [key("b")]);
    assert_eq!(values(&set), [Some(vec![3])]);
}

#[test]
fn sync_05_what_was_left_is_taken_over_with_its_time() {
    let mut set = set();
    set.offer(&by(2, "a", 1, NOON), NOON).unwrap();
    set.set_devices(BTreeSet::from([device(1)]));
    assert_eq!(set.take_over(), [by(1, "a", 1, NOON)]);
    assert!(set.take_over().is_empty() && set.drop_left().is_empty());
    // Saying again what it said makes it ours, too.
    let mut set = super::tests::set();
    set.offer(&by(2, "a", 1, NOON), NOON).unwrap();
    set.set_devices(BTreeSet::from([device(1)]));
    assert!(set.change(key("a"), Some(vec![1]), NOON).is_some());
    assert!(set.drop_left().is_empty());
}

#[test]
fn sync_08_own_stamps_of_a_clock_that_was_ahead_are_made_anew_in_their_order() {
    let mut set = set();
    let week = 7 * AHEAD_MAX_MS;
    set.change(key("before"), Some(vec![0]), NOON);
    let first = set.change(key("a"), Some(vec![1]), NOON + week).unwrap();
    let second = set.change(key("b"), Some(vec![2]), NOON + week).unwrap();
    assert!(set.mend(NOON + week).is_empty(), "right by this clock");
    let mended = set.mend(NOON + 10);
    let keys: Vec<_> = mended.iter().map(|entry| &entry.key).collect();
    assert_eq!(keys, [&first.key, &second.key]);
    let times: Vec<_> = mended.iter().map(|entry| entry.stamp.time).collect();
    assert_eq!(times, [NOON + 10, NOON + 11]);
    assert!(set.mend(NOON + 10).is_empty());
    assert_eq!(
        set.change(key("c"), Some(vec![3]), NOON)
            .unwrap()
            .stamp
            .time,
        NOON + 12
    );
}

#[test]
fn sync_09_a_full_set_takes_nothing_new_and_lets_go() {
    let mut set = set();
    for n in 0..ENTRIES_MAX {
        set.put(by(2, &n.to_string(), 1, NOON));
    }
    assert_eq!(set.offer(&by(2, "new", 1, NOON), NOON), Err(Refusal::Full));
    let full = may(&set, "new", Some(vec![1]));
    assert_eq!(full, Err(SyncRefused::Full));
    assert_eq!(set.offer(&by(2, "7", 2, NOON + 1), NOON), Ok(true));
    assert_eq!(may(&set, "7", None), Ok(()));
    let bytes: usize = set.entries.values().map(|kept| kept.size).sum();
    assert_eq!(set.bytes, bytes);

    let mut set = super::tests::set();
    let mut large = by(2, "0", 1, NOON);
    large.value = Some(vec![1; starling_wire::sync::VALUE_MAX]);
    let fit = BYTES_MAX / large.size();
    for n in 0..fit {
        large.key = key(&n.to_string());
        set.put(large.clone());
    }
    large.key = key("new");
    assert_eq!(set.offer(&large, NOON), Err(Refusal::Full));
}

/// All that a set has to say.
fn all(set: &Set) -> Vec<Have> {
    ended(set.listing(([0; 16], [u8::MAX; 16])))
}

#[test]
fn sync_12_a_listing_in_parts_covers_everything_once() {
    let mut full = set();
    let count = 3 * LISTED_MAX + 7;
    for n in 0..count {
        full.put(by(2, &n.to_string(), 1, NOON));
    }
    let parts = all(&full);
    assert_eq!(parts.len(), 4);
    assert_eq!(parts[0].first, [0; 16]);
    assert_eq!(parts[3].last, [255; 16]);
    assert!(
        parts
            .windows(2)
            .all(|two| after(two[0].last) == two[1].first)
    );
    let more: Vec<_> = parts.iter().map(|part| part.more).collect();
    assert_eq!(more, [true, true, true, false]);
    // Who has nothing is given nothing twice; who has all of it, nothing.
    let empty = set();
    assert!(empty.lacking(&parts[1]).is_empty());
    let given: usize = all(&empty)
        .iter()
        .map(|part| full.lacking(part).len())
        .sum();
    assert_eq!(given, count);
    assert!(parts.iter().all(|part| full.lacking(part).is_empty()));
    // One that lacks one is given that one.
    let mut other = set();
    let mut missing = None;
    for kept in full.entries.values() {
        if missing.is_none() {
            missing = Some(kept.entry.clone());
        } else {
            other.put(kept.entry.clone());
        }
    }
    let differing = other.differing(&full.digests());
    assert_eq!(differing.len(), 1);
    assert_eq!(full.lacking(&differing[0]), Vec::from_iter(missing));
}

#[test]
fn a_part_with_its_ends_exchanged_is_empty() {
    let mut set = set();
    set.put(by(2, "a", 1, NOON));
    let wrong = Have {
        first: [255; 16],
        last: [0; 16],
        listed: Vec::new(),
        more: false,
    };
    assert!(set.lacking(&wrong).is_empty());
}
