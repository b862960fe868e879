//! Each fuzz body over mutated valid inputs.

use std::path::Path;

use starling_audio::fuzz;
use starling_audio::opus::{Decoder, Encoder, EncoderSettings, PAYLOAD_MAX, Protection};

use crate::mutator;

/// Packets of a tone that grows out of noise, at rates from narrow to full band, with and without redundancy.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut buffer = [0; PAYLOAD_MAX];
    for (bitrate, expected_loss, fec, deep_ms) in [
        (6_000, 0, false, 0),
        (12_000, 30, true, 0),
        (24_000, 20, true, 0),
        (32_000, 20, false, 300),
        (64_000, 0, false, 0),
    ] {
        let mut encoder = Encoder::new(EncoderSettings {
            bitrate,
            complexity: 5,
            protection: Protection {
                expected_loss,
                fec,
                deep_ms,
            },
        })
        .expect("settings within range");
        encoder.set_dtx(true).expect("a switch");
        let mut noise = 1_u32;
        for frame in 0..20 {
            let pcm = std::array::from_fn(|at| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = (noise >> 16) as f32 / 65_536.0 - 0.5;
                let tone = ((frame * 960 + at) as f32 * 0.03).sin();
                0.1 * hiss + tone * frame as f32 / 40.0
            });
            let length = encoder.encode(&pcm, &mut buffer).expect("it encodes");
            packets.push(buffer[..length].to_vec());
        }
    }
    packets
}

#[test]
fn voice_packets() {
    let mut decoder = Decoder::new().expect("a decoder");
    mutator::run(1, &packets(), |data| fuzz::decode(&mut decoder, data));
}

#[test]
fn wav_files() {
    mutator::run(2, &corpus("wav", 8), fuzz::wav);
}

/// What PulseAudio 16 sends to one who looks, one who plays and one who records.
#[test]
fn audio_10_a_sound_servers_messages() {
    mutator::run(3, &corpus("sound_server", 3), fuzz::sound_server);
}

fn corpus(folder: &str, files: usize) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut corpus: Vec<Vec<u8>> = std::fs::read_dir(corpus.join(folder))
        .expect("the corpus is committed")
        .map(|entry| std::fs::read(entry.expect("a file").path()).expect("it reads"))
        .collect();
    corpus.sort();
    assert!(corpus.len() >= files, "{} files", corpus.len());
    corpus
}
