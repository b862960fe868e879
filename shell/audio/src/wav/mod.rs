//! WAV files (RIFF WAVE, Microsoft's "Multimedia Programming Interface" 1.0 with WAVEFORMATEXTENSIBLE), to play into a call
//! and to record one. Files to play come from anywhere and are read by our own short parser: `hound` stops at the pad byte
//! after a chunk of odd length, refuses 32-bit integers in a plain header, and knows no open-ended recording. Files are
//! written with `hound`.

mod reader;
mod riff;
mod writer;

use std::io;

pub use reader::WavReader;
pub use writer::WavWriter;

/// Why a WAV file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The system said no.
    #[error("the file cannot be used: {0}")]
    Io(#[from] io::Error),
    /// A folder, a device or a pipe.
    #[error("this is not an ordinary file")]
    NotAFile,
    /// Recording never overwrites.
    #[error("a file of this name exists already; choose another name")]
    Exists,
    /// It begins with something else.
    #[error("this is not a WAV file")]
    NotWav,
    /// It begins like a WAV file, but the parts do not fit together.
    #[error("the WAV file is damaged: {0}")]
    Damaged(&'static str),
    /// It ends before its header says.
    #[error("the WAV file is cut off: {missing} bytes of its sound are missing")]
    Truncated {
        /// How many bytes.
        missing: u64,
    },
    /// Another codec or sample width.
    #[error(
        "this kind of WAV file is not supported ({0}); \
         use PCM with 8, 16, 24 or 32 bits, or 32-bit float"
    )]
    Format(String),
    /// Outside 8 to 192 kHz.
    #[error("a sample rate of {0} Hz is not supported; use 8,000 to 192,000 Hz")]
    Rate(u32),
    /// None or more than eight.
    #[error("{0} channels are not supported; use 1 to 8")]
    Channels(u16),
    /// A WAV file ends at 4 GiB.
    #[error("the recording is full: a WAV file cannot hold more than 12 hours")]
    Full,
}

#[cfg(test)]
mod tests;
