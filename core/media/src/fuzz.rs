//! Fuzz body: what a hostile peer and an odd sound device can do to the receiving side. A plain function, run in the tests
//! by a seeded mutator and usable by `cargo fuzz` as it is.

use std::time::Duration;

use crate::jitter_buffer::SPAN;
use crate::packet::{PACKET_MAX, Packet};
use crate::rate::{LEAST, MOST};
use crate::{FRAME, Playout, Rate, Report, Step, Time};

/// Reads `data` as a datagram, and as a script of datagrams and pulls: each a byte for what is done, one for the time that
/// passes and one for the datagram's length.
pub fn fuzz_media(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        assert_eq!(packet.write(), data, "what was read is written again");
    }
    if let Ok(report) = Report::parse(data) {
        assert_eq!(report.write(), data, "what was read is written again");
        let mut rate = Rate::new(MOST, true);
        rate.handle_report(&report, Duration::from_secs(1));
        let plan = rate.plan();
        assert!((LEAST..=MOST).contains(&plan.bitrate), "{plan:?}");
    }
    let mut playout = Playout::new();
    let mut now = Duration::ZERO;
    let mut rest = data;
    while let Some((&[choice, wait, length], tail)) = rest.split_first_chunk::<3>() {
        let (datagram, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        now = later(now, choice, wait);
        let _ = playout.insert(datagram, now);
        for _ in 0..choice % 4 {
            check(&playout.pull(now), &playout);
        }
        let report = playout.report(now);
        assert!(report.is_none_or(|report| report.received <= report.expected));
    }
}

/// Mostly a few milliseconds, sometimes minutes, seldom the end of time.
fn later(now: Time, choice: u8, wait: u8) -> Time {
    let wait = Duration::from_millis(wait.into());
    match choice >> 4 {
        15 => Duration::MAX,
        14 => now.saturating_add(wait * 1_000),
        _ => now.saturating_add(wait),
    }
}

fn check(step: &Step, playout: &Playout) {
    let payloads = match step {
        Step::Decode(payload) | Step::Lengthen(payload) | Step::Recover { payload, .. } => {
            vec![payload]
        }
        Step::Shorten(first, second) => vec![first, second],
        Step::Comfort | Step::Conceal | Step::Silence => vec![],
    };
    for payload in payloads {
        assert!(!payload.is_empty() && payload.len() < PACKET_MAX);
    }
    let statistics = playout.statistics();
    let bound = u128::try_from(SPAN).unwrap_or(0) * FRAME.as_millis();
    assert!(u128::from(statistics.depth_ms) <= bound, "{statistics:?}");
    assert!((20..=400).contains(&statistics.target_ms), "{statistics:?}");
}
