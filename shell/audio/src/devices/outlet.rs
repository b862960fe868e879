//! The speaker's ring: filled by the call with 48 kHz mono, emptied on the device's thread in the device's form.

use std::sync::Arc;

use cpal::{FromSample, SizedSample};
use rtrb::{Consumer, Producer, RingBuffer};

use super::health::Health;
use crate::resample::Resampler;
use crate::{FRAME_SAMPLES, SAMPLE_RATE, tame};

/// The ring holds this share of a second: 500 ms.
const RINGS_PER_SECOND: u32 = 2;

/// The device's end. Neither allocates nor locks.
pub(super) struct Tap {
    ring: Consumer<f32>,
    channels: u16,
    playing: bool,
    health: Arc<Health>,
}

/// The call's end.
pub(super) struct Outlet {
    ring: Producer<f32>,
    rate: u32,
    resampler: Resampler,
    health: Arc<Health>,
}

/// A ring for a device of this rate and so many channels.
pub(super) fn outlet(rate: u32, channels: u16, health: &Arc<Health>) -> (Tap, Outlet) {
    let (producer, consumer) = RingBuffer::new((rate / RINGS_PER_SECOND) as usize);
    let tap = Tap {
        ring: consumer,
        channels,
        playing: false,
        health: Arc::clone(health),
    };
    let outlet = Outlet {
        ring: producer,
        rate,
        resampler: Resampler::new(SAMPLE_RATE, rate),
        health: Arc::clone(health),
    };
    (tap, outlet)
}

impl Tap {
    /// Gives the device what it plays next, the same on every channel, and silence when there is nothing.
    pub(super) fn take<T: SizedSample + FromSample<f32>>(&mut self, data: &mut [T]) {
        let mut missing = false;
        for frame in data.chunks_exact_mut(usize::from(self.channels)) {
            match self.ring.pop() {
                Ok(sample) => {
                    self.playing = true;
                    frame.fill(T::from_sample(sample));
                }
                Err(_) => {
                    missing = true;
                    frame.fill(T::EQUILIBRIUM);
                }
            }
        }
        // A silence is one gap, however long it lasts.
        if missing && self.playing {
            self.health.gap();
            self.playing = false;
        }
    }
}

impl Outlet {
    /// Queues samples; what finds no room is counted as lost.
    pub(super) fn write(&mut self, pcm: &[f32]) {
        for piece in pcm.chunks(FRAME_SAMPLES) {
            let mut tamed = [0.0; FRAME_SAMPLES];
            let tamed = &mut tamed[..piece.len()];
            tamed.copy_from_slice(piece);
            tamed.iter_mut().for_each(|sample| *sample = tame(*sample));
            self.resampler.push(tamed);
            self.fill_ring();
        }
    }

    /// Samples at 48 kHz that the device has not taken yet.
    pub(super) fn queued(&self) -> usize {
        let waiting = (self.ring.buffer().capacity() - self.ring.slots()) as u64;
        (waiting * u64::from(SAMPLE_RATE) / u64::from(self.rate)) as usize
    }

    /// Samples at 48 kHz that found no room since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        self.health.take_lost() * u64::from(SAMPLE_RATE) / u64::from(self.rate)
    }

    fn fill_ring(&mut self) {
        let mut piece = [0.0; FRAME_SAMPLES];
        loop {
            let count = self.resampler.pop(&mut piece);
            if count == 0 {
                return;
            }
            let (_, dropped) = self.ring.push_partial_slice(&piece[..count]);
            if !dropped.is_empty() {
                self.health.lose(dropped.len() as u64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_of_float_becomes_two_of_sixteen_bits() {
        let health = Arc::default();
        let (mut tap, mut outlet) = outlet(48_000, 2, &health);
        outlet.write(&[0.5, f32::NAN, 9.0]);
        assert_eq!(outlet.queued(), 3);
        let mut data = [7_i16; 8];
        tap.take(&mut data);
        assert_eq!(data, [16_384, 16_384, 0, 0, 32_767, 32_767, 0, 0]);
        assert_eq!(outlet.queued(), 0);
    }

    #[test]
    fn our_rate_becomes_another() {
        let health = Arc::default();
        let (mut tap, mut outlet) = outlet(16_000, 1, &health);
        for _ in 0..10 {
            outlet.write(&[0.5; FRAME_SAMPLES]);
        }
        // Some of the last frame is still inside the filter.
        let queued = outlet.queued();
        assert!((9 * FRAME_SAMPLES..10 * FRAME_SAMPLES).contains(&queued));
        let mut data = vec![0_u8; queued / 3];
        tap.take(&mut data);
        assert_eq!(data.last(), Some(&192));
    }

    #[test]
    fn silence_before_the_first_sound_is_no_gap_and_a_long_one_is_one() {
        let health: Arc<Health> = Arc::default();
        let (mut tap, mut outlet) = outlet(48_000, 1, &health);
        let mut data = [1.0_f32; 480];
        tap.take(&mut data);
        assert_eq!((data, health.take_gaps()), ([0.0; 480], 0));
        outlet.write(&[0.5; 100]);
        for _ in 0..5 {
            tap.take(&mut data);
        }
        assert_eq!(health.take_gaps(), 1);
    }

    #[test]
    fn too_much_is_dropped_and_counted() {
        let health = Arc::default();
        let (_tap, mut outlet) = outlet(48_000, 1, &health);
        outlet.write(&[0.1; 25_000]);
        assert_eq!((outlet.queued(), outlet.take_lost()), (24_000, 1_000));
        assert_eq!(outlet.take_lost(), 0);
    }
}
