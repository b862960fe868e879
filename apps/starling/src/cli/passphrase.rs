//! Where a backup's passphrase comes from: a file, `STARLING_PASSPHRASE`, or the terminal, which does not show it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use starling_control::{ErrorKind, Failure};

/// Bytes of a passphrase.
const LENGTH_MAX: u64 = 1024;
/// Ended by Ctrl-C, as a shell counts it.
const INTERRUPTED: i32 = 130;

/// Shared by `account backup` and `account restore`.
#[derive(Debug, Args)]
pub struct PassphraseArgs {
    /// Take the passphrase from this file's first line [else: STARLING_PASSPHRASE, else the terminal asks]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// The passphrase; a new one is typed twice.
pub async fn get(args: &PassphraseArgs, new: bool) -> Result<String, Failure> {
    if let Some(path) = &args.passphrase_file {
        return from_file(path);
    }
    match std::env::var("STARLING_PASSPHRASE") {
        Ok(passphrase) if !passphrase.is_empty() => return Ok(passphrase),
        _ => {}
    }
    let first = ask("Passphrase: ").await?;
    if new && ask("The same once more: ").await? != first {
        let sentence = "the two passphrases differ; nothing was written";
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    Ok(first)
}

fn from_file(path: &Path) -> Result<String, Failure> {
    let line = File::open(path).and_then(first_line);
    line.map_err(|error| {
        let sentence = format!(
            "the passphrase cannot be read from {}: {error}",
            path.display()
        );
        Failure::new(ErrorKind::System, sentence)
    })
}

fn first_line(from: impl Read) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(from.take(LENGTH_MAX)).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn ask(question: &'static str) -> Result<String, Failure> {
    let no_terminal = |_| {
        let sentence = "there is no terminal to ask for the passphrase; use --passphrase-file or STARLING_PASSPHRASE";
        Failure::new(ErrorKind::Usage, sentence)
    };
    let terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(no_terminal)?;
    let silent = Silent::new(terminal.try_clone().map_err(no_terminal)?)
        .map_err(|error| no_terminal(error.into()))?;
    let typed = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        (&terminal).write_all(question.as_bytes())?;
        let line = first_line(&terminal)?;
        (&terminal).write_all(b"\n")?;
        Ok(line)
    });
    tokio::select! {
        typed = typed => typed
            .map_err(std::io::Error::other)
            .and_then(|line| line)
            .map_err(no_terminal),
        _ = tokio::signal::ctrl_c() => {
            drop(silent);
            std::process::exit(INTERRUPTED);
        }
    }
}

/// A terminal that does not show what is typed; it does again when this is dropped.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn new(terminal: File) -> rustix::io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_first_line_and_no_more_than_a_passphrase() {
        assert_eq!(
            first_line(&b"correct horse\nbattery"[..]).unwrap(),
            "correct horse"
        );
        assert_eq!(
            first_line(&b"spaces  stay \r\n"[..]).unwrap(),
            "spaces  stay "
        );
        assert_eq!(first_line(&[b'x'; 5000][..]).unwrap().len(), 1024);
        assert!(from_file(Path::new("/nonexistent/x")).is_err());
    }
}
