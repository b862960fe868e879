//! One slot of a group's ordering, in bounds that fit a test. `make long` goes through more.

use std::time::Duration;

use starling_chat::order::chain::{FALLEN_MAX, PROVISIONAL_MAX};
use starling_lab_sim::ordering::findings::{Findings, Setting};
use starling_lab_sim::ordering::slot::OneSlot;
use starling_lab_sim::ordering::world::World;
use stateright::{Checker, Model};

/// Goes through all states; says the way to one where a property does not hold.
fn states(model: OneSlot) -> usize {
    let checker = model.checker().threads(2).spawn_dfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

#[test]
fn order_03_two_members_never_get_two_certificates_whatever_is_lost_late_or_repeated() {
    assert_eq!(states(OneSlot::honest([1, 1])), HONEST);
}

#[test]
fn order_03_a_member_that_lies_never_gets_a_second_certificate() {
    assert_eq!(states(OneSlot::with_a_lying_member([1, 1])), LYING_MEMBER);
}

#[test]
fn order_05_two_certificates_convict_the_holder_that_lied() {
    assert_eq!(states(OneSlot::with_a_lying_holder([1, 1])), LYING_HOLDER);
}

// Should one of these change, the rules have: the complete check in `make long` is due.
const HONEST: usize = 29_241;
const LYING_MEMBER: usize = 406_075;
const LYING_HOLDER: usize = 557_169;

/// Half an hour of it: a tenth of the packets lost, the network in two parts half of the time, somebody always coming back.
fn trouble(seed: u64) -> Setting {
    let seconds = Duration::from_secs;
    Setting {
        seed,
        members: 5,
        holders: 5,
        trouble: seconds(900),
        loss: 0.1,
        liar: false,
        commits_every: seconds(60),
        texts_every: seconds(30),
        parts_every: seconds(300),
        crashes_every: seconds(120),
    }
}

fn all_is_well(seed: u64, findings: &Findings) {
    assert_eq!(
        findings.branches.len(),
        1,
        "one epoch for all, seed {seed}: {findings:#?}"
    );
    assert_eq!(
        findings.split, 0,
        "two certificates, seed {seed}: {findings:#?}"
    );
    assert_eq!(
        (findings.lost, findings.pending),
        (0, 0),
        "seed {seed}: {findings:#?}"
    );
    assert_eq!(
        (findings.settled_overturned, findings.liars),
        (0, 0),
        "seed {seed}: {findings:#?}"
    );
    assert!(
        findings.copies <= PROVISIONAL_MAX + FALLEN_MAX,
        "seed {seed}: {findings:#?}"
    );
    let commits = findings.branches.values().copied().min();
    assert!(commits > Some(10), "seed {seed}: {findings:#?}");
}

#[test]
fn order_10_groups_come_to_one_epoch_and_lose_no_text_after_loss_parting_and_crashes() {
    let mut overturned = 0;
    for seed in 0..8 {
        let findings = World::new(trouble(seed)).run();
        all_is_well(seed, &findings);
        overturned += findings.overturned;
    }
    assert!(
        overturned > 20,
        "or nothing was ever repaired: {overturned}"
    );
}

#[test]
fn order_10_a_large_group_does_so_too() {
    let large = Setting {
        members: 30,
        commits_every: Duration::from_secs(600),
        texts_every: Duration::from_secs(300),
        ..trouble(1)
    };
    let findings = World::new(large).run();
    all_is_well(1, &findings);
}

/// Worlds in which the liar settles an epoch twice.
const SPLIT: [u64; 3] = [6, 13, 48];

fn with_a_liar(seed: u64) -> Findings {
    let setting = Setting {
        liar: true,
        ..trouble(seed)
    };
    World::new(setting).run()
}

fn all_is_well_again(seed: u64, findings: &Findings) {
    assert_eq!(
        findings.branches.len(),
        1,
        "one epoch for all, seed {seed}: {findings:#?}"
    );
    assert_eq!(
        (findings.lost, findings.pending),
        (0, 0),
        "seed {seed}: {findings:#?}"
    );
    let found_out = findings.split == 0 || findings.liars == 1;
    assert!(
        found_out,
        "two certificates and no liar, seed {seed}: {findings:#?}"
    );
}

#[test]
fn order_10_a_holder_that_lies_is_found_out_and_keeps_nobody_apart() {
    let mut liars = 0;
    for seed in 0..6 {
        let findings = with_a_liar(seed);
        all_is_well_again(seed, &findings);
        liars += findings.liars;
    }
    assert!(liars >= 4, "or it hardly ever lied: {liars}");
}

#[test]
fn order_10_an_epoch_that_was_settled_twice_keeps_nobody_apart() {
    for seed in SPLIT {
        let findings = with_a_liar(seed);
        all_is_well_again(seed, &findings);
        assert!(
            findings.split > 0 && findings.rejoined > 0,
            "seed {seed}: {findings:#?}"
        );
    }
}

#[test]
#[ignore = "minutes: `make long` goes through these"]
fn order_10_many_worlds() {
    let mut split = Vec::new();
    for seed in 0..130 {
        all_is_well(seed, &World::new(trouble(seed)).run());
        let findings = with_a_liar(seed);
        all_is_well_again(seed, &findings);
        if findings.split > 0 {
            split.push((seed, findings.rejoined));
        }
    }
    println!("settled twice, and members let in again: {split:?}");
}
