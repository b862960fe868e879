//! Time-scale modification: speech in less or in more time without another pitch, by overlap-add at the lag at which the sound is most
//! like itself (WSOLA: a pitch period of a voice, or some of them). Samples of 1/48,000 s.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{FRAME_SAMPLES, SAMPLE_RATE};

/// The shortest piece that is cut out or put in: 5 ms.
const SHORTEST: usize = FRAME_SAMPLES / 4;
/// The longest piece that is cut out: a frame.
const LONGEST_CUT: usize = FRAME_SAMPLES;
/// The longest piece that is put in: 15 ms, a period of the deepest voice.
const LONGEST_REPEAT: usize = FRAME_SAMPLES * 3 / 4;
/// One sound is faded into the other for 5 ms.
const FADE: usize = FRAME_SAMPLES / 4;
/// How much is compared: 10 ms, every fourth sample of it.
const COMPARED: usize = FRAME_SAMPLES / 2;
const STEP: usize = 4;
/// Sound that is less like itself is left as it is: a consonant would be heard twice, or not at all.
const ALIKE: f32 = 0.4;
/// Quieter than this nobody hears what is done to it; mean square.
const QUIET: f32 = 1e-6;

/// Decoded sound on its way to the device. Whoever wants the next frame asks [`Scaler::is_ready`] first, and decodes until it is.
#[derive(Debug)]
pub struct Scaler {
    waiting: VecDeque<f32>,
    /// The frame that was put in last.
    last: [f32; FRAME_SAMPLES],
}

impl Default for Scaler {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            last: [0.0; FRAME_SAMPLES],
        }
    }
}

impl Scaler {
    /// Whether a frame can be taken.
    pub fn is_ready(&self) -> bool {
        self.waiting.len() >= FRAME_SAMPLES
    }

    /// How long what waits lasts.
    pub fn waiting(&self) -> Duration {
        let samples = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        Duration::from_secs(1) * samples / SAMPLE_RATE
    }

    /// The next 20 ms; silence where nothing waits.
    pub fn take(&mut self) -> [f32; FRAME_SAMPLES] {
        std::array::from_fn(|_| self.waiting.pop_front().unwrap_or(0.0))
    }

    /// A frame as it is.
    pub fn push(&mut self, frame: &[f32; FRAME_SAMPLES]) {
        self.waiting.extend(frame);
        self.last = *frame;
    }

    /// Two frames in up to 20 ms less; as they are where nothing can be cut out of them unheard.
    pub fn shorten(&mut self, first: &[f32; FRAME_SAMPLES], second: &[f32; FRAME_SAMPLES]) {
        let both = [first.as_slice(), second].concat();
        let later = |lag: usize| &both[lag..lag + COMPARED];
        // A cut of nothing leaves both as they are.
        let cut = lag(&both, later, LONGEST_CUT).unwrap_or(0);
        self.waiting
            .extend(fade(&both[..FADE], &both[cut..cut + FADE]));
        self.waiting.extend(&both[cut + FADE..]);
        self.last = *second;
    }

    /// A frame in 5 to 15 ms more; as it is where nothing of what came before it can be heard again unnoticed.
    pub fn lengthen(&mut self, frame: &[f32; FRAME_SAMPLES]) {
        let both = [self.last.as_slice(), frame].concat();
        let earlier = |lag: usize| &both[FRAME_SAMPLES - lag..FRAME_SAMPLES - lag + COMPARED];
        let more = lag(frame, earlier, LONGEST_REPEAT).unwrap_or(0);
        let again = &both[FRAME_SAMPLES - more..];
        self.waiting.extend(fade(&frame[..FADE], &again[..FADE]));
        self.waiting.extend(&again[FADE..]);
        self.last = *frame;
    }
}

/// At which lag another piece of sound is most like the beginning of this one.
fn lag<'a>(sound: &[f32], other: impl Fn(usize) -> &'a [f32], most: usize) -> Option<usize> {
    let beginning = &sound[..COMPARED];
    if energy(beginning) <= QUIET {
        return Some(most);
    }
    let best = |lags: &mut dyn Iterator<Item = usize>| {
        let alike = lags.map(|lag| (lag, likeness(beginning, other(lag))));
        alike.max_by(|(_, one), (_, two)| one.total_cmp(two))
    };
    let (coarse, _) = best(&mut (SHORTEST..=most).step_by(STEP))?;
    let near = coarse.saturating_sub(STEP).max(SHORTEST)..=(coarse + STEP).min(most);
    let (lag, likeness) = best(&mut near.into_iter())?;
    (likeness >= ALIKE).then_some(lag)
}

/// Normalised cross-correlation, -1 to 1.
fn likeness(one: &[f32], two: &[f32]) -> f32 {
    let (mut both, mut ones, mut twos) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(two).step_by(STEP) {
        both += a * b;
        ones += a * a;
        twos += b * b;
    }
    both / (ones * twos).sqrt().max(f32::MIN_POSITIVE)
}

fn energy(sound: &[f32]) -> f32 {
    sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32
}

/// From one sound into the other.
fn fade<'a>(from: &'a [f32], into: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
    let length = from.len() as f32;
    from.iter()
        .zip(into)
        .enumerate()
        .map(move |(at, (from, into))| {
            let share = (at as f32 + 0.5) / length;
            from + share * (into - from)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Frame = [f32; FRAME_SAMPLES];

    /// A voice of this pitch, with overtones, from this sample on.
    fn voice(hertz: f32, from: usize) -> Frame {
        std::array::from_fn(|at| {
            let turn = std::f32::consts::TAU * hertz * (from + at) as f32 / 48_000.0;
            0.3 * turn.sin() + 0.2 * (2.0 * turn).sin() + 0.1 * (5.0 * turn).sin()
        })
    }

    fn all(scaler: &mut Scaler) -> Vec<f32> {
        std::mem::take(&mut scaler.waiting).into()
    }

    /// The largest step from one sample to the next.
    fn steepest(sound: &[f32]) -> f32 {
        let steps = sound.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        steps.fold(0.0, f32::max)
    }

    #[test]
    fn a_voice_is_cut_and_repeated_by_whole_periods_without_a_click() {
        for hertz in [80.0, 110.0, 150.0, 220.0, 330.0] {
            let (first, second) = (voice(hertz, 0), voice(hertz, FRAME_SAMPLES));
            let mut scaler = Scaler::default();
            scaler.shorten(&first, &second);
            let shorter = all(&mut scaler);
            let cut = 2 * FRAME_SAMPLES - shorter.len();
            scaler.push(&first);
            scaler.lengthen(&second);
            let longer = all(&mut scaler);
            let more = longer.len() - 2 * FRAME_SAMPLES;
            for lag in [cut, more] {
                assert!(lag >= SHORTEST, "{hertz}: {lag}");
                let periods = lag as f32 * hertz / 48_000.0;
                let off = (periods - periods.round()).abs();
                assert!(off < 0.06, "{hertz}: {periods} periods");
            }
            let steep = steepest(&first) * 1.1;
            for sound in [&shorter, &longer] {
                assert!(steepest(sound) < steep, "{hertz}: a click");
            }
        }
    }

    #[test]
    fn what_is_not_like_itself_stays_as_it_is_and_silence_gives_way() {
        let mut noise = 1_u32;
        let hiss = std::array::from_fn(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 16) as f32 / 65_536.0 - 0.5
        });
        let mut scaler = Scaler::default();
        scaler.shorten(&hiss, &voice(100.0, 0));
        let whole: Vec<f32> = hiss.iter().chain(&voice(100.0, 0)).copied().collect();
        assert_eq!(all(&mut scaler), whole);
        scaler.push(&voice(100.0, 0));
        scaler.lengthen(&hiss);
        assert_eq!(all(&mut scaler)[FRAME_SAMPLES..], hiss);
        let silence = [0.0; FRAME_SAMPLES];
        scaler.shorten(&silence, &silence);
        assert_eq!(all(&mut scaler).len(), FRAME_SAMPLES);
    }

    proptest! {
        #[test]
        fn whatever_is_pushed_comes_out_within_bounds(
            acts in prop::collection::vec((0_u8..3, 60.0..500.0_f32, 0_usize..5_000), 1..40),
        ) {
            let mut scaler = Scaler::default();
            let mut taken = 0;
            for (act, hertz, from) in acts {
                let (first, second) = (voice(hertz, from), voice(hertz, from + FRAME_SAMPLES));
                let before = scaler.waiting.len();
                match act {
                    0 => scaler.push(&first),
                    1 => scaler.shorten(&first, &second),
                    _ => scaler.lengthen(&first),
                }
                let came = scaler.waiting.len() - before;
                prop_assert!((FRAME_SAMPLES..=2 * FRAME_SAMPLES).contains(&came));
                while scaler.is_ready() {
                    let frame = scaler.take();
                    prop_assert!(frame.iter().all(|sample| sample.abs() <= 0.61));
                    taken += 1;
                }
                prop_assert!(scaler.waiting.len() < FRAME_SAMPLES);
            }
            prop_assert!(taken > 0);
        }
    }
}
