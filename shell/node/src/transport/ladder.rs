//! How a device reaches a supernode's TCP port: directly or by the firm's proxy, at its own port or, where networks let
//! nothing else out, at 443 and 80. TLS with the supernode's key runs on all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use starling_wire::supernode::is_public;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::debug;

use super::dial::staggered;
use super::pins::Pins;
use super::proxy::{ProxySetting, ProxyTrouble};

/// Ports that every network lets out.
const OPEN_PORTS: [u16; 2] = [443, 80];
const CONNECT_TIME: Duration = Duration::from_secs(3);
const TLS_TIME: Duration = Duration::from_secs(3);
/// Supernodes whose other port is remembered.
const REMEMBERED: usize = 64;

/// Why a supernode's port was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// The firm's proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyTrouble),
    /// Nobody there.
    #[error("{0} does not answer")]
    Silent(SocketAddr),
    /// Somebody else is there.
    #[error("what answers at {0} is not the supernode")]
    NotTheSupernode(SocketAddr),
}

/// The ways out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ladder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pins: Pins,
    proxy: ProxySetting,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where supernodes were reached whose own port was not.
    elsewhere: BTreeMap<SocketAddr, SocketAddr>,
    trouble: Option<ProxyTrouble>,
}

impl Ladder {
    /// With this proxy, if any.
    pub fn new(pins: Pins, proxy: ProxySetting) -> Self {
        Self(Arc::new(Shared {
            pins,
            proxy,
            state: Mutex::default(),
        }))
    }

    /// TCP to a supernode, at its own port or at one of [`OPEN_PORTS`], whichever answers first with a head start for the
    /// one before.
    pub async fn reach(&self, supernode: SocketAddr) -> Result<TcpStream, ReachError> {
        let known = self.state().elsewhere.get(&supernode).copied();
        if let Some(elsewhere) = known
            && let Ok(tcp) = self.connect(elsewhere).await
        {
            return Ok(tcp);
        }
        let (at, tcp) = staggered(
            rungs(supernode),
            |at| self.attempt(supernode, at),
            ReachError::Silent(supernode),
        )
        .await?;
        let mut state = self.state();
        state.elsewhere.remove(&supernode);
        if at != supernode && state.elsewhere.len() < REMEMBERED {
            debug!(%supernode, port = at.port(), "reached at another port");
            state.elsewhere.insert(supernode, at);
        }
        Ok(tcp)
    }

    /// TLS to a supernode whose key is known.
    pub async fn reach_tls(
        &self,
        supernode: SocketAddr,
    ) -> Result<TlsStream<TcpStream>, ReachError> {
        let tcp = self.reach(supernode).await?;
        self.tls(supernode, tcp).await
    }

    /// Whether a supernode is reached otherwise than by a plain connection to its address.
    pub fn is_needed(&self, supernode: SocketAddr) -> bool {
        let proxied = self.0.proxy.towards(supernode.ip()).is_some();
        proxied || self.state().elsewhere.contains_key(&supernode)
    }

    /// Whether the supernode of this process is there.
    pub fn is_own(&self, relay: SocketAddr) -> bool {
        self.0.pins.is_own(relay)
    }

    /// What a person should know of the proxy.
    pub fn words(&self) -> Option<String> {
        match &self.0.proxy {
            ProxySetting::Unusable(error) => Some(error.to_string()),
            ProxySetting::Http(_) => self.state().trouble.as_ref().map(ToString::to_string),
            ProxySetting::None => None,
        }
    }

    async fn attempt(
        &self,
        supernode: SocketAddr,
        at: SocketAddr,
    ) -> Result<(SocketAddr, TcpStream), ReachError> {
        if at != supernode {
            // LADDER-02: at another port there may be anything; whoever is there must have the supernode's key.
            let tcp = self.connect(at).await?;
            self.tls(at, tcp).await?;
        }
        Ok((at, self.connect(at).await?))
    }

    async fn connect(&self, at: SocketAddr) -> Result<TcpStream, ReachError> {
        if let Some(proxy) = self.0.proxy.towards(at.ip()) {
            let connected = proxy.connect(at).await;
            self.state().trouble = connected.as_ref().err().cloned();
            return Ok(connected?);
        }
        let silent = |_| ReachError::Silent(at);
        let tcp = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(at));
        let tcp = tcp
            .await
            .map_err(|_| ReachError::Silent(at))?
            .map_err(silent)?;
        let _ = tcp.set_nodelay(true);
        // Recovers from loss sooner than what most kernels choose (DESIGN 3.2); not every kernel has it.
        let _ = rustix::net::sockopt::set_tcp_congestion(&tcp, "bbr");
        Ok(tcp)
    }

    async fn tls(
        &self,
        at: SocketAddr,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ReachError> {
        let stranger = || ReachError::NotTheSupernode(at);
        let config = self.0.pins.client_config().map_err(|_| stranger())?;
        let name = ServerName::from(at.ip());
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        match tokio::time::timeout(TLS_TIME, handshake).await {
            Ok(Ok(tls)) => Ok(tls),
            _ => Err(stranger()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `LADDER-01`: where a supernode may be reached, its own port first. One at home or in the office has no others.
fn rungs(supernode: SocketAddr) -> Vec<SocketAddr> {
    let mut rungs = vec![supernode];
    if is_public(supernode.ip()) {
        let others = OPEN_PORTS
            .into_iter()
            .filter(|port| *port != supernode.port());
        rungs.extend(others.map(|port| SocketAddr::new(supernode.ip(), port)));
    }
    rungs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladder_01_a_public_supernode_is_tried_at_the_ports_that_are_open_everywhere() {
        let ports = |text: &str| {
            let rungs = rungs(text.parse().unwrap()).into_iter();
            rungs.map(|at| at.port()).collect::<Vec<_>>()
        };
        assert_eq!(ports("203.0.113.7:27474"), [27474, 443, 80]);
        assert_eq!(ports("203.0.113.7:443"), [443, 80]);
        assert_eq!(ports("192.168.1.7:27474"), [27474]);
        assert_eq!(ports("127.0.0.1:27474"), [27474]);
    }

    #[tokio::test]
    async fn ladder_02_somebody_else_at_another_port_is_not_the_supernode() {
        let loopback = std::net::Ipv4Addr::LOCALHOST;
        let web = tokio::net::TcpListener::bind((loopback, 0)).await.unwrap();
        let at = web.local_addr().unwrap();
        let ladder = Ladder::new(Pins::default(), ProxySetting::None);
        let serving = tokio::spawn(async move {
            // Says something, as a mail server does, and not in TLS.
            let (mut tcp, _) = web.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut tcp, b"220 hello\r\n").await;
        });
        let own = SocketAddr::from((loopback, 1));
        let reached = ladder.attempt(own, at).await;
        assert_eq!(reached.err(), Some(ReachError::NotTheSupernode(at)));
        serving.await.unwrap();
    }
}
