//! Made-up rooms at 16 kHz.

use proptest::prelude::*;

use super::*;

const RATE: usize = 16_000;
/// What comes out is so much later.
const LATE_SAMPLES: usize = 32;

/// Always the same chance.
struct Chance(u32);

impl Chance {
    /// Between -1 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Four syllables of noise a second, with the colour of a voice.
fn voice(seconds: f32, seed: u32) -> Vec<f32> {
    let (mut chance, mut low) = (Chance(seed), 0.0);
    (0..(seconds * RATE as f32) as usize)
        .map(|n| {
            low += 0.3 * (chance.next() - low);
            let at = (n % 4_000) as f32 / 4_000.0;
            low * (at * std::f32::consts::PI).sin() * 0.5
        })
        .collect()
}

/// After so many samples, 6 dB softer, with 100 ms of reverberation.
fn echo(far: &[f32], late: usize) -> Vec<f32> {
    let mut chance = Chance(7);
    let taps: Vec<(usize, f32)> = (0..60)
        .map(|tap| {
            let fall = 10_f32.powf(-(tap as f32) / 20.0);
            let gain = if tap == 0 { 0.4 } else { 0.15 * chance.next() };
            (late + tap * 27, fall * gain)
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

/// The lowest band of what comes out.
fn through(canceller: &mut Canceller, far: &[f32], near: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(near.len());
    for (far, near) in far.chunks_exact(STEP).zip(near.chunks_exact(STEP)) {
        let far: [f32; STEP] = far.try_into().expect("a step");
        canceller.far_end(&far, &far.map(|x| x * x * x));
        let mut bands = [[0.0; STEP]; BANDS];
        bands[0].copy_from_slice(near);
        canceller.near_end(&mut bands);
        out.extend_from_slice(&bands[0]);
    }
    out
}

fn decibels(sound: &[f32]) -> f32 {
    let sum: f32 = sound.iter().map(|x| x * x).sum();
    10.0 * (sum / sound.len() as f32).max(1e-12).log10()
}

/// By how much the part of `out` from there on is softer than that of `heard`.
fn softer(heard: &[f32], out: &[f32], seconds: std::ops::Range<f32>) -> f32 {
    let part = (seconds.start * RATE as f32) as usize..(seconds.end * RATE as f32) as usize;
    decibels(&heard[part.clone()]) - decibels(&out[part])
}

#[test]
fn silence_stays_silence() {
    let silence = vec![0.0; 2 * RATE];
    let mut canceller = Canceller::new(Strength::On);
    assert_eq!(through(&mut canceller, &silence, &silence), silence);
}

#[test]
fn proc_08_a_voice_alone_comes_out_as_it_was_a_little_later() {
    let near = voice(4.0, 2);
    let silence = vec![0.0; near.len()];
    let mut canceller = Canceller::new(Strength::Strong);
    let out = through(&mut canceller, &silence, &near);
    for (was, is) in near.iter().zip(&out[LATE_SAMPLES..]) {
        assert!((was - is).abs() < 1e-5, "{was} became {is}");
    }
}

#[test]
fn proc_08_a_voice_after_an_echo_comes_out_as_it_was() {
    let said = voice(3.0, 2);
    let mut far = voice(5.0, 1);
    let mut near = echo(&far, 1_000);
    far.resize(6 * RATE, 0.0);
    near.resize(6 * RATE, 0.0);
    far.extend(vec![0.0; said.len()]);
    near.extend(&said);
    let mut canceller = Canceller::new(Strength::On);
    let out = through(&mut canceller, &far, &near);
    let wrong: Vec<f32> = said
        .iter()
        .zip(&out[6 * RATE + LATE_SAMPLES..])
        .map(|(was, is)| was - is)
        .collect();
    let ratio = decibels(&said) - decibels(&wrong);
    assert!(ratio > 40.0, "{ratio:.1} dB above what is wrong");
}

#[test]
fn upper_bands_are_as_late_and_as_soft_as_the_lowest() {
    let near = voice(1.0, 3);
    let mut canceller = Canceller::new(Strength::On);
    let mut out = Vec::new();
    for step in near.chunks_exact(STEP) {
        let mut bands = [[0.0; STEP]; BANDS];
        bands[2].copy_from_slice(step);
        canceller.near_end(&mut bands);
        out.extend_from_slice(&bands[2]);
    }
    assert_eq!(out[LATE_SAMPLES..], near[..out.len() - LATE_SAMPLES]);
}

#[test]
fn an_echo_goes_and_stays_away() {
    for late in [200, 1_000, 4_321] {
        let far = voice(8.0, 1);
        let heard = echo(&far, late);
        let mut canceller = Canceller::new(Strength::On);
        let out = through(&mut canceller, &far, &heard);
        for part in [3.0..5.0, 5.0..8.0] {
            let fell = softer(&heard, &out, part.clone());
            assert!(fell > 35.0, "{fell:.1} dB at {part:?} s, {late} late");
        }
    }
}

#[test]
fn proc_07_an_echo_that_comes_sooner_or_later_is_gone_again_in_a_second() {
    for (before, after) in [
        (2_000, 3_607),
        (3_000, 1_400),
        (2_000, 2_100),
        (1_200, 1_190),
    ] {
        let far = voice(9.0, 1);
        let change = 5 * RATE;
        let mut heard = echo(&far, before);
        heard[change..].copy_from_slice(&echo(&far, after)[change..]);
        let mut canceller = Canceller::new(Strength::On);
        let out = through(&mut canceller, &far, &heard);
        let fell = softer(&heard, &out, 6.0..9.0);
        assert!(fell > 35.0, "{fell:.1} dB after {before} became {after}");
    }
}

#[test]
fn an_echo_that_jumps_about_is_followed() {
    let far = voice(20.0, 1);
    let mut chance = Chance(3);
    let mut heard = Vec::new();
    let mut late = 1_500.0;
    // By 20 ms at most, and never for much longer than a second.
    while heard.len() < far.len() {
        let until = heard.len() + (RATE as f32 * (0.8 + 0.4 * chance.next())) as usize;
        let whole = echo(&far[..until.min(far.len())], late as usize);
        heard.extend_from_slice(&whole[heard.len()..]);
        late = (late + 320.0 * chance.next()).clamp(500.0, 3_000.0);
    }
    let mut canceller = Canceller::new(Strength::On);
    let out = through(&mut canceller, &far, &heard);
    let fell = softer(&heard, &out, 5.0..20.0);
    assert!(fell > 20.0, "{fell:.1} dB");
}

#[test]
fn two_clocks_are_found_to_differ() {
    for millionths in [-150.0, 100.0] {
        let far = voice(12.0, 1);
        let heard = echo(&far, 1_000);
        // Straight lines between samples will do: the voice is low.
        let drifted: Vec<f32> = (0..heard.len() - 100)
            .map(|n| {
                let place = n as f64 * (1.0 + millionths / 1e6);
                let (whole, part) = (place as usize, place.fract() as f32);
                heard[whole] * (1.0 - part) + heard[whole + 1] * part
            })
            .collect();
        let mut canceller = Canceller::new(Strength::On);
        let out = through(&mut canceller, &far, &drifted);
        let found = (canceller.clock.pace() - 1.0) * 1e6;
        assert!((found - millionths).abs() < 10.0, "{found} of {millionths}");
        let fell = softer(&heard, &out, 8.0..11.5);
        assert!(fell > 25.0, "{fell:.1} dB");
    }
}

#[test]
fn a_loudspeaker_at_its_limit_is_found_out() {
    let far: Vec<f32> = voice(8.0, 1).iter().map(|x| x * 2.0).collect();
    let played: Vec<f32> = far.iter().map(|x| x - 0.8 * x * x * x).collect();
    let heard = echo(&played, 1_000);
    let mut canceller = Canceller::new(Strength::On);
    let out = through(&mut canceller, &far, &heard);
    let shape = canceller.loudspeaker.shape();
    assert!((shape + 0.8).abs() < 0.15, "{shape}");
    let fell = softer(&heard, &out, 5.0..8.0);
    assert!(fell > 35.0, "{fell:.1} dB");
}

#[test]
fn who_speaks_into_an_echo_is_heard() {
    let far = voice(10.0, 1);
    let mut near = echo(&far, 1_000);
    let said = voice(4.0, 2);
    let from = 6 * RATE + 1_500;
    for (near, said) in near[from..].iter_mut().zip(&said) {
        *near += said;
    }
    let mut canceller = Canceller::new(Strength::On);
    let out = through(&mut canceller, &far, &near);
    let wrong: Vec<f32> = said
        .iter()
        .zip(&out[from + LATE_SAMPLES..])
        .map(|(was, is)| was - is)
        .collect();
    let ratio = decibels(&said) - decibels(&wrong);
    assert!(ratio > 15.0, "{ratio:.1} dB above echo and what is missing");
}

#[test]
fn where_no_echo_is_nothing_is_taken() {
    let (far, near) = (voice(8.0, 1), voice(8.0, 2));
    let mut canceller = Canceller::new(Strength::On);
    let out = through(&mut canceller, &far, &near);
    let fell = softer(&near, &out, 1.0..8.0);
    assert!(fell.abs() < 1.0, "{fell:.1} dB");
}

#[test]
fn a_pause_of_either_side_is_got_over() {
    let mut canceller = Canceller::new(Strength::On);
    let far = voice(20.0, 1);
    let heard = echo(&far, 1_000);
    through(&mut canceller, &far[..4 * RATE], &heard[..4 * RATE]);
    for _ in 0..500 {
        canceller.near_end(&mut [[0.0; STEP]; BANDS]);
    }
    let out = through(
        &mut canceller,
        &far[4 * RATE..][..4 * RATE],
        &heard[4 * RATE..][..4 * RATE],
    );
    let fell = softer(&heard[4 * RATE..], &out, 2.0..4.0);
    assert!(fell > 35.0, "{fell:.1} dB after the speaker stopped");
    for _ in 0..500 {
        canceller.far_end(&[0.0; STEP], &[0.0; STEP]);
    }
    let out = through(&mut canceller, &far[8 * RATE..], &heard[8 * RATE..]);
    let fell = softer(&heard[8 * RATE..], &out, 2.0..4.0);
    assert!(fell > 35.0, "{fell:.1} dB after the microphone stopped");
}

#[test]
fn both_sides_may_come_in_bursts() {
    let far = voice(8.0, 1);
    let heard = echo(&far, 1_000);
    let mut canceller = Canceller::new(Strength::On);
    let mut out = Vec::new();
    for (far, near) in far.chunks_exact(6 * STEP).zip(heard.chunks_exact(6 * STEP)) {
        for far in far.chunks_exact(STEP) {
            let far: [f32; STEP] = far.try_into().expect("a step");
            canceller.far_end(&far, &far.map(|x| x * x * x));
        }
        for near in near.chunks_exact(STEP) {
            let mut bands = [[0.0; STEP]; BANDS];
            bands[0].copy_from_slice(near);
            canceller.near_end(&mut bands);
            out.extend_from_slice(&bands[0]);
        }
    }
    let fell = softer(&heard, &out, 4.0..7.5);
    assert!(fell > 35.0, "{fell:.1} dB");
}

/// Kinds of steps that nobody says.
fn step(kind: u8, chance: &mut Chance) -> [f32; STEP] {
    std::array::from_fn(|n| match kind % 6 {
        0 => 0.0,
        1 => 1.0,
        2 if n % 2 == 0 => 1.0,
        2 => -1.0,
        3 => 1e-30,
        4 => (n as f32 * 0.4).sin(),
        _ => chance.next(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_comes_what_goes_out_is_sound(
        seed: u32,
        kinds in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u8..40, 0_u8..40), 1..20),
    ) {
        let mut chance = Chance(seed);
        let mut canceller = Canceller::new(Strength::On);
        for (far, near, fars, nears) in kinds {
            for turn in 0..fars.max(nears) {
                if turn < fars {
                    let far = step(far, &mut chance);
                    canceller.far_end(&far, &far.map(|x| x * x * x));
                }
                if turn < nears {
                    let mut bands = [step(near, &mut chance); BANDS];
                    canceller.near_end(&mut bands);
                    prop_assert!(bands.iter().flatten().all(|x| x.abs() < 10.0));
                }
            }
        }
    }
}
