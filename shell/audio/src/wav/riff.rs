//! Where the sound lies in a WAV file and how its samples are written. Reads a bounded number of small pieces, whatever the
//! file claims.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;

use super::WavError;
use crate::resample::RATES;
use crate::tame;

const CHANNELS: RangeInclusive<u16> = 1..=8;
/// No honest file has more chunks before its sound.
const CHUNKS_MAX: usize = 1_000;
/// The longest format chunk that means something: WAVEFORMATEXTENSIBLE.
const FORMAT_MAX: usize = 40;
/// From here on a length says "I could not go back to write it": the sound ends with the file.
const OPEN_ENDED: u64 = 0x7fff_0000;

const TAG_PCM: u16 = 1;
const TAG_FLOAT: u16 = 3;
const TAG_EXTENSIBLE: u16 = 0xfffe;
/// The part of an extensible format's identifier that follows the tag, for all formats that have a tag.
const SUBFORMAT_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/// How one sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    U8,
    I16,
    I24,
    I32,
    F32,
}

/// How the sound is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Samples per second.
    pub(super) rate: u32,
    channels: u16,
    width: Width,
}

/// What the headers say, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) format: Format,
    /// Samples per channel.
    pub(super) frames: u64,
}

/// Reads the headers and leaves `source` at the first sample.
pub(super) fn read_headers(source: &mut (impl Read + Seek)) -> Result<Layout, WavError> {
    let size = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(0))?;
    let mut head = [0; 12];
    read_or(source, &mut head, WavError::NotWav)?;
    match (&head[..4], &head[8..]) {
        (b"RIFF", b"WAVE") => {}
        (b"RF64" | b"RIFX", b"WAVE") => {
            return Err(WavError::Format("64-bit or big-endian RIFF".into()));
        }
        _ => return Err(WavError::NotWav),
    }
    let mut at = head.len() as u64;
    let mut format = None;
    for _ in 0..CHUNKS_MAX {
        let mut header = [0; 8];
        read_or(source, &mut header, WavError::Damaged("it holds no sound"))?;
        at += header.len() as u64;
        let length = u64::from(u32_at(&header, 4));
        match &header[..4] {
            b"fmt " => format = Some(read_format(source, length)?),
            b"data" => {
                let format =
                    format.ok_or(WavError::Damaged("the sound comes before its format"))?;
                let frames = frames(format, length, size.saturating_sub(at))?;
                return Ok(Layout { format, frames });
            }
            _ => {}
        }
        // Chunks begin at even places.
        at += length + length % 2;
        source.seek(SeekFrom::Start(at))?;
    }
    Err(WavError::Damaged("it has too many parts"))
}

fn frames(format: Format, claimed: u64, there: u64) -> Result<u64, WavError> {
    let length = if claimed <= there {
        claimed
    } else if claimed >= OPEN_ENDED {
        there.min(u64::from(u32::MAX))
    } else {
        return Err(WavError::Truncated {
            missing: claimed - there,
        });
    };
    Ok(length / format.frame_bytes() as u64)
}

fn read_format(source: &mut impl Read, length: u64) -> Result<Format, WavError> {
    let length = usize::try_from(length).map_or(FORMAT_MAX, |length| length.min(FORMAT_MAX));
    if length < 16 {
        return Err(WavError::Damaged("its format is too short"));
    }
    let mut chunk = [0; FORMAT_MAX];
    read_or(
        source,
        &mut chunk[..length],
        WavError::Damaged("its format is cut off"),
    )?;
    let tag = match u16_at(&chunk, 0) {
        TAG_EXTENSIBLE if chunk[26..] == SUBFORMAT_TAIL => u16_at(&chunk, 24),
        tag => tag,
    };
    let (channels, rate) = (u16_at(&chunk, 2), u32_at(&chunk, 4));
    let (block, bits) = (u16_at(&chunk, 12), u16_at(&chunk, 14));
    if !CHANNELS.contains(&channels) {
        return Err(WavError::Channels(channels));
    }
    if !RATES.contains(&rate) {
        return Err(WavError::Rate(rate));
    }
    let width = match (tag, bits) {
        (TAG_PCM, 8) => Width::U8,
        (TAG_PCM, 16) => Width::I16,
        (TAG_PCM, 24) => Width::I24,
        (TAG_PCM, 32) => Width::I32,
        (TAG_FLOAT, 32) => Width::F32,
        (TAG_PCM, bits) => return Err(WavError::Format(format!("{bits} bits a sample"))),
        (TAG_FLOAT, bits) => return Err(WavError::Format(format!("{bits}-bit float"))),
        (tag, _) => return Err(WavError::Format(format!("codec number {tag:#06x}"))),
    };
    let format = Format {
        rate,
        channels,
        width,
    };
    if usize::from(block) != format.frame_bytes() {
        return Err(WavError::Damaged("its format contradicts itself"));
    }
    Ok(format)
}

impl Format {
    /// Bytes of one sample of every channel: at most 32.
    pub(super) fn frame_bytes(self) -> usize {
        usize::from(self.channels) * self.width.bytes()
    }

    /// Mixes whole frames down to mono.
    pub(super) fn mix(self, bytes: &[u8], mono: &mut Vec<f32>) {
        let share = 1.0 / f32::from(self.channels);
        mono.extend(bytes.chunks_exact(self.frame_bytes()).map(|frame| {
            let samples = frame.chunks_exact(self.width.bytes());
            let sum: f32 = samples.map(|bytes| tame(self.width.sample(bytes))).sum();
            sum * share
        }));
    }
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Width::U8 => 1,
            Width::I16 => 2,
            Width::I24 => 3,
            Width::I32 | Width::F32 => 4,
        }
    }

    /// `bytes` has this width's length.
    fn sample(self, bytes: &[u8]) -> f32 {
        match *bytes {
            [a] => (f32::from(a) - 128.0) / 128.0,
            [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32_768.0,
            [a, b, c] => i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0,
            [a, b, c, d] if self == Width::F32 => f32::from_le_bytes([a, b, c, d]),
            [a, b, c, d] => i32::from_le_bytes([a, b, c, d]) as f32 / 2_147_483_648.0,
            _ => 0.0,
        }
    }
}

fn read_or(source: &mut impl Read, bytes: &mut [u8], at_end: WavError) -> Result<(), WavError> {
    match source.read_exact(bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(at_end),
        result => Ok(result?),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
