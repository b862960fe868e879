//! What the ordering needs of a group, and all it knows of one: commits are opaque, epochs are tags.

use starling_wire::ids::{EntryId, EpochTag};
use starling_wire::log::Kind;
use starling_wire::ordering::{Holders, Slot};

/// A commit as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: EntryId,
    /// Where it belongs.
    pub slot: Slot,
    /// The epoch that it begins, by its author's word; a commit that begins another one is void.
    pub next: EpochTag,
    /// Whether its author comes back by it, having lost the group (RFC 9420 section 12.4.3.2).
    pub external: bool,
    /// Sealed for the members of the epoch that it ends.
    pub body: Vec<u8>,
}

impl Commit {
    /// As what it lies in the log.
    pub const fn kind(&self) -> Kind {
        let next = self.next;
        match self.external {
            true => Kind::ExternalCommit { next },
            false => Kind::Commit { next },
        }
    }
}

/// What a commit turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It can be merged.
    Fits,
    /// It is nothing, for every member: it cannot be opened or parsed, is not allowed, or begins another epoch than it says.
    Void,
    /// It is right for others and not for us: we have to be let in again.
    Mine,
    /// It can be merged by all but us: it removes this device.
    Removes,
}

/// A group with its branches. Everything here is in memory until the driver commits it together with what the machine wants kept.
pub trait Group {
    /// The epoch we are in.
    fn epoch(&self) -> EpochTag;

    /// Who decides which commit ends it.
    fn holders(&self) -> Holders;

    /// Looks at a commit for this epoch, or for one of which a copy is kept, ours included; changes nothing. None for any other epoch.
    fn look(&mut self, commit: &Commit) -> Option<Look>;

    /// Merges a commit that [`Look::Fits`]: the epoch is another one then. Where we were in that epoch before and left it by
    /// [`Self::back_to`], we are there as we left it: its keys are not used a second time. `false` if it fails: this device has to be let in again then.
    fn merge(&mut self, commit: &Commit) -> bool;

    /// Keeps a copy of the group as it is, under its epoch.
    fn keep(&mut self);

    /// Goes back to the copy kept under `epoch`; the group as it is becomes a copy under its own. `false` if there is no such copy.
    fn back_to(&mut self, epoch: EpochTag) -> bool;

    /// The copy under `epoch` is not needed any more.
    fn forget(&mut self, epoch: EpochTag);
}
