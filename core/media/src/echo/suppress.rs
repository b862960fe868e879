//! Takes down what is left of an echo: a gain for each bin by Wiener's rule, as a filter of a few taps that is heard from the middle of
//! each step on. Where the gain is one everywhere, what comes out is what came in, a little later. In place of what is taken
//! comes noise as loud as the room's, so that the line does not go dead.

use std::f32::consts::PI;

use super::comfort::Comfort;
use super::residue::Residue;
use super::spectrum::{BINS, BLOCK, Bins, NOTHING, Spectrum, Transform, hann};
use super::{BANDS, STEP, Strength};

/// Taps before and after the middle of the filter; it makes the sound so much later: 2 ms.
const LATE: usize = 32;
const TAPS: usize = 2 * LATE + 1;
/// How much of the gain before is kept, as of a voice that goes on.
const GOES_ON: f32 = 0.6;
/// The upper bands follow the bins from here on: 4 kHz.
const UPPER: usize = 80;
/// Samples in which one filter gives way to the next.
const FADE: usize = STEP / 2;

/// How hard it works.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// By how much more echo is assumed than was found.
    over: f32,
    /// No gain is smaller.
    least: f32,
}

/// Of one microphone.
#[derive(Debug)]
pub(super) struct Suppressor {
    rule: Rule,
    window: [f32; BLOCK],
    left: [f32; BLOCK],
    expected: [f32; BLOCK],
    residue: Residue,
    comfort: Comfort,
    gains: Bins,
    filter: Fading,
}

impl Suppressor {
    pub fn new(strength: Strength) -> Self {
        let (over, least) = match strength {
            Strength::On => (3.0, 0.01),
            Strength::Strong => (12.0, 0.003),
        };
        Self {
            rule: Rule { over, least },
            window: hann(),
            left: [0.0; BLOCK],
            expected: [0.0; BLOCK],
            residue: Residue::new(),
            comfort: Comfort::new(),
            gains: [1.0; BINS],
            filter: Fading::new(),
        }
    }

    /// Finds the gains for a step that is `left` of what was taken, after what was `expected`.
    pub fn judge(
        &mut self,
        [left, expected]: [&[f32; STEP]; 2],
        uncertainty: &Bins,
        belief: f32,
        transform: &mut Transform,
    ) {
        let left = seen(&mut self.left, left, &self.window, transform);
        let expected = seen(&mut self.expected, expected, &self.window, transform);
        let residue = self.residue.estimate(&left, &expected, uncertainty, belief);
        for k in 0..BINS {
            self.gains[k] = self.rule.gain(self.gains[k], left[k], residue[k]);
        }
        self.comfort.listen(&left, &residue);
        self.filter.follow(&self.gains, transform);
    }

    /// What comes out, in place.
    pub fn apply(&mut self, bands: &mut [[f32; STEP]; BANDS], transform: &mut Transform) {
        self.filter.apply(bands);
        let [lowest, ..] = bands;
        self.comfort.add(lowest, &self.gains, transform);
    }
}

impl Rule {
    fn gain(self, before: f32, left: f32, residue: f32) -> f32 {
        if residue < NOTHING {
            // PROC-08.
            return 1.0;
        }
        let louder = left / (self.over * residue);
        let voice = GOES_ON * before * before * louder + (1.0 - GOES_ON) * (louder - 1.0).max(0.0);
        (voice / (1.0 + voice)).max(self.least)
    }
}

/// A step behind the one before, as powers.
fn seen(
    block: &mut [f32; BLOCK],
    step: &[f32; STEP],
    window: &[f32; BLOCK],
    transform: &mut Transform,
) -> Bins {
    block.copy_within(STEP.., 0);
    block[STEP..].copy_from_slice(step);
    let windowed = std::array::from_fn(|n| block[n] * window[n]);
    transform.forward(&windowed).power()
}

/// Filters, one giving way to the next.
#[derive(Debug)]
struct Fading {
    now: [f32; TAPS],
    next: [f32; TAPS],
    /// Gains of the upper bands.
    upper: [f32; 2],
    past: [[f32; 2 * LATE + STEP]; BANDS],
}

impl Fading {
    fn new() -> Self {
        let mut now = [0.0; TAPS];
        now[LATE] = 1.0;
        Self {
            now,
            next: now,
            upper: [1.0; 2],
            past: [[0.0; 2 * LATE + STEP]; BANDS],
        }
    }

    fn follow(&mut self, gains: &Bins, transform: &mut Transform) {
        let spectrum = Spectrum {
            re: *gains,
            im: [0.0; BINS],
        };
        let response = transform.inverse(&spectrum);
        for n in 0..=LATE {
            let window = 0.5 + 0.5 * (PI * n as f32 / (LATE as f32 + 1.0)).cos();
            self.next[LATE + n] = response[n] * window;
            self.next[LATE - n] = response[n] * window;
        }
        self.upper[1] = gains[UPPER..].iter().sum::<f32>() / (BINS - UPPER) as f32;
    }

    fn apply(&mut self, bands: &mut [[f32; STEP]; BANDS]) {
        for (past, band) in self.past.iter_mut().zip(&*bands) {
            past.copy_within(STEP.., 0);
            past[2 * LATE..].copy_from_slice(band);
        }
        let [lowest, upper @ ..] = bands;
        let [now, next] = self.upper;
        for n in 0..STEP {
            let faded = (n as f32 / FADE as f32).min(1.0);
            let (mut old, mut new) = (0.0, 0.0);
            for ((x, a), b) in self.past[0][n..].iter().zip(&self.now).zip(&self.next) {
                old += x * a;
                new += x * b;
            }
            lowest[n] = old + (new - old) * faded;
            let gain = now + (next - now) * faded;
            for (band, past) in upper.iter_mut().zip(&self.past[1..]) {
                band[n] = gain * past[n + LATE];
            }
        }
        self.now = self.next;
        self.upper[0] = next;
    }
}
