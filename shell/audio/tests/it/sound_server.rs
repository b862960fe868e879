//! A PulseAudio server of our own, with a speaker that plays into the void and a microphone that hears what it plays. It
//! lives in a folder of its own and touches nobody else's sound. Tests that need it skip loudly without PulseAudio, and
//! fail without it when `CI=true`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Ends with its fixture.
pub struct SoundServer {
    folder: TempDir,
    server: Child,
}

impl SoundServer {
    /// Starts a server with these modules; None, with the reason printed, where PulseAudio is not installed.
    pub fn start(modules: &[&str]) -> Option<SoundServer> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("pulse")).expect("a folder");
        let socket = folder.path().join("pulse/native");
        let mut command = Command::new("pulseaudio");
        isolate(&mut command, folder.path());
        command
            .args(["-n", "--daemonize=no", "--use-pid-file=no"])
            .args(["--exit-idle-time=-1", "--realtime=no"])
            .args(["--high-priority=no", "--log-level=error"])
            .arg(format!(
                "-Lmodule-native-protocol-unix auth-anonymous=1 socket={}",
                socket.display()
            ))
            .arg(format!(
                "-Lmodule-cli-protocol-unix socket={}",
                folder.path().join("cli").display()
            ))
            .args(modules.iter().map(|module| format!("-L{module}")))
            .stderr(Stdio::null());
        let server = match command.spawn() {
            Ok(server) => server,
            Err(error) => {
                let words = format!("SKIPPED: pulseaudio cannot be run here: {error}");
                assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{words}");
                eprintln!("{words}");
                return None;
            }
        };
        let server = SoundServer { folder, server };
        let began = Instant::now();
        while !socket.exists() {
            assert!(began.elapsed() < STARTS_WITHIN, "pulseaudio does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// One microphone and one speaker, the speaker audible to the microphone.
    pub fn with_devices() -> Option<SoundServer> {
        SoundServer::start(&[
            "module-null-sink sink_name=speaker rate=48000 channels=1 sink_properties=device.description=Loudspeaker",
            "module-remap-source source_name=mic master=speaker.monitor source_properties=device.description=Mic",
        ])
    }

    /// Where clients look for it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all of its devices away, as if they were unplugged.
    pub fn unplug(&self) {
        let socket = self.folder.path().join("cli");
        let mut cli = UnixStream::connect(socket).expect("it listens");
        cli.write_all(b"unload-module module-null-sink\nexit\n")
            .expect("it listens");
        // It ends the conversation when all is done.
        cli.read_to_end(&mut Vec::new()).expect("it answers");
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.server.kill().expect("it was alive");
        self.server.wait().expect("it ended");
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Runs another test of this binary, which is marked as ignored, where the sound system is the one in `folder`.
pub fn command(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    isolate(&mut command, folder);
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

/// The same, to its end, which must be a good one.
pub fn run(test: &str, folder: &Path) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command(test, folder).output().expect("it runs");
    let words = [stdout, stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(status.success(), "{test} failed:\n{words}");
    words
}

fn isolate(command: &mut Command, folder: &Path) {
    command
        .env("XDG_RUNTIME_DIR", folder)
        .env("HOME", folder)
        .env_remove("PULSE_SERVER")
        .env_remove("PULSE_RUNTIME_PATH")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("XDG_CONFIG_HOME");
}
