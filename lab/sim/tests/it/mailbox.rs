//! A few conversations at holders that start anew, leave and die.

use starling_lab_sim::mailbox::{Report, Scenario, World};

fn run(text: &str) -> Report {
    let scenario: Scenario = toml::from_str(text).expect("a scenario");
    World::new(scenario).run()
}

#[test]
fn box_21_what_is_shown_as_held_by_n_outlives_n_minus_1_holders() {
    let small = include_str!("../../scenarios/mailboxes-small.toml");
    for seed in 1..3 {
        let report = run(&small.replace("seed = 1", &format!("seed = {seed}")));
        assert_eq!((report.broken_receipts, report.lost), (0, 0), "{report:#?}");
        assert!(report.messages > 600, "{report:#?}");
        assert!(report.held_by[0] * 10 > report.messages * 8, "{report:#?}");
        let [starts, left, died] = report.fates;
        assert!(starts > 100 && left == 1 && died == 2, "{report:#?}");
        assert!(
            report.changes > 0 && report.repair_bytes.most > 0,
            "{report:#?}"
        );
    }
}

#[test]
fn whoever_was_away_for_29_days_collects_everything() {
    let report = run(include_str!("../../scenarios/mailboxes-small.toml"));
    assert!(report.collected > 300, "{report:#?}");
    assert_eq!(report.missed, 0, "{report:#?}");
}
