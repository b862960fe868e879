//! The account record. It holds what a stranger needs to send a sealed request, and nothing that leads to a machine of the
//! account: no device, no endpoint id, no address but its home supernodes'. The account's chain is named by its head only, so
//! the record stays small however long the history is.

use serde::{Deserialize, Serialize};

use super::{Content, RecordError, Signed, Verified, speaks};
use crate::account::ChainHead;
use crate::ids::{AccountId, NetworkId};
use crate::limits::SUPERNODES_MAX;
use crate::placement::IndexKey;
use crate::speaker::Speaker;
use crate::supernode::SupernodeAddr;

/// What an account publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Who speaks for the account.
    pub by: Speaker,
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

impl Content for AccountRecord {
    const CONTEXT: &'static [u8] = b"starling 1 account record";

    fn key(&self) -> IndexKey {
        IndexKey::account(self.by.account())
    }

    fn order(&self) -> u64 {
        self.by.order(self.sequence).unwrap_or_default()
    }

    fn expires(&self) -> u64 {
        self.expires
    }

    fn signer(&self) -> &[u8; 32] {
        self.by.signing_key()
    }

    fn check(&self, _: Option<NetworkId>) -> Result<(), RecordError> {
        // RECORD-01: bounds.
        if self.home.len() > SUPERNODES_MAX {
            return Err(RecordError::TooLarge);
        }
        // RECORD-06: supernodes where somebody can answer.
        if !self.home.iter().all(SupernodeAddr::is_usable) {
            return Err(RecordError::Address);
        }
        speaks(&self.by, self.sequence)
    }
}

impl Signed<AccountRecord> {
    /// Whose it says it is.
    pub fn account(&self) -> AccountId {
        self.record.by.account()
    }

    /// Checks everything it claims, and that it is this account's (`RECORD-01` to `RECORD-06`, `RECORD-14`). `now` is Unix seconds.
    pub fn verify(
        &self,
        expected: AccountId,
        now: u64,
    ) -> Result<Verified<AccountRecord>, RecordError> {
        // RECORD-02: it answers the question asked.
        if self.account() != expected {
            return Err(RecordError::WrongAccount);
        }
        self.verify_in(None, now)
    }
}

impl Verified<AccountRecord> {
    /// The account.
    pub fn account(&self) -> AccountId {
        self.signed().account()
    }
}
