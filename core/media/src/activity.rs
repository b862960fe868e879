//! Whether somebody speaks into the microphone: only after a second in which nobody did may the encoder send next to nothing. Pauses
//! between words and sentences are sent as they are, because a listener misses the breath in them. Levels are dB below full scale, in
//! thousandths.

use crate::transit::SlidingMinimum;
use crate::{FRAME_SAMPLES, FRAME_US};

/// Half a second each: the quietest frame of the last five is the noise of the room.
const SLOT_US: i64 = 500_000;
/// So much above it is still the room.
const ROOM: i64 = 8_000;
/// This is silence anywhere.
const SILENT: i64 = -70_000;
/// So many frames nobody must have spoken: a second.
const REST: u32 = 50;

/// One microphone.
#[derive(Debug)]
pub struct Activity {
    floor: SlidingMinimum,
    frames: i64,
    quiet: u32,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            floor: SlidingMinimum::new(SLOT_US),
            frames: 0,
            quiet: 0,
        }
    }
}

impl Activity {
    /// The next frame; whether nobody has spoken for a second.
    pub fn is_resting(&mut self, frame: &[f32; FRAME_SAMPLES]) -> bool {
        let level = level(frame);
        self.frames += 1;
        self.floor.add(level, self.frames * FRAME_US);
        let floor = self.floor.get().unwrap_or(level);
        let is_quiet = level < (floor + ROOM).max(SILENT);
        self.quiet = if is_quiet {
            self.quiet.saturating_add(1)
        } else {
            0
        };
        self.quiet > REST
    }
}

fn level(frame: &[f32; FRAME_SAMPLES]) -> i64 {
    let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_SAMPLES as f32;
    (10_000.0 * power.max(1e-12).log10()) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it rests after each of so many frames of noise with this amplitude.
    fn hear(activity: &mut Activity, frames: usize, amplitude: f32) -> Vec<bool> {
        let mut random = 7_u32;
        let mut noise = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..frames)
            .map(|_| activity.is_resting(&std::array::from_fn(|_| noise() * amplitude)))
            .collect()
    }

    #[test]
    fn it_rests_a_second_after_the_last_word_and_not_in_a_pause() {
        let mut activity = Activity::default();
        hear(&mut activity, 10, 0.001);
        for _ in 0..4 {
            assert!(!hear(&mut activity, 100, 0.1).contains(&true));
            assert!(!hear(&mut activity, 45, 0.001).contains(&true), "a pause");
        }
        hear(&mut activity, 20, 0.1);
        let rest = hear(&mut activity, 200, 0.001);
        assert_eq!(rest.iter().position(|rests| *rests), Some(50));
        assert!(rest[50..].iter().all(|rests| *rests));
        assert_eq!(hear(&mut activity, 1, 0.1), [false], "the first word");
    }

    #[test]
    fn digital_silence_rests_and_a_room_that_became_louder_does_after_a_while() {
        let mut activity = Activity::default();
        assert!(hear(&mut activity, 60, 0.0).contains(&true));
        let louder = hear(&mut activity, 500, 0.01);
        assert!(!louder[..250].contains(&true));
        assert!(louder[400..].iter().all(|rests| *rests));
    }
}
