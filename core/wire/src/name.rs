//! Unique names: what may be taken, and which two look alike (Unicode UTS 39). A name has one written form, the one that is
//! kept, signed and compared: NFKC, in lower case.
//!
//! Stricter than an identifier has to be, because people read names aloud and from screens: letters of one script, digits
//! 0 to 9, and single `.`, `-` or `_` between them.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{GeneralSecurityProfile, MixedScript};

/// Characters of a name, at least.
pub const CHARS_MIN: usize = 2;
/// At most.
pub const CHARS_MAX: usize = 32;
/// Bytes of UTF-8, at most.
pub const BYTES_MAX: usize = 64;
/// No longer text is looked at: normalising costs time.
const TEXT_MAX: usize = 512;

/// A name in its one form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// What a name looks like: two names with the same one are not told apart (UTS 39, section 4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Skeleton(String);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Its length.
    #[error("a name has {CHARS_MIN} to {CHARS_MAX} characters, and at most {BYTES_MAX} bytes")]
    Length,
    /// Something else than letters, digits, `.`, `-` and `_`.
    #[error("a name has letters, digits, and single . - _ between them; {0:?} is none of these")]
    Character(char),
    /// Two of them in a row, or one at an end.
    #[error(
        "a name begins with a letter, ends with a letter or a digit, and has no two of . - _ in a row"
    )]
    Place,
    /// Letters of two scripts, by which one could pass for another.
    #[error(
        "the letters of a name belong to one script; mixed ones could be taken for another name"
    )]
    Scripts,
    /// It came from elsewhere, and not as it is kept.
    #[error("the name is not in its normal form")]
    Form,
}

impl Name {
    /// What somebody typed (`NAME-01` to `NAME-04`).
    pub fn typed(text: &str) -> Result<Self, NameError> {
        if text.len() > TEXT_MAX {
            return Err(NameError::Length);
        }
        let lower: String = text.trim().nfkc().flat_map(char::to_lowercase).collect();
        let name: String = lower.nfkc().collect();
        check(&name)?;
        Ok(Self(name))
    }

    /// As it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `NAME-06`: what it looks like.
    pub fn skeleton(&self) -> Skeleton {
        // The prototype of a digit may be a capital letter, which has a small one that looks different.
        let capitals: String = unicode_security::skeleton(&self.0).collect();
        Skeleton(unicode_security::skeleton(&capitals.to_lowercase()).collect())
    }
}

fn check(name: &str) -> Result<(), NameError> {
    // NAME-01
    let chars = name.chars().count();
    if !(CHARS_MIN..=CHARS_MAX).contains(&chars) || name.len() > BYTES_MAX {
        return Err(NameError::Length);
    }
    // NAME-02
    let stands = |c: &char| is_letter(*c) || c.is_ascii_digit() || is_joint(*c);
    if let Some(odd) = name.chars().find(|c| !stands(c)) {
        return Err(NameError::Character(odd));
    }
    // NAME-03
    let begins = name.starts_with(|c| is_letter(c) && !is_combining_mark(c));
    let mut pairs = name.chars().zip(name.chars().skip(1));
    let loose =
        pairs.any(|(one, next)| is_joint(one) && (is_joint(next) || is_combining_mark(next)));
    if !begins || loose || name.ends_with(is_joint) {
        return Err(NameError::Place);
    }
    // NAME-04: what belongs to every script belongs to each.
    if !name.is_single_script() {
        return Err(NameError::Scripts);
    }
    Ok(())
}

fn is_letter(c: char) -> bool {
    (c.is_alphabetic() || is_combining_mark(c)) && c.identifier_allowed()
}

const fn is_joint(c: char) -> bool {
    matches!(c, '.' | '-' | '_')
}

impl TryFrom<String> for Name {
    type Error = NameError;

    /// `NAME-05`: from outside, in the one form only.
    fn try_from(text: String) -> Result<Self, NameError> {
        let name = Self::typed(&text)?;
        if name.0 == text {
            Ok(name)
        } else {
            Err(NameError::Form)
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(text: &str) -> String {
        let name = Name::typed(text);
        name.unwrap_or_else(|error| panic!("{text:?}: {error}")).0
    }

    #[test]
    fn name_01_too_short_or_long_is_refused_before_anything_else() {
        let long = ["a".repeat(33), "\u{4f60}".repeat(22), "x".repeat(10_000)];
        for text in ["", "a", "  "].into_iter().chain(long.iter().map(|t| &**t)) {
            assert_eq!(Name::typed(text), Err(NameError::Length));
        }
        assert_eq!(kept(&"a".repeat(32)).len(), 32);
    }

    #[test]
    fn name_02_what_nobody_sees_or_reads_aloud_is_refused() {
        let odd = [
            "al ice",
            "ali\u{200b}ce",
            "ali\u{202e}ce",
            "al\u{ad}ice",
            "ali\u{2066}ce",
            "ali\u{fe0f}ce",
            "al\u{0}ice",
            "bird\u{1f426}",
            "a@b",
            "a/b",
            "a:b",
            "n\u{0661}",
        ];
        for text in odd {
            let refused = Name::typed(text);
            assert!(
                matches!(refused, Err(NameError::Character(_))),
                "{text:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn name_03_joints_stand_alone_and_inside() {
        for text in ["-alice", "alice.", "al--ice", "al.-ice", "1alice", "_a"] {
            assert_eq!(Name::typed(text), Err(NameError::Place), "{text:?}");
        }
        assert_eq!(kept("alice.b-c_d2"), "alice.b-c_d2");
    }

    #[test]
    fn name_04_one_script_whichever_it_is() {
        // A Cyrillic letter among Latin ones, a Greek one at the end.
        for text in ["p\u{0430}ypal", "alic\u{03b5}"] {
            assert_eq!(Name::typed(text), Err(NameError::Scripts), "{text:?}");
        }
        let names = [
            "\u{0430}\u{043b}\u{0438}\u{0441}\u{0430}",
            "\u{b9c8}\u{b9ac}\u{c544}",
            "\u{592a}\u{90ce}\u{3055}\u{3093}",
            "\u{0928}\u{0947}\u{0939}\u{093e}",
            "\u{0645}\u{0631}\u{064a}\u{0645}",
            "z\u{fc}rich-2",
        ];
        for name in names {
            assert_eq!(kept(name), name);
        }
    }

    #[test]
    fn name_05_there_is_one_form() {
        assert_eq!(kept(" Alice "), "alice");
        assert_eq!(kept("\u{ff21}lice"), "alice", "full width");
        assert_eq!(kept("Zu\u{308}rich"), "z\u{fc}rich", "composed");
        assert_eq!(Name::try_from("Alice".to_owned()), Err(NameError::Form));
        assert!(Name::try_from("alice".to_owned()).is_ok());
    }

    #[test]
    fn name_06_names_that_look_alike_have_one_skeleton() {
        let skeleton = |text| Name::typed(text).unwrap().skeleton();
        let cyrillic = "\u{0430}\u{0441}\u{0435}";
        assert_eq!(skeleton(cyrillic), skeleton("ace"));
        assert_eq!(skeleton("modern"), skeleton("rnodern"));
        assert_eq!(skeleton("bill0"), skeleton("billo"));
        assert_ne!(skeleton("alice"), skeleton("alicia"));
    }

    proptest! {
        #[test]
        fn name_05_what_was_taken_is_taken_unchanged(text in "\\PC{0,40}") {
            if let Ok(name) = Name::typed(&text) {
                prop_assert_eq!(Name::try_from(name.0.clone()), Ok(name));
            }
        }
    }
}
