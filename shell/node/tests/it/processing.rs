//! What is done with a microphone's sound: kept, and followed by a call that runs. A file stands in for the microphone.

use std::path::Path;
use std::time::Duration;

use starling_audio::wav::{WavReader, WavWriter};
use starling_control::Command;
use starling_control::command::Sound;
use starling_control::view::{
    self, AudioChange, CallChoice, EchoLevel, GainLevel, NoiseLevel, ProcessingChange,
};

use crate::calls::until_call;
use crate::cast::{Actor, befriend};

const SECOND: usize = 48_000;

/// A soft tone.
fn says(path: &Path, seconds: usize) {
    let samples: Vec<f32> = (0..seconds * SECOND)
        .map(|n| 0.05 * (n as f32 * 440.0 / 48_000.0 * std::f32::consts::TAU).sin())
        .collect();
    let mut writer = WavWriter::create(path).expect("a file");
    writer.write(&samples).expect("room");
    writer.finish().expect("room");
}

fn heard(path: &Path) -> Vec<f32> {
    let mut reader = WavReader::open(path).expect("a recording");
    let mut samples = Vec::new();
    let mut frame = [0.0; 960];
    while let Ok(count @ 1..) = reader.read(&mut frame) {
        samples.extend_from_slice(&frame[..count]);
    }
    samples
}

fn loudness(sound: &[f32]) -> f32 {
    (sound.iter().map(|x| x * x).sum::<f32>() / sound.len() as f32).sqrt()
}

const GAIN_ALONE: ProcessingChange = ProcessingChange {
    echo: Some(EchoLevel::Off),
    noise: Some(NoiseLevel::Off),
    gain: Some(GainLevel::Off),
};

/// Alice plays her file for five seconds; after two, the gain becomes 12 dB. How much louder the end is than the beginning.
async fn louder(alice: &mut Actor, bob: &mut Actor, folder: &Path, processed: bool) -> f32 {
    let set = |change| Command::ProcessingSet(change);
    alice.ask::<view::Processing>(set(GAIN_ALONE)).await;
    let record = folder.join(format!("heard-{processed}.wav"));
    let sound = Sound {
        play: Some(folder.join("says.wav").display().to_string()),
        record: Some(
            folder
                .join(format!("nothing-{processed}.wav"))
                .display()
                .to_string(),
        ),
        limit_ms: Some(5_000),
        processed,
        ..Sound::default()
    };
    let who = "Bob".to_owned();
    alice
        .ask::<view::Call>(Command::CallStart { who, sound })
        .await;
    until_call(bob, "the ring", view::CallState::Ringing).await;
    let sound = Sound {
        record: Some(record.display().to_string()),
        echo: true,
        ..Sound::default()
    };
    bob.ask::<view::Call>(Command::CallAnswer { id: None, sound })
        .await;
    until_call(alice, "the answer", view::CallState::Established).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let change = ProcessingChange {
        gain: Some(GainLevel::Decibels(12)),
        ..ProcessingChange::default()
    };
    let changed: view::Processing = alice.ask(set(change)).await;
    assert_eq!(changed.echo, EchoLevel::Off);
    until_call(alice, "the end", view::CallState::Ended).await;
    until_call(bob, "the end", view::CallState::Ended).await;
    let heard = heard(&record);
    assert!(heard.len() > 3 * SECOND, "{} samples", heard.len());
    loudness(&heard[heard.len() - SECOND..]) / loudness(&heard[SECOND / 2..SECOND])
}

#[tokio::test(flavor = "multi_thread")]
async fn proc_06_a_change_is_heard_in_the_call_that_runs_and_a_file_is_processed_only_where_asked()
{
    let folder = tempfile::tempdir().expect("a folder");
    let mut alice = Actor::create(&folder.path().join("alice"), "Alice").await;
    let mut bob = Actor::create(&folder.path().join("bob"), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    says(&folder.path().join("says.wav"), 5);
    let first: view::Processing = alice.ask(Command::ProcessingShow {}).await;
    assert_eq!(first, view::Processing::default());
    let with = louder(&mut alice, &mut bob, folder.path(), true).await;
    assert!((3.2..5.0).contains(&with), "{with} times as loud, not 4");
    let without = louder(&mut alice, &mut bob, folder.path(), false).await;
    assert!((0.9..1.1).contains(&without), "{without} times as loud");
    alice.node.stop().await;
    let alice = Actor::start(&folder.path().join("alice")).await;
    let kept: view::Processing = alice.ask(Command::ProcessingShow {}).await;
    assert_eq!(
        (kept.echo, kept.gain),
        (EchoLevel::Off, GainLevel::Decibels(12))
    );
    alice.node.stop().await;
    bob.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_change_at_once_both_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let alice = Actor::create(&folder.path().join("alice"), "Alice").await;
    for round in 0..10 {
        let on = round % 2 == 0;
        let echo = if on {
            EchoLevel::Strong
        } else {
            EchoLevel::Off
        };
        let noise = if on {
            NoiseLevel::High
        } else {
            NoiseLevel::Low
        };
        let (volume, after) = (40 + round, 10 + u32::from(round));
        tokio::join!(
            alice.ask::<view::Processing>(Command::ProcessingSet(ProcessingChange {
                echo: Some(echo),
                ..ProcessingChange::default()
            })),
            alice.ask::<view::Processing>(Command::ProcessingSet(ProcessingChange {
                noise: Some(noise),
                ..ProcessingChange::default()
            })),
            alice.ask::<view::Audio>(Command::AudioUse(AudioChange {
                tones: Some(on),
                ..AudioChange::default()
            })),
            alice.ask::<view::Audio>(Command::AudioUse(AudioChange {
                volume: Some(volume),
                ..AudioChange::default()
            })),
            alice.ask::<view::CallSettings>(Command::CallSet(CallChoice {
                waiting: Some(on),
                ..CallChoice::default()
            })),
            alice.ask::<view::CallSettings>(Command::CallSet(CallChoice {
                forward_after: Some(after),
                ..CallChoice::default()
            })),
        );
        let processing: view::Processing = alice.ask(Command::ProcessingShow {}).await;
        assert_eq!((processing.echo, processing.noise), (echo, noise));
        let audio: view::Audio = alice.ask(Command::AudioDevices {}).await;
        assert_eq!((audio.tones, audio.volume), (on, volume));
        let calls: view::CallSettings = alice.ask(Command::CallSettings {}).await;
        assert_eq!((calls.waiting, calls.forward_after), (on, after));
    }
    alice.node.stop().await;
}
