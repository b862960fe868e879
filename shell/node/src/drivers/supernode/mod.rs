//! The supernode's service: registrations, look-ups, sealed envelopes and presence for others (spec page `super.md`).
//! What it acknowledges is on disk; what it holds it cannot read.

mod among;
mod crowd;
mod dial_back;
mod holding;
mod mailbox;
mod names;
mod notices;
mod overlay;
mod packages;
mod presence;
mod requests;
mod rooms;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use iroh::Endpoint;
use iroh::endpoint::{Connection, Incoming, IncomingAddr};
use starling_protocol::mailbox::holder::Caps;
use starling_store::{StoreError, key_packages, rescue, supernode as rows};
use starling_wire::alpn;
use starling_wire::descriptor::DescriptorError;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{
    Answer, REQUEST_MAX, Refusal, Request, SupernodeAddr, is_private, is_public,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};
use zeroize::Zeroizing;

use self::among::Among;
use self::crowd::Willing;
use self::dial_back::DialBacks;
use self::holding::Grants;
use self::mailbox::Mailbox;
use self::names::Searches;
use self::notices::DeskInput;
use self::packages::Takers;
use crate::clock::{Clock, wall_s};
use crate::db::Db;
use crate::drivers::forwarder::Forwarder;
use crate::drivers::holder::{self, MailboxHolder};
use crate::roles::carrier::Carrier;
use crate::transport::endpoint::{self, EndpointError, endpoint_key, relay_url};
use crate::transport::pins::Pins;
use crate::transport::relay_server::connect::TunnelConfig;
use crate::transport::relay_server::{Limits, RelayServer, RelayServerConfig, RelayServerError};
use crate::transport::stream::{self, StreamError};

const SILENCE: Duration = Duration::from_secs(30);
const CONNECTIONS_MAX: usize = 2_000;
const STREAMS_AT_ONCE: u32 = 16;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For one request to arrive whole, and again for its answer to be taken: a slow client holds its own place only so long.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How often it is looked for what has expired.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
/// For telling everybody that this supernode leaves.
const LEAVING_TIME: Duration = Duration::from_secs(2);

/// A running supernode; stops when dropped.
#[derive(Debug)]
pub struct Supernode {
    address: SupernodeAddr,
    also: Vec<u16>,
    relay: Arc<RelayServer>,
    service: Arc<Service>,
    seed: Zeroizing<[u8; 32]>,
    /// Where it listens for other supernodes; `None` if it serves its own network only.
    direct: Option<SocketAddr>,
    clock: Clock,
    /// The overlay's tasks.
    among: Mutex<JoinSet<()>>,
    _tasks: JoinSet<()>,
}

/// How to serve.
#[derive(Debug)]
pub struct SupernodeConfig {
    /// Wanted TCP address.
    pub listen: SocketAddr,
    /// Further TCP ports.
    pub also: Vec<u16>,
    /// Wanted UDP address of address discovery, if there is to be any.
    pub discovery: Option<SocketAddr>,
    /// Key seed.
    pub seed: [u8; 32],
    /// Serve loopback and private ranges only.
    pub private_only: bool,
    /// Address others are told, if it is not the one listened on.
    pub advertise: Option<Advertise>,
    /// Whom to let in, at most.
    pub limits: Limits,
    /// No other TCP port than this will do.
    pub fixed: bool,
    /// Whether other supernodes may reach it over UDP.
    pub udp: bool,
    /// The profile's folder: its disk is not filled up with what is kept for others.
    pub folder: PathBuf,
    /// What it keeps in conversations' boxes at most.
    pub holding: Caps,
}

/// Where others reach a supernode whose own address is another.
#[derive(Debug, Clone, Copy)]
pub struct Advertise {
    /// Address.
    pub ip: IpAddr,
    /// TCP port, if another one is forwarded.
    pub port: Option<u16>,
}

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum SupernodeError {
    /// The relay.
    #[error(transparent)]
    Relay(#[from] RelayServerError),
    /// Its own endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// What it keeps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its own description.
    #[error(transparent)]
    Description(#[from] DescriptorError),
}

#[derive(Debug)]
struct Service {
    db: Db,
    /// Where it reaches its own relay: over loopback if it can.
    own: SupernodeAddr,
    /// Whether others reach it on a private address only.
    private: bool,
    endpoint: Endpoint,
    pins: Pins,
    desk: mpsc::Sender<DeskInput>,
    carrier: Carrier,
    relay: Arc<RelayServer>,
    /// The other supernodes of its network, once it belongs to one.
    among: RwLock<Option<Among>>,
    willing: Willing,
    dial_backs: DialBacks,
    searches: Searches,
    mailbox: Mailbox,
    forwarder: Forwarder,
    holder: MailboxHolder,
    grants: Grants,
    takers: Takers,
    clock: Clock,
}

impl Supernode {
    /// Opens the ports and serves.
    pub async fn start(
        config: SupernodeConfig,
        db: Db,
        pins: Pins,
        clock: Clock,
        carrier: Carrier,
    ) -> Result<Self, SupernodeError> {
        let (link_sender, links) = mpsc::unbounded_channel();
        carrier.serve(key_of(&config.seed));
        carrier.registered(db.read(rows::all_doors).await?);
        let relay = RelayServer::start(relaying(&config, &db), carrier.clone(), link_sender);
        let relay = Arc::new(relay.await?);
        let (address, own) = addresses(&config, &relay);
        pins.serve_at(&own);
        pins.learn(&address);
        let alpns = [alpn::SUPER, alpn::PUBLISH, alpn::INDEX, alpn::LOG].map(<[u8]>::to_vec);
        let endpoint = endpoint::supernode(&config.seed, &pins, alpns.to_vec(), &own).await?;
        let (desk, desk_inputs) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        let holding = holding(&config, &db, (clock, &carrier));
        let holder = MailboxHolder::start(holding, &mut tasks).await?;
        let service = Arc::new(Service {
            db: db.clone(),
            own,
            private: !address.is_public(),
            endpoint: endpoint.clone(),
            pins,
            desk,
            forwarder: Forwarder::new(carrier.clone(), clock),
            carrier,
            relay: Arc::clone(&relay),
            among: RwLock::default(),
            willing: Willing::default(),
            dial_backs: DialBacks::new(clock),
            searches: Searches::default(),
            mailbox: Mailbox::default(),
            holder,
            grants: Grants::new(&config.seed),
            takers: Takers::default(),
            clock,
        });
        tasks.spawn(accept(Arc::clone(&service)));
        tasks.spawn(expire(Arc::clone(&service)));
        tasks.spawn(crowd::run(Arc::clone(&service), clock));
        let desk_inputs = (desk_inputs, links);
        tasks.spawn(notices::run(Arc::clone(&service), desk_inputs, clock));
        let direct = SocketAddr::new(relay.tcp().ip(), config.listen.port());
        let udp = config.udp && !config.private_only;
        Ok(Self {
            address,
            also: config.also,
            relay,
            service,
            seed: Zeroizing::new(config.seed),
            direct: udp.then_some(direct),
            clock,
            among: Mutex::default(),
            _tasks: tasks,
        })
    }

    /// Where others reach it.
    pub const fn address(&self) -> &SupernodeAddr {
        &self.address
    }

    /// The ports listened on: TCP, and UDP for address discovery.
    pub fn ports(&self) -> (u16, u16) {
        (self.relay.tcp().port(), self.relay.discovery_port())
    }

    /// The ports others reach it at: TCP, and UDP for other supernodes (0: none).
    pub fn reached_at(&self) -> (u16, u16) {
        (self.relay.tcp().port(), self.udp_port().unwrap_or(0))
    }

    /// Relay links that are up, those of this process not counted.
    pub fn clients(&self) -> usize {
        self.relay.links()
    }

    /// Whom to let in from now on; who is here stays.
    pub fn set_limits(&self, limits: Limits) {
        self.relay.set_limits(limits);
    }

    /// What is listened on, in words.
    pub fn listening(&self) -> Vec<String> {
        let ip = self.relay.tcp().ip();
        let relays = [self.relay.tcp().port()]
            .into_iter()
            .chain(self.also.iter().copied());
        let mut words: Vec<String> = relays
            .map(|port| format!("{} TCP (relay)", SocketAddr::new(ip, port)))
            .collect();
        if self.relay.discovery_port() != 0 {
            let discovery = SocketAddr::new(ip, self.relay.discovery_port());
            words.push(format!("{discovery} UDP (address discovery)"));
        }
        if let Some(port) = self.udp_port() {
            let direct = SocketAddr::new(ip, port);
            words.push(format!("{direct} UDP (other supernodes)"));
        }
        if let Some((port, reached)) = self.packets() {
            let packets = SocketAddr::new(ip, port);
            let not = if reached { "" } else { ", nothing came in yet" };
            words.push(format!("{packets} UDP (packets of other supernodes{not})"));
        }
        words
    }

    /// Tells its clients and stops.
    pub async fn stop(&self) {
        let goodbye = tokio::time::timeout(LEAVING_TIME, self.say_goodbye());
        let _ = tokio::join!(goodbye, self.part(), self.service.holder.stop());
        self.service.endpoint.close().await;
        self.relay.shutdown().await;
    }
}

impl Supernode {
    async fn say_goodbye(&self) {
        // Only those who are at home here: to everybody else it means nothing.
        let Ok(doors) = self.service.db.read(rows::all_doors).await else {
            return;
        };
        let (told, all_told) = oneshot::channel();
        if self
            .service
            .desk
            .send(DeskInput::Leave(doors, told))
            .await
            .is_ok()
        {
            let _ = all_told.await;
        }
    }
}

fn relaying(config: &SupernodeConfig, db: &Db) -> RelayServerConfig {
    RelayServerConfig {
        listen: config.listen,
        also: config.also.clone(),
        discovery: config.discovery,
        seed: config.seed,
        private_only: config.private_only,
        discovery_ip: discovery_ip(config),
        tunnels: tunnels(config, db),
        limits: config.limits,
        fixed: config.fixed,
    }
}

fn holding(
    config: &SupernodeConfig,
    db: &Db,
    (clock, carrier): (Clock, &Carrier),
) -> holder::Setup {
    holder::Setup {
        db: db.clone(),
        folder: config.folder.clone(),
        key: ed25519_dalek::SigningKey::from_bytes(&config.seed),
        clock,
        carrier: carrier.clone(),
        caps: config.holding,
    }
}

/// `TUNNEL-03`: whoever is registered here reaches other relays through this supernode.
fn tunnels(config: &SupernodeConfig, db: &Db) -> TunnelConfig {
    let told = config.advertise.map(|told| told.ip);
    let ip = told.unwrap_or_else(|| outward(config.listen.ip()));
    let db = db.clone();
    TunnelConfig {
        supernode: key_of(&config.seed),
        private: config.private_only || !is_public(ip),
        registered: Arc::new(move |door| {
            let db = db.clone();
            Box::pin(async move {
                let account = db.read(move |tx| rows::account_of(tx, door)).await;
                matches!(account, Ok(Some(_)))
            })
        }),
    }
}

/// The key that belongs to a supernode's seed.
pub fn key_of(seed: &[u8; 32]) -> EndpointKey {
    let key = ed25519_dalek::SigningKey::from_bytes(seed);
    EndpointKey(key.verifying_key().to_bytes())
}

/// Where others reach it, and where this machine does: over loopback if it can.
fn addresses(config: &SupernodeConfig, relay: &RelayServer) -> (SupernodeAddr, SupernodeAddr) {
    let id = key_of(&config.seed);
    let at = |ip| SupernodeAddr {
        id,
        tcp: SocketAddr::new(ip, relay.tcp().port()),
        discovery_port: relay.discovery_port(),
    };
    let listened = relay.tcp().ip();
    let mut address = at(config
        .advertise
        .map_or_else(|| outward(listened), |told| told.ip));
    if let Some(port) = config.advertise.and_then(|told| told.port) {
        address.tcp.set_port(port);
    }
    let own = at(if listened.is_unspecified() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        listened
    });
    (address, own)
}

/// `RELAY-02`: who serves its own network only does not answer for address discovery at an address that others reach.
fn discovery_ip(config: &SupernodeConfig) -> Option<IpAddr> {
    let any = config.discovery?.ip();
    (config.private_only && any.is_unspecified()).then(|| {
        let outward = outward(any);
        if is_private(outward) {
            outward
        } else {
            Ipv4Addr::LOCALHOST.into()
        }
    })
}

/// The address this machine is reached at on its LAN, found without sending anything.
fn outward(listening: IpAddr) -> IpAddr {
    if !listening.is_unspecified() {
        return listening;
    }
    // Connecting a UDP socket only looks into the routing table. The target is a documentation address (RFC 5737).
    let route = || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    route().unwrap_or(Ipv4Addr::LOCALHOST.into())
}

async fn accept(service: Arc<Service>) {
    let mut connections = JoinSet::new();
    while let Some(incoming) = service.endpoint.accept().await {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            debug!(reason = "full", "refused a request connection");
            incoming.refuse();
            continue;
        }
        let service = Arc::clone(&service);
        connections.spawn(async move {
            let admitted = tokio::time::timeout(HANDSHAKE_TIME, admit(&service, incoming)).await;
            if let Ok(Some(connection)) = admitted {
                serve(service, connection).await;
            }
        });
    }
}

/// `PRESENCE-31`: whoever is about to say how its person is, is announced while its handshake goes on.
async fn admit(service: &Service, incoming: Incoming) -> Option<Connection> {
    let door = known_by_its_link(&service.own, &incoming.remote_addr());
    let mut accepting = incoming.accept().ok()?;
    if accepting.alpn().await.ok()? == alpn::PUBLISH
        && let Some(door) = door
    {
        // Where there is no room, it is not needed.
        let _ = service.desk.try_send(DeskInput::Announced(door));
    }
    accepting.await.ok()
}

/// Whose link to our own relay a first packet came by: that link proved its key. What another relay says counts nothing.
fn known_by_its_link(own: &SupernodeAddr, from: &IncomingAddr) -> Option<EndpointKey> {
    match from {
        IncomingAddr::Relay { url, endpoint_id } => {
            (relay_url(own).as_ref() == Some(url)).then(|| endpoint_key(*endpoint_id))
        }
        _ => None,
    }
}

/// `SUPER-07`: once an hour, what is over is forgotten.
async fn expire(service: Arc<Service>) {
    loop {
        let copies = service.db.write(|tx| rescue::expire(tx, wall_s())).await;
        if let Err(error) = copies {
            warn!(%error, "old rescue copies could not be forgotten");
        }
        let packages = service.db.write(|tx| key_packages::expire(tx, wall_s()));
        if let Err(error) = packages.await {
            warn!(%error, "old key packages could not be forgotten");
        }
        match service.db.write(|tx| rows::expire(tx, wall_s())).await {
            Ok(rows::Expired {
                accounts: 0,
                deposits: 0,
            }) => {}
            Ok(rows::Expired { accounts, deposits }) => {
                info!(
                    reason = "expired",
                    accounts, deposits, "forgot what was over"
                );
            }
            Err(error) => warn!(%error, "what has expired could not be forgotten"),
        }
        tokio::time::sleep(EXPIRE_EVERY).await;
    }
}

async fn serve(service: Arc<Service>, connection: Connection) {
    let asker = endpoint_key(connection.remote_id());
    if connection.alpn() == alpn::INDEX {
        match service.among() {
            Some(among) => among.links.adopt(connection),
            None => connection.close(1u32.into(), b"no index here"),
        }
        return;
    }
    if connection.alpn() == alpn::LOG {
        // Whoever is on this machine is in nobody's block.
        let block = service.relay.block_of(asker);
        let block = block.unwrap_or(Ipv4Addr::LOCALHOST.into());
        return service.holder.attend(connection, block).await;
    }
    connection.set_max_concurrent_bi_streams(STREAMS_AT_ONCE.into());
    loop {
        let Ok(Ok((mut send, mut receive))) =
            tokio::time::timeout(SILENCE, connection.accept_bi()).await
        else {
            break;
        };
        let read = stream::read::<Request>(&mut receive, REQUEST_MAX);
        let answer = match tokio::time::timeout(REQUEST_TIME, read).await {
            Ok(Ok(Some(request))) => requests::answer(&service, asker, request).await,
            Ok(Ok(None)) => continue,
            Ok(Err(StreamError::Frame(_))) => Answer::Refused(Refusal::Malformed),
            // SUPER-08: half a request for so long is no request.
            Ok(Err(StreamError::Lost)) | Err(_) => break,
        };
        let write = async {
            stream::write(&mut send, &answer).await?;
            send.finish().map_err(|_| StreamError::Lost)
        };
        if !matches!(tokio::time::timeout(REQUEST_TIME, write).await, Ok(Ok(()))) {
            break;
        }
    }
    connection.close(0u32.into(), b"silence");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_31_only_whose_link_to_our_own_relay_is_up_announces() {
        let [own, other] = ["127.0.0.1:1", "127.0.0.1:2"].map(|tcp| SupernodeAddr {
            id: key_of(&[1; 32]),
            tcp: tcp.parse().unwrap(),
            discovery_port: 0,
        });
        let door = key_of(&[2; 32]);
        let by = |relay: &SupernodeAddr| IncomingAddr::Relay {
            url: relay_url(relay).unwrap(),
            endpoint_id: endpoint::endpoint_id(door).unwrap(),
        };
        assert_eq!(known_by_its_link(&own, &by(&own)), Some(door));
        assert_eq!(known_by_its_link(&own, &by(&other)), None);
        let direct = IncomingAddr::Ip(own.tcp);
        assert_eq!(known_by_its_link(&own, &direct), None);
    }

    #[test]
    fn relay_02_address_discovery_of_a_private_supernode_stays_private() {
        let config = |discovery: &str, private_only| SupernodeConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            also: Vec::new(),
            discovery: discovery.parse().ok(),
            seed: [1; 32],
            private_only,
            advertise: None,
            limits: Limits::default(),
            fixed: false,
            udp: true,
            folder: PathBuf::new(),
            holding: Caps::default(),
        };
        // Whatever this machine's own address is.
        let found = discovery_ip(&config("0.0.0.0:0", true)).unwrap();
        assert!(is_private(found), "{found}");
        assert_eq!(discovery_ip(&config("127.0.0.1:0", true)), None);
        assert_eq!(discovery_ip(&config("0.0.0.0:0", false)), None);
    }
}
