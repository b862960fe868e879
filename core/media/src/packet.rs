//! One voice packet: the fixed header of RTP (RFC 3550 section 5.1) and an Opus payload (RFC 7587). Big endian; sizes in
//! bytes, timestamps in samples of 1/48,000 s.

use starling_wire::limits::MEDIA_PAYLOAD_MAX;
use thiserror::Error;

/// The fixed header.
pub const HEADER: usize = 12;
/// The longest datagram.
pub const PACKET_MAX: usize = HEADER + MEDIA_PAYLOAD_MAX;
/// The only payload type there is: Opus.
pub const OPUS: u8 = 111;

/// Version 2, no padding, no extension, no contributing sources.
const FIRST_BYTE: u8 = 0b1000_0000;
const MARKER: u8 = 0b1000_0000;

/// A packet, its payload still in the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the payload is; [`OPUS`] in every packet that was parsed.
    pub payload_type: u8,
    /// First packet after a pause.
    pub marker: bool,
    /// One more for each packet sent; wraps around.
    pub sequence: u16,
    /// When the frame was captured; wraps around.
    pub timestamp: u32,
    /// Which stream of packets this is; chosen at random by the sender.
    pub ssrc: u32,
    /// The encoded frame.
    pub payload: &'a [u8],
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
    #[error("a voice packet of payload type {0}; only {OPUS} (Opus) can be played")]
    PayloadType(u8),
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
        let payload_type = second & !MARKER;
        // MEDIA-03
        if payload_type != OPUS {
            return Err(PacketError::PayloadType(payload_type));
        }
        Ok(Self {
            payload_type,
            marker: second & MARKER != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload,
        })
    }

    /// The datagram.
    pub fn write(&self) -> Vec<u8> {
        let marker = if self.marker { MARKER } else { 0 };
        let mut datagram = Vec::with_capacity(HEADER + self.payload.len());
        datagram.push(FIRST_BYTE);
        datagram.push(self.payload_type & !MARKER | marker);
        datagram.extend_from_slice(&self.sequence.to_be_bytes());
        datagram.extend_from_slice(&self.timestamp.to_be_bytes());
        datagram.extend_from_slice(&self.ssrc.to_be_bytes());
        datagram.extend_from_slice(self.payload);
        datagram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: Packet<'static> = Packet {
        payload_type: OPUS,
        marker: true,
        sequence: 0x0102,
        timestamp: 0x0304_0506,
        ssrc: 0x0708_090a,
        payload: &[0xaa, 0xbb],
    };

    proptest! {
        #[test]
        fn media_01_every_packet_within_its_bounds_round_trips(
            marker: bool, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 1..=MEDIA_PAYLOAD_MAX),
        ) {
            let packet = Packet { payload_type: OPUS, marker, sequence, timestamp, ssrc, payload: &payload };
            let datagram = packet.write();
            prop_assert!(datagram.len() <= PACKET_MAX);
            prop_assert_eq!(Packet::parse(&datagram), Ok(packet));
        }

        #[test]
        fn what_is_parsed_is_written_again_byte_for_byte(
            mut datagram in prop::collection::vec(any::<u8>(), 0..PACKET_MAX + 9), ours: bool,
        ) {
            if ours && datagram.len() > HEADER {
                datagram[0] = FIRST_BYTE;
                datagram[1] = datagram[1] & MARKER | OPUS;
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
    fn media_01_a_header_alone_or_a_payload_too_long_is_no_packet() {
        let payload = [1; MEDIA_PAYLOAD_MAX + 1];
        for (payload, length) in [(&payload[..0], HEADER), (&payload[..], PACKET_MAX + 1)] {
            let datagram = Packet { payload, ..SAMPLE }.write();
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
        for payload_type in [0, 8, 110, 127] {
            let datagram = Packet {
                payload_type,
                ..SAMPLE
            }
            .write();
            let expected = Err(PacketError::PayloadType(payload_type));
            assert_eq!(Packet::parse(&datagram), expected);
        }
    }
}
