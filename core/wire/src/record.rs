//! Public records of the global index, after BEP 44: a value, a sequence number, an expiry and a signature.
//!
//! Part of the index today: the account record. It holds what a stranger needs to send a sealed request, and nothing
//! that leads to a machine of the account: no endpoint id, no address but its home supernodes'.

use serde::{Deserialize, Serialize};

use crate::account::{AccountError, Chain, VerifiedAccount, sign};
use crate::frame;
use crate::ids::AccountId;
use crate::limits::{RECORD_MAX, RECORD_TTL_S, SUPERNODES_MAX};
use crate::supernode::SupernodeAddr;

const CONTEXT: &[u8] = b"starling 1 account record";

/// What an account publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Inception and device list.
    pub chain: Chain,
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

/// A record whose chain, signature and dates were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    account: VerifiedAccount,
    record: AccountRecord,
}

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The account inside is not valid.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Larger than a record may be, or too many supernodes.
    #[error("the record is larger than Starling allows")]
    TooLarge,
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
    /// Size on the wire.
    pub fn encoded_len(&self) -> usize {
        frame::encode_body(self).len()
    }

    /// Checks everything a record claims (`RECORD-01` to `RECORD-05`). `now` is Unix seconds.
    pub fn verify(&self, expected: AccountId, now: u64) -> Result<VerifiedRecord, RecordError> {
        // RECORD-01: bounds.
        if self.encoded_len() > RECORD_MAX || self.record.home.len() > SUPERNODES_MAX {
            return Err(RecordError::TooLarge);
        }
        // RECORD-02: it answers the question asked.
        if self.record.chain.id() != expected {
            return Err(RecordError::WrongAccount);
        }
        // RECORD-03: dates. A record from far ahead would never be replaced by an honest one.
        if self.record.expires <= now || self.record.expires > now.saturating_add(2 * RECORD_TTL_S)
        {
            return Err(RecordError::Expired);
        }
        // RECORD-04: the chain.
        let account = self.record.chain.verify()?;
        // RECORD-05: the signature over all of it.
        if !account.verifies(&self.record.signed_bytes(), self.signature) {
            return Err(RecordError::Signature);
        }
        Ok(VerifiedRecord {
            account,
            record: self.record.clone(),
        })
    }
}

impl VerifiedRecord {
    /// The account.
    pub const fn account(&self) -> &VerifiedAccount {
        &self.account
    }

    /// The record's fields.
    pub const fn record(&self) -> &AccountRecord {
        &self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            chain,
            request_key: [6; 32],
            home,
            sequence: 1,
            expires,
        }
        .sign(&key)
    }

    #[test]
    fn record_01_an_ordinary_record_fits_and_a_larger_one_is_refused() {
        let record = alice(NOW + 100);
        assert!(
            record.encoded_len() <= RECORD_MAX,
            "{}",
            record.encoded_len()
        );
        let mut large = record.clone();
        large.record.home.push(large.record.home[0].clone());
        assert_eq!(
            large.verify(record.record.chain.id(), NOW),
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
        let id = alice(NOW).record.chain.id();
        assert_eq!(alice(NOW).verify(id, NOW), Err(RecordError::Expired));
        assert_eq!(
            alice(NOW + 3 * RECORD_TTL_S).verify(id, NOW),
            Err(RecordError::Expired)
        );
        assert_eq!(
            alice(NOW + RECORD_TTL_S)
                .verify(id, NOW)
                .unwrap()
                .account()
                .id(),
            id
        );
    }

    #[test]
    fn record_04_a_broken_chain_breaks_the_record() {
        let mut record = alice(NOW + 100);
        record.record.chain.entries[0].number = 2;
        let id = record.record.chain.id();
        assert_eq!(
            record.verify(id, NOW),
            Err(RecordError::Account(AccountError::Gap))
        );
    }

    #[test]
    fn record_05_a_changed_supernode_breaks_the_signature() {
        let mut record = alice(NOW + 100);
        record.record.home[0].tcp.set_port(1);
        let id = record.record.chain.id();
        assert_eq!(record.verify(id, NOW), Err(RecordError::Signature));
    }
}
