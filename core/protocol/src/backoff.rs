//! Waiting ever longer between attempts, spread so that a thousand clients do not come back in the same second.
//! Durations; the seed is the only randomness.

use std::time::Duration;

/// A source of spread (xorshift64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self(seed | 1)
    }

    /// Between half of `wait` and the whole of it.
    pub fn spread(&mut self, wait: Duration) -> Duration {
        let half = wait / 2;
        // 10 bits: a share of 1/1024 is fine enough for a spread, and u32 arithmetic cannot overflow.
        let share = u32::try_from(self.next() >> 54).unwrap_or(0);
        half + half / 1024 * share
    }

    /// One of `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        // The upper half of a 32 by 32 bit product: even enough for chance that nobody bets on.
        let product = (self.next() >> 32) * u64::from(bound);
        u32::try_from(product >> 32).unwrap_or(0)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Doubling waits between a first and a longest one.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// One more failure: how long to wait now.
    pub fn next(&mut self, jitter: &mut Jitter) -> Duration {
        let wait = self
            .first
            .saturating_mul(1 << self.failures.min(16))
            .min(self.longest);
        self.failures = self.failures.saturating_add(1);
        jitter.spread(wait)
    }

    /// It worked, or everything is different now.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_spread_wait_stays_between_half_and_whole(seed: u64, ms in 0_u64..10_000_000) {
            let wait = Duration::from_millis(ms);
            let spread = Jitter::new(seed).spread(wait);
            prop_assert!(spread >= wait / 2 && spread <= wait, "{spread:?}");
        }
    }

    #[test]
    fn every_number_below_the_bound_comes_about_as_often() {
        let mut jitter = Jitter::new(99);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[jitter.below(10) as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1_200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(jitter.below(0), 0);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_after_a_success() {
        let mut jitter = Jitter::new(7);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let waits: Vec<Duration> = (0..9).map(|_| backoff.next(&mut jitter)).collect();
        for (attempt, wait) in waits.iter().enumerate() {
            let whole = Duration::from_secs(1 << attempt).min(Duration::from_secs(60));
            assert!(*wait >= whole / 2 && *wait <= whole, "{attempt}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next(&mut jitter) <= Duration::from_secs(1));
    }

    #[test]
    fn two_seeds_do_not_come_back_together() {
        let wait = Duration::from_secs(60);
        assert_ne!(
            Jitter::new(0x1234_5678_9abc).spread(wait),
            Jitter::new(0xfedc_ba98).spread(wait)
        );
    }
}
