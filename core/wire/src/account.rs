//! Accounts: an inception record and a numbered, signed chain of changes (DESIGN 1).
//!
//! The account id is the BLAKE3 hash of the inception record, which names a signing key and a recovery key. Each entry
//! of the chain carries the hash of the one before it and a signature; the id never changes. The signing key signs what
//! happens every day; the recovery key makes another signing key, and no history without its word stands against one that
//! has it ([`VerifiedAccount::supersedes`]). What came from outside is a [`Chain`]; only [`Chain::verify`] makes a
//! [`VerifiedAccount`] of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::frame;
use crate::ids::{AccountId, DeviceId};
use crate::limits::{CHAIN_ENTRIES_MAX, DEVICE_NAME_MAX, DEVICES_MAX};
use crate::speaker::{Recovery, Speaker};

const ID_CONTEXT: &str = "starling 1 account id";
const FIRST_SIGNING_CONTEXT: &str = "starling 1 first signing key";
const SALT_CONTEXT: &str = "starling 1 account salt";
const ENTRY_CONTEXT: &[u8] = b"starling 1 account entry";

/// The first record of an account. Its hash is the account's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inception {
    /// Signs the chain, cards and records, until the recovery key names another.
    pub signing_key: [u8; 32],
    /// Comes from the 24 words; overrules the signing key.
    pub recovery_key: [u8; 32],
    /// Makes two accounts with equal keys distinct.
    pub salt: [u8; 16],
}

/// `ACCOUNT-09`: what an account begins with follows from its recovery key, so that whoever has the 24 words alone can tell which
/// account they bring back.
#[derive(Debug)]
pub struct Founding {
    /// The first signing key. It tells nothing about the recovery key.
    pub signing: SigningKey,
    /// The recovery key.
    pub recovery: SigningKey,
    salt: [u8; 16],
}

impl Founding {
    /// From the recovery key's seed.
    pub fn new(recovery_seed: &[u8; 32]) -> Self {
        let signing = blake3::derive_key(FIRST_SIGNING_CONTEXT, recovery_seed);
        let salted = blake3::derive_key(SALT_CONTEXT, recovery_seed);
        let mut salt = [0; 16];
        salt.copy_from_slice(&salted[..16]);
        Self {
            signing: SigningKey::from_bytes(&signing),
            recovery: SigningKey::from_bytes(recovery_seed),
            salt,
        }
    }

    /// The account's first record.
    pub fn inception(&self) -> Inception {
        Inception {
            signing_key: self.signing.verifying_key().to_bytes(),
            recovery_key: self.recovery.verifying_key().to_bytes(),
            salt: self.salt,
        }
    }

    /// A new account with its first device.
    pub fn found(&self, device: DeviceId, name: &str) -> Chain {
        let recovery = self.recovery.verifying_key();
        Chain::create(&self.signing, &recovery, self.salt, device, name)
    }
}

/// One change to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A device joins; one that is listed already gets another name or mark. The first entry of every chain is one of these.
    AddDevice {
        /// The new device's key.
        device: DeviceId,
        /// What its owner calls it, at most [`DEVICE_NAME_MAX`] bytes.
        name: String,
        /// Whether it may hold the signing key.
        owner: bool,
    },
    /// A device is revoked.
    RemoveDevice {
        /// Which.
        device: DeviceId,
    },
    /// By the recovery key: from here on another key signs, and all devices but this one are revoked.
    Recover {
        /// Which key.
        word: Recovery,
        /// The device on which the 24 words were entered.
        device: DeviceId,
        /// Its name.
        name: String,
    },
    /// The account is no more.
    Delete,
}

/// A change, its place in the chain and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first entry.
    pub number: u32,
    /// Hash of the entry before, or the account id for the first.
    pub previous: [u8; 32],
    /// What changes.
    pub change: Change,
    /// Ed25519 over context, account id and the fields above; two halves because serde stops at 32.
    pub signature: ([u8; 32], [u8; 32]),
}

/// The end of a chain: what a record says about it without showing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Number of entries.
    pub length: u32,
    /// Hash of the last one, or the account id for none.
    pub hash: [u8; 32],
}

/// An account as it travels: not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// First record.
    pub inception: Inception,
    /// Changes in order.
    pub entries: Vec<Entry>,
}

/// A device of a verified account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Whether it may hold the signing key.
    pub owner: bool,
}

/// An account whose chain was checked entry by entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAccount {
    id: AccountId,
    signing_key: VerifyingKey,
    devices: BTreeMap<DeviceId, Device>,
    recoveries: u16,
    deleted: bool,
    head: ChainHead,
}

/// Why an account was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum AccountError {
    /// A key that is no Ed25519 point.
    #[error("the account names a key that is not valid")]
    Key,
    /// Too many entries or devices, or a name too long.
    #[error("the account's history is longer than Starling allows")]
    TooLarge,
    /// An entry out of order.
    #[error("the account's history has a gap")]
    Gap,
    /// A signature that does not hold.
    #[error("the account's history was not signed by its owner")]
    Signature,
    /// A word of the recovery key that is not its own, or not its last.
    #[error(
        "the account's recovery was not signed by its recovery key, or an earlier one is said to follow a later one"
    )]
    Recovery,
    /// No device left that could sign.
    #[error("the account has no device that may sign for it")]
    NoDevice,
    /// Something after the end.
    #[error("the account was deleted, and its history goes on")]
    Deleted,
}

impl Inception {
    /// The account's id.
    pub fn id(&self) -> AccountId {
        AccountId(blake3::derive_key(ID_CONTEXT, &frame::encode_body(self)))
    }

    /// A history that begins with the recovery key's word: `signing` signs from now on, and this device is the only one. Whatever
    /// went before need not be known.
    pub fn recover(
        &self,
        recovery: &SigningKey,
        number: u16,
        signing: &VerifyingKey,
        (device, name): (DeviceId, &str),
    ) -> Chain {
        let word = Recovery::new(recovery, self.id(), number, signing);
        let mut chain = Chain {
            inception: self.clone(),
            entries: Vec::new(),
        };
        let name = name.to_owned();
        chain.append(recovery, Change::Recover { word, device, name });
        chain
    }

    /// The signing key, if both keys are points of the curve.
    pub fn signing_key(&self) -> Result<VerifyingKey, AccountError> {
        point(&self.recovery_key)?;
        point(&self.signing_key)
    }
}

impl Chain {
    /// A new account with its first device.
    pub fn create(
        signing: &SigningKey,
        recovery: &VerifyingKey,
        salt: [u8; 16],
        device: DeviceId,
        device_name: &str,
    ) -> Self {
        let inception = Inception {
            signing_key: signing.verifying_key().to_bytes(),
            recovery_key: recovery.to_bytes(),
            salt,
        };
        let mut chain = Self {
            inception,
            entries: Vec::new(),
        };
        chain.append(
            signing,
            Change::AddDevice {
                device,
                name: device_name.to_owned(),
                owner: true,
            },
        );
        chain
    }

    /// Signs a change and puts it at the end; a recovery with the recovery key.
    pub fn append(&mut self, signing: &SigningKey, change: Change) {
        let id = self.inception.id();
        let number = self.entries.len() as u32 + 1;
        let previous = self.entries.last().map_or(id.0, entry_hash);
        let signature = signing.sign(&signed_bytes(&id, number, &previous, &change));
        self.entries.push(Entry {
            number,
            previous,
            change,
            signature: split(signature),
        });
    }

    /// The account's id, not yet known to be right in anything else.
    pub fn id(&self) -> AccountId {
        self.inception.id()
    }

    /// Who signs for it from its end on, not yet known to be right.
    pub fn speaker(&self) -> Speaker {
        let word = |entry: &Entry| match &entry.change {
            Change::Recover { word, .. } => Some(word.clone()),
            _ => None,
        };
        Speaker {
            inception: self.inception.clone(),
            recovery: self.entries.iter().rev().find_map(word),
        }
    }

    /// Its end.
    pub fn head(&self) -> ChainHead {
        ChainHead {
            length: u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
            hash: self
                .entries
                .last()
                .map_or_else(|| self.inception.id().0, entry_hash),
        }
    }

    /// Checks every entry (`ACCOUNT-01` to `ACCOUNT-06`).
    pub fn verify(&self) -> Result<VerifiedAccount, AccountError> {
        // ACCOUNT-01: bounds before work.
        if self.entries.len() > CHAIN_ENTRIES_MAX {
            return Err(AccountError::TooLarge);
        }
        let mut account = VerifiedAccount::begin(&self.inception)?;
        for entry in &self.entries {
            account.follow(entry, &self.inception)?;
        }
        // ACCOUNT-04: somebody must be able to speak for it.
        let speaks = account.devices.values().any(|device| device.owner);
        if !account.deleted && !speaks {
            return Err(AccountError::NoDevice);
        }
        Ok(account)
    }
}

impl Entry {
    /// Whether this key signed it for this account.
    pub(crate) fn is_signed_by(&self, key: &[u8; 32], account: AccountId) -> bool {
        let signed = signed_bytes(&account, self.number, &self.previous, &self.change);
        signed_by(key, &signed, self.signature)
    }
}

impl VerifiedAccount {
    /// Without any entry.
    fn begin(inception: &Inception) -> Result<Self, AccountError> {
        let id = inception.id();
        Ok(Self {
            id,
            signing_key: inception.signing_key()?,
            devices: BTreeMap::new(),
            recoveries: 0,
            deleted: false,
            head: ChainHead {
                length: 0,
                hash: id.0,
            },
        })
    }

    /// With one entry more.
    fn follow(&mut self, entry: &Entry, inception: &Inception) -> Result<(), AccountError> {
        // ACCOUNT-02: numbered without a gap, each naming the one before.
        if entry.number != self.head.length + 1 || entry.previous != self.head.hash {
            return Err(AccountError::Gap);
        }
        // ACCOUNT-03: signed by the account's key; ACCOUNT-05: a recovery by the recovery key.
        let key = match entry.change {
            Change::Recover { .. } => point(&inception.recovery_key)?,
            _ => self.signing_key,
        };
        let signed = signed_bytes(&self.id, entry.number, &entry.previous, &entry.change);
        key.verify_strict(&signed, &join(entry.signature))
            .map_err(|_| AccountError::Signature)?;
        self.apply(&entry.change, inception)?;
        self.head = ChainHead {
            length: entry.number,
            hash: entry_hash(entry),
        };
        Ok(())
    }

    fn apply(&mut self, change: &Change, inception: &Inception) -> Result<(), AccountError> {
        // ACCOUNT-06: what was deleted comes back by the recovery key only.
        if self.deleted && !matches!(change, Change::Recover { .. }) {
            return Err(AccountError::Deleted);
        }
        match change {
            Change::AddDevice {
                device,
                name,
                owner,
            } => self.add(*device, name, *owner)?,
            Change::RemoveDevice { device } => {
                self.devices.remove(device);
            }
            Change::Recover { word, device, name } => {
                self.signing_key = word.verify(inception)?;
                // ACCOUNT-08: an earlier word does not come back.
                if word.number <= self.recoveries {
                    return Err(AccountError::Recovery);
                }
                self.recoveries = word.number;
                self.deleted = false;
                self.devices.clear();
                self.add(*device, name, true)?;
            }
            Change::Delete => {
                self.deleted = true;
                self.devices.clear();
            }
        }
        Ok(())
    }

    fn add(&mut self, device: DeviceId, name: &str, owner: bool) -> Result<(), AccountError> {
        let full = self.devices.len() >= DEVICES_MAX && !self.devices.contains_key(&device);
        if name.len() > DEVICE_NAME_MAX || full {
            return Err(AccountError::TooLarge);
        }
        let name = name.to_owned();
        self.devices.insert(device, Device { name, owner });
        Ok(())
    }

    /// The account's id.
    pub const fn id(&self) -> AccountId {
        self.id
    }

    /// Its devices, in order of their ids.
    pub const fn devices(&self) -> &BTreeMap<DeviceId, Device> {
        &self.devices
    }

    /// Whether its owner ended it.
    pub const fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Number of the recovery key's last word, 0 for none.
    pub const fn recoveries(&self) -> u16 {
        self.recoveries
    }

    /// Where its history ends.
    pub const fn head(&self) -> ChainHead {
        self.head
    }

    /// `ACCOUNT-07`: whether this history of an account counts, and not that one: the recovery key's word first, then an end,
    /// then the longer one. Two devices that signed at the same time agree by the hash.
    pub fn supersedes(&self, other: &Self) -> bool {
        let rank = |of: &Self| {
            let head = of.head;
            (of.recoveries, of.deleted, head.length, Reverse(head.hash))
        };
        self.id == other.id && rank(self) > rank(other)
    }

    /// Whether this seed is the account's signing key.
    pub fn is_signing_key(&self, seed: &[u8; 32]) -> bool {
        SigningKey::from_bytes(seed).verifying_key() == self.signing_key
    }

    /// Checks a signature of the account's signing key.
    pub fn verifies(&self, message: &[u8], signature: ([u8; 32], [u8; 32])) -> bool {
        self.signing_key
            .verify_strict(message, &join(signature))
            .is_ok()
    }
}

/// A key, if it is one.
pub(crate) fn point(key: &[u8; 32]) -> Result<VerifyingKey, AccountError> {
    VerifyingKey::from_bytes(key).map_err(|_| AccountError::Key)
}

/// Checks a signature of a device or an endpoint, whose id is its key.
pub fn signed_by(key: &[u8; 32], message: &[u8], signature: ([u8; 32], [u8; 32])) -> bool {
    VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(message, &join(signature)))
        .is_ok()
}

/// Signs with an account's, a device's or an endpoint's key, in the shape the frames carry.
pub fn sign(key: &SigningKey, message: &[u8]) -> ([u8; 32], [u8; 32]) {
    split(key.sign(message))
}

fn signed_bytes(id: &AccountId, number: u32, previous: &[u8; 32], change: &Change) -> Vec<u8> {
    let mut bytes = ENTRY_CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(&(id, number, previous, change)));
    bytes
}

fn entry_hash(entry: &Entry) -> [u8; 32] {
    *blake3::hash(&frame::encode_body(entry)).as_bytes()
}

fn split(signature: Signature) -> ([u8; 32], [u8; 32]) {
    (*signature.r_bytes(), *signature.s_bytes())
}

fn join((r, s): ([u8; 32], [u8; 32])) -> Signature {
    Signature::from_components(r, s)
}

#[cfg(test)]
mod tests;
