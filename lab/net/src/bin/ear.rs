//! How long a voice takes from mouth to ear, between two nodes on this machine with a private sound server.
//!
//! ```text
//! ear [CALLS]
//! ```
//!
//! Needs pulseaudio, its tools and recorded speech (`scripts/setup test`). Exit code 1 if nothing could be measured.

use std::process::ExitCode;

use starling_lab_net::ear::measure;

/// Ten seconds of speech each.
const CALLS: u32 = 3;

fn main() -> ExitCode {
    let calls = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let mut delays = match measure(calls.unwrap_or(CALLS), &|line| eprintln!("{line}")) {
        Ok(delays) if !delays.is_empty() => delays,
        Ok(_) => {
            eprintln!("nothing was heard");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    delays.sort_by(f64::total_cmp);
    let at = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
    println!(
        "mouth to ear: p50 {:.0} ms, p95 {:.0} ms, {:.0} to {:.0} ms; {} seconds of speech",
        at(50),
        at(95),
        at(0),
        at(100),
        delays.len()
    );
    ExitCode::SUCCESS
}
