//! Safety words: two people compare them, in person or in a call, and know that nobody stands between their accounts.
//!
//! Both sides make the same 32 bytes of both account ids and the keys that sign for both today; the words are their first 128
//! bits as 12 words of BIP 39's English list (with its checksum of 4 bits), the code for a camera has all of them. Making them is
//! slow on purpose: whoever wants two pairs with the same words has to do all of it for each try.

use bip0039::{English, Mnemonic};
use data_encoding::BASE32_NOPAD;

use crate::frame;
use crate::ids::AccountId;

/// Words that are compared.
pub const WORDS: usize = 12;
const WORD_BYTES: usize = 16;
/// Times that BLAKE3 is gone through.
const ROUNDS: u32 = 1 << 16;
const CONTEXT: &str = "starling 1 safety words";
/// In BIP 39's English list no two words begin with the same four letters.
const DISTINCT: usize = 4;
/// Longer than 12 words, and than a code, with much space between.
const TEXT_MAX: usize = 1_000;
const SCHEME: &str = "STARLING-VERIFY:";

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// Whose.
    pub account: AccountId,
    /// The key that signs for the account today.
    pub signing_key: [u8; 32],
}

/// What two sides have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    sides: [Side; 2],
    hash: [u8; 32],
}

impl Common {
    /// `CONTACT-09`: the same on both sides.
    pub fn new(one: Side, other: Side) -> Self {
        let mut sides = [one, other];
        sides.sort();
        let fields = sides.map(|side| (side.account, side.signing_key));
        let mut hash = blake3::derive_key(CONTEXT, &frame::encode_body(&fields));
        for _ in 0..ROUNDS {
            hash = *blake3::keyed_hash(&hash, CONTEXT.as_bytes()).as_bytes();
        }
        Self { sides, hash }
    }

    /// To be read aloud.
    pub fn words(&self) -> Vec<String> {
        let (short, _) = self.hash.split_at(WORD_BYTES);
        // 128 bits are one of the lengths that BIP 39 knows.
        let mnemonic = Mnemonic::<English>::from_entropy(short);
        let phrase = mnemonic.map(Mnemonic::into_phrase).unwrap_or_default();
        phrase.split(' ').map(str::to_owned).collect()
    }

    /// For a QR code: version, both ids and the hash.
    pub fn code(&self) -> String {
        let [one, other] = &self.sides;
        let mut bytes = vec![1];
        bytes.extend_from_slice(one.account.as_bytes());
        bytes.extend_from_slice(other.account.as_bytes());
        bytes.extend_from_slice(&self.hash);
        format!("{SCHEME}{}", BASE32_NOPAD.encode(&bytes))
    }

    /// `CONTACT-10`: whether these are the words, however they are spaced or capitalised; of each the first four letters are enough.
    pub fn has_words(&self, given: &str) -> bool {
        if given.len() > TEXT_MAX {
            return false;
        }
        let split = |c: char| !c.is_alphabetic();
        let given = given.to_lowercase();
        let given: Vec<&str> = given.split(split).filter(|word| !word.is_empty()).collect();
        let words = self.words();
        let same = |(given, word): (&&str, &String)| {
            word == given || (given.len() >= DISTINCT && word.starts_with(*given))
        };
        given.len() == WORDS && words.len() == WORDS && given.iter().zip(&words).all(same)
    }

    /// `CONTACT-10`: whether this is the code.
    pub fn has_code(&self, given: &str) -> bool {
        given.len() <= TEXT_MAX && given.trim().eq_ignore_ascii_case(&self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(seed: u8) -> Side {
        Side {
            account: AccountId([seed; 32]),
            signing_key: [seed + 100; 32],
        }
    }

    #[test]
    fn contact_09_both_sides_have_the_same_words_and_a_new_key_has_others() {
        let (alice, bob) = (side(1), side(2));
        let common = Common::new(alice, bob);
        assert_eq!(common, Common::new(bob, alice));
        assert_eq!(common.words().len(), WORDS);
        assert!(common.code().len() < 200);
        let recovered = Side {
            signing_key: [9; 32],
            ..bob
        };
        for other in [recovered, side(3)] {
            assert_ne!(Common::new(alice, other).words(), common.words());
            assert_ne!(Common::new(alice, other).code(), common.code());
        }
    }

    #[test]
    fn contact_10_words_and_code_are_compared_as_people_write_them() {
        let common = Common::new(side(1), side(2));
        let words = common.words();
        assert!(common.has_words(&words.join(" ")));
        let short = |word: &String| word.chars().take(4).collect::<String>().to_uppercase();
        let short: Vec<String> = words.iter().map(short).collect();
        assert!(common.has_words(&format!("1. {}", short.join(",\n 2. "))));
        let mut turned = words.clone();
        turned.reverse();
        let wrong = [
            turned.join(" "),
            words[..11].join(" "),
            String::new(),
            "x".repeat(10_000),
        ];
        assert!(wrong.iter().all(|wrong| !common.has_words(wrong)));
        assert!(common.has_code(&format!(" {} ", common.code().to_lowercase())));
        assert!(!common.has_code(&Common::new(side(1), side(3)).code()));
        assert!(!common.has_code(""));
    }
}
