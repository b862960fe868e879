//! The model of the way from the speaker to the microphone: its response in partitions of a step each, by bin, and how much each of
//! these figures may be wrong. A Kalman filter with a covariance that is taken for diagonal: G. Enzner, P. Vary, "Frequency-domain adaptive
//! Kalman filter for acoustic echo control in hands-free telephones", Signal Processing 86(6), 2006; in partitions: F. Kuech, E. Mabande,
//! G. Enzner, "State-space architecture of the partitioned-block-based acoustic echo controller", ICASSP 2014.

use super::STEP;
use super::far::{Far, History};
use super::spectrum::{BINS, BLOCK, Bins, NOTHING, Spectrum, Transform, smooth};

/// How long the response is: 320 ms.
pub(super) const PARTITIONS: usize = 32;
/// By how much a partition is expected to be softer than the one before, dB.
const DECAY_DB: f32 = 1.2;
/// Of the power that the microphone has of the far end's: the first partition's at the beginning.
const FIRST: f32 = 0.3;
/// How much of the response is thought to change in a step, as a power.
const CHANGE: f32 = 0.000_5;
/// By how much less certain a response is after it was moved.
const MOVED: f32 = 0.001;
/// How fast the power of what is no echo is followed.
const BESIDES: f32 = 0.3;
/// A partition's end is cut off every so many steps.
const CUT_EVERY: usize = 8;
/// Half of a block is silence: so much of a prediction's power is in what is left.
const HALF: f32 = 0.5;

/// The response.
#[derive(Debug)]
pub(super) struct Filter {
    response: Vec<Spectrum>,
    doubt: Vec<Bins>,
    /// Power of what is in the microphone besides.
    besides: Bins,
    turn: usize,
}

impl Filter {
    pub fn new() -> Self {
        Self {
            response: vec![Spectrum::ZERO; PARTITIONS],
            doubt: vec![[0.0; BINS]; PARTITIONS],
            besides: [0.0; BINS],
            turn: 0,
        }
    }

    /// Nothing is known but how much of the far end's power the microphone has.
    pub fn begin(&mut self, gain: f32) {
        for (p, (response, doubt)) in self.response.iter_mut().zip(&mut self.doubt).enumerate() {
            *response = Spectrum::ZERO;
            doubt.fill(gain * FIRST * 10_f32.powf(-0.1 * DECAY_DB * p as f32));
        }
    }

    pub fn response(&self) -> &[Spectrum] {
        &self.response
    }

    pub const fn besides(&self) -> &Bins {
        &self.besides
    }

    /// What the microphone should hear of the blocks up to `last`, given what to take of each.
    pub fn predict(&self, far: &History, last: i64, part: fn(&Far) -> &Spectrum) -> Spectrum {
        let mut sum = Spectrum::ZERO;
        for (response, back) in self.response.iter().zip(0..) {
            if let Some(block) = far.get(last - back) {
                sum.add_product(response, part(block));
            }
        }
        sum
    }

    /// How much of that may be wrong, as a power.
    pub fn uncertainty(&self, far: &History, last: i64) -> Bins {
        let mut sum = [0.0; BINS];
        for (doubt, back) in self.doubt.iter().zip(0..) {
            if let Some(block) = far.get(last - back) {
                for k in 0..BINS {
                    sum[k] += HALF * doubt[k] * block.power[k];
                }
            }
        }
        sum
    }

    /// Learns from what was left, which may be wrong by `uncertainty`.
    pub fn learn(
        &mut self,
        far: &History,
        last: i64,
        left: &Spectrum,
        uncertainty: &Bins,
        transform: &mut Transform,
    ) {
        smooth(&mut self.besides, &left.power(), BESIDES);
        let scale: Bins =
            std::array::from_fn(|k| 1.0 / (uncertainty[k] + self.besides[k] + NOTHING));
        self.turn += 1;
        for (p, (response, doubt)) in self.response.iter_mut().zip(&mut self.doubt).enumerate() {
            let Some(block) = far.get(last - p as i64) else {
                continue;
            };
            step(response, doubt, block, left, &scale);
            if (self.turn + p).is_multiple_of(CUT_EVERY) {
                *response = cut(response, transform);
            }
        }
    }

    /// The echo comes so many samples later from now on: less than one.
    pub fn slide(&mut self, samples: f32) {
        for (response, doubt) in self.response.iter_mut().zip(&mut self.doubt) {
            let before = response.clone();
            response.delay(samples);
            let mut moved = response.clone();
            moved.add(&before, -1.0);
            for (doubt, moved) in doubt.iter_mut().zip(moved.power()) {
                *doubt += moved;
            }
        }
    }

    /// The echo comes so many samples later from now on: less than a step. What comes later than the model is long is lost.
    pub fn shift(&mut self, samples: usize, transform: &mut Transform) {
        let mut carried = [0.0; BLOCK];
        for (response, doubt) in self.response.iter_mut().zip(&mut self.doubt) {
            let taps = transform.inverse(response);
            let mut moved = [0.0; BLOCK];
            moved[..samples].copy_from_slice(&carried[STEP - samples..STEP]);
            moved[samples..STEP].copy_from_slice(&taps[..STEP - samples]);
            carried = taps;
            *response = transform.forward(&moved);
            for (doubt, power) in doubt.iter_mut().zip(response.power()) {
                *doubt += MOVED * power;
            }
        }
    }

    /// The echo comes a partition sooner, or later.
    pub fn shift_partition(&mut self, later: bool) {
        let (edge, gone) = if later {
            self.response.rotate_right(1);
            self.doubt.rotate_right(1);
            (0, 1)
        } else {
            self.response.rotate_left(1);
            self.doubt.rotate_left(1);
            (PARTITIONS - 1, PARTITIONS - 2)
        };
        self.response[edge] = Spectrum::ZERO;
        self.doubt[edge] = self.doubt[gone];
    }

    /// The loudest partition.
    pub fn loudest(&self) -> usize {
        let powers = self.response.iter().map(|part| part.power().iter().sum());
        let loudest = powers
            .enumerate()
            .max_by(|a: &(usize, f32), b| a.1.total_cmp(&b.1));
        loudest.map_or(0, |(partition, _)| partition)
    }
}

/// Moves one partition by what was left, each bin by how doubtful it is.
fn step(response: &mut Spectrum, doubt: &mut Bins, block: &Far, left: &Spectrum, scale: &Bins) {
    let played = &block.played;
    for k in 0..BINS {
        let (re, im) = (response.re[k], response.im[k]);
        let gain = doubt[k] * scale[k];
        response.re[k] += gain * (played.re[k] * left.re[k] + played.im[k] * left.im[k]);
        response.im[k] += gain * (played.re[k] * left.im[k] - played.im[k] * left.re[k]);
        let known = HALF * gain * block.power[k];
        doubt[k] = doubt[k] * (1.0 - known) * (1.0 - CHANGE) + CHANGE * (re * re + im * im);
    }
}

/// Without what a partition cannot hold.
fn cut(response: &Spectrum, transform: &mut Transform) -> Spectrum {
    let mut taps = transform.inverse(response);
    taps[STEP..].fill(0.0);
    transform.forward(&taps)
}
