//! The Opus codec (RFC 6716) through libopus 1.6: mono, 48 kHz, 20 ms packets, tuned for speech. Lost packets are replaced
//! by in-band redundancy (FEC) where the next packet carries it, by deep redundancy (DRED) of a later one, else by the decoder's
//! neural concealment.

mod deep;
mod ffi;

use crate::{FRAME_SAMPLES, tame};
use deep::Deep;
use ffi::{RawDecoder, RawEncoder};

/// No packet of ours is longer, and none that arrives in a datagram can be.
pub const PAYLOAD_MAX: usize = 1500;
/// What libopus accepts, bits per second.
pub const BITRATE_MIN: u32 = 6_000;
/// What libopus accepts for one channel, bits per second.
pub const BITRATE_MAX: u32 = 256_000;

/// What one packet can describe of the past at most.
pub const DEEP_MAX_MS: u16 = 1_000;

/// Complexity from which libopus conceals losses with its neural network; 6 would begin to alter intact packets too.
const DECODER_COMPLEXITY: u8 = 5;

/// Why the codec refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// A setting outside its range.
    #[error("{what} {value} is outside {min} to {max}")]
    Setting {
        /// Which one.
        what: &'static str,
        /// What was asked.
        value: u32,
        /// The least allowed.
        min: u32,
        /// The most allowed.
        max: u32,
    },
    /// The buffer for the packet is too small for it.
    #[error("{0} bytes are too few for an Opus packet")]
    Room(usize),
    /// A payload of no bytes, or of more than [`PAYLOAD_MAX`].
    #[error("a voice packet of {0} bytes was refused")]
    Length(usize),
    /// A payload that lasts longer or shorter than one frame.
    #[error("a voice packet of {0} samples at 48 kHz was refused: Starling's have 960")]
    Duration(usize),
    /// Bytes that are not Opus.
    #[error("a damaged voice packet was refused")]
    Damaged,
    /// libopus failed in itself.
    #[error("the voice codec failed (libopus error {0})")]
    Library(i32),
}

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Target, bits per second.
    pub bitrate: u32,
    /// 0 (cheap) to 10 (best).
    pub complexity: u8,
    /// Against losses.
    pub protection: Protection,
}

/// What is spent against losses. The bytes are taken out of the bit rate, so on a clean path it costs quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Protection {
    /// Expected loss in percent. libopus spends more the higher it is, and on deep redundancy nothing below about 10.
    pub expected_loss: u8,
    /// Packets carry a coarse copy of the frame before (in-band FEC).
    pub fec: bool,
    /// Milliseconds of the past that each packet describes (deep redundancy), at most [`DEEP_MAX_MS`].
    pub deep_ms: u16,
}

/// Encodes one stream.
#[derive(Debug)]
pub struct Encoder {
    raw: RawEncoder,
}

impl Encoder {
    /// A new stream.
    pub fn new(settings: EncoderSettings) -> Result<Encoder, OpusError> {
        within("complexity", settings.complexity.into(), 0, 10)?;
        let mut encoder = Encoder {
            raw: RawEncoder::new()?,
        };
        encoder.raw.set_complexity(settings.complexity)?;
        encoder.set_bitrate(settings.bitrate)?;
        encoder.set_protection(settings.protection)?;
        Ok(encoder)
    }

    /// Encodes one frame into `out`; returns the packet's length.
    pub fn encode(
        &mut self,
        pcm: &[f32; FRAME_SAMPLES],
        out: &mut [u8],
    ) -> Result<usize, OpusError> {
        if out.len() < 2 {
            return Err(OpusError::Room(out.len()));
        }
        self.raw.encode(&pcm.map(tame), out)
    }

    /// From now on next to nothing is made of silence: packets of one or two bytes (DTX). Or of all of it something again.
    pub fn set_dtx(&mut self, on: bool) -> Result<(), OpusError> {
        self.raw.set_dtx(on)
    }

    /// Whether there is anything to be encoded above 8 kHz.
    pub fn set_wide(&mut self, on: bool) -> Result<(), OpusError> {
        self.raw.set_wide(on)
    }

    /// Changes the target from the next packet on, bits per second.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), OpusError> {
        within("bit rate", bitrate, BITRATE_MIN, BITRATE_MAX)?;
        self.raw.set_bitrate(bitrate)
    }

    /// Changes what is spent against losses from the next packet on.
    pub fn set_protection(&mut self, protection: Protection) -> Result<(), OpusError> {
        let Protection {
            expected_loss,
            fec,
            deep_ms,
        } = protection;
        within("expected loss", expected_loss.into(), 0, 100)?;
        within("deep redundancy", deep_ms.into(), 0, DEEP_MAX_MS.into())?;
        self.raw.set_fec(fec)?;
        self.raw.set_expected_loss(expected_loss)?;
        let tens = u8::try_from(deep_ms.div_ceil(10)).unwrap_or(u8::MAX);
        self.raw.set_deep_redundancy(tens)
    }
}

/// Decodes one stream. Whatever comes in, every call fills its frame with sound.
#[derive(Debug)]
pub struct Decoder {
    raw: RawDecoder,
    deep: Deep,
}

impl Decoder {
    /// A new stream.
    pub fn new() -> Result<Decoder, OpusError> {
        let mut raw = RawDecoder::new()?;
        raw.set_complexity(DECODER_COMPLEXITY)?;
        Ok(Decoder {
            raw,
            deep: Deep::new()?,
        })
    }

    /// Decodes a packet. A refused one counts as lost: the frame is concealment.
    pub fn decode(
        &mut self,
        payload: &[u8],
        pcm: &mut [f32; FRAME_SAMPLES],
    ) -> Result<(), OpusError> {
        self.decode_or_conceal(payload, false, pcm)
    }

    /// The lost frame before `next_payload`, from the redundancy in that packet; concealment if it carries none. The packet
    /// itself is to be decoded after.
    pub fn recover(
        &mut self,
        next_payload: &[u8],
        pcm: &mut [f32; FRAME_SAMPLES],
    ) -> Result<(), OpusError> {
        self.decode_or_conceal(next_payload, true, pcm)
    }

    /// The lost frame `back` frames before `later_payload`, from that packet's deep redundancy; concealment if it does not reach
    /// so far. Says whether it did. The packet itself is to be decoded in its turn.
    pub fn recover_deep(
        &mut self,
        later_payload: &[u8],
        back: u8,
        pcm: &mut [f32; FRAME_SAMPLES],
    ) -> Result<bool, OpusError> {
        let read = check(later_payload).and_then(|()| self.deep.read(later_payload, back));
        let decoded = match read {
            Ok(Some(samples)) => self.raw.decode_deep(self.deep.raw(), samples, pcm),
            Ok(None) | Err(_) => {
                self.conceal(pcm);
                return read.map(|_| false);
            }
        };
        match decoded {
            Ok(()) => pcm.iter_mut().for_each(|sample| *sample = tame(*sample)),
            Err(_) => self.conceal(pcm),
        }
        decoded.map(|()| true)
    }

    /// A lost frame, guessed from what was heard before.
    pub fn conceal(&mut self, pcm: &mut [f32; FRAME_SAMPLES]) {
        match self.raw.decode(None, false, pcm) {
            Ok(()) => pcm.iter_mut().for_each(|sample| *sample = tame(*sample)),
            Err(_) => pcm.fill(0.0),
        }
    }

    fn decode_or_conceal(
        &mut self,
        payload: &[u8],
        redundancy: bool,
        pcm: &mut [f32; FRAME_SAMPLES],
    ) -> Result<(), OpusError> {
        let decoded = check(payload).and_then(|()| self.raw.decode(Some(payload), redundancy, pcm));
        match decoded {
            Ok(()) => pcm.iter_mut().for_each(|sample| *sample = tame(*sample)),
            Err(_) => self.conceal(pcm),
        }
        decoded
    }
}

/// Whether a payload carries redundancy for the frame before it.
pub fn carries_redundancy(payload: &[u8]) -> bool {
    check(payload).is_ok() && ffi::has_redundancy(payload)
}

fn check(payload: &[u8]) -> Result<(), OpusError> {
    if payload.is_empty() || payload.len() > PAYLOAD_MAX {
        return Err(OpusError::Length(payload.len()));
    }
    let samples = ffi::packet_samples(payload)?;
    if samples != FRAME_SAMPLES {
        return Err(OpusError::Duration(samples));
    }
    Ok(())
}

fn within(what: &'static str, value: u32, min: u32, max: u32) -> Result<(), OpusError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(OpusError::Setting {
        what,
        value,
        min,
        max,
    })
}

#[cfg(test)]
mod tests;
