//! What a [`super::Conversation`] wants done.

use std::sync::Arc;

use starling_wire::credential::Member;
use starling_wire::group::Record;
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, MessageId};
use starling_wire::log::frames::Ask;
use starling_wire::log::{Entry, Kind};
use starling_wire::ordering::Slot;

use super::changes::WishError;
use crate::mls::OpenError;
use crate::order::member::Kept;

/// An entry for all boxes of a generation: padded and sealed, not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// The generation's first epoch.
    pub first: EpochTag,
    /// What it is.
    pub kind: Kind,
    /// The slot that was open, or that it is proposed for.
    pub slot: Slot,
    /// What holders keep.
    pub body: Arc<[u8]>,
    /// The same at all of them.
    pub id: EntryId,
}

/// What is to be on disk before anything else of the same drain.
#[derive(Debug, Clone)]
pub enum Persist {
    /// Where the group stands.
    Ground(Vec<u8>),
    /// The order of its commits.
    Order(Box<Kept>),
    /// What a member said (`docs/spec/message.md`), and the entry in which it came.
    Said {
        /// Who, as they were when they said it.
        from: Member,
        /// What.
        bytes: Vec<u8>,
        /// In what.
        entry: EntryId,
    },
    /// To be left at the holders until they have it; a message of ours, or something that the group needs.
    Deposit(Deposit, Option<MessageId>),
    /// An entry of a generation that cannot be read yet.
    Waits(EpochTag, Entry),
    /// It need not wait any more.
    WaitsNoMore(EntryId),
    /// What takes somebody in once this commit is settled: the Welcome, and who. `None`: it is done, or the commit was lost.
    Welcome(EntryId, Option<Welcome>),
}

/// What takes devices in, kept until the commit is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The MLS message.
    pub welcome: Vec<u8>,
    /// The tree, if it does not carry it.
    pub tree: Option<Vec<u8>>,
    /// Whom.
    pub members: Vec<Member>,
}

/// A question to one holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The first epoch of the generation to whose box it belongs.
    pub first: EpochTag,
    /// Whom.
    pub holder: EndpointKey,
    /// What the order asks.
    pub ask: Ask,
    /// What follows on the stream.
    pub body: Arc<[u8]>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The group is in another epoch: a commit did this.
    Changed(Box<Happened>),
    /// A change of ours is made, and settled.
    Done(u64),
    /// A change of ours is not made.
    Refused(u64, WishError),
    /// These devices were taken in by us: each is to be told the generation and the entry with its Welcome.
    TakenIn {
        /// Whom.
        members: Vec<Member>,
        /// Where the Welcome is.
        welcome: EntryId,
    },
    /// Other boxes are used from now on: they are to be opened, followed, and the ones before closed by whoever began these.
    Generation {
        /// The first epoch of the generation.
        first: EpochTag,
        /// Whether we began it.
        ours: bool,
    },
    /// What we said was in a branch that lost: it is to be said again.
    SayAgain(MessageId),
    /// The same; but somebody could read it now who could not when it was said. The person has to say whether to.
    Withheld(MessageId),
    /// An entry is settled or agreed to, and not here.
    Fetch(EpochTag, EntryId),
    /// This device cannot follow by itself any more, or can again.
    Outside(bool),
    /// A settled commit took this device out.
    Removed,
    /// An entry cannot be read, for this reason.
    Unreadable(EntryId, Unreadable),
}

/// Why an entry cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its seal.
    #[error(transparent)]
    Seal(#[from] starling_wire::log::seal::SealError),
    /// Its encryption.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something else than its kind says.
    #[error("an entry of this conversation is not what it says it is")]
    Kind,
    /// A generation that is not remembered.
    #[error("an entry is of a part of the conversation that is too long ago")]
    Generation,
    /// It waited for an epoch that did not come, and others need the room.
    #[error("too much waited for changes to the conversation that did not come")]
    Room,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// By whom, if it was looked at here; it was not where a branch is taken up again, or this device came back.
    pub by: Option<Member>,
    /// Devices that are there now and were not.
    pub added: Vec<Member>,
    /// Devices that were there and are not.
    pub removed: Vec<Member>,
    /// The group's record now.
    pub record: Record,
    /// Whether it is settled.
    pub settled: bool,
}
