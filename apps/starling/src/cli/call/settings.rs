//! `starling call settings`: how the person wants to be called.

use std::time::Duration;

use clap::Args;
use starling_control::{Command, view};

use crate::cli::profile::Settings;
use crate::cli::{Outcome, Switch, duration, launch, print};

#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Whether a call rings, quietly, while there is another one; else its caller hears that you are busy
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    waiting: Option<Switch>,
    /// Whether whoever you talk to may put you through to another contact of yours
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    transfers: Option<Switch>,
    /// The contact that gets every call; "off": nobody
    #[arg(long, value_name = "WHO")]
    forward_always: Option<String>,
    /// The contact that gets a call whose caller would hear that you are busy; "off": nobody
    #[arg(long, value_name = "WHO")]
    forward_busy: Option<String>,
    /// The contact that gets a call that nobody answers; "off": nobody
    #[arg(long, value_name = "WHO")]
    forward_no_answer: Option<String>,
    /// How long such a call rings before: 5s to 50s
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    forward_after: Option<Duration>,
}

/// Shows them, after changing what was asked for.
pub async fn run(args: &SettingsArgs, settings: &Settings) -> Outcome {
    let choice = view::CallChoice {
        waiting: args.waiting.map(|waiting| waiting == Switch::On),
        transfers: args.transfers.map(|transfers| transfers == Switch::On),
        forward_always: target(args.forward_always.as_ref()),
        forward_busy: target(args.forward_busy.as_ref()),
        forward_no_answer: target(args.forward_no_answer.as_ref()),
        forward_after: args
            .forward_after
            .map(|after| u32::try_from(after.as_secs()).unwrap_or(u32::MAX)),
    };
    let command = match choice == view::CallChoice::default() {
        true => Command::CallSettings {},
        false => Command::CallSet(choice),
    };
    let chosen: view::CallSettings = launch::ask(settings, command).await?;
    show(&chosen, settings);
    Ok(())
}

fn target(who: Option<&String>) -> Option<String> {
    let who = who?;
    Some(if who == "off" {
        String::new()
    } else {
        who.clone()
    })
}

fn show(chosen: &view::CallSettings, settings: &Settings) {
    if settings.json {
        return print::json(chosen);
    }
    let waiting = match chosen.waiting {
        true => "rings quietly while there is another one",
        false => "hears that you are busy while there is another one",
    };
    let transfers = match chosen.transfers {
        true => "whoever you talk to may put you through to your contacts",
        false => "nobody puts you through",
    };
    let seconds = chosen.forward_after;
    let to = |to: &Option<view::ForwardTo>, name: &str| {
        if let Some(to) = to {
            print::line(&format!("{name}  goes to {}", print::text(&to.who)));
        }
    };
    print::line(&format!("second call  {waiting}"));
    print::line(&format!("transfers    {transfers}"));
    to(&chosen.forward_always, "every call");
    to(&chosen.forward_busy, "while you are busy  a call");
    to(
        &chosen.forward_no_answer,
        &format!("without an answer for {seconds} s  a call"),
    );
}
