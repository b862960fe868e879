//! How much faster the sender's sound device runs than ours: no two crystals are alike, 100 ppm is usual, and that is 6 ms a minute
//! by which the delay would grow or shrink. It is seen as the slope of the delay over so many seconds in which playback changed nothing on
//! purpose. Parts per million; microseconds.

/// A moment is looked at so often.
const EVERY_US: i64 = 1_000_000;
/// So many of them make a verdict.
const WINDOW: usize = 40;
/// What is less cannot be told from the unrest of pulls.
const LEAST_PPM: f64 = 20.0;
/// No device is further off; what is more has another reason.
const MOST_PPM: f64 = 500.0;

/// Watches the delay of one stream.
#[derive(Debug, Default)]
pub struct Drift {
    seen: Vec<(i64, i64)>,
}

impl Drift {
    /// The delay was changed on purpose: what was seen says nothing any more.
    pub fn restart(&mut self) {
        self.seen.clear();
    }

    /// The delay as it is now. Says each [`WINDOW`] how much faster than it is played the sound comes: positive if the delay grows.
    pub fn see(&mut self, now: i64, delay_us: i64) -> Option<f64> {
        let is_due = self.seen.last().is_none_or(|(at, _)| now - at >= EVERY_US);
        if !is_due {
            return None;
        }
        self.seen.push((now, delay_us));
        if self.seen.len() < WINDOW {
            return None;
        }
        let slope = self.slope();
        self.restart();
        let is_drift = (LEAST_PPM..=MOST_PPM).contains(&slope.abs());
        is_drift.then_some(slope)
    }

    /// The median slope between all pairs (Theil and Sen): outliers do not move it.
    fn slope(&self) -> f64 {
        let mut slopes = Vec::new();
        for (number, (at, delay)) in self.seen.iter().enumerate() {
            let later = self.seen.iter().skip(number + 1);
            slopes.extend(
                later.map(|(then, grown)| (grown - delay) as f64 * 1e6 / (then - at) as f64),
            );
        }
        slopes.sort_by(f64::total_cmp);
        slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scattered(number: i64) -> i64 {
        let mixed = number.wrapping_mul(0x2545_f491_4f6c_dd1d);
        (mixed ^ (mixed >> 29)).wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33 & 0xffff
    }

    /// The first verdict on a delay that grows by so much, each value off by up to `unrest` microseconds.
    fn verdict(ppm: f64, unrest: i64) -> Option<f64> {
        let mut drift = Drift::default();
        (0..WINDOW as i64 * 51).find_map(|pull| {
            let now = pull * 20_000;
            let delay = 40_000 + (now as f64 * ppm / 1e6) as i64 + scattered(pull) % (unrest + 1);
            drift.see(now, delay)
        })
    }

    proptest! {
        #[test]
        fn the_slope_is_found_under_unrest(ppm in -400.0..400.0_f64, unrest in 0..2_000_i64) {
            let found = verdict(ppm, unrest);
            if ppm.abs() > 60.0 {
                let found = found.unwrap();
                prop_assert!((found - ppm).abs() < 40.0, "{found} for {ppm}");
            }
        }
    }

    #[test]
    fn a_steady_delay_is_no_drift_and_a_leap_is_none_either() {
        assert_eq!(verdict(0.0, 0), None);
        assert_eq!(verdict(0.0, 2_000), None);
        assert_eq!(verdict(2_000.0, 0), None);
        let mut drift = Drift::default();
        for second in 0..WINDOW as i64 * 2 {
            // The path becomes longer once.
            let delay = if second == 30 { 90_000 } else { 40_000 };
            assert_eq!(drift.see(second * EVERY_US, delay), None);
        }
    }
}
