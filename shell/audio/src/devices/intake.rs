//! The microphone's ring: filled on the device's thread with what the device captures, emptied by the call in frames of ours.

use std::sync::Arc;

use cpal::{FromSample, SizedSample};
use rtrb::{Consumer, Producer, RingBuffer};

use super::health::Health;
use crate::resample::Resampler;
use crate::{FRAME_SAMPLES, SAMPLE_RATE, tame};

/// The ring holds this share of a second: 200 ms.
const RINGS_PER_SECOND: u32 = 5;
/// What is kept of a ring that ran over, as a share of a second: one frame. The rest would only be heard late.
const FRESH_PER_SECOND: u32 = 50;

/// The device's end. Neither allocates nor locks.
pub(super) struct Mouth {
    ring: Producer<f32>,
    channels: u16,
    health: Arc<Health>,
}

/// The call's end.
pub(super) struct Intake {
    ring: Consumer<f32>,
    rate: u32,
    resampler: Resampler,
    lost: u64,
    health: Arc<Health>,
}

/// A ring for a device of this rate and so many channels.
pub(super) fn intake(rate: u32, channels: u16, health: &Arc<Health>) -> (Mouth, Intake) {
    let (producer, consumer) = RingBuffer::new((rate / RINGS_PER_SECOND) as usize);
    let mouth = Mouth {
        ring: producer,
        channels,
        health: Arc::clone(health),
    };
    let intake = Intake {
        ring: consumer,
        rate,
        resampler: Resampler::new(rate, SAMPLE_RATE),
        lost: 0,
        health: Arc::clone(health),
    };
    (mouth, intake)
}

impl Mouth {
    /// Takes what the device captured, mixed to mono.
    pub(super) fn put<T: SizedSample>(&mut self, data: &[T])
    where
        f32: FromSample<T>,
    {
        let share = 1.0 / f32::from(self.channels);
        let mut lost = 0;
        for frame in data.chunks_exact(usize::from(self.channels)) {
            let sum: f32 = frame.iter().map(|sample| sample.to_sample::<f32>()).sum();
            lost += u64::from(self.ring.push(tame(sum * share)).is_err());
        }
        if lost > 0 {
            self.health.lose(lost);
        }
    }
}

impl Intake {
    /// Takes one frame; false while less than one is there.
    pub(super) fn read(&mut self, out: &mut [f32; FRAME_SAMPLES]) -> bool {
        let lost = self.health.take_lost();
        if lost > 0 {
            self.lost += lost + self.drop_stale();
        }
        while self.resampler.ready() < out.len() {
            let piece = (self.rate / 100) as usize;
            let there = self.ring.slots().min(piece);
            match self.ring.read_chunk(there) {
                Ok(chunk) if !chunk.is_empty() => {
                    let (first, second) = chunk.as_slices();
                    self.resampler.push(first);
                    self.resampler.push(second);
                    chunk.commit_all();
                }
                _ => return false,
            }
        }
        self.resampler.pop(out);
        true
    }

    /// Samples at 48 kHz that were lost since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost) * u64::from(SAMPLE_RATE) / u64::from(self.rate)
    }

    fn drop_stale(&mut self) -> u64 {
        let fresh = (self.rate / FRESH_PER_SECOND) as usize;
        let stale = self.ring.slots().saturating_sub(fresh);
        match self.ring.read_chunk(stale) {
            Ok(chunk) => chunk.commit_all(),
            Err(_) => return 0,
        }
        stale as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_channels_of_sixteen_bits_become_one_of_float() {
        let health = Arc::default();
        let (mut mouth, mut intake) = intake(48_000, 2, &health);
        let mut out = [0.0; FRAME_SAMPLES];
        mouth.put(&[16_384_i16, 0].repeat(FRAME_SAMPLES - 1));
        assert!(!intake.read(&mut out), "one sample is missing");
        mouth.put(&[16_384_i16, 0]);
        assert!(intake.read(&mut out));
        assert_eq!(out, [0.25; FRAME_SAMPLES]);
        assert!(!intake.read(&mut out));
    }

    #[test]
    fn another_rate_becomes_ours() {
        let health = Arc::default();
        let (mut mouth, mut intake) = intake(16_000, 1, &health);
        let mut out = [0.0; FRAME_SAMPLES];
        let mut frames = 0;
        for _ in 0..50 {
            // 20 ms of 8 bits, half loud.
            mouth.put(&[192_u8; 320]);
            frames += usize::from(intake.read(&mut out));
        }
        // One frame is still inside the filter.
        assert_eq!(frames, 49);
        assert!(out.iter().all(|sample| (sample - 0.5).abs() < 0.001));
    }

    #[test]
    fn what_is_not_a_number_is_silent() {
        let health = Arc::default();
        let (mut mouth, mut intake) = intake(48_000, 1, &health);
        let mut out = [1.0; FRAME_SAMPLES];
        mouth.put(&[f32::NAN; FRAME_SAMPLES]);
        assert!(intake.read(&mut out));
        assert_eq!(out, [0.0; FRAME_SAMPLES]);
    }

    #[test]
    fn after_an_overrun_the_freshest_frame_is_next() {
        let health = Arc::default();
        let (mut mouth, mut intake) = intake(48_000, 1, &health);
        let mut out = [0.0; FRAME_SAMPLES];
        for frame in 0..12 {
            mouth.put(&[frame as f32 / 16.0; FRAME_SAMPLES]);
        }
        assert!(intake.read(&mut out));
        // Ten frames fit into the ring, two were lost at the end and nine are too old.
        assert_eq!(out, [9.0 / 16.0; FRAME_SAMPLES]);
        assert_eq!(intake.take_lost(), 11 * FRAME_SAMPLES as u64);
        assert!(!intake.read(&mut out));
    }
}
