//! How far playback lies behind the frames' own time, so that a delay is recognised only if it lasts. Sound devices pull
//! in bursts: what counts is the pull that came earliest. Microseconds.

use std::collections::VecDeque;

/// So many pulls are looked at, half a second.
const PULLS: usize = 25;
/// They must really have taken about that long: a device that catches up pulls them all at once.
const SPAN_US: i64 = 400_000;

/// The last pulls: when, and how far behind.
#[derive(Debug, Default)]
pub struct Pace {
    pulls: VecDeque<(i64, i64)>,
}

impl Pace {
    /// One more pull.
    pub fn add(&mut self, now: i64, behind: i64) {
        if self.pulls.len() == PULLS {
            self.pulls.pop_front();
        }
        self.pulls.push_back((now, behind));
    }

    /// The play head was moved: all lie less behind.
    pub fn shrink(&mut self, by: i64) {
        for (_, behind) in &mut self.pulls {
            *behind -= by;
        }
    }

    /// The least that playback lay behind for half a second; nothing if it has not been watched for so long.
    pub fn least(&self) -> Option<i64> {
        let (first, _) = self.pulls.front()?;
        let (last, _) = self.pulls.back()?;
        let is_sure = self.pulls.len() == PULLS && last - first >= SPAN_US;
        self.least_so_far().filter(|_| is_sure)
    }

    /// The same of the pulls that there were.
    pub fn least_so_far(&self) -> Option<i64> {
        self.pulls.iter().map(|(_, behind)| *behind).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lasted_half_a_second_counts() {
        let mut pace = Pace::default();
        for pull in 0..24 {
            pace.add(pull * 20_000, 90_000 - pull);
            assert_eq!(pace.least(), None);
        }
        pace.add(24 * 20_000, 95_000);
        assert_eq!(pace.least(), Some(90_000 - 23));
        pace.shrink(20_000);
        assert_eq!(pace.least(), Some(70_000 - 23));
    }

    #[test]
    fn pulls_that_catch_up_at_one_moment_prove_nothing() {
        let mut pace = Pace::default();
        for _ in 0..50 {
            pace.add(1_000_000, 500_000);
        }
        assert_eq!(pace.least(), None);
        assert_eq!(pace.least_so_far(), Some(500_000));
    }
}
