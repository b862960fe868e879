//! The matrix in words: a line for each pair, and its section in the benchmarks' page.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::machine::Machine;
use crate::bench::rows::LINK_MEANS;
use crate::matrix::behaviour::Way;
use crate::matrix::{Matrix, Pair};

/// One pair, for a terminal.
pub(super) fn line(pair: &Pair) -> String {
    let (caller, callee) = (pair.caller, pair.callee);
    let [way, predicted, connected, direct] = cells(pair);
    format!(
        "{caller:<12} -> {callee:<12}  {way:<9} {predicted:<24} connected {connected:>8}, then {direct:>8}",
        caller = caller.name(),
        callee = callee.name(),
    )
}

/// The section of the page.
pub fn markdown(machine: &Machine, matrix: &Matrix) -> String {
    let mut text = format!(
        "Written by `make lab`: a call for each ordered pair of accesses, between real nodes behind routers made with nftables. \
         Times count from calling; the call is answered as soon as it rings, and no inner endpoint was open before.\n\n\
         - {}, commit {}, {} build\n- {}, {} cores, Linux {}, load {:.1} before the run; {:.0} s in all\n\
         - link: {LINK_MEANS}; here between the routers\n\n",
        machine.date,
        machine.commit,
        machine.profile,
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.load,
        matrix.took.as_secs_f64(),
    );
    text.push_str("| access | what plain sockets found of its UDP (RFC 4787) |\n| --- | --- |\n");
    for (kind, behaviour) in &matrix.kinds {
        let _ = writeln!(text, "| {kind} | {behaviour} |");
    }
    text.push_str(
        "\nPredicted: *relayed* if one of the two has no UDP; *forwarded* if one's mapping is made for each destination and the other's \
         filter waits for a known port; *direct* if the called lets strangers in; *reversed* if only the caller does; else \
         *punched*. A node says whether its path is direct, forwarded or relayed; which kind of direct follows from the routers.\n\n",
    );
    text.push_str(&summary(matrix));
    text.push_str(
        "\n| caller | called | way | predicted | connected | direct or forwarded after |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for pair in &matrix.pairs {
        let [way, predicted, connected, direct] = cells(pair);
        let _ = writeln!(
            text,
            "| {} | {} | {way} | {predicted} | {connected} | {direct} |",
            pair.caller, pair.callee
        );
    }
    text
}

/// How many connected, how many as predicted, and the times' middle and greatest.
pub(super) fn summary(matrix: &Matrix) -> String {
    let all = matrix.pairs.len();
    let connected = matrix.pairs.iter().filter(|pair| pair.connected()).count();
    let predicted = matrix.pairs.iter().filter(|p| p.as_predicted()).count();
    let mut text =
        format!("{connected} of {all} pairs connected, {predicted} of {all} as predicted.");
    let measured = || {
        matrix
            .pairs
            .iter()
            .filter_map(|pair| pair.outcome.as_ref().ok())
    };
    let relayed = measured().filter(|m| m.way == Way::Relayed);
    for (what, times) in [
        ("Connected", measured().map(|m| m.connected).collect()),
        (
            "Of these relayed to the end",
            relayed.map(|m| m.connected).collect(),
        ),
        (
            "Direct",
            measured().filter_map(|m| m.direct).collect::<Vec<_>>(),
        ),
        (
            "Forwarded",
            measured().filter_map(|m| m.forwarded).collect(),
        ),
    ] {
        if let Some((middle, most)) = middle_and_most(times) {
            let _ = write!(text, " {what}: median {middle}, at most {most}.");
        }
    }
    text.push('\n');
    text
}

fn middle_and_most(mut times: Vec<Duration>) -> Option<(String, String)> {
    times.sort();
    Some((
        milliseconds(*times.get(times.len() / 2)?),
        milliseconds(*times.last()?),
    ))
}

/// Way, prediction, time to the connection and to the direct path, or else to the forwarder.
fn cells(pair: &Pair) -> [String; 4] {
    let predicted = if pair.as_predicted() {
        "yes".to_owned()
    } else {
        format!("**no**, {}", pair.predicted)
    };
    match &pair.outcome {
        Ok(measured) => [
            measured.way.to_string(),
            predicted,
            milliseconds(measured.connected),
            measured
                .direct
                .or(measured.forwarded)
                .map(milliseconds)
                .unwrap_or_default(),
        ],
        Err(reason) => {
            let first = reason.lines().next().unwrap_or_default().to_owned();
            ["**none**".to_owned(), predicted, first, String::new()]
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Behaviour, Kind, Measured};

    fn pair(outcome: Result<Measured, String>) -> Pair {
        Pair {
            caller: Kind::Home,
            callee: Kind::Symmetric,
            predicted: Way::Relayed,
            outcome,
        }
    }

    #[test]
    fn what_did_not_come_as_predicted_is_said_to_be_so() {
        let relayed = Measured {
            way: Way::Relayed,
            connected: Duration::from_millis(400),
            direct: None,
            forwarded: None,
        };
        let punched = Measured {
            way: Way::Punched,
            direct: Some(Duration::from_millis(600)),
            ..relayed.clone()
        };
        let matrix = Matrix {
            kinds: vec![(Kind::ProxyOnly, Behaviour::NoUdp)],
            pairs: vec![
                pair(Ok(relayed)),
                pair(Ok(punched)),
                pair(Err("nobody answered\nlog".to_owned())),
            ],
            took: Duration::from_secs(9),
        };
        let text = markdown(&Machine::here(), &matrix);
        assert!(text.contains("| proxy only | no UDP |"), "{text}");
        assert!(
            text.contains("2 of 3 pairs connected, 1 of 3 as predicted."),
            "{text}"
        );
        assert!(
            text.contains("| punched | **no**, relayed | 400 ms | 600 ms |"),
            "{text}"
        );
        assert!(
            text.contains("| **none** | **no**, relayed | nobody answered |  |"),
            "{text}"
        );
        assert!(line(&matrix.pairs[0]).contains("relayed   yes"));
    }
}
