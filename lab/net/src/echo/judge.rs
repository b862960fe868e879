//! How good that is.

use super::scene::{Scene, power};
use super::{CHANGE, RATE, SPEAKS_FROM, decibels};
use crate::align::best_lag;
use crate::resample::resample;
use crate::stoi::{StoiError, stoi};

/// Echo is judged in pieces of 20 ms.
const PIECE: usize = 960;
/// A piece with this much less echo than the average is a pause, dB.
const PAUSE_DB: f64 = 20.0;

/// Where only the far end speaks: by how many dB what comes out is softer than the echo.
#[derive(Debug, Clone, Copy, Default)]
pub struct Single {
    /// In the first 3 s of its speech.
    pub first: f64,
    /// In the 2 s after these.
    pub third: f64,
    /// From 8 s on, until the delay changes if it does.
    pub steady: f64,
    /// From 3 s after a change on, for 2 s.
    pub again: f64,
}

/// Where both speak.
#[derive(Debug, Clone, Copy)]
pub struct Double {
    /// How well the near end is understood at the microphone (STOI).
    pub microphone: f64,
    /// And after the processing.
    pub out: f64,
    /// How much later it comes out, ms.
    pub late_ms: f64,
    /// How much of the near end's loudness is lost, dB on average over its louder pieces.
    pub lost_db: f64,
}

/// Judges a scene without near end.
pub fn single(scene: &Scene, out: &[f32], late: usize, changes: bool) -> Single {
    let from = |begin: f64, end: f64| {
        reduction(&scene.echo, out.get(late..).unwrap_or_default(), begin, end)
    };
    let begin = scene.echo.iter().position(|x| x.abs() > 0.003);
    let begin = begin.unwrap_or_default() as f64 / f64::from(RATE);
    let end = if changes { CHANGE.0 } else { f64::INFINITY };
    Single {
        first: from(begin, begin + 3.0),
        third: from(begin + 3.0, begin + 5.0),
        steady: from(8.0, end),
        again: from(CHANGE.0 + 3.0, CHANGE.0 + 5.0),
    }
}

fn reduction(echo: &[f32], out: &[f32], begin: f64, end: f64) -> f64 {
    let mean = power(echo);
    let least = mean * 10_f64.powf(-PAUSE_DB / 10.0);
    let (mut heard, mut left) = (0.0, 0.0);
    for (index, (echo, out)) in echo
        .chunks_exact(PIECE)
        .zip(out.chunks_exact(PIECE))
        .enumerate()
    {
        let at = (index * PIECE) as f64 / f64::from(RATE);
        if (begin..end).contains(&at) && power(echo) > least {
            heard += power(echo);
            left += power(out);
        }
    }
    decibels(heard) - decibels(left)
}

/// Judges a scene with both.
pub fn double(scene: &Scene, out: &[f32]) -> Result<Double, StoiError> {
    let from = (SPEAKS_FROM * f64::from(RATE)) as usize;
    let end = scene.near.iter().rposition(|x| x.abs() > 0.001);
    let end = end.unwrap_or(scene.near.len()).max(from);
    let near = &scene.near[from..end];
    let late = lateness(near, &out[from..]);
    let out: Vec<f32> = out[from..]
        .iter()
        .skip(late)
        .take(near.len())
        .copied()
        .collect();
    Ok(Double {
        microphone: stoi(near, &scene.microphone[from..end], RATE)?,
        out: stoi(near, &out, RATE)?,
        late_ms: late as f64 * 1e3 / f64::from(RATE),
        lost_db: lost(near, &out),
    })
}

/// By how many samples it comes later.
pub fn lateness(sent: &[f32], received: &[f32]) -> usize {
    const COARSE: u32 = 16_000;
    let [sent, received] = [sent, received].map(|sound| resample(sound, RATE, COARSE));
    let lag = best_lag(&sent, &received, COARSE);
    usize::try_from(lag).unwrap_or(0) * (RATE / COARSE) as usize
}

fn lost(near: &[f32], out: &[f32]) -> f64 {
    let least = power(near) * 10_f64.powf(-PAUSE_DB / 20.0);
    let pieces = near.chunks_exact(PIECE).zip(out.chunks_exact(PIECE));
    let lost: Vec<f64> = pieces
        .filter(|(near, _)| power(near) > least)
        .map(|(near, out)| decibels(power(near)) - decibels(power(out)))
        .collect();
    lost.iter().sum::<f64>() / lost.len().max(1) as f64
}
