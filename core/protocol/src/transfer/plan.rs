//! The receiver's plan: a file is fetched in segments of up to 1 MiB by a few streams at once. A segment counts when all
//! of it was verified and written; the list of those is what survives a restart, so what is fetched twice after one is a
//! segment for each stream.

/// Bytes of one group, the smallest part that is verified by itself.
pub const GROUP_BYTES: u64 = 16 * 1024;
/// Groups in one segment: 1 MiB.
pub const SEGMENT_GROUPS: u64 = 64;
/// Streams that pull at once.
pub const STREAMS: usize = 4;

/// Groups in a file of `size` bytes.
pub const fn groups(size: u64) -> u64 {
    size.div_ceil(GROUP_BYTES)
}

/// What is done, what runs, what is left: each group is fetched and counted once (`FILE-06`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    groups: u64,
    done: Vec<bool>,
    taken: Vec<bool>,
    /// Every segment before this one is done or taken.
    first_free: usize,
}

impl Plan {
    /// A file of `groups` groups (an empty file has one empty group), with the list of an earlier run. A list that does
    /// not fit the file is ignored: fetching twice is safe, skipping is not (`FILE-05`).
    pub fn new(groups: u64, saved: &[u8]) -> Self {
        let groups = groups.max(1);
        let segments = usize::try_from(groups.div_ceil(SEGMENT_GROUPS)).unwrap_or(usize::MAX);
        let mut done = vec![false; segments];
        if saved.len() == segments.div_ceil(8) {
            for (index, flag) in done.iter_mut().enumerate() {
                *flag = saved[index / 8] >> (index % 8) & 1 == 1;
            }
        }
        Self {
            groups,
            taken: vec![false; segments],
            first_free: 0,
            done,
        }
    }

    /// The next segment to pull: `(segment, first group, one past the last)`. It is taken until it is done or given back.
    pub fn take(&mut self) -> Option<(usize, u64, u64)> {
        let free = |index: &usize| !self.done[*index] && !self.taken[*index];
        let segment = (self.first_free..self.done.len()).find(free)?;
        self.taken[segment] = true;
        self.first_free = segment + 1;
        let start = segment as u64 * SEGMENT_GROUPS;
        Some((segment, start, (start + SEGMENT_GROUPS).min(self.groups)))
    }

    /// A taken segment could not be fetched.
    pub fn give_back(&mut self, segment: usize) {
        if let Some(taken) = self.taken.get_mut(segment) {
            *taken = false;
            self.first_free = self.first_free.min(segment);
        }
    }

    /// A segment is verified and written.
    pub fn finish(&mut self, segment: usize) {
        if let Some(done) = self.done.get_mut(segment) {
            *done = true;
        }
    }

    /// Whether everything is here.
    pub fn is_complete(&self) -> bool {
        self.done.iter().all(|done| *done)
    }

    /// Groups of finished segments.
    pub fn finished_groups(&self) -> u64 {
        let last = self.done.len() - 1;
        let groups = |index: usize| {
            if index == last {
                self.groups - last as u64 * SEGMENT_GROUPS
            } else {
                SEGMENT_GROUPS
            }
        };
        self.done
            .iter()
            .enumerate()
            .filter(|(_, done)| **done)
            .map(|(index, _)| groups(index))
            .sum()
    }

    /// What to store, one bit a segment. Only valid once the file's bytes are on disk.
    pub fn saved(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.done.len().div_ceil(8)];
        for (index, _) in self.done.iter().enumerate().filter(|(_, done)| **done) {
            bytes[index / 8] |= 1 << (index % 8);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn file_06_every_group_is_fetched_once_whatever_fails(
            groups in 0u64..5_000,
            fates in proptest::collection::vec(any::<bool>(), 1..200),
            restart in any::<proptest::sample::Index>(),
        ) {
            let mut plan = Plan::new(groups, &[]);
            let mut covered = vec![0u32; usize::try_from(groups.max(1)).unwrap()];
            let restart = restart.index(fates.len());
            for (step, fate) in fates.iter().cycle().take(2_000).enumerate() {
                if step == restart {
                    plan = Plan::new(groups, &plan.saved());
                }
                let Some((segment, start, end)) = plan.take() else { break };
                prop_assert!(start < end && end <= groups.max(1));
                if *fate || step > fates.len() {
                    (start..end).for_each(|group| covered[usize::try_from(group).unwrap()] += 1);
                    plan.finish(segment);
                } else {
                    plan.give_back(segment);
                }
            }
            prop_assert!(plan.is_complete());
            prop_assert_eq!(plan.finished_groups(), groups.max(1));
            prop_assert!(covered.iter().all(|count| *count == 1));
        }
    }

    #[test]
    fn file_05_a_list_that_does_not_fit_is_ignored() {
        let mut plan = Plan::new(1_000, &[]);
        let (segment, ..) = plan.take().expect("a segment");
        plan.finish(segment);
        assert_eq!(
            Plan::new(1_000, &plan.saved()).finished_groups(),
            SEGMENT_GROUPS
        );
        assert_eq!(Plan::new(5_000, &plan.saved()).finished_groups(), 0);
        assert_eq!(Plan::new(1_000, &[0xff; 9]).finished_groups(), 0);
    }
}
