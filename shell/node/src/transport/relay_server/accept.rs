//! The supernode's TCP ports: TLS, one HTTP request, and what becomes of it, a relay link, a tunnel or an answer. The handshake of a
//! relay link and everything after it is iroh's, over our own stream of frames.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::BASE64;
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use iroh_relay::KeyCache;
use iroh_relay::http::{CLIENT_AUTH_HEADER, ProtocolVersion, RELAY_PATH, RELAY_PROBE_PATH};
use iroh_relay::protos::handshake;
use iroh_relay::server::client::Config;
use iroh_relay::server::clients::Clients;
use iroh_relay::server::http_server::BytesBody;
use iroh_relay::server::streams::RelayedStream;
use iroh_relay::server::{ClientRequest, ConnectionId, DynAccessControl, Metrics};
use sha1::{Digest, Sha1};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::is_private;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, trace};

use super::admission::{Links, Visit};
use super::connect::Tunnels;
use super::counted::Counted;
use super::link::Link;
use super::{HANDSHAKE_TIME, Room};
use crate::roles::carrier::Carrier;
use crate::transport::endpoint::{endpoint_id, endpoint_key};

const KEY_CACHE: usize = 4096;
/// RFC 6455, section 1.3.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const WEBSOCKET_VERSION: &str = "13";

/// What an accepted connection may become part of. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    acceptor: TlsAcceptor,
    carrier: Carrier,
    links: Arc<Links>,
    tunnels: Tunnels,
    room: Room,
    handshakes: Arc<Semaphore>,
    circuits: AtomicUsize,
    clients: Clients,
    keys: KeyCache,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    /// Nobody has come yet.
    pub fn new(
        tls: rustls::ServerConfig,
        carrier: Carrier,
        (links, tunnels): (Arc<Links>, Tunnels),
        circuits: usize,
        room: Room,
    ) -> Self {
        Self(Arc::new(Shared {
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            carrier,
            links,
            tunnels,
            room,
            handshakes: Arc::new(Semaphore::new(room.handshakes)),
            circuits: AtomicUsize::new(circuits),
            clients: Clients::default(),
            keys: KeyCache::new(KEY_CACHE),
            metrics: Arc::default(),
        }))
    }

    /// To how many others a link that comes from now on sends at once.
    pub fn set_circuits(&self, circuits: usize) {
        self.0.circuits.store(circuits, Ordering::Relaxed);
    }

    /// Ends these links.
    pub fn disconnect(&self, links: Vec<(EndpointKey, ConnectionId)>) {
        for (client, link) in links {
            if let Some(client) = endpoint_id(client) {
                self.0.clients.disconnect(client, Some(link));
            }
        }
    }

    /// Says goodbye to everybody.
    pub async fn close(&self) {
        self.0.clients.shutdown().await;
    }

    /// Takes connections until it is dropped.
    pub async fn accept(self, listener: TcpListener, private_only: bool) {
        let room = self.0.room;
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok((tcp, peer)) = listener.accept().await else {
                // Out of descriptors: give those in use a moment to end.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if private_only && !is_private(peer.ip()) {
                debug!(reason = "serves its own network only", "refused a client");
                continue;
            }
            if connections.len() >= room.handshakes + room.links {
                debug!(reason = "full", "refused a client");
                continue;
            }
            // RELAY-01: whoever does not finish a handshake takes no place from those who are here.
            let Ok(handshake) = Arc::clone(&self.0.handshakes).try_acquire_owned() else {
                debug!(reason = "too many handshakes at once", "refused a client");
                continue;
            };
            connections.spawn(self.clone().serve(tcp, peer, handshake));
        }
    }

    /// `handshake` is given back when the relay link or the tunnel is established or the connection ends.
    async fn serve(self, tcp: TcpStream, peer: SocketAddr, handshake: OwnedSemaphorePermit) {
        let _ = tcp.set_nodelay(true);
        let accepting = self.0.acceptor.accept(Counted::new(tcp));
        let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE_TIME, accepting).await else {
            trace!("a client failed its TLS handshake");
            return;
        };
        let established = Arc::new(Notify::new());
        let told = Arc::clone(&established);
        let handler = hyper::service::service_fn(move |request: Request<Incoming>| {
            let answer = self.clone().answer(request, peer, Arc::clone(&told));
            async move { answer.await.map_err(std::io::Error::other) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(tls), handler)
            .with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            _ = &mut connection => {}
            () = established.notified() => {
                drop(handshake);
                let _ = connection.await;
            }
            () = tokio::time::sleep(HANDSHAKE_TIME) => trace!("a client asked for nothing"),
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
        established: Arc<Notify>,
    ) -> Result<Response<BytesBody>, http::Error> {
        if request.method() == Method::CONNECT {
            let answer = self.0.tunnels.connect(request, peer).await?;
            if answer.status().is_success() {
                established.notify_one();
            }
            return Ok(answer);
        }
        match (request.method(), request.uri().path()) {
            // iroh's clients measure a relay so; without an answer nobody would choose it.
            (&Method::GET, RELAY_PROBE_PATH) => plain(
                Response::builder()
                    .status(StatusCode::OK)
                    .header("Access-Control-Allow-Origin", "*"),
            ),
            (&Method::GET, RELAY_PATH) => self.upgrade(request, peer, established),
            _ => plain(Response::builder().status(StatusCode::NOT_FOUND)),
        }
    }

    /// RFC 6455, section 4.2; the relay's version is a subprotocol.
    fn upgrade(
        self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        established: Arc<Notify>,
    ) -> Result<Response<BytesBody>, http::Error> {
        let Some((accept, version)) = asked(&request) else {
            return plain(
                Response::builder()
                    .status(StatusCode::BAD_REQUEST)
                    .header(SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION),
            );
        };
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await;
            let (parts, _) = request.into_parts();
            let tls = upgraded.ok().and_then(|upgraded| {
                let parts = upgraded.downcast::<TokioIo<TlsStream<Counted>>>().ok()?;
                // Whoever speaks before the answer speaks another protocol.
                parts.read_buf.is_empty().then(|| parts.io.into_inner())
            });
            let Some(tls) = tls else { return };
            match tokio::time::timeout(HANDSHAKE_TIME, self.admit(tls, parts, version, peer)).await
            {
                Ok(Ok(())) => established.notify_one(),
                Ok(Err(error)) => debug!(reason = %error, "a client was not let in"),
                Err(_) => debug!(reason = "too slow", "a client was not let in"),
            }
        });
        plain(
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(UPGRADE, "websocket")
                .header(CONNECTION, "upgrade")
                .header(SEC_WEBSOCKET_ACCEPT, accept)
                .header(SEC_WEBSOCKET_PROTOCOL, version.to_header_value()),
        )
    }

    async fn admit(
        &self,
        tls: TlsStream<Counted>,
        request: http::request::Parts,
        version: ProtocolVersion,
        peer: SocketAddr,
    ) -> Result<(), handshake::Error> {
        let shared = &self.0;
        let circuits = shared.circuits.load(Ordering::Relaxed);
        let mut link = Link::new(tls, shared.carrier.lane(), circuits);
        let proof = request.headers.get(CLIENT_AUTH_HEADER).cloned();
        let proven = handshake::serverside(&mut link, proof).await?;
        let client = proven.client_key;
        let request = ClientRequest::new(client, version, request);
        let visit = Visit::new(Arc::clone(&shared.links), peer.ip());
        let access: Arc<dyn DynAccessControl> = Arc::new(visit);
        let guard = proven.authorize_with(&request, &access, &mut link).await?;
        link.belongs_to(endpoint_key(client));
        let stream = RelayedStream::new(link, shared.keys.clone());
        let config = Config::new(guard, stream, version);
        shared.clients.register(config, Arc::clone(&shared.metrics));
        if let Some(oldest) = shared.links.surplus(endpoint_key(client)) {
            shared.clients.disconnect(client, Some(oldest));
        }
        Ok(())
    }
}

/// The answer to the client's key, and the newest version of the relay protocol that both speak.
fn asked(request: &Request<Incoming>) -> Option<(HeaderValue, ProtocolVersion)> {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let websocket = header(UPGRADE)?.eq_ignore_ascii_case("websocket")
        && header(SEC_WEBSOCKET_VERSION)? == WEBSOCKET_VERSION;
    let version = header(SEC_WEBSOCKET_PROTOCOL)?
        .split(',')
        .filter_map(|name| ProtocolVersion::match_from_str(name.trim()))
        .max()?;
    let mut hash = Sha1::new();
    hash.update(header(SEC_WEBSOCKET_KEY)?);
    hash.update(ACCEPT_GUID);
    let accept = HeaderValue::from_str(&BASE64.encode(&hash.finalize())).ok()?;
    websocket.then_some((accept, version))
}

fn plain(answer: http::response::Builder) -> Result<Response<BytesBody>, http::Error> {
    let body: BytesBody = Box::new(http_body_util::Empty::new());
    answer.body(body)
}
