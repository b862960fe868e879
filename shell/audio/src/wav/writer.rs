//! Records into a WAV file: mono, 16 bits, 48 kHz. Once a second the file is brought into order, so whatever happens to the
//! process, the file opens and lacks at most its last second.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind};
use std::path::Path;

use super::WavError;
use crate::{SAMPLE_RATE, tame};

/// Samples that fit with the headers into 4 GiB.
const SAMPLES_MAX: u32 = (u32::MAX - 100) / 2;

/// A WAV file being recorded.
pub struct WavWriter {
    file: hound::WavWriter<BufWriter<File>>,
    unflushed: u32,
}

impl WavWriter {
    /// Creates the file, which must not exist yet.
    pub fn create(path: impl AsRef<Path>) -> Result<WavWriter, WavError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => WavError::Exists,
                _ => error.into(),
            })?;
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::new(BufWriter::new(file), spec).map_err(from_hound)?;
        file.flush().map_err(from_hound)?;
        Ok(WavWriter { file, unflushed: 0 })
    }

    /// Appends samples.
    pub fn write(&mut self, pcm: &[f32]) -> Result<(), WavError> {
        for &sample in pcm {
            if self.file.len() >= SAMPLES_MAX {
                return Err(WavError::Full);
            }
            let scaled = (tame(sample) * 32_768.0).round().min(32_767.0);
            self.file.write_sample(scaled as i16).map_err(from_hound)?;
            self.unflushed += 1;
        }
        if self.unflushed >= SAMPLE_RATE {
            self.file.flush().map_err(from_hound)?;
            self.unflushed = 0;
        }
        Ok(())
    }

    /// Writes what is left and says whether all of it could be written.
    pub fn finish(self) -> Result<(), WavError> {
        self.file.finalize().map_err(from_hound)
    }
}

impl std::fmt::Debug for WavWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavWriter")
            .field("samples", &self.file.len())
            .finish_non_exhaustive()
    }
}

fn from_hound(error: hound::Error) -> WavError {
    match error {
        hound::Error::IoError(error) => error.into(),
        // hound's other errors are about what is asked of it, and we ask the same every time.
        other => std::io::Error::other(other).into(),
    }
}
