//! How a new device joins an account: a link with a one-time secret, the frames between the two front doors (ALPN
//! `starling/1/link`), and the four words that both screens show.
//!
//! The connection proves both front doors' keys. The new device binds itself to a random number before it sees the other
//! side's (a commitment, as ZRTP has it, RFC 6189 section 4.4.1.1), and shows its own number afterwards. So nobody in between can try out
//! keys until both sides' words come out the same: one try has one chance in 2^44.

use std::fmt;
use std::str::FromStr;

use bip0039::English;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::account::{sign, signed_by};
use crate::card::{CardError, SignedCard, VerifiedCard};
use crate::envelope;
use crate::frame;
use crate::ids::{DeviceId, EndpointKey};
use crate::limits::{DEVICE_NAME_MAX, LINK_MAX, NAME_MAX};
use crate::link::{self, DEVICE_SCHEME, LinkError};
use crate::network::SUPERNODES_IN_FILE_MAX;
use crate::supernode::SupernodeAddr;

const PROOF_CONTEXT: &str = "starling 1 pairing proof";
const WORDS_CONTEXT: &str = "starling 1 pairing words";
const COMMITMENT_CONTEXT: &str = "starling 1 pairing commitment";
const DEVICE_CONTEXT: &[u8] = b"starling 1 pairing device";

/// Bound on one frame from a new device, who may be anybody.
pub const FROM_NEWCOMER_MAX: usize = 512;
/// Bound on one frame from the owner's device. The largest card with the longest list of supernodes fits.
pub const FROM_OWNER_MAX: usize = 32 * 1024;
/// Words that are compared.
pub const WORDS: usize = 4;
/// Bits of one: the list has 2,048.
const WORD_BITS: u32 = 11;

/// The one-time secret in a link. Never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret([u8; 16]);

impl Secret {
    /// Of fresh randomness.
    pub const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    fn hash(&self, context: &str, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&blake3::derive_key(context, &self.0), bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What the owner's device shows as text and QR code. Whoever has it may ask to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingLink {
    /// Known to whoever was shown the link.
    pub secret: Secret,
    /// The front door of the owner's device.
    pub door: EndpointKey,
    /// Where that is reached, one to three.
    pub supernodes: Vec<SupernodeAddr>,
}

impl fmt::Display for PairingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&link::write_text(DEVICE_SCHEME, &frame::encode_body(self)))
    }
}

impl FromStr for PairingLink {
    type Err = LinkError;

    /// `PAIR-01`.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let body = link::read_text(DEVICE_SCHEME, text).map_err(|error| match error {
            LinkError::Scheme => LinkError::NotDevice,
            other => other,
        })?;
        Self::read_body(&body)
    }
}

impl PairingLink {
    /// What stands between version and check bytes; for fuzzing, too.
    pub(crate) fn read_body(body: &[u8]) -> Result<Self, LinkError> {
        let link: Self = frame::decode_body(body, LINK_MAX).map_err(|_| LinkError::Damaged)?;
        link::check_supernodes(&link.supernodes)?;
        Ok(link)
    }
}

/// The two front doors of an exchange, as the connection proves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// Of the device that showed the link.
    pub owner: EndpointKey,
    /// Of the one that read it.
    pub newcomer: EndpointKey,
}

/// How a new device introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its key.
    pub device: DeviceId,
    /// What it is called, at most [`DEVICE_NAME_MAX`] bytes.
    pub name: String,
    /// To the number that it will reveal.
    pub commitment: [u8; 32],
    /// By the link's secret, over both doors and the fields above.
    pub proof: [u8; 32],
    /// By the device, over the same.
    pub signature: ([u8; 32], [u8; 32]),
}

impl Hello {
    /// Of a device with this key; `number` is fresh randomness and stays here for now.
    pub fn new(
        device: &SigningKey,
        name: String,
        secret: &Secret,
        doors: Doors,
        number: &[u8; 32],
    ) -> Self {
        let mut hello = Self {
            device: DeviceId(device.verifying_key().to_bytes()),
            name,
            commitment: commitment(number),
            proof: [0; 32],
            signature: ([0; 32], [0; 32]),
        };
        let bytes = hello.bytes(doors);
        hello.proof = *secret.hash(PROOF_CONTEXT, &bytes).as_bytes();
        hello.signature = sign(device, &signed_bytes(&bytes));
        hello
    }

    /// Whether its sender has the secret, then whether he has the device's key, too, and its name is one.
    pub fn verify(&self, secret: &Secret, doors: Doors) -> Result<(), EndReason> {
        let bytes = self.bytes(doors);
        // PAIR-02: the link's secret; compared in constant time.
        if secret.hash(PROOF_CONTEXT, &bytes) != blake3::Hash::from_bytes(self.proof) {
            return Err(EndReason::WrongSecret);
        }
        // PAIR-03: the device's key, and a name that can be shown.
        let holds = signed_by(
            self.device.as_bytes(),
            &signed_bytes(&bytes),
            self.signature,
        );
        if !holds || !is_name(&self.name) {
            return Err(EndReason::Malformed);
        }
        Ok(())
    }

    /// `PAIR-04`: whether it had bound itself to this number.
    pub fn commits_to(&self, number: &[u8; 32]) -> bool {
        self.commitment == commitment(number)
    }

    /// `PAIR-05`: the words of an exchange: of the secret, both doors, all that the new device said, and both numbers.
    pub fn words(
        &self,
        secret: &Secret,
        doors: Doors,
        owners: &[u8; 32],
        newcomers: &[u8; 32],
    ) -> Words {
        let bytes = frame::encode_body(&(self.bytes(doors), owners, newcomers));
        let hash = secret.hash(WORDS_CONTEXT, &bytes);
        let mut bits = hash.as_bytes()[..8]
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let list = English::words();
        Words(std::array::from_fn(|_| {
            bits = bits.rotate_left(WORD_BITS);
            list[(bits % (1 << WORD_BITS)) as usize]
        }))
    }

    fn bytes(&self, doors: Doors) -> Vec<u8> {
        frame::encode_body(&(doors, self.device, &self.name, self.commitment))
    }
}

fn commitment(number: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(COMMITMENT_CONTEXT, number)
}

fn signed_bytes(bytes: &[u8]) -> Vec<u8> {
    [DEVICE_CONTEXT, bytes].concat()
}

fn is_name(name: &str) -> bool {
    name.len() <= DEVICE_NAME_MAX && !name.trim().is_empty() && !name.chars().any(char::is_control)
}

/// Four words of BIP 39's English list. Both people read them aloud; they are no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words([&'static str; WORDS]);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Everything a new device needs to begin. Contacts, profile and settings follow ([`crate::sync`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The account's card, whose chain lists the new device.
    pub card: SignedCard,
    /// Opens sealed requests.
    pub request_secret: [u8; 32],
    /// The account's signing key, for a device marked as owner.
    pub signing_key: Option<[u8; 32]>,
    /// What the network is called.
    pub network: String,
    /// Its supernodes.
    pub supernodes: Vec<SupernodeAddr>,
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome").finish_non_exhaustive()
    }
}

impl Drop for Welcome {
    fn drop(&mut self) {
        self.request_secret.zeroize();
        self.signing_key.zeroize();
    }
}

/// A welcome that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedWelcome {
    /// The account with this device in it.
    pub card: VerifiedCard,
    /// As it came.
    pub welcome: Welcome,
}

/// Why a welcome was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WelcomeError {
    /// Its card is not valid.
    #[error("the other device sent an account that is not valid: {0}")]
    Card(#[from] CardError),
    /// Its chain does not list this device.
    #[error("the other device did not add this one to its account; try again with a new link")]
    NotListed,
    /// Keys of another account.
    #[error("the other device sent keys that are not its account's; try again with a new link")]
    Keys,
    /// A network that cannot be.
    #[error("the other device sent a network that cannot be one; try again with a new link")]
    Network,
}

impl Welcome {
    /// `PAIR-06`: a valid account that lists this device, its own keys, and a network that can be one.
    pub fn verify(self, device: DeviceId) -> Result<VerifiedWelcome, WelcomeError> {
        let fits =
            self.network.len() <= NAME_MAX && self.supernodes.len() <= SUPERNODES_IN_FILE_MAX;
        if !fits || !self.supernodes.iter().all(SupernodeAddr::is_usable) {
            return Err(WelcomeError::Network);
        }
        let card = self.card.verify()?;
        let listed = card.account().devices().get(&device);
        let owner = listed.ok_or(WelcomeError::NotListed)?.owner;
        let requests = envelope::request_key(&self.request_secret) == card.card().request_key;
        let signs = |seed| card.account().is_signing_key(seed);
        let signs = self.signing_key.as_ref().is_none_or(signs);
        if !requests || !signs || owner != self.signing_key.is_some() {
            return Err(WelcomeError::Keys);
        }
        Ok(VerifiedWelcome {
            card,
            welcome: self,
        })
    }
}

/// One frame of the exchange. The new device opens the stream, as `LinkFrame::Pair` says what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairingFrame {
    /// New device: "I know the secret, and this is me."
    Hello(Hello),
    /// Owner's: a random number.
    Number([u8; 32]),
    /// New device: the number it had bound itself to.
    Reveal([u8; 32]),
    /// Owner's: "You are in."
    Welcome(Box<Welcome>),
    /// New device: "I have stored all of it."
    Kept,
    /// Either: "This has come to its end."
    End(EndReason),
}

/// Why one side ends the exchange; the sentence is for the person at the other one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
pub enum EndReason {
    /// `PAIR-02`.
    #[error("the other device does not know this link; copy the newest one it shows, whole")]
    WrongSecret,
    /// Another device came first (`PAIR-07`).
    #[error("this link was used by another device already; make a new one, and use it here first")]
    Used,
    /// Ten minutes are over (`PAIR-08`).
    #[error("this link was valid for ten minutes, which are over; make a new one")]
    Expired,
    /// By a person.
    #[error("it was cancelled on the other device")]
    Cancelled,
    /// What was said does not belong together (`PAIR-03`, `PAIR-04`).
    #[error("the two devices do not understand each other; update Starling on both and try again")]
    Malformed,
}

#[cfg(test)]
mod tests;
