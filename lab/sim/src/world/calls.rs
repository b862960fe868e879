//! Calls in progress while something befalls the world: two of the call machine's legs each, leaning on both ends' homes.
//!
//! Sound is not simulated, its absence is: from the moment a home is gone nothing is heard through it. Half a second later both
//! sides suspect their homes and the caller seeks the callee. A word from one to the other goes through both homes.

use std::time::Duration;

use starling_protocol::call::leg::{Action, Leg, State};
use starling_wire::call::{CallFrame, EndReason, Media};
use starling_wire::ids::{AccountId, CallId};

use super::{Event, World, key_of};
use crate::client::Client;
use crate::message::NodeId;
use crate::world::Outbox;

/// No sound for so long is suspicion enough.
const SUSPICIOUS: Duration = Duration::from_millis(500);

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    /// Caller and callee.
    ends: [NodeId; 2],
    legs: [Leg; 2],
    silent_since: Option<Duration>,
}

impl Call {
    fn is_over(&self) -> bool {
        self.legs.iter().any(Leg::is_over)
    }
}

impl World {
    /// Pairs of clients that serve nobody, in one half each where the world is about to be parted.
    pub(super) fn begin_calls(&mut self, count: u32) {
        for _ in 0..count {
            let (Some((caller, _)), Some((callee, _))) = (self.somebody(), self.somebody()) else {
                return;
            };
            let free = |node: NodeId| {
                let node = &self.nodes[node as usize];
                node.in_call.is_none() && node.supernode.is_none()
            };
            let alike = self.half(caller) == self.half(callee);
            if caller != callee && alike && free(caller) && free(callee) {
                self.begin_call([caller, callee]);
            }
        }
    }

    fn begin_call(&mut self, ends: [NodeId; 2]) {
        let number = self.calls.len();
        let id = CallId([u8::try_from(number % 251).unwrap_or(0); 16]);
        let [caller, callee] = ends.map(|node| AccountId(key_of(node).0));
        let mut ours = Leg::outgoing(id, callee, None, self.now);
        let mut theirs = Leg::incoming(id, caller, &[Media::OPUS], None, None, self.now);
        ours.handle_frame(CallFrame::Ringing { inner: None }, self.now);
        theirs.answer();
        let answer = Media::OPUS;
        ours.handle_frame(CallFrame::Accept { answer }, self.now);
        for leg in [&mut ours, &mut theirs] {
            while leg.poll_action().is_some() {}
        }
        self.calls.push(Call {
            ends,
            legs: [ours, theirs],
            silent_since: None,
        });
        self.figures.calls += 1;
        for node in ends {
            self.nodes[node as usize].in_call = Some(number);
            self.with_client(node, |client, now, out| client.set_in_call(true, now, out));
        }
    }

    /// Nothing more is heard where an end's home is broken off.
    pub(super) fn silence_calls(&mut self, broken: impl Fn(&Self, NodeId, NodeId) -> bool) {
        for call in 0..self.calls.len() {
            let ends = self.calls[call].ends;
            let silent = ends.into_iter().any(|end| {
                let client = self.nodes[end as usize].client.as_ref();
                let home = client.and_then(Client::home);
                home.is_some_and(|home| broken(self, end, home))
            });
            if silent && !self.calls[call].is_over() {
                self.calls[call].silent_since.get_or_insert(self.now);
                self.queue.add(self.now + SUSPICIOUS, Event::Silent(call));
            }
        }
    }

    pub(super) fn hear_silence(&mut self, call: usize) {
        let ends = self.calls[call].ends;
        for node in ends {
            self.with_client(node, Client::suspect);
        }
        for leg in &mut self.calls[call].legs {
            leg.handle_lost(self.now);
        }
        self.settle_call(call);
    }

    pub(super) fn wake_call(&mut self, call: usize) {
        for leg in &mut self.calls[call].legs {
            if leg.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                leg.handle_timeout(self.now);
            }
        }
        self.settle_call(call);
    }

    /// One of the two is at home again, and says so.
    pub(super) fn found_home(&mut self, node: NodeId) {
        if let Some(call) = self.nodes[node as usize].in_call
            && self.calls[call].silent_since.is_some()
            && let Some(way) = self.way(call)
        {
            self.queue.add(self.now + way, Event::Resume(call));
        }
    }

    /// The caller's word has reached the callee, if both are still where they were; the answer goes back.
    pub(super) fn resume(&mut self, call: usize) {
        let way = self.way(call);
        let Call {
            legs: [caller, callee],
            silent_since,
            ..
        } = &mut self.calls[call];
        match (way, *silent_since) {
            (Some(back), Some(since)) if caller.state() == State::Reconnecting => {
                callee.handle_resume(None, None);
                caller.handle_resumed(None);
                *silent_since = None;
                self.figures.gaps.push(self.now + back - since);
            }
            _ => caller.handle_unreachable(self.now),
        }
        self.settle_call(call);
    }

    /// Carries out what the legs want.
    fn settle_call(&mut self, call: usize) {
        for side in 0..2 {
            while let Some(action) = self.calls[call].legs[side].poll_action() {
                match action {
                    Action::Redial => match self.way(call) {
                        Some(way) => self.queue.add(self.now + way, Event::Resume(call)),
                        None => self.calls[call].legs[side].handle_unreachable(self.now),
                    },
                    Action::Close => self.end_call(call),
                    Action::Send(_) | Action::Prepare(_) | Action::Start(_) => {}
                }
            }
        }
        let legs = &self.calls[call].legs;
        let due = legs.iter().filter_map(Leg::poll_timeout);
        if let Some((at, _)) = due.min_by_key(|(at, _)| *at) {
            self.queue.add(at.max(self.now), Event::WakeCall(call));
        }
    }

    fn end_call(&mut self, call: usize) {
        for node in self.calls[call].ends {
            if self.nodes[node as usize].in_call.take().is_some() {
                self.with_client(node, |client, now, out| client.set_in_call(false, now, out));
            }
        }
        let lost = State::Ended(EndReason::Lost);
        let ended = self.calls[call].legs.iter();
        if ended.filter(|leg| leg.state() == lost).count() == 1 {
            self.figures.calls_lost += 1;
        }
    }

    /// From one to the other through both homes, if there is a way.
    fn way(&self, call: usize) -> Option<Duration> {
        let [caller, callee] = self.calls[call].ends;
        let homes = [caller, callee].map(|node| {
            let client = self.nodes[node as usize].client.as_ref();
            let home = client.and_then(Client::home)?;
            let apart = self.parted && self.half(node) != self.half(home);
            (!apart && !self.nodes[home as usize].dead).then_some(home)
        });
        let [Some(ours), Some(theirs)] = homes else {
            return None;
        };
        let stations = [caller, ours, theirs, callee];
        Some(
            stations
                .windows(2)
                .map(|two| self.delay(two[0], two[1]))
                .sum(),
        )
    }

    fn with_client(
        &mut self,
        node: NodeId,
        input: impl FnOnce(&mut Client, Duration, &mut Outbox),
    ) {
        let mut out = Outbox::default();
        if let Some(client) = &mut self.nodes[node as usize].client {
            input(client, self.now, &mut out);
        }
        self.post(node, out);
    }
}
