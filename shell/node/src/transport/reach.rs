//! Dial-back: whether a key answers at a port, as a supernode finds out for others; and the doors that a machine opens for that
//! as long as it is no supernode yet. The key is proved by the handshake, so nothing else that listens there counts, and nothing
//! is said to it (`DIAL-04`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use iroh::{Endpoint, EndpointAddr};
use starling_wire::alpn;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::SupernodeAddr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::endpoint::{self, endpoint_id};
use super::pins::{self, Pins};
use super::{congestion, dial, scout};
use crate::clock::random;

/// For one handshake; both together fit the time for an answer.
const PATIENCE: Duration = Duration::from_millis(3_500);
/// Handshakes at once at the doors of a machine that is being looked at.
const VISITORS_MAX: usize = 16;

/// Whether this key is proved there over TCP.
pub async fn over_tcp(key: EndpointKey, at: SocketAddr) -> bool {
    let place = SupernodeAddr {
        id: key,
        tcp: at,
        discovery_port: 0,
    };
    let pins = Pins::default();
    let shaken = tokio::time::timeout(PATIENCE, scout::proves_key(&pins, &place)).await;
    // A certificate of somebody in between proves nothing here.
    shaken.unwrap_or(false) && !pins.is_opened(&place)
}

/// Whether this key is proved there over UDP, asked from a port that nobody has been spoken to from.
pub async fn over_udp(key: EndpointKey, at: SocketAddr) -> bool {
    let any: IpAddr = match at {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let any = SocketAddr::new(any, 0);
    let (Some(id), Ok(from)) = (
        endpoint_id(key),
        endpoint::direct(&random(), &Pins::default(), any, Vec::new()).await,
    ) else {
        return false;
    };
    let address = EndpointAddr::new(id).with_ip_addr(at);
    let dialled = dial::connect(&from, address, alpn::INDEX, congestion::signalling());
    let reached = match tokio::time::timeout(PATIENCE, dialled).await {
        Ok(Ok(connection)) => {
            connection.close(0u32.into(), b"reached");
            true
        }
        _ => false,
    };
    tokio::spawn(async move { endpoint::close(&from).await });
    reached
}

/// The ports of a machine that would be a supernode, open as long as it is looked at; they say nothing but who is there.
#[derive(Debug)]
pub struct Doors {
    ports: (u16, u16),
    udp: Endpoint,
    _tasks: JoinSet<()>,
}

/// Why they could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DoorsError {
    /// Somebody else has it.
    #[error("port {0} is in use by another program")]
    InUse(u16),
    /// The system refused.
    #[error("the network could not be opened")]
    Refused,
}

impl Doors {
    /// At these ports and no others; port 0 takes a free one for both.
    pub async fn open(seed: &[u8; 32], listen: SocketAddr) -> Result<Self, DoorsError> {
        let in_use = |_| DoorsError::InUse(listen.port());
        let listener = TcpListener::bind(listen).await.map_err(in_use)?;
        let at = listener.local_addr().map_err(|_| DoorsError::Refused)?;
        let tls = pins::server_config(seed).map_err(|_| DoorsError::Refused)?;
        let alpns = vec![alpn::INDEX.to_vec()];
        let udp = endpoint::direct(seed, &Pins::default(), at, alpns)
            .await
            .map_err(|_| DoorsError::Refused)?;
        let bound = udp.bound_sockets().into_iter().map(|at| at.port()).next();
        if bound != Some(at.port()) {
            endpoint::close(&udp).await;
            return Err(DoorsError::InUse(at.port()));
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(accept_tcp(listener, TlsAcceptor::from(Arc::new(tls))));
        tasks.spawn(accept_udp(udp.clone()));
        Ok(Self {
            ports: (at.port(), at.port()),
            udp,
            _tasks: tasks,
        })
    }

    /// TCP and UDP.
    pub const fn ports(&self) -> (u16, u16) {
        self.ports
    }

    /// Gives them back.
    pub async fn close(mut self) {
        self._tasks.shutdown().await;
        endpoint::close(&self.udp).await;
    }
}

async fn accept_tcp(listener: TcpListener, acceptor: TlsAcceptor) {
    let mut visitors = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        while visitors.try_join_next().is_some() {}
        if visitors.len() < VISITORS_MAX {
            let shaking = acceptor.accept(tcp);
            visitors.spawn(async move {
                let _ = tokio::time::timeout(PATIENCE, shaking).await;
            });
        }
    }
    debug!("a door that was open for dial-backs has closed");
}

async fn accept_udp(udp: Endpoint) {
    let mut visitors = JoinSet::new();
    while let Some(incoming) = udp.accept().await {
        while visitors.try_join_next().is_some() {}
        if visitors.len() >= VISITORS_MAX {
            incoming.refuse();
            continue;
        }
        visitors.spawn(async move {
            let shaken = tokio::time::timeout(PATIENCE, async { incoming.await }).await;
            if let Ok(Ok(connection)) = shaken {
                let _ = tokio::time::timeout(PATIENCE, connection.closed()).await;
            }
        });
    }
}
