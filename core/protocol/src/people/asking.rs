//! `CONTACT-15`: how fast strangers are asked when many are imported. Pure.

use std::time::Duration;

use crate::machine::Time;
use crate::tokens::{Rate, Tokens};

/// So many at once.
pub const AT_ONCE: u32 = 20;
/// And then one in this time.
pub const EVERY: Duration = Duration::from_secs(5);
const RATE: Rate = Rate {
    at_once: AT_ONCE,
    every: EVERY,
};

/// A bucket of permissions to ask.
#[derive(Debug, Clone, Copy)]
pub struct Asking(Tokens);

impl Asking {
    /// Full at first.
    pub const fn new(now: Time) -> Self {
        Self(Tokens::full(RATE, now))
    }

    /// Whether one more may be asked now; it counts if so.
    pub fn take(&mut self, now: Time) -> bool {
        self.0.take(RATE, now)
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
