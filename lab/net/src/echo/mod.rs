//! What is left of an echo: real speech through made-up rooms into the processing of a call's microphone. Nothing is played,
//! and no clock waits: the figures are of the signals alone. Sound is mono at 48 kHz.

mod codec;
mod judge;
mod room;
mod scene;
mod table;

pub use judge::{Double, Single, double, single};
pub use room::{Path, Room};
pub use scene::{Parts, Scene};
pub use table::{alone, rows};

use std::time::Duration;

use starling_audio::opus::OpusError;
use starling_audio::processing::{Processing, Settings};

use crate::resample::resample;
use crate::score::Recording;
use crate::stoi::StoiError;
use crate::story::speech;
use crate::voice::{Scorer, ScorerError};

/// Samples a second.
pub const RATE: u32 = 48_000;
/// Samples that the processing takes at a time.
const FRAME: usize = 960;
/// When the near end begins to speak, s: until then the canceller has learnt.
pub const SPEAKS_FROM: f64 = 10.0;
/// When the delay grows, s, and by how much, ms.
pub const CHANGE: (f64, f64) = (12.0, 100.0);

/// The rooms of the table.
pub const ROOMS: [Room; 3] = [
    room("study, 120 ms", 120.0, 6.0, 60.0),
    room("office, 250 ms", 250.0, 3.0, 110.0),
    room("hall, 500 ms", 500.0, 0.0, 180.0),
];

const fn room(about: &'static str, decay_ms: f64, direct_db: f64, delay_ms: f64) -> Room {
    Room {
        about,
        decay_ms,
        direct_db,
        delay_ms,
    }
}

/// Two voices.
#[derive(Debug)]
pub struct Voices {
    /// 24.7 s of somebody who reads.
    pub far: Vec<f32>,
    /// 9.7 s of somebody else.
    pub near: Vec<f32>,
}

impl Voices {
    /// From the Debian package.
    pub fn read() -> Result<Self, speech::SpeechError> {
        let whole = |recordings: Vec<Recording>| {
            let joined: Vec<f32> = recordings
                .iter()
                .flat_map(|recording| recording.samples.clone())
                .collect();
            resample(&joined, 16_000, RATE)
        };
        Ok(Self {
            far: whole(speech::reader()?),
            near: whole(speech::speaker()?),
        })
    }
}

/// How much softer the echo is at the microphone than the voice of who sits there, dB.
const SOFTER_DB: f64 = 6.0;
/// The canceller's and the suppressor's, in samples: what comes out is compared with what went in so much earlier.
const LATE: usize = 576;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// The way of the echo.
    pub path: Path,
    /// Only the far end speaks.
    pub single: Single,
    /// The same, after the delay has grown.
    pub again: f64,
    /// Both do.
    pub double: Double,
}

/// The near end alone.
#[derive(Debug, Clone, Copy)]
pub struct Alone {
    /// Through the processing, and through the codec besides.
    pub pesq: Option<[f64; 2]>,
    /// Percent of a core, both speaking.
    pub processing: f64,
    /// Percent of a core, both ways.
    pub codec: f64,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// No speech.
    #[error(transparent)]
    Speech(#[from] speech::SpeechError),
    /// Too little of it.
    #[error(transparent)]
    Stoi(#[from] StoiError),
    /// The codec.
    #[error(transparent)]
    Opus(#[from] OpusError),
    /// PESQ.
    #[error(transparent)]
    Scorer(#[from] ScorerError),
    /// A recording for it.
    #[error("cannot write a recording: {0}")]
    Write(#[from] hound::Error),
    /// Where it lies.
    #[error("there is no place for recordings: {0}")]
    Folder(#[from] std::io::Error),
}

/// Each room, with a good loudspeaker and a poor one, with one clock and two.
pub fn measure(voices: &Voices, settings: Settings) -> Result<Vec<Measured>, EchoError> {
    let mut rows = Vec::new();
    for room in ROOMS {
        for (distorts, drift) in [(false, 0.0), (true, 0.0), (false, 100.0), (true, 100.0)] {
            let path = Path {
                room,
                distorts,
                drift,
                change: None,
            };
            rows.push(one(voices, path, settings)?);
        }
    }
    Ok(rows)
}

fn one(voices: &Voices, path: Path, settings: Settings) -> Result<Measured, EchoError> {
    let parts = Parts {
        far: &voices.far,
        near: None,
        softer_db: SOFTER_DB,
    };
    let changing = Path {
        change: Some(CHANGE),
        ..path
    };
    let both = Parts {
        near: Some((&voices.near, SPEAKS_FROM)),
        ..parts
    };
    let judged = |path: &Path| {
        let scene = Scene::new(parts, path, 1);
        single(
            &scene,
            &run(&scene, settings).0,
            LATE,
            path.change.is_some(),
        )
    };
    let scene = Scene::new(both, &path, 1);
    Ok(Measured {
        path,
        single: judged(&path),
        again: judged(&changing).again,
        double: double(&scene, &run(&scene, settings).0)?,
    })
}

/// The near end alone, with PESQ where there is a program for it; and the processor's time while both speak.
pub fn near_alone(
    voices: &Voices,
    settings: Settings,
    scorer: Option<&Scorer>,
) -> Result<Alone, EchoError> {
    let path = Path {
        room: ROOMS[1],
        distorts: true,
        drift: 0.0,
        change: None,
    };
    let silence = vec![0.0; voices.far.len()];
    let alone = Parts {
        far: &silence,
        near: Some((&voices.far, 0.0)),
        softer_db: SOFTER_DB,
    };
    let scene = Scene::new(alone, &path, 1);
    let (out, _) = run(&scene, settings);
    let (heard, codec) = codec::there_and_back(&out)?;
    let both = Parts {
        far: &voices.far,
        near: Some((&voices.near, SPEAKS_FROM)),
        softer_db: SOFTER_DB,
    };
    let (_, processing) = run(&Scene::new(both, &path, 1), settings);
    let share =
        |time: Duration| 100.0 * time.as_secs_f64() * f64::from(RATE) / voices.far.len() as f64;
    let pesq = scorer
        .map(|scorer| {
            let pesq = |sound| score(scorer, &scene.near, sound);
            Ok::<_, EchoError>([pesq(&out)?, pesq(&heard)?])
        })
        .transpose()?;
    Ok(Alone {
        pesq,
        processing: share(processing),
        codec: share(codec),
    })
}

/// Where the third utterance begins and the fifth ends, s: what came before is not judged.
const JUDGED: (f64, f64) = (10.09, 24.5);

fn score(scorer: &Scorer, said: &[f32], heard: &[f32]) -> Result<f64, EchoError> {
    let folder = tempfile::tempdir()?;
    let [reference, recorded] = ["said.wav", "heard.wav"].map(|name| folder.path().join(name));
    let write = |samples: Vec<f32>, rate, path: &std::path::Path| {
        Recording { samples, rate }.write_wav(path)
    };
    write(resample(said, RATE, 16_000), 16_000, &reference)?;
    write(heard.to_vec(), RATE, &recorded)?;
    let scores = scorer.judge()?.score(&reference, &recorded, &[JUDGED])?;
    Ok(scores.pesq.first().copied().unwrap_or_default())
}

/// What the processing makes of a scene, and the processor's time for it.
pub fn run(scene: &Scene, settings: Settings) -> (Vec<f32>, Duration) {
    let mut processing = Processing::new(settings);
    let mut out = Vec::with_capacity(scene.microphone.len());
    let before = processor_time();
    for (far, near) in scene
        .far
        .chunks_exact(FRAME)
        .zip(scene.microphone.chunks_exact(FRAME))
    {
        let mut frame = [0.0; FRAME];
        frame.copy_from_slice(far);
        processing.far_end(&frame);
        frame.copy_from_slice(near);
        processing.near_end(&mut frame);
        out.extend_from_slice(&frame);
    }
    (out, processor_time().saturating_sub(before))
}

/// Of this thread.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// Of a power.
fn decibels(power: f64) -> f64 {
    10.0 * power.max(1e-12).log10()
}

/// Of an amplitude.
fn ratio(decibels: f64) -> f64 {
    10_f64.powf(decibels / 20.0)
}
