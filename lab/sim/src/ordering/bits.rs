//! What was said in a small world, as bits: three holders, four ballots, two entries.

/// Holders.
pub const HOLDERS: u8 = 3;
/// Ballots, the lowest first.
pub const BALLOTS: u8 = 4;
/// Entries.
pub const ENTRIES: u8 = 2;

/// What a holder may have agreed to last: nothing, or an entry in a ballot.
const ACCEPTED: u8 = 1 + BALLOTS * ENTRIES;
const _: () = assert!(
    BALLOTS * HOLDERS * ACCEPTED <= 128,
    "a bit for each promise"
);

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallPromise {
    /// Whose.
    pub holder: u8,
    /// The highest ballot promised.
    pub ballot: u8,
    /// Ballot and entry.
    pub accepted: Option<(u8, u8)>,
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallVote {
    /// Whose.
    pub holder: u8,
    /// In which ballot.
    pub ballot: u8,
    /// For what.
    pub entry: u8,
}

/// A request to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// In which ballot.
    pub ballot: u8,
    /// To what.
    pub entry: u8,
    /// By which promises, down to the beginning.
    pub promises: Promises,
}

/// A set of promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Promises(u128);

/// A set of votes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Votes(u32);

impl SmallPromise {
    fn place(self) -> u8 {
        let accepted = self
            .accepted
            .map_or(0, |(ballot, entry)| 1 + ballot * ENTRIES + entry);
        (self.ballot * HOLDERS + self.holder) * ACCEPTED + accepted
    }

    fn at(place: u8) -> Self {
        let (rest, accepted) = (place / ACCEPTED, place % ACCEPTED);
        Self {
            holder: rest % HOLDERS,
            ballot: rest / HOLDERS,
            accepted: accepted
                .checked_sub(1)
                .map(|it| (it / ENTRIES, it % ENTRIES)),
        }
    }
}

impl Promises {
    /// One more.
    pub fn insert(&mut self, said: SmallPromise) {
        self.0 |= 1 << said.place();
    }

    /// Those in it, ballot by ballot, holder by holder.
    pub fn iter(self) -> impl Iterator<Item = SmallPromise> {
        let places = BALLOTS * HOLDERS * ACCEPTED;
        (0..places)
            .filter(move |place| self.0 & (1 << place) != 0)
            .map(SmallPromise::at)
    }

    /// These and others.
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Each set of promises of one ballot that could be shown for it: at most one of each holder, of two holders or three, and
    /// none by whom something was agreed to in this ballot already.
    pub fn subsets_of(self, ballot: u8) -> Vec<Self> {
        let mut sets = vec![(Self::default(), 0)];
        for holder in 0..HOLDERS {
            let fits = |said: &SmallPromise| {
                let before = said.accepted.is_none_or(|(last, _)| last < ballot);
                said.ballot == ballot && said.holder == holder && before
            };
            let of_holder: Vec<_> = self.iter().filter(fits).collect();
            for (set, size) in sets.clone() {
                sets.extend(of_holder.iter().map(|said| {
                    let mut more = set;
                    more.insert(*said);
                    (more, size + 1)
                }));
            }
        }
        sets.into_iter()
            .filter(|(_, size)| *size > 1)
            .map(|(set, _)| set)
            .collect()
    }
}

impl Votes {
    const fn bit(vote: SmallVote) -> u32 {
        1 << ((vote.ballot * ENTRIES + vote.entry) * HOLDERS + vote.holder)
    }

    /// One more.
    pub fn insert(&mut self, vote: SmallVote) {
        self.0 |= Self::bit(vote);
    }

    /// Whether it is there.
    pub const fn has(self, vote: SmallVote) -> bool {
        self.0 & Self::bit(vote) != 0
    }

    /// How many there are for an entry in a ballot.
    pub fn count(self, ballot: u8, entry: u8) -> usize {
        let vote = |holder| SmallVote {
            holder,
            ballot,
            entry,
        };
        (0..HOLDERS)
            .filter(|holder| self.has(vote(*holder)))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_has_a_bit_of_its_own() {
        for place in 0..BALLOTS * HOLDERS * ACCEPTED {
            assert_eq!(SmallPromise::at(place).place(), place);
        }
    }

    #[test]
    fn sets_of_promises_have_one_of_each_holder() {
        let mut said = Promises::default();
        for holder in 0..HOLDERS {
            let accepted = (holder == 1).then_some((0, 1));
            for accepted in [None, accepted] {
                said.insert(SmallPromise {
                    holder,
                    ballot: 2,
                    accepted,
                });
            }
        }
        // Two of the three, or all: 1 + 2 + 2, and 2.
        assert_eq!(said.subsets_of(2).len(), 7);
        assert_eq!(said.subsets_of(1).len(), 0);
    }
}
