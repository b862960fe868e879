//! Where a call's sound comes from and goes to, checked when the person asks for it: a mistyped file name is said before
//! anybody's telephone rings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use starling_audio::wav::WavReader;
use starling_control::command::Sound;
use starling_control::{ErrorKind, Failure};
use starling_media::rate::{LEAST, MOST};

/// Where the sound for the other side comes from.
#[derive(Debug)]
pub enum Source {
    /// The system's microphone.
    Microphone,
    /// A file, then silence.
    File(WavReader),
    /// What is heard.
    Echo,
}

/// Where the other side's sound goes.
#[derive(Debug)]
pub enum Sink {
    /// The system's speaker.
    Speaker,
    /// A file that does not exist yet.
    File(PathBuf),
    /// Nowhere but back (echo).
    Nowhere,
}

/// Ready for a call.
#[derive(Debug)]
pub struct Prepared {
    /// In.
    pub source: Source,
    /// Out.
    pub sink: Sink,
    /// Hang up after so much conversation.
    pub limit: Option<Duration>,
    /// Send with so many bits a second at most.
    pub most: u32,
    /// Write down in this file when frames come and go.
    pub trace: Option<PathBuf>,
    /// Whether a file is processed as a microphone's sound is.
    pub processed: bool,
}

/// Checks what was asked for.
pub fn prepare(sound: &Sound) -> Result<Prepared, Failure> {
    let source = match &sound.play {
        _ if sound.echo => Source::Echo,
        Some(file) => Source::File(open(absolute(file)?)?),
        None => Source::Microphone,
    };
    let sink = match &sound.record {
        Some(file) => Sink::File(free(absolute(file)?)?),
        None if sound.echo => Sink::Nowhere,
        None => Sink::Speaker,
    };
    Ok(Prepared {
        source,
        sink,
        limit: sound.limit_ms.map(Duration::from_millis),
        most: most(sound.max_kbits)?,
        trace: sound
            .trace
            .as_deref()
            .map(|file| free(absolute(file)?))
            .transpose()?,
        processed: sound.processed,
    })
}

fn most(kbits: Option<u32>) -> Result<u32, Failure> {
    let Some(kbits) = kbits else {
        return Ok(MOST);
    };
    let bits = kbits.saturating_mul(1_000);
    if (LEAST..=MOST).contains(&bits) {
        return Ok(bits);
    }
    let (least, most) = (LEAST / 1_000, MOST / 1_000);
    let sentence = format!("a call is sent with {least} to {most} kbit/s, not {kbits}");
    Err(Failure::new(ErrorKind::Usage, sentence))
}

fn absolute(file: &str) -> Result<&Path, Failure> {
    let path = Path::new(file);
    if path.is_absolute() {
        return Ok(path);
    }
    let sentence = format!("{file} has to be an absolute path");
    Err(Failure::new(ErrorKind::Usage, sentence))
}

fn open(path: &Path) -> Result<WavReader, Failure> {
    WavReader::open(path).map_err(|error| {
        let sentence = format!("{} cannot be played: {error}", path.display());
        Failure::new(ErrorKind::Usage, sentence)
    })
}

fn free(path: &Path) -> Result<PathBuf, Failure> {
    if path.symlink_metadata().is_ok() {
        let sentence = format!("{} exists already; nothing is overwritten", path.display());
        return Err(Failure::new(ErrorKind::State, sentence));
    }
    if path.parent().is_none_or(|folder| !folder.is_dir()) {
        let sentence = format!("the folder of {} does not exist", path.display());
        return Err(Failure::new(ErrorKind::NotFound, sentence));
    }
    Ok(path.to_owned())
}
