//! Contact cards: what one contact gives another, end to end encrypted, when a request is made and when it is accepted.
//! A card names front doors; who holds it may knock there. Each door's own key signs that it is this account's, so nobody
//! can list a door of somebody else.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::{AccountError, Chain, VerifiedAccount, sign, signed_by};
use crate::frame;
use crate::ids::{AccountId, DeviceId, EndpointKey, NetworkId};
use crate::limits::{DEVICES_MAX, NAME_MAX, SUPERNODES_MAX};
use crate::supernode::SupernodeAddr;

const CONTEXT: &[u8] = b"starling 1 contact card";
/// Unix seconds fit for some million years; what is above them in [`VerifiedCard::order`] counts recoveries.
const SEQUENCE_BITS: u32 = 48;
const DOOR_CONTEXT: &[u8] = b"starling 1 front door";

/// One device of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// The device.
    pub device: DeviceId,
    /// Its front door.
    pub endpoint: EndpointKey,
    /// Where the front door is reached, the hot home supernode first.
    pub home: Vec<SupernodeAddr>,
    /// By the front door's key over account and device: its holder agrees.
    pub proof: ([u8; 32], [u8; 32]),
}

impl Door {
    /// A device's front door, `key` being the front door's own.
    pub fn new(
        account: AccountId,
        device: DeviceId,
        key: &SigningKey,
        home: Vec<SupernodeAddr>,
    ) -> Self {
        Self {
            device,
            endpoint: EndpointKey(key.verifying_key().to_bytes()),
            home,
            proof: sign(key, &door_bytes(account, device)),
        }
    }
}

fn door_bytes(account: AccountId, device: DeviceId) -> Vec<u8> {
    let mut bytes = DOOR_CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(&(account, device)));
    bytes
}

/// What a contact knows of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The account.
    pub chain: Chain,
    /// The network it lives in, if it has an owner.
    pub network: Option<NetworkId>,
    /// Display name, at most [`NAME_MAX`] bytes. Not verified, never unique.
    pub name: String,
    /// Its devices' front doors.
    pub doors: Vec<Door>,
    /// Key for sealed envelopes.
    pub request_key: [u8; 32],
    /// Recognises the account's daily token on a LAN.
    pub discovery_key: [u8; 32],
    /// Higher replaces lower; less than 2^48.
    pub sequence: u64,
}

/// A card as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCard {
    /// The card.
    pub card: Card,
    /// By the account's signing key.
    pub signature: ([u8; 32], [u8; 32]),
}

/// A card whose chain and signature were checked, and whose devices are the chain's.
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
    /// Signs the card with the account's key.
    pub fn sign(self, key: &SigningKey) -> SignedCard {
        let signature = sign(key, &self.signed_bytes());
        SignedCard {
            card: self,
            signature,
        }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend_from_slice(&frame::encode_body(self));
        bytes
    }
}

impl SignedCard {
    /// Checks bounds, chain, devices and signature (`CARD-01` to `CARD-05`).
    pub fn verify(&self) -> Result<VerifiedCard, CardError> {
        let card = &self.card;
        // CARD-01: bounds.
        let homes_fit = card
            .doors
            .iter()
            .all(|door| door.home.len() <= SUPERNODES_MAX);
        let fits = card.name.len() <= NAME_MAX && card.sequence < 1 << SEQUENCE_BITS;
        if !fits || card.doors.len() > DEVICES_MAX || !homes_fit {
            return Err(CardError::TooLarge);
        }
        // CARD-05: supernodes where somebody can answer.
        let mut homes = card.doors.iter().flat_map(|door| &door.home);
        if !homes.all(SupernodeAddr::is_usable) {
            return Err(CardError::Address);
        }
        let account = card.chain.verify()?;
        // CARD-02: doors only for the account's own devices, one for each.
        let mut seen = BTreeSet::new();
        let own =
            |door: &Door| account.devices().contains_key(&door.device) && seen.insert(door.device);
        if !card.doors.iter().all(own) {
            return Err(CardError::ForeignDevice);
        }
        // CARD-04: every door says itself that it is this account's.
        let agrees = |door: &Door| {
            let message = door_bytes(account.id(), door.device);
            signed_by(door.endpoint.as_bytes(), &message, door.proof)
        };
        if !card.doors.iter().all(agrees) {
            return Err(CardError::ForeignDoor);
        }
        // CARD-03: the signature.
        if !account.verifies(&card.signed_bytes(), self.signature) {
            return Err(CardError::Signature);
        }
        Ok(VerifiedCard {
            account,
            signed: self.clone(),
        })
    }
}

impl VerifiedCard {
    /// The account.
    pub const fn account(&self) -> &VerifiedAccount {
        &self.account
    }

    /// The card's fields.
    pub const fn card(&self) -> &Card {
        &self.signed.card
    }

    /// The card with its signature, to keep or to pass on.
    pub const fn signed(&self) -> &SignedCard {
        &self.signed
    }

    /// `CARD-07`: higher for every later letter of the account, also for the first one after a recovery, whatever number a
    /// thief has used before.
    pub fn order(&self) -> u64 {
        (u64::from(self.account.recoveries()) << SEQUENCE_BITS) | self.card().sequence
    }

    /// `CARD-06`: whether this card of an account takes the place of that one: by the account's history where the two have
    /// different ones (`ACCOUNT-07`), else by its number.
    pub fn supersedes(&self, other: &Self) -> bool {
        let number = self.card().sequence > other.card().sequence;
        let newer = self.account.supersedes(&other.account);
        newer || (number && self.account.head() == other.account.head())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Change;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn home() -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([7; 32]),
            tcp: "192.0.2.1:27474".parse().unwrap(),
            discovery_port: 0,
        }
    }

    fn bob() -> (SigningKey, Card) {
        let device = DeviceId([4; 32]);
        let chain = Chain::create(&key(1), &key(2).verifying_key(), [0; 16], device, "desk");
        let door = Door::new(chain.id(), device, &key(5), vec![home()]);
        let card = Card {
            chain,
            network: None,
            name: "Bob".into(),
            doors: vec![door],
            request_key: [0; 32],
            discovery_key: [0; 32],
            sequence: 1,
        };
        (key(1), card)
    }

    #[test]
    fn card_01_a_name_beyond_the_bound_is_refused() {
        let (key, mut card) = bob();
        card.name = "b".repeat(NAME_MAX + 1);
        assert_eq!(card.sign(&key).verify(), Err(CardError::TooLarge));
    }

    #[test]
    fn card_02_a_door_for_a_foreign_device_or_a_second_one_is_refused() {
        let (key, mut card) = bob();
        card.doors.push(card.doors[0].clone());
        assert_eq!(
            card.clone().sign(&key).verify(),
            Err(CardError::ForeignDevice)
        );
        card.doors.pop();
        card.doors[0].device = DeviceId([9; 32]);
        assert_eq!(card.sign(&key).verify(), Err(CardError::ForeignDevice));
    }

    #[test]
    fn card_03_a_changed_name_breaks_the_signature() {
        let (key, card) = bob();
        let mut signed = card.sign(&key);
        assert!(signed.verify().is_ok());
        signed.card.name = "Alice".into();
        assert_eq!(signed.verify(), Err(CardError::Signature));
    }

    #[test]
    fn card_04_a_door_of_somebody_else_is_refused() {
        let (mallory, mut card) = bob();
        // Alice's door, with the proof that stands in Alice's own card.
        let alice = Door::new(AccountId([6; 32]), DeviceId([6; 32]), &key(6), vec![home()]);
        card.doors[0].endpoint = alice.endpoint;
        assert_eq!(
            card.clone().sign(&mallory).verify(),
            Err(CardError::ForeignDoor)
        );
        card.doors[0].proof = alice.proof;
        assert_eq!(card.sign(&mallory).verify(), Err(CardError::ForeignDoor));
    }

    #[test]
    fn card_05_a_home_that_is_nowhere_is_refused() {
        let (key, card) = bob();
        for tcp in ["0.0.0.0:27474", "[::]:27474", "224.0.0.1:1", "192.0.2.1:0"] {
            let mut card = card.clone();
            card.doors[0].home[0].tcp = tcp.parse().unwrap();
            assert_eq!(card.sign(&key).verify(), Err(CardError::Address), "{tcp}");
        }
    }

    #[test]
    fn card_06_a_higher_number_counts_and_an_older_history_does_not() {
        let (signing, card) = bob();
        let made = |sequence, chain: &Chain, key: &SigningKey| {
            let (chain, card) = (chain.clone(), card.clone());
            let card = Card {
                sequence,
                chain,
                ..card
            };
            card.sign(key).verify().unwrap()
        };
        let mut longer = card.chain.clone();
        let phone = Change::AddDevice {
            device: DeviceId([8; 32]),
            name: "phone".into(),
            owner: false,
        };
        longer.append(&signing, phone);
        let [first, second] = [1, 2].map(|number| made(number, &card.chain, &signing));
        assert!(second.supersedes(&first) && !first.supersedes(&second));
        assert!(!first.supersedes(&first));
        let third = made(1, &longer, &signing);
        assert!(third.supersedes(&second) && !second.supersedes(&third));
    }

    #[test]
    fn card_07_no_number_of_a_thief_stands_against_a_recovery() {
        let (thief, card) = bob();
        let last = Card {
            sequence: (1 << SEQUENCE_BITS) - 1,
            ..card.clone()
        };
        let last = last.sign(&thief).verify().unwrap();
        let beyond = Card {
            sequence: 1 << SEQUENCE_BITS,
            ..card.clone()
        };
        assert_eq!(beyond.sign(&thief).verify(), Err(CardError::TooLarge));
        let mut chain = card.chain.clone();
        let recover = Change::Recover {
            signing_key: key(7).verifying_key().to_bytes(),
            device: card.doors[0].device,
            name: "desk".into(),
        };
        chain.append(&key(2), recover);
        let back = Card { chain, ..card }.sign(&key(7)).verify().unwrap();
        assert!(back.supersedes(&last) && back.order() > last.order());
    }
}
