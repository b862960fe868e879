//! `starling network`: be the first supernode of a network, join one, show it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use starling_control::{Command, ErrorKind, Failure, view};

use super::profile::Settings;
use super::{Outcome, launch, print};

/// A network file is at most this long; more is not read.
const FILE_MAX: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Make a network with this machine as its first supernode: the answer to "may it serve others?" is yes
    Init {
        /// What you call it
        #[arg(long, default_value = "Starling")]
        name: String,
        /// The address others reach this machine at, if it is not the one it listens on
        #[arg(long, value_name = "IP[:PORT]", value_parser = address)]
        advertise: Option<String>,
        /// Also write the network file, for others to join by
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// The network this profile belongs to
    Show,
    /// Join a network by its file or by a link
    Join {
        /// A network file, or a link that begins with "starling:"
        #[arg(value_name = "FILE-or-LINK")]
        source: String,
    },
}

pub async fn run(command: NetworkCommand, settings: &Settings) -> Outcome {
    match command {
        NetworkCommand::Init {
            name,
            advertise,
            file,
        } => init(name, advertise, file.as_deref(), settings).await?,
        NetworkCommand::Show => {
            let network: Option<view::Network> =
                launch::ask(settings, Command::NetworkShow {}).await?;
            match network {
                Some(network) => show(&network, settings),
                None if settings.json => print::json(&network),
                None => print::say(
                    "This profile belongs to no network. It reaches people on this machine and on the local network.",
                ),
            }
        }
        NetworkCommand::Join { source } => {
            let source = if source.trim_start().starts_with("starling:") {
                source
            } else {
                read(Path::new(&source))?
            };
            let network = launch::ask(settings, Command::NetworkJoin { source }).await?;
            show(&network, settings);
        }
    }
    Ok(())
}

/// `IP` or `IP:PORT`; the node reads it again.
fn address(text: &str) -> Result<String, &'static str> {
    let fits = text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok();
    fits.then(|| text.to_owned())
        .ok_or("give an IP address, or IP:PORT")
}

async fn init(
    name: String,
    advertise: Option<String>,
    file: Option<&Path>,
    settings: &Settings,
) -> Outcome {
    let mut target = file.map(create).transpose()?;
    let made: Result<view::NetworkMade, Failure> =
        launch::ask(settings, Command::NetworkInit { name, advertise }).await;
    if let (Err(_), Some((path, _))) = (&made, &target) {
        // Only the empty file just made here is taken back.
        let _ = std::fs::remove_file(path);
    }
    let made = made?;
    if let Some((path, target)) = &mut target {
        target
            .write_all(made.file.as_bytes())
            .map_err(|error| unwritten(path, &error))?;
        print::say(&format!(
            "Written for others to join by: {}",
            path.display()
        ));
    }
    for note in &made.notes {
        print::say(&format!("Note: {}", print::text(note)));
    }
    if settings.json {
        print::json(&made);
    } else {
        show(&made.network, settings);
        print::line(&format!("link        {}", made.link));
    }
    Ok(())
}

fn create(path: &Path) -> Result<(PathBuf, std::fs::File), Failure> {
    let file = std::fs::File::create_new(path).map_err(|error| unwritten(path, &error))?;
    Ok((path.to_owned(), file))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        std::io::ErrorKind::AlreadyExists => ErrorKind::State,
        _ => ErrorKind::System,
    };
    Failure::new(
        kind,
        format!(
            "the network file {} cannot be written: {error}",
            path.display()
        ),
    )
}

fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |why: &dyn std::fmt::Display| {
        let sentence = format!("the network file {} cannot be read: {why}", path.display());
        Failure::new(ErrorKind::NotFound, sentence)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    let read = file
        .take(FILE_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    if read as u64 > FILE_MAX {
        return Err(unreadable(&"it is longer than 64 KiB"));
    }
    Ok(text)
}

fn show(network: &view::Network, settings: &Settings) {
    if settings.json {
        return print::json(network);
    }
    let owner = if network.owner { " (yours)" } else { "" };
    print::line(&format!(
        "network     {}{owner}",
        print::text(&network.name)
    ));
    if let Some(id) = &network.id {
        print::line(&format!("id          {id}"));
    }
    for supernode in &network.supernodes {
        print::line(&format!("supernode   {}", print::text(supernode)));
    }
}
