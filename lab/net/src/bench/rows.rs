//! The table of budgets of the design, one row for each figure. `must` is what has to hold, `aim` where
//! we want to be; peers' figures are from measurements on the same kind of machine and link, in their
//! usual configuration, or from their own publications.

/// Whether a good figure is small or great.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Small.
    Less,
    /// Great.
    More,
}

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the scenario of that name.
    Scenario(&'static str),
    /// Measured by another program, or not yet: where it stands, or what brings it.
    Elsewhere(&'static str),
}

/// One figure and its budget.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Names it in the findings.
    pub key: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// On which link.
    pub link: &'static str,
    /// Unit of all its numbers.
    pub unit: &'static str,
    /// Which way is good.
    pub wish: Wish,
    /// What has to hold.
    pub must: f64,
    /// Where we want to be.
    pub aim: f64,
    /// For scale.
    pub peers: &'static str,
    /// Where it comes from.
    pub source: Source,
}

/// The reference link, in words.
pub const LINK: &str = "link";
/// What [`LINK`] means.
pub const LINK_MEANS: &str = "50 ms round trip, 100 Mbit/s, 100 ms drop-tail queue, each way and between each two machines; emulated between network namespaces of one machine";

const fn row(
    key: &'static str,
    what: &'static str,
    link: &'static str,
    unit: &'static str,
    (wish, must, aim): (Wish, f64, f64),
    peers: &'static str,
    source: Source,
) -> Row {
    Row {
        key,
        what,
        link,
        unit,
        wish,
        must,
        aim,
        peers,
        source,
    }
}

use Source::{Elsewhere, Scenario};
use Wish::{Less, More};

/// The table.
pub const ROWS: &[Row] = &[
    row(
        "online",
        "start to contact online",
        LINK,
        "ms",
        (Less, 1500.0, 500.0),
        "Tox 8.6-9.9 s, Jami 3.5-16 s, Skype 3-7 s",
        Scenario("online"),
    ),
    row(
        "online_without_udp",
        "the same with UDP blocked",
        LINK,
        "ms",
        (Less, 1500.0, 1000.0),
        "Skype 34 s; iroh's UDP probe alone waits 3.0 s",
        Scenario("online"),
    ),
    row(
        "presence",
        "a change of presence until a contact sees it, p95",
        LINK,
        "ms",
        (Less, 175.0, 125.0),
        "-",
        Scenario("presence"),
    ),
    row(
        "name",
        "look-up of an account, p95, 200 supernodes",
        LINK,
        "ms",
        (Less, 300.0, 120.0),
        "Skype 3-4 s, HyperDHT 57 ms",
        Scenario("network"),
    ),
    row(
        "request",
        "first contact: asked by a link to the request shown (no figure was asked; budget as for coming online)",
        LINK,
        "ms",
        (Less, 1500.0, 500.0),
        "",
        Scenario("contact"),
    ),
    row(
        "accepted",
        "the same: yes to both seeing each other online, after each had removed the other",
        LINK,
        "ms",
        (Less, 1500.0, 500.0),
        "",
        Scenario("contact"),
    ),
    row(
        "search",
        "search among 100,000 names, p95",
        LINK,
        "ms",
        (Less, 300.0, 120.0),
        "",
        Scenario("search"),
    ),
    row(
        "ring",
        "call, connection opened within 30 s: ring",
        LINK,
        "ms",
        (Less, 150.0, 70.0),
        "Jami 350-660 ms, Tox 157 ms",
        Scenario("call"),
    ),
    row(
        "first_audio",
        "the same: accept to first audio",
        LINK,
        "ms",
        (Less, 100.0, 70.0),
        "Jami 450-630 ms to connected",
        Scenario("call"),
    ),
    row(
        "first_call_audio",
        "call, no connection yet, both behind NAT: ring and accept at once, to audio",
        LINK,
        "ms",
        (Less, 1000.0, 400.0),
        "",
        Elsewhere("below, *Call set-up*"),
    ),
    row(
        "first_call_audio_no_nat",
        "call, no connection yet, no NAT: call to audio, accepted at once",
        LINK,
        "ms",
        (Less, 1000.0, 400.0),
        "Tox 250 ms",
        Scenario("call"),
    ),
    row(
        "mouth_to_ear",
        "last sample of a frame captured to first sample handed to playback, less propagation, p95",
        LINK,
        "ms",
        (Less, 40.0, 30.0),
        "Tox 32 p50, 50-90 p95",
        Elsewhere("below, *Voice*"),
    ),
    row(
        "message",
        "message, connection open: one way beyond propagation and one fsync",
        LINK,
        "ms",
        (Less, 5.0, 3.0),
        "Tox 50 ms, Jami 1.3 s",
        Scenario("chat"),
    ),
    row(
        "messages",
        "messages with receipts",
        "loopback",
        "1/s",
        (More, 2000.0, 10_000.0),
        "Tox 381 (default), Jami 27-51",
        Scenario("chat"),
    ),
    row(
        "file",
        "file of 128 MiB",
        LINK,
        "Mbit/s",
        (More, 85.0, 92.0),
        "scp 81, sendme 83, HyperDHT 90",
        Scenario("file"),
    ),
    row(
        "file_loss",
        "file of 64 MiB",
        "link, 1 % loss",
        "Mbit/s",
        (More, 65.0, 85.0),
        "scp 2.5, sendme 2.4, HyperDHT 59, curl on kernel BBR 84",
        Scenario("file"),
    ),
    row(
        "file_loopback",
        "file of 256 MiB",
        "loopback",
        "MB/s",
        (More, 250.0, 500.0),
        "sendme 109-141, scp 50-213",
        Scenario("file-loopback"),
    ),
    row(
        "file_relay_bbr",
        "file through a relay, kernel BBR",
        "link, 1 % loss",
        "Mbit/s",
        (More, 10.0, 40.0),
        "Tox 8",
        Scenario("file-relay"),
    ),
    row(
        "file_relay_reno",
        "file through a relay, loss-based TCP (Reno)",
        "link, 1 % loss",
        "Mbit/s",
        (More, 2.0, 2.5),
        "Tox 1.2",
        Scenario("file-relay"),
    ),
    row(
        "voice_beside_file",
        "voice during a transfer: p95 added delay",
        "direct 10 Mbit/s, relayed 2 Mbit/s",
        "ms",
        (Less, 20.0, 10.0),
        "Tox and iroh starve it",
        Elsewhere("comes with part 6 (files beside calls)"),
    ),
    row(
        "idle_received",
        "idle, 10 contacts online: received",
        LINK,
        "B/s",
        (Less, 60.0, 35.0),
        "Mumble 67, Jami 83, Tox 667",
        Scenario("idle"),
    ),
    row(
        "idle_sent",
        "idle, 10 contacts online: sent",
        LINK,
        "B/s",
        (Less, 60.0, 35.0),
        "Mumble 68, Jami 128, Tox 688",
        Scenario("idle"),
    ),
    row(
        "idle_memory",
        "idle, 10 contacts online: resident memory",
        LINK,
        "MB",
        (Less, 40.0, 25.0),
        "Mumble 117, Jami 86, Tox 4",
        Scenario("idle"),
    ),
    row(
        "idle_cpu",
        "idle, 10 contacts online: share of a core",
        LINK,
        "%",
        (Less, 0.1, 0.02),
        "Mumble 0.86, Jami 0.03, Tox 0.13",
        Scenario("idle"),
    ),
    row(
        "idle_contacts_received",
        "idle, 1,000 contacts online: received (twice the budget for ten)",
        LINK,
        "B/s",
        (Less, 120.0, 60.0),
        "",
        Scenario("idle-contacts"),
    ),
    row(
        "idle_contacts_sent",
        "idle, 1,000 contacts online: sent (twice the budget for ten)",
        LINK,
        "B/s",
        (Less, 120.0, 60.0),
        "",
        Scenario("idle-contacts"),
    ),
    row(
        "supernode_devices",
        "supernode: registered idle devices",
        "loopback",
        "",
        (More, 10_000.0, 10_000.0),
        "Skype 800-4,100",
        Scenario("supernode"),
    ),
    row(
        "supernode_memory",
        "supernode: memory for each registered idle device",
        "loopback",
        "kB",
        (Less, 40.0, 26.0),
        "",
        Scenario("supernode"),
    ),
    row(
        "supernode_cpu",
        "supernode: share of a core for 10,000 idle devices",
        "loopback",
        "%",
        (Less, 20.0, 10.0),
        "",
        Scenario("supernode"),
    ),
    row(
        "membership",
        "supernode's own membership traffic at 1,000 supernodes",
        LINK,
        "B/s",
        (Less, 50.0, 30.0),
        "`foca` simulated 10-30 B/s",
        Elsewhere(
            "comes with a machine for 1,000 real ones; 200 in the run of `network`, 1,000 simulated, below",
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::SCENARIOS;

    #[test]
    fn every_row_has_its_own_key_and_a_scenario_that_exists() {
        for (number, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS[..number].iter().all(|other| other.key != row.key),
                "{}",
                row.key
            );
            if let Source::Scenario(name) = row.source {
                assert!(
                    SCENARIOS.iter().any(|scenario| scenario.name == name),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn an_aim_is_never_easier_than_what_must_hold() {
        for row in ROWS {
            let easier = match row.wish {
                Wish::Less => row.aim > row.must,
                Wish::More => row.aim < row.must,
            };
            assert!(!easier, "{}", row.key);
        }
    }
}
