//! Sealed envelopes (HPKE base mode, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM): first contact without a connection.
//!
//! Layout on the wire: one version byte (1), 32 bytes of encapsulated key, ciphertext with its 16-byte tag. The sender is
//! inside, signed together with the recipient's id, so an envelope cannot be passed on to somebody else.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::account::sign;
use crate::card::{CardError, SignedCard, VerifiedCard};
use crate::frame::{self, FrameError};
use crate::ids::AccountId;
use crate::limits::{ENVELOPE_MAX, REQUEST_TEXT_MAX};

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const INFO: &[u8] = b"starling 1 envelope";
const SIGN_CONTEXT: &[u8] = b"starling 1 letter";

/// What an envelope says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Letter {
    /// "I would like to be your contact."
    Request {
        /// What the sender wrote, at most [`REQUEST_TEXT_MAX`] bytes.
        text: String,
    },
    /// "Yes."
    Accept,
    /// "My card has changed." Only from accepted contacts.
    Update,
}

/// The plaintext of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Inside {
    card: SignedCard,
    letter: Letter,
    sent_at: u64,
    signature: ([u8; 32], [u8; 32]),
}

/// A letter whose sender was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who sent it.
    pub sender: VerifiedCard,
    /// What it says.
    pub letter: Letter,
    /// Unix seconds, the sender's clock.
    pub sent_at: u64,
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
    /// Not signed by the sender for this recipient.
    #[error("a sealed request was not signed by the account it names")]
    Signature,
}

/// The public half of a request key made from 32 secret bytes.
pub fn request_key(secret: &[u8; 32]) -> [u8; 32] {
    let (_, public) = X25519HkdfSha256::derive_keypair(secret);
    public.to_bytes().into()
}

/// Who writes.
#[derive(Debug)]
pub struct Sender<'a> {
    /// The account's signing key.
    pub key: &'a ed25519_dalek::SigningKey,
    /// The sender's card.
    pub card: SignedCard,
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
    let signature = sign(sender.key, &signed_bytes(&recipient, &letter, now));
    let inside = Inside {
        card: sender.card,
        letter,
        sent_at: now,
        signature,
    };
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(request_key)
        .map_err(|_| EnvelopeError::Unreadable)?;
    let mut rng = ChaCha20Rng::from_seed(seed);
    let (encapsulated, sealed) =
        hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &public,
            INFO,
            &frame::encode_body(&inside),
            recipient.as_bytes(),
            &mut rng,
        )
        .map_err(|_| EnvelopeError::Unreadable)?;
    let mut envelope = vec![VERSION];
    envelope.extend_from_slice(&encapsulated.to_bytes());
    envelope.extend_from_slice(&sealed);
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
    // ENVELOPE-02: version and encapsulated key.
    let (&VERSION, rest) = envelope.split_first().ok_or(EnvelopeError::Unreadable)? else {
        return Err(EnvelopeError::Unreadable);
    };
    let (encapsulated, sealed) = rest
        .split_at_checked(KEY_BYTES)
        .ok_or(EnvelopeError::Unreadable)?;
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated)
        .map_err(|_| EnvelopeError::Unreadable)?;
    // ENVELOPE-03: sealed for us.
    let (private, _) = X25519HkdfSha256::derive_keypair(secret);
    let plain = hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &encapsulated,
        INFO,
        sealed,
        own.as_bytes(),
    )
    .map_err(|_| EnvelopeError::Unreadable)?;
    read_inside(&plain, own)
}

/// What was sealed, checked: the card is the sender's and the sender wrote to `own`. Outside of [`open`] only for fuzzing,
/// since no mutated envelope gets past its tag.
pub(crate) fn read_inside(plain: &[u8], own: AccountId) -> Result<Opened, EnvelopeError> {
    let inside: Inside = frame::decode_body(plain, ENVELOPE_MAX)?;
    check_text(&inside.letter)?;
    // ENVELOPE-04.
    let sender = inside.card.verify()?;
    if !sender.account().verifies(
        &signed_bytes(&own, &inside.letter, inside.sent_at),
        inside.signature,
    ) {
        return Err(EnvelopeError::Signature);
    }
    Ok(Opened {
        sender,
        letter: inside.letter,
        sent_at: inside.sent_at,
    })
}

fn check_text(letter: &Letter) -> Result<(), EnvelopeError> {
    match letter {
        Letter::Request { text } if text.len() > REQUEST_TEXT_MAX => {
            Err(EnvelopeError::TextTooLong)
        }
        _ => Ok(()),
    }
}

fn signed_bytes(recipient: &AccountId, letter: &Letter, sent_at: u64) -> Vec<u8> {
    let mut bytes = SIGN_CONTEXT.to_vec();
    bytes.extend_from_slice(&frame::encode_body(&(recipient, letter, sent_at)));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Chain, Change};
    use crate::card::{Card, Door};
    use crate::ids::{DeviceId, EndpointKey, NetworkId};
    use crate::limits::{CHAIN_ENTRIES_MAX, DEVICES_MAX, NAME_MAX, SUPERNODES_MAX};
    use crate::supernode::SupernodeAddr;
    use ed25519_dalek::SigningKey;

    const ALICE: AccountId = AccountId([7; 32]);
    const SECRET: [u8; 32] = [8; 32];

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn bob() -> Card {
        let device = DeviceId([4; 32]);
        Card {
            chain: Chain::create(&key(1), &key(2).verifying_key(), [0; 16], device, "desk"),
            network: None,
            name: "Bob".into(),
            doors: vec![],
            request_key: [0; 32],
            discovery_key: [0; 32],
            sequence: 1,
        }
    }

    fn write(card: Card, text: &str) -> Result<Vec<u8>, EnvelopeError> {
        let key = key(1);
        let sender = Sender {
            key: &key,
            card: card.sign(&key),
        };
        let letter = Letter::Request { text: text.into() };
        let now = u64::MAX;
        seal(sender, ALICE, &request_key(&SECRET), letter, now, [9; 32])
    }

    fn bob_writes(text: &str) -> Result<Vec<u8>, EnvelopeError> {
        write(bob(), text)
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
        let name = "n".repeat(NAME_MAX);
        card.name.clone_from(&name);
        card.network = Some(NetworkId([1; 32]));
        card.sequence = (1 << 48) - 1;
        let add = |number: u8| Change::AddDevice {
            device: DeviceId([100 + number; 32]),
            name: name.clone(),
            owner: true,
        };
        // The largest entry is a recovery, here back to the same key.
        let recover = Change::Recover {
            signing_key: key(1).verifying_key().to_bytes(),
            device: DeviceId([100; 32]),
            name: name.clone(),
        };
        while card.chain.entries.len() < CHAIN_ENTRIES_MAX - DEVICES_MAX + 1 {
            card.chain.append(&key(2), recover.clone());
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
        let devices = card.chain.verify().unwrap().devices().clone();
        assert_eq!(devices.len(), DEVICES_MAX);
        let door = |device| Door::new(account, device, &key(6), vec![home.clone(); SUPERNODES_MAX]);
        card.doors = devices.into_keys().map(door).collect();
        let envelope = write(card, &"x".repeat(REQUEST_TEXT_MAX)).unwrap();
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
        assert_eq!(
            opened.letter,
            Letter::Request {
                text: "hello".into()
            }
        );
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
}
