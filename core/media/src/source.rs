//! Which packets belong to the stream, and where in it: RFC 3550 appendix A.1, with timestamps and exact duplicates.
//! Sequence numbers count packets, frames count 20 ms; both are extended so that they never wrap.

use crate::FRAME_TICKS;
use crate::packet::Packet;

/// Packets that may be missing before a jump of the sequence is taken for a new beginning: a minute.
const DROPOUT_MAX: i64 = 3_000;
/// A packet this far behind the newest can no longer be told from a duplicate: 2.5 s.
const MISORDER_MAX: i64 = 127;
/// The share of the newest packet in the recent loss: half of what is told is younger than 3.5 s.
const LOSS_WEIGHT: f64 = 1.0 / 256.0;
/// The share of the newest burst in their average length.
const BURST_WEIGHT: f64 = 1.0 / 16.0;
/// One burst is not let speak for longer than this many packets.
const BURST_MAX: i64 = 8;

/// What a packet is to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Part of it.
    Inside(Position),
    /// Seen before.
    Duplicate,
    /// Of another stream, unless the next packet confirms that ours was replaced.
    Foreign,
    /// Ours, but far from the others, unless the next packet confirms that the peer began anew.
    Jump,
}

/// Where in the stream a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The extended sequence number.
    pub sequence: i64,
    /// The extended timestamp in whole frames.
    pub frame: i64,
    /// The first packet of a stream: positions before it say nothing about positions after it.
    pub fresh: bool,
}

/// The stream that is played, and what is counted about it.
#[derive(Debug, Default)]
pub struct Source {
    stream: Option<Stream>,
    /// The stream and the sequence number that would confirm a new beginning.
    candidate: Option<(u32, u16)>,
    received: u64,
    /// What was expected of streams that were replaced.
    expected_before: u64,
    recent_loss: f64,
    burst: f64,
}

impl Source {
    /// Places a packet and counts it.
    pub fn place(&mut self, packet: &Packet<'_>) -> Place {
        let doubt = match &mut self.stream {
            None => return self.begin(packet),
            // MEDIA-04: a connection carries one stream at a time.
            Some(stream) if stream.ssrc != packet.ssrc => Place::Foreign,
            Some(stream) => match stream.accept(packet) {
                // MEDIA-06: numbers that do not fit together do not move the stream.
                None => Place::Jump,
                Some((place, missing)) => {
                    self.candidate = None;
                    self.count(place, missing);
                    return place;
                }
            },
        };
        if self.candidate == Some((packet.ssrc, packet.sequence)) {
            return self.begin(packet);
        }
        self.candidate = Some((packet.ssrc, packet.sequence.wrapping_add(1)));
        doubt
    }

    /// Packets of the stream, each counted once.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets that the sequence numbers promise.
    pub fn expected(&self) -> u64 {
        self.expected_before + self.stream.as_ref().map_or(0, Stream::expected)
    }

    /// The share of packets that were missing lately, 0 to 1.
    pub const fn recent_loss(&self) -> f64 {
        self.recent_loss
    }

    /// The stream that is played.
    pub fn ssrc(&self) -> Option<u32> {
        self.stream.as_ref().map(|stream| stream.ssrc)
    }

    /// How many packets were missing in a row lately, on average of the times when some were; 0 if none ever was.
    pub const fn burst(&self) -> f64 {
        self.burst
    }

    fn begin(&mut self, packet: &Packet<'_>) -> Place {
        self.expected_before = self.expected();
        self.candidate = None;
        self.received += 1;
        let stream = self.stream.insert(Stream::new(packet));
        Place::Inside(Position {
            fresh: true,
            ..stream.position(0, 0)
        })
    }

    fn count(&mut self, place: Place, missing: Missing) {
        if place == Place::Duplicate {
            return;
        }
        self.received += 1;
        let change = match missing {
            Missing::Before(packets) => {
                let packets = packets.min(BURST_MAX) as f64;
                if packets > 0.0 {
                    let weight = if self.burst > 0.0 { BURST_WEIGHT } else { 1.0 };
                    self.burst += weight * (packets - self.burst);
                }
                packets - self.recent_loss
            }
            // It was taken for lost.
            Missing::Filled => -1.0,
        };
        self.recent_loss = (self.recent_loss + LOSS_WEIGHT * change).clamp(0.0, 1.0);
    }
}

/// What a packet tells about others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It is the newest, and so many before it are missing.
    Before(i64),
    /// It was missing itself.
    Filled,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    first: i64,
    /// The lowest 16 bits are the sequence number of the newest packet.
    newest: i64,
    /// The lowest 32 bits are its timestamp.
    newest_ticks: i64,
    /// Bit n: whether `newest - n` was received.
    seen: u128,
}

impl Stream {
    fn new(packet: &Packet<'_>) -> Self {
        Self {
            ssrc: packet.ssrc,
            first: packet.sequence.into(),
            newest: packet.sequence.into(),
            newest_ticks: packet.timestamp.into(),
            seen: 1,
        }
    }

    fn expected(&self) -> u64 {
        (self.newest - self.first).unsigned_abs() + 1
    }

    fn position(&self, steps: i64, ticks: i64) -> Position {
        Position {
            sequence: self.newest + steps,
            frame: (self.newest_ticks + ticks).div_euclid(FRAME_TICKS.into()),
            fresh: false,
        }
    }

    /// The packet's place and what is missing; nothing if its numbers do not fit.
    fn accept(&mut self, packet: &Packet<'_>) -> Option<(Place, Missing)> {
        let steps = packet.sequence.wrapping_sub(self.newest as u16) as i16;
        let ticks = packet.timestamp.wrapping_sub(self.newest_ticks as u32) as i32;
        let (steps, ticks) = (i64::from(steps), i64::from(ticks));
        if !(-MISORDER_MAX..=DROPOUT_MAX).contains(&steps) || steps.signum() != ticks.signum() {
            return None;
        }
        let position = self.position(steps, ticks);
        if steps <= 0 {
            let bit = 1 << -steps;
            if self.seen & bit != 0 {
                return Some((Place::Duplicate, Missing::Filled));
            }
            self.seen |= bit;
            self.first = self.first.min(position.sequence);
            return Some((Place::Inside(position), Missing::Filled));
        }
        let shift = u32::try_from(steps).unwrap_or(u32::MAX);
        self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
        self.newest += steps;
        self.newest_ticks += ticks;
        Some((Place::Inside(position), Missing::Before(steps - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Encoded;

    fn packet(ssrc: u32, sequence: u16, frame: u32) -> Packet<'static> {
        Packet {
            marker: false,
            sequence,
            timestamp: frame.wrapping_mul(FRAME_TICKS),
            ssrc,
            repeat: None,
            frame: Encoded {
                deep: false,
                payload: &[1],
            },
        }
    }

    fn inside(source: &mut Source, packet: Packet<'_>) -> Position {
        match source.place(&packet) {
            Place::Inside(position) => position,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_go_on_over_their_wrap_around() {
        let mut source = Source::default();
        let first = inside(
            &mut source,
            Packet {
                sequence: u16::MAX - 1,
                timestamp: u32::MAX - 959,
                ..packet(1, 0, 0)
            },
        );
        for n in 1..5_u16 {
            let next = Packet {
                sequence: (u16::MAX - 1).wrapping_add(n),
                timestamp: (u32::MAX - 959).wrapping_add(u32::from(n) * 960),
                ..packet(1, 0, 0)
            };
            let position = inside(&mut source, next);
            assert_eq!(position.sequence - first.sequence, i64::from(n));
            assert_eq!(position.frame - first.frame, i64::from(n));
        }
        assert_eq!((source.expected(), source.received()), (5, 5));
    }

    #[test]
    fn media_05_a_packet_counts_once_in_whatever_order_it_comes() {
        let mut source = Source::default();
        for n in [10, 13, 11] {
            inside(&mut source, packet(1, n, n.into()));
        }
        for n in [10, 11, 13] {
            let place = source.place(&packet(1, n, n.into()));
            assert_eq!(place, Place::Duplicate);
        }
        assert_eq!((source.expected(), source.received()), (4, 3));
        inside(&mut source, packet(1, 9, 9));
        assert_eq!((source.expected(), source.received()), (5, 4));
    }

    #[test]
    fn media_04_another_stream_takes_over_only_when_two_of_its_packets_come_in_a_row() {
        let mut source = Source::default();
        inside(&mut source, packet(1, 10, 10));
        assert_eq!(source.place(&packet(2, 500, 7)), Place::Foreign);
        inside(&mut source, packet(1, 11, 11));
        assert_eq!(source.place(&packet(2, 501, 8)), Place::Foreign);
        let position = inside(&mut source, packet(2, 502, 9));
        assert!(position.fresh);
        assert_eq!(source.place(&packet(1, 12, 12)), Place::Foreign);
        assert_eq!((source.expected(), source.received()), (3, 3));
    }

    #[test]
    fn media_06_numbers_that_do_not_fit_are_believed_when_the_next_packet_confirms_them() {
        let far = u16::try_from(DROPOUT_MAX).unwrap() + 1;
        let odd = [
            (1_000 + far, 1_000 + u32::from(far)),
            (500, 500),
            (1_001, 990),
            (999, 1_001),
            (1_000, 900),
        ];
        for (sequence, frame) in odd {
            let mut source = Source::default();
            inside(&mut source, packet(1, 1_000, 1_000));
            let place = source.place(&packet(1, sequence, frame));
            assert_eq!(place, Place::Jump, "{sequence} {frame}");
            assert!(inside(&mut source, packet(1, sequence + 1, frame + 1)).fresh);
        }
    }

    #[test]
    fn recent_loss_follows_the_missing_packets_and_forgets_them() {
        let mut source = Source::default();
        for n in (0..2_000_u16).filter(|n| n % 10 != 0) {
            inside(&mut source, packet(1, n, n.into()));
        }
        let loss = source.recent_loss();
        assert!((0.08..0.14).contains(&loss), "{loss}");
        for n in 2_000..4_000_u16 {
            inside(&mut source, packet(1, n, n.into()));
        }
        assert!(source.recent_loss() < 0.001);
    }

    #[test]
    fn bursts_are_as_long_as_they_are() {
        let mut source = Source::default();
        assert_eq!(source.burst(), 0.0);
        for n in (0..1_000_u16).filter(|n| n % 20 >= 5) {
            inside(&mut source, packet(1, n, n.into()));
        }
        assert_eq!(source.burst(), 5.0);
        for n in (1_000..2_000_u16).filter(|n| n % 10 != 0) {
            inside(&mut source, packet(1, n, n.into()));
        }
        assert!((1.0..1.1).contains(&source.burst()), "{}", source.burst());
    }

    #[test]
    fn packets_out_of_order_are_no_loss() {
        let mut source = Source::default();
        inside(&mut source, packet(1, 0, 0));
        for n in 1..1_000_u16 {
            // Two by two in the wrong order.
            let n = if n % 2 == 1 { n + 1 } else { n - 1 };
            inside(&mut source, packet(1, n, n.into()));
            assert!(source.recent_loss() <= LOSS_WEIGHT);
        }
    }
}
