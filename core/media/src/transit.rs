//! How long packets were under way, compared with each other: which delay of playback is enough, and the interarrival
//! jitter of RFC 3550 section 6.4.1. Sender and receiver share no clock, so a transit time has an unknown constant in it
//! and only differences mean something. Microseconds.

use crate::FRAME_US;
use crate::delay_histogram::DelayHistogram;

/// The latest of the packets that came in this time is one entry of the histogram: a burst counts once.
const INTERVAL_US: i64 = 500_000;
/// Until there are so many entries, the interval that still runs has its say too.
const FIRST_ENTRIES: u32 = 4;
/// The smallest target.
const TARGET_MIN_US: i64 = 20_000;
/// The smallest target where packets are lost.
const TARGET_MIN_LOSS_US: i64 = 40_000;
/// The loss from which that holds.
const LOSS: f64 = 0.01;
/// The largest target: G.114 calls more than 400 ms unacceptable.
const TARGET_MAX_US: i64 = 400_000;

/// The kind of way that packets take. Each is late in its own manner: a relay's over TCP never loses, but stalls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathKind {
    /// From machine to machine.
    #[default]
    Direct,
    /// By a forwarder, over UDP.
    Forwarded,
    /// By a relay, over TCP.
    Relayed,
}

/// What the arrivals tell.
#[derive(Debug)]
pub struct Transit {
    fastest: SlidingMinimum,
    path: PathKind,
    /// The one before, and since when packets take another; nothing once that is long ago.
    left: Option<(PathKind, Option<i64>)>,
    /// One for each kind of path: what was learnt of one says nothing of another, and counts again when packets return to it.
    histograms: [DelayHistogram; 3],
    /// When the running interval began and the largest delay in it.
    interval: Option<(i64, i64)>,
    last: Option<i64>,
    jitter_us: f64,
}

impl Default for Transit {
    fn default() -> Self {
        Self {
            fastest: SlidingMinimum::new(SLOT_US),
            path: PathKind::default(),
            left: None,
            histograms: Default::default(),
            interval: None,
            last: None,
            jitter_us: 0.0,
        }
    }
}

impl Transit {
    /// A frame came.
    pub fn arrived(&mut self, frame: i64, now: i64) {
        let transit = transit(frame, now);
        if let Some(last) = self.last.replace(transit) {
            let difference = transit.abs_diff(last) as f64;
            self.jitter_us += (difference - self.jitter_us) / 16.0;
        }
        self.fastest.add(transit, now);
        let delay = transit - self.fastest.get().unwrap_or(transit);
        let (began, largest) = self.interval.get_or_insert((now, delay));
        *largest = delay.max(*largest);
        if now - *began >= INTERVAL_US {
            let largest = *largest;
            self.interval = None;
            if !self.is_new(now) {
                self.histograms[self.path as usize].add(largest);
            }
        }
    }

    /// Until the fastest packet is one of this path, delays are not those of it.
    fn is_new(&mut self, now: i64) -> bool {
        let Some((_, since)) = &mut self.left else {
            return false;
        };
        let since = *since.get_or_insert(now);
        let is_new = now - since < SLOT_US * SLOTS as i64;
        if !is_new && self.is_settled() {
            self.left = None;
        }
        is_new
    }

    fn is_settled(&self) -> bool {
        self.histograms[self.path as usize].entries() >= FIRST_ENTRIES
    }

    /// `MEDIA-16`: packets take a path of this kind from now on. The interval in which that changed counts for neither.
    pub fn take(&mut self, path: PathKind) {
        if self.path != path {
            self.left = Some((self.path, None));
            self.path = path;
            self.interval = None;
        }
    }

    /// Playback starts again with this frame: from now on transit times are compared with its.
    pub fn rebase(&mut self, frame: i64, now: i64) {
        self.fastest = SlidingMinimum::new(SLOT_US);
        self.fastest.add(transit(frame, now), now);
    }

    /// The sender's numbers begin anew. What is known about the path stays.
    pub fn restart(&mut self) {
        self.fastest = SlidingMinimum::new(SLOT_US);
        self.last = None;
    }

    /// How long after the fastest packets' time a frame is played that is played now.
    pub fn delay_us(&self, frame: i64, now: i64) -> i64 {
        transit(frame, now) - self.fastest_us()
    }

    /// The transit time of the fastest packet lately.
    pub fn fastest_us(&self) -> i64 {
        self.fastest.get().unwrap_or(0)
    }

    /// The delay that is enough for almost all packets.
    /// Where packets are lost: also for what stands in the packet of `redundancy` frames later.
    pub fn target_us(&self, recent_loss: f64, redundancy: i64) -> i64 {
        let known = |path: PathKind| self.histograms[path as usize].quantile_us();
        let settled = self.is_settled();
        let running = self.interval.filter(|_| !settled);
        let running = running.map_or(0, |(_, largest)| largest);
        // What is not known yet is taken to be no better than what was left.
        let left = self.left.filter(|_| !settled);
        let left = left.map_or(0, |(path, _)| known(path));
        let target = known(self.path).max(running).max(left);
        if recent_loss <= LOSS {
            return target.clamp(TARGET_MIN_US, TARGET_MAX_US);
        }
        (target + redundancy * FRAME_US).clamp(TARGET_MIN_LOSS_US, TARGET_MAX_US)
    }

    /// Interarrival jitter.
    pub const fn jitter_us(&self) -> f64 {
        self.jitter_us
    }
}

/// The moment minus the frame's own time.
pub const fn transit(frame: i64, now: i64) -> i64 {
    now - frame * FRAME_US
}

/// The smallest value of the last ten slots of time, in constant space. It stays while nothing is added.
#[derive(Debug)]
pub struct SlidingMinimum {
    slots: [i64; SLOTS],
    slot_us: i64,
    /// Number of the slot that is filled at the moment.
    newest: i64,
}

const SLOTS: usize = 10;
/// For transit times: two seconds in all.
const SLOT_US: i64 = 200_000;

impl SlidingMinimum {
    /// Of slots of this length.
    pub const fn new(slot_us: i64) -> Self {
        Self {
            slots: [i64::MAX; SLOTS],
            slot_us,
            newest: 0,
        }
    }

    /// One more value.
    pub fn add(&mut self, value: i64, now: i64) {
        let number = now / self.slot_us;
        for passed in 0..(number - self.newest).min(SLOTS as i64) {
            self.slots[index(number - passed)] = i64::MAX;
        }
        self.newest = self.newest.max(number);
        let slot = &mut self.slots[index(self.newest)];
        *slot = value.min(*slot);
    }

    /// The smallest; nothing if none was added.
    pub fn get(&self) -> Option<i64> {
        let least = self.slots.iter().copied().min();
        least.filter(|least| *least != i64::MAX)
    }
}

const fn index(number: i64) -> usize {
    number.rem_euclid(SLOTS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `count` frames from `first` on, each late by what `delay` says in microseconds.
    fn feed(transit: &mut Transit, first: i64, count: i64, delay: impl Fn(i64) -> i64) {
        for frame in first..first + count {
            transit.arrived(frame, 7_000_000 + frame * FRAME_US + delay(frame));
        }
    }

    proptest! {
        #[test]
        fn the_sliding_minimum_is_that_of_two_seconds(
            values in prop::collection::vec((0_i64..300_000, -1_000_i64..1_000), 1..200),
        ) {
            let mut window = SlidingMinimum::new(SLOT_US);
            let mut all: Vec<(i64, i64)> = Vec::new();
            let mut now = 0;
            for (step, value) in values {
                now += step;
                window.add(value, now);
                all.push((now / SLOT_US, value));
                let oldest = now / SLOT_US - SLOTS as i64;
                let least = all.iter().filter(|(slot, _)| *slot > oldest).map(|(_, value)| *value).min();
                prop_assert_eq!(window.get(), least);
            }
        }
    }

    #[test]
    fn the_target_is_the_minimum_on_a_steady_path_and_follows_jitter_up_and_down() {
        let mut transit = Transit::default();
        assert_eq!(transit.target_us(0.0, 1), TARGET_MIN_US);
        feed(&mut transit, 0, 500, |_| 0);
        assert_eq!(transit.target_us(0.0, 1), TARGET_MIN_US);
        assert_eq!(transit.target_us(0.05, 1), TARGET_MIN_LOSS_US);
        assert_eq!(
            transit.target_us(0.05, 6),
            TARGET_MIN_US.min(5_000) + 6 * FRAME_US
        );
        feed(&mut transit, 500, 100, |frame| frame * 37 % 80 * 1_000);
        let target = transit.target_us(0.0, 1);
        assert!((75_000..=85_000).contains(&target), "{target}");
        feed(&mut transit, 600, 50 * 50, |_| 0);
        assert_eq!(transit.target_us(0.0, 1), TARGET_MIN_US);
    }

    #[test]
    fn the_first_late_packet_raises_the_target_at_once_and_later_one_alone_does_not() {
        let mut transit = Transit::default();
        feed(&mut transit, 0, 4, |frame| frame / 3 * 60_000);
        assert_eq!(transit.target_us(0.0, 1), 60_000);
        let mut transit = Transit::default();
        feed(&mut transit, 0, 500, |frame| frame / 499 * 60_000);
        assert_eq!(transit.target_us(0.0, 1), TARGET_MIN_US);
    }

    #[test]
    fn the_target_has_a_largest_value() {
        let mut transit = Transit::default();
        feed(&mut transit, 0, 500, |frame| frame % 25 * 40_000);
        assert_eq!(transit.target_us(0.0, 1), TARGET_MAX_US);
    }

    #[test]
    fn media_16_a_relay_that_stalls_raises_the_delay_as_long_as_packets_go_there() {
        let mut transit = Transit::default();
        feed(&mut transit, 0, 500, |_| 0);
        assert_eq!(transit.target_us(0.0, 1), TARGET_MIN_US);
        transit.take(PathKind::Relayed);
        feed(&mut transit, 500, 300, |frame| frame % 25 * 14_000);
        let stalling = transit.target_us(0.0, 1);
        assert!(stalling > 300_000, "{stalling}");
        transit.take(PathKind::Direct);
        assert_eq!(transit.target_us(0.0, 1), TARGET_MIN_US);
        feed(&mut transit, 800, 50, |_| 0);
        // And it is known there again.
        transit.take(PathKind::Relayed);
        assert_eq!(transit.target_us(0.0, 1), stalling);
    }

    #[test]
    fn media_16_a_path_that_is_new_begins_with_what_was_left_and_its_length_is_no_jitter() {
        let mut transit = Transit::default();
        feed(&mut transit, 0, 500, |frame| frame * 37 % 80 * 1_000);
        let direct = transit.target_us(0.0, 1);
        assert!((75_000..=85_000).contains(&direct), "{direct}");
        transit.take(PathKind::Relayed);
        assert_eq!(transit.target_us(0.0, 1), direct);
        // 60 ms longer, and steady.
        feed(&mut transit, 500, 100, |_| 60_000);
        assert_eq!(transit.target_us(0.0, 1), direct);
        feed(&mut transit, 600, 250, |_| 60_000);
        assert_eq!(transit.target_us(0.0, 1), TARGET_MIN_US);
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let mut transit = Transit::default();
        // Each packet differs from the one before by 8 ms: the estimate approaches 8 ms.
        feed(&mut transit, 0, 200, |frame| frame % 2 * 8_000);
        let jitter = transit.jitter_us();
        assert!((7_900.0..=8_000.0).contains(&jitter), "{jitter}");
    }
}
