//! The front door: relay only, always there. It admits contacts and the supernodes we know, and nobody else: a relayed
//! packet names its sender's key, so a stranger is dropped before any handshake.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::endpoint::{Connection, Incoming, IncomingAddr, WeakConnectionHandle};
use iroh::{Endpoint, RelayUrl, Watcher};
use starling_wire::alpn;
use starling_wire::card::Door;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey};
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::debug;

use super::congestion;
use super::dial::{self, DialError};
use super::endpoint::{self, EndpointError, endpoint_key, relay_config, relay_url};
use super::ladder::Ladder;
use super::pins::Pins;
use super::proxy::ProxySetting;
use super::shim::{Shim, Side};

const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// To reach a supernode.
const ATTEMPTS: usize = 2;
/// To reach somebody who is perhaps moving at this moment.
const SEEKS: usize = 8;
/// Connections of contacts that can be closed when one is sought.
const CONTACTS_MAX: usize = 1024;

/// Somebody who may knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// A contact's device.
    Contact(AccountId, DeviceId),
    /// Another device of ours.
    Own(DeviceId),
    /// A device of ours that was removed from the account.
    Removed,
    /// Somebody who may have the link for a new device.
    Stranger,
    /// A supernode of ours or of a contact.
    Supernode,
}

/// Tells whose key this is; `None` for strangers.
pub type Doorkeeper = Arc<dyn Fn(EndpointKey) -> Option<Visitor> + Send + Sync>;

/// A connection that somebody known has opened.
#[derive(Debug)]
pub struct Arrival {
    /// Who.
    pub visitor: Visitor,
    /// Their key.
    pub key: EndpointKey,
    /// The connection; its ALPN says what for.
    pub connection: Connection,
}

/// The front door and the home relay it stands behind.
#[derive(Debug)]
pub struct FrontDoor {
    endpoint: Endpoint,
    pins: Pins,
    shim: Arc<Shim>,
    home: watch::Sender<Option<SupernodeAddr>>,
    /// The home's relay as it was dialled.
    relay: Mutex<Option<RelayUrl>>,
    connected: watch::Receiver<Vec<RelayUrl>>,
    refused: watch::Receiver<Option<String>>,
    contacts: Arc<Contacts>,
    /// The home before this one.
    left: Mutex<Option<EndpointKey>>,
    _tasks: JoinSet<()>,
}

impl FrontDoor {
    /// Opens it behind `home`, reached by the proxy if there is one, and starts to admit.
    pub async fn open(
        secret: &[u8; 32],
        pins: Pins,
        proxy: ProxySetting,
        home: Option<SupernodeAddr>,
        keeper: Doorkeeper,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Result<Self, EndpointError> {
        let failed = |error: std::io::Error| EndpointError::Bind(error.to_string());
        let ladder = Ladder::new(pins.clone(), proxy);
        let shim = Shim::open(secret, ladder).await.map_err(failed)?;
        let way = shim.url(Side::FrontDoor);
        let way = way.ok_or_else(|| EndpointError::Bind("no way to relays".to_owned()))?;
        let place = home.as_ref().map(|home| pins.place(home));
        if let (Some(home), Some(place)) = (&home, &place) {
            pins.set_home(place);
            shim.set_home(home, place);
        }
        let alpns = [alpn::SUPER, alpn::LINK, alpn::CHAT, alpn::CALL]
            .map(<[u8]>::to_vec)
            .to_vec();
        let endpoint = endpoint::front_door(secret, &pins, place.as_ref(), alpns, &way).await?;
        let (connected_sender, connected) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        let contacts = Arc::new(Contacts::default());
        let reception = (keeper, Arc::clone(&contacts), arrivals);
        tasks.spawn(accept(endpoint.clone(), reception));
        let (refused_sender, refused) = watch::channel(None);
        let told = (connected_sender, refused_sender);
        tasks.spawn(watch_relay(endpoint.clone(), told));
        Ok(Self {
            endpoint,
            pins,
            shim: Arc::new(shim),
            home: watch::Sender::new(home),
            relay: Mutex::new(place.as_ref().and_then(relay_url)),
            connected,
            refused,
            contacts,
            left: Mutex::default(),
            _tasks: tasks,
        })
    }

    /// The front door's key.
    pub fn key(&self) -> EndpointKey {
        endpoint_key(self.endpoint.id())
    }

    /// The home supernode in use.
    pub fn home(&self) -> Option<SupernodeAddr> {
        self.home.borrow().clone()
    }

    /// The home relays whose link is up (one, or for a moment none), and every change.
    pub fn connected(&self) -> watch::Receiver<Vec<RelayUrl>> {
        self.connected.clone()
    }

    /// Why the home relay does not let us in, as long as it does not.
    pub fn refused(&self) -> watch::Receiver<Option<String>> {
        self.refused.clone()
    }

    /// Moves to another home relay, or dials the same one afresh.
    pub async fn set_home(&self, home: &SupernodeAddr) {
        let before = self.home.send_replace(Some(home.clone()));
        if let Some(before) = before.filter(|before| before.id != home.id) {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(before.id);
        }
        let place = self.pins.place(home);
        self.pins.set_home(&place);
        self.shim.set_home(home, &place);
        let fresh = relay_config(&place, false);
        let previous = std::mem::replace(
            &mut *self.relay(),
            fresh.as_ref().map(|(url, _)| url.clone()),
        );
        if let Some(url) = previous {
            self.endpoint.remove_relay(&url).await;
        }
        if let Some((url, config)) = fresh {
            self.endpoint.insert_relay(url, config).await;
        }
    }

    /// Whether this supernode was dialled last, as the home, and its relay is among these.
    pub fn is_home(&self, supernode: &SupernodeAddr, up: &[RelayUrl]) -> bool {
        self.home.borrow().as_ref() == Some(supernode)
            && self.relay().as_ref().is_some_and(|url| up.contains(url))
    }

    /// The ways to relays.
    pub fn shim(&self) -> Arc<Shim> {
        Arc::clone(&self.shim)
    }

    /// Whether the network opens the TLS to our home's relay.
    pub fn is_opened(&self) -> bool {
        let home = self.home();
        home.is_some_and(|home| self.pins.is_opened(&self.pins.place(&home)))
    }

    /// Where a supernode is dialled: our home and our own where we know them to be, whatever others say.
    fn place(&self, supernode: &SupernodeAddr) -> Result<SupernodeAddr, DialError> {
        let home = self.shim.home_place(supernode);
        let place = home.unwrap_or_else(|| self.pins.place(supernode));
        if let Err(error) = self.shim.allows(place.tcp) {
            debug!(reason = %error, "did not dial a supernode");
            return Err(DialError::Unreachable);
        }
        self.pins.learn(&place);
        Ok(place)
    }

    fn relay(&self) -> MutexGuard<'_, Option<RelayUrl>> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dials a contact's device.
    pub async fn dial(&self, door: &Door, alpn: &[u8]) -> Result<Connection, DialError> {
        let connection = self.dial_key(door.endpoint, &door.home, alpn).await?;
        self.contacts.note(door.endpoint, &connection);
        Ok(connection)
    }

    /// Dials a contact's device that was heard a moment ago and is not any more, by all its homes at once, again
    /// and again. Its open connections are closed first: iroh sends the first packets of a new one where they went.
    pub async fn seek(&self, door: &Door, alpn: &[u8]) -> Result<Connection, DialError> {
        self.contacts.leave(door.endpoint);
        let places = door.home.iter().filter_map(|home| self.place(home).ok());
        let mut places: Vec<SupernodeAddr> = places.collect();
        // The one we left ourselves is dead: packets to it would wait before those to all others.
        let left = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if places.iter().any(|place| Some(place.id) != left) {
            places.retain(|place| Some(place.id) != left);
        }
        let (from, key) = (&self.endpoint, door.endpoint);
        let connection = dial::by_all_homes(from, key, &places, alpn, SEEKS).await?;
        self.contacts.note(key, &connection);
        Ok(connection)
    }

    /// Dials a front door of which no more is known than where it is reached.
    pub async fn dial_at(
        &self,
        key: EndpointKey,
        homes: &[SupernodeAddr],
        alpn: &[u8],
    ) -> Result<Connection, DialError> {
        self.dial_key(key, homes, alpn).await
    }

    /// Closes connections with whoever may not knock any more (`PEER-09`).
    pub fn close_strangers(&self, known: impl Fn(EndpointKey) -> bool) {
        self.contacts.close(known);
    }

    /// Dials a supernode itself, through its own relay.
    pub async fn dial_supernode(
        &self,
        supernode: &SupernodeAddr,
        alpn: &[u8],
    ) -> Result<Connection, DialError> {
        let (from, place) = (&self.endpoint, [self.place(supernode)?]);
        dial::by_all_homes(from, supernode.id, &place, alpn, ATTEMPTS).await
    }

    /// Dials a supernode from an endpoint with a key of its own, which is good for this connection only: it learns the key of nobody's
    /// front door. The relay it is reached by is the supernode's own, by the same way as the front door's.
    pub async fn visit(
        &self,
        supernode: &SupernodeAddr,
        secret: &[u8; 32],
        alpn: &[u8],
    ) -> Result<(Endpoint, Connection), DialError> {
        let place = self.place(supernode)?;
        let way = self.shim.url(Side::FrontDoor).ok_or(DialError::NoAddress)?;
        let from = endpoint::front_door(secret, &self.pins, Some(&place), Vec::new(), &way);
        let from = from.await.map_err(|_| DialError::NoAddress)?;
        let homes = [place];
        match dial::by_all_homes(&from, supernode.id, &homes, alpn, ATTEMPTS).await {
            Ok(connection) => Ok((from, connection)),
            Err(error) => {
                endpoint::close(&from).await;
                Err(error)
            }
        }
    }

    async fn dial_key(
        &self,
        key: EndpointKey,
        homes: &[SupernodeAddr],
        alpn: &[u8],
    ) -> Result<Connection, DialError> {
        dial::through_homes(
            &self.endpoint,
            |home| self.place(home),
            key,
            homes,
            alpn,
            congestion::signalling(),
        )
        .await
    }

    /// Closes it, to the end: whoever opens it anew has the same key, and one relay link for both would go to and fro.
    pub async fn close(&self) {
        self.endpoint.close().await;
    }
}

type Told = (watch::Sender<Vec<RelayUrl>>, watch::Sender<Option<String>>);

async fn watch_relay(endpoint: Endpoint, (connected, refused): Told) {
    let mut status = endpoint.home_relay_status();
    loop {
        let relays = status.get();
        let denied = relays.iter().find_map(|relay| relay.auth_denied_reason());
        let denied = denied.map(str::to_owned);
        refused.send_if_modified(|value| std::mem::replace(value, denied.clone()) != denied);
        let up: Vec<RelayUrl> = relays
            .iter()
            .filter(|status| status.is_connected())
            .map(|status| status.url().clone())
            .collect();
        connected.send_if_modified(|value| {
            let changed = *value != up;
            *value = up;
            changed
        });
        if status.updated().await.is_err() {
            return;
        }
    }
}

/// Open connections with contacts' front doors.
#[derive(Debug, Default)]
struct Contacts(Mutex<VecDeque<(EndpointKey, WeakConnectionHandle)>>);

impl Contacts {
    fn note(&self, key: EndpointKey, connection: &Connection) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, connection)| connection.upgrade().is_some());
        if open.len() >= CONTACTS_MAX {
            open.pop_front();
        }
        open.push_back((key, connection.weak_handle()));
    }

    fn close(&self, known: impl Fn(EndpointKey) -> bool) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let strangers = open.iter().filter(|(key, _)| !known(*key));
        for connection in strangers.filter_map(|(_, connection)| connection.upgrade()) {
            connection.close(1u32.into(), b"unknown");
        }
    }

    fn leave(&self, key: EndpointKey) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = open.iter().filter(|(contact, _)| *contact == key);
        for connection in theirs.filter_map(|(_, connection)| connection.upgrade()) {
            connection.close(1u32.into(), b"silent");
        }
    }
}

type Reception = (Doorkeeper, Arc<Contacts>, mpsc::Sender<Arrival>);

async fn accept(endpoint: Endpoint, reception: Reception) {
    let (keeper, contacts, arrivals) = reception;
    let mut handshakes = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while handshakes.try_join_next().is_some() {}
        // PEER-02: a relayed packet names its sender's key, so strangers get no handshake. CONTACT-08: and no answer, so that
        // whoever is blocked hears what an empty house says.
        let known = match incoming.remote_addr() {
            IncomingAddr::Relay { endpoint_id, .. } => keeper(endpoint_key(endpoint_id)).is_some(),
            _ => false,
        };
        if !known {
            debug!(
                reason = "unknown key",
                "left a knock at the front door unanswered"
            );
            incoming.ignore();
            continue;
        }
        let reception = (Arc::clone(&keeper), Arc::clone(&contacts), arrivals.clone());
        handshakes.spawn(admit(incoming, reception));
    }
}

async fn admit(incoming: Incoming, (keeper, contacts, arrivals): Reception) {
    let Ok(Ok(connection)) = tokio::time::timeout(HANDSHAKE_TIME, incoming.into_future()).await
    else {
        return;
    };
    let key = endpoint_key(connection.remote_id());
    // PEER-05: somebody may have been removed during the handshake.
    match keeper(key) {
        Some(visitor) => {
            if visitor != Visitor::Supernode {
                contacts.note(key, &connection);
            }
            let _ = arrivals
                .send(Arrival {
                    visitor,
                    key,
                    connection,
                })
                .await;
        }
        None => connection.close(1u32.into(), b"unknown"),
    }
}
