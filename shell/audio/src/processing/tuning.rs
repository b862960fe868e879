//! Where we differ from WebRTC's own tuning of its gain control, and why; the figures are in `docs/benchmarks.md`.

use sonora_agc2::speech_level_estimator::AdaptiveDigitalConfig;

/// It begins with none: most voices need little, and what begins loud is clipped.
pub(super) const GAIN: AdaptiveDigitalConfig = AdaptiveDigitalConfig {
    headroom_db: 5.0,
    max_gain_db: 30.0,
    initial_gain_db: 0.0,
    max_gain_change_db_per_second: 6.0,
    max_output_noise_level_dbfs: -50.0,
};
