//! A transfer as the machine and the store know it: what was offered, by whom, and where it stands.

use starling_wire::file::Offer;

/// One transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub offer: Offer,
    /// Offered by us.
    pub outgoing: bool,
    /// Where it stands.
    pub state: State,
}

/// Where a transfer stands. The last three are for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Offered, no answer yet.
    Offered,
    /// The receiver said yes; bytes flow whenever the two are connected.
    Accepted,
    /// Complete and verified at the receiver.
    Done,
    /// Declined, withdrawn or cancelled.
    Cancelled,
    /// It cannot go on.
    Failed,
}

/// Why a transfer ended otherwise than well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// We said no to the offer.
    DeclinedByUs,
    /// They said no to the offer.
    DeclinedByThem,
    /// We cancelled.
    CancelledByUs,
    /// They cancelled.
    CancelledByThem,
    /// Our file is not the one that was offered any more; in words for people.
    SourceLost(String),
    /// Their file is not the one that was offered any more.
    ChangedThere,
    /// What came does not belong to the file.
    Corrupt,
    /// It cannot be stored here; in words for people.
    StorageHere(String),
    /// The receiver could not go on; it knows why.
    FailedThere,
}

/// A step of one transfer: its new state, with the reason where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The new state.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
}

impl State {
    /// Whether it may still go on.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Offered | Self::Accepted)
    }
}

impl Step {
    /// On the good way.
    pub(super) const fn to(state: State) -> Self {
        Self {
            state,
            reason: None,
        }
    }

    pub(super) const fn cancelled(reason: Reason) -> Self {
        Self {
            state: State::Cancelled,
            reason: Some(reason),
        }
    }

    pub(super) const fn failed(reason: Reason) -> Self {
        Self {
            state: State::Failed,
            reason: Some(reason),
        }
    }
}
