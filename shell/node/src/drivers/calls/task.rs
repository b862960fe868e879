//! The task of all calls: it feeds the machine and carries out what the machine wants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use starling_control::Event;
use starling_protocol::call::calls::{self, CallCommand, CallEvent, CallView, Phase};
use starling_protocol::call::leg::Role;
use starling_store::calls as log;
use starling_wire::call::EndReason;
use starling_wire::ids::{AccountId, CallId};
use starling_wire::peer::InnerAddr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::trace;

use super::Input;
use super::forwarding::Forwardings;
use super::links::{self, Links};
use super::running::Running;
use super::settings::Chosen;
use super::show::Shown;
use crate::book::Relation;
use crate::context::{Context, Signal};
use crate::media_path::{Notice, Prepared, Sounding};

/// A running call is shown once a second.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// What it holds.
pub struct Task {
    pub(super) ctx: Arc<Context>,
    pub(super) machine: calls::Calls,
    pub(super) links: Links,
    pub(super) running: BTreeMap<CallId, Running>,
    pub(super) forwardings: Forwardings,
    /// The sound of a call of ours that was merged into the other side's.
    merged: Option<(AccountId, Prepared)>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) shown: Shown,
    pub(super) chosen: Chosen,
    records: mpsc::Sender<log::Call>,
    pub(super) tasks: JoinSet<()>,
    pub(super) sounding: Sounding,
}

impl Task {
    pub(super) fn new(
        ctx: Arc<Context>,
        inputs: mpsc::Sender<Input>,
        (shown, chosen, sounding): (Shown, Chosen, Sounding),
        records: mpsc::Sender<log::Call>,
    ) -> Self {
        Self {
            ctx,
            machine: calls::Calls::default(),
            links: Links::new(inputs.clone()),
            running: BTreeMap::new(),
            forwardings: Forwardings::default(),
            merged: None,
            inputs,
            shown,
            chosen,
            sounding,
            records,
            tasks: JoinSet::new(),
        }
    }

    /// Until nobody can ask any more.
    pub(super) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut second = tokio::time::interval(SHOW_EVERY);
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let deadline = self.machine.poll_timeout();
            let due = async {
                match deadline {
                    Some(deadline) => {
                        tokio::time::sleep_until(self.ctx.clock.instant(deadline.at)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.handle(input).await,
                    None => return,
                },
                () = due => {
                    self.machine.handle_timeout(self.ctx.clock.now());
                    self.drain().await;
                }
                _ = second.tick() => self.show_talking(),
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
            }
        }
    }

    async fn handle(&mut self, input: Input) {
        let now = self.ctx.clock.now();
        match input {
            Input::Ask(ask, reply) => return self.asked(ask, reply).await,
            Input::Linked(call, device, opened) => {
                let link = self.links.add(opened);
                self.machine.handle_opened(call, link, device, now);
            }
            Input::Knock(opened, frame) => {
                let account = opened.owner;
                let link = self.links.add(opened);
                trace!(link, ?frame, "hears");
                let reception = self.chosen.get().reception(&self.ctx);
                self.machine.set_reception(reception);
                self.machine.handle_frame(account, link, frame, now);
            }
            Input::Dialled(call) => self.machine.handle_dialled(call, now),
            Input::Frame(link, frame) => {
                trace!(link, ?frame, "hears");
                if let Some(account) = self.links.owner(link) {
                    self.machine.handle_frame(account, link, frame, now);
                }
            }
            Input::LinkLost(link) => {
                self.links.forget(link);
                self.machine.handle_lost(link, now);
            }
            Input::Bound(call, lease) => {
                self.machine.handle_bound(call, lease.address());
                if let Some(running) = self.running.get_mut(&call) {
                    running.lease = Some(lease);
                    self.connect_sound(call);
                }
            }
            Input::Sound(call, account, connection) => {
                return self.sound_connected(call, account, connection).await;
            }
            Input::SoundLost(call, number, end) => {
                if !self.sound_lost(call, number) {
                    return;
                }
                self.machine.handle_sound_lost(call, end, now);
                self.follow_home();
            }
            Input::Room(call, room) => self.machine.handle_room(call, room),
            Input::Home => self.follow_home(),
            Input::Voice(call, notice) => match notice {
                Notice::LimitReached => {
                    let _ = self.machine.handle_command(CallCommand::HangUp(call), now);
                }
                Notice::Trouble(words) => return self.warn(call, words),
                Notice::Device(kind, standing) => return self.uses(call, kind, standing),
            },
            Input::Stop(done) => return self.stop(done).await,
            Input::Prune => return self.prune().await,
        }
        self.drain().await;
    }

    async fn stop(&mut self, done: oneshot::Sender<()>) {
        let all = self.machine.views();
        self.hang_up(all).await;
        self.links.flush().await;
        let _ = done.send(());
    }

    async fn prune(&mut self) {
        let relation = |account| self.ctx.book.person(account).map(|person| person.relation);
        let mut over = self.machine.views();
        over.retain(|view| relation(view.peer) != Some(Relation::Contact));
        self.hang_up(over).await;
    }

    async fn hang_up(&mut self, calls: Vec<CallView>) {
        for view in calls {
            let command = CallCommand::HangUp(view.call);
            let _ = self.machine.handle_command(command, self.ctx.clock.now());
            self.drain().await;
        }
    }

    /// Carries out what the machine wants, until it wants nothing more.
    pub(super) async fn drain(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            trace!(?transmit, "says");
            self.links.send(transmit.link, &transmit.frame);
        }
        let (mut connected, mut onward) = (Vec::new(), Vec::new());
        while let Some(event) = self.machine.poll_event() {
            trace!(?event, "wants");
            match event {
                CallEvent::Dial(call, peer, device) => links::dial(self, call, peer, device),
                CallEvent::Bind(call) => self.bind(call),
                CallEvent::PeerInner(call, inner) => self.peer_inner(call, inner),
                CallEvent::Room(call, room) => self.forwardings.told(call, room),
                CallEvent::StartMedia(call, media) => {
                    if self.start_voice(call, media) {
                        connected.push(call);
                    }
                }
                CallEvent::HoldMedia(call, on) => {
                    if let Some(voice) = self.voice(call) {
                        voice.hold(on);
                    }
                }
                CallEvent::StopMedia(call) => self.stop_voice(call).await,
                CallEvent::Changed(view) => self.changed(view).await,
                CallEvent::TurnedAway(view) => self.never_rang(view, None),
                CallEvent::Redirected { call, to, hops } => {
                    onward.extend(self.redirected(call, to, hops));
                }
                CallEvent::SentOn { call, to } => onward.push(self.sent_on(call, to)),
                CallEvent::TransferFailed(call, reason) => self.transfer_failed(call, reason),
                CallEvent::CloseLink(link) => self.links.close(link),
                CallEvent::CutLink(link) => self.links.cut(link),
            }
        }
        // What the machine is told now may make it want more.
        for call in connected {
            self.machine.handle_sound(call, self.ctx.clock.now());
            Box::pin(self.drain()).await;
        }
        for onward in onward {
            self.go_on(onward);
            Box::pin(self.drain()).await;
        }
    }

    fn bind(&mut self, call: CallId) {
        let (ctx, inputs) = (Arc::clone(&self.ctx), self.inputs.clone());
        let Some(peer) = self.running_or_new(call).map(|running| running.peer) else {
            return;
        };
        self.tasks.spawn(async move {
            match ctx.lease_for(peer).await {
                Ok(lease) => {
                    let _ = inputs.send(Input::Bound(call, lease)).await;
                }
                Err(error) => {
                    let words = format!("there is no way for the sound: {error}");
                    let notice = Notice::Trouble(words);
                    let _ = inputs.send(Input::Voice(call, notice)).await;
                }
            }
        });
    }

    /// Whoever is found behind another home than before says so in its calls.
    fn follow_home(&mut self) {
        let home = self.ctx.door.home();
        let running = self.running.values();
        let behind: Vec<CallId> = running
            .filter(|running| running.is_left_behind(home.as_ref()))
            .map(|running| running.call)
            .collect();
        for call in behind {
            self.bind(call);
        }
    }

    fn peer_inner(&mut self, call: CallId, inner: InnerAddr) {
        let Some(running) = self.running_or_new(call) else {
            return;
        };
        let account = running.peer;
        running.peer_inner = Some(inner.clone());
        crate::drivers::meet::admit(&self.ctx, account, &inner);
        self.connect_sound(call);
    }

    /// The call looks different now.
    async fn changed(&mut self, view: CallView) {
        let Some(running) = self.running_or_new(view.call) else {
            return;
        };
        running.set(&view);
        if let Phase::Ended(reason) = view.phase {
            self.ended(view.call, reason).await;
        }
        self.show(view.call);
        let in_call = self.running.values().any(|running| !running.is_over());
        if in_call != self.shown.in_call(in_call) {
            self.ctx.signal(Signal::InCall(in_call));
        }
        self.running.retain(|_, running| !running.is_over());
    }

    /// Over before it began: it is in the log.
    pub(super) fn never_rang(&self, view: CallView, warning: Option<String>) {
        let outgoing = view.role == Role::Caller;
        let mut missed = Running::new(&self.ctx, view.call, view.peer, outgoing);
        missed.warnings.extend(warning);
        missed.set(&view);
        if let Phase::Ended(EndReason::Forwarded(to)) = view.phase {
            missed.names.target = self.title_behind(view.call, to);
        }
        self.ctx.emit(Event::Call(missed.view()));
        let _ = self.records.try_send(missed.record());
    }

    async fn ended(&mut self, call: CallId, reason: EndReason) {
        self.stop_voice(call).await;
        let target = match reason {
            EndReason::Forwarded(to) => self.title_behind(call, to),
            _ => None,
        };
        let Some(running) = self.running.get_mut(&call) else {
            return;
        };
        // CALL-23: the words name our device that has the call.
        if let EndReason::AnsweredOn(device) | EndReason::DeclinedOn(device) = reason {
            running.names.elsewhere = self.ctx.identity.get().name_of(device);
        }
        running.names.target = target.or(running.names.target.take());
        if reason == EndReason::Merged
            && let Some(prepared) = running.prepared.take()
        {
            self.merged = Some((running.peer, prepared));
        }
    }

    /// The record of a call that the machine knows.
    pub(super) fn running_or_new(&mut self, call: CallId) -> Option<&mut Running> {
        if !self.running.contains_key(&call) {
            let known = self.machine.views();
            let view = known.iter().find(|view| view.call == call)?;
            let outgoing = view.role == Role::Caller;
            let mut running = Running::new(&self.ctx, call, view.peer, outgoing);
            if let Some((_, prepared)) = self.merged.take_if(|(peer, _)| *peer == view.peer) {
                running.prepared = Some(prepared);
            }
            self.running.insert(call, running);
        }
        self.running.get_mut(&call)
    }

    pub(super) fn warn(&mut self, call: CallId, words: String) {
        if let Some(running) = self.running.get_mut(&call) {
            running.warnings.push(words);
            self.show(call);
        }
    }

    pub(super) fn show(&self, call: CallId) {
        if let Some(running) = self.running.get(&call) {
            let view = running.view();
            self.shown.put(call, &view);
            self.ctx.emit(Event::Call(view));
            // A full log means that the disk hangs; the call does not.
            let _ = self.records.try_send(running.record());
        }
    }

    fn show_talking(&mut self) {
        let talking = self.running.values_mut();
        for running in talking.filter(|running| running.voice.is_some()) {
            running.note_second();
            let view = running.view();
            self.shown.put(running.call, &view);
            self.ctx.emit(Event::Call(view));
        }
        self.punch_anew();
    }
}
