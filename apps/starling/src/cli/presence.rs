//! `starling presence`: how contacts see you, and how they are.

use clap::{Args, Subcommand};
use starling_control::{Command, ErrorKind, Failure, view};

use super::contact::standing;
use super::profile::Settings;
use super::{Outcome, Switch, launch, print};

#[derive(Debug, Subcommand)]
pub enum PresenceCommand {
    /// Choose how contacts see you
    Set(SetArgs),
    /// How contacts see you, or how WHO is
    Show {
        /// One of your contacts
        #[arg(value_name = "WHO")]
        who: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// auto (online, and away while you do nothing), online, away, dnd (do not disturb: calls do not ring, callers hear that you are busy), invisible (contacts see "offline")
    #[arg(value_name = "STATE")]
    choice: Option<view::PresenceChoice>,
    /// What you say about yourself, at most 128 bytes; empty removes it
    #[arg(long, value_name = "TEXT")]
    mood: Option<String>,
    /// Whether contacts see that you are in a call
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    share_calls: Option<Switch>,
    /// Minutes after which auto turns to away, on this device
    #[arg(long, value_name = "MINUTES")]
    away_after: Option<u32>,
}

pub async fn run(command: PresenceCommand, settings: &Settings) -> Outcome {
    match command {
        PresenceCommand::Set(args) => set(args, settings).await,
        PresenceCommand::Show { who: None } => {
            show_own(
                &launch::ask(settings, Command::PresenceShow {}).await?,
                settings,
            );
            Ok(())
        }
        PresenceCommand::Show { who: Some(who) } => show(&who, settings).await,
    }
}

async fn set(args: SetArgs, settings: &Settings) -> Outcome {
    let change = view::PresenceChange {
        choice: args.choice,
        mood: args.mood,
        share_calls: args.share_calls.map(|share| share == Switch::On),
        away_after: args.away_after,
    };
    if change == view::PresenceChange::default() {
        let sentence = "say what is to change; `starling presence show` shows how it is";
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let own = launch::ask(settings, Command::PresenceSet(change)).await?;
    show_own(&own, settings);
    Ok(())
}

async fn show(who: &str, settings: &Settings) -> Outcome {
    let command = Command::PresenceOf {
        who: who.to_owned(),
    };
    let contact: view::Contact = launch::ask(settings, command).await?;
    if settings.json {
        print::json(&contact);
        return Ok(());
    }
    let mut words = standing(&contact).to_owned();
    if contact.in_call {
        words.push_str(", in a call");
    }
    print::line(&format!("{}: {words}", print::text(contact.title())));
    if let Some(at) = contact.last_seen {
        print::line(&format!("last seen   {}", print::time(at)));
    }
    if !contact.mood.is_empty() {
        print::line(&format!("mood        {}", print::text(&contact.mood)));
    }
    Ok(())
}

fn show_own(own: &view::OwnPresence, settings: &Settings) {
    if settings.json {
        print::json(own);
        return;
    }
    print::line(&format!("chosen      {}", own.choice));
    print::line(&format!("shown as    {}", own.shown.words()));
    print::line(&format!("mood        {}", print::text(&own.mood)));
    let calls = if own.share_calls {
        "shown to contacts"
    } else {
        "not shown"
    };
    print::line(&format!("calls       {calls}"));
    let minutes = own.away_after;
    print::line(&format!(
        "away after  {minutes} minutes without an act (auto)"
    ));
}
