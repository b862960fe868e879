//! A hiss that nobody hears, in the place of exact silence: a microphone that is switched off, or a call in which nobody speaks.
//! Filters and averages that are given nothing but zeroes fade towards numbers so small (subnormal) that a processor takes a
//! hundred times as long for them.

use starling_media::FRAME_SAMPLES;

/// One step of 24 bits, 144 dB below the loudest sample. What is less is silence.
const FLOOR: f32 = 1.0 / 16_777_216.0;

/// One stream's.
#[derive(Debug)]
pub struct Hiss {
    state: u32,
}

impl Hiss {
    /// Two with the same seed hiss the same.
    pub const fn new(seed: u32) -> Self {
        Self { state: seed }
    }

    /// `AUDIO-12`: hisses where the frame is silent; sound stays as it is.
    pub fn lift(&mut self, frame: &mut [f32; FRAME_SAMPLES]) {
        for sample in frame {
            if sample.abs() < FLOOR {
                *sample = self.next();
            }
        }
    }

    /// Noise of half a step, up or down: the generator of Numerical Recipes.
    fn next(&mut self) -> f32 {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.state as i32 >> 8) as f32 * (FLOOR * FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::processing::{Processing, Settings};

    fn noise(hiss: &mut Hiss, loud: f32) -> [f32; FRAME_SAMPLES] {
        std::array::from_fn(|_| hiss.next() / FLOOR * loud)
    }

    #[test]
    fn silence_hisses_below_a_step_of_24_bits_and_sound_stays_as_it_is() {
        let mut frame = [0.0; FRAME_SAMPLES];
        frame[7] = 0.25;
        frame[8] = -FLOOR;
        Hiss::new(1).lift(&mut frame);
        assert_eq!([frame[7], frame[8]], [0.25, -FLOOR]);
        let others = [&frame[..7], &frame[9..]].concat();
        assert!(others.iter().all(|sample| sample.abs() < FLOOR));
        let mean = others.iter().sum::<f32>() / others.len() as f32;
        assert!(mean.abs() < FLOOR / 10.0, "{mean}");
        let loudest = others.iter().fold(0.0_f32, |all, one| all.max(one.abs()));
        assert!(loudest > FLOOR / 2.1, "{loudest}");
    }

    #[test]
    fn audio_12_silence_takes_no_longer_to_process_than_sound() {
        let mut processing = Processing::new(Settings::default());
        let (mut far, mut near) = (Hiss::new(1), Hiss::new(9));
        // The best of ten half seconds, since others use this machine, too; after five seconds, in which all that fades has faded.
        let mut time = |loud: f32| {
            let halves = (0..20).map(|_| {
                let began = Instant::now();
                for _ in 0..25 {
                    let (mut heard, mut said) = (noise(&mut far, loud), noise(&mut near, loud));
                    far.lift(&mut heard);
                    near.lift(&mut said);
                    processing.far_end(&heard);
                    processing.near_end(&mut said);
                }
                began.elapsed()
            });
            halves.skip(10).min().unwrap_or(Duration::MAX)
        };
        let (sound, silence) = (time(0.1), time(0.0));
        println!("sound {sound:?}, silence {silence:?}");
        assert!(silence < sound * 3, "sound {sound:?}, silence {silence:?}");
    }
}
