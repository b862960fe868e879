//! Public records of the global index, after BEP 44: a value, a sequence number, an expiry and a signature. Five kinds, one
//! file each: [`account`], [`device`], [`name`], [`log_head`], [`gateways`]; who speaks for a network's owner, in [`registrar`].
//!
//! What came from outside is a [`Signed`] value of one kind, or a [`SignedRecord`] of any; only verifying makes a [`Verified`]
//! or a [`VerifiedRecord`] of it. What a record is found by follows from what it says, so none can be given out for another.

pub mod account;
pub mod device;
pub mod gateways;
pub mod log_head;
pub mod name;
pub mod registrar;

use std::fmt;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

pub use self::account::AccountRecord;
pub use self::device::DeviceRecord;
pub use self::gateways::GatewaysRecord;
pub use self::log_head::LogHead;
pub use self::name::NameRecord;
use crate::account::{AccountError, sign, signed_by};
use crate::frame;
use crate::ids::NetworkId;
use crate::limits::{RECORD_MAX, RECORD_TTL_S};
use crate::placement::IndexKey;
use crate::speaker::Speaker;

/// In front of a record that may be of any kind.
const KIND_BYTES: usize = 1;

/// What the records of one kind have in common with all others.
pub trait Content: Clone + PartialEq + Serialize {
    /// In front of what is signed: a signature counts for one kind only.
    const CONTEXT: &'static [u8];
    /// Seconds that one may expire ahead. One from further ahead would never be replaced by an honest one.
    const AHEAD_MAX_S: u64 = 2 * RECORD_TTL_S;

    /// What it is found by.
    fn key(&self) -> IndexKey;
    /// Higher replaces lower: its number; of what an account signs, the recovery key's word before it (`RECORD-15`).
    fn order(&self) -> u64;
    /// Unix seconds after which it counts no more.
    fn expires(&self) -> u64;
    /// Whose signature counts: an Ed25519 key.
    fn signer(&self) -> &[u8; 32];
    /// Everything else it claims, for a member of `network`.
    fn check(&self, network: Option<NetworkId>) -> Result<(), RecordError>;

    /// Signs it with the key of whoever may.
    fn sign(self, key: &SigningKey) -> Signed<Self> {
        let signature = sign(key, &signed_bytes(&self));
        Signed {
            record: self,
            signature,
        }
    }
}

/// A record of one kind as it travels: not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<T> {
    /// The record.
    pub record: T,
    /// By the key of [`Content::signer`].
    pub signature: ([u8; 32], [u8; 32]),
}

/// A record of one kind whose bounds, dates, claims and signature were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    key: IndexKey,
    signed: Signed<T>,
}

/// A record of any kind as it travels: not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignedRecord {
    /// What a stranger needs to send a sealed request.
    Account(Signed<AccountRecord>),
    /// Where one device is at home, for those who hold its secret.
    Device(Signed<DeviceRecord>),
    /// Whose a name is.
    Name(Signed<NameRecord>),
    /// Where the registrar's log stands.
    LogHead(Signed<LogHead>),
    /// Who takes calls to which telephone numbers.
    Gateways(Signed<GatewaysRecord>),
}

/// A record of any kind that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    key: IndexKey,
    signed: SignedRecord,
}

/// The kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`AccountRecord`].
    Account,
    /// [`DeviceRecord`].
    Device,
    /// [`NameRecord`].
    Name,
    /// [`LogHead`].
    LogHead,
    /// [`GatewaysRecord`].
    Gateways,
}

/// Why a record was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum RecordError {
    /// Its keys are not valid.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Larger than a record may be, or a list in it is.
    #[error("the record is larger than Starling allows")]
    TooLarge,
    /// A supernode where nobody can answer.
    #[error("the record names a supernode at an address that cannot be one")]
    Address,
    /// Not signed by whoever may sign it.
    #[error("the record was not signed by its owner")]
    Signature,
    /// Too old, or dated further ahead than a record may live.
    #[error("the record has expired; its owner was not online for a week, or a clock is wrong")]
    Expired,
    /// It belongs to somebody else.
    #[error("the record belongs to another account")]
    WrongAccount,
    /// What is sealed in it has another length than all others have.
    #[error("the record's sealed part has a length that none has")]
    Sealed,
    /// Another network's, or one without an owner.
    #[error("the record is another network's")]
    OtherNetwork,
    /// Signed by somebody whom the network's owner did not make its registrar, or not for so long.
    #[error("the network's owner gave nobody the right to sign this")]
    Registrar,
    /// Higher than an account's records count.
    #[error("the record has a higher number than any record of an account can have")]
    Number,
    /// Not a list of gateways.
    #[error(
        "the list of gateways is empty, names a number's beginning that is none, or speaks for others"
    )]
    Gateways,
}

impl<T: Content> Signed<T> {
    /// Size on the wire.
    pub fn encoded_len(&self) -> usize {
        frame::encode_body(self).len()
    }

    /// Checks everything a record claims, for a member of `network`. `now` is Unix seconds.
    pub fn verify_in(
        &self,
        network: Option<NetworkId>,
        now: u64,
    ) -> Result<Verified<T>, RecordError> {
        // RECORD-01: bounds, before any other work.
        if self.encoded_len() > RECORD_MAX - KIND_BYTES {
            return Err(RecordError::TooLarge);
        }
        // RECORD-03: dates.
        let expires = self.record.expires();
        if expires <= now || expires > now.saturating_add(T::AHEAD_MAX_S) {
            return Err(RecordError::Expired);
        }
        self.record.check(network)?;
        // RECORD-05: the signature over all of it.
        let message = signed_bytes(&self.record);
        if !signed_by(self.record.signer(), &message, self.signature) {
            return Err(RecordError::Signature);
        }
        Ok(Verified {
            key: self.record.key(),
            signed: self.clone(),
        })
    }
}

impl<T: Content> Verified<T> {
    /// What it is found by.
    pub const fn key(&self) -> IndexKey {
        self.key
    }

    /// The record's fields.
    pub const fn record(&self) -> &T {
        &self.signed.record
    }

    /// The record with its signature, to keep or to pass on.
    pub const fn signed(&self) -> &Signed<T> {
        &self.signed
    }
}

impl SignedRecord {
    /// Checks everything it claims, for a member of `network`. `now` is Unix seconds.
    pub fn verify(
        &self,
        network: Option<NetworkId>,
        now: u64,
    ) -> Result<VerifiedRecord, RecordError> {
        match self {
            Self::Account(signed) => signed.verify_in(network, now).map(VerifiedRecord::from),
            Self::Device(signed) => signed.verify_in(network, now).map(VerifiedRecord::from),
            Self::Name(signed) => signed.verify_in(network, now).map(VerifiedRecord::from),
            Self::LogHead(signed) => signed.verify_in(network, now).map(VerifiedRecord::from),
            Self::Gateways(signed) => signed.verify_in(network, now).map(VerifiedRecord::from),
        }
    }

    /// Size on the wire.
    pub fn encoded_len(&self) -> usize {
        frame::encode_body(self).len()
    }

    /// Of which kind it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Account(_) => Kind::Account,
            Self::Device(_) => Kind::Device,
            Self::Name(_) => Kind::Name,
            Self::LogHead(_) => Kind::LogHead,
            Self::Gateways(_) => Kind::Gateways,
        }
    }

    /// Higher replaces lower.
    pub fn order(&self) -> u64 {
        match self {
            Self::Account(signed) => signed.record.order(),
            Self::Device(signed) => signed.record.order(),
            Self::Name(signed) => signed.record.order(),
            Self::LogHead(signed) => signed.record.order(),
            Self::Gateways(signed) => signed.record.order(),
        }
    }

    /// Unix seconds after which it counts no more.
    pub fn expires(&self) -> u64 {
        match self {
            Self::Account(signed) => signed.record.expires(),
            Self::Device(signed) => signed.record.expires(),
            Self::Name(signed) => signed.record.expires(),
            Self::LogHead(signed) => signed.record.expires(),
            Self::Gateways(signed) => signed.record.expires(),
        }
    }

    /// Whether the network's owner stands behind it, himself or through his registrar. All others anybody can make.
    const fn is_vouched_for(&self) -> bool {
        match self {
            Self::Account(_) | Self::Device(_) => false,
            Self::Name(_) | Self::LogHead(_) => true,
            Self::Gateways(signed) => signed.record.is_the_owners(),
        }
    }
}

impl VerifiedRecord {
    /// What it is found by.
    pub const fn key(&self) -> IndexKey {
        self.key
    }

    /// The record with its signature, to keep or to pass on.
    pub const fn signed(&self) -> &SignedRecord {
        &self.signed
    }

    /// Whether the network's owner stands behind it, himself or through his registrar. All others anybody can make.
    pub const fn is_vouched_for(&self) -> bool {
        self.signed.is_vouched_for()
    }
}

impl<T> From<Verified<T>> for VerifiedRecord
where
    SignedRecord: From<Signed<T>>,
{
    fn from(verified: Verified<T>) -> Self {
        Self {
            key: verified.key,
            signed: verified.signed.into(),
        }
    }
}

impl From<Signed<AccountRecord>> for SignedRecord {
    fn from(signed: Signed<AccountRecord>) -> Self {
        Self::Account(signed)
    }
}

impl From<Signed<DeviceRecord>> for SignedRecord {
    fn from(signed: Signed<DeviceRecord>) -> Self {
        Self::Device(signed)
    }
}

impl From<Signed<NameRecord>> for SignedRecord {
    fn from(signed: Signed<NameRecord>) -> Self {
        Self::Name(signed)
    }
}

impl From<Signed<LogHead>> for SignedRecord {
    fn from(signed: Signed<LogHead>) -> Self {
        Self::LogHead(signed)
    }
}

impl From<Signed<GatewaysRecord>> for SignedRecord {
    fn from(signed: Signed<GatewaysRecord>) -> Self {
        Self::Gateways(signed)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account record",
            Self::Device => "device record",
            Self::Name => "name certificate",
            Self::LogHead => "log head",
            Self::Gateways => "list of gateways",
        })
    }
}

/// What is checked of a record that an account signs.
fn speaks(speaker: &Speaker, sequence: u64) -> Result<(), RecordError> {
    // RECORD-04: the keys; RECORD-14: the recovery key's word, and a number that can be.
    speaker.verify()?;
    speaker.order(sequence).ok_or(RecordError::Number)?;
    Ok(())
}

fn signed_bytes<T: Content>(record: &T) -> Vec<u8> {
    let mut bytes = T::CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(record));
    bytes
}

#[cfg(test)]
mod tests;
