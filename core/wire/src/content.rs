//! What one message says: the plaintext inside an MLS application message (RFC 9420, section 6). The page is
//! `docs/spec/message.md`; how a transcript is made of many stands in `core/chat`.
//!
//! A plaintext is a version, a head that keeps its form in all versions, and a body. A message is named by a hash of its
//! author and its bytes, so an id can neither be used twice nor name a message that did not exist yet when it was written.
//! Times are Unix milliseconds, sizes bytes.

use serde::{Deserialize, Serialize};

use crate::card::Door;
use crate::frame;
use crate::group::leave::Wish;
use crate::ids::{AccountId, EntryId, MessageId};
use crate::limits::{
    AGAIN_MAX, CAPTION_MAX, CONTENT_MAX, FILE_NAME_MAX, FILE_SIZE_MAX, MENTIONS_MAX,
    PREDECESSORS_MAX, PREVIEW_MAX, RECEIVED_MAX, SUPERNODES_MAX, TEXT_MAX,
};
use crate::shown_name::is_blank;

pub mod emoji;
pub mod long;
pub mod markup;
pub mod voice;

#[cfg(test)]
mod tests;

use emoji::Emoji;
use long::Long;
use voice::Voice;

/// The version that is written.
pub const VERSION: u8 = 1;
const ID_CONTEXT: &str = "starling 1 message id";
/// Bytes of version and head at most.
pub(crate) const HEAD_MAX: usize = 1 + 10 + 1 + 16 * PREDECESSORS_MAX;

/// One message as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The author's clock. It is shown; order follows from it only where nothing better is known.
    pub sent_at: u64,
    /// What the author had seen: the messages that no other one named yet, at most [`PREDECESSORS_MAX`].
    pub predecessors: Vec<MessageId>,
    /// What it says.
    pub body: Body,
}

/// What a message says. Its number on the wire is its place here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A text.
    Text(Text),
    /// Other words in place of those of an own message.
    Edit {
        /// Which message.
        of: MessageId,
        /// What it says now.
        words: Words,
    },
    /// "Nobody is to see that message any more": an own one, or a moderator's of somebody else's.
    Delete {
        /// Which message.
        of: MessageId,
    },
    /// A reaction.
    React {
        /// To which message.
        to: MessageId,
        /// One emoji.
        emoji: Emoji,
        /// Added, or taken back.
        on: bool,
    },
    /// "I have read up to here." Not part of the history.
    Read {
        /// The last message that was read.
        up_to: MessageId,
        /// Its place on the reader's device.
        place: u64,
    },
    /// "I am writing", or no longer. Not part of the history.
    Typing {
        /// Whether.
        on: bool,
    },
    /// A voice note, or what was said when a call was not answered.
    Voice(Voice),
    /// A picture.
    Image(Image),
    /// A message that is too long for one entry; it stands in other messages of the same author.
    Long(Long),
    /// A piece of such a message.
    Part {
        /// Its place, so that two pieces with the same bytes are two messages.
        number: u8,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// Where one device of the author is found.
    Door(Box<Door>),
    /// "Please remove me": nobody can remove himself from an MLS group. Signed, so that whoever does it can show it to all.
    RemoveMe(Wish),
    /// "These are on my disk." Not part of the history.
    Received {
        /// At most [`RECEIVED_MAX`], none twice.
        ids: Vec<MessageId>,
    },
    /// "I cannot open these: say again what was in them." For their authors, who know what they left. Not part of the history.
    Again {
        /// At most [`AGAIN_MAX`], none twice.
        entries: Vec<EntryId>,
    },
    /// Something that this version does not know. Kept as it came, so that a later version reads it.
    #[serde(skip)]
    Newer {
        /// The author's version.
        version: u8,
        /// All that follows the head.
        bytes: Vec<u8>,
    },
}

/// Kinds of bodies that this version knows; the next one has this number.
const KINDS: u32 = 14;

/// A text, and what it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// What it says.
    pub words: Words,
    /// The message it answers. Nothing of it is repeated here: nobody can put words into another's mouth.
    pub reply_to: Option<MessageId>,
}

/// What a text says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Not blank. Formatting stands in it as [`markup`] reads it.
    pub text: String,
    /// Who is meant where, at most [`MENTIONS_MAX`], in the order of the text.
    pub mentions: Vec<Mention>,
}

/// Somebody who is named in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// Who.
    pub account: AccountId,
    /// First byte of what stands for them.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

/// A picture: small here, whole in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// JPEG, PNG or WebP, at most [`PREVIEW_MAX`]. Decoded by nobody but the receiver's own code for pictures from outside.
    pub preview: Vec<u8>,
    /// Pixels of the whole picture.
    pub width: u32,
    /// The same.
    pub height: u32,
    /// Where the whole picture is.
    pub file: FileRef,
    /// What stands below, at most [`CAPTION_MAX`]; may be empty.
    pub caption: String,
}

/// A file that members have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// BLAKE3 hash of the whole file.
    pub root: [u8; 32],
    /// Bytes.
    pub size: u64,
    /// The author's name for it; never a path, see [`crate::file::safe_file_name`].
    pub name: String,
}

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ContentError {
    /// Not a message of this protocol, or not in its one form.
    #[error("the message cannot be read")]
    Malformed,
    /// Beyond what one entry, or a long message, may have.
    #[error("the message is too long; send it as a file")]
    TooLong,
    /// Nothing that can be seen.
    #[error("the message is empty")]
    Empty,
    /// Too many predecessors, or one twice.
    #[error("the message names too many messages before it, or one of them twice")]
    Predecessors,
    /// Too many, out of order, or not where the text has characters.
    #[error("the message names people in places that its text does not have")]
    Mentions,
    /// Not one emoji.
    #[error("a reaction is one emoji")]
    Emoji,
    /// No Opus packets, or too many.
    #[error("the recording is damaged or longer than ten minutes")]
    Voice,
    /// Without preview, without size, or with too much of one.
    #[error("the picture's preview, size or name is beyond what Starling allows")]
    Image,
    /// None, too many, or one twice.
    #[error("a receipt names no messages, too many, or one of them twice")]
    Received,
    /// None, too many, or one twice.
    #[error("a request to say something again names no entries, too many, or one of them twice")]
    Again,
    /// Parts that do not make a message.
    #[error("the message's parts do not fit together")]
    Parts,
    /// A door at supernodes where nobody can answer.
    #[error("the message names a device at an address that cannot be one")]
    Door,
}

/// The name of a message of `author` with these bytes (`MSG-02`): the first 16 bytes of BLAKE3 in its key derivation mode.
pub fn message_id(author: AccountId, bytes: &[u8]) -> MessageId {
    let mut hasher = blake3::Hasher::new_derive_key(ID_CONTEXT);
    hasher.update(author.as_bytes());
    hasher.update(bytes);
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    MessageId(id)
}

impl Content {
    /// The plaintext, checked.
    pub fn write(&self) -> Result<Vec<u8>, ContentError> {
        self.check()?;
        let bytes = self.bytes();
        if bytes.len() > CONTENT_MAX {
            return Err(ContentError::TooLong);
        }
        Ok(bytes)
    }

    /// Reads a plaintext and checks everything that can be checked without its conversation.
    pub fn read(bytes: &[u8]) -> Result<Self, ContentError> {
        // MSG-01: bounds, before anything is read.
        if bytes.len() > CONTENT_MAX {
            return Err(ContentError::TooLong);
        }
        let malformed = |_| ContentError::Malformed;
        let (version, rest) = bytes.split_first().ok_or(ContentError::Malformed)?;
        let ((sent_at, predecessors), rest) = frame::decode_start(rest).map_err(malformed)?;
        let body = match *version {
            0 => return Err(ContentError::Malformed),
            VERSION => Body::read(rest)?,
            version => Body::Newer {
                version,
                bytes: rest.to_vec(),
            },
        };
        let content = Self {
            sent_at,
            predecessors,
            body,
        };
        content.check()?;
        // MSG-01: one form, or one message would have several ids.
        if content.bytes() != bytes {
            return Err(ContentError::Malformed);
        }
        Ok(content)
    }

    /// The name of this message if `author` wrote it.
    pub fn id(&self, author: AccountId) -> MessageId {
        message_id(author, &self.bytes())
    }

    fn check(&self) -> Result<(), ContentError> {
        // MSG-03: few predecessors, none twice.
        let seen = &self.predecessors;
        if seen.len() > PREDECESSORS_MAX || names_one_twice(seen) {
            return Err(ContentError::Predecessors);
        }
        self.body.check()
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.body.version()];
        bytes.extend(frame::encode_body(&(self.sent_at, &self.predecessors)));
        bytes.extend(self.body.bytes());
        bytes
    }
}

impl Body {
    /// Whether it is part of the history: has a place, is named by what follows, is asked for where it is missing. What is
    /// not is told to those who are there, and lost without harm.
    pub const fn is_history(&self) -> bool {
        !matches!(
            self,
            Self::Read { .. } | Self::Typing { .. } | Self::Received { .. } | Self::Again { .. }
        )
    }

    /// Its number and what follows. Also the form in which a [`Long`] is cut into parts.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Newer { bytes, .. } => bytes.clone(),
            known => frame::encode_body(known),
        }
    }

    /// `MSG-04`: a number that this version does not know is something newer, anything else has to read whole.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ContentError> {
        let (kind, _) = frame::decode_start::<u32>(bytes).map_err(|_| ContentError::Malformed)?;
        if kind >= KINDS {
            return Ok(Self::Newer {
                version: VERSION,
                bytes: bytes.to_vec(),
            });
        }
        frame::decode_body(bytes, bytes.len()).map_err(|_| ContentError::Malformed)
    }

    pub(crate) fn check(&self) -> Result<(), ContentError> {
        match self {
            Self::Text(Text { words, .. }) | Self::Edit { words, .. } => words.check(),
            Self::React { emoji, .. } => emoji.check(),
            Self::Voice(voice) => voice.check(),
            Self::Image(image) => image.check(),
            Self::Long(long) => long.check(),
            Self::Part { number, bytes } => long::check_part(*number, bytes),
            Self::Door(door) => check_door(door),
            Self::Received { ids } => check_received(ids),
            Self::Again { entries } => check_again(entries),
            Self::Delete { .. }
            | Self::Read { .. }
            | Self::Typing { .. }
            | Self::RemoveMe(_)
            | Self::Newer { .. } => Ok(()),
        }
    }

    const fn version(&self) -> u8 {
        match self {
            Self::Newer { version, .. } => *version,
            _ => VERSION,
        }
    }
}

impl Words {
    /// Words that mention nobody.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            mentions: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), ContentError> {
        // MSG-05: something to see.
        if is_blank(&self.text) {
            return Err(ContentError::Empty);
        }
        if self.text.len() > TEXT_MAX {
            return Err(ContentError::TooLong);
        }
        // MSG-06: mentions stand in order, apart, each on whole characters.
        if self.mentions.len() > MENTIONS_MAX {
            return Err(ContentError::Mentions);
        }
        let mut end = 0;
        for mention in &self.mentions {
            let range = mention.start as usize..mention.end as usize;
            let stands = range.start >= end
                && self
                    .text
                    .get(range.clone())
                    .is_some_and(|text| !text.is_empty());
            if !stands {
                return Err(ContentError::Mentions);
            }
            end = range.end;
        }
        Ok(())
    }
}

impl Image {
    /// `MSG-09`.
    fn check(&self) -> Result<(), ContentError> {
        let preview = (1..=PREVIEW_MAX).contains(&self.preview.len());
        let file = self.file.name.len() <= FILE_NAME_MAX && self.file.size <= FILE_SIZE_MAX;
        let seen = self.width > 0 && self.height > 0 && self.caption.len() <= CAPTION_MAX;
        if preview && file && seen {
            return Ok(());
        }
        Err(ContentError::Image)
    }
}

/// `MSG-20`: a receipt is for some messages, each once.
fn check_received(ids: &[MessageId]) -> Result<(), ContentError> {
    let some = (1..=RECEIVED_MAX).contains(&ids.len());
    if some && !names_one_twice(ids) {
        return Ok(());
    }
    Err(ContentError::Received)
}

/// `MSG-22`: what is to be said again are some entries, each once.
fn check_again(entries: &[EntryId]) -> Result<(), ContentError> {
    let some = (1..=AGAIN_MAX).contains(&entries.len());
    if some && !names_one_twice(entries) {
        return Ok(());
    }
    Err(ContentError::Again)
}

/// Of a list that is short.
fn names_one_twice<T: PartialEq>(ids: &[T]) -> bool {
    (1..ids.len()).any(|at| ids[..at].contains(&ids[at]))
}

/// `MSG-11`: what a door says is believed only after its signatures were checked against the author's chain, which is not here.
fn check_door(door: &Door) -> Result<(), ContentError> {
    let few = door.home.len() <= SUPERNODES_MAX;
    if few
        && door
            .home
            .iter()
            .all(crate::supernode::SupernodeAddr::is_usable)
    {
        return Ok(());
    }
    Err(ContentError::Door)
}
