//! Putting through (blind transfer, RFC 3515): in a call, one side asks the other to call somebody else. The other side holds the
//! call meanwhile. It ends once the new one is answered; else the two are together again.

use std::time::Duration;

use starling_wire::call::{CallFrame, EndReason, TargetMark};
use starling_wire::ids::{AccountId, CallId};

use super::entry::Entry;
use super::{CallEvent, CallRefused, CallTransmit, Calls, REDIRECTIONS_MAX, TRANSFER};
use crate::call::leg::State;
use crate::machine::Time;
use crate::tokens::{Rate, Tokens};

/// So often in one call the other side sends us on: each time all contacts are looked through for who is meant.
const SENDING_ON: Rate = Rate {
    at_once: 5,
    every: Duration::from_secs(30),
};

impl Calls {
    /// The person sends the other side on.
    pub(super) fn transfer(
        &mut self,
        call: CallId,
        to: AccountId,
        now: Time,
    ) -> Result<CallId, CallRefused> {
        let entry = self.entries.get_mut(&call).ok_or(CallRefused::NoCall)?;
        let talks = entry.leg.state() == State::Established && entry.leg.peer() != to;
        if !talks {
            return Err(CallRefused::NotTalking);
        }
        if entry.sending_on.is_some() {
            return Err(CallRefused::Transferring);
        }
        entry.sending_on = Some(now + TRANSFER);
        let to = TargetMark::of(call, to);
        self.say(call, &CallFrame::Transfer { to });
        Ok(call)
    }

    /// `CALL-30`: the other side of a call that was answered sends us on, once at a time.
    pub(super) fn sent_on(&mut self, call: CallId, to: TargetMark, now: Time) {
        let is_under_way = self.entries.values().any(|entry| entry.from == Some(call));
        let entry = self.entries.get_mut(&call);
        // Whoever is on hold decides nothing here.
        let talks = |entry: &&mut Entry| {
            entry.leg.state() == State::Established && entry.is_active() && !is_under_way
        };
        let Some(entry) = entry.filter(talks) else {
            return;
        };
        let tries = entry.sent_on.get_or_insert(Tokens::full(SENDING_ON, now));
        if tries.take(SENDING_ON, now) {
            self.events.push(CallEvent::SentOn { call, to });
        } else {
            // CALL-32
            self.tell_failed(call, EndReason::Declined);
        }
    }

    /// We know whom, and call them.
    pub(super) fn put_through(
        &mut self,
        from: CallId,
        (call, peer): (CallId, AccountId),
        now: Time,
    ) -> Result<CallId, CallRefused> {
        let before = self.entries.get(&from).ok_or(CallRefused::NoCall)?;
        let (hops, was_active) = (before.hops + 1, before.is_active());
        let started = match hops {
            ..=REDIRECTIONS_MAX => self.begin(call, peer, hops, now),
            _ => Err(CallRefused::Calling),
        };
        match (&started, self.entries.get_mut(&call)) {
            (Ok(_), Some(entry)) => entry.from = Some(from),
            // The same word as for somebody we do not know: it tells nothing of our calls.
            _ => self.tell_failed(from, EndReason::Declined),
        }
        if let Some(before) = self.entries.get_mut(&from) {
            before.held_to_be_put_through = was_active && !before.is_active();
        }
        started
    }

    /// We do not know whom, or do not follow.
    pub(super) fn refuse_transfer(&mut self, call: CallId) -> Result<CallId, CallRefused> {
        self.tell_failed(call, EndReason::Declined);
        Ok(call)
    }

    /// The other side was not put through.
    pub(super) fn transfer_failed(&mut self, call: CallId, reason: EndReason) {
        let entry = self.entries.get_mut(&call);
        if entry.and_then(|entry| entry.sending_on.take()).is_some() {
            self.events.push(CallEvent::TransferFailed(call, reason));
        }
    }

    /// `CALL-31`: no word comes for ever.
    pub(super) fn transfer_timed_out(&mut self, call: CallId, now: Time) {
        let entry = self.entries.get(&call);
        let until = entry.and_then(|entry| entry.sending_on);
        if until.is_some_and(|until| until <= now) {
            self.transfer_failed(call, EndReason::NoAnswer);
        }
    }

    /// A call that we were put through to is answered, or over.
    pub(super) fn conclude_transfer(&mut self, call: CallId, now: Time) {
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        let over = match entry.leg.state() {
            State::Ended(reason) => Some(reason),
            State::Established => None,
            _ => return,
        };
        let Some(from) = entry.from.take() else {
            return;
        };
        let Some(reason) = over else {
            let _ = self.change(from, now, |leg| leg.end_for(EndReason::Transferred));
            return;
        };
        self.tell_failed(from, reason);
        // CALL-31: who was put on hold for this alone is not any more.
        let before = self.entries.get_mut(&from);
        let for_this = before.is_some_and(|it| std::mem::take(&mut it.held_to_be_put_through));
        if for_this && !self.entries.values().any(Entry::is_active) {
            let _ = self.hold(from, false, now);
        }
    }

    fn tell_failed(&mut self, call: CallId, reason: EndReason) {
        self.say(call, &CallFrame::TransferFailed { reason });
    }

    fn say(&mut self, call: CallId, frame: &CallFrame) {
        let links = self.entries.get(&call).map(Entry::heard_by);
        for link in links.unwrap_or_default() {
            let frame = frame.clone();
            self.transmits.push(CallTransmit { link, frame });
        }
    }
}
