//! Finding where a recording stands against what was sent, so that speech is compared with itself.
//!
//! First one lag for the whole recording, the peak of the cross-correlation; then a walk in blocks of
//! half a second that follows the changes a jitter buffer makes by stretching or skipping. A block
//! takes a new lag only if it fits clearly better. Lags are samples of the rate given; a positive lag
//! means that the recording is late.

use realfft::RealFftPlanner;

/// How much of either signal is correlated for the first lag, in seconds.
const CORRELATED_SECONDS: usize = 120;
/// How far the lag may move from one block to the next, in thousandths of a second.
const REACH_MS: usize = 60;
/// How much better, as a correlation coefficient, a new lag must fit.
const MARGIN: f64 = 0.05;
/// How well, as a correlation coefficient, a new lag must fit at least.
const TRUSTED: f64 = 0.5;

/// A recording laid over its reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// The lag of the recording as a whole.
    pub lag: i64,
    /// The greatest difference between the lags of two blocks.
    pub drift: u64,
    /// The recording moved to the reference's time, of the same length; silence where it has nothing.
    pub aligned: Vec<f32>,
}

/// Lays `degraded` over `reference`.
pub fn align(reference: &[f32], degraded: &[f32], rate: u32) -> Alignment {
    let lag = best_lag(reference, degraded, rate);
    let block = (rate as usize / 2).max(1);
    let reach = (rate as usize * REACH_MS / 1000) as i64;
    let mut aligned = Vec::with_capacity(reference.len());
    let (mut current, mut least, mut most) = (lag, lag, lag);
    for start in (0..reference.len()).step_by(block) {
        let wanted = &reference[start..(start + block).min(reference.len())];
        current = follow(wanted, degraded, start as i64 + current, reach) - start as i64;
        least = least.min(current);
        most = most.max(current);
        aligned.extend(cut(degraded, start as i64 + current, wanted.len()));
    }
    Alignment {
        lag,
        drift: most.abs_diff(least),
        aligned,
    }
}

/// The lag at which the two signals are most alike, from the peak of their cross-correlation.
/// Zero if one of them is empty or silent.
pub fn best_lag(reference: &[f32], degraded: &[f32], rate: u32) -> i64 {
    let most = rate as usize * CORRELATED_SECONDS;
    let reference = &reference[..reference.len().min(most)];
    let degraded = &degraded[..degraded.len().min(most)];
    if reference.is_empty() || degraded.is_empty() {
        return 0;
    }
    let size = (reference.len() + degraded.len()).next_power_of_two();
    let correlation = circular_correlation(reference, degraded, size);
    let (index, peak) = correlation
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .expect("the transform has at least two samples");
    if *peak <= 0.0 {
        return 0;
    }
    // The upper part of a circular correlation holds the negative lags.
    if index < degraded.len() {
        index as i64
    } else {
        index as i64 - size as i64
    }
}

/// Sum over `n` of `a[n] * b[n + lag]`, by the Fourier transform; both padded with zeros to `size`.
fn circular_correlation(a: &[f32], b: &[f32], size: usize) -> Vec<f32> {
    let mut planner = RealFftPlanner::<f32>::new();
    let forward = planner.plan_fft_forward(size);
    let spectrum = |signal: &[f32]| {
        let mut input = signal.to_vec();
        input.resize(size, 0.0);
        let mut output = forward.make_output_vec();
        forward
            .process(&mut input, &mut output)
            .expect("the plan made both vectors' lengths");
        output
    };
    let mut product = spectrum(b);
    for (b, a) in product.iter_mut().zip(spectrum(a)) {
        *b *= a.conj();
    }
    // Real signals have real first and last bins; rounding must not say otherwise.
    for edge in [0, size / 2] {
        product[edge].im = 0.0;
    }
    let inverse = planner.plan_fft_inverse(size);
    let mut output = inverse.make_output_vec();
    inverse
        .process(&mut product, &mut output)
        .expect("the plan made both vectors' lengths");
    output
}

/// The place in `degraded` where the block fits best within reach of `expected`.
fn follow(block: &[f32], degraded: &[f32], expected: i64, reach: i64) -> i64 {
    let fit = |place: i64| coefficient(block, degraded, place);
    let (best, best_fit) = (expected - reach..=expected + reach)
        .map(|place| (place, fit(place)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .expect("the range holds at least one place");
    if best_fit >= TRUSTED && best_fit > fit(expected) + MARGIN {
        return best;
    }
    expected
}

/// The correlation coefficient of the block with what stands at `place`; 0 where either is silent.
fn coefficient(block: &[f32], degraded: &[f32], place: i64) -> f64 {
    let Some((skipped, there)) = overlap(degraded, place, block.len()) else {
        return 0.0;
    };
    let (mut product, mut energy) = (0.0_f32, 0.0_f32);
    for (a, b) in block[skipped..].iter().zip(there) {
        product += a * b;
        energy += b * b;
    }
    let own: f32 = block.iter().map(|a| a * a).sum();
    if own <= 0.0 || energy <= 0.0 {
        return 0.0;
    }
    f64::from(product) / (f64::from(own) * f64::from(energy)).sqrt()
}

/// `length` samples from `place` on, with silence outside the signal.
fn cut(signal: &[f32], place: i64, length: usize) -> Vec<f32> {
    let mut piece = vec![0.0; length];
    if let Some((skipped, there)) = overlap(signal, place, length) {
        piece[skipped..skipped + there.len()].copy_from_slice(there);
    }
    piece
}

/// The part of `place..place + length` that lies in the signal, and how much of it lies before.
fn overlap(signal: &[f32], place: i64, length: usize) -> Option<(usize, &[f32])> {
    let skipped = usize::try_from(-place).unwrap_or(0);
    let first = usize::try_from(place).unwrap_or(0);
    let last = first
        .checked_add(length.checked_sub(skipped)?)?
        .min(signal.len());
    signal.get(first..last).map(|there| (skipped, there))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    const RATE: u32 = 10_000;

    /// Noise with a slow rise and fall, so that blocks differ.
    fn sound(samples: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..samples)
            .map(|n| {
                let value = f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5;
                (value * (n as f64 / 900.0).sin().abs()) as f32
            })
            .collect()
    }

    #[test]
    fn a_late_recording_is_found_and_moved() {
        let sent = sound(30_000, 1);
        let late = [vec![0.0; 1_234], sent.clone()].concat();
        let alignment = align(&sent, &late, RATE);
        assert_eq!((alignment.lag, alignment.drift), (1_234, 0));
        assert_eq!(alignment.aligned, sent);
    }

    #[test]
    fn a_recording_that_lacks_its_beginning_is_found() {
        let sent = sound(30_000, 2);
        let alignment = align(&sent, &sent[777..], RATE);
        assert_eq!((alignment.lag, alignment.drift), (-777, 0));
        assert_eq!(alignment.aligned[777..], sent[777..]);
        assert!(alignment.aligned[..777].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn noise_does_not_hide_the_place() {
        let sent = sound(30_000, 3);
        let noise = sound(31_000, 4);
        let noisy = (0..31_000)
            .map(|n| noise[n] + n.checked_sub(500).and_then(|n| sent.get(n)).unwrap_or(&0.0))
            .collect::<Vec<_>>();
        assert_eq!(best_lag(&sent, &noisy, RATE), 500);
    }

    #[test]
    fn a_stretch_in_the_middle_is_followed() {
        let sent = sound(40_000, 5);
        let stretched = [&sent[..20_000], &[0.0; 200], &sent[20_000..]].concat();
        let alignment = align(&sent, &stretched, RATE);
        assert_eq!(alignment.drift, 200);
        assert_eq!(alignment.aligned, sent);
    }

    #[test]
    fn other_sound_and_silence_are_not_followed() {
        let sent = sound(20_000, 6);
        assert_eq!(align(&sent, &sound(20_000, 7), RATE).drift, 0);
        assert_eq!(align(&sent, &vec![0.0; 20_000], RATE).lag, 0);
        assert_eq!(align(&sent, &[], RATE).aligned, vec![0.0; 20_000]);
        assert!(align(&[], &sent, RATE).aligned.is_empty());
    }
}
