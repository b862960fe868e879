//! Whose answers a registrar waits for before it signs anything (`NAMES-08`). Those that the network's owner names count always;
//! others, whom anybody may have put there, count until they have been silent for a while. So a stale copy is not all that is
//! heard, and nobody stops the registrar by planting supernodes that say nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::machine::Time;

/// Supernodes that are asked at most.
pub const ASKED_MAX: usize = 8;
/// One that the owner does not name is waited for so long.
pub const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// And asked again after this.
const AGAIN: Duration = Duration::from_secs(3600);

/// The supernodes of a network, as its registrar knows them.
#[derive(Debug, Default, Clone)]
pub struct Known<K> {
    /// Those in the owner's file.
    pub named: Vec<K>,
    /// All others that are known, the nearest first.
    pub others: Vec<K>,
    /// The one in this very process: its copy is as old as we are.
    pub own: Option<K>,
}

/// Who has been silent, and since when.
#[derive(Debug)]
pub struct Attendance<K> {
    silent: BTreeMap<K, Time>,
}

impl<K> Default for Attendance<K> {
    fn default() -> Self {
        Self {
            silent: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy> Attendance<K> {
    /// Whom to ask: those that the owner names, then others that answer.
    pub fn whom(&mut self, known: &Known<K>, now: Time) -> Vec<K> {
        self.silent
            .retain(|_, since| *since + PATIENCE + AGAIN > now);
        let mut whom: Vec<K> = Vec::new();
        let others = known.others.iter().filter(|one| !self.is_lost(one, now));
        for one in known.named.iter().chain(others) {
            if whom.len() < ASKED_MAX && !whom.contains(one) {
                whom.push(*one);
            }
        }
        whom
    }

    /// Who of `asked` answered. Whether that is enough to believe that nothing is missing.
    pub fn handle_answers(
        &mut self,
        known: &Known<K>,
        asked: &[K],
        answered: &[K],
        now: Time,
    ) -> bool {
        for one in asked {
            if answered.contains(one) {
                self.silent.remove(one);
            } else {
                self.silent.entry(*one).or_insert(now);
            }
        }
        let counts = |one: &&K| known.named.contains(one) || !self.is_lost(one, now);
        let foreign = |one: &&K| known.own.as_ref() != Some(*one);
        let counted: Vec<&K> = asked.iter().filter(counts).filter(foreign).collect();
        // Whose network has no other supernode knows all that there is.
        if counted.is_empty() {
            return !answered.is_empty();
        }
        let heard = counted.iter().filter(|one| answered.contains(one)).count();
        heard * 2 >= counted.len()
    }

    fn is_lost(&self, one: &K, now: Time) -> bool {
        let since = self.silent.get(one);
        since.is_some_and(|since| *since + PATIENCE <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::ZERO;

    fn known(named: &[u8], others: &[u8], own: Option<u8>) -> Known<u8> {
        let (named, others) = (named.to_vec(), others.to_vec());
        Known { named, others, own }
    }

    #[test]
    fn names_08_half_of_those_that_count_have_to_answer() {
        let mut attendance = Attendance::default();
        let known = known(&[1, 2], &[3, 4], None);
        let asked = attendance.whom(&known, START);
        assert_eq!(asked, [1, 2, 3, 4]);
        assert!(!attendance.handle_answers(&known, &asked, &[3], START));
        assert!(attendance.handle_answers(&known, &asked, &[3, 1], START));
        assert!(!attendance.handle_answers(&known, &asked, &[], START));
    }

    #[test]
    fn names_08_planted_silent_supernodes_delay_the_office_and_do_not_stop_it() {
        let mut attendance = Attendance::default();
        let planted: Vec<u8> = (10..100).collect();
        let known = known(&[1, 2], &planted, None);
        let asked = attendance.whom(&known, START);
        assert_eq!(asked.len(), ASKED_MAX);
        assert!(!attendance.handle_answers(&known, &asked, &[1, 2], START));
        let later = START + PATIENCE;
        assert!(attendance.handle_answers(&known, &asked, &[1, 2], later));
        // Others are asked in their place; those that the owner names are waited for.
        let next = attendance.whom(&known, later);
        assert_eq!(next[..2], [1, 2]);
        assert!(next[2..].iter().all(|one| !asked.contains(one)));
        assert!(!attendance.handle_answers(&known, &asked, &[], later));
        // After an hour they are asked once more, and whoever answers counts.
        let again = later + AGAIN;
        assert_eq!(attendance.whom(&known, again), asked);
    }

    #[test]
    fn names_08_the_own_copy_counts_where_there_is_no_other() {
        let mut attendance = Attendance::default();
        let alone = known(&[1], &[], Some(1));
        assert!(attendance.handle_answers(&alone, &[1], &[1], START));
        assert!(!attendance.handle_answers(&alone, &[1], &[], START));
        // A backup has brought back both: what the own copy says is as old.
        let two = known(&[1], &[2], Some(1));
        assert!(!attendance.handle_answers(&two, &[1, 2], &[1], START));
        assert!(attendance.handle_answers(&two, &[1, 2], &[1, 2], START));
    }
}
