//! Streaming conversion of one channel between two sample rates, by rubato's windowed sinc. Any two rates will do, not only
//! those with a small common multiple, and the memory is bounded by the rates, not by the length. The filter's delay is cut
//! off the front, so the first sample out belongs to the first sample in.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Resampler as _, SincInterpolationParameters, WindowFunction};

/// Rates of files and devices that are accepted, samples per second.
pub(crate) const RATES: RangeInclusive<u32> = 8_000..=192_000;

/// Filter taps per sample of the slower rate.
const TAPS: usize = 128;

/// Converts from one rate to another.
#[derive(Debug)]
pub(crate) struct Resampler {
    /// None if the rates are the same.
    filter: Option<Filter>,
    ready: VecDeque<f32>,
}

#[derive(Debug)]
struct Filter {
    rubato: Async<f32>,
    /// Input that does not fill a chunk yet.
    waiting: Vec<f32>,
    chunk: usize,
    made: Vec<f32>,
    /// Samples of the filter's delay still to be cut off.
    delay: usize,
}

impl Resampler {
    /// Both rates must be within [`RATES`].
    pub(crate) fn new(from: u32, to: u32) -> Resampler {
        assert!(
            RATES.contains(&from) && RATES.contains(&to),
            "callers refuse other rates"
        );
        Resampler {
            filter: (from != to).then(|| Filter::new(from, to)),
            ready: VecDeque::new(),
        }
    }

    /// Takes samples of the first rate.
    pub(crate) fn push(&mut self, samples: &[f32]) {
        match &mut self.filter {
            Some(filter) => filter.push(samples, &mut self.ready),
            None => self.ready.extend(samples),
        }
    }

    /// Brings out what is still inside, followed by some silence.
    pub(crate) fn flush(&mut self) {
        if let Some(filter) = &mut self.filter {
            filter.flush(&mut self.ready);
        }
    }

    /// Samples of the second rate that can be taken.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes as many as are there and fit; returns how many.
    pub(crate) fn pop(&mut self, out: &mut [f32]) -> usize {
        let count = out.len().min(self.ready.len());
        for (slot, sample) in out.iter_mut().zip(self.ready.drain(..count)) {
            *slot = sample;
        }
        count
    }
}

impl Filter {
    fn new(from: u32, to: u32) -> Filter {
        // 10 ms: what is awaited before anything comes out.
        let chunk = from.div_ceil(100) as usize;
        // The taps span input samples: going down, more of them for the same sharpness.
        let taps = TAPS * from.div_ceil(to) as usize;
        let ratio = f64::from(to) / f64::from(from);
        let rubato = Async::new_sinc(
            ratio,
            1.0,
            &SincInterpolationParameters::new(taps, WindowFunction::BlackmanHarris2),
            chunk,
            1,
            FixedAsync::Input,
        )
        .expect("the ratio of two allowed rates is finite and positive");
        Filter {
            waiting: Vec::with_capacity(chunk),
            made: vec![0.0; rubato.output_frames_max()],
            // Half the taps, less the step rubato takes before its first sample.
            delay: (taps as f64 / 2.0 * ratio - 1.0).round() as usize,
            chunk,
            rubato,
        }
    }

    fn push(&mut self, mut samples: &[f32], ready: &mut VecDeque<f32>) {
        while !samples.is_empty() {
            let wanted = self.chunk - self.waiting.len();
            let (now, later) = samples.split_at(wanted.min(samples.len()));
            self.waiting.extend_from_slice(now);
            samples = later;
            if self.waiting.len() == self.chunk {
                self.convert(ready);
            }
        }
    }

    fn flush(&mut self, ready: &mut VecDeque<f32>) {
        // What is waiting, then enough silence to push the last of it through the filter.
        let taps = self.rubato.output_delay().max(self.chunk) * 2;
        let mut silence = taps.div_ceil(self.chunk) + 1;
        while silence > 0 {
            self.waiting.resize(self.chunk, 0.0);
            self.convert(ready);
            silence -= 1;
        }
    }

    fn convert(&mut self, ready: &mut VecDeque<f32>) {
        let made = {
            let room = self.made.len();
            let input = InterleavedSlice::new(&self.waiting, 1, self.chunk)
                .expect("a full chunk is waiting");
            let mut output = InterleavedSlice::new_mut(&mut self.made, 1, room)
                .expect("the length is the buffer's own");
            let (_, made) = self
                .rubato
                .process_into_buffer(&input, &mut output, None)
                .expect("the buffers have the sizes rubato asked for");
            made
        };
        self.waiting.clear();
        let cut = self.delay.min(made);
        self.delay -= cut;
        ready.extend(&self.made[cut..made]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hertz: f64, samples: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hertz / f64::from(rate);
        (0..samples)
            .map(|n| (step * n as f64).sin() as f32)
            .collect()
    }

    fn convert(from: u32, to: u32, input: &[f32]) -> Vec<f32> {
        let mut resampler = Resampler::new(from, to);
        for piece in input.chunks(777) {
            resampler.push(piece);
        }
        resampler.flush();
        let mut out = vec![0.0; resampler.ready()];
        assert_eq!(resampler.pop(&mut out), out.len());
        out
    }

    /// How far `heard` is behind a tone, in samples, and the largest deviation from the tone so shifted.
    fn compare(heard: &[f32], rate: u32, hertz: f64, from: usize) -> (f64, f64) {
        let step = std::f64::consts::TAU * hertz / f64::from(rate);
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (n, sample) in heard.iter().enumerate() {
            let angle = step * (n + from) as f64;
            sine += f64::from(*sample) * angle.sin();
            cosine += f64::from(*sample) * angle.cos();
        }
        let lag = -cosine.atan2(sine) / step;
        let deviation = heard.iter().enumerate().map(|(n, sample)| {
            let want = (step * ((n + from) as f64 - lag)).sin();
            (f64::from(*sample) - want).abs()
        });
        (lag, deviation.fold(0.0, f64::max))
    }

    #[test]
    fn a_tone_stays_the_same_tone_in_the_same_place() {
        for (from, to) in [
            (8_000, 48_000),
            (16_000, 48_000),
            (44_100, 48_000),
            (192_000, 48_000),
            (47_999, 48_000),
            (48_000, 44_100),
            (48_000, 8_000),
        ] {
            let out = convert(from, to, &tone(from, 500.0, from as usize));
            assert!(out.len() >= to as usize, "{from} to {to}: {}", out.len());
            // The filter rings at the two ends, where the tone begins and stops; between them are whole periods.
            let inner = to as usize / 20..to as usize * 19 / 20;
            let (lag, deviation) = compare(&out[inner.clone()], to, 500.0, inner.start);
            assert!(lag.abs() < 0.6, "{from} to {to}: {lag} samples late");
            assert!(deviation < 0.001, "{from} to {to}: off by {deviation}");
        }
    }

    #[test]
    fn what_the_slower_rate_cannot_carry_is_removed() {
        let out = convert(48_000, 8_000, &tone(48_000, 6_000.0, 48_000));
        let loudest = out[400..7600].iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(loudest < 0.001, "{loudest}");
    }

    #[test]
    fn equal_rates_pass_through_untouched_and_at_once() {
        let mut resampler = Resampler::new(48_000, 48_000);
        resampler.push(&[0.25, -0.5]);
        let mut out = [0.0; 3];
        assert_eq!(resampler.pop(&mut out), 2);
        assert_eq!(out, [0.25, -0.5, 0.0]);
    }
}
