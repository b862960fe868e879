//! Fair shares of capped rates: who of those who send through a relay goes on next. Each flow (one client's link) has at
//! most one piece waiting; it is not read further until that piece has passed. Standard: start-time fair queueing (Goyal,
//! Vin, Cheng 1996) in front of token buckets in their GCRA form (ITU-T I.371).
//!
//! A rate belongs to a class (a role) and there is one for all together. Units: bytes, bytes a second.

use std::collections::BTreeMap;
use std::time::Duration;

/// Classes of traffic with a rate of their own.
pub const CLASSES: usize = 2;
/// What a bucket saves up while nobody sends, and how late a timer may come without a loss.
const BURST: Duration = Duration::from_millis(50);

/// A flow's place in the order of service. Begin with the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow(u64);

/// One piece that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    finish: u64,
    number: u64,
    class: usize,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The piece may pass now.
    Pass,
    /// It may not pass before [`Shares::poll_pass`] names it.
    Wait(Ticket),
}

/// Rates in bytes a second; `None`: as fast as it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Each class.
    pub classes: [Option<u64>; CLASSES],
    /// All together.
    pub total: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    rate: Option<u64>,
    /// When what has passed is worked off.
    free_at: Duration,
}

/// Who waits, and what may pass.
#[derive(Debug, Default)]
pub struct Shares {
    classes: [Bucket; CLASSES],
    total: Bucket,
    waiting: [BTreeMap<Ticket, u64>; CLASSES],
    /// Where the fair order stands: the finish of the piece that passed last.
    served: u64,
    numbers: u64,
}

impl Shares {
    /// Nothing waits.
    pub fn new(rates: Rates) -> Self {
        let mut shares = Self::default();
        shares.set_rates(rates);
        shares
    }

    /// Other rates from now on; whoever waits stays.
    pub fn set_rates(&mut self, rates: Rates) {
        self.total.rate = rates.total.filter(|rate| *rate > 0);
        for (bucket, rate) in self.classes.iter_mut().zip(rates.classes) {
            bucket.rate = rate.filter(|rate| *rate > 0);
        }
    }

    /// A piece of so many bytes came. `SHARE-01`: nobody overtakes those who wait for the same rate.
    pub fn ask(&mut self, flow: &mut Flow, class: usize, bytes: u64, now: Duration) -> Asked {
        let class = class.min(CLASSES - 1);
        // SHARE-02: whoever was silent begins where the order stands and has saved up nothing.
        flow.0 = flow.0.max(self.served) + bytes;
        let others =
            self.total.rate.is_some() && self.waiting.iter().any(|queue| !queue.is_empty());
        if self.waiting[class].is_empty() && !others && self.is_open(class, now) {
            self.charge(class, bytes, flow.0, now);
            return Asked::Pass;
        }
        self.numbers += 1;
        let ticket = Ticket {
            finish: flow.0,
            number: self.numbers,
            class,
        };
        self.waiting[class].insert(ticket, bytes);
        Asked::Wait(ticket)
    }

    /// Whoever waited is gone.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting[ticket.class].remove(&ticket);
    }

    /// The next piece that may pass (`SHARE-03`: a class that has used up its rate holds no other up).
    pub fn poll_pass(&mut self, now: Duration) -> Option<Ticket> {
        let open = (0..CLASSES).filter(|class| self.is_open(*class, now));
        let next = open
            .filter_map(|class| self.waiting[class].first_key_value())
            .min_by_key(|(ticket, _)| **ticket)
            .map(|(ticket, bytes)| (*ticket, *bytes));
        let (ticket, bytes) = next?;
        self.waiting[ticket.class].remove(&ticket);
        self.charge(ticket.class, bytes, ticket.finish, now);
        Some(ticket)
    }

    /// When the next one may pass.
    pub fn poll_timeout(&self) -> Option<Duration> {
        (0..CLASSES)
            .filter(|class| !self.waiting[*class].is_empty())
            .map(|class| self.classes[class].free_at().max(self.total.free_at()))
            .min()
    }

    fn is_open(&self, class: usize, now: Duration) -> bool {
        self.classes[class].free_at() <= now && self.total.free_at() <= now
    }

    fn charge(&mut self, class: usize, bytes: u64, finish: u64, now: Duration) {
        self.served = self.served.max(finish.saturating_sub(bytes));
        self.classes[class].charge(bytes, now);
        self.total.charge(bytes, now);
    }
}

impl Bucket {
    fn free_at(&self) -> Duration {
        self.rate.map_or(Duration::ZERO, |_| self.free_at)
    }

    fn charge(&mut self, bytes: u64, now: Duration) {
        let Some(rate) = self.rate else { return };
        let time = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate);
        self.free_at = self.free_at.max(now.saturating_sub(BURST)) + time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 125_000;

    fn rates(classes: [Option<u64>; CLASSES], total: Option<u64>) -> Rates {
        Rates { classes, total }
    }

    /// Everybody always has a piece of their size; what each got through in ten seconds, by a timer of a millisecond.
    fn pushed(rates: Rates, senders: &[(usize, u64)]) -> Vec<u64> {
        let mut shares = Shares::new(rates);
        let mut flows = vec![Flow::default(); senders.len()];
        let mut through = vec![0; senders.len()];
        let mut held = vec![None; senders.len()];
        for ms in 0..10_000 {
            let now = Duration::from_millis(ms);
            while let Some(ticket) = shares.poll_pass(now) {
                let who = held.iter().position(|held| *held == Some(ticket));
                let who = who.expect("somebody waits with it");
                through[who] += senders[who].1;
                held[who] = None;
                push(
                    &mut shares,
                    &mut flows,
                    &mut held,
                    senders,
                    now,
                    who,
                    &mut through,
                );
            }
            for who in 0..senders.len() {
                push(
                    &mut shares,
                    &mut flows,
                    &mut held,
                    senders,
                    now,
                    who,
                    &mut through,
                );
            }
        }
        through
    }

    fn push(
        shares: &mut Shares,
        flows: &mut [Flow],
        held: &mut [Option<Ticket>],
        senders: &[(usize, u64)],
        now: Duration,
        who: usize,
        through: &mut [u64],
    ) {
        let (class, bytes) = senders[who];
        while held[who].is_none() {
            match shares.ask(&mut flows[who], class, bytes, now) {
                Asked::Pass => through[who] += bytes,
                Asked::Wait(ticket) => held[who] = Some(ticket),
            }
        }
    }

    fn close(value: u64, expected: u64) -> bool {
        value.abs_diff(expected) * 50 <= expected
    }

    #[test]
    fn share_01_the_rate_holds_and_everybody_gets_the_same_bytes_whatever_their_pieces() {
        let senders = [(1, 100), (1, 1_200), (1, 1_200), (1, 9_000), (1, 60_000)];
        for rates in [
            rates([None, Some(RATE)], None),
            rates([None, None], Some(RATE)),
        ] {
            let through = pushed(rates, &senders);
            let all: u64 = through.iter().sum();
            assert!(close(all, RATE * 10), "{all} in all");
            for bytes in &through {
                assert!(bytes.abs_diff(RATE * 2) < 65_000, "{through:?}");
            }
        }
    }

    #[test]
    fn share_02_whoever_was_silent_is_served_at_once_and_catches_nothing_up() {
        let mut shares = Shares::new(rates([None, Some(RATE)], None));
        let [mut bulk, mut voice] = [Flow::default(); 2];
        let mut now = Duration::ZERO;
        let mut waits = None;
        for _ in 0..1_000 {
            if let Asked::Wait(ticket) = shares.ask(&mut bulk, 1, 1_200, now) {
                waits = Some(ticket);
                break;
            }
        }
        let mut voices = 0;
        for _ in 0..500 {
            now = shares.poll_timeout().expect("somebody waits");
            // A small piece of somebody new goes before the next large one of him who sends all the time.
            let spoken = shares.ask(&mut voice, 1, 80, now);
            let first = shares.poll_pass(now);
            match spoken {
                Asked::Wait(ticket) if Some(ticket) == first => voices += 1,
                _ => {}
            }
            if first == waits || shares.poll_pass(now) == waits {
                waits = match shares.ask(&mut bulk, 1, 1_200, now) {
                    Asked::Wait(ticket) => Some(ticket),
                    Asked::Pass => None,
                };
            }
            if let Asked::Wait(ticket) = spoken {
                shares.leave(ticket);
            }
        }
        assert!(voices > 450, "{voices}");
    }

    #[test]
    fn share_03_a_class_at_its_rate_holds_no_other_up() {
        let both = rates([Some(RATE), Some(RATE / 5)], None);
        let through = pushed(both, &[(0, 1_200), (1, 1_200), (1, 1_200)]);
        assert!(close(through[0], RATE * 10), "{through:?}");
        assert!(close(through[1] + through[2], RATE * 2), "{through:?}");
        // And all together stay below what they have together; what one leaves, another takes.
        let both = rates([None, Some(RATE / 5)], Some(RATE));
        let through = pushed(both, &[(0, 1_200), (1, 1_200), (1, 1_200)]);
        assert!(close(through.iter().sum(), RATE * 10), "{through:?}");
        assert!(close(through[1] + through[2], RATE * 2), "{through:?}");
    }

    #[test]
    fn without_a_rate_nothing_waits_and_whoever_left_is_not_named() {
        let mut shares = Shares::new(Rates::default());
        let mut flow = Flow::default();
        for _ in 0..10_000 {
            let asked = shares.ask(&mut flow, 0, 60_000, Duration::ZERO);
            assert_eq!(asked, Asked::Pass);
        }
        assert_eq!(shares.poll_timeout(), None);
        shares.set_rates(rates([Some(1_000), None], None));
        assert_eq!(shares.ask(&mut flow, 0, 9_000, Duration::ZERO), Asked::Pass);
        let Asked::Wait(ticket) = shares.ask(&mut flow, 0, 9_000, Duration::ZERO) else {
            panic!("it is used up");
        };
        shares.leave(ticket);
        assert_eq!(shares.poll_pass(Duration::from_secs(60)), None);
        assert_eq!(shares.poll_timeout(), None);
        // A cap that is lifted lets everybody go.
        let Asked::Wait(ticket) = shares.ask(&mut flow, 0, 9_000, Duration::ZERO) else {
            panic!("it is used up");
        };
        shares.set_rates(Rates::default());
        assert_eq!(shares.poll_timeout(), Some(Duration::ZERO));
        assert_eq!(shares.poll_pass(Duration::ZERO), Some(ticket));
    }
}
