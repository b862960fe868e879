//! The owner's side of the index: brings the account's record to the network on a timetable, and looks from elsewhere whether
//! it is there (`INDEX-17` to `INDEX-22`).
//!
//! A home supernode that lies keeps its clients' records to itself and says that all is well. So the owner asks others than
//! the one he published through. Nobody can make the record, so whoever shows it is a witness; two are wanted, in case one
//! lies together with the home. Without witnesses the record is published anew through those who were asked, the home is
//! blamed, and others are asked then.
//!
//! The record is never published because its owner came: the index is public, and a new number at every start would tell
//! everybody when somebody is there. The timetable is kept over restarts, and what became due meanwhile waits some time by
//! chance. Looking is not public: only supernodes that see the owner anyway are asked.

use std::time::Duration;

use starling_wire::placement::IndexKey;

use super::Record;
use super::resolver::{Fault, Reply};
use crate::backoff::Jitter;
use crate::machine::{Deadline, Outputs, Time};

/// A new record is signed and published between half of this and the whole after the last one; it counts for a week.
pub const PUBLISH_EVERY: Duration = Duration::from_secs(48 * 3600);
/// One that became due while its owner was away waits between half of this and the whole.
pub const OVERDUE_WAIT: Duration = Duration::from_secs(2 * 3600);
/// One that has not been published for so long would soon expire: it waits for a shorter time.
const URGENT_AFTER: Duration = Duration::from_secs(5 * 24 * 3600);
const URGENT_WAIT: Duration = Duration::from_secs(10 * 60);
/// Whether it is there is looked at so soon after it was published, and at the start.
pub const LOOK_AFTER: Duration = Duration::from_secs(10);
/// And so often afterwards: holders may all have gone.
pub const LOOK_EVERY: Duration = Duration::from_secs(30 * 60);
/// An answer comes within this, or there is none.
pub const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// So many must have it, where there are so many to ask.
pub const WITNESSES: usize = 2;
/// So many are asked in one look, two at a time.
const ASKED_MAX: usize = 4;
/// After so many rounds without success the next one waits for [`LOOK_EVERY`].
const ROUNDS_MAX: u32 = 4;

/// What is said to supernodes.
#[derive(Debug, Clone, PartialEq)]
pub enum Transmit<M, R> {
    /// "Bring this to its holders."
    Publish(M, R),
    /// "What is found under this key?"
    Ask(M, IndexKey),
}

/// What must be on disk first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persist {
    /// The record was published now; the next one is due after this.
    pub next_after: Duration,
}

/// What is to be done or known.
#[derive(Debug, Clone, PartialEq)]
pub enum PublisherEvent<M, R> {
    /// Time to sign a new record: it comes by [`Publisher::handle_record`].
    Renew,
    /// It is there: others than those who published it have it.
    Witnessed,
    /// Another device of the account published a newer one.
    Newer(R),
    /// A supernode did badly.
    Blame(M, Fault),
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A new record is due.
    Publish,
    /// Time to look whether it is there.
    Look,
    /// Somebody who was asked has not answered.
    Silent,
}

/// When the record was published last, as the disk says; wall time is the driver's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// Never: the account is new.
    Never,
    /// The next one is due after this.
    DueIn(Duration),
    /// It was due so long ago.
    Overdue(Duration),
}

/// The owner's record and what is known of its whereabouts.
#[derive(Debug)]
pub struct Publisher<M, R> {
    record: Option<R>,
    /// Whom to publish through and to ask, the home first.
    supernodes: Vec<M>,
    publish_at: Time,
    look_at: Option<Time>,
    /// Nobody was known when there was something to publish.
    waiting: bool,
    /// Through whom the record was published since somebody else was seen to have it.
    through: Vec<M>,
    look: Option<Look<M>>,
    rounds: u32,
    jitter: Jitter,
    persists: Outputs<Persist>,
    transmits: Outputs<Transmit<M, R>>,
    events: Outputs<PublisherEvent<M, R>>,
}

/// One look whether the record is there.
#[derive(Debug)]
struct Look<M> {
    asked: Vec<Asked<M>>,
    /// Those still to ask.
    rest: Vec<M>,
    ends: Time,
}

#[derive(Debug)]
struct Asked<M> {
    whom: M,
    /// Whether it has the record, or a newer one.
    answer: Option<bool>,
}

impl<M: Copy + Ord, R: Record> Publisher<M, R> {
    /// With the record that was published last, if there is one.
    pub fn new(record: Option<R>, last: Last, seed: u64, now: Time) -> Self {
        let mut jitter = Jitter::new(seed);
        // INDEX-18: not at the start.
        let wait = match last {
            Last::Never => Duration::ZERO,
            Last::DueIn(wait) => wait.max(jitter.spread(OVERDUE_WAIT)),
            Last::Overdue(by) if by + PUBLISH_EVERY >= URGENT_AFTER => jitter.spread(URGENT_WAIT),
            Last::Overdue(_) => jitter.spread(OVERDUE_WAIT),
        };
        let look_at = record.as_ref().map(|_| now + jitter.spread(LOOK_AFTER));
        Self {
            record,
            supernodes: Vec::new(),
            publish_at: now + wait,
            look_at,
            waiting: false,
            through: Vec::new(),
            look: None,
            rounds: 0,
            jitter,
            persists: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// The supernodes that may be used, the home first, then the other homes, then others that are known.
    pub fn handle_supernodes(&mut self, supernodes: Vec<M>, now: Time) {
        self.assert_drained();
        self.supernodes = supernodes;
        if std::mem::take(&mut self.waiting) {
            self.publish(self.home(), now);
        }
    }

    /// A new record: on the timetable, or because something in it changed. It is published at once (`INDEX-17`).
    pub fn handle_record(&mut self, record: R, now: Time) {
        self.assert_drained();
        let known = self.record.as_ref().map(R::order);
        if known.is_some_and(|known| known >= record.order()) {
            return;
        }
        self.adopt(record, now);
        self.publish(self.home(), now);
    }

    /// The home brought it to the holders with the registration: nothing is left but to look.
    pub fn handle_published(&mut self, by: M, now: Time) {
        self.assert_drained();
        if self.record.is_some() {
            self.note_published(by, now);
        }
    }

    /// What somebody who was asked has, verified by the driver.
    pub fn handle_reply(&mut self, from: M, reply: Reply<R>, now: Time) {
        self.assert_drained();
        let (Some(look), Some(own)) = (&mut self.look, &self.record) else {
            return;
        };
        let unanswered = |asked: &&mut Asked<M>| asked.whom == from && asked.answer.is_none();
        let Some(asked) = look.asked.iter_mut().find(unanswered) else {
            return;
        };
        let mut newer = None;
        let fault = match reply {
            Reply::Record(record) if record.key() != own.key() => Some(Fault::Forged),
            Reply::Record(record) if record.order() >= own.order() => {
                asked.answer = Some(true);
                newer = (record.order() > own.order()).then_some(record);
                None
            }
            // Whether it lies or nobody told it is seen at the end of the look.
            Reply::Record(_) | Reply::None => {
                asked.answer = Some(false);
                None
            }
            Reply::Unreachable => Some(Fault::Unreachable),
            Reply::Forged => Some(Fault::Forged),
        };
        if let Some(fault) = fault {
            look.asked.retain(|asked| asked.whom != from);
            self.events.push(PublisherEvent::Blame(from, fault));
        }
        if let Some(newer) = newer {
            self.adopt(newer.clone(), now);
            self.events.push(PublisherEvent::Newer(newer));
        }
        self.go_on(now);
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        if self.publish_at <= now {
            // Again, if nobody signs one.
            self.publish_at = now + LOOK_EVERY;
            self.events.push(PublisherEvent::Renew);
        }
        if self.look.as_ref().is_some_and(|look| look.ends <= now) {
            self.end_waiting(now);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.begin_look(now);
        }
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        let silent = self.look.as_ref().map(|look| look.ends);
        Deadline::earliest([
            Some(Deadline::new(self.publish_at, Wake::Publish)),
            self.look_at.map(|at| Deadline::new(at, Wake::Look)),
            silent.map(|at| Deadline::new(at, Wake::Silent)),
        ])
    }

    /// What must be on disk before anything is sent.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop()
    }

    /// What is sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit<M, R>> {
        self.transmits.pop()
    }

    /// What is to be done or known.
    pub fn poll_event(&mut self) -> Option<PublisherEvent<M, R>> {
        self.events.pop()
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }

    fn home(&self) -> Vec<M> {
        self.supernodes.first().copied().into_iter().collect()
    }

    /// INDEX-17: the timetable goes on from here, also after a restart.
    fn adopt(&mut self, record: R, now: Time) {
        self.record = Some(record);
        self.through.clear();
        self.rounds = 0;
        let next_after = self.jitter.spread(PUBLISH_EVERY);
        self.publish_at = now + next_after;
        self.persists.push(Persist { next_after });
    }

    fn publish(&mut self, through: Vec<M>, now: Time) {
        let Some(record) = self.record.clone() else {
            return;
        };
        self.waiting = through.is_empty();
        for supernode in through {
            self.transmits
                .push(Transmit::Publish(supernode, record.clone()));
            self.note_published(supernode, now);
        }
    }

    fn note_published(&mut self, by: M, now: Time) {
        if !self.through.contains(&by) {
            self.through.push(by);
        }
        self.look = None;
        self.look_at = Some(now + self.jitter.spread(LOOK_AFTER));
    }

    /// INDEX-19: asks others than those who published it, two at a time.
    fn begin_look(&mut self, now: Time) {
        self.look_at = Some(now + self.jitter.spread(LOOK_EVERY));
        let mut rest = self.others();
        rest.truncate(ASKED_MAX);
        if rest.is_empty() {
            return;
        }
        self.look = Some(Look {
            asked: Vec::new(),
            rest,
            ends: now + ANSWER_WAIT,
        });
        self.go_on(now);
    }

    /// Supernodes through which it was not published, nor are they the home.
    fn others(&self) -> Vec<M> {
        let others = self.supernodes.iter().skip(1);
        let others = others.filter(|other| !self.through.contains(other));
        others.copied().collect()
    }

    fn go_on(&mut self, now: Time) {
        let (Some(look), Some(record)) = (&mut self.look, &self.record) else {
            return;
        };
        let witnesses = look.with(Some(true)).len();
        let waited_for = look.with(None).len();
        let lacking = WITNESSES.saturating_sub(witnesses + waited_for);
        let next: Vec<M> = look.rest.drain(..lacking.min(look.rest.len())).collect();
        for whom in &next {
            look.asked.push(Asked {
                whom: *whom,
                answer: None,
            });
            self.transmits.push(Transmit::Ask(*whom, record.key()));
            look.ends = now + ANSWER_WAIT;
        }
        if waited_for == 0 && next.is_empty() {
            self.conclude(now);
        }
    }

    /// INDEX-22: whoever keeps silent is no witness.
    fn end_waiting(&mut self, now: Time) {
        let Some(look) = &mut self.look else {
            return;
        };
        let silent = look.with(None);
        look.asked.retain(|asked| asked.answer.is_some());
        for whom in silent {
            self.blame(whom, Fault::Silent);
        }
        self.go_on(now);
    }

    /// Everybody who was asked has answered.
    fn conclude(&mut self, now: Time) {
        let Some(look) = self.look.take() else {
            return;
        };
        let having = look.with(Some(true));
        let denying = look.with(Some(false));
        if having.is_empty() {
            return self.nobody_has_it(denying, now);
        }
        if having.len() >= WITNESSES {
            // INDEX-21: a denial beside two witnesses is a lie, or as bad.
            for liar in denying {
                self.blame(liar, Fault::Behind);
            }
        } else if !denying.is_empty() && self.rounds == 0 {
            // One alone may lie together with the home: once, others publish it too.
            self.rounds = 1;
            let asked: Vec<M> = look.asked.iter().map(|asked| asked.whom).collect();
            let mut fresh = self.others();
            fresh.retain(|other| !asked.contains(other));
            fresh.truncate(WITNESSES);
            if !fresh.is_empty() {
                return self.publish(fresh, now);
            }
        }
        self.rounds = 0;
        self.through.clear();
        self.events.push(PublisherEvent::Witnessed);
    }

    /// INDEX-20: those who should have published it are to blame, and those who deny it publish it.
    fn nobody_has_it(&mut self, mut denying: Vec<M>, now: Time) {
        for blamed in std::mem::take(&mut self.through) {
            self.blame(blamed, Fault::Kept);
        }
        self.rounds += 1;
        if self.rounds >= ROUNDS_MAX || denying.is_empty() {
            self.rounds = 0;
            return;
        }
        denying.truncate(WITNESSES);
        self.publish(denying, now);
    }

    fn blame(&mut self, supernode: M, fault: Fault) {
        self.events.push(PublisherEvent::Blame(supernode, fault));
    }
}

impl<M: Copy> Look<M> {
    fn with(&self, answer: Option<bool>) -> Vec<M> {
        let same = self.asked.iter().filter(|asked| asked.answer == answer);
        same.map(|asked| asked.whom).collect()
    }
}

#[cfg(test)]
mod tests;
