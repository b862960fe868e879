//! Who signs for a network's owner: the owner's own word, carried in every record that a registrar signs. So whoever knows the
//! network's id can verify a name, however many registrars there were, and the owner's key need not lie on a server.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::{Content, NameRecord, RecordError, Signed};
use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::{AccountId, NetworkId};
use crate::name_log::{Entry, SignedEntry};

const CONTEXT: &[u8] = b"starling 1 registrar";

/// "This key is my network's registrar, until then."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrar {
    /// The owner's network.
    pub network: NetworkId,
    /// Who keeps the log: sealed letters about names go there.
    pub account: AccountId,
    /// The registrar's Ed25519 key.
    pub key: [u8; 32],
    /// Unix seconds after which nothing it signed counts.
    pub until: u64,
    /// By the network's owner.
    pub signature: ([u8; 32], [u8; 32]),
}

impl Registrar {
    /// The owner of a network makes somebody its registrar.
    pub fn appoint(owner: &SigningKey, account: AccountId, key: [u8; 32], until: u64) -> Self {
        let mut appointment = Self {
            network: NetworkId(owner.verifying_key().to_bytes()),
            account,
            key,
            until,
            signature: ([0; 32], [0; 32]),
        };
        appointment.signature = sign(owner, &appointment.signed_bytes());
        appointment
    }

    /// Whether the owner of `network` made it its registrar.
    pub fn is_appointed_in(&self, network: NetworkId) -> bool {
        let owner = network.as_bytes();
        self.network == network && signed_by(owner, &self.signed_bytes(), self.signature)
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
        if expires > self.until || !self.is_appointed_in(self.network) {
            return Err(RecordError::Registrar);
        }
        Ok(())
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        let fields = (self.network, self.account, &self.key, self.until);
        bytes.extend_from_slice(&frame::encode_body(&fields));
        bytes
    }
}

/// A registrar's key together with its appointment: whoever has both signs for the network.
#[derive(Debug)]
pub struct Office {
    appointment: Registrar,
    key: SigningKey,
}

impl Office {
    /// `None` if it is another key that was appointed.
    pub fn new(appointment: Registrar, key: SigningKey) -> Option<Self> {
        let fits = appointment.key == key.verifying_key().to_bytes();
        (fits && appointment.is_appointed_in(appointment.network))
            .then_some(Self { appointment, key })
    }

    /// The owner's word.
    pub const fn appointment(&self) -> &Registrar {
        &self.appointment
    }

    /// Signs the next entry of the log.
    pub fn enter(&self, entry: Entry) -> SignedEntry {
        entry.sign(self.appointment.network, &self.key)
    }

    /// Signs a certificate; nobody's if the name was released.
    pub fn certify(&self, entry: &Entry, expires: u64) -> Signed<NameRecord> {
        let record = NameRecord {
            registrar: self.appointment.clone(),
            name: entry.name.clone(),
            account: entry.account,
            sequence: entry.height,
            expires: expires.min(self.appointment.until),
        };
        record.sign(&self.key)
    }
}
