//! `make lab`: the NAT matrix. Prints a line for each ordered pair of accesses.
//!
//! ```text
//! lab [--markdown FILE]
//! ```
//!
//! Needs network namespaces, hence root or unprivileged user namespaces. Exit code 1 if a pair did not connect or the lab
//! could not be built, 2 if it is called wrongly.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use starling_lab_net::bench::machine::Machine;
use starling_lab_net::bench::page;
use starling_lab_net::matrix::{self, Kind, Pair};
use starling_lab_net::namespace;

const SECTION: &str = "NAT matrix";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let page = match arguments.as_slice() {
        [] => None,
        [option, file] if option == "--markdown" => Some(PathBuf::from(file)),
        _ => {
            eprintln!("usage: lab [--markdown FILE]");
            return ExitCode::from(2);
        }
    };
    match run(page.as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every pair connected.
fn run(page: Option<&Path>) -> Result<bool, String> {
    namespace::enter_user_namespace()
        .and_then(|()| namespace::probe())
        .map_err(|e| e.to_string())?;
    let machine = Machine::here();
    let matrix =
        matrix::run(&Kind::ALL, &mut |line| println!("{line}")).map_err(|e| e.to_string())?;
    if let Some(path) = page {
        let trouble = |e: std::io::Error| format!("{}: {e}", path.display());
        let before = std::fs::read_to_string(path).map_err(trouble)?;
        let section = matrix::markdown(&machine, &matrix);
        let after = page::with_section(&before, SECTION, &section);
        std::fs::write(path, after).map_err(trouble)?;
    }
    Ok(matrix.pairs.iter().all(Pair::connected))
}
