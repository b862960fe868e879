//! What was measured, as sections of the page of benchmarks.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::machine::Machine;
use crate::bench::rows::LINK_MEANS;
use crate::series::long::{self, FLAT, Sample};
use crate::series::once::Made;
use crate::series::percentile;
use crate::series::setup::{Order, Outcome};

/// Asked of a warm call, in milliseconds: two round trips and 50, one and 50. Of a cold one: a second in all.
const RING: u128 = 150;
const HEARD: u128 = 100;
const COLD: u128 = 1_000;

/// Calls of every way.
pub fn setup(machine: &Machine, order: Order, outcomes: &[Outcome]) -> String {
    let calls = order.pairs * order.calls;
    let mut text = format!(
        "By `make bench-calls`: {calls} warm and {calls} cold calls for each way, of {} pairs of nodes behind routers made with nftables, all ways at once. Each side \
         plays a tone and records; a call counts if both recordings last from the first sound to the end of the call and are loud there. It is answered \
         as soon as it rings, and goes on for 0.4 s after both nodes say that its sound takes the path named. Warm: a second after the pair's last call. \
         Cold: 36 s after it, when every connection and the inner endpoints are closed. Each figure: median, 95th percentile, slowest, in milliseconds; **bold** where the median misses \
         what is asked (DESIGN 5): warm, ring within two round trips and 50 ms ({RING}), heard within one and 50 ms of the answer ({HEARD}); cold, heard within {COLD} of calling (aim 400).\n\n{}\n\
         | way | | calls heard both ways | ring | answer to heard at the one called | answer to heard at both | calling to heard at both | calling to its path |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        order.pairs,
        circumstances(machine),
    );
    for outcome in outcomes {
        let _ = writeln!(text, "{}", setup_row(outcome));
    }
    for outcome in outcomes {
        for failed in &outcome.failed {
            let (about, temperature) = (outcome.way.about, temperature(outcome));
            let failed = failed.to_string();
            let first = failed.lines().next().unwrap_or_default();
            let _ = write!(text, "\n- {about}, {temperature}: {first}");
        }
    }
    text
}

fn setup_row(outcome: &Outcome) -> String {
    let (made, warm) = (&outcome.made, outcome.warm);
    let column = |of: fn(&Made) -> Duration, asked: Option<u128>| {
        let times: Vec<u128> = made.iter().map(|made| of(made).as_millis()).collect();
        figures(&times, asked)
    };
    let on_path: Vec<u128> = made
        .iter()
        .filter_map(|made| Some(made.on_path?.as_millis()))
        .collect();
    let all = made.len() + outcome.failed.len();
    format!(
        "| {} | {} | {} of {all} | {} | {} | {} | {} | {} |",
        outcome.way.about,
        temperature(outcome),
        made.len(),
        column(|made| made.ring, warm.then_some(RING)),
        column(|made| made.callee_heard, warm.then_some(HEARD)),
        column(|made| made.both_heard, None),
        column(|made| made.from_calling, (!warm).then_some(COLD)),
        figures(&on_path, None),
    )
}

const fn temperature(outcome: &Outcome) -> &'static str {
    if outcome.warm { "warm" } else { "cold" }
}

/// Median, 95th percentile, slowest.
fn figures(times: &[u128], asked: Option<u128>) -> String {
    let all = [50, 95, 100].map(|percent| percentile(times, percent));
    let [Some(middle), Some(high), Some(most)] = all else {
        return "-".to_owned();
    };
    if asked.is_some_and(|asked| middle > asked) {
        format!("**{middle}**, {high}, {most}")
    } else {
        format!("{middle}, {high}, {most}")
    }
}

/// A thousand calls on one pair.
pub fn long(machine: &Machine, outcome: &long::Outcome) -> String {
    let tenth = outcome.calls / 10;
    let verdict = if outcome.is_good() {
        "holds"
    } else {
        "**missed**"
    };
    let mut text = format!(
        "By `make long`: {} calls in a row between one pair of nodes, each calling in turn, {:.0} s in all. Both sides play a tone and record; a call counts if both \
         recordings last from the first sound to the end of the call and are loud there. After each call both processes are looked at. Asked: no call fails, and from the second tenth of the \
         calls to the last resident memory grows by {:.0} % at most: {verdict}. {} calls failed.\n\n{}\n\
         | of the node | calls {} to {}, median | last {tenth}, median | growth | greatest after call {tenth} |\n| --- | --- | --- | --- | --- |\n",
        outcome.calls,
        outcome.took.as_secs_f64(),
        FLAT * 100.0,
        outcome.failed.len(),
        circumstances(machine),
        tenth + 1,
        tenth * 2,
    );
    let figures: [Figure; 3] = [
        ("resident memory, MB", |sample| sample.rss as f64 / 1e6),
        ("threads", |sample| sample.threads as f64),
        ("open files", |sample| sample.files as f64),
    ];
    for (who, name) in ["Alice", "Bob"].into_iter().enumerate() {
        for (what, of) in figures {
            if let Some(course) = outcome.course(who, of) {
                let (early, late, most) = (course.early, course.late, course.most);
                let growth = course.growth() * 100.0;
                let _ = writeln!(
                    text,
                    "| {name}: {what} | {early:.1} | {late:.1} | {growth:+.1} % | {most:.1} |"
                );
            }
        }
    }
    for (number, failed) in &outcome.failed {
        let failed = failed.to_string();
        let first = failed.lines().next().unwrap_or_default();
        let _ = write!(text, "\n- call {number}: {first}");
    }
    text
}

/// What is looked at, and how.
type Figure = (&'static str, fn(&Sample) -> f64);

fn circumstances(machine: &Machine) -> String {
    format!(
        "- {}, commit {}, {} build\n- {}, {} cores, Linux {}, load {:.1} before the run\n- link: {LINK_MEANS}\n",
        machine.date,
        machine.commit,
        machine.profile,
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.load,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::once::Failed;
    use crate::series::setup::WAYS;

    #[test]
    fn a_median_that_misses_is_bold_and_what_failed_is_named() {
        let made = Made {
            ring: Duration::from_millis(174),
            callee_heard: Duration::from_millis(90),
            both_heard: Duration::from_millis(140),
            from_calling: Duration::from_millis(340),
            on_path: None,
        };
        let outcome = Outcome {
            way: WAYS[0],
            warm: true,
            made: vec![made; 3],
            failed: vec![Failed::OneWay("Bob: nothing\nlog".into())],
        };
        let order = Order { pairs: 2, calls: 2 };
        let text = setup(&Machine::here(), order, &[outcome]);
        let row = "| direct: no routers | warm | 3 of 4 | **174**, 174, 174 | 90, 90, 90 | 140, 140, 140 | 340, 340, 340 | - |";
        assert!(text.contains(row), "{text}");
        assert!(text.ends_with("- direct: no routers, warm: one-way: Bob: nothing"));
    }

    #[test]
    fn a_node_that_grows_is_a_miss() {
        let sample = |rss| Sample {
            rss,
            threads: 9,
            files: 30,
        };
        let grown = (0..100).map(|number| sample(50_000_000 + number * 100_000));
        let flat = vec![sample(50_000_000); 100];
        let outcome = long::Outcome {
            calls: 100,
            took: Duration::from_secs(90),
            failed: Vec::new(),
            samples: [grown.collect(), flat],
        };
        let text = long(&Machine::here(), &outcome);
        assert!(text.contains("**missed**"), "{text}");
        assert!(text.contains("| Bob: resident memory, MB | 50.0 | 50.0 | +0.0 % | 50.0 |"));
    }
}
