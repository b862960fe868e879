//! Whether this machine is where it was: in the same network, and awake all the time. Looked at twice a second, by address
//! and clock alone, because a link that leads nowhere any more says so late or never.

use std::net::IpAddr;
use std::time::Duration;

use crate::machine::Time;

/// How often it is looked.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Clocks that went on by so much more than was waited for mean that the machine slept. No load of work explains it, and
/// shorter sleeps are survived by what is open.
const SLEPT: Duration = Duration::from_secs(5);

/// What is seen at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Time since the node started; it may stand still while the machine sleeps.
    pub now: Time,
    /// The wall clock, in milliseconds.
    pub wall_ms: u64,
    /// The address that packets to the rest of the world would come from; none without a network.
    pub source: Option<IpAddr>,
}

/// Why what is open should be opened anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `HOME-15`: another address, or a network again after none.
    Network,
    /// `HOME-16`: the clock jumped as after a sleep.
    Sleep,
}

/// Where the machine was at the last look.
#[derive(Debug, Default)]
pub struct Surroundings {
    last: Option<Look>,
    /// The address of the last network there was.
    source: Option<IpAddr>,
    /// There was no network at the last look.
    away: bool,
}

impl Surroundings {
    /// Looks; whether anything changed. The first look changes nothing.
    pub fn handle_look(&mut self, look: Look) -> Option<Change> {
        let last = self.last.replace(look);
        let Some(source) = look.source else {
            self.away = last.is_some();
            return None;
        };
        let was_away = std::mem::take(&mut self.away);
        let before = self.source.replace(source);
        let moved = before.is_some_and(|before| before != source);
        if was_away || moved {
            return Some(Change::Network);
        }
        last.filter(|last| slept(last, &look))
            .map(|_| Change::Sleep)
    }
}

/// A clock that is set back is no sleep.
fn slept(last: &Look, look: &Look) -> bool {
    let wall = Duration::from_millis(look.wall_ms.saturating_sub(last.wall_ms));
    let passed = look.now.saturating_sub(last.now);
    wall.max(passed) > LOOK_EVERY + SLEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 2)));
    const ABROAD: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)));

    fn look(now_ms: u64, wall_ms: u64, source: Option<IpAddr>) -> Look {
        Look {
            now: Duration::from_millis(now_ms),
            wall_ms,
            source,
        }
    }

    #[test]
    fn home_15_another_address_and_a_network_that_is_back_are_a_change_and_none_is_none() {
        let mut here = Surroundings::default();
        assert_eq!(here.handle_look(look(0, 1_000, AT_HOME)), None);
        assert_eq!(here.handle_look(look(500, 1_500, AT_HOME)), None);
        assert_eq!(
            here.handle_look(look(1_000, 2_000, ABROAD)),
            Some(Change::Network)
        );
        assert_eq!(here.handle_look(look(1_500, 2_500, None)), None);
        assert_eq!(here.handle_look(look(2_000, 3_000, None)), None);
        assert_eq!(
            here.handle_look(look(2_500, 3_500, ABROAD)),
            Some(Change::Network)
        );
        assert_eq!(here.handle_look(look(3_000, 4_000, ABROAD)), None);
    }

    #[test]
    fn home_15_who_starts_without_a_network_is_told_when_there_is_one() {
        let mut here = Surroundings::default();
        assert_eq!(here.handle_look(look(0, 0, None)), None);
        assert_eq!(here.handle_look(look(500, 500, None)), None);
        assert_eq!(
            here.handle_look(look(1_000, 1_000, AT_HOME)),
            Some(Change::Network)
        );
    }

    #[test]
    fn home_16_a_clock_that_jumps_is_a_sleep_and_one_that_is_set_back_is_not() {
        let mut here = Surroundings::default();
        assert_eq!(here.handle_look(look(0, 10_000, AT_HOME)), None);
        // Asleep: the clock of the process stands still, or goes on with it.
        assert_eq!(
            here.handle_look(look(500, 3_600_000, AT_HOME)),
            Some(Change::Sleep)
        );
        assert_eq!(here.handle_look(look(1_000, 3_600_500, AT_HOME)), None);
        assert_eq!(
            here.handle_look(look(61_000, 3_660_500, AT_HOME)),
            Some(Change::Sleep)
        );
        assert_eq!(here.handle_look(look(61_500, 1_000, AT_HOME)), None);
        // A busy machine looks late.
        assert_eq!(here.handle_look(look(64_000, 3_500, AT_HOME)), None);
    }
}
