//! The intelligibility measure on real speech, against figures of another implementation.
//!
//! The speech is that of the Debian package `pocketsphinx-testdata` (LibriVox, public domain). The
//! figures were printed by pystoi 0.4.1 (numpy 2.4.6, scipy 1.17.1) for the same degradations of the
//! same files. Without the package the tests are skipped loudly, and fail when `CI=true`.

use std::path::{Path, PathBuf};

use starling_lab_net::score::{Recording, score_recording};
use starling_lab_net::stoi::stoi;

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    ("speech_scores_agree_with_pystoi", agrees_with_pystoi),
    ("speech_late_cut_and_stretched_is_aligned", aligned),
    ("speech_files_are_read_and_scored", files),
];

const FOLDER: &str = "/usr/share/pocketsphinx/test/data/librivox";
/// How far the two implementations may differ.
const TOLERANCE: f64 = 0.001;

/// Scores by pystoi of one file: white noise at five signal-to-noise ratios (dB), every fifth 20 ms
/// frame silenced, samples clipped at 0.02, and at 48 kHz noise of 5 dB and the same clipping.
struct Reference {
    file: &'static str,
    noise: [(i32, f64); 5],
    frames_lost: f64,
    clipped: f64,
    noise_at_48k: f64,
    clipped_at_48k: f64,
}

const REFERENCES: [Reference; 2] = [
    Reference {
        file: "sense_and_sensibility_01_austen_64kb-0870.wav",
        noise: [
            (20, 0.9790),
            (10, 0.8977),
            (5, 0.8261),
            (0, 0.7406),
            (-5, 0.6440),
        ],
        frames_lost: 0.8662,
        clipped: 0.7945,
        noise_at_48k: 0.8923,
        clipped_at_48k: 0.7945,
    },
    Reference {
        file: "sense_and_sensibility_01_austen_64kb-0890.wav",
        noise: [
            (20, 0.9722),
            (10, 0.8826),
            (5, 0.8043),
            (0, 0.7129),
            (-5, 0.6154),
        ],
        frames_lost: 0.8710,
        clipped: 0.7754,
        noise_at_48k: 0.8732,
        clipped_at_48k: 0.7753,
    },
];

/// Why speech cannot be had here, if so.
pub fn missing() -> Option<String> {
    (!Path::new(FOLDER).is_dir())
        .then(|| "the Debian package pocketsphinx-testdata is not installed".into())
}

fn speech(file: &str) -> (PathBuf, Recording) {
    let path = Path::new(FOLDER).join(file);
    let recording = Recording::read_wav(&path).unwrap();
    assert_eq!(recording.rate, 16_000);
    (path, recording)
}

/// White noise from a linear congruential generator that is easy to write in any language.
fn noise(samples: usize) -> Vec<f64> {
    let mut state = 1_u64;
    (0..samples)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as f64 / f64::from(1_u32 << 31) - 1.0
        })
        .collect()
}

fn with_noise(signal: &[f32], decibels: i32) -> Vec<f32> {
    let noise = noise(signal.len());
    let energy: f64 = signal.iter().map(|s| f64::from(*s).powi(2)).sum();
    let noise_energy: f64 = noise.iter().map(|n| n * n).sum();
    let gain = (energy / noise_energy / 10_f64.powf(f64::from(decibels) / 10.0)).sqrt();
    let mix = |(s, n): (&f32, f64)| (f64::from(*s) + gain * n) as f32;
    signal.iter().zip(noise).map(mix).collect()
}

fn without_every_fifth_frame(signal: &[f32]) -> Vec<f32> {
    let whole_frames = signal.len() / 320;
    let lost = |n: usize| n / 320 % 5 == 4 && n / 320 < whole_frames;
    let keep = |(n, s): (usize, &f32)| if lost(n) { 0.0 } else { *s };
    signal.iter().enumerate().map(keep).collect()
}

fn clipped(signal: &[f32]) -> Vec<f32> {
    signal.iter().map(|s| s.clamp(-0.02, 0.02)).collect()
}

fn agrees_with_pystoi() {
    for reference in &REFERENCES {
        let signal = speech(reference.file).1.samples;
        let tripled = signal.iter().flat_map(|s| [*s; 3]).collect::<Vec<_>>();
        let check = |what: &str, want: f64, signal: &[f32], degraded: &[f32], rate: u32| {
            let got = stoi(signal, degraded, rate).unwrap();
            eprintln!("{what}: {got:.4}, pystoi {want:.4}");
            assert!((got - want).abs() < TOLERANCE, "{what}: {got}, not {want}");
        };
        check("the speech itself", 1.0, &signal, &signal, 16_000);
        for (decibels, want) in reference.noise {
            let noisy = with_noise(&signal, decibels);
            check(
                &format!("noise at {decibels} dB"),
                want,
                &signal,
                &noisy,
                16_000,
            );
        }
        let lossy = without_every_fifth_frame(&signal);
        check(
            "frames lost",
            reference.frames_lost,
            &signal,
            &lossy,
            16_000,
        );
        check(
            "clipped",
            reference.clipped,
            &signal,
            &clipped(&signal),
            16_000,
        );
        let noisy = with_noise(&tripled, 5);
        check(
            "noise at 48 kHz",
            reference.noise_at_48k,
            &tripled,
            &noisy,
            48_000,
        );
        let harsh = clipped(&tripled);
        check(
            "clipped at 48 kHz",
            reference.clipped_at_48k,
            &tripled,
            &harsh,
            48_000,
        );
    }
}

fn aligned() {
    let signal = speech(REFERENCES[0].file).1.samples;
    // 300 ms late, and 40 ms of silence slipped in after three seconds, as a jitter buffer would.
    let (first, second) = signal.split_at(3 * 16_000);
    let late = [&vec![0.0; 4_800], first, &vec![0.0; 640], second].concat();
    let score = score_recording(&signal, &with_noise(&late, 20), 16_000).unwrap();
    eprintln!("{score:?}");
    assert!((score.lag - 0.3).abs() < 0.05, "{score:?}");
    assert!((score.lag_drift - 0.04).abs() < 0.002, "{score:?}");
    assert!((score.length_difference - 0.34).abs() < 1e-9, "{score:?}");
    assert!(score.stoi > 0.93, "{score:?}");
    // Without its beginning: what is missing cannot be understood.
    let beheaded = score_recording(&signal, &signal[16_000..], 16_000).unwrap();
    assert!((beheaded.lag + 1.0).abs() < 0.001, "{beheaded:?}");
    assert!(beheaded.stoi > 0.75 && beheaded.stoi < 0.97, "{beheaded:?}");
}

fn files() {
    let (path, recording) = speech(REFERENCES[1].file);
    let score = recording.score_against(&recording).unwrap();
    assert!(score.stoi > 0.9999, "{score:?}");
    assert_eq!((score.lag, score.length_difference), (0.0, 0.0));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_starling-stoi"))
        .args([&path, &path])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"stoi\":"));
    let missing = std::process::Command::new(env!("CARGO_BIN_EXE_starling-stoi"))
        .args([Path::new("/no/such.wav"), &path])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/no/such.wav"));
}
