//! Rooms that are opened, entered, used and left, in order and at random.

use proptest::prelude::*;

use super::*;

const ROOM: RoomId = RoomId([1; 16]);
const NOBODYS: RoomId = RoomId([9; 16]);

fn key(byte: u8) -> EndpointKey {
    EndpointKey([byte; 32])
}

/// Of an account with one device, in a block of ten.
fn asker(n: usize) -> Asker {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    Asker {
        door: EndpointKey(id),
        account: AccountId(id),
        block: Some(IpAddr::from((n as u128 / 10).to_be_bytes())),
    }
}

fn at(ms: u64) -> Time {
    Duration::from_millis(ms)
}

fn events(focus: &mut Focus) -> Vec<FocusEvent> {
    std::iter::from_fn(|| focus.poll_event()).collect()
}

/// Alice is member 1, Bob member 2.
fn meeting() -> Focus {
    let mut focus = Focus::default();
    focus.handle_open(ROOM, asker(7), at(0)).unwrap();
    focus.handle_join(1, key(1), ROOM, at(1)).unwrap();
    focus.handle_join(2, key(2), ROOM, at(2)).unwrap();
    focus
}

#[test]
fn fwd_02_one_front_door_has_few_rooms_and_all_together_a_bound() {
    let mut focus = Focus::default();
    let room = |n: usize| RoomId((n as u128).to_be_bytes());
    for n in 0..ROOMS_OF_ONE {
        assert_eq!(focus.handle_open(room(n), asker(1), at(0)), Ok(()));
    }
    assert_eq!(focus.handle_open(ROOM, asker(1), at(0)), Err(NoPlace));
    for n in ROOMS_OF_ONE..ROOMS_MAX {
        assert_eq!(focus.handle_open(room(n), asker(n), at(0)), Ok(()));
    }
    assert_eq!(focus.handle_open(ROOM, asker(0), at(0)), Err(NoPlace));
    // Nobody came: the places are free again.
    focus.handle_timeout(at(10_000));
    assert_eq!(focus.handle_open(ROOM, asker(1), at(10_000)), Ok(()));
}

#[test]
fn fwd_02_many_doors_of_an_account_and_many_accounts_at_one_place_have_a_bound() {
    let room = |n: usize| RoomId((n as u128).to_be_bytes());
    let opened = |who: &dyn Fn(usize) -> Asker| {
        let mut focus = Focus::default();
        let open = |n: &usize| focus.handle_open(room(*n), who(*n), at(0)).is_ok();
        (0..ROOMS_MAX).filter(open).count()
    };
    let account = asker(0).account;
    let doors = |n| Asker {
        account,
        ..asker(n)
    };
    assert_eq!(opened(&doors), ROOMS_OF_ACCOUNT);
    let block = asker(0).block;
    let neighbours = |n| Asker { block, ..asker(n) };
    assert_eq!(opened(&neighbours), ROOMS_OF_BLOCK);
    let own = |n| Asker {
        block: None,
        ..asker(n)
    };
    assert_eq!(opened(&own), ROOMS_MAX, "this process's own");
}

#[test]
fn fwd_03_two_who_know_the_room_are_in_it_and_who_comes_anew_takes_his_own_place() {
    let mut focus = meeting();
    let unknown = focus.handle_join(3, key(3), NOBODYS, at(3));
    assert_eq!(unknown, Err(JoinRefusal::NoRoom));
    let third = focus.handle_join(3, key(3), ROOM, at(3));
    assert_eq!(third, Err(JoinRefusal::Full));
    assert_eq!(focus.handle_datagram(1, 80, at(4)), Ok(2));
    assert_eq!(focus.handle_join(4, key(2), ROOM, at(5)), Ok(()));
    let closed = FocusEvent::Close(2, Closing::Replaced);
    assert_eq!(events(&mut focus), [closed]);
    assert_eq!(focus.handle_datagram(1, 80, at(6)), Ok(4));
    assert_eq!(focus.handle_datagram(2, 80, at(6)), Err(Dropped::NoMember));
    focus.handle_left(2, at(7));
    assert_eq!(focus.handle_datagram(4, 80, at(8)), Ok(1));
    assert_eq!(focus.in_use(), 1);
}

#[test]
fn fwd_04_a_datagram_goes_to_the_other_one_or_is_counted() {
    let mut focus = meeting();
    assert_eq!(focus.handle_datagram(1, FOCUS_DATAGRAM_MAX, at(3)), Ok(2));
    assert_eq!(focus.handle_datagram(2, 0, at(3)), Ok(1));
    let too_large = focus.handle_datagram(2, FOCUS_DATAGRAM_MAX + 1, at(3));
    assert_eq!(too_large, Err(Dropped::TooLarge));
    focus.handle_left(1, at(4));
    assert_eq!(focus.handle_datagram(2, 80, at(5)), Err(Dropped::Alone));
    assert_eq!(focus.handle_datagram(1, 80, at(5)), Err(Dropped::NoMember));
    focus.count(Dropped::OverCap);
    let counted: Vec<u64> = focus.dropped().values().copied().collect();
    assert_eq!(counted, [1; 4]);
    assert_eq!(focus.in_use(), 0);
}

#[test]
fn fwd_05_a_member_sends_what_a_voice_needs_and_no_more() {
    let through = |length: usize, every_us: u64| {
        let mut focus = meeting();
        let sent = (0..10_000_000 / every_us).filter(|n| {
            let now = at(10) + Duration::from_micros(n * every_us);
            focus.handle_datagram(1, length, now).is_ok()
        });
        sent.count()
    };
    // Ten seconds of 100 packets of a whole frame's repetition each second.
    assert_eq!(through(230, 10_000), 1_000, "a voice passes");
    let small = through(10, 1_000);
    assert!((1_490..1_560).contains(&small), "{small} small ones");
    let large = through(1_000, 1_000);
    assert!((240..260).contains(&large), "{large} large ones");
    // One that sends too much takes nothing of the other's.
    let mut focus = meeting();
    for n in 0..1_000 {
        let _ = focus.handle_datagram(1, 1_000, at(10 + n));
    }
    assert_eq!(focus.handle_datagram(2, 80, at(500)), Ok(1));
}

#[test]
fn fwd_07_a_room_without_two_or_without_a_word_ends() {
    let mut focus = Focus::default();
    focus.handle_open(ROOM, asker(7), at(0)).unwrap();
    focus.handle_join(1, key(1), ROOM, at(1)).unwrap();
    let due = focus.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (at(10_000), FocusReason::Room));
    focus.handle_timeout(at(9_999));
    assert_eq!(events(&mut focus), []);
    focus.handle_timeout(at(10_000));
    let closed = FocusEvent::Close(1, Closing::Over);
    assert_eq!(events(&mut focus), [closed]);
    let late = focus.handle_join(2, key(2), ROOM, at(10_001));
    assert_eq!(late, Err(JoinRefusal::NoRoom));

    let mut focus = meeting();
    assert_eq!(focus.handle_datagram(1, 1, at(20_000)), Ok(2));
    focus.handle_timeout(at(49_999));
    assert_eq!(events(&mut focus), []);
    focus.handle_timeout(at(50_000));
    assert_eq!(events(&mut focus).len(), 2);
    assert_eq!(focus.poll_timeout(), None);

    let mut focus = meeting();
    focus.handle_left(2, at(100));
    assert_eq!(focus.poll_timeout().unwrap().at, at(10_100));
    focus.handle_join(3, key(2), ROOM, at(200)).unwrap();
    assert_eq!(focus.poll_timeout().unwrap().at, at(30_200));
}

#[derive(Debug, Clone)]
enum Step {
    Open(u8, u8),
    Join(u8, u8),
    Send(u64, usize),
    Leave(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, 0..3_u8).prop_map(|(room, by)| Step::Open(room, by)),
        (0..4_u8, 0..6_u8).prop_map(|(room, key)| Step::Join(room, key)),
        (0..40_u64, 0..2_000_usize).prop_map(|(member, length)| Step::Send(member, length)),
        (0..40_u64).prop_map(Step::Leave),
        (0..15_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn fwd_04_whatever_happens_a_datagram_stays_in_its_room(steps in prop::collection::vec(step(), 1..80)) {
        let mut focus = Focus::default();
        let (mut now, mut next) = (Time::ZERO, 0);
        for step in steps {
            match step {
                Step::Open(room, by) => {
                    let _ = focus.handle_open(RoomId([room; 16]), asker(by.into()), now);
                }
                Step::Join(room, who) => {
                    next += 1;
                    let _ = focus.handle_join(next, key(who), RoomId([room; 16]), now);
                }
                Step::Send(from, length) => {
                    if let Ok(to) = focus.handle_datagram(from, length, now) {
                        prop_assert_ne!(to, from);
                        prop_assert_eq!(focus.members[&to].room, focus.members[&from].room);
                    }
                }
                Step::Leave(member) => focus.handle_left(member, now),
                Step::Wait(ms) => {
                    now += at(ms);
                    focus.handle_timeout(now);
                }
            }
            for FocusEvent::Close(member, _) in events(&mut focus) {
                prop_assert!(!focus.members.contains_key(&member));
            }
            let listed: usize = focus.rooms.values().map(|room| room.members.len()).sum();
            prop_assert_eq!(listed, focus.members.len());
            prop_assert!(focus.rooms.values().all(|room| room.members.len() <= MEMBERS_MAX));
        }
    }
}
