//! `CONNECT` at a supernode: the front doors at home here reach other supernodes' relays through it, so that nobody but
//! this supernode learns their address (spec page `ladder.md`). HTTP: RFC 9110 section 9.3.6.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::roles::Role;
use crate::roles::carrier::{Carrier, Lane};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use iroh_relay::server::http_server::BytesBody;
use starling_wire::ids::EndpointKey;
use starling_wire::tunnel::{SCHEME, Standing, TargetError, Tunnel, target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tracing::debug;

/// Tunnels of one front door.
const TUNNELS_OF_ONE: usize = 64;
const DIAL_TIME: Duration = Duration::from_secs(3);
/// For the first bytes of TLS to come.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// A tunnel in which nothing moves for so long is closed; a relay pings every 15 s.
const IDLE: Duration = Duration::from_secs(90);
const CHUNK: usize = 16 * 1024;
/// A TLS record with a handshake message begins so (RFC 8446 section 5.1).
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];

/// Tells whether a front door is registered at this supernode.
pub type Registered =
    Arc<dyn Fn(EndpointKey) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Whose tunnels these are.
#[derive(Clone)]
pub struct TunnelConfig {
    /// The supernode's key.
    pub supernode: EndpointKey,
    /// Others reach it on a private address only.
    pub private: bool,
    /// Who may have one.
    pub registered: Registered,
}

impl std::fmt::Debug for TunnelConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunnelConfig")
            .field("private", &self.private)
            .finish_non_exhaustive()
    }
}

/// Why there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum TunnelError {
    /// `TUNNEL-01`.
    #[error("no front door signed for this tunnel")]
    Ticket,
    /// `TUNNEL-02`.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// `TUNNEL-03`.
    #[error("this front door is not registered here")]
    NotRegistered,
    /// `TUNNEL-04`.
    #[error("this front door has too many tunnels")]
    TooMany,
    /// `TUNNEL-04`.
    #[error("this supernode has no room for another tunnel")]
    Full,
    /// Nobody is there.
    #[error("the relay does not answer")]
    Unreachable,
    /// `TUNNEL-05`.
    #[error("what came first was not TLS")]
    NotTls,
}

impl TunnelError {
    const fn status(self) -> StatusCode {
        match self {
            Self::Ticket => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::Target(TargetError::NoAddress) => StatusCode::BAD_REQUEST,
            Self::Target(_) | Self::NotRegistered | Self::NotTls => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable => StatusCode::BAD_GATEWAY,
        }
    }
}

/// The tunnels of a supernode. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tunnels(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: TunnelConfig,
    carrier: Carrier,
    max: usize,
    state: Mutex<State>,
    received: AtomicU64,
    sent: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// How many each door has.
    held: BTreeMap<EndpointKey, usize>,
    refused: BTreeMap<TunnelError, u64>,
    running: JoinSet<()>,
}

/// One of a door's places; given back when dropped.
#[derive(Debug)]
struct Place {
    tunnels: Tunnels,
    door: EndpointKey,
}

impl Tunnels {
    /// None yet, and never more than `max`.
    pub fn new(config: TunnelConfig, carrier: Carrier, max: usize) -> Self {
        Self(Arc::new(Shared {
            config,
            carrier,
            max,
            state: Mutex::default(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }))
    }

    /// Answers a `CONNECT` from `peer`; what goes through the tunnel flows beside the answer.
    pub async fn connect(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<BytesBody>, http::Error> {
        match self.open(&request, peer).await {
            Ok((place, relay)) => {
                let tunnel = self.clone().carry(request, place, relay);
                self.state().running.spawn(tunnel);
                answer(StatusCode::OK)
            }
            Err(error) => {
                self.refuse(error);
                answer(error.status())
            }
        }
    }

    /// Tunnels that are open.
    pub fn count(&self) -> usize {
        self.state().held.values().sum()
    }

    /// How many were refused, and why.
    pub fn refused(&self) -> BTreeMap<TunnelError, u64> {
        self.state().refused.clone()
    }

    /// Bytes received from and sent to the front doors.
    pub fn carried(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.0.received), load(&self.0.sent))
    }

    /// Closes all.
    pub fn close(&self) {
        self.state().running.abort_all();
    }

    async fn open(
        &self,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<(Place, TcpStream), TunnelError> {
        let config = &self.0.config;
        let authority = request.uri().authority().map_or("", |at| at.as_str());
        let target = target(authority)?;
        let tunnel = Tunnel {
            supernode: config.supernode,
            target,
        };
        let door = request
            .headers()
            .get(PROXY_AUTHORIZATION)
            .and_then(|ticket| tunnel.door(ticket.as_bytes()))
            .ok_or(TunnelError::Ticket)?;
        let standing = Standing {
            private: config.private,
            asker: peer.ip(),
        };
        standing.may_reach(target)?;
        // TUNNEL-03: for whoever is at home here.
        if !(config.registered)(door).await {
            return Err(TunnelError::NotRegistered);
        }
        let place = self.place(door)?;
        let relay = match tokio::time::timeout(DIAL_TIME, TcpStream::connect(target)).await {
            Ok(Ok(relay)) => relay,
            _ => return Err(TunnelError::Unreachable),
        };
        let _ = relay.set_nodelay(true);
        Ok((place, relay))
    }

    /// `TUNNEL-04`: so many for one door, so many for all.
    fn place(&self, door: EndpointKey) -> Result<Place, TunnelError> {
        let mut state = self.state();
        while state.running.try_join_next().is_some() {}
        if state.held.values().sum::<usize>() >= self.0.max {
            return Err(TunnelError::Full);
        }
        let held = state.held.entry(door).or_default();
        if *held >= TUNNELS_OF_ONE {
            return Err(TunnelError::TooMany);
        }
        *held += 1;
        Ok(Place {
            tunnels: self.clone(),
            door,
        })
    }

    async fn carry(self, request: Request<Incoming>, place: Place, relay: TcpStream) {
        let Ok(Ok(upgraded)) = tokio::time::timeout(HELLO_TIME, hyper::upgrade::on(request)).await
        else {
            return;
        };
        // RELAY-04: to reach others' doors is the supernode's business; our own pay nothing.
        let others = !self.0.carrier.is_own(place.door);
        let lane = || others.then(|| self.0.carrier.lane());
        let lanes = [lane(), lane()];
        if let Err(error) = self.flow(TokioIo::new(upgraded), relay, lanes).await {
            self.refuse(error);
        }
        drop(place);
    }

    /// `TUNNEL-05`: only TLS goes through, so a tunnel is of no use against whatever else listens somewhere.
    async fn flow(
        &self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        mut relay: TcpStream,
        [lane_up, lane_down]: [Option<Lane>; 2],
    ) -> Result<(), TunnelError> {
        let mut first = [0; 2];
        let hello = tokio::time::timeout(HELLO_TIME, client.read_exact(&mut first)).await;
        if !matches!(hello, Ok(Ok(_))) || first != TLS_HANDSHAKE {
            return Err(TunnelError::NotTls);
        }
        if relay.write_all(&first).await.is_err() {
            return Ok(());
        }
        let length = first.len() as u64;
        self.0.received.fetch_add(length, Ordering::Relaxed);
        let (from_client, to_client) = tokio::io::split(client);
        let (from_relay, to_relay) = relay.split();
        let moved = AtomicU64::new(0);
        let (up, down) = ([&self.0.received, &moved], [&self.0.sent, &moved]);
        tokio::select! {
            _ = async { tokio::join!(pump(from_client, to_relay, up, lane_up), pump(from_relay, to_client, down, lane_down)) } => {}
            () = stalled(&moved) => debug!(reason = "idle", "closed a tunnel"),
        }
        Ok(())
    }

    fn refuse(&self, error: TunnelError) {
        debug!(reason = %error, "refused a tunnel");
        *self.state().refused.entry(error).or_default() += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.tunnels.state();
        if let Some(held) = state.held.get_mut(&self.door) {
            *held -= 1;
            if *held == 0 {
                state.held.remove(&self.door);
            }
        }
    }
}

/// Copies until the end or an error, and passes the end on.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    counters: [&AtomicU64; 2],
    mut lane: Option<Lane>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        if let Some(lane) = &mut lane {
            let bytes = length as u64;
            lane.pass(Role::Supernode, bytes).await;
            lane.carrier().meter().received(Role::Supernode, bytes);
            lane.carrier().meter().sent(Role::Supernode, bytes);
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            break;
        }
        for counter in counters {
            counter.fetch_add(length as u64, Ordering::Relaxed);
        }
    }
    let _ = to.shutdown().await;
}

/// Returns when nothing moved for [`IDLE`].
async fn stalled(moved: &AtomicU64) {
    let mut before = u64::MAX;
    loop {
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
        tokio::time::sleep(IDLE).await;
    }
}

fn answer(status: StatusCode) -> Result<Response<BytesBody>, http::Error> {
    let body: BytesBody = Box::new(http_body_util::Empty::new());
    let mut answer = Response::builder().status(status);
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        answer = answer.header(PROXY_AUTHENTICATE, HeaderValue::from_static(SCHEME));
    }
    answer.body(body)
}

#[cfg(test)]
mod tests;
