//! Frames that wait to be played, in order and never more than a fixed span of them. Positions are whole frames of 20 ms.

use std::collections::BTreeMap;

/// `MEDIA-08`: from the oldest frame to the newest, both counted: 3 s.
pub const SPAN: i64 = 150;

/// A packet that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its extended sequence number.
    pub sequence: i64,
    /// Whether it follows a pause.
    pub marker: bool,
    /// Whether it came in a later packet.
    pub repeated: bool,
    /// Whether it describes earlier frames.
    pub deep: bool,
    /// How many frames its packet has.
    pub joined: i64,
    /// The encoded frame.
    pub payload: Vec<u8>,
}

/// The frames, by position.
#[derive(Debug, Default)]
pub struct JitterBuffer {
    frames: BTreeMap<i64, Held>,
}

impl JitterBuffer {
    /// Whether no frame waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// What waits for this frame.
    pub fn get(&self, frame: i64) -> Option<&Held> {
        self.frames.get(&frame)
    }

    /// Adds a frame. What then lies too far behind the newest is given up; returns how many packets that were.
    pub fn insert(&mut self, frame: i64, held: Held) -> u64 {
        self.frames.insert(frame, held);
        let newest = self.newest().unwrap_or(frame);
        self.discard_before(newest - SPAN + 1)
    }

    /// The oldest frame.
    pub fn first(&self) -> Option<(i64, &Held)> {
        let (frame, held) = self.frames.first_key_value()?;
        Some((*frame, held))
    }

    /// The position of the newest frame.
    pub fn newest(&self) -> Option<i64> {
        self.frames.last_key_value().map(|(frame, _)| *frame)
    }

    /// Takes a frame out.
    pub fn take(&mut self, frame: i64) -> Option<Held> {
        self.frames.remove(&frame)
    }

    /// Gives up everything before `frame`; returns how many packets that were.
    pub fn discard_before(&mut self, frame: i64) -> u64 {
        let kept = self.frames.split_off(&frame);
        let given_up = std::mem::replace(&mut self.frames, kept);
        packets(&given_up)
    }

    /// Gives up everything.
    pub fn clear(&mut self) -> u64 {
        packets(&std::mem::take(&mut self.frames))
    }
}

/// A repeated frame is no packet of its own.
fn packets(frames: &BTreeMap<i64, Held>) -> u64 {
    frames.values().filter(|held| !held.repeated).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(sequence: i64) -> Held {
        Held {
            sequence,
            marker: false,
            repeated: false,
            deep: false,
            joined: 1,
            payload: vec![1],
        }
    }

    proptest! {
        #[test]
        fn media_08_it_never_spans_more_than_three_seconds(
            frames in prop::collection::vec(-1_000_000_i64..1_000_000, 0..60),
            near in prop::collection::vec(0_i64..400, 0..400),
        ) {
            let mut buffer = JitterBuffer::default();
            let mut inserted = 0;
            let mut given_up = 0;
            for frame in frames.into_iter().chain(near) {
                if buffer.get(frame).is_some() {
                    continue;
                }
                given_up += buffer.insert(frame, held(frame));
                inserted += 1;
                let (first, _) = buffer.first().unwrap();
                prop_assert!(buffer.newest().unwrap() - first < SPAN);
            }
            prop_assert_eq!(inserted, given_up + buffer.frames.len() as u64);
        }
    }

    #[test]
    fn frames_come_out_in_order_and_old_ones_are_given_up() {
        let mut buffer = JitterBuffer::default();
        for frame in [3, 1, 2] {
            assert_eq!(buffer.insert(frame, held(frame + 10)), 0);
        }
        assert_eq!(buffer.first(), Some((1, &held(11))));
        assert_eq!(buffer.discard_before(3), 2);
        assert_eq!(buffer.discard_before(3), 0);
        assert_eq!(buffer.take(3), Some(held(13)));
        assert!(buffer.is_empty());
    }
}
