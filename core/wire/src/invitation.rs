//! An invitation to a group: the letter by which a device learns where the group's log lies and which entry takes it in. It lies at
//! the home supernodes beside other letters (spec page "super"), and shows the same postage. Spec page "group".
//!
//! Layout: one byte (2, where an [envelope](crate::envelope) has 1), 32 bytes of encapsulated key, ciphertext with its 16-byte tag (HPKE
//! base mode, RFC 9180; the device's Ed25519 key as X25519, RFC 7748 section 4.1). What is sealed is padded as entries are. Sizes
//! are bytes, times Unix seconds.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::account::{sign, signed_by};
use crate::credential::{Credential, CredentialError, Member};
use crate::frame;
use crate::group::{Form, is_topic};
use crate::ids::{DeviceId, EndpointKey, EntryId, EpochTag, GroupId};
use crate::log::keys::Generation;
use crate::log::padding;
use crate::ordering::HOLDERS_MAX;
use crate::sealing::{self, Place};

/// A sealed invitation.
pub const INVITATION_MAX: usize = 1 + 8 * 1024;
/// Earlier generations that it names: one a day for as long as entries are kept, and two more.
pub const EARLIER_MAX: usize = 32;

const VERSION: u8 = 2;
const INFO: &[u8] = b"starling 1 invitation";
const SIGN_CONTEXT: &[u8] = b"starling 1 invitation signed";

/// What a device is told that is taken into a group.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// The group.
    pub group: GroupId,
    /// A conversation of two, or of many.
    pub form: Form,
    /// What it is called, for whoever is to decide whether to come: as a group's topic. It is only what the inviter says.
    pub title: String,
    /// The entry in the log that holds the Welcome.
    pub welcome: EntryId,
    /// Where the log lies.
    pub generation: Generation,
    /// Generations before it whose logs the device may read, the latest first, at most [`EARLIER_MAX`].
    pub earlier: Vec<Generation>,
    /// The inviter's clock.
    pub sent_at: u64,
}

/// An invitation whose author was checked.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Who invites.
    pub by: Member,
    /// To what.
    pub invitation: Invitation,
}

/// Why an invitation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Beyond [`INVITATION_MAX`], a title or lists beyond their bounds, or out of order.
    #[error("an invitation to a conversation says more than Starling allows")]
    TooLarge,
    /// Another version, or not sealed for this device.
    #[error("an invitation could not be opened; it is damaged or for another device")]
    Unreadable,
    /// It opens, and is not one.
    #[error("an invitation cannot be read; whoever sent it may have a newer version of Starling")]
    Malformed,
    /// Its author is not who he says.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Not signed by its author for this device.
    #[error("an invitation was not signed by the device it names")]
    Signature,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Inside {
    credential: Credential,
    told: Told,
    /// By the inviter's device over context, recipient and what is told.
    signature: ([u8; 32], [u8; 32]),
}

#[derive(Serialize, Deserialize)]
struct Told {
    group: GroupId,
    form: Form,
    title: String,
    welcome: EntryId,
    generation: Keys,
    earlier: Vec<Keys>,
    sent_at: u64,
}

#[derive(Serialize, Deserialize)]
struct Keys {
    number: u32,
    secret: [u8; 32],
    first: EpochTag,
    holders: Vec<EndpointKey>,
}

/// Whether a letter is an invitation: nobody has looked into it.
pub fn is_one(letter: &[u8]) -> bool {
    letter.first() == Some(&VERSION)
}

impl Invitation {
    /// Signs it by the inviter's device, whose credential that is, and seals it for another one. `seed` is fresh randomness.
    pub fn seal(
        &self,
        (key, credential): (&SigningKey, &Credential),
        to: DeviceId,
        seed: [u8; 32],
    ) -> Result<Vec<u8>, InvitationError> {
        self.check()?;
        let inside = self.inside((key, credential), to);
        let padded = padding::pad(inside, sealing::OVERHEAD).ok_or(InvitationError::TooLarge)?;
        let point = VerifyingKey::from_bytes(&to.0).map_err(|_| InvitationError::Unreadable)?;
        let point = point.to_montgomery().to_bytes();
        let sealed = sealing::seal(&point, place(&to), &padded, seed)
            .map_err(|_| InvitationError::Unreadable)?;
        let letter = [&[VERSION], sealed.as_slice()].concat();
        match letter.len() > INVITATION_MAX {
            true => Err(InvitationError::TooLarge),
            false => Ok(letter),
        }
    }

    /// What is sealed, without padding. Outside of [`Invitation::seal`] only for fuzzing.
    #[doc(hidden)]
    pub fn inside(&self, (key, credential): (&SigningKey, &Credential), to: DeviceId) -> Vec<u8> {
        let told = Told::of(self);
        let signature = sign(key, &signed_bytes(to, &told));
        frame::encode_body(&Inside {
            credential: credential.clone(),
            told,
            signature,
        })
    }

    /// `INVITE-03`.
    fn check(&self) -> Result<(), InvitationError> {
        let holders = |generation: &Generation| {
            let holders = &generation.holders;
            let twice = (1..holders.len()).any(|at| holders[..at].contains(&holders[at]));
            holders.len() <= HOLDERS_MAX && !twice
        };
        let all = || std::iter::once(&self.generation).chain(&self.earlier);
        let falling = all().is_sorted_by(|later, earlier| later.number > earlier.number);
        let pair = match self.form {
            Form::Pair([one, other]) => one < other && self.title.is_empty(),
            Form::Group => true,
        };
        let few = self.earlier.len() <= EARLIER_MAX;
        match pair && few && falling && all().all(holders) && is_topic(&self.title) {
            true => Ok(()),
            false => Err(InvitationError::TooLarge),
        }
    }
}

/// Opens an invitation for the device with this key (`INVITE-01`, `INVITE-02`).
pub fn open(letter: &[u8], own: &SigningKey) -> Result<Opened, InvitationError> {
    // INVITE-01: bound, then version.
    if letter.len() > INVITATION_MAX {
        return Err(InvitationError::TooLarge);
    }
    let (&VERSION, sealed) = letter.split_first().ok_or(InvitationError::Unreadable)? else {
        return Err(InvitationError::Unreadable);
    };
    // INVITE-02: sealed for this device.
    let to = DeviceId(own.verifying_key().to_bytes());
    let padded = sealing::private_key(&own.to_scalar_bytes())
        .and_then(|private| sealing::open(&private, place(&to), sealed))
        .map_err(|_| InvitationError::Unreadable)?;
    let inside = padding::unpad(&padded).map_err(|_| InvitationError::Malformed)?;
    read_inside(inside, to)
}

/// What was sealed, checked (`INVITE-03`, `INVITE-04`). Outside of [`open`] only for fuzzing, since nothing mutated gets past its tag.
pub(crate) fn read_inside(inside: &[u8], own: DeviceId) -> Result<Opened, InvitationError> {
    let inside: Inside =
        frame::decode_body(inside, INVITATION_MAX).map_err(|_| InvitationError::Malformed)?;
    let signed = signed_bytes(own, &inside.told);
    let invitation = inside.told.invitation();
    invitation.check()?;
    // INVITE-04: a device that its account took in has signed this for the device that reads it. Written anew, as an MLS leaf has
    // it: two credentials of one device are one.
    let by = Credential::read(&inside.credential.to_bytes())?.verify()?;
    match signed_by(&by.device.0, &signed, inside.signature) {
        true => Ok(Opened { by, invitation }),
        false => Err(InvitationError::Signature),
    }
}

impl Told {
    fn of(invitation: &Invitation) -> Self {
        let keys = |generation: &Generation| Keys {
            number: generation.number,
            secret: *generation.secret,
            first: generation.first,
            holders: generation.holders.clone(),
        };
        Self {
            group: invitation.group,
            form: invitation.form,
            title: invitation.title.clone(),
            welcome: invitation.welcome,
            generation: keys(&invitation.generation),
            earlier: invitation.earlier.iter().map(keys).collect(),
            sent_at: invitation.sent_at,
        }
    }

    fn invitation(self) -> Invitation {
        let generation = |keys: Keys| Generation {
            number: keys.number,
            secret: keys.secret.into(),
            first: keys.first,
            holders: keys.holders,
        };
        Invitation {
            group: self.group,
            form: self.form,
            title: self.title,
            welcome: self.welcome,
            generation: generation(self.generation),
            earlier: self.earlier.into_iter().map(generation).collect(),
            sent_at: self.sent_at,
        }
    }
}

fn place(to: &DeviceId) -> Place<'_> {
    Place {
        info: INFO,
        about: to.as_bytes(),
    }
}

fn signed_bytes(to: DeviceId, told: &Told) -> Vec<u8> {
    [SIGN_CONTEXT, &frame::encode_body(&(to, told))].concat()
}

#[cfg(test)]
mod tests;
