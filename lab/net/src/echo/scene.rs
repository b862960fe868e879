//! Who speaks when, and what the microphone takes of it.

use super::room::{Noise, Path};
use super::{RATE, decibels, ratio};

/// The room itself, in the microphone: dBFS.
const FLOOR_DB: f64 = -75.0;
/// A voice that speaks, dBFS on average over its louder frames.
pub const VOICE_DB: f64 = -26.0;
/// What is this far below the loudest 20 ms is a pause, dB.
const PAUSE_DB: f64 = 35.0;

/// Three signals of one length at 48 kHz.
#[derive(Debug)]
pub struct Scene {
    /// What is played.
    pub far: Vec<f32>,
    /// What is said here.
    pub near: Vec<f32>,
    /// What is heard of the far end.
    pub echo: Vec<f32>,
    /// All of it, and the room's noise.
    pub microphone: Vec<f32>,
}

/// The pieces a scene is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// What the far end says.
    pub far: &'a [f32],
    /// What is said here, from so many seconds on.
    pub near: Option<(&'a [f32], f64)>,
    /// How much softer the echo is than a voice, dB.
    pub softer_db: f64,
}

impl Scene {
    /// Through that path.
    pub fn new(parts: Parts<'_>, path: &Path, seed: u64) -> Self {
        let far = at_level(parts.far, VOICE_DB);
        let echo = path.echo(&far, seed);
        let echo = at_level(&echo, VOICE_DB - parts.softer_db);
        let mut near = vec![0.0; far.len()];
        if let Some((said, from)) = parts.near {
            let said = at_level(said, VOICE_DB);
            let from = (from * f64::from(RATE)) as usize;
            for (to, from) in near.iter_mut().skip(from).zip(said) {
                *to = from;
            }
        }
        let mut noise = Noise::new(seed + 1);
        let floor = ratio(FLOOR_DB);
        let microphone = near
            .iter()
            .zip(&echo)
            .map(|(near, echo)| near + echo + (noise.next() * floor) as f32)
            .collect();
        Self {
            far,
            near,
            echo,
            microphone,
        }
    }
}

/// Loudness of what is no pause, dBFS.
pub fn level(sound: &[f32]) -> f64 {
    let powers: Vec<f64> = sound.chunks(960).map(power).collect();
    let most = powers.iter().copied().fold(0.0, f64::max);
    let least = most * 10_f64.powf(-PAUSE_DB / 10.0);
    let loud: Vec<f64> = powers.into_iter().filter(|power| *power > least).collect();
    decibels(loud.iter().sum::<f64>() / loud.len().max(1) as f64)
}

fn at_level(sound: &[f32], wanted: f64) -> Vec<f32> {
    if sound.iter().all(|x| *x == 0.0) {
        return sound.to_vec();
    }
    let gain = ratio(wanted - level(sound)) as f32;
    sound.iter().map(|x| x * gain).collect()
}

/// Mean of the squares.
pub fn power(sound: &[f32]) -> f64 {
    let sum: f64 = sound.iter().map(|x| f64::from(*x).powi(2)).sum();
    sum / sound.len().max(1) as f64
}
