//! What goes into the machine of a contact's transfers and what comes out: commands, links, effects, frames, events.

use starling_wire::file::{FileFrame, Offer};
use starling_wire::ids::TransferId;

use super::entry::Step;
use super::receiver::Refusal;

/// A connection, numbered by the driver.
pub type LinkId = u64;

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferCommand {
    /// Offer a file. Its entry is stored already.
    Offer(Offer),
    /// Say yes to an offer. Where the file goes is stored already.
    Accept(TransferId),
    /// Decline, withdraw or cancel.
    Cancel(TransferId),
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefused {
    /// Not an open offer of theirs.
    #[error("this transfer does not wait for your answer")]
    NotAsking,
    /// Over, or never was.
    #[error("this transfer is over already")]
    Over,
    /// All of it is here; it only gets its name yet.
    #[error("this file is complete already")]
    Complete,
}

/// What is known of the contact's presence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// A device of theirs is there.
    Online,
    /// None is: nobody is dialled.
    Offline,
    /// Nobody knows: worth a try.
    #[default]
    Unknown,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// The other side closed it on purpose.
    Closed,
    /// It broke.
    Lost,
}

/// What must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persist {
    /// A new offer of theirs.
    Offer(Offer),
    /// A step of a stored transfer. One that is over never changes again.
    Step(TransferId, Step),
}

/// A frame and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferTransmit {
    /// The link.
    pub link: LinkId,
    /// The frame.
    pub frame: FileFrame,
}

/// What else is to be done or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEvent {
    /// Connect; answer with `handle_link_up` or `handle_dial_failed`.
    Dial,
    /// Close a link once what was transmitted on it is flushed; it is forgotten here.
    Close(LinkId),
    /// Fetch this file over this link; answer with `handle_fetched`.
    Fetch(TransferId, LinkId),
    /// Complete and verified: give it its name; answer with `handle_fetched` on the same link.
    Finish(TransferId, LinkId),
    /// Stop fetching it; no answer is awaited.
    Stop(TransferId),
    /// This transfer looks different now.
    Changed(TransferId),
    /// It is over: remove what is of use only while it goes on (the unfinished file, the index of the source).
    Tidy(TransferId),
    /// Something from outside was not followed.
    Refused(Refusal),
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferReason {
    /// Try to reach the contact again.
    Redial,
    /// Nothing was said for a while.
    Silence,
    /// An offer that was withdrawn counts no more.
    Withdrawn,
}
