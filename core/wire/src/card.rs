//! Contact cards: what one contact gives another, end to end encrypted, when a request is made and when it is accepted.
//! A card names front doors; who holds it may knock there.

use serde::{Deserialize, Serialize};

use crate::account::{AccountError, Chain, VerifiedAccount, sign};
use crate::frame;
use crate::ids::{DeviceId, EndpointKey, NetworkId};
use crate::limits::{DEVICES_MAX, NAME_MAX, SUPERNODES_MAX};
use crate::supernode::SupernodeAddr;

const CONTEXT: &[u8] = b"starling 1 contact card";

/// One device of a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// The device.
    pub device: DeviceId,
    /// Its front door.
    pub endpoint: EndpointKey,
    /// Where the front door is reached, the hot home supernode first.
    pub home: Vec<SupernodeAddr>,
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
    /// Higher replaces lower.
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
    /// A door for a device that the account does not list.
    #[error("the contact's card names a device that the account does not list")]
    ForeignDevice,
    /// Not signed by its account.
    #[error("the contact's card was not signed by its account")]
    Signature,
}

impl Card {
    /// Signs the card with the account's key.
    pub fn sign(self, key: &ed25519_dalek::SigningKey) -> SignedCard {
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
    /// Checks bounds, chain, devices and signature (`CARD-01` to `CARD-03`).
    pub fn verify(&self) -> Result<VerifiedCard, CardError> {
        let card = &self.card;
        // CARD-01: bounds.
        let homes_fit = card
            .doors
            .iter()
            .all(|door| door.home.len() <= SUPERNODES_MAX);
        if card.name.len() > NAME_MAX || card.doors.len() > DEVICES_MAX || !homes_fit {
            return Err(CardError::TooLarge);
        }
        let account = card.chain.verify()?;
        // CARD-02: doors only for the account's own devices.
        if !card
            .doors
            .iter()
            .all(|door| account.devices().contains_key(&door.device))
        {
            return Err(CardError::ForeignDevice);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn bob() -> (SigningKey, Card) {
        let key = SigningKey::from_bytes(&[1; 32]);
        let recovery = SigningKey::from_bytes(&[2; 32]).verifying_key();
        let chain = Chain::create(&key, &recovery, [0; 16], DeviceId([4; 32]), "desk");
        let door = Door {
            device: DeviceId([4; 32]),
            endpoint: EndpointKey([5; 32]),
            home: vec![],
        };
        let card = Card {
            chain,
            network: None,
            name: "Bob".into(),
            doors: vec![door],
            request_key: [0; 32],
            discovery_key: [0; 32],
            sequence: 1,
        };
        (key, card)
    }

    #[test]
    fn card_01_a_name_beyond_the_bound_is_refused() {
        let (key, mut card) = bob();
        card.name = "b".repeat(NAME_MAX + 1);
        assert_eq!(card.sign(&key).verify(), Err(CardError::TooLarge));
    }

    #[test]
    fn card_02_a_door_for_a_foreign_device_is_refused() {
        let (key, mut card) = bob();
        card.doors[0].device = DeviceId([9; 32]);
        assert_eq!(card.sign(&key).verify(), Err(CardError::ForeignDevice));
    }

    #[test]
    fn card_03_a_changed_front_door_breaks_the_signature() {
        let (key, card) = bob();
        let mut signed = card.sign(&key);
        assert!(signed.verify().is_ok());
        signed.card.doors[0].endpoint = EndpointKey([6; 32]);
        assert_eq!(signed.verify(), Err(CardError::Signature));
    }
}
