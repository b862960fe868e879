//! The name certificate: the registrar of a network says whose a name is. It lives for a year, so that names are read and
//! trusted as before while the registrar is away.

use serde::{Deserialize, Serialize};

use super::registrar::Registrar;
use super::{Content, RecordError};
use crate::ids::{AccountId, NetworkId};
use crate::name::Name;
use crate::placement::IndexKey;

/// Seconds that a certificate may expire ahead: 400 days.
pub const NAME_AHEAD_MAX_S: u64 = 400 * 24 * 3600;

/// What a registrar publishes about one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// Who signs it, for which network.
    pub registrar: Registrar,
    /// The name; `RECORD-11`: nothing else is read as one.
    pub name: Name,
    /// Whose it is; nobody's since it was released.
    pub account: Option<AccountId>,
    /// Higher replaces lower.
    pub sequence: u64,
    /// Unix seconds after which it counts no more.
    pub expires: u64,
}

impl Content for NameRecord {
    const CONTEXT: &'static [u8] = b"starling 1 name";
    const AHEAD_MAX_S: u64 = NAME_AHEAD_MAX_S;

    fn key(&self) -> IndexKey {
        IndexKey::name(self.registrar.network, self.name.as_str())
    }

    fn order(&self) -> u64 {
        self.sequence
    }

    fn expires(&self) -> u64 {
        self.expires
    }

    fn signer(&self) -> &[u8; 32] {
        &self.registrar.key
    }

    fn check(&self, network: Option<NetworkId>) -> Result<(), RecordError> {
        self.registrar.speaks_for(network, self.expires)
    }
}
