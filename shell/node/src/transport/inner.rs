//! The inner endpoint: bound when a call or a transfer begins, closed when nobody has used it for a while. Each binding
//! has a fresh key, told to accepted contacts over the front doors; nobody else's packets lead to a handshake.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::Endpoint;
use iroh::endpoint::{Connection, Incoming, IncomingAddr};
use starling_wire::alpn;
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::limits::ADDRESSES_MAX;
use starling_wire::peer::InnerAddr;
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

use super::endpoint::{self, EndpointError, endpoint_key};
use super::pins::Pins;
use crate::clock::random;

/// How long an unused endpoint stays bound.
const LINGER: Duration = Duration::from_secs(30);
/// How long binding waits for the home relay, so that the address we tell is one we can be reached at.
const ONLINE_WAIT: Duration = Duration::from_millis(700);
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Keys of contacts' inner endpoints remembered at once.
const KNOWN_MAX: usize = 4096;

/// A connection that a contact opened to our inner endpoint.
#[derive(Debug)]
pub struct InnerArrival {
    /// Whose.
    pub account: AccountId,
    /// The connection; its ALPN says what for.
    pub connection: Connection,
}

/// Binds, shares and closes the inner endpoint.
#[derive(Debug, Clone)]
pub struct InnerEndpoints(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pins: Pins,
    listen: Option<SocketAddr>,
    arrivals: mpsc::Sender<InnerArrival>,
    known: Mutex<BTreeMap<EndpointKey, AccountId>>,
    current: tokio::sync::Mutex<Option<Bound>>,
    users: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Bound {
    endpoint: Endpoint,
    home: Option<SupernodeAddr>,
    _accepting: JoinSet<()>,
}

/// While one of these lives, the endpoint stays.
#[derive(Debug)]
pub struct InnerLease {
    endpoint: Endpoint,
    home: Option<SupernodeAddr>,
    users: Arc<AtomicUsize>,
}

impl InnerEndpoints {
    /// Nothing is bound yet. `listen` is the wanted UDP address; arrivals go to the channel.
    pub fn new(
        pins: Pins,
        listen: Option<SocketAddr>,
        arrivals: mpsc::Sender<InnerArrival>,
    ) -> Self {
        Self(Arc::new(Shared {
            pins,
            listen,
            arrivals,
            known: Mutex::default(),
            current: tokio::sync::Mutex::new(None),
            users: Arc::default(),
        }))
    }

    /// A contact told us the key of its inner endpoint: from now on it may connect.
    pub fn expect(&self, key: EndpointKey, account: AccountId) {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.pop_first();
        }
        known.insert(key, account);
    }

    /// A contact was removed or blocked: its keys count no more, and it gets no packet from the key it knows of ours.
    pub async fn forget(&self, account: AccountId) {
        self.0
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, owner| *owner != account);
        if let Some(bound) = self.0.current.lock().await.take() {
            bound.endpoint.close().await;
        }
    }

    /// The endpoint, bound now if it is not.
    pub async fn lease(&self, home: Option<&SupernodeAddr>) -> Result<InnerLease, EndpointError> {
        let mut current = self.0.current.lock().await;
        if current
            .as_ref()
            .is_none_or(|bound| bound.endpoint.is_closed() || bound.home.as_ref() != home)
        {
            *current = Some(self.bind(home).await?);
            tokio::spawn(close_when_unused(Arc::clone(&self.0)));
        }
        let bound = current.as_ref().expect("bound just above");
        self.0.users.fetch_add(1, Ordering::SeqCst);
        Ok(InnerLease {
            endpoint: bound.endpoint.clone(),
            home: bound.home.clone(),
            users: Arc::clone(&self.0.users),
        })
    }

    async fn bind(&self, home: Option<&SupernodeAddr>) -> Result<Bound, EndpointError> {
        if let Some(home) = home {
            self.0.pins.learn(home);
        }
        let alpns = vec![alpn::MEDIA.to_vec(), alpn::FILE.to_vec()];
        let endpoint = endpoint::inner(&random(), &self.0.pins, home, self.0.listen, alpns).await?;
        if home.is_some() {
            let _ = tokio::time::timeout(ONLINE_WAIT, endpoint.online()).await;
        }
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(endpoint.clone(), Arc::clone(&self.0)));
        debug!("inner endpoint bound");
        Ok(Bound {
            endpoint,
            home: home.cloned(),
            _accepting: accepting,
        })
    }

    /// Closes the endpoint for good.
    pub async fn close(&self) {
        if let Some(bound) = self.0.current.lock().await.take() {
            bound.endpoint.close().await;
        }
    }
}

impl InnerLease {
    /// To dial from.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What to tell a contact.
    pub fn address(&self) -> InnerAddr {
        let direct = self
            .endpoint
            .addr()
            .ip_addrs()
            .copied()
            .take(ADDRESSES_MAX)
            .collect();
        InnerAddr {
            endpoint: endpoint_key(self.endpoint.id()),
            home: self.home.clone(),
            direct,
        }
    }
}

impl Drop for InnerLease {
    fn drop(&mut self) {
        self.users.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn close_when_unused(shared: Arc<Shared>) {
    let mut idle = Duration::ZERO;
    let step = Duration::from_secs(5);
    loop {
        tokio::time::sleep(step).await;
        idle = if shared.users.load(Ordering::SeqCst) == 0 {
            idle + step
        } else {
            Duration::ZERO
        };
        if idle < LINGER {
            continue;
        }
        let mut current = shared.current.lock().await;
        // Taken meanwhile: the lock orders us with `lease`, so the count is right now.
        if shared.users.load(Ordering::SeqCst) > 0 {
            idle = Duration::ZERO;
            continue;
        }
        if let Some(bound) = current.take() {
            bound.endpoint.close().await;
            debug!("inner endpoint closed: unused");
        }
        return;
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let mut handshakes = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while handshakes.try_join_next().is_some() {}
        if let Some(reason) = refusal(&incoming, &shared) {
            debug!(reason, "refused a connection to the inner endpoint");
            // Silence: whoever is not expected learns nothing, not even that somebody is here.
            incoming.ignore();
            continue;
        }
        handshakes.spawn(admit(incoming, Arc::clone(&shared)));
    }
}

fn refusal(incoming: &Incoming, shared: &Shared) -> Option<&'static str> {
    match incoming.remote_addr() {
        IncomingAddr::Relay { endpoint_id, .. } => {
            let known = shared.known.lock().unwrap_or_else(PoisonError::into_inner);
            (!known.contains_key(&endpoint_key(endpoint_id))).then_some("unknown key")
        }
        IncomingAddr::Ip(_) => None,
        _ => Some("unknown transport"),
    }
}

async fn admit(incoming: Incoming, shared: Arc<Shared>) {
    let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE_TIME, incoming.into_future()).await
    else {
        return;
    };
    let key = endpoint_key(connection.remote_id());
    let account = shared
        .known
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
        .copied();
    match account {
        Some(account) => {
            debug!(alpn = %String::from_utf8_lossy(connection.alpn()), "a contact's connection arrived");
            let _ = shared
                .arrivals
                .send(InnerArrival {
                    account,
                    connection,
                })
                .await;
        }
        None => connection.close(1u32.into(), b"unknown"),
    }
}

use std::future::IntoFuture;
