//! Changing the sample rate by a polyphase windowed-sinc filter, without delay: sample `n` of the
//! output stands at the time of sample `n * from / to` of the input.
//!
//! A Kaiser window (beta 6) puts the stop band 60 dB down; the cut-off lies 5 % below the lower of the
//! two Nyquist frequencies. Meant for measuring whole recordings, not for live sound. Rates in Hz.

use std::f64::consts::PI;

/// Zero crossings of the sinc kept on each side.
const CROSSINGS: f64 = 32.0;
/// Share of the lower Nyquist frequency that is kept.
const PASS: f64 = 0.95;
/// Shape of the Kaiser window.
const BETA: f64 = 6.0;

/// Converts from one rate to another. A rate of 0 gives nothing.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to {
        return samples.to_vec();
    }
    if from == 0 || to == 0 {
        return Vec::new();
    }
    let divisor = greatest_common_divisor(from, to);
    let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
    let filter = Filter::new(up, down);
    (0..(samples.len() * up).div_ceil(down))
        .map(|n| filter.at(samples, n * down / up, n * down % up))
        .collect()
}

/// The filter's taps for each position an output sample can have between two input samples.
struct Filter {
    half: usize,
    phases: Vec<Vec<f32>>,
}

impl Filter {
    fn new(up: usize, down: usize) -> Self {
        let cutoff = PASS * (up as f64 / down as f64).min(1.0);
        let half_width = CROSSINGS / cutoff;
        let half = half_width.ceil() as usize;
        let phases = (0..up)
            .map(|phase| {
                let offset = phase as f64 / up as f64;
                let taps = (0..=2 * half)
                    .map(|tap| {
                        let t = tap as f64 - half as f64 - offset;
                        sinc(cutoff * t) * kaiser(t / half_width)
                    })
                    .collect::<Vec<_>>();
                // Each phase passes a constant unchanged.
                let sum: f64 = taps.iter().sum();
                taps.iter().map(|tap| (tap / sum) as f32).collect()
            })
            .collect();
        Self { half, phases }
    }

    /// The value between input samples `index` and `index + 1`; silence stands outside the input.
    fn at(&self, samples: &[f32], index: usize, phase: usize) -> f32 {
        let taps = &self.phases[phase];
        let skipped = self.half.saturating_sub(index);
        let first = index.saturating_sub(self.half);
        let Some(input) = samples.get(first..) else {
            return 0.0;
        };
        taps[skipped..]
            .iter()
            .zip(input)
            .map(|(tap, sample)| tap * sample)
            .sum()
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    (PI * x).sin() / (PI * x)
}

/// The Kaiser window at -1..1; zero outside.
fn kaiser(x: f64) -> f64 {
    if x.abs() > 1.0 {
        return 0.0;
    }
    bessel_i0(BETA * (1.0 - x * x).sqrt()) / bessel_i0(BETA)
}

/// The modified Bessel function of order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..50 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        return a;
    }
    greatest_common_divisor(b, a % b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        (0..(seconds * f64::from(rate)) as usize)
            .map(|n| (2.0 * PI * hertz * n as f64 / f64::from(rate)).sin() as f32)
            .collect()
    }

    fn loudness(samples: &[f32]) -> f32 {
        (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn a_tone_keeps_its_place_in_time() {
        for (from, to) in [
            (48_000, 10_000),
            (16_000, 10_000),
            (44_100, 10_000),
            (8_000, 10_000),
        ] {
            let got = resample(&tone(440.0, from, 0.5), from, to);
            let want = tone(440.0, to, 0.5);
            assert_eq!(got.len(), want.len());
            let inner = 200..want.len() - 200;
            for (got, want) in got[inner.clone()].iter().zip(&want[inner]) {
                assert!(
                    (got - want).abs() < 0.005,
                    "{from} to {to}: {got} for {want}"
                );
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_removed() {
        let got = resample(&tone(6_000.0, 48_000, 0.5), 48_000, 10_000);
        assert!(loudness(&got[200..got.len() - 200]) < 0.001);
    }

    #[test]
    fn odd_inputs_are_harmless() {
        assert!(resample(&[], 48_000, 10_000).is_empty());
        assert!(resample(&[1.0], 0, 10_000).is_empty());
        assert_eq!(resample(&[0.5, 0.25], 8_000, 8_000), [0.5, 0.25]);
        assert_eq!(resample(&[0.5; 3], 48_000, 10_000).len(), 1);
    }
}
