//! Two sides of a call and the way between them: rooms that work, that break, that cross, and that nobody needs.

use proptest::prelude::*;
use starling_wire::conference::RoomKey;
use starling_wire::ids::{EndpointKey, RoomId};
use starling_wire::supernode::SupernodeAddr;

use super::*;

fn at(ms: u64) -> Time {
    Duration::from_millis(ms)
}

fn room(byte: u8) -> Room {
    Room {
        forwarder: SupernodeAddr {
            id: EndpointKey([byte; 32]),
            tcp: ([192, 0, 2, byte], 27474).into(),
            discovery_port: 0,
        },
        port: 27474,
        id: RoomId([byte; 16]),
        key: RoomKey([byte; 32]),
    }
}

fn entering(byte: u8, ours: bool) -> ParticipantEvent {
    let room = room(byte);
    ParticipantEvent::Join { room, ours }
}

fn events(participant: &mut Participant) -> Vec<ParticipantEvent> {
    std::iter::from_fn(|| participant.poll_event()).collect()
}

/// Fires what is due until a moment; what came of it.
fn until(participant: &mut Participant, end: Time) -> Vec<ParticipantEvent> {
    let mut all = Vec::new();
    while let Some(due) = participant.poll_timeout().filter(|due| due.at <= end) {
        participant.handle_timeout(due.at);
        all.extend(events(participant));
    }
    all
}

/// In a room of our own since 1.6 s, and heard there.
fn forwarded() -> Participant {
    let mut alice = Participant::new(Side::Caller, at(0));
    assert_eq!(until(&mut alice, at(1_500)), [ParticipantEvent::Ask(0)]);
    alice.handle_room(Some(room(1)), at(1_550));
    assert_eq!(events(&mut alice), [entering(1, true)]);
    alice.handle_joined(at(1_600));
    assert_eq!(events(&mut alice), [ParticipantEvent::Tell(room(1))]);
    alice.handle_sign(false, at(1_700));
    assert_eq!(events(&mut alice), []);
    assert!(alice.hears(at(1_700)));
    alice.handle_sign(true, at(1_750));
    assert_eq!(events(&mut alice), [ParticipantEvent::Carry(true)]);
    alice
}

#[test]
fn fwd_09_sound_goes_there_only_while_the_other_one_says_that_it_hears() {
    let mut alice = forwarded();
    alice.handle_sign(true, at(1_850));
    assert_eq!(alice.poll_timeout().unwrap().at, at(2_200));
    assert_eq!(until(&mut alice, at(2_199)), []);
    assert_eq!(
        until(&mut alice, at(2_200)),
        [ParticipantEvent::Carry(false)]
    );
    assert!(!alice.hears(at(2_200)));
    // It was a moment only.
    alice.handle_sign(true, at(2_300));
    assert_eq!(events(&mut alice), [ParticipantEvent::Carry(true)]);
    // We are not heard any more, though we hear.
    alice.handle_sign(false, at(2_350));
    assert_eq!(events(&mut alice), [ParticipantEvent::Carry(false)]);
}

#[test]
fn fwd_09_a_forwarder_that_dies_is_left_at_once_and_sought_anew_later() {
    let mut alice = forwarded();
    alice.handle_gone(at(2_000));
    let left = [ParticipantEvent::Leave, ParticipantEvent::Carry(false)];
    assert_eq!(events(&mut alice), left);
    assert_eq!(until(&mut alice, at(11_999)), []);
    assert_eq!(until(&mut alice, at(12_000)), [ParticipantEvent::Ask(1)]);
    // One that only falls silent is left when it stays so.
    let mut alice = forwarded();
    let silent = [ParticipantEvent::Carry(false), ParticipantEvent::Leave];
    assert_eq!(until(&mut alice, at(6_000)), silent);
}

#[test]
fn fwd_10_a_direct_way_wins_and_the_room_is_kept_a_while() {
    let mut alice = forwarded();
    alice.handle_path(true, at(1_800));
    assert_eq!(events(&mut alice), [ParticipantEvent::Carry(false)]);
    alice.handle_sign(true, at(1_850));
    assert_eq!(events(&mut alice), []);
    // It breaks: the room is still there.
    alice.handle_path(false, at(1_900));
    assert_eq!(events(&mut alice), [ParticipantEvent::Carry(true)]);
    alice.handle_path(true, at(2_000));
    assert_eq!(events(&mut alice), [ParticipantEvent::Carry(false)]);
    assert_eq!(until(&mut alice, at(5_000)), [ParticipantEvent::Leave]);
    assert_eq!(alice.poll_timeout(), None, "nothing is sought");
    alice.handle_told(room(2), at(6_000));
    assert_eq!(events(&mut alice), []);
    alice.handle_path(false, at(60_000));
    assert_eq!(until(&mut alice, at(61_499)), []);
    assert_eq!(until(&mut alice, at(61_500)), [ParticipantEvent::Ask(1)]);
}

#[test]
fn fwd_10_a_call_that_is_direct_soon_asks_nobody() {
    let mut alice = Participant::new(Side::Caller, at(0));
    alice.handle_path(false, at(100));
    alice.handle_path(true, at(1_400));
    assert_eq!(until(&mut alice, at(100_000)), []);
}

#[test]
fn fwd_12_the_caller_seeks_first_and_of_two_rooms_his_counts() {
    let mut bob = Participant::new(Side::Callee, at(0));
    assert_eq!(bob.poll_timeout().unwrap().at, at(5_000));
    bob.handle_told(room(1), at(1_700));
    assert_eq!(events(&mut bob), [entering(1, false)]);
    bob.handle_joined(at(1_750));
    assert_eq!(events(&mut bob), [], "the caller knows");
    // Another one of the caller's replaces it.
    bob.handle_told(room(2), at(1_800));
    assert_eq!(events(&mut bob), [entering(2, false)]);

    let mut alice = forwarded();
    alice.handle_told(room(3), at(1_800));
    assert_eq!(events(&mut alice), [], "the caller has one");
    let mut alice = Participant::new(Side::Caller, at(0));
    alice.handle_told(room(3), at(100));
    assert_eq!(events(&mut alice), [entering(3, false)]);
}

#[test]
fn fwd_12_attempts_are_ever_rarer_and_never_given_up() {
    let mut alice = Participant::new(Side::Caller, at(0));
    let mut asked = Vec::new();
    while asked.len() < 7 {
        let due = alice.poll_timeout().unwrap();
        alice.handle_timeout(due.at);
        if let [ParticipantEvent::Ask(_)] = events(&mut alice)[..] {
            asked.push(due.at.as_millis());
            match asked.len() {
                // The home says no.
                1..4 => alice.handle_room(None, due.at),
                // It opens a room that cannot be entered.
                4 => alice.handle_room(Some(room(1)), due.at),
                _ => {}
            }
            events(&mut alice);
        }
    }
    let between: Vec<u128> = asked.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(between, [10_000, 20_000, 40_000, 65_000, 66_000, 66_000]);
}

#[test]
fn fwd_15_whoever_names_room_after_room_is_followed_now_and_then_only() {
    let followed = |every_ms: u64| {
        let mut bob = Participant::new(Side::Callee, at(0));
        let told = (0..60_000 / every_ms).filter(|n| {
            bob.handle_told(room(1), at(n * every_ms));
            !events(&mut bob).is_empty()
        });
        told.count()
    };
    assert_eq!(followed(10), 3 + 5, "in a minute");
    assert_eq!(followed(10_000), 6, "each of somebody who does not hurry");
}

#[derive(Debug, Clone)]
enum Step {
    Path(bool),
    Room(bool),
    Told(u8),
    Joined,
    Gone,
    Sign(bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Path),
        any::<bool>().prop_map(Step::Room),
        (0..4_u8).prop_map(Step::Told),
        Just(Step::Joined),
        Just(Step::Gone),
        any::<bool>().prop_map(Step::Sign),
        (0..3_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens, a driver that only follows the events is in a room whenever it speaks in one, and never speaks in one
    /// beside a direct way or to somebody who is not heard.
    #[test]
    fn fwd_09_nobody_speaks_where_nobody_hears(caller: bool, steps in prop::collection::vec(step(), 1..120)) {
        let side = if caller { Side::Caller } else { Side::Callee };
        let mut participant = Participant::new(side, Time::ZERO);
        let (mut now, mut direct, mut inside, mut carries) = (Time::ZERO, false, false, false);
        for step in steps {
            match step {
                Step::Path(on) => {
                    direct = on;
                    participant.handle_path(on, now);
                }
                Step::Room(some) => participant.handle_room(some.then(|| room(1)), now),
                Step::Told(byte) => participant.handle_told(room(byte), now),
                Step::Joined => participant.handle_joined(now),
                Step::Gone => participant.handle_gone(now),
                Step::Sign(hears) => participant.handle_sign(hears, now),
                Step::Wait(ms) => {
                    now += at(ms);
                    participant.handle_timeout(now);
                }
            }
            for event in events(&mut participant) {
                match event {
                    ParticipantEvent::Join { .. } => inside = true,
                    ParticipantEvent::Leave => {
                        prop_assert!(inside);
                        inside = false;
                    }
                    ParticipantEvent::Carry(on) => carries = on,
                    ParticipantEvent::Ask(_) | ParticipantEvent::Tell(_) => {}
                }
            }
            prop_assert!(!carries || (inside && !direct && participant.hears(now)));
            let due = participant.poll_timeout();
            prop_assert!(due.is_some() || direct, "it waits for something");
        }
    }
}
