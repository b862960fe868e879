//! A call of ours that nobody has answered rings at all devices of a person: what each of them says, and what the others
//! hear of it.

use starling_wire::call::{CallFrame, EndReason};
use starling_wire::ids::CallId;

use super::{CallEvent, Calls, LinkId, REDIRECTIONS_MAX};
use crate::machine::Time;

impl Calls {
    /// A frame on the stream of a call.
    pub(super) fn said(&mut self, call: CallId, link: LinkId, frame: CallFrame, now: Time) {
        let forked = self
            .entries
            .get_mut(&call)
            .filter(|entry| entry.is_forked());
        let Some(entry) = forked else {
            return self.said_between_two(call, frame, now);
        };
        match frame {
            CallFrame::Ringing { inner } => {
                let inner = entry.fork.found(link, inner);
                let _ = self.change(call, now, |leg| {
                    leg.handle_frame(CallFrame::Ringing { inner: None }, now);
                    leg.found(inner);
                });
            }
            CallFrame::Inner { inner } => {
                let inner = entry.fork.found(link, Some(inner));
                let _ = self.change(call, now, |leg| leg.found(inner));
            }
            CallFrame::Accept { .. } => self.answered(call, link, frame, now),
            CallFrame::End { reason } => self.branch_ended(call, link, reason, now),
            // CALL-03: nothing else fits a call that nobody has answered.
            CallFrame::Invite { .. }
            | CallFrame::Hold { .. }
            | CallFrame::Resume { .. }
            | CallFrame::Transfer { .. }
            | CallFrame::TransferFailed { .. }
            | CallFrame::Room(_) => {}
        }
    }

    fn said_between_two(&mut self, call: CallId, frame: CallFrame, now: Time) {
        match frame {
            CallFrame::Room(room) => self.told(call, room),
            CallFrame::Transfer { to } => self.sent_on(call, to, now),
            CallFrame::TransferFailed { reason } => self.transfer_failed(call, reason),
            frame => {
                let _ = self.change(call, now, |leg| leg.handle_frame(frame, now));
            }
        }
    }

    /// `CALL-23`: a device answered; the others hear which.
    fn answered(&mut self, call: CallId, link: LinkId, accept: CallFrame, now: Time) {
        let entry = self.entries.get_mut(&call);
        let Some((entry, winner)) =
            entry.and_then(|entry| entry.fork.answered(link).map(|winner| (entry, winner)))
        else {
            return;
        };
        entry.link = Some(link);
        entry.device = Some(winner.device);
        for other in winner.others {
            self.links.remove(&other);
            self.refuse(other, EndReason::AnsweredOn(winner.device));
        }
        let _ = self.change(call, now, |leg| {
            leg.found(winner.inner);
            leg.handle_frame(accept, now);
        });
        // CALL-25: meanwhile the person turned to somebody else.
        let mut entries = self.entries.iter();
        if entries.any(|(other, entry)| *other != call && entry.is_active()) {
            let _ = self.change(call, now, |leg| leg.hold(true));
        }
    }

    /// A device will not answer. Where a person said no, or calls us at this moment, no other one is to ring.
    fn branch_ended(&mut self, call: CallId, link: LinkId, reason: EndReason, now: Time) {
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        let device = entry.fork.device(link);
        let for_others = match (reason, device) {
            // CALL-24
            (EndReason::Declined, Some(device)) => Some(EndReason::DeclinedOn(device)),
            (EndReason::Merged | EndReason::Forwarded(_), _) => Some(reason),
            _ => None,
        };
        entry.fork.ended(link, Some(reason));
        self.links.remove(&link);
        self.events.push(CallEvent::CloseLink(link));
        let Some(said) = for_others else {
            return self.conclude(call, now);
        };
        let (hops, was_sent_on) = (entry.hops + 1, entry.from.is_some());
        for other in entry.fork.end_all() {
            self.links.remove(&other);
            self.refuse(other, said);
        }
        match reason {
            EndReason::Merged => self.expect_merge(call, now),
            // CALL-29
            EndReason::Forwarded(to) if hops <= REDIRECTIONS_MAX && !was_sent_on => {
                self.events.push(CallEvent::Redirected { call, to, hops });
            }
            _ => {}
        }
        let _ = self.change(call, now, |leg| {
            leg.handle_frame(CallFrame::End { reason }, now);
        });
    }

    /// A call that no device is left to answer is over; else its sound is prepared for one that is.
    pub(super) fn conclude(&mut self, call: CallId, now: Time) {
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        let over = entry.fork.is_over();
        let another = entry.fork.prepare_another();
        let _ = self.change(call, now, |leg| match over {
            Some(reason) => leg.handle_frame(CallFrame::End { reason }, now),
            None => leg.found(another),
        });
    }
}
