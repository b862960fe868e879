//! Microphone and speaker on a real sound server, on none, and on one that fails. The sound system is chosen by the
//! environment, so each case runs in a process of its own: the ignored tests are what those do.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use starling_audio::devices::{Capture, DeviceError, Kind, Playback, report};

use crate::sound_server::{SoundServer, command, run};

const FRAME: usize = starling_media::FRAME_SAMPLES;
const HERTZ: f32 = 1_000.0;
/// Waiting for sound that does not come ends here.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_tone_played_is_a_tone_captured() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    println!("{}", run("devices::in_process_tone", server.folder()));
}

#[test]
#[ignore = "run by the test above"]
fn in_process_tone() {
    let mut speaker = Playback::open(None).expect("a speaker");
    let mut microphone = Capture::open(None).expect("a microphone");
    assert_eq!((speaker.name(), microphone.name()), ("Loudspeaker", "Mic"));
    // The null sink's monitor may take two seconds to say its first word.
    let heard = play_and_hear(&mut speaker, &mut microphone, 40);
    assert_is_tone(&heard);
    assert!(speaker.is_alive() && microphone.is_alive());
    assert_eq!((speaker.error(), microphone.error()), (None, None));
    println!(
        "lost {}, gaps {}, underruns {}, dropped {}",
        microphone.take_lost(),
        microphone.take_gaps(),
        speaker.take_underruns(),
        speaker.take_lost()
    );
}

#[test]
fn audio_11_a_devices_thread_sleeps_between_pieces_of_sound() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    println!("{}", run("devices::in_process_asleep", server.folder()));
}

#[test]
#[ignore = "run by the test above"]
fn in_process_asleep() {
    let mut speaker = Playback::open(None).expect("a speaker");
    let mut microphone = Capture::open(None).expect("a microphone");
    play_and_hear(&mut speaker, &mut microphone, 10);
    let before = wakes();
    let began = Instant::now();
    play_and_hear(&mut speaker, &mut microphone, 100);
    let seconds = began.elapsed().as_secs_f64();
    for (name, wakes) in wakes() {
        let known = before.iter().find(|(known, _)| *known == name);
        let (_, before) = known.expect("no other thread");
        let each = (wakes - before) as f64 / seconds;
        println!("{name} wakes {each:.0} times a second");
        // Two hundred at most, where the server makes small pieces.
        assert!(each < 250.0, "{name} wakes {each:.0} times a second");
    }
}

/// How often each of the devices' threads waited for something.
fn wakes() -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let status = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.expect("a thread").path().join("status");
        let text = std::fs::read_to_string(path).ok()?;
        let value = |key: &str| {
            let mut lines = text.lines();
            let found = lines.find_map(|line| line.strip_prefix(key));
            found.map(|value| value.trim().to_owned())
        };
        let name = value("Name:").filter(|name| name.starts_with("audio-"))?;
        Some((name, value("voluntary_ctxt_switches:")?.parse().ok()?))
    };
    let found: Vec<_> = tasks.filter_map(status).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    found
}

#[test]
fn where_no_sound_server_answers_alsa_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join(".asoundrc"),
        "pcm.!default { type null }\n",
    )
    .expect("it writes");
    run("devices::in_process_alsa", folder.path());
}

#[test]
#[ignore = "run by the test above"]
fn in_process_alsa() {
    let mut microphone = Capture::open(None).expect("a microphone");
    let mut speaker = Playback::open(None).expect("a speaker");
    let mut frame = [f32::NAN; FRAME];
    wait_for("a frame", || microphone.read(&mut frame));
    assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
    speaker.write(&[0.1; FRAME]);
    wait_for("the speaker to take it", || speaker.queued() == 0);
    let devices = report();
    assert!(devices.microphone.is_some() && devices.speaker.is_some());
}

#[test]
fn a_microphone_nobody_reads_counts_what_it_loses_and_goes_on_with_fresh_sound() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    run("devices::in_process_unread", server.folder());
}

#[test]
#[ignore = "run by the test above"]
fn in_process_unread() {
    let mut microphone = Capture::open(Some("mic")).expect("a microphone");
    let mut frame = [0.0; FRAME];
    wait_for("a first frame", || microphone.read(&mut frame));
    sleep(Duration::from_millis(600));
    let began = Instant::now();
    let mut frames = 0;
    while began.elapsed() < Duration::from_millis(10) {
        frames += usize::from(microphone.read(&mut frame));
    }
    assert!(frames <= 4, "{frames} frames were kept for later");
    let lost = microphone.take_lost();
    assert!(lost > 48_000 / 5, "{lost} samples lost");
    assert_eq!(microphone.take_lost(), 0);
    wait_for("another frame", || microphone.read(&mut frame));
}

#[test]
fn a_speaker_counts_what_it_lacks_and_what_is_too_much() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    run("devices::in_process_counts", server.folder());
}

#[test]
#[ignore = "run by the test above"]
fn in_process_counts() {
    let mut speaker = Playback::open(Some("Loudspeaker")).expect("a speaker");
    sleep(Duration::from_millis(100));
    assert_eq!(speaker.take_underruns(), 0, "nothing was to be played yet");
    speaker.write(&[0.1; FRAME * 5]);
    assert!(speaker.queued() <= FRAME * 5);
    wait_for("the queue to run out", || speaker.queued() == 0);
    sleep(Duration::from_millis(100));
    assert_eq!(speaker.take_underruns(), 1, "one gap, however long");
    speaker.write(&[0.1; 48_000]);
    assert!(speaker.queued() <= 24_000, "{} queued", speaker.queued());
    assert!(speaker.take_lost() >= 20_000);
}

#[test]
fn what_is_missing_is_said_in_words() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    run("devices::in_process_report", server.folder());
    // PulseAudio without hardware: its dummy is no speaker, and what the dummy plays no microphone.
    let dummy = SoundServer::start(&["module-null-sink sink_name=auto_null"]);
    run(
        "devices::in_process_nothing",
        dummy.expect("as above").folder(),
    );
}

#[test]
#[ignore = "run by the test above"]
fn in_process_report() {
    let devices = report();
    assert_eq!(devices.microphone.as_deref(), Some("Mic"));
    assert_eq!(devices.speaker.as_deref(), Some("Loudspeaker"));
    assert!(devices.words.is_empty(), "{:?}", devices.words);
    let error = Capture::open(Some("studio")).expect_err("there is none");
    assert_eq!(
        error.to_string(),
        "no microphone is called \"studio\"; there is: speaker.monitor, mic"
    );
}

#[test]
fn a_machine_without_sound_says_so_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    // Hides this machine's own devices; ALSA complains about it to standard error unless it is kept from doing so.
    std::fs::write(folder.path().join("asound.conf"), "").expect("it writes");
    let output = command("devices::in_process_nothing", folder.path())
        .env("ALSA_CONFIG_PATH", folder.path().join("asound.conf"))
        .output()
        .expect("it runs");
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{errors}");
    assert_eq!(errors, "", "nothing on standard error");
}

#[test]
#[ignore = "run by the tests above"]
fn in_process_nothing() {
    let devices = report();
    assert_eq!((devices.microphone, devices.speaker), (None, None));
    assert_eq!(
        devices.words,
        ["no microphone was found", "no speaker was found"]
    );
    let microphone = Capture::open(None).expect_err("there is none");
    assert_eq!(microphone, DeviceError::None(Kind::Microphone));
    let speaker = Playback::open(None).expect_err("there is none");
    assert_eq!(speaker, DeviceError::None(Kind::Speaker));
}

#[test]
fn a_sound_server_that_hangs_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("pulse")).expect("a folder");
    let _mute = UnixListener::bind(folder.path().join("pulse/native")).expect("a socket");
    run("devices::in_process_hanging", folder.path());
}

#[test]
#[ignore = "run by the test above"]
fn in_process_hanging() {
    let began = Instant::now();
    let error = Capture::open(None).expect_err("nobody answers");
    assert!(began.elapsed() < Duration::from_secs(10), "five times 2 s");
    assert_eq!(
        error.to_string(),
        "the microphone cannot be opened: the sound system does not answer"
    );
    let devices = report();
    assert_eq!(devices.words.len(), 2, "{:?}", devices.words);
}

#[test]
fn a_sound_server_that_dies_is_noticed() {
    let Some(mut server) = SoundServer::with_devices() else {
        return;
    };
    let folder = server.folder().to_owned();
    interrupt("devices::in_process_dying", &folder, || server.kill());
}

#[test]
#[ignore = "run by the test above"]
fn in_process_dying() {
    lose_both();
}

#[test]
fn a_device_that_is_removed_is_noticed() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    interrupt("devices::in_process_removed", server.folder(), || {
        server.unplug();
    });
}

#[test]
#[ignore = "run by the test above"]
fn in_process_removed() {
    lose_both();
}

/// Runs a test until both of its devices are open, does something to the sound system, and lets the test go on.
fn interrupt(test: &str, folder: &Path, disturb: impl FnOnce()) {
    let mut child = command(test, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let open = lines.any(|line| line.expect("text") == "open");
    assert!(open, "the devices were never open");
    disturb();
    let mut said = child.stdin.take().expect("piped");
    said.write_all(b"\n").expect("it listens");
    let rest: Vec<String> = lines.map(|line| line.expect("text")).collect();
    let status = child.wait().expect("it ended");
    assert!(status.success(), "{}", rest.join("\n"));
}

/// The other side of [`interrupt`]: expects both devices to be lost.
fn lose_both() {
    let mut speaker = Playback::open(None).expect("a speaker");
    let mut microphone = Capture::open(None).expect("a microphone");
    let mut frame = [0.0; FRAME];
    wait_for("a first frame", || microphone.read(&mut frame));
    println!();
    println!("open");
    std::io::stdin()
        .read_line(&mut String::new())
        .expect("the other side goes on");
    wait_for("both to notice", || {
        speaker.write(&frame);
        microphone.read(&mut frame);
        !speaker.is_alive() && !microphone.is_alive()
    });
    let error = microphone.error().expect("a reason");
    assert_eq!(
        error.to_string(),
        "the microphone is gone: it was removed, or the sound system stopped"
    );
}

/// Plays a tone until so many frames of sound came back; returns the last half of them.
pub fn play_and_hear(speaker: &mut Playback, microphone: &mut Capture, frames: usize) -> Vec<f32> {
    let mut played = 0;
    let mut heard = Vec::new();
    let mut frame = [0.0; FRAME];
    wait_for("the tone", || {
        while speaker.queued() < FRAME * 3 {
            let tone: Vec<f32> = (played..played + FRAME)
                .map(|n| 0.5 * (std::f32::consts::TAU * HERTZ * (n % 48) as f32 / 48_000.0).sin())
                .collect();
            speaker.write(&tone);
            played += FRAME;
        }
        while microphone.read(&mut frame) {
            if !heard.is_empty() || frame.iter().any(|sample| sample.abs() > 0.25) {
                heard.extend(frame);
            }
        }
        heard.len() >= frames * FRAME
    });
    heard.split_off(heard.len() / 2)
}

/// Most pieces of it are the tone that was played; a busy machine makes gaps, after which it is in another phase.
pub fn assert_is_tone(heard: &[f32]) {
    let is_tone = |piece: &&[f32]| {
        (level(piece, HERTZ) - 0.5).abs() < 0.05 && level(piece, HERTZ * 2.5) < 0.05
    };
    let pieces = heard.chunks_exact(480);
    let (all, tones) = (pieces.len(), pieces.filter(is_tone).count());
    assert!(tones * 2 > all, "the tone is in {tones} of {all} pieces");
}

/// How loud a frequency is: the amplitude of its sine.
fn level(samples: &[f32], hertz: f32) -> f32 {
    let step = f64::from(hertz) / 48_000.0 * std::f64::consts::TAU;
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        sine += f64::from(*sample) * (step * n as f64).sin();
        cosine += f64::from(*sample) * (step * n as f64).cos();
    }
    (f64::hypot(sine, cosine) * 2.0 / samples.len() as f64) as f32
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(2));
    }
}
