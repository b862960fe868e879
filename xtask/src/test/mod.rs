//! `cargo xtask test`: plain `cargo test --workspace`, the labs last and alone, the slowest tests named.
//!
//! Stable `cargo test` reports no times. So cargo is told to start each test binary through this
//! program (its `runner` setting, which changes nothing in what is built): [`runner`] passes the
//! binary's output on as it comes and notes when each test's line appears, [`times`] makes durations
//! of it. Packages listed under `tests.alone` in `house.toml` measure time on emulated networks: the
//! runner only notes their binaries, and they run here at the end, one test at a time.

mod record;
mod runner;
mod times;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde::Deserialize;

use crate::error::XtaskError;
use record::{Deferred, Record, TestTime};

pub use runner::{RUNNER, run_binary};

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;
/// No test may take longer, in seconds; one that does is marked.
const TOO_SLOW: f64 = 30.0;
/// Machines are noisy: with `CI=true` only one that takes twice as long fails the run.
const FAR_TOO_SLOW: f64 = 60.0;

/// The part of `house.toml` that matters here.
#[derive(Deserialize)]
struct House {
    tests: Tests,
}

#[derive(Deserialize)]
struct Tests {
    alone: Vec<String>,
}

/// Runs the tests; `arguments` go to `cargo test` in place of `--workspace`.
pub fn run(arguments: &[String]) -> Result<ExitCode, XtaskError> {
    let began = Instant::now();
    let alone = packages_alone()?;
    let record = Record::create()?;
    let mut passed = cargo_test(arguments, &record, &alone)?;
    for deferred in record.deferred()? {
        passed &= run_alone(&deferred, &record)?;
    }
    let times = record.times()?;
    print_slowest(&times, began.elapsed().as_secs());
    record.remove()?;
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    for test in times.iter().filter(|test| ci && is_far_too_slow(test)) {
        eprintln!(
            "{} took {:.0} s: with CI=true none may take {FAR_TOO_SLOW} s.",
            test.name, test.seconds
        );
        passed = false;
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        eprintln!("Tests failed; their output stands above.");
        ExitCode::FAILURE
    })
}

fn packages_alone() -> Result<Vec<String>, XtaskError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("house.toml");
    let text = std::fs::read_to_string(&path).map_err(XtaskError::file(&path))?;
    let house: House = toml::from_str(&text).map_err(XtaskError::form("xtask/house.toml"))?;
    Ok(house.tests.alone)
}

fn cargo_test(arguments: &[String], record: &Record, alone: &[String]) -> Result<bool, XtaskError> {
    let this = std::env::current_exe().map_err(XtaskError::start("xtask"))?;
    // A JSON list of strings is a TOML list of strings.
    let runner = serde_json::json!([this.to_string_lossy(), RUNNER]);
    let everything = ["--workspace".to_owned()];
    let what = if arguments.is_empty() {
        &everything
    } else {
        arguments
    };
    let mut cargo = Command::new("cargo");
    // `cargo xtask` has told us who we are. To the build scripts of others that would be news, and a reason to build anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let status = cargo
        .args(["test", "--locked", "--no-fail-fast", "--config"])
        .arg(format!("target.'cfg(all())'.runner = {runner}"))
        .args(what)
        .envs(record.environment(alone))
        .status()
        .map_err(XtaskError::start("cargo test"))?;
    Ok(status.success())
}

fn run_alone(deferred: &Deferred, record: &Record) -> Result<bool, XtaskError> {
    let program = deferred.program.display();
    println!("\n     Running alone: {} ({program})", deferred.package);
    let one_at_a_time = 1;
    runner::run_and_time(
        &deferred.command(),
        one_at_a_time,
        &deferred.package,
        record,
        std::io::stdout(),
    )
    .map(|code| code == 0)
}

fn is_far_too_slow(test: &TestTime) -> bool {
    test.seconds > FAR_TOO_SLOW
}

fn print_slowest(times: &[TestTime], total: u64) {
    let mut slowest: Vec<&TestTime> = times.iter().collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    println!(
        "\nThe slowest of {} tests, {total} s in all with building:",
        times.len()
    );
    for test in slowest.iter().take(SLOWEST) {
        println!(
            "{:7.2} s  {}  {}{}",
            test.seconds,
            test.package,
            test.name,
            mark(test)
        );
    }
}

fn mark(test: &TestTime) -> &'static str {
    if test.seconds > TOO_SLOW {
        "  (no test may take longer than 30 s: split it, or mark it `ignored` with the reason)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_test_is_marked_and_one_far_too_slow_fails() {
        let test = |seconds| TestTime {
            package: "a".to_owned(),
            name: "b".to_owned(),
            seconds,
        };
        for (seconds, marked, failed) in [
            (29.9, false, false),
            (30.1, true, false),
            (60.1, true, true),
        ] {
            let test = test(seconds);
            assert_eq!(
                (!mark(&test).is_empty(), is_far_too_slow(&test)),
                (marked, failed)
            );
        }
    }
}
