//! The test without anybody else: five seconds of the microphone through the codec, then back through the speaker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use starling_audio::devices::{Capture, Choices, Following, Kind, Playback, Standing};
use starling_audio::level::{Level, SILENCE_DBFS};
use starling_audio::opus::{Decoder, Encoder, EncoderSettings, OpusError, Protection};
use starling_control::view::{AudioTest, AudioTestState};
use starling_control::{ErrorKind, Failure};
use starling_media::FRAME_SAMPLES;
use starling_wire::limits::MEDIA_PAYLOAD_MAX;

/// 5 s.
const FRAMES: usize = 250;
/// What a call without losses is sent with.
const BITRATE: u32 = 30_000;
const COMPLEXITY: u8 = 9;
/// The speaker's queue is filled up to this.
const QUEUE: usize = FRAME_SAMPLES * 2;
/// A device that gives or takes nothing for so long does not work.
const PATIENCE: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(5);
/// A voice is louder.
const QUIET_DBFS: f32 = -55.0;

/// The test that runs or was the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Trial(Arc<Mutex<AudioTest>>);

impl Trial {
    /// How it is.
    pub(super) fn view(&self) -> AudioTest {
        self.state().clone()
    }

    /// Begins.
    pub(super) fn start(&self, choices: &Arc<Choices>) -> Result<AudioTest, Failure> {
        let mut state = self.state();
        if state.state.is_running() {
            let sentence = "the test is running already";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let begun = says(AudioTestState::Recording, "speak now");
        let (trial, choices) = (self.clone(), Arc::clone(choices));
        let started = thread::Builder::new()
            .name("sound-test".to_owned())
            .spawn(move || trial.conclude(|| trial.run(&choices)));
        let trouble = |error: std::io::Error| Failure::new(ErrorKind::System, error.to_string());
        started.map_err(trouble)?;
        state.clone_from(&begun);
        Ok(begun)
    }

    /// `AUDIO-08`: however it ends, it is over then.
    fn conclude(&self, run: impl FnOnce() -> Result<AudioTest, String>) {
        let end = catch_unwind(AssertUnwindSafe(run));
        let broken = || Err("the sound test failed; please report this".to_owned());
        let end = end.unwrap_or_else(|_| broken());
        *self.state() = end.unwrap_or_else(|words| says(AudioTestState::Failed, &words));
    }

    fn run(&self, choices: &Arc<Choices>) -> Result<AudioTest, String> {
        let (payloads, loudest) = self.record(choices)?;
        self.play(choices, &payloads)?;
        let words = if loudest < QUIET_DBFS {
            "hardly anything was heard: is this the right microphone, and is it switched on?"
                .to_owned()
        } else {
            format!("if you heard yourself, your sound works; the loudest was {loudest:.0} dBFS")
        };
        Ok(AudioTest {
            rms_dbfs: Some(loudest.into()),
            ..says(AudioTestState::Done, &words)
        })
    }

    /// What was said, as it would be sent; and how loud its loudest frame was.
    fn record(&self, choices: &Arc<Choices>) -> Result<(Vec<Vec<u8>>, f32), String> {
        let mut microphone: Following<Capture> = Following::start(Kind::Microphone, choices);
        let mut encoder = Encoder::new(settings()).map_err(words)?;
        let (mut payloads, mut loudest) = (Vec::new(), SILENCE_DBFS);
        let mut frame = [0.0; FRAME_SAMPLES];
        let mut heard = Instant::now();
        while payloads.len() < FRAMES {
            if let Some(Standing::Nothing(error)) = microphone.poll() {
                return Err(error.to_string());
            }
            while payloads.len() < FRAMES && microphone.read(&mut frame) {
                heard = Instant::now();
                let level = Level::of(&frame).rms_dbfs;
                loudest = loudest.max(level);
                self.tell(
                    AudioTestState::Recording,
                    "speak now",
                    FRAMES - payloads.len(),
                    level,
                );
                let mut payload = [0; MEDIA_PAYLOAD_MAX];
                let length = encoder.encode(&frame, &mut payload).map_err(words)?;
                payloads.push(payload[..length].to_vec());
            }
            if heard.elapsed() > PATIENCE {
                return Err("the microphone gives no sound".to_owned());
            }
            thread::sleep(PAUSE);
        }
        Ok((payloads, loudest))
    }

    fn play(&self, choices: &Arc<Choices>, payloads: &[Vec<u8>]) -> Result<(), String> {
        let mut speaker: Following<Playback> = Following::start(Kind::Speaker, choices);
        let mut decoder = Decoder::new().map_err(words)?;
        let mut frame = [0.0; FRAME_SAMPLES];
        let mut rest = payloads.iter();
        let mut taken = Instant::now();
        loop {
            if let Some(Standing::Nothing(error)) = speaker.poll() {
                return Err(error.to_string());
            }
            while let Some(device) = speaker.device()
                && device.queued() < QUEUE
            {
                taken = Instant::now();
                let left = rest.len();
                let Some(payload) = rest.next() else {
                    return drain(&mut speaker);
                };
                decoder.decode(payload, &mut frame).map_err(words)?;
                let level = Level::of(&frame).rms_dbfs;
                self.tell(
                    AudioTestState::Playing,
                    "this is how you are heard",
                    left,
                    level,
                );
                device.write(&frame);
            }
            if taken.elapsed() > PATIENCE {
                return Err("the speaker takes no sound".to_owned());
            }
            thread::sleep(PAUSE);
        }
    }

    fn tell(&self, state: AudioTestState, words: &str, frames: usize, level: f32) {
        *self.state() = AudioTest {
            left_ms: frames as u64 * 20,
            rms_dbfs: Some(level.into()),
            ..says(state, words)
        };
    }

    fn state(&self) -> MutexGuard<'_, AudioTest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the last is heard.
fn drain(speaker: &mut Following<Playback>) -> Result<(), String> {
    let began = Instant::now();
    while speaker.device().is_some_and(|device| device.queued() > 0) && began.elapsed() < PATIENCE {
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn says(state: AudioTestState, words: &str) -> AudioTest {
    AudioTest {
        state,
        words: words.to_owned(),
        ..AudioTest::default()
    }
}

fn words(error: OpusError) -> String {
    error.to_string()
}

const fn settings() -> EncoderSettings {
    EncoderSettings {
        bitrate: BITRATE,
        complexity: COMPLEXITY,
        protection: Protection {
            expected_loss: 0,
            fec: false,
            deep_ms: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_08_a_test_that_breaks_is_over() {
        let trial = Trial::default();
        *trial.state() = says(AudioTestState::Recording, "speak now");
        trial.conclude(|| panic!("on purpose"));
        let view = trial.view();
        assert_eq!(view.state, AudioTestState::Failed);
        assert!(view.words.contains("please report"), "{}", view.words);
        trial.conclude(|| Ok(says(AudioTestState::Done, "")));
        assert_eq!(trial.view().state, AudioTestState::Done);
    }
}
