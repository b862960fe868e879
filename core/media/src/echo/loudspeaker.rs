//! How much of the cube of its sound a loudspeaker adds: a small one at its limit takes peaks off.

use super::spectrum::{BINS, Bins, NOTHING, Spectrum};

/// What may be expected, at the beginning, as a variance.
const DOUBT: f32 = 4.0;
/// How much of it may change in a step.
const CHANGE: f32 = 1e-4;
/// What is found is believed by half: the model of the room learns from the same.
const BELIEF: f32 = 0.5;
/// No loudspeaker adds more.
const MOST: f32 = 4.0;

/// Of one loudspeaker: a Kalman filter of a single figure.
#[derive(Debug)]
pub(super) struct Loudspeaker {
    shape: f32,
    doubt: f32,
}

impl Loudspeaker {
    pub const fn new() -> Self {
        Self {
            shape: 0.0,
            doubt: DOUBT,
        }
    }

    /// By what the cube is multiplied.
    pub const fn shape(&self) -> f32 {
        self.shape
    }

    /// Learns from what was left, `besides` which there is so much, and from how the cube would be heard.
    pub fn learn(&mut self, cubic: &Spectrum, left: &Spectrum, besides: &Bins) {
        let (mut alike, mut power) = (0.0, 0.0);
        for k in 0..BINS {
            let weight = 1.0 / (besides[k] + 1e3 * NOTHING);
            alike += weight * (cubic.re[k] * left.re[k] + cubic.im[k] * left.im[k]);
            power += weight * (cubic.re[k] * cubic.re[k] + cubic.im[k] * cubic.im[k]);
        }
        self.doubt = (self.doubt + CHANGE).min(DOUBT);
        let gain = self.doubt / (1.0 + self.doubt * power);
        self.shape = (self.shape + BELIEF * gain * alike).clamp(-MOST, MOST);
        self.doubt *= 1.0 - gain * power;
    }
}
