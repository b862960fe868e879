//! The head of a registrar's log: how many entries it has, and the hash of the last one. Two heads of one height that differ
//! show that the registrar told different people different things.

use serde::{Deserialize, Serialize};

use super::registrar::Registrar;
use super::{Content, RecordError};
use crate::ids::NetworkId;
use crate::placement::IndexKey;

/// What a registrar publishes about its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Who signs it, for which network.
    pub registrar: Registrar,
    /// Entries in the log.
    pub height: u64,
    /// BLAKE3 hash of the last one, which names the one before.
    pub hash: [u8; 32],
    /// Higher replaces lower; a head that is signed again without a new entry has a higher one, too.
    pub sequence: u64,
    /// Unix seconds after which it counts no more.
    pub expires: u64,
}

impl Content for LogHead {
    const CONTEXT: &'static [u8] = b"starling 1 log head";

    fn key(&self) -> IndexKey {
        IndexKey::log_head(self.registrar.network)
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
        self.registrar.speaks_for(network, self.expires)
    }
}
