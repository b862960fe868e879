//! Contact cards: what one contact gives another, end to end encrypted, when a request is made and when it is accepted.
//!
//! A card has two halves. The account's is signed by the account; each door, where one device is found, is signed by that
//! device, so that a device without the account's key can tell where it has moved. Each door's own key signs, too, that it is
//! this account's, so nobody can list a door of somebody else. Who holds a card may knock at its doors.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::{AccountError, Chain, VerifiedAccount, sign, signed_by};
use crate::frame;
use crate::ids::{AccountId, DeviceId, EndpointKey, NetworkId};
use crate::limits::{DEVICES_MAX, NAME_MAX, SUPERNODES_MAX};
use crate::supernode::SupernodeAddr;

const CONTEXT: &[u8] = b"starling 1 contact card";
const DOOR_CONTEXT: &[u8] = b"starling 1 front door";
const PLACE_CONTEXT: &[u8] = b"starling 1 device's door";

/// Where one device of a contact is found, as that device says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// The device.
    pub device: DeviceId,
    /// Its front door.
    pub endpoint: EndpointKey,
    /// Where the front door is reached, the hot home supernode first.
    pub home: Vec<SupernodeAddr>,
    /// Of this device's doors, the highest counts.
    pub sequence: u64,
    /// By the front door's key over account and device: its holder agrees.
    pub proof: ([u8; 32], [u8; 32]),
    /// By the device over the account and all fields above.
    pub signature: ([u8; 32], [u8; 32]),
}

/// Whose door it is, with the keys that sign for it.
#[derive(Debug)]
pub struct DoorKeys<'a> {
    /// The account.
    pub account: AccountId,
    /// The device's key.
    pub device: &'a SigningKey,
    /// The front door's own.
    pub door: &'a SigningKey,
}

impl Door {
    /// A device's front door.
    pub fn new(keeper: &DoorKeys<'_>, home: Vec<SupernodeAddr>, sequence: u64) -> Self {
        let device = DeviceId(keeper.device.verifying_key().to_bytes());
        let mut door = Self {
            device,
            endpoint: EndpointKey(keeper.door.verifying_key().to_bytes()),
            home,
            sequence,
            proof: sign(keeper.door, &door_bytes(keeper.account, device)),
            signature: ([0; 32], [0; 32]),
        };
        door.signature = sign(keeper.device, &door.signed_bytes(keeper.account));
        door
    }

    fn signed_bytes(&self, account: AccountId) -> Vec<u8> {
        let mut bytes = PLACE_CONTEXT.to_vec();
        let fields = (
            account,
            &self.device,
            &self.endpoint,
            &self.home,
            self.sequence,
        );
        bytes.extend_from_slice(&frame::encode_body(&fields));
        bytes
    }
}

fn door_bytes(account: AccountId, device: DeviceId) -> Vec<u8> {
    let mut bytes = DOOR_CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(&(account, device)));
    bytes
}

/// What a contact knows of a contact, as the account says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The account.
    pub chain: Chain,
    /// The network it lives in, if it has an owner.
    pub network: Option<NetworkId>,
    /// Display name, at most [`NAME_MAX`] bytes. Not verified, never unique.
    pub name: String,
    /// Key for sealed envelopes.
    pub request_key: [u8; 32],
    /// Recognises the account's daily token on a LAN.
    pub discovery_key: [u8; 32],
    /// Higher replaces lower.
    pub sequence: u64,
}

/// A card as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCard {
    /// The account's half.
    pub card: Card,
    /// By the account's signing key.
    pub signature: ([u8; 32], [u8; 32]),
    /// Its devices' front doors.
    pub doors: Vec<Door>,
}

/// A card whose chain and signatures were checked, and whose devices are the chain's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCard {
    account: VerifiedAccount,
    signed: SignedCard,
}

/// Why a card was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The account inside is not valid.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Beyond a bound.
    #[error("the contact's card is larger than Starling allows")]
    TooLarge,
    /// A supernode where nobody can answer.
    #[error("the contact's card names a supernode at an address that cannot be one")]
    Address,
    /// A front door whose key did not sign for this account.
    #[error("the contact's card names a front door that does not say it is theirs")]
    ForeignDoor,
    /// A door for a device that the account does not list, or two for one.
    #[error("the contact's card names a device that the account does not list")]
    ForeignDevice,
    /// Not signed by its account.
    #[error("the contact's card was not signed by its account")]
    Signature,
}

impl Card {
    /// Signs the account's half with its key, and puts the doors beside it.
    pub fn sign(self, key: &SigningKey, doors: Vec<Door>) -> SignedCard {
        let signature = sign(key, &self.signed_bytes());
        SignedCard {
            card: self,
            signature,
            doors,
        }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend_from_slice(&frame::encode_body(self));
        bytes
    }
}

impl SignedCard {
    /// Checks bounds, chain, devices and signatures (`CARD-01` to `CARD-05`, `CARD-07`).
    pub fn verify(&self) -> Result<VerifiedCard, CardError> {
        // CARD-01: bounds.
        let small = |door: &Door| door.home.len() <= SUPERNODES_MAX;
        let fits = self.card.name.len() <= NAME_MAX && self.doors.len() <= DEVICES_MAX;
        if !fits || !self.doors.iter().all(small) {
            return Err(CardError::TooLarge);
        }
        // CARD-05: supernodes where somebody can answer.
        let mut homes = self.doors.iter().flat_map(|door| &door.home);
        if !homes.all(SupernodeAddr::is_usable) {
            return Err(CardError::Address);
        }
        let account = self.card.chain.verify()?;
        self.check_doors(&account)?;
        // CARD-03: the account's signature.
        if !account.verifies(&self.card.signed_bytes(), self.signature) {
            return Err(CardError::Signature);
        }
        Ok(VerifiedCard {
            account,
            signed: self.clone(),
        })
    }

    fn check_doors(&self, account: &VerifiedAccount) -> Result<(), CardError> {
        let mut seen = BTreeSet::new();
        for door in &self.doors {
            // CARD-02: doors only for the account's own devices, one for each.
            if !account.devices().contains_key(&door.device) || !seen.insert(door.device) {
                return Err(CardError::ForeignDevice);
            }
            // CARD-04: the door says itself that it is this account's.
            let agreed = door_bytes(account.id(), door.device);
            if !signed_by(door.endpoint.as_bytes(), &agreed, door.proof) {
                return Err(CardError::ForeignDoor);
            }
            // CARD-07: and the device, that it is there.
            let said = door.signed_bytes(account.id());
            if !signed_by(door.device.as_bytes(), &said, door.signature) {
                return Err(CardError::Signature);
            }
        }
        Ok(())
    }
}

impl VerifiedCard {
    /// The account.
    pub const fn account(&self) -> &VerifiedAccount {
        &self.account
    }

    /// The account's half.
    pub const fn card(&self) -> &Card {
        &self.signed.card
    }

    /// Its devices' front doors.
    pub fn doors(&self) -> &[Door] {
        &self.signed.doors
    }

    /// The card with its signatures, to keep or to pass on.
    pub const fn signed(&self) -> &SignedCard {
        &self.signed
    }

    /// `CARD-06`: what is known after another card of this account was seen: the account's half that counts, by the account's
    /// history (`ACCOUNT-07`) and then by its number; of each device of that history the door with the highest number.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        if self.account.id() != other.account.id() {
            return self.clone();
        }
        // Two devices may sign in the same second: everybody keeps the same one.
        let number = |card: &Self| (card.card().sequence, card.signed.signature);
        let number = number(other) > number(self);
        let same = self.account.head() == other.account.head();
        let later = other.account.supersedes(&self.account) || (same && number);
        let mut merged = if later { other.clone() } else { self.clone() };
        let mut doors: BTreeMap<DeviceId, Door> = BTreeMap::new();
        for door in self.doors().iter().chain(other.doors()) {
            let known = doors.get(&door.device);
            let number = |door: &Door| (door.sequence, door.signature);
            let newer = known.is_none_or(|known| number(known) < number(door));
            if newer && merged.account.devices().contains_key(&door.device) {
                doors.insert(door.device, door.clone());
            }
        }
        merged.signed.doors = doors.into_values().collect();
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Change;
    use crate::speaker::Recovery;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn home(port: u16) -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([9; 32]),
            tcp: ([192, 0, 2, 7], port).into(),
            discovery_port: 27476,
        }
    }

    fn device(seed: u8) -> DeviceId {
        DeviceId(key(seed).verifying_key().to_bytes())
    }

    /// Bob's, whose signing key is 1, whose recovery key is 2, and whose first device is 4.
    fn bob() -> Card {
        let device = device(4);
        Card {
            chain: Chain::create(&key(1), &key(2).verifying_key(), [0; 16], device, "desk"),
            network: None,
            name: "Bob".into(),
            request_key: [0; 32],
            discovery_key: [0; 32],
            sequence: 1,
        }
    }

    /// A door of a device of Bob's.
    fn door(device: u8, port: u16, sequence: u64) -> Door {
        let keeper = DoorKeys {
            account: bob().chain.id(),
            device: &key(device),
            door: &key(device + 100),
        };
        Door::new(&keeper, vec![home(port)], sequence)
    }

    fn with_phone() -> Card {
        let mut card = bob();
        let phone = Change::AddDevice {
            device: device(5),
            name: "phone".into(),
            owner: false,
        };
        card.chain.append(&key(1), phone);
        card
    }

    fn verified(card: Card, doors: Vec<Door>) -> VerifiedCard {
        card.sign(&key(1), doors).verify().unwrap()
    }

    #[test]
    fn card_01_a_name_or_a_door_beyond_the_bound_is_refused() {
        let mut card = bob();
        card.name = "b".repeat(NAME_MAX + 1);
        let refused = Err(CardError::TooLarge);
        assert_eq!(card.sign(&key(1), Vec::new()).verify(), refused);
        let mut large = door(4, 1, 1);
        large.home = vec![home(1); SUPERNODES_MAX + 1];
        assert_eq!(bob().sign(&key(1), vec![large]).verify(), refused);
    }

    #[test]
    fn card_02_a_door_for_a_foreign_device_or_a_second_one_is_refused() {
        let doors = [vec![door(4, 1, 1), door(4, 2, 2)], vec![door(5, 1, 1)]];
        for doors in doors {
            let card = bob().sign(&key(1), doors);
            assert_eq!(card.verify(), Err(CardError::ForeignDevice));
        }
    }

    #[test]
    fn card_03_a_changed_name_breaks_the_signature() {
        let mut signed = bob().sign(&key(1), vec![door(4, 1, 1)]);
        assert!(signed.verify().is_ok());
        signed.card.name = "Alice".into();
        assert_eq!(signed.verify(), Err(CardError::Signature));
    }

    #[test]
    fn card_04_a_door_of_somebody_else_is_refused() {
        // Alice's door, with the proof that stands in Alice's own card.
        let keeper = DoorKeys {
            account: AccountId([6; 32]),
            device: &key(4),
            door: &key(6),
        };
        let alice = Door::new(&keeper, vec![home(1)], 1);
        let mut stolen = door(4, 1, 1);
        for proof in [stolen.proof, alice.proof] {
            stolen.endpoint = alice.endpoint;
            stolen.proof = proof;
            stolen.signature = sign(&key(4), &stolen.signed_bytes(bob().chain.id()));
            let card = bob().sign(&key(1), vec![stolen.clone()]);
            assert_eq!(card.verify(), Err(CardError::ForeignDoor));
        }
    }

    #[test]
    fn card_05_a_home_that_is_nowhere_is_refused() {
        for tcp in ["0.0.0.0:27474", "[::]:27474", "224.0.0.1:1", "192.0.2.1:0"] {
            let mut nowhere = door(4, 1, 1);
            nowhere.home[0].tcp = tcp.parse().unwrap();
            let card = bob().sign(&key(1), vec![nowhere]);
            assert_eq!(card.verify(), Err(CardError::Address), "{tcp}");
        }
    }

    #[test]
    fn card_06_of_each_half_the_newest_is_kept() {
        let old = verified(with_phone(), vec![door(4, 1, 7), door(5, 1, 7)]);
        // The phone has moved, the desk's door is an older one, the name is new.
        let mut renamed = with_phone();
        renamed.name = "Robert".into();
        renamed.sequence = 2;
        let new = verified(renamed, vec![door(4, 2, 6), door(5, 2, 8)]);
        for merged in [old.merged(&new), new.merged(&old)] {
            assert_eq!(merged.card().name, "Robert");
            let port = |door: &Door| (door.device, door.home[0].tcp.port());
            let ports: BTreeMap<_, _> = merged.doors().iter().map(port).collect();
            assert_eq!(ports, BTreeMap::from([(device(4), 1), (device(5), 2)]));
            assert_eq!(merged.signed().verify().as_ref(), Ok(&merged));
        }
        assert_eq!(old.merged(&new).merged(&old), old.merged(&new));
    }

    #[test]
    fn card_06_of_two_with_one_number_everybody_keeps_the_same() {
        let named = |name: &str, port| {
            let mut card = with_phone();
            card.name = name.into();
            verified(card, vec![door(4, port, 7)])
        };
        let [one, other] = [named("Robert", 1), named("Bobby", 2)];
        assert_eq!(one.merged(&other), other.merged(&one));
        assert_eq!(one.merged(&one), one);
    }

    #[test]
    fn card_06_a_revoked_devices_door_goes_with_it_and_no_number_of_its_helps() {
        let mut card = with_phone();
        let before = verified(card.clone(), vec![door(4, 1, 1), door(5, 1, u64::MAX)]);
        card.chain
            .append(&key(1), Change::RemoveDevice { device: device(5) });
        let after = verified(card.clone(), vec![door(4, 1, 1)]);
        // The phone's card has a higher number, and the history without its end.
        let mut thiefs = with_phone();
        thiefs.sequence = u64::MAX;
        let thiefs = verified(thiefs, vec![door(5, 3, u64::MAX)]);
        for merged in [
            before.merged(&after),
            after.merged(&thiefs),
            thiefs.merged(&after),
        ] {
            assert_eq!(merged.account(), after.account());
            let devices: Vec<_> = merged.doors().iter().map(|door| door.device).collect();
            assert_eq!(devices, [device(4)]);
        }
        // The 24 words stand against the signing key itself.
        card.chain.entries.truncate(1);
        let recover = Change::Recover {
            word: Recovery::new(&key(2), card.chain.id(), 1, &key(7).verifying_key()),
            device: device(4),
            name: "desk".into(),
        };
        card.chain.append(&key(2), recover);
        let back = card.sign(&key(7), vec![door(4, 1, 1)]).verify().unwrap();
        assert_eq!(thiefs.merged(&back), back);
    }

    #[test]
    fn card_07_where_a_device_is_that_device_says() {
        // The account's key moves the phone's door, and cannot.
        let mut moved = door(5, 1, 1);
        moved.home = vec![home(9)];
        moved.signature = sign(&key(1), &moved.signed_bytes(bob().chain.id()));
        let card = with_phone().sign(&key(1), vec![moved]);
        assert_eq!(card.verify(), Err(CardError::Signature));
    }
}
