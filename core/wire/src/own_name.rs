//! A unique name as its holder keeps it: on all own devices, in backups, and in the rescue copy. What a person asked for and what
//! the registrar answered are apart: an answer that comes in at the laptop undoes nothing that was asked on the phone.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, NetworkId};
use crate::limits::RECORD_MAX;
use crate::name::Name;
use crate::name_claim::Refusal;
use crate::name_log::Listing;
use crate::record::{NameRecord, Signed};

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// In which network.
    pub network: NetworkId,
    /// Whom.
    pub registrar: AccountId,
    /// By which display name its holder wants to be found.
    pub listing: Option<Listing>,
    /// When, Unix seconds; 0 once it was answered with a certificate.
    pub asked_at: u64,
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What says that the name is ours.
    pub certificate: Option<Signed<NameRecord>>,
    /// Why not, if that was the last answer.
    pub refusal: Option<Refusal>,
}

/// Both, of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// It.
    pub name: Name,
    /// What was asked.
    pub claimed: Claimed,
    /// What was answered.
    pub answered: Answered,
}

impl Answered {
    /// Nothing yet.
    pub const fn is_empty(&self) -> bool {
        self.certificate.is_none() && self.refusal.is_none()
    }

    /// Whether it is about this name, and no larger than a record is.
    pub fn is_about(&self, name: &Name) -> bool {
        self.certificate
            .as_ref()
            .is_none_or(|signed| signed.record.name == *name && signed.encoded_len() <= RECORD_MAX)
    }
}
