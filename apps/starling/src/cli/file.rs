//! `starling file`: send, list, accept, cancel.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use starling_control::view::{Transfer, TransferState};
use starling_control::{Command, ErrorKind, Event, Failure};

use super::account::absolute;
use super::client::Client;
use super::profile::Settings;
use super::{Outcome, launch, print};

#[derive(Debug, Subcommand)]
pub enum FileCommand {
    /// Offer a file; prints its id and returns
    Send {
        /// Contact
        who: String,
        /// The file
        path: PathBuf,
        /// Return when it has arrived; Ctrl-C leaves it on its way
        #[arg(long)]
        wait: bool,
    },
    /// Files of now and before, newest first
    List,
    /// Take a file that is offered
    Accept {
        /// Of the offer, or its beginning
        id: String,
        /// A folder to put it in [default: your download folder]
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// Return when it is here, and print where; Ctrl-C leaves it on its way
        #[arg(long)]
        wait: bool,
    },
    /// Cancel a file, or decline an offer
    Cancel {
        /// Of the file, or its beginning
        id: String,
    },
}

pub async fn run(command: FileCommand, settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    match command {
        FileCommand::Send { who, path, wait } => {
            send(&mut client, who, &path, wait, settings).await
        }
        FileCommand::List => list(&mut client, settings).await,
        FileCommand::Accept { id, to, wait } => {
            accept(&mut client, id, to.as_deref(), wait, settings).await
        }
        FileCommand::Cancel { id } => {
            let transfer = client.ask(Command::FileCancel { id }).await?;
            tell(&transfer, settings);
            Ok(())
        }
    }
}

async fn send(
    client: &mut Client,
    who: String,
    path: &Path,
    wait: bool,
    settings: &Settings,
) -> Outcome {
    let path = absolute(path)?;
    client.subscribe().await?;
    let transfer: Transfer = client.ask(Command::FileSend { who, path }).await?;
    if settings.json {
        print::json(&transfer);
    } else {
        let (name, who) = (print::text(&transfer.name), print::text(&transfer.who));
        print::say(&format!(
            "Offered to {who}: {name}, {}. Its id:",
            print::bytes(transfer.size)
        ));
        print::line(&transfer.id);
    }
    if wait {
        until_over(client, transfer, settings).await?;
    }
    Ok(())
}

async fn accept(
    client: &mut Client,
    id: String,
    to: Option<&Path>,
    wait: bool,
    settings: &Settings,
) -> Outcome {
    let to = to.map(absolute).transpose()?;
    client.subscribe().await?;
    let transfer: Transfer = client.ask(Command::FileAccept { id, to }).await?;
    tell(&transfer, settings);
    if !wait {
        return Ok(());
    }
    let transfer = until_over(client, transfer, settings).await?;
    if let (Some(path), false) = (&transfer.path, settings.json) {
        print::line(path);
    }
    Ok(())
}

fn tell(transfer: &Transfer, settings: &Settings) {
    if settings.json {
        return print::json(transfer);
    }
    print::say(&format!(
        "{}: {}",
        print::text(&transfer.name),
        print::text(&transfer.words)
    ));
}

/// Until it has arrived; anything else is a failure.
async fn until_over(
    client: &mut Client,
    mut transfer: Transfer,
    settings: &Settings,
) -> Result<Transfer, Failure> {
    let mut progress = Progress::new(settings);
    loop {
        let kind = match transfer.state {
            TransferState::Done => return Ok(transfer),
            TransferState::Cancelled => Some(ErrorKind::Refused),
            TransferState::Failed => Some(ErrorKind::System),
            _ => None,
        };
        if let Some(kind) = kind {
            let sentence = format!(
                "{}: {}",
                print::text(&transfer.name),
                print::text(&transfer.words)
            );
            return Err(Failure::new(kind, sentence));
        }
        transfer = news_of(client, &transfer.id).await?;
        progress.show(&transfer);
    }
}

async fn news_of(client: &mut Client, id: &str) -> Result<Transfer, Failure> {
    loop {
        match client.event().await? {
            Event::Transfer(transfer) if transfer.id == id => return Ok(transfer),
            Event::Lagged => {
                let transfers: Vec<Transfer> = client.ask(Command::FileList {}).await?;
                if let Some(transfer) = transfers.into_iter().find(|transfer| transfer.id == id) {
                    return Ok(transfer);
                }
            }
            _ => {}
        }
    }
}

/// For a script each change is a line of JSON; a person is told the percentage, if looking.
struct Progress {
    json: bool,
    seen: bool,
    said: Option<u64>,
}

impl Progress {
    fn new(settings: &Settings) -> Self {
        let seen = std::io::stderr().is_terminal();
        Self {
            json: settings.json,
            seen,
            said: None,
        }
    }

    fn show(&mut self, transfer: &Transfer) {
        if self.json {
            return print::json(transfer);
        }
        let tenth = percent(transfer) / 10;
        if !self.seen || transfer.state != TransferState::Running || self.said == Some(tenth) {
            return;
        }
        self.said = Some(tenth);
        let rate = print::bytes(transfer.rate);
        print::say(&format!("{} %, {rate}/s", percent(transfer)));
    }
}

fn percent(transfer: &Transfer) -> u64 {
    let (done, size) = (u128::from(transfer.done), u128::from(transfer.size));
    (done * 100)
        .checked_div(size)
        .map_or(100, |percent| u64::try_from(percent).unwrap_or(100))
}

async fn list(client: &mut Client, settings: &Settings) -> Outcome {
    let transfers: Vec<Transfer> = client.ask(Command::FileList {}).await?;
    let head = [
        "id",
        "when",
        "who",
        "direction",
        "name",
        "size",
        "done",
        "what",
    ];
    print::listing(
        &transfers,
        settings.json,
        "No files yet.",
        &head,
        |transfer| {
            vec![
                print::id(&transfer.id),
                print::time(transfer.at),
                print::text(&transfer.who),
                if transfer.outgoing {
                    "to them"
                } else {
                    "from them"
                }
                .to_owned(),
                print::text(&transfer.name),
                print::bytes(transfer.size),
                format!("{} %", percent(transfer)),
                print::text(&transfer.words),
            ]
        },
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_hold_for_empty_and_huge_files() {
        let of = |done, size| {
            percent(&Transfer {
                done,
                size,
                ..Transfer::default()
            })
        };
        assert_eq!(
            [of(0, 0), of(0, 5), of(1, 3), of(u64::MAX, u64::MAX)],
            [100, 0, 33, 100]
        );
    }
}
