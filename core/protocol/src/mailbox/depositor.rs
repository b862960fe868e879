//! A member's side when something is left: one entry goes to all holders at once, and what they receipted is counted. "Held by N" means
//! N copies in different blocks of addresses, each shown by a signed receipt (`BOX-21`). What is not taken is tried again or given
//! up with a reason; nothing is lost in silence.
//!
//! The driver connects, shows both keys ([`starling_wire::log::keys::Side::prove`]) and says so with `handle_connected`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use starling_wire::ids::{EndpointKey, EntryId};
use starling_wire::log::frames::{About, Answer, Ask, Refusal};
use starling_wire::log::keys::BoxKeys;
use starling_wire::log::{Entry, EntryError, Kind};
use starling_wire::ordering::statement::{Known, Receipt};
use starling_wire::ordering::{Seat, Slot};

use crate::backoff::{Backoff, Jitter};
use crate::machine::{Deadline, Outputs, Time};

/// Entries that wait for a receipt; more of them wait with whoever writes them.
pub const PENDING_MAX: usize = 1_000;
/// Entries sent to one holder and not answered yet.
const IN_FLIGHT_MAX: usize = 32;
/// An answer comes within this, or is asked for again.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The first pause after a holder had no room or no time, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// One of the conversation's holders, in a block of addresses `B`.
#[derive(Debug, Clone)]
pub struct Target<B> {
    /// Its seat.
    pub seat: Seat,
    /// The keys of the box there.
    pub keys: BoxKeys,
    /// Where it is.
    pub block: B,
}

/// What must be on disk before it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persist {
    /// A holder has an entry.
    Receipt(Known<Receipt>),
}

/// What is asked of a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Whom.
    pub holder: EndpointKey,
    /// What.
    pub ask: Ask,
    /// What follows on the stream.
    pub body: Arc<[u8]>,
}

/// What is to be shown or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An entry has so many copies in different blocks now.
    Held {
        /// Which.
        entry: EntryId,
        /// How many.
        by: usize,
    },
    /// Its epoch is over: what it says has to be encrypted again, under the same message id. It is not tried any more.
    Stale(EntryId),
    /// No holder takes it, and none will. The last reason.
    Failed(EntryId, Refusal),
    /// A holder has no such box: it is to be opened, and `handle_opened` called.
    NeedsBox(EndpointKey),
}

/// How an entry stands at one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not sent yet: there is no connection, or others come first.
    Waits,
    /// Sent, and not answered yet.
    Asked(Time),
    /// Tried again later, for this reason.
    Paused(Reason),
    /// There.
    Held,
    /// Given up, for this reason.
    Refused(Refusal),
}

/// Why something is tried again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing was heard.
    #[error("the holder did not answer")]
    NoAnswer,
    /// It said so.
    #[error(transparent)]
    Said(#[from] Refusal),
}

/// Why nothing is left at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DepositError {
    /// Too much waits already.
    #[error("too many messages of this conversation wait to be sent")]
    Backlog,
    /// There is nobody to take it.
    #[error("this conversation has no mailbox holders")]
    NoHolders,
    /// It cannot be an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// Why it wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A pause is over.
    Again,
    /// An answer is overdue.
    NoAnswer,
}

/// What one member leaves in one conversation's boxes.
#[derive(Debug)]
pub struct Depositor<B> {
    holders: Vec<Holder<B>>,
    pending: BTreeMap<u64, Pending>,
    numbers: BTreeMap<EntryId, u64>,
    next: u64,
    jitter: Jitter,
    persists: Outputs<Persist>,
    transmits: Outputs<Transmit>,
    events: Outputs<Event>,
}

#[derive(Debug)]
struct Holder<B> {
    target: Target<B>,
    connected: bool,
    paused: Option<(Time, Reason)>,
    backoff: Backoff,
    asked_for_box: bool,
}

#[derive(Debug)]
struct Pending {
    /// Signed for the first holder.
    entry: Entry,
    /// In the order of the holders.
    at: Vec<Standing>,
}

impl<B: Copy + Ord> Depositor<B> {
    /// To these holders, three at most.
    pub fn new(targets: Vec<Target<B>>, seed: u64) -> Self {
        let holder = |target| Holder {
            target,
            connected: false,
            paused: None,
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
            asked_for_box: false,
        };
        Self {
            holders: targets.into_iter().map(holder).collect(),
            pending: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next: 0,
            jitter: Jitter::new(seed),
            persists: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// Leaves a sealed and padded body at all holders. It is on the driver's disk already, so that it can be left again after a restart.
    pub fn handle_deposit(
        &mut self,
        (kind, slot): (Kind, Slot),
        body: Arc<[u8]>,
        now: Time,
    ) -> Result<EntryId, DepositError> {
        self.assert_drained();
        let id = self.put((kind, slot), body, &[])?;
        self.pump(now);
        Ok(id)
    }

    /// What was not done before a restart, with the receipts that were kept.
    pub fn restore(
        &mut self,
        (kind, slot): (Kind, Slot),
        body: Arc<[u8]>,
        receipts: &[Known<Receipt>],
    ) -> Result<EntryId, DepositError> {
        self.put((kind, slot), body, receipts)
    }

    /// Nobody needs it any more.
    pub fn handle_dropped(&mut self, entry: EntryId) {
        self.assert_drained();
        self.forget(entry);
    }

    /// A holder was reached, and both keys were shown there.
    pub fn handle_connected(&mut self, holder: EndpointKey, now: Time) {
        self.assert_drained();
        if let Some(at) = self.index(holder) {
            self.holders[at].connected = true;
            self.pump(now);
        }
    }

    /// A connection is gone: what was not answered is sent again by the next one.
    pub fn handle_lost(&mut self, holder: EndpointKey) {
        self.assert_drained();
        if let Some(at) = self.index(holder) {
            self.holders[at].connected = false;
            self.holders[at].asked_for_box = false;
            self.ask_again(at, |_| true);
        }
    }

    /// A box was opened, or it is known that it cannot be for now.
    pub fn handle_opened(&mut self, holder: EndpointKey, now: Time) {
        self.assert_drained();
        if let Some(at) = self.index(holder) {
            self.holders[at].asked_for_box = false;
            self.holders[at].paused = None;
            self.pump(now);
        }
    }

    /// A holder answered something.
    pub fn handle_answer(&mut self, holder: EndpointKey, answer: &Answer, now: Time) {
        self.assert_drained();
        let Some(at) = self.index(holder) else {
            return;
        };
        match answer {
            Answer::Receipt(signed) => {
                if let Ok(receipt) = signed.verify() {
                    self.receipted(at, receipt);
                }
            }
            Answer::Refused(About::Entry(entry), why) => self.refused(at, *entry, *why, now),
            _ => {}
        }
        self.pump(now);
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        for at in 0..self.holders.len() {
            if self.holders[at]
                .paused
                .is_some_and(|(until, _)| until <= now)
            {
                self.holders[at].paused = None;
            }
            if self.ask_again(at, |asked| asked + ANSWER_WITHIN <= now) {
                self.pause(at, Reason::NoAnswer, now);
            }
        }
        self.pump(now);
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        let paused = self.holders.iter().filter_map(|holder| holder.paused);
        let again = paused.map(|(until, _)| until).min();
        let standings = self.pending.values().flat_map(|pending| &pending.at);
        let asked = standings.filter_map(|standing| match standing {
            Standing::Asked(asked) => Some(*asked + ANSWER_WITHIN),
            _ => None,
        });
        Deadline::earliest([
            again.map(|at| Deadline::new(at, Wake::Again)),
            asked.min().map(|at| Deadline::new(at, Wake::NoAnswer)),
        ])
    }

    /// What must be on disk first.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop()
    }

    /// What to ask.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop()
    }

    /// What to show.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// How an entry that is not everywhere yet stands at each holder, and why.
    pub fn standing(&self, entry: EntryId) -> Vec<(EndpointKey, Standing)> {
        let pending = self.numbers.get(&entry).and_then(|n| self.pending.get(n));
        let at = pending.map_or(&[][..], |pending| &pending.at);
        let told = |(holder, standing): (&Holder<B>, &Standing)| {
            let reason = match (standing, holder.paused) {
                (Standing::Waits, Some((_, why))) => Standing::Paused(why),
                (standing, _) => *standing,
            };
            (holder.target.seat.holder, reason)
        };
        self.holders.iter().zip(at).map(told).collect()
    }

    /// Whether something is to be left with a holder now, so that a connection is worth while.
    pub fn waits_for(&self, holder: EndpointKey) -> bool {
        let Some(at) = self.index(holder) else {
            return false;
        };
        let open =
            |pending: &Pending| matches!(pending.at[at], Standing::Waits | Standing::Asked(_));
        self.holders[at].paused.is_none() && self.pending.values().any(open)
    }

    /// Whether a holder has not answered something yet.
    pub fn asks(&self, holder: EndpointKey) -> bool {
        let asked = |at: usize| {
            let asked = |pending: &Pending| matches!(pending.at[at], Standing::Asked(_));
            self.pending.values().any(asked)
        };
        self.index(holder).is_some_and(asked)
    }

    /// How many entries are not everywhere yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn put(
        &mut self,
        (kind, slot): (Kind, Slot),
        body: Arc<[u8]>,
        receipts: &[Known<Receipt>],
    ) -> Result<EntryId, DepositError> {
        let first = self.holders.first().ok_or(DepositError::NoHolders)?;
        if self.pending.len() >= PENDING_MAX {
            return Err(DepositError::Backlog);
        }
        let place = (first.target.seat.mailbox, &first.target.keys.deposit);
        let entry = Entry::new((kind, slot), body, place)?;
        let id = entry.id();
        if self.numbers.contains_key(&id) {
            return Ok(id);
        }
        let receipted = |holder: &Holder<B>| {
            let here = |receipt: &Known<Receipt>| {
                receipt.get().seat == holder.target.seat && receipt.get().entry == id
            };
            match receipts.iter().any(here) {
                true => Standing::Held,
                false => Standing::Waits,
            }
        };
        let at = self.holders.iter().map(receipted).collect();
        self.next += 1;
        self.numbers.insert(id, self.next);
        self.pending.insert(self.next, Pending { entry, at });
        Ok(id)
    }

    /// `BOX-21`: a receipt counts if its holder signed it, for this entry in this box; and copies count by their blocks.
    fn receipted(&mut self, at: usize, receipt: Known<Receipt>) {
        let said = *receipt.get();
        let number = self.numbers.get(&said.entry).copied();
        let Some(pending) = number.and_then(|number| self.pending.get_mut(&number)) else {
            return;
        };
        let fits = said.seat == self.holders[at].target.seat;
        if !fits || pending.at[at] == Standing::Held {
            return;
        }
        pending.at[at] = Standing::Held;
        self.holders[at].backoff.reset();
        self.persists.push(Persist::Receipt(receipt));
        let blocks: BTreeSet<B> = self
            .holders
            .iter()
            .zip(&pending.at)
            .filter(|(_, standing)| **standing == Standing::Held)
            .map(|(holder, _)| holder.target.block)
            .collect();
        let (entry, by) = (said.entry, blocks.len());
        let done = pending.is_done();
        self.events.push(Event::Held { entry, by });
        if done {
            self.forget(entry);
        }
    }

    fn refused(&mut self, at: usize, entry: EntryId, why: Refusal, now: Time) {
        let number = self.numbers.get(&entry).copied();
        let Some(pending) = number.and_then(|number| self.pending.get_mut(&number)) else {
            return;
        };
        if !matches!(pending.at[at], Standing::Asked(_)) {
            return;
        }
        if why == Refusal::Stale {
            self.forget(entry);
            self.events.push(Event::Stale(entry));
            return;
        }
        if passes(why) {
            pending.at[at] = Standing::Waits;
            return self.pause(at, why.into(), now);
        }
        pending.at[at] = Standing::Refused(why);
        let held = pending.at.contains(&Standing::Held);
        if pending.is_done() {
            self.forget(entry);
            if !held {
                self.events.push(Event::Failed(entry, why));
            }
        }
    }

    fn pause(&mut self, at: usize, why: Reason, now: Time) {
        let holder = &mut self.holders[at];
        if why == Reason::Said(Refusal::NoBox) && !holder.asked_for_box {
            holder.asked_for_box = true;
            self.events.push(Event::NeedsBox(holder.target.seat.holder));
        }
        if holder.paused.is_none() {
            let until = now + holder.backoff.next(&mut self.jitter);
            holder.paused = Some((until, why));
        }
    }

    /// What was asked and is overdue waits again. Whether there was anything.
    fn ask_again(&mut self, at: usize, overdue: impl Fn(Time) -> bool) -> bool {
        let mut any = false;
        for pending in self.pending.values_mut() {
            if matches!(pending.at[at], Standing::Asked(asked) if overdue(asked)) {
                pending.at[at] = Standing::Waits;
                any = true;
            }
        }
        any
    }

    /// Sends what waits, the oldest first, to whoever is there and has time.
    fn pump(&mut self, now: Time) {
        for (at, holder) in self.holders.iter().enumerate() {
            if !holder.connected || holder.paused.is_some() {
                continue;
            }
            let asked = |pending: &&Pending| matches!(pending.at[at], Standing::Asked(_));
            let mut in_flight = self.pending.values().filter(asked).count();
            for pending in self.pending.values_mut() {
                if in_flight >= IN_FLIGHT_MAX {
                    break;
                }
                if pending.at[at] != Standing::Waits {
                    continue;
                }
                pending.at[at] = Standing::Asked(now);
                in_flight += 1;
                let Target { seat, keys, .. } = &holder.target;
                let entry = pending.entry.signed_for(seat.mailbox, &keys.deposit);
                self.transmits.push(Transmit {
                    holder: seat.holder,
                    ask: Ask::Deposit(*entry.head()),
                    body: entry.body().clone(),
                });
            }
        }
    }

    fn forget(&mut self, entry: EntryId) {
        if let Some(number) = self.numbers.remove(&entry) {
            self.pending.remove(&number);
        }
    }

    fn index(&self, holder: EndpointKey) -> Option<usize> {
        let is = |one: &Holder<B>| one.target.seat.holder == holder;
        self.holders.iter().position(is)
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

impl Pending {
    fn is_done(&self) -> bool {
        let done = |one: &Standing| matches!(one, Standing::Held | Standing::Refused(_));
        self.at.iter().all(done)
    }
}

/// Whether a holder may take later what it does not take now.
const fn passes(why: Refusal) -> bool {
    matches!(
        why,
        Refusal::TooOften
            | Refusal::BoxFull
            | Refusal::HolderFull
            | Refusal::NoBox
            | Refusal::NoKey
    )
}

#[cfg(test)]
mod tests;
