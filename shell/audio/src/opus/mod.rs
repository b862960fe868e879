//! The Opus codec (RFC 6716) through libopus 1.6: mono, 48 kHz, 20 ms packets, tuned for speech. Lost packets are replaced
//! by in-band redundancy (FEC) where the next packet carries it, else by the decoder's neural concealment.

mod ffi;

use crate::{FRAME_SAMPLES, tame};
use ffi::{RawDecoder, RawEncoder};

/// No packet of ours is longer, and none that arrives in a datagram can be.
pub const PAYLOAD_MAX: usize = 1500;
/// What libopus accepts, bits per second.
pub const BITRATE_MIN: u32 = 6_000;
/// What libopus accepts for one channel, bits per second.
pub const BITRATE_MAX: u32 = 256_000;

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
    /// Expected loss in percent: above 0, packets carry a coarse copy of the one before.
    pub fec_loss_percent: u8,
    /// Send next to nothing during silence: packets of one or two bytes.
    pub dtx: bool,
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
        encoder.raw.set_dtx(settings.dtx)?;
        encoder.set_bitrate(settings.bitrate)?;
        encoder.set_expected_loss(settings.fec_loss_percent)?;
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

    /// Changes the target from the next packet on, bits per second.
    pub fn set_bitrate(&mut self, bitrate: u32) -> Result<(), OpusError> {
        within("bit rate", bitrate, BITRATE_MIN, BITRATE_MAX)?;
        self.raw.set_bitrate(bitrate)
    }

    /// Changes the expected loss in percent; 0 switches redundancy off.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), OpusError> {
        within("expected loss", percent.into(), 0, 100)?;
        self.raw.set_fec(percent > 0)?;
        self.raw.set_expected_loss(percent)
    }
}

/// Decodes one stream. Whatever comes in, every call fills its frame with sound.
#[derive(Debug)]
pub struct Decoder {
    raw: RawDecoder,
}

impl Decoder {
    /// A new stream.
    pub fn new() -> Result<Decoder, OpusError> {
        let mut raw = RawDecoder::new()?;
        raw.set_complexity(DECODER_COMPLEXITY)?;
        Ok(Decoder { raw })
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
