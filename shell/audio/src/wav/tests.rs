//! WAV files of every kind, written by `hound` or by hand, and files that are none.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use hound::{SampleFormat, WavSpec};
use proptest::prelude::*;

use super::*;
use crate::FRAME_SAMPLES;

/// A WAV file from its format chunk, what stands between, and its sound.
fn file(format: &[u8], between: &[u8], claimed: u32, sound: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt ".to_vec();
    bytes.extend((format.len() as u32).to_le_bytes());
    bytes.extend(format);
    bytes.extend(between);
    bytes.extend(b"data");
    bytes.extend(claimed.to_le_bytes());
    bytes.extend(sound);
    bytes
}

fn format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let block = channels.wrapping_mul(bits / 8);
    let mut bytes = Vec::new();
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(block.into()).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes
}

fn open(bytes: Vec<u8>) -> Result<WavReader<Cursor<Vec<u8>>>, WavError> {
    WavReader::new(Cursor::new(bytes))
}

fn read_all(mut reader: WavReader<impl io::Read + io::Seek>) -> Vec<f32> {
    let mut frame = [0.5; FRAME_SAMPLES];
    let mut all = Vec::new();
    loop {
        let count = reader.read(&mut frame).unwrap();
        assert!(frame[count..].iter().all(|sample| *sample == 0.0));
        if count == 0 {
            return all;
        }
        all.extend(&frame[..count]);
    }
}

fn by_hound(spec: WavSpec, sound: &[f32]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    let full = 2_f64.powi(i32::from(spec.bits_per_sample) - 1);
    for sample in sound {
        for _ in 0..spec.channels {
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(*sample).unwrap(),
                SampleFormat::Int => writer
                    .write_sample((f64::from(*sample) * full).round().min(full - 1.0) as i32)
                    .unwrap(),
            }
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn tone(rate: u32, samples: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU * 440.0 / f64::from(rate);
    (0..samples)
        .map(|n| 0.5 * (step * n as f64).sin() as f32)
        .collect()
}

fn specs() -> impl Strategy<Value = WavSpec> {
    let rate = prop_oneof![
        proptest::sample::select(vec![8_000, 16_000, 44_100, 48_000, 96_000, 192_000]),
        8_000..=192_000_u32
    ];
    let kind = proptest::sample::select(vec![
        (8, SampleFormat::Int),
        (16, SampleFormat::Int),
        (24, SampleFormat::Int),
        (32, SampleFormat::Int),
        (32, SampleFormat::Float),
    ]);
    (rate, 1..=8_u16, kind).prop_map(|(sample_rate, channels, kind)| WavSpec {
        channels,
        sample_rate,
        bits_per_sample: kind.0,
        sample_format: kind.1,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_rate_and_width_plays_the_same_tone_for_the_same_time(spec in specs(), tenths in 1..4_u32) {
        let count = spec.sample_rate * tenths / 10;
        let reader = open(by_hound(spec, &tone(spec.sample_rate, count as usize))).unwrap();
        let time = f64::from(count) / f64::from(spec.sample_rate);
        prop_assert!((reader.duration().as_secs_f64() - time).abs() < 1e-6);
        let heard = read_all(reader);
        prop_assert_eq!(heard.len(), (time * 48_000.0).round() as usize);
        let want = tone(48_000, heard.len());
        // Half a sample of shift (440 Hz at this loudness) and what eight bits leave out; the filter rings at both ends.
        let coarse = if spec.bits_per_sample == 8 { 0.022 } else { 0.017 };
        for at in 1_500..heard.len() - 1_500 {
            prop_assert!((heard[at] - want[at]).abs() < coarse, "at {}: {} not {}", at, heard[at], want[at]);
        }
    }

    #[test]
    fn what_is_recorded_is_what_is_played(sound in proptest::collection::vec(-1.2..1.2_f32, 0..3_000)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("take.wav");
        let mut writer = WavWriter::create(&path).unwrap();
        for piece in sound.chunks(FRAME_SAMPLES) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap();
        let heard = read_all(WavReader::open(&path).unwrap());
        prop_assert_eq!(heard.len(), sound.len());
        for (heard, said) in heard.iter().zip(&sound) {
            prop_assert!((heard - said.clamp(-1.0, 1.0)).abs() < 1.0 / 32_000.0);
        }
    }
}

#[test]
fn channels_are_mixed_in_equal_parts() {
    let sound: Vec<u8> = [16_384_i16, -8_192].map(i16::to_le_bytes).concat();
    let heard = read_all(open(file(&format(1, 2, 48_000, 16), b"", 4, &sound)).unwrap());
    assert_eq!(heard, [0.125]);
}

#[test]
fn chunks_of_odd_length_are_stepped_over_with_their_padding() {
    let sound = 16_384_i16.to_le_bytes();
    let between = b"LIST\x03\0\0\0abc\0";
    let heard = read_all(open(file(&format(1, 1, 48_000, 16), between, 2, &sound)).unwrap());
    assert_eq!(heard, [0.5]);
}

#[test]
fn a_recording_whose_length_was_never_written_plays_to_its_end() {
    for claimed in [u32::MAX, 0x7fff_ffff] {
        let bytes = file(&format(1, 1, 48_000, 16), b"", claimed, &[0, 64, 0, 64, 7]);
        assert_eq!(read_all(open(bytes).unwrap()), [0.5, 0.5]);
    }
}

#[test]
fn what_is_not_a_number_is_silent_and_what_is_too_loud_is_not() {
    let odd = [f32::NAN, f32::INFINITY, -f32::INFINITY, 1e30, -2.0, 0.25];
    let sound: Vec<u8> = odd.into_iter().flat_map(f32::to_le_bytes).collect();
    let heard = read_all(open(file(&format(3, 1, 48_000, 32), b"", 24, &sound)).unwrap());
    assert_eq!(heard, [0.0, 0.0, 0.0, 1.0, -1.0, 0.25]);
}

#[test]
fn each_bad_file_gets_its_own_sentence() {
    let sound = [0; 8];
    let with = |format: Vec<u8>| file(&format, b"", 8, &sound);
    let mut torn = format(1, 1, 48_000, 16);
    torn[12] = 9;
    let many = [b"junk\0\0\0\0".as_slice(); 2_000].concat();
    let good = format(1, 1, 48_000, 16);
    let cases = [
        (vec![], "this is not a WAV file"),
        (
            b"ID3 and so on, for a while".to_vec(),
            "this is not a WAV file",
        ),
        (b"RF64\0\0\0\0WAVE".to_vec(), "64-bit or big-endian RIFF"),
        (b"RIFF\0\0\0\0WAVE".to_vec(), "it holds no sound"),
        (
            b"RIFF\0\0\0\0WAVEdata\0\0\0\0".to_vec(),
            "before its format",
        ),
        (with(good[..14].to_vec()), "its format is too short"),
        (with(torn), "its format contradicts itself"),
        (with(format(1, 0, 48_000, 16)), "0 channels"),
        (with(format(1, 9, 48_000, 16)), "9 channels"),
        (with(format(1, 1, 7_999, 16)), "7999 Hz"),
        (with(format(1, 1, u32::MAX, 16)), "4294967295 Hz"),
        (with(format(1, 1, 48_000, 12)), "12 bits a sample"),
        (with(format(3, 1, 48_000, 64)), "64-bit float"),
        (with(format(0x55, 1, 48_000, 16)), "codec number 0x0055"),
        (
            file(&good, b"", 10, &sound),
            "2 bytes of its sound are missing",
        ),
        (file(&good, &many, 8, &sound), "it has too many parts"),
        (
            file(&good, b"junk\xff\xff\xff\xff", 8, &sound),
            "it holds no sound",
        ),
    ];
    for (bytes, words) in cases {
        let error = open(bytes).expect_err(words).to_string();
        assert!(error.contains(words), "{error:?} lacks {words:?}");
    }
}

#[test]
fn a_file_that_shrinks_while_it_plays_ends_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shrinking.wav");
    let mut writer = WavWriter::create(&path).unwrap();
    writer.write(&[0.1; 48_000]).unwrap();
    writer.finish().unwrap();
    let mut reader = WavReader::open(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    file.unwrap().set_len(20_000).unwrap();
    let mut frame = [0.0; FRAME_SAMPLES];
    let error = (0..50).find_map(|_| reader.read(&mut frame).err()).unwrap();
    assert!(matches!(error, WavError::Truncated { .. }), "{error}");
}

#[test]
fn nothing_is_overwritten_and_only_files_are_played() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken.wav");
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(WavWriter::create(&path), Err(WavError::Exists)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    for other in [folder.path(), Path::new("/dev/zero")] {
        assert!(matches!(WavReader::open(other), Err(WavError::NotAFile)));
    }
    let missing = WavReader::open(folder.path().join("missing.wav"));
    assert!(matches!(missing, Err(WavError::Io(_))));
    let nowhere = WavWriter::create(folder.path().join("no/such/folder.wav"));
    assert!(matches!(nowhere, Err(WavError::Io(_))));
}

#[test]
fn duration_is_that_of_the_file() {
    let spec = WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let reader = open(by_hound(spec, &[0.0; 24_000])).unwrap();
    assert_eq!(reader.duration(), Duration::from_millis(1_500));
}
