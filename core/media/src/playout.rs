//! Playout: what is to be heard in the next 20 ms, and how much delay that costs. The sound device pulls; nothing here
//! waits. Times in microseconds, positions in frames.
//!
//! The *play head* moves by one frame with each pull. A frame's *delay* is how long after the fastest packets' time it is
//! played; it should be the *target*, which follows from how late packets come.
//!
//! - The delay grows where nothing has come: something is made up, and the play head stays. Frames of speech are
//!   lengthened besides.
//! - It shrinks in a pause without being heard. Where there is none, and the excess is at least [`SHORTEN_US`], two frames
//!   are shortened; an excess of [`JUMP_US`] or more is cut off at once.
//! - On a steady path neither happens: the sound is continuous to the sample.

use crate::framing;
use crate::jitter_buffer::{Held, JitterBuffer, SPAN};
use crate::packet::{Packet, PacketError, Repeat, is_quiet};
use crate::report::Report;
use crate::reporter::{Counts, Reporter};
use crate::source::{Place, Position, Source};
use crate::statistics::Statistics;
use crate::transit::{self, PathKind, Transit};
use crate::{FRAME_US, Time, micros};
use drift::Drift;
use pace::Pace;
use redundancy::Redundancy;
use thiserror::Error;

mod drift;
mod pace;
mod redundancy;

/// Frames concealed in a row while nothing comes; then there is silence until something does. No concealment sounds like
/// speech for longer than this.
const CONCEAL_MAX: u32 = 10;
/// The same where nobody speaks and something should come each 400 ms: 2 s.
const COMFORT_MAX: u32 = 100;
/// So many late packets in a row, and none in time, mean that the path has become slower.
const LATE_RUN: u32 = 4;
/// The delay grows only if it is this much below the target: something is made up where nothing has come, and frames of speech
/// are lengthened.
const STRETCH_US: i64 = 5_000;
/// From this excess on, frames of speech are shortened.
const SHORTEN_US: i64 = 36_000;
/// From this excess on, sound is cut off.
const JUMP_US: i64 = 120_000;
/// The delay is too short only if something was missing not so long ago: a second.
const MISSED_LATELY: u32 = 50;
/// Frames from one change of length to the next, so that speech stays speech.
const SCALE_EVERY: u32 = 3;

/// What the decoder is to do for the next 20 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Decode this packet.
    Decode(Vec<u8>),
    /// The frame is missing, but a later packet is here: decode this frame from the redundancy in it. The packet itself follows
    /// in its turn.
    Recover {
        /// The later packet.
        payload: Vec<u8>,
        /// By how many frames it is later: 1, and the redundancy may be in-band FEC, or more, and it is deep.
        back: u8,
    },
    /// The frame is missing: conceal it.
    Conceal,
    /// There is too much delay: decode both packets in this order and shorten their 40 ms
    /// ([`crate::timescale::Scaler::shorten`]).
    Shorten(Vec<u8>, Vec<u8>),
    /// There is too little: decode this packet and lengthen it.
    Lengthen(Vec<u8>),
    /// Nobody speaks there: go on with the noise of the room.
    Comfort,
    /// Nothing is to be heard: the stream has not begun or the sender pauses.
    Silence,
}

/// Why a datagram is not played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Dropped {
    /// It is no packet.
    #[error(transparent)]
    Malformed(#[from] PacketError),
    /// Its frame was played without it.
    #[error("a voice packet that came too late to be heard")]
    Late,
    /// It was here before.
    #[error("a voice packet that came twice")]
    Duplicate,
    /// It belongs to another stream.
    #[error("a voice packet of another stream than the one that is played")]
    ForeignSource,
    /// Its numbers are far from those of the stream. If the next packet confirms them, the stream begins anew there.
    #[error("a voice packet far from the others; the other side may have begun anew")]
    Jump,
}

/// The receiving side of one stream.
#[derive(Debug, Default)]
pub struct Playout {
    source: Source,
    transit: Transit,
    buffer: JitterBuffer,
    redundancy: Redundancy,
    reporter: Reporter,
    head: Option<Head>,
    /// Nothing before this frame is played any more.
    unheard: Option<i64>,
    late_in_a_row: u32,
    drift: Drift,
    hasten: Option<f64>,
    counts: Statistics,
}

/// Where playback stands.
#[derive(Debug)]
struct Head {
    /// The frame that is due.
    frame: i64,
    /// The sequence number of the last packet that was played.
    sequence: i64,
    /// Frames that were played since then without their packets.
    passed: i64,
    /// Steps in a row for which nothing waited.
    starved: u32,
    /// The last frame said that nobody speaks until the next that comes.
    quiet: bool,
    since_scaled: u32,
    /// Steps since the last frame that was not here when it was due.
    since_missed: u32,
    /// The delay was changed on purpose since the last step.
    moved: bool,
    pace: Pace,
}

/// Frames that are missing although a later one is here, up to the first change between lost and not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Lost { frames: i64, all: bool },
    Pause { frames: i64 },
}

impl Playout {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What comes takes a path of this kind from now on.
    pub fn take_path(&mut self, path: PathKind) {
        self.transit.take(path);
    }

    /// Takes a datagram as it came.
    pub fn insert(&mut self, datagram: &[u8], now: Time) -> Result<(), Dropped> {
        let packet = Packet::parse(datagram).inspect_err(|_| self.counts.malformed += 1)?;
        let position = self.place(&packet)?;
        let now = micros(now);
        if position.fresh {
            self.counts.discarded += self.buffer.clear();
            self.transit.restart();
            self.reporter.restart();
            self.head = None;
            self.unheard = None;
        }
        let frames = framing::split(packet.frame.payload);
        let frames = frames.unwrap_or_else(|| vec![packet.frame.payload.to_vec()]);
        let last = position.frame + frames.len() as i64 - 1;
        // The last frame has just been made, the first waited for it: that is no queue, and a delay all the same.
        self.transit.arrived(position.frame, now);
        let transit = transit::transit(last, now);
        self.reporter.came(transit, datagram.len(), now);
        let was_passed = self.was_passed(position.frame);
        let reach = self
            .buffer
            .newest()
            .map_or(i64::MIN, |last| last - SPAN + 1);
        if let Some(head) = self.head.as_mut().filter(|head| head.quiet && !was_passed) {
            head.wait_for(position.frame.max(reach));
        }
        self.check_in_time(last)?;
        if self.head.is_none() && self.buffer.is_empty() {
            self.transit.rebase(position.frame, now);
        }
        self.redundancy.came(last, &packet, frames.len());
        self.insert_frames(position, &packet, frames);
        if let Some(repeat) = packet.repeat {
            self.insert_repeated(position, repeat);
        }
        Ok(())
    }

    /// What the decoder is to do next. `now` is when that will be heard: later than the present by what waits behind the decoder.
    pub fn pull(&mut self, now: Time) -> Step {
        let now = micros(now);
        let Some(mut head) = self.head.take().or_else(|| self.start(now)) else {
            return Step::Silence;
        };
        let target = self.target_us();
        head.pace.add(now, transit::transit(head.frame, now));
        self.watch_drift(&mut head, now);
        self.trim(&mut head, target);
        let lacking = target - self.transit.delay_us(head.frame, now);
        let is_short = lacking > STRETCH_US;
        let step = match self.gap(&head) {
            None if self.buffer.is_empty() => self.starve(&mut head, is_short),
            None => Some(self.play(&mut head, target, lacking)),
            Some(gap) => Some(self.bridge(&mut head, gap, is_short)),
        };
        // Without a step the head is gone: playback waits for the next packet.
        let Some(step) = step else {
            return Step::Silence;
        };
        self.head = Some(head);
        step
    }

    /// By how many parts in a million the device should play faster from now on (negative: slower), because the sender's runs at
    /// another speed. Said at most every 40 s.
    pub const fn hasten(&mut self) -> Option<f64> {
        self.hasten.take()
    }

    /// The number of the frame that the last step was about, as the sender counts ([`crate::Packetizer::frame`]).
    pub fn frame(&self) -> Option<i64> {
        self.head.as_ref().map(|head| head.frame - 1)
    }

    /// What the sender is to be told now; nothing where nothing is due.
    pub fn report(&mut self, now: Time) -> Option<Report> {
        let counts = Counts {
            expected: self.source.expected(),
            received: self.source.received(),
            burst: self.source.burst(),
            jitter_us: self.transit.jitter_us(),
        };
        self.reporter.due(self.source.ssrc()?, counts, micros(now))
    }

    /// How it goes.
    pub fn statistics(&self) -> Statistics {
        let (received, expected) = (self.source.received(), self.source.expected());
        let lost = expected.saturating_sub(received);
        let delay = self
            .head
            .as_ref()
            .and_then(|head| head.pace.least_so_far())
            .map_or(0, |least| least - self.transit.fastest_us());
        Statistics {
            received,
            expected,
            lost,
            jitter_ms: self.transit.jitter_us() / 1_000.0,
            depth_ms: whole_ms(self.depth_us()),
            delay_ms: whole_ms(delay),
            target_ms: whole_ms(self.target_us()),
            ..self.counts
        }
    }

    fn place(&mut self, packet: &Packet<'_>) -> Result<Position, Dropped> {
        match self.source.place(packet) {
            Place::Inside(position) if !self.has_packet(position.frame) => Ok(position),
            // MEDIA-05: also another packet for a frame that waits already.
            Place::Inside(_) | Place::Duplicate => {
                self.counts.duplicated += 1;
                Err(Dropped::Duplicate)
            }
            Place::Foreign => {
                self.counts.foreign += 1;
                Err(Dropped::ForeignSource)
            }
            Place::Jump => {
                self.counts.foreign += 1;
                Err(Dropped::Jump)
            }
        }
    }

    fn has_packet(&self, frame: i64) -> bool {
        self.buffer.get(frame).is_some_and(|held| !held.repeated)
    }

    /// The frames of one packet, as far as they are still to be played and nothing waits for them.
    fn insert_frames(&mut self, position: Position, packet: &Packet<'_>, frames: Vec<Vec<u8>>) {
        let joined = frames.len() as i64;
        let due = self.head.as_ref().map_or(i64::MIN, |head| head.frame);
        for (number, payload) in (position.frame..).zip(frames) {
            if number < due || self.has_packet(number) {
                continue;
            }
            let held = Held {
                sequence: position.sequence,
                marker: packet.marker && number == position.frame,
                repeated: false,
                deep: packet.frame.deep,
                joined,
                payload,
            };
            self.counts.discarded += self.buffer.insert(number, held);
        }
    }

    /// `MEDIA-10`: what is repeated fills a gap between frames that wait or are still due, and nothing else.
    fn insert_repeated(&mut self, position: Position, repeat: Repeat<'_>) {
        let back = i64::from(repeat.back);
        let frame = position.frame - back;
        let due = self.head.as_ref().map(|head| head.frame);
        let due = due.or_else(|| self.buffer.first().map(|(first, _)| first));
        if due.is_none_or(|due| frame < due) || self.buffer.get(frame).is_some() {
            return;
        }
        let held = Held {
            sequence: position.sequence - back,
            marker: false,
            repeated: true,
            deep: repeat.frame.deep,
            joined: 1,
            payload: repeat.frame.payload.to_vec(),
        };
        self.counts.discarded += self.buffer.insert(frame, held);
    }

    /// `MEDIA-07`: a frame is played in its place or not at all. If nothing comes in time any more, playback starts again
    /// with what comes; if the frame is further ahead than the buffer reaches, too.
    fn check_in_time(&mut self, frame: i64) -> Result<(), Dropped> {
        let due = self.head.as_ref().map(|head| head.frame);
        let is_late = due.is_some_and(|due| frame < due);
        self.late_in_a_row = if is_late { self.late_in_a_row + 1 } else { 0 };
        let was_passed = self.was_passed(frame);
        let is_path_slower = self.late_in_a_row >= LATE_RUN;
        if was_passed || is_late && !is_path_slower {
            self.counts.late += 1;
            return Err(Dropped::Late);
        }
        if is_late || due.is_some_and(|due| frame - due >= SPAN) {
            self.head = None;
        }
        Ok(())
    }

    /// Whether a frame is before what was played.
    fn was_passed(&self, frame: i64) -> bool {
        self.unheard.is_some_and(|unheard| frame < unheard)
    }

    fn target_us(&self) -> i64 {
        let redundancy = self.redundancy.frames(self.source.burst());
        self.transit
            .target_us(self.source.recent_loss(), redundancy)
    }

    fn depth_us(&self) -> i64 {
        let Some(((first, _), newest)) = self.buffer.first().zip(self.buffer.newest()) else {
            return 0;
        };
        let from = self.head.as_ref().map_or(first, |head| head.frame);
        (newest - from + 1) * FRAME_US
    }

    /// Playback begins as soon as the oldest frame has the target delay; if it has much more, with the frame that has it
    /// now: of what a stall has held back, only the end is heard.
    fn start(&mut self, now: i64) -> Option<Head> {
        let (first, _) = self.buffer.first()?;
        let excess = self.transit.delay_us(first, now) - self.target_us();
        if excess < 0 {
            return None;
        }
        let frame = if excess < SHORTEN_US {
            first
        } else {
            self.buffer.newest()?.min(first + excess / FRAME_US)
        };
        self.counts.discarded += self.buffer.discard_before(frame);
        let (_, held) = self.buffer.first()?;
        Some(Head {
            frame,
            sequence: held.sequence - 1,
            passed: 0,
            starved: 0,
            quiet: false,
            since_scaled: 0,
            since_missed: MISSED_LATELY,
            moved: true,
            pace: Pace::default(),
        })
    }

    fn watch_drift(&mut self, head: &mut Head, now: i64) {
        if std::mem::take(&mut head.moved) {
            self.drift.restart();
        }
        let Some(behind) = head.pace.least() else {
            return;
        };
        let delay = behind - self.transit.fastest_us();
        self.hasten = self.drift.see(now, delay).or(self.hasten);
    }

    /// Gets rid of delay where nobody hears it, or where there is so much that it must go.
    fn trim(&mut self, head: &mut Head, target: i64) {
        let excess = self.excess_us(head, target);
        let spare = excess / FRAME_US;
        if excess >= JUMP_US {
            self.counts.discarded += self.buffer.discard_before(head.frame + spare);
            head.skip(spare);
        } else if let Some(Gap::Pause { frames }) = self.gap(head) {
            head.skip(frames.min(spare));
        }
    }

    /// Delay above the target that lasted; 0 if it is not sure.
    fn excess_us(&self, head: &Head, target: i64) -> i64 {
        let least = head.pace.least();
        least.map_or(0, |least| {
            (least - self.transit.fastest_us() - target).max(0)
        })
    }

    fn gap(&self, head: &Head) -> Option<Gap> {
        let (next, held) = self.buffer.first()?;
        let frames = next - head.frame;
        if frames <= 0 {
            return None;
        }
        // Packets that are lost had as many frames as this one.
        let lost = (held.sequence - head.sequence - 1) * held.joined - head.passed;
        let lost = lost.clamp(0, frames);
        let paused = frames - lost;
        // A packet with a marker follows the pause, so what was lost came before it; one without does not.
        if lost > 0 && (paused == 0 || held.marker) {
            let all = paused == 0;
            return Some(Gap::Lost { frames: lost, all });
        }
        Some(Gap::Pause { frames: paused })
    }

    fn play(&mut self, head: &mut Head, target: i64, lacking: i64) -> Step {
        let Some(held) = self.buffer.take(head.frame) else {
            return self.conceal(head);
        };
        head.starved = 0;
        head.quiet = is_quiet(&held.payload);
        head.since_scaled += 1;
        head.since_missed = head.since_missed.saturating_add(1);
        head.frame += 1;
        head.sequence = held.sequence;
        head.passed = 0;
        self.counts.repeated += u64::from(held.repeated);
        let step = if head.since_scaled < SCALE_EVERY {
            Step::Decode(held.payload)
        } else {
            self.scale(head, held.payload, (target, lacking))
        };
        self.unheard = Some(head.frame);
        step
    }

    /// A frame in its own time, in less or in more.
    fn scale(&mut self, head: &mut Head, payload: Vec<u8>, (target, lacking): (i64, i64)) -> Step {
        // A little beyond the target: devices do not pull evenly.
        if lacking > -STRETCH_US && head.since_missed < MISSED_LATELY {
            head.since_scaled = 0;
            head.moved = true;
            self.counts.lengthened += 1;
            return Step::Lengthen(payload);
        }
        let is_long = self.excess_us(head, target) >= SHORTEN_US;
        let second = is_long.then(|| self.buffer.take(head.frame)).flatten();
        let Some(second) = second else {
            return Step::Decode(payload);
        };
        head.since_scaled = 0;
        head.sequence = second.sequence;
        head.quiet = is_quiet(&second.payload);
        head.skip(1);
        self.counts.repeated += u64::from(second.repeated);
        self.counts.shortened += 1;
        Step::Shorten(payload, second.payload)
    }

    fn bridge(&mut self, head: &mut Head, gap: Gap, is_short: bool) -> Step {
        head.starved = 0;
        if matches!(gap, Gap::Lost { .. }) {
            head.since_missed = 0;
        }
        match gap {
            Gap::Pause { .. } => {
                head.go_on(is_short);
                head.rest()
            }
            Gap::Lost { frames, all: true } if self.brings_back(frames) => {
                self.recover(head, frames)
            }
            Gap::Lost { .. } if is_short => self.stretch(head),
            Gap::Lost { .. } => self.conceal(head),
        }
    }

    /// Nothing waits: lost, late or not sent, nobody knows.
    fn starve(&mut self, head: &mut Head, is_short: bool) -> Option<Step> {
        head.starved += 1;
        if head.quiet {
            head.go_on(is_short);
            return (head.starved <= COMFORT_MAX).then_some(Step::Comfort);
        }
        head.since_missed = 0;
        if head.starved > CONCEAL_MAX {
            return None;
        }
        if is_short {
            return Some(self.stretch(head));
        }
        Some(self.conceal(head))
    }

    /// The next packet comes `frames` later; it may carry the frame that is just before it, and more if it says so.
    fn brings_back(&self, frames: i64) -> bool {
        let next = self.buffer.first();
        frames == 1 || next.is_some_and(|(_, next)| next.deep)
    }

    fn recover(&mut self, head: &mut Head, frames: i64) -> Step {
        let next = self.buffer.first().map(|(_, next)| next);
        let Some((next, back)) = next.zip(u8::try_from(frames).ok()) else {
            return self.conceal(head);
        };
        let payload = next.payload.clone();
        head.pass();
        self.counts.recovered += 1;
        Step::Recover { payload, back }
    }

    fn conceal(&mut self, head: &mut Head) -> Step {
        head.pass();
        self.counts.concealed += 1;
        Step::Conceal
    }

    fn stretch(&mut self, head: &mut Head) -> Step {
        head.moved = true;
        self.counts.concealed += 1;
        self.counts.stretched += 1;
        Step::Conceal
    }
}

impl Head {
    /// A frame is played without its packet.
    const fn pass(&mut self) {
        self.frame += 1;
        self.passed += 1;
    }

    /// Time passes in which nothing was sent; where the delay is too short, it grows instead.
    const fn go_on(&mut self, is_short: bool) {
        if is_short {
            self.moved = true;
        } else {
            self.frame += 1;
        }
    }

    /// What is heard where nothing was sent.
    const fn rest(&self) -> Step {
        if self.quiet {
            Step::Comfort
        } else {
            Step::Silence
        }
    }

    /// Nobody spoke until this frame: it is still in time.
    fn wait_for(&mut self, frame: i64) {
        let ahead = self.frame - frame;
        if ahead > 0 {
            self.skip(-ahead);
        }
    }

    /// Frames that are not played at all: the delay of all others shrinks.
    fn skip(&mut self, frames: i64) {
        self.frame += frames;
        self.moved = true;
        self.pace.shrink(frames * FRAME_US);
    }
}

fn whole_ms(us: i64) -> u32 {
    u32::try_from(us.max(0) / 1_000).unwrap_or(u32::MAX)
}
