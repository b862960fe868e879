//! The rescue copy: whom an account knows, sealed for its recovery key and kept by its home supernodes. So the 24 words alone
//! bring back more than keys. Any device that signs for the account writes it; only the recovery key opens it (HPKE base mode,
//! RFC 9180; the Ed25519 key as X25519, RFC 7748 section 4.1).
//!
//! Layout: one version byte (1), 32 bytes of encapsulated key, ciphertext with its 16-byte tag. The plaintext is filled up, so
//! that a supernode learns little about how many people are in it.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::account::{sign, signed_by};
use crate::frame::{self, encode_body};
use crate::ids::{AccountId, EndpointKey, NetworkId};
use crate::limits::NAME_MAX;
use crate::own_name::Held;
use crate::profile::{OwnPart, Part};
use crate::sealing::{self, Place};
use crate::supernode::SupernodeAddr;

/// A sealed copy.
pub const RESCUE_MAX: usize = 48 * 1024;
/// People in a copy.
pub const RESCUED_MAX: usize = 1_500;
/// Unique names in a copy.
pub const RESCUED_NAMES_MAX: usize = 8;

const VERSION: u8 = 1;
/// Plaintexts are filled up to a multiple of this.
const STEP: usize = 4 * 1024;
/// Signature, padding's length and what else stands round the content.
const ROUND: usize = 80;
const INFO: &[u8] = b"starling 1 rescue copy";
const SIGN_CONTEXT: &[u8] = b"starling 1 rescue copy signed";
const KEEP_CONTEXT: &[u8] = b"starling 1 rescue copy to be kept";
const ASK_CONTEXT: &[u8] = b"starling 1 rescue copy asked for";

/// What is saved of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescue {
    /// Display name.
    pub name: String,
    /// When it was made, Unix milliseconds; of several copies the newest counts.
    pub made_at: u64,
    /// Its unique names, at most [`RESCUED_NAMES_MAX`].
    pub names: Vec<Held>,
    /// What the person shows and to whom, without the picture.
    pub shown: Vec<(Part, OwnPart)>,
    /// People, at most [`RESCUED_MAX`].
    pub people: Vec<Rescued>,
}

/// Somebody the account knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescued {
    /// Who.
    pub account: AccountId,
    /// Not to be heard of again; else a contact.
    pub blocked: bool,
    /// What they are called here.
    pub name: String,
    /// Their network, where it is another one.
    pub network: Option<NetworkId>,
    /// Where they were found, where their network is another one.
    pub home: Option<SupernodeAddr>,
}

/// Why a copy was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RescueError {
    /// Larger than allowed, or with more people or names.
    #[error("the rescue copy is larger than Starling allows")]
    TooLarge,
    /// Damaged, or for another recovery key.
    #[error("the rescue copy could not be opened; it is damaged or belongs to another account")]
    Unreadable,
    /// Not by the account's signing key.
    #[error("the rescue copy was not signed by the account's key")]
    Signature,
}

#[derive(Serialize, Deserialize)]
struct Inside {
    rescue: Rescue,
    signature: ([u8; 32], [u8; 32]),
    padding: Vec<u8>,
}

impl Rescue {
    /// As much of it as a copy holds, the first people first.
    pub fn cut(mut self) -> Self {
        let room = RESCUE_MAX - 1 - sealing::OVERHEAD - STEP - ROUND;
        self.people.truncate(RESCUED_MAX);
        self.names.truncate(RESCUED_NAMES_MAX);
        let beside = encode_body(&(&self.names, &self.shown)).len();
        let mut left = room.saturating_sub(self.name.len() + beside);
        let mut fits = |person: &Rescued| {
            let rest = left.checked_sub(encode_body(person).len());
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        let count = self.people.iter().take_while(|person| fits(person)).count();
        self.people.truncate(count);
        self
    }

    /// Signed and filled up. Outside of [`Rescue::seal`] only for fuzzing.
    #[doc(hidden)]
    pub fn inside(self, signing: &SigningKey, account: AccountId) -> Vec<u8> {
        let mut inside = Inside {
            signature: sign(signing, &signed_bytes(account, &self)),
            rescue: self,
            padding: Vec::new(),
        };
        let bytes = encode_body(&inside).len();
        inside.padding = vec![0; bytes.next_multiple_of(STEP) - bytes];
        encode_body(&inside)
    }

    /// Seals it for a recovery key. `seed` is fresh randomness.
    pub fn seal(
        self,
        signing: &SigningKey,
        account: AccountId,
        recovery_key: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<Vec<u8>, RescueError> {
        let inside = self.inside(signing, account);
        let point = VerifyingKey::from_bytes(recovery_key).map_err(|_| RescueError::Unreadable)?;
        let point = point.to_montgomery().to_bytes();
        let sealed = sealing::seal(&point, place(&account), &inside, seed)
            .map_err(|_| RescueError::Unreadable)?;
        let copy = [&[VERSION], sealed.as_slice()].concat();
        if copy.len() > RESCUE_MAX {
            return Err(RescueError::TooLarge);
        }
        Ok(copy)
    }
}

/// Opens a copy of `account` (`RESCUE-01`, `RESCUE-03`, `RESCUE-04`). `signing_key` is the one that signs for the account today.
pub fn open(
    copy: &[u8],
    account: AccountId,
    recovery: &SigningKey,
    signing_key: &[u8; 32],
) -> Result<Rescue, RescueError> {
    // RESCUE-01
    if copy.len() > RESCUE_MAX {
        return Err(RescueError::TooLarge);
    }
    // RESCUE-03
    let (&VERSION, sealed) = copy.split_first().ok_or(RescueError::Unreadable)? else {
        return Err(RescueError::Unreadable);
    };
    let plain = sealing::private_key(&recovery.to_scalar_bytes())
        .and_then(|private| sealing::open(&private, place(&account), sealed))
        .map_err(|_| RescueError::Unreadable)?;
    read_inside(&plain, account, signing_key)
}

fn place(account: &AccountId) -> Place<'_> {
    Place {
        info: INFO,
        about: account.as_bytes(),
    }
}

/// What was sealed, checked. Outside of [`open`] only for fuzzing, since no mutated copy gets past its tag.
pub(crate) fn read_inside(
    plain: &[u8],
    account: AccountId,
    signing_key: &[u8; 32],
) -> Result<Rescue, RescueError> {
    let inside = frame::decode_body::<Inside>(plain, RESCUE_MAX);
    let Inside {
        rescue, signature, ..
    } = inside.map_err(|_| RescueError::Unreadable)?;
    // RESCUE-01
    let mut names = rescue.people.iter().map(|person| &person.name);
    let long = |name: &String| name.len() > NAME_MAX;
    let fits = |(part, shown): &(Part, OwnPart)| shown.check(*part).is_ok();
    let many = rescue.people.len() > RESCUED_MAX
        || rescue.names.len() > RESCUED_NAMES_MAX
        || rescue.shown.len() > Part::ALL.len();
    let long_part = !rescue.shown.iter().all(fits);
    let too_large = many || long_part || long(&rescue.name) || names.any(long);
    if too_large {
        return Err(RescueError::TooLarge);
    }
    // RESCUE-04: anybody can seal for a public key.
    let message = signed_bytes(account, &rescue);
    if !signed_by(signing_key, &message, signature) {
        return Err(RescueError::Signature);
    }
    Ok(rescue)
}

/// `RESCUE-06`: "the account wants this copy kept", said to a supernode, which cannot look inside.
pub fn bring(signing: &SigningKey, account: AccountId, copy: &[u8]) -> ([u8; 32], [u8; 32]) {
    sign(signing, &kept_bytes(account, copy))
}

/// Whether that is so: a device that only belongs to the account cannot replace its copy.
pub fn may_keep(
    signing_key: &[u8; 32],
    account: AccountId,
    copy: &[u8],
    signature: ([u8; 32], [u8; 32]),
) -> bool {
    signed_by(signing_key, &kept_bytes(account, copy), signature)
}

fn kept_bytes(account: AccountId, copy: &[u8]) -> Vec<u8> {
    let mut bytes = KEEP_CONTEXT.to_vec();
    bytes.extend_from_slice(&encode_body(&(account, blake3::hash(copy).as_bytes())));
    bytes
}

/// `RESCUE-02`: "I have this account's recovery key", said at one supernode under one front door.
pub fn ask(
    recovery: &SigningKey,
    account: AccountId,
    supernode: EndpointKey,
    asker: EndpointKey,
) -> ([u8; 32], [u8; 32]) {
    sign(recovery, &asked_bytes(account, supernode, asker))
}

/// Whether that is so.
pub fn may_have(
    recovery_key: &[u8; 32],
    account: AccountId,
    (supernode, asker): (EndpointKey, EndpointKey),
    signature: ([u8; 32], [u8; 32]),
) -> bool {
    let message = asked_bytes(account, supernode, asker);
    signed_by(recovery_key, &message, signature)
}

fn asked_bytes(account: AccountId, supernode: EndpointKey, asker: EndpointKey) -> Vec<u8> {
    let mut bytes = ASK_CONTEXT.to_vec();
    bytes.extend_from_slice(&encode_body(&(account, supernode, asker)));
    bytes
}

fn signed_bytes(account: AccountId, rescue: &Rescue) -> Vec<u8> {
    let mut bytes = SIGN_CONTEXT.to_vec();
    bytes.extend_from_slice(&encode_body(&(account, rescue)));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Founding;

    const SEED: [u8; 32] = [3; 32];

    fn person(number: u64, name: &str) -> Rescued {
        let mut account = [0; 32];
        account[..8].copy_from_slice(&number.to_be_bytes());
        Rescued {
            account: AccountId(account),
            blocked: number.is_multiple_of(7),
            name: name.to_owned(),
            network: None,
            home: None,
        }
    }

    fn named() -> Held {
        Held {
            name: crate::name::Name::typed("alice").expect("a name"),
            claimed: crate::own_name::Claimed {
                network: NetworkId([5; 32]),
                registrar: AccountId([6; 32]),
                listing: None,
                asked_at: 0,
            },
            answered: crate::own_name::Answered::default(),
        }
    }

    fn rescue(people: u64, name: &str) -> Rescue {
        Rescue {
            name: "Alice".into(),
            made_at: 1_700_000_000_000,
            names: Vec::new(),
            shown: vec![(Part::About, OwnPart::default())],
            people: (0..people).map(|number| person(number, name)).collect(),
        }
    }

    fn sealed(rescue: Rescue) -> (Founding, AccountId, Vec<u8>) {
        let founding = Founding::new(&SEED);
        let inception = founding.inception();
        let copy = rescue
            .seal(
                &founding.signing,
                inception.id(),
                &inception.recovery_key,
                [9; 32],
            )
            .expect("fits");
        (founding, inception.id(), copy)
    }

    fn opened(founding: &Founding, account: AccountId, copy: &[u8]) -> Result<Rescue, RescueError> {
        let signing = founding.signing.verifying_key().to_bytes();
        open(copy, account, &founding.recovery, &signing)
    }

    #[test]
    fn rescue_01_as_many_people_as_fit_are_in_a_copy_and_the_first_come_first() {
        let all = rescue(2_000, &"n".repeat(NAME_MAX));
        let cut = all.clone().cut();
        assert!(cut.people.len() > 200, "{}", cut.people.len());
        assert_eq!(cut.people[..], all.people[..cut.people.len()]);
        let (founding, account, copy) = sealed(cut.clone());
        assert!(copy.len() <= RESCUE_MAX);
        assert_eq!(opened(&founding, account, &copy), Ok(cut));
        let short = rescue(1_000, "Bob").cut();
        assert_eq!(short.people.len(), 1_000, "a thousand with short names fit");
        assert_eq!(
            sealed(rescue(0, "")).2.len(),
            sealed(rescue(50, "Bob")).2.len()
        );
        let long = opened(&founding, account, &sealed(rescue(1, &"n".repeat(129))).2);
        assert_eq!(long, Err(RescueError::TooLarge));
        assert_eq!(
            opened(&founding, account, &vec![1; RESCUE_MAX + 1]),
            Err(RescueError::TooLarge)
        );
        let held = |count| Rescue {
            names: vec![named(); count],
            ..rescue(1_500, "Bob")
        };
        let cut = held(20).cut();
        assert_eq!(cut.names.len(), RESCUED_NAMES_MAX);
        let (founding, account, copy) = sealed(cut.clone());
        assert_eq!(opened(&founding, account, &copy), Ok(cut));
        let many = Rescue {
            people: Vec::new(),
            ..held(9)
        };
        let many = opened(&founding, account, &sealed(many).2);
        assert_eq!(many, Err(RescueError::TooLarge));
    }

    #[test]
    fn rescue_02_a_copy_is_for_whoever_has_the_words_at_this_supernode_under_this_door() {
        let founding = Founding::new(&SEED);
        let account = founding.inception().id();
        let key = founding.recovery.verifying_key().to_bytes();
        let places = (EndpointKey([1; 32]), EndpointKey([2; 32]));
        let asked = ask(&founding.recovery, account, places.0, places.1);
        assert!(may_have(&key, account, places, asked));
        assert!(!may_have(&key, account, (places.1, places.0), asked));
        assert!(!may_have(&key, AccountId([0; 32]), places, asked));
        let thief = ask(&founding.signing, account, places.0, places.1);
        assert!(!may_have(&key, account, places, thief));
    }

    #[test]
    fn rescue_06_a_copy_is_replaced_by_the_account_alone() {
        let (founding, account, copy) = sealed(rescue(3, "Bob"));
        let key = founding.signing.verifying_key().to_bytes();
        let signed = bring(&founding.signing, account, &copy);
        assert!(may_keep(&key, account, &copy, signed));
        assert!(!may_keep(&key, account, b"empty", signed));
        assert!(!may_keep(&key, AccountId([0; 32]), &copy, signed));
        let device = SigningKey::from_bytes(&[6; 32]);
        let forged = bring(&device, account, b"empty");
        assert!(!may_keep(&key, account, b"empty", forged));
    }

    #[test]
    fn rescue_03_only_the_recovery_key_opens_a_copy_and_no_byte_may_change() {
        let (founding, account, copy) = sealed(rescue(3, "Bob"));
        let other = Founding::new(&[4; 32]);
        assert_eq!(opened(&other, account, &copy), Err(RescueError::Unreadable));
        let elsewhere = AccountId([1; 32]);
        assert_eq!(
            opened(&founding, elsewhere, &copy),
            Err(RescueError::Unreadable)
        );
        for at in [0, 1, 40, copy.len() - 1] {
            let mut damaged = copy.clone();
            damaged[at] ^= 1;
            assert_eq!(
                opened(&founding, account, &damaged),
                Err(RescueError::Unreadable),
                "{at}"
            );
        }
        assert_eq!(
            opened(&founding, account, &[]),
            Err(RescueError::Unreadable)
        );
    }

    #[test]
    fn rescue_04_a_copy_that_somebody_else_sealed_is_none() {
        let founding = Founding::new(&SEED);
        let inception = founding.inception();
        let stranger = SigningKey::from_bytes(&[8; 32]);
        let forged = rescue(1, "Mallory")
            .seal(&stranger, inception.id(), &inception.recovery_key, [9; 32])
            .expect("fits");
        assert_eq!(
            opened(&founding, inception.id(), &forged),
            Err(RescueError::Signature)
        );
    }
}
