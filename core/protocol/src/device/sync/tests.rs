//! Alice's devices: changes that cross, links that break, a stolen phone, a clock that is wrong.

mod chance;
mod world;

use starling_wire::account;
use starling_wire::sync::{ENTRIES_MAX, FIELD_MAX, VALUE_MAX};

use self::world::*;
use super::*;

#[test]
fn sync_12_a_change_reaches_every_device_in_whatever_chain_they_are_linked() {
    let mut world = World::new(4);
    for (a, b) in [(0, 1), (1, 2), (2, 3)] {
        world.link(a, b);
    }
    world.settle();
    world.change(0, "a", Some(1));
    world.change(3, "b", Some(2));
    world.settle();
    for n in 0..4 {
        assert_eq!(world.values(n), [("a", Some(1)), ("b", Some(2))]);
    }
    // And what was changed apart, when they meet.
    world.unlink(1, 2);
    world.change(0, "a", Some(3));
    world.change(3, "c", Some(4));
    world.settle();
    assert_eq!(
        world.values(2),
        [("a", Some(1)), ("b", Some(2)), ("c", Some(4))]
    );
    world.link(1, 2);
    world.settle();
    assert_eq!(
        world.values(0),
        [("a", Some(3)), ("b", Some(2)), ("c", Some(4))]
    );
    world.assert_even(0..4);
}

#[test]
fn sync_12_nothing_is_told_where_nothing_is_lacking() {
    let mut world = World::new(2);
    world.change(0, "a", Some(1));
    world.link(0, 1);
    world.settle();
    world.unlink(0, 1);
    world.link(0, 1);
    // A card and digests from each, and no more.
    assert_eq!(world.settle(), 4);
}

#[test]
fn sync_12_what_the_disk_did_not_take_was_never_changed() {
    let mut world = World::new(2);
    world.link(0, 1);
    world.change(0, "a", Some(1));
    world.settle();
    world.clear_events();
    world.change_in_vain(0, "a", 2);
    world.settle();
    assert!(!world.is_linked(0, 1), "both begin anew");
    let reach = SyncEvent::Reach(device(1));
    assert_eq!(world.devices[0].events.last(), Some(&reach));
    world.link(0, 1);
    world.settle();
    world.change(0, "b", Some(3));
    world.settle();
    assert_eq!(world.values(1), [("a", Some(1)), ("b", Some(3))]);
    world.assert_even(0..2);
}

#[test]
fn sync_12_whoever_is_away_is_asked_for() {
    let mut world = World::new(3);
    world.link(0, 1);
    world.settle();
    world.clear_events();
    world.change(0, "a", Some(1));
    world.settle();
    let reach = [SyncEvent::Reach(device(2))];
    assert_eq!(world.devices[0].events, reach);
    assert_eq!(
        world.devices[1].events, reach,
        "who was told may have a way to him"
    );
    // A link that broke before all was said is asked for again.
    world.clear_events();
    world.link(0, 2);
    world.unlink(0, 2);
    assert_eq!(world.devices[0].events, reach);
}

#[test]
fn sync_11_what_was_deleted_does_not_come_back() {
    let mut world = World::new(3);
    world.change(0, "a", Some(1));
    world.link(0, 1);
    world.link(0, 2);
    world.settle();
    world.unlink(0, 2);
    world.change(1, "a", None);
    world.settle();
    world.unlink(0, 1);
    // The third one has not heard of it.
    assert_eq!(world.values(2), [("a", Some(1))]);
    world.link(1, 2);
    world.link(0, 2);
    world.settle();
    for n in 0..3 {
        assert_eq!(world.values(n), [("a", None)]);
    }
}

#[test]
fn changes_go_together_or_not_at_all() {
    let mut world = World::new(1);
    let clock = world.clock(0);
    let refused = |world: &mut World, field: &str, size: usize| {
        let changes = vec![
            (key("good"), Some(vec![1])),
            (key(field), Some(vec![0; size])),
        ];
        let sync = world.devices[0].sync();
        let answer = sync.handle_command(SyncCommand::Change(changes), clock);
        world.drain(0);
        answer
    };
    let too_large = Err(SyncRefused::TooLarge);
    assert_eq!(refused(&mut world, "a", VALUE_MAX + 1), too_large);
    assert_eq!(
        refused(&mut world, &"f".repeat(FIELD_MAX + 1), 1),
        too_large
    );
    assert!(world.values(0).is_empty());
    assert_eq!(refused(&mut world, "a", VALUE_MAX), Ok(()));
    assert_eq!(world.values(0).len(), 2);
}

#[test]
fn sync_09_a_batch_that_does_not_fit_as_a_whole_changes_nothing() {
    let mut world = World::new(1);
    let clock = world.clock(0);
    let fields = |count: usize| (0..count).map(|n| n.to_string());
    let all = |count| {
        let changes = fields(count).map(|field| (key(&field), Some(vec![1])));
        SyncCommand::Change(changes.collect())
    };
    let sync = world.devices[0].sync();
    let full = sync.handle_command(all(ENTRIES_MAX + 1), clock);
    assert_eq!(full, Err(SyncRefused::Full));
    world.drain(0);
    assert!(world.values(0).is_empty());
    // The same place twice is one entry, and what never was needs none to be deleted.
    let mut changes: Vec<Change> = fields(ENTRIES_MAX - 1)
        .map(|field| (key(&field), Some(vec![1])))
        .collect();
    changes.extend([
        (key("0"), Some(vec![2])),
        (key("never"), None),
        (key("last"), Some(vec![3])),
    ]);
    let sync = world.devices[0].sync();
    let fits = sync.handle_command(SyncCommand::Change(changes), clock);
    assert_eq!(fits, Ok(()));
    world.drain(0);
    assert_eq!(world.values(0).len(), ENTRIES_MAX);
}

#[test]
fn sync_13_a_thief_cannot_pass_his_changes_off_as_another_devices() {
    let mut world = World::new(3);
    world.change(0, "a", Some(1));
    for (a, b) in [(0, 1), (0, 2)] {
        world.link(a, b);
    }
    world.settle();
    // The laptop (1) has not heard that the phone (2) was removed, and the thief says: the desk (0) has changed this.
    world.unlink(0, 1);
    world.revoke(0, 2);
    world.settle();
    world.return_from_the_dead(2);
    world.link(1, 2);
    world.settle();
    let later = world.clock(1) + 1_000;
    let lies = ["a", "b"].map(|field| forged(2, 0, field, 66, later));
    world.say(2, 1, SyncFrame::Entries(lies.to_vec()));
    world.settle();
    assert_eq!(world.values(1), [("a", Some(1))]);
    let refused = SyncEvent::Refused(device(2), Refusal::Forged);
    assert!(world.devices[1].events.contains(&refused));
    world.link(0, 1);
    world.settle();
    world.assert_even(0..2);
    assert_eq!(world.values(0), [("a", Some(1))]);
}

#[test]
fn sync_05_what_a_removed_device_had_changed_stays_and_goes_on() {
    let mut world = World::new(4);
    world.change(3, "a", Some(1));
    world.change(3, "b", Some(2));
    for (a, b) in [(0, 3), (0, 1), (1, 2)] {
        world.link(a, b);
    }
    world.settle();
    world.revoke(0, 3);
    world.settle();
    for n in 0..3 {
        assert_eq!(world.values(n), [("a", Some(1)), ("b", Some(2))]);
        assert_eq!(world.devices[n].removed, [], "nothing vanished meanwhile");
        assert!(world.stamped_by(n, 3).is_empty());
    }
    assert!(world.devices[3].events.contains(&SyncEvent::Revoked));
    assert!(!world.is_linked(0, 3));
    world.assert_even(0..3);
}

#[test]
fn sync_04_05_what_a_thief_changes_after_he_was_removed_is_refused_and_undone() {
    let mut world = World::new(3);
    world.change(0, "a", Some(1));
    world.change(2, "b", Some(2));
    for (a, b) in [(0, 1), (0, 2)] {
        world.link(a, b);
    }
    world.settle();
    // The laptop (1) is away while the phone (2) is removed; the thief meets it first, with whatever stamps he likes.
    world.unlink(0, 1);
    world.revoke(0, 2);
    world.settle();
    world.return_from_the_dead(2);
    world.link(1, 2);
    world.settle();
    world.change(2, "a", Some(66));
    world.change(2, "b", None);
    world.change(2, "c", Some(66));
    let now = world.clock(1);
    let backdated = entry(2, "d", Some(66), now - 1_000_000);
    world.say(2, 1, SyncFrame::Entries(vec![backdated]));
    world.settle();
    assert_eq!(world.values(1).len(), 4, "it does not know better");
    world.link(0, 1);
    world.settle();
    for n in 0..2 {
        assert_eq!(world.values(n), [("a", Some(1)), ("b", Some(2))], "{n}");
    }
    assert!(!world.is_linked(1, 2));
    world.assert_even(0..2);
    // What he says to one who knows is not even listened to.
    world.link(0, 2);
    assert!(!world.is_linked(0, 2));
}

#[test]
fn sync_05_what_is_undone_is_undone_along_a_chain() {
    let mut world = World::new(4);
    world.revoke(0, 3);
    world.link(2, 3);
    world.settle();
    world.change(3, "c", Some(66));
    world.settle();
    assert_eq!(world.values(2), [("c", Some(66))]);
    world.link(0, 1);
    world.link(1, 2);
    // The one in the middle answers the last one before it has heard everything itself.
    world.deliver(0, 1);
    while world.deliver(1, 2) || world.deliver(2, 1) {}
    world.settle();
    assert!(world.values(2).is_empty(), "{:?}", world.values(2));
}

#[test]
fn sync_05_nothing_is_dropped_on_the_word_of_one_who_does_not_have_it_all() {
    let mut world = World::new(4);
    world.change(3, "a", Some(1));
    for n in [0, 1] {
        world.link(n, 3);
    }
    world.settle();
    world.unlink(1, 3);
    world.revoke(0, 3);
    // The third device hears of it, and its link breaks before it was told what was taken over.
    world.link(0, 2);
    world.deliver(0, 2);
    world.unlink(0, 2);
    assert!(world.values(2).is_empty());
    world.link(1, 2);
    world.settle();
    assert_eq!(world.values(1), [("a", Some(1))], "kept for now");
    world.restart(1);
    world.restart(2);
    assert_eq!(world.values(1), [("a", Some(1))]);
    world.link(0, 2);
    world.link(1, 2);
    world.settle();
    world.assert_even(0..3);
    assert_eq!(world.values(1), [("a", Some(1))]);
    assert_eq!(world.devices[1].removed, []);
}

#[test]
fn sync_06_nothing_is_heard_before_the_card_and_no_other_accounts_card() {
    let mut world = World::new(2);
    let early = [
        SyncFrame::Entries(vec![entry(1, "a", Some(1), NOON)]),
        SyncFrame::Digests {
            digests: Vec::new(),
            settled: None,
        },
        SyncFrame::Done { settled: None },
        SyncFrame::SigningKey(Seed([1; 32])),
    ];
    for frame in early {
        world.link(0, 1);
        world.say_now(1, 0, frame);
        world.settle();
        assert!(!world.is_linked(0, 1) && world.values(0).is_empty());
        let refused = SyncEvent::Refused(device(1), Refusal::Malformed);
        assert!(world.devices[0].events.contains(&refused));
        world.clear_events();
    }
    let mut changed = card(2).signed().clone();
    changed.card.name = "Mallory".into();
    for card in [changed, mallorys()] {
        world.link(0, 1);
        let frame = SyncFrame::Card {
            card: Box::new(card),
            clock: NOON,
            wants_key: true,
        };
        world.say_now(1, 0, frame);
        let refused = SyncEvent::Refused(device(1), Refusal::Account);
        assert!(world.devices[0].events.contains(&refused));
        world.settle();
        assert!(!world.is_linked(0, 1));
        world.clear_events();
    }
    // Too few digests, after the card.
    world.link(0, 1);
    world.settle();
    let digests = vec![[0; 8]; BUCKETS - 1];
    let settled = None;
    world.say_now(1, 0, SyncFrame::Digests { digests, settled });
    world.settle();
    assert!(!world.is_linked(0, 1));
}

#[test]
fn sync_06_a_device_that_is_not_listed_gets_no_link() {
    let mut world = World::new(2);
    let clock = world.clock(0);
    for stranger in [device(66), device(0)] {
        world.devices[0].sync().handle_link_up(99, stranger, clock);
        world.drain(0);
        assert_eq!(world.devices[0].events.pop(), Some(SyncEvent::Close(99)));
    }
}

#[test]
fn sync_07_the_signing_key_goes_to_owners_only_and_no_other_is_taken() {
    let mut world = World::new(3);
    world.link(0, 1);
    world.link(0, 2);
    world.settle();
    assert_eq!(world.devices[1].store.key, None);
    // A device that says it wants the key and is none that may have it.
    let greedy = SyncFrame::Card {
        card: Box::new(card(3).signed().clone()),
        clock: world.clock(2),
        wants_key: true,
    };
    world.say(2, 0, greedy);
    world.settle();
    assert_eq!(world.devices[2].store.key, None);
    let add = account::Change::AddDevice {
        device: device(1),
        name: "phone".into(),
        owner: true,
    };
    world.sign(0, add);
    world.settle();
    assert_eq!(world.devices[1].store.key, Some(Seed([1; 32])));
    assert_eq!(world.devices[2].store.key, None);
    // Another one is not taken, nor one that nobody asked for.
    for seed in [Seed([6; 32]), Seed([1; 32])] {
        world.say(0, 2, SyncFrame::SigningKey(seed));
        world.settle();
        assert_eq!(world.devices[2].store.key, None);
    }
}

#[test]
fn a_card_goes_to_all_devices_and_doors_with_it() {
    let mut world = World::new(3);
    world.link(0, 1);
    world.link(1, 2);
    world.settle();
    let moved = world.moved(2);
    world.command(2, SyncCommand::Card(Box::new(moved)));
    world.settle();
    for n in 0..3 {
        let doors = &world.devices[n].store.card.doors;
        assert_eq!(doors.len(), 1);
        assert_eq!(doors[0].device, device(2));
    }
}

#[test]
fn sync_03_08_a_clock_that_is_a_week_ahead_wins_nothing_and_is_named() {
    let week = 7 * 24 * 3_600_000;
    let mut world = World::new(2);
    world.devices[1].skew = week;
    world.change(1, "a", Some(1));
    world.change(0, "a", Some(2));
    world.link(0, 1);
    world.settle();
    assert_eq!(world.values(0), [("a", Some(2))]);
    let apart = |n| SyncEvent::ClockApart(device(n));
    assert!(world.devices[0].events.contains(&apart(1)));
    assert!(world.devices[1].events.contains(&apart(0)));
    let refused = SyncEvent::Refused(device(1), Refusal::Ahead);
    assert!(world.devices[0].events.contains(&refused));
    // Once it is right, its change counts, as made now.
    world.unlink(0, 1);
    world.devices[1].skew = 0;
    world.restart(1);
    world.link(0, 1);
    world.settle();
    world.assert_even(0..2);
    assert_eq!(world.values(0), [("a", Some(1))]);
    world.change(0, "a", Some(3));
    world.settle();
    assert_eq!(world.values(1), [("a", Some(3))]);
}

#[test]
fn sync_08_a_machine_that_wakes_up_in_1970_loses_nothing() {
    let mut world = World::new(2);
    world.change(0, "a", Some(1));
    world.change(1, "b", Some(2));
    world.link(0, 1);
    world.settle();
    world.unlink(0, 1);
    world.devices[0].skew = -(NOON as i64);
    world.restart(0);
    world.link(0, 1);
    world.change(0, "c", Some(3));
    world.settle();
    assert_eq!(
        world.values(1),
        [("a", Some(1)), ("b", Some(2)), ("c", Some(3))]
    );
    world.devices[0].skew = 0;
    world.restart(0);
    world.link(0, 1);
    world.settle();
    world.assert_even(0..2);
    assert_eq!(world.values(0).len(), 3);
}

#[test]
fn sync_02_a_restored_backup_that_says_the_same_stamp_twice_divides_nobody() {
    let mut world = World::new(3);
    let said = |value| SyncFrame::Entries(vec![entry(2, "a", Some(value), NOON)]);
    world.link(0, 2);
    world.link(1, 2);
    world.settle();
    world.say_now(2, 0, said(1));
    world.say_now(2, 1, said(2));
    world.settle();
    world.link(0, 1);
    world.settle();
    world.assert_even(0..3);
}

#[test]
fn a_link_that_is_not_there_says_nothing() {
    let mut world = World::new(2);
    let clock = world.clock(0);
    world.devices[0]
        .sync()
        .handle_frame(7, SyncFrame::Done { settled: None }, clock);
    world.devices[0].sync().handle_link_down(7);
    world.drain(0);
    assert!(world.devices[0].events.is_empty());
}
