//! `starling chat`: send, read back, follow.

use std::collections::BTreeSet;
use std::io::Read;

use clap::Subcommand;
use starling_control::view::{Delivery, Message};
use starling_control::{Command, ErrorKind, Event, Failure};

use super::profile::Settings;
use super::{Outcome, launch, print};

/// A message's limit; more is not read from standard input.
const TEXT_MAX: u64 = 16 * 1024;

#[derive(Debug, Subcommand)]
pub enum ChatCommand {
    /// Send a message; one to somebody who is away goes when they return
    Send {
        /// Contact
        who: String,
        /// The message, at most 16 KiB; "-" takes it from standard input
        text: String,
    },
    /// The newest messages, oldest first; without --json they count as read
    Log {
        /// Contact
        who: String,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Print messages as they come and go, until Ctrl-C
    Follow,
}

pub async fn run(command: ChatCommand, settings: &Settings) -> Outcome {
    match command {
        ChatCommand::Send { who, text } => send(who, text, settings).await,
        ChatCommand::Log { who, limit } => log(who, limit, settings).await,
        ChatCommand::Follow => follow(settings).await,
    }
}

async fn send(who: String, text: String, settings: &Settings) -> Outcome {
    let text = if text == "-" { from_input()? } else { text };
    let message: Message = launch::ask(settings, Command::ChatSend { who, text }).await?;
    if settings.json {
        print::json(&message);
    } else {
        print::say(&format!("{}.", delivery(&message)));
    }
    Ok(())
}

fn from_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin()
        .take(TEXT_MAX + 1)
        .read_to_string(&mut text);
    read.map_err(|error| {
        Failure::new(
            ErrorKind::Usage,
            format!("standard input cannot be read as text: {error}"),
        )
    })?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// Where an outgoing message is, in words.
fn delivery(message: &Message) -> String {
    let who = print::text(&message.who);
    match message.delivery {
        Delivery::Received => "received".to_owned(),
        Delivery::Sending => format!("On its way to {who}"),
        Delivery::Waiting => format!("Waits until {who} is back"),
        Delivery::Delivered => format!("Delivered to {who}"),
    }
}

async fn log(who: String, limit: u32, settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    let ask = Command::ChatLog {
        who: who.clone(),
        limit: Some(limit),
        before: None,
    };
    let messages: Vec<Message> = client.ask(ask).await?;
    if messages.is_empty() && !settings.json {
        print::say("Nothing was written yet.");
    }
    for message in &messages {
        show(message, settings);
    }
    if !settings.json {
        client.call(Command::ChatRead { who }).await?;
    }
    Ok(())
}

async fn follow(settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    client.subscribe().await?;
    let mut shown = BTreeSet::new();
    loop {
        let event = tokio::select! {
            event = client.event() => event?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match event {
            // A script also wants to know where its messages are; a person has read them already.
            Event::Message(message) if settings.json || shown.insert(message.id.clone()) => {
                show(&message, settings)
            }
            Event::Lagged => print::say(
                "Some messages went by too fast to be shown here; see: starling chat log WHO",
            ),
            _ => {}
        }
    }
}

fn show(message: &Message, settings: &Settings) {
    if settings.json {
        return print::json(message);
    }
    let who = print::text(&message.who);
    let author = if message.outgoing {
        format!("to {who}")
    } else {
        who
    };
    let state = match message.delivery {
        Delivery::Sending => "  (on its way)",
        Delivery::Waiting => "  (waits until they are back)",
        Delivery::Received | Delivery::Delivered => "",
    };
    let text = print::lines(&message.text).replace('\n', "\n    ");
    print::line(&format!(
        "{}  {author}: {text}{state}",
        print::time(message.sent_at)
    ));
}
