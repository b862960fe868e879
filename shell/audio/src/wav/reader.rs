//! Plays a WAV file: any rate and width comes out as frames of 20 ms, mono, 48 kHz. Holds a hundredth of a second of the file
//! in memory, however long it is.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::Path;
use std::time::Duration;

use super::WavError;
use super::riff::{self, Format};
use crate::resample::Resampler;
use crate::{FRAME_SAMPLES, SAMPLE_RATE, tame};

/// A WAV file being played.
#[derive(Debug)]
pub struct WavReader<R = BufReader<File>> {
    source: R,
    format: Format,
    /// Frames of the file not read yet.
    unread: u64,
    duration: Duration,
    /// Samples not handed out yet.
    remaining: u64,
    resampler: Resampler,
    bytes: Vec<u8>,
    mono: Vec<f32>,
}

impl WavReader {
    /// Opens a file and checks its headers.
    pub fn open(path: impl AsRef<Path>) -> Result<WavReader, WavError> {
        // Opening a pipe would wait for somebody to write into it.
        if !std::fs::metadata(&path)?.is_file() {
            return Err(WavError::NotAFile);
        }
        WavReader::new(BufReader::new(File::open(path)?))
    }
}

impl<R: Read + Seek> WavReader<R> {
    /// Reads from anything that holds a WAV file.
    pub fn new(mut source: R) -> Result<WavReader<R>, WavError> {
        let layout = riff::read_headers(&mut source)?;
        let rate = layout.format.rate;
        let chunk = rate.div_ceil(100) as usize;
        Ok(WavReader {
            source,
            format: layout.format,
            unread: layout.frames,
            duration: Duration::from_secs_f64(layout.frames as f64 / f64::from(rate)),
            // At most 2^32 frames, so this stays far below 2^64.
            remaining: (layout.frames * u64::from(SAMPLE_RATE) + u64::from(rate) / 2)
                / u64::from(rate),
            resampler: Resampler::new(rate, SAMPLE_RATE),
            bytes: vec![0; chunk * layout.format.frame_bytes()],
            mono: Vec::with_capacity(chunk),
        })
    }

    /// How long the whole file plays.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Fills `out` with what comes next; returns how many samples of it are the file's, the rest being silence. 0 at the end.
    pub fn read(&mut self, out: &mut [f32; FRAME_SAMPLES]) -> Result<usize, WavError> {
        let wanted = out
            .len()
            .min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        while self.resampler.ready() < wanted {
            self.refill()?;
        }
        let filled = self.resampler.pop(&mut out[..wanted]);
        // The filter may overshoot what the file holds.
        out[..filled]
            .iter_mut()
            .for_each(|sample| *sample = tame(*sample));
        out[filled..].fill(0.0);
        self.remaining -= filled as u64;
        Ok(filled)
    }

    fn refill(&mut self) -> Result<(), WavError> {
        let frame_bytes = self.format.frame_bytes();
        let room = self.bytes.len() / frame_bytes;
        let frames = usize::try_from(self.unread).map_or(room, |unread| unread.min(room));
        if frames == 0 {
            self.resampler.flush();
            return Ok(());
        }
        let bytes = &mut self.bytes[..frames * frame_bytes];
        if let Err(error) = self.source.read_exact(bytes) {
            return Err(match error.kind() {
                ErrorKind::UnexpectedEof => WavError::Truncated {
                    missing: self.unread * frame_bytes as u64,
                },
                _ => error.into(),
            });
        }
        self.unread -= frames as u64;
        self.mono.clear();
        self.format.mix(bytes, &mut self.mono);
        self.resampler.push(&self.mono);
        Ok(())
    }
}
