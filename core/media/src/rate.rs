//! Rate and protection control: how many bits a second a stream may have, and how they are spent between sound and what brings
//! lost packets back. Pure; fed by the other side's reports.
//!
//! Loss by itself is no congestion: many paths lose packets at any rate. What stands in a queue is: packets that take longer and
//! longer. So delay sets the *budget*, and loss decides how it is spent (`docs/spec/media.md`, "Rate").

use std::time::Duration;

use crate::Time;
use crate::framing::FRAMES_MAX;
use crate::packet::{BACK_MAX, HEADER};
use crate::report::Report;

/// The least that speech is sent with, bits a second.
pub const LEAST: u32 = 8_000;
/// The most that sound and its protection may have together, bits a second.
pub const MOST: u32 = 64_000;
/// What nothing is known about is tried with so much.
const BEGIN: f64 = 48_000.0;
/// Where nothing is sent twice, more is not heard. libopus takes a tenth more at times.
const CLEAN: u32 = 30_000;
/// Of what is sent twice, the headers of that, and the encoder's overshoot.
const TWICE: u32 = 5_000;
/// So much stands in queues where the path is too slow.
const CONGESTED_MS: u16 = 80;
/// Until so little is left, the rate does not grow; and where more stands while packets are lost, the queue is short and full.
const DRAINED_MS: u16 = 25;
/// Losses of this share in one report, then.
const OVERFLOW: f64 = 0.02;
/// Nothing was reported on what was sent for so long: half as much (a circuit breaker, RFC 8083).
const UNHEARD: Duration = Duration::from_secs(3);
/// Sending twice is on trial for so long: if more is lost then than before, there was no room.
const TRIAL: Duration = Duration::from_secs(2);
const WORSE: f64 = 0.1;
/// And is not tried again for so long.
const NO_ROOM: Duration = Duration::from_secs(60);
/// Unless after so long as much is lost as before: then it was not for want of room.
const DOUBT: Duration = Duration::from_secs(4);
const AS_MUCH: f64 = 0.75;
/// What came is what fits; less of it drains the queue.
const BACK_OFF: f64 = 0.8;
/// What a packet costs besides the report's bytes: QUIC, UDP and IP. Bytes.
const BELOW: f64 = 60.0;
/// Of headers, where each packet has one frame: bits a second.
const HEADERS: f64 = 50.0 * (BELOW + HEADER as f64) * 8.0;
/// By so much a report without congestion lets everything grow, headers counted: 6 % in a second.
const GROW: f64 = 1.03;
/// With less for sound, two frames are put into one packet, or three: then headers cost a half or a third.
const MOST_JOINED: u8 = FRAMES_MAX as u8;
const NARROW: f64 = 14_000.0;
/// With more than this on top, one less.
const WIDER: f64 = 4_000.0;
/// After backing off it does not grow for so long.
const REST: Duration = Duration::from_secs(2);
/// And is not backed off again before the queue had time to drain.
const DRAIN: Duration = Duration::from_millis(800);
/// Reports until then are of the path before, too, or of packets on their way while it changed.
const SETTLED: Duration = Duration::from_millis(1_500);
/// The share of a new report in loss: rising and falling.
const LOSS_UP: f64 = 0.3;
const LOSS_DOWN: f64 = 0.1;
/// From this loss on something is spent on it, and below that nothing any more.
const LOSSY: f64 = 0.015;
const CLEAN_AGAIN: f64 = 0.005;
/// Bursts, not single packets, from this length on; and single ones again below that.
const BURSTY: f64 = 1.8;
const SINGLE_AGAIN: f64 = 1.5;
/// With so much to spend, whole frames are sent again: speech at half of it is still good.
const ROOM: u32 = 44_000;
/// libopus describes nothing below this expected loss.
const DEEP_LOSS: u8 = 20;

/// How a stream is to be sent from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// For the encoder, its redundancy included, bits a second.
    pub bitrate: u32,
    /// Against losses.
    pub protection: Protection,
    /// So many frames in one packet.
    pub joined: u8,
}

/// What is spent against losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Nothing.
    Off,
    /// A coarse copy of the frame before in each packet (in-band FEC), for this loss in percent.
    Fec(u8),
    /// A description of so many milliseconds before in each packet (DRED), for this loss in percent.
    Deep {
        /// Percent.
        loss: u8,
        /// Milliseconds.
        ms: u16,
    },
    /// Each frame whole once more, so many frames later, and in-band FEC for what is lost of both.
    Repeat {
        /// Frames.
        back: u8,
        /// Percent that is still missing then.
        loss: u8,
    },
}

/// One stream's sender.
#[derive(Debug)]
pub struct Rate {
    most: u32,
    /// Whether the other side understands descriptions.
    deep: bool,
    /// For sound and its protection, if each packet had one frame: where the path is narrow, less than nothing.
    budget: f64,
    joined: u8,
    loss: f64,
    burst: f64,
    lossy: bool,
    bursty: bool,
    backed_off: Option<Time>,
    /// Since when packets go another way, until it is known how much longer that is.
    moved: Option<Time>,
    /// So much of the told queue is the way itself, milliseconds.
    longer: u16,
    /// Since when everything is sent twice, and what was lost before.
    twice: Option<(Time, f64)>,
    no_room_until: Time,
    /// Since when there is no room, and what was lost when that was found.
    denied: Option<(Time, f64)>,
    /// What was sent last, and since when nothing was reported on it.
    sent: Option<(Time, Time)>,
}

impl Rate {
    /// Nothing is known yet. `most`: bits a second, at most [`MOST`]; `deep`: whether the other side understands DRED.
    pub fn new(most: u32, deep: bool) -> Self {
        let most = most.clamp(LEAST, MOST);
        Self {
            most,
            deep,
            budget: BEGIN.min(most.into()),
            joined: 1,
            loss: 0.0,
            burst: 1.0,
            lossy: false,
            bursty: false,
            backed_off: None,
            moved: None,
            longer: 0,
            twice: None,
            no_room_until: Time::ZERO,
            denied: None,
            sent: None,
        }
    }

    /// The other side told how it arrives.
    pub fn handle_report(&mut self, report: &Report, now: Time) {
        if report.expected == 0 {
            return;
        }
        self.weigh_losses(report);
        self.weigh_trial(report.loss(), now);
        if let Some((_, unheard)) = &mut self.sent {
            *unheard = now;
        }
        let queue_ms = self.queue_ms(report.queue_ms, now);
        let since = self.backed_off.map(|at| now.saturating_sub(at));
        let is_full = queue_ms > DRAINED_MS && report.loss() >= OVERFLOW;
        if queue_ms >= CONGESTED_MS || is_full {
            if since.is_none_or(|since| since >= DRAIN) {
                let fits = fitting(report) - saved(self.joined);
                self.budget = fits.min(self.budget).max(least());
                self.backed_off = Some(now);
            }
        } else if queue_ms <= DRAINED_MS && since.is_none_or(|since| since >= REST) {
            self.budget = ((self.budget + HEADERS) * GROW - HEADERS).min(self.most.into());
        }
        self.joined = self.join();
    }

    /// From now on packets go another way, which may be longer: that is no queue.
    pub const fn handle_moved(&mut self, now: Time) {
        self.moved = Some(now);
    }

    /// A packet was sent. Where nobody reports on any, less is sent.
    pub fn handle_sent(&mut self, now: Time) {
        let (last, unheard) = self.sent.unwrap_or((now, now));
        let paused = now.saturating_sub(last) >= UNHEARD;
        let unheard = if paused { now } else { unheard };
        self.sent = Some((now, unheard));
        if now.saturating_sub(unheard) >= UNHEARD {
            self.budget = ((self.budget + HEADERS) / 2.0 - HEADERS).max(least());
            self.joined = self.join();
            self.backed_off = Some(now);
            self.sent = Some((now, now));
        }
    }

    /// What stands in queues. The other side compares with the fastest packet of half a minute, whichever way it came; what a longer
    /// way adds is told as a queue until that is forgotten. A real one that was taken for the way drains one day, and is known then.
    fn queue_ms(&mut self, told: u16, now: Time) -> u16 {
        if let Some(since) = self.moved {
            self.longer = told;
            if now.saturating_sub(since) >= SETTLED {
                self.moved = None;
            }
        }
        self.longer = self.longer.min(told);
        told - self.longer
    }

    /// How to send.
    pub fn plan(&self) -> Plan {
        let budget = (self.budget + saved(self.joined)).max(0.0) as u32;
        let budget = budget.min(self.most);
        let protection = self.protection(budget);
        let bitrate = match protection {
            Protection::Off => budget.min(CLEAN),
            Protection::Repeat { .. } => budget.saturating_sub(TWICE) / 2,
            Protection::Fec(_) | Protection::Deep { .. } => budget.min(CLEAN),
        };
        Plan {
            bitrate: bitrate.max(LEAST),
            protection,
            joined: self.joined,
        }
    }

    /// So few frames in a packet that enough is left for sound.
    fn join(&self) -> u8 {
        let is_enough = |joined: u8| {
            let more = if joined < self.joined { WIDER } else { 0.0 };
            self.budget + saved(joined) >= NARROW + more
        };
        (1..MOST_JOINED)
            .find(|joined| is_enough(*joined))
            .unwrap_or(MOST_JOINED)
    }

    fn weigh_losses(&mut self, report: &Report) {
        let loss = report.loss();
        let share = if loss > self.loss { LOSS_UP } else { LOSS_DOWN };
        self.loss += share * (loss - self.loss);
        self.burst = (f64::from(report.burst) / 16.0).clamp(1.0, BACK_MAX.into());
        let from = if self.lossy { CLEAN_AGAIN } else { LOSSY };
        self.lossy = self.loss >= from;
        let from = if self.bursty { SINGLE_AGAIN } else { BURSTY };
        self.bursty = self.burst >= from;
    }

    /// Whether sending everything twice makes it worse: then the losses are those of a path that is full.
    fn weigh_trial(&mut self, loss: f64, now: Time) {
        if let Some((since, lost)) = self.denied
            && now.saturating_sub(since) >= DOUBT
        {
            self.denied = None;
            // A queue that was seen meanwhile has the last word.
            let no_queue = self.backed_off == Some(since);
            if no_queue && self.loss > lost * AS_MUCH {
                self.no_room_until = now;
                self.budget = ROOM.into();
            }
        }
        let is_twice = matches!(self.plan().protection, Protection::Repeat { .. });
        match self.twice {
            _ if !is_twice => self.twice = None,
            // What is told at once, where losses have only begun.
            None => self.twice = Some((now, self.loss.max(loss))),
            Some((since, before)) => {
                let tried = now.saturating_sub(since) >= TRIAL;
                if tried && self.loss > before * 1.5 + WORSE {
                    self.no_room_until = now + NO_ROOM;
                    self.denied = Some((now, self.loss));
                    self.budget = self.budget.min(CLEAN.into());
                    self.backed_off = Some(now);
                }
            }
        }
    }

    fn has_room(&self, budget: u32) -> bool {
        let now = self.sent.map_or(Time::ZERO, |(last, _)| last);
        budget >= ROOM && now >= self.no_room_until
    }

    fn protection(&self, budget: u32) -> Protection {
        if !self.lossy {
            return Protection::Off;
        }
        let loss = percent(self.loss);
        if self.has_room(budget) {
            // Further than most bursts are long; what is lost twice is seldom.
            let back = ((self.burst * 2.0).ceil() as u8 + 1).clamp(2, BACK_MAX);
            let loss = percent(self.loss * self.loss * self.burst);
            return Protection::Repeat { back, loss };
        }
        if self.bursty && self.deep && self.joined == 1 {
            let ms = (self.burst * 40.0) as u16 + 100;
            let loss = loss.max(DEEP_LOSS);
            return Protection::Deep { loss, ms };
        }
        Protection::Fec(loss)
    }
}

/// What is left for sound, bits a second, of a rate that drains the queue.
fn fitting(report: &Report) -> f64 {
    let seconds = f64::from(report.interval_ms.max(1)) / 1_000.0;
    let packets = f64::from(report.received) / seconds;
    let came = f64::from(report.bytes) / seconds + packets * BELOW;
    (came * BACK_OFF - packets * (BELOW + HEADER as f64)) * 8.0
}

/// What headers cost less, bits a second, if so many frames are in a packet.
fn saved(joined: u8) -> f64 {
    HEADERS * (1.0 - 1.0 / f64::from(joined))
}

/// The least budget: [`LEAST`] in the longest packets.
fn least() -> f64 {
    f64::from(LEAST) - saved(MOST_JOINED)
}

fn percent(share: f64) -> u8 {
    (share * 100.0).round().clamp(1.0, 60.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Report = Report {
        ssrc: 1,
        interval_ms: 500,
        expected: 25,
        received: 25,
        burst: 0,
        queue_ms: 0,
        jitter_ms: 0,
        bytes: 2_000,
    };

    /// What is planned after `count` such reports.
    fn after(rate: &mut Rate, from: u64, count: u64, report: Report) -> Plan {
        for number in from..from + count {
            rate.handle_report(&report, Duration::from_millis(500 * number));
        }
        rate.plan()
    }

    fn lossy(received: u16, burst: f64) -> Report {
        Report {
            received,
            burst: (burst * 16.0) as u16,
            ..ALL
        }
    }

    #[test]
    fn a_clean_path_is_not_paid_for() {
        let mut rate = Rate::new(MOST, true);
        let clean = Plan {
            bitrate: CLEAN,
            protection: Protection::Off,
            joined: 1,
        };
        assert_eq!(rate.plan(), clean);
        assert_eq!(after(&mut rate, 0, 100, ALL), clean);
    }

    #[test]
    fn losses_are_bought_off_where_there_is_room() {
        let mut rate = Rate::new(MOST, true);
        let plan = after(&mut rate, 0, 20, lossy(20, 1.2));
        assert_eq!(plan.bitrate, (MOST - TWICE) / 2);
        assert_eq!(plan.protection, Protection::Repeat { back: 4, loss: 5 });
        let plan = after(&mut rate, 20, 20, lossy(20, 4.0));
        assert_eq!(plan.protection, Protection::Repeat { back: 9, loss: 16 });
        // It ends by itself, and not at the first good report.
        let plan = after(&mut rate, 40, 1, ALL);
        assert_ne!(plan.protection, Protection::Off);
        let plan = after(&mut rate, 41, 60, ALL);
        assert_eq!(plan.protection, Protection::Off);
    }

    #[test]
    fn where_there_is_none_single_losses_and_bursts_are_met_by_what_helps() {
        let mut rate = Rate::new(32_000, true);
        let plan = after(&mut rate, 0, 40, lossy(20, 1.2));
        assert_eq!(plan.protection, Protection::Fec(20));
        assert_eq!(plan.bitrate, CLEAN);
        let plan = after(&mut rate, 40, 40, lossy(22, 4.0));
        assert_eq!(plan.protection, Protection::Deep { loss: 20, ms: 260 });
        // Somebody who does not understand it is not sent it.
        let mut rate = Rate::new(32_000, false);
        let plan = after(&mut rate, 0, 40, lossy(22, 4.0));
        assert!(matches!(plan.protection, Protection::Fec(_)));
    }

    #[test]
    fn loss_alone_does_not_slow_it_down_and_a_queue_does() {
        let mut rate = Rate::new(MOST, true);
        let before = rate.budget;
        after(&mut rate, 0, 20, lossy(12, 1.5));
        assert!(rate.budget >= before);
        let full = Report {
            queue_ms: 120,
            bytes: 2_175,
            ..ALL
        };
        // 58.8 kbit/s came in all, 30 of them sound; 47 in all are 18.2.
        let plan = after(&mut rate, 20, 1, full);
        assert_eq!(plan.bitrate, 18_240);
        let plan = after(&mut rate, 21, 1, full);
        assert_eq!(plan.bitrate, 18_240, "the queue drains first");
        let plan = after(&mut rate, 22, 2, ALL);
        assert_eq!(plan.bitrate, 18_240, "and then it waits");
        let plan = after(&mut rate, 24, 80, ALL);
        assert_eq!(plan.bitrate, CLEAN);
    }

    #[test]
    fn a_short_queue_that_overflows_is_congestion_and_loss_beside_it_is_not() {
        let mut rate = Rate::new(MOST, true);
        let full = Report {
            queue_ms: 40,
            bytes: 1_800,
            ..lossy(23, 1.0)
        };
        assert!(after(&mut rate, 0, 1, full).bitrate < CLEAN);
        let mut rate = Rate::new(MOST, true);
        let free = Report {
            queue_ms: 5,
            ..lossy(23, 1.0)
        };
        after(&mut rate, 0, 20, free);
        assert_eq!(rate.budget, f64::from(MOST));
    }

    #[test]
    fn what_is_sent_twice_and_makes_it_worse_is_sent_once_again() {
        let mut rate = Rate::new(MOST, true);
        let mut twice = 0;
        for number in 0..120 {
            let now = Duration::from_millis(500 * number);
            rate.handle_sent(now);
            let is_twice = matches!(rate.plan().protection, Protection::Repeat { .. });
            twice += u32::from(is_twice);
            let received = if is_twice { 12 } else { 23 };
            rate.handle_report(&lossy(received, 1.2), now);
        }
        assert!((2..20).contains(&twice), "{twice} of 120 half seconds");
        assert!(matches!(rate.plan().protection, Protection::Fec(_)));
    }

    #[test]
    fn losses_that_stay_when_less_is_sent_were_not_for_want_of_room() {
        let mut rate = Rate::new(MOST, true);
        let mut twice = Vec::new();
        for number in 0..60 {
            let now = Duration::from_millis(500 * number);
            rate.handle_sent(now);
            // They begin mildly, so that sending twice seems to make it worse.
            let received = if number < 2 { 24 } else { 15 };
            rate.handle_report(&lossy(received, 1.2), now);
            twice.push(matches!(rate.plan().protection, Protection::Repeat { .. }));
        }
        let mut changes = twice.clone();
        changes.dedup();
        assert_eq!(changes, [false, true, false, true], "{twice:?}");
        assert!(twice[40..].iter().all(|twice| *twice));
    }

    #[test]
    fn whoever_is_not_heard_of_sends_less_and_a_pause_is_no_silence() {
        let mut rate = Rate::new(MOST, true);
        let mut send = |from: u64, until: u64| {
            for second in from..until {
                rate.handle_sent(Duration::from_secs(second));
            }
            rate.plan().bitrate
        };
        assert_eq!(send(0, 3), CLEAN);
        assert_eq!(send(60, 63), CLEAN);
        assert_eq!(send(63, 65), 24_000);
        assert_eq!(send(65, 90), LEAST);
    }

    #[test]
    fn nothing_makes_it_leave_its_bounds() {
        for most in [0, 10_000, u32::MAX] {
            let mut rate = Rate::new(most, true);
            let odd = Report {
                interval_ms: 0,
                queue_ms: u16::MAX,
                burst: u16::MAX,
                bytes: u32::MAX,
                received: 0,
                ..ALL
            };
            for number in 0..100 {
                let report = if number % 3 == 0 { odd } else { ALL };
                rate.handle_report(&report, Duration::from_secs(number));
                let plan = rate.plan();
                assert!((LEAST..=MOST).contains(&plan.bitrate), "{plan:?}");
                if let Protection::Repeat { back, .. } = plan.protection {
                    assert!((1..=BACK_MAX).contains(&back));
                }
            }
        }
    }
}
