//! What Opus does alone on the same lines: in-band FEC told the true loss, the decoder's own concealment, and a buffer that is never
//! too short. No node, no path, no time: for comparison only.

use std::path::Path;
use std::time::Duration;

use starling_audio::opus::{
    Decoder, Encoder, EncoderSettings, PAYLOAD_MAX, Protection, carries_redundancy,
};
use starling_audio::wav::{WavReader, WavWriter};
use starling_media::FRAME_SAMPLES;

use crate::actor::ActorError;
use crate::link_model::{LineModel, Verdict};

use super::Condition;

/// As much as our calls may use.
const BITRATE: u32 = 30_000;
const FRAME: Duration = Duration::from_millis(20);

/// Plays `from` over the condition's line; writes what is heard.
pub fn plain(condition: &Condition, seed: u64, from: &Path, to: &Path) -> Result<(), ActorError> {
    let packets = encode(condition, from)?;
    let mut line = LineModel::new(condition.line, seed);
    let arrived: Vec<Option<Vec<u8>>> = (0_u32..)
        .zip(packets)
        .map(|(number, packet)| {
            let verdict = line.offer(FRAME * number, packet.len());
            matches!(verdict, Verdict::Deliver(_)).then_some(packet)
        })
        .collect();
    decode(&arrived, to)
}

fn encode(condition: &Condition, from: &Path) -> Result<Vec<Vec<u8>>, ActorError> {
    let expected_loss = (condition.loss() * 100.0).round() as u8;
    let mut encoder = Encoder::new(EncoderSettings {
        bitrate: BITRATE,
        complexity: 9,
        protection: Protection {
            expected_loss,
            fec: expected_loss > 0,
            deep_ms: 0,
        },
    })
    .map_err(story)?;
    let mut reader = WavReader::open(from).map_err(story)?;
    let mut packets = Vec::new();
    let mut frame = [0.0; FRAME_SAMPLES];
    while reader.read(&mut frame).map_err(story)? > 0 {
        let mut packet = vec![0; PAYLOAD_MAX];
        let length = encoder.encode(&frame, &mut packet).map_err(story)?;
        packet.truncate(length);
        packets.push(packet);
    }
    Ok(packets)
}

fn decode(arrived: &[Option<Vec<u8>>], to: &Path) -> Result<(), ActorError> {
    let mut decoder = Decoder::new().map_err(story)?;
    let mut writer = WavWriter::create(to).map_err(story)?;
    for (number, packet) in arrived.iter().enumerate() {
        let mut frame = [0.0; FRAME_SAMPLES];
        let next = arrived.get(number + 1).and_then(Option::as_ref);
        match (packet, next) {
            (Some(packet), _) => decoder.decode(packet, &mut frame).map_err(story)?,
            (None, Some(next)) if carries_redundancy(next) => {
                decoder.recover(next, &mut frame).map_err(story)?;
            }
            (None, _) => decoder.conceal(&mut frame),
        }
        writer.write(&frame).map_err(story)?;
    }
    writer.finish().map_err(story)
}

fn story(error: impl ToString) -> ActorError {
    ActorError::Story(error.to_string())
}
