//! Scoring the recording of a call against what was played into it: when it came, how long it is, and
//! how well it can be understood. Times in seconds.

use std::path::Path;

use serde::Serialize;

use crate::align::align;
use crate::resample::resample;
use crate::stoi::{RATE, StoiError, stoi_at_10k};

/// Sample rates a recording may have, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

/// What a recording is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// How much later than the reference the recording begins; negative if its beginning is missing.
    pub lag: f64,
    /// How far that changes in the course of the recording, as a jitter buffer does on purpose.
    pub lag_drift: f64,
    /// How much longer than the reference the recording is.
    pub length_difference: f64,
    /// Intelligibility, 0..1; from about 0.9 on listeners miss nothing.
    pub stoi: f64,
}

/// Mono sound with its rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Samples in -1..1.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub rate: u32,
}

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The file is not there or not a WAV file.
    #[error("cannot read the WAV file {path}: {source}")]
    Wav {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: hound::Error,
    },
    /// The rate is not one of sound.
    #[error("a sample rate of {0} Hz is outside 8,000 to 192,000 Hz")]
    Rate(u32),
    /// The measure cannot be taken.
    #[error(transparent)]
    Stoi(#[from] StoiError),
}

/// Scores a recording against its reference, both mono and of one rate.
pub fn score_recording(
    reference: &[f32],
    degraded: &[f32],
    rate: u32,
) -> Result<Score, ScoreError> {
    if !RATES.contains(&rate) {
        return Err(ScoreError::Rate(rate));
    }
    let clean = resample(reference, rate, RATE);
    let alignment = align(&clean, &resample(degraded, rate, RATE), RATE);
    let seconds = |samples: f64, rate: u32| samples / f64::from(rate);
    Ok(Score {
        lag: seconds(alignment.lag as f64, RATE),
        lag_drift: seconds(alignment.drift as f64, RATE),
        length_difference: seconds(degraded.len() as f64 - reference.len() as f64, rate),
        stoi: stoi_at_10k(&clean, &alignment.aligned)?,
    })
}

impl Recording {
    /// Reads a WAV file; several channels become one by their mean.
    pub fn read_wav(path: &Path) -> Result<Self, ScoreError> {
        let failed = |source| ScoreError::Wav {
            path: path.display().to_string(),
            source,
        };
        let mut reader = hound::WavReader::open(path).map_err(failed)?;
        let spec = reader.spec();
        if !RATES.contains(&spec.sample_rate) {
            return Err(ScoreError::Rate(spec.sample_rate));
        }
        let interleaved = match spec.sample_format {
            hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<Vec<_>, _>>(),
            hound::SampleFormat::Int => {
                let full_scale = f32::powi(2.0, i32::from(spec.bits_per_sample) - 1);
                reader
                    .samples::<i32>()
                    .map(|sample| sample.map(|value| value as f32 / full_scale))
                    .collect()
            }
        }
        .map_err(failed)?;
        let channels = usize::from(spec.channels.max(1));
        Ok(Self {
            samples: interleaved
                .chunks_exact(channels)
                .map(|frame| frame.iter().sum::<f32>() / channels as f32)
                .collect(),
            rate: spec.sample_rate,
        })
    }

    /// Writes a WAV file of 16-bit samples.
    pub fn write_wav(&self, path: &Path) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: self.rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in &self.samples {
            let scaled = (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round();
            writer.write_sample(scaled as i16)?;
        }
        writer.finalize()
    }

    /// Scores this recording; its rate is brought to the reference's if it differs.
    pub fn score_against(&self, reference: &Self) -> Result<Score, ScoreError> {
        let samples = resample(&self.samples, self.rate, reference.rate);
        score_recording(&reference.samples, &samples, reference.rate)
    }
}
