//! Changes, losses, restarts and meetings in any order, on two to five devices: in the end all have the same.

use proptest::prelude::*;

use super::*;

const FIELDS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone, Copy)]
enum Step {
    Change(usize, usize, u8),
    Delete(usize, usize),
    Link(usize, usize),
    Unlink(usize, usize),
    Deliver(usize, usize, usize),
    Restart(usize),
    /// A change that the disk does not take.
    Vain(usize, usize),
    Wait(u64),
    /// One says to another what a third one never did.
    Forge(usize, usize, usize, usize),
    /// The owner's device removes the last one, which does not mind.
    Revoke,
}

fn steps(revoke: u32) -> impl Strategy<Value = Vec<Step>> {
    let device = 0_usize..5;
    let two = (device.clone(), device.clone());
    let field = 0..FIELDS.len();
    let step = prop_oneof![
        2 => (two.clone(), device.clone(), field.clone()).prop_map(|((a, b), n, f)| Step::Forge(a, b, n, f)),
        8 => (device.clone(), field.clone(), 0_u8..100).prop_map(|(n, f, v)| Step::Change(n, f, v)),
        2 => (device.clone(), field.clone()).prop_map(|(n, f)| Step::Delete(n, f)),
        1 => (device.clone(), field).prop_map(|(n, f)| Step::Vain(n, f)),
        8 => two.clone().prop_map(|(a, b)| Step::Link(a, b)),
        3 => two.clone().prop_map(|(a, b)| Step::Unlink(a, b)),
        20 => (two, 1_usize..6).prop_map(|((a, b), n)| Step::Deliver(a, b, n)),
        1 => device.prop_map(Step::Restart),
        2 => (1_u64..100_000).prop_map(Step::Wait),
        revoke => Just(Step::Revoke),
    ];
    prop::collection::vec(step, 0..120)
}

/// The value that everybody passes off as another's.
const FORGED: u8 = 250;
/// The value of changes that were undone.
const UNDONE: u8 = 251;
/// The values that the removed device writes from then on.
const THIEFS: u8 = 200;

fn take(world: &mut World, step: Step, revoked: &mut bool) {
    let count = world.devices.len();
    let last = count - 1;
    match step {
        Step::Change(n, field, value) => {
            let n = n % count;
            let thiefs = *revoked && n == last;
            let value = if thiefs { THIEFS } else { value };
            world.change(n, FIELDS[field], Some(value));
        }
        Step::Delete(n, field) => {
            let n = n % count;
            let thiefs = *revoked && n == last;
            let value = thiefs.then_some(THIEFS);
            world.change(n, FIELDS[field], value);
        }
        Step::Link(a, b) if a % count != b % count => {
            if *revoked && [a % count, b % count].contains(&last) {
                world.return_from_the_dead(last);
            }
            world.link(a % count, b % count);
        }
        Step::Unlink(a, b) if a % count != b % count => world.unlink(a % count, b % count),
        Step::Deliver(a, b, frames) => {
            for _ in 0..frames {
                world.deliver(a % count, b % count);
            }
        }
        Step::Restart(n) => world.restart(n % count),
        Step::Vain(n, field) => world.change_in_vain(n % count, FIELDS[field], UNDONE),
        Step::Wait(ms) => world.now += ms,
        Step::Forge(from, to, whom, field) if from % count != whom % count => {
            let time = world.now + 1_000;
            let lie = forged(from % count, whom % count, FIELDS[field], FORGED, time);
            let entries = SyncFrame::Entries(vec![lie]);
            world.say(from % count, to % count, entries);
        }
        Step::Revoke if !*revoked && count > 2 => {
            world.revoke(0, last);
            *revoked = true;
        }
        Step::Link(..) | Step::Unlink(..) | Step::Revoke | Step::Forge(..) => {}
    }
}

/// Everybody of these meets everybody, one after the other in a chain.
fn meet(world: &mut World, count: usize, seed: u64) {
    for n in 1..count {
        world.link(n - 1, n);
    }
    world.settle_by_chance(seed);
}

/// SYNC-13: nobody ever kept it, nor what was undone.
fn assert_nothing_forged(world: &World) {
    let values = world.ever.iter().map(|entry| &entry.value);
    let mut values = values.flatten().map(|value| value[0]);
    assert!(values.all(|value| ![FORGED, UNDONE].contains(&value)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the order: all have the same, and of each entry the latest change that anybody made.
    #[test]
    fn sync_12_any_order_comes_to_the_same_set(
        count in 2_usize..6,
        skews in prop::collection::vec(-3_600_000_i64..3_600_000, 5),
        steps in steps(0),
        seed: u64,
    ) {
        let mut world = World::new(count);
        for (device, skew) in world.devices.iter_mut().zip(skews) {
            device.skew = skew;
        }
        for step in steps {
            take(&mut world, step, &mut false);
        }
        meet(&mut world, count, seed);
        world.assert_even(0..count);
        assert_nothing_forged(&world);
        let mut latest: BTreeMap<_, Entry> = BTreeMap::new();
        for entry in &world.ever {
            let known = latest.get(&entry.key.place());
            if known.is_none_or(|known| known.version() < entry.version()) {
                latest.insert(entry.key.place(), entry.clone());
            }
        }
        prop_assert_eq!(&world.devices[0].store.entries, &latest);
    }

    /// A device is removed meanwhile and goes on changing things wherever it is still let in: all others have the same in the end,
    /// and nothing that it changed afterwards.
    #[test]
    fn sync_05_any_order_undoes_what_a_removed_device_changes(
        count in 3_usize..6,
        steps in steps(2),
        seed: u64,
    ) {
        let mut world = World::new(count);
        let mut revoked = false;
        for step in steps {
            take(&mut world, step, &mut revoked);
        }
        if !revoked {
            world.revoke(0, count - 1);
        }
        meet(&mut world, count - 1, seed);
        world.assert_even(0..count - 1);
        assert_nothing_forged(&world);
        for n in 0..count - 1 {
            prop_assert!(world.stamped_by(n, count - 1).is_empty());
            let values = world.values(n);
            prop_assert!(values.iter().all(|(_, value)| *value != Some(THIEFS)), "{values:?}");
        }
    }
}
