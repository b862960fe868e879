//! The microphone's level for whoever looks at it. In a call it is the call's; else the microphone is open for as long as
//! somebody asks, and two seconds more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use starling_audio::devices::{Capture, Choices, Following, Kind, Standing};
use starling_control::view::AudioMeter;
use starling_control::{ErrorKind, Failure};
use starling_media::FRAME_SAMPLES;

/// The microphone stays open for so long after the last question.
const LEASE: Duration = Duration::from_secs(2);
/// A microphone may take two seconds to say its first.
const FIRST_WITHIN: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who keeps it open.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Open until then; none: it is not.
    until: Option<Instant>,
    trouble: Option<String>,
}

impl Meter {
    /// The level now.
    pub(super) async fn read(&self, choices: &Arc<Choices>) -> Result<AudioMeter, Failure> {
        let failed = |words: String| Failure::new(ErrorKind::System, words);
        let deadline = Instant::now() + FIRST_WITHIN;
        while Instant::now() < deadline {
            if let Some(level) = choices.level() {
                self.renew();
                return Ok(AudioMeter {
                    rms_dbfs: level.rms_dbfs.into(),
                    peak_dbfs: level.peak_dbfs.into(),
                });
            }
            self.open(choices)
                .map_err(|error| failed(error.to_string()))?;
            if let Some(words) = self.state().trouble.take() {
                return Err(failed(words));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(failed("the microphone gives no sound".to_owned()))
    }

    fn renew(&self) {
        if let Some(until) = &mut self.state().until {
            *until = Instant::now() + LEASE;
        }
    }

    fn open(&self, choices: &Arc<Choices>) -> std::io::Result<()> {
        let mut state = self.state();
        if state.until.replace(Instant::now() + LEASE).is_some() {
            return Ok(());
        }
        state.trouble = None;
        let (meter, choices) = (self.clone(), Arc::clone(choices));
        let started = thread::Builder::new()
            .name("meter".to_owned())
            .spawn(move || meter.serve(|| meter.listen(&choices)));
        if started.is_err() {
            state.until = None;
        }
        started.map(drop)
    }

    /// `AUDIO-08`: whoever asks after it failed has it opened anew.
    fn serve(&self, listen: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(listen)).is_err() {
            let mut state = self.state();
            state.until = None;
            state.trouble = Some("the microphone's meter failed; please report this".to_owned());
        }
    }

    fn listen(&self, choices: &Arc<Choices>) {
        let mut microphone: Following<Capture> = Following::start(Kind::Microphone, choices);
        let mut frame = [0.0; FRAME_SAMPLES];
        while self.is_wanted() {
            if let Some(Standing::Nothing(error)) = microphone.poll() {
                self.state().trouble = Some(error.to_string());
            }
            while microphone.read(&mut frame) {}
            thread::sleep(LOOK_EVERY);
        }
    }

    fn is_wanted(&self) -> bool {
        let mut state = self.state();
        state.until = state.until.filter(|until| *until > Instant::now());
        state.until.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_08_a_meter_that_broke_says_so_and_is_begun_anew() {
        let meter = Meter::default();
        meter.state().until = Some(Instant::now() + LEASE);
        meter.serve(|| panic!("on purpose"));
        let state = meter.state();
        assert_eq!(state.until, None, "the next who asks opens it");
        assert!(state.trouble.is_some());
    }
}
