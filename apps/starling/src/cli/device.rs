//! `starling account device`: the account's devices, and how another one joins. Both sides show four words, and both people say
//! whether they are the same.

use std::io::{self, BufRead, Read};

use clap::{Subcommand, ValueEnum};
use starling_control::view::{Device, Pairing};
use starling_control::{Command, ErrorKind, Event, Failure};
use tokio::signal::unix::{SignalKind, signal};

use super::client::Client;
use super::profile::Settings;
use super::{Outcome, launch, print};

/// Bytes of an answer.
const ANSWER_MAX: u64 = 100;

#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Show a link for a new device, then its words; returns when it has joined
    Add {
        /// The new device is to hold the account's key, too: it can add and remove devices
        #[arg(long)]
        owner: bool,
    },
    /// Make this profile, which has no account, another device of one
    Join {
        /// Begins with "starling-device:"; another device of yours shows it
        link: String,
        /// What this device is called [default: the machine's name]
        #[arg(long)]
        name: Option<String>,
    },
    /// Your devices, this one first
    List,
    /// Give a device another name
    Rename {
        /// Its name, or the beginning of its id
        device: String,
        /// At most 64 bytes
        name: String,
    },
    /// Remove a device from the account: it is out at once, wherever it is
    Revoke {
        /// Its name, or the beginning of its id
        device: String,
    },
    /// Let a device hold the account's key
    Owner {
        /// Its name, or the beginning of its id
        device: String,
        /// Whether it is to
        #[arg(default_value = "on", hide_possible_values = true)]
        on: Mark,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mark {
    On,
    Off,
}

pub async fn run(command: DeviceCommand, settings: &Settings) -> Outcome {
    match command {
        DeviceCommand::Add { owner } => {
            let command = Command::DeviceAdd { owner };
            pair(command, settings).await
        }
        DeviceCommand::Join { link, name } => {
            let command = Command::DeviceJoin { link, name };
            pair(command, settings).await
        }
        DeviceCommand::List => list(Command::DeviceList {}, settings).await,
        DeviceCommand::Rename { device, name } => {
            list(Command::DeviceRename { device, name }, settings).await
        }
        DeviceCommand::Revoke { device } => {
            list(Command::DeviceRevoke { device }, settings).await?;
            print::say(
                "It is out. Your contacts are told now; the device itself hears of it when it is online. What it had received it still has.",
            );
            Ok(())
        }
        DeviceCommand::Owner { device, on } => {
            let owner = on == Mark::On;
            list(Command::DeviceOwner { device, owner }, settings).await
        }
    }
}

async fn list(command: Command, settings: &Settings) -> Outcome {
    let devices: Vec<Device> = launch::ask(settings, command).await?;
    print::listing(
        &devices,
        settings.json,
        "There are no devices.",
        &["NAME", "DEVICE", "", ""],
        |device| {
            let this = if device.this { "this device" } else { "" };
            let state = match (device.this, device.connected) {
                (true, _) => this,
                (false, true) => "connected",
                (false, false) => "",
            };
            let owner = if device.owner { "owner" } else { "" };
            vec![
                print::text(&device.name),
                print::id(&device.id),
                owner.to_owned(),
                state.to_owned(),
            ]
        },
    );
    Ok(())
}

/// Either side, to its end.
async fn pair(command: Command, settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    client.subscribe().await?;
    // Ctrl-C is a no, too, from here on: no link is to stay valid for whoever comes later.
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| {
        let sentence = format!("Ctrl-C could not be listened for: {error}");
        Failure::new(ErrorKind::System, sentence)
    })?;
    let joins = matches!(command, Command::DeviceJoin { .. });
    let begun: Pairing = client.ask(command).await?;
    if settings.json {
        print::json(&begun);
    } else if let Some(link) = &begun.link {
        if let Some(drawn) = print::qr(link) {
            print::line(&drawn);
        }
        print::line(link);
        print::say(
            "On the new device: starling account device join LINK. Whoever sees the link may try; it is valid for ten minutes, once.",
        );
    }
    let shown = tokio::select! {
        shown = until(&mut client, |pairing| pairing.words.is_some()) => shown?,
        _ = interrupted.recv() => return cancel(&mut client).await,
    };
    show_words(&shown, joins, settings);
    let same = tokio::select! {
        same = ask() => same,
        _ = interrupted.recv() => false,
    };
    let answered: Pairing = client.ask(Command::DeviceAnswer { same }).await?;
    let over = if ended(&answered) {
        answered
    } else {
        until(&mut client, |_| false).await?
    };
    if let Some(why) = over.failed {
        return Err(Failure::new(ErrorKind::Refused, why));
    }
    if settings.json {
        print::json(&over);
    }
    print::say(if joins {
        "This device is in. Your contacts appear as soon as the two devices have met."
    } else {
        "The new device is in."
    });
    Ok(())
}

async fn cancel(client: &mut Client) -> Outcome {
    client.call(Command::DeviceAnswer { same: false }).await?;
    print::say("Cancelled.");
    Ok(())
}

fn show_words(pairing: &Pairing, joins: bool, settings: &Settings) {
    if settings.json {
        return print::json(pairing);
    }
    let words = pairing.words.as_deref().unwrap_or_default();
    print::line(&format!("\n    {}\n", print::text(words)));
    if joins {
        print::say("Does the other device show the same four words? (yes/no)");
    } else {
        let name = pairing.device_name.as_deref().unwrap_or_default();
        print::say(&format!(
            "Does the new device, which calls itself \"{}\", show the same four words? (yes/no)",
            print::text(name)
        ));
    }
    if let Some(note) = &pairing.note {
        print::say(&print::text(note));
    }
}

fn ended(pairing: &Pairing) -> bool {
    pairing.joined.is_some() || pairing.failed.is_some()
}

/// The first state that fits, or the last one.
async fn until(client: &mut Client, fits: impl Fn(&Pairing) -> bool) -> Result<Pairing, Failure> {
    loop {
        if let Event::Pairing(pairing) = client.event().await? {
            match pairing.failed {
                Some(why) => return Err(Failure::new(ErrorKind::Refused, why)),
                None if fits(&pairing) || ended(&pairing) => return Ok(pairing),
                None => {}
            }
        }
    }
}

/// Whoever does not say yes says no.
async fn ask() -> bool {
    let answered = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        let mut input = io::stdin().lock().take(ANSWER_MAX);
        input.read_line(&mut answer).map(|_| answer)
    });
    match answered.await {
        Ok(Ok(answer)) => is_yes(&answer),
        _ => false,
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["yes\n", "Y", " YES "] {
            assert!(is_yes(yes), "{yes}");
        }
        for no in ["", "\n", "no", "yes, perhaps", "ja", "n"] {
            assert!(!is_yes(no), "{no}");
        }
    }
}
