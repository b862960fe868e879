//! The sending side: numbers encoded frames (RFC 3550 section 5.1), and sends them again later where that is asked for. One call
//! per 20 ms frame, sent or not.

use std::collections::VecDeque;

use starling_wire::limits::MEDIA_PAYLOAD_MAX;

use crate::FRAME_TICKS;
use crate::packet::{BACK_MAX, Encoded, Packet, REPEAT_HEADER, Repeat};

/// Makes the datagrams of one stream.
#[derive(Debug, Clone)]
pub struct Packetizer {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    /// By how many frames later each frame is sent again.
    back: Option<u8>,
    /// What was sent since the last pause, newest first.
    sent: VecDeque<(bool, Vec<u8>)>,
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
            back: None,
            sent: VecDeque::new(),
        }
    }

    /// Which stream reports of ours are about.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// From now on each frame is sent again in the packet of so many frames later, at most [`BACK_MAX`]; `None`: not.
    pub fn repeat(&mut self, back: Option<u8>) {
        self.back = back.map(|back| back.clamp(1, BACK_MAX));
    }

    /// The datagram of one frame: 1 to [`MEDIA_PAYLOAD_MAX`] bytes, which the encoder's bound ensures.
    pub fn packet(&mut self, frame: Encoded<'_>) -> Vec<u8> {
        let length = frame.payload.len();
        debug_assert!(
            (1..=MEDIA_PAYLOAD_MAX).contains(&length),
            "an encoded frame of {length} bytes"
        );
        let packet = Packet {
            marker: self.marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            repeat: self.earlier(MEDIA_PAYLOAD_MAX.saturating_sub(REPEAT_HEADER + length)),
            frame,
        };
        let datagram = packet.write();
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS);
        self.sent.truncate(usize::from(BACK_MAX) - 1);
        self.sent.push_front((frame.deep, frame.payload.to_vec()));
        datagram
    }

    fn earlier(&self, room: usize) -> Option<Repeat<'_>> {
        let back = self.back?;
        let (deep, payload) = self.sent.get(usize::from(back) - 1)?;
        let frame = Encoded {
            deep: *deep,
            payload,
        };
        (payload.len() <= room).then_some(Repeat { back, frame })
    }

    /// A frame that is not sent: silence, or the call is held. Time goes on, so the receiver knows that nothing was lost.
    pub fn skip(&mut self) {
        self.sent.clear();
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
            let datagram = sender.packet(frame_of(&[7]));
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

    fn frame_of(payload: &[u8]) -> Encoded<'_> {
        Encoded {
            deep: false,
            payload,
        }
    }

    #[test]
    fn a_frame_is_sent_again_where_no_pause_lies_between_and_there_is_room() {
        let mut sender = Packetizer::new(1);
        sender.repeat(Some(2));
        let mut repeated = Vec::new();
        for number in 0..7 {
            if number == 3 {
                sender.skip();
                continue;
            }
            let long = vec![number; if number == 6 { MEDIA_PAYLOAD_MAX } else { 2 }];
            let datagram = sender.packet(frame_of(&long));
            let repeat = Packet::parse(&datagram).unwrap().repeat;
            repeated.push(repeat.map(|repeat| (repeat.back, repeat.frame.payload[0])));
        }
        // 0 in 2; 4 and 5 follow a pause; 6 has no room for 4.
        let expected = [None, None, Some((2, 0)), None, None, None];
        assert_eq!(repeated, expected);
        sender.repeat(Some(u8::MAX));
        assert_eq!(sender.back, Some(BACK_MAX));
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
