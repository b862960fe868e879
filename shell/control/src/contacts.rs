//! What clients are shown of contacts beside the contact itself: lists, safety words, what is carried elsewhere.

use serde::{Deserialize, Serialize};

use crate::view::Contact;

/// A contact as it is carried elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedContact {
    /// Leads to them.
    pub link: String,
    /// Name they gave themselves.
    #[serde(default)]
    pub name: String,
    /// Own name for them.
    #[serde(default)]
    pub nickname: Option<String>,
    /// Shown first.
    #[serde(default)]
    pub favourite: bool,
    /// Names of the lists they are in.
    #[serde(default)]
    pub lists: Vec<String>,
    /// Own words about them.
    #[serde(default)]
    pub note: Option<String>,
}

/// What became of a carried contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Imported {
    /// The own account.
    Own,
    /// A contact already.
    Kept,
    /// They were asked now.
    Asked,
    /// They were asked before.
    AskedBefore,
    /// Too many were asked; later.
    Wait,
}

/// Whether safety words were compared with somebody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// No.
    #[default]
    None,
    /// Yes.
    Verified,
    /// Yes, and the key has changed since.
    BeforeKeyChanged,
}

/// What two people compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Safety {
    /// With whom.
    pub contact: Contact,
    /// To be read aloud.
    pub words: Vec<String>,
    /// The same for a camera, and more of it.
    pub code: String,
}

/// A list of contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactGroup {
    /// Its name.
    pub name: String,
    /// Account ids of those in it.
    pub members: Vec<String>,
}
