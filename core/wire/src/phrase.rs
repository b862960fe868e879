//! The recovery key as 24 English words (BIP 39, 256 bits and a checksum of 8), for paper. The words are the key itself, not
//! a password for it: nothing is derived, and no passphrase goes with them.

use bip0039::{English, Mnemonic};
use zeroize::Zeroizing;

/// Words of a phrase.
pub const WORDS: usize = 24;
/// In BIP 39's English list no two words begin with the same four letters.
const DISTINCT: usize = 4;
/// The longest word has eight letters.
const WORD_MAX: usize = 16;
/// Longer than 24 words with much space between them.
const TEXT_MAX: usize = 1_000;

/// Words that are asked for, to see whether somebody has them.
pub const ASKED: usize = 3;

/// Why words are no phrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Not 24.
    #[error("a recovery phrase has {WORDS} words; here are {0}")]
    Count(usize),
    /// A word that is not in the list. Which one it is, is not repeated: it may be almost right.
    #[error(
        "word {0} is not one of the words that recovery phrases are made of; look at its spelling"
    )]
    Unknown(usize),
    /// The checksum.
    #[error(
        "all words exist, but they do not belong together: one of them is another one, or two have changed places"
    )]
    Checksum,
}

/// `PHRASE-01`: the words of a recovery key, with a space between each two.
pub fn words(key: &[u8; 32]) -> Zeroizing<String> {
    let mnemonic = Mnemonic::<English>::from_entropy(key.as_slice());
    // 256 bits are one of the lengths that BIP 39 knows.
    Zeroizing::new(mnemonic.map(Mnemonic::into_phrase).unwrap_or_default())
}

/// `PHRASE-03`: the recovery key of 24 words; `PHRASE-02`: however they are spaced or capitalised; of each word the first four letters are enough.
pub fn key(text: &str) -> Result<Zeroizing<[u8; 32]>, PhraseError> {
    let text = text.get(..TEXT_MAX).unwrap_or(text);
    let lower = Zeroizing::new(text.to_lowercase());
    let split = |c: char| c.is_whitespace() || matches!(c, ',' | '.' | ';') || c.is_ascii_digit();
    let given: Vec<&str> = lower.split(split).filter(|word| !word.is_empty()).collect();
    if given.len() != WORDS {
        return Err(PhraseError::Count(given.len()));
    }
    let mut whole = Zeroizing::new(String::with_capacity(TEXT_MAX));
    for (number, word) in (1..).zip(given) {
        let word = found(word).ok_or(PhraseError::Unknown(number))?;
        whole.push_str(word);
        whole.push(' ');
    }
    let mnemonic = Mnemonic::<English>::from_phrase(whole.trim_end());
    let mnemonic = mnemonic.map_err(|_| PhraseError::Checksum)?;
    let mut key = Zeroizing::new([0; 32]);
    let entropy = Zeroizing::new(mnemonic.into_entropy());
    key.copy_from_slice(&entropy);
    Ok(key)
}

/// `PHRASE-04`: which words to ask for, by their numbers: three different ones, as `chance` has it.
pub fn drawn(mut chance: u64) -> [usize; ASKED] {
    let mut left: Vec<usize> = (1..=WORDS).collect();
    let mut drawn = [0; ASKED];
    for number in &mut drawn {
        let count = left.len() as u64;
        *number = left.remove((chance % count) as usize);
        chance /= count;
    }
    drawn.sort_unstable();
    drawn
}

/// `PHRASE-04`: whether this is the word of this number, however it is capitalised; its first four letters are enough.
pub fn is_word(key: &[u8; 32], number: usize, given: &str) -> bool {
    let given = given.trim();
    if given.len() > WORD_MAX {
        return false;
    }
    let words = words(key);
    let right = number
        .checked_sub(1)
        .and_then(|at| words.split(' ').nth(at));
    let given = Zeroizing::new(given.to_lowercase());
    right.is_some() && found(&given) == right
}

/// A word of the list by itself or by its beginning.
fn found(given: &str) -> Option<&'static str> {
    let list = English::words();
    // The list is in alphabetical order.
    let at = list.partition_point(|word| *word < given);
    let word = *list.get(at)?;
    let whole = word == given;
    let beginning = given.len() >= DISTINCT && word.starts_with(given);
    (whole || beginning).then_some(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From BIP 39's own test vectors.
    fn zero() -> String {
        format!("{}art", "abandon ".repeat(23))
    }

    #[test]
    fn phrase_01_a_key_and_its_words_are_the_same_thing() {
        assert_eq!(*words(&[0; 32]), zero());
        assert_eq!(key(&zero()).as_deref(), Ok(&[0; 32]));
        let sevens = words(&[0x7f; 32]);
        assert!(sevens.starts_with("legal winner thank year wave sausage worth useful"));
        assert_eq!(key(&sevens).as_deref(), Ok(&[0x7f; 32]));
    }

    #[test]
    fn phrase_02_how_words_are_written_does_not_matter() {
        let shouted = zero().to_uppercase().replace(' ', "\n ");
        assert_eq!(key(&shouted).as_deref(), Ok(&[0; 32]));
        let short = zero().replace("abandon", "aban");
        assert_eq!(key(&short).as_deref(), Ok(&[0; 32]));
        let zero = zero();
        let numbered = (1..).zip(zero.split(' '));
        let numbered: Vec<_> = numbered.map(|(n, word)| format!("{n}. {word}")).collect();
        assert_eq!(key(&numbered.join(", ")).as_deref(), Ok(&[0; 32]));
    }

    #[test]
    fn phrase_03_what_is_wrong_is_said() {
        let wrong = |text: &str| key(text).unwrap_err();
        assert_eq!(wrong(""), PhraseError::Count(0));
        assert_eq!(wrong("abandon art"), PhraseError::Count(2));
        let first = |word| zero().replacen("abandon", word, 1);
        assert_eq!(wrong(&first("abadnon")), PhraseError::Unknown(1));
        assert_eq!(wrong(&first("z\u{fc}richsee")), PhraseError::Unknown(1));
        assert_eq!(wrong(&zero().replace("art", "zoo")), PhraseError::Checksum);
        assert_eq!(wrong(&"\u{1f426}".repeat(1_000)), PhraseError::Count(1));
        assert!(key(&zero().repeat(100)).is_err());
    }

    #[test]
    fn phrase_04_three_words_show_that_somebody_has_them_all() {
        let key = [0; 32];
        for (number, given) in [(1, "abandon"), (23, " ABAN "), (24, "Art")] {
            assert!(is_word(&key, number, given), "{given}");
        }
        let wrong = [
            (24, "abandon"),
            (1, "art"),
            (1, "aba"),
            (1, ""),
            (0, "abandon"),
            (25, "art"),
            (1, "abandon abandon abandon"),
        ];
        for (number, given) in wrong {
            assert!(!is_word(&key, number, given), "{number} {given}");
        }
    }

    proptest! {
        #[test]
        fn phrase_04_what_is_drawn_are_three_different_words(chance: u64) {
            let [one, two, three] = drawn(chance);
            prop_assert!(1 <= one && one < two && two < three && three <= WORDS);
        }

        #[test]
        fn phrase_01_any_key_comes_back(secret: [u8; 32]) {
            let back = key(&words(&secret));
            prop_assert_eq!(back.as_deref(), Ok(&secret));
        }

        #[test]
        fn phrase_03_no_text_is_too_odd(text in "\\PC{0,300}") {
            let _ = key(&text);
        }
    }
}
