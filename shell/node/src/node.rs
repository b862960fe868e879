//! A node: profile lock, store, supernode role, session, control socket. Everything that lives as long as the process.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use starling_control::{ErrorKind, Event, Failure, view};
use starling_store::networks::{self, Joined};
use starling_store::profile;
use starling_store::{Store, StoreError, StoreHandle, settings};
use starling_wire::ids::NetworkId;
use starling_wire::limits::NAME_MAX;
use starling_wire::link::{Link, Target};
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::clock::{Clock, random, wall_ms};
use crate::config::{NodeConfig, PORT};
use crate::context::{Homes, store_failure};
use crate::control::socket::{ControlSocket, SocketError};
use crate::control::{ControlHandle, ControlInbox, commands, handle};
use crate::db::Db;
use crate::drivers::supernode::{Supernode, SupernodeConfig, SupernodeError};
use crate::echo::Echo;
use crate::identity::Identity;
use crate::lock::{LockError, ProfileLock};
use crate::session::{Session, SessionError, Start};
use crate::transport::pins::Pins;

/// The setting with the ports of this profile's supernode.
const SUPERNODE_PORTS: &str = "supernode_ports";
/// Of a machine's name.
const DEVICE_NAME_BYTES: usize = 60;

/// A running node.
#[derive(Debug)]
pub struct Node {
    app: Arc<App>,
    control: ControlHandle,
    _socket: ControlSocket,
    _tasks: JoinSet<()>,
    _lock: ProfileLock,
}

/// What commands work on.
#[derive(Debug)]
pub struct App {
    /// How the node was started.
    pub config: NodeConfig,
    /// Time.
    pub clock: Clock,
    /// The store.
    pub db: Db,
    /// To clients.
    pub events: broadcast::Sender<Event>,
    /// The sound-test node.
    pub echo: Echo,
    pins: Pins,
    session: RwLock<Option<Arc<Session>>>,
    supernode: RwLock<Option<Arc<Supernode>>>,
    /// Only one command changes account, network or roles at a time.
    changing: tokio::sync::Mutex<()>,
    stop: Notify,
}

/// Why the node does not run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Profile in use or unusable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The supernode role.
    #[error(transparent)]
    Supernode(#[from] SupernodeError),
    /// The account's doors.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Node {
    /// Starts everything the profile asks for.
    pub async fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let clock = Clock::start();
        let lock = ProfileLock::take(&config.home)?;
        let home = config.home.clone();
        let store = tokio::task::spawn_blocking(move || StoreHandle::start(Store::open(&home)?))
            .await
            .map_err(|error| StoreError::Internal(error.to_string()))??;
        let (control, inbox) = handle::channel();
        let app = Arc::new(App {
            clock,
            db: Db::new(store),
            events: inbox.events.clone(),
            echo: Echo::new(),
            pins: Pins::default(),
            session: RwLock::default(),
            supernode: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            stop: Notify::new(),
            config,
        });
        app.start_supernode(None).await?;
        if let Some(profile) = app.db.read(profile::load).await? {
            app.start_session(Identity::from_profile(&profile)).await?;
        }
        let socket = ControlSocket::open(&app.config.home, control.clone())?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(Arc::clone(&app), inbox));
        Ok(Self {
            app,
            control,
            _socket: socket,
            _tasks: tasks,
            _lock: lock,
        })
    }

    /// The way to ask it.
    pub fn control(&self) -> ControlHandle {
        self.control.clone()
    }

    /// What is listened on, in words; empty for a node that only reaches out.
    pub fn listening(&self) -> Vec<String> {
        self.app
            .supernode()
            .map(|supernode| supernode.listening())
            .unwrap_or_default()
    }

    /// Until somebody asks it to stop.
    pub async fn wait(&self) {
        self.app.stop.notified().await;
    }

    /// Says goodbye and closes everything.
    pub async fn stop(self) {
        self.app.echo.stop().await;
        let session = self
            .app
            .session
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(session) = session {
            session.stop().await;
        }
        let supernode = self
            .app
            .supernode
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(supernode) = supernode {
            supernode.stop().await;
        }
    }
}

async fn serve(app: Arc<App>, mut inbox: ControlInbox) {
    let mut running = JoinSet::new();
    while let Some(request) = inbox.requests.recv().await {
        while running.try_join_next().is_some() {}
        let app = Arc::clone(&app);
        running.spawn(async move {
            let answer = Box::pin(commands::carry_out(&app, request.command)).await;
            let _ = request.answer.send(answer);
        });
    }
}

impl App {
    /// The signed-in session, or a failure that says what to do first.
    pub fn session(&self) -> Result<Arc<Session>, Failure> {
        let session = self
            .session
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        session.ok_or_else(|| {
            let sentence =
                "this profile has no account yet; make one with `starling account create NAME`";
            Failure::new(ErrorKind::State, sentence)
        })
    }

    /// The supernode of this process.
    pub fn supernode(&self) -> Option<Arc<Supernode>> {
        self.supernode
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends the node.
    pub fn ask_to_stop(&self) {
        self.stop.notify_one();
    }

    /// Makes the profile's account.
    pub async fn create_account(&self, name: &str) -> Result<view::Account, Failure> {
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            let sentence = format!("a name has 1 to {NAME_MAX} bytes and no control characters");
            return Err(Failure::new(ErrorKind::Usage, sentence));
        }
        self.adopt(Identity::create(name, &device_name())).await
    }

    /// Stores an identity and signs in with it.
    pub async fn adopt(&self, identity: Identity) -> Result<view::Account, Failure> {
        let _one = self.changing.lock().await;
        if self.session().is_ok() {
            return Err(Failure::new(
                ErrorKind::State,
                "this profile has an account already; use another --profile",
            ));
        }
        let row = identity.to_profile();
        self.db
            .write(move |tx| profile::create(tx, &row))
            .await
            .map_err(store_failure)?;
        self.start_session(identity)
            .await
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        Ok(account_view(&self.session()?.ctx.identity))
    }

    async fn start_session(&self, identity: Identity) -> Result<(), SessionError> {
        let start = Start {
            config: self.config.clone(),
            clock: self.clock,
            db: self.db.clone(),
            events: self.events.clone(),
            pins: self.pins.clone(),
            homes: self.homes().await?,
            identity,
        };
        let session = Session::start(start).await?;
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = Some(session);
        Ok(())
    }

    /// The network joined, with its supernodes; without one, this very process.
    pub async fn homes(&self) -> Result<Homes, StoreError> {
        let own = self
            .supernode()
            .map(|supernode| supernode.address().clone());
        let joined = self.joined().await?;
        Ok(match joined {
            Some(joined) => Homes {
                network: joined.network,
                supernodes: joined.supernodes,
                own,
            },
            None => Homes {
                network: None,
                supernodes: own.clone().into_iter().collect(),
                own,
            },
        })
    }

    /// The network joined last.
    pub async fn joined(&self) -> Result<Option<Joined>, StoreError> {
        Ok(self.db.read(networks::list).await?.into_iter().next())
    }

    /// Serves as a supernode where this profile is one: asked to, the owner of its network, or alone on its LAN.
    async fn start_supernode(&self, advertise: Option<IpAddr>) -> Result<(), NodeError> {
        let joined = self.joined().await?;
        let alone = joined.is_none();
        let owner = joined.as_ref().is_some_and(|joined| joined.owner.is_some());
        if !(alone || owner || self.config.supernode) {
            return Ok(());
        }
        let existing = self.db.read(networks::own_supernode).await?;
        let seed = match existing {
            Some(seed) => seed,
            None => {
                let seed = Zeroizing::new(random());
                let row = seed.clone();
                self.db
                    .write(move |tx| networks::set_own_supernode(tx, &row))
                    .await?;
                seed
            }
        };
        let listed = joined.as_ref().and_then(|joined| listed(joined, &seed));
        // Others know these ports, from the network file or from cards and links: they stay.
        let before = self.ports_before().await?;
        let wanted = listed
            .as_ref()
            .map(|listed| (listed.tcp.port(), listed.discovery_port))
            .or(before);
        let (mut listen, mut discovery) = (self.config.listen, self.config.discovery());
        if let Some((tcp, udp)) = wanted
            && matches!(listen.port(), 0 | PORT)
        {
            listen.set_port(tcp);
            discovery.set_port(udp);
        }
        let config = SupernodeConfig {
            listen,
            discovery,
            seed: *seed,
            private_only: alone && !self.config.supernode,
            advertise: advertise.or(listed.map(|listed| listed.tcp.ip())),
        };
        let supernode =
            Supernode::start(config, self.db.clone(), self.pins.clone(), self.clock).await?;
        let address = supernode.address();
        let ports = (address.tcp.port(), address.discovery_port);
        if before != Some(ports) {
            let text = format!("{} {}", ports.0, ports.1);
            self.db
                .write(move |tx| settings::set(tx, SUPERNODE_PORTS, &text))
                .await?;
        }
        *self
            .supernode
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(supernode));
        Ok(())
    }

    /// Ports (TCP, address discovery) that this profile's supernode had when it ran last.
    async fn ports_before(&self) -> Result<Option<(u16, u16)>, StoreError> {
        let text = self
            .db
            .read(|tx| settings::get(tx, SUPERNODE_PORTS))
            .await?;
        Ok(text.and_then(|text| {
            let (tcp, udp) = text.split_once(' ')?;
            Some((tcp.parse().ok()?, udp.parse().ok()?))
        }))
    }

    /// Makes a network with this machine as its first supernode.
    pub async fn init_network(
        &self,
        name: &str,
        advertise: Option<&str>,
    ) -> Result<view::NetworkMade, Failure> {
        let _one = self.changing.lock().await;
        if self.joined().await.map_err(store_failure)?.is_some() {
            return Err(Failure::new(
                ErrorKind::State,
                "this profile belongs to a network already; use another --profile",
            ));
        }
        let ip = match advertise {
            Some(text) => Some(text.parse::<IpAddr>().map_err(|_| {
                Failure::new(
                    ErrorKind::Usage,
                    "--advertise takes the IP address others reach this machine at",
                )
            })?),
            None => None,
        };
        let old = self
            .supernode
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(old) = old {
            old.stop().await;
        }
        let owner_seed: [u8; 32] = random();
        let owner = ed25519_dalek::SigningKey::from_bytes(&owner_seed);
        let id = NetworkId(owner.verifying_key().to_bytes());
        let made = |supernodes: Vec<SupernodeAddr>, file: Option<String>| Joined {
            network: Some(id),
            name: name.to_owned(),
            file,
            owner: Some(Zeroizing::new(owner_seed)),
            supernodes,
            joined_at: wall_ms(),
        };
        let row = made(Vec::new(), None);
        self.db
            .write(move |tx| networks::join(tx, &row))
            .await
            .map_err(store_failure)?;
        self.start_supernode(ip)
            .await
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        let supernode = self
            .supernode()
            .ok_or_else(|| Failure::new(ErrorKind::System, "the supernode did not start"))?;
        let address = supernode.address().clone();
        let network = Network {
            id,
            name: name.to_owned(),
            supernodes: vec![address.clone()],
        };
        let file = network.to_file(&owner);
        let row = made(vec![address.clone()], Some(file.clone()));
        self.db
            .write(move |tx| networks::join(tx, &row))
            .await
            .map_err(store_failure)?;
        self.move_session().await?;
        let link = Link {
            target: Target::Network,
            network: Some(id),
            supernodes: vec![address.clone()],
        };
        Ok(view::NetworkMade {
            network: self.network_view().await?.unwrap_or_default(),
            file,
            link: link.to_string(),
            notes: notes(&address),
        })
    }

    /// Joins a network by its file or a link.
    pub async fn join_network(&self, source: &str) -> Result<view::Network, Failure> {
        let usage = |text: String| Failure::new(ErrorKind::Usage, text);
        let joined = if source.trim_start().starts_with("starling:") {
            let link: Link = source
                .parse()
                .map_err(|error: starling_wire::link::LinkError| usage(error.to_string()))?;
            let name = link
                .network
                .map_or_else(|| "by link".to_owned(), |id| id.short());
            Joined {
                network: link.network,
                name,
                file: None,
                owner: None,
                supernodes: link.supernodes,
                joined_at: wall_ms(),
            }
        } else {
            let network = Network::from_file(source).map_err(|error| usage(error.to_string()))?;
            Joined {
                network: Some(network.id),
                name: network.name,
                file: Some(source.to_owned()),
                owner: None,
                supernodes: network.supernodes,
                joined_at: wall_ms(),
            }
        };
        let _one = self.changing.lock().await;
        self.db
            .write(move |tx| networks::join(tx, &joined))
            .await
            .map_err(store_failure)?;
        if !self.config.supernode {
            let old = self
                .supernode
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(old) = old {
                old.stop().await;
            }
        }
        self.move_session().await?;
        Ok(self.network_view().await?.unwrap_or_default())
    }

    async fn move_session(&self) -> Result<(), Failure> {
        let homes = self.homes().await.map_err(store_failure)?;
        if let Ok(session) = self.session() {
            session.set_homes(homes).await;
        }
        Ok(())
    }

    /// The network joined, as clients see it.
    pub async fn network_view(&self) -> Result<Option<view::Network>, Failure> {
        let joined = self.joined().await.map_err(store_failure)?;
        Ok(joined.map(|joined| view::Network {
            id: joined.network.map(|id| id.to_string()),
            name: joined.name,
            supernodes: joined
                .supernodes
                .iter()
                .map(|s| format!("{} ({})", s.tcp, s.id.short()))
                .collect(),
            owner: joined.owner.is_some(),
        }))
    }
}

/// This supernode's entry in the network file, if it has one.
fn listed(joined: &Joined, seed: &[u8; 32]) -> Option<SupernodeAddr> {
    let own = ed25519_dalek::SigningKey::from_bytes(seed)
        .verifying_key()
        .to_bytes();
    joined
        .supernodes
        .iter()
        .find(|supernode| supernode.id.0 == own)
        .cloned()
}

fn notes(address: &SupernodeAddr) -> Vec<String> {
    let mut notes = Vec::new();
    if !address.is_public() {
        notes.push(format!(
            "{} is no public address: only machines on this network reach it; give the public one with --advertise",
            address.tcp.ip()
        ));
    }
    if address.tcp.port() != 443 {
        notes.push(format!(
            "some networks let nothing but port 443 out; forward TCP 443 to port {} where you can",
            address.tcp.port()
        ));
    }
    notes
}

/// What this machine is called, as a first name for the device.
fn device_name() -> String {
    shortened(&std::fs::read_to_string("/etc/hostname").unwrap_or_default())
}

fn shortened(name: &str) -> String {
    let mut short = String::new();
    for letter in name.trim().chars().filter(|c| !c.is_control()) {
        // Bytes, not letters: a name beyond `NAME_MAX` would make a chain that nobody accepts.
        if short.len() + letter.len_utf8() > DEVICE_NAME_BYTES {
            break;
        }
        short.push(letter);
    }
    if short.is_empty() {
        "this device".to_owned()
    } else {
        short
    }
}

/// The account as clients see it.
pub fn account_view(identity: &Identity) -> view::Account {
    view::Account {
        id: identity.account().to_string(),
        name: identity.name.clone(),
        device: identity.device_id().to_string(),
        device_name: identity.device_name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_a_long_name_has_a_valid_account() {
        let name = shortened(&"名".repeat(60));
        assert_eq!(name.len(), DEVICE_NAME_BYTES);
        let identity = Identity::create("Alice", &name);
        assert!(identity.chain.verify().is_ok());
        assert_eq!(shortened(" \n"), "this device");
    }
}
