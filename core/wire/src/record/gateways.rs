//! Gateways: which account takes calls to telephone numbers that begin how (E.164, without the `+`).
//!
//! There are two lists to look at: the one that the network's owner signs, which everybody in the network goes by, and the
//! one that a gateway signs about itself, for callers who hold a grant of that gateway and so know its account.

use serde::{Deserialize, Serialize};

use super::{Content, RecordError, speaks};
use crate::ids::{AccountId, NetworkId};
use crate::placement::IndexKey;
use crate::speaker::Speaker;

/// Gateways in one list.
pub const GATEWAYS_MAX: usize = 6;
/// Prefixes in one list, of all its gateways together.
pub const PREFIXES_MAX: usize = 16;
/// Digits of an E.164 number.
const DIGITS_MAX: usize = 15;

/// A list of gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewaysRecord {
    /// Whose word it is.
    pub by: Publisher,
    /// The gateways, the preferred one first.
    pub gateways: Vec<Gateway>,
    /// Higher replaces lower.
    pub sequence: u64,
    /// Unix seconds after which it counts no more.
    pub expires: u64,
}

/// Who signs a list of gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Publisher {
    /// The owner of a network.
    Owner(NetworkId),
    /// A gateway's account, about itself.
    Gateway(Speaker),
}

/// One gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its account: whom to call.
    pub account: AccountId,
    /// How the numbers begin that it takes.
    pub prefixes: Vec<String>,
}

impl GatewaysRecord {
    /// Whether the network's owner signs it.
    pub(super) const fn is_the_owners(&self) -> bool {
        matches!(self.by, Publisher::Owner(_))
    }

    fn prefixes(&self) -> impl Iterator<Item = &str> {
        let all = self.gateways.iter().flat_map(|gateway| &gateway.prefixes);
        all.map(String::as_str)
    }
}

impl Content for GatewaysRecord {
    const CONTEXT: &'static [u8] = b"starling 1 gateways";

    fn key(&self) -> IndexKey {
        match &self.by {
            Publisher::Owner(network) => IndexKey::gateways_of_network(*network),
            Publisher::Gateway(speaker) => IndexKey::gateway(speaker.account()),
        }
    }

    fn order(&self) -> u64 {
        match &self.by {
            Publisher::Owner(_) => self.sequence,
            Publisher::Gateway(speaker) => speaker.order(self.sequence).unwrap_or_default(),
        }
    }

    fn expires(&self) -> u64 {
        self.expires
    }

    fn signer(&self) -> &[u8; 32] {
        match &self.by {
            Publisher::Owner(network) => network.as_bytes(),
            Publisher::Gateway(speaker) => speaker.signing_key(),
        }
    }

    fn check(&self, network: Option<NetworkId>) -> Result<(), RecordError> {
        // RECORD-01: bounds.
        if self.gateways.len() > GATEWAYS_MAX || self.prefixes().count() > PREFIXES_MAX {
            return Err(RecordError::TooLarge);
        }
        // RECORD-12: beginnings of telephone numbers.
        if !self.prefixes().all(is_prefix) {
            return Err(RecordError::Gateways);
        }
        match &self.by {
            // RECORD-09.
            Publisher::Owner(owner) if network == Some(*owner) => Ok(()),
            Publisher::Owner(_) => Err(RecordError::OtherNetwork),
            Publisher::Gateway(speaker) => {
                speaks(speaker, self.sequence)?;
                // RECORD-13: a gateway speaks for itself alone.
                match &self.gateways[..] {
                    [own] if own.account == speaker.account() => Ok(()),
                    _ => Err(RecordError::Gateways),
                }
            }
        }
    }
}

/// The first digits of a number: no country's begin with 0.
fn is_prefix(prefix: &str) -> bool {
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=DIGITS_MAX).contains(&prefix.len()) && !prefix.starts_with('0')
}
