//! A conversation's log at its holders (ALPN `starling/1/log`, spec page "mailbox"): what lies there and what is said about it.
//!
//! An [`Entry`] is a sealed body with a few words in clear for the holder: which kind, at which slot. Every member signs with the
//! same key, so a holder learns that a member wrote, and not which one. [`keys`] has the keys of a box and its id, [`grant`] what
//! lets somebody open one, [`frames`] what is said, [`seal`] what lies in a body, [`padding`] how long it may be.
//!
//! Sizes are bytes; days are days since 1970, UTC.

pub mod frames;
pub mod grant;
pub mod keys;
pub mod padding;
pub mod seal;

#[doc(hidden)]
pub mod fuzz;

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::{EntryId, EpochTag, MailboxId};
use crate::ordering::{ATTEMPTS_MAX, Slot};

/// The version of entries that is written today.
pub const VERSION: u8 = 1;
/// The body of a message, a certificate or a notice that the group has moved.
pub const BODY_MAX: usize = 64 * 1024;
/// The body of a commit, or of what somebody needs to join.
pub const COMMIT_BODY_MAX: usize = 1024 * 1024;
/// Entries of one box.
pub const BOX_ENTRIES_MAX: usize = 20_000;
/// Bytes of one box, each entry with its [`ENTRY_COST`].
pub const BOX_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What an entry takes of a box beside its body.
pub const ENTRY_COST: u64 = 256;
/// Days that an entry is kept.
pub const KEPT_DAYS: u32 = 30;

const ID_CONTEXT: &str = "starling 1 log entry";
const SIGN_CONTEXT: &[u8] = b"starling 1 log deposit";

/// What an entry is, as far as its holder has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Something said.
    Message,
    /// A commit that is proposed for its slot.
    Commit {
        /// The tag of the epoch that it begins.
        next: EpochTag,
    },
    /// The same by somebody who joins with it (RFC 9420 section 12.4.3.2).
    ExternalCommit {
        /// The tag of the epoch that it begins.
        next: EpochTag,
    },
    /// That a slot is settled, copied from holders of before.
    Certificate,
    /// What somebody needs to join again (RFC 9420 section 12.4.3): the newest one counts.
    GroupInfo,
    /// Where the group has gone.
    Moved,
    /// What lets those in whom a settled commit takes in.
    Welcome,
}

impl Kind {
    /// The longest body.
    pub const fn body_max(self) -> usize {
        match self {
            Self::Message | Self::Certificate | Self::Moved => BODY_MAX,
            Self::Commit { .. } | Self::ExternalCommit { .. } | Self::GroupInfo | Self::Welcome => {
                COMMIT_BODY_MAX
            }
        }
    }

    /// The epoch that a commit begins.
    pub const fn next(self) -> Option<EpochTag> {
        match self {
            Self::Commit { next } | Self::ExternalCommit { next } => Some(next),
            _ => None,
        }
    }
}

/// An entry without its body, as it travels: nobody has looked at it. The body follows it on the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`VERSION`].
    pub version: u8,
    /// The box.
    pub mailbox: MailboxId,
    /// What it is.
    pub kind: Kind,
    /// A commit: the slot it is proposed for. Anything else: the slot that was open when it was written.
    pub slot: Slot,
    /// How long the body is.
    pub body_bytes: u32,
    /// Ed25519 by the deposit key over context, box and id.
    pub signature: ([u8; 32], [u8; 32]),
}

/// An entry that a member signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    id: EntryId,
    head: Head,
    body: Arc<[u8]>,
}

/// Why an entry was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Written by a newer Starling.
    #[error("an entry was written by a newer version of Starling; this one has to be updated")]
    Newer,
    /// Too long for its kind, or an attempt beyond the bound.
    #[error("an entry is larger than allowed")]
    TooLarge,
    /// Its length tells how long its text is.
    #[error("an entry is not padded to one of the lengths that all have in common")]
    NotPadded,
    /// Not the body that the head announces.
    #[error("an entry has another length than it says")]
    Length,
    /// Of another box.
    #[error("an entry is for another box")]
    OtherBox,
    /// No member signed it.
    #[error("an entry is not signed with its box's key")]
    NotSigned,
}

impl Head {
    /// `BOX-02`: bounds, before room is made for a body.
    pub fn check(&self) -> Result<(), EntryError> {
        if self.version != VERSION {
            return Err(EntryError::Newer);
        }
        let bytes = self.body_bytes as usize;
        if bytes > self.kind.body_max() || self.slot.attempt > ATTEMPTS_MAX {
            return Err(EntryError::TooLarge);
        }
        if padding::class(bytes) != Some(bytes) {
            return Err(EntryError::NotPadded);
        }
        Ok(())
    }

    /// `BOX-03`: an entry of this box that a holder of its deposit key signed.
    pub fn verify(
        self,
        body: Arc<[u8]>,
        mailbox: MailboxId,
        deposit_key: &[u8; 32],
    ) -> Result<Entry, EntryError> {
        self.check()?;
        if body.len() != self.body_bytes as usize {
            return Err(EntryError::Length);
        }
        if self.mailbox != mailbox {
            return Err(EntryError::OtherBox);
        }
        let id = self.id(&body);
        match signed_by(deposit_key, &signed_bytes(mailbox, id), self.signature) {
            true => Ok(Entry {
                id,
                head: self,
                body,
            }),
            false => Err(EntryError::NotSigned),
        }
    }

    /// What it takes of a box.
    pub const fn cost(&self) -> u64 {
        self.body_bytes as u64 + ENTRY_COST
    }

    /// The hash of all that is said before the signature, but for the box: the same at each holder.
    pub fn id(&self, body: &[u8]) -> EntryId {
        id_of(self.version, self.kind, self.slot, body)
    }
}

/// The id of an entry that this version writes, whoever signs it for which box.
pub fn entry_id(kind: Kind, slot: Slot, body: &[u8]) -> EntryId {
    id_of(VERSION, kind, slot, body)
}

fn id_of(version: u8, kind: Kind, slot: Slot, body: &[u8]) -> EntryId {
    let told = (version, kind, slot, body.len() as u32);
    let mut hasher = blake3::Hasher::new_derive_key(ID_CONTEXT);
    hasher.update(&frame::encode_body(&told)).update(body);
    EntryId(*hasher.finalize().as_bytes())
}

impl Entry {
    /// Signed for a box with its deposit key. The body is sealed and has one of the lengths of [`padding`].
    pub fn new(
        (kind, slot): (Kind, Slot),
        body: Arc<[u8]>,
        (mailbox, deposit_key): (MailboxId, &SigningKey),
    ) -> Result<Self, EntryError> {
        let mut head = Head {
            version: VERSION,
            mailbox,
            kind,
            slot,
            body_bytes: u32::try_from(body.len()).map_err(|_| EntryError::TooLarge)?,
            signature: ([0; 32], [0; 32]),
        };
        head.check()?;
        let id = head.id(&body);
        head.signature = sign(deposit_key, &signed_bytes(mailbox, id));
        Ok(Self { id, head, body })
    }

    /// The same entry for another box: its id stays.
    pub fn signed_for(&self, mailbox: MailboxId, deposit_key: &SigningKey) -> Self {
        let signature = sign(deposit_key, &signed_bytes(mailbox, self.id));
        Self {
            head: Head {
                mailbox,
                signature,
                ..self.head
            },
            ..self.clone()
        }
    }

    /// Its id.
    pub const fn id(&self) -> EntryId {
        self.id
    }

    /// All but the body.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The sealed body.
    pub const fn body(&self) -> &Arc<[u8]> {
        &self.body
    }
}

fn signed_bytes(mailbox: MailboxId, id: EntryId) -> Vec<u8> {
    [SIGN_CONTEXT, mailbox.as_bytes(), id.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
