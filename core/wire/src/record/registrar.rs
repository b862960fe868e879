//! Who signs for a network's owner: the owner's own word, carried in every record that a registrar signs. So whoever knows the
//! network's id can verify a name, however many registrars there were, and the owner's key need not lie on a server.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::{Content, NameRecord, RecordError, Signed};
use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::{AccountId, NetworkId};
use crate::name_log::{Entry, Position, SignedEntry};

const CONTEXT: &[u8] = b"starling 1 registrar";

/// The entry after which a registrar takes over: it signs none up to there, and those of its predecessors that come after
/// it count no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Since {
    /// Its height; 0 for the beginning.
    pub height: u64,
    /// Its hash; zeros for the beginning.
    pub hash: [u8; 32],
}

/// "This key is my network's registrar, until then."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrar {
    /// The owner's network.
    pub network: NetworkId,
    /// Who keeps the log: sealed letters about names go there.
    pub account: AccountId,
    /// The registrar's Ed25519 key.
    pub key: [u8; 32],
    /// Which registrar of the network, from 1. A later one replaces those before.
    pub epoch: u64,
    /// Where it takes over.
    pub since: Since,
    /// Unix seconds after which nothing it signed counts.
    pub until: u64,
    /// By the network's owner.
    pub signature: ([u8; 32], [u8; 32]),
}

impl Registrar {
    /// The owner of a network makes somebody its first registrar.
    pub fn appoint(owner: &SigningKey, account: AccountId, key: [u8; 32], until: u64) -> Self {
        let mut appointment = Self {
            network: NetworkId(owner.verifying_key().to_bytes()),
            account,
            key,
            epoch: 1,
            since: Since::default(),
            until,
            signature: ([0; 32], [0; 32]),
        };
        appointment.signature = sign(owner, &appointment.signed_bytes());
        appointment
    }

    /// The owner makes it the one of `epoch`, which takes over after `since`.
    pub fn taking_over(mut self, owner: &SigningKey, epoch: u64, since: Since) -> Self {
        (self.epoch, self.since) = (epoch, since);
        self.signature = sign(owner, &self.signed_bytes());
        self
    }

    /// Whether both are about the same registrar at the same place: one may only last longer.
    pub fn is_same_office(&self, other: &Self) -> bool {
        (self.epoch, self.key, self.since) == (other.epoch, other.key, other.since)
    }

    /// `LOG-07`: whether it may sign this: later than where it takes over, not later than its end.
    pub const fn covers(&self, position: &Position) -> bool {
        position.height > self.since.height && position.at <= self.until
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
        let place = (self.epoch, self.since);
        let fields = (self.network, self.account, &self.key, place, self.until);
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
        entry.sign(&self.appointment, &self.key)
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
