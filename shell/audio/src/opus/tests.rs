//! The codec on a signal that has what speech has: pitch, formants, syllables and pauses.

use super::*;

type Frame = [f32; FRAME_SAMPLES];

const NONE: Protection = Protection {
    expected_loss: 0,
    fec: false,
    deep_ms: 0,
};
const SETTINGS: EncoderSettings = EncoderSettings {
    bitrate: 24_000,
    complexity: 9,
    protection: NONE,
};
/// What the codec delays: 6.5 ms.
const LOOK_AHEAD: usize = 312;

/// A gliding voice: pulses through two resonances, four syllables a second.
fn speech(frames: usize) -> Vec<Frame> {
    let mut phase = 0.0_f32;
    let mut resonances = [(700.0, 0.0, 0.0), (1_800.0, 0.0, 0.0)];
    let samples: Vec<f32> = (0..frames * FRAME_SAMPLES)
        .map(|n| {
            let time = n as f32 / SAMPLE_RATE_F;
            phase += (120.0 + 30.0 * (time * 3.0).sin()) / SAMPLE_RATE_F;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase %= 1.0;
            let syllable = (time * std::f32::consts::TAU * 4.0).sin().max(0.0);
            let voice: f32 = resonances
                .iter_mut()
                .map(|(hertz, one, two)| {
                    let angle = std::f32::consts::TAU * *hertz / SAMPLE_RATE_F;
                    let out = pulse + 1.97 * angle.cos() * *one - 0.97 * *two;
                    (*two, *one) = (*one, out);
                    out
                })
                .sum();
            voice * syllable * 0.05
        })
        .collect();
    let (chunks, _) = samples.as_chunks();
    chunks.to_vec()
}

const SAMPLE_RATE_F: f32 = crate::SAMPLE_RATE as f32;

fn encode(settings: EncoderSettings, frames: &[Frame]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(settings).unwrap();
    let mut buffer = [0; PAYLOAD_MAX];
    frames
        .iter()
        .map(|frame| {
            let length = encoder.encode(frame, &mut buffer).unwrap();
            buffer[..length].to_vec()
        })
        .collect()
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum()
}

/// How alike two signals are, 0 to 1, whatever their loudness.
fn likeness(one: &[f32], two: &[f32]) -> f32 {
    let product: f32 = one.iter().zip(two).map(|(a, b)| a * b).sum();
    product / (energy(one) * energy(two)).sqrt().max(f32::MIN_POSITIVE)
}

/// `heard` with the codec's delay taken out, beside what was said.
fn aligned<'a>(said: &'a [Frame], heard: &'a [Frame]) -> (&'a [f32], &'a [f32]) {
    let (said, heard) = (said.as_flattened(), heard.as_flattened());
    (&said[..said.len() - LOOK_AHEAD], &heard[LOOK_AHEAD..])
}

#[test]
fn speech_comes_through_at_the_bit_rate_asked_for() {
    let said = speech(100);
    let packets = encode(SETTINGS, &said);
    let mut decoder = Decoder::new().unwrap();
    let mut heard = vec![[0.0; FRAME_SAMPLES]; said.len()];
    for (packet, frame) in packets.iter().zip(&mut heard) {
        decoder.decode(packet, frame).unwrap();
    }
    let (said, heard) = aligned(&said, &heard);
    let likeness = likeness(said, heard);
    assert!(likeness > 0.85, "{likeness}");
    let loudness = energy(heard) / energy(said);
    assert!((0.7..1.4).contains(&loudness), "{loudness}");
    let bits = packets.iter().map(Vec::len).sum::<usize>() * 8 / 2;
    assert!((12_000..30_000).contains(&bits), "{bits} bit/s");
}

#[test]
fn a_lost_frame_is_neither_silent_nor_loud() {
    let said = speech(100);
    let packets = encode(SETTINGS, &said);
    let mut decoder = Decoder::new().unwrap();
    let mut heard = [0.0; FRAME_SAMPLES];
    let mut loud_losses = 0;
    let mut before = 0.0;
    for (at, packet) in packets.iter().enumerate() {
        if at % 10 == 7 {
            decoder.conceal(&mut heard);
            if before > 1.0 {
                let guess = energy(&heard);
                assert!(
                    (before / 50.0..before * 3.0).contains(&guess),
                    "frame {at}: {guess} after {before}"
                );
                loud_losses += 1;
            }
        } else {
            decoder.decode(packet, &mut heard).unwrap();
        }
        before = energy(&heard);
    }
    assert!(loud_losses >= 3, "{loud_losses}");
}

#[test]
fn redundancy_brings_back_more_than_a_guess() {
    let said = speech(150);
    let packets = encode(
        EncoderSettings {
            protection: Protection {
                expected_loss: 20,
                fec: true,
                deep_ms: 0,
            },
            ..SETTINGS
        },
        &said,
    );
    let mut recovering = Decoder::new().unwrap();
    let mut guessing = Decoder::new().unwrap();
    let (mut recovered, mut guessed) = (said.clone(), said.clone());
    let mut recoveries = 0;
    for at in 0..packets.len() - 1 {
        if at % 5 == 3 {
            recoveries += usize::from(carries_redundancy(&packets[at + 1]));
            recovering
                .recover(&packets[at + 1], &mut recovered[at])
                .unwrap();
            guessing.conceal(&mut guessed[at]);
        } else {
            recovering.decode(&packets[at], &mut recovered[at]).unwrap();
            guessing.decode(&packets[at], &mut guessed[at]).unwrap();
        }
    }
    assert!(recoveries >= 10, "{recoveries}");
    let (want, recovered) = aligned(&said, &recovered);
    let (_, guessed) = aligned(&said, &guessed);
    let (with, without) = (likeness(want, recovered), likeness(want, guessed));
    assert!(with > without + 0.01, "{with} against {without}");
}

/// What is heard of bursts of six lost packets in 25: with the deep redundancy of the first packet after each, and without.
#[test]
fn deep_redundancy_brings_back_a_burst() {
    let said = speech(300);
    let settings = EncoderSettings {
        bitrate: 32_000,
        protection: Protection {
            expected_loss: 20,
            fec: false,
            deep_ms: 300,
        },
        ..SETTINGS
    };
    let packets = encode(settings, &said);
    let bits = packets.iter().map(Vec::len).sum::<usize>() * 8 / 6;
    assert!(bits < 40_000, "{bits} bit/s");
    let mut recovering = Decoder::new().unwrap();
    let mut guessing = Decoder::new().unwrap();
    let (mut recovered, mut guessed) = (said.clone(), said.clone());
    let mut recoveries = 0;
    for at in 0..packets.len() - 6 {
        // Not before the encoder's redundancy has found its way in.
        let (burst, after) = (at % 25, at - at % 25 + 24);
        if at > 50 && (18..24).contains(&burst) {
            let back = (after - at) as u8;
            let deep = recovering.recover_deep(&packets[after], back, &mut recovered[at]);
            recoveries += usize::from(deep.unwrap());
            guessing.conceal(&mut guessed[at]);
        } else {
            recovering.decode(&packets[at], &mut recovered[at]).unwrap();
            guessing.decode(&packets[at], &mut guessed[at]).unwrap();
        }
    }
    assert!(recoveries >= 20, "{recoveries}");
    let distance = |heard: &[Frame]| {
        let pairs = said.iter().zip(heard);
        let loudness = |frame: &Frame| (energy(frame) + 1e-3).ln();
        pairs
            .map(|(said, heard)| (loudness(said) - loudness(heard)).abs())
            .sum::<f32>()
    };
    let (with, without) = (distance(&recovered), distance(&guessed));
    assert!(with < without * 0.8, "{with} against {without}");
}

#[test]
fn a_packet_without_deep_redundancy_says_so_and_is_concealed() {
    let said = speech(20);
    let packets = encode(SETTINGS, &said);
    let mut decoder = Decoder::new().unwrap();
    let mut heard = [0.0; FRAME_SAMPLES];
    for packet in &packets[..15] {
        decoder.decode(packet, &mut heard).unwrap();
    }
    assert_eq!(decoder.recover_deep(&packets[19], 4, &mut heard), Ok(false));
    assert_eq!(
        decoder.recover_deep(&[], 1, &mut heard),
        Err(OpusError::Length(0))
    );
    assert_eq!(decoder.recover_deep(&packets[19], 0, &mut heard), Ok(false));
}

#[test]
fn without_expected_loss_no_redundancy_is_sent() {
    let packets = encode(SETTINGS, &speech(50));
    assert!(packets.iter().all(|packet| !carries_redundancy(packet)));
}

#[test]
fn silence_costs_next_to_nothing_with_dtx() {
    let mut encoder = Encoder::new(SETTINGS).unwrap();
    encoder.set_dtx(true).unwrap();
    let mut out = [0; PAYLOAD_MAX];
    let mut encode = |_| {
        let length = encoder.encode(&[0.0; FRAME_SAMPLES], &mut out).unwrap();
        out[..length].to_vec()
    };
    let packets: Vec<Vec<u8>> = (0..50).map(&mut encode).collect();
    let tiny = packets.iter().filter(|packet| packet.len() <= 2).count();
    assert!(tiny >= 25, "{tiny} of 50");
}

#[test]
fn the_bit_rate_follows_its_setting() {
    let said = speech(50);
    let bytes = |bitrate| -> usize {
        let settings = EncoderSettings {
            bitrate,
            ..SETTINGS
        };
        encode(settings, &said).iter().map(Vec::len).sum()
    };
    let (low, high) = (bytes(12_000), bytes(48_000));
    assert!(high > low * 2, "{low} and {high} bytes");
}

#[test]
fn what_is_not_a_number_is_encoded_as_silence() {
    let mut frame = speech(10)[9];
    for (at, odd) in [f32::NAN, f32::INFINITY, -f32::INFINITY, 1e30]
        .into_iter()
        .enumerate()
    {
        frame[at * 7] = odd;
    }
    let packets = encode(SETTINGS, &[frame; 5]);
    let mut decoder = Decoder::new().unwrap();
    let mut heard = [0.0; FRAME_SAMPLES];
    for packet in packets {
        decoder.decode(&packet, &mut heard).unwrap();
        assert!(heard.iter().all(|sample| sample.abs() <= 1.0));
    }
}

#[test]
fn a_refused_packet_says_why_and_is_concealed() {
    // The fourth frame is in the middle of a syllable.
    let said = speech(4);
    let packets = encode(SETTINGS, &said);
    // Configuration 10 is 40 ms of SILK; 12 is 10 ms, and code 1 two of them of equal length.
    let refused: [(&[u8], OpusError); 4] = [
        (&[], OpusError::Length(0)),
        (&[0; PAYLOAD_MAX + 1], OpusError::Length(PAYLOAD_MAX + 1)),
        (&[10 << 3, 1, 2, 3], OpusError::Duration(1920)),
        (&[(12 << 3) | 1, 1, 2, 3], OpusError::Damaged),
    ];
    for (payload, why) in refused {
        let mut decoder = Decoder::new().unwrap();
        let mut heard = [0.0; FRAME_SAMPLES];
        for packet in &packets {
            decoder.decode(packet, &mut heard).unwrap();
        }
        let result = decoder.decode(payload, &mut heard);
        assert!(energy(&heard) > 0.01, "{why}: silent");
        assert_eq!(result, Err(why));
    }
}

#[test]
fn a_setting_out_of_range_is_refused_in_words() {
    let wrong = Encoder::new(EncoderSettings {
        bitrate: 5,
        ..SETTINGS
    });
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "bit rate 5 is outside 6000 to 256000"
    );
    let wrong = Encoder::new(EncoderSettings {
        complexity: 11,
        ..SETTINGS
    });
    assert!(wrong.is_err());
    let mut encoder = Encoder::new(SETTINGS).unwrap();
    for wrong in [
        Protection {
            expected_loss: 101,
            ..NONE
        },
        Protection {
            deep_ms: DEEP_MAX_MS + 1,
            ..NONE
        },
    ] {
        assert!(encoder.set_protection(wrong).is_err());
    }
    assert_eq!(
        encoder.encode(&[0.0; FRAME_SAMPLES], &mut [0]),
        Err(OpusError::Room(1))
    );
}

#[test]
fn both_ends_can_move_to_another_thread() {
    let (mut encoder, mut decoder) = (Encoder::new(SETTINGS).unwrap(), Decoder::new().unwrap());
    std::thread::spawn(move || {
        let mut packet = [0; PAYLOAD_MAX];
        let mut pcm = [0.1; FRAME_SAMPLES];
        let length = encoder.encode(&pcm, &mut packet).unwrap();
        decoder.decode(&packet[..length], &mut pcm).unwrap();
    })
    .join()
    .unwrap();
}
