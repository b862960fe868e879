//! Receiver reports: how a stream arrives, told to its sender twice a second. An application-defined RTCP packet (RFC 3550 section
//! 6.7) between the sound's own datagrams (RFC 5761 tells them apart). Big endian.

use thiserror::Error;

/// The length of a report, bytes.
pub const REPORT: usize = 32;

/// Version 2, no padding, subtype 1.
const FIRST_BYTE: u8 = 0b1000_0001;
/// RTCP's "application-defined".
const APPLICATION: u8 = 204;
/// Words of 32 bits after the first.
const WORDS: u16 = (REPORT / 4 - 1) as u16;
const NAME: [u8; 4] = *b"STRL";

/// How a stream arrived since the report before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The stream that is reported on.
    pub ssrc: u32,
    /// Milliseconds since the report before.
    pub interval_ms: u16,
    /// Packets that the sequence numbers promise.
    pub expected: u16,
    /// Packets that came, each counted once.
    pub received: u16,
    /// How many packets are lost in a row on average, in sixteenths.
    pub burst: u16,
    /// How long the fastest packet was under way beyond the fastest of the last half a minute: what stands in queues. Milliseconds.
    pub queue_ms: u16,
    /// Interarrival jitter, milliseconds.
    pub jitter_ms: u16,
    /// Bytes of sound that came.
    pub bytes: u32,
}

/// Why a datagram is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReportError {
    /// It is something else: sound, perhaps.
    #[error("not a report")]
    Other,
    /// `MEDIA-11`.
    #[error("a report of {0} bytes, or of a kind that is not known; reports have {REPORT} bytes")]
    Malformed(usize),
}

impl Report {
    /// Reads a datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, ReportError> {
        if datagram.get(1) != Some(&APPLICATION) {
            return Err(ReportError::Other);
        }
        // MEDIA-11: exactly this one packet.
        let malformed = ReportError::Malformed(datagram.len());
        let whole: &[u8; REPORT] = datagram.try_into().map_err(|_| malformed)?;
        let (words, _) = whole.as_chunks::<4>();
        let [head, ssrc, name, counts, losses, delays, bytes, rest] = words else {
            return Err(malformed);
        };
        let [w0, w1] = WORDS.to_be_bytes();
        if *head != [FIRST_BYTE, APPLICATION, w0, w1] || *name != NAME {
            return Err(malformed);
        }
        let (expected, received) = halves(*counts);
        let (burst, queue_ms) = halves(*losses);
        let (interval_ms, jitter_ms) = halves(*delays);
        if received > expected || *rest != [0; 4] {
            return Err(malformed);
        }
        Ok(Self {
            ssrc: u32::from_be_bytes(*ssrc),
            interval_ms,
            expected,
            received,
            burst,
            queue_ms,
            jitter_ms,
            bytes: u32::from_be_bytes(*bytes),
        })
    }

    /// The datagram.
    pub fn write(&self) -> Vec<u8> {
        let mut datagram = vec![FIRST_BYTE, APPLICATION];
        datagram.extend_from_slice(&WORDS.to_be_bytes());
        datagram.extend_from_slice(&self.ssrc.to_be_bytes());
        datagram.extend_from_slice(&NAME);
        for half in [
            self.expected,
            self.received,
            self.burst,
            self.queue_ms,
            self.interval_ms,
            self.jitter_ms,
        ] {
            datagram.extend_from_slice(&half.to_be_bytes());
        }
        datagram.extend_from_slice(&self.bytes.to_be_bytes());
        datagram.extend_from_slice(&[0; 4]);
        datagram
    }

    /// The share of packets that did not come, 0 to 1.
    pub fn loss(&self) -> f64 {
        let lost = self.expected - self.received;
        f64::from(lost) / f64::from(self.expected.max(1))
    }
}

const fn halves([a, b, c, d]: [u8; 4]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: Report = Report {
        ssrc: 0x0102_0304,
        interval_ms: 500,
        expected: 25,
        received: 20,
        burst: 40,
        queue_ms: 3,
        jitter_ms: 7,
        bytes: 1_500,
    };

    proptest! {
        #[test]
        fn every_report_round_trips(ssrc: u32, received: u16, lost: u16, burst: u16, delays: (u16, u16, u16), bytes: u32) {
            let received = received.min(u16::MAX - lost);
            let (interval_ms, queue_ms, jitter_ms) = delays;
            let expected = received + lost;
            let report = Report { ssrc, interval_ms, expected, received, burst, queue_ms, jitter_ms, bytes };
            let datagram = report.write();
            prop_assert_eq!(datagram.len(), REPORT);
            prop_assert_eq!(Report::parse(&datagram), Ok(report));
        }
    }

    #[test]
    fn media_11_a_report_is_whole_and_of_its_kind() {
        let datagram = SAMPLE.write();
        assert_eq!(datagram[..4], [0x81, 204, 0, 7]);
        assert_eq!(&datagram[8..12], b"STRL");
        assert!((SAMPLE.loss() - 0.2).abs() < 1e-9);
        for length in 2..REPORT {
            let cut = Report::parse(&datagram[..length]);
            assert_eq!(cut, Err(ReportError::Malformed(length)));
        }
        let longer = [datagram.as_slice(), &[0]].concat();
        assert_eq!(Report::parse(&longer), Err(ReportError::Malformed(33)));
        // Version, length, name, more received than expected, what is not used.
        for (at, byte) in [(0, 0x80), (3, 6), (8, b'X'), (14, 1), (31, 1)] {
            let mut odd = datagram.clone();
            odd[at] = byte;
            assert_eq!(Report::parse(&odd), Err(ReportError::Malformed(REPORT)));
        }
        assert_eq!(Report::parse(&[]), Err(ReportError::Other));
        let sound = [&[0x80, 111], &datagram[2..]].concat();
        assert_eq!(Report::parse(&sound), Err(ReportError::Other));
    }
}
