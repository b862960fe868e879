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
    Show {
        /// Also write the network file again, for others to join by: only its owner has it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
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
        NetworkCommand::Show { file } => show_again(file.as_deref(), settings).await?,
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
    let target = file.map(create).transpose()?;
    let made: Result<view::NetworkMade, Failure> =
        launch::ask(settings, Command::NetworkInit { name, advertise }).await;
    if let (Err(_), Some((path, _))) = (&made, &target) {
        // Only the empty file just made here is taken back.
        let _ = std::fs::remove_file(path);
    }
    let made = made?;
    for note in &made.notes {
        print::say(&format!("Note: {}", print::text(note)));
    }
    // The link first: it is there to be handed out also if the file cannot be written.
    if settings.json {
        print::json(&made);
    } else {
        show(&made.network, settings);
    }
    match target {
        Some((path, target)) => fill(&path, target, &made.file).map_err(|failure| {
            let sentence = format!(
                "{}; the network is made, `starling network show --file FILE` writes it again",
                failure.message
            );
            Failure::new(failure.data.kind, sentence)
        }),
        None => Ok(()),
    }
}

async fn show_again(file: Option<&Path>, settings: &Settings) -> Outcome {
    let network: Option<view::Network> = launch::ask(settings, Command::NetworkShow {}).await?;
    match &network {
        Some(network) => show(network, settings),
        None if settings.json => print::json(&network),
        None => print::say(
            "This profile belongs to no network. It reaches people on this machine and on the local network.",
        ),
    }
    let Some(path) = file else { return Ok(()) };
    let text = network.and_then(|network| network.file).ok_or_else(|| {
        let sentence = "this profile has no network file: only a network's owner hands it out";
        Failure::new(ErrorKind::State, sentence)
    })?;
    let (path, target) = create(path)?;
    fill(&path, target, &text)
}

fn fill(path: &Path, mut target: std::fs::File, text: &str) -> Outcome {
    target
        .write_all(text.as_bytes())
        .and_then(|()| target.sync_all())
        .map_err(|error| unwritten(path, &error))?;
    print::say(&format!(
        "Written for others to join by: {}",
        path.display()
    ));
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
    if let Some(link) = &network.link {
        print::line(&format!("link        {link}"));
    }
}
