//! The holder's side of the index: keeps records by BEP 44's rules, passes them on when supernodes come and go, and compares
//! with the other holders on a timetable (`INDEX-03` to `INDEX-10`).
//!
//! A record lies at the five supernodes nearest to its key, in different address blocks; in a network of up to fifty, at all
//! of them. When somebody joins among the nearest, the two nearest of the others and the one that he displaced hand the record
//! over; when one goes, the two nearest that are left give it to whoever follows. What liars did not pass on is noticed at the
//! next comparison.
//!
//! Members are named by any small value that the driver understands. Times are since the node's start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use starling_wire::overlay::COMPARED_MAX;
use starling_wire::placement::{COPIES, EVERYWHERE, IndexKey, Nearest, Position};

use super::Record;
use super::admission::Admission;
pub use super::admission::{PutRefusal, Source};
use crate::backoff::Jitter;
use crate::machine::{Deadline, Outputs, Time};

/// Records a supernode keeps.
pub const RECORDS_MAX: usize = 50_000;
/// Of these, records that anybody can make: nobody fills the places of those that the network's owner vouches for.
pub const ANYBODYS_MAX: usize = 45_000;
/// Above so many supernodes a record lies at the nearest only; below [`EVERYWHERE`] everywhere again. In between it stays.
const FEW_COPIES_ABOVE: usize = EVERYWHERE + 10;
/// A record that has moved on is kept for so long: who asks may not have heard of it yet, and all its holders may be liars.
pub const MOVED_AFTER: Duration = Duration::from_secs(2 * 3600);
/// The first comparison comes within this after the start: an earlier one would betray when somebody is there.
pub const COMPARE_FIRST: Duration = Duration::from_secs(6 * 3600);
/// The next of the others follows within this.
pub const COMPARE_NEXT: Duration = Duration::from_secs(90 * 60);
/// With one who has become a holder beside us we compare within this: those who should have handed over may be liars.
const COMPARE_SOON: Duration = Duration::from_secs(300);

/// What must be on disk before anything is answered or sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Persist<R> {
    /// Keep it, in place of any other with its key.
    Keep(R),
    /// Forget what is kept under this key.
    Forget(IndexKey),
}

/// What is said to other holders.
#[derive(Debug, Clone, PartialEq)]
pub enum Transmit<M, R> {
    /// "You hold this now."
    Hand(M, R),
    /// "I hold these, up to these numbers; tell me what you lack, and send what is newer."
    Compare(M, Vec<(IndexKey, u64)>),
    /// "I lack these, or have older ones."
    Want(M, Vec<IndexKey>),
}

/// Why a holder wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A record expires, or one that moved on is forgotten.
    Forget,
    /// The next comparison.
    Compare,
}

#[derive(Debug, Clone)]
struct Kept<M, R> {
    record: R,
    expires: Time,
    nearest: Nearest<M>,
    /// Since when it belongs elsewhere.
    moved: Option<Time>,
}

/// One supernode's share of the index.
#[derive(Debug)]
pub struct Holder<M, B, R> {
    own: M,
    members: BTreeMap<M, Position>,
    few_copies: bool,
    records: BTreeMap<IndexKey, Kept<M, R>>,
    /// How many of them anybody could have made.
    anybodys: usize,
    /// By when they are to be looked at: expiry, or the end of a moved one.
    due: BTreeSet<(Time, IndexKey)>,
    /// Those whose writing nobody has told of yet.
    unwritten: BTreeSet<IndexKey>,
    admission: Admission<M, B>,
    /// With whom we compare soon, and the same by time.
    soon: BTreeMap<M, Time>,
    soon_due: BTreeSet<(Time, M)>,
    next_compare: Time,
    compared_with: Option<M>,
    jitter: Jitter,
    persists: Outputs<Persist<R>>,
    transmits: Outputs<Transmit<M, R>>,
}

impl<M: Copy + Ord, B: Copy + Ord, R: Record> Holder<M, B, R> {
    /// Holds nothing yet. The first comparison is not at the start: it would betray when somebody is there.
    pub fn new(own: M, position: Position, seed: u64, now: Time) -> Self {
        let mut jitter = Jitter::new(seed);
        Self {
            own,
            members: BTreeMap::from([(own, position)]),
            few_copies: false,
            records: BTreeMap::new(),
            anybodys: 0,
            due: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            admission: Admission::default(),
            soon: BTreeMap::new(),
            soon_due: BTreeSet::new(),
            next_compare: now + jitter.spread(COMPARE_FIRST),
            compared_with: None,
            jitter,
            persists: Outputs::default(),
            transmits: Outputs::default(),
        }
    }

    /// What was kept before a restart. It was persisted; nothing is said about it.
    pub fn restore(&mut self, record: R, lives_for: Duration, now: Time) {
        let nearest = self.nearest(record.key());
        self.keep(Kept {
            record,
            expires: now + lives_for,
            nearest,
            moved: None,
        });
    }

    /// A record is brought. `replaces` is the number of the one it was made from, where that matters.
    pub fn handle_put(
        &mut self,
        source: Source<M, B>,
        record: R,
        lives_for: Duration,
        replaces: Option<u64>,
        now: Time,
    ) -> Result<(), PutRefusal> {
        self.assert_drained();
        let key = record.key();
        if let Some(kept) = self.records.get(&key) {
            // INDEX-03: the recovery key's word, then numbers; INDEX-04: compare-and-set. The same again is no news, but it is right.
            let (new, old) = (record.order(), kept.record.order());
            if new == old && record == kept.record {
                self.write_again(key);
                return Ok(());
            }
            match new.cmp(&old) {
                std::cmp::Ordering::Less => return Err(PutRefusal::Older),
                std::cmp::Ordering::Equal => return Err(PutRefusal::Conflict),
                std::cmp::Ordering::Greater => {}
            }
            if replaces.is_some_and(|replaced| replaced != old) {
                return Err(PutRefusal::Changed);
            }
        }
        let nearest = self.nearest(key);
        let here = !self.few_copies || nearest.contains(self.own);
        // INDEX-05: what belongs elsewhere is not kept. But another holder may know earlier who has come or gone: what he
        // hands over is kept for a while.
        if !here && matches!(source, Source::Client(_)) {
            return Err(PutRefusal::NotHolder);
        }
        let expires = now + lives_for;
        self.admit(source, &record, expires, now)?;
        self.unwritten.insert(key);
        self.persists.push(Persist::Keep(record.clone()));
        self.keep(Kept {
            record,
            expires,
            nearest,
            moved: (!here).then_some(now),
        });
        Ok(())
    }

    /// A client's record goes to its holders, of which this supernode is none: it is charged to his block all the same
    /// (`INDEX-31`).
    pub fn handle_passed(
        &mut self,
        block: B,
        record: &R,
        lives_for: Duration,
        now: Time,
    ) -> Result<(), PutRefusal> {
        self.assert_drained();
        if record.is_vouched_for() {
            return Ok(());
        }
        let (source, key, ends) = (Source::Client(block), record.key(), now + lives_for);
        if self.records.contains_key(&key) || self.admission.knows(key, now) {
            self.admission.renew(source, key, ends);
            return Ok(());
        }
        self.admission.admit(source, key, ends, now)
    }

    /// What was to be kept, up to this number, is on disk.
    pub fn handle_written(&mut self, key: IndexKey, order: u64) {
        let kept = self.records.get(&key);
        if kept.is_some_and(|kept| kept.record.order() == order) {
            self.unwritten.remove(&key);
        }
    }

    /// The record kept under `key`, whether or not it belongs here.
    pub fn get(&self, key: IndexKey, now: Time) -> Option<&R> {
        self.records
            .get(&key)
            .filter(|kept| kept.expires > now)
            .map(|kept| &kept.record)
    }

    /// Records kept.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// A supernode joined.
    pub fn handle_joined(&mut self, member: M, position: Position, now: Time) {
        self.assert_drained();
        if self.members.insert(member, position) == Some(position) || member == self.own {
            return;
        }
        let resettled = self.settle_copies();
        let mut handed = Vec::new();
        let mut changed = Vec::new();
        for (key, kept) in &mut self.records {
            if self.few_copies && !kept.nearest.may_join(*key, position) {
                continue;
            }
            let ours = hands_over(&kept.nearest, member, self.own);
            let before = kept.nearest.contains(self.own);
            let joined = kept.nearest.join(*key, member, position);
            let displaced = before && !kept.nearest.contains(self.own);
            if joined {
                changed.push(*key);
            }
            // INDEX-06: two hand over, and everybody knows who: the nearest of those who had it. And whoever loses his place
            // to the new one: he may have been the only one who is honest.
            if (joined || !self.few_copies) && (ours || displaced) {
                handed.push(kept.record.clone());
            }
        }
        for record in handed {
            self.transmits.push(Transmit::Hand(member, record));
        }
        if !changed.is_empty() {
            self.compare_soon(member, now);
        }
        if resettled {
            self.mark_moved(now);
        }
        for key in changed {
            self.mark_if_moved(key, now);
        }
    }

    /// A supernode went, by its own word or because nobody reaches it.
    pub fn handle_left(&mut self, member: M, now: Time) {
        self.assert_drained();
        if member == self.own || self.members.remove(&member).is_none() {
            return;
        }
        let everywhere_again = self.settle_copies() && !self.few_copies;
        let members: Vec<(M, Position)> = self.members.iter().map(|(m, p)| (*m, *p)).collect();
        let mut handed = Vec::new();
        let mut changed = Vec::new();
        let mut beside_us = BTreeSet::new();
        for (key, kept) in &mut self.records {
            let was_here = kept.nearest.contains(member);
            if self.few_copies && !was_here {
                continue;
            }
            let before = kept.nearest.clone();
            if was_here {
                kept.nearest = Nearest::among(*key, members.iter().copied());
                changed.push(*key);
            }
            for new in kept.nearest.members().filter(|m| !before.contains(*m)) {
                beside_us.insert(new);
            }
            // INDEX-07: the two nearest that are left give it to whoever follows. Where everybody has it, nobody follows.
            let few = self.few_copies || everywhere_again;
            if !few || !hands_over(&before, member, self.own) {
                continue;
            }
            let new = members
                .iter()
                .map(|(other, _)| *other)
                .filter(|other| everywhere_again || kept.nearest.contains(*other))
                .filter(|other| !before.contains(*other));
            handed.extend(new.map(|new| (new, kept.record.clone())));
        }
        for (new, record) in handed {
            self.transmits.push(Transmit::Hand(new, record));
        }
        self.compare_no_more(member);
        beside_us.remove(&self.own);
        for new in beside_us {
            self.compare_soon(new, now);
        }
        if everywhere_again {
            self.mark_moved(now);
        }
        for key in changed {
            self.mark_if_moved(key, now);
        }
    }

    /// This supernode is about to stop: what it holds goes to whoever follows.
    pub fn handle_leaving(&mut self) {
        self.assert_drained();
        if !self.few_copies {
            return;
        }
        let others: Vec<(M, Position)> = self
            .members
            .iter()
            .filter(|(member, _)| **member != self.own)
            .map(|(member, position)| (*member, *position))
            .collect();
        for (key, kept) in &self.records {
            let after = Nearest::among(*key, others.iter().copied());
            for new in after.members().filter(|m| !kept.nearest.contains(*m)) {
                self.transmits
                    .push(Transmit::Hand(new, kept.record.clone()));
            }
        }
    }

    /// Another holder says what it has: what it lacks is sent, what we lack is asked for (`INDEX-09`).
    pub fn handle_compare(&mut self, from: M, theirs: &[(IndexKey, u64)], now: Time) {
        self.assert_drained();
        let Some(_) = self.members.get(&from) else {
            return;
        };
        let mut wanted = Vec::new();
        for (key, order) in theirs.iter().take(COMPARED_MAX) {
            match self.records.get(key).filter(|kept| kept.expires > now) {
                Some(kept) if kept.record.order() > *order => {
                    self.transmits
                        .push(Transmit::Hand(from, kept.record.clone()));
                }
                Some(kept) if kept.record.order() == *order => {}
                _ if self.belongs_here(*key) => wanted.push(*key),
                _ => {}
            }
        }
        if !wanted.is_empty() {
            self.transmits.push(Transmit::Want(from, wanted));
        }
    }

    /// Another holder lacks records that we named.
    pub fn handle_want(&mut self, from: M, keys: &[IndexKey], now: Time) {
        self.assert_drained();
        if !self.members.contains_key(&from) {
            return;
        }
        for key in keys.iter().take(COMPARED_MAX) {
            if let Some(record) = self.get(*key, now).cloned() {
                self.transmits.push(Transmit::Hand(from, record));
            }
        }
    }

    /// Forgets what is over, compares when it is time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        while let Some((at, key)) = self.due.first().copied() {
            if at > now {
                break;
            }
            self.due.remove(&(at, key));
            if self
                .records
                .get(&key)
                .is_some_and(|kept| kept.ends() <= now)
            {
                // INDEX-08: what has expired, or has moved on for long enough.
                self.forget(key);
            }
        }
        while let Some((at, member)) = self.soon_due.first().copied() {
            if at > now {
                break;
            }
            self.compare_no_more(member);
            self.compare_with(member, now);
        }
        if self.next_compare <= now {
            self.next_compare = now + self.jitter.spread(COMPARE_NEXT);
            self.compare(now);
        }
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        Deadline::earliest([
            self.due
                .first()
                .map(|(at, _)| Deadline::new(*at, Wake::Forget)),
            Some(Deadline::new(self.next_compare, Wake::Compare)),
            self.soon_due
                .first()
                .map(|(at, _)| Deadline::new(*at, Wake::Compare)),
        ])
    }

    /// What must be on disk first.
    pub fn poll_persist(&mut self) -> Option<Persist<R>> {
        self.persists.pop()
    }

    /// What is sent then.
    pub fn poll_transmit(&mut self) -> Option<Transmit<M, R>> {
        self.transmits.pop()
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
    }

    fn nearest(&self, key: IndexKey) -> Nearest<M> {
        Nearest::among(key, self.members.iter().map(|(m, p)| (*m, *p)))
    }

    fn belongs_here(&self, key: IndexKey) -> bool {
        !self.few_copies || self.nearest(key).contains(self.own)
    }

    fn keep(&mut self, kept: Kept<M, R>) {
        let (key, ends) = (kept.record.key(), kept.ends());
        self.anybodys += usize::from(!kept.record.is_vouched_for());
        if let Some(old) = self.records.insert(key, kept) {
            self.anybodys -= usize::from(!old.record.is_vouched_for());
            self.due.remove(&(old.ends(), key));
        }
        self.due.insert((ends, key));
    }

    fn forget(&mut self, key: IndexKey) {
        if let Some(old) = self.records.remove(&key) {
            self.anybodys -= usize::from(!old.record.is_vouched_for());
            self.unwritten.remove(&key);
            self.persists.push(Persist::Forget(key));
        }
    }

    /// INDEX-32: the same again is acknowledged when it is on disk, and its first writing may be on its way, or have failed.
    fn write_again(&mut self, key: IndexKey) {
        if let Some(kept) = self
            .records
            .get(&key)
            .filter(|_| self.unwritten.contains(&key))
        {
            self.persists.push(Persist::Keep(kept.record.clone()));
        }
    }

    /// INDEX-26: what the network's owner vouches for has places of its own, and is charged to nobody.
    fn admit(
        &mut self,
        source: Source<M, B>,
        record: &R,
        ends: Time,
        now: Time,
    ) -> Result<(), PutRefusal> {
        let (key, vouched_for) = (record.key(), record.is_vouched_for());
        let known = self.records.contains_key(&key);
        let anybodys = !vouched_for && self.anybodys >= ANYBODYS_MAX;
        if !known && (anybodys || self.records.len() >= RECORDS_MAX) {
            return Err(PutRefusal::Full);
        }
        if vouched_for {
            return Ok(());
        }
        if known || self.admission.knows(key, now) {
            self.admission.renew(source, key, ends);
            return Ok(());
        }
        self.admission.admit(source, key, ends, now)
    }

    /// Chooses between "everywhere" and "at the nearest": whether that changed.
    fn settle_copies(&mut self) -> bool {
        let few = match self.members.len() {
            count if count > FEW_COPIES_ABOVE => true,
            count if count <= EVERYWHERE => false,
            _ => self.few_copies,
        };
        std::mem::replace(&mut self.few_copies, few) != few
    }

    /// Notes which records belong elsewhere, or here again.
    fn mark_moved(&mut self, now: Time) {
        for key in self.records.keys().copied().collect::<Vec<IndexKey>>() {
            self.mark_if_moved(key, now);
        }
    }

    fn mark_if_moved(&mut self, key: IndexKey, now: Time) {
        let Some(kept) = self.records.get_mut(&key) else {
            return;
        };
        let here = !self.few_copies || kept.nearest.contains(self.own);
        let moved = match (here, kept.moved) {
            (true, _) => None,
            (false, Some(since)) => Some(since),
            (false, None) => Some(now),
        };
        if moved != kept.moved {
            self.due.remove(&(kept.ends(), key));
            kept.moved = moved;
            self.due.insert((kept.ends(), key));
        }
    }

    fn compare_soon(&mut self, member: M, now: Time) {
        let at = now + self.jitter.spread(COMPARE_SOON);
        self.compare_no_more(member);
        self.soon.insert(member, at);
        self.soon_due.insert((at, member));
    }

    fn compare_no_more(&mut self, member: M) {
        if let Some(at) = self.soon.remove(&member) {
            self.soon_due.remove(&(at, member));
        }
    }

    /// The next of the others, in their order, is told what we both should hold.
    fn compare(&mut self, now: Time) {
        let after = self.compared_with;
        let others = || self.members.keys().filter(|member| **member != self.own);
        let next = others()
            .find(|member| after.is_none_or(|after| **member > after))
            .or_else(|| others().next())
            .copied();
        self.compared_with = next;
        if let Some(with) = next {
            self.compare_with(with, now);
        }
    }

    fn compare_with(&mut self, with: M, now: Time) {
        let shared: Vec<(IndexKey, u64)> = self
            .records
            .iter()
            .filter(|(_, kept)| kept.expires > now && kept.moved.is_none())
            .filter(|(_, kept)| !self.few_copies || kept.nearest.contains(with))
            .map(|(key, kept)| (*key, kept.record.order()))
            .collect();
        for part in shared.chunks(COMPARED_MAX) {
            self.transmits.push(Transmit::Compare(with, part.to_vec()));
        }
    }
}

impl<M, R> Kept<M, R> {
    fn ends(&self) -> Time {
        self.moved
            .map_or(self.expires, |moved| self.expires.min(moved + MOVED_AFTER))
    }
}

/// Whether `own` is one of the first two of those who have it: one of them may be a liar.
fn hands_over<M: Copy + Ord>(nearest: &Nearest<M>, member: M, own: M) -> bool {
    nearest
        .members()
        .filter(|other| *other != member)
        .take(2)
        .any(|other| other == own)
}

const _: () = assert!(COPIES < EVERYWHERE);

#[cfg(test)]
mod tests;
