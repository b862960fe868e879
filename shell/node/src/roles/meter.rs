//! The live meter: bytes carried for others, by role, since the node started; and how fast, over the last seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Role;
use crate::clock::Clock;

/// A speed is that of the last whole window.
const WINDOW: Duration = Duration::from_secs(2);

/// What was received for others, and what was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// From clients.
    pub received: u64,
    /// To clients.
    pub sent: u64,
}

impl Carried {
    /// Both directions.
    pub const fn both(self) -> u64 {
        self.received.saturating_add(self.sent)
    }
}

/// Counters.
#[derive(Debug)]
pub struct Meter {
    clock: Clock,
    received: [AtomicU64; Role::ALL.len()],
    sent: [AtomicU64; Role::ALL.len()],
    recent: Mutex<[Recent; Role::ALL.len()]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Recent {
    window: u64,
    now: u64,
    before: u64,
}

impl Meter {
    /// At zero.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            received: Default::default(),
            sent: Default::default(),
            recent: Mutex::default(),
        }
    }

    /// Bytes came from a client.
    pub fn received(&self, role: Role, bytes: u64) {
        self.received[role as usize].fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes went to a client.
    pub fn sent(&self, role: Role, bytes: u64) {
        self.sent[role as usize].fetch_add(bytes, Ordering::Relaxed);
    }

    /// A letter came: what was counted as the supernode's was the mailbox's.
    pub fn letter_received(&self, bytes: u64) {
        moved(&self.received, bytes);
    }

    /// A letter went.
    pub fn letter_sent(&self, bytes: u64) {
        moved(&self.sent, bytes);
    }

    /// Bytes passed the role's cap.
    pub fn passed(&self, role: Role, bytes: u64) {
        let window = self.window();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent[role as usize].move_to(window).now += bytes;
    }

    /// Since the start.
    pub fn carried(&self, role: Role) -> Carried {
        Carried {
            received: self.received[role as usize].load(Ordering::Relaxed),
            sent: self.sent[role as usize].load(Ordering::Relaxed),
        }
    }

    /// All roles together, both directions.
    pub fn volume(&self) -> u64 {
        Role::ALL
            .iter()
            .map(|role| self.carried(*role).both())
            .fold(0, u64::saturating_add)
    }

    /// Of late, in kbit/s.
    pub fn kbit_s(&self, role: Role) -> u64 {
        let window = self.window();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = recent[role as usize].move_to(window).before;
        (bytes * 8).div_ceil(WINDOW.as_secs() * 1000)
    }

    fn window(&self) -> u64 {
        self.clock.now().as_secs() / WINDOW.as_secs()
    }
}

impl Recent {
    fn move_to(&mut self, window: u64) -> &mut Self {
        if window != self.window {
            let follows = window == self.window + 1;
            self.before = if follows { self.now } else { 0 };
            self.now = 0;
            self.window = window;
        }
        self
    }
}

/// From the supernode's count to the mailbox's, as far as it reaches.
fn moved(counters: &[AtomicU64; Role::ALL.len()], bytes: u64) {
    let from = &counters[Role::Supernode as usize];
    let less = |count: u64| Some(count.saturating_sub(bytes));
    let before = from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    let taken = before.unwrap_or_else(|count| count).min(bytes);
    counters[Role::Mailbox as usize].fetch_add(taken, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_once() {
        let meter = Meter::new(Clock::start());
        meter.received(Role::Supernode, 1_000);
        meter.letter_received(700);
        meter.letter_sent(50);
        assert_eq!(meter.carried(Role::Supernode).received, 300);
        assert_eq!(meter.carried(Role::Mailbox).received, 700);
        assert_eq!(meter.carried(Role::Mailbox).sent, 0, "not sent yet");
        meter.sent(Role::Relay, 5);
        assert_eq!(meter.volume(), 1_005);
    }

    #[test]
    fn a_speed_is_that_of_the_window_before_and_ends_with_it() {
        let mut recent = Recent::default();
        recent.move_to(7).now += 1_000;
        assert_eq!(recent.move_to(7).before, 0);
        assert_eq!(recent.move_to(8).before, 1_000);
        assert_eq!(recent.move_to(9).before, 0);
        recent.move_to(9).now += 5;
        assert_eq!(recent.move_to(11).before, 0, "silence between");
    }
}
