//! For how long a missing frame is worth waiting: until the packet that brings it back. Frames of 20 ms.

use crate::packet::Packet;

/// What was seen so long ago says nothing any more: a second.
const RECENT: i64 = 50;
/// Of a burst that is described coarsely, not more is waited for: no conversation bears it.
const DEEP_MAX: i64 = 7;
/// Bursts half as long again as their average are recovered whole.
const DEEP_SHARE: f64 = 1.5;

/// What the sender does against losses, as its packets show it.
#[derive(Debug, Default)]
pub struct Redundancy {
    newest: i64,
    /// How many frames the newest packet has.
    joined: i64,
    /// The last packet that repeated a frame, and of how many frames before.
    repeat: Option<(i64, i64)>,
    /// The last packet that described earlier ones.
    deep: Option<i64>,
}

impl Redundancy {
    /// The packet of so many frames came whose last is this.
    pub fn came(&mut self, frame: i64, packet: &Packet<'_>, joined: usize) {
        self.newest = frame;
        self.joined = joined as i64;
        if let Some(repeat) = packet.repeat {
            self.repeat = Some((frame, repeat.back.into()));
        }
        if packet.frame.deep {
            self.deep = Some(frame);
        }
    }

    /// How many frames later what is lost comes again. `burst`: how many packets are lost in a row.
    pub fn frames(&self, burst: f64) -> i64 {
        let is_recent = |frame: i64| (self.newest - frame).abs() <= RECENT;
        let repeat = self.repeat.filter(|(frame, _)| is_recent(*frame));
        let deep = self.deep.filter(|frame| is_recent(*frame));
        let deep = deep.map(|_| ((burst * DEEP_SHARE).ceil() as i64).min(DEEP_MAX));
        // In-band FEC is in the next packet, if there is any.
        let repeat = repeat.map(|(_, back)| back);
        repeat.max(deep).unwrap_or(self.joined).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Encoded, Repeat};

    fn packet(back: Option<u8>, deep: bool) -> Packet<'static> {
        let frame = Encoded {
            deep,
            payload: &[1],
        };
        Packet {
            marker: false,
            sequence: 0,
            timestamp: 0,
            ssrc: 0,
            repeat: back.map(|back| Repeat { back, frame }),
            frame,
        }
    }

    #[test]
    fn what_the_sender_does_says_how_long_to_wait_and_is_forgotten() {
        let mut redundancy = Redundancy::default();
        assert_eq!(redundancy.frames(4.0), 1);
        redundancy.came(1, &packet(None, true), 1);
        assert_eq!(redundancy.frames(0.0), 1);
        assert_eq!(redundancy.frames(4.0), 6);
        assert_eq!(redundancy.frames(8.0), 7);
        redundancy.came(2, &packet(Some(12), false), 1);
        assert_eq!(redundancy.frames(4.0), 12);
        redundancy.came(60, &packet(None, false), 1);
        assert_eq!(redundancy.frames(4.0), 1);
        redundancy.came(63, &packet(None, false), 3);
        assert_eq!(redundancy.frames(4.0), 3);
    }
}
