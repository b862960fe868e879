//! `make bench-calls`, `make long` and `make bench-cost`: calls in series between real nodes, and what one costs.
//!
//! ```text
//! calls setup [--pairs N] [--calls N] [--markdown FILE]
//! calls long [--calls N] [--markdown FILE]
//! calls cost [--markdown FILE]
//! ```
//!
//! With `--markdown` a section of that page is written. Needs network namespaces, hence root or unprivileged user namespaces, and nftables
//! or, for what a call costs, PulseAudio.
//! Exit code 1 if nothing could be measured, or if a long series is not as it should be; 2 if it is called wrongly.

use std::path::PathBuf;
use std::process::ExitCode;

use starling_lab_net::bench::machine::Machine;
use starling_lab_net::bench::page;
use starling_lab_net::series::{long, setup};
use starling_lab_net::{cost, namespace};

const USAGE: &str = "usage: calls setup [--pairs N] [--calls N] [--markdown FILE]\n       calls long [--calls N] [--markdown FILE]\n       calls cost [--markdown FILE]";

struct Arguments {
    what: What,
    pairs: usize,
    calls: Option<usize>,
    markdown: Option<PathBuf>,
}

#[derive(Clone, Copy)]
enum What {
    Setup,
    Long,
    Cost,
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
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let what = match given.next().as_deref() {
        Some("setup") => What::Setup,
        Some("long") => What::Long,
        Some("cost") => What::Cost,
        _ => return Err("say what is to be measured".to_owned()),
    };
    let mut arguments = Arguments {
        what,
        pairs: 10,
        calls: None,
        markdown: None,
    };
    while let Some(argument) = given.next() {
        let value = given.next().ok_or(format!("{argument} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{value} is no number"));
        match argument.as_str() {
            "--pairs" => arguments.pairs = number()?,
            "--calls" => arguments.calls = Some(number()?),
            "--markdown" => arguments.markdown = Some(PathBuf::from(value)),
            _ => return Err(format!("{argument} means nothing here")),
        }
    }
    Ok(arguments)
}

/// Whether all is as it should be.
fn run(arguments: &Arguments) -> Result<bool, String> {
    namespace::enter_user_namespace()
        .and_then(|()| namespace::probe())
        .map_err(|error| error.to_string())?;
    let machine = Machine::here();
    let (title, section, good) = match arguments.what {
        What::Setup => {
            let order = setup::Order {
                pairs: arguments.pairs,
                calls: arguments.calls.unwrap_or(10),
            };
            let outcomes = setup::measure(&setup::WAYS, order, &|line| eprintln!("{line}"))
                .map_err(|error| error.to_string())?;
            let table = setup::table(&machine, order, &outcomes);
            ("Call set-up", table, true)
        }
        What::Long => {
            let calls = arguments.calls.unwrap_or(1_000);
            let outcome = long::measure(calls, &mut |line| eprintln!("{line}"))
                .map_err(|error| error.to_string())?;
            let table = long::table(&machine, &outcome);
            ("A thousand calls", table, outcome.is_good())
        }
        What::Cost => {
            let costs = cost::measure(&|line| eprintln!("{line}"));
            let costs = costs.map_err(|error| error.to_string())?;
            ("What a call costs", cost::table(&machine, &costs), true)
        }
    };
    print!("{section}");
    if let Some(path) = &arguments.markdown {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, page::with_section(&before, title, &section))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(good)
}
