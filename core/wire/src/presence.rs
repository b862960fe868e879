//! Presence: what a device tells its contacts of its person, and the ids by which they ask for it (spec page
//! `presence.md`).
//!
//! A state is sealed for those who hold the account's card and signed by the front door that it is about. Sealed, every
//! state has one length: whoever keeps it cannot tell *online* from *invisible*. Seconds are Unix time.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::{AccountId, EndpointKey, SubscriptionId};
use crate::limits::MOOD_MAX;
use crate::sealing::{self, Place};

const SUBSCRIPTION_CONTEXT: &str = "starling 1 presence subscription";
const KEY_CONTEXT: &str = "starling 1 presence key";
const INFO: &[u8] = b"starling 1 presence";
const SIGN_CONTEXT: &[u8] = b"starling 1 presence state";
/// Of what is sealed, filled up with zeros. The longest has 227.
const PLAIN: usize = 240;
/// Of every sealed state.
pub const SEALED: usize = PLAIN + sealing::OVERHEAD;

/// How a person wants to be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Availability {
    /// There.
    #[default]
    Online,
    /// Not at the machine.
    Away,
    /// There, and not to be disturbed.
    Busy,
    /// To be shown as if nobody were there.
    Invisible,
}

/// What a device says of its person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Of this front door's states, the highest counts.
    pub counter: u64,
    /// When the person chose what is the same on all devices of the account; one that has not heard of it yet says an earlier time.
    /// Above all that were chosen before, whatever the clock says.
    pub chosen: u64,
    /// How the person wants to be seen.
    pub availability: Availability,
    /// In a call; also false when that is not shared.
    pub in_call: bool,
    /// When the person was last seen, if it is to be shown as gone.
    pub seen: Option<u64>,
    /// What the person says, at most [`MOOD_MAX`] bytes.
    pub mood: String,
}

/// A state as it lies at a supernode: [`SEALED`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed(pub Vec<u8>);

/// Why a state was not made or not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Too much text.
    #[error("what you say about yourself is too long; {MOOD_MAX} bytes are allowed")]
    MoodTooLong,
    /// Not sealed for this card's holders, or malformed.
    #[error("a contact's state could not be opened")]
    Unreadable,
    /// Not signed by the front door it is about.
    #[error("a contact's state was not signed by the contact's front door")]
    Signature,
}

/// The id by which the account `watcher` watches `door`. Both sides make it: each of its own request secret and the other's
/// request key. `None` for a key with which everybody could make it.
pub fn subscription(
    secret: &[u8; 32],
    request_key: &[u8; 32],
    door: EndpointKey,
    watcher: AccountId,
) -> Option<SubscriptionId> {
    // PRESENCE-12: a key of small order makes the same zeros with everybody.
    let shared = sealing::agree(secret, request_key)?;
    let mut hasher = blake3::Hasher::new_derive_key(SUBSCRIPTION_CONTEXT);
    hasher.update(&*shared);
    hasher.update(door.as_bytes());
    hasher.update(watcher.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Some(SubscriptionId(id))
}

/// What opens the states of one front door: whoever has the account's card can make it.
fn key(discovery_key: &[u8; 32], door: EndpointKey) -> Zeroizing<[u8; 32]> {
    let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
    hasher.update(discovery_key);
    hasher.update(door.as_bytes());
    Zeroizing::new(*hasher.finalize().as_bytes())
}

impl State {
    /// Signs it with the front door's key and seals it for whoever holds the card. `seed` is fresh randomness.
    pub fn seal(
        &self,
        door: &SigningKey,
        discovery_key: &[u8; 32],
        seed: [u8; 32],
    ) -> Result<Sealed, StateError> {
        if self.mood.len() > MOOD_MAX {
            return Err(StateError::MoodTooLong);
        }
        let about = EndpointKey(door.verifying_key().to_bytes());
        let signature = sign(door, &self.signed_bytes(about));
        let mut plain = frame::encode_body(&(self, signature));
        plain.resize(PLAIN, 0);
        let (_, public) = sealing::derive(&key(discovery_key, about));
        sealing::seal(&public, place(&about), &plain, seed)
            .map(Sealed)
            .map_err(|_| StateError::Unreadable)
    }

    fn signed_bytes(&self, door: EndpointKey) -> Vec<u8> {
        let mut bytes = SIGN_CONTEXT.to_vec();
        bytes.extend_from_slice(&frame::encode_body(&(door, self)));
        bytes
    }

    fn read(plain: &[u8], door: EndpointKey) -> Result<Self, StateError> {
        let read = frame::decode_start::<(Self, ([u8; 32], [u8; 32]))>(plain);
        let ((state, signature), filler) = read.map_err(|_| StateError::Unreadable)?;
        if filler.iter().any(|byte| *byte != 0) || state.mood.len() > MOOD_MAX {
            return Err(StateError::Unreadable);
        }
        // PRESENCE-14: neither a supernode nor another contact speaks for it.
        if !signed_by(door.as_bytes(), &state.signed_bytes(door), signature) {
            return Err(StateError::Signature);
        }
        Ok(state)
    }
}

impl Sealed {
    /// `PRESENCE-13`: every state has one length.
    pub const fn is_whole(&self) -> bool {
        self.0.len() == SEALED
    }

    /// What the front door `door` says to those who hold its account's card.
    pub fn open(&self, door: EndpointKey, discovery_key: &[u8; 32]) -> Result<State, StateError> {
        if !self.is_whole() {
            return Err(StateError::Unreadable);
        }
        let (private, _) = sealing::derive(&key(discovery_key, door));
        let plain =
            sealing::open(&private, place(&door), &self.0).map_err(|_| StateError::Unreadable)?;
        State::read(&plain, door)
    }
}

fn place(door: &EndpointKey) -> Place<'_> {
    Place {
        info: INFO,
        about: door.as_bytes(),
    }
}

/// What a supernode says of a subscription id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sighting {
    /// Nothing: nobody here lets that id see anything.
    #[default]
    Nothing,
    /// The device's link is up, and this is what it left last.
    Here(Sealed),
    /// Its link ended.
    Left {
        /// When, rounded down to a minute.
        at: u64,
        /// What it left last.
        state: Sealed,
    },
}

impl Sighting {
    /// Bounds that postcard does not know (`PRESENCE-13`).
    pub const fn is_whole(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Here(state) | Self::Left { state, .. } => state.is_whole(),
        }
    }

    /// Stands for it in a [`digest`].
    pub fn mark(&self) -> u64 {
        let hash = blake3::hash(&frame::encode_body(self));
        let mut start = [0; 8];
        start.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_be_bytes(start)
    }
}

/// Stands for a whole watch list and what is known of it: ids in their order, each with the mark of its sighting.
pub fn digest(known: impl Iterator<Item = (SubscriptionId, u64)>) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for (id, mark) in known {
        hasher.update(id.as_bytes());
        hasher.update(&mark.to_be_bytes());
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}

/// What was sealed, for fuzzing: no mutated state gets past its tag.
pub(crate) fn fuzz_inside(plain: &[u8]) {
    let _ = State::read(plain, EndpointKey([7; 32]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::request_key;
    use proptest::prelude::*;

    const DISCOVERY: [u8; 32] = [5; 32];

    fn door() -> (SigningKey, EndpointKey) {
        let key = SigningKey::from_bytes(&[3; 32]);
        let endpoint = EndpointKey(key.verifying_key().to_bytes());
        (key, endpoint)
    }

    fn away() -> State {
        State {
            counter: 7,
            availability: Availability::Away,
            mood: "on the train".into(),
            ..State::default()
        }
    }

    #[test]
    fn presence_12_both_sides_make_the_same_id_and_nobody_else_does() {
        let (alice, bob) = ([1; 32], [2; 32]);
        let (door, watcher) = (EndpointKey([9; 32]), AccountId([8; 32]));
        let ours = subscription(&alice, &request_key(&bob), door, watcher);
        assert!(ours.is_some());
        assert_eq!(
            ours,
            subscription(&bob, &request_key(&alice), door, watcher)
        );
        let others = [
            subscription(&[3; 32], &request_key(&bob), door, watcher),
            subscription(&alice, &request_key(&bob), EndpointKey([1; 32]), watcher),
            subscription(&alice, &request_key(&bob), door, AccountId([1; 32])),
        ];
        assert!(others.iter().all(|other| *other != ours));
        assert_eq!(subscription(&alice, &[0; 32], door, watcher), None);
    }

    #[test]
    fn presence_13_every_state_has_one_length() {
        let (key, _) = door();
        let longest = State {
            counter: u64::MAX,
            chosen: u64::MAX,
            availability: Availability::Invisible,
            in_call: true,
            seen: Some(u64::MAX),
            mood: "m".repeat(MOOD_MAX),
        };
        for state in [State::default(), away(), longest] {
            let sealed = state.seal(&key, &DISCOVERY, [1; 32]).unwrap();
            assert!(sealed.is_whole());
            let opened = sealed.open(door().1, &DISCOVERY);
            assert_eq!(opened, Ok(state));
        }
        let too_long = State {
            mood: "m".repeat(MOOD_MAX + 1),
            ..State::default()
        };
        let refused = too_long.seal(&key, &DISCOVERY, [1; 32]);
        assert_eq!(refused, Err(StateError::MoodTooLong));
        let short = Sighting::Here(Sealed(vec![0; SEALED - 1]));
        assert!(!short.is_whole());
    }

    #[test]
    fn presence_14_nobody_but_the_door_says_how_its_person_is() {
        let (key, endpoint) = door();
        let sealed = away().seal(&key, &DISCOVERY, [1; 32]).unwrap();
        assert_eq!(sealed.open(endpoint, &[6; 32]), Err(StateError::Unreadable));
        // Another contact knows the card, and signs with a door of its own.
        let thief = SigningKey::from_bytes(&[4; 32]);
        let (_, public) = sealing::derive(&super::key(&DISCOVERY, endpoint));
        let signature = sign(&thief, &away().signed_bytes(endpoint));
        let mut plain = frame::encode_body(&(away(), signature));
        plain.resize(PLAIN, 0);
        let forged = sealing::seal(&public, place(&endpoint), &plain, [2; 32]).unwrap();
        let forged = Sealed(forged);
        assert_eq!(
            forged.open(endpoint, &DISCOVERY),
            Err(StateError::Signature)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_inside(&bytes);
            let _ = Sealed(bytes).open(door().1, &DISCOVERY);
        }
    }
}
