//! `cargo xtask`: what the project's commands need beyond cargo itself.
//!
//! - `cargo xtask tidy` checks the rules of the house (`xtask/house.toml`).
//! - `cargo xtask test [ARGUMENTS OF CARGO TEST]` runs the tests, the labs last, and prints the slowest.

mod error;
mod test;
mod tidy;

use std::process::ExitCode;

use error::XtaskError;

const USAGE: &str = "usage: cargo xtask tidy | test [arguments of cargo test]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, [])) if command == "tidy" => tidy::run(),
        Some((command, rest)) if command == "test" => test::run(rest),
        // For `cargo test`, which hands every test binary to it: see `test/runner.rs`.
        Some((command, rest)) if command == test::RUNNER => test::run_binary(rest),
        _ => Err(XtaskError::Usage(USAGE)),
    };
    outcome.unwrap_or_else(|e| {
        eprintln!("xtask: {e}");
        ExitCode::FAILURE
    })
}
