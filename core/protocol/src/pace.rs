//! How often somebody may do something: some times at once, then one by one (GCRA, ITU-T I.371). So whoever does it as people do
//! notices nothing, and whoever does it all day gets nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::machine::Time;

/// Those that are remembered; beyond it, those who did it least are forgotten first.
const REMEMBERED_MAX: usize = 40_000;

/// Who did it how often.
#[derive(Debug)]
pub struct Pace<K> {
    every: Duration,
    burst: u32,
    /// When each could have done evenly what it did.
    due: BTreeMap<K, Time>,
    /// The same, the earliest first.
    by_due: BTreeSet<(Time, K)>,
}

impl<K: Ord + Copy> Pace<K> {
    /// `burst` times at once, then once `every` so long.
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self {
            every,
            burst,
            due: BTreeMap::new(),
            by_due: BTreeSet::new(),
        }
    }

    /// Whether `who` may do it now; it counts if so.
    pub fn take(&mut self, who: K, now: Time) -> bool {
        if !self.has_room(who, now) {
            return false;
        }
        let next = self.due_of(who, now) + self.every;
        if let Some(before) = self.due.insert(who, next) {
            self.by_due.remove(&(before, who));
        }
        self.by_due.insert((next, who));
        if self.due.len() > REMEMBERED_MAX
            && let Some((_, least)) = self.by_due.pop_first()
        {
            self.due.remove(&least);
        }
        true
    }

    /// Whether `who` may do it now; it does not count.
    pub fn has_room(&self, who: K, now: Time) -> bool {
        self.due_of(who, now) <= now + self.every * (self.burst - 1)
    }

    fn due_of(&self, who: K, now: Time) -> Time {
        self.due.get(&who).copied().unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_04_some_at_once_then_one_a_minute_and_nobody_pays_for_others() {
        let mut pace = Pace::new(30, Duration::from_secs(60));
        let at = |s| Duration::from_secs(s);
        let many = (0..100).filter(|_| pace.take(1, at(5)));
        assert_eq!(many.count(), 30);
        assert!(pace.take(2, at(5)));
        assert!(!pace.take(1, at(64)));
        assert!(pace.take(1, at(65)));
        assert!(!pace.take(1, at(66)));
        let day = (0..24 * 60 * 60).filter(|s| pace.take(1, at(100 + s)));
        assert!(day.count() <= 24 * 60 + 30);
    }

    #[test]
    fn search_04_a_crowd_is_bounded_and_shuts_nobody_out() {
        let every = Duration::from_secs(60);
        let mut pace = Pace::new(30, every);
        let often = REMEMBERED_MAX * 2;
        while pace.take(often, Time::ZERO) {}
        for who in 0..=REMEMBERED_MAX {
            assert!(pace.take(who, Time::ZERO));
        }
        let kept = (pace.due.len(), pace.by_due.len());
        assert_eq!(kept, (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!pace.take(often, Time::ZERO), "he is remembered");
        assert!(pace.take(often, every));
    }
}
