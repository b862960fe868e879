//! Sound as spectra of two steps, real and imaginary parts apart so that loops over bins run on several at once.

use std::f32::consts::{PI, TAU};
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::STEP;

/// Samples of a block.
pub(super) const BLOCK: usize = 2 * STEP;
/// Bins of its spectrum, 50 Hz each.
pub(super) const BINS: usize = STEP + 1;
/// What is less than this is nothing, as a power of a bin: some 40 dB below one bit of 16.
pub(super) const NOTHING: f32 = 1e-12;

/// A figure for each bin.
pub(super) type Bins = [f32; BINS];

/// Of one block.
#[derive(Debug, Clone)]
pub(super) struct Spectrum {
    pub re: Bins,
    pub im: Bins,
}

impl Spectrum {
    pub const ZERO: Self = Self {
        re: [0.0; BINS],
        im: [0.0; BINS],
    };

    /// Adds `a` times `b`.
    pub fn add_product(&mut self, a: &Self, b: &Self) {
        for k in 0..BINS {
            self.re[k] += a.re[k] * b.re[k] - a.im[k] * b.im[k];
            self.im[k] += a.re[k] * b.im[k] + a.im[k] * b.re[k];
        }
    }

    /// Adds the conjugate of `a` times `b`.
    pub fn add_correlation(&mut self, a: &Self, b: &Self) {
        for k in 0..BINS {
            self.re[k] += a.re[k] * b.re[k] + a.im[k] * b.im[k];
            self.im[k] += a.re[k] * b.im[k] - a.im[k] * b.re[k];
        }
    }

    /// Adds `factor` times `a`.
    pub fn add(&mut self, a: &Self, factor: f32) {
        for k in 0..BINS {
            self.re[k] += factor * a.re[k];
            self.im[k] += factor * a.im[k];
        }
    }

    /// Multiplies each bin.
    pub fn weigh(&mut self, weights: &Bins) {
        for k in 0..BINS {
            self.re[k] *= weights[k];
            self.im[k] *= weights[k];
        }
    }

    /// The same sound so many samples later, less than a step; what leaves the block at its end comes in at its beginning.
    pub fn delay(&mut self, samples: f32) {
        for k in 0..BINS {
            let (sin, cos) = (-TAU * k as f32 * samples / BLOCK as f32).sin_cos();
            let (re, im) = (self.re[k], self.im[k]);
            self.re[k] = re * cos - im * sin;
            self.im[k] = re * sin + im * cos;
        }
    }

    pub fn power(&self) -> Bins {
        std::array::from_fn(|k| self.re[k] * self.re[k] + self.im[k] * self.im[k])
    }
}

/// Moves `mean` towards `now` by `share` of the way.
pub(super) fn smooth(mean: &mut Bins, now: &Bins, share: f32) {
    for (mean, now) in mean.iter_mut().zip(now) {
        *mean += share * (now - *mean);
    }
}

/// A Hann window over a block.
pub(super) fn hann() -> [f32; BLOCK] {
    std::array::from_fn(|n| 0.5 - 0.5 * (2.0 * PI * (n as f32 + 0.5) / BLOCK as f32).cos())
}

/// There and back.
pub(super) struct Transform {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    samples: Vec<f32>,
    bins: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transform").finish_non_exhaustive()
    }
}

impl Transform {
    pub fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(BLOCK);
        let inverse = planner.plan_fft_inverse(BLOCK);
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            samples: forward.make_input_vec(),
            bins: forward.make_output_vec(),
            scratch: vec![Complex::default(); scratch],
            forward,
            inverse,
        }
    }

    /// Of a block.
    pub fn forward(&mut self, block: &[f32; BLOCK]) -> Spectrum {
        self.samples.copy_from_slice(block);
        let scratch = &mut self.scratch[..self.forward.get_scratch_len()];
        self.forward
            .process_with_scratch(&mut self.samples, &mut self.bins, scratch)
            .expect("the plan made all lengths");
        let mut spectrum = Spectrum::ZERO;
        for (k, bin) in self.bins.iter().enumerate() {
            spectrum.re[k] = bin.re;
            spectrum.im[k] = bin.im;
        }
        spectrum
    }

    /// Of a step of silence and a step of sound.
    pub fn late(&mut self, step: &[f32; STEP]) -> Spectrum {
        let mut block = [0.0; BLOCK];
        block[STEP..].copy_from_slice(step);
        self.forward(&block)
    }

    /// Back to samples.
    pub fn inverse(&mut self, spectrum: &Spectrum) -> [f32; BLOCK] {
        for (k, bin) in self.bins.iter_mut().enumerate() {
            *bin = Complex::new(spectrum.re[k], spectrum.im[k]);
        }
        // The edges of real sound are real; rounding must not say otherwise.
        self.bins[0].im = 0.0;
        self.bins[BINS - 1].im = 0.0;
        let scratch = &mut self.scratch[..self.inverse.get_scratch_len()];
        self.inverse
            .process_with_scratch(&mut self.bins, &mut self.samples, scratch)
            .expect("the plan made all lengths");
        std::array::from_fn(|n| self.samples[n] / BLOCK as f32)
    }

    /// The second step of that, which is no mixture of beginning and end.
    pub fn second_half(&mut self, spectrum: &Spectrum) -> [f32; STEP] {
        let block = self.inverse(spectrum);
        std::array::from_fn(|n| block[STEP + n])
    }
}
