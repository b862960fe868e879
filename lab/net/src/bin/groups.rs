//! `make bench-groups`: what a group of devices costs by its size.
//!
//! ```text
//! groups [--leaves N] [--markdown FILE]
//! ```
//!
//! With `--leaves` only groups of at most so many devices are measured. With `--markdown` a section of that page is written.
//! Exit code 1 if nothing could be measured, 2 if it is called wrongly.

use std::path::PathBuf;
use std::process::ExitCode;

use starling_lab_net::bench::machine::Machine;
use starling_lab_net::bench::page;
use starling_lab_net::groups::{ORDERS, measure, table};

const USAGE: &str = "usage: groups [--leaves N] [--markdown FILE]";

struct Arguments {
    leaves: usize,
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(complaint) => {
            eprintln!("{complaint}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        leaves: usize::MAX,
        markdown: None,
    };
    while let Some(argument) = given.next() {
        let value = given.next().ok_or(format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--leaves" => {
                let number = value.parse().map_err(|_| format!("{value} is no number"));
                arguments.leaves = number?;
            }
            "--markdown" => arguments.markdown = Some(PathBuf::from(value)),
            _ => return Err(format!("{argument} means nothing here")),
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let machine = Machine::here();
    let mut costs = Vec::new();
    for order in ORDERS {
        if order.leaves <= arguments.leaves {
            eprintln!("{order:?}");
            let cost = measure(order, &|line| eprintln!("{line}"));
            costs.push(cost.map_err(|error| error.to_string())?);
        }
    }
    let section = table(&machine, &costs);
    print!("{section}");
    if let Some(path) = &arguments.markdown {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, page::with_section(&before, "Groups", &section))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    for cost in costs.iter().filter(|cost| !cost.holds()) {
        eprintln!("missed: {cost:?}");
    }
    Ok(())
}
