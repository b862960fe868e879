//! The codec behind the processing, for what a call costs and how it sounds.

use std::time::Duration;

use starling_audio::opus::{Decoder, Encoder, EncoderSettings, OpusError, PAYLOAD_MAX, Protection};

use super::{FRAME, processor_time};

/// What a clean path is sent with, bits a second.
const BITRATE: u32 = 30_000;

/// There and back, and the processor's time for both.
pub fn there_and_back(sound: &[f32]) -> Result<(Vec<f32>, Duration), OpusError> {
    let mut encoder = Encoder::new(EncoderSettings {
        bitrate: BITRATE,
        complexity: 9,
        protection: Protection::default(),
    })?;
    let mut decoder = Decoder::new()?;
    let mut heard = Vec::with_capacity(sound.len());
    let before = processor_time();
    for piece in sound.chunks_exact(FRAME) {
        let mut frame = [0.0; FRAME];
        frame.copy_from_slice(piece);
        let mut payload = [0; PAYLOAD_MAX];
        let length = encoder.encode(&frame, &mut payload)?;
        decoder.decode(&payload[..length], &mut frame)?;
        heard.extend_from_slice(&frame);
    }
    Ok((heard, processor_time().saturating_sub(before)))
}
