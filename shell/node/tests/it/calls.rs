//! Calls between whole nodes on loopback: sound from and to files through the real codec and the real transport.

use std::path::Path;
use std::time::Duration;

use starling_audio::wav::{WavReader, WavWriter};
use starling_control::command::Sound;
use starling_control::{Command, ErrorKind, Event, view};

use crate::cast::{Actor, befriend};

const FRAME: usize = 960;

/// Two seconds that no other two seconds resemble: tones whose height changes every 50 ms.
pub fn tune(seed: u32, path: &Path) -> Vec<f32> {
    let mut phase = 0.0_f32;
    let samples: Vec<f32> = (0..96_000_u32)
        .map(|n| {
            let step = n / 2400;
            let hertz = 200 + (step.wrapping_mul(2_654_435_761).wrapping_add(seed * 97)) % 900;
            phase += hertz as f32 / 48_000.0;
            0.4 * (phase * std::f32::consts::TAU).sin()
        })
        .collect();
    let mut writer = WavWriter::create(path).expect("a file");
    writer.write(&samples).expect("room");
    writer.finish().expect("room");
    samples
}

fn recorded(path: &Path) -> Vec<f32> {
    let mut reader = WavReader::open(path).expect("a recording");
    let mut samples = Vec::new();
    let mut frame = [0.0; FRAME];
    while let Ok(count @ 1..) = reader.read(&mut frame) {
        samples.extend_from_slice(&frame[..count]);
    }
    samples
}

/// How alike they are: of quarters of a second, each where it fits best up to 100 ms to either side, the median. A busy
/// machine may stretch or fold a frame somewhere; other sound fits nowhere.
fn likeness(sent: &[f32], heard: &[f32]) -> f64 {
    const PIECE: usize = 12_000;
    let energy = |piece: &[f32]| piece.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
    let fit = |(number, piece): (usize, &[f32])| {
        let from = (number * PIECE).saturating_sub(4_800);
        let at = |start: usize| {
            let there = heard.get(start..start + PIECE)?;
            let pairs = piece.iter().zip(there);
            let product: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            Some(product / (energy(piece) * energy(there)).sqrt().max(1e-9))
        };
        (from..from + 9_600)
            .step_by(4)
            .filter_map(at)
            .fold(0.0, f64::max)
    };
    let mut fits: Vec<f64> = sent.chunks_exact(PIECE).enumerate().map(fit).collect();
    fits.sort_by(f64::total_cmp);
    fits[fits.len() / 2]
}

pub fn play_and_record(folder: &Path, name: &str) -> Sound {
    Sound {
        play: Some(
            folder
                .join(format!("{name}-says.wav"))
                .display()
                .to_string(),
        ),
        record: Some(
            folder
                .join(format!("{name}-hears.wav"))
                .display()
                .to_string(),
        ),
        ..Sound::default()
    }
}

pub async fn until_call(actor: &mut Actor, what: &str, state: view::CallState) -> view::Call {
    actor
        .until(what, |event| match event {
            Event::Call(call) if call.state == state => Some(call.clone()),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_carries_sound_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut alice, mut bob) = pair(folder.path()).await;
    let says_alice = tune(1, &folder.path().join("alice-says.wav"));
    let says_bob = tune(2, &folder.path().join("bob-says.wav"));
    let sound = Sound {
        limit_ms: Some(2_000),
        ..play_and_record(folder.path(), "alice")
    };
    let who = "Bob".to_owned();
    let call: view::Call = alice.ask(Command::CallStart { who, sound }).await;
    assert!(call.outgoing);
    let ringing = until_call(&mut bob, "the ring", view::CallState::Ringing).await;
    assert_eq!(
        (ringing.id.as_str(), ringing.who.as_str()),
        (call.id.as_str(), "Alice")
    );
    let sound = play_and_record(folder.path(), "bob");
    bob.ask::<view::Call>(Command::CallAnswer { id: None, sound })
        .await;
    until_call(&mut alice, "the answer", view::CallState::Established).await;
    let over = until_call(&mut alice, "the end", view::CallState::Ended).await;
    let over_there = until_call(&mut bob, "the end", view::CallState::Ended).await;
    let heard_by_bob = recorded(&folder.path().join("bob-hears.wav"));
    let heard_by_alice = recorded(&folder.path().join("alice-hears.wav"));
    for (sent, heard) in [(&says_alice, &heard_by_bob), (&says_bob, &heard_by_alice)] {
        let missing = sent.len().abs_diff(heard.len());
        // Asked for is 100 ms; five times that where other tests run beside.
        assert!(missing <= 24_000, "{missing} samples differ in length");
        let likeness = likeness(sent, heard);
        assert!(likeness > 0.9, "it sounds like something else: {likeness}");
    }
    for call in [over, over_there] {
        let quality = call.quality.expect("a quality");
        assert_eq!(quality.path.as_str(), "direct");
        assert!(quality.loss_percent < 5.0, "{quality:?}");
        let first = quality.first_sound_ms.expect("sound was heard");
        assert!(first < 1_000, "first sound after {first} ms");
        assert!((8_000..=64_000).contains(&quality.bitrate), "{quality:?}");
        assert!(
            quality.mos > 3.0 && !quality.protection.is_empty(),
            "{quality:?}"
        );
    }
    let log: Vec<view::Call> = bob.ask(Command::CallList { limit: None }).await;
    assert_eq!((log.len(), log[0].words.as_str()), (1, "ended"));
    stop(alice, bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_is_heard_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut alice, mut bob) = pair(folder.path()).await;
    let says = tune(3, &folder.path().join("alice-says.wav"));
    let sound = Sound {
        limit_ms: Some(2_300),
        ..play_and_record(folder.path(), "alice")
    };
    let who = "Bob".to_owned();
    alice
        .ask::<view::Call>(Command::CallStart { who, sound })
        .await;
    until_call(&mut bob, "the ring", view::CallState::Ringing).await;
    let sound = Sound {
        echo: true,
        ..Sound::default()
    };
    bob.ask::<view::Call>(Command::CallAnswer { id: None, sound })
        .await;
    until_call(&mut alice, "the end", view::CallState::Ended).await;
    let heard = recorded(&folder.path().join("alice-hears.wav"));
    let likeness = likeness(&says, &heard);
    assert!(likeness > 0.85, "it sounds like something else: {likeness}");
    stop(alice, bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_declined_cancelled_and_is_busy_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut alice, mut bob) = pair(folder.path()).await;
    let call = |who: &str| Command::CallStart {
        who: who.to_owned(),
        sound: Sound {
            echo: true,
            ..Sound::default()
        },
    };
    alice.ask::<view::Call>(call("Bob")).await;
    until_call(&mut bob, "the ring", view::CallState::Ringing).await;
    let refused = alice
        .try_ask::<view::Call>(call("Bob"))
        .await
        .expect_err("one at a time");
    assert_eq!(refused.data.kind, ErrorKind::State);
    bob.ask::<view::Call>(Command::CallHangup { id: None })
        .await;
    let over = until_call(&mut alice, "the refusal", view::CallState::Ended).await;
    assert_eq!(over.words, "declined");
    alice.ask::<view::Call>(call("Bob")).await;
    until_call(&mut bob, "the ring", view::CallState::Ringing).await;
    let over: view::Call = alice.ask(Command::CallHangup { id: None }).await;
    assert_eq!(over.state, view::CallState::Ended);
    let over = until_call(&mut bob, "the end of ringing", view::CallState::Ended).await;
    assert_eq!(over.words, "cancelled by the caller");
    let nothing = bob
        .try_ask::<view::Call>(Command::CallHangup { id: None })
        .await;
    assert_eq!(nothing.expect_err("no call").data.kind, ErrorKind::NotFound);
    stop(alice, bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_calling_at_once_is_one_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut alice, mut bob) = pair(folder.path()).await;
    let sound = || Sound {
        echo: true,
        ..Sound::default()
    };
    let to = |who: &str| Command::CallStart {
        who: who.to_owned(),
        sound: sound(),
    };
    let both = tokio::join!(
        alice.ask::<view::Call>(to("Bob")),
        bob.ask::<view::Call>(to("Alice"))
    );
    assert_eq!(both.0.who, "Bob");
    let at_alice = until_call(&mut alice, "one call", view::CallState::Established).await;
    let at_bob = until_call(&mut bob, "one call", view::CallState::Established).await;
    assert_eq!(at_alice.id, at_bob.id);
    stop(alice, bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_and_a_muted_call_say_so_on_both_sides() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut alice, mut bob) = pair(folder.path()).await;
    tune(4, &folder.path().join("alice-says.wav"));
    let sound = play_and_record(folder.path(), "alice");
    let who = "Bob".to_owned();
    alice
        .ask::<view::Call>(Command::CallStart { who, sound })
        .await;
    until_call(&mut bob, "the ring", view::CallState::Ringing).await;
    let sound = Sound {
        echo: true,
        ..Sound::default()
    };
    bob.ask::<view::Call>(Command::CallAnswer { id: None, sound })
        .await;
    until_call(&mut bob, "the call", view::CallState::Established).await;
    until_call(&mut alice, "the call", view::CallState::Established).await;
    alice
        .ask::<view::Call>(Command::CallHold { id: None, on: true })
        .await;
    let held = until_call(&mut bob, "the hold", view::CallState::Held).await;
    assert!(held.held_by_peer && !held.held);
    alice
        .ask::<view::Call>(Command::CallHold {
            id: None,
            on: false,
        })
        .await;
    until_call(&mut bob, "the return", view::CallState::Established).await;
    let muted: view::Call = alice.ask(Command::CallMute { id: None, on: true }).await;
    assert!(muted.muted);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let status: view::Status = alice.ask(Command::Status {}).await;
    let path = status.paths.iter().find(|path| path.purpose == "call");
    assert_eq!(path.expect("the call's path").who, "Bob");
    bob.node.stop().await;
    let over = until_call(&mut alice, "the end", view::CallState::Ended).await;
    assert_ne!(over.words, "");
    alice.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_files_are_refused_before_anything_rings() {
    let folder = tempfile::tempdir().expect("a folder");
    let (alice, bob) = pair(folder.path()).await;
    std::fs::write(folder.path().join("no.wav"), b"RIFF of something else").expect("a file");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let wrong = [
        (Some(path("missing.wav")), None, ErrorKind::Usage),
        (Some(path("no.wav")), None, ErrorKind::Usage),
        (Some("relative.wav".to_owned()), None, ErrorKind::Usage),
        (None, Some(path("no.wav")), ErrorKind::State),
        (None, Some(path("nowhere/a.wav")), ErrorKind::NotFound),
    ];
    for (play, record, kind) in wrong {
        let sound = Sound {
            play,
            record,
            ..Sound::default()
        };
        let who = "Bob".to_owned();
        let refused = alice
            .try_ask::<view::Call>(Command::CallStart { who, sound })
            .await;
        assert_eq!(refused.expect_err("a refusal").data.kind, kind);
    }
    let sound = Sound {
        max_kbits: Some(5),
        ..Sound::default()
    };
    let who = "Bob".to_owned();
    let refused = alice
        .try_ask::<view::Call>(Command::CallStart { who, sound })
        .await;
    let refused = refused.expect_err("a refusal").to_string();
    assert!(refused.contains("8 to 64 kbit/s"), "{refused}");
    let log: Vec<view::Call> = bob.ask(Command::CallList { limit: None }).await;
    assert!(log.is_empty());
    stop(alice, bob).await;
}

async fn pair(folder: &Path) -> (Actor, Actor) {
    let mut alice = Actor::create(&folder.join("alice"), "Alice").await;
    let mut bob = Actor::create(&folder.join("bob"), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    (alice, bob)
}

async fn stop(alice: Actor, bob: Actor) {
    alice.node.stop().await;
    bob.node.stop().await;
}
