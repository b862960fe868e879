//! What follows from what holders said of a slot: which entry a ballot may propose ([`choose`]), that a slot is settled
//! ([`Certificate`]), and that a holder lied ([`contradict`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::grounds::{Grounds, GroundsError, SignedGrounds};
use super::statement::{Known, Promise, Signed, Vote};
use super::{Ballot, HOLDERS_MAX, Holders, Slot};
use crate::ids::EntryId;

/// What a proposer may ask for in its ballot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing can be settled yet: its own entry.
    Free,
    /// This one, for it may be settled already: it was agreed to in this ballot.
    Must(Ballot, EntryId),
    /// One of several that were agreed to in one ballot may be settled: the last holder has to be heard, too. Only a member
    /// that lies brings this about.
    Unclear,
}

/// Why promises allow nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Of another slot or ballot, or of somebody who is no holder.
    #[error("a promise is not one of this slot's holders for this ballot")]
    Foreign,
    /// Of one holder twice.
    #[error("a holder's promise is shown twice")]
    Twice,
    /// Fewer than a majority.
    #[error("fewer than a majority of the holders promised")]
    TooFew,
}

/// `ORDER-03`: what `ballot` may propose for `slot`, by these promises.
pub fn choose(
    holders: &Holders,
    slot: Slot,
    ballot: Ballot,
    promises: &[Promise],
) -> Result<Choice, ProofError> {
    let mut heard = BTreeSet::new();
    for promise in promises {
        // One whose ballot is this one and who agreed in it already says nothing about what came before.
        let before = promise.accepted.is_none_or(|(last, _)| last < ballot);
        let fits = promise.slot == slot && promise.ballot == ballot && before;
        if !fits || !holders.has(promise.seat) {
            return Err(ProofError::Foreign);
        }
        if !heard.insert(promise.seat) {
            return Err(ProofError::Twice);
        }
    }
    if heard.len() < holders.majority() {
        return Err(ProofError::TooFew);
    }
    let accepted: Vec<(Ballot, EntryId)> = promises
        .iter()
        .filter_map(|promise| promise.accepted)
        .collect();
    let Some(last) = accepted.iter().map(|(ballot, _)| *ballot).max() else {
        return Ok(Choice::Free);
    };
    let at_last = accepted.iter().filter(|(ballot, _)| *ballot == last);
    let entries = at_last.map(|(_, entry)| *entry).collect();
    Ok(of_one_ballot(holders, last, entries, heard.len()))
}

/// What was agreed to in the last ballot of all, when `heard` holders were heard. A holder agrees to one entry in a ballot, so there
/// are several only if the proposer asked for different ones.
fn of_one_ballot(holders: &Holders, last: Ballot, entries: Vec<EntryId>, heard: usize) -> Choice {
    let votes = |entry: &EntryId| entries.iter().filter(|other| *other == entry).count();
    let distinct: BTreeSet<&EntryId> = entries.iter().collect();
    if distinct.len() > 1 && heard < holders.seats.len() {
        return Choice::Unclear;
    }
    let settled = distinct
        .iter()
        .find(|entry| votes(entry) >= holders.majority());
    // With all heard and no majority for any of them, none of them is settled, and none of an earlier ballot can be.
    let entry = settled.or_else(|| distinct.first());
    entry.map_or(Choice::Free, |entry| Choice::Must(last, **entry))
}

/// A slot is settled: votes of a majority in one ballot, and the grounds on which the ballot was allowed to ask for it. These are what
/// convicts a holder who lied: two certificates for different entries always hold two statements that [`contradict`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Certificate {
    votes: Vec<Known<Vote>>,
    grounds: Grounds,
}

/// A certificate nobody has looked at; written like a [`Certificate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCertificate {
    /// At most [`HOLDERS_MAX`].
    pub votes: Vec<Signed<Vote>>,
    /// Of that entry in that ballot.
    pub grounds: SignedGrounds,
}

/// Why a certificate settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Too large, or an attempt beyond the bound.
    #[error("a certificate is larger than allowed")]
    TooLarge,
    /// A signature.
    #[error("a certificate holds a statement that its holder did not sign")]
    NotSigned,
    /// Votes that are not of a majority of the holders, for one entry, in one ballot.
    #[error("a certificate's votes do not settle anything")]
    Votes,
    /// Grounds.
    #[error("a certificate's votes were not allowed: {0}")]
    Grounds(#[from] GroundsError),
}

impl SignedCertificate {
    /// `ORDER-04`: looks at all of it, bounds first and signatures last.
    pub fn verify(self, holders: &Holders) -> Result<Certificate, CertificateError> {
        let late = |vote: &Signed<Vote>| !vote.statement.slot.is_within_bounds();
        let late = self.votes.iter().any(late);
        if late || self.votes.len() > HOLDERS_MAX || !self.grounds.is_within_bounds() {
            return Err(CertificateError::TooLarge);
        }
        let said: Vec<Vote> = self.votes.iter().map(|vote| vote.statement).collect();
        let first = agreed(holders, &said)?;
        let of = (first.ballot, first.entry);
        let votes: Result<Vec<_>, _> = self.votes.into_iter().map(Signed::verify).collect();
        let mut votes = votes.map_err(|_| CertificateError::NotSigned)?;
        votes.sort_unstable();
        let grounds = self.grounds.verify(holders, first.slot, of);
        let grounds = grounds.map_err(|why| match why {
            GroundsError::NotSigned => CertificateError::NotSigned,
            other => CertificateError::Grounds(other),
        })?;
        Ok(Certificate { votes, grounds })
    }
}

impl Certificate {
    /// Of statements whose signatures are known to be right.
    pub fn new(
        holders: &Holders,
        mut votes: Vec<Known<Vote>>,
        grounds: Grounds,
    ) -> Result<Self, CertificateError> {
        votes.sort_unstable();
        let said: Vec<Vote> = votes.iter().map(|vote| *vote.get()).collect();
        let first = agreed(holders, &said)?;
        grounds.allow(holders, first.slot, (first.ballot, first.entry))?;
        Ok(Self { votes, grounds })
    }

    /// The slot that is settled.
    pub fn slot(&self) -> Slot {
        self.vote().slot
    }

    /// What it is settled on.
    pub fn entry(&self) -> EntryId {
        self.vote().entry
    }

    /// In which ballot.
    pub fn ballot(&self) -> Ballot {
        self.vote().ballot
    }

    /// The votes, in the order of their seats.
    pub fn votes(&self) -> &[Known<Vote>] {
        &self.votes
    }

    /// The grounds.
    pub const fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// All that is said in it.
    pub fn said(&self) -> impl Iterator<Item = Said> {
        let votes = self.votes.iter().map(|vote| Said::Vote(*vote.get()));
        let promises = self.grounds.promises().iter();
        votes.chain(promises.map(|promise| Said::Promise(*promise.get())))
    }

    /// As it travels.
    pub fn signed(&self) -> SignedCertificate {
        SignedCertificate {
            votes: self.votes.iter().map(|vote| *vote.signed()).collect(),
            grounds: self.grounds.signed(),
        }
    }

    fn vote(&self) -> &Vote {
        // There is one: `new` is the only way here.
        self.votes[0].get()
    }
}

/// The first of votes by which a majority agreed to one entry in one ballot, each once.
fn agreed(holders: &Holders, votes: &[Vote]) -> Result<Vote, CertificateError> {
    let first = *votes.first().ok_or(CertificateError::Votes)?;
    let seats: BTreeSet<_> = votes.iter().map(|vote| vote.seat).collect();
    let one = |vote: &Vote| {
        let same = vote.slot == first.slot && vote.ballot == first.ballot;
        same && vote.entry == first.entry && holders.has(vote.seat)
    };
    let all = votes.iter().all(one) && seats.len() == votes.len();
    match all && seats.len() >= holders.majority() {
        true => Ok(first),
        false => Err(CertificateError::Votes),
    }
}

/// Something a holder said of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Said {
    /// A promise.
    Promise(Promise),
    /// A vote.
    Vote(Vote),
}

/// `ORDER-05`: whether no honest holder can have said both. A holder agrees to one entry in a ballot, to no ballot
/// below the one it promised, and tells with each promise what it agreed to last.
pub fn contradict(one: &Said, other: &Said) -> bool {
    if (one.seat(), one.slot()) != (other.seat(), other.slot()) {
        return false;
    }
    let differ = match (one.accepted(), other.accepted()) {
        (Some((a, x)), Some((b, y))) => a == b && x != y,
        _ => false,
    };
    differ || one.denies(other) || other.denies(one)
}

impl Said {
    /// Whose word it is.
    pub const fn seat(&self) -> super::Seat {
        match self {
            Self::Promise(promise) => promise.seat,
            Self::Vote(vote) => vote.seat,
        }
    }

    /// Of which slot.
    pub const fn slot(&self) -> Slot {
        match self {
            Self::Promise(promise) => promise.slot,
            Self::Vote(vote) => vote.slot,
        }
    }

    /// What the holder agreed to, by its own word.
    pub const fn accepted(&self) -> Option<(Ballot, EntryId)> {
        match self {
            Self::Promise(promise) => promise.accepted,
            Self::Vote(vote) => Some((vote.ballot, vote.entry)),
        }
    }

    /// Whether this is a promise that hides what the other one says was agreed to.
    fn denies(&self, other: &Self) -> bool {
        let (Self::Promise(promise), Some((ballot, _))) = (self, other.accepted()) else {
            return false;
        };
        let told = promise.accepted.is_some_and(|(last, _)| last >= ballot);
        ballot < promise.ballot && !told
    }
}

#[cfg(test)]
mod tests;
