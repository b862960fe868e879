//! The loopback shim: iroh sends every relay link of a front door here (`proxy_url`), and here it is decided which way the
//! link goes: to our home supernode straight, to any other relay through our home supernode, which is all that a
//! stranger's relay then sees (DESIGN 3.2). It has a name and a password of its own, since every user of this machine
//! reaches the port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use iroh::RelayUrl;
use starling_wire::supernode::{SupernodeAddr, relay_address};
use starling_wire::tunnel::{Standing, TargetError, Tunnel};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use super::http_head;
use super::ladder::{Ladder, ReachError};
use crate::clock::random;

/// Links at once; iroh holds one for each relay.
const LINKS_MAX: usize = 1_024;
/// For a request to come and for its way to be opened.
const OPEN_TIME: Duration = Duration::from_secs(10);
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a relay that does not answer is tried, and how often.
const PATIENCE: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(500);

/// Which endpoint a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Strangers may know its key: nobody but our home learns our address.
    FrontDoor,
    /// Contacts alone know its key, and our address with it: straight, or by the firm's proxy.
    Inner,
}

/// Why a link was refused.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// `SHIM-01`.
    #[error("whoever asked is not one of our endpoints")]
    Stranger,
    /// Not what iroh asks.
    #[error("not a request for a relay")]
    Malformed,
    /// There is no home to go through yet.
    #[error("no home supernode is known yet")]
    Homeless,
    /// `SHIM-02`.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The way was not open.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The home supernode said no.
    #[error("the home supernode answered {0}")]
    Refused(u16),
    /// Lost.
    #[error("the connection was lost: {0}")]
    Lost(#[from] std::io::Error),
    /// Too slow.
    #[error("it took too long")]
    TimedOut,
}

/// A running shim; ends when dropped.
#[derive(Debug)]
pub struct Shim {
    shared: Arc<Shared>,
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    door: SigningKey,
    ladder: Ladder,
    passwords: [String; 2],
    home: Mutex<Option<Home>>,
    /// Counts the homes: links through an earlier one end.
    moves: watch::Sender<u64>,
    /// Counts the networks this machine was in: links from an earlier one end.
    networks: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Home {
    /// As others are told.
    advertised: SupernodeAddr,
    /// Where this machine reaches it.
    place: SupernodeAddr,
}

impl Shim {
    /// Listens on loopback, for the front door with this key.
    pub async fn open(door: &[u8; 32], ladder: Ladder) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let password = || data_encoding::HEXLOWER.encode(&random::<16>());
        let shared = Arc::new(Shared {
            door: SigningKey::from_bytes(door),
            ladder,
            passwords: [password(), password()],
            home: Mutex::default(),
            moves: watch::Sender::new(0),
            networks: watch::Sender::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            shared,
            address,
            _accepting: accepting,
        })
    }

    /// For an endpoint's `proxy_url`. iroh has a name for the type only within its relay URLs.
    pub fn url(&self, side: Side) -> Option<RelayUrl> {
        let (name, password) = self.shared.login(side);
        format!("http://{name}:{password}@{}", self.address)
            .parse()
            .ok()
    }

    /// The way that the inner endpoint's relay links need, if a plain connection is none.
    pub fn for_inner(&self, home: &SupernodeAddr) -> Option<RelayUrl> {
        let needed = self.shared.ladder.is_needed(home.tcp);
        needed.then(|| self.url(Side::Inner)).flatten()
    }

    /// From now on everything goes through this supernode; what went through another ends.
    pub fn set_home(&self, advertised: &SupernodeAddr, place: &SupernodeAddr) {
        let home = Home {
            advertised: advertised.clone(),
            place: place.clone(),
        };
        *self
            .shared
            .home
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(home);
        self.shared.moves.send_modify(|moves| *moves += 1);
    }

    /// Ends every link: this machine is in another network, where they lead nowhere.
    pub fn hang_up(&self) {
        self.shared.networks.send_modify(|networks| *networks += 1);
    }

    /// `SHIM-02`: whether the front door may have a link to the relay at this address.
    pub fn allows(&self, relay: SocketAddr) -> Result<(), ShimError> {
        self.shared.detour(relay).map(|_| ())
    }

    /// The home's place, if this is our home's key: wherever somebody says that it is, we know.
    pub fn home_place(&self, supernode: &SupernodeAddr) -> Option<SupernodeAddr> {
        let home = self.shared.home()?;
        (home.place.id == supernode.id).then_some(home.place)
    }

    /// What a person should know of the way out.
    pub fn words(&self) -> Option<String> {
        self.shared.ladder.words()
    }
}

impl Shared {
    fn home(&self) -> Option<Home> {
        self.home
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The supernode through which the front door reaches this relay; `None` for our home itself, and for the supernode of
    /// this process.
    fn detour(&self, relay: SocketAddr) -> Result<Option<SupernodeAddr>, ShimError> {
        let home = self.home().ok_or(ShimError::Homeless)?;
        if home.place.tcp == relay || self.ladder.is_own(relay) {
            return Ok(None);
        }
        let standing = Standing {
            private: !home.advertised.is_public(),
            asker: home.place.tcp.ip(),
        };
        standing.may_reach(relay)?;
        Ok(Some(home.place))
    }

    fn login(&self, side: Side) -> (&'static str, &str) {
        let [door, inner] = &self.passwords;
        match side {
            Side::FrontDoor => ("door", door),
            Side::Inner => ("inner", inner),
        }
    }

    /// `SHIM-01`: whose password this is. Hashes are compared, so that the time says nothing about the password.
    fn side(&self, header: &str) -> Option<Side> {
        let given = blake3::hash(header.as_bytes());
        [Side::FrontDoor, Side::Inner].into_iter().find(|side| {
            let (name, password) = self.login(*side);
            let login = data_encoding::BASE64.encode(format!("{name}:{password}").as_bytes());
            blake3::hash(format!("Basic {login}").as_bytes()) == given
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    loop {
        while links.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((tcp, _)) if links.len() < LINKS_MAX => {
                links.spawn(serve(tcp, Arc::clone(&shared)));
            }
            Ok(_) => debug!(reason = "full", "refused a link"),
            // Out of descriptors: give those in use a moment to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(mut tcp: TcpStream, shared: Arc<Shared>) {
    let _ = tcp.set_nodelay(true);
    let mut moved = shared.moves.subscribe();
    let mut networks = shared.networks.subscribe();
    let opening = async {
        let (side, relay) = asked(&mut tcp, &shared).await?;
        open_soon(side, relay, &shared).await
    };
    let opened = tokio::time::timeout(OPEN_TIME, opening).await;
    match opened.unwrap_or(Err(ShimError::TimedOut)) {
        Ok(way) => {
            if tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
                tokio::select! {
                    () = way.carry(tcp, &mut moved) => {}
                    _ = networks.changed() => debug!(reason = "network changed", "ended a link"),
                }
            }
        }
        Err(error) => {
            debug!(reason = %error, "a link to a relay was refused");
            let status = match error {
                ShimError::Stranger => "407 Proxy Authentication Required",
                ShimError::Reach(_) | ShimError::TimedOut => "502 Bad Gateway",
                _ => "403 Forbidden",
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let _ = tcp.write_all(answer.as_bytes()).await;
        }
    }
}

/// Who asks for which relay.
async fn asked(tcp: &mut TcpStream, shared: &Shared) -> Result<(Side, SocketAddr), ShimError> {
    let head = tokio::time::timeout(HEAD_TIME, http_head::read(tcp));
    let head = head.await.map_err(|_| ShimError::TimedOut)??;
    let side = head
        .fields("Proxy-Authorization")
        .find_map(|field| shared.side(field));
    let side = side.ok_or(ShimError::Stranger)?;
    let relay = head.connect().and_then(relay_address);
    Ok((side, relay.ok_or(ShimError::Malformed)?))
}

/// An open way to a relay.
enum Way {
    Straight(TcpStream),
    Through(Box<dyn Stream>),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A relay that does not answer is tried for a while before that is said. While iroh waits between two attempts of
/// its own, packets to that relay pile up, and those to every other relay behind them.
async fn open_soon(side: Side, relay: SocketAddr, shared: &Shared) -> Result<Way, ShimError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let opened = open(side, relay, shared).await;
        let silent = matches!(
            opened,
            // 403: we are not registered at our new home yet.
            Err(ShimError::Reach(_) | ShimError::Refused(403 | 502) | ShimError::Lost(_))
        );
        if !silent || Instant::now() >= until {
            return opened;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn open(side: Side, relay: SocketAddr, shared: &Shared) -> Result<Way, ShimError> {
    let detour = match side {
        Side::FrontDoor => shared.detour(relay)?,
        Side::Inner => None,
    };
    match detour {
        Some(home) => through(&home, relay, shared).await,
        None => Ok(Way::Straight(shared.ladder.reach(relay).await?)),
    }
}

/// SHIM-03: whatever is not our home is reached through it.
async fn through(
    home: &SupernodeAddr,
    relay: SocketAddr,
    shared: &Shared,
) -> Result<Way, ShimError> {
    let mut tls = shared.ladder.reach_tls(home.tcp).await?;
    let tunnel = Tunnel {
        supernode: home.id,
        target: relay,
    };
    let ticket = tunnel.ticket(&shared.door);
    let ask = format!(
        "CONNECT {relay} HTTP/1.1\r\nHost: {relay}\r\nProxy-Authorization: {ticket}\r\n\r\n"
    );
    tls.write_all(ask.as_bytes()).await?;
    let head = http_head::read(&mut tls).await?;
    match head.status() {
        Some(200) => Ok(Way::Through(Box::new(tls))),
        Some(status) => Err(ShimError::Refused(status)),
        None => Err(ShimError::Malformed),
    }
}

impl Way {
    /// Until one side ends, or our home is another.
    async fn carry(self, mut tcp: TcpStream, moved: &mut watch::Receiver<u64>) {
        match self {
            Self::Straight(mut relay) => {
                let _ = copy_bidirectional(&mut tcp, &mut relay).await;
            }
            Self::Through(mut relay) => {
                tokio::select! {
                    _ = copy_bidirectional(&mut tcp, &mut relay) => {}
                    _ = moved.changed() => debug!(reason = "home changed", "ended a link"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
