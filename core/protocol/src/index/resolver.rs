//! The asker's side of the index: several holders at once, the first valid answer is delivered, a newer one replaces it
//! (`INDEX-11` to `INDEX-16`). A supernode asks the holders for its clients with it; a client asks its home supernodes.
//!
//! Holders are not trusted. One that denies what others have, or has it older, is told the record and scored; one that sends
//! what does not verify is scored worse, by the driver's word. Nobody can make an answer, so the worst that liars do is to
//! deny; then the next holders are asked.

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::placement::IndexKey;

use super::Record;
use crate::machine::{Deadline, Outputs, Time};

/// Holders a supernode asks at once. A client begins with its home alone.
pub const AT_ONCE: usize = 3;
/// Asked in addition each time those before did not have it.
const THEN: usize = 2;
/// A holder that has not answered by then is not waited for: the next is asked, and its answer still counts.
pub const PATIENCE: Duration = Duration::from_millis(400);
/// After the first answer the others are listened to for so long.
pub const GRACE: Duration = Duration::from_millis(600);
/// A look-up ends, whoever is still silent.
pub const LONGEST: Duration = Duration::from_secs(5);
/// Look-ups at once.
pub const LOOKUPS_MAX: usize = 4_096;

/// One look-up; chosen by the driver.
pub type LookupId = u64;

/// What came back from a holder, checked by the driver.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<R> {
    /// A record that verifies.
    Record(R),
    /// "I have none."
    None,
    /// It could not be asked.
    Unreachable,
    /// What came does not verify.
    Forged,
}

/// What is said to holders.
#[derive(Debug, Clone, PartialEq)]
pub enum Transmit<M, R> {
    /// "What do you hold under this key?"
    Ask(LookupId, M, IndexKey),
    /// "You should hold this": it denied the record, or had an older one.
    Repair(M, R),
}

/// What a look-up finds out.
#[derive(Debug, Clone, PartialEq)]
pub enum ResolverEvent<M, R> {
    /// The first valid answer, and who gave it: ask him first next time.
    Found(LookupId, M, R),
    /// A newer one came after it.
    Newer(LookupId, M, R),
    /// Nobody has it.
    NotFound(LookupId),
    /// A holder did badly.
    Blame(M, Fault),
    /// Nothing more comes for this look-up.
    Ended(LookupId),
}

/// What a holder did badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It denied what others have, or had an older one.
    Behind,
    /// It did not answer in time.
    Silent,
    /// It could not be reached.
    Unreachable,
    /// It sent what does not verify.
    Forged,
    /// It was brought a record to publish, and nobody has it: said by the [publisher](super::publisher).
    Kept,
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A holder is late.
    Late,
    /// A look-up ends.
    End,
}

/// All look-ups of one asker.
#[derive(Debug)]
pub struct Resolver<M, R> {
    at_once: usize,
    lookups: BTreeMap<LookupId, Lookup<M, R>>,
    transmits: Outputs<Transmit<M, R>>,
    events: Outputs<ResolverEvent<M, R>>,
}

#[derive(Debug)]
struct Lookup<M, R> {
    key: IndexKey,
    /// In the order they are asked.
    holders: Vec<M>,
    asked: Vec<Asked<M>>,
    best: Option<R>,
    ends: Time,
}

#[derive(Debug)]
struct Asked<M> {
    holder: M,
    at: Time,
    /// The number of what it had; `None` inside for nothing.
    answer: Option<Option<u64>>,
    /// Not waited for any more.
    late: bool,
}

impl<M: Copy + Ord, R: Record> Resolver<M, R> {
    /// Begins each look-up with so many holders.
    pub fn new(at_once: usize) -> Self {
        Self {
            at_once,
            lookups: BTreeMap::new(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// Looks `key` up at `holders`, the nearest first; `hint` had it last time and is asked as well.
    pub fn handle_lookup(
        &mut self,
        id: LookupId,
        key: IndexKey,
        mut holders: Vec<M>,
        hint: Option<M>,
        now: Time,
    ) {
        self.assert_drained();
        if self.lookups.len() >= LOOKUPS_MAX || self.lookups.contains_key(&id) {
            return;
        }
        if let Some(hint) = hint {
            holders.retain(|holder| *holder != hint);
            holders.insert(0, hint);
        }
        let lookup = Lookup {
            key,
            holders,
            asked: Vec::new(),
            best: None,
            ends: now + LONGEST,
        };
        self.lookups.insert(id, lookup);
        self.ask_more(id, self.at_once, now);
        self.end_if_over(id, now);
    }

    /// A holder answered.
    pub fn handle_reply(&mut self, id: LookupId, from: M, reply: Reply<R>, now: Time) {
        self.assert_drained();
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        let key = lookup.key;
        let Some(asked) = lookup
            .asked
            .iter_mut()
            .find(|asked| asked.holder == from && asked.answer.is_none())
        else {
            return;
        };
        // INDEX-11: an answer to another question is none.
        let reply = match reply {
            Reply::Record(record) if record.key() != key => Reply::Forged,
            other => other,
        };
        asked.answer = Some(match &reply {
            Reply::Record(record) => Some(record.order()),
            Reply::None | Reply::Unreachable | Reply::Forged => None,
        });
        match reply {
            Reply::Record(record) => self.found(id, from, record, now),
            Reply::None => {}
            Reply::Unreachable => self.blame(from, Fault::Unreachable),
            Reply::Forged => self.blame(from, Fault::Forged),
        }
        self.go_on(id, now);
    }

    /// Asks the next where one is late, ends what is over.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        let ids: Vec<LookupId> = self.lookups.keys().copied().collect();
        for id in ids {
            self.mark_late(id, now);
            self.go_on(id, now);
        }
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        Deadline::earliest(self.lookups.values().flat_map(|lookup| {
            let late = lookup
                .asked
                .iter()
                .filter(|asked| asked.answer.is_none() && !asked.late)
                .map(|asked| asked.at + PATIENCE)
                .min();
            [
                late.map(|at| Deadline::new(at, Wake::Late)),
                Some(Deadline::new(lookup.ends, Wake::End)),
            ]
        }))
    }

    /// What is sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit<M, R>> {
        self.transmits.pop()
    }

    /// What was found out.
    pub fn poll_event(&mut self) -> Option<ResolverEvent<M, R>> {
        self.events.pop()
    }

    fn assert_drained(&self) {
        self.transmits.assert_drained();
        self.events.assert_drained();
    }

    fn blame(&mut self, holder: M, fault: Fault) {
        self.events.push(ResolverEvent::Blame(holder, fault));
    }

    /// INDEX-12: the first valid answer is delivered at once; INDEX-13: a newer one replaces it, an older one does not.
    fn found(&mut self, id: LookupId, from: M, record: R, now: Time) {
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        let before = lookup.best.as_ref().map(R::order);
        if before.is_some_and(|before| before >= record.order()) {
            return;
        }
        lookup.best = Some(record.clone());
        if before.is_none() {
            lookup.ends = lookup.ends.min(now + GRACE);
            self.events.push(ResolverEvent::Found(id, from, record));
        } else {
            self.events.push(ResolverEvent::Newer(id, from, record));
        }
    }

    fn mark_late(&mut self, id: LookupId, now: Time) {
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        for asked in &mut lookup.asked {
            if asked.answer.is_none() && !asked.late && asked.at + PATIENCE <= now {
                asked.late = true;
            }
        }
    }

    /// INDEX-14: while nobody had it, whoever denied, failed or is late is replaced by the next.
    fn go_on(&mut self, id: LookupId, now: Time) {
        let Some(lookup) = self.lookups.get(&id) else {
            return;
        };
        let waited_for = lookup
            .asked
            .iter()
            .filter(|asked| asked.answer.is_none() && !asked.late)
            .count();
        if lookup.best.is_none() && waited_for < THEN {
            self.ask_more(id, THEN - waited_for, now);
        }
        self.end_if_over(id, now);
    }

    fn ask_more(&mut self, id: LookupId, count: usize, now: Time) {
        let Some(lookup) = self.lookups.get_mut(&id) else {
            return;
        };
        let already = lookup.asked.len();
        let next: Vec<M> = lookup
            .holders
            .iter()
            .skip(already)
            .take(count)
            .copied()
            .collect();
        for holder in next {
            lookup.asked.push(Asked {
                holder,
                at: now,
                answer: None,
                late: false,
            });
            self.transmits.push(Transmit::Ask(id, holder, lookup.key));
        }
    }

    fn end_if_over(&mut self, id: LookupId, now: Time) {
        let Some(lookup) = self.lookups.get(&id) else {
            return;
        };
        let all_answered = lookup.asked.iter().all(|asked| asked.answer.is_some());
        let all_asked = lookup.asked.len() == lookup.holders.len();
        let over = all_answered && (lookup.best.is_some() || all_asked);
        if !over && now < lookup.ends {
            return;
        }
        let Some(lookup) = self.lookups.remove(&id) else {
            return;
        };
        self.settle(id, lookup);
    }

    /// INDEX-15: who was behind is told; INDEX-16: silence is noted, and only an end without any answer is "not found".
    fn settle(&mut self, id: LookupId, lookup: Lookup<M, R>) {
        let best = lookup.best.as_ref().map(R::order);
        for asked in &lookup.asked {
            match (asked.answer, best) {
                (Some(had), Some(best)) if had < Some(best) => {
                    if let Some(record) = lookup.best.clone() {
                        self.transmits.push(Transmit::Repair(asked.holder, record));
                    }
                    self.blame(asked.holder, Fault::Behind);
                }
                (None, _) => self.blame(asked.holder, Fault::Silent),
                _ => {}
            }
        }
        if lookup.best.is_none() {
            self.events.push(ResolverEvent::NotFound(id));
        }
        self.events.push(ResolverEvent::Ended(id));
    }
}

#[cfg(test)]
mod tests;
