//! All transfers with one contact: the machine that a driver talks to. It keeps what may still go on, says on every new
//! link how that stands, starts and stops fetches, and decides when the contact is dialled.
//!
//! ```text
//!   offered ──yes──▶ accepted ──all verified──▶ done
//!      │                │  ▲ fetched while a link is there, at most FETCHES at once
//!      │                └──┘ link lost: again on the next one
//!      └────────────────┴──▶ cancelled (either side) or failed (disk, bytes, source)
//! ```
//!
//! A link is a connection under a number of the driver's choice, never used twice; both sides may dial, so there can be
//! several. Everything is said on the newest one; pulls are answered on all of them.
//!
//! Outputs: `poll_persist`, `poll_transmit`, `poll_event`. A past transfer lives in the store only: where a frame names one
//! ([`Transfers::asks_for`], and every pull), the driver brings what is stored under that id with the frame. If a `Persist`
//! cannot be committed, the driver drops the machine and its links and makes a new one from what is stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::file::{FileFrame, Offer, Pull, PullAnswer};
use starling_wire::ids::TransferId;

use super::entry::{Entry, Reason, State, Step};
use super::exchange::{
    LinkEnd, LinkId, Persist, Reach, TransferCommand, TransferEvent, TransferReason,
    TransferRefused, TransferTransmit,
};
use super::receiver::{self, FetchEnd, Refusal, Verdict};
use super::sender;
use crate::machine::{Deadline, Outputs, Time};

/// Links without a frame or a byte for so long are closed.
pub const SILENCE: Duration = Duration::from_secs(30);
/// After the first failed attempt to reach the contact; doubles up to [`RETRY_MAX`].
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Between two attempts at most.
pub const RETRY_MAX: Duration = Duration::from_secs(60);
/// Links at once: two when both sides dial, and room for those that died unnoticed. One more closes the oldest.
pub const LINKS_MAX: usize = 4;
/// Files fetched from one contact at once; the others wait their turn, oldest first.
pub const FETCHES: usize = 3;
/// An offer that was withdrawn before it was answered counts as open for so long (`FILE-10`).
pub const WITHDRAWN_COUNTS: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Open {
    entry: Entry,
    /// The other side knows how it stands, as far as we know.
    confirmed: bool,
    fetching: bool,
    /// Complete, about to get its name: too late to cancel.
    finishing: bool,
}

/// All transfers with one contact.
#[derive(Debug, Default)]
pub struct Transfers {
    open: BTreeMap<TransferId, Open>,
    /// In the order in which they became known.
    order: Vec<TransferId>,
    links: BTreeSet<LinkId>,
    /// Said on the next link: how transfers ended while there was none.
    farewells: BTreeMap<TransferId, FileFrame>,
    /// When offers of theirs were withdrawn unanswered, the oldest first.
    withdrawn: VecDeque<Time>,
    serving: usize,
    reach: Reach,
    dialling: bool,
    failures: u32,
    retry_at: Time,
    used: Time,
    persists: Outputs<Persist>,
    transmits: Outputs<TransferTransmit>,
    events: Outputs<TransferEvent>,
}

impl Transfers {
    /// From the open transfers in the store, oldest first.
    pub fn new(stored: impl IntoIterator<Item = Entry>) -> Self {
        let mut transfers = Self::default();
        for entry in stored {
            transfers.keep(entry);
        }
        transfers
    }

    /// What a person wants.
    pub fn handle_command(
        &mut self,
        command: TransferCommand,
        now: Time,
    ) -> Result<(), TransferRefused> {
        self.assert_drained();
        match command {
            TransferCommand::Offer(offer) => self.offer(offer),
            TransferCommand::Accept(id) => self.accept(id)?,
            TransferCommand::Cancel(id) => self.cancel(id)?,
        }
        self.retry_at = self.retry_at.min(now);
        self.go_on(now);
        Ok(())
    }

    /// The past transfer that the driver has to bring with this frame, if there is one.
    pub fn asks_for(&self, frame: &FileFrame) -> Option<TransferId> {
        let id = id_of(frame);
        (!self.open.contains_key(&id)).then_some(id)
    }

    /// A frame on a link. `past` is what is stored under its id, if [`Self::asks_for`] wanted it.
    pub fn handle_frame(
        &mut self,
        link: LinkId,
        frame: FileFrame,
        past: Option<&Entry>,
        now: Time,
    ) {
        self.assert_drained();
        // The rest of a link that was closed meanwhile.
        if !self.links.contains(&link) {
            return;
        }
        self.used = now;
        self.failures = 0;
        match frame {
            FileFrame::Offer(offer) => self.offered(link, offer, past, now),
            FileFrame::State { id, state } => match self.open.get_mut(&id) {
                Some(open) if open.entry.outgoing => {
                    open.confirmed = true;
                    if let Some(step) = sender::heard(open.entry.state, state) {
                        self.step(id, step);
                    }
                }
                Some(_) => {}
                None => {
                    if let Some(frame) = sender::heard_late(past, &frame) {
                        self.transmits.push(TransferTransmit { link, frame });
                    }
                }
            },
            FileFrame::Withdraw { id } => self.withdrawn(id, now),
        }
        self.go_on(now);
    }

    /// A pull of the contact; `past` is what is stored under its id. After `Bytes`, [`Self::handle_served`] is awaited.
    pub fn handle_pull(&mut self, pull: &Pull, past: Option<&Entry>, now: Time) -> PullAnswer {
        self.assert_drained();
        self.used = now;
        let known = self.open.get(&pull.id).map(|open| &open.entry).or(past);
        let answer = sender::pulled(known, pull);
        if answer == PullAnswer::Bytes {
            self.serving += 1;
            if let Some(open) = self.open.get_mut(&pull.id) {
                open.confirmed = true;
                if open.entry.state == State::Offered {
                    self.step(pull.id, Step::to(State::Accepted));
                }
            }
        }
        self.go_on(now);
        answer
    }

    /// A pull was answered to its end, or broke off.
    pub fn handle_served(&mut self, now: Time) {
        self.assert_drained();
        self.serving = self.serving.saturating_sub(1);
        self.used = now;
        self.go_on(now);
    }

    /// A file of ours is not the one that was offered any more; `words` say how.
    pub fn handle_source_lost(&mut self, id: TransferId, words: String, now: Time) {
        self.assert_drained();
        if self.open.get(&id).is_some_and(|open| open.entry.outgoing) {
            self.step(id, Step::failed(Reason::SourceLost(words)));
        }
        self.go_on(now);
    }

    /// A fetch over a link ended by itself, or the finishing after it.
    pub fn handle_fetched(&mut self, id: TransferId, link: LinkId, end: FetchEnd, now: Time) {
        self.assert_drained();
        self.used = now;
        // Cancelled meanwhile.
        let Some(open) = self.open.get_mut(&id).filter(|open| open.fetching) else {
            return;
        };
        open.finishing = end == FetchEnd::Complete;
        if open.finishing {
            self.events.push(TransferEvent::Finish(id, link));
            return;
        }
        open.fetching = false;
        match receiver::fetched(end) {
            Some(step) => {
                let state = receiver::word(step.state);
                self.step(id, step);
                self.say(FileFrame::State { id, state });
            }
            // A link over which nothing can be fetched is of no use.
            None => self.close(link, now),
        }
        self.go_on(now);
    }

    /// A connection is there, dialled by either side.
    pub fn handle_link_up(&mut self, link: LinkId, now: Time) {
        self.assert_drained();
        self.dialling = false;
        self.used = now;
        self.links.insert(link);
        if self.links.len() > LINKS_MAX
            && let Some(oldest) = self.links.first().copied()
        {
            self.events.push(TransferEvent::Refused(Refusal::Links));
            self.close(oldest, now);
        }
        self.say_everything();
        self.go_on(now);
    }

    /// A connection is gone.
    pub fn handle_link_down(&mut self, link: LinkId, end: LinkEnd, now: Time) {
        self.assert_drained();
        if end == LinkEnd::Lost {
            // What was said last may not have arrived.
            self.doubt();
        }
        self.forget(link, now);
        self.go_on(now);
    }

    /// [`TransferEvent::Dial`] did not work.
    pub fn handle_dial_failed(&mut self, now: Time) {
        self.assert_drained();
        self.dialling = false;
        self.back_off(now);
        self.go_on(now);
    }

    /// The contact came, went, or cannot be asked for.
    pub fn handle_reach(&mut self, reach: Reach, now: Time) {
        self.assert_drained();
        self.reach = reach;
        if reach == Reach::Online {
            self.failures = 0;
            self.retry_at = now;
            if self.links.is_empty() {
                // They may have restarted, or have forgotten: what is open is said once more.
                self.doubt();
            }
        }
        self.go_on(now);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        self.forget_withdrawn(now);
        if self.may_fall_silent() && now >= self.used + SILENCE {
            for link in self.links.clone() {
                self.close(link, now);
            }
        }
        self.go_on(now);
    }

    /// What to commit in one transaction, before anything else of this drain.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop()
    }

    /// What to send.
    pub fn poll_transmit(&mut self) -> Option<TransferTransmit> {
        self.transmits.pop()
    }

    /// What else to do, and what happened.
    pub fn poll_event(&mut self) -> Option<TransferEvent> {
        self.events.pop()
    }

    /// When to call [`Self::handle_timeout`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Deadline<TransferReason>> {
        let redial = self
            .may_dial()
            .then(|| Deadline::new(self.retry_at, TransferReason::Redial));
        let silence = self
            .may_fall_silent()
            .then(|| Deadline::new(self.used + SILENCE, TransferReason::Silence));
        let forget = self
            .withdrawn
            .front()
            .map(|at| Deadline::new(*at + WITHDRAWN_COUNTS, TransferReason::Withdrawn));
        Deadline::earliest([redial, silence, forget])
    }

    /// Whether nothing is connected, on its way or to be said: the machine may be dropped, and made anew from the store when
    /// somebody has news for it.
    pub fn is_idle(&self) -> bool {
        let waits = self.wants_link() && self.reach != Reach::Offline;
        self.links.is_empty()
            && !self.dialling
            && self.farewells.is_empty()
            && self.withdrawn.is_empty()
            && !waits
            && self.serving == 0
            && !self.open.values().any(|open| open.fetching)
    }

    fn keep(&mut self, entry: Entry) {
        let id = entry.offer.id;
        if !entry.state.is_open() || self.open.contains_key(&id) {
            return;
        }
        let open = Open {
            entry,
            confirmed: false,
            fetching: false,
            finishing: false,
        };
        self.open.insert(id, open);
        self.order.push(id);
    }

    fn offer(&mut self, offer: Offer) {
        let id = offer.id;
        self.keep(Entry {
            offer: offer.clone(),
            outgoing: true,
            state: State::Offered,
        });
        self.events.push(TransferEvent::Changed(id));
        self.say(FileFrame::Offer(offer));
    }

    fn accept(&mut self, id: TransferId) -> Result<(), TransferRefused> {
        let asking = self
            .open
            .get(&id)
            .is_some_and(|open| !open.entry.outgoing && open.entry.state == State::Offered);
        if !asking {
            return Err(TransferRefused::NotAsking);
        }
        self.step(id, Step::to(State::Accepted));
        let state = receiver::word(State::Accepted);
        self.say(FileFrame::State { id, state });
        Ok(())
    }

    fn cancel(&mut self, id: TransferId) -> Result<(), TransferRefused> {
        let open = self.open.get(&id).ok_or(TransferRefused::Over)?;
        if open.finishing {
            return Err(TransferRefused::Complete);
        }
        let (outgoing, state) = (open.entry.outgoing, open.entry.state);
        let reason = if !outgoing && state == State::Offered {
            Reason::DeclinedByUs
        } else {
            Reason::CancelledByUs
        };
        self.step(id, Step::cancelled(reason));
        let frame = if outgoing {
            FileFrame::Withdraw { id }
        } else {
            let state = receiver::word(State::Cancelled);
            FileFrame::State { id, state }
        };
        if !self.say(frame.clone()) {
            self.farewells.insert(id, frame);
        }
        Ok(())
    }

    fn withdrawn(&mut self, id: TransferId, now: Time) {
        let theirs = self.open.get(&id).filter(|open| !open.entry.outgoing);
        // What is complete stays so: it was theirs to withdraw before.
        let Some(open) = theirs.filter(|open| !open.finishing) else {
            return;
        };
        if open.entry.state == State::Offered {
            self.withdrawn.push_back(now);
        }
        self.step(id, Step::cancelled(Reason::CancelledByThem));
    }

    fn offered(&mut self, link: LinkId, offer: Offer, past: Option<&Entry>, now: Time) {
        let id = offer.id;
        self.forget_withdrawn(now);
        let theirs = self.open.values().filter(|open| !open.entry.outgoing);
        let count = theirs.count() + self.withdrawn.len();
        let known = self.open.get(&id).map(|open| &open.entry).or(past);
        let state = match receiver::offered(&offer, known, count) {
            Verdict::Store => {
                self.keep(Entry {
                    offer: offer.clone(),
                    outgoing: false,
                    state: State::Offered,
                });
                self.persists.push(Persist::Offer(offer));
                self.events.push(TransferEvent::Changed(id));
                Some(receiver::word(State::Offered))
            }
            Verdict::Repeat(state) => Some(state),
            Verdict::Refuse(refusal, state) => {
                self.events.push(TransferEvent::Refused(refusal));
                state
            }
        };
        if let Some(open) = self.open.get_mut(&id).filter(|open| !open.entry.outgoing) {
            open.confirmed = true;
        }
        if let Some(state) = state {
            let frame = FileFrame::State { id, state };
            self.transmits.push(TransferTransmit { link, frame });
        }
    }

    /// Carries out a step of an open transfer.
    fn step(&mut self, id: TransferId, step: Step) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        open.entry.state = step.state;
        let over = !step.state.is_open();
        self.persists.push(Persist::Step(id, step));
        if over {
            if open.fetching {
                self.events.push(TransferEvent::Stop(id));
            }
            self.open.remove(&id);
            self.order.retain(|other| *other != id);
            self.events.push(TransferEvent::Tidy(id));
        }
        self.events.push(TransferEvent::Changed(id));
    }

    /// Everything that is open, and what ended unsaid.
    fn say_everything(&mut self) {
        for (_, frame) in std::mem::take(&mut self.farewells) {
            self.say(frame);
        }
        for id in self.order.clone() {
            let Some(open) = self.open.get_mut(&id) else {
                continue;
            };
            let frame = if open.entry.outgoing {
                FileFrame::Offer(open.entry.offer.clone())
            } else {
                open.confirmed = true;
                let state = receiver::word(open.entry.state);
                FileFrame::State { id, state }
            };
            self.say(frame);
        }
    }

    /// Says it on the newest link; `false` when there is none.
    fn say(&mut self, frame: FileFrame) -> bool {
        let Some(link) = self.links.last().copied() else {
            return false;
        };
        self.transmits.push(TransferTransmit { link, frame });
        true
    }

    /// What follows from the state, after every input.
    fn go_on(&mut self, now: Time) {
        if let Some(link) = self.links.last().copied() {
            let running = self.open.values().filter(|open| open.fetching).count();
            let mut free = FETCHES.saturating_sub(running);
            for id in &self.order {
                let Some(open) = self.open.get_mut(id) else {
                    continue;
                };
                if free > 0 && open.wants_bytes() && !open.fetching {
                    free -= 1;
                    open.fetching = true;
                    self.events.push(TransferEvent::Fetch(*id, link));
                }
            }
        }
        if self.may_dial() && now >= self.retry_at {
            self.dialling = true;
            self.events.push(TransferEvent::Dial);
        }
    }

    fn doubt(&mut self) {
        self.open
            .values_mut()
            .for_each(|open| open.confirmed = false);
    }

    fn wants_link(&self) -> bool {
        let unsaid = |open: &Open| !open.confirmed || open.wants_bytes();
        !self.farewells.is_empty() || self.open.values().any(unsaid)
    }

    fn may_dial(&self) -> bool {
        self.links.is_empty() && !self.dialling && self.reach != Reach::Offline && self.wants_link()
    }

    fn may_fall_silent(&self) -> bool {
        let working = self.serving > 0 || self.open.values().any(|open| open.fetching);
        !self.links.is_empty() && !working
    }

    fn close(&mut self, link: LinkId, now: Time) {
        if self.links.contains(&link) {
            self.events.push(TransferEvent::Close(link));
            self.forget(link, now);
        }
    }

    fn forget(&mut self, link: LinkId, now: Time) {
        let newest = self.links.last() == Some(&link);
        if !self.links.remove(&link) || !newest {
            return;
        }
        if self.links.is_empty() {
            // A contact that takes connections and drops them is not dialled at once.
            self.back_off(now);
        } else {
            self.say_everything();
        }
    }

    fn forget_withdrawn(&mut self, now: Time) {
        while self
            .withdrawn
            .front()
            .is_some_and(|at| now >= *at + WITHDRAWN_COUNTS)
        {
            self.withdrawn.pop_front();
        }
    }

    fn back_off(&mut self, now: Time) {
        let wait = RETRY_FIRST
            .saturating_mul(1 << self.failures.min(6))
            .min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + wait;
    }

    #[track_caller]
    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

impl Open {
    /// Accepted by us: fetched whenever there is a link.
    fn wants_bytes(&self) -> bool {
        !self.entry.outgoing && self.entry.state == State::Accepted
    }
}

const fn id_of(frame: &FileFrame) -> TransferId {
    match frame {
        FileFrame::Offer(offer) => offer.id,
        FileFrame::State { id, .. } | FileFrame::Withdraw { id } => *id,
    }
}

#[cfg(test)]
mod tests;
