//! A wish for a name, as whoever decides about it names it.

use serde::{Deserialize, Serialize};

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameWish {
    /// The name.
    pub name: String,
    /// Whose (account id or its beginning), where several want it.
    pub account: Option<String>,
}
