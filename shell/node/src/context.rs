//! What every driver of one account shares: identity, book, store, doors, and the two ways to be heard (events for
//! clients of the local API, signals for other drivers).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use starling_control::{ErrorKind, Event, Failure};
use starling_protocol::index::standing::Standing;
use starling_store::StoreError;
use starling_wire::ids::{AccountId, EndpointKey, NetworkId};
use starling_wire::shown_name::shown_name;
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::broadcast;

use crate::abouts::Abouts;
use crate::book::{Book, Person};
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::db::Db;
use crate::drivers::presence::OwnPresence;
use crate::own::Own;
use crate::own_set::OwnSet;
use crate::paths::Paths;
use crate::relaying::Relaying;
use crate::strangers::Strangers;
use crate::traffic::Traffic;
use crate::transport::endpoint::EndpointError;
use crate::transport::front_door::FrontDoor;
use crate::transport::inner::{InnerEndpoints, InnerLease, Reach};
use crate::transport::pins::Pins;
use crate::transport::requests::Supernodes;

/// What drivers tell each other. The table of who acts on what is in `session.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A contact's presence changed.
    Presence(AccountId),
    /// Somebody became a contact, or a contact's card changed.
    Contact(AccountId),
    /// A contact was seen on the local network at another address.
    Found(AccountId),
    /// A contact may do more or less than before.
    Permissions(AccountId),
    /// Our request key or discovery key is another one.
    Keys,
    /// The own person shows something else, or to others.
    Profile,
    /// Somebody is a contact no more.
    Gone(AccountId),
    /// A contact has a device less: whoever is behind its door is nobody any more.
    DeviceGone(AccountId),
    /// This device was removed from its account.
    Revoked,
    /// Our own account is another than before: its history, its key, or what it publishes.
    Account,
    /// We are registered at a home supernode, perhaps another than before.
    Home(SupernodeAddr),
    /// There are other supernodes to choose from.
    Candidates,
    /// Our home says how full the network is, and how many of its clients could serve.
    Load {
        /// In percent.
        percent: u8,
        /// Clients.
        candidates: u32,
    },
    /// A call began (true) or the last one ended.
    InCall(bool),
    /// Another device changed how the person wants to be called.
    CallSettings,
    /// Nothing has been heard in a call for half a second.
    Silence,
    /// Somebody wants something of the registrar of this profile.
    Claim,
    /// A registrar answered us.
    Verdict,
    /// This machine is in another network, or was asleep.
    Network,
}

/// Shared by the drivers of one account.
#[derive(Debug)]
pub struct Context {
    /// How the node was started.
    pub config: NodeConfig,
    /// Time.
    pub clock: Clock,
    /// The store.
    pub db: Db,
    /// To clients.
    pub events: broadcast::Sender<Event>,
    /// To drivers.
    pub signals: broadcast::Sender<Signal>,
    /// Who we are.
    pub identity: Arc<Own>,
    /// What all own devices keep together.
    pub own_set: Arc<OwnSet>,
    /// Whom we know.
    pub book: Book,
    /// Known supernode keys.
    pub pins: Pins,
    /// The front door.
    pub door: Arc<FrontDoor>,
    /// Requests to supernodes.
    pub supernodes: Supernodes,
    /// The inner endpoint.
    pub inner: InnerEndpoints,
    /// The network joined, and the supernodes to choose from.
    pub homes: RwLock<Homes>,
    /// Bytes by purpose.
    pub traffic: Arc<Traffic>,
    /// Open paths to contacts.
    pub paths: Arc<Paths>,
    /// What we keep about contacts, and what they may do here.
    pub abouts: Abouts,
    /// Whom we never reach directly.
    pub relaying: Relaying,
    /// How contacts see us.
    pub own_presence: OwnPresence,
    /// What a letter between strangers costs.
    pub strangers: Strangers,
    /// How far supernodes are trusted.
    pub standing: Mutex<Standing<EndpointKey>>,
}

/// Where this profile belongs.
#[derive(Debug, Clone, Default)]
pub struct Homes {
    /// The network's id, if it has an owner.
    pub network: Option<NetworkId>,
    /// Candidates, best first.
    pub supernodes: Vec<SupernodeAddr>,
    /// The supernode of this very process, if it runs one.
    pub own: Option<SupernodeAddr>,
}

impl Context {
    /// Tells the clients; nobody listening is no failure.
    pub fn emit(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Tells the drivers.
    pub fn signal(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }

    /// Where this profile belongs now.
    pub fn homes(&self) -> Homes {
        self.homes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How far supernodes are trusted.
    pub fn standing(&self) -> MutexGuard<'_, Standing<EndpointKey>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes where this profile belongs.
    pub fn set_homes(&self, homes: Homes) {
        *self.homes.write().unwrap_or_else(PoisonError::into_inner) = homes;
    }

    /// The home supernodes to publish: the one in use first. One that was only found on the local network is not for others.
    pub fn home_list(&self) -> Vec<SupernodeAddr> {
        let candidates = self.homes().supernodes;
        let home = self.door.home().into_iter();
        let mut list: Vec<SupernodeAddr> = home.filter(|one| candidates.contains(one)).collect();
        for candidate in candidates {
            if list.len() < starling_wire::limits::SUPERNODES_MAX && !list.contains(&candidate) {
                list.push(candidate);
            }
        }
        list
    }

    /// An inner endpoint for something with this contact: one without addresses where they are always relayed.
    pub async fn lease_for(&self, account: AccountId) -> Result<InnerLease, EndpointError> {
        let reach = if self.relaying.holds(account) {
            Reach::RelayOnly
        } else {
            Reach::Any
        };
        self.inner.lease(self.door.home().as_ref(), reach).await
    }

    /// Somebody's entry, or a failure that says they are no contact.
    pub fn person(&self, account: AccountId) -> Result<Person, Failure> {
        self.book.person(account).ok_or_else(|| {
            Failure::new(
                ErrorKind::NotFound,
                "this person is not among your contacts",
            )
        })
    }

    /// The name to show for somebody.
    pub fn title(&self, account: AccountId) -> String {
        match self.book.person(account) {
            Some(person) if person.nickname.is_some() => person.nickname.unwrap_or_default(),
            Some(person) => {
                let name = shown_name(person.name());
                if name.is_empty() {
                    account.short()
                } else {
                    name
                }
            }
            None => account.short(),
        }
    }
}

/// A store's failure as clients see it.
pub fn store_failure(error: StoreError) -> Failure {
    Failure::new(ErrorKind::System, error.to_string())
}
