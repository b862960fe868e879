//! Gain control: WebRTC's second one (AGC2). A network that knows voices measures how loud they are, the gain follows by a few
//! decibels a second, and a limiter keeps what is too loud from being clipped.

use sonora_agc2::adaptive_digital_gain_controller::{AdaptiveDigitalGainController, FrameInfo};
use sonora_agc2::common::{
    ADJACENT_SPEECH_FRAMES_THRESHOLD, SATURATION_PROTECTOR_INITIAL_HEADROOM_DB,
    VAD_RESET_PERIOD_MS, db_to_ratio, float_s16_to_dbfs,
};
use sonora_agc2::gain_applier::GainApplier;
use sonora_agc2::limiter::Limiter;
use sonora_agc2::noise_level_estimator::NoiseLevelEstimator;
use sonora_agc2::saturation_protector::SaturationProtector;
use sonora_agc2::speech_level_estimator::SpeechLevelEstimator;
use sonora_agc2::vad_wrapper::VoiceActivityDetectorWrapper;
use sonora_simd::detect_backend;

use super::bands::STEP;
use super::settings::Gain;
use super::tuning;

/// For one microphone.
#[derive(Debug)]
pub(super) struct Control {
    way: Way,
    limiter: Limiter,
}

#[derive(Debug)]
enum Way {
    Automatic(Box<Automatic>),
    Fixed(GainApplier),
}

/// What measures the voice, and the gain that follows.
#[derive(Debug)]
struct Automatic {
    voice: VoiceActivityDetectorWrapper,
    noise: NoiseLevelEstimator,
    level: SpeechLevelEstimator,
    peaks: SaturationProtector,
    controller: AdaptiveDigitalGainController,
}

impl Control {
    pub(super) fn new(gain: Gain) -> Option<Self> {
        let way = match gain {
            Gain::Off => return None,
            Gain::Automatic => Way::Automatic(Box::new(Automatic::new())),
            Gain::Fixed(decibels) => {
                let decibels = f32::from(decibels.min(Gain::MOST));
                Way::Fixed(GainApplier::new(false, db_to_ratio(decibels)))
            }
        };
        let limiter = Limiter::new(STEP);
        Some(Self { way, limiter })
    }

    pub(super) fn apply(&mut self, step: &mut [f32; STEP]) {
        match &mut self.way {
            Way::Automatic(automatic) => automatic.apply(step, self.limiter.last_audio_level()),
            Way::Fixed(gain) => gain.apply_gain(&mut [step.as_mut_slice()]),
        }
        self.limiter.process(&mut [step.as_mut_slice()]);
    }
}

impl Automatic {
    fn new() -> Self {
        let (config, frames) = (tuning::GAIN, ADJACENT_SPEECH_FRAMES_THRESHOLD);
        Self {
            voice: VoiceActivityDetectorWrapper::with_reset_period(
                VAD_RESET_PERIOD_MS,
                detect_backend(),
                48_000,
            ),
            noise: NoiseLevelEstimator::default(),
            level: SpeechLevelEstimator::new(&config, frames),
            peaks: SaturationProtector::new(SATURATION_PROTECTOR_INITIAL_HEADROOM_DB, frames),
            controller: AdaptiveDigitalGainController::new(config, frames),
        }
    }

    fn apply(&mut self, step: &mut [f32; STEP], limited: f32) {
        let speech_probability = self.voice.analyze(step);
        let noise_rms_dbfs = self.noise.analyze(&[step.as_slice()]);
        let peak = step.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
        let power = step.iter().map(|x| x * x).sum::<f32>() / STEP as f32;
        self.level
            .update(float_s16_to_dbfs(power.sqrt()), speech_probability);
        let speech_level_dbfs = self.level.level_dbfs();
        self.peaks.analyze(
            speech_probability,
            float_s16_to_dbfs(peak),
            speech_level_dbfs,
        );
        let info = FrameInfo {
            speech_probability,
            speech_level_dbfs,
            speech_level_reliable: self.level.is_confident(),
            noise_rms_dbfs,
            headroom_db: self.peaks.headroom_db(),
            limiter_envelope_dbfs: float_s16_to_dbfs(limited),
        };
        self.controller.process(&info, &mut [step.as_mut_slice()]);
    }
}
