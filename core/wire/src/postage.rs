//! Postage: what a sealed letter shows to be let into a mailbox, without saying whose it is. Whoever knows the recipient's card
//! marks the letter with a key that all of the recipient's contacts have; anybody else has worked for it (after Back's
//! Hashcash: leading zero bits of a hash). Spec page `super.md`.

use serde::{Deserialize, Serialize};

use crate::card::Card;
use crate::ids::AccountId;

const CONTACTS_CONTEXT: &str = "starling 1 contacts' letters";
const WORK_CONTEXT: &str = "starling 1 letter work";
const DAY_S: u64 = 24 * 3600;

/// Bits of work that a stranger's letter shows in any case.
pub const WORK_MIN: u8 = 16;
/// Bits of work that are asked for at most; whoever asks for more is not served.
pub const WORK_MAX: u8 = 26;

/// What all contacts of an account share, and its home supernodes: made of the card's discovery key, so it changes with it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactsKey(pub [u8; 32]);

/// The mark of a contact's letter.
pub type Mark = [u8; 16];

/// What a letter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Postage {
    /// Somebody who knows the recipient's card wrote it; nobody can tell who.
    Contact(Mark),
    /// Somebody has worked for it.
    Work(Work),
}

/// Work for one letter to one account on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Days since 1970 (UTC).
    pub day: u32,
    /// What was found.
    pub nonce: u64,
}

/// What a letter to somebody is sealed to, and marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterKeys {
    /// Opens it.
    pub request: [u8; 32],
    /// Marks it; who has only seen the public record has none.
    pub contacts: Option<ContactsKey>,
}

/// A letter as its recipient's supernode has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// What it showed.
    pub postage: Postage,
    /// Sealed.
    pub envelope: Vec<u8>,
}

/// A search for work, done in slices: whoever searches looks between them whether the result is still wanted.
#[derive(Debug)]
pub struct Search {
    seed: [u8; 32],
    day: u32,
    bits: u8,
    next: u64,
    end: u64,
}

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Found.
    Found(Work),
    /// Go on.
    Going,
    /// 64 times as long as it takes on the average, and nothing: once in 10^27 searches.
    Over,
}

impl ContactsKey {
    /// Of the account whose card has this discovery key.
    pub fn new(account: AccountId, discovery_key: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTACTS_CONTEXT);
        hasher.update(discovery_key);
        hasher.update(account.as_bytes());
        Self(hasher.finalize().into())
    }

    /// Marks a letter to that account.
    pub fn mark(&self, envelope: &[u8]) -> Mark {
        let hash = blake3::keyed_hash(&self.0, blake3::hash(envelope).as_bytes());
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash.as_bytes()[..16]);
        mark
    }
}

impl std::fmt::Debug for ContactsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContactsKey")
    }
}

impl LetterKeys {
    /// For whoever has the card of `account`.
    pub fn of(account: AccountId, card: &Card) -> Self {
        Self {
            request: card.request_key,
            contacts: Some(ContactsKey::new(account, &card.discovery_key)),
        }
    }

    /// For whoever has only read the public record.
    pub const fn of_stranger(request: [u8; 32]) -> Self {
        Self {
            request,
            contacts: None,
        }
    }
}

impl Work {
    /// How much work it is for this letter to this account: leading zero bits, at most 64.
    pub fn bits(self, account: AccountId, envelope: &[u8]) -> u8 {
        zeros(&seed(account, envelope, self.day), self.nonce)
    }

    /// `POSTAGE-02`: whether it was done today, yesterday or tomorrow (clocks differ); `now` is Unix seconds.
    pub fn is_fresh(self, now: u64) -> bool {
        u64::from(self.day).abs_diff(now / DAY_S) <= 1
    }

    /// Until when it is fresh, in Unix seconds.
    pub fn fresh_until(self) -> u64 {
        (u64::from(self.day) + 2) * DAY_S
    }
}

impl Search {
    /// For so many bits; `now` is Unix seconds.
    pub fn new(account: AccountId, envelope: &[u8], bits: u8, now: u64) -> Self {
        let day = u32::try_from(now / DAY_S).unwrap_or(u32::MAX);
        Self {
            seed: seed(account, envelope, day),
            day,
            bits,
            next: 0,
            end: 64 << u32::from(bits).min(56),
        }
    }

    /// Tries so many.
    pub fn step(&mut self, tries: u64) -> Step {
        let end = self.end.min(self.next.saturating_add(tries));
        let found = (self.next..end).find(|nonce| zeros(&self.seed, *nonce) >= self.bits);
        self.next = end;
        match found {
            Some(nonce) => Step::Found(Work {
                day: self.day,
                nonce,
            }),
            None if end == self.end => Step::Over,
            None => Step::Going,
        }
    }
}

/// One hash over everything that the work is for: what it was done for, it counts for, and for nothing else.
fn seed(account: AccountId, envelope: &[u8], day: u32) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(WORK_CONTEXT);
    hasher.update(account.as_bytes());
    hasher.update(blake3::hash(envelope).as_bytes());
    hasher.update(&day.to_be_bytes());
    hasher.finalize().into()
}

fn zeros(seed: &[u8; 32], nonce: u64) -> u8 {
    let hash = blake3::keyed_hash(seed, &nonce.to_be_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // At most 64.
    u8::try_from(u64::from_be_bytes(first).leading_zeros()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALICE: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);
    const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;

    fn pay(account: AccountId, envelope: &[u8], bits: u8) -> Work {
        match Search::new(account, envelope, bits, NOON).step(u64::MAX) {
            Step::Found(work) => work,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn postage_01_work_counts_for_one_letter_to_one_account_on_one_day() {
        let work = pay(ALICE, b"letter", 12);
        assert!(work.bits(ALICE, b"letter") >= 12);
        assert!(work.bits(BOB, b"letter") < 12);
        assert!(work.bits(ALICE, b"another") < 12);
        let later = Work {
            day: work.day + 1,
            ..work
        };
        assert!(later.bits(ALICE, b"letter") < 12);
    }

    #[test]
    fn postage_02_work_is_fresh_for_three_days() {
        let work = pay(ALICE, b"letter", 1);
        for (days, fresh) in [(0, true), (1, true), (2, false), (31, false)] {
            assert_eq!(work.is_fresh(NOON + days * DAY_S), fresh, "{days}");
        }
        assert!(work.is_fresh(work.fresh_until() - 1) && !work.is_fresh(work.fresh_until()));
        assert!(work.is_fresh(NOON - DAY_S) && !work.is_fresh(NOON - 2 * DAY_S));
        let never = Work {
            day: u32::MAX,
            nonce: 0,
        };
        assert!(!never.is_fresh(NOON));
    }

    #[test]
    fn postage_03_a_mark_is_made_with_the_card_and_for_one_letter() {
        let key = ContactsKey::new(ALICE, &[7; 32]);
        let mark = key.mark(b"letter");
        assert_eq!(mark, ContactsKey::new(ALICE, &[7; 32]).mark(b"letter"));
        assert_ne!(mark, key.mark(b"another"));
        assert_ne!(mark, ContactsKey::new(ALICE, &[8; 32]).mark(b"letter"));
        assert_ne!(mark, ContactsKey::new(BOB, &[7; 32]).mark(b"letter"));
        assert_eq!(format!("{key:?}"), "ContactsKey", "nobody logs it");
    }

    #[test]
    fn a_search_goes_on_where_it_was_and_ends() {
        let mut search = Search::new(ALICE, b"letter", 8, NOON);
        let mut steps = 0;
        let found = loop {
            match search.step(1) {
                Step::Going => steps += 1,
                other => break other,
            }
        };
        assert_eq!(found, Step::Found(pay(ALICE, b"letter", 8)));
        assert!(steps < 64 << 8);
        let mut never = Search {
            bits: 65,
            end: 10,
            ..Search::new(ALICE, b"letter", 8, NOON)
        };
        assert_eq!(never.step(9), Step::Going);
        assert_eq!(never.step(9), Step::Over);
    }

    proptest! {
        #[test]
        fn postage_01_what_was_found_is_what_was_asked(
            letter in proptest::collection::vec(any::<u8>(), 0..100), bits in 0u8..10, who: [u8; 32]
        ) {
            let account = AccountId(who);
            prop_assert!(pay(account, &letter, bits).bits(account, &letter) >= bits);
        }

        #[test]
        fn no_day_is_too_much(day: u32, nonce: u64, now: u64) {
            let work = Work { day, nonce };
            let fresh = work.is_fresh(now);
            prop_assert!(!fresh || now < work.fresh_until());
            prop_assert!(work.bits(ALICE, b"letter") <= 64 && work.fresh_until() > 0);
        }
    }
}
