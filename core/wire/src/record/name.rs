//! The name certificate: the registrar of a network says whose a name is. It lives for a year, so that names are read and
//! trusted as before while the registrar is away.

use serde::{Deserialize, Serialize};

use super::registrar::Registrar;
use super::{Content, RecordError};
use crate::ids::{AccountId, NetworkId};
use crate::placement::IndexKey;

/// Characters of a name, at least and at most.
pub const NAME_LEN: std::ops::RangeInclusive<usize> = 2..=32;
/// Seconds that a certificate may expire ahead: 400 days.
pub const NAME_AHEAD_MAX_S: u64 = 400 * 24 * 3600;

/// What a registrar publishes about one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// Who signs it, for which network.
    pub registrar: Registrar,
    /// The name, see [`is_name`].
    pub name: String,
    /// Whose it is; nobody's since it was released.
    pub account: Option<AccountId>,
    /// Higher replaces lower.
    pub sequence: u64,
    /// Unix seconds after which it counts no more.
    pub expires: u64,
}

/// `RECORD-11`: whether this can be a name, written as names are compared. Only letters that look like no others: more
/// scripts need rules of their own.
pub fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let letter_or_digit = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let joins = |byte: &u8| matches!(byte, b'-' | b'.' | b'_');
    NAME_LEN.contains(&bytes.len())
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last().is_some_and(letter_or_digit)
        && bytes
            .iter()
            .all(|byte| letter_or_digit(byte) || joins(byte))
        && !bytes.windows(2).any(|pair| pair.iter().all(joins))
}

impl Content for NameRecord {
    const CONTEXT: &'static [u8] = b"starling 1 name";
    const AHEAD_MAX_S: u64 = NAME_AHEAD_MAX_S;

    fn key(&self) -> IndexKey {
        IndexKey::name(self.registrar.network, &self.name)
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn expires(&self) -> u64 {
        self.expires
    }

    fn signer(&self) -> &[u8; 32] {
        &self.registrar.key
    }

    fn check(&self, network: Option<NetworkId>) -> Result<(), RecordError> {
        if !is_name(&self.name) {
            return Err(RecordError::Name);
        }
        self.registrar.speaks_for(network, self.expires)
    }
}
