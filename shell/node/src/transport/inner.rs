//! The inner endpoint: bound when a call or a transfer begins, closed when nobody has used it for a while. Each binding
//! has a fresh key, told to accepted contacts over the front doors; nobody else's packets lead to a handshake.
//!
//! A binding is replaced when a contact was removed or our home changed. The old one then *drains*: it goes on serving the
//! calls and transfers that hold a lease of it, and closes with the last of them.

use std::collections::{BTreeSet, VecDeque};
use std::future::IntoFuture;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::Endpoint;
use iroh::endpoint::{Connection, Incoming, IncomingAddr, WeakConnectionHandle};
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
use super::shim::{Shim, Side};
use crate::clock::random;
use crate::roles::carrier::{Carrier, OwnDoor};

/// How long an unused endpoint stays bound.
const LINGER: Duration = Duration::from_secs(30);
/// How often it is looked whether one is unused.
const LOOK: Duration = Duration::from_secs(5);
/// How long binding waits for the home relay, so that the address we tell is one we can be reached at.
const ONLINE_WAIT: Duration = Duration::from_millis(700);
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Inner endpoints of one contact remembered at once: devices, and bindings of each.
const KNOWN_PER_CONTACT: usize = 32;
/// And of all together.
const KNOWN_MAX: usize = 4096;
/// Connections of contacts that can be closed when the contact is removed.
const ADMITTED_MAX: usize = 1024;

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
    carrier: Carrier,
    shim: Arc<Shim>,
    listen: Option<SocketAddr>,
    arrivals: mpsc::Sender<InnerArrival>,
    guests: Mutex<Guests>,
    bindings: tokio::sync::Mutex<Bindings>,
}

/// Who may connect, and who did.
#[derive(Debug, Default)]
struct Guests {
    /// The one told longest ago first.
    expected: VecDeque<Expected>,
    admitted: VecDeque<(AccountId, WeakConnectionHandle)>,
}

/// A contact's inner endpoint that we were told of.
#[derive(Debug)]
struct Expected {
    key: EndpointKey,
    account: AccountId,
    /// Where it said its packets come from.
    from: BTreeSet<IpAddr>,
}

/// How an inner endpoint is reached, and how it reaches others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Directly where that succeeds.
    Any,
    /// `PEER-08`: through relays alone, and these through our home supernode. It has no UDP socket to be found at.
    RelayOnly,
}

#[derive(Debug, Default)]
struct Bindings {
    current: [Option<Bound>; 2],
    draining: Vec<Bound>,
    /// Somebody looks after unused ones.
    watched: bool,
}

#[derive(Debug)]
struct Bound {
    endpoint: Endpoint,
    home: Option<SupernodeAddr>,
    users: Arc<AtomicUsize>,
    idle: Duration,
    _own: OwnDoor,
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
    /// Nothing is bound yet. `listen` is the wanted UDP address, if UDP is allowed; arrivals go to the channel.
    pub fn new(
        pins: Pins,
        carrier: Carrier,
        shim: Arc<Shim>,
        listen: Option<SocketAddr>,
        arrivals: mpsc::Sender<InnerArrival>,
    ) -> Self {
        Self(Arc::new(Shared {
            pins,
            shim,
            carrier,
            listen,
            arrivals,
            guests: Mutex::default(),
            bindings: tokio::sync::Mutex::default(),
        }))
    }

    /// A contact told us where its inner endpoint is: from now on it may connect.
    pub fn expect(&self, account: AccountId, inner: &InnerAddr) {
        self.0.guests().expect(account, inner);
    }

    /// A contact was removed or blocked: what it knows of ours leads nowhere, and its connections end. Those of others go
    /// on; whoever comes next is told a new key.
    pub async fn forget(&self, account: AccountId) {
        let ended = self.0.guests().forget(account);
        for connection in ended {
            connection.close(1u32.into(), b"unknown");
        }
        let mut bindings = self.0.bindings.lock().await;
        bindings.replace_current();
        bindings.close_unused(Duration::ZERO).await;
    }

    /// The endpoint, bound now if it is not.
    pub async fn lease(
        &self,
        home: Option<&SupernodeAddr>,
        reach: Reach,
    ) -> Result<InnerLease, EndpointError> {
        let mut bindings = self.0.bindings.lock().await;
        let usable = |bound: &Bound| !bound.endpoint.is_closed() && bound.home.as_ref() == home;
        if !bindings.current(reach).as_ref().is_some_and(usable) {
            let old = bindings.current(reach).take();
            bindings.draining.extend(old);
            *bindings.current(reach) = Some(self.bind(home, reach).await?);
        }
        if !std::mem::replace(&mut bindings.watched, true) {
            tokio::spawn(close_when_unused(Arc::clone(&self.0)));
        }
        let bound = bindings.current(reach).as_ref().expect("bound just above");
        bound.users.fetch_add(1, Ordering::SeqCst);
        Ok(InnerLease {
            endpoint: bound.endpoint.clone(),
            home: bound.home.clone(),
            users: Arc::clone(&bound.users),
        })
    }

    async fn bind(
        &self,
        home: Option<&SupernodeAddr>,
        reach: Reach,
    ) -> Result<Bound, EndpointError> {
        if let Some(home) = home {
            self.0.pins.learn(home);
        }
        let endpoint = self.open(home, reach).await?;
        let own = self.0.carrier.own(endpoint_key(endpoint.id()));
        if let Some(home) = home {
            endpoint::arrive(&endpoint, &self.0.pins.place(home), ONLINE_WAIT).await;
        }
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(endpoint.clone(), Arc::clone(&self.0)));
        debug!("inner endpoint bound");
        Ok(Bound {
            endpoint,
            home: home.cloned(),
            users: Arc::default(),
            idle: Duration::ZERO,
            _own: own,
            _accepting: accepting,
        })
    }

    async fn open(
        &self,
        home: Option<&SupernodeAddr>,
        reach: Reach,
    ) -> Result<Endpoint, EndpointError> {
        let (pins, shim, key) = (&self.0.pins, &self.0.shim, random());
        let alpns = vec![alpn::MEDIA.to_vec(), alpn::FILE.to_vec()];
        if reach == Reach::RelayOnly {
            let place = home.map(|home| pins.place(home));
            let way = shim.url(Side::FrontDoor);
            let way = way.ok_or_else(|| EndpointError::Bind("no way to relays".to_owned()))?;
            return endpoint::front_door(&key, pins, place.as_ref(), alpns, &way).await;
        }
        let way = home.and_then(|home| shim.for_inner(home));
        endpoint::inner(&key, pins, home, self.0.listen, alpns, way.as_ref()).await
    }

    /// This machine is in another network: what is bound looks round at once.
    pub async fn look_round(&self) {
        let endpoints: Vec<Endpoint> = {
            let bindings = self.0.bindings.lock().await;
            let current = bindings.current.iter().flatten();
            let all = current.chain(&bindings.draining);
            all.map(|bound| bound.endpoint.clone()).collect()
        };
        for endpoint in endpoints {
            endpoint.network_change().await;
        }
    }

    /// Closes the endpoint for good.
    pub async fn close(&self) {
        let mut bindings = self.0.bindings.lock().await;
        bindings.replace_current();
        for bound in bindings.draining.drain(..) {
            endpoint::close(&bound.endpoint).await;
        }
    }
}

impl Shared {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn expect(&mut self, account: AccountId, inner: &InnerAddr) {
        self.expected.retain(|known| known.key != inner.endpoint);
        let of_contact = |known: &Expected| known.account == account;
        let known = self.expected.iter().filter(|known| of_contact(known));
        if known.count() >= KNOWN_PER_CONTACT
            && let Some(oldest) = self.expected.iter().position(of_contact)
        {
            self.expected.remove(oldest);
        }
        if self.expected.len() >= KNOWN_MAX {
            self.expected.pop_front();
        }
        let from = inner.direct.iter().map(|at| at.ip().to_canonical());
        let from = from.collect();
        self.expected.push_back(Expected {
            key: inner.endpoint,
            account,
            from,
        });
    }

    fn forget(&mut self, account: AccountId) -> Vec<Connection> {
        self.expected.retain(|known| known.account != account);
        let (ended, kept) = std::mem::take(&mut self.admitted)
            .into_iter()
            .partition(|(owner, _)| *owner == account);
        self.admitted = kept;
        let ended: VecDeque<(AccountId, WeakConnectionHandle)> = ended;
        ended
            .iter()
            .filter_map(|(_, connection)| connection.upgrade())
            .collect()
    }

    fn account_of(&self, key: EndpointKey) -> Option<AccountId> {
        let known = self.expected.iter().find(|known| known.key == key)?;
        Some(known.account)
    }

    /// `PEER-03`: packets of others lead to no handshake. A relay names their key; of a packet on the UDP port only the
    /// address is known before the handshake, so it has to be one that a contact told.
    fn refusal(&self, from: &IncomingAddr) -> Option<&'static str> {
        match from {
            IncomingAddr::Relay { endpoint_id, .. } => {
                let known = self.account_of(endpoint_key(*endpoint_id));
                known.is_none().then_some("unknown key")
            }
            IncomingAddr::Ip(at) => {
                let ip = at.ip().to_canonical();
                let told = self.expected.iter().any(|known| known.from.contains(&ip));
                (!told).then_some("unknown address")
            }
            _ => Some("unknown transport"),
        }
    }

    fn admit(&mut self, account: AccountId, connection: &Connection) {
        self.admitted
            .retain(|(_, connection)| connection.upgrade().is_some());
        if self.admitted.len() >= ADMITTED_MAX {
            self.admitted.pop_front();
        }
        self.admitted.push_back((account, connection.weak_handle()));
    }
}

impl Bindings {
    fn current(&mut self, reach: Reach) -> &mut Option<Bound> {
        let [any, relay_only] = &mut self.current;
        match reach {
            Reach::Any => any,
            Reach::RelayOnly => relay_only,
        }
    }

    /// The next lease gets a new one; this one serves those who have it.
    fn replace_current(&mut self) {
        let current = self.current.iter_mut().filter_map(Option::take);
        self.draining.extend(current);
    }

    /// Closes what nobody uses: a draining one at once, the current one after [`LINGER`].
    async fn close_unused(&mut self, passed: Duration) {
        let unused = |bound: &Bound| bound.users.load(Ordering::SeqCst) == 0;
        let (gone, kept) = std::mem::take(&mut self.draining)
            .into_iter()
            .partition(unused);
        self.draining = kept;
        let mut gone: Vec<Bound> = gone;
        for place in &mut self.current {
            let Some(current) = place else { continue };
            current.idle = if unused(current) {
                current.idle + passed
            } else {
                Duration::ZERO
            };
            if current.idle >= LINGER {
                gone.extend(place.take());
            }
        }
        for bound in gone {
            endpoint::close(&bound.endpoint).await;
            debug!("inner endpoint closed: unused");
        }
    }
}

impl InnerLease {
    /// To dial from.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The home whose relay reaches it.
    pub const fn home(&self) -> Option<&SupernodeAddr> {
        self.home.as_ref()
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

/// Looks after unused bindings as long as there is one. The lock orders it with `lease`, so the counts are right.
async fn close_when_unused(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let mut bindings = shared.bindings.lock().await;
        bindings.close_unused(LOOK).await;
        if bindings.current.iter().all(Option::is_none) && bindings.draining.is_empty() {
            bindings.watched = false;
            return;
        }
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let mut handshakes = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while handshakes.try_join_next().is_some() {}
        let reason = shared.guests().refusal(&incoming.remote_addr());
        if let Some(reason) = reason {
            debug!(reason, "refused a connection to the inner endpoint");
            // Silence: whoever is not expected learns nothing, not even that somebody is here.
            incoming.ignore();
            continue;
        }
        handshakes.spawn(admit(incoming, Arc::clone(&shared)));
    }
}

async fn admit(incoming: Incoming, shared: Arc<Shared>) {
    let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE_TIME, incoming.into_future()).await
    else {
        return;
    };
    let key = endpoint_key(connection.remote_id());
    // PEER-05: somebody may have been removed during the handshake.
    let account = {
        let mut guests = shared.guests();
        let account = guests.account_of(key);
        if let Some(account) = account {
            guests.admit(account, &connection);
        }
        account
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const ALICE: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);

    fn inner(key: u32, ip: &str) -> InnerAddr {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&key.to_be_bytes());
        InnerAddr {
            endpoint: EndpointKey(bytes),
            home: None,
            direct: vec![SocketAddr::new(ip.parse().expect("an address"), 7)],
        }
    }

    fn from(ip: &str) -> IncomingAddr {
        IncomingAddr::Ip(SocketAddr::new(ip.parse().expect("an address"), 9))
    }

    #[test]
    fn peer_03_packets_from_an_address_that_nobody_told_are_ignored() {
        let mut guests = Guests::default();
        assert_eq!(guests.refusal(&from("192.0.2.1")), Some("unknown address"));
        guests.expect(ALICE, &inner(1, "192.0.2.1"));
        assert_eq!(guests.refusal(&from("192.0.2.1")), None);
        assert_eq!(guests.refusal(&from("::ffff:192.0.2.1")), None);
        assert_eq!(guests.refusal(&from("192.0.2.2")), Some("unknown address"));
        assert!(guests.forget(ALICE).is_empty());
        assert_eq!(guests.refusal(&from("192.0.2.1")), Some("unknown address"));
    }

    use crate::transport::ladder::Ladder;
    use crate::transport::proxy::ProxySetting;

    struct Side {
        inner: InnerEndpoints,
        arrivals: mpsc::Receiver<InnerArrival>,
        lease: InnerLease,
        served: Vec<Connection>,
    }

    async fn side() -> Side {
        let (sender, arrivals) = mpsc::channel(8);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let ladder = Ladder::new(Pins::default(), ProxySetting::None);
        let shim = Arc::new(Shim::open(&[1; 32], ladder).await.unwrap());
        let carrier = Carrier::new(Clock::start());
        let inner = InnerEndpoints::new(Pins::default(), carrier, shim, Some(listen), sender);
        let lease = inner.lease(None, Reach::Any).await.expect("it binds");
        Side {
            inner,
            arrivals,
            lease,
            served: Vec::new(),
        }
    }

    async fn dial(from: &Side, to: &InnerLease) -> Option<Connection> {
        let address = endpoint::inner_addr(&to.address()).expect("a key");
        let transport = super::super::congestion::bulk();
        let dial =
            super::super::dial::connect(from.lease.endpoint(), address, alpn::FILE, transport);
        tokio::time::timeout(Duration::from_secs(2), dial)
            .await
            .ok()?
            .ok()
    }

    async fn arrives(at: &mut Side) -> AccountId {
        let wait = tokio::time::timeout(Duration::from_secs(5), at.arrivals.recv());
        let arrival = wait.await.expect("in time").expect("it runs");
        // Weak handles are what remembers it; whoever serves it holds it.
        let account = arrival.account;
        at.served.push(arrival.connection);
        account
    }

    async fn end_of(connection: &Connection) -> String {
        let wait = tokio::time::timeout(Duration::from_secs(5), connection.closed());
        wait.await.expect("it is closed").to_string()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn peer_03_05_strangers_are_ignored_or_closed_and_removing_one_keeps_the_others() {
        let (mut alice, bob, stranger) = (side().await, side().await, side().await);
        assert!(
            dial(&bob, &alice.lease).await.is_none(),
            "PEER-03: nobody told this address"
        );
        alice.inner.expect(BOB, &bob.lease.address());
        let kept = dial(&bob, &alice.lease).await.expect("Bob is let in");
        assert_eq!(arrives(&mut alice).await, BOB);
        // Same address as Bob's, another key.
        if let Some(connection) = dial(&stranger, &alice.lease).await {
            assert!(end_of(&connection).await.contains("unknown"), "PEER-05");
        }
        // Somebody else is removed: Bob's connection goes on, and he finds the binding he was told of.
        alice.inner.forget(ALICE).await;
        let fresh = alice.inner.lease(None, Reach::Any).await.expect("it binds");
        assert_ne!(fresh.address().endpoint, alice.lease.address().endpoint);
        assert!(kept.close_reason().is_none());
        let second = dial(&bob, &alice.lease).await.expect("it still drains");
        assert_eq!(arrives(&mut alice).await, BOB);
        // Bob is removed: what he has ends, and he is ignored.
        alice.inner.forget(BOB).await;
        assert!(end_of(&kept).await.contains("unknown"));
        assert!(end_of(&second).await.contains("unknown"));
        assert!(dial(&bob, &alice.lease).await.is_none());
        for side in [alice, bob, stranger] {
            side.inner.close().await;
        }
    }

    #[test]
    fn one_contact_does_not_push_out_the_keys_of_another() {
        let mut guests = Guests::default();
        guests.expect(BOB, &inner(0, "192.0.2.1"));
        for key in 1..10_000 {
            guests.expect(ALICE, &inner(key, "192.0.2.2"));
        }
        assert_eq!(guests.expected.len(), KNOWN_PER_CONTACT + 1);
        assert_eq!(guests.account_of(inner(0, "192.0.2.1").endpoint), Some(BOB));
        assert_eq!(
            guests.account_of(inner(9_999, "192.0.2.1").endpoint),
            Some(ALICE)
        );
    }

    #[tokio::test]
    async fn peer_08_who_is_always_relayed_is_told_an_endpoint_without_an_address() {
        let alice = side().await;
        let lease = |reach| alice.inner.lease(None, reach);
        let relayed = lease(Reach::RelayOnly).await.expect("it binds");
        assert!(relayed.endpoint().bound_sockets().is_empty());
        assert_eq!(relayed.address().direct, []);
        assert_ne!(relayed.address().endpoint, alice.lease.address().endpoint);
        alice.inner.forget(ALICE).await;
        let later = lease(Reach::RelayOnly).await.expect("it binds");
        assert_ne!(later.address().endpoint, relayed.address().endpoint);
        alice.inner.close().await;
    }
}
