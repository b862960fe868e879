//! The sending side: numbers encoded frames (RFC 3550 section 5.1). One call per 20 ms frame, sent or not.

use starling_wire::limits::MEDIA_PAYLOAD_MAX;

use crate::FRAME_TICKS;
use crate::packet::{OPUS, Packet};

/// Makes the datagrams of one stream.
#[derive(Debug, Clone)]
pub struct Packetizer {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
}

impl Packetizer {
    /// A new stream. Its identifier and where its numbers begin come from the seed, so that two streams are told apart.
    pub const fn new(seed: u64) -> Self {
        let (first, second) = (mix(seed), mix(seed.wrapping_add(1)));
        Self {
            ssrc: (first >> 32) as u32,
            timestamp: first as u32,
            sequence: second as u16,
            marker: true,
        }
    }

    /// The datagram of one frame: 1 to [`MEDIA_PAYLOAD_MAX`] bytes, which the encoder's bound ensures.
    pub fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        debug_assert!(
            (1..=MEDIA_PAYLOAD_MAX).contains(&payload.len()),
            "an encoded frame of {} bytes",
            payload.len()
        );
        let packet = Packet {
            payload_type: OPUS,
            marker: self.marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload,
        };
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS);
        packet.write()
    }

    /// A frame that is not sent: silence, or the call is held. Time goes on, so the receiver knows that nothing was lost.
    pub const fn skip(&mut self) {
        self.marker = true;
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS);
    }
}

/// One step of splitmix64: spreads a seed over all bits. Not for secrets.
const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_and_timestamp_advance_and_wrap_and_a_skipped_frame_moves_time_alone() {
        let mut sender = Packetizer {
            sequence: u16::MAX,
            timestamp: u32::MAX - 959,
            ..Packetizer::new(1)
        };
        let mut numbers = Vec::new();
        for frame in 0..4 {
            if frame == 2 {
                sender.skip();
                continue;
            }
            let datagram = sender.packet(&[7]);
            let packet = Packet::parse(&datagram).unwrap();
            numbers.push((packet.sequence, packet.timestamp, packet.marker));
        }
        let expected = [
            (u16::MAX, u32::MAX - 959, true),
            (0, 0, false),
            (1, 2 * 960, true),
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn two_seeds_are_two_streams() {
        let streams = [0, 1, 2, u64::MAX].map(|seed| {
            let sender = Packetizer::new(seed);
            (sender.ssrc, sender.sequence, sender.timestamp)
        });
        for (at, stream) in streams.iter().enumerate() {
            for other in &streams[at + 1..] {
                assert_ne!(stream.0, other.0);
                assert_ne!(stream.1, other.1);
                assert_ne!(stream.2, other.2);
            }
        }
    }
}
