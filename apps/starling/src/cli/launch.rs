//! Finds the profile's node, or starts one in the background; ends it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use starling_control::{Command, ErrorKind, Failure};
use starling_node::lock::{LockError, ProfileLock};
use tokio::time::{Instant, sleep};

use super::Outcome;
use super::client::Client;
use super::print;
use super::profile::Settings;

/// A node answers within this time, or something is wrong.
const START_WITHIN: Duration = Duration::from_secs(10);
/// A node closes its connections and goes within this time.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Where a node in the background writes.
const LOG_FILE: &str = "node.log";
/// What is shown of it when the node does not start.
const LOG_SHOWN: u64 = 4 * 1024;

/// A client of the profile's node, which is started where none runs.
pub async fn client(settings: &Settings) -> Result<Client, Failure> {
    if let Some(client) = Client::connect(&settings.home).await? {
        return Ok(client);
    }
    let mut child = start(settings)?;
    let deadline = Instant::now() + START_WITHIN;
    let mut ended = None;
    while Instant::now() < deadline {
        if let Some(client) = Client::connect(&settings.home).await? {
            if ended.is_none() {
                print::say("Starling now runs in the background. To end it: starling stop");
            }
            return Ok(client);
        }
        if ended.is_none() {
            ended = child.try_wait().unwrap_or(None);
        }
        // Somebody else may have been quicker to start one: then ours ends, and theirs, which holds the profile, answers soon.
        let elsewhere = || matches!(ProfileLock::take(&settings.home), Err(LockError::Taken));
        if ended.is_some() && !elsewhere() {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    Err(not_started(
        &settings.home,
        ended.and_then(|status| status.code()),
    ))
}

/// One question to the profile's node.
pub async fn ask<T: DeserializeOwned>(settings: &Settings, command: Command) -> Result<T, Failure> {
    client(settings).await?.ask(command).await
}

fn start(settings: &Settings) -> Result<Child, Failure> {
    let trouble = |error: io::Error| {
        let sentence = format!("Starling cannot be started in the background: {error}");
        Failure::new(ErrorKind::System, sentence)
    };
    let log = log_file(&settings.home).map_err(|error| {
        let home = settings.home.display();
        let sentence = format!("the profile folder {home} cannot be used: {error}");
        Failure::new(ErrorKind::System, sentence)
    })?;
    let mut program = Program::new(std::env::current_exe().map_err(trouble)?);
    program.arg("--home").arg(&settings.home);
    if let Some(listen) = settings.listen {
        program.arg("--listen").arg(listen.to_string());
    }
    if let Some(proxy) = &settings.proxy {
        // Not as an argument: it may hold a password, and others read arguments.
        program.env("STARLING_PROXY", proxy);
    }
    if let Some(lan) = settings.lan {
        program.args(["--lan", if lan { "on" } else { "off" }]);
    }
    if let Some(tones) = settings.tones {
        program.args(["--play-tones", if tones { "on" } else { "off" }]);
    }
    if let Some(downloads) = &settings.downloads {
        program.arg("--downloads").arg(downloads);
    }
    if let Some(policy) = &settings.policy {
        program.arg("--policy").arg(policy);
    }
    // Its own process group: Ctrl-C is for the command that started it.
    program
        .args(["node", "--background"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(trouble)?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(trouble)
}

fn log_file(home: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(home.join(LOG_FILE))
        .and_then(|file| {
            file.set_len(0)?;
            Ok(file)
        })
}

/// The node's own words are the best that can be said.
fn not_started(home: &Path, code: Option<i32>) -> Failure {
    let log = home.join(LOG_FILE);
    let mut words = String::new();
    if let Ok(file) = File::open(&log) {
        // A log that cannot be read leaves the sentence without it.
        let _ = file.take(LOG_SHOWN).read_to_string(&mut words);
    }
    let said = words
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("starling: "));
    match said {
        Some(said) => Failure::new(kind_of(code), said),
        None => {
            let sentence = format!(
                "Starling was started in the background and does not answer; it wrote to {}",
                log.display()
            );
            Failure::new(ErrorKind::System, sentence)
        }
    }
}

fn kind_of(code: Option<i32>) -> ErrorKind {
    let kinds = [ErrorKind::Usage, ErrorKind::State];
    kinds
        .into_iter()
        .find(|kind| Some(i32::from(kind.exit_code())) == code)
        .unwrap_or(ErrorKind::System)
}

/// `starling stop`: returns when the profile is free.
pub async fn stop(settings: &Settings) -> Outcome {
    let Some(mut client) = Client::connect(&settings.home).await? else {
        print::say("Starling does not run for this profile.");
        return Ok(());
    };
    // A node that goes before its answer is written has done what was asked.
    let _ = client.call(Command::NodeStop {}).await;
    let deadline = Instant::now() + STOP_WITHIN;
    while Instant::now() < deadline {
        match ProfileLock::take(&settings.home) {
            Ok(_) => return Ok(()),
            Err(LockError::Taken) => sleep(LOOK_EVERY).await,
            Err(error) => return Err(Failure::new(ErrorKind::System, error.to_string())),
        }
    }
    let sentence = "Starling was asked to end and still runs; look for the process in `ps`";
    Err(Failure::new(ErrorKind::System, sentence))
}
