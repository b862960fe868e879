//! One call as one side sees it: a pure state machine over frames, commands and time.
//!
//! ```text
//!            Calling ──Ringing──▶ Ringing ──Accept──▶ Established ◀──▶ Reconnecting
//! (caller)      └────────Accept─────────────────────────▲   │                │
//! (callee)   Ringing ──command answer───────────────────┘   └──▶ Ended ◀─────┘  (from every state)
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use starling_wire::call::{CallFrame, EndReason, Media};
use starling_wire::ids::{AccountId, CallId};
use starling_wire::peer::InnerAddr;

use crate::machine::Time;

/// The caller gives up ringing after this.
pub const NO_ANSWER: Duration = Duration::from_secs(60);
/// The callee stops ringing a little later, so that both log the caller's reason.
pub const NO_ANSWER_CALLEE: Duration = Duration::from_secs(75);
/// Nothing rang: the other side cannot be reached.
pub const CONNECT: Duration = Duration::from_secs(15);
/// A lost call is sought for this long.
pub const RECONNECT: Duration = Duration::from_secs(25);
/// Between two attempts to find a lost peer.
pub const REDIAL: Duration = Duration::from_secs(2);

/// Which side of the call this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We called.
    Caller,
    /// They called.
    Callee,
}

/// Where the call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Caller: the invitation is on its way.
    Calling,
    /// It rings: there for the caller, here for the callee.
    Ringing,
    /// Answered.
    Established,
    /// Answered, but the other side is lost at the moment.
    Reconnecting,
    /// Over.
    Ended(EndReason),
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this frame on the call's stream.
    Send(CallFrame),
    /// The peer's inner endpoint is there: the caller dials it (while it rings, or anew), the callee expects its key.
    Prepare(InnerAddr),
    /// The call is answered: let sound flow.
    Start(Media),
    /// The callee was lost: dial it and send `Resume`.
    Redial,
    /// Close everything of this call.
    Close,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing rang.
    Connect,
    /// Nobody answered.
    NoAnswer,
    /// Try to find the lost peer again.
    Redial,
    /// The lost peer did not come back.
    GiveUp,
}

/// One call.
#[derive(Debug)]
pub struct Leg {
    call: CallId,
    peer: AccountId,
    role: Role,
    state: State,
    media: Media,
    held: bool,
    held_by_peer: bool,
    deadline: Option<(Time, Reason)>,
    give_up: Time,
    actions: VecDeque<Action>,
}

impl Leg {
    /// We call. `inner` is ours, if it is bound already.
    pub fn outgoing(
        call: CallId,
        peer: AccountId,
        inner: impl Into<Option<InnerAddr>>,
        now: Time,
    ) -> Self {
        let mut leg = Self::new(call, peer, Role::Caller, State::Calling);
        leg.deadline = Some((now + CONNECT, Reason::Connect));
        leg.actions.push_back(Action::Send(CallFrame::Invite {
            call,
            offer: vec![Media::OPUS],
            inner: inner.into(),
        }));
        leg
    }

    /// They call. `inner` is ours, told while it rings, if it is bound already: ringing does not wait for it.
    pub fn incoming(
        call: CallId,
        peer: AccountId,
        offer: &[Media],
        theirs: impl Into<Option<InnerAddr>>,
        inner: impl Into<Option<InnerAddr>>,
        now: Time,
    ) -> Self {
        let mut leg = Self::new(call, peer, Role::Callee, State::Ringing);
        // CALL-10: nothing in common is said at once, not after it rang.
        let Some(media) = Media::choose(offer) else {
            leg.end(EndReason::Incompatible, true);
            return leg;
        };
        leg.media = media;
        leg.deadline = Some((now + NO_ANSWER_CALLEE, Reason::NoAnswer));
        leg.send(CallFrame::Ringing {
            inner: inner.into(),
        });
        leg.prepare(theirs.into());
        leg
    }

    fn new(call: CallId, peer: AccountId, role: Role, state: State) -> Self {
        Self {
            call,
            peer,
            role,
            state,
            media: Media::OPUS,
            held: false,
            held_by_peer: false,
            deadline: None,
            give_up: Duration::ZERO,
            actions: VecDeque::new(),
        }
    }

    /// The call's id.
    pub const fn call(&self) -> CallId {
        self.call
    }

    /// The other side.
    pub const fn peer(&self) -> AccountId {
        self.peer
    }

    /// Which side we are.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether we hold, and whether they do.
    pub const fn holds(&self) -> (bool, bool) {
        (self.held, self.held_by_peer)
    }

    /// Whether it is over.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// The person answers. Anything but a ringing incoming call is left as it is (`CALL-06`).
    pub fn answer(&mut self) {
        if self.role == Role::Callee && self.state == State::Ringing {
            let answer = self.media;
            self.send(CallFrame::Accept { answer });
            self.establish(answer);
        }
    }

    /// The person hangs up, cancels or declines: one button, the word depends on the state (`CALL-07`).
    pub fn hang_up(&mut self) {
        let reason = match (self.role, self.state) {
            (_, State::Ended(_)) => return,
            (Role::Caller, State::Calling | State::Ringing) => EndReason::Cancelled,
            (Role::Callee, State::Ringing) => EndReason::Declined,
            _ => EndReason::HungUp,
        };
        self.end(reason, true);
    }

    /// The person holds or resumes.
    pub fn hold(&mut self, on: bool) {
        if matches!(self.state, State::Established | State::Reconnecting) && self.held != on {
            self.held = on;
            if self.state == State::Established {
                self.send(CallFrame::Hold { on });
            }
        }
    }

    /// Ends it for another reason of ours.
    pub fn end_for(&mut self, reason: EndReason) {
        if !self.is_over() {
            self.end(reason, true);
        }
    }

    /// The invitation could not be delivered at all.
    pub fn handle_unreachable(&mut self, now: Time) {
        match self.state {
            State::Calling | State::Ringing if self.role == Role::Caller => {
                self.end(EndReason::Unreachable, false)
            }
            State::Reconnecting if self.role == Role::Caller => self.schedule_redial(now),
            _ => {}
        }
    }

    /// A frame of the peer. Frames that do not fit the state are dropped (`CALL-03`): a late or repeated one is no error.
    pub fn handle_frame(&mut self, frame: CallFrame, now: Time) {
        match (frame, self.state) {
            (_, State::Ended(_)) => {}
            (CallFrame::End { reason }, _) => self.end(reason, false),
            (CallFrame::Ringing { inner }, State::Calling) => {
                self.state = State::Ringing;
                self.deadline = Some((now + NO_ANSWER, Reason::NoAnswer));
                self.prepare(inner);
            }
            (CallFrame::Ringing { inner }, State::Reconnecting) if self.role == Role::Caller => {
                self.handle_resumed(inner);
            }
            (CallFrame::Inner { inner }, _) => self.prepare(Some(inner)),
            (CallFrame::Accept { answer }, State::Calling | State::Ringing)
                if self.role == Role::Caller =>
            {
                if answer.is_playable() {
                    self.establish(answer);
                } else {
                    self.end(EndReason::Incompatible, true);
                }
            }
            (CallFrame::Hold { on }, State::Established) => self.held_by_peer = on,
            _ => {}
        }
    }

    /// The peer's inner endpoint is somewhere else than it was, or known at last.
    pub fn found(&mut self, theirs: Option<InnerAddr>) {
        if !self.is_over() {
            self.prepare(theirs);
        }
    }

    /// The peer is back on a new stream with `Resume`; `ours` is where we are now (`CALL-09`: same call, same id).
    pub fn handle_resume(
        &mut self,
        theirs: impl Into<Option<InnerAddr>>,
        ours: impl Into<Option<InnerAddr>>,
    ) {
        if !matches!(self.state, State::Established | State::Reconnecting) {
            return;
        }
        self.send(CallFrame::Ringing { inner: ours.into() });
        self.resumed(theirs.into());
    }

    /// The peer answered our `Resume` with where it is.
    pub fn handle_resumed(&mut self, theirs: impl Into<Option<InnerAddr>>) {
        if self.state == State::Reconnecting {
            self.resumed(theirs.into());
        }
    }

    /// Sound still flows although signalling is lost: go on seeking (`CALL-16`).
    pub fn keep_seeking(&mut self, now: Time) {
        if self.state != State::Reconnecting {
            return;
        }
        self.give_up = now + RECONNECT;
        self.deadline = Some((self.give_up, Reason::GiveUp));
        if self.role == Role::Caller {
            self.actions.push_back(Action::Redial);
        }
    }

    /// The call's stream was lost (`CALL-08`: an answered call is sought, an unanswered one is not).
    pub fn handle_lost(&mut self, now: Time) {
        match (self.state, self.role) {
            // One side seeks, the other waits: two seekers would find each other twice.
            (State::Established, role) => {
                self.state = State::Reconnecting;
                self.give_up = now + RECONNECT;
                self.deadline = Some((self.give_up, Reason::GiveUp));
                if role == Role::Caller {
                    self.actions.push_back(Action::Redial);
                }
            }
            // The stream found on the way back was lost as well before it was answered.
            (State::Reconnecting, Role::Caller) => self.schedule_redial(now),
            (State::Ringing, Role::Callee) => self.end(EndReason::Cancelled, false),
            (State::Calling | State::Ringing, Role::Caller) => {
                self.end(EndReason::Unreachable, false)
            }
            _ => {}
        }
    }

    /// Timers (`CALL-04`, `CALL-05`).
    pub fn handle_timeout(&mut self, now: Time) {
        let Some((at, reason)) = self.deadline else {
            return;
        };
        if now < at {
            return;
        }
        self.deadline = None;
        match reason {
            Reason::Connect => self.end(EndReason::Unreachable, true),
            Reason::NoAnswer => self.end(EndReason::NoAnswer, true),
            Reason::GiveUp => self.end(EndReason::Lost, false),
            Reason::Redial => {
                self.actions.push_back(Action::Redial);
                self.deadline = Some((self.give_up, Reason::GiveUp));
            }
        }
    }

    /// When to be woken, and why.
    pub const fn poll_timeout(&self) -> Option<(Time, Reason)> {
        self.deadline
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn establish(&mut self, media: Media) {
        self.state = State::Established;
        self.deadline = None;
        self.actions.push_back(Action::Start(media));
    }

    fn resumed(&mut self, theirs: Option<InnerAddr>) {
        self.state = State::Established;
        self.deadline = None;
        self.held_by_peer = false;
        if self.held {
            self.send(CallFrame::Hold { on: true });
        }
        self.prepare(theirs);
    }

    fn send(&mut self, frame: CallFrame) {
        self.actions.push_back(Action::Send(frame));
    }

    fn prepare(&mut self, theirs: Option<InnerAddr>) {
        self.actions.extend(theirs.map(Action::Prepare));
    }

    fn schedule_redial(&mut self, now: Time) {
        let next = now + REDIAL;
        self.deadline = Some(if next < self.give_up {
            (next, Reason::Redial)
        } else {
            (self.give_up, Reason::GiveUp)
        });
    }

    fn end(&mut self, reason: EndReason, tell: bool) {
        self.state = State::Ended(reason);
        self.deadline = None;
        if tell {
            self.send(CallFrame::End { reason });
        }
        self.actions.push_back(Action::Close);
    }
}

#[cfg(test)]
mod tests;
