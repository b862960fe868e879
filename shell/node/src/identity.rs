//! The account's and the device's secrets in memory, and what is made with them: card and public record.

use ed25519_dalek::SigningKey;
use starling_wire::account::Chain;
use starling_wire::card::{Card, Door, SignedCard};
use starling_wire::envelope;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, NetworkId};
use starling_wire::limits::RECORD_TTL_S;
use starling_wire::record::{AccountRecord, SignedRecord};
use starling_wire::supernode::SupernodeAddr;

use crate::clock::{random, wall_s};

/// Everything that makes this device this account's.
#[derive(Clone)]
pub struct Identity {
    /// Signs for the account.
    pub signing: SigningKey,
    /// Overrules the signing key; from the 24 words (part of recovery).
    pub recovery_seed: [u8; 32],
    /// This device.
    pub device: SigningKey,
    /// This device's front door.
    pub front_door_seed: [u8; 32],
    /// Opens sealed requests.
    pub request_secret: [u8; 32],
    /// Lets contacts recognise us on a LAN.
    pub discovery_key: [u8; 32],
    /// The account's history.
    pub chain: Chain,
    /// Display name.
    pub name: String,
    /// This device's name.
    pub device_name: String,
}

impl Identity {
    /// A new account with this machine as its first device.
    pub fn create(name: &str, device_name: &str) -> Self {
        let signing = SigningKey::from_bytes(&random());
        let recovery_seed: [u8; 32] = random();
        let device = SigningKey::from_bytes(&random());
        let recovery = SigningKey::from_bytes(&recovery_seed).verifying_key();
        let device_id = DeviceId(device.verifying_key().to_bytes());
        let chain = Chain::create(&signing, &recovery, random(), device_id, device_name);
        Self {
            signing,
            recovery_seed,
            device,
            front_door_seed: random(),
            request_secret: random(),
            discovery_key: random(),
            chain,
            name: name.to_owned(),
            device_name: device_name.to_owned(),
        }
    }

    /// The account's id.
    pub fn account(&self) -> AccountId {
        self.chain.id()
    }

    /// This device's id.
    pub fn device_id(&self) -> DeviceId {
        DeviceId(self.device.verifying_key().to_bytes())
    }

    /// The front door's key.
    pub fn front_door(&self) -> EndpointKey {
        EndpointKey(
            SigningKey::from_bytes(&self.front_door_seed)
                .verifying_key()
                .to_bytes(),
        )
    }

    /// What contacts get.
    pub fn card(&self, home: &[SupernodeAddr], network: Option<NetworkId>) -> SignedCard {
        let door = Door {
            device: self.device_id(),
            endpoint: self.front_door(),
            home: home.to_vec(),
        };
        Card {
            chain: self.chain.clone(),
            network,
            name: self.name.clone(),
            doors: vec![door],
            request_key: envelope::request_key(&self.request_secret),
            discovery_key: self.discovery_key,
            sequence: wall_s(),
        }
        .sign(&self.signing)
    }

    /// What everybody may see.
    pub fn record(&self, home: &[SupernodeAddr]) -> SignedRecord {
        let now = wall_s();
        AccountRecord {
            chain: self.chain.clone(),
            request_key: envelope::request_key(&self.request_secret),
            home: home.to_vec(),
            sequence: now,
            expires: now + RECORD_TTL_S,
        }
        .sign(&self.signing)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}
