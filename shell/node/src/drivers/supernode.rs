//! The supernode's service: registrations, look-ups, sealed envelopes and presence for others (spec page "supernode").
//! What it acknowledges is on disk; what it holds it cannot read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use iroh::Endpoint;
use iroh::endpoint::Connection;
use starling_protocol::presence::desk::{Desk, Tell};
use starling_store::{StoreError, supernode as rows};
use starling_wire::alpn;
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::supernode::{Answer, Notice, REQUEST_MAX, Refusal, Request, SupernodeAddr};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::clock::{Clock, sleep_until, wall_s};
use crate::db::Db;
use crate::transport::dial;
use crate::transport::endpoint::{self, EndpointError, endpoint_key};
use crate::transport::pins::Pins;
use crate::transport::relay_server::{LinkEvent, RelayServer, RelayServerConfig, RelayServerError};
use crate::transport::{congestion, stream};

const SILENCE: Duration = Duration::from_secs(30);
const CONNECTIONS_MAX: usize = 2_000;
const STREAMS_AT_ONCE: u32 = 16;
const NOTICES_WAITING_MAX: usize = 1_000;

/// A running supernode; stops when dropped.
#[derive(Debug)]
pub struct Supernode {
    address: SupernodeAddr,
    relay: RelayServer,
    endpoint: Endpoint,
    _tasks: JoinSet<()>,
}

/// How to serve.
#[derive(Debug)]
pub struct SupernodeConfig {
    /// Wanted TCP address.
    pub listen: SocketAddr,
    /// Wanted UDP address of address discovery.
    pub discovery: SocketAddr,
    /// Key seed.
    pub seed: [u8; 32],
    /// Serve loopback and private ranges only.
    pub private_only: bool,
    /// Address others are told, if it is not the one listened on.
    pub advertise: Option<IpAddr>,
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
}

struct Service {
    db: Db,
    /// Where it reaches its own relay: over loopback if it can.
    own: SupernodeAddr,
    /// Whether others reach it on a private address only.
    private: bool,
    endpoint: Endpoint,
    pins: Pins,
    desk: mpsc::Sender<DeskInput>,
}

enum DeskInput {
    Watch {
        watcher: EndpointKey,
        doors: Vec<EndpointKey>,
        reply_to: SupernodeAddr,
        answer: tokio::sync::oneshot::Sender<Option<Vec<(EndpointKey, bool)>>>,
    },
    Unwatch(EndpointKey),
    Envelope(Vec<EndpointKey>),
}

impl Supernode {
    /// Opens the ports and serves.
    pub async fn start(
        config: SupernodeConfig,
        db: Db,
        pins: Pins,
        clock: Clock,
    ) -> Result<Self, SupernodeError> {
        let (link_sender, links) = mpsc::unbounded_channel();
        let relay_config = RelayServerConfig {
            listen: config.listen,
            discovery: config.discovery,
            seed: config.seed,
            private_only: config.private_only,
        };
        let relay = RelayServer::start(relay_config, link_sender).await?;
        let id = EndpointKey(
            ed25519_dalek::SigningKey::from_bytes(&config.seed)
                .verifying_key()
                .to_bytes(),
        );
        let at = |ip| SupernodeAddr {
            id,
            tcp: SocketAddr::new(ip, relay.tcp().port()),
            discovery_port: relay.discovery_port(),
        };
        let address = at(config
            .advertise
            .unwrap_or_else(|| outward(relay.tcp().ip())));
        let own = at(if relay.tcp().ip().is_unspecified() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            relay.tcp().ip()
        });
        pins.learn(&own);
        pins.learn(&address);
        let alpns = vec![alpn::SUPER.to_vec(), alpn::INDEX.to_vec()];
        let endpoint = endpoint::supernode(&config.seed, &pins, alpns, &own).await?;
        let (desk, desk_inputs) = mpsc::channel(64);
        let service = Arc::new(Service {
            db,
            own,
            private: address.is_private(),
            endpoint: endpoint.clone(),
            pins,
            desk,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(Arc::clone(&service)));
        tasks.spawn(run_desk(service, desk_inputs, links, clock));
        Ok(Self {
            address,
            relay,
            endpoint,
            _tasks: tasks,
        })
    }

    /// Where others reach it.
    pub const fn address(&self) -> &SupernodeAddr {
        &self.address
    }

    /// Relay links that are up, its own not counted.
    pub fn clients(&self) -> usize {
        self.relay.links().saturating_sub(1)
    }

    /// Bytes received from and sent to clients.
    pub fn carried(&self) -> (u64, u64) {
        self.relay.carried()
    }

    /// What is listened on, in words.
    pub fn listening(&self) -> Vec<String> {
        let ip = self.relay.tcp().ip();
        vec![
            format!("{} TCP (relay)", self.relay.tcp()),
            format!(
                "{} UDP (address discovery)",
                SocketAddr::new(ip, self.relay.discovery_port())
            ),
        ]
    }

    /// Tells its clients and stops.
    pub async fn stop(&self) {
        self.endpoint.close().await;
        self.relay.shutdown().await;
    }
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
            let Ok(Ok(connection)) = tokio::time::timeout(SILENCE, async { incoming.await }).await
            else {
                return;
            };
            serve(service, connection).await;
        });
    }
}

async fn serve(service: Arc<Service>, connection: Connection) {
    let asker = endpoint_key(connection.remote_id());
    let index_only = connection.alpn() == alpn::INDEX;
    connection.set_max_concurrent_bi_streams(STREAMS_AT_ONCE.into());
    loop {
        let Ok(Ok((mut send, mut receive))) =
            tokio::time::timeout(SILENCE, connection.accept_bi()).await
        else {
            break;
        };
        let answer = match stream::read::<Request>(&mut receive, REQUEST_MAX).await {
            Ok(Some(request)) => answer(&service, asker, index_only, request).await,
            Ok(None) => continue,
            Err(_) => Answer::Refused(Refusal::Malformed),
        };
        if stream::write(&mut send, &answer).await.is_err() || send.finish().is_err() {
            break;
        }
    }
    connection.close(0u32.into(), b"silence");
}

async fn answer(
    service: &Service,
    asker: EndpointKey,
    index_only: bool,
    request: Request,
) -> Answer {
    if let Err(refusal) = request.check() {
        return Answer::Refused(refusal);
    }
    if index_only && !matches!(request, Request::Lookup { .. }) {
        return Answer::Refused(Refusal::Malformed);
    }
    let result = match request {
        Request::Register { record } => service.register(asker, record).await,
        Request::Lookup { account } => service.lookup(account).await,
        Request::Deposit { account, envelope } => service.deposit(account, envelope).await,
        Request::Collect => service.collect(asker).await,
        Request::Collected { ids } => service.collected(asker, ids).await,
        Request::Watch { doors, reply_to } => service.watch(asker, doors, reply_to).await,
    };
    result.unwrap_or_else(Answer::Refused)
}

impl Service {
    /// `SUPER-02`: a record is kept only if it verifies; a lower sequence never replaces a higher one.
    async fn register(
        &self,
        asker: EndpointKey,
        record: starling_wire::record::SignedRecord,
    ) -> Result<Answer, Refusal> {
        let account = record.record.chain.id();
        record
            .verify(account, wall_s())
            .map_err(|_| Refusal::InvalidRecord)?;
        self.stored(move |tx| rows::register(tx, account, asker, &record))
            .await?;
        Ok(Answer::Ok)
    }

    async fn lookup(&self, account: AccountId) -> Result<Answer, Refusal> {
        let now = wall_s();
        let record = self.stored(move |tx| rows::record(tx, account)).await?;
        Ok(Answer::Record(
            record.filter(|record| record.record.expires > now),
        ))
    }

    /// `SUPER-03`: envelopes only for accounts registered here, within the bound, on disk before the answer.
    async fn deposit(&self, account: AccountId, envelope: Vec<u8>) -> Result<Answer, Refusal> {
        let kept = self
            .stored(move |tx| rows::deposit(tx, account, &envelope, wall_s()))
            .await?;
        match kept {
            rows::Deposit::Kept => {}
            rows::Deposit::UnknownAccount => return Err(Refusal::UnknownAccount),
            rows::Deposit::Full => return Err(Refusal::Full),
        }
        let doors = self.stored(move |tx| rows::doors(tx, account)).await?;
        let _ = self.desk.send(DeskInput::Envelope(doors)).await;
        Ok(Answer::Ok)
    }

    /// `SUPER-04`: only a registered front door collects, and only its own account's.
    async fn collect(&self, asker: EndpointKey) -> Result<Answer, Refusal> {
        let account = self.account_of(asker).await?;
        Ok(Answer::Envelopes(
            self.stored(move |tx| rows::envelopes(tx, account)).await?,
        ))
    }

    async fn collected(
        &self,
        asker: EndpointKey,
        ids: Vec<starling_wire::ids::EnvelopeId>,
    ) -> Result<Answer, Refusal> {
        let account = self.account_of(asker).await?;
        self.stored(move |tx| rows::forget_envelopes(tx, account, &ids))
            .await?;
        Ok(Answer::Ok)
    }

    async fn watch(
        &self,
        watcher: EndpointKey,
        doors: Vec<EndpointKey>,
        reply_to: SupernodeAddr,
    ) -> Result<Answer, Refusal> {
        // SUPER-05: nobody makes a public supernode dial into its own network.
        if reply_to.is_private() && !self.private {
            return Err(Refusal::Malformed);
        }
        let (answer, state) = tokio::sync::oneshot::channel();
        let input = DeskInput::Watch {
            watcher,
            doors,
            reply_to,
            answer,
        };
        self.desk.send(input).await.map_err(|_| Refusal::Full)?;
        state
            .await
            .ok()
            .flatten()
            .map(Answer::Presence)
            .ok_or(Refusal::Full)
    }

    async fn account_of(&self, door: EndpointKey) -> Result<AccountId, Refusal> {
        self.stored(move |tx| rows::account_of(tx, door))
            .await?
            .ok_or(Refusal::NotRegistered)
    }

    async fn stored<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&starling_store::Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.db.write(work).await.map_err(|error| {
            warn!(%error, "the supernode's store refused");
            Refusal::Full
        })
    }
}

/// Runs the desk: links in, watch lists in, notices out.
async fn run_desk(
    service: Arc<Service>,
    mut inputs: mpsc::Receiver<DeskInput>,
    mut links: mpsc::UnboundedReceiver<LinkEvent>,
    clock: Clock,
) {
    let mut desk = Desk::default();
    let mut telling = JoinSet::new();
    loop {
        let wake = desk.poll_timeout().map(|at| clock.instant(at));
        let mut waiting = Vec::new();
        tokio::select! {
            Some(link) = links.recv() => match link {
                LinkEvent::Up(door, number) => desk.link_up(door, number),
                LinkEvent::Down(door, number) => desk.link_down(door, number, clock.now()),
            },
            Some(input) = inputs.recv() => match input {
                DeskInput::Watch { watcher, doors, reply_to, answer } => {
                    let _ = answer.send(desk.watch(watcher, &doors, reply_to));
                }
                DeskInput::Unwatch(watcher) => desk.unwatch(watcher),
                DeskInput::Envelope(doors) => waiting = doors.into_iter().filter(|door| desk.is_here(*door)).collect(),
            },
            () = sleep_until(wake) => desk.handle_timeout(clock.now()),
            Some(_) = telling.join_next(), if !telling.is_empty() => {}
            else => return,
        }
        while let Some(tell) = desk.poll_tell() {
            if telling.len() < NOTICES_WAITING_MAX {
                telling.spawn(tell_presence(Arc::clone(&service), tell));
            }
        }
        for door in waiting {
            let (service, own) = (Arc::clone(&service), service.own.clone());
            telling.spawn(async move {
                let _ = notify(&service, door, &own, &Notice::EnvelopeWaiting).await;
            });
        }
    }
}

async fn tell_presence(service: Arc<Service>, tell: Tell) {
    // Clients of ours are reached over loopback, whatever address they know us by.
    let place = if tell.reply_to.id == service.own.id {
        service.own.clone()
    } else {
        tell.reply_to
    };
    if notify(
        &service,
        tell.watcher,
        &place,
        &Notice::Presence(tell.door, tell.online),
    )
    .await
    .is_err()
    {
        let _ = service.desk.send(DeskInput::Unwatch(tell.watcher)).await;
    }
}

async fn notify(
    service: &Service,
    door: EndpointKey,
    place: &SupernodeAddr,
    notice: &Notice,
) -> Result<(), dial::DialError> {
    service.pins.learn(place);
    let homes = std::slice::from_ref(place);
    let connection = dial::through_homes(
        &service.endpoint,
        &service.pins,
        door,
        homes,
        alpn::SUPER,
        congestion::signalling(),
    )
    .await?;
    let told = async {
        let mut send = connection
            .open_uni()
            .await
            .map_err(|_| stream::StreamError::Lost)?;
        stream::write(&mut send, notice).await?;
        send.finish().map_err(|_| stream::StreamError::Lost)?;
        send.stopped().await.map_err(|_| stream::StreamError::Lost)
    };
    let told = tokio::time::timeout(dial::DIAL_TIME, told).await;
    connection.close(0u32.into(), b"told");
    match told {
        Ok(Ok(_)) => Ok(()),
        _ => Err(dial::DialError::TimedOut),
    }
}
