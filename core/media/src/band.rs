//! Whether there is anything to hear above 8 kHz: many headsets and telephones have no more (wideband), and bits that are spent on
//! what is not there are missing below. Looked for by Goertzel's algorithm at some frequencies between 9 and 16 kHz, in frames in which
//! something is to be heard.

use std::f32::consts::TAU;

use crate::{FRAME_SAMPLES, SAMPLE_RATE};

/// Hz.
const LOOKED_AT: [f32; 8] = [
    9_000.0, 10_000.0, 11_000.0, 12_000.0, 13_000.0, 14_000.0, 15_000.0, 16_000.0,
];
/// Mean square of a frame that is worth looking at: -55 dB of full scale.
const AUDIBLE: f32 = 3e-6;
/// So many of these make a verdict: half a second.
const VERDICT: u32 = 25;
/// So many verdicts in a row say that nothing is there. One says that there is.
const SURE: u32 = 4;
/// What is there, as a share of all power: -60 dB.
const SHARE: f64 = 1e-6;
/// Of 50 Hz wide bins under a Hann window (1.5 of them each) to the whole range.
const RANGE: f64 = 8_000.0 / 75.0;

/// One microphone.
#[derive(Debug, Default)]
pub struct Band {
    /// Power of the frames looked at.
    high: f64,
    all: f64,
    frames: u32,
    /// Verdicts in a row that nothing is there.
    nothing: u32,
}

impl Band {
    /// The next frame; whether there is something above 8 kHz, as far as is known.
    pub fn is_wide(&mut self, frame: &[f32; FRAME_SAMPLES]) -> bool {
        let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_SAMPLES as f32;
        if power >= AUDIBLE {
            self.look(frame, power);
        }
        self.nothing < SURE
    }

    fn look(&mut self, frame: &[f32; FRAME_SAMPLES], power: f32) {
        let windowed = windowed(frame);
        let bins = LOOKED_AT.map(|hertz| f64::from(goertzel(&windowed, hertz)));
        self.high += bins.iter().sum::<f64>() / bins.len() as f64 * RANGE;
        self.all += f64::from(power);
        self.frames += 1;
        if self.frames < VERDICT {
            return;
        }
        let is_nothing = self.high < self.all * SHARE;
        self.nothing = if is_nothing {
            self.nothing.saturating_add(1)
        } else {
            0
        };
        (self.high, self.all, self.frames) = (0.0, 0.0, 0);
    }
}

fn windowed(frame: &[f32; FRAME_SAMPLES]) -> [f32; FRAME_SAMPLES] {
    std::array::from_fn(|at| {
        let phase = TAU * (at as f32 + 0.5) / FRAME_SAMPLES as f32;
        frame[at] * (1.0 - phase.cos())
    })
}

/// The mean square of what is at one frequency.
fn goertzel(windowed: &[f32; FRAME_SAMPLES], hertz: f32) -> f32 {
    let turn = 2.0 * (TAU * hertz / SAMPLE_RATE as f32).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in windowed {
        (one, two) = (sample + turn * one - two, one);
    }
    let length = FRAME_SAMPLES as f32;
    (one * one + two * two - turn * one * two) * 2.0 / (length * length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A voice of harmonics up to so many Hz, with the noise of a microphone.
    fn verdicts(band: &mut Band, up_to: f32, noise: f32, frames: usize) -> Vec<bool> {
        let mut random = 1_u32;
        (0..frames)
            .map(|number| {
                let frame = std::array::from_fn(|at| {
                    let time = (number * FRAME_SAMPLES + at) as f64 / f64::from(SAMPLE_RATE);
                    let harmonics = (1..).map(|times| times as f32 * 181.0);
                    let voice: f32 = harmonics
                        .take_while(|hertz| *hertz <= up_to)
                        .map(|hertz| {
                            let phase = (time * f64::from(hertz)).fract() as f32 * TAU;
                            phase.sin() * 20.0 / hertz
                        })
                        .sum();
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    voice + ((random >> 8) as f32 / 8_388_608.0 - 1.0) * noise
                });
                band.is_wide(&frame)
            })
            .collect()
    }

    #[test]
    fn a_voice_that_ends_at_8_khz_is_known_after_two_seconds_and_one_that_does_not_is_let_be() {
        let mut band = Band::default();
        let told = verdicts(&mut band, 7_900.0, 1e-6, 200);
        assert_eq!(told.iter().position(|wide| !wide), Some(99));
        assert!(!told[199]);
        let told = verdicts(&mut band, 15_000.0, 1e-6, 50);
        assert_eq!(
            told.iter().position(|wide| *wide),
            Some(24),
            "another microphone"
        );
        assert!(told[49]);
        let mut band = Band::default();
        let noisy = verdicts(&mut band, 7_900.0, 0.001, 300);
        assert!(!noisy.contains(&false), "a room is there to be heard");
    }

    #[test]
    fn silence_says_nothing() {
        let mut band = Band::default();
        for _ in 0..500 {
            assert!(band.is_wide(&[0.0; FRAME_SAMPLES]));
        }
    }

    #[test]
    fn a_tone_is_measured_as_it_is() {
        let tone = std::array::from_fn(|at| (at as f32 * TAU * 12_000.0 / 48_000.0).sin());
        let found = goertzel(&windowed(&tone), 12_000.0);
        assert!((found - 0.5).abs() < 0.01, "{found}");
        assert!(goertzel(&windowed(&tone), 9_000.0) < 1e-9);
    }
}
