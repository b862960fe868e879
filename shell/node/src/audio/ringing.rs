//! The tones of calls: told by the same events as every client, played by a thread for each tone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use starling_audio::devices::{Choices, Following, Kind, Playback};
use starling_audio::tones::{Player, Tone};
use starling_control::Event;
use starling_media::FRAME_SAMPLES;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;

use super::Audio;
use super::cues::{Cue, Cues};

/// The device's queue is filled up to this.
const QUEUE: usize = FRAME_SAMPLES * 2;
const PAUSE: Duration = Duration::from_millis(5);
/// A short tone that finds no device for so long comes too late.
const LATE: Duration = Duration::from_secs(3);
/// A device that takes nothing for so long was suspended: it lives, and nothing is heard of it.
const STUCK: Duration = Duration::from_secs(1);
/// What is queued is heard within this, or not at all.
const DRAIN: Duration = Duration::from_millis(500);

/// Until the node ends.
pub async fn run(audio: Arc<Audio>, mut events: broadcast::Receiver<Event>) {
    let mut cues = Cues::default();
    let mut lasting: Option<(Cue, Sender<()>)> = None;
    loop {
        let once = match events.recv().await {
            Ok(Event::Call(call)) => cues.note(&call),
            Ok(_) => continue,
            // Rather silent than ringing for ever.
            Err(RecvError::Lagged(_)) => {
                cues = Cues::default();
                None
            }
            Err(RecvError::Closed) => return,
        };
        let volume = audio.tones();
        let wanted = cues.lasting().filter(|_| volume.is_some());
        if lasting.as_ref().map(|(cue, _)| *cue) != wanted {
            // Dropping the other end stops what was heard.
            lasting = wanted.and_then(|cue| {
                let (life, lives) = channel();
                play(cue, volume?, audio.choices(), Some(lives)).then_some((cue, life))
            });
        }
        if let (Some(cue), Some(volume)) = (once, volume) {
            play(cue, volume, audio.choices(), None);
        }
    }
}

/// Plays to its end, or until the other end of `life` is dropped; whether it began.
fn play(
    (kind, tone): Cue,
    volume: f32,
    choices: &Arc<Choices>,
    life: Option<Receiver<()>>,
) -> bool {
    let choices = Arc::clone(choices);
    let started = thread::Builder::new()
        .name("tone".to_owned())
        .spawn(move || sound(kind, tone, volume, &choices, life.as_ref()));
    if let Err(error) = &started {
        debug!(%error, "a tone cannot be played");
    }
    started.is_ok()
}

fn sound(kind: Kind, tone: Tone, volume: f32, choices: &Arc<Choices>, life: Option<&Receiver<()>>) {
    let mut device: Following<Playback> = Following::start(kind, choices);
    let mut player = Player::new(tone, volume);
    let mut course = Course::new(tone, Instant::now());
    loop {
        let is_stopped = pause(life);
        if is_stopped {
            player.stop();
        }
        device.poll();
        let filled = match device.device() {
            None => Filled::NoDevice,
            Some(device) => fill(device, &mut player),
        };
        if filled == Filled::Over
            && let Some(device) = device.device()
        {
            drain(device);
        }
        if course.is_over(filled, is_stopped, Instant::now()) {
            return;
        }
    }
}

/// What a device took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    NoDevice,
    Nothing,
    Some,
    /// All there was.
    Over,
}

/// How long a tone is played: pure.
#[derive(Debug)]
struct Course {
    lasts: bool,
    /// When something of it was taken last.
    taken: Instant,
}

impl Course {
    const fn new(tone: Tone, now: Instant) -> Self {
        let lasts = tone.lasts();
        Self { lasts, taken: now }
    }

    /// `AUDIO-07`: whoever is not heard does not go on for ever; only a tone that is still wanted waits.
    fn is_over(&mut self, filled: Filled, is_stopped: bool, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.taken);
        match filled {
            Filled::Over => true,
            Filled::Some => {
                self.taken = now;
                false
            }
            Filled::Nothing => (is_stopped || !self.lasts) && silent > STUCK,
            Filled::NoDevice => is_stopped || (!self.lasts && silent > LATE),
        }
    }
}

/// Waits a moment; whether the tone is to stop.
fn pause(life: Option<&Receiver<()>>) -> bool {
    let is_stopped = life.is_some_and(|life| life.try_recv() == Err(TryRecvError::Disconnected));
    thread::sleep(PAUSE);
    is_stopped
}

/// As much as the device's queue takes.
fn fill(device: &mut Playback, player: &mut Player) -> Filled {
    let mut frame = [0.0; FRAME_SAMPLES];
    let mut filled = Filled::Nothing;
    while device.queued() < QUEUE {
        if !player.fill(&mut frame) {
            return Filled::Over;
        }
        device.write(&frame);
        filled = Filled::Some;
    }
    filled
}

/// Until all is heard. What the system has not played when the device is closed is cut off: that had better be silence.
fn drain(device: &mut Playback) {
    device.write(&[0.0; FRAME_SAMPLES * 2]);
    let began = Instant::now();
    while device.queued() > 0 && began.elapsed() < DRAIN {
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_07_a_tone_ends_on_a_device_that_takes_nothing() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut ringing = Course::new(Tone::Ringing, began);
        assert!(!ringing.is_over(Filled::Some, false, at(500)));
        let hour = 3_600_000;
        assert!(!ringing.is_over(Filled::Nothing, false, at(hour)), "wanted");
        assert!(!ringing.is_over(Filled::NoDevice, false, at(hour)));
        assert!(!ringing.is_over(Filled::Nothing, true, at(1_500)));
        assert!(ringing.is_over(Filled::Nothing, true, at(1_501)));
        assert!(ringing.is_over(Filled::NoDevice, true, at(501)));

        let mut busy = Course::new(Tone::Busy, began);
        assert!(!busy.is_over(Filled::Some, false, at(100)));
        assert!(!busy.is_over(Filled::Nothing, false, at(1_100)));
        assert!(busy.is_over(Filled::Nothing, false, at(1_101)));
        assert!(!busy.is_over(Filled::NoDevice, false, at(3_100)));
        assert!(busy.is_over(Filled::NoDevice, false, at(3_101)));
        assert!(busy.is_over(Filled::Over, false, at(200)));
    }
}
