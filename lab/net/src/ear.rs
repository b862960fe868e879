//! Mouth to ear: recorded speech is played into what Alice's node takes for a microphone, and what Bob's node plays is recorded,
//! both on a private PulseAudio server with null sinks; all of it on this machine, over loopback. What is told is how much later
//! each second of speech leaves Bob's speaker than it entered Alice's microphone: devices' buffers, codec, packets, jitter buffer.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command as Program, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, view};
use tempfile::TempDir;

use crate::actor::{Actor, ActorError, Seat};
use crate::align::best_lag;
use crate::score::Recording as Speech;
use crate::story::speech::{self, Voice};
use crate::story::{self, Cast};

const PATIENCE: Duration = Duration::from_secs(30);
/// What is said, again and again.
const SPEECH: Duration = Duration::from_secs(10);
/// The call may settle for so long.
const SETTLING: Duration = Duration::from_secs(3);
const RATE: u32 = 16_000;
/// Samples at a time, 5 ms: as exact are the times.
const PIECE: usize = 80;
/// Speech is compared by the second, and searched for in as much again.
const WINDOW: usize = RATE as usize;
/// A second in which less is said is left out (root mean square).
const QUIET: f32 = 0.01;

/// What is said, what is heard, and where the rest of both sides goes.
const SINKS: [&str; 3] = ["mouth", "ear", "void"];

/// Measures so many calls; milliseconds, one for each second of speech.
pub fn measure(calls: u32, tell: &dyn Fn(&str)) -> Result<Vec<f64>, ActorError> {
    let server = Server::start()?;
    let runtime = server.folder.path().display().to_string();
    let variables = [("XDG_RUNTIME_DIR", runtime.as_str())];
    let folder = story::temporary_folder()?;
    let seat = Seat::here().with(&variables);
    let cast = Cast::assemble(folder.path(), Seat::here(), seat, seat, PATIENCE)?;
    story::befriend(&cast.bob, &cast.alice)?;
    choose(&cast.alice, "mouth.monitor", "void")?;
    choose(&cast.bob, "void.monitor", "ear")?;
    let says = speech::speech(Voice::Alice, SPEECH).map_err(|error| failed(&error))?;
    let mut delays = Vec::new();
    for call in 1..=calls {
        let heard = one_call(&cast, &server, &says)?;
        tell(&format!("call {call}: {} seconds of speech", heard.len()));
        delays.extend(heard);
    }
    cast.dismiss()?;
    Ok(delays)
}

fn choose(person: &Actor, microphone: &str, speaker: &str) -> Result<(), ActorError> {
    let change = view::AudioChange {
        microphone: Some(microphone.to_owned()),
        speaker: Some(speaker.to_owned()),
        ..view::AudioChange::default()
    };
    person.ask::<view::Audio>(Command::AudioUse(change))?;
    Ok(())
}

fn one_call(cast: &Cast, server: &Server, says: &Speech) -> Result<Vec<f64>, ActorError> {
    let who = cast.bob.name().to_owned();
    let sound = Sound::default();
    cast.alice
        .ask::<view::Call>(Command::CallStart { who, sound })?;
    let rings = view::CallState::Ringing;
    wait(&cast.bob, rings)?;
    let sound = Sound::default();
    cast.bob
        .ask::<view::Call>(Command::CallAnswer { id: None, sound })?;
    wait(&cast.alice, view::CallState::Established)?;
    thread::sleep(SETTLING);
    let mouth = server.record("mouth")?;
    let ear = server.record("ear")?;
    server.play("mouth", says)?;
    let (mouth, ear) = (mouth.stop()?, ear.stop()?);
    cast.alice
        .ask::<view::Call>(Command::CallHangup { id: None })?;
    wait(&cast.bob, view::CallState::Ended)?;
    Ok(delays(&mouth, &ear))
}

fn wait(person: &Actor, state: view::CallState) -> Result<(), ActorError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let calls: Vec<view::Call> = person.ask(Command::CallList { limit: Some(1) })?;
        if calls.first().is_some_and(|call| call.state == state) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(person.story(format!("the call was never {state:?}: {calls:?}")));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// How much later each second was heard.
fn delays(mouth: &Recorded, ear: &Recorded) -> Vec<f64> {
    let ahead = ear
        .began
        .saturating_duration_since(mouth.began)
        .as_secs_f64()
        - mouth
            .began
            .saturating_duration_since(ear.began)
            .as_secs_f64();
    let seconds = mouth.samples.chunks_exact(WINDOW).enumerate();
    let said = seconds.filter(|(_, said)| loudness(said) > QUIET);
    let delay = |(number, said): (usize, &[f32])| {
        let from = number * WINDOW;
        let there = ear
            .samples
            .get(from..(from + 2 * WINDOW).min(ear.samples.len()))?;
        let lag = best_lag(said, there, RATE);
        Some((lag as f64 / f64::from(RATE) + ahead) * 1_000.0)
    };
    said.filter_map(delay).collect()
}

fn loudness(samples: &[f32]) -> f32 {
    let sum: f32 = samples.iter().map(|sample| sample * sample).sum();
    (sum / samples.len().max(1) as f32).sqrt()
}

/// A sound server of our own.
struct Server {
    folder: TempDir,
    process: Child,
}

impl Server {
    fn start() -> Result<Self, ActorError> {
        let folder = story::temporary_folder()?;
        let trouble = |what| {
            let path = folder.path().to_owned();
            move |source| ActorError::File { what, path, source }
        };
        let socket = folder.path().join("pulse/native");
        std::fs::create_dir(folder.path().join("pulse")).map_err(trouble("cannot write in"))?;
        let mut program = Program::new("pulseaudio");
        program
            .env("XDG_RUNTIME_DIR", folder.path())
            .env("HOME", folder.path())
            .args(["-n", "--daemonize=no", "--use-pid-file=no"])
            .args(["--exit-idle-time=-1", "--realtime=no", "--log-level=error"])
            .arg(format!(
                "-Lmodule-native-protocol-unix auth-anonymous=1 socket={}",
                socket.display()
            ))
            .args(
                SINKS.map(|sink| {
                    format!("-Lmodule-null-sink sink_name={sink} rate=48000 channels=1")
                }),
            )
            .stderr(Stdio::null());
        let process = program
            .spawn()
            .map_err(trouble("cannot start pulseaudio in"))?;
        let server = Self { folder, process };
        let deadline = Instant::now() + PATIENCE;
        while !socket.exists() {
            if Instant::now() > deadline {
                return Err(failed(&"pulseaudio does not start"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn client(&self, program: &str, sink: &str) -> Program {
        let mut client = Program::new(program);
        client
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .args([
                "--raw",
                "--format=s16le",
                "--channels=1",
                "--latency-msec=10",
            ])
            .arg(format!("--rate={RATE}"))
            .args(["--device", sink]);
        client
    }

    /// Plays a recording to its end.
    fn play(&self, sink: &str, said: &Speech) -> Result<(), ActorError> {
        let mut client = self.client("pacat", sink);
        let mut client = client
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let samples = said.samples.iter();
        let bytes: Vec<u8> = samples
            .flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes())
            .collect();
        if let Some(mut input) = client.stdin.take() {
            input.write_all(&bytes).map_err(|error| failed(&error))?;
        }
        client.wait().map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Records what a sink plays.
    fn record(&self, sink: &str) -> Result<Recording, ActorError> {
        let mut client = self.client("parec", &format!("{sink}.monitor"));
        let mut client = client
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let output = client.stdout.take();
        let output = output.ok_or_else(|| failed(&"parec has no output"))?;
        Ok(Recording {
            client,
            listening: thread::spawn(move || listen(output)),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Recording {
    client: Child,
    listening: JoinHandle<Recorded>,
}

struct Recorded {
    /// When the first sample was played, as far as can be told: nothing comes before it was.
    began: Instant,
    samples: Vec<f32>,
}

impl Recording {
    fn stop(mut self) -> Result<Recorded, ActorError> {
        self.client.kill().map_err(|error| failed(&error))?;
        self.client.wait().map_err(|error| failed(&error))?;
        self.listening
            .join()
            .map_err(|_| failed(&"a recording broke off"))
    }
}

fn listen(mut output: ChildStdout) -> Recorded {
    let mut recorded = Recorded {
        began: Instant::now() + PATIENCE,
        samples: Vec::new(),
    };
    let mut bytes = [0; PIECE * 2];
    while output.read_exact(&mut bytes).is_ok() {
        let pairs = bytes.chunks_exact(2);
        let samples = pairs.map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])));
        recorded
            .samples
            .extend(samples.map(|sample| sample / 32_768.0));
        let length = recorded.samples.len() as f64 / f64::from(RATE);
        let first = Instant::now().checked_sub(Duration::from_secs_f64(length));
        recorded.began = first.map_or(recorded.began, |first| first.min(recorded.began));
    }
    recorded
}

fn failed(error: &dyn std::fmt::Display) -> ActorError {
    ActorError::Story(error.to_string())
}
