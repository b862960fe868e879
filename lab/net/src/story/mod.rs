//! What people do in a scenario, each step with its measured time: found a network, join it, become
//! contacts, chat, send a file, call. The same steps make the demonstration, the labs' tests and the
//! benchmarks; only where the actors stand differs.

pub mod call;
pub mod devices;
pub mod speech;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use starling_control::{Command, Event, view};

use crate::actor::{Actor, ActorError, Seat};

/// The name of the network that a scenario founds.
const NETWORK: &str = "The Lab";
/// How often a state that no event tells is asked for.
const POLL: Duration = Duration::from_millis(5);

/// A supernode with its network, Alice and Bob, each registered there.
#[derive(Debug)]
pub struct Cast {
    /// Runs the network.
    pub supernode: Actor,
    /// The first person.
    pub alice: Actor,
    /// The second person.
    pub bob: Actor,
    /// The network file, for others who join.
    pub network: String,
}

/// How long it took to become contacts.
#[derive(Debug, Clone, Copy)]
pub struct Meeting {
    /// From asking to the request being told to the other.
    pub asked: Duration,
    /// From accepting to each seeing the other online.
    pub accepted: Duration,
}

/// How long a message took.
#[derive(Debug, Clone, Copy)]
pub struct Spoken {
    /// From sending to its being told to the other, stored.
    pub one_way: Duration,
    /// From sending to the receipt being told to the sender.
    pub receipt: Duration,
}

/// A file that arrived identical.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its size.
    pub bytes: u64,
    /// From sending to the offer being told to the other; the sender hashes the file in this time.
    pub offered: Duration,
    /// From accepting to the whole file being there, verified.
    pub took: Duration,
    /// Where it is.
    pub path: PathBuf,
}

impl Sent {
    /// Bytes per second from accepting to the end.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / self.took.as_secs_f64()
    }
}

impl Cast {
    /// Starts the three below `folder` and lets them join one network.
    pub fn assemble(
        folder: &Path,
        supernode: Seat<'_>,
        alice: Seat<'_>,
        bob: Seat<'_>,
        patience: Duration,
    ) -> Result<Self, ActorError> {
        let (supernode, network) = found_network(folder, supernode, patience)?;
        let alice = join_network("Alice", folder, alice, &network, patience)?;
        let bob = join_network("Bob", folder, bob, &network, patience)?;
        Ok(Self {
            supernode,
            alice,
            bob,
            network,
        })
    }

    /// Ends all three as their users would.
    pub fn dismiss(self) -> Result<(), ActorError> {
        Actor::stop_all([self.alice, self.bob, self.supernode])
    }
}

/// Starts a supernode and founds a network; returns it with the network file.
pub fn found_network(
    folder: &Path,
    seat: Seat<'_>,
    patience: Duration,
) -> Result<(Actor, String), ActorError> {
    let supernode = Actor::start("supernode", &folder.join("supernode"), seat, true, patience)?;
    let made: view::NetworkMade = supernode.ask(Command::NetworkInit {
        name: NETWORK.into(),
        advertise: Some(seat.address.to_string()),
    })?;
    Ok((supernode, made.file))
}

/// Starts a node, makes its account in the network and waits until it is registered.
pub fn join_network(
    name: &str,
    folder: &Path,
    seat: Seat<'_>,
    network: &str,
    patience: Duration,
) -> Result<Actor, ActorError> {
    let home = folder.join(name.to_lowercase());
    let person = Actor::start(name, &home, seat, false, patience)?;
    person.ask::<view::Network>(Command::NetworkJoin {
        source: network.to_owned(),
    })?;
    person.ask::<view::Account>(Command::AccountCreate { name: name.into() })?;
    wait_registered(&person)?;
    Ok(person)
}

/// Waits until the node is registered at its home supernode.
pub fn wait_registered(person: &Actor) -> Result<(), ActorError> {
    let deadline = Instant::now() + person.patience;
    loop {
        let status: view::Status = person.ask(Command::Status {})?;
        if status.supernode.is_some_and(|home| home.connected) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(person.story("was not registered at the supernode in time"));
        }
        std::thread::sleep(POLL);
    }
}

/// `asker` asks, `asked` accepts, each sees the other online.
pub fn befriend(asker: &Actor, asked: &Actor) -> Result<Meeting, ActorError> {
    let greeting = format!("It is {}", asker.name());
    let link: view::OwnLink = asked.ask(Command::ContactLink {})?;
    let start = Instant::now();
    asker.ask::<view::Contact>(Command::ContactAdd {
        link: link.link,
        message: greeting.clone(),
    })?;
    let (told, request) = asked.until("the request", |event| match event {
        Event::Request(request) if request.name == asker.name() => Some(request.clone()),
        _ => None,
    })?;
    if request.message != greeting {
        return Err(asked.story(format!("got the greeting {:?}", request.message)));
    }
    let accepting = Instant::now();
    asked.ask::<view::Contact>(Command::ContactAccept { id: request.id })?;
    let seen = [
        wait_presence(asked, asker.name(), true)?,
        wait_presence(asker, asked.name(), true)?,
    ];
    Ok(Meeting {
        asked: told.duration_since(start),
        accepted: seen[0].max(seen[1]).saturating_duration_since(accepting),
    })
}

/// Starts a node that has an account; how long until it sees the contact online, from before the
/// process was started.
pub fn start_to_online(
    name: &str,
    home: &Path,
    seat: Seat<'_>,
    contact: &str,
    patience: Duration,
) -> Result<(Actor, Duration), ActorError> {
    let person = Actor::start(name, home, seat, false, patience)?;
    let online = wait_presence(&person, contact, true)?;
    let took = online.duration_since(person.started);
    Ok((person, took))
}

/// Waits until `person` sees the contact there (online, away, ...), or not there, and says when.
pub fn wait_presence(person: &Actor, contact: &str, online: bool) -> Result<Instant, ActorError> {
    let fits = |candidate: &view::Contact| {
        candidate.name == contact && candidate.presence.is_there() == online
    };
    let list: Vec<view::Contact> = person.ask(Command::ContactList {})?;
    if list.iter().any(fits) {
        return Ok(Instant::now());
    }
    let what = format!("{contact} {}", if online { "online" } else { "gone" });
    let (at, ()) = person.until(&what, |event| match event {
        Event::Contact(contact) if fits(contact) => Some(()),
        _ => None,
    })?;
    Ok(at)
}

/// `from` writes to `to`; the text must arrive as it was sent, and the receipt must come back.
pub fn chat(from: &Actor, to: &Actor, text: &str) -> Result<Spoken, ActorError> {
    let start = Instant::now();
    let message: view::Message = from.ask(Command::ChatSend {
        who: to.name().into(),
        text: text.into(),
    })?;
    let (arrived, got) = to.until("the message", |event| match event {
        Event::Message(message) if !message.outgoing => Some(message.clone()),
        _ => None,
    })?;
    if got.text != text || got.id != message.id {
        return Err(to.story(format!("got {:?} instead of {text:?}", got.text)));
    }
    let (receipt, ()) = from.until("the receipt", |event| match event {
        Event::Message(receipt)
            if receipt.id == message.id && receipt.delivery == view::Delivery::Delivered =>
        {
            Some(())
        }
        _ => None,
    })?;
    Ok(Spoken {
        one_way: arrived.duration_since(start),
        receipt: receipt.duration_since(start),
    })
}

/// `from` sends the file to `to`, who accepts; the two files are compared byte by byte.
pub fn send_file(from: &Actor, to: &Actor, path: &Path) -> Result<Sent, ActorError> {
    let start = Instant::now();
    from.ask::<view::Transfer>(Command::FileSend {
        who: to.name().into(),
        path: path.display().to_string(),
    })?;
    let (told, offer) = to.until("the offer", |event| match event {
        Event::Transfer(transfer)
            if !transfer.outgoing && transfer.state == view::TransferState::Offered =>
        {
            Some(transfer.clone())
        }
        _ => None,
    })?;
    let accepting = Instant::now();
    to.ask::<view::Transfer>(Command::FileAccept {
        id: offer.id.clone(),
        to: None,
    })?;
    let (done, arrived) = wait_transfer(to, &offer.id)?;
    wait_transfer(from, &offer.id)?;
    let arrived = PathBuf::from(arrived.path.unwrap_or_default());
    if !identical(path, &arrived)? {
        return Err(to.story(format!("{} differs from what was sent", arrived.display())));
    }
    Ok(Sent {
        bytes: offer.size,
        offered: told.duration_since(start),
        took: done.duration_since(accepting),
        path: arrived,
    })
}

fn wait_transfer(person: &Actor, id: &str) -> Result<(Instant, view::Transfer), ActorError> {
    let (at, transfer) = person.until("the file", |event| match event {
        Event::Transfer(transfer) if transfer.id == id => match transfer.state {
            view::TransferState::Done
            | view::TransferState::Failed
            | view::TransferState::Cancelled => Some(transfer.clone()),
            _ => None,
        },
        _ => None,
    })?;
    if transfer.state != view::TransferState::Done {
        return Err(person.story(format!("the transfer ended otherwise: {}", transfer.words)));
    }
    Ok((at, transfer))
}

/// A folder for the profiles of a scenario; removed with what is in it when dropped. It is below the
/// system's folder for such, because a control socket's path must be short.
pub fn temporary_folder() -> Result<tempfile::TempDir, ActorError> {
    tempfile::Builder::new()
        .prefix("starling-lab-")
        .tempdir()
        .map_err(|source| ActorError::File {
            what: "cannot make a folder in",
            path: std::env::temp_dir(),
            source,
        })
}

/// Whether two files have the same bytes.
fn identical(one: &Path, other: &Path) -> Result<bool, ActorError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| ActorError::File {
            what: "cannot read",
            path: path.to_owned(),
            source,
        })
    };
    Ok(read(one)? == read(other)?)
}

/// Writes a file of that many bytes that cannot be compressed and differs by `seed`.
pub fn write_noise(path: &Path, bytes: usize, seed: u64) -> Result<(), ActorError> {
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let mut content = vec![0; bytes];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut content);
    std::fs::write(path, content).map_err(|source| ActorError::File {
        what: "cannot write",
        path: path.to_owned(),
        source,
    })
}
