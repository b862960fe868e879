//! One call as the driver holds it: what the machine said last, its sound, and what people are shown of it.

use std::sync::Arc;

use iroh::endpoint::Connection;
use serde::{Deserialize, Serialize};
use starling_control::command::Sound;
use starling_control::view;
use starling_protocol::call::calls::{CallView, Phase};
use starling_protocol::machine::Time;
use starling_store::calls as log;
use starling_wire::call::EndReason;
use starling_wire::ids::{AccountId, CallId, EndpointKey};
use starling_wire::peer::InnerAddr;
use starling_wire::supernode::SupernodeAddr;
use tokio::task::AbortHandle;

use super::course::Course;
use super::own_side::{OwnSide, Switch};
use super::punching::Punching;
use crate::clock::{Clock, random, wall_ms};
use crate::context::Context;
use crate::media_path::{Lately, Notice, Prepared, Sounding, Stream, Voice, prepare, quality};
use crate::paths::{self, PathGuard, Travel};
use crate::traffic::Traffic;
use crate::transport::inner::InnerLease;

/// A call that is not over.
pub struct Running {
    pub call: CallId,
    pub peer: AccountId,
    pub outgoing: bool,
    pub lease: Option<InnerLease>,
    pub peer_inner: Option<InnerAddr>,
    pub prepared: Option<Prepared>,
    pub voice: Option<Voice>,
    pub sound: Option<SoundLink>,
    pub connecting: Option<Aborting>,
    pub own: OwnSide,
    pub warnings: Vec<String>,
    pub names: Names,
    /// The call that goes on with somebody else.
    pub next: Option<CallId>,
    /// We put the other side through.
    pub sending_on: bool,
    /// It rings while there is another call.
    waiting: bool,
    phase: Phase,
    clock: Clock,
    times: Times,
    heard: Heard,
    sounds: u64,
}

/// What people and devices of a call are called.
pub struct Names {
    /// The other side.
    pub who: String,
    /// This device.
    pub device: String,
    /// Our other device that has the call.
    pub elsewhere: Option<String>,
    /// Who it was forwarded to, or one of the two is put through to.
    pub target: Option<String>,
}

/// What the sound is like.
#[derive(Default)]
struct Heard {
    /// At the end.
    last: Option<view::CallQuality>,
    course: Course,
    lately: Lately,
    /// How packets travelled when last looked at.
    travel: Option<Travel>,
    punching: Punching,
}

/// When it began, was answered and ended, in Unix milliseconds.
#[derive(Default)]
struct Times {
    started_at: u64,
    rang_at: Option<u64>,
    answered: Option<(u64, Time)>,
    ended_at: Option<u64>,
}

/// The sound's connection.
pub struct SoundLink {
    pub number: u64,
    pub peer: EndpointKey,
    pub connection: Connection,
    pub receiving: Option<Aborting>,
    pub _living: Aborting,
    pub _path: PathGuard,
}

impl SoundLink {
    pub fn is_up(&self) -> bool {
        self.connection.close_reason().is_none()
    }
}

/// A task that ends with its owner.
pub struct Aborting(AbortHandle);

impl From<AbortHandle> for Aborting {
    fn from(handle: AbortHandle) -> Self {
        Self(handle)
    }
}

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a voice needs of the node.
pub struct StartVoice {
    pub clock: Clock,
    pub traffic: Arc<Traffic>,
    pub sounding: Sounding,
    /// Whether the other side understands deep redundancy.
    pub deep: bool,
}

impl StartVoice {
    pub fn start(
        self,
        prepared: Prepared,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> std::io::Result<Voice> {
        let stream = Stream {
            seed: u64::from_le_bytes(random()),
            most: prepared.most,
            deep: self.deep,
        };
        Voice::start(
            prepared,
            stream,
            self.clock,
            self.traffic,
            self.sounding,
            notify,
        )
    }
}

impl Running {
    pub fn new(ctx: &Context, call: CallId, peer: AccountId, outgoing: bool) -> Self {
        Self {
            call,
            peer,
            outgoing,
            lease: None,
            peer_inner: None,
            prepared: None,
            voice: None,
            sound: None,
            connecting: None,
            own: OwnSide::default(),
            next: None,
            sending_on: false,
            warnings: Vec::new(),
            names: Names {
                who: ctx.title(peer),
                device: device_name(ctx),
                elsewhere: None,
                target: None,
            },
            waiting: false,
            phase: if outgoing {
                Phase::Calling
            } else {
                Phase::Ringing
            },
            clock: ctx.clock,
            times: Times {
                started_at: wall_ms(),
                ..Times::default()
            },
            heard: Heard::default(),
            sounds: 0,
        }
    }

    pub const fn next_sound(&mut self) -> u64 {
        self.sounds += 1;
        self.sounds
    }

    /// The sound asked for, or the system's devices.
    pub fn take_prepared(&mut self) -> Prepared {
        self.prepared.take().unwrap_or_else(|| {
            prepare(&Sound::default()).expect("devices need no check before they are opened")
        })
    }

    pub fn switch(&mut self, to: Switch) {
        self.own.switch(to);
        if let Some(voice) = &self.voice {
            self.own.apply(voice);
        }
    }

    /// What the machine says.
    pub fn set(&mut self, view: &CallView) {
        let phase = view.phase;
        (self.phase, self.waiting) = (phase, view.waiting);
        match phase {
            Phase::Calling => {}
            Phase::Ringing => {
                self.times.rang_at.get_or_insert_with(wall_ms);
            }
            Phase::Ended(_) => self.times.ended_at = Some(wall_ms()),
            _ => {
                let now = (wall_ms(), self.clock.now());
                self.times.answered.get_or_insert(now);
            }
        }
    }

    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Keeps what the sound was like when it is over.
    pub fn remember_voice(&mut self, voice: &Voice) {
        self.heard.last = Some(self.measure(voice));
    }

    /// Whether our inner endpoint stands behind a home that was left, and something depends on it. Who is called is sought there;
    /// the caller's packets to the dead relay would wait there before all others.
    pub fn is_left_behind(&self, home: Option<&SupernodeAddr>) -> bool {
        let moved = |lease: &InnerLease| lease.home() != home;
        let travel = self.sound.as_ref();
        let travel = travel.and_then(|sound| paths::travel(&sound.connection));
        let depends = travel.is_none_or(|travel| !travel.direct);
        self.lease.as_ref().is_some_and(moved) && depends
    }

    /// Whether sound with this endpoint belongs here. While a call of ours rings at several devices, a connection may lead to
    /// another one than the one that answers.
    pub fn is_sound_for(&self, peer: EndpointKey) -> bool {
        let inner = self.peer_inner.as_ref().filter(|_| self.outgoing);
        inner.is_none_or(|inner| inner.endpoint == peer)
    }

    /// Whether the sound's connection is up.
    pub fn is_sound_there(&self) -> bool {
        let sound = self.sound.as_ref();
        sound.is_some_and(|sound| self.is_sound_for(sound.peer) && sound.is_up())
    }

    /// Looks how packets travel, while the connection is up.
    pub fn look(&mut self) {
        let now = self.sound.as_ref();
        if let Some(travel) = now.and_then(|sound| paths::travel(&sound.connection)) {
            self.heard.travel = Some(travel);
        }
    }

    /// Looks how the sound is, once a second.
    pub fn note_second(&mut self) {
        self.look();
        let flows = self.phase == Phase::Established && self.is_sound_there();
        if let Some(voice) = self.voice.as_ref().filter(|_| flows) {
            let quality = self.measure(voice);
            self.heard.lately.note(&voice.statistics().received);
            self.heard.course.add(&quality);
        }
    }

    /// Whether the caller seeks a direct way now: there is none, and neither side goes without on purpose.
    pub fn punches(&mut self, now: Time) -> bool {
        let has_udp = |lease: &InnerLease| !lease.endpoint().bound_sockets().is_empty();
        let told = |inner: &InnerAddr| !inner.direct.is_empty();
        let might =
            self.lease.as_ref().is_some_and(has_udp) && self.peer_inner.as_ref().is_some_and(told);
        if !self.outgoing || !might || !self.is_sound_there() {
            return false;
        }
        let travel = self.heard.travel.as_ref();
        let is_direct = travel.is_some_and(|travel| travel.direct);
        self.heard.punching.look(is_direct, now)
    }

    fn measure(&self, voice: &Voice) -> view::CallQuality {
        let statistics = voice.statistics();
        let travel = self.heard.travel.as_ref();
        let first_sound = statistics.first_sound.zip(self.times.answered);
        let forwarded = voice.forwarded();
        let own = travel.map_or("", |travel| path_word(travel.direct));
        view::CallQuality {
            path: forwarded.map_or(own, |_| paths::FORWARDED).to_owned(),
            first_sound_ms: first_sound.map(|(sound, (_, answered))| {
                u64::try_from(sound.saturating_sub(answered).as_millis()).unwrap_or(u64::MAX)
            }),
            ..quality(
                &statistics,
                self.heard.lately.losses(&statistics.received),
                forwarded.or_else(|| travel.map(|travel| travel.rtt)),
            )
        }
    }

    pub fn view(&self) -> view::Call {
        let (held, held_by_peer) = match self.phase {
            Phase::Held { ours, theirs } => (ours, theirs),
            _ => (false, false),
        };
        view::Call {
            id: self.call.to_string(),
            contact: self.peer.to_string(),
            who: self.names.who.clone(),
            outgoing: self.outgoing,
            state: state(self.phase),
            words: self.words(),
            started_at: self.times.started_at,
            answered_at: self.times.answered.map(|(wall, _)| wall),
            ended_at: self.times.ended_at,
            muted: self.own.is_muted(),
            held,
            held_by_peer,
            quality: match &self.voice {
                Some(voice) => Some(self.measure(voice)),
                None => self.heard.last.clone(),
            },
            warnings: self
                .warnings
                .iter()
                .cloned()
                .chain(self.own.warnings())
                .collect(),
            waiting: self.waiting,
            sound: self.own.view(),
            record: self.kept(),
        }
    }

    fn kept(&self) -> view::CallRecord {
        let missed = self.is_missed();
        view::CallRecord {
            rang_at: self.times.rang_at,
            missed,
            seen: !missed,
            answered_on: self.answered_on(),
            next: self
                .next
                .filter(|_| self.went_on())
                .map(|next| next.to_string()),
            merged: self.phase == Phase::Ended(EndReason::Merged),
            course: None,
        }
    }

    /// Whether it ended because another call goes on.
    const fn went_on(&self) -> bool {
        matches!(
            self.phase,
            Phase::Ended(EndReason::Forwarded(_) | EndReason::Transferred)
        )
    }

    /// Nobody answered what was for us, and nobody said no.
    fn is_missed(&self) -> bool {
        let Phase::Ended(reason) = self.phase else {
            return false;
        };
        let known = matches!(
            reason,
            EndReason::Declined
                | EndReason::DeclinedOn(_)
                | EndReason::AnsweredOn(_)
                | EndReason::Merged
                | EndReason::Forwarded(_)
        );
        !self.outgoing && self.times.answered.is_none() && !known
    }

    /// Which device of ours answered, if they called.
    fn answered_on(&self) -> Option<String> {
        let here = self.times.answered.is_some() && !self.outgoing;
        match self.phase {
            Phase::Ended(EndReason::AnsweredOn(_)) => self.names.elsewhere.clone(),
            _ if here => Some(self.names.device.clone()),
            _ => None,
        }
    }

    fn words(&self) -> String {
        match self.phase {
            Phase::Ended(reason) => self.reason(reason),
            Phase::Established | Phase::Held { .. } if self.sending_on => {
                let target = self.names.target.as_deref().unwrap_or_default();
                format!("putting {} through to {target}", self.names.who)
            }
            phase => words(phase, self.outgoing, &self.names.who),
        }
    }

    /// Why it is over; where else it was answered has a name.
    fn reason(&self, reason: EndReason) -> String {
        match (reason, &self.names.target) {
            (EndReason::Forwarded(_), Some(target)) => return format!("forwarded to {target}"),
            (EndReason::Transferred, Some(target)) => return format!("put through to {target}"),
            _ => {}
        }
        match (reason, &self.names.elsewhere) {
            (EndReason::AnsweredOn(_), Some(device)) => format!("answered on {device}"),
            (EndReason::DeclinedOn(_), Some(device)) => format!("declined on {device}"),
            // Who called hears no more than that.
            (EndReason::Busy, _) if !self.outgoing => "missed: it did not ring".to_owned(),
            _ => reason.words().to_owned(),
        }
    }

    fn technical(&self) -> Option<String> {
        let last = self.heard.last.clone().filter(|_| self.is_over())?;
        let course = self.heard.course.view();
        serde_json::to_string(&Technical { last, course }).ok()
    }

    /// For the log.
    pub fn record(&self) -> log::Call {
        let kept = self.kept();
        log::Call {
            id: self.call,
            contact: self.peer,
            outgoing: self.outgoing,
            started_at: self.times.started_at,
            answered_at: self.times.answered.map(|(wall, _)| wall),
            ended_at: self.times.ended_at,
            reason: match self.phase {
                Phase::Ended(reason) => Some(self.reason(reason)),
                _ => None,
            },
            path: self
                .view()
                .quality
                .map(|quality| quality.path)
                .filter(|path| !path.is_empty()),
            rang_at: kept.rang_at,
            answered_on: kept.answered_on,
            missed: kept.missed,
            seen: kept.seen,
            technical: self.technical(),
        }
    }
}

/// What the log keeps of a call's sound.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Technical {
    /// As it was at the end.
    pub last: view::CallQuality,
    /// And before.
    pub course: Option<view::CallCourse>,
}

fn device_name(ctx: &Context) -> String {
    let identity = ctx.identity.get();
    identity.name_of(identity.device_id()).unwrap_or_default()
}

const fn path_word(direct: bool) -> &'static str {
    if direct { "direct" } else { "relay" }
}

const fn state(phase: Phase) -> view::CallState {
    match phase {
        Phase::Calling => view::CallState::Calling,
        Phase::Ringing => view::CallState::Ringing,
        Phase::Connecting => view::CallState::Connecting,
        Phase::Established => view::CallState::Established,
        Phase::Held { .. } => view::CallState::Held,
        Phase::Reconnecting => view::CallState::Reconnecting,
        Phase::Ended(_) => view::CallState::Ended,
    }
}

fn words(phase: Phase, outgoing: bool, who: &str) -> String {
    match phase {
        Phase::Calling => format!("calling {who}"),
        Phase::Ringing if outgoing => format!("it rings at {who}'s"),
        Phase::Ringing => format!("{who} is calling"),
        Phase::Connecting => "the sound is being connected".to_owned(),
        Phase::Established => "in a call".to_owned(),
        Phase::Held {
            ours: true,
            theirs: true,
        } => "on hold by both".to_owned(),
        Phase::Held { ours: true, .. } => "on hold".to_owned(),
        Phase::Held { .. } => format!("on hold by {who}"),
        Phase::Reconnecting => "the connection was lost; looking for it".to_owned(),
        Phase::Ended(reason) => reason.words().to_owned(),
    }
}
