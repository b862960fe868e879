//! The suppressor of steady noise: WebRTC's, a Wiener filter on 256 points of the lowest band.

use sonora_ns::config::{NsConfig, SuppressionLevel};
use sonora_ns::noise_suppressor::NoiseSuppressor;

use super::bands::{BANDS, Bands};
use super::settings::Noise;

/// For one microphone.
#[derive(Debug)]
pub(super) struct Suppressor(NoiseSuppressor);

impl Suppressor {
    pub(super) fn new(noise: Noise) -> Option<Self> {
        let target_level = match noise {
            Noise::Off => return None,
            Noise::Low => SuppressionLevel::K6dB,
            Noise::Medium => SuppressionLevel::K12dB,
            Noise::High => SuppressionLevel::K18dB,
        };
        let config = NsConfig { target_level };
        Some(Self(NoiseSuppressor::new_with_bands(config, BANDS)))
    }

    /// Learns what the noise is like.
    pub(super) fn listen(&mut self, bands: &Bands) {
        self.0.analyze(&bands[0]);
    }

    /// Takes it away.
    pub(super) fn suppress(&mut self, bands: &mut Bands) {
        let [lowest, upper @ ..] = bands;
        self.0.process(lowest);
        let gain = self.0.upper_band_gain();
        for (index, band) in upper.iter_mut().enumerate() {
            self.0.process_upper_band(band, index, gain);
            NoiseSuppressor::clamp_frame(band);
        }
    }
}
