//! The table of what was asked for and what was measured.

use std::fmt::Write;

use super::{Condition, Sample};
use crate::bench::machine::Machine;

/// As a section of the page of benchmarks.
pub fn table(conditions: &[Condition], samples: &[Sample], machine: &Machine) -> String {
    let mut text = format!(
        "Real speech through two real nodes on an emulated line of 25 ms each way, both speaking at once; judged after 10 s, by wideband \
         PESQ (ITU-T P.862.2) of two parts of 10 and 11 s; the mean over all parts, seeds and directions, and the lowest of one call's. Added \
         delay: how much later than the fastest packets' time sound is played, 95th percentile of what was said once a second. {}\n\n\
         | condition | PESQ asked | PESQ | lowest | added delay asked | measured | lost | direct | estimated MOS | sent at the end |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine_line(machine)
    );
    for condition in conditions {
        let own: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.condition == condition.name)
            .collect();
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

fn row(condition: &Condition, samples: &[&Sample]) -> Option<String> {
    let calls = samples.iter().map(|sample| mean(&sample.pesq));
    let calls: Vec<f64> = calls.collect::<Option<_>>()?;
    let lowest = calls.iter().copied().reduce(f64::min)?;
    let pesq = mean(&calls)?;
    let delays = samples.iter().flat_map(|sample| &sample.delays);
    let delay = percentile(delays.copied().collect())?;
    let of = |value: fn(&Sample) -> f64| {
        let values: Vec<f64> = samples.iter().map(|sample| value(sample)).collect();
        mean(&values)
    };
    let asked = condition.delay.as_secs_f64() * 1_000.0;
    Some(format!(
        "| {} | {:.1} | {}{pesq:.2} | {lowest:.2} | {asked:.0} ms | {}{delay:.0} ms | {:.1} % | {:.0} % | {:.1} | {} |",
        condition.about,
        condition.pesq,
        missed(pesq < condition.pesq),
        missed(delay > asked),
        of(|sample| sample.loss)?,
        of(|sample| sample.direct * 100.0)?,
        of(|sample| sample.mos)?,
        samples.last()?.plan
    ))
}

const fn missed(is_missed: bool) -> &'static str {
    if is_missed { "**missed** " } else { "" }
}

fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

/// The 95th.
fn percentile(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * 95).div_ceil(100).checked_sub(1)?;
    values.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::CONDITIONS;

    fn sample(pesq: f64, delay: f64) -> Sample {
        Sample {
            condition: "clean",
            pesq: vec![pesq, pesq + 0.1],
            delays: vec![delay; 20],
            plan: "30 kbit/s, off".into(),
            direct: 1.0,
            loss: 0.0,
            mos: 4.3,
        }
    }

    #[test]
    fn what_is_missed_says_so() {
        let clean = &CONDITIONS[0];
        let good = row(clean, &[&sample(4.3, 22.0), &sample(4.4, 30.0)]).unwrap();
        assert_eq!(
            good,
            "| no loss, no jitter | 4.3 | 4.40 | 4.35 | 40 ms | 30 ms | 0.0 % | 100 % | 4.3 | 30 kbit/s, off |"
        );
        let bad = row(clean, &[&sample(3.0, 60.0)]).unwrap();
        assert_eq!(bad.matches("**missed**").count(), 2);
        assert_eq!(row(clean, &[]), None);
    }
}
