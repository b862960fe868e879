//! Conversations with real keys at real holders.

use std::time::Duration;

use starling_lab_sim::groups::{Findings, Setting, World};

fn trouble(seed: u64) -> Setting {
    let seconds = Duration::from_secs;
    Setting {
        seed,
        devices: 4,
        holders: 5,
        trouble: seconds(600),
        changes_every: seconds(60),
        says_every: seconds(20),
        cuts_every: seconds(10),
        crashes_every: seconds(30),
    }
}

fn all_is_well(seed: u64, findings: &Findings) {
    assert_eq!(
        findings.epochs.len(),
        1,
        "one epoch, seed {seed}: {findings:#?}"
    );
    assert_eq!(
        findings.views.len(),
        1,
        "one view, seed {seed}: {findings:#?}"
    );
    assert_eq!(
        (findings.lost, findings.leaked),
        (0, 0),
        "seed {seed}: {findings:#?}"
    );
    assert!(findings.changes[0] > 10, "seed {seed}: {findings:#?}");
}

#[test]
fn order_10_devices_with_real_keys_come_to_one_epoch_and_have_every_message() {
    for seed in 0..4 {
        let findings = World::new(trouble(seed)).run();
        all_is_well(seed, &findings);
    }
}

#[test]
#[ignore = "minutes: `make long` goes through these"]
fn order_10_many_groups() {
    for seed in 0..100 {
        all_is_well(seed, &World::new(trouble(seed)).run());
    }
}
