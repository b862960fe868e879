//! One emoji as a reaction (Unicode Technical Standard 51). Names such as `:smile:` never travel: whoever types one gets
//! the character before it is sent.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_properties::UnicodeEmoji;
use unicode_segmentation::UnicodeSegmentation;

use super::ContentError;
use crate::limits::EMOJI_MAX;

const JOINER: char = '\u{200D}';
const PICTURE: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';

/// One emoji, as it came; [`Emoji::check`] says whether it is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Emoji(String);

impl Emoji {
    /// `MSG-07`: one grapheme cluster of at most [`EMOJI_MAX`] bytes, made of what emoji are made of.
    pub fn new(text: &str) -> Result<Self, ContentError> {
        let emoji = Self(text.to_owned());
        emoji.check()?;
        Ok(emoji)
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn check(&self) -> Result<(), ContentError> {
        let text = &self.0;
        let whole = text.len() <= EMOJI_MAX && text.graphemes(true).count() == 1;
        // A digit is an emoji only on a key.
        let pictured = |c: char| c == KEYCAP || (!c.is_ascii() && c.is_emoji_char());
        if whole && text.chars().all(is_piece) && text.chars().any(pictured) {
            return Ok(());
        }
        Err(ContentError::Emoji)
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_piece(c: char) -> bool {
    let tag = matches!(c, '\u{E0020}'..='\u{E007F}');
    tag || matches!(c, JOINER | PICTURE | KEYCAP) || c.is_emoji_char()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn msg_07_a_reaction_is_one_emoji() {
        for one in ["👍", "👍🏽", "❤️", "👩‍🚀", "👨‍👩‍👧‍👦", "🇩🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "©️"]
        {
            assert_eq!(
                Emoji::new(one).map(|emoji| emoji.to_string()),
                Ok(one.to_owned())
            );
        }
        let long = format!("🏴{}", "\u{E0061}".repeat(20));
        for other in [
            "", "a", "1", "👍👍", "👍a", "é", "<", "\u{200D}", "\u{202E}", " ", "ok", &long,
        ] {
            assert_eq!(Emoji::new(other), Err(ContentError::Emoji), "{other:?}");
        }
    }
}
