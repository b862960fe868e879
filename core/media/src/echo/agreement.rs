//! Whether what the model expects is in the microphone at all, whoever speaks there besides: the share of it that is.

use super::STEP;

/// How fast it is followed: as over 40 ms.
const SHARE: f32 = 0.25;
/// Where what is heard is louder than this many times what is expected, that tells little, and it is followed slower.
const TELLING: f32 = 2.0;
/// What is expected to be softer than this is not looked at: -70 dBFS, as the power of a step.
const SOFT: f32 = 1e-7 * STEP as f32;
/// Between these the model is believed in part.
const BELIEVED: (f32, f32) = (0.4, 0.8);

/// Of the model with the microphone.
#[derive(Debug)]
pub(super) struct Agreement {
    both: f32,
    expected: f32,
    /// How much of what is expected was subtracted at the end of the last step.
    share: f32,
}

impl Agreement {
    pub const fn new() -> Self {
        Self {
            both: 0.0,
            expected: 0.0,
            share: 1.0,
        }
    }

    /// Compares a step of both.
    pub fn compare(&mut self, expected: &[f32; STEP], heard: &[f32; STEP]) {
        let both: f32 = expected.iter().zip(heard).map(|(a, b)| a * b).sum();
        let power: f32 = expected.iter().map(|x| x * x).sum();
        let whole: f32 = heard.iter().map(|x| x * x).sum();
        if power > SOFT {
            let share = SHARE * (TELLING * power / (whole + SOFT)).min(1.0);
            self.both += share * (both - self.both);
            self.expected += share * (power - self.expected);
        }
    }

    /// From 0, all of it is elsewhere, to 1.
    pub fn agreement(&self) -> f32 {
        if self.expected <= 0.0 {
            return 1.0;
        }
        (self.both / self.expected).clamp(0.0, 1.0)
    }

    /// How much of the expected to believe.
    pub fn belief(&self) -> f32 {
        let (none, all) = BELIEVED;
        ((self.agreement() - none) / (all - none)).clamp(0.0, 1.0)
    }

    /// What was heard without what was expected, as far as that is believed.
    pub fn subtract(&mut self, heard: &[f32; STEP], expected: &[f32; STEP]) -> [f32; STEP] {
        let (before, now) = (self.share, self.belief());
        self.share = now;
        std::array::from_fn(|n| {
            let share = before + (now - before) * n as f32 / STEP as f32;
            heard[n] - share * expected[n]
        })
    }
}
