//! How late packets come: a histogram that forgets, after the delay manager of WebRTC's NetEQ. Microseconds.

/// Width of a bucket.
const BUCKET_US: i64 = 5_000;
/// Half a second in all; what is later counts in the last bucket.
const BUCKETS: usize = 100;
/// The share of a new entry. Less than what [`QUANTILE`] leaves out, so that one spike alone does not change the answer,
/// and two in a dozen seconds do.
const WEIGHT: f64 = 0.04;
/// The first entries weigh more, by this over their number, so that a few are enough for a first answer and a rough
/// beginning is forgotten.
const START_WEIGHT: f64 = 2.0;
/// So many are the first.
const START_ENTRIES: u32 = 8;
/// The part of the entries that the answer covers.
const QUANTILE: f64 = 0.95;

/// The distribution of delays.
#[derive(Debug, Clone)]
pub struct DelayHistogram {
    shares: [f64; BUCKETS],
    entries: u32,
}

impl Default for DelayHistogram {
    fn default() -> Self {
        Self {
            shares: [0.0; BUCKETS],
            entries: 0,
        }
    }
}

impl DelayHistogram {
    /// One more delay.
    pub fn add(&mut self, delay_us: i64) {
        self.entries = self.entries.saturating_add(1);
        let weight = if self.entries <= START_ENTRIES {
            START_WEIGHT / (f64::from(self.entries) + 1.0)
        } else {
            WEIGHT
        };
        for share in &mut self.shares {
            *share *= 1.0 - weight;
        }
        let bucket = usize::try_from(delay_us / BUCKET_US).unwrap_or(0);
        self.shares[bucket.min(BUCKETS - 1)] += weight;
    }

    /// How many were added.
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// A delay that is enough for 95 % of them; 0 if there are none.
    pub fn quantile_us(&self) -> i64 {
        if self.entries == 0 {
            return 0;
        }
        let mut covered = 0.0;
        let mut edge = 0;
        for share in &self.shares {
            edge += BUCKET_US;
            covered += share;
            if covered >= QUANTILE {
                break;
            }
        }
        edge
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_delays_make_an_answer_within_the_histogram(
            delays in prop::collection::vec(any::<i64>(), 1..200),
        ) {
            let mut histogram = DelayHistogram::default();
            for delay in delays {
                histogram.add(delay);
            }
            let total: f64 = histogram.shares.iter().sum();
            prop_assert!((total - 1.0).abs() < 1e-9, "{}", total);
            prop_assert!((BUCKET_US..=500_000).contains(&histogram.quantile_us()));
        }
    }

    #[test]
    fn one_spike_is_ignored_and_two_are_not() {
        let mut histogram = DelayHistogram::default();
        assert_eq!(histogram.quantile_us(), 0);
        for _ in 0..10 {
            histogram.add(3_000);
        }
        assert_eq!(histogram.quantile_us(), 5_000);
        histogram.add(120_000);
        assert_eq!(histogram.quantile_us(), 5_000);
        histogram.add(121_000);
        assert_eq!(histogram.quantile_us(), 125_000);
    }

    #[test]
    fn the_first_entry_counts_at_once_and_old_ones_are_forgotten() {
        let mut histogram = DelayHistogram::default();
        histogram.add(60_000);
        assert_eq!(histogram.quantile_us(), 65_000);
        for _ in 0..80 {
            histogram.add(0);
        }
        assert_eq!(histogram.quantile_us(), 5_000);
    }
}
