//! Human speech to play in calls: LibriVox utterances of the Debian package `pocketsphinx-testdata`,
//! joined and cut to the wanted length, different ones for each side. 16 kHz, mono.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::score::{Recording, ScoreError};

/// Where the package puts them.
pub const FOLDER: &str = "/usr/share/pocketsphinx/test/data/librivox";
/// Joined they last 10.1 s and 11.4 s.
const UTTERANCES: [[&str; 2]; 2] = [["0870", "0880"], ["0890", "0920"]];

const RATE: u32 = 16_000;

/// Why there is no speech.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// Not installed, or not as expected.
    #[error("{0} (is the Debian package pocketsphinx-testdata installed?)")]
    Missing(#[from] ScoreError),
    /// More was asked for than there is.
    #[error("there are only {0:?} of speech")]
    TooShort(Duration),
    /// The disk.
    #[error("cannot write the WAV file {0}: {1}")]
    Write(PathBuf, hound::Error),
}

/// Whose voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// What Alice says.
    Alice,
    /// What Bob says.
    Bob,
}

/// So much speech of a voice.
pub fn speech(voice: Voice, length: Duration) -> Result<Recording, SpeechError> {
    let mut joined = Recording {
        samples: Vec::new(),
        rate: RATE,
    };
    for number in UTTERANCES[voice as usize] {
        let utterance = read(number)?;
        joined.rate = utterance.rate;
        joined.samples.extend(utterance.samples);
    }
    let wanted = (length.as_secs_f64() * f64::from(joined.rate)).round() as usize;
    if joined.samples.len() < wanted {
        let seconds = joined.samples.len() as f64 / f64::from(joined.rate);
        return Err(SpeechError::TooShort(Duration::from_secs_f64(seconds)));
    }
    joined.samples.truncate(wanted);
    Ok(joined)
}

/// All five utterances of the reader, 24.7 s.
pub fn reader() -> Result<Vec<Recording>, SpeechError> {
    let numbers = ["0870", "0880", "0890", "0920", "0930"];
    let read = numbers.into_iter().map(read);
    Ok(read.collect::<Result<_, _>>()?)
}

/// Another voice: five short utterances of somebody who names playing cards, 9.7 s.
pub fn speaker() -> Result<Vec<Recording>, SpeechError> {
    let numbers = 1..=5;
    let read = numbers.map(|number| {
        let name = format!("../cards/{number:03}.wav");
        Recording::read_wav(&Path::new(FOLDER).join(name))
    });
    Ok(read.collect::<Result<_, _>>()?)
}

fn read(number: &str) -> Result<Recording, ScoreError> {
    let name = format!("sense_and_sensibility_01_austen_64kb-{number}.wav");
    Recording::read_wav(&Path::new(FOLDER).join(name))
}

/// Speech to be judged, in seconds: where each part of it begins and ends. No part begins or ends within a sentence, where a judge
/// would hear a cut.
pub type Parts = Vec<(f64, f64)>;

/// Both voices one after the other, after `before` of speech that is not judged.
pub fn judged(before: Duration) -> Result<(Recording, Parts), SpeechError> {
    let whole = |voice| {
        let mut joined = Vec::new();
        for number in UTTERANCES[voice as usize] {
            joined.extend(read(number)?.samples);
        }
        Ok::<_, ScoreError>(joined)
    };
    let both = [whole(Voice::Alice)?, whole(Voice::Bob)?];
    let wanted = (before.as_secs_f64() * f64::from(RATE)).round() as usize;
    let end = both[1].len().saturating_sub(wanted);
    let mut samples = both[1][end..].to_vec();
    let mut parts = Vec::new();
    for part in both {
        let begin = samples.len() as f64 / f64::from(RATE);
        samples.extend(part);
        parts.push((begin, samples.len() as f64 / f64::from(RATE)));
    }
    Ok((
        Recording {
            samples,
            rate: RATE,
        },
        parts,
    ))
}

/// Writes so much speech of a voice as a WAV file.
pub fn write(voice: Voice, length: Duration, path: &Path) -> Result<Recording, SpeechError> {
    let recording = speech(voice, length)?;
    recording
        .write_wav(path)
        .map_err(|error| SpeechError::Write(path.to_owned(), error))?;
    Ok(recording)
}
