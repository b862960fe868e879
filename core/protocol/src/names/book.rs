//! Who has which name: what follows from a registrar's log, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::ids::AccountId;
use starling_wire::name::{Name, Skeleton};
use starling_wire::name_claim::Refusal;
use starling_wire::name_log::{Entry, Listing};

/// Seconds that a name rests before somebody else may have it: 90 days after it was given up or not renewed.
pub const REST_S: u64 = 90 * 24 * 3600;

/// What the log says last about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Whose it is, or was last.
    pub account: AccountId,
    /// Whether it was given up.
    pub released: bool,
    /// Unix seconds until which it is, or was, theirs.
    pub until: u64,
    /// The entry that says so.
    pub height: u64,
    /// What its holder wants to be found by.
    pub listing: Option<Listing>,
}

/// All names.
#[derive(Debug, Default)]
pub struct Book {
    names: BTreeMap<Name, Holding>,
    shapes: BTreeMap<Skeleton, Name>,
    of: BTreeMap<AccountId, BTreeSet<Name>>,
}

impl Book {
    /// The next entry of the log.
    pub fn apply(&mut self, entry: &Entry) {
        let before = self.names.get(&entry.name).map(|holding| holding.account);
        let Some(account) = entry.account.or(before) else {
            return;
        };
        if let Some(before) = before.filter(|before| *before != account) {
            self.take_from(before, &entry.name);
        }
        if entry.account.is_some() {
            let shape = entry.name.skeleton();
            self.shapes.insert(shape, entry.name.clone());
            let names = self.of.entry(account).or_default();
            names.insert(entry.name.clone());
        } else {
            self.take_from(account, &entry.name);
        }
        let holding = Holding {
            account,
            released: entry.account.is_none(),
            until: entry.until,
            height: entry.height,
            listing: entry.listing.clone(),
        };
        self.names.insert(entry.name.clone(), holding);
    }

    fn take_from(&mut self, account: AccountId, name: &Name) {
        if let Some(names) = self.of.get_mut(&account) {
            names.remove(name);
            if names.is_empty() {
                self.of.remove(&account);
            }
        }
    }

    /// What the log says last about a name.
    pub fn holding(&self, name: &Name) -> Option<&Holding> {
        self.names.get(name)
    }

    /// The names that are an account's at `at`, Unix seconds.
    pub fn names_of(&self, account: AccountId, at: u64) -> impl Iterator<Item = &Name> {
        let names = self.of.get(&account).into_iter().flatten();
        names.filter(move |name| {
            let holding = self.names.get(name);
            holding.is_some_and(|holding| holding.until > at)
        })
    }

    /// Whether `account` could have the name at `at` (`NAMES-01` to `NAMES-03`).
    pub fn is_free(&self, name: &Name, account: AccountId, at: u64) -> Result<(), Refusal> {
        // NAMES-01: first come. NAMES-03: what was given up rests, but for whoever gave it up.
        self.is_left(name, account, at)?;
        // NAMES-02: nor one that looks like it.
        let shape = self.shapes.get(&name.skeleton());
        match shape.filter(|other| *other != name) {
            Some(other) => self
                .is_left(other, account, at)
                .map_err(|_| Refusal::LooksLikeAnother),
            None => Ok(()),
        }
    }

    fn is_left(&self, name: &Name, account: AccountId, at: u64) -> Result<(), Refusal> {
        let Some(holding) = self.names.get(name) else {
            return Ok(());
        };
        let held = !holding.released && holding.until > at;
        let rests = holding.until.saturating_add(REST_S) > at;
        match (holding.account == account, held, rests) {
            (false, true, _) => Err(Refusal::Taken),
            (false, false, true) => Err(Refusal::Resting),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);
    const NOW: u64 = 1_800_000_000;
    const YEAR: u64 = 365 * 24 * 3600;

    fn name(text: &str) -> Name {
        Name::typed(text).unwrap()
    }

    fn entry(height: u64, text: &str, account: Option<AccountId>, until: u64) -> Entry {
        Entry {
            height,
            before: [0; 32],
            at: NOW,
            name: name(text),
            account,
            until,
            listing: None,
        }
    }

    #[test]
    fn names_01_a_name_is_whose_it_was_first() {
        let mut book = Book::default();
        assert_eq!(book.is_free(&name("alice"), BOB, NOW), Ok(()));
        book.apply(&entry(1, "alice", Some(ALICE), NOW + YEAR));
        assert_eq!(book.is_free(&name("alice"), BOB, NOW), Err(Refusal::Taken));
        assert_eq!(book.is_free(&name("alice"), ALICE, NOW), Ok(()));
        assert_eq!(book.names_of(ALICE, NOW).count(), 1);
        assert_eq!(book.names_of(ALICE, NOW + YEAR).count(), 0);
    }

    #[test]
    fn names_02_one_that_looks_like_it_is_not_given_either() {
        let mut book = Book::default();
        book.apply(&entry(1, "paypal", Some(ALICE), NOW + YEAR));
        // Capital I and small l; and the same in another script.
        for other in ["paypa1", "раураӏ"] {
            let free = book.is_free(&name(other), BOB, NOW);
            assert_eq!(free, Err(Refusal::LooksLikeAnother), "{other}");
        }
        assert_eq!(book.is_free(&name("paypals"), BOB, NOW), Ok(()));
    }

    #[test]
    fn names_03_a_name_rests_before_somebody_else_has_it() {
        let mut book = Book::default();
        book.apply(&entry(1, "alice", Some(ALICE), NOW + YEAR));
        book.apply(&entry(2, "alice", None, NOW));
        assert_eq!(book.names_of(ALICE, NOW).count(), 0);
        let free = |who, at| book.is_free(&name("alice"), who, at);
        assert_eq!(free(BOB, NOW + REST_S - 1), Err(Refusal::Resting));
        assert_eq!(free(ALICE, NOW + 1), Ok(()));
        assert_eq!(free(BOB, NOW + REST_S), Ok(()));
        // Not renewed is as given up.
        let mut book = Book::default();
        book.apply(&entry(1, "alice", Some(ALICE), NOW));
        let free = |who, at| book.is_free(&name("alice"), who, at);
        assert_eq!(free(BOB, NOW + 1), Err(Refusal::Resting));
        assert_eq!(free(BOB, NOW + REST_S), Ok(()));
    }

    #[test]
    fn a_name_that_goes_to_somebody_else_is_no_longer_among_the_firsts() {
        let mut book = Book::default();
        book.apply(&entry(1, "alice", Some(ALICE), NOW));
        book.apply(&entry(2, "alice", Some(BOB), NOW + YEAR));
        assert_eq!(book.names_of(ALICE, 0).count(), 0);
        assert_eq!(book.names_of(BOB, NOW).count(), 1);
        assert_eq!(book.holding(&name("alice")).unwrap().height, 2);
        // Nobody's from the beginning: a log that says so changes nothing.
        book.apply(&entry(3, "carol", None, NOW));
        assert_eq!(book.holding(&name("carol")), None);
    }
}
