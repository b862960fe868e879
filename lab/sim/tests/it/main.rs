//! Small worlds, run twice.

mod groups;
mod mailbox;
mod ordering;

use starling_lab_sim::report::Report;
use starling_lab_sim::scenario::Scenario;
use starling_lab_sim::world::World;

fn run(text: &str) -> Report {
    let scenario: Scenario = toml::from_str(text).expect("a scenario");
    World::new(scenario).run()
}

#[test]
fn a_small_world_finds_its_supernodes_and_its_people() {
    let report = run(include_str!("../../scenarios/small.toml"));
    assert_eq!(report.at_home, 1.0, "{report:#?}");
    assert_eq!(report.clients.above_cap, 0, "{report:#?}");
    assert!(report.promoted > 15, "{report:#?}");
    assert_eq!(report.lookups.right, 1.0, "{report:#?}");
    assert_eq!(report.membership_right, 1.0, "{report:#?}");
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let small = include_str!("../../scenarios/small.toml").replace("nodes = 2000", "nodes = 400");
    assert_eq!(run(&small), run(&small));
}

#[test]
fn half_of_the_supernodes_die_and_no_call_ends() {
    let fading = include_str!("../../scenarios/fading.toml")
        .replace("nodes = 10000", "nodes = 1000")
        .replace("clients_max = 200", "clients_max = 50");
    let report = run(&fading);
    assert!(
        report.calls.begun > 30 && report.calls.gap_ms.count > 10,
        "{report:#?}"
    );
    assert_eq!(report.calls.lost, 0, "{report:#?}");
    assert_eq!(report.at_home, 1.0, "{report:#?}");
}

#[test]
fn people_come_and_go_and_come_back_elsewhere() {
    let churn = include_str!("../../scenarios/standing.toml")
        .replace("nodes = 100000", "nodes = 1000")
        .replace("clients_max = 500", "clients_max = 50")
        .replace("lookups = 10000", "lookups = 200");
    let report = run(&churn);
    assert!(report.nodes > 500 && report.nodes < 1_000, "{report:#?}");
    assert!(report.lookups.right > 0.98, "{report:#?}");
    assert_eq!(report.clients.above_cap, 0, "{report:#?}");
}

#[test]
fn with_one_delay_a_look_up_is_two_round_trips() {
    let bench = include_str!("../../scenarios/two-hundred.toml")
        .replace("nodes = 1200", "nodes = 200")
        .replace("founders = 200", "founders = 70")
        .replace("lookups = 2000", "lookups = 100")
        .replace("end_s = 3600", "end_s = 1400")
        .replace("measure_from_s = 1800", "measure_from_s = 900");
    let report = run(&bench);
    assert_eq!(report.lookups.right, 1.0, "{report:#?}");
    // Nearer, where the home or the other one that is asked at the same time holds the record itself.
    let times = report.lookups.ms;
    assert!(times.p50 == 100 && times.most == 100, "{report:#?}");
}
