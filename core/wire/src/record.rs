//! Public records of the global index, after BEP 44: a value, a sequence number, an expiry and a signature.
//!
//! Part of the index today: the account record. It holds what a stranger needs to send a sealed request, and nothing
//! that leads to a machine of the account: no device, no endpoint id, no address but its home supernodes'. The account's
//! chain is named by its head only, so the record stays small however long the history is.

use serde::{Deserialize, Serialize};

use crate::account::{AccountError, ChainHead, Inception, sign, signed_by};
use crate::frame;
use crate::ids::AccountId;
use crate::limits::{RECORD_MAX, RECORD_TTL_S, SUPERNODES_MAX};
use crate::supernode::SupernodeAddr;

const CONTEXT: &[u8] = b"starling 1 account record";

/// What an account publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// The account's first record: its hash is the account's id.
    pub inception: Inception,
    /// Where the account's history stands.
    pub head: ChainHead,
    /// X25519 key for sealed requests (RFC 9180).
    pub request_key: [u8; 32],
    /// Home supernodes, the hot one first.
    pub home: Vec<SupernodeAddr>,
    /// Higher replaces lower.
    pub sequence: u64,
    /// Unix seconds after which it counts no more.
    pub expires: u64,
}

/// An account record as it travels: not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// The record.
    pub record: AccountRecord,
    /// By the account's signing key.
    pub signature: ([u8; 32], [u8; 32]),
}

/// A record whose keys, signature and dates were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    account: AccountId,
    signed: SignedRecord,
}

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Its keys are not valid.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Larger than a record may be, or too many supernodes.
    #[error("the record is larger than Starling allows")]
    TooLarge,
    /// A supernode where nobody can answer.
    #[error("the record names a supernode at an address that cannot be one")]
    Address,
    /// Not signed by its account.
    #[error("the record was not signed by its account")]
    Signature,
    /// Too old, or dated further ahead than a record may live.
    #[error("the record has expired; its owner was not online for a week, or a clock is wrong")]
    Expired,
    /// It belongs to somebody else.
    #[error("the record belongs to another account")]
    WrongAccount,
}

impl AccountRecord {
    /// Signs the record with the account's key.
    pub fn sign(self, key: &ed25519_dalek::SigningKey) -> SignedRecord {
        let signature = sign(key, &self.signed_bytes());
        SignedRecord {
            record: self,
            signature,
        }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend_from_slice(&frame::encode_body(self));
        bytes
    }
}

impl SignedRecord {
    /// Whose it says it is.
    pub fn account(&self) -> AccountId {
        self.record.inception.id()
    }

    /// Size on the wire.
    pub fn encoded_len(&self) -> usize {
        frame::encode_body(self).len()
    }

    /// Checks everything a record claims (`RECORD-01` to `RECORD-06`). `now` is Unix seconds.
    pub fn verify(&self, expected: AccountId, now: u64) -> Result<VerifiedRecord, RecordError> {
        // RECORD-01: bounds.
        if self.encoded_len() > RECORD_MAX || self.record.home.len() > SUPERNODES_MAX {
            return Err(RecordError::TooLarge);
        }
        // RECORD-06: supernodes where somebody can answer.
        if !self.record.home.iter().all(SupernodeAddr::is_usable) {
            return Err(RecordError::Address);
        }
        // RECORD-02: it answers the question asked.
        if self.account() != expected {
            return Err(RecordError::WrongAccount);
        }
        // RECORD-03: dates. A record from far ahead would never be replaced by an honest one.
        if self.record.expires <= now || self.record.expires > now.saturating_add(2 * RECORD_TTL_S)
        {
            return Err(RecordError::Expired);
        }
        // RECORD-04: the keys.
        self.record.inception.signing_key()?;
        // RECORD-05: the signature over all of it.
        let key = &self.record.inception.signing_key;
        if !signed_by(key, &self.record.signed_bytes(), self.signature) {
            return Err(RecordError::Signature);
        }
        Ok(VerifiedRecord {
            account: expected,
            signed: self.clone(),
        })
    }
}

impl VerifiedRecord {
    /// The account.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The record's fields.
    pub const fn record(&self) -> &AccountRecord {
        &self.signed.record
    }

    /// The record with its signature, to keep or to pass on.
    pub const fn signed(&self) -> &SignedRecord {
        &self.signed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Chain;
    use crate::ids::{DeviceId, EndpointKey};
    use ed25519_dalek::SigningKey;

    const NOW: u64 = 1_800_000_000;

    fn alice(expires: u64) -> SignedRecord {
        let key = SigningKey::from_bytes(&[1; 32]);
        let recovery = SigningKey::from_bytes(&[2; 32]).verifying_key();
        let chain = Chain::create(
            &key,
            &recovery,
            [0; 16],
            DeviceId([4; 32]),
            "Alice's laptop",
        );
        let home = vec![
            SupernodeAddr {
                id: EndpointKey([5; 32]),
                tcp: "[2001:db8::1]:27474".parse().unwrap(),
                discovery_port: 27476
            };
            SUPERNODES_MAX
        ];
        AccountRecord {
            head: chain.head(),
            inception: chain.inception,
            request_key: [6; 32],
            home,
            sequence: NOW,
            expires,
        }
        .sign(&key)
    }

    #[test]
    fn record_01_the_largest_record_fits_and_a_larger_one_is_refused() {
        let record = alice(NOW + 100);
        assert_eq!(
            record.encoded_len(),
            385,
            "three supernodes on IPv6, whatever the history"
        );
        assert!(record.encoded_len() <= RECORD_MAX);
        let mut large = record.clone();
        large.record.home.push(large.record.home[0].clone());
        assert_eq!(
            large.verify(record.account(), NOW),
            Err(RecordError::TooLarge)
        );
    }

    #[test]
    fn record_02_another_accounts_record_is_no_answer() {
        assert_eq!(
            alice(NOW + 100).verify(AccountId([9; 32]), NOW),
            Err(RecordError::WrongAccount)
        );
    }

    #[test]
    fn record_03_expired_or_far_ahead_is_refused() {
        let id = alice(NOW).account();
        assert_eq!(alice(NOW).verify(id, NOW), Err(RecordError::Expired));
        assert_eq!(
            alice(NOW + 3 * RECORD_TTL_S).verify(id, NOW),
            Err(RecordError::Expired)
        );
        assert_eq!(
            alice(NOW + RECORD_TTL_S).verify(id, NOW).unwrap().account(),
            id
        );
    }

    #[test]
    fn record_04_a_key_that_is_none_is_refused() {
        let mut record = alice(NOW + 100);
        let no_point = |bytes: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(bytes).is_err();
        record.record.inception.recovery_key = (0..=u8::MAX)
            .map(|byte| [byte; 32])
            .find(no_point)
            .expect("half of all are none");
        assert_eq!(
            record.verify(record.account(), NOW),
            Err(RecordError::Account(AccountError::Key))
        );
    }

    #[test]
    fn record_05_a_changed_supernode_breaks_the_signature() {
        let mut record = alice(NOW + 100);
        record.record.home[0].tcp.set_port(1);
        let id = record.account();
        assert_eq!(record.verify(id, NOW), Err(RecordError::Signature));
    }

    #[test]
    fn record_06_a_supernode_nowhere_is_refused() {
        let mut record = alice(NOW + 100);
        record.record.home[0].tcp.set_ip("0.0.0.0".parse().unwrap());
        assert_eq!(
            record.verify(record.account(), NOW),
            Err(RecordError::Address)
        );
    }
}
