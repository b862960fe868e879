//! The embedded relay server of a supernode. We accept its TCP ourselves (one port, TLS only), count and pace what each
//! client sends, and hand the frames to iroh's relay; so who may connect, from where, and how much goes through, is
//! decided here. Beside it runs QUIC address discovery.

mod accept;
mod admission;
pub mod connect;
mod counted;
mod link;

pub use self::admission::block_of;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use iroh_relay::server::{QuicConfig, Server, ServerConfig};
use starling_wire::ids::EndpointKey;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::accept::Door;
use self::admission::{Links, Places};
use self::connect::{TunnelConfig, Tunnels};
use super::pins::{self, CertificateMakeError};
use crate::descriptors;
use crate::roles::carrier::Carrier;

/// Relay links admitted at once, where the process may hold so many descriptors.
const LINKS_MAX: usize = 10_000;
/// TCP connections that may be in their handshake at once.
const HANDSHAKES_MAX: usize = 512;
/// Tunnels to other relays at once; each takes two descriptors.
const TUNNELS_MAX: usize = 1_000;
/// Descriptors kept for everything else: the store, files, sound, the window, the local API. Half of them where there are few.
const RESERVED: u64 = 512;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For address discovery to close its port.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Relay links from one block of addresses: a firm of 500 behind one address has two each, in calls and at rest.
const LINKS_OF_BLOCK: usize = 2_000;
/// Others that one client sends to at once.
const CIRCUITS_OF_ONE: usize = 512;

/// A front door came or went. One door can hold two links for a moment; the newer one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent {
    /// A relay link is up.
    Up(EndpointKey, u64),
    /// A relay link ended.
    Down(EndpointKey, u64),
}

/// How to serve.
#[derive(Debug)]
pub struct RelayServerConfig {
    /// Wanted TCP address; another port is taken if this one is in use.
    pub listen: SocketAddr,
    /// Further TCP ports, exactly these, for clients whose networks let little out. TLS, as on the first.
    pub also: Vec<u16>,
    /// Wanted UDP address for address discovery, if there is to be any; likewise.
    pub discovery: Option<SocketAddr>,
    /// The supernode's key seed.
    pub seed: [u8; 32],
    /// Refuse sources outside loopback and private ranges.
    pub private_only: bool,
    /// Listen for address discovery at this address only.
    pub discovery_ip: Option<IpAddr>,
    /// Who may go through to other relays.
    pub tunnels: TunnelConfig,
    /// Whom to let in, at most.
    pub limits: Limits,
    /// No other TCP port than this will do.
    pub fixed: bool,
}

/// Bounds that an administrator may have set lower, or higher, than ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Relay links at once.
    pub links: Option<u32>,
    /// From one block of addresses.
    pub of_block: Option<u32>,
    /// Others that one client sends to at once.
    pub circuits: Option<u32>,
}

/// How many connections there is room for: a supernode says no before it breaks (`RELAY-03`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    links: usize,
    handshakes: usize,
    tunnels: usize,
}

impl Room {
    /// In a process that may hold so many descriptors.
    fn within(descriptors: u64) -> Self {
        let ours = descriptors - RESERVED.min(descriptors / 2);
        let ours = usize::try_from(ours).unwrap_or(usize::MAX);
        let handshakes = HANDSHAKES_MAX.min(ours / 4);
        let tunnels = TUNNELS_MAX.min(ours / 12);
        Self {
            links: LINKS_MAX.min(ours - handshakes - 2 * tunnels),
            handshakes,
            tunnels,
        }
    }
}

/// A running relay server; stops when dropped.
#[derive(Debug)]
pub struct RelayServer {
    tcp: SocketAddr,
    discovery_port: u16,
    room: Room,
    links: Arc<Links>,
    tunnels: Tunnels,
    door: Door,
    open: tokio::sync::Mutex<Option<Open>>,
}

/// What holds the ports.
#[derive(Debug)]
struct Open {
    accepting: JoinSet<()>,
    discovery: Option<Server>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayServerError {
    /// The port could not be opened.
    #[error("the supernode cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Certificate trouble.
    #[error(transparent)]
    Certificate(#[from] CertificateMakeError),
    /// Address discovery could not be started.
    #[error("address discovery cannot listen on {0}: {1}")]
    Discovery(SocketAddr, String),
}

impl RelayServer {
    /// Opens both ports and serves.
    pub async fn start(
        config: RelayServerConfig,
        carrier: Carrier,
        events: mpsc::UnboundedSender<LinkEvent>,
    ) -> Result<Self, RelayServerError> {
        Self::start_in(Room::within(descriptors::limit()), config, carrier, events).await
    }

    async fn start_in(
        room: Room,
        config: RelayServerConfig,
        carrier: Carrier,
        events: mpsc::UnboundedSender<LinkEvent>,
    ) -> Result<Self, RelayServerError> {
        let listener = listen(config.listen, config.fixed).await?;
        let tcp = listener
            .local_addr()
            .map_err(|error| RelayServerError::Listen(config.listen, error))?;
        let mut listeners = vec![listener];
        for port in config.also.iter().filter(|port| **port != tcp.port()) {
            let at = SocketAddr::new(config.listen.ip(), *port);
            let more = TcpListener::bind(at).await;
            listeners.push(more.map_err(|error| RelayServerError::Listen(at, error))?);
        }
        let tls = pins::server_config(&config.seed)?;
        // Address discovery cannot be told whom to answer, only where to listen.
        let discovery = match config.discovery {
            Some(wanted) => {
                let ip = config.discovery_ip.unwrap_or(wanted.ip());
                Some(start_discovery(SocketAddr::new(ip, wanted.port()), &config.seed).await?)
            }
            None => None,
        };
        let discovery_port = discovery
            .as_ref()
            .and_then(Server::quic_addr)
            .map_or(0, |address| address.port());
        let places = config.limits.places(room);
        let links = Arc::new(Links::new(places, carrier.clone(), events));
        let circuits = config.limits.circuits();
        let tunnels = Tunnels::new(config.tunnels, carrier.clone(), room.tunnels);
        let through = (Arc::clone(&links), tunnels.clone());
        let door = Door::new(tls, carrier.clone(), through, circuits, room);
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(door.clone().accept(listener, config.private_only));
        }
        accepting.spawn(carrier.pace());
        Ok(Self {
            tcp,
            discovery_port,
            room,
            links,
            tunnels,
            door,
            open: tokio::sync::Mutex::new(Some(Open {
                accepting,
                discovery,
            })),
        })
    }

    /// The TCP address really listened on.
    pub const fn tcp(&self) -> SocketAddr {
        self.tcp
    }

    /// The UDP port of address discovery.
    pub const fn discovery_port(&self) -> u16 {
        self.discovery_port
    }

    /// Relay links of others that are up.
    pub fn links(&self) -> usize {
        self.links.count()
    }

    /// Whom to let in from now on; who is here stays.
    pub fn set_limits(&self, limits: Limits) {
        self.links.set_places(limits.places(self.room));
        self.door.set_circuits(limits.circuits());
    }

    /// What goes through to other relays.
    pub const fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Relay links of others that fit.
    pub fn links_max(&self) -> usize {
        self.links.most()
    }

    /// Where in the network a client sits; `None` for one of this process. All that are not here sit in one place.
    pub fn block_of(&self, client: EndpointKey) -> Option<IpAddr> {
        self.links.block_of(client)
    }

    /// The address of a client that is here.
    pub fn address_of(&self, client: EndpointKey) -> Option<IpAddr> {
        self.links.address_of(client)
    }

    /// Ends every link; whoever wants to stay comes again.
    pub fn end_links(&self) {
        self.door.disconnect(self.links.all());
    }

    /// Closes both ports, so that whoever is started next can have them, and says goodbye to every client.
    pub async fn shutdown(&self) {
        let open = self.open.lock().await.take();
        if let Some(mut open) = open {
            open.accepting.shutdown().await;
            if let Some(discovery) = open.discovery {
                let _ = tokio::time::timeout(CLOSE_TIME, discovery.shutdown()).await;
            }
        }
        self.tunnels.close();
        self.door.close().await;
    }
}

impl Limits {
    fn places(self, room: Room) -> Places {
        Places {
            links: room.links.min(Self::or(self.links, room.links)),
            of_block: Self::or(self.of_block, LINKS_OF_BLOCK),
        }
    }

    fn circuits(self) -> usize {
        Self::or(self.circuits, CIRCUITS_OF_ONE)
    }

    fn or(set: Option<u32>, ours: usize) -> usize {
        set.and_then(|set| usize::try_from(set).ok())
            .unwrap_or(ours)
    }
}

async fn listen(wanted: SocketAddr, fixed: bool) -> Result<TcpListener, RelayServerError> {
    match TcpListener::bind(wanted).await {
        Ok(listener) => Ok(listener),
        Err(error) if fixed => Err(RelayServerError::Listen(wanted, error)),
        Err(_) => {
            let any = SocketAddr::new(wanted.ip(), 0);
            TcpListener::bind(any)
                .await
                .map_err(|error| RelayServerError::Listen(wanted, error))
        }
    }
}

async fn start_discovery(wanted: SocketAddr, seed: &[u8; 32]) -> Result<Server, RelayServerError> {
    let mut last = String::new();
    for address in [wanted, SocketAddr::new(wanted.ip(), 0)] {
        let mut quic = QuicConfig::new(address);
        quic.server_config = Some(pins::server_config(seed)?);
        let mut config = ServerConfig::default();
        config.quic = Some(quic);
        match Server::spawn(config).await {
            Ok(server) => return Ok(server),
            Err(error) => last = error.to_string(),
        }
    }
    Err(RelayServerError::Discovery(wanted, last))
}

#[cfg(test)]
mod caps_tests;
#[cfg(test)]
mod tests;
