//! Why a ballot may ask for an entry, down to the beginning. The promises of a majority that allow it may name that entry in a lower
//! ballot; then the promises that allowed it there belong to it, and so on, to a ballot of whose majority nobody had agreed to anything.
//!
//! So whoever says that it agreed to something shows that it was allowed to. Of two certificates for different entries, the one with the
//! higher ballot has among its grounds the promises of the first ballot above the other's: a majority, which shares a holder with the
//! other's voters, and that holder's word hides what it voted for.
//!
//! Most grounds have one link. More come about when a proposer is cut off after one holder agreed.

use serde::{Deserialize, Serialize};

use super::choice::{Choice, ProofError, choose};
use super::statement::{Known, Promise, Signed};
use super::{Ballot, HOLDERS_MAX, Holders, Slot};
use crate::ids::EntryId;

/// Ballots of one chain at most.
pub const LINKS_MAX: usize = 64;
/// Promises of one chain at most.
pub const PROMISES_MAX: usize = LINKS_MAX * HOLDERS_MAX;

/// Promises of one ballot after the other, the highest first: each ballot's are a link.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Grounds(Vec<Known<Promise>>);

/// Grounds nobody has looked at; written like [`Grounds`].
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedGrounds(pub Vec<Signed<Promise>>);

/// A promise, and the grounds of what it says was agreed to. The only kind that a proposer takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Grounded {
    promise: Known<Promise>,
    grounds: Grounds,
}

/// The same, and nobody has looked at it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignedGrounded {
    /// What is promised.
    pub promise: Signed<Promise>,
    /// None if nothing was agreed to.
    pub grounds: SignedGrounds,
}

/// Why grounds allow nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroundsError {
    /// More ballots or promises than allowed.
    #[error("what a holder agreed to is explained by more promises than allowed")]
    TooMany,
    /// A signature.
    #[error("a promise is not signed by the holder that it names")]
    NotSigned,
    /// Promises of a ballot that are no majority's.
    #[error("the promises of a ballot allow nothing: {0}")]
    Link(#[from] ProofError),
    /// Promises by which another entry had to be asked for.
    #[error("the promises of a ballot allow another entry than was asked for")]
    OtherEntry,
    /// Promises that belong to none of the ballots.
    #[error("promises are shown that explain nothing")]
    Surplus,
}

impl Grounds {
    /// One link: the promises of one ballot.
    pub fn first(mut promises: Vec<Known<Promise>>) -> Self {
        promises.sort_unstable();
        Self(promises)
    }

    /// A higher ballot's promises on top of these.
    pub fn under(&self, promises: Vec<Known<Promise>>) -> Self {
        let mut all = Self::first(promises);
        all.0.extend_from_slice(&self.0);
        all
    }

    /// `ORDER-12`: whether they allow this entry in this ballot. Looks at each promise once.
    pub fn allow(
        &self,
        holders: &Holders,
        slot: Slot,
        of: (Ballot, EntryId),
    ) -> Result<(), GroundsError> {
        let said: Vec<Promise> = self.0.iter().map(|promise| *promise.get()).collect();
        allow(holders, slot, of, &said)
    }

    /// The promises, by falling ballot.
    pub fn promises(&self) -> &[Known<Promise>] {
        &self.0
    }

    /// How many ballots there are.
    pub fn links(&self) -> usize {
        self.0
            .chunk_by(|a, b| a.get().ballot == b.get().ballot)
            .count()
    }

    /// As they travel.
    pub fn signed(&self) -> SignedGrounds {
        SignedGrounds(self.0.iter().map(|promise| *promise.signed()).collect())
    }
}

impl SignedGrounds {
    /// Whether there are no more than allowed.
    pub const fn is_within_bounds(&self) -> bool {
        self.0.len() <= PROMISES_MAX
    }

    /// Looks at what is said first and at signatures then, since these cost more.
    pub fn verify(
        self,
        holders: &Holders,
        slot: Slot,
        of: (Ballot, EntryId),
    ) -> Result<Grounds, GroundsError> {
        if !self.is_within_bounds() {
            return Err(GroundsError::TooMany);
        }
        let said: Vec<Promise> = self.0.iter().map(|promise| promise.statement).collect();
        allow(holders, slot, of, &said)?;
        let known: Result<_, _> = self.0.into_iter().map(Signed::verify).collect();
        known.map(Grounds).map_err(|_| GroundsError::NotSigned)
    }
}

impl Grounded {
    /// `ORDER-12`: what a promise names comes with its grounds, and nothing else does.
    pub fn new(
        holders: &Holders,
        promise: Known<Promise>,
        grounds: Grounds,
    ) -> Result<Self, GroundsError> {
        match promise.get().accepted {
            Some(accepted) => grounds.allow(holders, promise.get().slot, accepted)?,
            None if !grounds.0.is_empty() => return Err(GroundsError::Surplus),
            None => {}
        }
        Ok(Self { promise, grounds })
    }

    /// The promise.
    pub const fn promise(&self) -> &Known<Promise> {
        &self.promise
    }

    /// The grounds of what it names.
    pub const fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// As it travels.
    pub fn signed(&self) -> SignedGrounded {
        SignedGrounded {
            promise: *self.promise.signed(),
            grounds: self.grounds.signed(),
        }
    }
}

impl SignedGrounded {
    /// Of a holder of the slot, signed, and with its grounds.
    pub fn verify(self, holders: &Holders) -> Result<Grounded, GroundsError> {
        let said = self.promise.statement;
        if !holders.has(said.seat) || !said.slot.is_within_bounds() {
            return Err(GroundsError::Link(ProofError::Foreign));
        }
        let promise = self.promise.verify();
        let promise = promise.map_err(|_| GroundsError::NotSigned)?;
        let grounds = match said.accepted {
            Some(accepted) => self.grounds.verify(holders, said.slot, accepted)?,
            None if !self.grounds.0.is_empty() => return Err(GroundsError::Surplus),
            None => Grounds::default(),
        };
        Ok(Grounded { promise, grounds })
    }
}

fn allow(
    holders: &Holders,
    slot: Slot,
    (mut ballot, entry): (Ballot, EntryId),
    mut rest: &[Promise],
) -> Result<(), GroundsError> {
    for _ in 0..LINKS_MAX {
        let of_ballot = rest.iter().take_while(|promise| promise.ballot == ballot);
        let (link, lower) = rest.split_at(of_ballot.count());
        match choose(holders, slot, ballot, link)? {
            Choice::Free if lower.is_empty() => return Ok(()),
            Choice::Free => return Err(GroundsError::Surplus),
            Choice::Must(last, must) if must == entry => ballot = last,
            Choice::Must(..) | Choice::Unclear => return Err(GroundsError::OtherEntry),
        }
        rest = lower;
    }
    Err(GroundsError::TooMany)
}

#[cfg(test)]
mod tests;
