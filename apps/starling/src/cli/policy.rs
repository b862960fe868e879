//! `starling policy`: reads a policy file as a node would, before it is put in its place.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use starling_control::{ErrorKind, Failure, view};
use starling_node::roles::machine_policy::{self, MACHINE_POLICY, PolicyFileError};

use super::profile::Settings;
use super::{Outcome, print};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Whether a file says what it should, and what that is; nothing changes
    Check {
        /// The file; the machine's own if absent
        #[arg(value_name = "FILE", default_value = MACHINE_POLICY)]
        file: PathBuf,
    },
}

pub fn run(command: &PolicyCommand, settings: &Settings) -> Outcome {
    let PolicyCommand::Check { file } = command;
    let decided = check(file)?;
    if settings.json {
        for setting in &decided {
            print::json(setting);
        }
        return Ok(());
    }
    if decided.is_empty() {
        print::line("It decides nothing.");
    }
    for setting in &decided {
        print::line(&format!(
            "{} = {}",
            setting.key,
            print::text(&setting.value)
        ));
    }
    Ok(())
}

fn check(file: &Path) -> Result<Vec<view::PolicySetting>, Failure> {
    let (policy, place) = machine_policy::check(file).map_err(|error| {
        let kind = match &error {
            PolicyFileError::Unreadable(..) => ErrorKind::NotFound,
            _ => ErrorKind::Usage,
        };
        Failure::new(kind, error.to_string())
    })?;
    if let Err(error) = place {
        print::say(&format!("Note: {error}"));
    }
    let shown = |decided: starling_node::roles::machine_policy::Decided| view::PolicySetting {
        key: decided.key.to_owned(),
        value: decided.value,
    };
    Ok(policy.decided().into_iter().map(shown).collect())
}
