//! `CONTACT-15`: how fast strangers are asked when many are imported. Pure.

use std::time::Duration;

use crate::machine::Time;

/// So many at once.
pub const AT_ONCE: u32 = 20;
/// And then one in this time.
pub const EVERY: Duration = Duration::from_secs(5);

/// A bucket of permissions to ask.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    left: u32,
    since: Time,
}

impl Asking {
    /// Full at first.
    pub const fn new(now: Time) -> Self {
        Self {
            left: AT_ONCE,
            since: now,
        }
    }

    /// Whether one more may be asked now; it counts if so.
    pub fn take(&mut self, now: Time) -> bool {
        while self.left < AT_ONCE && now.saturating_sub(self.since) >= EVERY {
            self.left += 1;
            self.since += EVERY;
        }
        if self.left == AT_ONCE {
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_15_some_at_once_and_then_one_every_few_seconds() {
        let mut asking = Asking::new(Duration::ZERO);
        let second = Duration::from_secs;
        let asked = (0..1_000).filter(|_| asking.take(second(1))).count();
        assert_eq!(asked, AT_ONCE as usize);
        let asked = (0..1_000)
            .filter(|tick| asking.take(second(1 + tick)))
            .count();
        assert_eq!(asked, 199, "one in five seconds of 999");
        assert!(asking.take(second(100_000)));
        let asked = (0..1_000).filter(|_| asking.take(second(100_000))).count();
        assert_eq!(asked, AT_ONCE as usize - 1, "no more than that is saved up");
    }
}
