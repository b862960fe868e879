//! How full the network is, by what a few say. One voice each, and only of those who were asked: whoever lies about himself
//! moves the median by one place, and whoever was not asked moves nothing (`PROMOTE-12`).

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::ids::EndpointKey;

use super::{Description, Membership, Message};
use crate::machine::Time;

/// What others said counts for so long.
pub(super) const COUNTS_FOR: Duration = Duration::from_secs(90);
/// For an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// So many are asked at once.
const ASKED: u32 = 8;
/// Of so many it is remembered, the latest.
const REMEMBERED: usize = 16;

/// Who was asked, and what was said.
#[derive(Debug, Default)]
pub(super) struct Loads {
    asked: BTreeMap<EndpointKey, Time>,
    said: BTreeMap<EndpointKey, (Time, u8)>,
}

impl Loads {
    /// Whether it is a question that is not open yet.
    fn ask(&mut self, member: EndpointKey, now: Time) -> bool {
        self.asked.retain(|_, at| *at + ANSWERED_WITHIN > now);
        self.asked.insert(member, now).is_none()
    }

    /// Somebody answers.
    pub(super) fn hear(&mut self, from: EndpointKey, load: u8, now: Time) {
        let asked = self.asked.remove(&from);
        if asked.is_none_or(|at| at + ANSWERED_WITHIN <= now) {
            return;
        }
        self.said.insert(from, (now, load.min(100)));
        let oldest = self.said.iter().min_by_key(|(_, (at, _))| *at);
        if let Some(oldest) = oldest.map(|(key, _)| *key)
            && self.said.len() > REMEMBERED
        {
            self.said.remove(&oldest);
        }
    }

    /// The lower median.
    fn median(&self, now: Time) -> Option<u8> {
        let recent = self.said.values().filter(|(at, _)| *at + COUNTS_FOR > now);
        let mut loads: Vec<u8> = recent.map(|(_, load)| *load).collect();
        loads.sort_unstable();
        loads.get(loads.len().checked_sub(1)? / 2).copied()
    }
}

impl<D: Description> Membership<D> {
    /// How full this supernode is, in percent.
    pub const fn handle_own_load(&mut self, percent: u8) {
        self.own_load = percent;
    }

    /// Asks some, by chance, how full they are.
    pub fn handle_load_wanted(&mut self, now: Time) {
        self.assert_drained();
        let joined: Vec<EndpointKey> = self.members().map(D::id).collect();
        let count = u32::try_from(joined.len()).unwrap_or(u32::MAX);
        for _ in 0..ASKED.min(count) {
            if let Some(member) = joined.get(self.chance.below(count) as usize)
                && self.loads.ask(*member, now)
            {
                self.transmits.push((*member, Message::Ping));
            }
        }
    }

    /// How full others are, by what some of them said lately; `None` when nobody has.
    pub fn others_load(&self, now: Time) -> Option<u8> {
        self.loads.median(now)
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
    fn promote_12_only_whoever_was_asked_is_heard_and_once() {
        let mut loads = Loads::default();
        loads.hear(key(9), 100, at(0));
        assert_eq!(loads.median(at(0)), None, "nobody asked");
        for n in 1..=3 {
            assert!(loads.ask(key(n), at(0)));
            assert!(!loads.ask(key(n), at(1)), "it is open");
        }
        loads.hear(key(1), 20, at(2));
        loads.hear(key(2), 30, at(2));
        for _ in 0..10 {
            loads.hear(key(3), 255, at(2));
        }
        assert_eq!(loads.median(at(2)), Some(30), "one voice each");
        assert_eq!(loads.median(at(2) + COUNTS_FOR), None);
        loads.ask(key(4), at(3));
        loads.hear(key(4), 0, at(13));
        assert_eq!(loads.said.len(), 3, "too late");
    }

    #[test]
    fn promote_12_what_is_remembered_is_bounded() {
        let mut loads = Loads::default();
        for n in 0..40 {
            loads.ask(key(n), at(n.into()));
            loads.hear(key(n), n, at(n.into()));
        }
        assert_eq!(loads.said.len(), REMEMBERED);
        assert!(loads.said.contains_key(&key(39)) && !loads.said.contains_key(&key(0)));
    }
}
