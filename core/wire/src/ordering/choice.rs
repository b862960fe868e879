//! What follows from what holders said of a slot: which entry a ballot may propose ([`choose`]), that a slot is settled
//! ([`Certificate`]), and that a holder lied ([`contradict`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::statement::{Known, Promise, Signed, Vote};
use super::{Ballot, HOLDERS_MAX, Holders, Slot};
use crate::ids::EntryId;

/// What a proposer may ask for in its ballot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing can be settled yet: its own entry.
    Free,
    /// This one, for it may be settled already.
    Must(EntryId),
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
    promises: &[Known<Promise>],
) -> Result<Choice, ProofError> {
    let mut heard = BTreeSet::new();
    for promise in promises.iter().map(Known::get) {
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
        .filter_map(|promise| promise.get().accepted)
        .collect();
    let Some(last) = accepted.iter().map(|(ballot, _)| *ballot).max() else {
        return Ok(Choice::Free);
    };
    let at_last = accepted.iter().filter(|(ballot, _)| *ballot == last);
    Ok(of_one_ballot(
        holders,
        at_last.map(|(_, entry)| *entry).collect(),
        heard.len(),
    ))
}

/// What was agreed to in the last ballot of all, when `heard` holders were heard. A holder agrees to one entry in a ballot, so there
/// are several only if the proposer asked for different ones.
fn of_one_ballot(holders: &Holders, mut entries: Vec<EntryId>, heard: usize) -> Choice {
    entries.sort_unstable();
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
    entry.map_or(Choice::Free, |entry| Choice::Must(**entry))
}

/// A slot is settled: votes of a majority in one ballot, and the promises by which the ballot was allowed to ask for it. The promises
/// are what convicts a holder who lied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Certificate {
    votes: Vec<Known<Vote>>,
    proof: Vec<Known<Promise>>,
}

/// A certificate nobody has looked at; written like a [`Certificate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCertificate {
    /// At most [`HOLDERS_MAX`].
    pub votes: Vec<Signed<Vote>>,
    /// At most [`HOLDERS_MAX`].
    pub proof: Vec<Signed<Promise>>,
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
    /// Promises.
    #[error("a certificate's votes were not allowed: {0}")]
    Proof(#[from] ProofError),
    /// Promises by which another entry had to be asked for.
    #[error("a certificate is for another entry than the holders had agreed to")]
    OtherEntry,
}

impl SignedCertificate {
    /// `ORDER-04`: looks at all of it, bounds and signatures first.
    pub fn verify(self, holders: &Holders) -> Result<Certificate, CertificateError> {
        let late = |vote: &Signed<Vote>| !vote.statement.slot.is_within_bounds();
        let late = self.votes.iter().any(late);
        if late || self.votes.len() > HOLDERS_MAX || self.proof.len() > HOLDERS_MAX {
            return Err(CertificateError::TooLarge);
        }
        let signed = CertificateError::NotSigned;
        let votes: Result<_, _> = self.votes.into_iter().map(Signed::verify).collect();
        let proof: Result<_, _> = self.proof.into_iter().map(Signed::verify).collect();
        Certificate::new(
            holders,
            votes.map_err(|_| signed)?,
            proof.map_err(|_| signed)?,
        )
    }
}

impl Certificate {
    /// Of statements whose signatures are known to be right.
    pub fn new(
        holders: &Holders,
        mut votes: Vec<Known<Vote>>,
        mut proof: Vec<Known<Promise>>,
    ) -> Result<Self, CertificateError> {
        votes.sort_unstable();
        proof.sort_unstable();
        let first = *votes.first().ok_or(CertificateError::Votes)?.get();
        let seats: BTreeSet<_> = votes.iter().map(|vote| vote.get().seat).collect();
        let one = |vote: &Vote| {
            let same = vote.slot == first.slot && vote.ballot == first.ballot;
            same && vote.entry == first.entry && holders.has(vote.seat)
        };
        let agree = votes.iter().all(|vote| one(vote.get()));
        if !agree || seats.len() != votes.len() || seats.len() < holders.majority() {
            return Err(CertificateError::Votes);
        }
        match choose(holders, first.slot, first.ballot, &proof)? {
            Choice::Free => Ok(Self { votes, proof }),
            Choice::Must(entry) if entry == first.entry => Ok(Self { votes, proof }),
            Choice::Must(_) | Choice::Unclear => Err(CertificateError::OtherEntry),
        }
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

    /// The promises.
    pub fn proof(&self) -> &[Known<Promise>] {
        &self.proof
    }

    /// As it travels.
    pub fn signed(&self) -> SignedCertificate {
        SignedCertificate {
            votes: self.votes.iter().map(|vote| *vote.signed()).collect(),
            proof: self.proof.iter().map(|promise| *promise.signed()).collect(),
        }
    }

    fn vote(&self) -> &Vote {
        // There is one: `new` is the only way here.
        self.votes[0].get()
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
