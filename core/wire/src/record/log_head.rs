//! The head of a registrar's log: how many entries it has, and the hash of the last one. Two heads of one height that differ
//! show that the registrar told different people different things.

use serde::{Deserialize, Serialize};

use super::registrar::Registrar;
use super::{Content, RecordError};
use crate::ids::NetworkId;
use crate::name_log::Position;
use crate::placement::IndexKey;

/// What a registrar publishes about its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Who signs it, for which network.
    pub registrar: Registrar,
    /// How many entries the log has, and the hash of the last one.
    pub position: Position,
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
        self.registrar.speaks_for(network, self.expires)?;
        // LOG-03, LOG-07: signed as in the log itself, so that the two can be held against each other.
        if !self.registrar.covers(&self.position) {
            return Err(RecordError::Registrar);
        }
        if !self.position.is_signed_by(&self.registrar) {
            return Err(RecordError::Signature);
        }
        Ok(())
    }
}
