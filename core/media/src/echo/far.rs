//! What the speaker is given, as spectra in the microphone's time.

use std::collections::VecDeque;
use std::f64::consts::PI;

use super::STEP;
use super::spectrum::{BLOCK, Bins, Spectrum, Transform};

/// Samples on each side of a place between two that its value is made of.
const TAPS: usize = 12;
/// Blocks that are kept: 1.6 s.
const KEPT: usize = 160;

/// A block of far-end sound.
#[derive(Debug)]
pub(super) struct Far {
    pub linear: Spectrum,
    pub cubic: Spectrum,
    /// Both together, as the loudspeaker is thought to play them.
    pub played: Spectrum,
    /// Of that.
    pub power: Bins,
}

/// The last ones.
#[derive(Debug)]
pub(super) struct History {
    linear: Line,
    cubic: Line,
    /// Where in what waits the next block begins, in samples.
    place: f64,
    blocks: VecDeque<Far>,
    made: i64,
}

/// A signal on its way to blocks.
#[derive(Debug)]
struct Line {
    waiting: Vec<f32>,
    block: [f32; BLOCK],
}

impl History {
    pub fn new() -> Self {
        Self {
            linear: Line::new(),
            cubic: Line::new(),
            place: TAPS as f64,
            blocks: VecDeque::with_capacity(KEPT),
            made: 0,
        }
    }

    /// How many blocks there were.
    pub const fn made(&self) -> i64 {
        self.made
    }

    /// A block by its number.
    pub fn get(&self, number: i64) -> Option<&Far> {
        let back = usize::try_from(self.made - 1 - number).ok()?;
        self.blocks.get(back)
    }

    /// Takes a step of what is played and of its cube. `pace` is how many samples of it one sample of the microphone lasts, `shape` how
    /// much of the cube the loudspeaker adds.
    pub fn push(
        &mut self,
        [linear, cubic]: [&[f32; STEP]; 2],
        pace: f64,
        shape: f32,
        transform: &mut Transform,
    ) {
        self.linear.waiting.extend_from_slice(linear);
        self.cubic.waiting.extend_from_slice(cubic);
        let length = pace * STEP as f64;
        while self.place + length + (TAPS as f64) < self.linear.waiting.len() as f64 {
            let linear = self.linear.take(self.place, pace, transform);
            let cubic = self.cubic.take(self.place, pace, transform);
            self.keep(linear, cubic, shape);
            self.place += length;
            let done = self.place as usize - TAPS;
            self.linear.waiting.drain(..done);
            self.cubic.waiting.drain(..done);
            self.place -= done as f64;
        }
    }

    /// So many blocks never came: the speaker had nothing to say.
    pub fn miss(&mut self, blocks: i64) {
        for _ in 0..blocks {
            self.keep(Spectrum::ZERO, Spectrum::ZERO, 0.0);
        }
    }

    fn keep(&mut self, linear: Spectrum, cubic: Spectrum, shape: f32) {
        let mut played = linear.clone();
        played.add(&cubic, shape);
        let power = played.power();
        self.blocks.truncate(KEPT - 1);
        self.blocks.push_front(Far {
            linear,
            cubic,
            played,
            power,
        });
        self.made += 1;
    }
}

impl Line {
    fn new() -> Self {
        Self {
            waiting: vec![0.0; TAPS],
            block: [0.0; BLOCK],
        }
    }

    /// The last block's second step, and a new one.
    fn take(&mut self, place: f64, pace: f64, transform: &mut Transform) -> Spectrum {
        self.block.copy_within(STEP.., 0);
        let whole = place as usize;
        let first = around(place - whole as f64);
        // The places wander by hundredths of a sample: in between it is a straight line.
        let last = around(place - whole as f64 + (pace - 1.0) * STEP as f64);
        for n in 0..STEP {
            let near = &self.waiting[whole + n + 1 - TAPS..][..2 * TAPS];
            let (mut one, mut other) = (0.0, 0.0);
            for ((x, first), last) in near.iter().zip(&first).zip(&last) {
                one += x * first;
                other += x * last;
            }
            self.block[STEP + n] = one + (other - one) * n as f32 / STEP as f32;
        }
        transform.forward(&self.block)
    }
}

/// What each of the samples around a place adds to its value: a sinc under a Hann window.
fn around(fraction: f64) -> [f32; 2 * TAPS] {
    std::array::from_fn(|tap| {
        let x = fraction + TAPS as f64 - 1.0 - tap as f64;
        if x.abs() < 1e-9 {
            return 1.0;
        }
        let window = 0.5 + 0.5 * (PI * x / (TAPS as f64 + 0.5)).cos();
        ((PI * x).sin() / (PI * x) * window) as f32
    })
}
