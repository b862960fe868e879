//! What the voice has to bear, and what it should be worth then.

use std::time::Duration;

use crate::Line;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Condition {
    /// On the command line.
    pub name: &'static str,
    /// In the table.
    pub about: &'static str,
    /// The caller's access, each way: to the other as to the supernode.
    pub line: Line,
    /// What each may send with, kbit/s.
    pub kbits: u32,
    /// The least PESQ that is asked for.
    pub pesq: f64,
    /// The most added delay that is asked for.
    pub delay: Duration,
    /// The caller's sound goes through echo cancelling, noise suppression and gain control, and the other says nothing.
    pub processed: bool,
}

impl Condition {
    /// The least time of a packet on the line: what is not counted as added.
    pub const fn propagation(&self) -> Duration {
        self.line.delay.saturating_sub(self.line.jitter)
    }

    /// The share of packets that the line loses, 0 to 1.
    pub fn loss(&self) -> f64 {
        let bursts = self.line.bursts.map_or(0.0, |bursts| bursts.loss);
        self.line.loss + bursts
    }
}

const fn condition(
    name: &'static str,
    about: &'static str,
    line: Line,
    (kbits, pesq, delay_ms): (u32, f64, u64),
) -> Condition {
    Condition {
        name,
        about,
        line,
        kbits,
        pesq,
        delay: Duration::from_millis(delay_ms),
        processed: false,
    }
}

const fn processed(mut condition: Condition) -> Condition {
    condition.processed = true;
    condition
}

const NARROW: u32 = 32;
const ROOM: u32 = 64;
/// 25 ms each way.
const LINE: Line = Line::reference();
/// Milliseconds on average, so that of packets that are 20 ms apart four are lost in a row on average: `1 / (1 - exp(-20 / 70))`.
const BURST: u64 = 70;

/// All of them.
pub const CONDITIONS: [Condition; 12] = [
    condition("clean", "no loss, no jitter", LINE, (NARROW, 4.3, 40)),
    condition(
        "random-5",
        "random loss 5 %",
        LINE.loss(0.05),
        (NARROW, 3.8, 80),
    ),
    condition(
        "random-10",
        "random loss 10 %",
        LINE.loss(0.1),
        (NARROW, 3.4, 80),
    ),
    condition(
        "random-20",
        "random loss 20 %",
        LINE.loss(0.2),
        (NARROW, 2.8, 80),
    ),
    condition(
        "bursts-10",
        "bursts of 80 ms, 10 %",
        LINE.bursts(0.1, BURST),
        (NARROW, 2.8, 180),
    ),
    condition(
        "bursts-20",
        "bursts of 80 ms, 20 %",
        LINE.bursts(0.2, BURST),
        (NARROW, 2.2, 180),
    ),
    condition(
        "bursts-40",
        "bursts of 80 ms, 40 %",
        LINE.bursts(0.4, BURST),
        (NARROW, 1.6, 180),
    ),
    condition(
        "room-random-20",
        "room for 64 kbit/s, random loss 20 %",
        LINE.loss(0.2),
        (ROOM, 3.7, 250),
    ),
    condition(
        "room-bursts-20",
        "room for 64 kbit/s, bursts 20 %",
        LINE.bursts(0.2, BURST),
        (ROOM, 3.0, 250),
    ),
    condition(
        "jitter",
        "jitter, uniform 0-60 ms, no loss",
        LINE.delay_ms(55).jitter_ms(30).reorder(true),
        (NARROW, 4.0, 100),
    ),
    condition(
        "far",
        "200 ms round trip, random loss 10 %",
        LINE.delay_ms(100).loss(0.1),
        (NARROW, 3.2, 80),
    ),
    processed(condition(
        "processed",
        "processing on, far end silent",
        LINE,
        (NARROW, 3.6, 60),
    )),
];
