//! Where we differ from WebRTC's own tuning, and why; the figures are in `docs/benchmarks.md`.

use sonora_aec3::config::{EchoCanceller3Config, Filter, MaskingThresholds, Suppressor, Tuning};
use sonora_agc2::speech_level_estimator::AdaptiveDigitalConfig;

use super::settings::Echo;

/// Blocks of 4 ms that the model of the room is long; 13 is WebRTC's, and too short for an office.
const LENGTH: usize = 30;
/// By how much the model may be believed to reduce the echo, as a ratio of powers: as much as is measured. WebRTC believes in 4 (1.5 above 4 kHz) at
/// most, and suppresses whoever speaks into an echo for what it does not believe.
const BELIEVED: f32 = 1_000.0;

/// The canceller's; none where it is off. PROC-02 is what it has to reach.
pub(super) fn config(echo: Echo) -> Option<EchoCanceller3Config> {
    let mut config = EchoCanceller3Config::default();
    lengthen(&mut config.filter);
    match echo {
        Echo::Off => return None,
        Echo::On => {
            config.erle.max_l = BELIEVED;
            config.erle.max_h = BELIEVED;
            config.erle.onset_detection = false;
            open(&mut config.suppressor);
        }
        Echo::Strong => {}
    }
    Some(config)
}

fn lengthen(filter: &mut Filter) {
    filter.refined.length_blocks = LENGTH;
    filter.coarse.length_blocks = LENGTH;
    filter.refined_initial.length_blocks = LENGTH - 1;
    filter.coarse_initial.length_blocks = LENGTH - 1;
    // After so long the model is better than what is assumed without one.
    filter.initial_state_seconds = 1.5;
}

/// Lets through who speaks into an echo.
fn open(suppressor: &mut Suppressor) {
    // Each band for itself: one that is full of echo closes no other.
    suppressor.high_frequency_suppression.bands_in_limiting_gain = 0;
    // From closed to open in 20 ms instead of 70.
    suppressor.floor_first_increase = 0.003;
    suppressor.normal_tuning = tuning([0.12, 0.2], [0.03, 0.06], 3.0);
    suppressor.nearend_tuning = tuning([1.5, 2.5], [0.8, 1.5], 2.0);
    // Who speaks is noticed sooner, and taken for an echo less often; not before there is a model.
    let speaking = &mut suppressor.dominant_nearend_detection;
    speaking.enr_threshold = 0.15;
    speaking.trigger_threshold = 6;
    speaking.use_during_initial_phase = false;
}

/// At which ratio of echo to voice a band is left open, and at which it is closed: below and above about 1 kHz. And how fast it opens.
const fn tuning(low: [f32; 2], high: [f32; 2], opening: f32) -> Tuning {
    const fn bounds([open, closed]: [f32; 2]) -> MaskingThresholds {
        MaskingThresholds {
            enr_transparent: open,
            enr_suppress: closed,
            emr_transparent: 0.3,
        }
    }
    Tuning {
        mask_lf: bounds(low),
        mask_hf: bounds(high),
        max_inc_factor: opening,
        max_dec_factor_lf: 0.25,
    }
}

/// The gain's. It begins with none: most voices need little, and what begins loud is clipped.
pub(super) const GAIN: AdaptiveDigitalConfig = AdaptiveDigitalConfig {
    headroom_db: 5.0,
    max_gain_db: 30.0,
    initial_gain_db: 0.0,
    max_gain_change_db_per_second: 6.0,
    max_output_noise_level_dbfs: -50.0,
};
