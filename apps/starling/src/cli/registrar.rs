//! `starling registrar`: the machine that gives a network's unique names.

use clap::{ArgGroup, Args, Subcommand};
use starling_control::Command;
use starling_control::command::NameWish;
use starling_control::view::NameOffice;

use super::profile::Settings;
use super::{Outcome, launch, print};

#[derive(Debug, Subcommand)]
pub enum RegistrarCommand {
    /// Make this machine the registrar of your network, or begin its work again
    Start(StartArgs),
    /// Give no more names; those that were given are read as before
    Stop,
    /// How the registrar stands, and who waits for a name
    Show,
    /// Make invitations; each is good for one name
    Invite {
        /// So many
        #[arg(long, value_name = "N", default_value_t = 1)]
        count: u32,
    },
    /// Give somebody the name they wait for
    Accept(ClaimArgs),
    /// Do not
    Decline(ClaimArgs),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("admission"))]
pub struct StartArgs {
    /// Everybody in the network gets the name they ask for
    #[arg(long, group = "admission")]
    open: bool,
    /// Names go to those who bring an invitation [default, the first time]
    #[arg(long, group = "admission")]
    invitation: bool,
    /// You decide about each
    #[arg(long, group = "admission")]
    by_hand: bool,
    /// Names that one account may have [default: 1]
    #[arg(long, value_name = "N")]
    names_per_account: Option<u32>,
    /// In place of another registrar, or of one that contradicted itself: goes on after the last entry that nobody disputes
    #[arg(long)]
    take_over: bool,
}

#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// The name
    name: String,
    /// Whose claim, where several people want it: an account id or its beginning
    #[arg(long, value_name = "ID")]
    account: Option<String>,
}

pub async fn run(command: RegistrarCommand, settings: &Settings) -> Outcome {
    let command = match command {
        RegistrarCommand::Invite { count } => return invite(count, settings).await,
        RegistrarCommand::Start(args) => Command::RegistrarStart {
            admission: admission(&args),
            names_per_account: args.names_per_account,
            take_over: args.take_over,
        },
        RegistrarCommand::Stop => Command::RegistrarStop {},
        RegistrarCommand::Show => Command::RegistrarShow {},
        RegistrarCommand::Accept(ClaimArgs { name, account }) => {
            Command::RegistrarAccept(NameWish { name, account })
        }
        RegistrarCommand::Decline(ClaimArgs { name, account }) => {
            Command::RegistrarDecline(NameWish { name, account })
        }
    };
    let office: NameOffice = launch::ask(settings, command).await?;
    if settings.json {
        print::json(&office);
    } else {
        show(&office);
    }
    Ok(())
}

fn admission(args: &StartArgs) -> Option<String> {
    let word = match (args.open, args.invitation, args.by_hand) {
        (true, ..) => "open",
        (_, true, _) => "invitation",
        (.., true) => "by hand",
        _ => return None,
    };
    Some(word.to_owned())
}

async fn invite(count: u32, settings: &Settings) -> Outcome {
    let codes: Vec<String> = launch::ask(settings, Command::RegistrarInvite { count }).await?;
    for code in &codes {
        if settings.json {
            print::json(code);
        } else {
            print::line(&print::text(code));
        }
    }
    Ok(())
}

fn show(office: &NameOffice) {
    line("registrar", &office.words);
    if office.epoch == 0 {
        return;
    }
    line("names go to", to_whom(&office.admission));
    line("names each", &office.names_per_account.to_string());
    line("number", &office.epoch.to_string());
    line("until", &print::time(office.until_s.saturating_mul(1_000)));
    line("log", &format!("{} entries", office.entries));
    line("invitations", &office.invitations.to_string());
    for claim in &office.waiting {
        line("waits", &format!("{} for {}", claim.account, claim.name));
    }
}

fn to_whom(admission: &str) -> &'static str {
    match admission {
        "open" => "everybody",
        "invitation" => "those who bring an invitation",
        _ => "whom you accept",
    }
}

fn line(name: &str, value: &str) {
    print::line(&format!("{name:<12}{}", print::text(value)));
}
