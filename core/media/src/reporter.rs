//! The receiving side's part of a report: what came since the one before, and what stands in queues on the way. Microseconds.

use crate::report::Report;
use crate::transit::SlidingMinimum;

/// From one report to the next.
const INTERVAL_US: i64 = 500_000;
/// A tenth of the time over which the fastest packet is remembered.
const SLOT_US: i64 = 3_000_000;

/// Counts for the next report.
#[derive(Debug)]
pub struct Reporter {
    /// When the interval began, and what had been expected and received until then.
    since: Option<(i64, Counts)>,
    bytes: u64,
    /// The fastest packet of the interval, and of the last half a minute.
    fastest: Option<i64>,
    base: SlidingMinimum,
}

/// What was counted since the beginning, and what is measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Packets that the sequence numbers promise.
    pub expected: u64,
    /// Packets that came.
    pub received: u64,
    /// How many are lost in a row.
    pub burst: f64,
    /// Interarrival jitter.
    pub jitter_us: f64,
}

impl Default for Reporter {
    fn default() -> Self {
        Self {
            since: None,
            bytes: 0,
            fastest: None,
            base: SlidingMinimum::new(SLOT_US),
        }
    }
}

impl Reporter {
    /// A packet of so many bytes came, under way for `transit` and an unknown constant.
    pub fn came(&mut self, transit: i64, bytes: usize, now: i64) {
        self.bytes += bytes as u64;
        self.base.add(transit, now);
        let fastest = self.fastest.get_or_insert(transit);
        *fastest = transit.min(*fastest);
    }

    /// The sender's clock began anew.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// A report on the stream, if one is due and something was promised since the last.
    pub fn due(&mut self, ssrc: u32, counts: Counts, now: i64) -> Option<Report> {
        let (since, before) = *self.since.get_or_insert((now, counts));
        if now - since < INTERVAL_US {
            return None;
        }
        let (fastest, bytes) = (self.fastest.take(), std::mem::take(&mut self.bytes));
        self.since = Some((now, counts));
        let expected = counts.expected.saturating_sub(before.expected);
        // One that came late counts once, and may belong to the interval before.
        let received = counts
            .received
            .saturating_sub(before.received)
            .min(expected);
        let queue = fastest.zip(self.base.get());
        let queue = queue.map_or(0, |(fastest, base)| fastest - base);
        let report = Report {
            ssrc,
            interval_ms: half((now - since) / 1_000),
            expected: expected.try_into().unwrap_or(u16::MAX),
            received: received.try_into().unwrap_or(u16::MAX),
            burst: (counts.burst * 16.0) as u16,
            queue_ms: half(queue / 1_000),
            jitter_ms: (counts.jitter_us / 1_000.0) as u16,
            bytes: bytes.try_into().unwrap_or(u32::MAX),
        };
        (expected > 0).then_some(report)
    }
}

fn half(value: i64) -> u16 {
    u16::try_from(value.max(0)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(expected: u64, received: u64) -> Counts {
        Counts {
            expected,
            received,
            burst: 2.5,
            jitter_us: 3_900.0,
        }
    }

    #[test]
    fn a_report_says_what_came_since_the_one_before_and_what_stands_in_queues() {
        let mut reporter = Reporter::default();
        assert_eq!(reporter.due(1, counts(10, 10), 0), None);
        reporter.came(-5_000, 60, 1);
        reporter.came(7_000, 62, 2);
        assert_eq!(reporter.due(1, counts(20, 20), 499_999), None);
        let report = Report {
            ssrc: 1,
            interval_ms: 500,
            expected: 20,
            received: 16,
            burst: 40,
            queue_ms: 0,
            jitter_ms: 3,
            bytes: 122,
        };
        assert_eq!(reporter.due(1, counts(30, 26), 500_000), Some(report));
        reporter.came(95_000, 60, 600_000);
        reporter.came(200_000, 60, 700_000);
        let next = reporter.due(1, counts(40, 41), 1_000_000).unwrap();
        assert_eq!((next.queue_ms, next.expected, next.received), (100, 10, 10));
        // Nobody speaks.
        assert_eq!(reporter.due(1, counts(40, 41), 1_500_000), None);
        reporter.restart();
        assert_eq!(reporter.due(1, counts(50, 50), 2_000_000), None);
    }

    #[test]
    fn a_path_that_became_slower_for_good_is_no_queue_after_half_a_minute() {
        let mut reporter = Reporter::default();
        reporter.due(1, counts(0, 0), 0);
        reporter.came(0, 60, 1);
        let mut queues = Vec::new();
        for half_second in 1..80_i64 {
            let now = half_second * 500_000;
            reporter.came(60_000, 60, now - 1);
            let seen = counts(25 * half_second.unsigned_abs(), 25);
            queues.push(reporter.due(1, seen, now).unwrap().queue_ms);
        }
        assert_eq!((queues[1], queues[50], queues[70]), (60, 60, 0));
    }
}
