//! What is said between a holder and whoever reads or writes a box. One stream for each connection, one box for each connection.
//!
//! An answer names what it is about, since some come late (a turn at a slot) and some unasked (what others leave). After
//! [`Ask::Deposit`] and [`Answer::Item`] the body follows on the stream, as long as the head says and no longer.

use serde::{Deserialize, Serialize};

use super::Head;
use super::grant::Token;
use super::keys::{Plan, Side};
use crate::ids::{EntryId, MailboxId};
use crate::ordering::choice::SignedCertificate;
use crate::ordering::grounds::{SignedGrounded, SignedGrounds};
use crate::ordering::statement::{Promise, Receipt, Signed, Vote};
use crate::ordering::{ATTEMPTS_MAX, Ballot, HOLDERS_MAX, Slot};

/// Bound on one frame, the body that follows not counted: a certificate with the longest grounds fits in.
pub const LOG_FRAME_MAX: usize = 48 * 1024;
/// Entries in one page.
pub const PAGE_ENTRIES_MAX: u16 = 256;
/// Bodies in one page together; one entry comes in any case.
pub const PAGE_BYTES_MAX: u64 = 1024 * 1024;
/// Entries that are sent to a follower before it asks for more.
pub const FOLLOW_MAX: u16 = 1_000;
/// Slots asked for at once.
pub const SLOTS_ASKED_MAX: usize = 64;
/// Entries asked for by id at once.
pub const ENTRIES_ASKED_MAX: usize = 64;

/// What a holder is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// "Open a box, or say that it is open." Also enters nothing yet.
    Open {
        /// Why it may be opened.
        token: Token,
        /// The box and its like at the other holders.
        plan: Box<Plan>,
    },
    /// "I have this key of the box." Anything below needs it.
    Enter {
        /// Which box.
        mailbox: MailboxId,
        /// Which key.
        side: Side,
        /// As in [`Side::prove`].
        proof: ([u8; 32], [u8; 32]),
    },
    /// "Keep this." The body follows.
    Deposit(Head),
    /// "What came after this number?"
    Fetch {
        /// 0 for the first.
        after: u64,
        /// At most [`PAGE_ENTRIES_MAX`].
        limit: u16,
    },
    /// "Send what came after this number, and what comes." Replaces an earlier one.
    Follow {
        /// 0 for the first.
        after: u64,
        /// So many entries at most, up to [`FOLLOW_MAX`]; then it is to be asked again.
        credit: u16,
    },
    /// "Give me these."
    Get {
        /// At most [`ENTRIES_ASKED_MAX`].
        entries: Vec<EntryId>,
    },
    /// "Promise this ballot."
    Prepare {
        /// For which slot.
        slot: Slot,
        /// The ballot.
        ballot: Ballot,
        /// What another holder of the slot promised, if the ballot's number is above that.
        seen: Option<Signed<Promise>>,
    },
    /// "Agree to this entry."
    Accept {
        /// For which slot.
        slot: Slot,
        /// In which ballot.
        ballot: Ballot,
        /// To which entry.
        entry: EntryId,
        /// What allows it.
        grounds: SignedGrounds,
    },
    /// "This slot is settled."
    Settle(Box<SignedCertificate>),
    /// "How do these stand?"
    State {
        /// At most [`SLOTS_ASKED_MAX`].
        slots: Vec<Slot>,
    },
    /// "Take nothing more after a day."
    Close,
}

/// What a holder says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The box is open.
    Opened(MailboxId),
    /// The key is the box's.
    Entered(Side),
    /// It is on disk.
    Receipt(Signed<Receipt>),
    /// An entry; its body follows.
    Item {
        /// Its place in the order of arrival.
        number: u64,
        /// All but the body.
        head: Head,
    },
    /// The page asked for is complete.
    Page {
        /// Up to here everything was looked at.
        up_to: u64,
        /// Whether there is more after it.
        more: bool,
        /// The highest number among those that made room before their time; 0 for none.
        dropped: u64,
    },
    /// What was promised and agreed to.
    Promise(Box<SignedGrounded>),
    /// It agrees.
    Vote(Signed<Vote>),
    /// A slot is settled.
    Settled(Box<SignedCertificate>),
    /// Nothing was said of this slot here yet.
    Untouched(Slot),
    /// The box takes nothing after that day, and gives what it has until it is over.
    Closing {
        /// The day.
        day: u32,
    },
    /// This holder stops: another one is needed.
    Leaving,
    /// No, and why.
    Refused(About, Refusal),
}

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum About {
    /// The frame.
    Frame,
    /// Opening a box.
    Open,
    /// Entering one.
    Enter,
    /// An entry.
    Entry(EntryId),
    /// A slot.
    Slot(Slot),
}

/// Why a holder says no.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
pub enum Refusal {
    /// Not a frame, or beyond its bounds.
    #[error("the holder could not read what was asked; one of the two has to be updated")]
    Malformed,
    /// No such box, or not any more.
    #[error("the holder has no such box")]
    NoBox,
    /// The key was not shown.
    #[error("the holder was not shown the box's key")]
    NoKey,
    /// The grant does not count, or was used.
    #[error("the holder does not take the grant to open a box")]
    NoGrant,
    /// Too large, not padded, or not signed with the box's key.
    #[error("the holder does not take this entry")]
    BadEntry,
    /// Its slot has been settled for a while: it has to be encrypted again, in the epoch that followed.
    #[error("the conversation has moved on; the message has to be encrypted again")]
    Stale,
    /// The box is full of what cannot be dropped.
    #[error("the box is full")]
    BoxFull,
    /// The holder has no room, or serves as many as it can.
    #[error("the holder is full")]
    HolderFull,
    /// More at once than it takes.
    #[error("the holder was asked too often; wait a moment")]
    TooOften,
    /// The box takes nothing any more.
    #[error("the box is closed")]
    Closed,
    /// The holder is about to stop.
    #[error("the holder stops; another one is needed")]
    Leaving,
    /// A slot that does not follow from one that is settled here.
    #[error("the holder does not know this slot; it lacks the commit or the certificate before it")]
    UnknownSlot,
    /// The entry is not here.
    #[error("the holder does not have this entry")]
    NoEntry,
    /// The promises are not of the slot's holders, or allow something else, or the ballot is out of order.
    #[error("the holder does not agree: its statements do not allow it")]
    NotAllowed,
    /// No certificate of the slot's holders.
    #[error("the certificate does not settle the slot")]
    BadCertificate,
}

impl Ask {
    /// Bounds that the codec does not know (`BOX-06`). Those of an entry are [`Head::check`]'s.
    pub fn check(&self) -> Result<(), Refusal> {
        let late = |slot: &Slot| slot.attempt > ATTEMPTS_MAX;
        let fits = match self {
            Self::Open { plan, .. } => plan.check().is_ok(),
            Self::Fetch { limit, .. } => (1..=PAGE_ENTRIES_MAX).contains(limit),
            Self::Follow { credit, .. } => (1..=FOLLOW_MAX).contains(credit),
            Self::Get { entries } => (1..=ENTRIES_ASKED_MAX).contains(&entries.len()),
            Self::Prepare { slot, .. } => !late(slot),
            Self::Accept { slot, grounds, .. } => !late(slot) && grounds.is_within_bounds(),
            Self::State { slots } => {
                (1..=SLOTS_ASKED_MAX).contains(&slots.len()) && !slots.iter().any(late)
            }
            Self::Deposit(head) => return head.check().map_err(|_| Refusal::BadEntry),
            Self::Settle(certificate) => certificate.grounds.is_within_bounds(),
            Self::Enter { .. } | Self::Close => true,
        };
        fits.then_some(()).ok_or(Refusal::Malformed)
    }

    /// As how many questions it counts: one for each three signatures that have to be looked at.
    pub fn weight(&self) -> usize {
        let promises = match self {
            Self::Accept { grounds, .. } => grounds.0.len(),
            Self::Settle(certificate) => certificate.grounds.0.len(),
            _ => 0,
        };
        promises.div_ceil(HOLDERS_MAX).max(1)
    }

    /// How many bytes follow the frame. Only of what was checked.
    pub const fn body_bytes(&self) -> usize {
        match self {
            Self::Deposit(head) => head.body_bytes as usize,
            _ => 0,
        }
    }
}

impl Answer {
    /// How many bytes follow the frame, if its head is within bounds.
    pub fn body_bytes(&self) -> Result<usize, super::EntryError> {
        match self {
            Self::Item { head, .. } => head.check().map(|()| head.body_bytes as usize),
            _ => Ok(0),
        }
    }
}
