//! All calls of a device: the machine that a driver talks to. It gives each stream to its call, lets one call at a time be
//! active and holds the others, makes one call of two when both sides call at once, rings at all devices of a person, and
//! watches over the sound.
//! A single call's signalling is a [`Leg`]; the verdict about an invitation is the [`switchboard`](super::switchboard)'s.
//!
//! A link is a signalling stream under a number of the driver's choice, never used twice. Sound is a separate concern:
//! the machine says when to start, hold and stop it and is told whether it flows. Every state but the end has a deadline
//! or a person who can end it, so no call stays stuck (`CALL-11`).
//!
//! Outputs: `poll_transmit`, then `poll_event`. Nothing of a call outlives the process, so there is nothing to persist.

mod branches;
mod entry;
mod fork;
mod knocks;
mod pace;
mod rooms;
mod terms;
mod transfers;

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::call::{CallFrame, EndReason};
use starling_wire::ids::{AccountId, CallId, DeviceId};
use starling_wire::peer::InnerAddr;

pub use terms::{
    CallCommand, CallEvent, CallReason, CallRefused, CallTransmit, CallView, Forwarding, LinkId,
    Phase, Reception, SoundEnd,
};

use entry::{Entry, Sound};
use pace::Inviting;

use super::leg::{self, Action, Leg, RECONNECT, State};
use crate::machine::{Deadline, Outputs, Time};

/// An answered call without sound ends after this (`CALL-18`).
pub const SOUND: Duration = Duration::from_secs(15);
/// Calls of a device that are not over.
pub const CALLS_MAX: usize = 4;
/// How often a call of ours is forwarded.
pub const REDIRECTIONS_MAX: u8 = 3;
/// Whoever put the other side through hears within this what became of it: connecting and ringing, and some more.
pub const TRANSFER: Duration = Duration::from_secs(90);
/// A call over which nothing has come for so long is sought anew, under the same id (`CALL-22`).
pub const SILENT: Duration = Duration::from_millis(1_500);
/// After "you called me too", their call is awaited for this long and answered by itself.
pub const MERGE: Duration = Duration::from_secs(15);

/// All calls of a device.
#[derive(Debug, Default)]
pub struct Calls {
    entries: BTreeMap<CallId, Entry>,
    links: BTreeMap<LinkId, CallId>,
    reception: Reception,
    /// Who told us that their call is the one that lives, and until when it is awaited.
    merging: Option<(AccountId, Time)>,
    inviting: Inviting,
    transmits: Outputs<CallTransmit>,
    events: Outputs<CallEvent>,
}

impl Calls {
    /// What a person wants. Returns the call it is about.
    pub fn handle_command(
        &mut self,
        command: CallCommand,
        now: Time,
    ) -> Result<CallId, CallRefused> {
        self.assert_drained();
        match command {
            CallCommand::Start { call, peer } => self.start(call, peer, now),
            CallCommand::Follow { call, peer, hops } => self.begin(call, peer, hops, now),
            CallCommand::Transfer { call, to } => self.transfer(call, to, now),
            CallCommand::PutThrough { from, call, peer } => {
                self.put_through(from, (call, peer), now)
            }
            CallCommand::RefuseTransfer(call) => self.refuse_transfer(call),
            CallCommand::Answer(call) => {
                self.forget_merging();
                self.answer(call, now)
            }
            CallCommand::HangUp(call) => {
                self.forget_merging();
                self.change(call, now, Leg::hang_up)
            }
            CallCommand::Hold(call, on) => self.held(call, on, now),
        }
    }

    /// The person wants something else than the call that would be answered by itself.
    pub const fn forget_merging(&mut self) {
        self.merging = None;
    }

    /// How invitations are met from now on.
    pub fn set_reception(&mut self, reception: Reception) {
        self.reception = reception;
    }

    /// A frame from `peer` (proved by the connection) on a link. A link's first frame decides what it is for.
    pub fn handle_frame(&mut self, peer: AccountId, link: LinkId, frame: CallFrame, now: Time) {
        self.assert_drained();
        if let Some(call) = self.links.get(&link).copied() {
            if self.may_say(call, &frame, now) {
                self.said(call, link, frame, now);
            }
            return;
        }
        match frame {
            CallFrame::Invite { call, offer, inner } => {
                self.invited(peer, link, call, (&offer, inner), now);
            }
            CallFrame::Resume { call, inner } => self.resumed(peer, link, call, inner, now),
            // A stream that was refused or replaced may still carry a word.
            CallFrame::End { .. } => self.events.push(CallEvent::CloseLink(link)),
            // CALL-20: nothing else begins a stream.
            _ => self.refuse(link, EndReason::Protocol),
        }
    }

    /// A stream asked for by [`CallEvent::Dial`] is open, to this device.
    pub fn handle_opened(&mut self, call: CallId, link: LinkId, device: DeviceId, now: Time) {
        self.assert_drained();
        let Some(entry) = self.entries.get_mut(&call) else {
            // Hung up meanwhile.
            self.events.push(CallEvent::CloseLink(link));
            return;
        };
        let first = if entry.is_forked() {
            entry.fork.open(link, device, entry.ours.as_ref())
        } else if entry.leg.state() == State::Reconnecting && entry.device == Some(device) {
            if let Some(old) = entry.link.replace(link) {
                self.links.remove(&old);
                self.events.push(CallEvent::CloseLink(old));
            }
            let inner = entry.ours.clone();
            Some(CallFrame::Resume { call, inner })
        } else {
            None
        };
        let Some(frame) = first else {
            // Another device has answered meanwhile, or this one was found twice.
            self.events.push(CallEvent::CloseLink(link));
            return;
        };
        entry.linked_at = now;
        self.links.insert(link, call);
        self.transmits.push(CallTransmit { link, frame });
        self.settle(call, now);
    }

    /// All front doors have been tried.
    pub fn handle_dialled(&mut self, call: CallId, now: Time) {
        self.assert_drained();
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        if entry.is_forked() {
            entry.fork.all_dialled();
            return self.conclude(call, now);
        }
        if entry.link.is_none() {
            let _ = self.change(call, now, |leg| leg.handle_unreachable(now));
        }
    }

    /// A link ended, whoever ended it.
    pub fn handle_lost(&mut self, link: LinkId, now: Time) {
        self.assert_drained();
        let Some(call) = self.links.remove(&link) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        if entry.is_forked() {
            entry.fork.ended(link, None);
            return self.conclude(call, now);
        }
        entry.link = None;
        let _ = self.change(call, now, |leg| leg.handle_lost(now));
    }

    /// Our inner endpoint for this call is bound, or was bound anew. The peer is told, with the invitation if that waits.
    pub fn handle_bound(&mut self, call: CallId, ours: InnerAddr) {
        self.assert_drained();
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        entry.ours = Some(ours.clone());
        // Reconnecting: nobody is there; `Resume` or the answer to it will say it.
        for link in entry.heard_by() {
            let inner = ours.clone();
            let frame = CallFrame::Inner { inner };
            self.transmits.push(CallTransmit { link, frame });
        }
    }

    /// The sound's connection is up.
    pub fn handle_sound(&mut self, call: CallId, now: Time) {
        self.assert_drained();
        if let Some(entry) = self.entries.get_mut(&call)
            && entry.sound != Sound::Off
        {
            entry.sound = Sound::On;
        }
        self.settle(call, now);
    }

    /// The sound's connection ended.
    pub fn handle_sound_lost(&mut self, call: CallId, end: SoundEnd, now: Time) {
        self.assert_drained();
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        // CALL-17: with signalling gone, the way the sound ended is how a hang-up is heard.
        if end == SoundEnd::ClosedByPeer && entry.leg.state() == State::Reconnecting {
            let _ = self.change(call, now, |leg| leg.end_for(EndReason::HungUp));
            return;
        }
        if entry.sound == Sound::On {
            entry.sound = Sound::Again(now + RECONNECT);
            let media = entry.media;
            self.events.push(CallEvent::StartMedia(call, media));
        }
        // CALL-22: signalling goes by the same relay and would notice half a minute later. One that was found meanwhile stays.
        if end == SoundEnd::Silent
            && entry.linked_at + SILENT <= now
            && let Some(old) = entry.link.take()
        {
            self.links.remove(&old);
            self.events.push(CallEvent::CutLink(old));
            entry.leg.handle_lost(now);
        }
        self.settle(call, now);
    }

    /// Timers.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        if self.merging.is_some_and(|(_, until)| until <= now) {
            self.merging = None;
        }
        let calls: Vec<CallId> = self.entries.keys().copied().collect();
        for call in calls {
            self.transfer_timed_out(call, now);
            self.time_out(call, now);
        }
    }

    /// When to be woken, and why.
    pub fn poll_timeout(&self) -> Option<Deadline<CallReason>> {
        let merge = self
            .merging
            .map(|(_, until)| Deadline::new(until, CallReason::Merge));
        let of_calls = self.entries.values().flat_map(|entry| {
            let signalling = entry.leg.poll_timeout();
            let sound = match entry.sound {
                Sound::Off | Sound::On => None,
                Sound::First(at) => Some(Deadline::new(at, CallReason::NoSound)),
                Sound::Again(at) => Some(Deadline::new(at, CallReason::SoundLost)),
            };
            let signalling =
                signalling.map(|(at, reason)| Deadline::new(at, CallReason::Signalling(reason)));
            let forward = entry.forward();
            let forward = forward.map(|(at, _)| Deadline::new(at, CallReason::Forward));
            let sending = entry.sending_on;
            let sending = sending.map(|at| Deadline::new(at, CallReason::Transfer));
            [signalling, sound, forward, sending]
        });
        Deadline::earliest(of_calls.chain([merge]))
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<CallTransmit> {
        self.transmits.pop()
    }

    /// The next thing to do or to show.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop()
    }

    /// The calls that are not over.
    pub fn views(&self) -> Vec<CallView> {
        let view = |entry: &Entry| entry.view(self.has_others());
        self.entries.values().map(view).collect()
    }

    /// Whether a contact's inner endpoint may bring sound for this call.
    pub fn expects_sound(&self, call: CallId, peer: AccountId) -> bool {
        self.entries
            .get(&call)
            .is_some_and(|entry| entry.leg.peer() == peer)
    }

    fn start(&mut self, call: CallId, peer: AccountId, now: Time) -> Result<CallId, CallRefused> {
        let mut calls = self.entries.values();
        let same = calls.find(|entry| entry.leg.peer() == peer);
        let Some(same) = same.map(|entry| entry.leg.call()) else {
            return self.begin(call, peer, 0, now);
        };
        self.answer(same, now).map_err(|_| CallRefused::InCall)
    }

    /// A call to somebody with whom there is none. What rings is answered by its person alone, not because of others' words.
    fn begin(
        &mut self,
        call: CallId,
        peer: AccountId,
        hops: u8,
        now: Time,
    ) -> Result<CallId, CallRefused> {
        if self.entries.values().any(|entry| entry.leg.peer() == peer) {
            return Err(CallRefused::InCall);
        }
        if self.entries.values().any(Entry::is_forked) {
            return Err(CallRefused::Calling);
        }
        if self.entries.len() >= CALLS_MAX {
            return Err(CallRefused::Full);
        }
        self.forget_merging();
        self.hold_others(call, now);
        let leg = Leg::outgoing(call, peer, None, now);
        let mut entry = Entry::new(leg, None);
        entry.hops = hops;
        self.entries.insert(call, entry);
        self.events.push(CallEvent::Bind(call));
        self.events.push(CallEvent::Dial(call, peer, None));
        self.settle(call, now);
        Ok(call)
    }

    fn answer(&mut self, call: CallId, now: Time) -> Result<CallId, CallRefused> {
        let entry = self.entries.get(&call).ok_or(CallRefused::NoCall)?;
        if !entry.rings_here() {
            return Err(CallRefused::NotRinging);
        }
        self.hold_others(call, now);
        self.change(call, now, Leg::answer)
    }

    /// The person decides; what was done for them before counts no more.
    fn held(&mut self, call: CallId, on: bool, now: Time) -> Result<CallId, CallRefused> {
        let entry = self.entries.get_mut(&call).ok_or(CallRefused::NoCall)?;
        entry.held_to_be_put_through = false;
        self.hold(call, on, now)
    }

    fn hold(&mut self, call: CallId, on: bool, now: Time) -> Result<CallId, CallRefused> {
        let entry = self.entries.get(&call).ok_or(CallRefused::NoCall)?;
        if !on && entry.leg.holds().0 {
            self.hold_others(call, now);
        }
        self.change(call, now, |leg| leg.hold(on))
    }

    /// `CALL-25`: one call at a time is active.
    fn hold_others(&mut self, call: CallId, now: Time) {
        let active = |(other, entry): (&CallId, &Entry)| {
            (*other != call && entry.is_active()).then_some(*other)
        };
        let others: Vec<CallId> = self.entries.iter().filter_map(active).collect();
        for other in others {
            let _ = self.change(other, now, |leg| leg.hold(true));
        }
    }

    /// Whether there are calls that do not ring here.
    fn has_others(&self) -> bool {
        self.entries.values().any(|entry| !entry.rings_here())
    }

    fn time_out(&mut self, call: CallId, now: Time) {
        let Some(entry) = self.entries.get(&call) else {
            return;
        };
        let silent = match entry.sound {
            Sound::First(at) if at <= now => Some(EndReason::NoMedia),
            Sound::Again(at) if at <= now => Some(EndReason::Lost),
            _ => None,
        };
        let forward = entry.forward().filter(|(at, _)| *at <= now);
        let over = silent.or(forward.map(|(_, to)| EndReason::Forwarded(to)));
        let sound_flows = entry.sound == Sound::On;
        let due = entry.leg.poll_timeout();
        let _ = self.change(call, now, |leg| match (over, due) {
            (Some(reason), _) => leg.end_for(reason),
            // CALL-16: nobody is lost while they are heard.
            (None, Some((at, leg::Reason::GiveUp))) if at <= now && sound_flows => {
                leg.keep_seeking(now);
            }
            _ => leg.handle_timeout(now),
        });
    }

    /// Lets `input` change the call's leg and carries out what follows.
    fn change(
        &mut self,
        call: CallId,
        now: Time,
        input: impl FnOnce(&mut Leg),
    ) -> Result<CallId, CallRefused> {
        let entry = self.entries.get_mut(&call).ok_or(CallRefused::NoCall)?;
        input(&mut entry.leg);
        self.settle(call, now);
        Ok(call)
    }

    /// Carries out the leg's actions, shows what changed, forgets what is over.
    fn settle(&mut self, call: CallId, now: Time) {
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        while let Some(action) = entry.leg.poll_action() {
            match action {
                Action::Send(frame @ CallFrame::Invite { .. }) => entry.fork.set_invitation(frame),
                // Lost, nobody hears it: `Resume` and its answer say how things stand.
                Action::Send(frame) => {
                    let say = |link| (link, frame.clone());
                    let said = entry.heard_by().into_iter().map(say);
                    for (link, frame) in said {
                        self.transmits.push(CallTransmit { link, frame });
                    }
                }
                Action::Prepare(inner) => self.events.push(CallEvent::PeerInner(call, inner)),
                Action::Start(media) => {
                    entry.media = media;
                    entry.sound = Sound::First(now + SOUND);
                    self.events.push(CallEvent::StartMedia(call, media));
                }
                Action::Redial => {
                    let (peer, device) = (entry.leg.peer(), entry.device);
                    self.events.push(CallEvent::Dial(call, peer, device));
                }
                Action::Close => {}
            }
        }
        let holding = !entry.leg.is_over() && entry.leg.holds() != (false, false);
        if holding != entry.holding && !entry.leg.is_over() {
            entry.holding = holding;
            self.events.push(CallEvent::HoldMedia(call, holding));
        }
        self.conclude_transfer(call, now);
        self.show(call);
        let entry = self.entries.get(&call);
        if entry.is_some_and(|entry| entry.leg.is_over()) {
            self.forget(call);
        }
        self.show_waiting();
    }

    fn show(&mut self, call: CallId) {
        let others = self.has_others();
        let Some(entry) = self.entries.get_mut(&call) else {
            return;
        };
        let view = entry.view(others);
        if entry.shown != Some(view) {
            entry.shown = Some(view);
            self.events.push(CallEvent::Changed(view));
        }
    }

    /// What rings beside another call waits, and rings aloud when that is over.
    fn show_waiting(&mut self) {
        let calls: Vec<CallId> = self.entries.keys().copied().collect();
        for call in calls {
            self.show(call);
        }
    }

    fn forget(&mut self, call: CallId) {
        let Some(entry) = self.entries.remove(&call) else {
            return;
        };
        if entry.sound != Sound::Off {
            self.events.push(CallEvent::StopMedia(call));
        }
        for link in entry.heard_by() {
            self.links.remove(&link);
            self.events.push(CallEvent::CloseLink(link));
        }
    }

    fn assert_drained(&self) {
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

#[cfg(test)]
mod tests;
