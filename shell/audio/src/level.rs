//! How loud sound is, in dBFS: decibels below the largest sample there can be. A sine of that size has a level of -3.

use crate::tame;

/// Nothing is shown as quieter.
pub const SILENCE_DBFS: f32 = -96.0;

/// Of one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Root mean square.
    pub rms_dbfs: f32,
    /// The largest sample.
    pub peak_dbfs: f32,
}

impl Level {
    /// Measures it.
    pub fn of(samples: &[f32]) -> Self {
        let (mut sum, mut peak) = (0.0_f32, 0.0_f32);
        for sample in samples.iter().map(|sample| tame(*sample)) {
            sum += sample * sample;
            peak = peak.max(sample.abs());
        }
        let mean = sum / samples.len().max(1) as f32;
        Self {
            rms_dbfs: dbfs(mean.sqrt()),
            peak_dbfs: dbfs(peak),
        }
    }
}

fn dbfs(amplitude: f32) -> f32 {
    (20.0 * amplitude.log10()).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_sine_has_minus_three_and_silence_the_floor() {
        let sine: Vec<f32> = (0..960)
            .map(|n| (n as f32 * std::f32::consts::TAU / 48.0).sin())
            .collect();
        let level = Level::of(&sine);
        assert!(
            (level.rms_dbfs + 3.01).abs() < 0.01 && level.peak_dbfs.abs() < 0.01,
            "{level:?}"
        );
        let half: Vec<f32> = sine.iter().map(|sample| sample / 2.0).collect();
        assert!((Level::of(&half).peak_dbfs + 6.02).abs() < 0.01);
        let floor = Level {
            rms_dbfs: SILENCE_DBFS,
            peak_dbfs: SILENCE_DBFS,
        };
        assert_eq!(
            [
                Level::of(&[0.0; 960]),
                Level::of(&[]),
                Level::of(&[f32::NAN])
            ],
            [floor; 3]
        );
    }
}
