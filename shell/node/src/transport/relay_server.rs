//! The embedded relay server of a supernode. We accept its TCP ourselves (one port, TLS only) and hand each connection
//! to iroh's relay service; so who may connect, from where, is decided here. Beside it runs QUIC address discovery.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use iroh::EndpointId;
use iroh_relay::KeyCache;
use iroh_relay::server::http_server::{BytesBody, Handlers, RelayService, RelayServiceWithNotify};
use iroh_relay::server::streams::MaybeTlsStream;
use iroh_relay::server::{
    Access, AccessControl, ClientRequest, ConnectionId, Metrics, QuicConfig, Server, ServerConfig,
};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::is_private;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, trace};

use self::connect::{TunnelConfig, Tunnels};
use super::endpoint::endpoint_key;
use super::pins::{self, CertificateMakeError};
use crate::descriptors;

pub mod connect;

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
const KEY_CACHE: usize = 4096;

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
    /// Wanted UDP address for address discovery; likewise.
    pub discovery: SocketAddr,
    /// The supernode's key seed.
    pub seed: [u8; 32],
    /// Refuse sources outside loopback and private ranges.
    pub private_only: bool,
    /// Listen for address discovery at this address only.
    pub discovery_ip: Option<IpAddr>,
    /// Who may go through to other relays.
    pub tunnels: TunnelConfig,
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
    carried: Arc<Metrics>,
    links: Arc<Links>,
    tunnels: Tunnels,
    service: RelayService,
    open: tokio::sync::Mutex<Option<Open>>,
}

/// What holds the ports.
#[derive(Debug)]
struct Open {
    accepting: JoinSet<()>,
    discovery: Server,
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
        events: mpsc::UnboundedSender<LinkEvent>,
    ) -> Result<Self, RelayServerError> {
        Self::start_in(Room::within(descriptors::limit()), config, events).await
    }

    async fn start_in(
        room: Room,
        config: RelayServerConfig,
        events: mpsc::UnboundedSender<LinkEvent>,
    ) -> Result<Self, RelayServerError> {
        let listener = listen(config.listen).await?;
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
        let wanted = match config.discovery_ip {
            Some(ip) => SocketAddr::new(ip, config.discovery.port()),
            None => config.discovery,
        };
        let discovery = start_discovery(wanted, &config.seed).await?;
        let discovery_port = discovery.quic_addr().map_or(0, |address| address.port());
        let carried = Arc::new(Metrics::default());
        let links = Arc::new(Links {
            max: room.links,
            held: Mutex::default(),
        });
        let access = Arc::new(Admission {
            events,
            links: Arc::clone(&links),
        });
        let service = RelayService::new(
            handlers(),
            http::HeaderMap::new(),
            None,
            KeyCache::new(KEY_CACHE),
            access,
            Arc::clone(&carried),
        );
        let tunnels = Tunnels::new(config.tunnels, room.tunnels);
        let door = Door {
            acceptor: tokio_rustls::TlsAcceptor::from(Arc::new(tls)),
            service: service.clone(),
            tunnels: tunnels.clone(),
            handshakes: Arc::new(Semaphore::new(room.handshakes)),
        };
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let door = door.clone();
            accepting.spawn(accept_loop(listener, door, room, config.private_only));
        }
        Ok(Self {
            tcp,
            discovery_port,
            carried,
            links,
            tunnels,
            service,
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

    /// Relay links that are up.
    pub fn links(&self) -> usize {
        self.links.count()
    }

    /// What goes through to other relays.
    pub const fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Bytes received from and sent to clients, over relay links and tunnels.
    pub fn carried(&self) -> (u64, u64) {
        let (received, sent) = self.tunnels.carried();
        (
            self.carried.bytes_recv.get() + received,
            self.carried.bytes_sent.get() + sent,
        )
    }

    /// Closes both ports, so that whoever is started next can have them, and says goodbye to every client.
    pub async fn shutdown(&self) {
        let open = self.open.lock().await.take();
        if let Some(mut open) = open {
            open.accepting.shutdown().await;
            let _ = tokio::time::timeout(CLOSE_TIME, open.discovery.shutdown()).await;
        }
        self.tunnels.close();
        self.service.shutdown().await;
    }
}

async fn listen(wanted: SocketAddr) -> Result<TcpListener, RelayServerError> {
    match TcpListener::bind(wanted).await {
        Ok(listener) => Ok(listener),
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

/// iroh's clients measure a relay by `GET /ping`; without an answer nobody would choose it.
fn handlers() -> Handlers {
    let mut handlers = Handlers::default();
    handlers.insert(
        (hyper::Method::GET, "/ping"),
        Box::new(|_request, response| {
            let body: BytesBody = Box::new(http_body_util::Empty::new());
            Ok(response
                .status(StatusCode::OK)
                .header("Access-Control-Allow-Origin", "*")
                .body(body)?)
        }),
    );
    handlers
}

/// What an accepted connection may become: a relay link, a tunnel, a short question.
#[derive(Clone)]
struct Door {
    acceptor: tokio_rustls::TlsAcceptor,
    service: RelayService,
    tunnels: Tunnels,
    handshakes: Arc<Semaphore>,
}

async fn accept_loop(listener: TcpListener, door: Door, room: Room, private_only: bool) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((tcp, peer)) = listener.accept().await else {
            // Out of descriptors: give those in use a moment to end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if private_only && !is_private(peer.ip()) {
            debug!(
                "refused a relay client from outside: this supernode serves its own network only"
            );
            continue;
        }
        if connections.len() >= room.handshakes + room.links {
            debug!("refused a relay client: full");
            continue;
        }
        // RELAY-01: whoever does not finish a handshake takes no place from those who are here.
        let Ok(handshake) = Arc::clone(&door.handshakes).try_acquire_owned() else {
            debug!("refused a relay client: too many handshakes at once");
            continue;
        };
        connections.spawn(serve(tcp, peer, door.clone(), handshake));
    }
}

/// `handshake` is given back when the relay link or the tunnel is established or the connection ends.
async fn serve(tcp: TcpStream, peer: SocketAddr, door: Door, handshake: OwnedSemaphorePermit) {
    let _ = tcp.set_nodelay(true);
    let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE_TIME, door.acceptor.accept(tcp)).await else {
        trace!("a relay client failed its TLS handshake");
        return;
    };
    let established = Arc::new(Notify::new());
    let relay = RelayServiceWithNotify::new(door.service, Arc::clone(&established));
    let through = (door.tunnels, Arc::clone(&established));
    let handler = hyper::service::service_fn(move |request: Request<Incoming>| {
        let ((tunnels, established), relay) = (through.clone(), relay.clone());
        async move {
            if request.method() == hyper::Method::CONNECT {
                let answer = tunnels.connect(request, peer).await;
                if answer
                    .as_ref()
                    .is_ok_and(|answer| answer.status().is_success())
                {
                    established.notify_one();
                }
                return answer.map_err(std::io::Error::other);
            }
            let answer: Result<Response<BytesBody>, _> = relay.call(request).await;
            answer.map_err(|error| std::io::Error::other(error.to_string()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(MaybeTlsStream::Tls(tls)), handler)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        () = established.notified() => {
            drop(handshake);
            let _ = connection.await;
        }
        () = tokio::time::sleep(HANDSHAKE_TIME) => trace!("a relay client asked for nothing"),
    }
}

/// Admits clients up to the bound and reports who is here. Links are numbered in the order they came.
#[derive(Debug)]
struct Admission {
    events: mpsc::UnboundedSender<LinkEvent>,
    links: Arc<Links>,
}

#[derive(Debug)]
struct Links {
    max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    last: u64,
    numbers: HashMap<ConnectionId, u64>,
}

impl Links {
    fn count(&self) -> usize {
        self.held().numbers.len()
    }

    /// `RELAY-03`: `None` when it is full.
    fn add(&self, id: ConnectionId) -> Option<u64> {
        let mut held = self.held();
        if held.numbers.len() >= self.max {
            return None;
        }
        held.last += 1;
        let number = held.last;
        held.numbers.insert(id, number);
        Some(number)
    }

    fn remove(&self, id: ConnectionId) -> Option<u64> {
        self.held().numbers.remove(&id)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessControl for Admission {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        let Some(number) = self.links.add(request.connection_id()) else {
            return Access::Deny {
                reason: Some("this supernode is full".to_owned()),
            };
        };
        let _ = self
            .events
            .send(LinkEvent::Up(endpoint_key(request.endpoint_id()), number));
        Access::Allow
    }

    fn on_disconnect(&self, endpoint_id: EndpointId, connection_id: ConnectionId) {
        if let Some(number) = self.links.remove(connection_id) {
            let _ = self
                .events
                .send(LinkEvent::Down(endpoint_key(endpoint_id), number));
        }
    }
}

#[cfg(test)]
mod tests;
