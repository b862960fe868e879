//! A token bucket: something is done so often at once, and then once in each span of time.

use std::time::Duration;

use crate::machine::Time;

/// How often something may be done.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// At once, by whoever has not done it for a while.
    pub at_once: u32,
    /// And once more after each of these.
    pub every: Duration,
}

/// What is left of a [`Rate`]. As small as it can be: supernodes keep thousands.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    left: u32,
    since: Time,
}

impl Tokens {
    /// Nothing was taken yet.
    pub const fn full(rate: Rate, now: Time) -> Self {
        Self {
            left: rate.at_once,
            since: now,
        }
    }

    /// Whether it may be done once more now; it counts if so.
    pub fn take(&mut self, rate: Rate, now: Time) -> bool {
        self.refill(rate, now);
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// Whether it is as if nothing had been taken.
    pub fn is_full(&mut self, rate: Rate, now: Time) -> bool {
        self.refill(rate, now);
        self.left == rate.at_once
    }

    /// Whatever was taken before, once more is free.
    pub fn allow_one(&mut self) {
        self.left = self.left.max(1);
    }

    /// When it may be done once more; zero if that is now.
    pub fn next(&self, rate: Rate) -> Time {
        match self.left {
            0 => self.since + rate.every,
            _ => Duration::ZERO,
        }
    }

    /// Gives back what time has brought.
    pub fn refill(&mut self, rate: Rate, now: Time) {
        while self.left < rate.at_once && self.since + rate.every <= now {
            self.left += 1;
            self.since += rate.every;
        }
        if self.left == rate.at_once {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        at_once: 3,
        every: Duration::from_secs(5),
    };

    #[test]
    fn some_at_once_and_then_one_each_time() {
        let second = Duration::from_secs;
        let mut tokens = Tokens::full(RATE, second(0));
        assert_eq!(tokens.next(RATE), second(0));
        let taken = (0..100).filter(|_| tokens.take(RATE, second(7))).count();
        assert_eq!(taken, 3);
        assert_eq!(tokens.next(RATE), second(12));
        assert!(!tokens.take(RATE, second(11)) && tokens.take(RATE, second(12)));
        tokens.allow_one();
        assert!(tokens.take(RATE, second(12)) && !tokens.take(RATE, second(12)));
        let taken = (0..100).filter(|_| tokens.take(RATE, second(900))).count();
        assert_eq!(taken, 3, "no more than that is saved up");
    }
}
