//! The sending side: numbers encoded frames (RFC 3550 section 5.1), and sends them again later where that is asked for. One call
//! per 20 ms frame, sent or not.

use std::collections::VecDeque;

use starling_wire::limits::MEDIA_PAYLOAD_MAX;

use crate::FRAME_TICKS;
use crate::framing::{self, FRAMES_MAX};
use crate::packet::{BACK_MAX, Encoded, Packet, REPEAT_HEADER, Repeat, is_quiet};

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
    /// Frames in a row in which nobody speaks.
    quiet: u8,
    /// How many frames are put into one packet.
    joined: usize,
    /// Those that wait for the others.
    waiting: Vec<Vec<u8>>,
}

/// So many frames of silence are sent, in case one is lost; those that follow say nothing new.
const QUIET_TOLD: u8 = 2;

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
            quiet: 0,
            joined: 1,
            waiting: Vec::new(),
        }
    }

    /// Which stream reports of ours are about.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number of the frame that comes next: its own time in whole frames.
    pub const fn frame(&self) -> i64 {
        (self.timestamp / FRAME_TICKS) as i64 + self.waiting.len() as i64
    }

    /// From now on each frame is sent again in the packet of so many frames later, at most [`BACK_MAX`]; `None`: not.
    pub fn repeat(&mut self, back: Option<u8>) {
        self.back = back.map(|back| back.clamp(1, BACK_MAX));
    }

    /// From now on so many frames are put into one packet, 1 to [`FRAMES_MAX`].
    pub fn join(&mut self, frames: u8) {
        self.joined = usize::from(frames).clamp(1, FRAMES_MAX);
    }

    /// One more frame, of 1 to [`MEDIA_PAYLOAD_MAX`] bytes, which the encoder's bound ensures: the datagrams that are ready with it.
    /// Where the silence of the frames before only goes on, that is none (RFC 7587 section 3.1.3).
    pub fn packets(&mut self, frame: Encoded<'_>) -> Vec<Vec<u8>> {
        let length = frame.payload.len();
        debug_assert!(
            (1..=MEDIA_PAYLOAD_MAX).contains(&length),
            "an encoded frame of {length} bytes"
        );
        let mut ready = Vec::new();
        if is_quiet(frame.payload) || self.joined == 1 {
            ready.extend(self.waiting());
            ready.extend(self.alone(frame));
            return ready;
        }
        self.quiet = 0;
        self.waiting.push(frame.payload.to_vec());
        if self.waiting.len() > 1 && framing::join(&self.waiting).is_none() {
            let last = self.waiting.split_off(self.waiting.len() - 1);
            ready.extend(self.waiting());
            self.waiting = last;
        }
        if self.waiting.len() >= self.joined {
            ready.extend(self.waiting());
        }
        ready
    }

    /// A frame in a packet of its own.
    fn alone(&mut self, frame: Encoded<'_>) -> Option<Vec<u8>> {
        if !is_quiet(frame.payload) {
            self.quiet = 0;
        } else if self.quiet == QUIET_TOLD {
            self.pass();
            return None;
        } else {
            self.quiet += 1;
        }
        let repeat =
            self.earlier(MEDIA_PAYLOAD_MAX.saturating_sub(REPEAT_HEADER + frame.payload.len()));
        let datagram = self.packet(repeat, frame).write();
        self.advance(1);
        self.sent.truncate(usize::from(BACK_MAX) - 1);
        self.sent.push_front((frame.deep, frame.payload.to_vec()));
        Some(datagram)
    }

    /// What waits to be joined, in one packet.
    fn waiting(&mut self) -> Option<Vec<u8>> {
        let frames = std::mem::take(&mut self.waiting);
        let joined = framing::join(&frames);
        let payload = joined.as_ref().or(frames.first())?;
        let frame = Encoded {
            deep: false,
            payload,
        };
        let datagram = self.packet(None, frame).write();
        self.advance(frames.len() as u32);
        self.sent.clear();
        Some(datagram)
    }

    const fn packet<'a>(&self, repeat: Option<Repeat<'a>>, frame: Encoded<'a>) -> Packet<'a> {
        Packet {
            marker: self.marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            repeat,
            frame,
        }
    }

    const fn advance(&mut self, frames: u32) {
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS * frames);
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
        self.quiet = 0;
        let waiting = std::mem::take(&mut self.waiting);
        self.timestamp = self
            .timestamp
            .wrapping_add(FRAME_TICKS * waiting.len() as u32);
        self.pass();
    }

    fn pass(&mut self) {
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
            let datagram = sender.packets(frame_of(&[7; 3])).remove(0);
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
            let long = vec![number; if number == 6 { MEDIA_PAYLOAD_MAX } else { 3 }];
            let datagram = sender.packets(frame_of(&long)).remove(0);
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
    fn of_silence_only_its_beginning_is_sent_and_what_is_new() {
        let mut sender = Packetizer::new(1);
        let lengths = [3, 1, 1, 1, 2, 1, 30, 1, 1, 1];
        let sent: Vec<_> = lengths
            .iter()
            .map(|length| {
                let datagrams = sender.packets(frame_of(&vec![7; *length]));
                Some(Packet::parse(datagrams.first()?).unwrap().marker)
            })
            .collect();
        let (first, on, after_pause) = (Some(true), Some(false), Some(true));
        let expected = [first, on, on, None, None, None, after_pause, on, on, None];
        assert_eq!(sent, expected);
        sender.skip();
        let told = sender.packets(frame_of(&[7]));
        assert_eq!(told.len(), 1, "told again after a pause");
    }

    #[test]
    fn frames_of_a_kind_are_joined_and_what_is_unlike_goes_alone() {
        let mut sender = Packetizer::new(1);
        sender.join(3);
        let first = sender.frame();
        let mut sent = Vec::new();
        // Two kinds of coding, then silence while one waits.
        for kind in [0x78, 0x78, 0x78, 0x78, 0x70, 0x70, 0x70, 0x78] {
            sent.push(sender.packets(frame_of(&[kind, 1, 2])));
        }
        sent.push(sender.packets(frame_of(&[0x78])));
        let sent: Vec<Vec<(i64, usize)>> = sent
            .iter()
            .map(|datagrams| {
                let packets = datagrams
                    .iter()
                    .map(|datagram| Packet::parse(datagram).unwrap());
                packets
                    .map(|packet| {
                        let frames = framing::split(packet.frame.payload);
                        let number = i64::from(packet.timestamp / FRAME_TICKS) - first;
                        (number, frames.map_or(1, |frames| frames.len()))
                    })
                    .collect()
            })
            .collect();
        let none = Vec::new;
        let expected = [
            none(),
            none(),
            vec![(0, 3)],
            none(),
            vec![(3, 1)],
            none(),
            vec![(4, 3)],
            none(),
            vec![(7, 1), (8, 1)],
        ];
        assert_eq!(sent, expected);
        assert_eq!(sender.frame() - first, 9);
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
