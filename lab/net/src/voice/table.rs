//! The table of what was asked for and what was measured.

use std::fmt::Write;

use super::{Condition, Heard, SPEAKERS};
use crate::bench::machine::Machine;

/// Besides one for each speaker.
const COLUMNS: usize = 12;

/// As a section of the page of benchmarks; `picture` is the plot's file beside the page.
pub fn table(
    conditions: &[Condition],
    heard: &[Heard],
    machine: &Machine,
    picture: &str,
) -> String {
    let speakers = SPEAKERS.map(|speaker| speaker.about()).join(" | ");
    let mut text = format!(
        "Real speech through two real nodes, both speaking at once; the line named is the access of one of them, whatever way its packets take, 25 ms each way; judged after 10 s, in two parts of \
         about 10 s, by wideband PESQ (ITU-T P.862.2), and without a reference by PLCMOS v2 and DNSMOS (P.835, overall); means over parts, \
         seeds, directions and speakers, and the lowest PESQ of one call's direction. Added delay: from the moment the last sample of a \
         frame is there to the moment its first goes to playback, less the way, 95th percentile of all frames. Bursts are those of time: nothing \
         passes for 70 ms on average, so that of packets 20 ms apart four are lost in a row on average. Lost: the mean of what is shown each \
         second, of the last five seconds each time. Plain: PESQ of Opus alone \
         with 30 kbit/s, in-band FEC told the true loss, its neural concealment, and a buffer that is never too short. {}\n\n\
         ![PESQ against loss]({picture})\n\n\
         | condition | PESQ asked | PESQ | lowest | {speakers} | plain | PLCMOS | DNSMOS | added delay asked | measured | lost | direct | sent at the end |\n\
         |{}\n",
        machine_line(machine),
        " --- |".repeat(COLUMNS + SPEAKERS.len())
    );
    for condition in conditions {
        let own = heard
            .iter()
            .filter(|heard| heard.condition == condition.name);
        let own: Vec<&Heard> = own.collect();
        if let Some(row) = row(condition, &own) {
            let _ = writeln!(text, "{row}");
        }
    }
    text
}

fn machine_line(machine: &Machine) -> String {
    format!(
        "{}, commit {}, {} build, {}, {} cores, load {:.1} before.",
        machine.date,
        machine.commit,
        machine.profile,
        machine.processor,
        machine.cores,
        machine.load
    )
}

fn row(condition: &Condition, heard: &[&Heard]) -> Option<String> {
    let (calls, plain): (Vec<&Heard>, Vec<&Heard>) =
        heard.iter().partition(|heard| heard.call.is_some());
    let pesq = mean_pesq(calls.iter().copied())?;
    let lowest = calls.iter().filter_map(|heard| mean(&heard.scores.pesq));
    let lowest = lowest.reduce(f64::min)?;
    let speakers = SPEAKERS.map(|speaker| {
        let own = calls.iter().filter(|heard| heard.speaker == speaker);
        figure(mean_pesq(own.copied()))
    });
    let figures: Vec<_> = calls
        .iter()
        .filter_map(|heard| heard.call.as_ref())
        .collect();
    let delays = figures.iter().flat_map(|call| &call.delays).copied();
    let delay = percentile(delays.collect())?;
    let asked = condition.delay.as_secs_f64() * 1_000.0;
    let loss: Vec<f64> = figures.iter().map(|call| call.loss).collect();
    let direct: Vec<f64> = figures.iter().map(|call| call.direct * 100.0).collect();
    let alone = |of: fn(&Heard) -> &Vec<f64>| {
        let all: Vec<f64> = calls.iter().flat_map(|heard| of(heard)).copied().collect();
        figure(mean(&all))
    };
    Some(format!(
        "| {} | {:.1} | {}{pesq:.2} | {lowest:.2} | {} | {} | {} | {} | {asked:.0} ms | {}{delay:.0} ms | {:.1} % | {:.0} % | {} |",
        condition.about,
        condition.pesq,
        missed(pesq < condition.pesq),
        speakers.join(" | "),
        figure(mean_pesq(plain.into_iter())),
        alone(|heard| &heard.scores.plcmos),
        alone(|heard| &heard.scores.dnsmos),
        missed(delay > asked),
        mean(&loss)?,
        mean(&direct)?,
        figures.last()?.plan
    ))
}

/// The mean over all parts.
pub(super) fn mean_pesq<'a>(heard: impl Iterator<Item = &'a Heard>) -> Option<f64> {
    let all: Vec<f64> = heard
        .flat_map(|heard| &heard.scores.pesq)
        .copied()
        .collect();
    mean(&all)
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.2}"))
}

const fn missed(is_missed: bool) -> &'static str {
    if is_missed { "**missed** " } else { "" }
}

fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

/// The 95th.
pub(super) fn percentile(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * 95).div_ceil(100).checked_sub(1)?;
    values.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::scorer::Scores;
    use crate::voice::{CONDITIONS, CallFigures, Script, Speaker};

    fn heard(pesq: f64, delay: Option<f64>) -> Heard {
        Heard {
            condition: "clean",
            speaker: Speaker::Carlo,
            scores: Scores {
                pesq: vec![pesq, pesq + 0.1],
                dnsmos: vec![3.0],
                plcmos: vec![4.0],
            },
            call: delay.map(|delay| CallFigures {
                delays: vec![delay; 20],
                plan: "30 kbit/s, off".into(),
                direct: 1.0,
                loss: 0.0,
            }),
            said: Script {
                file: "says.wav".into(),
                length: condition().delay,
                parts: Vec::new(),
            },
            recording: "hears.wav".into(),
        }
    }

    const fn condition() -> &'static Condition {
        &CONDITIONS[0]
    }

    #[test]
    fn what_is_missed_says_so() {
        let all = [
            heard(4.3, Some(22.0)),
            heard(4.4, Some(30.0)),
            heard(3.0, None),
        ];
        let good = row(condition(), &all.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            good,
            "| no loss, no jitter | 4.3 | 4.40 | 4.35 | - | 4.40 | - | 3.05 | 4.00 | 3.00 | 40 ms | 30 ms | 0.0 % | 100 % | 30 kbit/s, off |"
        );
        assert_eq!(good.matches('|').count(), COLUMNS + SPEAKERS.len() + 1);
        let bad = row(condition(), &[&heard(3.0, Some(60.0))]).unwrap();
        assert_eq!(bad.matches("**missed**").count(), 2);
        assert_eq!(row(condition(), &[]), None);
    }
}
