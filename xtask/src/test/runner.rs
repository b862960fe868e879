//! Runs one test binary for cargo: its output passes through untouched, each test's line is stamped.

use std::io::{Read, Write, stdout};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::record::{Deferred, Record, TestTime};
use super::times::{self, Done, Lines};
use crate::error::XtaskError;

/// The hidden command by which cargo calls this program.
pub const RUNNER: &str = "run-test-binary";

/// A binary that takes longer hangs: it is killed, and its last line tells where.
const PATIENCE: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(20);
/// For output that a process left behind by the tests still holds open.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs `program arguments...` as cargo asks, or notes it for later if its package runs alone.
pub fn run_binary(words: &[String]) -> Result<ExitCode, XtaskError> {
    let (program, arguments) = words
        .split_first()
        .ok_or(XtaskError::Usage("cargo names the binary to run"))?;
    let program = Path::new(program);
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let command = || {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    let record = Record::from_environment(&package).filter(|_| is_test_binary(program));
    let Some((record, waits)) = record else {
        return status_of(&mut command());
    };
    if waits {
        record.add_deferred(&Deferred::from_here(&package, program, arguments)?)?;
        println!("\n{package}: runs alone, at the end");
        return Ok(ExitCode::SUCCESS);
    }
    let code = run_and_time(&command, threads(arguments), &package, &record, stdout())?;
    Ok(ExitCode::from(code))
}

/// Documentation tests come this way too; they are small programs elsewhere, and know no `--list`.
fn is_test_binary(program: &Path) -> bool {
    program.parent().is_some_and(|p| p.ends_with("deps"))
}

fn status_of(command: &mut Command) -> Result<ExitCode, XtaskError> {
    let status = command.status().map_err(XtaskError::start("the test"))?;
    Ok(ExitCode::from(exit_code(status)))
}

/// How many tests run at once: what was asked for, else one for each core.
fn threads(arguments: &[String]) -> usize {
    let asked = arguments
        .iter()
        .find_map(|word| word.strip_prefix("--test-threads="))
        .map(str::to_owned)
        .or_else(|| std::env::var("RUST_TEST_THREADS").ok());
    asked
        .and_then(|n| n.parse().ok())
        .or_else(|| thread::available_parallelism().ok().map(Into::into))
        .unwrap_or(1)
}

/// Runs a test binary with `threads` tests at once, copies its output to `out`, writes each test's
/// time into the record and returns the exit code.
pub fn run_and_time(
    command: &impl Fn() -> Command,
    threads: usize,
    package: &str,
    record: &Record,
    out: impl Write + Send + 'static,
) -> Result<u8, XtaskError> {
    let names = list(command())?;
    let mut command = command();
    command
        .arg(format!("--test-threads={threads}"))
        .stdout(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().map_err(XtaskError::start("the test"))?;
    let (sender, lines) = channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || pass_through(output, out, &sender));
    }
    let (code, done) = wait(&mut child, &lines, began)?;
    for (name, took) in times::durations(&names, &done, threads) {
        record.add_time(&TestTime {
            package: package.to_owned(),
            name,
            seconds: took.as_secs_f64(),
        })?;
    }
    Ok(code)
}

/// The tests in the order in which they will start.
fn list(mut command: Command) -> Result<Vec<String>, XtaskError> {
    let output = command
        .args(["--list", "--format=terse"])
        .stderr(Stdio::null())
        .output()
        .map_err(XtaskError::start("the test"))?;
    Ok(times::listed(&String::from_utf8_lossy(&output.stdout)))
}

/// Hands the output on as it comes, so that a hanging test is seen by name, and sends each full line.
fn pass_through(mut output: impl Read, mut out: impl Write, lines: &Sender<(Instant, String)>) {
    let mut line = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = output.read(&mut buffer) {
        let now = Instant::now();
        let bytes = &buffer[..read];
        // Nobody reads it any more: the test goes on, and its exit code still counts.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
        for byte in bytes {
            if *byte != b'\n' {
                line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            if lines.send((now, text)).is_err() {
                return;
            }
        }
    }
}

/// Waits for the end of the process and of its output.
fn wait(
    child: &mut Child,
    lines: &Receiver<(Instant, String)>,
    began: Instant,
) -> Result<(u8, Vec<Done>), XtaskError> {
    let mut reader = Lines::default();
    let mut done = Vec::new();
    let mut ended = None;
    loop {
        match lines.recv_timeout(POLL) {
            Ok((at, line)) => done.extend(reader.read(&line, at - began)),
            Err(RecvTimeoutError::Disconnected) if ended.is_some() => break,
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some((_, at)) = ended {
            if Instant::now() > at + LAST_LINES {
                break;
            }
        } else if let Some(status) = child.try_wait().map_err(XtaskError::start("the test"))? {
            ended = Some((exit_code(status), Instant::now()));
        } else if began.elapsed() > PATIENCE {
            eprintln!("\nThis test binary hangs (15 minutes): it is ended.");
            child.kill().map_err(XtaskError::start("kill"))?;
        }
    }
    let code = ended.map_or(1, |(code, _)| code);
    Ok((code, done))
}

/// A signal is a failure like any other.
fn exit_code(status: std::process::ExitStatus) -> u8 {
    if let Some(code) = status.code() {
        return u8::try_from(code).unwrap_or(1);
    }
    eprintln!("The test binary was ended by a signal: {status}");
    101
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> impl Fn() -> Command {
        move || {
            let mut command = Command::new("sh");
            // `--list` comes as the first argument of the listing run.
            command.args(["-c", script, "sh"]);
            command
        }
    }

    #[test]
    fn times_and_exit_code_come_from_the_binary() {
        let record = Record::create().unwrap();
        let script = "[ $1 = --list ] && printf 'a: test\nb: test\n' && exit
            sleep 0.2; echo 'test a ... ok'; sleep 0.05; echo 'test b ... FAILED'; exit 7";
        let code = run_and_time(&shell(script), 1, "p", &record, std::io::sink()).unwrap();
        assert_eq!(code, 7);
        let times = record.times().unwrap();
        record.remove().unwrap();
        assert_eq!(times.len(), 2);
        assert_eq!(
            (times[0].package.as_str(), times[0].name.as_str()),
            ("p", "a")
        );
        assert!(times[0].seconds >= 0.2, "{times:?}");
        assert!(times[1].seconds >= 0.05, "{times:?}");
    }

    #[test]
    fn a_killed_binary_is_a_failure() {
        let record = Record::create().unwrap();
        let script = "[ $1 = --list ] && exit; kill -9 $$";
        let code = run_and_time(&shell(script), 1, "p", &record, std::io::sink()).unwrap();
        record.remove().unwrap();
        assert_eq!(code, 101);
    }

    #[test]
    fn a_process_left_behind_does_not_hold_us_up() {
        let record = Record::create().unwrap();
        let script = "[ $1 = --list ] && exit; sleep 20 & exit 0";
        let began = Instant::now();
        let code = run_and_time(&shell(script), 1, "p", &record, std::io::sink()).unwrap();
        record.remove().unwrap();
        assert_eq!(code, 0);
        assert!(began.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn threads_are_what_was_asked_for() {
        assert_eq!(threads(&["--test-threads=3".into()]), 3);
    }
}
