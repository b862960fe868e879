//! `make bench-voice`: how the voice sounds on bad lines.
//!
//! ```text
//! voice --python FILE [--script FILE] [--seeds N] [--at-once N] [--markdown FILE] [CONDITION...]
//! ```
//!
//! With `--markdown` a section of that page is written, and a picture beside it.
//!
//! Needs network namespaces, hence root or unprivileged user namespaces. Exit code 1 if nothing could be measured, 2 if it is called
//! wrongly; a missed figure is no error.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use starling_lab_net::bench::machine::Machine;
use starling_lab_net::bench::page;
use starling_lab_net::namespace;
use starling_lab_net::voice::{CONDITIONS, Order, Scorer, measure, plot, table};

const USAGE: &str = "usage: voice --python FILE [--script FILE] [--seeds N] [--at-once N] [--markdown FILE] [CONDITION...]";
const TITLE: &str = "Voice";
const PICTURE: &str = "voice.svg";

struct Arguments {
    scorer: Scorer,
    order: Order,
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
    let mut python = None;
    let mut script = PathBuf::from("lab/voice/score.py");
    let mut markdown = None;
    let mut order = Order {
        conditions: Vec::new(),
        seeds: 5,
        at_once: 5,
    };
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--python" => python = Some(PathBuf::from(value()?)),
            "--script" => script = PathBuf::from(value()?),
            "--markdown" => markdown = Some(PathBuf::from(value()?)),
            "--seeds" => order.seeds = number(&value()?)?,
            "--at-once" => order.at_once = number(&value()?)?,
            name => {
                let known = CONDITIONS.iter().find(|condition| condition.name == name);
                let names = CONDITIONS.map(|condition| condition.name).join(", ");
                let unknown = || format!("there is no condition called {name}; there are {names}");
                order.conditions.push(*known.ok_or_else(unknown)?);
            }
        }
    }
    if order.conditions.is_empty() {
        order.conditions = CONDITIONS.to_vec();
    }
    let python = python.ok_or("--python is needed")?;
    Ok(Arguments {
        scorer: Scorer { python, script },
        order,
        markdown,
    })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn run(arguments: &Arguments) -> Result<(), String> {
    namespace::enter_user_namespace()
        .and_then(|()| namespace::probe())
        .map_err(|error| error.to_string())?;
    let machine = Machine::here();
    let order = &arguments.order;
    let heard = measure(order, &arguments.scorer, &|line| eprintln!("{line}"))
        .map_err(|error| error.to_string())?;
    let section = table(&order.conditions, &heard, &machine, PICTURE);
    print!("{section}");
    let Some(path) = &arguments.markdown else {
        return Ok(());
    };
    let before = std::fs::read_to_string(path).unwrap_or_default();
    write(path, &page::with_section(&before, TITLE, &section))?;
    let picture = plot(&order.conditions, &heard);
    write(&path.with_file_name(PICTURE), &picture)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
