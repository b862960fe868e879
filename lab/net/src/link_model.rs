//! One direction of an emulated line, as arithmetic: a packet goes in at a time, and comes out with
//! the time it leaves, or with the reason it is lost.
//!
//! Order of events: the line may be cut; the packet joins a drop-tail queue; it is serialised at the
//! line's rate; the wire may lose it (it has used its share of the line by then); delay and jitter are
//! added. Losses follow independent chance, or come in bursts. Units: times are durations
//! since the line was made, rates are bits per second counted over whole IP packets.
//!
//! Every packet draws the same count of random numbers, so which packets the wire loses by chance depends
//! only on the seed and on their number; when it is in a burst depends only on the seed and on the time,
//! whoever sends how much.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The qualities of one direction of a line. [`Line::new`] is perfect: no delay, no limit, no loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Propagation time.
    pub delay: Duration,
    /// Uniform variation around `delay`, at most this much either way.
    pub jitter: Duration,
    /// Whether jitter may let a packet overtake another.
    pub reorder: bool,
    /// Chance that a packet is lost, independently of its neighbours, 0..=1.
    pub loss: f64,
    /// Losses in bursts, in addition to `loss`.
    pub bursts: Option<Bursts>,
    /// Bits per second; `None` is no limit (and then no queue).
    pub rate_bits: Option<u64>,
    /// How much may wait in front of the line.
    pub queue: QueueLimit,
    /// Nothing passes while this is set.
    pub cut: bool,
}

/// The size of a drop-tail queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueLimit {
    /// A packet that would wait longer than this is dropped.
    Time(Duration),
    /// A packet that does not fit beside what waits already is dropped.
    Bytes(u64),
}

/// Gilbert's chain in time: now everything passes, now nothing, each for an exponential time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// The share of the time in which nothing passes, 0..1.
    pub loss: f64,
    /// How long nothing passes, on average.
    pub mean: Duration,
}

/// Why a packet did not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The line was cut.
    Cut,
    /// The queue in front of the line was full.
    QueueFull,
    /// Lost by independent chance.
    RandomLoss,
    /// Lost in a burst.
    BurstLoss,
    /// No host has the destination address (only said by the forwarder).
    NoRoute,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves the far end at this time.
    Deliver(Duration),
    /// It is lost.
    Drop(DropReason),
}

/// One direction of a line with its state.
#[derive(Debug)]
pub struct LineModel {
    line: Line,
    random: ChaCha8Rng,
    chain: BurstChain,
    busy_until: Duration,
    last_delivery: Duration,
}

/// Where a line is in its chain.
#[derive(Debug)]
struct BurstChain {
    random: ChaCha8Rng,
    in_burst: bool,
    turns_at: Duration,
}

impl Line {
    /// A perfect line.
    pub const fn new() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: false,
            loss: 0.0,
            bursts: None,
            rate_bits: None,
            queue: QueueLimit::Time(Duration::from_millis(100)),
            cut: false,
        }
    }

    /// The budget table's "link": 50 ms round trip, 100 Mbit/s, 100 ms queue.
    pub const fn reference() -> Self {
        Self::new()
            .delay(Duration::from_millis(25))
            .rate_mbit(100)
            .queue_ms(100)
    }

    /// Sets the propagation time of one direction.
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the propagation time of one direction in milliseconds.
    pub const fn delay_ms(self, ms: u64) -> Self {
        self.delay(Duration::from_millis(ms))
    }

    /// Sets a uniform variation, at most this much either way; packets stay in order.
    pub const fn jitter_ms(mut self, ms: u64) -> Self {
        self.jitter = Duration::from_millis(ms);
        self
    }

    /// Lets jitter change the order of packets.
    pub const fn reorder(mut self, reorder: bool) -> Self {
        self.reorder = reorder;
        self
    }

    /// Sets the chance of independent loss, 0..=1.
    pub const fn loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// Adds bursts: nothing passes in `loss` of the time, for `mean_ms` at once on average.
    pub const fn bursts(mut self, loss: f64, mean_ms: u64) -> Self {
        let mean = Duration::from_millis(mean_ms);
        self.bursts = Some(Bursts { loss, mean });
        self
    }

    /// Sets the rate in Mbit/s.
    pub const fn rate_mbit(self, mbit: u64) -> Self {
        self.rate_kbit(mbit * 1000)
    }

    /// Sets the rate in kbit/s.
    pub const fn rate_kbit(mut self, kbit: u64) -> Self {
        self.rate_bits = Some(kbit * 1000);
        self
    }

    /// Bounds the queue by waiting time.
    pub const fn queue_ms(mut self, ms: u64) -> Self {
        self.queue = QueueLimit::Time(Duration::from_millis(ms));
        self
    }

    /// Bounds the queue by size.
    pub const fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue = QueueLimit::Bytes(bytes);
        self
    }

    /// Cuts the line, or mends it.
    pub const fn cut(mut self, cut: bool) -> Self {
        self.cut = cut;
        self
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Bursts {
    /// How long all passes, on average.
    fn mean_between(&self) -> Duration {
        self.mean.mul_f64((1.0 - self.loss) / self.loss)
    }
}

impl BurstChain {
    /// After so many bursts' time in which nobody sent, it begins anew.
    const FORGOTTEN: u32 = 10_000;

    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(1);
        Self {
            random,
            in_burst: true,
            turns_at: Duration::ZERO,
        }
    }

    fn restart(&mut self, now: Duration) {
        (self.in_burst, self.turns_at) = (true, now);
    }

    /// Whether nothing passes now.
    fn is_in_burst(&mut self, bursts: Option<Bursts>, now: Duration) -> bool {
        let Some(bursts) = bursts.filter(|bursts| bursts.loss > 0.0) else {
            self.restart(now);
            return false;
        };
        if now.saturating_sub(self.turns_at) > bursts.mean * Self::FORGOTTEN {
            self.restart(now);
        }
        while self.turns_at <= now {
            self.in_burst = !self.in_burst;
            let mean = if self.in_burst {
                bursts.mean
            } else {
                bursts.mean_between()
            };
            let least = Duration::from_nanos(1);
            self.turns_at += mean
                .mul_f64(-(1.0 - draw(&mut self.random)).ln())
                .max(least);
        }
        self.in_burst
    }
}

impl LineModel {
    /// A line at rest. The same seed and the same packets give the same verdicts.
    pub fn new(line: Line, seed: u64) -> Self {
        Self {
            line,
            random: ChaCha8Rng::seed_from_u64(seed),
            chain: BurstChain::new(seed),
            busy_until: Duration::ZERO,
            last_delivery: Duration::ZERO,
        }
    }

    /// Changes the line from now on. Packets already accepted keep the times they were given.
    pub fn set(&mut self, line: Line) {
        self.line = line;
    }

    /// Sends one packet of `bytes` into the line. `now` never goes backwards.
    pub fn offer(&mut self, now: Duration, bytes: usize) -> Verdict {
        let burst_loss = self.chain.is_in_burst(self.line.bursts, now);
        let random_loss = draw(&mut self.random) < self.line.loss;
        let jitter = draw(&mut self.random) * 2.0 - 1.0;
        if self.line.cut {
            return Verdict::Drop(DropReason::Cut);
        }
        let Some(sent) = self.serialise(now, bytes) else {
            return Verdict::Drop(DropReason::QueueFull);
        };
        if burst_loss {
            return Verdict::Drop(DropReason::BurstLoss);
        }
        if random_loss {
            return Verdict::Drop(DropReason::RandomLoss);
        }
        Verdict::Deliver(self.propagate(sent, jitter))
    }

    /// The time the last bit is on the wire, or `None` if the queue is full.
    fn serialise(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.line.rate_bits.filter(|rate| *rate > 0) else {
            return Some(now);
        };
        let waiting = self.busy_until.saturating_sub(now);
        let full = match self.line.queue {
            QueueLimit::Time(limit) => waiting > limit,
            QueueLimit::Bytes(limit) => {
                let backlog = waiting.as_nanos() * u128::from(rate) / 8_000_000_000;
                backlog + bytes as u128 > u128::from(limit)
            }
        };
        if full {
            return None;
        }
        let nanos = bytes as u128 * 8_000_000_000 / u128::from(rate);
        let on_the_line = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.busy_until = now.max(self.busy_until).saturating_add(on_the_line);
        Some(self.busy_until)
    }

    fn propagate(&mut self, sent: Duration, jitter: f64) -> Duration {
        let shift = self.line.jitter.mul_f64(jitter.abs());
        let delay = if jitter < 0.0 {
            self.line.delay.saturating_sub(shift)
        } else {
            self.line.delay + shift
        };
        let arrival = sent.saturating_add(delay);
        if self.line.reorder {
            return arrival;
        }
        self.last_delivery = self.last_delivery.max(arrival);
        self.last_delivery
    }
}

/// A number in 0..1 from a seeded generator.
fn draw(random: &mut ChaCha8Rng) -> f64 {
    // 53 bits are what an f64 holds exactly.
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACKETS: usize = 200_000;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Offers a packet each millisecond and says which were lost.
    fn losses(line: Line, seed: u64, packets: usize) -> Vec<bool> {
        let mut model = LineModel::new(line, seed);
        (0..packets)
            .map(|i| matches!(model.offer(ms(i as u64), 200), Verdict::Drop(_)))
            .collect()
    }

    fn share_lost(lost: &[bool]) -> f64 {
        lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64
    }

    #[test]
    fn a_perfect_line_changes_nothing() {
        let mut model = LineModel::new(Line::new(), 1);
        assert_eq!(model.offer(ms(3), 1500), Verdict::Deliver(ms(3)));
    }

    #[test]
    fn serialisation_takes_the_bytes_at_the_rate() {
        let mut model = LineModel::new(Line::new().rate_kbit(1000).delay_ms(25), 1);
        // 1,250 bytes at 1 Mbit/s are 10 ms on the line; the second packet waits for the first.
        assert_eq!(model.offer(ms(0), 1250), Verdict::Deliver(ms(35)));
        assert_eq!(model.offer(ms(0), 1250), Verdict::Deliver(ms(45)));
        assert_eq!(model.offer(ms(100), 1250), Verdict::Deliver(ms(135)));
    }

    #[test]
    fn the_queue_drops_at_its_tail() {
        let mut by_time = LineModel::new(Line::new().rate_kbit(1000).queue_ms(20), 1);
        let mut by_size = LineModel::new(Line::new().rate_kbit(1000).queue_bytes(2500), 1);
        let accepted = |model: &mut LineModel| {
            (0..10)
                .filter(|_| matches!(model.offer(ms(0), 1250), Verdict::Deliver(_)))
                .count()
        };
        // Waiting 0, 10 and 20 ms is allowed, 30 is not; two packets of 1,250 fit in 2,500 bytes.
        assert_eq!(accepted(&mut by_time), 3);
        assert_eq!(accepted(&mut by_size), 2);
        assert_eq!(
            by_time.offer(ms(0), 1),
            Verdict::Drop(DropReason::QueueFull)
        );
    }

    #[test]
    fn a_cut_line_passes_nothing_until_it_is_mended() {
        let mut model = LineModel::new(Line::new().cut(true), 1);
        assert_eq!(model.offer(ms(1), 100), Verdict::Drop(DropReason::Cut));
        model.set(Line::new());
        assert_eq!(model.offer(ms(2), 100), Verdict::Deliver(ms(2)));
    }

    #[test]
    fn random_loss_meets_its_share() {
        for loss in [0.01, 0.05, 0.2] {
            let measured = share_lost(&losses(Line::new().loss(loss), 7, PACKETS));
            let deviation = (loss * (1.0 - loss) / PACKETS as f64).sqrt();
            assert!(
                (measured - loss).abs() < 5.0 * deviation,
                "asked {loss}, lost {measured}"
            );
        }
    }

    #[test]
    fn bursts_meet_their_share_and_their_length() {
        for (loss, length) in [(0.02, 30), (0.1, 80), (0.4, 80)] {
            let lost = losses(Line::new().bursts(loss, length), 11, 10 * PACKETS);
            let runs = lost
                .chunk_by(|a, b| a == b)
                .filter(|run| run[0])
                .map(<[bool]>::len)
                .collect::<Vec<_>>();
            let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
            assert!(
                (mean / length as f64 - 1.0).abs() < 0.06,
                "runs of {mean}, asked {length}"
            );
            let measured = share_lost(&lost);
            assert!(
                (measured / loss - 1.0).abs() < 0.08,
                "lost {measured}, asked {loss}"
            );
        }
    }

    #[test]
    fn a_burst_lasts_as_long_for_whoever_sends_little() {
        let line = Line::new().bursts(0.2, 80);
        let lost = |every: u64| {
            let mut model = LineModel::new(line, 5);
            let count = 1_000_000 / every;
            let fates = (0..count).map(|n| model.offer(ms(n * every), 60));
            let lost: Vec<bool> = fates.map(|fate| matches!(fate, Verdict::Drop(_))).collect();
            lost
        };
        let (often, seldom) = (lost(10), lost(100));
        let same = often.iter().step_by(10).zip(&seldom);
        assert!(same.clone().all(|(one, other)| one == other));
        assert!(seldom.iter().any(|lost| *lost));
    }

    #[test]
    fn a_line_that_was_long_at_rest_is_soon_as_it_was() {
        let mut model = LineModel::new(Line::new().bursts(0.5, 80), 1);
        let year = Duration::from_secs(31_536_000);
        let lost = (0..10_000).filter(|n| {
            let verdict = model.offer(year + ms(10 * n), 60);
            matches!(verdict, Verdict::Drop(DropReason::BurstLoss))
        });
        assert!((4_000..6_000).contains(&lost.count()));
    }

    #[test]
    fn a_changed_rate_holds_for_later_packets_only() {
        let mut model = LineModel::new(Line::new().rate_kbit(1000), 1);
        assert_eq!(model.offer(ms(0), 1250), Verdict::Deliver(ms(10)));
        model.set(Line::new().rate_kbit(100));
        assert_eq!(model.offer(ms(0), 1250), Verdict::Deliver(ms(110)));
    }

    fn any_line() -> impl Strategy<Value = Line> {
        (
            0_u64..200,
            0_u64..50,
            0.0..0.5_f64,
            64_u64..100_000,
            0_u64..300,
        )
            .prop_map(|(delay, jitter, loss, rate, queue)| {
                Line::new()
                    .delay_ms(delay)
                    .jitter_ms(jitter)
                    .loss(loss)
                    .rate_kbit(rate)
                    .queue_ms(queue)
            })
    }

    /// Packets as gaps in microseconds and sizes in bytes.
    fn any_packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
        prop::collection::vec((0_u64..20_000, 20_usize..1500), 1..200)
    }

    fn verdicts(
        line: Line,
        seed: u64,
        packets: &[(u64, usize)],
    ) -> Vec<(Duration, usize, Verdict)> {
        let mut model = LineModel::new(line, seed);
        let mut now = Duration::ZERO;
        packets
            .iter()
            .map(|&(gap, bytes)| {
                now += Duration::from_micros(gap);
                (now, bytes, model.offer(now, bytes))
            })
            .collect()
    }

    fn on_the_line(line: &Line, bytes: usize) -> Duration {
        let rate = line.rate_bits.expect("this strategy always sets a rate");
        Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64)
    }

    proptest! {
        #[test]
        fn the_seed_decides(line in any_line(), seed: u64, packets in any_packets()) {
            prop_assert_eq!(verdicts(line, seed, &packets), verdicts(line, seed, &packets));
        }

        #[test]
        fn packets_stay_in_order(line in any_line(), seed: u64, packets in any_packets()) {
            let times = verdicts(line, seed, &packets).into_iter().filter_map(|(_, _, v)| match v {
                Verdict::Deliver(at) => Some(at),
                Verdict::Drop(_) => None,
            }).collect::<Vec<_>>();
            prop_assert!(times.is_sorted());
        }

        #[test]
        fn delay_is_bounded_both_ways(line in any_line(), seed: u64, packets in any_packets()) {
            let QueueLimit::Time(queue) = line.queue else { unreachable!("the strategy sets a time") };
            let slack = Duration::from_micros(1);
            for (now, bytes, verdict) in verdicts(line, seed, &packets) {
                let Verdict::Deliver(at) = verdict else { continue };
                let least = now + on_the_line(&line, bytes) + line.delay.saturating_sub(line.jitter);
                let most = now + queue + on_the_line(&line, 1500) + line.delay + line.jitter;
                prop_assert!(at + slack >= least);
                prop_assert!(at <= most + slack);
            }
        }

        #[test]
        fn the_rate_is_never_exceeded(line in any_line(), seed: u64, packets in any_packets()) {
            let line = Line { jitter: Duration::ZERO, ..line };
            let mut free_at = Duration::ZERO;
            for (_, bytes, verdict) in verdicts(line, seed, &packets) {
                let Verdict::Deliver(at) = verdict else { continue };
                let sent = at.saturating_sub(line.delay) + Duration::from_micros(1);
                prop_assert!(sent >= free_at + on_the_line(&line, bytes));
                free_at = sent - Duration::from_micros(1);
            }
        }

        #[test]
        fn the_wire_loses_the_same_packets_whatever_their_timing(
            seed: u64, loss in 0.0..0.5_f64, packets in any_packets(),
        ) {
            let lost = |line: Line, packets: &[(u64, usize)]| verdicts(line, seed, packets)
                .into_iter()
                .map(|(_, _, v)| matches!(v, Verdict::Drop(_)))
                .collect::<Vec<_>>();
            let together = packets.iter().map(|&(_, bytes)| (0, bytes)).collect::<Vec<_>>();
            prop_assert_eq!(
                lost(Line::new().loss(loss), &packets),
                lost(Line::new().loss(loss).delay_ms(30).jitter_ms(9), &together)
            );
        }

        #[test]
        fn nothing_is_lost_without_a_cause(seed: u64, packets in any_packets()) {
            for (_, _, verdict) in verdicts(Line::new().delay_ms(25).jitter_ms(5), seed, &packets) {
                prop_assert!(matches!(verdict, Verdict::Deliver(_)));
            }
        }
    }
}
