//! What a transcript is kept in: rows of messages, links between them, and how far each account has read.

use starling_wire::content::emoji::Emoji;
use starling_wire::content::{Body, Content, Words};
use starling_wire::ids::{AccountId, DeviceId, MessageId};

use super::Refusal;

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Author {
    /// The person.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// The person's role in the epoch in which it was written, as a number that whoever judges understands. What is kept
    /// with the message does not change when roles do.
    pub rank: u8,
}

/// What a message is to the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is shown: a text, a recording, a picture, a long message, something newer.
    Post,
    /// Other words for a post.
    Edit,
    /// The end of a post.
    Delete,
    /// A reaction to a post, or its end.
    Reaction,
    /// A piece of a long message.
    Part,
    /// Something for the program, not for people.
    Notice,
    /// Refused: a name that is known, with nothing behind it.
    Refused(Refusal),
}

/// One message of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Who wrote it.
    pub author: Author,
    /// The author's clock, as it is shown.
    pub sent_at: u64,
    /// Where it stands; ties are broken by id.
    pub place: u64,
    /// What it is.
    pub kind: Kind,
    /// The post that it changes.
    pub target: Option<MessageId>,
    /// It, as it was written. None once it was deleted or refused.
    pub content: Option<Content>,
    /// What became of a post.
    pub state: State,
}

/// Emoji, and who reacted with it, in the order of their ids.
pub type Reaction = (Emoji, Vec<AccountId>);

/// What became of a post: follows from the changes to it, all of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Who deleted it for all.
    pub deleted_by: Option<AccountId>,
    /// How often its author changed it.
    pub edits: u32,
    /// What it says since the last change, in place of its own words.
    pub words: Option<Words>,
    /// Reactions, in the order of the emoji.
    pub reactions: Vec<Reaction>,
    /// Of a long message: all its parts are here.
    pub complete: bool,
}

/// The little of a message that most decisions need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// Who wrote it.
    pub author: AccountId,
    /// The author's clock.
    pub sent_at: u64,
    /// Where it stands.
    pub place: u64,
    /// What it is.
    pub kind: Kind,
    /// What it changes.
    pub target: Option<MessageId>,
}

/// How one message names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// It was seen by its author.
    Before,
    /// It is changed.
    Target,
    /// It is answered.
    Answer,
    /// It is a piece.
    Part,
}

/// How far an account has read. Of two, the greater counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The message's place as the reader knew it.
    pub place: u64,
    /// The message.
    pub up_to: MessageId,
}

/// Keeps one conversation. What is written by one [`super::take`] belongs in one transaction.
pub trait Archive {
    /// Why it could not.
    type Error;

    /// A message.
    fn get(&self, id: MessageId) -> Result<Option<Kept>, Self::Error>;
    /// The little of it.
    fn brief(&self, id: MessageId) -> Result<Option<Brief>, Self::Error>;
    /// Keeps a message whose name is new.
    fn add(&mut self, id: MessageId, kept: &Kept) -> Result<(), Self::Error>;
    /// Keeps what became of a message that is here: what it is, what is left of it, its state.
    fn put(&mut self, id: MessageId, kept: &Kept) -> Result<(), Self::Error>;
    /// Gives a message another place.
    fn lift(&mut self, id: MessageId, place: u64) -> Result<(), Self::Error>;
    /// Keeps that `from` names `to`, which is here or not.
    fn link(
        &mut self,
        from: MessageId,
        to: MessageId,
        link: Link,
        here: bool,
    ) -> Result<(), Self::Error>;
    /// This message is here now. Whether any other one had named it before.
    fn arrived(&mut self, id: MessageId) -> Result<bool, Self::Error>;
    /// The messages that name this one so.
    fn links_to(&self, to: MessageId, link: Link) -> Result<Vec<MessageId>, Self::Error>;
    /// Changes to this message that are of these kinds, of one account or of all, in the order of their clocks, then of their ids.
    /// Takes time for those that it finds, not for all there are.
    fn changes(
        &self,
        to: MessageId,
        kinds: &[Kind],
        by: Option<AccountId>,
    ) -> Result<Vec<MessageId>, Self::Error>;
    /// How far somebody has read.
    fn mark(&self, reader: AccountId) -> Result<Option<Mark>, Self::Error>;
    /// The same, anew.
    fn set_mark(&mut self, reader: AccountId, mark: Mark) -> Result<(), Self::Error>;
}

impl Kept {
    /// What it says.
    pub fn body(&self) -> Option<&Body> {
        self.content.as_ref().map(|content| &content.body)
    }

    /// The little of it.
    pub const fn brief(&self) -> Brief {
        Brief {
            author: self.author.account,
            sent_at: self.sent_at,
            place: self.place,
            kind: self.kind,
            target: self.target,
        }
    }

    pub(super) fn refuse(&mut self, reason: Refusal) {
        self.kind = Kind::Refused(reason);
        self.content = None;
        self.state = State::default();
    }
}
