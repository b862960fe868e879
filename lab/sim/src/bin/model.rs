//! The complete check of one slot, for `make long`: minutes, and gigabytes of memory for the largest.
//!
//! ```text
//! model [--write] [NAME...]
//! ```
//!
//! Prints how many states there are and compares that with the committed report: it is the same number each time. Exit code 1 if
//! it is not, or if a property does not hold, 2 for a wrong argument.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use starling_lab_sim::ordering::slot::OneSlot;
use stateright::{Checker, Model};

const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/slot.toml");

fn main() -> ExitCode {
    let (options, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with("--"));
    let write = options == ["--write"];
    let mut all = OneSlot::all();
    if !names.is_empty() {
        all.extend(OneSlot::open());
    }
    let known = |name: &String| all.iter().any(|(one, _)| one == name);
    if !(write || options.is_empty()) || !names.iter().all(known) {
        eprintln!("usage: model [--write] [NAME...], of these:");
        all.iter().for_each(|(name, _)| eprintln!("  {name}"));
        return ExitCode::from(2);
    }
    let chosen = all
        .into_iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|one| one == name));
    let found = chosen
        .map(|(name, model)| (name.to_owned(), states(name, model)))
        .collect();
    match compare(Path::new(REPORT), found, write) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(complaint) => {
            eprintln!("{REPORT}: {complaint}");
            ExitCode::from(2)
        }
    }
}

/// All states; panics with the way there if a property does not hold.
fn states(name: &str, model: OneSlot) -> usize {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model.checker().threads(threads).spawn_dfs().join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    println!(
        "{name}: {states} states, {:.0} s",
        began.elapsed().as_secs_f64()
    );
    states
}

fn compare(report: &Path, found: BTreeMap<String, usize>, write: bool) -> Result<bool, String> {
    let text = std::fs::read_to_string(report).unwrap_or_default();
    let mut before: BTreeMap<String, usize> =
        toml::from_str(&text).map_err(|error| error.to_string())?;
    if write {
        before.extend(found);
        let text = toml::to_string(&before).map_err(|error| error.to_string())?;
        std::fs::write(report, text).map_err(|error| error.to_string())?;
        return Ok(true);
    }
    let differs = |(name, states): &(&String, &usize)| before.get(*name) != Some(states);
    let others: Vec<_> = found.iter().filter(differs).collect();
    others.iter().for_each(|(name, states)| {
        eprintln!("{name}: {states} states; the report says something else")
    });
    Ok(others.is_empty())
}
