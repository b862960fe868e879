//! What a device shows in a group of whose it is: the identity in its MLS credential (RFC 9420, section 5.3, `basic`). It
//! holds who speaks for the account and the entry of the account's chain that added the device, so that it is verified
//! alone: a pure function of its bytes, with no chain and no clock, and the same for every member at any time.
//!
//! It says that the account took this device in, not that it still does: a device that was taken out since has a credential
//! that verifies. Whoever learns of that removes the device from the group.

use serde::{Deserialize, Serialize};

use crate::account::{AccountError, Chain, Change, Entry, point};
use crate::frame;
use crate::ids::{AccountId, DeviceId};
use crate::limits::{CHAIN_ENTRIES_MAX, CREDENTIAL_MAX, DEVICE_NAME_MAX};
use crate::speaker::Speaker;

/// A device's proof of whose it is, as it travels: not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Who signed the entry.
    pub speaker: Speaker,
    /// The entry that added the device.
    pub entry: Entry,
}

/// Who a leaf of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Whose device.
    pub account: AccountId,
    /// Its key, which signs for the leaf.
    pub device: DeviceId,
    /// How often the account's recovery key had spoken when the device was added. Of two devices of one account whoever has
    /// the lower number was revoked by a recovery.
    pub recoveries: u16,
}

/// Why a credential was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Longer than [`CREDENTIAL_MAX`], or a name longer than [`DEVICE_NAME_MAX`].
    #[error("a device in the group shows a proof that is longer than Starling allows")]
    TooLarge,
    /// Not a value of this type, or not as it is written.
    #[error("a device in the group shows a proof that this version of Starling cannot read")]
    Malformed,
    /// The account itself.
    #[error("a device in the group belongs to an account that is not valid: {0}")]
    Account(#[from] AccountError),
    /// An entry that adds no device.
    #[error("a device in the group shows a proof that is about something else")]
    NoDevice,
    /// An entry that the account did not sign.
    #[error("a device in the group claims an account that did not sign for it")]
    Signature,
}

impl Credential {
    /// The device's, if the account lists it at the end of its chain.
    pub fn of(chain: &Chain, device: DeviceId) -> Option<Self> {
        let mut found = None;
        for entry in &chain.entries {
            match &entry.change {
                Change::AddDevice { device: added, .. } if *added == device => found = Some(entry),
                Change::Recover { device: kept, .. } => {
                    found = (*kept == device).then_some(entry);
                }
                Change::RemoveDevice { device: gone } if *gone == device => found = None,
                Change::Delete => found = None,
                _ => {}
            }
        }
        found.map(|entry| Self {
            speaker: chain.speaker(),
            entry: entry.clone(),
        })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        frame::encode_body(self)
    }

    /// Reads one (`MLS-01`): bounded, nothing behind it, and written as [`Credential::to_bytes`] writes it, so that two
    /// credentials with different bytes are different.
    pub fn read(bytes: &[u8]) -> Result<Self, CredentialError> {
        if bytes.len() > CREDENTIAL_MAX {
            return Err(CredentialError::TooLarge);
        }
        let credential: Self =
            frame::decode_body(bytes, CREDENTIAL_MAX).map_err(|_| CredentialError::Malformed)?;
        let canonical = credential.to_bytes() == bytes;
        canonical
            .then_some(credential)
            .ok_or(CredentialError::Malformed)
    }

    /// Whose device it is (`MLS-02`, `MLS-03`).
    pub fn verify(&self) -> Result<Member, CredentialError> {
        // MLS-02: who speaks for the account is who its first record and its recovery key say.
        self.speaker.verify()?;
        let (device, name) = self.device()?;
        if name.len() > DEVICE_NAME_MAX || self.entry.number as usize > CHAIN_ENTRIES_MAX {
            return Err(CredentialError::TooLarge);
        }
        point(&device.0)?;
        // MLS-03: signed by that key; a recovery by the recovery key.
        let account = self.speaker.account();
        let key = match self.entry.change {
            Change::Recover { .. } => &self.speaker.inception.recovery_key,
            _ => self.speaker.signing_key(),
        };
        if !self.entry.is_signed_by(key, account) {
            return Err(CredentialError::Signature);
        }
        Ok(Member {
            account,
            device,
            recoveries: self.speaker.recoveries(),
        })
    }

    fn device(&self) -> Result<(DeviceId, &str), CredentialError> {
        match &self.entry.change {
            Change::AddDevice { device, name, .. } => Ok((*device, name)),
            Change::Recover { word, device, name } => {
                // The speaker's word is the entry's: another one would give the device another number.
                let same = self.speaker.recovery.as_ref() == Some(word);
                same.then_some((*device, name.as_str()))
                    .ok_or(CredentialError::NoDevice)
            }
            _ => Err(CredentialError::NoDevice),
        }
    }
}

#[cfg(test)]
mod tests;
