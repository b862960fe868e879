//! `starling account`: make it, show it, back it up, restore it.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use starling_control::{Command, ErrorKind, Failure, view};

use super::device::{self, DeviceCommand};
use super::passphrase::{self, PassphraseArgs};
use super::profile::Settings;
use super::{Outcome, launch, phrase, print};

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make the account of this profile
    Create {
        /// The name your contacts will see
        name: String,
    },
    /// Name, account id and device
    Show,
    /// Write account, contacts and network to FILE, locked with a passphrase
    Backup {
        /// Must not exist
        file: PathBuf,
        /// Open the backup FILE instead, to see whether its passphrase is the right one; changes nothing
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// The 24 words that bring the account back; whoever has them has the account
    Phrase {
        #[command(subcommand)]
        command: Option<PhraseCommand>,
    },
    /// Your devices: add, rename, remove them; or make this profile one of them
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Make this device the only one of the account, by the 24 words: for when another device was stolen. They are asked for on the
    /// terminal or read from standard input; contacts, messages and settings stay
    Recover,
    /// Delete the account everywhere, and all of it on this machine. Nobody can undo it; the 24 words can bring the account back
    /// without its contacts
    Delete {
        /// The account's name, instead of being asked for it
        #[arg(long)]
        name: Option<String>,
        /// Also where the key of the network's owner is lost with it
        #[arg(long)]
        with_network: bool,
    },
    /// Restore a backup, or the account of the 24 words, into a profile without an account
    Restore {
        /// Written by `backup`
        #[arg(required_unless_present = "phrase", conflicts_with = "phrase")]
        file: Option<PathBuf>,
        /// By the 24 words instead, which are asked for on the terminal or read from standard input. Every device of before is
        /// revoked. Join the account's network first
        #[arg(long)]
        phrase: bool,
        /// With the words: also where the network does not know the account any more; its contacts are lost then
        #[arg(long, requires = "phrase")]
        anyway: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

#[derive(Debug, Subcommand)]
pub enum PhraseCommand {
    /// See whether you have the words: three of them are asked for
    Check {
        /// Three or more of them, as `7=word`, instead of being asked
        #[arg(value_name = "NUMBER=WORD")]
        words: Vec<String>,
    },
    /// Forget the words on this device, so that nobody who steals it can recover the account: they are on your paper alone then. All
    /// of them are asked for
    Forget,
}

pub async fn run(command: AccountCommand, settings: &Settings) -> Outcome {
    match command {
        AccountCommand::Create { name } => {
            let account = launch::ask(settings, Command::AccountCreate { name }).await?;
            show(&account, settings);
        }
        AccountCommand::Show => {
            let account: Option<view::Account> =
                launch::ask(settings, Command::AccountShow {}).await?;
            match account {
                Some(account) => show(&account, settings),
                None if settings.json => print::json(&account),
                None => {
                    let sentence = "this profile has no account yet; make one with `starling account create NAME`";
                    return Err(Failure::new(ErrorKind::State, sentence));
                }
            }
        }
        AccountCommand::Device(command) => device::run(command, settings).await?,
        AccountCommand::Backup {
            file,
            check: true,
            passphrase,
        } => check_backup(&file, &passphrase, settings).await?,
        AccountCommand::Backup {
            file, passphrase, ..
        } => backup(&file, &passphrase, settings).await?,
        AccountCommand::Phrase { command: None } => phrase::show(settings).await?,
        AccountCommand::Phrase {
            command: Some(PhraseCommand::Check { words }),
        } => phrase::check(&words, settings).await?,
        AccountCommand::Phrase {
            command: Some(PhraseCommand::Forget),
        } => phrase::forget(settings).await?,
        AccountCommand::Recover => phrase::recover(settings).await?,
        AccountCommand::Delete { name, with_network } => {
            delete(name, with_network, settings).await?;
        }
        AccountCommand::Restore {
            file: None, anyway, ..
        } => phrase::restore(anyway, settings).await?,
        AccountCommand::Restore {
            file: Some(file),
            passphrase,
            ..
        } => {
            let passphrase = passphrase::get(&passphrase, false).await?;
            let file = absolute(&file)?;
            let account =
                launch::ask(settings, Command::AccountRestore { file, passphrase }).await?;
            show(&account, settings);
        }
    }
    Ok(())
}

async fn delete(name: Option<String>, with_network: bool, settings: &Settings) -> Outcome {
    let name = match name {
        Some(name) => name,
        None => phrase::typed("Type the account's name to delete it everywhere:").await?,
    };
    let command = Command::AccountDelete { name, with_network };
    let deleted: view::Deleted = launch::ask(settings, command).await?;
    if settings.json {
        print::json(&deleted);
        return Ok(());
    }
    print::say(&format!(
        "Deleted, and gone from this machine. Contacts told: {}, not told: {}; supernodes told: {}. Received files are where you put them.",
        deleted.told, deleted.not_told, deleted.supernodes
    ));
    Ok(())
}

async fn backup(file: &Path, passphrase: &PassphraseArgs, settings: &Settings) -> Outcome {
    let file = absolute(file)?;
    let mut client = launch::client(settings).await?;
    let passphrase = passphrase::get(passphrase, true).await?;
    client
        .call(Command::AccountBackup {
            file: file.clone(),
            passphrase,
        })
        .await?;
    print::say(&format!(
        "Written: {file}\nKeep it on another device, and keep the passphrase: without both a lost disk is a lost account."
    ));
    Ok(())
}

async fn check_backup(file: &Path, passphrase: &PassphraseArgs, settings: &Settings) -> Outcome {
    let file = absolute(file)?;
    let mut client = launch::client(settings).await?;
    let passphrase = passphrase::get(passphrase, false).await?;
    client
        .call(Command::AccountBackupCheck { file, passphrase })
        .await?;
    print::say("The backup opens with this passphrase and holds this account.");
    Ok(())
}

pub fn show(account: &view::Account, settings: &Settings) {
    if settings.json {
        return print::json(account);
    }
    print::line(&format!("name     {}", print::text(&account.name)));
    print::line(&format!("account  {}", account.id));
    print::line(&format!(
        "device   {} ({})",
        print::text(&account.device_name),
        print::id(&account.device)
    ));
}

/// A path as the node, which lives in another folder, needs it.
pub fn absolute(path: &Path) -> Result<String, Failure> {
    let unusable = |why: &str| {
        let sentence = format!("the path {} cannot be used: {why}", path.display());
        Failure::new(ErrorKind::Usage, sentence)
    };
    let absolute = std::path::absolute(path).map_err(|error| unusable(&error.to_string()))?;
    match absolute.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(unusable("its name is not UTF-8 text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn paths_are_sent_absolute_and_as_text() {
        let sent = absolute(Path::new("a.wav")).unwrap();
        assert!(sent.starts_with('/') && sent.ends_with("/a.wav"), "{sent}");
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff"));
        assert_eq!(absolute(odd).unwrap_err().data.kind, ErrorKind::Usage);
        assert!(absolute(Path::new("")).is_err());
    }
}
