//! How often somebody may search: some times at once, then one by one (GCRA, ITU-T I.371). So people who look for somebody
//! notice nothing, and whoever wants to copy all names needs longer than they stay the same.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::machine::Time;

/// After a burst, one search of one asker in so long.
const EVERY: Duration = Duration::from_secs(60);
/// Of all from one block of addresses.
const EVERY_OF_BLOCK: Duration = Duration::from_secs(6);
/// Searches of one asker at once.
const BURST: u32 = 30;
/// Of a block.
const BURST_OF_BLOCK: u32 = 300;
/// Askers that are remembered; beyond it, those that have waited longest are forgotten first.
const ASKERS_MAX: usize = 20_000;

/// Who searched how often.
#[derive(Debug)]
pub struct Pace<K> {
    every: Duration,
    burst: u32,
    /// When each could have asked evenly what it asked.
    due: BTreeMap<K, Time>,
}

impl<K: Ord + Copy> Pace<K> {
    /// For each asker.
    pub const fn of_one() -> Self {
        Self::new(EVERY, BURST)
    }

    /// For each block of addresses.
    pub const fn of_block() -> Self {
        Self::new(EVERY_OF_BLOCK, BURST_OF_BLOCK)
    }

    const fn new(every: Duration, burst: u32) -> Self {
        Self {
            every,
            burst,
            due: BTreeMap::new(),
        }
    }

    /// `SEARCH-04`: whether `who` may search now; it counts if so.
    pub fn handle_search(&mut self, who: K, now: Time) -> bool {
        let room = self.every * (self.burst - 1);
        let due = self.due.get(&who).copied().unwrap_or(now).max(now);
        if due > now + room {
            return false;
        }
        if self.due.len() >= ASKERS_MAX && !self.due.contains_key(&who) {
            self.due.retain(|_, due| *due > now);
            if self.due.len() >= ASKERS_MAX {
                return false;
            }
        }
        self.due.insert(who, due + self.every);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_04_some_at_once_then_one_a_minute_and_nobody_pays_for_others() {
        let mut pace = Pace::of_one();
        let at = |s| Duration::from_secs(s);
        let many = (0..100).filter(|_| pace.handle_search(1, at(5)));
        assert_eq!(many.count(), 30);
        assert!(pace.handle_search(2, at(5)));
        assert!(!pace.handle_search(1, at(64)));
        assert!(pace.handle_search(1, at(65)));
        assert!(!pace.handle_search(1, at(66)));
        let day = (0..24 * 60 * 60).filter(|s| pace.handle_search(1, at(100 + s)));
        assert!(day.count() <= 24 * 60 + 30);
        let mut block = Pace::of_block();
        let many = (0..1_000).filter(|_| block.handle_search(1, at(5)));
        assert_eq!(many.count(), 300);
    }

    #[test]
    fn search_04_a_crowd_of_askers_is_bounded() {
        let mut pace = Pace::of_one();
        for who in 0..ASKERS_MAX {
            assert!(pace.handle_search(who, Time::ZERO));
        }
        assert!(!pace.handle_search(ASKERS_MAX, Time::ZERO));
        assert!(pace.handle_search(ASKERS_MAX, EVERY));
    }
}
