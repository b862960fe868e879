//! Alice's laptop and her new phone, with connections that break; Mallory, who has the link, or guesses at it, or sits in between.

mod chance;
mod world;

use ed25519_dalek::SigningKey;
use starling_wire::account::{Chain, Change};
use starling_wire::card::Card;
use starling_wire::envelope::request_key;
use starling_wire::ids::{DeviceId, EndpointKey};
use starling_wire::pairing::{
    Doors, EndReason, Hello, PairingFrame, Secret, VerifiedWelcome, Welcome, Words,
};

use self::world::*;
use super::Failure;
use super::newcomer::{Newcomer, NewcomerEvent};
use super::owner::{
    Added, Owner, OwnerCommand, OwnerEvent, OwnerRefused, OwnerTransmit, VALID, WRONG_MAX,
};
use crate::machine::Time;

#[test]
fn pair_10_both_show_the_same_words_and_the_device_joins_once_they_were_compared() {
    let mut world = World::new();
    assert_eq!(world.at_newcomer.events, [NewcomerEvent::Dial]);
    world.connect();
    assert_eq!(world.confirm(), Err(OwnerRefused::NoDevice), "no words yet");
    world.settle();
    assert_eq!(world.at_owner.words(), world.at_newcomer.words());
    assert!(world.at_owner.words().is_some() && world.at_owner.persisted.is_empty());
    world.wait(60);
    assert!(world.at_owner.persisted.is_empty(), "nobody said yes");
    assert_eq!(world.confirm(), Ok(()));
    let added = Added {
        device: device(4),
        door: PHONE,
        welcome: *welcome(4),
    };
    assert_eq!(world.at_owner.persisted, [added]);
    world.settle();
    assert!(world.joined());
    assert_eq!(world.at_newcomer.persisted.len(), 1);
    let account = world.at_newcomer.persisted[0].card.account().id();
    assert_eq!(account, welcome(4).card.card.chain.id());
    assert_eq!(world.confirm(), Err(OwnerRefused::NoDevice));
}

#[test]
fn pair_10_a_welcome_for_another_device_is_not_what_was_compared() {
    let mut world = World::new();
    world.connect();
    world.settle();
    let another = OwnerCommand::Confirm(welcome(6));
    let answer = world.owner.handle_command(another, world.now);
    assert_eq!(answer, Err(OwnerRefused::AnotherDevice));
    world.drain();
    assert!(world.at_owner.persisted.is_empty() && world.to_newcomer.is_empty());
    assert_eq!(world.confirm(), Ok(()));
    assert_eq!(world.confirm(), Err(OwnerRefused::Added));
    assert_eq!(world.at_owner.persisted.len(), 1);
}

#[test]
fn pair_10_a_welcome_before_the_words_is_not_followed() {
    let mut phone = newcomer(secret(), LAPTOP);
    let mut side = NewcomerSide::default();
    side.drain(&mut phone);
    phone.handle_connected();
    side.drain(&mut phone);
    phone.handle_frame(PairingFrame::Welcome(welcome(4)));
    assert!(side.drain(&mut phone).is_empty() && side.persisted.is_empty());
}

/// Whoever replaced the link sends a welcome of his own at once.
#[test]
fn pair_13_nobody_joins_before_the_person_at_the_new_device_has_compared_the_words() {
    let mut phone = newcomer(secret(), MALLORY);
    let mut side = NewcomerSide::default();
    side.drain(&mut phone);
    phone.handle_connected();
    phone.poll_transmit();
    phone.handle_confirm();
    assert!(side.drain(&mut phone).is_empty(), "no words yet");
    phone.handle_frame(PairingFrame::Number([10; 32]));
    side.drain(&mut phone);
    for _ in 0..2 {
        phone.handle_frame(PairingFrame::Welcome(welcome(4)));
        assert!(side.drain(&mut phone).is_empty() && side.persisted.is_empty());
    }
    phone.handle_cancel();
    let end = [PairingFrame::End(EndReason::Cancelled)];
    assert_eq!(side.drain(&mut phone), end);
    phone.handle_confirm();
    assert!(side.drain(&mut phone).is_empty() && side.persisted.is_empty());
    // The other way round: the person was faster, or slower, than the owner.
    for slower in [false, true] {
        let mut world = World::new();
        world.connect();
        world.settle();
        if slower {
            assert_eq!(world.confirm_at_owner(), Ok(()));
            world.settle();
            assert!(world.at_newcomer.persisted.is_empty());
            world.agree();
        } else {
            world.agree();
            assert_eq!(world.confirm_at_owner(), Ok(()));
        }
        world.settle();
        assert!(world.joined());
    }
}

#[test]
fn pair_07_the_second_device_with_the_link_is_refused_and_noticed() {
    let mut world = World::new();
    world.connect();
    world.settle();
    let mallory = Joins {
        device: 6,
        door: MALLORY,
        number: [1; 32],
    };
    // His own device; the phone's words from his door; another device at the phone's door; the phone with another number.
    let phone_again = Joins {
        number: [2; 32],
        ..THE_PHONE
    };
    let at_phone = Joins {
        door: PHONE,
        ..mallory
    };
    let tries = [
        (MALLORY, hello(mallory, &secret())),
        (MALLORY, hello(THE_PHONE, &secret())),
        (PHONE, hello(at_phone, &secret())),
        (PHONE, hello(phone_again, &secret())),
    ];
    for confirmed in [false, true] {
        for (from, hello) in tries.clone() {
            let hello = PairingFrame::Hello(hello);
            world.owner.handle_frame(from, hello, world.now);
            let said = world.at_owner.drain(&mut world.owner);
            let end = PairingFrame::End(EndReason::Used);
            assert_eq!(
                said,
                [OwnerTransmit {
                    to: from,
                    frame: end
                }]
            );
        }
        for frame in [
            PairingFrame::Reveal([1; 32]),
            PairingFrame::Kept,
            PairingFrame::End(EndReason::Cancelled),
        ] {
            world.owner.handle_frame(MALLORY, frame, world.now);
            assert!(world.at_owner.drain(&mut world.owner).is_empty());
        }
        if !confirmed {
            assert_eq!(world.confirm(), Ok(()));
        }
    }
    assert_eq!(world.at_owner.refused(EndReason::Used), 8);
    world.settle();
    assert!(world.joined());
    let late = PairingFrame::Hello(hello(mallory, &secret()));
    world.owner.handle_frame(MALLORY, late, world.now);
    let said = world.at_owner.drain(&mut world.owner);
    assert_eq!(said[0].frame, PairingFrame::End(EndReason::Used));
    assert_eq!(world.at_owner.persisted.len(), 1);
}

#[test]
fn pair_09_a_few_wrong_secrets_end_the_link() {
    let (mut owner, mut side) = (owner(), OwnerSide::default());
    let guess = |n: u8| {
        let joins = Joins {
            door: EndpointKey([n; 32]),
            ..THE_PHONE
        };
        let hello = hello(joins, &Secret::new([n; 16]));
        (joins.door, PairingFrame::Hello(hello))
    };
    for n in 0..WRONG_MAX as u8 {
        assert!(owner.admits(START) && failed(&side.events).is_none());
        let (from, frame) = guess(100 + n);
        owner.handle_frame(from, frame, START);
        let said = side.drain(&mut owner);
        assert_eq!(said[0].frame, PairingFrame::End(EndReason::WrongSecret));
    }
    assert_eq!(failed(&side.events), Some(&Failure::Guessed));
    assert!(!owner.admits(START) && owner.poll_timeout().is_none());
    // Not even with the right one.
    let right = PairingFrame::Hello(hello(THE_PHONE, &secret()));
    owner.handle_frame(PHONE, right, START);
    let said = side.drain(&mut owner);
    assert_eq!(said[0].frame, PairingFrame::End(EndReason::Expired));
}

#[test]
fn pair_09_wrong_secrets_do_not_disturb_a_device_that_came_first() {
    let mut world = World::new();
    world.connect();
    for _ in 0..10 * WRONG_MAX {
        let guess = PairingFrame::Hello(hello(THE_PHONE, &Secret::new([1; 16])));
        world.owner.handle_frame(MALLORY, guess, world.now);
        world.at_owner.drain(&mut world.owner);
        world.deliver(true);
        world.deliver(false);
    }
    world.settle();
    assert_eq!(world.confirm(), Ok(()));
    world.settle();
    assert!(world.joined());
}

#[test]
fn pair_04_a_number_that_was_not_committed_to_ends_it() {
    let (mut owner, mut side) = (owner(), OwnerSide::default());
    let first = PairingFrame::Hello(hello(THE_PHONE, &secret()));
    owner.handle_frame(PHONE, first, START);
    side.drain(&mut owner);
    owner.handle_frame(PHONE, PairingFrame::Reveal([21; 32]), START);
    let said = side.drain(&mut owner);
    assert_eq!(said[0].frame, PairingFrame::End(EndReason::Malformed));
    assert_eq!(failed(&side.events), Some(&Failure::Altered));
    assert_eq!(side.words(), None);
}

#[test]
fn pair_12_the_number_is_not_revealed_for_a_second_one() {
    let mut phone = newcomer(secret(), LAPTOP);
    let mut side = NewcomerSide::default();
    side.drain(&mut phone);
    phone.handle_connected();
    side.drain(&mut phone);
    for _ in 0..2 {
        phone.handle_frame(PairingFrame::Number([10; 32]));
        let revealed = [PairingFrame::Reveal(THE_PHONE.number)];
        assert_eq!(side.drain(&mut phone), revealed);
    }
    phone.handle_frame(PairingFrame::Number([11; 32]));
    let end = [PairingFrame::End(EndReason::Malformed)];
    assert_eq!(side.drain(&mut phone), end);
    assert_eq!(gave_up(&side.events), Some(&Failure::Altered));
    phone.handle_frame(PairingFrame::Welcome(welcome(4)));
    assert!(side.drain(&mut phone).is_empty() && side.persisted.is_empty());
}

/// Mallory has read the link and shows the phone one of his own. He knows both secrets and passes on what he can.
#[test]
fn pair_05_whoever_is_in_between_makes_the_words_differ() {
    for own_secret in [secret(), Secret::new([6; 16])] {
        let (mut laptop, mut at_laptop) = (owner(), OwnerSide::default());
        let mut phone = newcomer(own_secret, MALLORY);
        let mut at_phone = NewcomerSide::default();
        at_phone.drain(&mut phone);
        phone.handle_connected();
        at_phone.drain(&mut phone);
        let mallory = Joins {
            device: 6,
            door: MALLORY,
            number: [30; 32],
        };
        let first = PairingFrame::Hello(hello(mallory, &secret()));
        laptop.handle_frame(MALLORY, first, START);
        let said = at_laptop.drain(&mut laptop);
        // The laptop's number is passed on; he may as well choose one.
        phone.handle_frame(said[0].frame.clone());
        assert_eq!(at_phone.drain(&mut phone).len(), 1);
        let own = PairingFrame::Reveal(mallory.number);
        laptop.handle_frame(MALLORY, own, START);
        at_laptop.drain(&mut laptop);
        assert!(at_laptop.words().is_some() && at_phone.words().is_some());
        assert_ne!(at_laptop.words(), at_phone.words());
        assert!(at_laptop.persisted.is_empty());
    }
}

#[test]
fn pair_08_a_link_ends_after_ten_minutes() {
    let minutes = VALID.as_secs();
    let mut unused = World::new();
    assert_eq!(
        unused.owner.poll_timeout().map(|due| due.at),
        Some(START + VALID)
    );
    unused.wait(minutes - 1);
    assert!(unused.owner.admits(unused.now));
    unused.wait(1);
    assert_eq!(failed(&unused.at_owner.events), Some(&Failure::Expired));
    assert_eq!(gave_up(&unused.at_newcomer.events), Some(&Failure::Expired));
    assert!(!unused.owner.admits(unused.now));

    // While the words are compared.
    let mut slow = World::new();
    slow.connect();
    slow.settle();
    slow.now += VALID;
    assert_eq!(slow.confirm(), Err(OwnerRefused::NoDevice));
    assert!(slow.at_owner.persisted.is_empty());
    slow.settle();
    let there = Failure::There(EndReason::Expired);
    assert_eq!(gave_up(&slow.at_newcomer.events), Some(&there));

    // By a frame that comes before anybody looked at the clock.
    let (mut owner, mut side) = (owner(), OwnerSide::default());
    let late = PairingFrame::Hello(hello(THE_PHONE, &secret()));
    owner.handle_frame(PHONE, late, START + VALID);
    let said = side.drain(&mut owner);
    assert_eq!(said[0].frame, PairingFrame::End(EndReason::Expired));
}

#[test]
fn pair_08_a_device_that_was_added_and_never_heard_of_again_is_said() {
    let mut world = World::new();
    world.connect();
    world.settle();
    world.lose();
    assert_eq!(world.confirm(), Ok(()));
    world.wait(VALID.as_secs());
    assert_eq!(failed(&world.at_owner.events), Some(&Failure::Unheard));
    assert_eq!(gave_up(&world.at_newcomer.events), Some(&Failure::Expired));
}

#[test]
fn pair_11_strangers_may_knock_while_a_link_is_valid() {
    let mut world = World::new();
    assert!(world.owner.admits(START));
    world.connect();
    world.settle();
    assert!(world.owner.admits(world.now), "late comers hear why not");
    let cancelled = world.owner.handle_command(OwnerCommand::Cancel, world.now);
    assert_eq!(cancelled, Ok(()));
    world.drain();
    assert!(world.owner.admits(world.now));
    assert!(!world.owner.admits(START + VALID));
}

#[test]
fn either_side_can_cancel_and_says_so() {
    let mut world = World::new();
    world.connect();
    world.settle();
    let cancel = world.owner.handle_command(OwnerCommand::Cancel, world.now);
    assert_eq!(cancel, Ok(()));
    world.drain();
    world.settle();
    assert_eq!(failed(&world.at_owner.events), Some(&Failure::Cancelled));
    let there = Failure::There(EndReason::Cancelled);
    assert_eq!(gave_up(&world.at_newcomer.events), Some(&there));
    assert_eq!(world.confirm(), Err(OwnerRefused::NoDevice));

    let mut world = World::new();
    world.connect();
    world.settle();
    world.newcomer.handle_cancel();
    world.drain();
    world.settle();
    assert_eq!(failed(&world.at_owner.events), Some(&there));
    assert_eq!(
        gave_up(&world.at_newcomer.events),
        Some(&Failure::Cancelled)
    );

    // After the chain was signed the owner cannot undo it, and is told when the other one did not want it.
    let mut world = World::new();
    world.connect();
    world.settle();
    assert_eq!(world.confirm(), Ok(()));
    let late = world.owner.handle_command(OwnerCommand::Cancel, world.now);
    assert_eq!(late, Err(OwnerRefused::Added));
    world.newcomer.handle_cancel();
    world.drain();
    world.settle();
    assert_eq!(failed(&world.at_owner.events), Some(&Failure::GaveUp));
}

#[test]
fn a_welcome_that_is_not_right_is_not_kept() {
    let mut phone = newcomer(secret(), LAPTOP);
    let mut side = NewcomerSide::default();
    side.drain(&mut phone);
    phone.handle_frame(PairingFrame::Number([10; 32]));
    side.drain(&mut phone);
    phone.handle_frame(PairingFrame::Welcome(welcome(6)));
    let end = [PairingFrame::End(EndReason::Malformed)];
    assert_eq!(side.drain(&mut phone), end);
    assert!(matches!(gave_up(&side.events), Some(Failure::Welcome(_))));
    assert!(side.persisted.is_empty());
}
