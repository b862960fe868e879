//! Fuzz bodies: one plain function per parser of outside bytes. They must return for every input; the tests run them over
//! mutated valid inputs, and `cargo fuzz` can call them as they are.

use std::io::Cursor;

use crate::FRAME_SAMPLES;
use crate::devices::pulse;
use crate::opus::{Decoder, carries_redundancy};
use crate::wav::WavReader;

/// Frames read from one fuzzed file: enough to pass its end, whatever its header says.
const FRAMES_READ: usize = 64;

/// One voice packet through a decoder that lives on, as it does in a call.
pub fn decode(decoder: &mut Decoder, data: &[u8]) {
    let mut pcm = [0.0; FRAME_SAMPLES];
    let _ = carries_redundancy(data);
    let _ = decoder.recover(data, &mut pcm);
    assert_tame(&pcm);
    for back in [1, 7, u8::MAX] {
        let _ = decoder.recover_deep(data, back, &mut pcm);
        assert_tame(&pcm);
    }
    let _ = decoder.decode(data, &mut pcm);
    assert_tame(&pcm);
}

/// A WAV file, opened and read.
pub fn wav(data: &[u8]) {
    let Ok(mut reader) = WavReader::new(Cursor::new(data)) else {
        return;
    };
    let mut pcm = [0.0; FRAME_SAMPLES];
    for _ in 0..FRAMES_READ {
        match reader.read(&mut pcm) {
            Ok(0) | Err(_) => return,
            Ok(_) => assert_tame(&pcm),
        }
    }
}

/// What a sound server sends.
pub fn sound_server(data: &[u8]) {
    pulse::read_all(data);
}

fn assert_tame(pcm: &[f32]) {
    assert!(pcm.iter().all(|sample| sample.abs() <= 1.0));
}
