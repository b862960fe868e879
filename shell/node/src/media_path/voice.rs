//! The thread of one call's voice. It sleeps until a datagram comes or a few milliseconds have passed, lets the listening
//! side play what is due and the speaking side send what is there. It survives a lost connection: the next one is put
//! in its place.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::Connection;
use starling_audio::devices::{Kind, Standing};
use starling_audio::opus::OpusError;
use starling_media::{PathKind, Plan, Report, ReportError, Statistics};
use starling_protocol::machine::Time;

use super::cleaning::Cleaning;
use super::detour::{Detour, Outlet};
use super::listening::Listening;
use super::sound::Prepared;
use super::speaking::{Speaking, Stream};
use super::trace::Trace;
use crate::audio::Audio;
use crate::clock::Clock;
use crate::paths::{self, Way};
use crate::processing::ProcessingChoice;
use crate::traffic::{Purpose, Traffic};

/// Datagrams between the connection's task and the thread; at 50 a second more than the playout would keep.
const ARRIVALS: usize = 256;
/// How often devices are looked at: a fifth of a frame.
const PAUSE: Duration = Duration::from_millis(4);
/// How often the statistics are renewed.
const RENEW: Duration = Duration::from_millis(200);
/// After the limit of a conversation the last frames get this long to be heard.
const LINGER: Duration = Duration::from_millis(250);

/// What the thread has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// In words for the person.
    Trouble(String),
    /// The conversation has lasted as long as asked for.
    LimitReached,
    /// Another device is in use than before, or none.
    Device(Kind, Standing),
}

/// How the voice is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VoiceStatistics {
    /// Of the receiving side.
    pub received: Statistics,
    /// When the first frame of the other side was played.
    pub first_sound: Option<Time>,
    /// How we send; nothing before the thread has begun.
    pub plan: Option<Plan>,
}

/// A call's voice, both ways.
#[derive(Debug)]
pub struct Voice {
    shared: Arc<Shared>,
    inlet: Inlet,
    thread: JoinHandle<()>,
}

/// Where datagrams go in.
#[derive(Debug, Clone)]
pub struct Inlet(SyncSender<(Bytes, Time)>);

impl Inlet {
    /// Takes a datagram; a thread that hangs loses it, as the network would.
    pub fn offer(&self, datagram: Bytes, now: Time) {
        let _ = self.0.try_send((datagram, now));
    }
}

/// What the thread and its owner both see.
#[derive(Debug, Default)]
pub struct Shared {
    stop: AtomicBool,
    muted: AtomicBool,
    held: AtomicBool,
    deafened: AtomicBool,
    wire: Mutex<Option<Connection>>,
    /// Where what is said goes instead, as long as there is one.
    detour: Mutex<Option<Detour>>,
    statistics: Mutex<VoiceStatistics>,
}

impl Shared {
    /// Whether there is somebody to speak to.
    pub fn is_connected(&self) -> bool {
        self.wire().is_some() || self.detour().is_some()
    }

    pub(super) fn wire(&self) -> MutexGuard<'_, Option<Connection>> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn detour(&self) -> MutexGuard<'_, Option<Detour>> {
        self.detour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the microphone is off.
    pub fn is_silent(&self) -> bool {
        self.muted.load(Ordering::Relaxed) || self.held.load(Ordering::Relaxed)
    }

    /// Which way packets go now, and of what kind it is; nothing while nobody is connected. The other side leaves a path when we do.
    fn way(&self) -> Option<(PathKind, Way)> {
        let detour = self.detour().as_ref().and_then(Detour::way);
        if let Some(way) = detour {
            return Some((PathKind::Forwarded, way));
        }
        let wire = self.wire().clone()?;
        let kind = if paths::travel(&wire)?.direct {
            PathKind::Direct
        } else {
            PathKind::Relayed
        };
        Some((kind, paths::way(&wire)?))
    }

    fn renew(&self, statistics: VoiceStatistics) {
        let mut shown = self
            .statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *shown = statistics;
    }

    /// Sends a datagram; what does not fit the connection now is lost.
    pub fn send(&self, datagram: Vec<u8>, traffic: &Traffic) {
        let bytes = datagram.len() as u64;
        let detour = self.detour().clone();
        let detoured = detour.is_some_and(|detour| detour.send(&datagram));
        let sent = detoured || {
            let wire = self.wire();
            let sends = |wire: &Connection| wire.send_datagram(datagram.into()).is_ok();
            wire.as_ref().is_some_and(sends)
        };
        if sent {
            traffic.sent(Purpose::Calls, bytes);
        }
    }
}

impl Voice {
    /// Starts the thread; `notify` must not block.
    pub fn start(
        prepared: Prepared,
        stream: Stream,
        clock: Clock,
        traffic: Arc<Traffic>,
        sounding: Sounding,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (sender, arrivals) = sync_channel(ARRIVALS);
        let thread_shared = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("voice".to_owned())
            .spawn(move || {
                let start = Start {
                    prepared,
                    stream,
                    clock,
                    traffic,
                    sounding,
                };
                if let Err(words) = survive(|| run(start, &thread_shared, &arrivals, &notify)) {
                    notify(Notice::Trouble(format!("there is no sound: {words}")));
                }
            })?;
        Ok(Self {
            shared,
            inlet: Inlet(sender),
            thread,
        })
    }

    /// From now on frames go out here; `None`: nowhere.
    pub fn connect(&self, connection: Option<Connection>) {
        *self.shared.wire() = connection;
    }

    /// Where datagrams go in.
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// Where what is said goes out.
    pub fn outlet(&self) -> Outlet {
        Outlet::new(Arc::clone(&self.shared))
    }

    /// The round-trip time over a forwarder, while one carries what is said.
    pub fn forwarded(&self) -> Option<Duration> {
        self.shared.detour().as_ref().map(Detour::rtt)
    }

    /// Microphone off or on.
    pub fn mute(&self, on: bool) {
        self.shared.muted.store(on, Ordering::Relaxed);
    }

    /// Speaker off or on.
    pub fn deafen(&self, on: bool) {
        self.shared.deafened.store(on, Ordering::Relaxed);
    }

    /// Silence both ways, or sound again.
    pub fn hold(&self, on: bool) {
        self.shared.held.store(on, Ordering::Relaxed);
    }

    /// How it is.
    pub fn statistics(&self) -> VoiceStatistics {
        *self
            .shared
            .statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it; a recording is complete when this returns.
    pub async fn stop(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.connect(None);
        let thread = self.thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

/// How this machine sounds: its devices, and what is done with a microphone's sound.
#[derive(Debug, Clone)]
pub struct Sounding {
    pub audio: Arc<Audio>,
    pub processing: ProcessingChoice,
}

/// What comes of the thread's work, in words: a call whose voice failed says so.
fn survive(work: impl FnOnce() -> Result<(), OpusError>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("the voice's thread failed; please report this".to_owned()),
    }
}

struct Start {
    prepared: Prepared,
    stream: Stream,
    clock: Clock,
    traffic: Arc<Traffic>,
    sounding: Sounding,
}

fn run(
    start: Start,
    shared: &Shared,
    arrivals: &Receiver<(Bytes, Time)>,
    notify: &dyn Fn(Notice),
) -> Result<(), OpusError> {
    let (clock, prepared) = (start.clock, start.prepared);
    let Sounding { audio, processing } = start.sounding;
    let choices = audio.choices();
    let cleaning = Cleaning::new(processing, &prepared.source, prepared.processed);
    let (source, stream) = (prepared.source, start.stream);
    let mut speaking = Speaking::open(source, cleaning, stream, start.traffic, choices)?;
    let mut listening = Listening::open(prepared.sink, choices, notify)?;
    let mut trace = trace(prepared.trace.as_deref(), notify);
    let mut since = None;
    let mut renewed = Time::ZERO;
    let mut path = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let now = clock.now();
        if shared.held.load(Ordering::Relaxed) {
            speaking.pause(now);
            listening.pause();
        } else {
            listening.deafen(shared.deafened.load(Ordering::Relaxed));
            let echo = listening.play(now, &mut trace, notify);
            speaking.speak(now, &echo, shared, &mut trace, notify);
        }
        since = since.or_else(|| shared.is_connected().then_some(now));
        if let (Some(began), Some(length)) = (since, prepared.limit)
            && speaking.stop_at(began + length, now)
            && now >= began + length + LINGER
        {
            since = None;
            notify(Notice::LimitReached);
        }
        if now >= renewed + RENEW {
            renewed = now;
            follow(shared, &mut path, (&mut listening, &mut speaking), now);
            shared.renew(VoiceStatistics {
                received: listening.statistics(),
                first_sound: listening.first_sound(),
                plan: Some(speaking.plan()),
            });
        }
        if let Some(report) = listening.report(now) {
            shared.send(report.write(), speaking.traffic());
        }
        for report in take(arrivals, &mut listening) {
            speaking.heard(&report, now)?;
        }
    }
    listening.finish(notify);
    Ok(())
}

/// Both sides hear which way packets go now.
fn follow(
    shared: &Shared,
    path: &mut Option<Way>,
    (listening, speaking): (&mut Listening, &mut Speaking),
    now: Time,
) {
    let Some((kind, way)) = shared.way() else {
        return;
    };
    listening.take_path(kind);
    if path
        .replace(way.clone())
        .is_some_and(|before| before != way)
    {
        speaking.moved(now);
    }
}

fn trace(file: Option<&Path>, notify: &dyn Fn(Notice)) -> Trace {
    let trace = file.map(Trace::create).transpose();
    trace
        .map(Option::unwrap_or_default)
        .unwrap_or_else(|error| {
            notify(Notice::Trouble(format!(
                "no times are written down: {error}"
            )));
            Trace::default()
        })
}

/// Waits for datagrams, for [`PAUSE`] at most; returns what the other side reports. `MEDIA-14`: no more at once than wait at
/// that moment, however fast others come.
fn take(arrivals: &Receiver<(Bytes, Time)>, listening: &mut Listening) -> Vec<Report> {
    let first = match arrivals.recv_timeout(PAUSE) {
        Ok(first) => Some(first),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            // The owner is gone without a word; its flag follows.
            std::thread::sleep(PAUSE);
            None
        }
    };
    let mut reports = Vec::new();
    let others = arrivals.try_iter().take(ARRIVALS - 1);
    for (datagram, at) in first.into_iter().chain(others) {
        match Report::parse(&datagram) {
            Ok(report) => reports.push(report),
            Err(ReportError::Other) => listening.insert(&datagram, at),
            Err(error) => tracing::trace!(%error, "dropped a report"),
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use starling_audio::devices::Choices;

    use super::*;
    use crate::media_path::sound::Sink;

    #[test]
    fn media_14_a_flood_of_datagrams_keeps_the_thread_from_nothing() {
        let (sender, arrivals) = sync_channel(ARRIVALS);
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let flood = std::thread::spawn(move || {
            let datagram = Report::default().write();
            while !is_over.load(Ordering::Relaxed) {
                let _ = sender.try_send((datagram.clone().into(), Time::ZERO));
            }
        });
        let choices: Arc<Choices> = Arc::default();
        let mut listening = Listening::open(Sink::Nowhere, &choices, &|_| {}).expect("it opens");
        for _ in 0..100 {
            assert!(take(&arrivals, &mut listening).len() <= ARRIVALS);
        }
        stop.store(true, Ordering::Relaxed);
        flood.join().expect("it ends");
    }

    #[test]
    fn audio_08_a_voice_whose_thread_fails_says_so() {
        let failed = survive(|| panic!("on purpose"));
        assert!(failed.is_err_and(|words| words.contains("please report")));
        assert_eq!(survive(|| Ok(())), Ok(()));
    }
}
