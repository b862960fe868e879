//! The loop contract: how every machine of this crate is driven. Written down here once; all machines obey it.
//!
//! A machine is one side of one conversation as a value. It knows no clock, no socket, no file and no chance; whoever
//! drives it brings these.
//!
//! **In.** `handle_command(command, now)` for what a person or another driver wants, `handle_frame(from, frame, now)` for
//! what the other side said, `handle_timeout(now)` for time, and further `handle_*` methods for what the driver found out
//! (a stream was opened, a connection was lost). Every one is total: what does not fit the state changes nothing, and no
//! frame makes it panic.
//!
//! **Out.** Three queues, always emptied in this order before the next input:
//!
//! 1. `poll_persist`: what must survive a restart. The driver commits all of it, in one transaction, **before** it
//!    sends anything of the same drain: what the other side was told is never forgotten here.
//! 2. `poll_transmit`: frames, each with where it goes.
//! 3. `poll_event`: everything else that is to be done or shown.
//!
//! A machine leaves out a queue that it would never fill. In debug builds [`Outputs::assert_drained`] catches a driver
//! that feeds a machine before it has emptied it.
//!
//! **Time.** [`Time`] is an argument, measured from the start of the node by a clock that never jumps; wall time never
//! enters a machine except as an opaque number for people. `poll_timeout` names the next [`Deadline`] with its reason;
//! calling `handle_timeout` too early, too late or for nothing is harmless.
//!
//! **Chance.** A seed at construction ([`crate::backoff::Jitter`]); no iteration over unordered maps. The same inputs
//! give the same outputs, which is what the property tests and the simulator stand on.
//!
//! **Others.** Machines never call each other. A driver turns one machine's event into another's command; who hears what
//! is one table in the node.

use std::collections::VecDeque;
use std::time::Duration;

/// A moment: the time since the node started. The unit of every `now`.
pub type Time = Duration;

/// When a machine wants to be woken, and why. Counters of wake-ups come from the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline<R> {
    /// The moment.
    pub at: Time,
    /// Why.
    pub reason: R,
}

impl<R> Deadline<R> {
    /// A deadline.
    pub const fn new(at: Time, reason: R) -> Self {
        Self { at, reason }
    }

    /// The one that comes first; of equal ones the first named.
    pub fn earliest(deadlines: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        deadlines
            .into_iter()
            .flatten()
            .min_by_key(|deadline| deadline.at)
    }
}

/// One of a machine's three queues.
#[derive(Debug, Clone)]
pub struct Outputs<T>(VecDeque<T>);

impl<T> Default for Outputs<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Outputs<T> {
    /// Adds at the end.
    pub fn push(&mut self, output: T) {
        self.0.push_back(output);
    }

    /// Takes from the front: the body of every `poll_*`.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    /// Called first in every `handle_*`: the driver has emptied the queue.
    #[track_caller]
    pub fn assert_drained(&self) {
        debug_assert!(
            self.0.is_empty(),
            "a machine was fed before its outputs were drained ({} left)",
            self.0.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_keeps_its_reason() {
        let at = |seconds, reason| Some(Deadline::new(Duration::from_secs(seconds), reason));
        assert_eq!(
            Deadline::earliest([at(3, 'c'), None, at(1, 'a'), at(1, 'b')]),
            at(1, 'a')
        );
        assert_eq!(Deadline::<char>::earliest([None, None]), None);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "before its outputs were drained")]
    fn a_driver_that_does_not_drain_is_caught() {
        let mut outputs = Outputs::default();
        outputs.push(1);
        outputs.assert_drained();
    }
}
