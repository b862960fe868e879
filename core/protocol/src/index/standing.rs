//! How far a supernode is trusted, from what it did to its clients: faults add up and fade, and whoever has too many is left
//! (`INDEX-23`). No single fault proves a lie, the network may have been to blame; two grave ones within an hour are enough.

use std::collections::BTreeMap;
use std::time::Duration;

use super::resolver::Fault;
use crate::machine::Time;

/// From here on a supernode is left.
const BAD: u32 = 400;
/// What was added halves in this time.
const HALVES_IN: Duration = Duration::from_secs(3600);
/// Supernodes remembered; beyond it the least guilty is forgotten.
const REMEMBERED: usize = 200;

/// Faults of supernodes.
#[derive(Debug, Clone)]
pub struct Standing<M>(BTreeMap<M, Faults>);

#[derive(Debug, Clone, Copy)]
struct Faults {
    sum: u32,
    at: Time,
}

impl<M> Default for Standing<M> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<M: Copy + Ord> Standing<M> {
    /// A supernode did badly: whether it is bad from now on, and was not before.
    pub fn handle_blame(&mut self, supernode: M, fault: Fault, now: Time) -> bool {
        let before = self.sum(supernode, now);
        let sum = before.saturating_add(weight(fault));
        self.0.insert(supernode, Faults { sum, at: now });
        if self.0.len() > REMEMBERED {
            self.forget_least(now);
        }
        before < BAD && sum >= BAD
    }

    /// Whether it is not to be used.
    pub fn is_bad(&self, supernode: M, now: Time) -> bool {
        self.sum(supernode, now) >= BAD
    }

    /// What is left of its faults.
    fn sum(&self, supernode: M, now: Time) -> u32 {
        let Some(faults) = self.0.get(&supernode) else {
            return 0;
        };
        let halvings = now.saturating_sub(faults.at).as_secs() / HALVES_IN.as_secs();
        u32::try_from(halvings)
            .ok()
            .and_then(|halvings| faults.sum.checked_shr(halvings))
            .unwrap_or(0)
    }

    fn forget_least(&mut self, now: Time) {
        let least = self.0.keys().copied();
        if let Some(least) = least.min_by_key(|supernode| self.sum(*supernode, now)) {
            self.0.remove(&least);
        }
    }
}

const fn weight(fault: Fault) -> u32 {
    match fault {
        Fault::Forged => 400,
        Fault::Behind | Fault::Kept => 200,
        Fault::Silent | Fault::Unreachable => 50,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Duration::from_secs(50);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn index_23_two_lies_within_an_hour_are_enough_and_a_forgery_alone() {
        let mut standing = Standing::default();
        assert!(!standing.handle_blame(1, Fault::Kept, START));
        assert!(!standing.is_bad(1, START));
        assert!(standing.handle_blame(1, Fault::Behind, START + HOUR / 2));
        assert!(standing.is_bad(1, START + HOUR));
        assert!(
            !standing.handle_blame(1, Fault::Behind, START + HOUR),
            "known"
        );
        assert!(standing.handle_blame(2, Fault::Forged, START));
        assert!(!standing.is_bad(3, START));
    }

    #[test]
    fn index_23_faults_fade() {
        let mut standing = Standing::default();
        standing.handle_blame(1, Fault::Forged, START);
        assert!(!standing.is_bad(1, START + HOUR));
        standing.handle_blame(1, Fault::Kept, START + HOUR);
        assert!(standing.is_bad(1, START + HOUR), "half of it still counts");
        assert!(!standing.is_bad(1, START + 1_000 * HOUR));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_worst_stay() {
        let mut standing = Standing::default();
        standing.handle_blame(0, Fault::Forged, START);
        for supernode in 1..1_000 {
            standing.handle_blame(supernode, Fault::Silent, START);
        }
        assert_eq!(standing.0.len(), REMEMBERED);
        assert!(standing.is_bad(0, START));
    }
}
