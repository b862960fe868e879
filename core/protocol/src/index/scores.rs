//! What one supernode thinks of the others, from what it saw itself and nothing else (`INDEX-28` to `INDEX-30`). It decides who is
//! asked last, never who is not asked: a wrong judgement costs time and hides no record.
//!
//! That somebody lacks what others have proves nothing: whoever made the record may have brought it to those others only, to
//! get him blamed. So he is told the record, as `INDEX-15` says, and asked for it once more. An honest one has it then.

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::placement::IndexKey;

use super::resolver::{Fault, LONGEST, LookupId, Reply};
use super::standing::Standing;
use super::{Record, Transmit};
use crate::machine::Time;

/// Numbers from here on are those of the questions asked here; look-ups have lower ones.
const FIRST: LookupId = 1 << 63;
/// Whoever was told a record is asked for it so long after: word and disk have had their time.
const ASKED_AFTER: Duration = Duration::from_secs(30);
/// Told supernodes that are remembered, one record of each.
const TOLD_MAX: usize = 256;
/// Silence counts if another one answered so lately: else it may be our own line.
const HEARD_LATELY: Duration = Duration::from_secs(10);

/// Standing, and the questions that it follows from.
#[derive(Debug)]
pub(super) struct Scores<M> {
    standing: Standing<M>,
    told: BTreeMap<M, Told>,
    /// Who answered last, and when.
    heard: Option<(M, Time)>,
    next: LookupId,
}

#[derive(Debug)]
struct Told {
    key: IndexKey,
    order: u64,
    /// When it is asked, or no more waited for.
    due: Time,
    asked: Option<LookupId>,
}

impl<M: Copy + Ord> Scores<M> {
    pub(super) fn new() -> Self {
        Self {
            standing: Standing::default(),
            told: BTreeMap::new(),
            heard: None,
            next: FIRST,
        }
    }

    /// Whether a number is one of a question asked here.
    pub(super) const fn is_own(id: LookupId) -> bool {
        id >= FIRST
    }

    /// `INDEX-28`: whoever has done badly is asked last, in the same order among themselves.
    pub(super) fn order(&self, holders: Vec<M>, now: Time) -> Vec<M> {
        let (bad, mut order): (Vec<M>, Vec<M>) = holders
            .into_iter()
            .partition(|holder| self.standing.is_bad(*holder, now));
        order.extend(bad);
        order
    }

    /// Somebody answered a look-up.
    pub(super) fn handle_heard(&mut self, from: M, now: Time) {
        self.heard = Some((from, now));
    }

    /// Somebody denied a record, or had an older one, and is told it.
    pub(super) fn handle_told(&mut self, whom: M, key: IndexKey, order: u64, now: Time) {
        if self.told.len() < TOLD_MAX {
            self.told.entry(whom).or_insert(Told {
                key,
                order,
                due: now + ASKED_AFTER,
                asked: None,
            });
        }
    }

    /// A fault that a look-up found.
    pub(super) fn handle_fault(&mut self, holder: M, fault: Fault, now: Time) {
        let heard = self
            .heard
            .is_some_and(|(whom, at)| whom != holder && at + HEARD_LATELY > now);
        let counts = match fault {
            Fault::Forged => true,
            // INDEX-30: while others answer, it is not our own line.
            Fault::Silent | Fault::Unreachable => heard,
            // INDEX-29: he is asked again.
            Fault::Behind | Fault::Kept => false,
        };
        if counts {
            self.standing.handle_blame(holder, fault, now);
        }
    }

    /// The answer to a question asked here; what is wrong with it.
    pub(super) fn handle_answer<R: Record>(
        &mut self,
        id: LookupId,
        from: M,
        reply: &Reply<R>,
        now: Time,
    ) -> Option<Fault> {
        self.told.get(&from).filter(|told| told.asked == Some(id))?;
        let told = self.told.remove(&from)?;
        let fault = match reply {
            Reply::Record(record) if record.key() != told.key => Fault::Forged,
            Reply::Record(record) if record.order() >= told.order => return None,
            // INDEX-29: he was told, and denies it again.
            Reply::Record(_) | Reply::None => Fault::Behind,
            Reply::Forged => Fault::Forged,
            Reply::Unreachable => return None,
        };
        self.standing.handle_blame(from, fault, now);
        Some(fault)
    }

    /// Asks whoever is due, forgets who does not answer.
    pub(super) fn handle_timeout<R>(&mut self, now: Time) -> Vec<Transmit<M, R>> {
        self.told
            .retain(|_, told| told.asked.is_none() || told.due > now);
        let mut questions = Vec::new();
        for (holder, told) in &mut self.told {
            if told.due <= now {
                told.asked = Some(self.next);
                told.due = now + LONGEST;
                questions.push(Transmit::Ask(self.next, *holder, told.key));
                self.next = self.next.saturating_add(1);
            }
        }
        questions
    }

    /// A supernode is gone: it can be asked no more.
    pub(super) fn handle_left(&mut self, member: M) {
        self.told.remove(&member);
    }

    /// When to come back.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.told.values().map(|told| told.due).min()
    }

    #[cfg(test)]
    pub(super) fn is_bad(&self, holder: M, now: Time) -> bool {
        self.standing.is_bad(holder, now)
    }
}

#[cfg(test)]
mod tests;
