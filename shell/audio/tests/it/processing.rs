//! The processing between real devices: what a speaker plays comes back through a microphone that hears nothing else.

use std::thread::sleep;
use std::time::{Duration, Instant};

use starling_audio::devices::{Capture, Playback};
use starling_audio::processing::{Processing, Settings};

use crate::sound_server::{SoundServer, run};

const FRAME: usize = starling_media::FRAME_SAMPLES;
/// Frames that are played: 9 s.
const FRAMES: usize = 450;
/// The last of them, in which the canceller has learnt.
const JUDGED: usize = 150;
const PATIENCE: Duration = Duration::from_secs(25);

#[test]
fn proc_01_what_the_speaker_is_handed_does_not_come_back_from_the_microphone() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    println!("{}", run("processing::in_process_echo", server.folder()));
}

#[test]
#[ignore = "run by the test above"]
fn in_process_echo() {
    let mut speaker = Playback::open(None).expect("a speaker");
    let mut microphone = Capture::open(None).expect("a microphone");
    let mut processing = Processing::new(Settings::default());
    let (mut played, mut chance) = (0, 1_u32);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while before.len() < FRAMES {
        assert!(began.elapsed() < PATIENCE, "waited in vain for sound");
        while speaker.queued() < FRAME * 3 / 2 {
            let said = syllable(played, &mut chance);
            speaker.write(&said);
            processing.far_end(&said);
            played += 1;
        }
        let mut frame = [0.0; FRAME];
        while microphone.read(&mut frame) {
            // The null sink's monitor may take two seconds to say its first word.
            if !before.is_empty() || frame.iter().any(|x| x.abs() > 0.01) {
                before.push(power(&frame));
                processing.near_end(&mut frame);
                after.push(power(&frame));
            }
        }
        sleep(Duration::from_millis(2));
    }
    let judged = |powers: &[f64]| powers[powers.len() - JUDGED..].iter().sum::<f64>();
    let fell = 10.0 * (judged(&before) / judged(&after).max(1e-12)).log10();
    println!("{fell:.1} dB, {} underruns", speaker.take_underruns());
    // Asked for is more; where other tests run beside, the speaker starves now and then, and the echo's way changes.
    assert!(fell > 20.0, "the echo is only {fell:.1} dB softer");
}

/// Noise that comes and goes, four times a second.
fn syllable(number: usize, chance: &mut u32) -> [f32; FRAME] {
    let mut frame = [0.0; FRAME];
    let mut low = 0.0;
    for (n, sample) in frame.iter_mut().enumerate() {
        *chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low += 0.2 * ((*chance >> 8) as f32 / 8_388_608.0 - 1.0 - low);
        let at = ((number * FRAME + n) % 12_000) as f32 / 12_000.0;
        *sample = low * (at * std::f32::consts::PI).sin();
    }
    frame
}

fn power(frame: &[f32]) -> f64 {
    frame.iter().map(|x| f64::from(*x).powi(2)).sum()
}
