//! The cast as whole processes: each person is a `starling node` with a temporary profile, asked by other `starling` processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Every wait of a test ends.
pub const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Somebody with a profile of their own.
pub struct Person {
    folder: TempDir,
    node: Option<Child>,
    wanted: &'static str,
    /// Where the sound server listens, for somebody who has one.
    sound: Option<PathBuf>,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The program, for loopback only; nothing of the tester's own profile, browser or display is used.
pub fn program(home: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_starling"));
    program
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .env("STARLING_LISTEN", "127.0.0.1:0")
        .env("STARLING_LAN", "off")
        .env("STARLING_TONES", "off")
        .arg("--home")
        .arg(home.join("profile"))
        .stdin(Stdio::null());
    if let Some(log) = std::env::var_os("STARLING_LOG") {
        program.env("STARLING_LOG", log);
    }
    program
}

impl Person {
    /// A profile that was never used.
    pub fn nobody() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            node: None,
            wanted: "",
            sound: None,
        }
    }

    /// A running node with an account that is registered.
    pub fn new(name: &str) -> Self {
        Self::with_sound(name, None)
    }

    /// The same with the sound server whose folder this is.
    pub fn with_sound(name: &str, sound: Option<&Path>) -> Self {
        let mut person = Self::nobody();
        person.sound = sound.map(Path::to_owned);
        person.start(&[]);
        person.ok(&["account", "create", name]);
        person.until_registered();
        person
    }

    pub fn start(&mut self, options: &[&str]) {
        let mut node = self.program();
        let mut log = std::fs::File::options();
        let log = log.create(true).append(true).open(self.log()).unwrap();
        node.arg("node").args(options).stdout(Stdio::null());
        node.stderr(log);
        self.node = Some(node.spawn().unwrap());
        self.wait_for("the control socket", || {
            UnixStream::connect(self.profile().join("control.sock")).ok()
        });
    }

    pub fn program(&self) -> Command {
        let mut program = program(self.folder.path());
        if let Some(sound) = &self.sound {
            // Nobody hears that one.
            program
                .env("XDG_RUNTIME_DIR", sound)
                .env("STARLING_TONES", "on");
        }
        program
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    /// What the node warned of, beside what the test wants to be warned of.
    fn warnings(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let ours =
            |line: &&str| line.contains(" WARN starling") || line.contains(" ERROR starling");
        let unexpected = |line: &&str| self.wanted.is_empty() || !line.contains(self.wanted);
        let lines = log.lines().filter(ours).filter(unexpected);
        lines.map(str::to_owned).collect()
    }

    /// This node is expected to warn so, and of nothing else.
    pub fn expects_warning(&mut self, wanted: &'static str) {
        self.wanted = wanted;
    }

    /// Where the person keeps files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn profile(&self) -> PathBuf {
        self.folder.path().join("profile")
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.program().args(arguments).output().unwrap())
    }

    /// Runs what must succeed; its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out.trim_end().to_owned()
    }

    /// Runs what must fail in this way; its sentence.
    pub fn fails(&self, arguments: &[&str], code: i32) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        assert!(!ran.err.trim().is_empty(), "{arguments:?} says nothing");
        ran.err
    }

    /// The views a command prints.
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let out = self.ok(&[&["--json"], arguments].concat());
        out.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Asks again and again until an entry fits.
    pub fn until(&self, arguments: &[&str], fits: impl Fn(&Value) -> bool) -> Value {
        let what = arguments.join(" ");
        self.wait_for(&what, || {
            self.json(arguments).into_iter().find(|entry| fits(entry))
        })
    }

    pub fn until_registered(&self) {
        self.until(&["status"], |status| {
            status["supernode"]["connected"] == true
        });
    }

    pub fn until_online(&self, name: &str) {
        self.until(&["contact", "list"], |contact| {
            contact["name"] == name && contact["presence"] == "online"
        });
    }

    fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Writes a file of `size` bytes that look like noise.
    pub fn write(&self, name: &str, size: usize) -> PathBuf {
        let path = self.folder.path().join(name);
        let bytes: Vec<u8> = (0..size).map(|n| (n * 7919 % 251) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Ends the node without a word.
    pub fn kill(&mut self) {
        let mut node = self.node.take().unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
    }

    /// Ends the node as a person would.
    pub fn interrupt(&mut self) -> ExitStatus {
        end(self.node.take().unwrap())
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        } else {
            // One may have been started in the background.
            let _ = self.program().arg("stop").output();
        }
        if std::thread::panicking() {
            eprint!(
                "{}",
                std::fs::read_to_string(self.log()).unwrap_or_default()
            );
            return;
        }
        let warnings = self.warnings();
        assert!(warnings.is_empty(), "{warnings:#?}");
    }
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

/// A command that goes on; its lines are read one by one.
pub struct Running {
    pub child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The same for a command that reads answers.
    pub fn answered(command: Command) -> (Self, ChildStdin) {
        let mut running = Self::start(command);
        let answers = running.child.stdin.take().unwrap();
        (running, answers)
    }

    /// The next line; a process that never writes one is caught by the test's own limit.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Ctrl-C; everything else it said.
    pub fn interrupt(mut self) -> (ExitStatus, String) {
        let status = end_ref(&mut self.child);
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (status, rest)
    }
}

fn end(mut child: Child) -> ExitStatus {
    end_ref(&mut child)
}

fn end_ref(child: &mut Child) -> ExitStatus {
    let id = Pid::from_child(child);
    kill_process(id, Signal::INT).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it does not end on Ctrl-C");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Bob asks Alice, Alice accepts, both see each other online.
pub fn befriend(alice: &Person, bob: &Person, names: (&str, &str)) {
    let link = alice.ok(&["contact", "link"]);
    bob.ok(&["contact", "add", &link, "--message", "It is me"]);
    let request = alice.until(&["contact", "requests"], |request| {
        request["name"] == names.1
    });
    assert_eq!(request["message"], "It is me");
    alice.ok(&["contact", "accept", request["id"].as_str().unwrap()]);
    alice.until_online(names.1);
    bob.until_online(names.0);
}

/// A WAV file (RIFF, 16 kHz, mono, 16 bit) with a tone.
pub fn write_tone(path: &Path, seconds: u32) {
    const RATE: u32 = 16_000;
    let samples = RATE * seconds;
    let mut file = std::fs::File::create_new(path).unwrap();
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + samples * 2).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    for field in [1_u16, 1] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 2).to_le_bytes());
    for field in [2_u16, 16] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend((samples * 2).to_le_bytes());
    for n in 0..samples {
        let phase = f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(RATE);
        bytes.extend(((phase.sin() * 8000.0) as i16).to_le_bytes());
    }
    file.write_all(&bytes).unwrap();
}
