//! What a group agrees on beside its keys: its [`Record`], which stands in the MLS context (RFC 9420, section 8.1), so that all
//! members have the same bytes. Spec page "group"; who may change what of it is decided in `core/chat`.
//!
//! A record is written in exactly one way. What a newer version wrote is told apart from what cannot be read: the first is no
//! fault of whoever wrote it. Sizes are bytes.

use serde::{Deserialize, Serialize};

use crate::frame;
use crate::ids::{AccountId, EndpointKey};
use crate::limits::PICTURE_MAX;
use crate::ordering::HOLDERS_MAX;
use crate::shown_name::turns_text;

pub mod leave;

#[cfg(test)]
mod tests;

/// The version that is written.
pub const VERSION: u8 = 1;
/// A record.
pub const GROUP_RECORD_MAX: usize = 48 * 1024;
/// A group's topic, in bytes of UTF-8.
pub const TOPIC_MAX: usize = 200;
/// Accounts with a role of their own.
pub const ROLES_MAX: usize = 1_000;

/// A group's own record. The fields that stand for themselves are public; [`Record::write`] refuses what is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which kind of conversation. Never changes.
    pub form: Form,
    /// What it is called; may be empty. At most [`TOPIC_MAX`].
    pub topic: String,
    /// JPEG, PNG or WebP, at most [`PICTURE_MAX`]. Decoded by nobody but the receiver's own code for pictures from outside.
    pub picture: Option<Vec<u8>>,
    /// Whether newcomers are given what was said before.
    pub history: bool,
    /// The lowest role that may take in other accounts; never a listener.
    pub invite: Role,
    /// Who is not [`Role::Member`], in the order of the ids.
    roles: Vec<(AccountId, Role)>,
    /// Where it lies.
    pub generation: Holding,
}

/// Which kind of conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Form {
    /// Of two accounts for ever, the lower id first.
    Pair([AccountId; 2]),
    /// Of anybody who is taken in.
    Group,
}

/// What an account may do. Its number on the wire is its place here, and whoever may more stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Everything.
    Owner,
    /// Takes in and out, says what the group is called.
    Moderator,
    /// Writes.
    Member,
    /// Reads.
    Listener,
}

/// The boxes in which a group's log lies, as all members know them: see [`crate::log::keys::Generation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The generation's number.
    pub number: u32,
    /// At most [`HOLDERS_MAX`], each once.
    pub holders: Vec<EndpointKey>,
    /// [`crate::log::keys::Generation::check`], once somebody was taken in within the generation.
    pub check: Option<[u8; 32]>,
}

/// Why a record was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version.
    #[error(
        "the conversation's settings were written by a newer version of Starling; this one has to be updated"
    )]
    Newer,
    /// More than [`GROUP_RECORD_MAX`].
    #[error("a conversation's settings are larger than Starling allows")]
    TooLarge,
    /// Not a record, or not as it is written.
    #[error("a conversation's settings cannot be read")]
    Malformed,
    /// Its topic.
    #[error(
        "a conversation's topic has at most {TOPIC_MAX} bytes, in one line, and nothing that turns the text round it"
    )]
    Topic,
    /// Its picture.
    #[error("a conversation's picture is JPEG, PNG or WebP and has at most {PICTURE_MAX} bytes")]
    Picture,
    /// Roles out of order, of members, too many, or in a pair.
    #[error("a conversation's list of roles is not valid")]
    Roles,
    /// A pair's two accounts.
    #[error("a conversation of two is not of two different people in their order")]
    Pair,
    /// Too many holders, or one twice.
    #[error("a conversation has at most {HOLDERS_MAX} holders, each once")]
    Holders,
}

impl Record {
    /// A new conversation of two. `None` if they are one.
    pub fn pair(one: AccountId, other: AccountId, holders: Vec<EndpointKey>) -> Option<Self> {
        let accounts = [one.min(other), one.max(other)];
        (one != other).then(|| Self::new(Form::Pair(accounts), String::new(), holders))
    }

    /// A new group, with whoever makes it as its owner.
    pub fn group(owner: AccountId, topic: String, holders: Vec<EndpointKey>) -> Self {
        let mut record = Self::new(Form::Group, topic, holders);
        record.set_role(owner, Role::Owner);
        record
    }

    fn new(form: Form, topic: String, holders: Vec<EndpointKey>) -> Self {
        Self {
            form,
            topic,
            picture: None,
            history: false,
            invite: Role::Member,
            roles: Vec::new(),
            generation: Holding {
                number: 1,
                holders,
                check: None,
            },
        }
    }

    /// Reads one (`MLS-14`).
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > GROUP_RECORD_MAX {
            return Err(RecordError::TooLarge);
        }
        let (version, rest) = bytes.split_first().ok_or(RecordError::Malformed)?;
        match *version {
            0 => return Err(RecordError::Malformed),
            VERSION => {}
            _ => return Err(RecordError::Newer),
        }
        let record: Self =
            frame::decode_body(rest, GROUP_RECORD_MAX).map_err(|_| RecordError::Malformed)?;
        record.check()?;
        // Numbers can be written longer than they need to be.
        let canonical = record.bytes() == bytes;
        canonical.then_some(record).ok_or(RecordError::Malformed)
    }

    /// Its bytes, checked.
    pub fn write(&self) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let bytes = self.bytes();
        match bytes.len() > GROUP_RECORD_MAX {
            true => Err(RecordError::TooLarge),
            false => Ok(bytes),
        }
    }

    /// The role that is written for an account: [`Role::Member`] where none is.
    pub fn role(&self, account: AccountId) -> Role {
        let at = self.roles.binary_search_by_key(&account, |(of, _)| *of);
        at.map_or(Role::Member, |at| self.roles[at].1)
    }

    /// Those that are not [`Role::Member`], in the order of the ids.
    pub fn roles(&self) -> impl Iterator<Item = (AccountId, Role)> {
        self.roles.iter().copied()
    }

    /// Gives an account another role.
    pub fn set_role(&mut self, account: AccountId, role: Role) {
        let at = self.roles.binary_search_by_key(&account, |(of, _)| *of);
        match (at, role) {
            (Ok(at), Role::Member) => drop(self.roles.remove(at)),
            (Ok(at), _) => self.roles[at].1 = role,
            (Err(_), Role::Member) => {}
            (Err(at), _) => self.roles.insert(at, (account, role)),
        }
    }

    /// Forgets the roles of accounts that are not there.
    pub fn keep_roles(&mut self, is_there: impl Fn(AccountId) -> bool) {
        self.roles.retain(|(account, _)| is_there(*account));
    }

    fn check(&self) -> Result<(), RecordError> {
        self.check_shown()?;
        self.check_roles()?;
        // MLS-17: few holders, none twice.
        let holders = &self.generation.holders;
        let twice = (1..holders.len()).any(|at| holders[..at].contains(&holders[at]));
        match holders.len() > HOLDERS_MAX || twice {
            true => Err(RecordError::Holders),
            false => Ok(()),
        }
    }

    /// `MLS-15`: what people see.
    fn check_shown(&self) -> Result<(), RecordError> {
        if !is_topic(&self.topic) {
            return Err(RecordError::Topic);
        }
        let is_picture = |bytes: &Vec<u8>| bytes.len() <= PICTURE_MAX && has_known_format(bytes);
        match self.picture.as_ref().is_none_or(is_picture) {
            true => Ok(()),
            false => Err(RecordError::Picture),
        }
    }

    /// `MLS-16`: roles of few, in order, each once; a pair is two accounts and nothing else.
    fn check_roles(&self) -> Result<(), RecordError> {
        let in_order = self.roles.is_sorted_by(|(one, _), (next, _)| one < next);
        let of_member = self.roles.iter().any(|(_, role)| *role == Role::Member);
        if !in_order || of_member || self.roles.len() > ROLES_MAX || self.invite == Role::Listener {
            return Err(RecordError::Roles);
        }
        let Form::Pair([one, other]) = self.form else {
            return Ok(());
        };
        let plain = self.topic.is_empty()
            && self.picture.is_none()
            && self.roles.is_empty()
            && self.invite == Role::Member;
        match one < other && plain {
            true => Ok(()),
            false => Err(RecordError::Pair),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(frame::encode_body(self));
        bytes
    }
}

impl Role {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Moderator, Self::Member, Self::Listener];

    /// Its number: where it is kept with a message.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The role with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether whoever has it may do what is allowed from `lowest` on.
    pub fn is_at_least(self, lowest: Self) -> bool {
        self <= lowest
    }
}

/// Whether a group may be called so.
pub(crate) fn is_topic(text: &str) -> bool {
    let odd = |c: char| c.is_control() || turns_text(c);
    text.len() <= TOPIC_MAX && !text.contains(odd)
}

/// Whether these bytes begin as a JPEG, PNG or WebP picture does.
fn has_known_format(bytes: &[u8]) -> bool {
    let webp = bytes.get(8..12) == Some(b"WEBP") && bytes.starts_with(b"RIFF");
    webp || bytes.starts_with(b"\xff\xd8\xff") || bytes.starts_with(b"\x89PNG\r\n\x1a\n")
}
