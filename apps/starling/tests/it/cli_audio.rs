//! Sound devices as a person handles them, on a real sound server: chosen, kept, pulled out in a call and plugged in again.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli_cast::{Person, Running, befriend, write_tone};
use crate::sound_server::SoundServer;

/// What `write_tone` writes.
const HERTZ: f64 = 440.0;
const RATE: usize = 48_000;
/// 50 ms.
const PIECE: usize = RATE / 20;
/// Five times what opening a device takes.
const PATIENCE: Duration = Duration::from_secs(10);

fn pactl(server: &SoundServer, arguments: &[&str]) -> String {
    let mut pactl = Command::new("pactl");
    let output = pactl
        .env("XDG_RUNTIME_DIR", server.folder())
        .args(arguments)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "pactl {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn plug_headset(server: &SoundServer) -> String {
    let name = "sink_properties=device.description=Headset";
    let load = ["load-module", "module-null-sink", "sink_name=headset"];
    pactl(
        server,
        &[&load[..], &["rate=48000", "channels=1", name]].concat(),
    )
}

/// What a sink plays, 50 ms at a time.
struct Monitor {
    parec: Child,
    out: ChildStdout,
}

impl Monitor {
    fn of(server: &SoundServer, sink: &str) -> Self {
        let mut parec = Command::new("parec");
        parec
            .env("XDG_RUNTIME_DIR", server.folder())
            .args(["--raw", "--format=s16le", "--rate=48000", "--channels=1"])
            .args(["--latency-msec=20", "--device", &format!("{sink}.monitor")])
            .stdout(Stdio::piped());
        let mut parec = parec.spawn().unwrap();
        let out = parec.stdout.take().unwrap();
        Self { parec, out }
    }

    fn next(&mut self) -> Vec<f64> {
        let mut bytes = [0; PIECE * 2];
        self.out.read_exact(&mut bytes).unwrap();
        let samples = bytes.chunks_exact(2);
        samples
            .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])))
            .collect()
    }

    /// Whether a tone of this height is heard within so many seconds; a null sink's monitor may begin with two of silence.
    fn hears(&mut self, hertz: f64, seconds: usize) -> bool {
        let mut pieces = (0..seconds * RATE / PIECE).map(|_| self.next());
        pieces.any(|piece| share(&piece, hertz) > 0.6)
    }

    /// Whether there is silence for a second, within ten.
    fn falls_silent(&mut self) -> bool {
        let mut silent = 0;
        for _ in 0..10 * RATE / PIECE {
            let is_silent = self.next().iter().all(|sample| sample.abs() < 2.0);
            silent = if is_silent { silent + 1 } else { 0 };
            if silent == RATE / PIECE {
                return true;
            }
        }
        false
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.parec.kill();
        let _ = self.parec.wait();
    }
}

/// How much of the sound is this tone; 1 is all.
fn share(samples: &[f64], hertz: f64) -> f64 {
    let step = hertz / RATE as f64 * std::f64::consts::TAU;
    let (mut sine, mut cosine, mut all) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        sine += sample * (step * n as f64).sin();
        cosine += sample * (step * n as f64).cos();
        all += sample * sample;
    }
    (sine * sine + cosine * cosine) * 2.0 / samples.len() as f64 / f64::max(all, 1.0)
}

fn uses(call: &Value, speaker: &str) -> bool {
    call["state"] == "established" && call["sound"]["speaker"] == speaker
}

#[test]
fn a_call_goes_on_while_its_devices_come_and_go() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    pactl(&server, &["set-default-sink", "speaker"]);
    let alice = Person::new("Alice");
    let bob = Person::with_sound("Bob", Some(server.folder()));
    befriend(&alice, &bob, ("Alice", "Bob"));
    let (tone, heard) = (
        alice.folder().join("tone.wav"),
        alice.folder().join("heard.wav"),
    );
    write_tone(&tone, 60);
    let mut call = alice.program();
    call.args(["call", "Bob", "--play", tone.to_str().unwrap(), "--record"]);
    call.arg(&heard);
    let call = Running::start(call);
    let mut answer = bob.program();
    answer.args(["answer", "--wait"]).stderr(Stdio::piped());
    let mut answer = Running::start(answer);
    let mut said = answer.child.stderr.take().unwrap();
    bob.until(&["calls"], |call| uses(call, "Loudspeaker"));
    assert!(Monitor::of(&server, "speaker").hears(HERTZ, 8));

    let headset = plug_headset(&server);
    let audio = &bob.json(&["audio", "use", "--speaker", "Headset"])[0];
    assert_eq!(audio["speaker"]["chosen"], "headset");
    let running = bob.until(&["calls"], |call| uses(call, "Headset"));
    assert_eq!(running["warnings"], Value::Array(Vec::new()));
    assert!(Monitor::of(&server, "headset").hears(HERTZ, 8));

    pactl(&server, &["unload-module", &headset]);
    let warned = "the speaker \"Headset\" cannot be used now; \"Loudspeaker\" is used until it can";
    let running = bob.until(&["calls"], |call| uses(call, "Loudspeaker"));
    assert_eq!(running["warnings"][0], warned);
    assert!(Monitor::of(&server, "speaker").hears(HERTZ, 8));

    plug_headset(&server);
    let running = bob.until(&["calls"], |call| uses(call, "Headset"));
    assert_eq!(running["warnings"], Value::Array(Vec::new()));
    let (status, _) = call.interrupt();
    assert!(status.success());
    answer.child.wait().unwrap();
    let mut words = String::new();
    said.read_to_string(&mut words).unwrap();
    for line in ["speaker: Headset", "speaker: Loudspeaker", warned] {
        assert!(words.lines().any(|said| said == line), "{words}");
    }
}

/// Streams of clients at the server: what records, and what plays. The remapped microphone is a stream of the server's own.
fn streams(server: &SoundServer) -> [usize; 2] {
    ["source-outputs", "sink-inputs"].map(|kind| {
        let listed = pactl(server, &["list", "short", kind]);
        let is_clients = |line: &&str| line.split('\t').nth(2) != Some("-");
        listed.lines().filter(is_clients).count()
    })
}

fn reaches(server: &SoundServer, wanted: [usize; 2]) {
    let began = Instant::now();
    while streams(server) != wanted {
        let now = streams(server);
        assert!(began.elapsed() < PATIENCE, "{now:?}, not {wanted:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn audio_06_a_call_on_hold_lets_go_of_microphone_and_speaker() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    pactl(&server, &["set-default-sink", "speaker"]);
    let alice = Person::new("Alice");
    let bob = Person::with_sound("Bob", Some(server.folder()));
    befriend(&alice, &bob, ("Alice", "Bob"));
    let tone = alice.folder().join("tone.wav");
    write_tone(&tone, 60);
    let mut call = alice.program();
    call.args(["call", "Bob", "--play", tone.to_str().unwrap(), "--record"]);
    call.arg(alice.folder().join("heard.wav"));
    let call = Running::start(call);
    let mut answer = bob.program();
    answer.args(["answer", "--wait"]);
    let mut answer = Running::start(answer);
    bob.until(&["calls"], |call| uses(call, "Loudspeaker"));
    reaches(&server, [1, 1]);
    for holder in [&bob, &alice] {
        holder.ok(&["hold"]);
        reaches(&server, [0, 0]);
        holder.ok(&["hold", "--off"]);
        reaches(&server, [1, 1]);
        assert!(Monitor::of(&server, "speaker").hears(HERTZ, 8));
    }
    let (status, _) = call.interrupt();
    assert!(status.success());
    answer.child.wait().unwrap();
}

#[test]
fn what_is_chosen_is_listed_kept_and_refused_where_there_is_no_such_thing() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    let mut bob = Person::with_sound("Bob", Some(server.folder()));
    let headset = plug_headset(&server);
    let words = bob.ok(&[
        "audio",
        "use",
        "--ringer",
        "headset",
        "--push-to-talk",
        "on",
    ]);
    assert!(words.contains("ringer        Headset (chosen)"), "{words}");
    let refused = bob.fails(&["audio", "use", "--microphone", "studio"], 3);
    assert!(
        refused.contains("no microphone is called \"studio\"; there is: "),
        "{refused}"
    );
    bob.fails(&["audio", "use"], 2);

    bob.interrupt();
    pactl(&server, &["unload-module", &headset]);
    bob.start(&[]);
    let audio = &bob.json(&["audio", "devices"])[0];
    assert_eq!(audio["ringer"]["name"], "Headset");
    assert_eq!(audio["ringer"]["uses"], "Loudspeaker");
    assert_eq!(audio["push_to_talk"], true);
    let warning = audio["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("\"Headset\" cannot be used now"),
        "{warning}"
    );
    assert_eq!(audio["microphone"]["uses"], "Mic");
    let ids = audio["devices"].as_array().unwrap().iter();
    let defaults = ids.filter(|one| one["default"] == true);
    assert_eq!(defaults.count(), 2);
    bob.ok(&[
        "audio",
        "use",
        "--ringer",
        "default",
        "--push-to-talk",
        "off",
    ]);
    let audio = &bob.json(&["audio", "devices"])[0];
    assert_eq!(audio["warnings"], Value::Array(Vec::new()));
}

#[test]
fn a_call_rings_on_the_ringer_and_the_caller_hears_that_and_its_end() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    plug_headset(&server);
    pactl(&server, &["set-default-sink", "speaker"]);
    let alice = Person::with_sound("Alice", Some(server.folder()));
    let bob = Person::with_sound("Bob", Some(server.folder()));
    befriend(&alice, &bob, ("Alice", "Bob"));
    bob.ok(&["audio", "use", "--ringer", "headset"]);
    let (mut headset, mut speaker) = (
        Monitor::of(&server, "headset"),
        Monitor::of(&server, "speaker"),
    );
    let tone = alice.folder().join("silence.wav");
    write_tone(&tone, 1);
    let mut call = alice.program();
    call.args(["call", "Bob", "--play", tone.to_str().unwrap(), "--record"]);
    call.arg(alice.folder().join("heard.wav"));
    let call = Running::start(call);
    for hertz in [587.33, 1_174.66] {
        assert!(headset.hears(hertz, 8), "it does not ring with {hertz} Hz");
    }
    assert!(speaker.hears(440.0, 10), "no ringback");
    let record = bob.folder().join("heard.wav");
    let mut answer = bob.program();
    answer.args(["answer", "--play", tone.to_str().unwrap(), "--record"]);
    answer.arg(record);
    let mut answer = Running::start(answer);
    assert!(
        headset.falls_silent() && speaker.falls_silent(),
        "it rings on"
    );
    let (status, _) = call.interrupt();
    assert!(status.success());
    assert!(speaker.hears(392.0, 5), "the end is not heard");
    answer.child.wait().unwrap();

    bob.ok(&["audio", "use", "--tones", "off"]);
    alice.ok(&["audio", "use", "--tones", "off"]);
    let mut call = alice.program();
    call.args([
        "call",
        "Bob",
        "--play",
        tone.to_str().unwrap(),
        "--for",
        "1s",
    ]);
    let call = Running::start(call);
    bob.until(&["calls"], |call| call["state"] == "ringing");
    assert!(
        headset.falls_silent() && speaker.falls_silent(),
        "switched off"
    );
    call.interrupt();
}

#[test]
fn the_microphone_is_measured_and_played_back() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    // What the headset plays is what the microphone hears.
    plug_headset(&server);
    pactl(&server, &["set-default-sink", "speaker"]);
    let bob = Person::with_sound("Bob", Some(server.folder()));
    bob.ok(&["audio", "use", "--microphone", "headset.monitor"]);
    let (tone, silence) = (
        bob.folder().join("tone.wav"),
        bob.json(&["audio", "meter", "--for", "500ms"]),
    );
    assert!(
        silence.last().unwrap()["rms_dbfs"].as_f64().unwrap() < -80.0,
        "{silence:?}"
    );
    write_tone(&tone, 20);
    let mut play = Command::new("paplay");
    play.env("XDG_RUNTIME_DIR", server.folder())
        .args(["--device", "headset"])
        .arg(&tone);
    let mut play = play.spawn().unwrap();
    let mut speaker = Monitor::of(&server, "speaker");
    // 8000 of 32768 is -12.2 dBFS, and a sine's mean is 3 less.
    bob.until(&["audio", "meter", "--for", "200ms"], |meter| {
        let rms = meter["rms_dbfs"].as_f64().unwrap();
        (rms + 15.3).abs() < 1.0
    });
    let mut test = bob.program();
    test.args(["audio", "test"]);
    let mut test = Running::start(test);
    assert_eq!(test.line(), "speak now");
    assert!(speaker.hears(HERTZ, 12), "it is not played back");
    let lines = std::iter::from_fn(|| Some(test.line()).filter(|line| !line.is_empty()));
    let last = lines.last().unwrap();
    assert!(last.starts_with("if you heard yourself"), "{last}");
    play.kill().unwrap();
    play.wait().unwrap();
}
