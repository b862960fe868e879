//! Who speaks for an account, shown to somebody who knows its id and not its history: the first record, which the id is the
//! hash of, and the recovery key's last word, if it ever spoke. So a public record of an account that was recovered
//! stands above whatever its old signing key signs (`RECORD-15`).

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::account::{AccountError, Inception, point, sign, signed_by};
use crate::frame;
use crate::ids::AccountId;
use crate::limits::{RECOVERIES_MAX, SEQUENCE_MAX};

const CONTEXT: &[u8] = b"starling 1 recovery";

/// The recovery key's word: from now on this key signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// 1 for an account's first; higher counts for more. At most [`RECOVERIES_MAX`].
    pub number: u16,
    /// The new signing key.
    pub signing_key: [u8; 32],
    /// By the recovery key over context, account id and the fields above.
    pub signature: ([u8; 32], [u8; 32]),
}

/// Who speaks for an account, as it travels: not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    /// The account's first record.
    pub inception: Inception,
    /// The recovery key's last word.
    pub recovery: Option<Recovery>,
}

impl Recovery {
    /// Signed with the recovery key.
    pub fn new(
        recovery: &SigningKey,
        account: AccountId,
        number: u16,
        signing: &VerifyingKey,
    ) -> Self {
        let signing_key = signing.to_bytes();
        let message = signed_bytes(account, number, &signing_key);
        Self {
            number,
            signing_key,
            signature: sign(recovery, &message),
        }
    }

    /// The key that it names, if it is the word of this account's recovery key.
    pub fn verify(&self, inception: &Inception) -> Result<VerifyingKey, AccountError> {
        if self.number == 0 || self.number > RECOVERIES_MAX {
            return Err(AccountError::Recovery);
        }
        let message = signed_bytes(inception.id(), self.number, &self.signing_key);
        if !signed_by(&inception.recovery_key, &message, self.signature) {
            return Err(AccountError::Recovery);
        }
        point(&self.signing_key)
    }
}

impl Speaker {
    /// The account.
    pub fn account(&self) -> AccountId {
        self.inception.id()
    }

    /// The key that signs for it: not yet known to be right.
    pub fn signing_key(&self) -> &[u8; 32] {
        let recovered = self.recovery.as_ref();
        recovered.map_or(&self.inception.signing_key, |word| &word.signing_key)
    }

    /// Number of the recovery key's last word, 0 for none.
    pub fn recoveries(&self) -> u16 {
        self.recovery.as_ref().map_or(0, |word| word.number)
    }

    /// `RECORD-04` and `RECORD-14`: its keys are keys, and the recovery key said what it is said to have.
    pub fn verify(&self) -> Result<(), AccountError> {
        self.inception.signing_key()?;
        match &self.recovery {
            Some(word) => word.verify(&self.inception).map(|_| ()),
            None => Ok(()),
        }
    }

    /// `RECORD-15`: a place for a record of this number in the order of all records of the account: recoveries first. `None`
    /// for a number that no record has.
    pub fn order(&self, sequence: u64) -> Option<u64> {
        let fits = sequence <= SEQUENCE_MAX;
        fits.then(|| u64::from(self.recoveries()) * (SEQUENCE_MAX + 1) + sequence)
    }
}

fn signed_bytes(account: AccountId, number: u16, signing_key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(&(account, number, signing_key)));
    bytes
}
