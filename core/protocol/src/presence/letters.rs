//! The supernode's side: which doors have to hear that a letter waits. Nobody is told once and for all: a door that did
//! not answer is told again, after a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use starling_wire::ids::EndpointKey;

use crate::machine::{Deadline, Time};

/// A door that could not be told is told again after this, then after twice as long, and so on.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// And at last so often, as long as it is here.
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LettersReason {
    /// A door is to be told.
    TellDue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owed {
    /// When it is told; none while it is being told.
    at: Option<Time>,
    /// Another letter came while it was being told.
    again: bool,
    failures: u32,
}

/// The doors that are to be told. As many as are here, at most.
#[derive(Debug, Default)]
pub struct Letters {
    doors: BTreeMap<EndpointKey, Owed>,
    due: BTreeSet<(Time, EndpointKey)>,
}

impl Letters {
    /// A letter waits behind a door. One that did not answer is not asked more often because letters rain on it.
    pub fn handle_letter(&mut self, door: EndpointKey, now: Time) {
        let Some(owed) = self.doors.get_mut(&door) else {
            return self.schedule(door, now, 0);
        };
        let failures = owed.failures;
        match owed.at {
            None => owed.again = true,
            Some(at) if at > now + RETRY_FIRST => self.schedule(door, now + RETRY_FIRST, failures),
            Some(_) => {}
        }
    }

    /// The door's link is down: it asks for its letters when it is back.
    pub fn handle_gone(&mut self, door: EndpointKey) {
        if let Some(owed) = self.doors.remove(&door)
            && let Some(at) = owed.at
        {
            self.due.remove(&(at, door));
        }
    }

    /// `SUPER-09`: who was told is owed nothing; who was not is told again.
    pub fn handle_told(&mut self, door: EndpointKey, told: bool, now: Time) {
        let Some(owed) = self.doors.get(&door).copied() else {
            return;
        };
        if owed.at.is_some() {
            return;
        }
        match (told, owed.again) {
            (true, false) => {
                self.doors.remove(&door);
            }
            (true, true) => self.schedule(door, now, 0),
            (false, _) => {
                let wait = RETRY_FIRST.saturating_mul(1 << owed.failures.min(8));
                self.schedule(door, now + wait.min(RETRY_MAX), owed.failures + 1);
            }
        }
    }

    /// The next door to tell; it is not named again before [`Self::handle_told`].
    pub fn poll_door(&mut self, now: Time) -> Option<EndpointKey> {
        let (at, door) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, door));
        let owed = self.doors.get_mut(&door)?;
        owed.at = None;
        owed.again = false;
        Some(door)
    }

    /// When to be woken, and why.
    pub fn poll_timeout(&self) -> Option<Deadline<LettersReason>> {
        let (at, _) = self.due.first()?;
        Some(Deadline::new(*at, LettersReason::TellDue))
    }

    fn schedule(&mut self, door: EndpointKey, at: Time, failures: u32) {
        let owed = Owed {
            at: Some(at),
            again: false,
            failures,
        };
        if let Some(before) = self.doors.insert(door, owed).and_then(|owed| owed.at) {
            self.due.remove(&(before, door));
        }
        self.due.insert((at, door));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: EndpointKey = EndpointKey([1; 32]);
    const BOB: EndpointKey = EndpointKey([2; 32]);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn due(letters: &Letters) -> Option<Time> {
        letters.poll_timeout().map(|deadline| deadline.at)
    }

    #[test]
    fn super_09_a_door_that_was_not_told_is_told_again_ever_more_slowly() {
        let mut letters = Letters::default();
        letters.handle_letter(ALICE, seconds(0));
        let mut now = seconds(0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(letters.poll_door(now), Some(ALICE));
            assert_eq!(letters.poll_door(now + RETRY_MAX), None, "one at a time");
            letters.handle_told(ALICE, false, now);
            let next = due(&letters).expect("it is not forgotten");
            assert_eq!(letters.poll_door(next - Duration::from_nanos(1)), None);
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(letters.poll_door(now), Some(ALICE));
        letters.handle_told(ALICE, true, now);
        assert_eq!(due(&letters), None);
        assert!(letters.doors.is_empty());
    }

    #[test]
    fn super_09_a_letter_that_comes_while_its_door_is_told_is_told_as_well() {
        let mut letters = Letters::default();
        letters.handle_letter(ALICE, seconds(0));
        assert_eq!(letters.poll_door(seconds(0)), Some(ALICE));
        letters.handle_letter(ALICE, seconds(1));
        letters.handle_letter(ALICE, seconds(1));
        letters.handle_told(ALICE, true, seconds(2));
        assert_eq!(letters.poll_door(seconds(2)), Some(ALICE));
        letters.handle_told(ALICE, true, seconds(3));
        assert_eq!(letters.poll_door(seconds(9)), None);
    }

    #[test]
    fn super_09_letters_that_rain_on_a_silent_door_do_not_hurry_it() {
        let mut letters = Letters::default();
        letters.handle_letter(ALICE, seconds(0));
        let mut told = 0;
        for second in 0..100 {
            letters.handle_letter(ALICE, seconds(second));
            if letters.poll_door(seconds(second)).is_some() {
                told += 1;
                letters.handle_told(ALICE, false, seconds(second));
            }
        }
        assert!((10..=20).contains(&told), "{told}");
        letters.handle_letter(BOB, seconds(100));
        letters.handle_gone(ALICE);
        assert_eq!(letters.poll_door(seconds(1_000)), Some(BOB));
        letters.handle_gone(BOB);
        letters.handle_told(BOB, false, seconds(1_001));
        assert_eq!(letters.poll_door(seconds(9_000)), None);
        assert!(letters.doors.is_empty() && letters.due.is_empty());
    }
}
