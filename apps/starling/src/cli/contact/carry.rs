//! `starling contact export` and `import`: JSON lines, one contact each, with no secrets.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use starling_control::view::{CarriedContact, Imported};
use starling_control::{Command, ErrorKind, Failure};

use crate::carried::{LINE_MAX, read, written};
use crate::cli::client::Client;
use crate::cli::print;
use crate::cli::profile::Settings;

/// Between two tries while no more may be asked.
const WAIT: Duration = Duration::from_secs(1);

pub async fn export(path: &Path, client: &mut Client) -> Result<(), Failure> {
    let contacts: Vec<CarriedContact> = client.ask(Command::ContactExport {}).await?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::AlreadyExists => ErrorKind::State,
            _ => ErrorKind::System,
        };
        Failure::new(kind, format!("{}: {error}", path.display()))
    };
    let mut file = file.map_err(failed)?;
    for contact in &contacts {
        let line = written(contact).map_err(|error| failed(error.into()))?;
        file.write_all(line.as_bytes()).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    print::say(&format!(
        "{} contacts are in {}. It says whom you know; keep it to yourself.",
        contacts.len(),
        path.display()
    ));
    Ok(())
}

pub async fn import(
    path: &Path,
    message: &str,
    client: &mut Client,
    settings: &Settings,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(ErrorKind::System, format!("{}: {error}", path.display()))
    };
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut good, mut bad) = (0_usize, 0_usize);
    for number in 1.. {
        let line = next_line(&mut reader).map_err(failed)?;
        let Some(line) = line else { break };
        let outcome = match read(&line, number) {
            Ok(None) => continue,
            Ok(Some(contact)) => one(contact, message, client).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(imported) => {
                good += 1;
                say(number, &imported, settings);
            }
            Err(failure) => {
                bad += 1;
                print::say(&format!("line {number}: {}", print::text(&failure.message)));
            }
        }
    }
    print::say(&format!(
        "{good} contacts were taken, {bad} lines were not."
    ));
    match bad {
        0 => Ok(()),
        _ => Err(Failure::new(
            ErrorKind::Usage,
            "some lines could not be taken; once they are right, import the file again: what is here already stays",
        )),
    }
}

/// The next line, or what fits of it.
fn next_line(reader: &mut BufReader<File>) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = LINE_MAX as u64 + 1;
    if reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let cut = line.len() > LINE_MAX && line.last() != Some(&b'\n');
    if cut {
        // The rest of it is no line of its own.
        let mut rest = Vec::new();
        while reader.by_ref().take(most).read_until(b'\n', &mut rest)? > 0 {
            if rest.last() == Some(&b'\n') {
                break;
            }
            rest.clear();
        }
    }
    Ok(Some(line))
}

/// Waits while too many were asked.
async fn one(
    contact: CarriedContact,
    message: &str,
    client: &mut Client,
) -> Result<Imported, Failure> {
    loop {
        let import = Command::ContactImport {
            contact: contact.clone(),
            message: message.to_owned(),
        };
        match client.ask(import).await? {
            Imported::Wait => tokio::time::sleep(WAIT).await,
            done => return Ok(done),
        }
    }
}

fn say(number: usize, imported: &Imported, settings: &Settings) {
    if settings.json {
        return print::json(&(number, imported));
    }
    let words = match imported {
        Imported::Own => "this is you",
        Imported::Kept => "a contact already; lists and notes are kept",
        Imported::Asked => "asked",
        Imported::AskedBefore => "asked before; no answer yet",
        Imported::Wait => "waits",
    };
    print::line(&format!("{number}: {words}"));
}
