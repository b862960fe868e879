//! `make sim`: runs scenarios and compares each report with the committed one.
//!
//! ```text
//! sim [--write] SCENARIO.toml...
//! ```
//!
//! Exit code 1 if a report differs from the committed one, 2 if a scenario cannot be read.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use starling_lab_sim::mailbox;
use starling_lab_sim::scenario::Scenario;
use starling_lab_sim::world::World;

fn main() -> ExitCode {
    let (options, files): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with("--"));
    let write = options == ["--write"];
    if files.is_empty() || !(write || options.is_empty()) {
        eprintln!("usage: sim [--write] SCENARIO.toml...");
        return ExitCode::from(2);
    }
    let mut same = true;
    for file in &files {
        match run(Path::new(file), write) {
            Ok(as_before) => same &= as_before,
            Err(complaint) => {
                eprintln!("{file}: {complaint}");
                return ExitCode::from(2);
            }
        }
    }
    if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(file: &Path, write: bool) -> Result<bool, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
    // Which world it is shows in what it has.
    if table.contains_key("conversations") {
        let scenario: mailbox::Scenario = read(&text)?;
        let kept = report_path(file, &scenario.name);
        return compare(&kept, write, || mailbox::World::new(scenario).run());
    }
    let scenario: Scenario = read(&text)?;
    let kept = report_path(file, &scenario.name);
    compare(&kept, write, || World::new(scenario).run())
}

fn compare<R: Serialize + DeserializeOwned + PartialEq>(
    kept: &Path,
    write: bool,
    run: impl FnOnce() -> R,
) -> Result<bool, String> {
    let began = Instant::now();
    let report = run();
    let text = toml::to_string(&report).map_err(|error| error.to_string())?;
    println!("{text}# {:.0} s\n", began.elapsed().as_secs_f64());
    if write {
        std::fs::write(kept, &text).map_err(|error| error.to_string())?;
        return Ok(true);
    }
    let before = std::fs::read_to_string(kept).map_err(|error| error.to_string())?;
    let before: R = read(&before)?;
    if before != report {
        eprintln!("{} says something else", kept.display());
    }
    Ok(before == report)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

/// `scenarios/NAME.toml` has its report in `reports/NAME.toml`.
fn report_path(scenario: &Path, name: &str) -> PathBuf {
    let folder = scenario.parent().and_then(Path::parent);
    folder
        .unwrap_or_else(|| Path::new(""))
        .join("reports")
        .join(format!("{name}.toml"))
}
