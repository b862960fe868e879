//! The command line. `starling` alone opens the window, `starling node` runs a node in the foreground; every other command
//! is a client of the control socket of a running node and starts one in the background where none runs.
//!
//! Results go to standard output, remarks to standard error. `--json` prints the views of `docs/spec/control.md`, one JSON
//! value per line. Exit codes are those of [`ErrorKind::exit_code`](starling_control::ErrorKind::exit_code).

mod account;
mod audio;
mod audio_level;
mod call;
mod chat;
mod client;
mod contact;
mod device;
mod duration;
mod echo_bot;
mod file;
mod launch;
mod mailbox;
mod name;
mod network;
mod node;
mod own_profile;
mod passphrase;
mod phrase;
mod policy;
mod presence;
mod print;
mod processing;
mod profile;
mod registrar;
mod role;
mod status;
mod window;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use starling_control::{ErrorKind, Failure};
use tokio::runtime::{Builder, Runtime};

use self::profile::Settings;

/// What a command comes to.
type Outcome = Result<(), Failure>;

/// What is still running when the program ends gets this long.
const LAST_WORDS: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
WHO is a nickname, a display name, a unique name, or the beginning of an account id (4 characters at least).

Exit codes:
  0  done                        4  WHO or ID fits several; they are listed
  1  trouble on this machine     5  not possible now (no account yet, exists already, ...)
  2  the command is wrong        6  the other side cannot be reached, or did not answer
  3  nobody or nothing so named  7  refused

STARLING_LOG=debug (or info, warn, starling_node=trace, ...) writes a log to standard error.";

/// Voice, chat and files between people, carried by their own machines.
///
/// Without a command it opens the window and runs until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "starling", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for every command")]
struct Everywhere {
    /// The profile's folder [env: STARLING_HOME]
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "profile")]
    home: Option<PathBuf>,
    /// A profile by name, in your data folder [default: default]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Print JSON, one value per line
    #[arg(long, global = true)]
    json: bool,
    /// Where a node that is started listens; port 0 takes free ports [default: 0.0.0.0:27474]
    #[arg(
        long,
        global = true,
        value_name = "ADDR:PORT",
        env = "STARLING_LISTEN",
        hide_env_values = true,
        hide_short_help = true
    )]
    listen: Option<SocketAddr>,
    /// Whether a node that is started looks for contacts on the local network [default: on]
    #[arg(
        long,
        global = true,
        value_name = "on|off",
        env = "STARLING_LAN",
        hide_env_values = true,
        hide_possible_values = true,
        hide_short_help = true
    )]
    lan: Option<Switch>,
    /// Whether a node that is started plays the tones of calls [default: as `audio use` says]
    #[arg(
        long,
        global = true,
        value_name = "on|off",
        env = "STARLING_TONES",
        hide_env_values = true,
        hide_possible_values = true,
        hide_short_help = true
    )]
    play_tones: Option<Switch>,
    /// The HTTP proxy that a node that is started goes through [default: what HTTPS_PROXY says]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "STARLING_PROXY",
        hide_env_values = true,
        hide_short_help = true
    )]
    proxy: Option<String>,
    /// Where a node that is started puts received files [default: your download folder]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "STARLING_DOWNLOADS",
        hide_env_values = true,
        hide_short_help = true
    )]
    downloads: Option<PathBuf>,
    /// A policy file beside the machine's own, for a node that is started: what it forbids is forbidden too
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "STARLING_POLICY",
        hide_env_values = true,
        hide = true
    )]
    policy: Option<PathBuf>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node in the foreground, without a window
    Node(node::NodeArgs),
    /// End the node of this profile
    Stop,
    /// Who am I, how am I reached, what do I carry, what should I know
    Status,
    /// Your account: keys on this machine and a name
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// The network: which supernodes to use, or to be one
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// What this machine does for others: shown, switched, capped
    Role(role::RoleArgs),
    /// What this machine keeps in other people's boxes: shown, bounded
    Mailbox(mailbox::MailboxArgs),
    /// The policy file of a machine's administrator
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// People
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    /// How contacts see you, and how they are
    #[command(subcommand)]
    Presence(presence::PresenceCommand),
    /// Your name, your text and your picture, and who sees them; and what contacts show
    #[command(subcommand)]
    Profile(own_profile::ProfileCommand),
    /// Unique names: yours, and whose a name is
    #[command(subcommand)]
    Name(name::NameCommand),
    /// Find people of your network by their names
    Search(name::SearchArgs),
    /// The registrar of your own network, which gives unique names
    #[command(subcommand)]
    Registrar(registrar::RegistrarCommand),
    /// Messages
    #[command(subcommand)]
    Chat(chat::ChatCommand),
    /// Call somebody, until the call is over or Ctrl-C hangs up; how you want to be called
    Call(call::CallArgs),
    /// Answer the call that rings; returns when it is over, Ctrl-C hangs up
    Answer(call::AnswerArgs),
    /// End, cancel or decline a call
    Hangup(call::WhichCall),
    /// Hold a call, or go on with it
    Hold(call::SwitchCall),
    /// Go on with the call on hold, and hold the other one
    Swap(call::WhichCall),
    /// Switch the own microphone off for a call, or on again
    Mute(call::SwitchCall),
    /// Neither hear nor speak in a call, or both again
    Deafen(call::SwitchCall),
    /// Switch the own microphone on for the moment: it is off else (push to talk)
    Talk(call::SwitchCall),
    /// Calls of now and before, newest first
    Calls(call::CallsArgs),
    /// Sound: devices, what is used, what is done with the microphone's
    #[command(subcommand)]
    Audio(audio::AudioCommand),
    /// Files
    #[command(subcommand)]
    File(file::FileCommand),
    /// Make the Echo / Sound Test a contact and start it, for five minutes
    Echo,
    /// The sound-test node itself; started by a node
    #[command(hide = true)]
    EchoBot(echo_bot::EchoBotArgs),
}

/// Does what the command line asks.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.everywhere.settings() {
        Ok(settings) => dispatch(cli.command, &settings),
        Err(failure) => Err(failure),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::say(&format!("starling: {}", print::lines(&failure.to_string())));
            ExitCode::from(failure.data.kind.exit_code())
        }
    }
}

impl Everywhere {
    fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings {
            home: profile::folder(self.home.as_deref(), self.profile.as_deref())?,
            downloads: match &self.downloads {
                Some(folder) => Some(profile::absolute(folder)?),
                None => profile::downloads(self.home.as_deref(), self.profile.as_deref()),
            },
            json: self.json,
            listen: self.listen,
            lan: self.lan.map(|lan| lan == Switch::On),
            tones: self.play_tones.map(|tones| tones == Switch::On),
            proxy: self.proxy.clone(),
            policy: self.policy.as_deref().map(profile::absolute).transpose()?,
        })
    }
}

/// A node gets all cores, a client one thread.
fn dispatch(command: Option<Command>, settings: &Settings) -> Outcome {
    match command {
        None => block_on(Builder::new_multi_thread(), window::open(settings)),
        Some(Command::Node(args)) => {
            block_on(Builder::new_multi_thread(), node::run(settings, &args))
        }
        Some(Command::EchoBot(args)) => {
            block_on(Builder::new_multi_thread(), echo_bot::run(settings, &args))
        }
        Some(command) => block_on(Builder::new_current_thread(), ask(command, settings)),
    }
}

async fn ask(command: Command, settings: &Settings) -> Outcome {
    match command {
        Command::Stop => launch::stop(settings).await,
        Command::Status => status::run(settings).await,
        Command::Account(command) => account::run(command, settings).await,
        Command::Network(command) => network::run(command, settings).await,
        Command::Role(args) => role::run(args, settings).await,
        Command::Mailbox(args) => mailbox::run(args, settings).await,
        Command::Policy(command) => policy::run(&command, settings),
        Command::Contact(command) => contact::run(command, settings).await,
        Command::Presence(command) => presence::run(command, settings).await,
        Command::Profile(command) => own_profile::run(command, settings).await,
        Command::Name(command) => name::run(command, settings).await,
        Command::Search(args) => name::search(args, settings).await,
        Command::Registrar(command) => registrar::run(command, settings).await,
        Command::Chat(command) => chat::run(command, settings).await,
        Command::Call(args) => call::call(args, settings).await,
        Command::Answer(args) => call::answer(args, settings).await,
        Command::Hangup(which) => call::hangup(which, settings).await,
        Command::Hold(args) => call::hold(args, settings).await,
        Command::Swap(which) => call::swap(which, settings).await,
        Command::Mute(args) => call::mute(args, settings).await,
        Command::Deafen(args) => call::deafen(args, settings).await,
        Command::Talk(args) => call::talk(args, settings).await,
        Command::Calls(args) => call::calls(&args, settings).await,
        Command::Audio(command) => audio::run(command, settings).await,
        Command::File(command) => file::run(command, settings).await,
        Command::Echo => contact::echo(settings).await,
        Command::Node(_) | Command::EchoBot(_) => unreachable!("dispatched before"),
    }
}

fn block_on(mut builder: Builder, work: impl Future<Output = Outcome>) -> Outcome {
    let runtime: Runtime = builder.enable_all().build().map_err(|error| {
        Failure::new(
            ErrorKind::System,
            format!("Starling cannot start its threads: {error}"),
        )
    })?;
    let done = runtime.block_on(Box::pin(work));
    // A read from a terminal cannot be called off.
    runtime.shutdown_timeout(LAST_WORDS);
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_command_is_explained() {
        let command = Cli::command();
        command.clone().debug_assert();
        explained(&command);
    }

    fn explained(command: &clap::Command) {
        for inner in command.get_subcommands() {
            assert!(inner.get_about().is_some(), "{}", inner.get_name());
            for argument in inner.get_arguments() {
                let help = argument.get_help().is_some();
                assert!(help, "{} {}", inner.get_name(), argument.get_id());
            }
            explained(inner);
        }
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        for line in [
            ["starling", "--json", "--home", "/h", "contact", "list"],
            ["starling", "contact", "list", "--json", "--home", "/h"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            let everywhere = &cli.everywhere;
            assert_eq!(
                (everywhere.json, everywhere.home.clone()),
                (true, Some("/h".into()))
            );
        }
        let both = ["starling", "--home", "/h", "--profile", "p", "status"];
        assert_eq!(Cli::try_parse_from(both).unwrap_err().exit_code(), 2);
    }
}
