//! A process that records and is killed in the middle leaves a file that opens.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use starling_audio::wav::{WavReader, WavWriter};

const PATH: &str = "STARLING_TEST_RECORDING";

/// Not a test: what the process to be killed does.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn record_until_killed() {
    let path = std::env::var_os(PATH).expect("set by the test below");
    let mut writer = WavWriter::create(path).expect("a new file");
    println!();
    // A minute of sound every second and a half: an orphan ends by itself, with a file of a few megabytes.
    for _ in 0..600 {
        writer.write(&[0.25; 4_800]).expect("it writes");
        println!("tenth");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn a_killed_recording_opens_and_lacks_at_most_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("killed.wav");
    let tenths = record_and_kill(&path);
    let reader = WavReader::open(&path).expect("it opens");
    let (kept, written) = (reader.duration().as_secs_f64(), f64::from(tenths) / 10.0);
    assert!(kept > written - 1.1, "{kept} s kept of {written} s");
    drop(hound_reads(&path));
}

/// Lets a process record for about 3.5 s of sound, kills it, and returns how many tenths it had reported.
fn record_and_kill(path: &Path) -> u32 {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "killed::record_until_killed"])
        .args(["--ignored", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let tenths = lines
        .map(|line| line.expect("text"))
        .filter(|line| line == "tenth")
        .take(35)
        .count();
    child.kill().expect("it was alive");
    child.wait().expect("it ended");
    tenths as u32
}

/// Another program's reader agrees that it is a WAV file.
fn hound_reads(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).expect("it opens");
    let samples: Result<Vec<i16>, _> = reader.samples().collect();
    samples.expect("whole samples")
}
