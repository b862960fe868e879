//! Texts as terms to be found by, the same for what is kept and for what is asked.
//!
//! Words are letters and digits, lower case, in compatibility form (so full width is plain), without the accents of Latin,
//! Greek and Cyrillic and the points of Hebrew and Arabic: whoever types without them finds what was written with them.
//! Scripts that put no space between words (Chinese, Japanese, Thai and its neighbours) are cut into pairs of neighbouring
//! characters, so that any two of them are found; each run's last character stands alone, so that one is, too.
//!
//! Why not a tokenizer of FTS5's own: over 100,000 messages `unicode61 remove_diacritics 2` takes 33 bytes a message and
//! finds neither 喜欢 nor 京 inside a sentence; `trigram` takes 122 and finds only what has three characters or more; these
//! terms take 33 and find both.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

/// A term and the bytes of the text that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) text: String,
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// Two characters of one run.
    Pair,
    /// The last character of a run.
    Last,
}

/// The longest word, in bytes; the rest of a longer one is another.
const WORD_MAX: usize = 64;

/// The terms of a text, in its order.
pub(super) fn terms(text: &str) -> Vec<Term> {
    let mut cutter = Cutter::default();
    for (at, c) in text.char_indices() {
        cutter.character(at, c);
    }
    cutter.end();
    cutter.terms
}

#[derive(Default)]
struct Cutter {
    terms: Vec<Term>,
    word: Option<(String, Range<usize>)>,
    /// The character before, in a run without spaces.
    before: Option<(String, Range<usize>)>,
}

impl Cutter {
    fn character(&mut self, at: usize, c: char) {
        let range = at..at + c.len_utf8();
        let folded = fold(c);
        if folded.is_empty() {
            // An accent, or a mark without a place: inside a word it is as if it were not there.
            if let Some((_, word)) = self.word.as_mut().filter(|_| !c.is_whitespace()) {
                word.end = range.end;
            }
        } else if !folded.chars().all(is_part) {
            self.end();
        } else if is_dense(c) {
            self.end_word();
            if let Some((first, begin)) = self.before.take() {
                let range = begin.start..range.end;
                self.push(first + &folded, range, Kind::Pair);
            }
            self.before = Some((folded, range));
        } else {
            self.end_run();
            let long = self
                .word
                .as_ref()
                .is_some_and(|(word, _)| word.len() >= WORD_MAX);
            if long {
                self.end_word();
            }
            let (word, whole) = self
                .word
                .get_or_insert_with(|| (String::new(), range.clone()));
            word.push_str(&folded);
            whole.end = range.end;
        }
    }

    fn end(&mut self) {
        self.end_word();
        self.end_run();
    }

    fn end_word(&mut self) {
        if let Some((word, range)) = self.word.take() {
            self.push(word, range, Kind::Word);
        }
    }

    fn end_run(&mut self) {
        if let Some((last, range)) = self.before.take() {
            self.push(last, range, Kind::Last);
        }
    }

    fn push(&mut self, text: String, range: Range<usize>, kind: Kind) {
        self.terms.push(Term { text, range, kind });
    }
}

/// A character as it is compared.
fn fold(c: char) -> String {
    if c.is_ascii() {
        return c.to_ascii_lowercase().to_string();
    }
    let plain = c.to_lowercase().nfkd().filter(|c| !is_accent(*c));
    plain.nfc().collect()
}

const fn is_accent(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036F}' | '\u{0591}'..='\u{05C7}' | '\u{064B}'..='\u{065F}' | '\u{0670}'
        | '\u{0640}' | '\u{00AD}' | '\u{200B}'..='\u{200D}' | '\u{FE00}'..='\u{FE0F}')
}

/// Letters, digits, and the vowel signs of Indian and other scripts.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)
}

/// Of a script that puts no spaces between words.
const fn is_dense(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{323AF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> String {
        let all: Vec<_> = terms(text).into_iter().map(|term| term.text).collect();
        all.join(" ")
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (text, expected) in [
            ("Zoë's Café, naïve!", "zoe s cafe naive"),
            ("cafe\u{301}s", "cafes"),
            ("Übergrößenträger 3.14", "ubergroßentrager 3 14"),
            ("ΑΘΉΝΑ Москва́ й", "αθηνα москва и"),
            ("שָׁלוֹם كِتَاب", "שלום كتاب"),
            ("ｆｕｌｌ ﬁne", "full fine"),
            ("हिन्दी", "हिन्दी"),
            ("서울에서", "서울에서"),
            ("我喜欢你。好", "我喜 喜欢 欢你 你 好"),
            ("がぎ東京tower", "がぎ ぎ東 東京 京 tower"),
            ("ไทย", "ไท ทย ย"),
            ("soft\u{AD}ly 👍", "softly"),
            ("\"a\" OR b* AND (c)", "a or b and c"),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn terms_stand_where_they_say(text in ".{0,80}|[a-zé我喜\u{301} ]{0,40}|a{0,200}") {
            let mut start = 0;
            for term in terms(&text) {
                prop_assert!(term.range.start >= start && text.get(term.range.clone()).is_some());
                prop_assert!(!term.text.is_empty() && term.text.chars().all(is_part), "{:?}", term);
                prop_assert_eq!(words(&text[term.range.clone()]).contains(&term.text), true);
                start = term.range.start;
            }
        }
    }
}
