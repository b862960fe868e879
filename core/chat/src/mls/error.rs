//! What can go wrong, by blame. What came from outside is *void*, which every member finds alike, or *mine*: wrong, or unreadable,
//! for this device alone. The first is skipped by all; after the second this device rejoins.

use super::identity::IdentityError;
use super::rows::CodecError;
use super::storage::StorageError;
use super::{ADDS_MAX, CONTEXT_MAX, LEAVES_MAX, TEXT_MAX};

/// This device cannot do anything in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// What is stored of the group does not fit together.
    #[error(
        "the keys of this conversation on this device are damaged; it has to be taken in again"
    )]
    Unreadable,
    /// Removed.
    #[error("this device is no longer in this conversation")]
    NotMember,
    /// A bug, here or in openmls.
    #[error("the encryption of this conversation failed, which is a fault of Starling")]
    Fault,
}

impl From<StorageError> for StateError {
    fn from(_: StorageError) -> Self {
        Self::Unreadable
    }
}

impl From<CodecError> for StateError {
    fn from(_: CodecError) -> Self {
        Self::Unreadable
    }
}

/// Why a group could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The id is taken on this device.
    #[error("there is a conversation with this id already")]
    Exists,
    /// More than [`CONTEXT_MAX`].
    #[error("a conversation's settings may have {CONTEXT_MAX} bytes")]
    Context,
    /// This device.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a change could not be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// One of ours waits already.
    #[error("another change to this conversation is under way")]
    Pending,
    /// More than [`ADDS_MAX`] at once, or more than [`LEAVES_MAX`] in all.
    #[error("a conversation may have {LEAVES_MAX} devices, and take in {ADDS_MAX} at once")]
    TooMany,
    /// More than [`CONTEXT_MAX`].
    #[error("a conversation's settings may have {CONTEXT_MAX} bytes")]
    Context,
    /// A device that is in the group, twice in the change, or this one.
    #[error("this device is in the conversation already")]
    Present,
    /// A device to remove that is not in the group, or is this one.
    #[error(
        "this device cannot be removed: it is not in the conversation, or it is the one in use"
    )]
    NotThere,
    /// A key package of another suite.
    #[error("this device cannot be taken in: its keys are of another kind than the conversation's")]
    Suite,
    /// This device.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why nobody can be taken in by a key package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageError {
    /// Not a key package, or larger than one.
    #[error("the other device's keys cannot be read")]
    Malformed,
    /// A suite that Starling does not use.
    #[error("the other device's keys are of a kind that this version of Starling does not know")]
    Suite,
    /// Its signature, or something it claims.
    #[error("the other device's keys are not signed as they must be")]
    Invalid,
    /// Too little time left: a member that is away would read the commit too late, and refuse it for ever.
    #[error("the other device's keys expire too soon; it makes new ones when it is online")]
    Expires,
    /// Made in the future, or with a lifetime of another form.
    #[error("the other device's keys are dated wrongly; its clock or this one is wrong")]
    Dated,
    /// Whose it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why a Welcome or a group's state does not let this device in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Too large, or not what it should be.
    #[error("the invitation cannot be read")]
    Malformed,
    /// For a key package that this device does not have, or no longer has.
    #[error("the invitation is for other keys than this device has")]
    NoKeyPackage,
    /// The tree stands beside it and was not given.
    #[error("the invitation is not complete: the list of devices is missing")]
    NoTree,
    /// Does not open, or is not signed by a member.
    #[error("the invitation is not valid")]
    Invalid,
    /// The group is known and this device is in it.
    #[error("this device is in this conversation already")]
    Present,
    /// No group of Starling: another suite, other extensions, too many leaves.
    #[error("the invitation is to a conversation that this version of Starling does not know")]
    Foreign,
    /// A member is not who it claims to be.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// This device is no member: only a member rejoins.
    #[error("this device is not in that conversation and cannot come back to it by itself")]
    Stranger,
    /// This device.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<StorageError> for JoinError {
    fn from(error: StorageError) -> Self {
        Self::State(error.into())
    }
}

/// Why a message cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More than [`TEXT_MAX`].
    #[error("one message may have {TEXT_MAX} bytes; send it as a file or in parts")]
    TooLong,
    /// This device.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a staged commit cannot be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// It was read in another epoch, branch or group.
    #[error("the change belongs to another state of the conversation")]
    Stale,
    /// Nothing waits to be merged.
    #[error("no change to this conversation is under way")]
    Nothing,
    /// This device.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a message of the group says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Nobody can use it.
    #[error("a message of this conversation is not valid: {0}")]
    Void(#[from] Void),
    /// This device cannot follow the others.
    #[error("this device cannot follow the conversation any more and has to come back to it: {0}")]
    Mine(#[from] Mine),
    /// Of an epoch whose keys are gone, or too far behind its author's later ones.
    #[error("a message came too late to be read")]
    Old,
    /// Of an epoch that is not reached yet.
    #[error("a message was sent after a change to the conversation that has not come yet")]
    Future,
    /// Opened before.
    #[error("a message came twice")]
    Repeated,
    /// This device.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        Self::State(error.into())
    }
}

/// Why all members skip something. Each is a function of the bytes and the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Void {
    /// Too large, or not an MLS message.
    #[error("it cannot be read")]
    Malformed,
    /// Of another group.
    #[error("it belongs to another conversation")]
    OtherGroup,
    /// Does not open with the epoch's keys: damaged, or of another branch.
    #[error("it cannot be opened")]
    Sealed,
    /// Further ahead of its author's last than is followed.
    #[error("too many messages of its author are missing")]
    Gap,
    /// A signature or tag that does not hold.
    #[error("it is not signed by a member")]
    Signature,
    /// A message in clear that is no external commit.
    #[error("it is not encrypted")]
    Clear,
    /// A proposal by itself, or of a kind that Starling does not use.
    #[error("it asks for something that Starling does not know")]
    Proposal,
    /// A commit that RFC 9420 forbids.
    #[error("it breaks the rules of MLS")]
    Commit,
    /// A commit that gives its author no new keys.
    #[error("it changes no keys")]
    NoPath,
    /// A leaf that is not who it claims to be.
    #[error("a device in it is not who it claims to be")]
    Identity,
    /// Group context that is not Starling's, or too large.
    #[error("the conversation's settings in it are not valid")]
    Context,
    /// More leaves than allowed.
    #[error("it would make the conversation too large")]
    TooMany,
    /// An external commit of somebody who is not replacing their own leaf.
    #[error("a stranger tried to enter")]
    Stranger,
}

/// Why this device cannot follow a commit that others can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Mine {
    /// The secret of the new epoch does not open for this device, or is another one.
    #[error("the new keys were not made for this device")]
    Path,
    /// The new epoch's tag does not fit what this device computed.
    #[error("the new keys do not fit")]
    Confirmation,
    /// A commit of ours, whose secrets are no longer here.
    #[error("this device's own change was lost here")]
    Lost,
    /// This device's time is before 1970, so no key package in it is valid.
    #[error("the clock of this device is wrong")]
    Clock,
    /// Something failed of which nobody knows whether it fails for others, too.
    #[error("the encryption of this conversation failed, which is a fault of Starling")]
    Fault,
}
