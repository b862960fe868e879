//! Steps in any order: connections that break, frames that wait, people who cancel, and Mallory.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Connect,
    Lose,
    ToOwner,
    ToNewcomer,
    Confirm,
    Agree,
    Cancel,
    GiveUp,
    Wait(u64),
    /// Mallory says something to the laptop.
    Mallory(u8),
}

/// Now and then somebody cancels; mostly they go on.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Connect),
        2 => Just(Step::Lose),
        12 => Just(Step::ToOwner),
        12 => Just(Step::ToNewcomer),
        3 => Just(Step::Confirm),
        3 => Just(Step::Agree),
        1 => (0_u8..40).prop_map(|n| match n {
            0 => Step::Cancel,
            1 => Step::GiveUp,
            n => Step::Wait(u64::from(n)),
        }),
        2 => (0_u8..6).prop_map(Step::Mallory),
    ];
    prop::collection::vec(step, 0..80)
}

fn mallory_says(n: u8) -> PairingFrame {
    let mallory = Joins {
        device: 6,
        door: MALLORY,
        number: [30; 32],
    };
    match n {
        0 => PairingFrame::Hello(hello(mallory, &Secret::new([n; 16]))),
        1 => PairingFrame::Hello(hello(THE_PHONE, &secret())),
        2 => PairingFrame::Reveal(THE_PHONE.number),
        3 => PairingFrame::Kept,
        4 => PairingFrame::Welcome(welcome(6)),
        _ => PairingFrame::End(EndReason::Cancelled),
    }
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Connect if !world.connected => world.connect(),
        Step::Lose if world.connected => world.lose(),
        Step::ToOwner => drop(world.deliver(true)),
        Step::ToNewcomer => drop(world.deliver(false)),
        Step::Confirm => drop(world.confirm_at_owner()),
        Step::Agree => world.agree(),
        Step::Cancel => {
            let _ = world.owner.handle_command(OwnerCommand::Cancel, world.now);
            world.drain();
        }
        Step::GiveUp => {
            world.newcomer.handle_cancel();
            world.drain();
        }
        Step::Wait(seconds) => world.wait(seconds),
        Step::Mallory(n) => {
            world
                .owner
                .handle_frame(MALLORY, mallory_says(n), world.now);
            world.drain();
        }
        Step::Connect | Step::Lose => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is lost and whoever interferes: one device at most, never before its words were seen on both sides, and nobody is in
    /// at one side who was not added at the other.
    #[test]
    fn pair_07_10_never_two_devices_and_never_one_unseen(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            take(&mut world, step);
            let added = world.at_owner.persisted.len();
            prop_assert!(added <= 1);
            prop_assert!(added == 0 || world.at_owner.persisted[0].device == device(4));
            let seen = (world.at_owner.words(), world.at_newcomer.words());
            prop_assert!(added == 0 || (seen.0.is_some() && seen.0 == seen.1));
            let joined = world.at_newcomer.persisted.len();
            prop_assert!(joined <= added && (joined == 0 || world.agreed));
        }
        // It comes to an end, whatever happened.
        world.wait(VALID.as_secs());
        world.wait(VALID.as_secs());
        prop_assert!(world.owner.poll_timeout().is_none());
        prop_assert!(world.newcomer.poll_timeout().is_none());
    }

    /// However often the connection breaks, the device is in once it holds for long enough.
    #[test]
    fn connections_that_break_cost_time_only(breaks in prop::collection::vec(0_usize..8, 0..20)) {
        let mut world = World::new();
        for frames in breaks {
            world.connect();
            for n in 0..frames {
                world.deliver(n % 2 == 0);
            }
            if world.at_owner.words().is_some() && world.at_owner.persisted.is_empty() {
                let _ = world.confirm();
            }
            world.lose();
            world.wait(15);
        }
        world.connect();
        world.settle();
        if world.at_owner.persisted.is_empty() {
            prop_assert_eq!(world.confirm(), Ok(()));
        }
        world.settle();
        prop_assert!(world.at_newcomer.events.contains(&NewcomerEvent::Joined));
        prop_assert_eq!(world.at_owner.words(), world.at_newcomer.words());
    }
}
