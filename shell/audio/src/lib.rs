//! Sound: the Opus codec, WAV files, the tones of a call, the system's microphone and speaker, and what is done with a microphone's
//! sound. All sound that passes through here is mono, 32-bit float between -1 and 1, at 48 kHz, in frames of 20 ms (960 samples). The
//! only crate with unsafe code, all of it in `opus/ffi.rs`.

pub mod devices;
pub mod fuzz;
pub mod hiss;
pub mod level;
pub mod opus;
pub mod processing;
mod resample;
pub mod tones;
pub mod tuning;
pub mod wav;

use starling_media::{FRAME_SAMPLES, SAMPLE_RATE};

/// What is not a number becomes silence, what is too loud becomes as loud as can be.
fn tame(sample: f32) -> f32 {
    if sample.is_finite() {
        sample.clamp(-1.0, 1.0)
    } else {
        0.0
    }
}
