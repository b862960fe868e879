//! `starling contact verify`: safety words, comparing them, the mark.

use clap::Args;
use starling_control::view::{Contact, Safety, Verification};
use starling_control::{Command, Failure};

use super::tell;
use crate::cli::client::Client;
use crate::cli::print;
use crate::cli::profile::Settings;

#[derive(Debug, Args)]
pub struct Verify {
    /// Contact
    who: String,
    /// The words that the other person reads to you: marks the contact if they are the same
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["code", "unmark", "seen"])]
    words: Option<String>,
    /// What the other person's QR code says
    #[arg(long, value_name = "CODE", conflicts_with_all = ["unmark", "seen"])]
    code: Option<String>,
    /// Takes the mark away
    #[arg(long, conflicts_with = "seen")]
    unmark: bool,
    /// You have read that the key changed; the warning goes
    #[arg(long)]
    seen: bool,
}

pub async fn run(verify: Verify, client: &mut Client, settings: &Settings) -> Result<(), Failure> {
    let Verify {
        who,
        words,
        code,
        unmark,
        seen,
    } = verify;
    let command = match (unmark, seen) {
        (true, _) => Command::ContactUnverify { who },
        (_, true) => Command::ContactKeySeen { who },
        _ if words.is_some() || code.is_some() => Command::ContactVerify { who, words, code },
        _ => {
            show(&client.ask(Command::ContactSafety { who }).await?, settings);
            return Ok(());
        }
    };
    let contact = client.ask(command).await?;
    tell(&contact, settings, |name, contact| {
        format!("{name}: {}.", standing(contact))
    });
    Ok(())
}

fn standing(contact: &Contact) -> &'static str {
    match contact.verification {
        Verification::None => "not verified",
        Verification::Verified => "verified",
        Verification::BeforeKeyChanged => "verified before the key changed; compare again",
    }
}

fn show(safety: &Safety, settings: &Settings) {
    if settings.json {
        return print::json(safety);
    }
    let name = print::text(safety.contact.title());
    print::say(&format!(
        "Both of you see the same words. Read them to each other in person, or in a call in which you know the voice; then:\n\
         starling contact verify {name} --words \"...\"    ({name}: {})",
        standing(&safety.contact)
    ));
    for four in safety.words.chunks(4) {
        print::line(&four.join(" "));
    }
    if let Some(code) = print::qr(&safety.code) {
        print::line(&code);
    }
}
