//! `starling name` and `starling search`: unique names, one's own and other people's.

use clap::{Args, Subcommand};
use starling_control::view::{FoundName, NameCheck, OwnName, Statement};
use starling_control::{Command, Failure};

use super::profile::Settings;
use super::{Outcome, launch, print};

#[derive(Debug, Subcommand)]
pub enum NameCommand {
    /// Ask your network's registrar for a unique name
    Claim {
        /// 2 to 32 letters of one script and digits, with single . - or _ between them
        name: String,
        /// What the network's owner gave you, where names go to the invited
        #[arg(long, value_name = "CODE")]
        invitation: Option<String>,
        /// Let everybody in the network find you by the words of your display name, too
        #[arg(long)]
        findable: bool,
    },
    /// Your names, and those you asked for
    Show,
    /// Give a name up; for 90 days only you can have it back
    Release {
        /// Your name
        name: String,
    },
    /// Keep a name for another year; in its last quarter that is done by itself
    Renew {
        /// Your name
        name: String,
    },
    /// Whose a name is, and by what that was checked; shows the proof against a lying registrar
    Verify {
        /// Anybody's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct SearchArgs {
    /// A unique name, or the beginnings of words of a display name
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
}

pub async fn run(command: NameCommand, settings: &Settings) -> Outcome {
    match command {
        NameCommand::Claim {
            name,
            invitation,
            findable,
        } => {
            let command = Command::NameClaim {
                name,
                invitation,
                findable,
            };
            tell(&launch::ask(settings, command).await?, settings);
        }
        NameCommand::Show => show(settings).await?,
        NameCommand::Release { name } => {
            tell(
                &launch::ask(settings, Command::NameRelease { name }).await?,
                settings,
            );
        }
        NameCommand::Renew { name } => {
            tell(
                &launch::ask(settings, Command::NameRenew { name }).await?,
                settings,
            );
        }
        NameCommand::Verify { name } => {
            checked(
                &launch::ask(settings, Command::NameVerify { name }).await?,
                settings,
            );
        }
    }
    Ok(())
}

/// `starling search`
pub async fn search(args: SearchArgs, settings: &Settings) -> Outcome {
    let text = args.words.join(" ");
    let found: Vec<FoundName> = launch::ask(settings, Command::Search { text }).await?;
    let head = ["name", "calls themselves", "account"];
    let nothing =
        "Nobody found. Only an exact name finds people who do not want to be searched for.";
    print::listing(&found, settings.json, nothing, &head, |one| {
        vec![
            print::text(&one.name),
            print::text(one.display_name.as_deref().unwrap_or_default()),
            print::id(&one.account),
        ]
    });
    Ok(())
}

fn tell(own: &OwnName, settings: &Settings) {
    if settings.json {
        return print::json(own);
    }
    print::line(&format!(
        "{:<12}{}",
        print::text(&own.name),
        print::text(&own.words)
    ));
}

async fn show(settings: &Settings) -> Result<(), Failure> {
    let names: Vec<OwnName> = launch::ask(settings, Command::NameShow {}).await?;
    let nothing = "You have no unique name. `starling name claim NAME` asks for one.";
    let head = ["name", "state", "until", "found by", ""];
    print::listing(&names, settings.json, nothing, &head, |own| {
        vec![
            print::text(&own.name),
            own.state.clone(),
            own.until_s.map(seconds).unwrap_or_default(),
            print::text(own.findable_as.as_deref().unwrap_or("the exact name")),
            print::text(&own.words),
        ]
    });
    Ok(())
}

fn checked(check: &NameCheck, settings: &Settings) {
    if settings.json {
        return print::json(check);
    }
    let holder = check
        .account
        .as_deref()
        .unwrap_or("nobody; it was given up");
    line("name", &check.name);
    line("account", holder);
    line("until", &seconds(check.until_s));
    line(
        "registrar",
        &format!("{}, number {}", check.registrar, check.epoch),
    );
    line("log", &format!("entry {}", check.entry));
    line("compared", &check.compared.join(", "));
    for finding in &check.findings {
        line("against it", finding);
    }
    for statement in check.evidence.iter().flatten() {
        evidence(statement);
    }
    let verdict = if check.verified {
        "verified: certificate, appointment, log and copies agree"
    } else {
        "not verified"
    };
    line("verdict", verdict);
}

/// Everything that somebody needs who wants to check it without this program.
fn evidence(statement: &Statement) {
    line("the registrar signed", "");
    line("  epoch", &statement.epoch.to_string());
    line("  entry", &statement.height.to_string());
    line("  hash", &statement.hash);
    line("  at", &statement.at_s.to_string());
    line("  key", &statement.key);
    line("  signature", &statement.signature);
}

fn line(name: &str, value: &str) {
    print::line(&format!("{name:<12}{}", print::text(value)));
}

fn seconds(at: u64) -> String {
    print::time(at.saturating_mul(1_000))
}
