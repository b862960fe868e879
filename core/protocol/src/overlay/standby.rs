//! The other home supernodes: those that are ready when the one in use dies, visited now and then (`HOME-20`, `HOME-21`).
//!
//! A visit is short: register, so that letters are taken there, and collect those that came. Only the home in use has a link
//! that lasts.

use std::time::Duration;

use crate::backoff::{Backoff, Jitter};
use crate::machine::{Deadline, Outputs, Time};

/// The first visit comes so soon, between half of this and the whole: being online is not delayed by it.
pub const FIRST: Duration = Duration::from_secs(10);
/// And then so often: a letter waits there no longer.
pub const EVERY: Duration = Duration::from_secs(3600);
const RETRY: Duration = Duration::from_secs(60);
const RETRY_MAX: Duration = Duration::from_secs(1800);
/// Whoever could not be visited so often is replaced.
const FAILURES_MAX: u32 = 3;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyEvent<M> {
    /// Register there and collect; say how it went by [`Standby::handle_visited`].
    Visit(M),
    /// It does not answer any more: another one should stand by.
    Replace(M),
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake;

/// Supernodes that stand by, and when each is visited.
#[derive(Debug)]
pub struct Standby<M> {
    others: Vec<Other<M>>,
    jitter: Jitter,
    events: Outputs<StandbyEvent<M>>,
}

#[derive(Debug)]
struct Other<M> {
    supernode: M,
    /// `None` while a visit is under way.
    due: Option<Time>,
    failures: u32,
    backoff: Backoff,
}

impl<M: Copy + Eq> Standby<M> {
    /// Nobody stands by yet.
    pub fn new(seed: u64) -> Self {
        Self {
            others: Vec::new(),
            jitter: Jitter::new(seed),
            events: Outputs::default(),
        }
    }

    /// These stand by from now on, in place of those before.
    pub fn handle_others(&mut self, supernodes: &[M], now: Time) {
        self.events.assert_drained();
        self.others
            .retain(|other| supernodes.contains(&other.supernode));
        for supernode in supernodes {
            if self
                .others
                .iter()
                .all(|other| other.supernode != *supernode)
            {
                let due = Some(now + self.jitter.spread(FIRST));
                self.others.push(Other {
                    supernode: *supernode,
                    due,
                    failures: 0,
                    backoff: Backoff::new(RETRY, RETRY_MAX),
                });
            }
        }
    }

    /// What is registered has changed: everybody is to have it.
    pub fn handle_changed(&mut self, now: Time) {
        self.events.assert_drained();
        for other in &mut self.others {
            let soon = now + self.jitter.spread(FIRST);
            other.due = other.due.map(|due| due.min(soon));
        }
    }

    /// How a visit went.
    pub fn handle_visited(&mut self, supernode: M, well: bool, now: Time) {
        self.events.assert_drained();
        let found = self.others.iter_mut();
        let mut found = found.filter(|other| other.supernode == supernode && other.due.is_none());
        let Some(other) = found.next() else {
            return;
        };
        if well {
            other.failures = 0;
            other.backoff.reset();
            other.due = Some(now + self.jitter.spread(EVERY));
            return;
        }
        other.due = Some(now + other.backoff.next(&mut self.jitter));
        other.failures += 1;
        // HOME-21: said each time, in case there was nobody to replace it.
        if other.failures >= FAILURES_MAX {
            self.events.push(StandbyEvent::Replace(supernode));
        }
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.events.assert_drained();
        for other in &mut self.others {
            if other.due.is_some_and(|due| due <= now) {
                other.due = None;
                self.events.push(StandbyEvent::Visit(other.supernode));
            }
        }
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        let due = self.others.iter().filter_map(|other| other.due).min()?;
        Some(Deadline::new(due, Wake))
    }

    /// What is to be done.
    pub fn poll_event(&mut self) -> Option<StandbyEvent<M>> {
        self.events.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(standby: &mut Standby<u8>) -> Vec<StandbyEvent<u8>> {
        std::iter::from_fn(|| standby.poll_event()).collect()
    }

    /// The next thing it wants, and when.
    fn next(standby: &mut Standby<u8>) -> (Time, Vec<StandbyEvent<u8>>) {
        let at = standby.poll_timeout().expect("a time").at;
        standby.handle_timeout(at);
        (at, events(standby))
    }

    #[test]
    fn home_20_each_that_stands_by_is_visited_soon_and_then_hourly() {
        let mut standby = Standby::new(1);
        standby.handle_others(&[1], Time::ZERO);
        let (first, visits) = next(&mut standby);
        assert_eq!(visits, [StandbyEvent::Visit(1)]);
        assert!(first >= FIRST / 2 && first <= FIRST);
        assert_eq!(standby.poll_timeout(), None, "it is under way");
        standby.handle_visited(1, true, first);
        let (second, _) = next(&mut standby);
        assert!(second >= first + EVERY / 2 && second <= first + EVERY);
    }

    #[test]
    fn home_20_what_changed_is_brought_to_them_soon() {
        let mut standby = Standby::new(1);
        standby.handle_others(&[1, 2], Time::ZERO);
        for _ in 0..2 {
            let (at, visits) = next(&mut standby);
            for visit in visits {
                let StandbyEvent::Visit(whom) = visit else {
                    panic!("{visit:?}");
                };
                standby.handle_visited(whom, true, at);
            }
        }
        let later = Duration::from_secs(100);
        standby.handle_changed(later);
        assert!(next(&mut standby).0 <= later + FIRST);
        standby.handle_others(&[2], later);
        assert_eq!(standby.others.len(), 1);
    }

    #[test]
    fn home_21_whoever_could_not_be_visited_three_times_is_replaced() {
        let mut standby = Standby::new(1);
        standby.handle_others(&[1], Time::ZERO);
        let mut at = Time::ZERO;
        for failure in 1..=4 {
            let (due, visits) = next(&mut standby);
            assert_eq!(visits, [StandbyEvent::Visit(1)]);
            assert!(due > at && due - at <= RETRY * 4);
            at = due;
            standby.handle_visited(1, false, at);
            let said = events(&mut standby);
            assert_eq!(said.contains(&StandbyEvent::Replace(1)), failure >= 3);
        }
        standby.handle_visited(1, true, at);
        assert_eq!(standby.others[0].failures, 4, "nobody was there");
    }
}
