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

use starling_lab_sim::report::Report;
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
    let scenario: Scenario = toml::from_str(&text).map_err(|error| error.to_string())?;
    let kept = report_path(file, &scenario.name);
    let began = Instant::now();
    let report = World::new(scenario).run();
    let text = toml::to_string(&report).map_err(|error| error.to_string())?;
    println!("{text}# {:.0} s\n", began.elapsed().as_secs_f64());
    if write {
        std::fs::write(&kept, &text).map_err(|error| error.to_string())?;
        return Ok(true);
    }
    let before = std::fs::read_to_string(&kept).map_err(|error| error.to_string())?;
    let before: Report = toml::from_str(&before).map_err(|error| error.to_string())?;
    if before != report {
        eprintln!("{} says something else", kept.display());
    }
    Ok(before == report)
}

/// `scenarios/NAME.toml` has its report in `reports/NAME.toml`.
fn report_path(scenario: &Path, name: &str) -> PathBuf {
    let folder = scenario.parent().and_then(Path::parent);
    folder
        .unwrap_or_else(|| Path::new(""))
        .join("reports")
        .join(format!("{name}.toml"))
}
