//! One contact's conversation: links come and go, messages and receipts travel over them, what matters is stored first.
//!
//! ```text
//!                   something to say and the contact may be there
//!   no link ────────────────────────────────────────▶ Dial ──▶ handle_link_up
//!      ▲                                                            │ read the outbox, send, collect receipts
//!      └── handle_link_down ◀── Close (silence, overdue, malformed, store failed) ◀──┘
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::chat::{ChatError, ChatFrame, ChatMessage};
use starling_wire::ids::MessageId;

use crate::inbox::{Batch, Inbox, Outcome};
use crate::outbox::{Load, Outbox};
use crate::receipts::Receipts;

/// A link without a frame for so long, and with nothing on its way, is closed.
pub const SILENCE: Duration = Duration::from_secs(30);
/// A receipt that is missing for so long means that the link, or the other side's disk, is no good.
pub const OVERDUE: Duration = Duration::from_secs(30);
/// After the first failed attempt to reach the contact; doubles up to [`RETRY_MAX`].
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Between two attempts at most.
pub const RETRY_MAX: Duration = Duration::from_secs(60);
/// Links at once (`CHAT-08`): two when both sides dial, and room for one that died unnoticed.
pub const LINKS_MAX: usize = 4;

/// A connection to a device of the contact, numbered by the driver, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// What is known of the contact's presence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// A device of theirs is there.
    Online,
    /// None is: nobody is dialled.
    Offline,
    /// Nobody knows: worth a try.
    #[default]
    Unknown,
}

/// A frame and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The link.
    pub link: LinkId,
    /// The frame.
    pub frame: ChatFrame,
}

/// Why a link was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// Nothing was said for a while.
    #[error("nothing was said for a while")]
    Silence,
    /// Receipts are missing.
    #[error("messages were not confirmed in time")]
    Overdue,
    /// A frame broke a bound.
    #[error(transparent)]
    Malformed(ChatError),
    /// Too many links.
    #[error("this contact has too many connections")]
    TooMany,
    /// The store could not write.
    #[error("messages cannot be stored at the moment")]
    StoreFailed,
}

/// What else is to be done or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Read from the store; answer with [`Conversation::handle_loaded`].
    Load(Load),
    /// Connect; answer with [`Conversation::handle_link_up`] or [`Conversation::handle_dial_failed`].
    Dial,
    /// Close a link; it is already forgotten here.
    Close(LinkId, CloseReason),
    /// New messages are stored, in this order.
    Arrived(Vec<MessageId>),
    /// Messages of ours are stored at a device of theirs.
    Delivered(Vec<MessageId>),
    /// Messages that wait are on their way now (`true`), or wait for the contact to return.
    Linked(bool),
}

/// When the machine wants to be woken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// Time since the node started.
    pub at: Duration,
    /// Why.
    pub reason: Reason,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Receipts are to be sent.
    Receipts,
    /// Try to reach the contact again.
    Redial,
    /// Receipts of theirs are missing.
    Overdue,
    /// Nothing was said for a while.
    Silence,
}

/// A conversation. See the crate's documentation for how to run it.
#[derive(Debug, Default)]
pub struct Conversation {
    outbox: Outbox,
    inbox: Inbox,
    receipts: Receipts,
    links: BTreeSet<LinkId>,
    reach: Reach,
    dialling: bool,
    failures: u32,
    retry_at: Duration,
    /// The last frame either way.
    used: Duration,
    /// The last receipt of theirs, or the first message sent after it.
    progress: Duration,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Conversation {
    /// A message for this contact is in the store and was not there before; also at start, when old ones wait.
    pub fn handle_written(&mut self, now: Duration) {
        self.assert_drained();
        self.outbox.written();
        self.go_on(now);
    }

    /// The contact came, went, or cannot be asked for.
    pub fn handle_reach(&mut self, reach: Reach, now: Duration) {
        self.assert_drained();
        if reach == Reach::Online {
            self.failures = 0;
            self.retry_at = now;
        }
        self.reach = reach;
        self.go_on(now);
    }

    /// A connection is there, dialled by either side.
    pub fn handle_link_up(&mut self, link: LinkId, now: Duration) {
        self.assert_drained();
        self.dialling = false;
        self.used = now;
        // CHAT-08: a contact cannot make us keep any number of connections.
        if self.links.len() >= LINKS_MAX {
            self.events
                .push_back(Event::Close(link, CloseReason::TooMany));
            return;
        }
        self.links.insert(link);
        if self.outbox.link().is_none() {
            self.outbox.set_link(Some(link));
            self.progress = now;
            self.events.push_back(Event::Linked(true));
        }
        self.go_on(now);
    }

    /// A connection is gone.
    pub fn handle_link_down(&mut self, link: LinkId, now: Duration) {
        self.assert_drained();
        self.forget(link, now);
        self.go_on(now);
    }

    /// [`Event::Dial`] did not work.
    pub fn handle_dial_failed(&mut self, now: Duration) {
        self.assert_drained();
        self.dialling = false;
        self.back_off(now);
        self.go_on(now);
    }

    /// Frames came, in this order.
    pub fn handle_frames(
        &mut self,
        frames: impl IntoIterator<Item = (LinkId, ChatFrame)>,
        now: Duration,
    ) {
        self.assert_drained();
        self.used = now;
        for (link, frame) in frames {
            // The rest of a link that was closed meanwhile.
            if !self.links.contains(&link) {
                continue;
            }
            if let Err(error) = self.handle_frame(link, frame, now) {
                self.close(link, CloseReason::Malformed(error), now);
            }
        }
        self.go_on(now);
    }

    /// The store committed a batch.
    pub fn handle_persisted(&mut self, outcome: Outcome, now: Duration) {
        self.assert_drained();
        for (link, id) in self.inbox.stored(outcome.number) {
            if self.links.contains(&link) {
                self.receipts.add(link, id, now);
            }
        }
        if !outcome.fresh.is_empty() {
            self.events.push_back(Event::Arrived(outcome.fresh));
        }
        if !outcome.delivered.is_empty() {
            self.events.push_back(Event::Delivered(outcome.delivered));
        }
        self.go_on(now);
    }

    /// The store could not commit a batch, or not be read. Whoever sent us something hears no receipt and sends it
    /// again; what we say is read again later.
    pub fn handle_store_failed(&mut self, now: Duration) {
        self.assert_drained();
        if self.inbox.give_up() {
            self.outbox.written();
        }
        self.close_all(CloseReason::StoreFailed, now);
        self.go_on(now);
    }

    /// The answer to [`Event::Load`]; `last` says that the store holds no more messages to send.
    pub fn handle_loaded(
        &mut self,
        number: u64,
        messages: Vec<ChatMessage>,
        last: bool,
        now: Duration,
    ) {
        self.assert_drained();
        if !self.outbox.waits_for_receipts() {
            self.progress = now;
        }
        for (link, message) in self.outbox.loaded(number, messages, last) {
            self.used = now;
            let frame = ChatFrame::Message(message);
            self.transmits.push_back(Transmit { link, frame });
        }
        self.go_on(now);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.assert_drained();
        if self.is_overdue(now) {
            self.close_all(CloseReason::Overdue, now);
        } else if self.is_silent(now) {
            self.close_all(CloseReason::Silence, now);
        }
        self.go_on(now);
    }

    /// What to commit in one transaction, before anything else of this drain.
    pub fn poll_persist(&mut self) -> Option<Batch> {
        self.inbox.batch()
    }

    /// What to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What else to do, and what happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let deadline = |at, reason| Deadline { at, reason };
        let receipts = self.receipts.due().map(|at| deadline(at, Reason::Receipts));
        let redial = self
            .may_dial()
            .then(|| deadline(self.retry_at, Reason::Redial));
        let overdue = self
            .outbox
            .waits_for_receipts()
            .then(|| deadline(self.progress + OVERDUE, Reason::Overdue));
        let silence = self
            .may_fall_silent()
            .then(|| deadline(self.used + SILENCE, Reason::Silence));
        [receipts, redial, overdue, silence]
            .into_iter()
            .flatten()
            .min_by_key(|deadline| deadline.at)
    }

    /// Whether the driver may read further frames (`CHAT-07`).
    pub fn has_room(&self) -> bool {
        self.inbox.has_room()
    }

    /// Whether nothing is open, on its way or to be said: the machine may be dropped, and made anew when needed.
    pub fn is_idle(&self) -> bool {
        self.links.is_empty()
            && !self.dialling
            && self.inbox.is_empty()
            && !self.outbox.has_something()
    }

    fn handle_frame(
        &mut self,
        link: LinkId,
        frame: ChatFrame,
        now: Duration,
    ) -> Result<(), ChatError> {
        // CHAT-02 for receipts; CHAT-01 is the inbox's.
        frame.check()?;
        match frame {
            ChatFrame::Message(message) => self.inbox.message(link, message),
            ChatFrame::Receipt { ids } => {
                let confirmed = self.outbox.receipted(&ids);
                if !confirmed.is_empty() {
                    self.progress = now;
                    self.failures = 0;
                }
                self.inbox.delivered(confirmed);
                Ok(())
            }
        }
    }

    /// What follows from the state, after every input.
    fn go_on(&mut self, now: Duration) {
        if let Some(load) = self.outbox.load() {
            self.events.push_back(Event::Load(load));
        }
        for (link, frame) in self.receipts.flush(now) {
            self.used = now;
            self.transmits.push_back(Transmit { link, frame });
        }
        if self.may_dial() && now >= self.retry_at {
            self.dialling = true;
            self.events.push_back(Event::Dial);
        }
    }

    fn may_dial(&self) -> bool {
        self.links.is_empty()
            && !self.dialling
            && self.reach != Reach::Offline
            && self.outbox.has_something()
    }

    fn is_overdue(&self, now: Duration) -> bool {
        self.outbox.waits_for_receipts() && now >= self.progress + OVERDUE
    }

    fn may_fall_silent(&self) -> bool {
        let working = self.outbox.has_something() || !self.inbox.is_empty();
        !self.links.is_empty() && !working && self.receipts.is_empty()
    }

    fn is_silent(&self, now: Duration) -> bool {
        self.may_fall_silent() && now >= self.used + SILENCE
    }

    fn close_all(&mut self, reason: CloseReason, now: Duration) {
        for link in self.links.clone() {
            self.close(link, reason, now);
        }
    }

    fn close(&mut self, link: LinkId, reason: CloseReason, now: Duration) {
        self.events.push_back(Event::Close(link, reason));
        self.forget(link, now);
    }

    fn forget(&mut self, link: LinkId, now: Duration) {
        if !self.links.remove(&link) {
            return;
        }
        self.receipts.forget(link);
        if self.outbox.link() != Some(link) {
            return;
        }
        // Another link takes over, from the first message without a receipt: so the reader sees every message in order.
        let next = self.links.last().copied();
        self.outbox.set_link(next);
        self.progress = now;
        if next.is_none() {
            self.events.push_back(Event::Linked(false));
            // A contact that takes connections and drops them is not dialled at once; only a receipt of theirs, or
            // their coming online, begins the waiting times anew.
            self.back_off(now);
        }
    }

    fn back_off(&mut self, now: Duration) {
        let wait = RETRY_FIRST
            .saturating_mul(1 << self.failures.min(6))
            .min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + wait;
    }

    fn assert_drained(&self) {
        debug_assert!(
            self.transmits.is_empty() && self.events.is_empty(),
            "an input came before the outputs of the last one were taken"
        );
    }
}
