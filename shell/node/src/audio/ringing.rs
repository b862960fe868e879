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
    let began = Instant::now();
    loop {
        let is_stopped = pause(life);
        if is_stopped {
            player.stop();
        }
        device.poll();
        let Some(device) = device.device() else {
            if is_stopped || (!tone.lasts() && began.elapsed() > LATE) {
                return;
            }
            continue;
        };
        if !fill(device, &mut player) {
            return drain(device);
        }
    }
}

/// Waits a moment; whether the tone is to stop.
fn pause(life: Option<&Receiver<()>>) -> bool {
    let is_stopped = life.is_some_and(|life| life.try_recv() == Err(TryRecvError::Disconnected));
    thread::sleep(PAUSE);
    is_stopped
}

/// Whether there is more to come.
fn fill(device: &mut Playback, player: &mut Player) -> bool {
    let mut frame = [0.0; FRAME_SAMPLES];
    while device.queued() < QUEUE {
        if !player.fill(&mut frame) {
            return false;
        }
        device.write(&frame);
    }
    true
}

/// Until all is heard. What the system has not played when the device is closed is cut off: that had better be silence.
fn drain(device: &mut Playback) {
    device.write(&[0.0; FRAME_SAMPLES * 2]);
    let began = Instant::now();
    while device.queued() > 0 && began.elapsed() < DRAIN {
        thread::sleep(PAUSE);
    }
}
