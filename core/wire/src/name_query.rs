//! What a supernode is asked about its copy of the registrar's log, by clients and by other supernodes; and what supernodes tell
//! each other of it.

use serde::{Deserialize, Serialize};

use crate::ids::NetworkId;
use crate::name::Name;
use crate::name_log::{Equivocation, LogError, Page, SignedEntry, Statement};
use crate::record::registrar::Registrar;

/// Bytes of what is searched for.
pub const SEARCH_MAX: usize = 256;
/// Names in one answer.
pub const FOUND_MAX: usize = 20;

/// A question, or something to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameQuestion {
    /// "How far does your copy go?"
    Head,
    /// "What does it say at this height?"
    At(u64),
    /// "Send me what begins there."
    From(u64),
    /// "What is the last entry about this name?"
    Last(Name),
    /// "Whose names fit this?" At most [`SEARCH_MAX`] bytes.
    Search(String),
    /// "This is the registrar." Only after `Register` from the same front door.
    Office(Box<Registrar>),
    /// "These entries are new." As before.
    Entries(Box<Page>),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameReply {
    /// How far the copy goes; also after `Office` and `Entries`.
    Head(Box<NameHead>),
    /// What was signed there, if the copy goes that far.
    At(Option<Box<Statement>>),
    /// Entries of one registrar.
    Page(Option<Box<Page>>),
    /// At most [`FOUND_MAX`] entries, each the last about its name.
    Found(Vec<Found>),
}

/// How far a copy goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameHead {
    /// Who is the registrar.
    pub office: Option<Registrar>,
    /// The last entry.
    pub head: Option<Statement>,
    /// The proof against the registrar, if there is one.
    pub proof: Option<Equivocation>,
}

/// An entry by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Who signed it.
    pub registrar: Registrar,
    /// It.
    pub entry: SignedEntry,
}

/// What supernodes tell each other unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameWord {
    /// "The owner appointed this registrar."
    Office(Registrar),
    /// "My copy goes that far."
    Head(Statement),
    /// "The registrar contradicts itself."
    Proof(Equivocation),
}

impl NameQuestion {
    /// Bounds that postcard does not know (`SEARCH-01`).
    pub const fn fits(&self) -> bool {
        match self {
            Self::Search(text) => text.len() <= SEARCH_MAX,
            _ => true,
        }
    }
}

impl Found {
    /// Whether a registrar of `network` signed it.
    pub fn verify(&self, network: NetworkId) -> Result<(), LogError> {
        let said = Statement {
            registrar: self.registrar.clone(),
            position: self.entry.position(),
        };
        said.verify(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_01_what_is_searched_for_is_bounded() {
        let search = |len| NameQuestion::Search("x".repeat(len));
        assert!(search(SEARCH_MAX).fits());
        assert!(!search(SEARCH_MAX + 1).fits());
    }
}
