//! A home supernode's side of promotion: which of its clients could serve, and when it tells them that the network is nearly
//! full (`PROMOTE-05` to `PROMOTE-07`; the clients' side is [`super::promotion`]).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::ids::EndpointKey;

use super::promotion::BUSY;
use crate::machine::Time;

/// How often it is said at most.
pub const SAY_EVERY: Duration = Duration::from_secs(60);
/// A supernode is new for so long: it has had no time to fill.
const NEW_FOR: Duration = Duration::from_secs(120);
/// While one in so many is new, nothing is said.
const NEW_SHARE: usize = 4;
/// Clients that are remembered as willing.
const WILLING_MAX: usize = 10_000;

/// What is to be said, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// How full the network is, in percent.
    pub percent: u8,
    /// Everybody who could serve.
    pub clients: Vec<EndpointKey>,
}

/// The clients that could serve.
#[derive(Debug, Default)]
pub struct Crowd {
    willing: BTreeSet<EndpointKey>,
    others: BTreeSet<EndpointKey>,
    joins: VecDeque<Time>,
    said: Option<Time>,
}

impl Crowd {
    /// `PROMOTE-05`: a client says whether it could serve. Whether there was room to note it.
    pub fn handle_willing(&mut self, client: EndpointKey, willing: bool) -> bool {
        if !willing {
            self.willing.remove(&client);
            return true;
        }
        let room = self.willing.len() < WILLING_MAX || self.willing.contains(&client);
        if room {
            self.willing.insert(client);
        }
        room
    }

    /// Keeps those that are still here.
    pub fn retain(&mut self, is_here: impl Fn(EndpointKey) -> bool) {
        self.willing.retain(|client| is_here(*client));
    }

    /// The other supernodes that are known now.
    pub fn handle_others(&mut self, others: impl IntoIterator<Item = EndpointKey>, now: Time) {
        let others: BTreeSet<EndpointKey> = others.into_iter().collect();
        let new = others.difference(&self.others).count();
        self.joins.extend(std::iter::repeat_n(now, new));
        self.others = others;
        while self.joins.front().is_some_and(|at| *at + NEW_FOR <= now) {
            self.joins.pop_front();
        }
    }

    /// Whether it is time to find out how full the others are: this one is nearly full, and somebody could help.
    pub fn is_due(&self, own: u8, now: Time) -> bool {
        let silent = self.said.is_none_or(|at| at + SAY_EVERY <= now);
        own >= BUSY && silent && !self.willing.is_empty()
    }

    /// `PROMOTE-06`: what to say, if the others are as full; `PROMOTE-07`: nothing while many of them are new.
    pub fn call(&mut self, own: u8, others: Option<u8>, now: Time) -> Option<Call> {
        let percent = others.unwrap_or(own).min(own);
        let many_new = self.joins.len() * NEW_SHARE > self.others.len() + NEW_SHARE;
        if !self.is_due(own, now) || percent < BUSY || many_new {
            return None;
        }
        self.said = Some(now);
        Some(Call {
            percent,
            clients: self.willing.iter().copied().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> EndpointKey {
        EndpointKey([n; 32])
    }

    fn at(seconds: u64) -> Time {
        Duration::from_secs(seconds)
    }

    #[test]
    fn promote_05_who_is_willing_and_here_is_told() {
        let mut crowd = Crowd::default();
        assert!(!crowd.is_due(100, at(0)), "nobody could help");
        for n in 1..=3 {
            assert!(crowd.handle_willing(key(n), true));
        }
        crowd.handle_willing(key(2), false);
        crowd.retain(|client| client != key(3));
        let call = crowd.call(80, None, at(0)).unwrap();
        assert_eq!((call.percent, call.clients), (80, vec![key(1)]));
    }

    #[test]
    fn promote_06_a_full_home_says_so_once_a_minute_if_the_others_are_full_too() {
        let mut crowd = Crowd::default();
        crowd.handle_willing(key(1), true);
        assert_eq!(crowd.call(BUSY - 1, Some(100), at(0)), None);
        assert_eq!(crowd.call(100, Some(BUSY - 1), at(0)), None);
        assert_eq!(crowd.call(100, Some(BUSY), at(0)).unwrap().percent, BUSY);
        assert_eq!(crowd.call(100, Some(100), at(59)), None);
        assert!(crowd.call(100, Some(100), at(60)).is_some());
    }

    #[test]
    fn promote_07_nothing_is_said_while_a_quarter_of_the_supernodes_is_new() {
        let mut crowd = Crowd::default();
        crowd.handle_willing(key(1), true);
        crowd.handle_others((10..30).map(key), at(0));
        assert_eq!(crowd.call(100, Some(100), at(1)), None, "all are new");
        assert!(crowd.call(100, None, at(1)).is_none());
        crowd.handle_others((10..30).map(key), at(120));
        assert!(crowd.call(100, Some(100), at(120)).is_some());
        crowd.handle_others((10..31).map(key), at(200));
        assert!(crowd.call(100, Some(100), at(200)).is_some(), "one is new");
    }
}
