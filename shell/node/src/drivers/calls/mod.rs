//! Calls: one task round the machine of `core/protocol/call`. Signalling streams are in `links`, the connection for the
//! sound in `media`, what people see in `show`; the voice itself in `crate::media_path`.

mod forwarding;
mod links;
mod media;
mod running;
mod show;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_control::command::Sound;
use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::call::calls::{
    self, CallCommand, CallEvent, CallRefused, CallView, LinkId, Phase, SoundEnd,
};
use starling_protocol::call::leg::Role;
use starling_store::{StoreError, calls as log};
use starling_wire::call::{CallFrame, EndReason};
use starling_wire::conference::Room;
use starling_wire::ids::{AccountId, CallId, DeviceId};
use starling_wire::peer::InnerAddr;
use starling_wire::permissions::Permission;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, trace};

use crate::book::Relation;
use crate::clock::{random, wall_ms};
use crate::context::{Context, Signal, store_failure};
use crate::drivers::turns::Turns;
use crate::media_path::{Notice, Prepared, prepare};
use crate::transport::inner::InnerLease;
use forwarding::Forwardings;
use links::{Links, Opened};
use running::Running;
use show::Shown;

const INBOX: usize = 256;
/// Signalling streams that one contact has open at once, and all together; more are turned away. A call has one, and for
/// a moment another when it was lost.
const LINKS_OF_ONE: usize = 4;
const LINKS_MAX: usize = 64;
/// Connections for sound of one contact, and of all, that have not said yet which call they are for.
const SOUNDS_OF_ONE: usize = 4;
const SOUNDS_MAX: usize = 32;
/// A running call is shown once a second.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// All calls of one account.
#[derive(Debug)]
pub struct Calls {
    ctx: Arc<Context>,
    inputs: mpsc::Sender<Input>,
    links: Turns<AccountId>,
    sounds: Turns<AccountId>,
    shown: Shown,
}

/// What the task is told.
enum Input {
    /// A person wants something.
    Ask(Ask, oneshot::Sender<Result<view::Call, Failure>>),
    /// Our signalling stream for a call is open, to this device.
    Linked(CallId, DeviceId, Opened),
    /// A contact's is, and this is the first it says.
    Knock(Opened, CallFrame),
    /// All their front doors have been tried.
    Dialled(CallId),
    /// A frame came.
    Frame(LinkId, CallFrame),
    /// A stream ended.
    LinkLost(LinkId),
    /// Our inner endpoint is bound.
    Bound(CallId, InnerLease),
    /// The sound's connection is up: ours, or a contact's.
    Sound(CallId, AccountId, Connection),
    /// It ended; by its number.
    SoundLost(CallId, u64, SoundEnd),
    /// The voice has something to say.
    Voice(CallId, Notice),
    /// We are in a room where this call's sound may be forwarded.
    Room(CallId, Room),
    /// We are at home, perhaps elsewhere than before.
    Home,
    /// Somebody may be a contact no more.
    Prune,
    /// The node stops: every call is ended, and that is said.
    Stop(oneshot::Sender<()>),
}

/// What a person wants.
enum Ask {
    Start(AccountId, Prepared),
    Answer(Option<String>, Prepared),
    HangUp(Option<String>),
    Hold(Option<String>, bool),
    Mute(Option<String>, bool),
}

impl Calls {
    /// For a session. Calls that ran when the program ended before were ended by that.
    pub async fn start(ctx: Arc<Context>) -> Result<(Self, impl Future<Output = ()>), StoreError> {
        ctx.db.write(|tx| log::close_open(tx, wall_ms())).await?;
        let (inputs, receiver) = mpsc::channel(INBOX);
        let shown = Shown::default();
        let (records, to_log) = mpsc::channel(INBOX);
        let task = Task {
            machine: calls::Calls::default(),
            links: Links::new(inputs.clone()),
            running: BTreeMap::new(),
            forwardings: Forwardings::default(),
            merged: None,
            inputs: inputs.clone(),
            shown: shown.clone(),
            records,
            tasks: JoinSet::new(),
            ctx: Arc::clone(&ctx),
        };
        let log_ctx = Arc::clone(&ctx);
        let work = async move {
            tokio::join!(task.run(receiver), show::keep_log(log_ctx, to_log));
        };
        let calls = Self {
            ctx,
            inputs,
            links: Turns::new(LINKS_OF_ONE, LINKS_MAX),
            sounds: Turns::new(SOUNDS_OF_ONE, SOUNDS_MAX),
            shown,
        };
        Ok((calls, work))
    }

    /// Calls somebody.
    pub async fn call(&self, account: AccountId, sound: &Sound) -> Result<view::Call, Failure> {
        if self.ctx.person(account)?.relation != Relation::Contact {
            let sentence = "calls go to accepted contacts only";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        self.ask(Ask::Start(account, prepare(sound)?)).await
    }

    /// Answers what rings here.
    pub async fn answer(&self, id: Option<String>, sound: &Sound) -> Result<view::Call, Failure> {
        self.ask(Ask::Answer(id, prepare(sound)?)).await
    }

    /// Ends, cancels or declines.
    pub async fn hang_up(&self, id: Option<String>) -> Result<view::Call, Failure> {
        self.ask(Ask::HangUp(id)).await
    }

    /// Holds or comes back.
    pub async fn hold(&self, id: Option<String>, on: bool) -> Result<view::Call, Failure> {
        self.ask(Ask::Hold(id, on)).await
    }

    /// Microphone off or on.
    pub async fn mute(&self, id: Option<String>, on: bool) -> Result<view::Call, Failure> {
        self.ask(Ask::Mute(id, on)).await
    }

    /// Calls of now and before, newest first.
    pub async fn list(&self, limit: u32) -> Result<Vec<view::Call>, Failure> {
        let now = self.shown.now();
        let rows = self.ctx.db.read(move |tx| log::list(tx, limit)).await;
        let before = rows.map_err(store_failure)?;
        Ok(show::merge(&self.ctx, now, before, limit))
    }

    /// A contact opened a connection for signalling.
    pub fn arrived(&self, account: AccountId, connection: Connection) {
        let Some(turn) = self.links.take(account) else {
            debug!(reason = "too many at once", "turned a call away");
            connection.close(1u32.into(), b"busy");
            return;
        };
        if self.ctx.abouts.allows(account, Permission::Call) {
            tokio::spawn(links::accept(turn, connection, self.inputs.clone()));
        } else {
            debug!(reason = "not permitted", "declines a call");
            tokio::spawn(links::decline(turn, connection));
        }
    }

    /// A contact's inner endpoint opened a connection for sound.
    pub fn sound_arrived(&self, account: AccountId, connection: Connection) {
        let Some(turn) = self.sounds.take(account) else {
            debug!(reason = "too many at once", "turned a call's sound away");
            connection.close(crate::media_path::NOT_EXPECTED.into(), b"busy");
            return;
        };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            media::accept(account, connection, inputs).await;
            drop(turn);
        });
    }

    /// Ends the calls with people who are no contacts any more.
    pub async fn prune(&self) {
        let _ = self.inputs.send(Input::Prune).await;
    }

    /// We are at home, perhaps elsewhere than before.
    pub async fn home_changed(&self) {
        let _ = self.inputs.send(Input::Home).await;
    }

    /// Whether there is a call.
    pub fn in_call(&self) -> bool {
        !self.shown.now().is_empty()
    }

    /// Ends every call and lets the other sides know, before the doors close.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inputs.send(Input::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }

    async fn ask(&self, ask: Ask) -> Result<view::Call, Failure> {
        let (sender, receiver) = oneshot::channel();
        let stopped = || Failure::new(ErrorKind::State, "Starling is being stopped");
        let input = Input::Ask(ask, sender);
        self.inputs.send(input).await.map_err(|_| stopped())?;
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }
}

struct Task {
    ctx: Arc<Context>,
    machine: calls::Calls,
    links: Links,
    running: BTreeMap<CallId, Running>,
    forwardings: Forwardings,
    /// The sound of a call of ours that was merged into the other side's.
    merged: Option<(AccountId, Prepared)>,
    inputs: mpsc::Sender<Input>,
    shown: Shown,
    records: mpsc::Sender<log::Call>,
    tasks: JoinSet<()>,
}

impl Task {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
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

    async fn asked(&mut self, ask: Ask, reply: oneshot::Sender<Result<view::Call, Failure>>) {
        let result = match self.carry_out(ask) {
            Ok(call) => {
                // What was shown last, in case the command ends the call.
                let before = self.running.get(&call).map(Running::view);
                self.drain().await;
                let after = self.running.get(&call).map(Running::view);
                after
                    .or_else(|| self.shown.last(call))
                    .or(before)
                    .ok_or_else(|| refusal(CallRefused::NoCall))
            }
            Err(failure) => {
                self.drain().await;
                Err(failure)
            }
        };
        let _ = reply.send(result);
    }

    fn carry_out(&mut self, ask: Ask) -> Result<CallId, Failure> {
        let now = self.ctx.clock.now();
        match ask {
            Ask::Start(peer, prepared) => {
                let call = CallId(random());
                let command = CallCommand::Start { call, peer };
                let call = self.machine.handle_command(command, now).map_err(refusal)?;
                self.running
                    .entry(call)
                    .or_insert_with(|| Running::new(&self.ctx, call, peer, true))
                    .prepared = Some(prepared);
                Ok(call)
            }
            Ask::Answer(id, prepared) => {
                let rings =
                    |view: &CallView| (view.role, view.phase) == (Role::Callee, Phase::Ringing);
                let call = self.find(id.as_deref(), rings)?;
                if let Some(running) = self.running.get_mut(&call) {
                    running.prepared = Some(prepared);
                }
                let command = CallCommand::Answer(call);
                self.machine.handle_command(command, now).map_err(refusal)
            }
            Ask::HangUp(id) => {
                let command = CallCommand::HangUp(self.find(id.as_deref(), |_| true)?);
                self.machine.handle_command(command, now).map_err(refusal)
            }
            Ask::Hold(id, on) => {
                let command = CallCommand::Hold(self.find(id.as_deref(), |_| true)?, on);
                self.machine.handle_command(command, now).map_err(refusal)
            }
            Ask::Mute(id, on) => {
                let call = self.find(id.as_deref(), |_| true)?;
                if let Some(running) = self.running.get_mut(&call) {
                    running.mute(on);
                }
                self.show(call);
                Ok(call)
            }
        }
    }

    /// The one call that is meant.
    fn find(&self, id: Option<&str>, fits: impl Fn(&CallView) -> bool) -> Result<CallId, Failure> {
        let views = self.machine.views();
        let named = |view: &&CallView| id.is_none_or(|id| view.call.to_string().starts_with(id));
        let mut found = views.iter().filter(named).filter(|view| fits(view));
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only.call),
            (Some(_), Some(_)) => {
                let lines = views.iter().map(|view| view.call.to_string()).collect();
                Err(Failure::ambiguous("which call?", lines))
            }
            (None, _) => Err(refusal(CallRefused::NoCall)),
        }
    }

    /// Carries out what the machine wants, until it wants nothing more.
    async fn drain(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            trace!(?transmit, "says");
            self.links.send(transmit.link, &transmit.frame);
        }
        let mut connected = Vec::new();
        while let Some(event) = self.machine.poll_event() {
            trace!(?event, "wants");
            match event {
                CallEvent::Dial(call, peer, device) => links::dial(self, call, peer, device),
                CallEvent::Bind(call) => self.bind(call),
                CallEvent::PeerInner(call, inner) => self.peer_inner(call, inner),
                CallEvent::Room(call, room) => self.forwardings.told(call, room),
                CallEvent::StartMedia(call, _) => {
                    if self.start_voice(call) {
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
                CallEvent::CloseLink(link) => self.links.close(link),
                CallEvent::CutLink(link) => self.links.cut(link),
            }
        }
        if connected.is_empty() {
            return;
        }
        let now = self.ctx.clock.now();
        for call in connected {
            self.machine.handle_sound(call, now);
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
        running.set_phase(view.phase);
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

    async fn ended(&mut self, call: CallId, reason: EndReason) {
        self.stop_voice(call).await;
        let Some(running) = self.running.get_mut(&call) else {
            return;
        };
        // CALL-23: the words name our device that has the call.
        if let EndReason::AnsweredOn(device) | EndReason::DeclinedOn(device) = reason {
            running.elsewhere = self.ctx.identity.get().name_of(device);
        }
        if reason == EndReason::Merged
            && let Some(prepared) = running.prepared.take()
        {
            self.merged = Some((running.peer, prepared));
        }
    }

    /// The record of a call that the machine knows.
    fn running_or_new(&mut self, call: CallId) -> Option<&mut Running> {
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

    fn warn(&mut self, call: CallId, words: String) {
        if let Some(running) = self.running.get_mut(&call) {
            running.warnings.push(words);
            self.show(call);
        }
    }

    fn show(&self, call: CallId) {
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
            running.look();
            let view = running.view();
            self.shown.put(running.call, &view);
            self.ctx.emit(Event::Call(view));
        }
    }
}

fn refusal(refused: CallRefused) -> Failure {
    let kind = match refused {
        CallRefused::InCall | CallRefused::NotRinging => ErrorKind::State,
        CallRefused::NoCall => ErrorKind::NotFound,
    };
    Failure::new(kind, refused.to_string())
}
