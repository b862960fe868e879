//! The device record: where one device is at home, sealed for those whom its owner told the device's secret.
//!
//! It is published under a key that serves this purpose alone. Supernodes and strangers see that key, a number, a date and
//! bytes that have one length for everybody; neither the account nor its other devices nor a supernode follow from it.

use serde::{Deserialize, Serialize};

use super::{Content, RecordError, Verified};
use crate::frame;
use crate::ids::NetworkId;
use crate::limits::SUPERNODES_MAX;
use crate::placement::IndexKey;
use crate::sealing::{self, Place};
use crate::supernode::SupernodeAddr;

const INFO: &[u8] = b"starling 1 device record";
/// Of what is sealed, filled up with zeros. The longest has 198.
const PLAIN: usize = 208;
/// Of what is sealed in every record.
pub const SEALED: usize = PLAIN + sealing::OVERHEAD;

/// What a device publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// An Ed25519 key that publishes this device's records and does nothing else.
    pub publisher: [u8; 32],
    /// A [`DeviceHome`], sealed; [`SEALED`] bytes.
    pub sealed: Vec<u8>,
    /// Higher replaces lower.
    pub sequence: u64,
    /// Unix seconds after which it counts no more.
    pub expires: u64,
}

/// What a contact learns from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceHome {
    /// Home supernodes, the hot one first.
    pub home: Vec<SupernodeAddr>,
    /// X25519 key for envelopes that only this device opens.
    pub request_key: [u8; 32],
}

impl DeviceHome {
    /// Seals it for whoever holds the device's `secret`, to be published by `publisher`. `seed` is fresh randomness.
    pub fn seal(
        &self,
        publisher: &[u8; 32],
        secret: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<Vec<u8>, RecordError> {
        let mut plain = frame::encode_body(self);
        if plain.len() > PLAIN || self.home.len() > SUPERNODES_MAX {
            return Err(RecordError::TooLarge);
        }
        plain.resize(PLAIN, 0);
        let (_, public) = sealing::derive(secret);
        sealing::seal(&public, place(publisher), &plain, seed).map_err(|_| RecordError::Sealed)
    }

    fn read(plain: &[u8]) -> Result<Self, RecordError> {
        let (home, filler) = frame::decode_start::<Self>(plain).map_err(|_| RecordError::Sealed)?;
        if filler.iter().any(|byte| *byte != 0) {
            return Err(RecordError::Sealed);
        }
        if home.home.len() > SUPERNODES_MAX {
            return Err(RecordError::TooLarge);
        }
        if !home.home.iter().all(SupernodeAddr::is_usable) {
            return Err(RecordError::Address);
        }
        Ok(home)
    }
}

impl Content for DeviceRecord {
    const CONTEXT: &'static [u8] = b"starling 1 device record";

    fn key(&self) -> IndexKey {
        IndexKey::device(&self.publisher)
    }

    fn order(&self) -> u64 {
        self.sequence
    }

    fn expires(&self) -> u64 {
        self.expires
    }

    fn signer(&self) -> &[u8; 32] {
        &self.publisher
    }

    fn check(&self, _: Option<NetworkId>) -> Result<(), RecordError> {
        // RECORD-07: nobody tells them apart by their length.
        if self.sealed.len() == SEALED {
            Ok(())
        } else {
            Err(RecordError::Sealed)
        }
    }
}

impl Verified<DeviceRecord> {
    /// `RECORD-08`: what it says to whoever holds the device's `secret`, within its bounds.
    pub fn open(&self, secret: &[u8; 32]) -> Result<DeviceHome, RecordError> {
        let record = self.record();
        let (private, _) = sealing::derive(secret);
        let plain = sealing::open(&private, place(&record.publisher), &record.sealed)
            .map_err(|_| RecordError::Sealed)?;
        DeviceHome::read(&plain)
    }
}

const fn place(publisher: &[u8; 32]) -> Place<'_> {
    Place {
        info: INFO,
        about: publisher,
    }
}

/// What was sealed, for fuzzing: no mutated record gets past its tag.
pub(crate) fn fuzz_inside(plain: &[u8]) {
    let _ = DeviceHome::read(plain);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_08_nothing_hides_behind_what_is_sealed() {
        let home = DeviceHome {
            home: vec![],
            request_key: [7; 32],
        };
        let mut plain = frame::encode_body(&home);
        plain.resize(PLAIN, 0);
        assert_eq!(DeviceHome::read(&plain), Ok(home));
        plain[PLAIN - 1] = 1;
        assert_eq!(DeviceHome::read(&plain), Err(RecordError::Sealed));
        assert_eq!(DeviceHome::read(&[9; 3]), Err(RecordError::Sealed));
    }
}
