//! How loud the other side may be at most (acoustic shock protection, after ITU-T P.360): whatever a decoder makes of what came, from a
//! shout into the microphone to bytes that are no sound at all, hurts nobody. Samples at 48 kHz, full scale is 1.

use crate::FRAME_SAMPLES;

/// The root of the mean square over 20 ms: -9 dB of full scale. Speech at its usual level stays 10 dB below.
pub const LOUDEST: f32 = 0.355;
/// How long it takes to become quieter: 1 ms.
const ATTACK: usize = FRAME_SAMPLES / 20;
/// And louder again: 0.8 dB with each frame.
const RELEASE: f32 = 1.1;

/// Makes what is too loud quieter; everything else stays as it is, to the bit.
#[derive(Debug, Clone)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// `MEDIA-13`: a frame as it may be heard.
    pub fn limit(&mut self, frame: &mut [f32; FRAME_SAMPLES]) {
        for sample in frame.iter_mut() {
            *sample = if sample.is_finite() {
                sample.clamp(-1.0, 1.0)
            } else {
                0.0
            };
        }
        let before = self.gain;
        let fits = LOUDEST / loudness(frame).max(LOUDEST);
        self.gain = fits.min(before * RELEASE);
        if before == 1.0 && self.gain == 1.0 {
            return;
        }
        for (at, sample) in frame.iter_mut().enumerate() {
            let share = (at as f32 / ATTACK as f32).min(1.0);
            *sample *= before + (self.gain - before) * share;
        }
    }
}

/// The root of the mean square.
fn loudness(frame: &[f32; FRAME_SAMPLES]) -> f32 {
    let sum: f32 = frame.iter().map(|sample| sample * sample).sum();
    (sum / FRAME_SAMPLES as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(level: f32) -> [f32; FRAME_SAMPLES] {
        std::array::from_fn(|at| level * (at as f32 * 0.1).sin())
    }

    #[test]
    fn media_13_a_burst_is_made_quieter_and_speech_is_left_alone() {
        let mut limiter = Limiter::default();
        let speech = tone(0.4);
        let mut heard = speech;
        limiter.limit(&mut heard);
        assert_eq!(heard, speech);
        for _ in 0..10 {
            let mut burst = std::array::from_fn(|at| if at % 7 < 3 { 50.0 } else { -50.0 });
            limiter.limit(&mut burst);
            assert!(loudness(&burst) < LOUDEST * 1.26, "{}", loudness(&burst));
        }
        // Afterwards it is as loud as before within a second.
        for _ in 0..50 {
            heard = speech;
            limiter.limit(&mut heard);
            assert!(loudness(&heard) <= loudness(&speech));
        }
        assert_eq!(heard, speech);
    }

    #[test]
    fn what_is_no_number_is_silent() {
        let mut limiter = Limiter::default();
        let mut frame = [f32::NAN; FRAME_SAMPLES];
        frame[0] = f32::INFINITY;
        limiter.limit(&mut frame);
        assert_eq!(frame, [0.0; FRAME_SAMPLES]);
    }
}
