//! A made-up room, in which somebody's voice comes back.

use proptest::prelude::*;

use super::*;
use crate::SAMPLE_RATE;

type Frame = [f32; FRAME_SAMPLES];

const FRAMES_A_SECOND: usize = 50;
/// From far end to echo: 70 ms.
const DELAY: usize = 3_360;

/// Always the same chance.
struct Chance(u32);

impl Chance {
    /// Between -1 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Syllables of noise with the colour of a voice: four a second, a pause after each fifth.
fn voice(seconds: usize, seed: u32) -> Vec<f32> {
    let (mut chance, mut low) = (Chance(seed), 0.0);
    (0..seconds * SAMPLE_RATE as usize)
        .map(|n| {
            let syllable = n / 12_000;
            let at = (n % 12_000) as f32 / 12_000.0;
            low += 0.15 * (chance.next() - low);
            let open = if syllable % 5 == 4 {
                0.0
            } else {
                (at * std::f32::consts::PI).sin()
            };
            low * open * 0.9
        })
        .collect()
}

/// As a room gives it back: late, 10 dB softer, with 100 ms of reverberation.
fn echo(far: &[f32]) -> Vec<f32> {
    let mut chance = Chance(7);
    let taps: Vec<(usize, f32)> = (0..60)
        .map(|tap| {
            let fall = 10_f32.powf(-(tap as f32) / 20.0);
            (
                DELAY + tap * 80,
                0.3 * fall * if tap == 0 { 1.0 } else { 0.4 * chance.next() },
            )
        })
        .collect();
    (0..far.len())
        .map(|n| {
            let heard = taps
                .iter()
                .filter_map(|(late, gain)| Some(far[n.checked_sub(*late)?] * gain));
            heard.sum()
        })
        .collect()
}

/// What comes out, when the speaker plays one and the microphone takes the other.
fn through(processing: &mut Processing, far: &[f32], near: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(near.len());
    let frames = far.chunks_exact(FRAME_SAMPLES);
    for (far, near) in frames.zip(near.chunks_exact(FRAME_SAMPLES)) {
        let mut frame: Frame = far.try_into().expect("a frame");
        processing.far_end(&frame);
        frame.copy_from_slice(near);
        processing.near_end(&mut frame);
        out.extend_from_slice(&frame);
    }
    out
}

fn decibels(sound: &[f32]) -> f64 {
    let sum: f64 = sound.iter().map(|x| f64::from(*x).powi(2)).sum();
    10.0 * (sum / sound.len() as f64).max(1e-12).log10()
}

const ECHO_ONLY: Settings = Settings {
    echo: Echo::On,
    ..Settings::OFF
};

#[test]
fn proc_02_an_echo_is_gone_after_three_seconds() {
    let far = voice(8, 1);
    let echo = echo(&far);
    for settings in [ECHO_ONLY, Settings::default()] {
        let out = through(&mut Processing::new(settings), &far, &echo);
        let late = 3 * SAMPLE_RATE as usize;
        let fell = decibels(&echo[late..]) - decibels(&out[late..]);
        assert!(fell > 30.0, "only {fell:.1} dB with {settings:?}");
    }
}

#[test]
fn a_voice_alone_passes_as_it_is_and_little_later() {
    let near = voice(6, 2);
    let silence = vec![0.0; near.len()];
    let out = through(&mut Processing::new(ECHO_ONLY), &silence, &near);
    let from = SAMPLE_RATE as usize;
    let change = decibels(&out[from..]) - decibels(&near[from..]);
    assert!(change.abs() < 1.0, "{change} dB");
    let fit = |late: usize| -> f64 {
        let pairs = near[from..from * 3].iter().zip(&out[from + late..]);
        pairs.map(|(a, b)| f64::from(a * b)).sum()
    };
    let late = (0..2_000)
        .step_by(12)
        .max_by(|a, b| fit(*a).total_cmp(&fit(*b)));
    let late = late.expect("some") as f64 / 48.0;
    assert!(late < 12.0, "{late} ms late");
}

#[test]
fn a_soft_voice_is_brought_up_and_a_gain_is_what_it_says() {
    let near: Vec<f32> = voice(12, 3).iter().map(|x| x * 0.05).collect();
    let silence = vec![0.0; near.len()];
    let tail = near.len() - 3 * SAMPLE_RATE as usize;
    let raised = |gain| {
        let settings = Settings {
            gain,
            ..Settings::OFF
        };
        let out = through(&mut Processing::new(settings), &silence, &near);
        decibels(&out[tail..]) - decibels(&near[tail..])
    };
    let fixed = raised(Gain::Fixed(12));
    assert!((fixed - 12.0).abs() < 1.0, "{fixed} dB for 12");
    assert!(raised(Gain::Fixed(200)) < 31.0);
    assert!(raised(Gain::Automatic) > -1.0);
}

#[test]
fn steady_noise_is_softer_with_each_level() {
    let mut chance = Chance(4);
    let noise: Vec<f32> = (0..6 * SAMPLE_RATE).map(|_| chance.next() * 0.01).collect();
    let silence = vec![0.0; noise.len()];
    let tail = noise.len() - SAMPLE_RATE as usize;
    let left = [Noise::Off, Noise::Low, Noise::Medium, Noise::High].map(|noise_level| {
        let settings = Settings {
            noise: noise_level,
            ..Settings::OFF
        };
        decibels(&through(&mut Processing::new(settings), &silence, &noise)[tail..])
    });
    assert!(
        left.is_sorted_by(|louder, softer| louder - softer > 3.0),
        "{left:?}"
    );
}

#[test]
fn proc_03_what_is_off_leaves_the_sound_untouched() {
    let near = voice(1, 5);
    let out = through(&mut Processing::new(Settings::OFF), &voice(1, 6), &near);
    assert_eq!(out, near);
}

#[test]
fn proc_05_a_change_counts_from_the_next_frame_on_and_keeps_what_was_learnt() {
    let far = voice(8, 1);
    let echo = echo(&far);
    let mut processing = Processing::new(ECHO_ONLY);
    let half = 4 * SAMPLE_RATE as usize;
    through(&mut processing, &far[..half], &echo[..half]);
    processing.change(Settings {
        noise: Noise::Low,
        ..ECHO_ONLY
    });
    let out = through(&mut processing, &far[half..], &echo[half..]);
    let fell = decibels(&echo[half..]) - decibels(&out);
    assert!(fell > 30.0, "it had to learn again: {fell:.1} dB");
    processing.change(Settings::OFF);
    let mut frame = [0.5; FRAME_SAMPLES];
    processing.near_end(&mut frame);
    assert_eq!(frame, [0.5; FRAME_SAMPLES]);
}

#[test]
fn a_speaker_without_a_microphone_and_the_reverse_do_no_harm() {
    let mut processing = Processing::new(Settings::default());
    for _ in 0..20 * FRAMES_A_SECOND {
        processing.far_end(&[0.1; FRAME_SAMPLES]);
    }
    for _ in 0..20 * FRAMES_A_SECOND {
        let mut frame = [0.1; FRAME_SAMPLES];
        processing.near_end(&mut frame);
        assert!(frame.iter().all(|x| x.is_finite()));
    }
}

/// Kinds of frames that a device may give.
fn frame(kind: u8, chance: &mut Chance) -> Frame {
    let mut frame = [0.0; FRAME_SAMPLES];
    for (n, sample) in frame.iter_mut().enumerate() {
        *sample = match kind % 8 {
            0 => 0.0,
            1 => 1.0,
            2 => {
                if n % 2 == 0 {
                    1.0
                } else {
                    -1.0
                }
            }
            3 => f32::NAN,
            4 => f32::INFINITY,
            5 => 1e-30,
            6 => chance.next() * 1e6,
            _ => chance.next(),
        };
    }
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn proc_04_whatever_comes_what_goes_out_is_sound(
        seed: u32,
        kinds in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u8..4, 0_u8..4), 1..40),
        strong: bool,
        gain in 0_u8..=255,
    ) {
        let mut chance = Chance(seed);
        let mut processing = Processing::new(Settings {
            echo: if strong { Echo::Strong } else { Echo::On },
            noise: Noise::High,
            gain: if gain > 40 { Gain::Automatic } else { Gain::Fixed(gain) },
        });
        for (far, near, fars, nears) in kinds {
            for _ in 0..fars {
                processing.far_end(&frame(far, &mut chance));
            }
            for _ in 0..nears {
                let mut out = frame(near, &mut chance);
                processing.near_end(&mut out);
                prop_assert!(out.iter().all(|x| x.abs() <= 1.0), "{near}");
            }
        }
    }
}
