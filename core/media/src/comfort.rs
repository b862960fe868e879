//! The noise of the other side's room, made here while nothing is sent (comfort noise, after RFC 3389): white noise through a filter
//! that was learnt from the last sound before the silence, which is that noise alone. Samples at 48 kHz.

use crate::FRAME_SAMPLES;

/// Of the filter. Enough for the colour of a room; more would learn single tones.
const ORDER: usize = 20;
/// What is learnt from: Opus goes on for 200 ms after the last word before it says that nobody speaks.
const LEARNT: usize = 4 * FRAME_SAMPLES;
/// How long it takes to become the next sound: 2.5 ms.
const FADE: usize = FRAME_SAMPLES / 8;
/// Keeps a filter of digital silence, or of one pure tone, stable: 40 dB below what is there.
const WHITEN: f64 = 1.0001;
/// Each tap is so much smaller than the one before besides: no tone rings for ever.
const DAMP: f64 = 0.99;

/// What is known of a room.
#[derive(Debug, Clone)]
pub struct Comfort {
    heard: Vec<f32>,
    /// Nothing before the first silence after new sound.
    filter: Option<Filter>,
    random: u32,
}

/// An all-pole filter with what it gave last, newest first.
#[derive(Debug, Clone)]
struct Filter {
    taps: [f64; ORDER],
    gain: f64,
    last: [f64; ORDER],
}

impl Default for Comfort {
    fn default() -> Self {
        Self {
            heard: Vec::new(),
            filter: None,
            random: 1,
        }
    }
}

impl Comfort {
    /// A frame that was sent. After silence it begins as that noise, so that nothing clicks.
    pub fn hear(&mut self, frame: &mut [f32; FRAME_SAMPLES]) {
        if let Some(mut filter) = self.filter.take() {
            for (at, sample) in frame.iter_mut().take(FADE).enumerate() {
                let share = at as f32 / FADE as f32;
                let noise = filter.next(self.white());
                *sample = *sample * share + noise * (1.0 - share);
            }
        }
        let surplus = (self.heard.len() + FRAME_SAMPLES).saturating_sub(LEARNT);
        self.heard.drain(..surplus);
        self.heard.extend_from_slice(frame);
    }

    /// A frame of noise.
    pub fn make(&mut self) -> [f32; FRAME_SAMPLES] {
        let mut filter = self
            .filter
            .take()
            .unwrap_or_else(|| Filter::of(&self.heard));
        let frame = std::array::from_fn(|_| filter.next(self.white()));
        self.filter = Some(filter);
        frame
    }

    /// Evenly between -√3 and √3, so that its variance is 1 (xorshift).
    fn white(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let even = f64::from(self.random) / f64::from(u32::MAX);
        (even * 2.0 - 1.0) * 3_f64.sqrt()
    }
}

impl Filter {
    /// Linear prediction by Levinson and Durbin's recursion.
    fn of(sound: &[f32]) -> Self {
        let correlation = autocorrelation(sound);
        let mut taps = [0.0; ORDER];
        let mut error = correlation[0];
        for order in 0..ORDER {
            if error <= f64::EPSILON {
                break;
            }
            let predicted: f64 = (0..order)
                .map(|tap| taps[tap] * correlation[order - tap])
                .sum();
            let reflection = (correlation[order + 1] - predicted) / error;
            let before = taps;
            taps[order] = reflection;
            for tap in 0..order {
                taps[tap] -= reflection * before[order - 1 - tap];
            }
            error *= 1.0 - reflection * reflection;
        }
        let mut damp = 1.0;
        for tap in &mut taps {
            damp *= DAMP;
            *tap *= damp;
        }
        let newest = sound.iter().rev().copied().map(f64::from);
        let mut last = [0.0; ORDER];
        last.iter_mut()
            .zip(newest)
            .for_each(|(slot, sample)| *slot = sample);
        Self {
            taps,
            gain: error.max(0.0).sqrt(),
            last,
        }
    }

    fn next(&mut self, white: f64) -> f32 {
        let predicted: f64 = self
            .taps
            .iter()
            .zip(&self.last)
            .map(|(tap, last)| tap * last)
            .sum();
        let sample = (predicted + self.gain * white).clamp(-1.0, 1.0);
        self.last.rotate_right(1);
        self.last[0] = sample;
        sample as f32
    }
}

/// Per sample, of a Hann window.
fn autocorrelation(sound: &[f32]) -> [f64; ORDER + 1] {
    let length = sound.len().max(1) as f64;
    let window = |at: usize| 1.0 - (std::f64::consts::TAU * (at as f64 + 0.5) / length).cos();
    let windowed: Vec<f64> = sound
        .iter()
        .enumerate()
        .map(|(at, sample)| f64::from(*sample) * window(at))
        .collect();
    // The window's own power is 3/2.
    let mut correlation = std::array::from_fn(|lag| {
        let pairs = windowed.iter().zip(windowed.iter().skip(lag));
        pairs.map(|(one, other)| one * other).sum::<f64>() / length / 1.5
    });
    correlation[0] *= WHITEN;
    correlation
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn power(frame: &[f32]) -> f32 {
        frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32
    }

    /// How much of the power lies in differences from sample to sample: high for hiss, low for rumble.
    fn roughness(frame: &[f32]) -> f32 {
        let steps: Vec<f32> = frame.windows(2).map(|pair| pair[1] - pair[0]).collect();
        power(&steps) / power(frame)
    }

    fn learnt(noise: impl Fn(&mut Comfort) -> [f32; FRAME_SAMPLES]) -> (Comfort, Vec<f32>) {
        let mut source = Comfort::default();
        let mut comfort = Comfort::default();
        let mut heard = Vec::new();
        for _ in 0..4 {
            let mut frame = noise(&mut source);
            comfort.hear(&mut frame);
            heard.extend(frame);
        }
        (comfort, heard)
    }

    #[test]
    fn it_is_as_loud_as_the_room_and_of_its_colour() {
        let hiss = |source: &mut Comfort| std::array::from_fn(|_| source.white() as f32 * 0.003);
        let rumble = |source: &mut Comfort| {
            let mut low = 0.0;
            std::array::from_fn(|_| {
                low = low * 0.98 + source.white() as f32 * 0.001;
                low
            })
        };
        for (comfort, heard) in [learnt(hiss), learnt(rumble)] {
            let mut comfort = comfort;
            let made: Vec<f32> = (0..20).flat_map(|_| comfort.make()).collect();
            let (louder, rougher) = (
                power(&made) / power(&heard),
                roughness(&made) / roughness(&heard),
            );
            assert!((0.5..2.0).contains(&louder), "{louder}");
            assert!((0.5..2.0).contains(&rougher), "{rougher}");
        }
    }

    #[test]
    fn a_word_after_silence_begins_as_the_noise_and_is_itself_soon() {
        let (mut comfort, _) = learnt(|_| [0.001; FRAME_SAMPLES]);
        comfort.make();
        let mut word = [0.5; FRAME_SAMPLES];
        comfort.hear(&mut word);
        assert!(word[0].abs() < 0.01, "{}", word[0]);
        assert_eq!(word[FADE..], [0.5; FRAME_SAMPLES - FADE]);
        let mut next = [0.5; FRAME_SAMPLES];
        comfort.hear(&mut next);
        assert_eq!(next, [0.5; FRAME_SAMPLES]);
    }

    #[test]
    fn without_anything_heard_it_is_silent() {
        assert_eq!(Comfort::default().make(), [0.0; FRAME_SAMPLES]);
    }

    proptest! {
        #[test]
        fn whatever_was_heard_it_stays_within_bounds(
            tones in prop::collection::vec((0.0..3.1_f32, 0.0..1.0_f32), 1..4),
            loud in prop::bool::ANY,
        ) {
            let mut comfort = Comfort::default();
            for number in 0..5 {
                let mut frame = std::array::from_fn(|at| {
                    let at = (number * FRAME_SAMPLES + at) as f32;
                    let sum: f32 = tones.iter().map(|(step, level)| (at * step).sin() * level).sum();
                    if loud { sum.signum() } else { sum.clamp(-1.0, 1.0) }
                });
                comfort.hear(&mut frame);
            }
            let made: Vec<f32> = (0..100).flat_map(|_| comfort.make()).collect();
            prop_assert!(made.iter().all(|sample| sample.abs() <= 1.0));
            // It does not ring up.
            let (first, last) = made.split_at(made.len() / 2);
            prop_assert!(power(last) <= power(first) * 3.0 + 1e-3);
        }
    }
}
