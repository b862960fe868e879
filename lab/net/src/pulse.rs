//! A PulseAudio server of our own, with null sinks: what is played into one can be recorded from its monitor, and a node takes it for a
//! microphone or a speaker. Never the machine's own sound.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command as Program, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use starling_control::{Command, view};
use tempfile::TempDir;

use crate::actor::{Actor, ActorError};
use crate::score::Recording as Speech;
use crate::story;

const PATIENCE: Duration = Duration::from_secs(30);
/// Of what is played and recorded.
pub const RATE: u32 = 16_000;
/// Samples at a time, 5 ms: as exact are the times.
const PIECE: usize = 80;

/// A sound server of our own.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    process: Child,
}

impl Server {
    /// With these sinks.
    pub fn start(sinks: &[&str]) -> Result<Self, ActorError> {
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
                sinks.iter().map(|sink| {
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

    /// For the environment of a node: `XDG_RUNTIME_DIR`.
    pub fn runtime(&self) -> String {
        self.folder.path().display().to_string()
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
    pub fn play(&self, sink: &str, said: &Speech) -> Result<(), ActorError> {
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
    pub fn record(&self, sink: &str) -> Result<Recording, ActorError> {
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

/// Chooses a microphone and a speaker.
pub fn choose(person: &Actor, [microphone, speaker]: [&str; 2]) -> Result<(), ActorError> {
    let change = view::AudioChange {
        microphone: Some(microphone.to_owned()),
        speaker: Some(speaker.to_owned()),
        ..view::AudioChange::default()
    };
    person.ask::<view::Audio>(Command::AudioUse(change))?;
    Ok(())
}

/// A recording that goes on.
#[derive(Debug)]
pub struct Recording {
    client: Child,
    listening: JoinHandle<Recorded>,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// When the first sample was played, as far as can be told: nothing comes before it was.
    pub began: Instant,
    /// In -1..1.
    pub samples: Vec<f32>,
}

impl Recording {
    /// Ends it.
    pub fn stop(mut self) -> Result<Recorded, ActorError> {
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
