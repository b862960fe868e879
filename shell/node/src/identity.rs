//! The account's and the device's secrets in memory, and what is made with them: card and public record.

use ed25519_dalek::SigningKey;
use starling_store::profile::{Keys, Profile};
use starling_wire::account::{Chain, Founding};
use starling_wire::card::{Card, Door, DoorKeys, SignedCard};
use starling_wire::envelope;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, NetworkId};
use starling_wire::limits::RECORD_TTL_S;
use starling_wire::record::{AccountRecord, Content, Signed};
use starling_wire::registration::{Place, Registration};
use starling_wire::supernode::SupernodeAddr;
use zeroize::Zeroizing;

use crate::clock::{random, wall_ms, wall_s};

/// Everything that makes this device this account's.
#[derive(Clone)]
pub struct Identity {
    /// Signs for the account.
    pub signing: SigningKey,
    /// The recovery key, which the account id names for good.
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
    /// The newest sequence number used for a card or record when this was loaded.
    pub sequence: u64,
}

impl Identity {
    /// A new account with this machine as its first device.
    pub fn create(name: &str, device_name: &str) -> Self {
        let recovery_seed: [u8; 32] = random();
        let device = SigningKey::from_bytes(&random());
        let device_id = DeviceId(device.verifying_key().to_bytes());
        let founding = Founding::new(&recovery_seed);
        let chain = founding.found(device_id, device_name);
        Self {
            signing: founding.signing,
            recovery_seed,
            device,
            front_door_seed: random(),
            request_secret: random(),
            discovery_key: random(),
            chain,
            name: name.to_owned(),
            device_name: device_name.to_owned(),
            sequence: 0,
        }
    }

    /// As it lies in the store.
    pub fn to_profile(&self) -> Profile {
        Profile {
            account: self.account(),
            chain: self.chain.clone(),
            name: self.name.clone(),
            device_name: self.device_name.clone(),
            keys: Keys {
                signing: Zeroizing::new(self.signing.to_bytes()),
                recovery: Some(Zeroizing::new(self.recovery_seed)),
                device: Zeroizing::new(self.device.to_bytes()),
                front_door: Zeroizing::new(self.front_door_seed),
                inner: Zeroizing::new(random()),
                request: Zeroizing::new(self.request_secret),
                discovery: Zeroizing::new(self.discovery_key),
            },
            sequence: self.sequence,
            created_at: wall_ms(),
        }
    }

    /// What [`Identity::to_profile`] stored.
    pub fn from_profile(profile: &Profile) -> Self {
        let keys = &profile.keys;
        Self {
            signing: SigningKey::from_bytes(&keys.signing),
            recovery_seed: keys.recovery.as_ref().map_or([0; 32], |seed| **seed),
            device: SigningKey::from_bytes(&keys.device),
            front_door_seed: *keys.front_door,
            request_secret: *keys.request,
            discovery_key: *keys.discovery,
            chain: profile.chain.clone(),
            name: profile.name.clone(),
            device_name: profile.device_name.clone(),
            sequence: profile.sequence,
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

    /// What a device of this account is called.
    pub fn name_of(&self, device: DeviceId) -> Option<String> {
        let account = self.chain.verify().ok()?;
        Some(account.devices().get(&device)?.name.clone())
    }

    /// The front door's key.
    pub fn front_door(&self) -> EndpointKey {
        EndpointKey(self.front_door_key().verifying_key().to_bytes())
    }

    fn front_door_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.front_door_seed)
    }

    /// What contacts get. `sequence` comes from the store: one was never used before.
    pub fn card(
        &self,
        sequence: u64,
        home: &[SupernodeAddr],
        network: Option<NetworkId>,
    ) -> SignedCard {
        let keeper = DoorKeys {
            account: self.account(),
            device: &self.device,
            door: &self.front_door_key(),
        };
        let door = Door::new(&keeper, home.to_vec(), sequence);
        Card {
            chain: self.chain.clone(),
            network,
            name: self.name.clone(),
            request_key: envelope::request_key(&self.request_secret),
            discovery_key: self.discovery_key,
            sequence,
        }
        .sign(&self.signing, vec![door])
    }

    /// What everybody may see, for a week from now.
    pub fn record(&self, sequence: u64, home: &[SupernodeAddr]) -> Signed<AccountRecord> {
        AccountRecord {
            by: self.chain.speaker(),
            head: self.chain.head(),
            request_key: envelope::request_key(&self.request_secret),
            home: home.to_vec(),
            sequence,
            expires: wall_s() + RECORD_TTL_S,
        }
        .sign(&self.signing)
    }

    /// What the front door shows `supernode`.
    pub fn registration(
        &self,
        record: Signed<AccountRecord>,
        supernode: EndpointKey,
    ) -> Registration {
        let place = Place {
            door: self.front_door(),
            supernode,
        };
        Registration::new(record, self.chain.clone(), &self.device, place)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}
