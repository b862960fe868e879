//! The desk's checks, and what it keeps.

use starling_wire::limits::{WATCH_MAX, WATCHED_MAX, WATCHERS_MAX};
use starling_wire::presence::SEALED;

use super::*;

const ALICE: EndpointKey = EndpointKey([1; 32]);
const BOB: EndpointKey = EndpointKey([2; 32]);
const BOBS: SubscriptionId = SubscriptionId([7; 16]);
const WALL: u64 = 1_800_000_059;
const MINUTE: u64 = 1_800_000_000;

fn home() -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp: "127.0.0.1:1".parse().expect("an address"),
        discovery_port: 0,
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn sealed(byte: u8) -> Sealed {
    Sealed(vec![byte; SEALED])
}

fn list(ids: &[SubscriptionId]) -> Watch {
    Watch {
        list: 0,
        ids: ids.to_vec(),
        reply_to: home(),
    }
}

const fn at_home(key: EndpointKey) -> Watcher {
    Watcher {
        key,
        registered: true,
        block: None,
    }
}

fn stranger(number: usize, block: u8) -> Watcher {
    Watcher {
        key: EndpointKey(numbered(number)),
        registered: false,
        block: Some(IpAddr::from([192, 0, block, 0])),
    }
}

fn to(ids: &[SubscriptionId]) -> Grant {
    Grant {
        ids: ids.to_vec(),
        unseen: Vec::new(),
    }
}

fn left(byte: u8) -> Sighting {
    Sighting::Left {
        at: MINUTE,
        state: sealed(byte),
    }
}

/// Alice watches Bob, who is here and lets her.
fn watched() -> Desk {
    let mut desk = Desk::default();
    let now = seconds(0);
    let before = desk.watch(at_home(ALICE), list(&[BOBS]), now);
    assert_eq!(before, Ok(vec![Sighting::Nothing]));
    desk.link_up(BOB, 1);
    desk.grant(BOB, to(&[BOBS]), now, WALL).expect("granted");
    desk.set_state(BOB, sealed(1), now).expect("said");
    assert_eq!(told(&mut desk).last(), Some(&Sighting::Here(sealed(1))));
    desk
}

fn told(desk: &mut Desk) -> Vec<Sighting> {
    let told: Vec<Tell> = std::iter::from_fn(|| desk.poll_tell()).collect();
    told.iter().map(|tell| desk.sighting(tell.id)).collect()
}

#[test]
fn presence_01_the_newest_link_is_the_lease() {
    let mut desk = watched();
    desk.link_up(BOB, 3);
    desk.link_up(BOB, 2);
    desk.link_down(BOB, 2, seconds(1));
    assert!(desk.is_here(BOB));
    desk.handle_timeout(seconds(9), WALL);
    assert_eq!(desk.sighting(BOBS), Sighting::Here(sealed(1)));
}

#[test]
fn presence_02_a_link_dialled_afresh_is_no_absence() {
    let mut desk = watched();
    desk.link_down(BOB, 1, seconds(5));
    let grace = Deadline::new(seconds(7), DeskReason::GraceOver);
    assert_eq!(desk.poll_timeout(), Some(grace));
    desk.link_up(BOB, 2);
    desk.handle_timeout(seconds(60), WALL);
    assert_eq!(told(&mut desk), []);
    desk.link_down(BOB, 2, seconds(61));
    desk.handle_timeout(seconds(62), WALL);
    assert_eq!(told(&mut desk), []);
    desk.handle_timeout(seconds(63), WALL);
    assert_eq!(told(&mut desk), [left(1)]);
    desk.link_up(BOB, 3);
    assert_eq!(told(&mut desk), [Sighting::Here(sealed(1))]);
}

#[test]
fn presence_03_watch_lists_are_bounded() {
    let mut desk = Desk::default();
    let long = list(&vec![BOBS; WATCH_MAX + 1]);
    let full = Err(DeskRefusal::Full);
    assert_eq!(desk.watch(at_home(ALICE), long, seconds(0)), full);
    for number in 0..WATCHERS_MAX {
        let watcher = EndpointKey(numbered(number));
        assert!(
            desk.watch(at_home(watcher), list(&[BOBS]), seconds(0))
                .is_ok()
        );
    }
    assert_eq!(desk.watch(at_home(ALICE), list(&[BOBS]), seconds(0)), full);
}

fn numbered<const N: usize>(number: usize) -> [u8; N] {
    let mut key = [0; N];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

fn ids(from: usize, count: usize) -> Vec<SubscriptionId> {
    let numbers = from..from + count;
    numbers
        .map(|number| SubscriptionId(numbered(number)))
        .collect()
}

#[test]
fn presence_03_long_lists_are_bounded_together_and_short_ones_still_taken() {
    let mut desk = Desk::default();
    let long = list(&ids(0, WATCH_MAX));
    let fit = WATCHED_MAX / WATCH_MAX;
    for number in 0..fit {
        let watcher = EndpointKey(numbered(1_000_000 + number));
        assert!(
            desk.watch(at_home(watcher), long.clone(), seconds(0))
                .is_ok()
        );
    }
    let full = Err(DeskRefusal::Full);
    assert_eq!(desk.watch(at_home(ALICE), long.clone(), seconds(0)), full);
    let short = list(&ids(0, WATCH_SHORT));
    assert!(desk.watch(at_home(ALICE), short, seconds(0)).is_ok());
    let same = EndpointKey(numbered(1_000_000));
    let again = desk.watch(at_home(same), long, seconds(0));
    assert!(again.is_ok(), "a list that is sent again takes its place");
    for number in 0..fit {
        desk.unwatch(EndpointKey(numbered(1_000_000 + number)), seconds(0));
    }
    desk.unwatch(ALICE, seconds(0));
    assert!(desk.watches.is_empty());
}

#[test]
fn presence_03_an_id_that_stands_twice_in_a_list_counts_once() {
    let mut desk = Desk::default();
    for _ in 0..2 {
        let kept = desk.watch(at_home(ALICE), list(&[BOBS; 3]), seconds(0));
        assert!(kept.is_ok());
    }
}

#[test]
fn presence_04_who_cannot_be_told_is_forgotten() {
    let mut desk = watched();
    assert_eq!(desk.unwatch(ALICE, seconds(0)), None);
    desk.set_state(BOB, sealed(2), seconds(1)).expect("said");
    assert_eq!(told(&mut desk), []);
    assert!(desk.watches.is_empty());
}

#[test]
fn presence_04_whoever_asked_again_meanwhile_is_not_forgotten() {
    let mut desk = watched();
    let mut moved = list(&[BOBS]);
    moved.reply_to.id = EndpointKey([8; 32]);
    let there = moved.reply_to.clone();
    desk.watch(at_home(ALICE), moved, seconds(5))
        .expect("again");
    assert_eq!(desk.unwatch(ALICE, seconds(3)), Some(there));
    desk.set_state(BOB, sealed(2), seconds(6)).expect("said");
    assert_eq!(told(&mut desk), [Sighting::Here(sealed(2))]);
}

#[test]
fn presence_09_a_list_that_is_not_sent_again_is_forgotten() {
    let mut desk = watched();
    desk.watch(at_home(ALICE), list(&[BOBS]), seconds(100))
        .expect("again");
    desk.handle_timeout(LIST_TIME, WALL);
    desk.set_state(BOB, sealed(2), seconds(50)).expect("said");
    assert_eq!(told(&mut desk), [Sighting::Here(sealed(2))]);
    desk.handle_timeout(LIST_TIME + seconds(100), WALL);
    assert!(desk.watches.is_empty());
    assert_eq!(desk.poll_timeout(), None);
}

#[test]
fn presence_15_whoever_may_see_nothing_any_more_is_answered_as_if_the_other_had_left() {
    let mut desk = watched();
    desk.grant(BOB, to(&[]), seconds(9), WALL).expect("taken");
    assert_eq!(told(&mut desk), [left(1)]);
    desk.set_state(BOB, sealed(2), seconds(10)).expect("said");
    assert_eq!(told(&mut desk), []);
    // The same bytes as of somebody who left.
    let mut other = watched();
    other.link_down(BOB, 1, seconds(9));
    other.handle_timeout(seconds(12), WALL);
    assert_eq!(desk.sighting(BOBS), other.sighting(BOBS));
    // And a stranger's as of somebody who never was.
    assert_eq!(desk.sighting(SubscriptionId([8; 16])), Sighting::Nothing);
    desk.grant(BOB, to(&[BOBS]), seconds(60), WALL)
        .expect("given");
    assert_eq!(told(&mut desk), [Sighting::Here(sealed(2))]);
}

#[test]
fn presence_15_whoever_still_reaches_the_device_is_not_told_that_it_left() {
    let mut desk = watched();
    let denied = Grant {
        ids: Vec::new(),
        unseen: vec![BOBS],
    };
    desk.grant(BOB, denied, seconds(9), WALL).expect("taken");
    assert_eq!(told(&mut desk), [Sighting::Nothing]);
}

#[test]
fn presence_16_nobody_takes_anothers_id_and_all_together_are_bounded() {
    let mut desk = watched();
    let eve = EndpointKey([6; 32]);
    desk.link_up(eve, 4);
    desk.grant(eve, to(&[BOBS]), seconds(1), WALL)
        .expect("taken");
    desk.set_state(eve, sealed(6), seconds(1)).expect("taken");
    assert_eq!(desk.sighting(BOBS), Sighting::Here(sealed(1)));
    let long = ids(0, GRANTED_TO_MAX + 1);
    let refused = desk.grant(eve, to(&long), seconds(20), WALL);
    assert_eq!(refused, Err(DeskRefusal::Full));
    let doors = GRANTED_MAX / GRANTED_TO_MAX;
    for number in 0..doors {
        let door = EndpointKey(numbered(number));
        let granted = ids(number * GRANTED_TO_MAX, GRANTED_TO_MAX);
        assert_eq!(desk.grant(door, to(&granted), seconds(20), WALL), Ok(()));
    }
    let more = ids(5_000_000, GRANTED_TO_MAX);
    let refused = desk.grant(eve, to(&more), seconds(40), WALL);
    assert_eq!(refused, Err(DeskRefusal::Full));
    let few = ids(5_000_000, WATCH_SHORT);
    assert_eq!(desk.grant(eve, to(&few), seconds(40), WALL), Ok(()));
}

#[test]
fn presence_17_whoever_flaps_is_held_back_and_old_words_make_room() {
    let mut desk = watched();
    let mut taken = 0;
    for step in 0..500_u64 {
        let now = seconds(100) + Duration::from_millis(20 * step);
        taken += u32::from(desk.set_state(BOB, sealed(3), now).is_ok());
    }
    assert!((6..=11).contains(&taken), "{taken}");
    assert_eq!(told(&mut desk).len(), taken as usize);
    lists_are_held_back_too(&mut desk);
    desk.link_down(BOB, 1, seconds(200));
    desk.handle_timeout(seconds(202), WALL);
    for number in 0..STATES_MAX {
        let door = EndpointKey(numbered(number));
        desk.link_up(door, 5);
        assert_eq!(desk.set_state(door, sealed(1), seconds(203)), Ok(()));
    }
    assert_eq!(
        desk.sighting(BOBS),
        Sighting::Nothing,
        "the oldest made room"
    );
    let one_more = desk.set_state(EndpointKey([8; 32]), sealed(1), seconds(203));
    assert_eq!(one_more, Err(DeskRefusal::Full));
}

/// States that were said before do not count.
fn lists_are_held_back_too(desk: &mut Desk) {
    let mut granted = |now| {
        let grant = Grant {
            ids: vec![BOBS],
            unseen: Vec::new(),
        };
        desk.grant(BOB, grant, now, WALL)
    };
    let taken = (0..100).filter(|_| granted(seconds(110)).is_ok()).count();
    assert_eq!(taken, 20);
    assert_eq!(granted(seconds(111)), Err(DeskRefusal::TooSoon));
    assert_eq!(granted(seconds(112)), Ok(()));
}

#[test]
fn presence_17_what_somebody_left_is_forgotten_after_a_week() {
    let mut desk = watched();
    desk.link_down(BOB, 1, seconds(0));
    desk.handle_timeout(seconds(2), WALL);
    desk.unwatch(ALICE, seconds(0));
    let over = Deadline::new(seconds(2) + KEPT, DeskReason::StateOver);
    assert_eq!(desk.poll_timeout(), Some(over));
    desk.handle_timeout(over.at, WALL);
    assert_eq!(desk.sighting(BOBS), Sighting::Nothing);
    assert!(desk.said.is_empty() && desk.granted.is_empty() && desk.old.is_empty());
}

#[test]
fn presence_20_a_list_of_which_nothing_changed_is_not_sent_again() {
    let mut desk = watched();
    let key = ListKey {
        watcher: ALICE,
        list: 0,
    };
    let known = |sighting: &Sighting| digest([(BOBS, sighting.mark())].into_iter());
    let here = known(&Sighting::Here(sealed(1)));
    let changed = Err(DeskRefusal::Changed);
    assert_eq!(
        desk.still_watch(
            (at_home(key.watcher), key.list),
            &home(),
            here,
            seconds(100)
        ),
        Ok(())
    );
    desk.handle_timeout(LIST_TIME, WALL);
    assert!(!desk.watches.is_empty(), "it is kept on");
    let nothing = known(&Sighting::Nothing);
    assert_eq!(
        desk.still_watch(
            (at_home(key.watcher), key.list),
            &home(),
            nothing,
            seconds(1)
        ),
        changed
    );
    let mut moved = home();
    moved.tcp.set_port(2);
    assert_eq!(
        desk.still_watch((at_home(key.watcher), key.list), &moved, here, seconds(1)),
        changed
    );
    desk.unwatch(ALICE, seconds(200));
    assert_eq!(
        desk.still_watch((at_home(key.watcher), key.list), &home(), here, seconds(1)),
        changed
    );
}

#[test]
fn presence_28_strangers_from_one_place_do_not_shut_others_out_and_none_those_at_home() {
    let mut desk = Desk::default();
    let short = || list(&[BOBS]);
    let mut lists = |block: u8, count: usize| {
        let taken = (0..count).filter(|number| {
            let number = usize::from(block) * 100_000 + number;
            desk.watch(stranger(number, block), short(), seconds(0))
                .is_ok()
        });
        taken.count()
    };
    // 2,000 keys with ten lists each, from one place.
    assert_eq!(lists(1, 5_000), WATCHERS_MAX / 4);
    let full = Err(DeskRefusal::Full);
    assert_eq!(
        desk.watch(stranger(99_000, 1), short(), seconds(1_000)),
        full
    );
    assert!(desk.watch(stranger(7, 2), short(), seconds(0)).is_ok());
    // One that is sent again takes its own place, and one that is withdrawn makes room.
    let same = stranger(100_000, 1);
    assert!(desk.watch(same, short(), seconds(1_000)).is_ok());
    assert!(desk.watch(same, list(&[]), seconds(1_000)).is_ok());
    let next = stranger(99_000, 1);
    assert!(desk.watch(next, short(), seconds(1_000)).is_ok());
    // From many places they take three quarters at most, and whoever is registered has the rest.
    let many = (0..40_000).filter(|number| {
        let block = 3 + u8::try_from(number / 4_000).expect("few");
        let watcher = stranger(2_000_000 + number, block);
        desk.watch(watcher, short(), seconds(1_000)).is_ok()
    });
    assert_eq!(many.count(), WATCHERS_MAX / 4 * 3 - WATCHERS_MAX / 4 - 1);
    let at_home = (0..WATCHERS_MAX).filter(|number| {
        let key = EndpointKey(numbered(5_000_000 + number));
        desk.watch(at_home(key), short(), seconds(1_000)).is_ok()
    });
    assert_eq!(at_home.count(), WATCHERS_MAX / 4);
}

#[test]
fn presence_28_long_lists_of_strangers_are_bounded_too() {
    let mut desk = Desk::default();
    let long = list(&ids(0, WATCH_MAX));
    let taken = (0..2_000).filter(|number| {
        let watcher = stranger(*number, 1);
        desk.watch(watcher, long.clone(), seconds(0)).is_ok()
    });
    assert_eq!(taken.count(), WATCHED_MAX / 4 / WATCH_MAX);
    let short = list(&ids(0, WATCH_SHORT));
    assert!(desk.watch(stranger(9_000, 1), short, seconds(0)).is_ok());
}

#[test]
fn presence_29_lists_are_sent_at_a_pace_and_no_crowd_takes_the_turns_of_those_at_home() {
    let mut desk = Desk::default();
    let short = || list(&[BOBS]);
    let too_soon = Err(DeskRefusal::TooSoon);
    let mut sent = (0..100).map(|_| desk.watch(at_home(ALICE), short(), seconds(0)));
    assert_eq!(sent.by_ref().take(40).filter(Result::is_ok).count(), 40);
    assert!(sent.all(|refused| refused == too_soon));
    let still = desk.still_watch((at_home(ALICE), 0), &home(), [0; 16], seconds(1));
    assert_eq!(still, Err(DeskRefusal::TooSoon), "it costs as much");
    assert!(desk.watch(at_home(ALICE), short(), seconds(5)).is_ok());
    // A place with ten thousand keys.
    let crowd = (0..10_000).filter(|number| {
        let refused = desk.watch(stranger(*number, 1), list(&[]), seconds(5));
        refused == Ok(Vec::new())
    });
    assert_eq!(crowd.count(), 5_000);
    assert_eq!(
        desk.watch(stranger(20_000, 1), short(), seconds(5)),
        too_soon
    );
    assert!(desk.watch(stranger(20_000, 2), short(), seconds(5)).is_ok());
    assert!(desk.watch(at_home(BOB), short(), seconds(5)).is_ok());
    // One key that asks all the time takes no turns of its neighbours.
    let taken =
        (0..10_000).filter(|_| desk.watch(stranger(30_000, 3), short(), seconds(5)).is_ok());
    assert_eq!(taken.count(), 40);
    assert!(desk.watch(stranger(30_001, 3), short(), seconds(5)).is_ok());
}

#[test]
fn presence_31_who_will_be_told_is_named_once_before_each_word() {
    let mut desk = watched();
    let (theirs, again) = (SubscriptionId([8; 16]), SubscriptionId([6; 16]));
    let all = [BOBS, again, theirs];
    let others = [
        (ALICE, 1, again),
        (EndpointKey([3; 32]), 0, SubscriptionId([5; 16])),
    ];
    for (key, list, id) in others {
        let watch = Watch {
            list,
            ids: vec![id],
            reply_to: home(),
        };
        desk.watch(at_home(key), watch, seconds(0)).expect("taken");
    }
    desk.grant(BOB, to(&all), seconds(1), WALL)
        .expect("granted");
    let named = |desk: &mut Desk| desk.announce(BOB).into_keys().collect::<Vec<_>>();
    assert_eq!(
        named(&mut desk),
        [ALICE],
        "once, and nobody who may not see it"
    );
    assert_eq!(named(&mut desk), [], "not before it has said so");
    desk.set_state(BOB, sealed(2), seconds(2)).expect("said");
    assert_eq!(named(&mut desk), [ALICE]);
    assert_eq!(
        desk.announce(ALICE),
        BTreeMap::new(),
        "she said nothing yet"
    );
}

#[test]
fn presence_31_one_door_has_few_reached_for_what_it_announced() {
    let mut desk = watched();
    for number in 0..500 {
        let watcher = at_home(EndpointKey(numbered(number)));
        let kept = desk.watch(watcher, list(&[BOBS]), seconds(1));
        assert!(kept.is_ok());
    }
    let first = desk.announce(BOB);
    assert_eq!(first.len(), ANNOUNCED_OF_ONE);
    desk.set_state(BOB, sealed(2), seconds(2)).expect("said");
    assert_eq!(told(&mut desk).len(), 501, "all are told");
    assert_eq!(desk.announce(BOB), first, "no others at the same time");
}
