//! How much echo is in what the model left: what the model is not certain of, what was seen to follow the echo's loudness so far, and,
//! where the model does not agree with the microphone, all that it expects.

use super::spectrum::{BINS, Bins, NOTHING};

/// How fast both are followed: as over half a second.
const SHARE: f32 = 0.02;
/// How much of a bin's echo is still there a step later.
const TAIL: f32 = 0.8;
/// Neighbours on each side that a bin learns with.
const NEIGHBOURS: usize = 4;
/// An echo of less power is not learnt from, in a bin on average.
const SOFT: f32 = 1e-6;
/// Nobody speaks here where less than this share of what is expected is left; from a voice nothing can be learnt.
const ALONE: f32 = 0.3;
/// No model is so good that less than this share of the echo is left.
const LEAST: f32 = 1e-4;
/// An uncertainty is of half a block without a window.
const WINDOWED: f32 = 0.75;

/// Learns it.
#[derive(Debug)]
pub(super) struct Residue {
    echo: Bins,
    mean_left: Bins,
    mean_echo: Bins,
    together: Bins,
    spread: Bins,
}

impl Residue {
    pub const fn new() -> Self {
        Self {
            echo: [0.0; BINS],
            mean_left: [0.0; BINS],
            mean_echo: [0.0; BINS],
            together: [0.0; BINS],
            spread: [0.0; BINS],
        }
    }

    /// The power of echo in what was `left`.
    pub fn estimate(
        &mut self,
        left: &Bins,
        expected: &Bins,
        uncertainty: &Bins,
        belief: f32,
    ) -> Bins {
        for (echo, expected) in self.echo.iter_mut().zip(expected) {
            *echo = expected.max(TAIL * *echo);
        }
        let power: f32 = expected.iter().sum();
        let alone = left.iter().sum::<f32>() < ALONE * power;
        if power > SOFT * BINS as f32 && (alone || belief < 1.0) {
            self.learn(left);
        }
        std::array::from_fn(|k| {
            let leaks = self.leaks(k).max(1.0 - belief) * self.echo[k];
            leaks.max(WINDOWED * uncertainty[k])
        })
    }

    fn learn(&mut self, left: &Bins) {
        for k in 0..BINS {
            let one = left[k] - self.mean_left[k];
            let other = self.echo[k] - self.mean_echo[k];
            self.mean_left[k] += SHARE * one;
            self.mean_echo[k] += SHARE * other;
            self.together[k] += SHARE * (one * other - self.together[k]);
            self.spread[k] += SHARE * (other * other - self.spread[k]);
        }
    }

    /// Which share of the echo's power is left.
    fn leaks(&self, k: usize) -> f32 {
        let around = k.saturating_sub(NEIGHBOURS)..(k + NEIGHBOURS + 1).min(BINS);
        let together: f32 = self.together[around.clone()].iter().sum();
        let spread: f32 = self.spread[around].iter().sum();
        (together / (spread + NOTHING * NOTHING)).clamp(LEAST, 1.0)
    }
}
