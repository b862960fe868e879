//! Small worlds, run twice.

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
    assert_eq!(report.above_cap, 0, "{report:#?}");
    assert!(report.promoted > 15, "{report:#?}");
    assert_eq!(report.lookups_right, 1.0, "{report:#?}");
    assert_eq!(report.membership_right, 1.0, "{report:#?}");
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let small = include_str!("../../scenarios/small.toml").replace("nodes = 2000", "nodes = 400");
    assert_eq!(run(&small), run(&small));
}
