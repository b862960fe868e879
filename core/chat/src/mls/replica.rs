//! What the order of commits needs of a group: bytes that it does not look into, and tags. [`Group`] is one; the order's own tests
//! and simulations have others.

use starling_wire::ids::EpochTag;

use super::error::{MergeError, Mine, OpenError, StageError, StateError, Void};
use super::group::Group;
use super::open::Looked;
use super::rows::Branch;
use super::stage::{Change, Outgoing};

/// One member's state of one group.
pub trait Replica {
    /// What a commit is made from. It outlives a lost commit, and another one is made from it.
    type Intent;
    /// Why nothing can be done.
    type Error;

    /// The epoch.
    fn tag(&self) -> Result<EpochTag, Self::Error>;

    /// Makes a commit of ours, which then waits.
    fn stage(&mut self, intent: &Self::Intent) -> Result<Outgoing, Self::Error>;

    /// What a commit is. Changes nothing, and says the same each time.
    fn read(&mut self, body: &[u8]) -> Result<Reading, Self::Error>;

    /// Ends the epoch with a commit, ours or another's, and says which begins: none if it removes this member.
    fn merge(&mut self, body: &[u8]) -> Result<Option<EpochTag>, Self::Error>;

    /// Drops a commit of ours that waits.
    fn drop_staged(&mut self) -> Result<(), Self::Error>;

    /// Keeps a copy of this epoch, under its tag.
    fn save(&mut self) -> Result<(), Self::Error>;

    /// Goes back to a copy. `false` if there is none.
    fn restore(&mut self, epoch: EpochTag) -> Result<bool, Self::Error>;

    /// Lets go of a copy.
    fn forget(&mut self, epoch: EpochTag);
}

/// What a commit is to a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Another's. It leads to this epoch; none if it removes this member.
    Next(Option<EpochTag>),
    /// The one of ours that waits.
    Own(EpochTag),
    /// Nothing, to all members.
    Void(Void),
    /// Something that this member alone cannot follow.
    Mine(Mine),
    /// Not of this epoch.
    Elsewhere,
}

/// Why a group could not do what the order asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// Its commit.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Its state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A commit that does not end this epoch.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A commit that says nothing here.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Replica for Group<'_> {
    type Intent = Change;
    type Error = ReplicaError;

    fn tag(&self) -> Result<EpochTag, ReplicaError> {
        Ok(Group::tag(self)?)
    }

    fn stage(&mut self, intent: &Change) -> Result<Outgoing, ReplicaError> {
        Ok(Group::stage(self, intent, &[])?)
    }

    fn read(&mut self, body: &[u8]) -> Result<Reading, ReplicaError> {
        match self.look(body) {
            Ok(Looked::Commit(commit)) => Ok(Reading::Next(commit.next)),
            Ok(Looked::Own(next) | Looked::OwnRejoin(next)) => Ok(Reading::Own(next)),
            Err(OpenError::Void(why)) => Ok(Reading::Void(why)),
            Err(OpenError::Mine(why)) => Ok(Reading::Mine(why)),
            Err(OpenError::Old | OpenError::Future | OpenError::Repeated) => Ok(Reading::Elsewhere),
            Err(OpenError::State(error)) => Err(error.into()),
        }
    }

    fn merge(&mut self, body: &[u8]) -> Result<Option<EpochTag>, ReplicaError> {
        match self.look(body)? {
            Looked::Commit(commit) => {
                let next = commit.next;
                Group::merge(self, *commit)?;
                Ok(next)
            }
            Looked::Own(next) => {
                self.merge_own()?;
                Ok(Some(next))
            }
            Looked::OwnRejoin(next) => {
                self.adopt_rejoin()?;
                Ok(Some(next))
            }
        }
    }

    fn drop_staged(&mut self) -> Result<(), ReplicaError> {
        Ok(self.clear_pending()?)
    }

    fn save(&mut self) -> Result<(), ReplicaError> {
        let branch = Branch::at(Group::tag(self)?);
        Ok(self.copy_to(branch)?)
    }

    fn restore(&mut self, epoch: EpochTag) -> Result<bool, ReplicaError> {
        match Group::restore(self, Branch::at(epoch)) {
            Ok(()) => Ok(true),
            Err(MergeError::Nothing) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn forget(&mut self, epoch: EpochTag) {
        Group::forget(self, Branch::at(epoch));
    }
}
