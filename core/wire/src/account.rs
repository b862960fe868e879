//! Accounts: an inception record and a numbered, signed chain of changes (DESIGN 1).
//!
//! The account id is the BLAKE3 hash of the inception record, which names a signing key and a recovery key. Each entry
//! of the chain carries the hash of the one before it and a signature; the id never changes. What came from outside is a
//! [`Chain`]; only [`Chain::verify`] makes a [`VerifiedAccount`] of it.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::frame;
use crate::ids::{AccountId, DeviceId};
use crate::limits::{CHAIN_ENTRIES_MAX, DEVICES_MAX, NAME_MAX};

const ID_CONTEXT: &str = "starling 1 account id";
const ENTRY_CONTEXT: &[u8] = b"starling 1 account entry";

/// The first record of an account. Its hash is the account's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inception {
    /// Signs the chain, cards and records.
    pub signing_key: [u8; 32],
    /// Comes from the 24 words; overrules the signing key.
    pub recovery_key: [u8; 32],
    /// Makes two accounts with equal keys distinct.
    pub salt: [u8; 16],
}

/// One change to an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A device joins. The first entry of every chain is one of these.
    AddDevice {
        /// The new device's key.
        device: DeviceId,
        /// What its owner calls it, at most [`NAME_MAX`] bytes.
        name: String,
        /// Whether it may hold the signing key.
        owner: bool,
    },
    /// A device is revoked.
    RemoveDevice {
        /// Which.
        device: DeviceId,
    },
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
    length: u32,
}

/// Why an account was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// No device left.
    #[error("the account has no device")]
    NoDevice,
}

impl Inception {
    /// The account's id.
    pub fn id(&self) -> AccountId {
        AccountId(blake3::derive_key(ID_CONTEXT, &frame::encode_body(self)))
    }

    /// The signing key, if both keys are points of the curve.
    pub fn signing_key(&self) -> Result<VerifyingKey, AccountError> {
        VerifyingKey::from_bytes(&self.recovery_key).map_err(|_| AccountError::Key)?;
        VerifyingKey::from_bytes(&self.signing_key).map_err(|_| AccountError::Key)
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

    /// Signs a change and puts it at the end.
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

    /// Checks every entry (`ACCOUNT-01` to `ACCOUNT-04`).
    pub fn verify(&self) -> Result<VerifiedAccount, AccountError> {
        // ACCOUNT-01: bounds before work.
        if self.entries.len() > CHAIN_ENTRIES_MAX {
            return Err(AccountError::TooLarge);
        }
        let id = self.inception.id();
        let signing_key = self.inception.signing_key()?;
        let mut devices = BTreeMap::new();
        let mut previous = id.0;
        for (index, entry) in self.entries.iter().enumerate() {
            // ACCOUNT-02: numbered without a gap, each naming the one before.
            if entry.number as usize != index + 1 || entry.previous != previous {
                return Err(AccountError::Gap);
            }
            // ACCOUNT-03: signed by the account's key.
            signing_key
                .verify_strict(
                    &signed_bytes(&id, entry.number, &entry.previous, &entry.change),
                    &join(entry.signature),
                )
                .map_err(|_| AccountError::Signature)?;
            apply(&mut devices, &entry.change)?;
            previous = entry_hash(entry);
        }
        // ACCOUNT-04: somebody must be able to speak for it.
        if devices.is_empty() {
            return Err(AccountError::NoDevice);
        }
        Ok(VerifiedAccount {
            id,
            signing_key,
            devices,
            length: self.entries.len() as u32,
        })
    }
}

impl VerifiedAccount {
    /// The account's id.
    pub const fn id(&self) -> AccountId {
        self.id
    }

    /// Its devices, in order of their ids.
    pub const fn devices(&self) -> &BTreeMap<DeviceId, Device> {
        &self.devices
    }

    /// Number of chain entries: the longer of two valid chains is the newer.
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// Checks a signature of the account's signing key.
    pub fn verifies(&self, message: &[u8], signature: ([u8; 32], [u8; 32])) -> bool {
        self.signing_key
            .verify_strict(message, &join(signature))
            .is_ok()
    }
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

fn apply(devices: &mut BTreeMap<DeviceId, Device>, change: &Change) -> Result<(), AccountError> {
    match change {
        Change::AddDevice {
            device,
            name,
            owner,
        } => {
            // A device that is listed already only changes its name.
            let full = devices.len() >= DEVICES_MAX && !devices.contains_key(device);
            if name.len() > NAME_MAX || full {
                return Err(AccountError::TooLarge);
            }
            devices.insert(
                *device,
                Device {
                    name: name.clone(),
                    owner: *owner,
                },
            );
        }
        Change::RemoveDevice { device } => {
            devices.remove(device);
        }
    }
    Ok(())
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
mod tests {
    use super::*;

    fn alice() -> (SigningKey, Chain) {
        let signing = SigningKey::from_bytes(&[1; 32]);
        let recovery = SigningKey::from_bytes(&[2; 32]).verifying_key();
        let chain = Chain::create(&signing, &recovery, [3; 16], DeviceId([4; 32]), "laptop");
        (signing, chain)
    }

    #[test]
    fn account_01_a_history_beyond_the_bound_is_refused() {
        let (signing, mut chain) = alice();
        for _ in 0..CHAIN_ENTRIES_MAX {
            chain.append(
                &signing,
                Change::RemoveDevice {
                    device: DeviceId([9; 32]),
                },
            );
        }
        assert_eq!(chain.verify(), Err(AccountError::TooLarge));
    }

    #[test]
    fn account_02_a_missing_entry_is_noticed() {
        let (signing, mut chain) = alice();
        chain.append(
            &signing,
            Change::AddDevice {
                device: DeviceId([5; 32]),
                name: "phone".into(),
                owner: false,
            },
        );
        chain.append(
            &signing,
            Change::RemoveDevice {
                device: DeviceId([5; 32]),
            },
        );
        assert_eq!(chain.verify().unwrap().length(), 3);
        chain.entries.remove(1);
        assert_eq!(chain.verify(), Err(AccountError::Gap));
    }

    #[test]
    fn account_03_another_key_cannot_add_a_device() {
        let (_, mut chain) = alice();
        let mallory = SigningKey::from_bytes(&[6; 32]);
        chain.append(
            &mallory,
            Change::AddDevice {
                device: DeviceId([7; 32]),
                name: "mine".into(),
                owner: true,
            },
        );
        assert_eq!(chain.verify(), Err(AccountError::Signature));
    }

    #[test]
    fn account_04_an_account_needs_a_device() {
        let (signing, mut chain) = alice();
        chain.append(
            &signing,
            Change::RemoveDevice {
                device: DeviceId([4; 32]),
            },
        );
        assert_eq!(chain.verify(), Err(AccountError::NoDevice));
    }

    #[test]
    fn the_id_is_bound_to_the_keys() {
        let (_, chain) = alice();
        let mut other = chain.clone();
        other.inception.recovery_key = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
        assert_ne!(chain.id(), other.id());
        assert_eq!(
            other.verify(),
            Err(AccountError::Gap),
            "entries of one account do not fit another"
        );
    }
}
