//! By how much the speaker's clock is faster than the microphone's: what is heard slides against what is expected, and the slope of the phase over the bins
//! says by how many samples. A loop of second order follows: the model is moved after it, and the pace at which the far end is read.

use std::f32::consts::TAU;

use super::STEP;
use super::spectrum::{BINS, BLOCK, Bins, NOTHING, Spectrum, smooth};

/// How fast the correlation of both is followed.
const SHARE: f32 = 0.2;
/// So much of what is found is corrected in a step: at first, and later.
const PACE: [f32; 2] = [0.2, 0.02];
/// Steps in which most of the way from the first to the last is gone.
const SETTLES: f32 = 200.0;
/// How much goes into the clock, of the square of that.
const INTO_CLOCK: f32 = 0.5;
/// No two clocks are farther apart.
const MOST: f64 = 5e-4;
/// Below this steepness there is too little to see.
const DIM: f32 = 1e4;
/// The model is moved when so much has come together, in samples.
const NOTABLE: f32 = 0.02;

/// Of one speaker and one microphone.
#[derive(Debug)]
pub(super) struct Clock {
    cross: Spectrum,
    expected: Bins,
    heard: Bins,
    faster: f64,
    /// Not yet given to the model, samples.
    pending: f32,
    steps: f32,
}

impl Clock {
    pub const fn new() -> Self {
        Self {
            cross: Spectrum::ZERO,
            expected: [0.0; BINS],
            heard: [0.0; BINS],
            faster: 0.0,
            pending: 0.0,
            steps: 0.0,
        }
    }

    /// How many samples of the speaker one of the microphone lasts.
    pub fn pace(&self) -> f64 {
        1.0 + self.faster
    }

    /// The echo has moved: what was seen counts no longer.
    pub fn forget(&mut self) {
        self.cross = Spectrum::ZERO;
        self.pending = 0.0;
    }

    /// By how many samples the model has to be moved, if it has.
    pub fn follow(&mut self, expected: &Spectrum, heard: &Spectrum) -> Option<f32> {
        let mut cross = Spectrum::ZERO;
        cross.add_correlation(expected, heard);
        smooth(&mut self.cross.re, &cross.re, SHARE);
        smooth(&mut self.cross.im, &cross.im, SHARE);
        smooth(&mut self.expected, &expected.power(), SHARE);
        smooth(&mut self.heard, &heard.power(), SHARE);
        let late = self.late()?;
        self.steps += 1.0;
        let [first, last] = PACE;
        let share = last + (first - last) * (-self.steps / SETTLES).exp();
        let hasten = -INTO_CLOCK * share * share * late / STEP as f32;
        self.faster = (self.faster + f64::from(hasten)).clamp(-MOST, MOST);
        self.pending += share * late;
        if self.pending.abs() < NOTABLE {
            return None;
        }
        let slide = std::mem::take(&mut self.pending);
        self.cross.delay(-slide);
        Some(slide)
    }

    /// By how many samples what is heard is later than what is expected, if that can be seen.
    fn late(&self) -> Option<f32> {
        let power = self.cross.power();
        let (mut slope, mut steepness) = (0.0, 0.0);
        for k in 2..BINS {
            let alike = (power[k] / (self.expected[k] * self.heard[k] + 1e3 * NOTHING)).min(1.0);
            let weight = k as f32 * alike * alike / (1.1 - alike);
            slope -= weight * self.cross.im[k] / (power[k] + NOTHING).sqrt();
            steepness += weight * k as f32;
        }
        let late = slope / steepness * BLOCK as f32 / TAU;
        (steepness > DIM).then_some(late.clamp(-1.0, 1.0))
    }
}
