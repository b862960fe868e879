//! A hostile contact: valid frames, damaged at random, in any order. 200,000 inputs or five seconds.

use std::time::{Duration, Instant};

use starling_chat::fuzz;
use starling_wire::chat::ChatFrame;
use starling_wire::frame;
use starling_wire::ids::MessageId;

use crate::message;

/// xorshift64*: repeatable, and all that a mutator needs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}

fn input(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..dice.roll(12) {
        let frame = match dice.roll(3) {
            0 => ChatFrame::Receipt {
                ids: (0..dice.roll(5) as u8)
                    .map(|n| MessageId([n; 16]))
                    .collect(),
            },
            _ => ChatFrame::Message(message(dice.roll(5) as u64)),
        };
        let body = frame::encode_body(&frame);
        bytes.push(dice.roll(256) as u8);
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&body);
    }
    for _ in 0..dice.roll(4) {
        if !bytes.is_empty() {
            let at = dice.roll(bytes.len());
            bytes[at] = dice.roll(256) as u8;
        }
    }
    bytes
}

#[test]
fn no_frames_make_a_conversation_panic() {
    let mut dice = Dice(27_474);
    let end = Instant::now() + Duration::from_secs(5);
    for _ in 0..200_000 {
        fuzz::conversation(&input(&mut dice));
        if Instant::now() > end {
            return;
        }
    }
}
