//! Who signs for a network's owner: the owner's own word, carried in every record that a registrar signs. So whoever knows the
//! network's id can verify a name, however many registrars there were, and the owner's key need not lie on a server.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::NetworkId;

const CONTEXT: &[u8] = b"starling 1 registrar";

/// "This key is my network's registrar, until then."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrar {
    /// The owner's network.
    pub network: NetworkId,
    /// The registrar's Ed25519 key.
    pub key: [u8; 32],
    /// Unix seconds after which nothing it signed counts.
    pub until: u64,
    /// By the network's owner.
    pub signature: ([u8; 32], [u8; 32]),
}

impl Registrar {
    /// The owner of a network makes somebody its registrar.
    pub fn appoint(owner: &SigningKey, key: [u8; 32], until: u64) -> Self {
        let network = NetworkId(owner.verifying_key().to_bytes());
        Self {
            network,
            key,
            until,
            signature: sign(owner, &signed_bytes(network, &key, until)),
        }
    }

    /// Whether what it signed, and says to count until `expires`, is `network`'s (`RECORD-09`, `RECORD-10`).
    pub(super) fn speaks_for(
        &self,
        network: Option<NetworkId>,
        expires: u64,
    ) -> Result<(), RecordError> {
        // RECORD-09: of our network.
        if network != Some(self.network) {
            return Err(RecordError::OtherNetwork);
        }
        // RECORD-10: appointed by its owner, for at least as long.
        let message = signed_bytes(self.network, &self.key, self.until);
        if expires > self.until || !signed_by(self.network.as_bytes(), &message, self.signature) {
            return Err(RecordError::Registrar);
        }
        Ok(())
    }
}

fn signed_bytes(network: NetworkId, key: &[u8; 32], until: u64) -> Vec<u8> {
    let mut bytes = CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(&(network, key, until)));
    bytes
}
