//! Whose recorded speech is played: three people, one of them a man, none of it synthetic. 16 kHz, mono.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::actor::ActorError;
use crate::score::Recording;
use crate::story::speech::{self, Parts};

use super::ADAPTATION;

/// Where Debian puts the announcements of telephone exchanges.
const ANNOUNCEMENTS: &str = "/usr/share/asterisk/sounds";
/// How long the two parts of an announcement are that are judged, about.
const PART: Duration = Duration::from_secs(10);
/// A pause is looked for within so long after the time that is wanted.
const SEARCH: Duration = Duration::from_secs(2);
/// So long it must be quiet there.
const QUIET: Duration = Duration::from_millis(150);

/// A person who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A woman who reads a novel in English (LibriVox).
    Reader,
    /// A man who explains an exchange in Italian.
    Carlo,
    /// A woman who does in French.
    June,
}

/// All of them.
pub const SPEAKERS: [Speaker; 3] = [Speaker::Reader, Speaker::Carlo, Speaker::June];

/// What is played in a call.
#[derive(Debug, Clone)]
pub struct Script {
    /// A WAV file.
    pub file: PathBuf,
    /// Its length.
    pub length: Duration,
    /// What of it is judged.
    pub parts: Parts,
}

impl Speaker {
    /// In the table.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Reader => "English, woman",
            Self::Carlo => "Italian, man",
            Self::June => "French, woman",
        }
    }

    /// Writes what this person says into the folder. `python`: one with what `lab/voice/requirements.txt` names.
    pub fn script(self, folder: &Path, python: &Path) -> Result<Script, ActorError> {
        let file = folder.join(format!("{self:?}-says.wav"));
        let (speech, parts) = match self {
            Self::Reader => speech::judged(ADAPTATION).map_err(story)?,
            Self::Carlo => announcement("it_IT_m_Carlo", folder, python)?,
            Self::June => announcement("fr_CA_f_June", folder, python)?,
        };
        speech.write_wav(&file).map_err(story)?;
        let length = speech.samples.len() as f64 / f64::from(speech.rate);
        Ok(Script {
            file,
            length: Duration::from_secs_f64(length),
            parts,
        })
    }
}

/// The longest one of that voice, as much of it as is needed.
fn announcement(
    voice: &str,
    folder: &Path,
    python: &Path,
) -> Result<(Recording, Parts), ActorError> {
    let from = Path::new(ANNOUNCEMENTS)
        .join(voice)
        .join("demo-instruct.g722");
    let decoded = folder.join(format!("{voice}.wav"));
    let run = Command::new(python)
        .arg("lab/voice/decode.py")
        .args([&from, &decoded])
        .output()
        .map_err(story)?;
    if !run.status.success() {
        let words = String::from_utf8_lossy(&run.stderr);
        let last = words.lines().last().unwrap_or_default();
        return Err(story(format!("cannot decode {}: {last}", from.display())));
    }
    let whole = Recording::read_wav(&decoded).map_err(story)?;
    Ok(cut(whole))
}

/// Up to the end of the second part; parts begin and end in pauses.
fn cut(mut speech: Recording) -> (Recording, Parts) {
    let begin = pause_after(&speech, ADAPTATION);
    let middle = pause_after(&speech, begin + PART);
    let end = pause_after(&speech, middle + PART);
    let samples = end.as_secs_f64() * f64::from(speech.rate);
    speech.samples.truncate(samples as usize);
    let [begin, middle, end] = [begin, middle, end].map(|at| at.as_secs_f64());
    (speech, vec![(begin, middle), (middle, end)])
}

/// The middle of the quietest moment soon after that time.
fn pause_after(speech: &Recording, time: Duration) -> Duration {
    let at = |time: Duration| (time.as_secs_f64() * f64::from(speech.rate)) as usize;
    let searched = speech.samples.get(at(time)..at(time + SEARCH));
    let windows = searched.unwrap_or_default().chunks_exact(at(QUIET));
    let loudness = windows.map(|window| window.iter().map(|sample| sample * sample).sum::<f32>());
    let quietest = loudness
        .enumerate()
        .min_by(|(_, one), (_, other)| one.total_cmp(other));
    let number = quietest.map_or(0, |(number, _)| number);
    time + QUIET * u32::try_from(number).unwrap_or(0) + QUIET / 2
}

fn story(error: impl ToString) -> ActorError {
    ActorError::Story(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_begin_and_end_where_nobody_speaks() {
        let rate = 16_000;
        let mut samples = vec![0.5; 40 * rate];
        for pause in [11.0, 21.7, 33.0] {
            let begin = (pause * rate as f64) as usize;
            samples[begin..begin + rate / 2].fill(0.0);
        }
        let speech = Recording {
            samples,
            rate: rate as u32,
        };
        let (speech, parts) = cut(speech);
        let edges = [parts[0].0, parts[0].1, parts[1].1];
        for (edge, pause) in edges.into_iter().zip([11.0, 21.7, 33.0]) {
            assert!((pause..pause + 0.5).contains(&edge), "{edge} at {pause}");
        }
        assert_eq!(speech.samples.len(), (edges[2] * rate as f64) as usize);
    }
}
