//! One voice packet: the fixed header of RTP (RFC 3550 section 5.1) and an Opus payload (RFC 7587), before which a whole earlier
//! payload may stand once more (RFC 2198). Big endian; sizes in bytes, timestamps in samples of 1/48,000 s.

use starling_wire::limits::MEDIA_PAYLOAD_MAX;
use thiserror::Error;

use crate::FRAME_TICKS;

/// The fixed header.
pub const HEADER: usize = 12;
/// The longest datagram.
pub const PACKET_MAX: usize = HEADER + MEDIA_PAYLOAD_MAX;
/// Opus.
pub const OPUS: u8 = 111;
/// An earlier payload and this packet's own (RFC 2198).
pub const REPEATING: u8 = 112;
/// Opus whose padding describes what was said before (DRED, draft-ietf-mlcodec-opus-dred-04).
pub const DEEP: u8 = 113;
/// What stands before a repeated payload: RFC 2198's block header, and that of the last block.
pub const REPEAT_HEADER: usize = 5;
/// By so many frames a repeated payload is earlier at most: the block header has 14 bits for the difference of timestamps.
pub const BACK_MAX: u8 = 17;

/// Version 2, no padding, no extension, no contributing sources.
const FIRST_BYTE: u8 = 0b1000_0000;
const MARKER: u8 = 0b1000_0000;
/// In a block's header: another block follows.
const MORE: u8 = 0b1000_0000;
/// A block's length has 10 bits.
const BLOCK_MAX: usize = 0x3ff;

/// A packet, its payload still in the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// First packet after a pause.
    pub marker: bool,
    /// One more for each packet sent; wraps around.
    pub sequence: u16,
    /// When the frame was captured; wraps around.
    pub timestamp: u32,
    /// Which stream of packets this is; chosen at random by the sender.
    pub ssrc: u32,
    /// A frame that was sent before.
    pub repeat: Option<Repeat<'a>>,
    /// The frame.
    pub frame: Encoded<'a>,
}

/// A frame that stands in a later packet once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat<'a> {
    /// How many frames before this packet's own; no pause lies between.
    pub back: u8,
    /// The frame.
    pub frame: Encoded<'a>,
}

/// An encoded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// Whether it says of itself that it describes earlier frames.
    pub deep: bool,
    /// What the codec made.
    pub payload: &'a [u8],
}

/// A payload of Opus that is no longer says only that nobody speaks.
const QUIET: usize = 2;

/// Whether a payload says that nobody speaks in this frame, and until the next that comes.
pub const fn is_quiet(payload: &[u8]) -> bool {
    payload.len() <= QUIET
}

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// `MEDIA-01`.
    #[error(
        "a voice packet of {0} bytes; it has more than {HEADER} and at most {PACKET_MAX} bytes"
    )]
    Length(usize),
    /// `MEDIA-02`.
    #[error(
        "a voice packet that begins with {0:#04x}; only RTP version 2 with its plain header is understood"
    )]
    Header(u8),
    /// `MEDIA-03`.
    #[error(
        "a voice packet of payload type {0}; only {OPUS} and {DEEP} (Opus) and {REPEATING} (repeating) can be played"
    )]
    PayloadType(u8),
    /// `MEDIA-09`.
    #[error("a voice packet whose repeated part does not fit it")]
    Repeat,
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let length = PacketError::Length(datagram.len());
        let (header, payload) = datagram.split_first_chunk::<HEADER>().ok_or(length)?;
        // MEDIA-01: a header alone carries no sound, and no frame of ours is longer.
        if payload.is_empty() || payload.len() > MEDIA_PAYLOAD_MAX {
            return Err(length);
        }
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *header;
        // MEDIA-02: none of what would change the header's length is ever sent.
        if first != FIRST_BYTE {
            return Err(PacketError::Header(first));
        }
        let (repeat, frame) = match second & !MARKER {
            REPEATING => blocks(payload)?,
            payload_type => (None, Encoded::read(payload_type, payload)?),
        };
        Ok(Self {
            marker: second & MARKER != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            repeat,
            frame,
        })
    }

    /// The datagram.
    pub fn write(&self) -> Vec<u8> {
        let marker = if self.marker { MARKER } else { 0 };
        let payload_type = match self.repeat {
            Some(_) => REPEATING,
            None => self.frame.payload_type(),
        };
        let mut datagram = Vec::with_capacity(PACKET_MAX);
        datagram.extend_from_slice(&[FIRST_BYTE, payload_type | marker]);
        datagram.extend_from_slice(&self.sequence.to_be_bytes());
        datagram.extend_from_slice(&self.timestamp.to_be_bytes());
        datagram.extend_from_slice(&self.ssrc.to_be_bytes());
        if let Some(Repeat { back, frame }) = self.repeat {
            let ticks = u32::from(back) * FRAME_TICKS;
            let block = u32::from(frame.payload_type() | MORE) << 24
                | ticks << 10
                | frame.payload.len() as u32;
            datagram.extend_from_slice(&block.to_be_bytes());
            datagram.push(self.frame.payload_type());
            datagram.extend_from_slice(frame.payload);
        }
        datagram.extend_from_slice(self.frame.payload);
        datagram
    }
}

/// `MEDIA-09`: one earlier block, whole frames before, and one of the packet's own; neither is empty.
fn blocks(payload: &[u8]) -> Result<(Option<Repeat<'_>>, Encoded<'_>), PacketError> {
    let (header, blocks) = payload
        .split_first_chunk::<REPEAT_HEADER>()
        .ok_or(PacketError::Repeat)?;
    let [kind, b1, b2, b3, last] = *header;
    let fields = u32::from_be_bytes([0, b1, b2, b3]);
    let (ticks, length) = (fields >> 10, fields as usize & BLOCK_MAX);
    let (earlier, own) = blocks
        .split_at_checked(length)
        .filter(|(earlier, own)| !earlier.is_empty() && !own.is_empty())
        .ok_or(PacketError::Repeat)?;
    let is_whole = ticks > 0 && ticks % FRAME_TICKS == 0;
    let back = u8::try_from(ticks / FRAME_TICKS).ok();
    let back = back
        .filter(|back| is_whole && *back <= BACK_MAX && kind & MORE != 0)
        .ok_or(PacketError::Repeat)?;
    let frame = Encoded::read(kind & !MORE, earlier)?;
    Ok((Some(Repeat { back, frame }), Encoded::read(last, own)?))
}

impl<'a> Encoded<'a> {
    /// `MEDIA-03`
    const fn read(payload_type: u8, payload: &'a [u8]) -> Result<Self, PacketError> {
        match payload_type {
            OPUS | DEEP => Ok(Self {
                deep: payload_type == DEEP,
                payload,
            }),
            payload_type => Err(PacketError::PayloadType(payload_type)),
        }
    }

    const fn payload_type(self) -> u8 {
        if self.deep { DEEP } else { OPUS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: Packet<'static> = Packet {
        marker: true,
        sequence: 0x0102,
        timestamp: 0x0304_0506,
        ssrc: 0x0708_090a,
        repeat: None,
        frame: Encoded {
            deep: false,
            payload: &[0xaa, 0xbb],
        },
    };
    const REPEAT: Repeat<'static> = Repeat {
        back: 3,
        frame: Encoded {
            deep: true,
            payload: &[0xcc],
        },
    };

    proptest! {
        #[test]
        fn media_01_every_packet_within_its_bounds_round_trips(
            marker: bool, sequence: u16, timestamp: u32, ssrc: u32, deep: (bool, bool), back in 0..=BACK_MAX,
            earlier in prop::collection::vec(any::<u8>(), 1..=400),
            payload in prop::collection::vec(any::<u8>(), 1..=MEDIA_PAYLOAD_MAX - REPEAT_HEADER - 400),
        ) {
            let frame = Encoded { deep: deep.0, payload: &payload };
            let earlier = Encoded { deep: deep.1, payload: &earlier };
            let repeat = (back > 0).then_some(Repeat { back, frame: earlier });
            let packet = Packet { marker, sequence, timestamp, ssrc, repeat, frame };
            let datagram = packet.write();
            prop_assert!(datagram.len() <= PACKET_MAX);
            prop_assert_eq!(Packet::parse(&datagram), Ok(packet));
        }

        #[test]
        fn what_is_parsed_is_written_again_byte_for_byte(
            mut datagram in prop::collection::vec(any::<u8>(), 0..PACKET_MAX + 9), ours in 0_u8..4,
        ) {
            if ours > 0 && datagram.len() > HEADER {
                datagram[0] = FIRST_BYTE;
                datagram[1] = datagram[1] & MARKER | (OPUS - 1 + ours);
            }
            if let Ok(packet) = Packet::parse(&datagram) {
                prop_assert_eq!(packet.write(), datagram);
            }
        }
    }

    #[test]
    fn the_header_is_that_of_rfc_3550() {
        let datagram = [0x80, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xaa, 0xbb];
        assert_eq!(SAMPLE.write(), datagram);
        assert_eq!(Packet::parse(&datagram), Ok(SAMPLE));
    }

    #[test]
    fn what_is_repeated_stands_there_as_rfc_2198_has_it() {
        let packet = Packet {
            repeat: Some(REPEAT),
            ..SAMPLE
        };
        let datagram = packet.write();
        assert_eq!(datagram[1], 0xf0);
        // 3 frames are 2,880 = 0xb40 ticks: 14 bits, then 10 of the length.
        let block = [0xf1, 0x2d, 0x00, 0x01, 0x6f, 0xcc, 0xaa, 0xbb];
        assert_eq!(datagram[HEADER..], block);
        assert_eq!(Packet::parse(&datagram), Ok(packet));
    }

    #[test]
    fn media_01_a_header_alone_or_a_payload_too_long_is_no_packet() {
        let payload = [1; MEDIA_PAYLOAD_MAX + 1];
        for (payload, length) in [(&payload[..0], HEADER), (&payload[..], PACKET_MAX + 1)] {
            let frame = Encoded {
                payload,
                ..SAMPLE.frame
            };
            let datagram = Packet { frame, ..SAMPLE }.write();
            let expected = Err(PacketError::Length(length));
            assert_eq!(Packet::parse(&datagram), expected);
        }
        assert_eq!(Packet::parse(&[]), Err(PacketError::Length(0)));
    }

    #[test]
    fn media_02_other_versions_padding_extensions_and_sources_are_refused() {
        for first in [0x00, 0x40, 0xc0, 0xa0, 0x90, 0x81] {
            let mut datagram = SAMPLE.write();
            datagram[0] = first;
            let expected = Err(PacketError::Header(first));
            assert_eq!(Packet::parse(&datagram), expected);
        }
    }

    #[test]
    fn media_03_other_payload_types_are_refused() {
        for payload_type in [0, 8, 110, 114, 127] {
            let expected = Err(PacketError::PayloadType(payload_type));
            let mut datagram = SAMPLE.write();
            datagram[1] = payload_type;
            assert_eq!(Packet::parse(&datagram), expected);
            // Also of a block, and none is in another.
            let packet = Packet {
                repeat: Some(REPEAT),
                ..SAMPLE
            };
            for (at, kind) in [(HEADER, payload_type | MORE), (HEADER + 4, payload_type)] {
                let mut datagram = packet.write();
                datagram[at] = kind;
                assert_eq!(Packet::parse(&datagram), expected);
            }
        }
    }

    #[test]
    fn media_09_a_repeated_part_that_does_not_fit_is_refused() {
        let whole = Packet {
            repeat: Some(REPEAT),
            ..SAMPLE
        };
        let refused =
            |datagram: &[u8]| assert_eq!(Packet::parse(datagram), Err(PacketError::Repeat));
        let bytes = whole.write();
        for length in HEADER + 1..HEADER + REPEAT_HEADER + 2 {
            refused(&bytes[..length]);
        }
        // Empty, longer than what is there, no other block, not whole frames, from now, from too long ago.
        let with = |block: u32| {
            let mut bytes = bytes.clone();
            bytes[HEADER..HEADER + 4].copy_from_slice(&block.to_be_bytes());
            bytes
        };
        let kind = u32::from(DEEP | MORE) << 24;
        for block in [
            kind | 2_880 << 10,
            kind | 2_880 << 10 | 3,
            u32::from(DEEP) << 24 | 2_880 << 10 | 1,
            kind | 2_881 << 10 | 1,
            kind | 1,
        ] {
            refused(&with(block));
        }
        assert!(u32::from(BACK_MAX + 1) * FRAME_TICKS > 0x3fff);
    }
}
