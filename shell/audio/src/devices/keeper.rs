//! A thread for each open device. It asks the sound system, which may never answer, and carries the stream, or holds one of ALSA's,
//! which may not be passed on to other threads, until its owner lets go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use cpal::traits::StreamTrait;

use super::health::Health;
use super::pulse::{Cord, Stream};
use super::{DeviceError, Kind};

/// How long the sound system may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(1_900);
/// So many threads may wait for an answer that does not come.
const WAITING_MAX: usize = 8;

static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Lets go of the stream when dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    _hold: Sender<()>,
    _cord: Option<Cord>,
}

/// A stream that has not begun yet.
pub(super) struct Kept {
    pub(super) stream: Carried,
    pub(super) health: Arc<Health>,
}

/// By whom its sound is moved.
pub(super) enum Carried {
    /// By a thread of cpal's.
    Alsa(cpal::Stream),
    /// By the thread that keeps it.
    Server(Stream),
}

/// Does `work` on a thread of its own, which begins and keeps the stream `work` opened.
pub(super) fn within_time<T: Send + 'static>(
    kind: Kind,
    work: impl FnOnce() -> Result<(T, Option<Kept>), DeviceError> + Send + 'static,
) -> Result<(T, Keeper), DeviceError> {
    if WAITING.load(Ordering::Relaxed) >= WAITING_MAX {
        return Err(DeviceError::Unanswered(kind));
    }
    let (answer, answered) = sync_channel(1);
    let (hold, held) = channel();
    WAITING.fetch_add(1, Ordering::Relaxed);
    let started = thread::Builder::new()
        .name(format!("audio-{kind}"))
        .spawn(move || keep(work, &answer, &held));
    if let Err(error) = started {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        return Err(DeviceError::Open {
            kind,
            reason: error.to_string(),
        });
    }
    match answered.recv_timeout(PATIENCE) {
        Ok(result) => result.map(|(value, cord)| {
            let keeper = Keeper {
                _hold: hold,
                _cord: cord,
            };
            (value, keeper)
        }),
        Err(RecvTimeoutError::Timeout) => Err(DeviceError::Unanswered(kind)),
        Err(RecvTimeoutError::Disconnected) => Err(DeviceError::Open {
            kind,
            reason: "the sound library failed".to_owned(),
        }),
    }
}

type Answer<T> = Result<(T, Option<Cord>), DeviceError>;

fn keep<T>(
    work: impl FnOnce() -> Result<(T, Option<Kept>), DeviceError>,
    answer: &SyncSender<Answer<T>>,
    held: &Receiver<()>,
) {
    let waiting = Waiting;
    // libasound writes to standard error what it also returns; on this thread it writes into a buffer that nobody reads.
    let _quiet = alsa::Output::local_error_handler();
    let result = work();
    drop(waiting);
    let (result, kept) = match result {
        Ok((value, mut kept)) => {
            let cord = kept.as_mut().and_then(Kept::take_cord);
            (Ok((value, cord)), kept)
        }
        Err(error) => (Err(error), None),
    };
    let wanted = answer.send(result).is_ok();
    if let Some(kept) = kept.filter(|_| wanted) {
        kept.carry(held);
    }
}

impl Kept {
    fn take_cord(&mut self) -> Option<Cord> {
        match &mut self.stream {
            Carried::Alsa(_) => None,
            Carried::Server(stream) => stream.take_cord(),
        }
    }

    /// Until its owner lets go.
    fn carry(self, held: &Receiver<()>) {
        match self.stream {
            Carried::Server(stream) => stream.carry(&self.health),
            Carried::Alsa(stream) => {
                // A microphone begins with its first sound, and some take seconds to say it.
                if let Err(error) = stream.play() {
                    self.health.report(&error);
                }
                // Nothing is ever sent: this returns when the owner is gone.
                let _ = held.recv();
            }
        }
    }
}

/// One of the threads that wait for an answer.
struct Waiting;

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}
