//! The noise of the room, in place of what the suppressor takes.

use std::f32::consts::TAU;

use super::STEP;
use super::spectrum::{BINS, BLOCK, Bins, NOTHING, Spectrum, Transform};

/// By how much a floor rises in a step where all is louder: 3 dB a second.
const RISES: f32 = 1.007;
/// How fast a bin's power is followed: as over 100 ms.
const SHARE: f32 = 0.1;
/// The least of that is below its mean: by so much.
const BELOW: f32 = 1.6;
/// Where more than this of what is left is echo, it says nothing of the room.
const ECHO: f32 = 0.5;
/// Louder than this no room is taken to be, in a bin: some -50 dBFS over all.
const LOUDEST: f32 = 4e-3;
/// Of the power of a window over a block, to the block's.
const WINDOWED: f32 = 0.375;

/// Hears and makes it.
#[derive(Debug)]
pub(super) struct Comfort {
    power: Bins,
    floor: Bins,
    chance: u32,
    window: [f32; BLOCK],
    tail: [f32; STEP],
}

impl Comfort {
    pub fn new() -> Self {
        Self {
            power: [0.0; BINS],
            floor: [0.0; BINS],
            chance: 1,
            window: std::array::from_fn(|n| (TAU * (n as f32 + 0.5) / (2 * BLOCK) as f32).sin()),
            tail: [0.0; STEP],
        }
    }

    /// Learns from what was left of the microphone, of which so much is echo.
    pub fn listen(&mut self, left: &Bins, residue: &Bins) {
        for k in 0..BINS {
            if residue[k] > ECHO * left[k] {
                continue;
            }
            self.power[k] += SHARE * (left[k] - self.power[k]);
            let floor = self.floor[k] * RISES;
            // Nothing was heard yet where it is 0.
            self.floor[k] = if floor > 0.0 {
                self.power[k].min(floor)
            } else {
                self.power[k].min(LOUDEST)
            };
        }
    }

    /// As much as the gains have taken.
    pub fn add(&mut self, step: &mut [f32; STEP], gains: &Bins, transform: &mut Transform) {
        let mut noise = Spectrum::ZERO;
        let mut any = 0.0;
        for k in 1..BINS - 1 {
            let taken = (1.0 - gains[k] * gains[k]).max(0.0);
            let power = BELOW * self.floor[k] * taken / WINDOWED;
            let (sin, cos) = self.angle().sin_cos();
            any += power;
            noise.re[k] = power.sqrt() * cos;
            noise.im[k] = power.sqrt() * sin;
        }
        if any < NOTHING && self.tail.iter().all(|x| *x == 0.0) {
            return;
        }
        let block = transform.inverse(&noise);
        for n in 0..STEP {
            step[n] += self.tail[n] + block[n] * self.window[n];
            self.tail[n] = block[STEP + n] * self.window[STEP + n];
        }
    }

    fn angle(&mut self) -> f32 {
        self.chance = self
            .chance
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.chance >> 8) as f32 / 16_777_216.0 * TAU
    }
}
