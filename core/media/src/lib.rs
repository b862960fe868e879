//! The voice path between the codec and the network, pure: packets (RFC 3550), the jitter buffer and playout. No socket, no
//! clock, no sound device and no codec: payloads are opaque bytes here, `now` is an argument and a seed the only chance.
//! The protocol stands in `docs/spec/media.md`.
//!
//! - Sending: [`Packetizer`] makes a datagram of each encoded frame.
//! - Receiving: [`Playout::insert`] takes datagrams as they come, [`Playout::pull`] says for each 20 ms that the sound
//!   device needs what the decoder is to do: the [`Step`].
//!
//! - Behind the decoder: [`timescale::Scaler`] plays frames in less or more time where the delay is to change.
//! - What is heard: never louder than a [`loudness::Limiter`] lets it be.
//! - Before the encoder: [`echo`] takes what the speaker plays out of what the microphone takes.
//! - Where a node in between forwards what is sent, [`sframe`] seals it end to end.
//! - Both: [`Playout::report`] says how a stream arrives, and the sender's [`Rate`] makes a [`Plan`] of it.
//!
//! Inside: [`packet`] reads bytes, `source` says which packets belong to the stream and in which order, `transit` and
//! [`delay_histogram`] measure how late packets come and so how much delay is needed, `jitter_buffer` keeps frames in order,
//! and [`playout`] decides.

use std::time::Duration;

pub mod activity;
pub mod band;
pub mod comfort;
pub mod delay_histogram;
pub mod echo;
mod framing;
mod jitter_buffer;
pub mod loudness;
pub mod opinion;
pub mod packet;
pub mod packetizer;
pub mod playout;
pub mod rate;
pub mod report;
mod reporter;
pub mod sframe;
mod source;
pub mod statistics;
pub mod timescale;
mod transit;

#[doc(hidden)]
pub mod fuzz;

pub use packet::{Encoded, Packet, PacketError, Repeat, is_quiet};
pub use packetizer::Packetizer;
pub use playout::{Dropped, Playout, Step};
pub use rate::{Plan, Protection, Rate};
pub use report::{Report, ReportError};
pub use statistics::Statistics;
pub use transit::PathKind;

/// A moment: the time since the node started. The unit of every `now`.
pub type Time = Duration;

/// Samples in a second: Opus always counts in these, and RTP timestamps with it (RFC 7587 section 4.1).
pub const SAMPLE_RATE: u32 = 48_000;
/// Sound in one packet and in one [`Step`].
pub const FRAME: Duration = Duration::from_millis(20);
/// Samples in one frame.
pub const FRAME_SAMPLES: usize = 960;

/// [`FRAME_SAMPLES`] as the step of a timestamp.
const FRAME_TICKS: u32 = FRAME_SAMPLES as u32;
/// [`FRAME`] in microseconds, the unit of time inside this crate.
const FRAME_US: i64 = 20_000;

/// A moment in whole microseconds. Moments beyond 18,000 years are one moment, so that differences cannot overflow.
fn micros(now: Time) -> i64 {
    const LAST: i64 = i64::MAX / 16;
    i64::try_from(now.as_micros()).unwrap_or(LAST).min(LAST)
}
