//! STOI, the short-time objective intelligibility measure: how much of the speech in a recording can
//! be understood, 0..1, by comparison with what was said.
//!
//! Standard: C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, "An Algorithm for Intelligibility
//! Prediction of Time-Frequency Weighted Noisy Speech", IEEE Transactions on Audio, Speech, and
//! Language Processing 19(7), 2011. All figures below are the paper's. Both signals must stand at the
//! same time ([`crate::align`]). Frames of 25.6 ms overlap by half; a segment is 30 frames, 384 ms.

use std::f64::consts::PI;

use realfft::RealFftPlanner;

use crate::resample::resample;

/// The rate the measure works at, in Hz.
pub const RATE: u32 = 10_000;

const FRAME: usize = 256;
const HOP: usize = FRAME / 2;
const TRANSFORM: usize = 512;
/// One-third octave bands, and the centre of the lowest in Hz.
const BANDS: usize = 15;
const LOWEST_BAND: f64 = 150.0;
/// Frames in a segment.
const SEGMENT: usize = 30;
/// A frame this far below the loudest is silence, in dB.
const DYNAMIC_RANGE: f64 = 40.0;
/// Lower bound of the signal-to-distortion ratio, in dB.
const CLIPPING: f64 = -15.0;
/// Keeps a division by the norm of silence finite.
const TINY: f64 = f64::EPSILON;

/// Why there is no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoiError {
    /// Fewer than 30 frames of the reference are speech.
    #[error("the reference holds less than 0.4 s of sound after its silence was removed")]
    TooShort,
    /// The sample rate is zero.
    #[error("a sample rate of zero means nothing")]
    NoRate,
}

/// Scores two signals of one rate. The shorter is taken to end in silence.
pub fn stoi(reference: &[f32], degraded: &[f32], rate: u32) -> Result<f64, StoiError> {
    if rate == 0 {
        return Err(StoiError::NoRate);
    }
    let mut degraded = degraded.to_vec();
    degraded.resize(reference.len(), 0.0);
    stoi_at_10k(
        &resample(reference, rate, RATE),
        &resample(&degraded, rate, RATE),
    )
}

/// Scores two signals of [`RATE`] and of the same length.
pub(crate) fn stoi_at_10k(reference: &[f32], degraded: &[f32]) -> Result<f64, StoiError> {
    let window = hann_window();
    let speech = frames_with_speech(reference, &window);
    let clean = band_levels(&without_silence(reference, &speech, &window), &window);
    let other = band_levels(&without_silence(degraded, &speech, &window), &window);
    if clean.len() < SEGMENT {
        return Err(StoiError::TooShort);
    }
    let mut sum = 0.0;
    for (clean, other) in clean.windows(SEGMENT).zip(other.windows(SEGMENT)) {
        for band in 0..BANDS {
            let clean = std::array::from_fn(|frame| clean[frame][band]);
            let other = std::array::from_fn(|frame| other[frame][band]);
            sum += intermediate_measure(&clean, &other);
        }
    }
    let segments = clean.len() - SEGMENT + 1;
    Ok(sum / (segments * BANDS) as f64)
}

/// The correlation of one band over one segment, after the degraded one was brought to the clean
/// one's level and its outliers were clipped.
fn intermediate_measure(clean: &[f64; SEGMENT], degraded: &[f64; SEGMENT]) -> f64 {
    let gain = norm(clean) / (norm(degraded) + TINY);
    let ceiling = 1.0 + 10_f64.powf(-CLIPPING / 20.0);
    let clipped = std::array::from_fn(|n| (degraded[n] * gain).min(clean[n] * ceiling));
    let (a, b) = (centred(clean), centred(&clipped));
    let product: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    product / ((norm(&a) + TINY) * (norm(&b) + TINY))
}

fn centred(values: &[f64; SEGMENT]) -> [f64; SEGMENT] {
    let mean = values.iter().sum::<f64>() / SEGMENT as f64;
    values.map(|value| value - mean)
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The Hann window without its two zeros.
fn hann_window() -> [f64; FRAME] {
    std::array::from_fn(|n| 0.5 - 0.5 * (2.0 * PI * (n + 1) as f64 / (FRAME + 1) as f64).cos())
}

fn windowed(signal: &[f32], start: usize, window: &[f64; FRAME]) -> [f64; FRAME] {
    std::array::from_fn(|n| f64::from(signal[start + n]) * window[n])
}

/// Where frames begin: each half a frame later, as long as a sample follows the frame.
fn frame_starts(length: usize) -> impl Iterator<Item = usize> {
    (0..length.saturating_sub(FRAME)).step_by(HOP)
}

/// The starts of the frames that are not silence.
fn frames_with_speech(signal: &[f32], window: &[f64; FRAME]) -> Vec<usize> {
    let level = |start| 20.0 * (norm(&windowed(signal, start, window)) + TINY).log10();
    let levels = frame_starts(signal.len())
        .map(|start| (start, level(start)))
        .collect::<Vec<_>>();
    let loudest = levels
        .iter()
        .map(|(_, level)| *level)
        .fold(f64::MIN, f64::max);
    levels
        .into_iter()
        .filter(|(_, level)| *level > loudest - DYNAMIC_RANGE)
        .map(|(start, _)| start)
        .collect()
}

/// Joins the chosen frames, overlapping by half, into a signal without the silence between them.
fn without_silence(signal: &[f32], starts: &[usize], window: &[f64; FRAME]) -> Vec<f32> {
    let Some(last) = starts.len().checked_sub(1) else {
        return Vec::new();
    };
    let mut joined = vec![0.0; last * HOP + FRAME];
    for (number, start) in starts.iter().enumerate() {
        let place = &mut joined[number * HOP..number * HOP + FRAME];
        for (sum, sample) in place.iter_mut().zip(windowed(signal, *start, window)) {
            *sum += sample as f32;
        }
    }
    joined
}

/// For each frame the level in each one-third octave band.
fn band_levels(signal: &[f32], window: &[f64; FRAME]) -> Vec<[f64; BANDS]> {
    let bands = bands();
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(TRANSFORM);
    let mut input = transform.make_input_vec();
    let mut spectrum = transform.make_output_vec();
    frame_starts(signal.len())
        .map(|start| {
            input.fill(0.0);
            input[..FRAME].copy_from_slice(&windowed(signal, start, window));
            transform
                .process(&mut input, &mut spectrum)
                .expect("the plan made both vectors' lengths");
            bands.clone().map(|bins| {
                let power: f64 = spectrum[bins].iter().map(|bin| bin.norm_sqr()).sum();
                power.sqrt()
            })
        })
        .collect()
}

/// The transform's bins that belong to each band, edges rounded to the nearest bin.
fn bands() -> [std::ops::Range<usize>; BANDS] {
    let bin = |hertz: f64| (hertz * TRANSFORM as f64 / f64::from(RATE)).round() as usize;
    std::array::from_fn(|band| {
        let sixths = 2.0 * band as f64;
        let low = LOWEST_BAND * 2_f64.powf((sixths - 1.0) / 6.0);
        let high = LOWEST_BAND * 2_f64.powf((sixths + 1.0) / 6.0);
        bin(low)..bin(high)
    })
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Noise that rises and falls four times a second, as syllables do.
    fn syllables(samples: usize) -> Vec<f32> {
        noise(samples, 1)
            .into_iter()
            .enumerate()
            .map(|(n, value)| value * (PI * 4.0 * n as f64 / f64::from(RATE)).sin().powi(2) as f32)
            .collect()
    }

    fn noise(samples: usize, seed: u64) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..samples)
            .map(|_| (f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5) as f32)
            .collect()
    }

    fn with_noise(signal: &[f32], gain: f32) -> Vec<f32> {
        let noise = noise(signal.len(), 2);
        signal
            .iter()
            .zip(noise)
            .map(|(s, n)| s + gain * n)
            .collect()
    }

    #[test]
    fn the_bands_are_the_papers() {
        let bands = bands();
        assert_eq!(bands[0], 7..9);
        assert_eq!(bands[14], 174..219);
        assert!(bands.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn a_signal_understands_itself_whatever_its_level() {
        let signal = syllables(20_000);
        let quiet = signal.iter().map(|s| s * 0.01).collect::<Vec<_>>();
        assert!((stoi(&signal, &signal, RATE).expect("long enough") - 1.0).abs() < 1e-9);
        assert!((stoi(&signal, &quiet, RATE).expect("long enough") - 1.0).abs() < 1e-6);
    }

    #[test]
    fn more_noise_is_less_intelligible() {
        let signal = syllables(20_000);
        let scores = [0.02, 0.1, 0.3, 1.0, 3.0]
            .map(|gain| stoi(&signal, &with_noise(&signal, gain), RATE).expect("long enough"));
        assert!(scores.is_sorted_by(|a, b| a > b), "{scores:?}");
        assert!(scores[0] > 0.98 && scores[4] < 0.5, "{scores:?}");
    }

    #[test]
    fn silence_and_other_sound_score_nothing() {
        let signal = syllables(20_000);
        assert!(stoi(&signal, &[], RATE).expect("long enough").abs() < 1e-9);
        assert!(stoi(&signal, &noise(20_000, 9), RATE).expect("long enough") < 0.5);
    }

    #[test]
    fn too_little_sound_is_an_error() {
        assert_eq!(stoi(&[], &[], RATE), Err(StoiError::TooShort));
        assert_eq!(stoi(&syllables(3_000), &[], RATE), Err(StoiError::TooShort));
        assert_eq!(stoi(&[1.0], &[1.0], 0), Err(StoiError::NoRate));
    }
}
