//! The account's and the device's secrets in memory, and what is made with them: card and public record.

use ed25519_dalek::SigningKey;
use starling_store::profile::{Keys, Profile};
use starling_wire::account::{Chain, Founding};
use starling_wire::card::{Card, Door, DoorKeys, SignedCard, VerifiedCard};
use starling_wire::envelope;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, NetworkId};
use starling_wire::limits::RECORD_TTL_S;
use starling_wire::postage::ContactsKey;
use starling_wire::record::{AccountRecord, Content, Signed};
use starling_wire::registration::{Place, Registration};
use starling_wire::supernode::SupernodeAddr;
use zeroize::Zeroizing;

use crate::clock::{random, wall_ms, wall_s};

/// Request secrets that are kept after another one came.
const EARLIER_REQUESTS_MAX: usize = 4;

/// Everything that makes this device this account's.
#[derive(Clone)]
pub struct Identity {
    /// Signs for the account; only on an owner's device.
    pub signing: Option<SigningKey>,
    /// The recovery key, which the account id names for good; where the account was made or its words were entered.
    pub recovery_seed: Option<[u8; 32]>,
    /// This device.
    pub device: SigningKey,
    /// This device's front door.
    pub front_door_seed: [u8; 32],
    /// Opens sealed requests.
    pub request_secret: [u8; 32],
    /// Those before it, for what was sealed then; the newest first.
    pub earlier_requests: Vec<[u8; 32]>,
    /// Lets contacts recognise us on a LAN.
    pub discovery_key: [u8; 32],
    /// The account's history.
    pub chain: Chain,
    /// The account's card as it was last seen, with the doors of all devices.
    pub seen: Option<SignedCard>,
    /// Display name.
    pub name: String,
    /// The card does not say it.
    pub name_hidden: bool,
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
            signing: Some(founding.signing),
            recovery_seed: Some(recovery_seed),
            device,
            front_door_seed: random(),
            request_secret: random(),
            earlier_requests: Vec::new(),
            discovery_key: random(),
            chain,
            seen: None,
            name: name.to_owned(),
            name_hidden: false,
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
            card: self.seen.clone(),
            keys: Keys {
                signing: self
                    .signing
                    .as_ref()
                    .map(|key| Zeroizing::new(key.to_bytes())),
                recovery: self.recovery_seed.map(Zeroizing::new),
                device: Zeroizing::new(self.device.to_bytes()),
                front_door: Zeroizing::new(self.front_door_seed),
                inner: Zeroizing::new(random()),
                request: Zeroizing::new(self.request_secret),
                earlier_requests: self
                    .earlier_requests
                    .iter()
                    .copied()
                    .map(Zeroizing::new)
                    .collect(),
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
            signing: keys
                .signing
                .as_ref()
                .map(|seed| SigningKey::from_bytes(seed)),
            recovery_seed: keys.recovery.as_ref().map(|seed| **seed),
            device: SigningKey::from_bytes(&keys.device),
            front_door_seed: *keys.front_door,
            request_secret: *keys.request,
            earlier_requests: keys
                .earlier_requests
                .iter()
                .map(|secret| **secret)
                .collect(),
            discovery_key: *keys.discovery,
            chain: profile.chain.clone(),
            seen: profile.card.clone(),
            name: profile.name.clone(),
            name_hidden: profile.card.as_ref().is_some_and(hides_name),
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

    /// Signs as the front door.
    pub fn front_door_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.front_door_seed)
    }

    /// What contacts get: the account's half as it was signed last, or anew where something in it is another and this device may
    /// sign, and all doors, this device's as it is now. `sequence` comes from the store: one was never used before.
    pub fn card(
        &self,
        sequence: u64,
        home: &[SupernodeAddr],
        network: Option<NetworkId>,
    ) -> SignedCard {
        let device = self.device_id();
        let others = self.seen.iter().flat_map(|seen| &seen.doors);
        let others = others.filter(|door| door.device != device);
        let mut doors: Vec<Door> = others.cloned().collect();
        doors.push(self.door(sequence, home));
        doors.sort_by_key(|door| door.device);
        let half = Card {
            chain: self.chain.clone(),
            network,
            name: self.shown_name().to_owned(),
            request_key: self.request_key(),
            discovery_key: self.discovery_key,
            sequence,
        };
        match (&self.signing, &self.seen) {
            (Some(_), Some(seen)) if says_the_same(&seen.card, &half) => with_doors(seen, doors),
            (Some(key), _) => {
                // A door of a device that this half does not list any more makes a card that nobody takes.
                let listed = half.chain.verify().ok();
                doors.retain(|door| {
                    let listed = listed.as_ref();
                    listed.is_none_or(|account| account.devices().contains_key(&door.device))
                });
                half.sign(key, doors)
            }
            (None, Some(seen)) => with_doors(seen, doors),
            // Nobody's: a device joins with a card. What is signed by another key is refused by whoever reads it.
            (None, None) => half.sign(&self.device, doors),
        }
    }

    /// Display name as the card has it.
    fn shown_name(&self) -> &str {
        if self.name_hidden { "" } else { &self.name }
    }

    /// The same card for strangers, as this device can sign one. It counts less than the one with the name.
    pub fn without_name(&self, card: SignedCard) -> SignedCard {
        let Some(key) = &self.signing else {
            return card;
        };
        let half = Card {
            name: String::new(),
            sequence: card.card.sequence.saturating_sub(1),
            ..card.card
        };
        half.sign(key, card.doors)
    }

    /// Where this device is.
    fn door(&self, sequence: u64, home: &[SupernodeAddr]) -> Door {
        let keeper = DoorKeys {
            account: self.account(),
            device: &self.device,
            door: &self.front_door_key(),
        };
        Door::new(&keeper, home.to_vec(), sequence)
    }

    /// The key that letters are sealed to: another device may have made a new one whose secret is still to come.
    pub fn request_key(&self) -> [u8; 32] {
        let seen = self.seen.as_ref().map(|seen| seen.card.request_key);
        let mut ours = self.request_secrets().map(envelope::request_key);
        match seen {
            Some(seen) if !ours.any(|ours| ours == seen) => seen,
            _ => envelope::request_key(&self.request_secret),
        }
    }

    /// All that open sealed requests, the newest first.
    pub fn request_secrets(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.request_secret).chain(&self.earlier_requests)
    }

    /// From now on letters are sealed to another key.
    pub fn renew_request_secret(&mut self, secret: [u8; 32]) {
        if self.request_secrets().any(|known| *known == secret) {
            return;
        }
        let before = std::mem::replace(&mut self.request_secret, secret);
        self.earlier_requests.insert(0, before);
        self.earlier_requests.truncate(EARLIER_REQUESTS_MAX);
    }

    /// The account is as this card says. A key that signs for it no more goes.
    pub fn follow(&mut self, card: &VerifiedCard) {
        let (account, half) = (card.account(), card.card());
        self.chain = half.chain.clone();
        self.name_hidden = hides_name(card.signed());
        if !self.name_hidden {
            self.name = half.name.clone();
        }
        self.discovery_key = half.discovery_key;
        if let Some(device) = account.devices().get(&self.device_id()) {
            self.device_name = device.name.clone();
        }
        let signs = |key: &SigningKey| account.is_signing_key(&key.to_bytes());
        self.signing = self.signing.take().filter(signs);
        self.seen = Some(card.signed().clone());
    }

    /// Whether the account's history lists this device.
    pub fn is_listed(&self) -> bool {
        let account = self.chain.verify();
        account.is_ok_and(|account| account.devices().contains_key(&self.device_id()))
    }

    /// Whether this device may sign for the account.
    pub const fn can_sign(&self) -> bool {
        self.signing.is_some()
    }

    /// What everybody may see, for a week from now; signed only by a device that can.
    pub fn record(&self, sequence: u64, home: &[SupernodeAddr]) -> Option<Signed<AccountRecord>> {
        let record = AccountRecord {
            by: self.chain.speaker(),
            head: self.chain.head(),
            request_key: self.request_key(),
            home: home.to_vec(),
            sequence,
            expires: wall_s() + RECORD_TTL_S,
        };
        Some(record.sign(self.signing.as_ref()?))
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
        let contacts = ContactsKey::new(self.account(), &self.discovery_key);
        Registration::new(record, self.chain.clone(), &self.device, place, contacts)
    }
}

/// An account without a name is one whose name is nobody's.
const fn hides_name(card: &SignedCard) -> bool {
    card.card.name.is_empty()
}

/// In all but its number.
fn says_the_same(seen: &Card, half: &Card) -> bool {
    let numbered = Card {
        sequence: seen.sequence,
        ..half.clone()
    };
    *seen == numbered
}

fn with_doors(seen: &SignedCard, doors: Vec<Door>) -> SignedCard {
    SignedCard {
        doors,
        ..seen.clone()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}
