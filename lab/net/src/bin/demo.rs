//! `make demo`: a supernode, Alice and Bob show by themselves what Starling does, with measured times.
//! Exit code 1 if anything was not as it must be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use starling_lab_net::demo::{self, Options};

/// Long enough for the rate to mean something.
const FILE_BYTES: usize = 100_000_000;
const CALL: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let options = Options {
        recordings: recordings(),
        call: CALL,
        file_bytes: FILE_BYTES,
    };
    let outcome = match demo::run(&options, &mut |line| println!("{line}")) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("The demonstration failed. {error}");
            return ExitCode::FAILURE;
        }
    };
    let failures = outcome.failures();
    for failure in &failures {
        eprintln!("{failure}");
    }
    if !failures.is_empty() {
        return ExitCode::FAILURE;
    }
    println!("Texts and files arrived as they were sent, and every word can be understood.");
    println!("The recordings are in {}", options.recordings.display());
    ExitCode::SUCCESS
}

/// `demo` in the folder where everything is built, or here.
fn recordings() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|own| own.ancestors().nth(2).map(Path::to_owned))
        .unwrap_or_default()
        .join("demo")
}
