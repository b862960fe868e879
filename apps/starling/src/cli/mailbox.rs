//! `starling mailbox`: what this machine keeps in conversations' boxes for others.

use clap::Args;
use starling_control::{Command, Failure, view};

use super::profile::Settings;
use super::{Outcome, Switch, launch, print};

#[derive(Debug, Args)]
pub struct MailboxArgs {
    /// Keeps at most so many MB; 0 for what is usual
    #[arg(long, value_name = "MB")]
    room: Option<u32>,
    /// Letters and boxes are kept without having run for three days: for a machine of yours that is always on
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    at_once: Option<Switch>,
}

pub async fn run(args: MailboxArgs, settings: &Settings) -> Outcome {
    let command = match (args.room, args.at_once) {
        (None, None) => Command::MailboxShow {},
        (room_mb, at_once) => Command::MailboxSet(view::MailboxChange {
            room_mb,
            at_once: at_once.map(|at_once| at_once == Switch::On),
        }),
    };
    let mailbox: Result<view::Mailbox, Failure> = launch::ask(settings, command).await;
    let mailbox = mailbox?;
    if settings.json {
        print::json(&mailbox);
    } else {
        show(&mailbox);
    }
    Ok(())
}

fn show(mailbox: &view::Mailbox) {
    line("mailbox", &mailbox.words);
    line("boxes", &mailbox.boxes.to_string());
    line("entries", &mailbox.entries.to_string());
    let (kept, most) = (print::bytes(mailbox.bytes), print::bytes(mailbox.bytes_max));
    line("kept", &format!("{kept}, at most {most}"));
    line("connected", &mailbox.connections.to_string());
    for refused in &mailbox.refused {
        line(
            "refused",
            &format!("{} times: {}", refused.count, refused.why),
        );
    }
    if mailbox.at_once {
        line("at once", "kept without having run for three days");
    }
}

fn line(name: &str, value: &str) {
    print::line(&format!("{name:<12}{}", print::text(value)));
}
