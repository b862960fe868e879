//! How the speaker's sound comes to the microphone: a loudspeaker, a room, two clocks and buffers on the way.

use std::f64::consts::PI;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use realfft::RealFftPlanner;

use super::RATE;

/// Taps on each side, where two clocks differ.
const TAPS: i64 = 16;

/// A room, by what is heard of it.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// In the table.
    pub about: &'static str,
    /// Until reverberation has fallen by 60 dB, ms.
    pub decay_ms: f64,
    /// How much louder the direct sound is than reverberation, dB.
    pub direct_db: f64,
    /// From the far end's sound to the first echo, ms: buffers of both devices, and the air.
    pub delay_ms: f64,
}

/// The whole way.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// Where.
    pub room: Room,
    /// `tanh(2 x) / 2`: a small loudspeaker at its limit.
    pub distorts: bool,
    /// By how much the microphone's clock is faster, millionths.
    pub drift: f64,
    /// At so many seconds the delay grows by so many ms.
    pub change: Option<(f64, f64)>,
}

impl Path {
    /// What the microphone hears of it.
    pub fn echo(&self, far: &[f32], seed: u64) -> Vec<f32> {
        let played: Vec<f32> = match self.distorts {
            true => far.iter().map(|x| (2.0 * x).tanh() / 2.0).collect(),
            false => far.to_vec(),
        };
        let heard = convolve(&played, &self.room.response(seed));
        let drifted = match self.drift {
            0.0 => heard,
            drift => stretch(&heard, 1.0 + drift / 1e6),
        };
        self.delay(&drifted)
    }

    fn delay(&self, sound: &[f32]) -> Vec<f32> {
        let samples = |ms: f64| (ms / 1e3 * f64::from(RATE)) as usize;
        let (at, more) = self.change.unwrap_or((f64::INFINITY, 0.0));
        (0..sound.len())
            .map(|n| {
                let more = if n as f64 / f64::from(RATE) < at {
                    0.0
                } else {
                    more
                };
                let place = n.checked_sub(samples(self.room.delay_ms + more));
                place.map_or(0.0, |place| sound[place])
            })
            .collect()
    }
}

impl Room {
    /// A direct sound, then noise that decays.
    fn response(&self, seed: u64) -> Vec<f32> {
        let per_sample = 10_f64.powf(-3.0 / (self.decay_ms / 1e3 * f64::from(RATE)));
        let length = (self.decay_ms / 1e3 * f64::from(RATE)) as usize;
        let mut noise = Noise::new(seed);
        let mut tail: Vec<f64> = (0..length)
            .map(|n| noise.next() * per_sample.powi(i32::try_from(n).unwrap_or(i32::MAX)))
            .collect();
        let energy: f64 = tail.iter().map(|x| x * x).sum();
        let wanted = 10_f64.powf(-self.direct_db / 10.0);
        tail.iter_mut().for_each(|x| *x *= (wanted / energy).sqrt());
        tail[0] = 1.0;
        tail.into_iter().map(|x| x as f32).collect()
    }
}

/// Of a normal distribution.
pub struct Noise(ChaCha8Rng);

impl Noise {
    /// Always the same for a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// The next value; the variance is 1.
    pub fn next(&mut self) -> f64 {
        let mut uniform = || (f64::from(self.0.next_u32()) + 1.0) / 4_294_967_297.0;
        let (radius, angle) = (uniform(), uniform());
        (-2.0 * radius.ln()).sqrt() * (2.0 * PI * angle).cos()
    }
}

fn convolve(sound: &[f32], response: &[f32]) -> Vec<f32> {
    let size = (sound.len() + response.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (
        planner.plan_fft_forward(size),
        planner.plan_fft_inverse(size),
    );
    let spectrum = |sound: &[f32]| {
        let mut padded = sound.to_vec();
        padded.resize(size, 0.0);
        let mut spectrum = forward.make_output_vec();
        forward
            .process(&mut padded, &mut spectrum)
            .expect("the plan made both lengths");
        spectrum
    };
    let mut product = spectrum(sound);
    for (a, b) in product.iter_mut().zip(spectrum(response)) {
        *a *= b;
    }
    for edge in [0, size / 2] {
        product[edge].im = 0.0;
    }
    let mut done = inverse.make_output_vec();
    inverse
        .process(&mut product, &mut done)
        .expect("the plan made both lengths");
    done.truncate(sound.len());
    done.iter().map(|x| x / size as f32).collect()
}

/// Sample `n` stands where `n * step` was.
fn stretch(sound: &[f32], step: f64) -> Vec<f32> {
    let at = |place: i64| {
        let place = usize::try_from(place).ok();
        place.and_then(|place| sound.get(place)).copied()
    };
    (0..sound.len())
        .map(|n| {
            let place = n as f64 * step;
            let whole = place.floor() as i64;
            let taps = (whole - TAPS + 1)..=(whole + TAPS);
            taps.filter_map(|tap| Some(at(tap)? * sinc(place - tap as f64)))
                .sum()
        })
        .collect()
}

/// With a Hann window over all taps.
fn sinc(x: f64) -> f32 {
    if x.abs() < 1e-9 {
        return 1.0;
    }
    let window = 0.5 + 0.5 * (PI * x / TAPS as f64).cos();
    ((PI * x).sin() / (PI * x) * window) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        about: "a room",
        decay_ms: 100.0,
        direct_db: 100.0,
        delay_ms: 10.0,
    };

    fn path(change: Option<(f64, f64)>) -> Path {
        Path {
            room: ROOM,
            distorts: false,
            drift: 0.0,
            change,
        }
    }

    #[test]
    fn an_echo_comes_after_its_delay_and_later_after_another() {
        let mut far = vec![0.0; 48_000];
        far[100] = 1.0;
        far[24_000] = 1.0;
        let echo = path(Some((0.3, 20.0))).echo(&far, 1);
        assert!((echo[100 + 480] - 1.0).abs() < 0.01);
        assert!((echo[24_000 + 480 + 960] - 1.0).abs() < 0.01);
        assert!(echo[24_000 + 480].abs() < 0.01);
    }

    #[test]
    fn a_faster_clock_takes_the_sound_earlier() {
        let sound: Vec<f32> = (0..48_000).map(|n| (n as f32 / 20.0).sin()).collect();
        let drifted = stretch(&sound, 1.0 + 1e-3);
        for n in (1_000..40_000).step_by(1_000) {
            let want = (n as f32 * 1.001 / 20.0).sin();
            assert!((drifted[n] - want).abs() < 0.01, "{n}");
        }
    }

    #[test]
    fn reverberation_decays_as_it_should() {
        let room = Room {
            direct_db: 0.0,
            decay_ms: 500.0,
            ..ROOM
        };
        let response = room.response(3);
        let energy = |part: std::ops::Range<usize>| -> f64 {
            response[part].iter().map(|x| f64::from(x * x)).sum()
        };
        let fall = 10.0 * (energy(10..2_410) / energy(12_010..14_410)).log10();
        assert!((fall - 30.0).abs() < 1.5, "{fall} dB in 250 ms");
        assert!((energy(1..24_000) - 1.0).abs() < 0.1);
    }
}
