//! `starling role`: what this machine does for others, and how much of it.

use clap::{Args, ValueEnum};
use starling_control::{Command, ErrorKind, Failure, view};

use super::profile::Settings;
use super::{Outcome, Switch, launch, print};

#[derive(Debug, Args)]
pub struct RoleArgs {
    /// Which; without one, all of them are shown
    #[arg(value_name = "ROLE")]
    role: Option<RoleName>,
    /// The answer to "may this machine do that for others?"
    #[arg(value_name = "on|off", requires = "role", hide_possible_values = true)]
    state: Option<Switch>,
    /// At most so many kbit/s for this role, in each direction; 0 lifts the cap
    #[arg(long, value_name = "KBIT", requires = "role")]
    cap: Option<u32>,
    /// At most so many kbit/s for all roles together; 0 lifts the cap
    #[arg(long, value_name = "KBIT")]
    total: Option<u32>,
    /// At most so many GB in a calendar month for all roles, both directions together; 0 lifts the cap
    #[arg(long, value_name = "GB")]
    month: Option<u32>,
    /// At most so many clients at once; 0 lifts the cap
    #[arg(long, value_name = "N")]
    clients: Option<u32>,
}

/// A role, or all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Registrations, look-ups, presence: being somebody's home
    Supernode,
    /// Other people's encrypted packets: calls and files that find no direct way
    Relay,
    /// Sealed letters for people who are away
    Mailbox,
    /// All three
    All,
}

pub async fn run(args: RoleArgs, settings: &Settings) -> Outcome {
    let caps = [args.cap, args.total, args.month, args.clients];
    let changes = args.state.is_some() || caps.iter().any(Option::is_some);
    if args.role.is_some() && !changes {
        let sentence = "say on, off or a cap; `starling role` alone shows all";
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let command = if changes {
        Command::RolesSet(view::RolesChange {
            role: args.role.and_then(RoleName::name),
            on: args.state.map(|state| state == Switch::On),
            cap_kbit_s: args.cap,
            total_kbit_s: args.total,
            monthly_gb: args.month,
            clients: args.clients,
        })
    } else {
        Command::RolesShow {}
    };
    let roles: view::Roles = launch::ask(settings, command).await?;
    if settings.json {
        print::json(&roles);
    } else {
        show(&roles);
    }
    Ok(())
}

impl RoleName {
    fn name(self) -> Option<String> {
        match self {
            Self::Supernode => Some("supernode".to_owned()),
            Self::Relay => Some("relay".to_owned()),
            Self::Mailbox => Some("mailbox".to_owned()),
            Self::All => None,
        }
    }
}

fn show(roles: &view::Roles) {
    for role in &roles.roles {
        line(&role.name, &role.words);
    }
    let cap = |cap: Option<u32>, unit: &str| match cap {
        Some(cap) => format!("at most {cap} {unit}"),
        None => "no cap".to_owned(),
    };
    line("total", &cap(roles.total_kbit_s, "kbit/s"));
    let used = print::bytes(roles.month_bytes);
    let month = cap(roles.monthly_gb, "GB a month");
    line("this month", &format!("{used} carried for others, {month}"));
    line("clients", &cap(roles.clients, "at once"));
    for setting in &roles.policy {
        line(
            "policy",
            &format!(
                "{} = {}, set by your organisation",
                setting.key, setting.value
            ),
        );
    }
}

fn line(name: &str, value: &str) {
    print::line(&format!("{name:<12}{}", print::text(value)));
}
