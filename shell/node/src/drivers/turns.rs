//! How much one person may have open at once, and all together: whoever takes more is turned away, and nobody is turned
//! away because of another one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Turns to give away.
#[derive(Debug)]
pub struct Turns<K> {
    of_one: usize,
    of_all: usize,
    taken: Arc<Mutex<Taken<K>>>,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn<K: Ord> {
    key: K,
    taken: Arc<Mutex<Taken<K>>>,
}

#[derive(Debug)]
struct Taken<K> {
    by_key: BTreeMap<K, usize>,
    all: usize,
}

impl<K: Ord + Copy> Turns<K> {
    /// `of_one` for each, `of_all` for all together.
    pub fn new(of_one: usize, of_all: usize) -> Self {
        let taken = Taken {
            by_key: BTreeMap::new(),
            all: 0,
        };
        Self {
            of_one,
            of_all,
            taken: Arc::new(Mutex::new(taken)),
        }
    }

    /// A turn, if there is one left.
    pub fn take(&self, key: K) -> Option<Turn<K>> {
        let mut taken = lock(&self.taken);
        if taken.all >= self.of_all {
            return None;
        }
        let own = taken.by_key.entry(key).or_default();
        if *own >= self.of_one {
            return None;
        }
        *own += 1;
        taken.all += 1;
        let taken = Arc::clone(&self.taken);
        Some(Turn { key, taken })
    }
}

impl<K: Ord + Copy> Turn<K> {
    /// Whose turn it is.
    pub fn key(&self) -> K {
        self.key
    }
}

impl<K: Ord> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all = taken.all.saturating_sub(1);
        let Some(own) = taken.by_key.get_mut(&self.key) else {
            return;
        };
        *own = own.saturating_sub(1);
        if *own == 0 {
            taken.by_key.remove(&self.key);
        }
    }
}

fn lock<K>(taken: &Mutex<Taken<K>>) -> MutexGuard<'_, Taken<K>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_takes_all_its_turns_leaves_the_others_theirs() {
        let turns = Turns::new(3, 10);
        let greedy: Vec<_> = (0..100).filter_map(|_| turns.take(1)).collect();
        assert_eq!(greedy.len(), 3);
        let others: Vec<_> = (2..100).filter_map(|key| turns.take(key)).collect();
        assert_eq!(others.len(), 7, "and all together no more than they may");
        drop(greedy);
        let again: Vec<_> = (0..100).filter_map(|_| turns.take(1)).collect();
        assert_eq!(again.len(), 3);
        drop((again, others));
        let taken = lock(&turns.taken);
        assert!(taken.by_key.is_empty() && taken.all == 0);
    }
}
