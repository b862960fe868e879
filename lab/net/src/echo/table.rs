//! The table of what was asked for and what was measured.

use std::fmt::Write;

use super::{Alone, Measured};
use crate::bench::machine::Machine;

/// dB, after 3 s of far-end speech.
const SOON: f64 = 35.0;
/// dB, later.
const STEADY: f64 = 40.0;
/// STOI of the near end while both speak.
const UNDERSTOOD: f64 = 0.80;
/// PESQ of the near end alone.
const PESQ: f64 = 3.6;
/// Percent of a core.
const PROCESSOR: f64 = 4.0;

/// Rows of one way to process.
pub fn rows(measured: &[Measured]) -> String {
    let mut text = String::from(
        "| room | loudspeaker | clocks | first 3 s | after 3 s (35 dB) | steady (40 dB) | 3 s after the delay grew (35 dB) | both speak, STOI: microphone | out (0.80) |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in measured {
        let _ = writeln!(text, "{}", line(row));
    }
    text
}

fn line(row: &Measured) -> String {
    let clocks = match row.path.drift {
        0.0 => "the same".to_owned(),
        drift => format!("{drift:.0} ppm apart"),
    };
    let loudspeaker = if row.path.distorts {
        "distorts"
    } else {
        "linear"
    };
    format!(
        "| {} | {loudspeaker} | {clocks} | {:.1} dB | {} | {} | {} | {:.2} | {} |",
        row.path.room.about,
        row.single.first,
        asked(row.single.third, SOON, 1),
        asked(row.single.steady, STEADY, 1),
        asked(row.again, SOON, 1),
        row.double.microphone,
        asked(row.double.out, UNDERSTOOD, 2),
    )
}

fn asked(value: f64, least: f64, digits: usize) -> String {
    let missed = if value < least { "**missed** " } else { "" };
    format!("{missed}{value:.digits$}")
}

/// What the near end alone comes to, and what all of it costs.
pub fn alone(alone: &Alone, late_ms: f64, machine: &Machine) -> String {
    let whole = alone.processing + alone.codec;
    let pesq = alone.pesq.map_or_else(
        || "PESQ was not asked for".to_owned(),
        |[plain, codec]| {
            format!(
                "PESQ {} through the processing, {} through Opus at 30 kbit/s besides (asked: {PESQ})",
                asked(plain, PESQ, 2),
                asked(codec, PESQ, 2)
            )
        },
    );
    let dear = if whole > PROCESSOR { "**missed** " } else { "" };
    format!(
        "- Far end silent, all of it on: {pesq}; {late_ms:.1} ms later.\n\
         - Processor, of one core: processing {:.2} %, Opus both ways {:.2} %, together {dear}{whole:.2} % (asked: at most {PROCESSOR:.0} %).\n\
         - {}, commit {}, {} build, {}, load {:.1} before.\n",
        alone.processing,
        alone.codec,
        machine.date,
        machine.commit,
        machine.profile,
        machine.processor,
        machine.load
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::{Double, Path, ROOMS, Single};

    #[test]
    fn what_is_missed_says_so() {
        let row = Measured {
            path: Path {
                room: ROOMS[0],
                distorts: true,
                drift: 100.0,
                change: None,
            },
            single: Single {
                first: 30.0,
                third: 36.0,
                steady: 39.9,
                again: 34.0,
            },
            again: 34.0,
            double: Double {
                microphone: 0.9,
                out: 0.81,
                late_ms: 11.0,
                lost_db: 1.0,
            },
        };
        assert_eq!(
            line(&row),
            "| study, 120 ms | distorts | 100 ppm apart | 30.0 dB | 36.0 | **missed** 39.9 | **missed** 34.0 | 0.90 | 0.81 |"
        );
    }
}
