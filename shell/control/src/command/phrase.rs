//! Words of the recovery phrase.

use serde::{Deserialize, Serialize};

/// One of the 24 words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhraseWord {
    /// Which, from 1.
    pub number: u8,
    /// As somebody wrote it.
    pub word: String,
}
