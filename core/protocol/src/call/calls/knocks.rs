//! How a contact's stream begins: with an invitation, or with a call that was lost.

use starling_wire::call::{CallFrame, EndReason, Media, TargetMark};
use starling_wire::ids::{AccountId, CallId};
use starling_wire::peer::InnerAddr;

use super::entry::Entry;
use super::{CallEvent, CallTransmit, CallView, Calls, LinkId, MERGE, Phase};
use crate::call::leg::{Leg, Role, State};
use crate::call::switchboard::{Line, Verdict, invitation};
use crate::machine::Time;

impl Calls {
    pub(super) fn invited(
        &mut self,
        peer: AccountId,
        link: LinkId,
        call: CallId,
        (offer, theirs): (&[Media], Option<InnerAddr>),
        now: Time,
    ) {
        if !self.inviting.take(peer, now) {
            return self.refuse(link, EndReason::Busy);
        }
        // CALL-14: their refusal of our half may overtake the invitation to theirs.
        let merging = self
            .merging
            .take_if(|(from, until)| *from == peer && now < *until);
        let lines: Vec<Line> = self.entries.values().map(Entry::line).collect();
        let verdict = invitation(&lines, self.reception, call, peer);
        match verdict {
            Verdict::Refuse(reason) => return self.turn_away(link, (call, peer), reason),
            Verdict::Ring => {}
            Verdict::Merge(ours) => {
                let _ = self.change(ours, now, |leg| leg.end_for(EndReason::Merged));
            }
            Verdict::Replace(old) => {
                let _ = self.change(old, now, |leg| leg.end_for(EndReason::Lost));
            }
        }
        let leg = Leg::incoming(call, peer, offer, theirs, None, now);
        self.links.insert(link, call);
        let mut entry = Entry::new(leg, Some(link));
        entry.linked_at = now;
        let forward = self.reception.forwarding.no_answer;
        let forward = forward.filter(|(to, _)| *to != peer);
        entry.forward = forward.map(|(to, after)| (now + after, TargetMark::of(call, to)));
        self.entries.insert(call, entry);
        self.events.push(CallEvent::Bind(call));
        self.settle(call, now);
        let expected = merging.is_some() || matches!(verdict, Verdict::Merge(_));
        // The person may have turned to somebody else meanwhile.
        if expected && !self.entries.values().any(Entry::is_active) {
            let _ = self.answer(call, now);
        }
    }

    /// Refuses an invitation; a person who is busy is shown that there was one.
    fn turn_away(&mut self, link: LinkId, (call, peer): (CallId, AccountId), reason: EndReason) {
        self.refuse(link, reason);
        if matches!(reason, EndReason::Busy | EndReason::Forwarded(_)) {
            self.events.push(CallEvent::TurnedAway(CallView {
                call,
                peer,
                role: Role::Callee,
                phase: Phase::Ended(reason),
                active: false,
                waiting: false,
            }));
        }
    }

    pub(super) fn resumed(
        &mut self,
        peer: AccountId,
        link: LinkId,
        call: CallId,
        theirs: Option<InnerAddr>,
        now: Time,
    ) {
        // CALL-09: only the caller seeks, and only a call that was answered.
        let entry = self.entries.get_mut(&call).filter(|entry| {
            entry.leg.peer() == peer
                && entry.leg.role() == Role::Callee
                && matches!(entry.leg.state(), State::Established | State::Reconnecting)
        });
        let Some(entry) = entry else {
            return self.refuse(link, EndReason::Lost);
        };
        if let Some(old) = entry.link.replace(link) {
            self.links.remove(&old);
            self.events.push(CallEvent::CloseLink(old));
        }
        self.links.insert(link, call);
        entry.linked_at = now;
        let ours = entry.ours.clone();
        let _ = self.change(call, now, |leg| leg.handle_resume(theirs, ours));
    }

    pub(super) fn refuse(&mut self, link: LinkId, reason: EndReason) {
        let frame = CallFrame::End { reason };
        self.transmits.push(CallTransmit { link, frame });
        self.events.push(CallEvent::CloseLink(link));
    }

    pub(super) fn expect_merge(&mut self, call: CallId, now: Time) {
        let ours = self.entries.get(&call).filter(|entry| {
            entry.leg.role() == Role::Caller
                && matches!(entry.leg.state(), State::Calling | State::Ringing)
        });
        if let Some(entry) = ours {
            self.merging = Some((entry.leg.peer(), now + MERGE));
        }
    }
}
