//! Sealed envelopes (HPKE base mode, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM): first contact without a connection.
//!
//! Layout on the wire: one version byte (1), 32 bytes of encapsulated key, ciphertext with its 16-byte tag. The sender is
//! inside: one of an account's devices, which signed letter and recipient, so an envelope cannot be passed on to somebody else.

use serde::{Deserialize, Serialize};

use crate::account::{Entry, sign, signed_by};
use crate::card::{CardError, SignedCard, VerifiedCard};
use crate::frame::{self, FrameError};
use crate::ids::{AccountId, DeviceId};
use crate::limits::{ENVELOPE_MAX, REQUEST_TEXT_MAX};
use crate::name::Name;
use crate::name_claim::{Claim, Verdict};
use crate::profile::{Introduction, ProfileError};
use crate::sealing::{self, Place};

const VERSION: u8 = 1;
const INFO: &[u8] = b"starling 1 envelope";
const SIGN_CONTEXT: &[u8] = b"starling 1 letter";

/// What an envelope says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Letter {
    /// "I would like to be your contact."
    Request {
        /// What the sender wrote, at most [`REQUEST_TEXT_MAX`] bytes.
        text: String,
        /// What members of the network may see of the sender, as far as there is room for it.
        introduction: Box<Introduction>,
    },
    /// "Yes."
    Accept,
    /// "My card has changed." Only from accepted contacts.
    Update,
    /// "My account is no more": the last entry of its history, which goes on from the card's. Only from accepted contacts.
    Farewell(Box<Entry>),
    /// To a registrar: something about a name is wanted.
    Claim(Claim),
    /// From a registrar: what came of it.
    Verdict(Name, Box<Verdict>),
}

impl Letter {
    /// A request that shows nothing but the card.
    pub fn request(text: impl Into<String>) -> Self {
        Self::Request {
            text: text.into(),
            introduction: Box::default(),
        }
    }
}

/// The plaintext of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Inside {
    card: SignedCard,
    stamp: Stamp,
    letter: Letter,
    signature: ([u8; 32], [u8; 32]),
}

/// Which letter of which device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The device that wrote it.
    pub device: DeviceId,
    /// Higher than in every letter of this device before.
    pub number: u64,
    /// Unix seconds, the sender's clock.
    pub sent_at: u64,
}

/// A letter whose sender was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who sent it.
    pub sender: VerifiedCard,
    /// Which of whose.
    pub stamp: Stamp,
    /// What it says.
    pub letter: Letter,
}

/// Why an envelope was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Too much text.
    #[error("the message to a new contact is too long; {REQUEST_TEXT_MAX} bytes are allowed")]
    TextTooLong,
    /// Too long as a whole.
    #[error("a sealed request is larger than the {ENVELOPE_MAX} bytes that Starling allows")]
    TooLarge,
    /// Another version, or not sealed for this key.
    #[error("a sealed request could not be opened; it is damaged or for another account")]
    Unreadable,
    /// Its content is malformed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Its card is not valid.
    #[error(transparent)]
    Card(#[from] CardError),
    /// Written by a device that its account does not list.
    #[error("a sealed request was written by a device that is not its account's")]
    ForeignDevice,
    /// What stands beside a request is beyond its bounds.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Not signed by the sender for this recipient.
    #[error("a sealed request was not signed by the device it names")]
    Signature,
}

/// The public half of a request key made from 32 secret bytes.
pub fn request_key(secret: &[u8; 32]) -> [u8; 32] {
    sealing::derive(secret).1
}

/// Who writes.
#[derive(Debug)]
pub struct Sender<'a> {
    /// The device's key.
    pub key: &'a ed25519_dalek::SigningKey,
    /// The sender's card.
    pub card: SignedCard,
    /// The letter's number.
    pub number: u64,
}

/// Seals a letter for `recipient`. `seed` is fresh randomness; `now` is Unix seconds.
pub fn seal(
    sender: Sender<'_>,
    recipient: AccountId,
    request_key: &[u8; 32],
    letter: Letter,
    now: u64,
    seed: [u8; 32],
) -> Result<Vec<u8>, EnvelopeError> {
    check_text(&letter)?;
    let stamp = Stamp {
        device: DeviceId(sender.key.verifying_key().to_bytes()),
        number: sender.number,
        sent_at: now,
    };
    let inside = Inside {
        card: sender.card,
        stamp,
        signature: sign(sender.key, &signed_bytes(&recipient, stamp, &letter)),
        letter,
    };
    let plain = frame::encode_body(&inside);
    let sealed = sealing::seal(request_key, place(&recipient), &plain, seed)
        .map_err(|_| EnvelopeError::Unreadable)?;
    let envelope = [&[VERSION], sealed.as_slice()].concat();
    if envelope.len() > ENVELOPE_MAX {
        return Err(EnvelopeError::TooLarge);
    }
    Ok(envelope)
}

/// Opens an envelope addressed to `own` with the secret of its request key (`ENVELOPE-01` to `ENVELOPE-04`).
pub fn open(envelope: &[u8], own: AccountId, secret: &[u8; 32]) -> Result<Opened, EnvelopeError> {
    // ENVELOPE-01: bound.
    if envelope.len() > ENVELOPE_MAX {
        return Err(EnvelopeError::TooLarge);
    }
    // ENVELOPE-02: version.
    let (&VERSION, sealed) = envelope.split_first().ok_or(EnvelopeError::Unreadable)? else {
        return Err(EnvelopeError::Unreadable);
    };
    // ENVELOPE-03: sealed for us.
    let (private, _) = sealing::derive(secret);
    let plain =
        sealing::open(&private, place(&own), sealed).map_err(|_| EnvelopeError::Unreadable)?;
    read_inside(&plain, own)
}

/// What was sealed, checked: the card is the sender's and the sender wrote to `own`. Outside of [`open`] only for fuzzing,
/// since no mutated envelope gets past its tag.
pub(crate) fn read_inside(plain: &[u8], own: AccountId) -> Result<Opened, EnvelopeError> {
    let inside: Inside = frame::decode_body(plain, ENVELOPE_MAX)?;
    check_text(&inside.letter)?;
    // ENVELOPE-04: a valid card, and a device that it lists signed.
    let sender = inside.card.verify()?;
    let (device, stamp) = (inside.stamp.device, inside.stamp);
    if !sender.account().devices().contains_key(&device) {
        return Err(EnvelopeError::ForeignDevice);
    }
    let signed = signed_bytes(&own, stamp, &inside.letter);
    if !signed_by(device.as_bytes(), &signed, inside.signature) {
        return Err(EnvelopeError::Signature);
    }
    Ok(Opened {
        sender,
        stamp,
        letter: inside.letter,
    })
}

fn place(recipient: &AccountId) -> Place<'_> {
    Place {
        info: INFO,
        about: recipient.as_bytes(),
    }
}

fn check_text(letter: &Letter) -> Result<(), EnvelopeError> {
    match letter {
        Letter::Request { text, .. } if text.len() > REQUEST_TEXT_MAX => {
            Err(EnvelopeError::TextTooLong)
        }
        Letter::Request { introduction, .. } => Ok(introduction.check()?),
        Letter::Claim(claim) if !claim.fits() => Err(EnvelopeError::TextTooLong),
        _ => Ok(()),
    }
}

fn signed_bytes(recipient: &AccountId, stamp: Stamp, letter: &Letter) -> Vec<u8> {
    let mut bytes = SIGN_CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(&(recipient, stamp, letter)));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Chain, Change};
    use crate::card::{Card, Door, DoorKeys};
    use crate::ids::{EndpointKey, NetworkId};
    use crate::limits::{
        CHAIN_ENTRIES_MAX, DEVICE_NAME_MAX, DEVICES_MAX, NAME_MAX, RECOVERIES_MAX, SUPERNODES_MAX,
    };
    use crate::speaker::Recovery;
    use crate::supernode::SupernodeAddr;
    use ed25519_dalek::SigningKey;

    const ALICE: AccountId = AccountId([7; 32]);
    const SECRET: [u8; 32] = [8; 32];

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn device(seed: u8) -> DeviceId {
        DeviceId(key(seed).verifying_key().to_bytes())
    }

    /// Bob's only device is 4.
    fn bob() -> Card {
        Card {
            chain: Chain::create(&key(1), &key(2).verifying_key(), [0; 16], device(4), "desk"),
            network: None,
            name: "Bob".into(),
            request_key: [0; 32],
            discovery_key: [0; 32],
            sequence: 1,
        }
    }

    fn write(by: u8, card: SignedCard, text: &str) -> Result<Vec<u8>, EnvelopeError> {
        let sender = Sender {
            key: &key(by),
            card,
            number: u64::MAX,
        };
        let letter = Letter::request(text);
        let now = u64::MAX;
        seal(sender, ALICE, &request_key(&SECRET), letter, now, [9; 32])
    }

    fn bob_writes(text: &str) -> Result<Vec<u8>, EnvelopeError> {
        write(4, bob().sign(&key(1), Vec::new()), text)
    }

    #[test]
    fn envelope_01_the_text_is_bounded() {
        assert_eq!(
            bob_writes(&"x".repeat(REQUEST_TEXT_MAX + 1)),
            Err(EnvelopeError::TextTooLong)
        );
        assert_eq!(
            open(&vec![1; ENVELOPE_MAX + 1], ALICE, &SECRET),
            Err(EnvelopeError::TooLarge)
        );
    }

    /// 16 devices with three homes each, 64 changes, every name as long as allowed.
    #[test]
    fn envelope_01_the_largest_card_fits_with_the_longest_text() {
        let mut card = bob();
        let name = "n".repeat(DEVICE_NAME_MAX);
        card.name = "n".repeat(NAME_MAX);
        card.network = Some(NetworkId([1; 32]));
        card.sequence = u64::MAX;
        let add = |number: u8| Change::AddDevice {
            device: device(100 + number),
            name: name.clone(),
            owner: true,
        };
        // The largest entry is a recovery, here back to the same key.
        for number in 1..=(CHAIN_ENTRIES_MAX - DEVICES_MAX) as u16 {
            let account = card.chain.id();
            let number = RECOVERIES_MAX - 100 + number;
            let recover = Change::Recover {
                word: Recovery::new(&key(2), account, number, &key(1).verifying_key()),
                device: device(100),
                name: name.clone(),
            };
            card.chain.append(&key(2), recover);
        }
        for number in 1..DEVICES_MAX as u8 {
            card.chain.append(&key(1), add(number));
        }
        let home = SupernodeAddr {
            id: EndpointKey([5; 32]),
            tcp: "[2001:db8::1]:65535".parse().unwrap(),
            discovery_port: u16::MAX,
        };
        let account = card.chain.id();
        let door = |number: u8| {
            let keeper = DoorKeys {
                account,
                device: &key(100 + number),
                door: &key(6),
            };
            Door::new(&keeper, vec![home.clone(); SUPERNODES_MAX], u64::MAX)
        };
        let doors: Vec<Door> = (0..DEVICES_MAX as u8).map(door).collect();
        let card = card.sign(&key(1), doors);
        let envelope = write(100, card, &"x".repeat(REQUEST_TEXT_MAX)).unwrap();
        assert!(open(&envelope, ALICE, &SECRET).is_ok());
        assert!(envelope.len() <= ENVELOPE_MAX, "{}", envelope.len());
    }

    #[test]
    fn envelope_02_another_version_is_refused() {
        let mut envelope = bob_writes("hello").unwrap();
        envelope[0] = 2;
        assert_eq!(
            open(&envelope, ALICE, &SECRET),
            Err(EnvelopeError::Unreadable)
        );
        assert_eq!(open(&[], ALICE, &SECRET), Err(EnvelopeError::Unreadable));
        assert_eq!(
            open(&[1; 20], ALICE, &SECRET),
            Err(EnvelopeError::Unreadable)
        );
    }

    #[test]
    fn envelope_03_only_its_recipient_opens_it() {
        let envelope = bob_writes("hello").unwrap();
        let opened = open(&envelope, ALICE, &SECRET).unwrap();
        assert_eq!(opened.letter, Letter::request("hello"));
        assert_eq!(opened.sender.card().name, "Bob");
        assert_eq!(
            open(&envelope, AccountId([0; 32]), &SECRET),
            Err(EnvelopeError::Unreadable)
        );
        assert_eq!(
            open(&envelope, ALICE, &[0; 32]),
            Err(EnvelopeError::Unreadable)
        );
    }

    #[test]
    fn envelope_04_a_flipped_bit_is_noticed() {
        let envelope = bob_writes("hello").unwrap();
        for index in [1, 40, envelope.len() - 1] {
            let mut damaged = envelope.clone();
            damaged[index] ^= 1;
            assert!(open(&damaged, ALICE, &SECRET).is_err());
        }
    }

    #[test]
    fn envelope_04_only_a_device_of_the_account_writes_for_it() {
        let card = bob().sign(&key(1), Vec::new());
        let foreign = write(5, card.clone(), "hello").unwrap();
        assert_eq!(
            open(&foreign, ALICE, &SECRET),
            Err(EnvelopeError::ForeignDevice)
        );
        // Not the account's own key either: it says which devices there are, and no more.
        let account = write(1, card, "hello").unwrap();
        assert_eq!(
            open(&account, ALICE, &SECRET),
            Err(EnvelopeError::ForeignDevice)
        );
        let opened = open(&bob_writes("hello").unwrap(), ALICE, &SECRET).unwrap();
        assert_eq!(
            (opened.stamp.device, opened.stamp.number),
            (device(4), u64::MAX)
        );
    }
}
