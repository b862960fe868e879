//! The tones of a call, made here of sines: what rings, what a caller hears meanwhile, and short cues. Each note begins and ends
//! in a ramp (half a cosine), and so does what is broken off: nothing clicks. Pure: no device, no clock.

use std::f32::consts::{PI, TAU};

use starling_media::{FRAME_SAMPLES, SAMPLE_RATE};

/// A note's ramps, and the end of what is broken off.
const RAMP_MS: u32 = 10;
const SAMPLES_PER_MS: u32 = SAMPLE_RATE / 1_000;

/// What is to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Somebody calls.
    Ringing,
    /// Somebody calls while one talks to another.
    Waiting,
    /// It rings at the other side.
    Ringback,
    /// The call did not come about.
    Busy,
    /// The call is over.
    Ended,
    /// The connection is sought again.
    Reconnecting,
}

/// A sound of one or two sines.
struct Note {
    from_ms: u32,
    length_ms: u32,
    hertz: [f32; 2],
}

/// Notes, again after each period.
struct Score {
    notes: &'static [Note],
    period_ms: u32,
    /// How often; for ever if 0.
    times: u32,
}

const fn note(from_ms: u32, length_ms: u32, hertz: [f32; 2]) -> Note {
    Note {
        from_ms,
        length_ms,
        hertz,
    }
}

/// D, A, D, F sharp: a chord that climbs, twice, and rests. The second sine is an octave above the first: brighter.
const RINGING: &[Note] = &[
    note(0, 180, [587.33, 1_174.66]),
    note(180, 180, [880.0, 1_760.0]),
    note(360, 180, [1_174.66, 2_349.32]),
    note(540, 360, [1_479.98, 2_959.96]),
    note(1_000, 180, [587.33, 1_174.66]),
    note(1_180, 180, [880.0, 1_760.0]),
    note(1_360, 180, [1_174.66, 2_349.32]),
    note(1_540, 360, [1_479.98, 2_959.96]),
];
const WAITING: &[Note] = &[note(0, 120, [880.0, 0.0]), note(200, 120, [880.0, 0.0])];
/// Of telephones: ITU-T E.180's ranges.
const RINGBACK: &[Note] = &[note(0, 1_000, [440.0, 0.0])];
const BUSY: &[Note] = &[note(0, 400, [440.0, 0.0])];
const ENDED: &[Note] = &[note(0, 120, [587.33, 0.0]), note(140, 200, [392.0, 0.0])];
const RECONNECTING: &[Note] = &[note(0, 100, [392.0, 0.0]), note(160, 100, [493.88, 0.0])];

impl Tone {
    /// Whether it goes on until it is stopped.
    pub const fn lasts(self) -> bool {
        self.score().times == 0
    }

    const fn score(self) -> Score {
        let (notes, period_ms, times) = match self {
            Self::Ringing => (RINGING, 4_000, 0),
            Self::Waiting => (WAITING, 4_000, 0),
            Self::Ringback => (RINGBACK, 5_000, 0),
            Self::Busy => (BUSY, 800, 4),
            Self::Ended => (ENDED, 400, 1),
            Self::Reconnecting => (RECONNECTING, 3_000, 0),
        };
        Score {
            notes,
            period_ms,
            times,
        }
    }
}

/// Plays one tone.
#[derive(Debug)]
pub struct Player {
    tone: Tone,
    /// The largest sample.
    volume: f32,
    /// Samples played of it.
    at: u64,
    /// Samples left, once it was stopped.
    left: Option<u32>,
}

impl Player {
    /// From its beginning; `volume` is 0 to 1.
    pub fn new(tone: Tone, volume: f32) -> Self {
        Self {
            tone,
            volume: volume.clamp(0.0, 1.0),
            at: 0,
            left: None,
        }
    }

    /// It fades within a few milliseconds.
    pub fn stop(&mut self) {
        self.left.get_or_insert(RAMP_MS * SAMPLES_PER_MS);
    }

    /// The next frame; false when there is nothing more.
    pub fn fill(&mut self, out: &mut [f32; FRAME_SAMPLES]) -> bool {
        let score = self.tone.score();
        let period = u64::from(score.period_ms * SAMPLES_PER_MS);
        let end = period * u64::from(score.times);
        if self.left == Some(0) || (end > 0 && self.at >= end) {
            return false;
        }
        for sample in out {
            let over = end > 0 && self.at >= end;
            let tone = if over {
                0.0
            } else {
                sound(&score, (self.at % period) as u32)
            };
            *sample = self.volume * self.fading() * tone;
            self.at += 1;
        }
        true
    }

    /// What is left of the tone's size.
    fn fading(&mut self) -> f32 {
        let Some(left) = &mut self.left else {
            return 1.0;
        };
        *left = left.saturating_sub(1);
        rise(*left)
    }
}

fn sound(score: &Score, at: u32) -> f32 {
    score.notes.iter().map(|note| heard(note, at)).sum()
}

/// A note's share of one sample, at most 1. `AUDIO-03`: it begins and ends in a ramp.
fn heard(note: &Note, at: u32) -> f32 {
    let (from, length) = (
        note.from_ms * SAMPLES_PER_MS,
        note.length_ms * SAMPLES_PER_MS,
    );
    let Some(at) = at.checked_sub(from).filter(|at| *at < length) else {
        return 0.0;
    };
    let [first, second] = note.hertz;
    let share = if second > 0.0 { 0.7 } else { 1.0 };
    let wave = share * sine(first, at) + (1.0 - share) * sine(second, at);
    rise(at) * rise(length - 1 - at) * wave
}

fn sine(hertz: f32, at: u32) -> f32 {
    // In 64 bits: a phase of some thousand turns has few digits left in 32.
    let turns = f64::from(hertz) * f64::from(at) / f64::from(SAMPLE_RATE);
    (turns.fract() as f32 * TAU).sin()
}

/// From 0 to 1 within a ramp.
fn rise(at: u32) -> f32 {
    let part = (at as f32 / (RAMP_MS * SAMPLES_PER_MS) as f32).min(1.0);
    0.5 - 0.5 * (PI * part).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Tone; 6] = [
        Tone::Ringing,
        Tone::Waiting,
        Tone::Ringback,
        Tone::Busy,
        Tone::Ended,
        Tone::Reconnecting,
    ];

    fn play(tone: Tone, seconds: usize) -> Vec<f32> {
        let mut player = Player::new(tone, 0.5);
        let mut all = Vec::new();
        let mut frame = [0.0; FRAME_SAMPLES];
        while all.len() < seconds * SAMPLE_RATE as usize && player.fill(&mut frame) {
            all.extend(frame);
        }
        all
    }

    /// How large a sine of this height is in it (Goertzel).
    fn level(samples: &[f32], hertz: f32) -> f32 {
        let turn = TAU * hertz / SAMPLE_RATE as f32;
        let (mut before, mut last) = (0.0_f64, 0.0_f64);
        let factor = 2.0 * f64::from(turn).cos();
        for sample in samples {
            (before, last) = (last, f64::from(*sample) + factor * last - before);
        }
        let power = before * before + last * last - factor * before * last;
        (power.sqrt() * 2.0 / samples.len() as f64) as f32
    }

    /// Without edges of the piece's own (a Hann window).
    fn faded(piece: &[f32]) -> Vec<f32> {
        let weight = |n: usize| 0.5 - 0.5 * (TAU * n as f32 / piece.len() as f32).cos();
        let samples = piece.iter().enumerate();
        samples.map(|(n, sample)| sample * weight(n)).collect()
    }

    #[test]
    fn each_note_has_its_height_and_nothing_else() {
        for tone in ALL {
            let all = play(tone, 4);
            for note in tone.score().notes {
                let from = (note.from_ms + RAMP_MS) * SAMPLES_PER_MS;
                let to = (note.from_ms + note.length_ms - RAMP_MS) * SAMPLES_PER_MS;
                let middle = &all[from as usize..to as usize];
                let wanted = if note.hertz[1] > 0.0 { 0.35 } else { 0.5 };
                let heard = level(middle, note.hertz[0]);
                assert!(
                    (heard - wanted).abs() < 0.03,
                    "{tone:?}: {heard}, not {wanted}"
                );
                for other in [note.hertz[0] * 1.5, 3_700.0, 9_000.0] {
                    let heard = level(middle, other);
                    assert!(heard < 0.02, "{tone:?}: {heard} at {other} Hz");
                }
            }
        }
    }

    #[test]
    fn audio_03_nothing_clicks() {
        for tone in ALL {
            let all = play(tone, 6);
            assert!(all[0].abs() < 0.001 && all.iter().all(|sample| sample.abs() <= 0.5));
            // No sine in it is steeper than the highest one, at its size, with a ramp's slope beside.
            let highest = tone.score().notes.iter().flat_map(|note| note.hertz);
            let highest = highest.fold(0.0, f32::max);
            let steepest = 0.5 * TAU * highest / SAMPLE_RATE as f32 + 0.003;
            for (n, pair) in all.windows(2).enumerate() {
                let step = (pair[1] - pair[0]).abs();
                assert!(step <= steepest, "{tone:?}: a step of {step} at sample {n}");
            }
            // Above all of its notes there is next to nothing, at every beginning and end.
            let note = &tone.score().notes[0];
            let end = ((note.from_ms + note.length_ms) * SAMPLES_PER_MS) as usize;
            for edge in [&all[..960], &all[end - 480..end + 480]] {
                let noise = level(&faded(edge), 12_000.0);
                assert!(noise < 0.000_1, "{tone:?} crackles: {noise}");
            }
        }
    }

    #[test]
    fn a_tone_ends_by_itself_or_when_it_is_stopped_without_a_click() {
        for tone in ALL {
            let all = play(tone, 30);
            let length = if tone.lasts() { 30 } else { 4 };
            assert!(all.len() <= length * SAMPLE_RATE as usize);
            assert_eq!(all.len() == 30 * SAMPLE_RATE as usize, tone.lasts());
        }
        let mut player = Player::new(Tone::Ringback, 1.0);
        let mut frames = [[0.0; FRAME_SAMPLES]; 3];
        assert!(player.fill(&mut frames[0]) && player.fill(&mut frames[1]));
        player.stop();
        assert!(player.fill(&mut frames[2]) && !player.fill(&mut [0.0; FRAME_SAMPLES]));
        let [_, before, last] = frames;
        assert!(last[..100].iter().any(|sample| sample.abs() > 0.5));
        assert!(last[480..].iter().all(|sample| *sample == 0.0));
        let whole: Vec<f32> = before.into_iter().chain(last).collect();
        let steepest = TAU * 440.0 / SAMPLE_RATE as f32 + 0.005;
        assert!(
            whole
                .windows(2)
                .all(|pair| (pair[1] - pair[0]).abs() <= steepest)
        );
    }
}
