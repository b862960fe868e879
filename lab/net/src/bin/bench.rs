//! `make bench`: measures, and prints the table of budgets.
//!
//! ```text
//! bench [--list] [--markdown FILE] [NAME...]
//! ```
//!
//! All scenarios together write the head of the page, with the table of budgets; some of them write a section of their own, named
//! after them, and leave the head as it is. Writes `bench.json` into the folder where everything is built. Needs network
//! namespaces, hence root or unprivileged user namespaces. Exit code 1 if nothing could be measured, 2 if it is called wrongly;
//! a missed budget is no error.

use std::path::PathBuf;
use std::process::ExitCode;

use starling_lab_net::bench::machine::Machine;
use starling_lab_net::bench::page;
use starling_lab_net::bench::report::Report;
use starling_lab_net::bench::{self, SCENARIOS};
use starling_lab_net::namespace;

struct Arguments {
    list: bool,
    markdown: Option<PathBuf>,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(complaint) => {
            eprintln!("{complaint}\nusage: bench [--list] [--markdown FILE] [NAME...]");
            return ExitCode::from(2);
        }
    };
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:<14} {}", scenario.name, scenario.about);
        }
        return ExitCode::SUCCESS;
    }
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn parse(given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        list: false,
        markdown: None,
        names: Vec::new(),
    };
    let mut given = given;
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--list" => arguments.list = true,
            "--markdown" => {
                let file = given.next().ok_or("--markdown needs a file")?;
                arguments.markdown = Some(PathBuf::from(file));
            }
            name if SCENARIOS.iter().any(|scenario| scenario.name == name) => {
                arguments.names.push(argument);
            }
            other => {
                return Err(format!(
                    "there is no scenario called {other}; --list names them"
                ));
            }
        }
    }
    Ok(arguments)
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    namespace::enter_user_namespace()
        .and_then(|()| namespace::probe())
        .map_err(|e| e.to_string())?;
    let machine = Machine::here();
    let findings = bench::run(&arguments.names, &mut |line| eprintln!("{line}"));
    let mut report = Report::new(machine, &findings);
    let some = !arguments.names.is_empty();
    if some {
        report = report.only(&arguments.names);
    }
    print!("{}", report.text());
    let json = serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?;
    let beside = std::env::current_exe()
        .map_err(|e| e.to_string())?
        .with_file_name("bench.json");
    let write = |path: &PathBuf, text: &str| {
        std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
    };
    write(&beside, &json)?;
    eprintln!("as JSON: {}", beside.display());
    match &arguments.markdown {
        Some(path) => {
            // Where there is no page yet, it begins with this.
            let before = std::fs::read_to_string(path).unwrap_or_default();
            let after = if some {
                let title = format!("Run of {}", arguments.names.join(", "));
                page::with_section(&before, &title, &report.section())
            } else {
                page::with_head(&before, &report.markdown())
            };
            write(path, &after)
        }
        None => Ok(()),
    }
}
