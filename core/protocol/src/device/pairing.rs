//! How another device joins the account (`PAIR-04` to `PAIR-13`): the side that shows the link ([`owner`]) and the side that
//! reads it ([`newcomer`]).
//!
//! Hello, number, reveal, and both screens show four words; the person compares them and says so on both. Then the chain is
//! signed, and the new device gets what it needs. Each side knows the other by the key of its front door, so a connection may break and
//! another one go on; who comes back says hello as he did before.

pub mod newcomer;
pub mod owner;

use starling_wire::pairing::{EndReason, WelcomeError};

/// Why no device joined; the sentence is for the person at this side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The other side ended it.
    #[error(transparent)]
    There(EndReason),
    /// By the person here.
    #[error("it was cancelled; no device was added")]
    Cancelled,
    /// Ten minutes are over.
    #[error("the link was valid for ten minutes, which are over; make a new one")]
    Expired,
    /// The secret was guessed at.
    #[error(
        "somebody tried this link with wrong secrets; it is not valid any more, make a new one"
    )]
    Guessed,
    /// What the other side said does not belong together.
    #[error(
        "what the other device said does not belong together: somebody may be in between. Make a new link, and compare the words"
    )]
    Altered,
    /// What it sent was not right.
    #[error(transparent)]
    Welcome(#[from] WelcomeError),
    /// The device was added, and then nothing was heard of it.
    #[error(
        "the new device was added but did not answer; if it does not show your contacts, remove it and add it again"
    )]
    Unheard,
    /// The device was added, and gave up.
    #[error("the new device was added but gave up; remove it, and add it again")]
    GaveUp,
}

#[cfg(test)]
mod tests;
