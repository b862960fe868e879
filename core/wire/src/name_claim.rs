//! What passes between somebody who wants a name and a network's registrar, inside sealed letters.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::name_log::{INVITATION_MAX, Listing};
use crate::record::{NameRecord, Signed};

/// "About this name I want that."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The name.
    pub name: Name,
    /// What.
    pub wish: Wish,
}

/// What somebody wants of a registrar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// To have it, or to keep it.
    Hold {
        /// To be found by this display name, too.
        listing: Option<Listing>,
        /// What the network gave out to those it wants, at most [`INVITATION_MAX`] characters.
        invitation: Option<String>,
    },
    /// To have it no longer.
    Release,
}

/// What the registrar answers: the certificate, or why there is none.
pub type Verdict = Result<Signed<NameRecord>, Refusal>;

/// Why a registrar does not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// Somebody has it.
    Taken,
    /// It looks like one that somebody has.
    LooksLikeAnother,
    /// Given up not long ago.
    Resting,
    /// As many names as an account may have.
    Enough,
    /// Names go to those who bring an invitation that nobody used.
    Invitation,
    /// A person decides; the answer comes later.
    Waiting,
    /// A person decided.
    Declined,
    /// Too many changes in a short time.
    TooOften,
    /// It is not the asker's.
    NotYours,
    /// The registrar has not compared its log with the network's yet, or its office has ended.
    NotReady,
    /// Too many wait for a person to decide.
    Crowded,
    /// No person decided in time.
    Expired,
}

impl Claim {
    /// Bounds that its types do not have.
    pub fn fits(&self) -> bool {
        match &self.wish {
            Wish::Hold { invitation, .. } => invitation
                .as_ref()
                .is_none_or(|code| code.len() <= INVITATION_MAX),
            Wish::Release => true,
        }
    }
}

/// By what a registrar remembers an invitation, so that its database gives none away.
pub fn invitation_hash(code: &str) -> [u8; 32] {
    blake3::derive_key("starling 1 name invitation", code.as_bytes())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "somebody has this name; choose another one",
            Self::LooksLikeAnother => {
                "this name looks like one that somebody has; choose one that cannot be mistaken for it"
            }
            Self::Resting => {
                "this name was given up not long ago; it can be taken again 90 days after that"
            }
            Self::Enough => {
                "you have as many names as this network gives to one account; release one first"
            }
            Self::Invitation => {
                "this network gives names to those it invited; ask whoever runs it for an invitation"
            }
            Self::Waiting => {
                "whoever runs this network decides about names; you will be told within 30 days"
            }
            Self::Declined => "whoever runs this network did not give you this name",
            Self::TooOften => "names are being changed too often; try again tomorrow",
            Self::NotYours => "this name is not yours",
            Self::Crowded => {
                "too many people wait for a name in this network; ask whoever runs it for an invitation, or try again in some days"
            }
            Self::Expired => {
                "whoever runs this network did not decide about this name within 30 days; ask again"
            }
            Self::NotReady => {
                "the registrar cannot give names at the moment; try again in an hour"
            }
        })
    }
}
