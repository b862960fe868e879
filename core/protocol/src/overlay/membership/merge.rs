//! Two halves of a network that find each other: lists are compared quickly until they are equal (`MEMBER-12`, `MEMBER-13`).

use super::{EQUAL_ENOUGH, MERGE_COMPARISONS_MAX, MERGED};

/// How far the merging is.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Members that have come back, those of earlier comparisons counted half each time.
    returned: usize,
    /// Comparisons since it began; `None` while nothing merges.
    comparisons: Option<u8>,
    /// Whether the last comparison, or another one since, found a difference.
    differed: bool,
    /// Comparisons in a row that found none.
    equal: u8,
}

impl Merge {
    /// A member is back, of so many: whether that many are that halves merge.
    pub(super) const fn note_returned(&mut self, members: usize) -> bool {
        self.returned += 1;
        let merges = self.returned * MERGED >= members;
        if merges && self.comparisons.is_none() {
            self.comparisons = Some(0);
            self.differed = true;
            self.equal = 0;
        }
        merges
    }

    /// A list was found to differ from ours.
    pub(super) const fn note_difference(&mut self) {
        self.differed = true;
    }

    /// `MEMBER-13`: the next comparison begins: whether another one follows soon.
    pub(super) fn compare(&mut self) -> bool {
        self.returned /= 2;
        let Some(comparisons) = self.comparisons else {
            return false;
        };
        let differed = std::mem::replace(&mut self.differed, false);
        self.equal = if differed { 0 } else { self.equal + 1 };
        let goes_on = self.equal < EQUAL_ENOUGH && comparisons < MERGE_COMPARISONS_MAX;
        self.comparisons = goes_on.then_some(comparisons + 1);
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merging() -> Merge {
        let mut merge = Merge::default();
        let merges: Vec<bool> = (0..13).map(|_| merge.note_returned(100)).collect();
        assert!(!merges[11] && merges[12], "an eighth");
        merge
    }

    #[test]
    fn member_13_lists_that_merge_are_compared_until_two_comparisons_find_them_equal() {
        assert!(!Merge::default().compare(), "at rest");
        let mut merge = merging();
        assert!(merge.compare());
        merge.note_difference();
        assert!(merge.compare());
        assert!(merge.compare(), "equal once");
        merge.note_difference();
        assert!(merge.compare(), "others still differ");
        assert!(merge.compare(), "equal once");
        assert!(!merge.compare(), "equal twice");
    }

    #[test]
    fn member_13_whoever_always_differs_does_not_keep_others_busy() {
        let mut merge = merging();
        let soon = (0..100).take_while(|_| {
            merge.note_difference();
            merge.compare()
        });
        assert_eq!(soon.count(), usize::from(MERGE_COMPARISONS_MAX));
    }
}
