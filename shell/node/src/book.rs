//! Who we know, in memory: contacts, whose front door is whose, which supernodes serve them. The store is the truth; this
//! is what the doors and the drivers ask many times a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use starling_protocol::presence::person::{Presence, Shown};
use starling_protocol::presence::watcher::Target;
use starling_wire::card::{Door, SignedCard};
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, SubscriptionId};
use starling_wire::supernode::SupernodeAddr;

use crate::transport::front_door::Visitor;

/// How somebody stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Both agreed.
    Contact,
    /// We asked.
    Requested,
    /// Blocked.
    Blocked,
}

/// Whether a device of somebody is at its home supernode. Not what is shown of its person: somebody invisible is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nobody says.
    #[default]
    Unknown,
    /// It is.
    Here,
    /// It is not.
    Gone,
}

/// Somebody in the book.
#[derive(Debug, Clone)]
pub struct Person {
    /// How they stand to us.
    pub relation: Relation,
    /// Their newest card; none while a request waits.
    pub card: Option<SignedCard>,
    /// Our name for them.
    pub nickname: Option<String>,
    /// The sound-test node.
    pub echo: bool,
    /// How they are shown.
    pub shown: Shown,
    /// Whether a device of theirs is there, shown or not.
    pub reach: Reach,
    /// Whether a chat connection with them is open.
    pub linked: bool,
}

impl Person {
    /// The name they gave themselves.
    pub fn name(&self) -> &str {
        self.card.as_ref().map_or("", |card| &card.card.name)
    }

    /// Whether a device of theirs is there and shown so.
    pub fn is_there(&self) -> bool {
        self.reach == Reach::Here && self.shown.presence != Presence::Offline
    }

    /// Front doors of their devices.
    pub fn doors(&self) -> &[Door] {
        self.card.as_ref().map_or(&[], |card| &card.doors)
    }
}

/// The book. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Book(Arc<RwLock<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    people: BTreeMap<AccountId, Person>,
    own_supernodes: BTreeSet<EndpointKey>,
    /// Of our other devices.
    own_doors: Vec<Door>,
    /// Whose doors these are, also of a device that has not said yet where it is.
    own_keys: BTreeMap<EndpointKey, DeviceId>,
    /// Of those that were removed.
    removed_doors: BTreeSet<EndpointKey>,
    /// A link for a new device is valid: whoever has it may knock.
    pairing: bool,
    /// The supernode of the local network that stands in for all others.
    nearby: Option<SupernodeAddr>,
}

impl Book {
    /// Adds or replaces somebody. What is seen of them stays: it may have changed since `person` was made.
    pub fn put(&self, account: AccountId, mut person: Person) {
        let people = &mut self.pages_mut().people;
        if let Some(known) = people.get(&account) {
            person.shown.clone_from(&known.shown);
            (person.reach, person.linked) = (known.reach, known.linked);
        }
        people.insert(account, person);
    }

    /// Removes somebody.
    pub fn remove(&self, account: AccountId) {
        self.pages_mut().people.remove(&account);
    }

    /// Somebody's entry. While a supernode of the local network stands in for all others, contacts are looked for there
    /// first.
    pub fn person(&self, account: AccountId) -> Option<Person> {
        let pages = self.pages();
        let mut person = pages.people.get(&account).cloned()?;
        if let (Some(nearby), Some(card)) = (&pages.nearby, &mut person.card) {
            for door in &mut card.doors {
                door.home.insert(0, nearby.clone());
            }
        }
        Some(person)
    }

    /// The supernode of the local network that stands in for all others, from now on.
    pub fn set_nearby(&self, nearby: Option<SupernodeAddr>) {
        self.pages_mut().nearby = nearby;
    }

    /// The supernode of the local network that stands in for all others.
    pub fn nearby(&self) -> Option<SupernodeAddr> {
        self.pages().nearby.clone()
    }

    /// Everybody.
    pub fn people(&self) -> Vec<(AccountId, Person)> {
        self.pages()
            .people
            .iter()
            .map(|(account, person)| (*account, person.clone()))
            .collect()
    }

    /// Changes an entry; whether there was one.
    pub fn change(&self, account: AccountId, change: impl FnOnce(&mut Person)) -> bool {
        self.pages_mut()
            .people
            .get_mut(&account)
            .map(change)
            .is_some()
    }

    /// Accepted contacts' doors, with the supernode each is watched at and the id that `subscribe` makes of the account's
    /// request key and the door.
    pub fn watch_targets(
        &self,
        subscribe: impl Fn(&[u8; 32], EndpointKey) -> Option<SubscriptionId>,
    ) -> Vec<Target> {
        let pages = self.pages();
        let contacts = pages
            .people
            .values()
            .filter(|person| person.relation == Relation::Contact);
        let cards = contacts.filter_map(|person| person.card.as_ref());
        let doors = cards.flat_map(|card| card.doors.iter().map(move |door| (&card.card, door)));
        doors
            .filter_map(|(card, door)| {
                let home = pages.nearby.as_ref().or(door.home.first())?;
                Some(Target {
                    door: door.endpoint,
                    id: subscribe(&card.request_key, door.endpoint)?,
                    home: home.clone(),
                })
            })
            .collect()
    }

    /// The ids of those contacts that `id` makes one for, of account and request key.
    pub fn granted(
        &self,
        id: impl Fn(AccountId, &[u8; 32]) -> Option<SubscriptionId>,
    ) -> Vec<SubscriptionId> {
        let pages = self.pages();
        let people = pages.people.iter();
        let contacts = people.filter(|(_, person)| person.relation == Relation::Contact);
        contacts
            .filter_map(|(account, person)| id(*account, &person.card.as_ref()?.card.request_key))
            .collect()
    }

    /// The contact behind a front door.
    pub fn account_behind(&self, key: EndpointKey) -> Option<AccountId> {
        match self.visitor(key)? {
            Visitor::Contact(account, _) => Some(account),
            _ => None,
        }
    }

    /// Whether a key may knock at the front door, and whose it is. A door proved that it is its contact's; that a key is
    /// a supernode is a contact's word alone, so it never takes a door away from another contact.
    pub fn visitor(&self, key: EndpointKey) -> Option<Visitor> {
        let pages = self.pages();
        let nearby = pages.nearby.as_ref().is_some_and(|one| one.id == key);
        if nearby || pages.own_supernodes.contains(&key) {
            return Some(Visitor::Supernode);
        }
        if let Some(device) = pages.own_keys.get(&key) {
            return Some(Visitor::Own(*device));
        }
        let contacts = || {
            let people = pages.people.iter();
            people.filter(|(_, person)| person.relation == Relation::Contact)
        };
        // CONTACT-08: whoever is blocked is a stranger, whose knock nobody hears.
        for (account, person) in contacts() {
            if let Some(door) = person.doors().iter().find(|door| door.endpoint == key) {
                return Some(Visitor::Contact(*account, door.device));
            }
        }
        contacts()
            .flat_map(|(_, person)| person.doors())
            .flat_map(|door| &door.home)
            .any(|home| home.id == key)
            .then_some(Visitor::Supernode)
            .or_else(|| {
                let removed = pages.removed_doors.contains(&key);
                removed.then_some(Visitor::Removed)
            })
            .or_else(|| pages.pairing.then_some(Visitor::Stranger))
    }

    /// Our other devices, and the doors of those that were removed.
    pub fn set_own_devices(
        &self,
        doors: Vec<Door>,
        joined: BTreeMap<EndpointKey, DeviceId>,
        removed: BTreeSet<EndpointKey>,
    ) {
        let mut pages = self.pages_mut();
        pages.own_keys = joined;
        let keys = doors.iter().map(|door| (door.endpoint, door.device));
        pages.own_keys.extend(keys);
        pages.own_doors = doors;
        pages.removed_doors = removed;
    }

    /// Where another device of ours is found.
    pub fn own_door(&self, device: DeviceId) -> Option<Door> {
        let pages = self.pages();
        let mut doors = pages.own_doors.iter();
        doors.find(|door| door.device == device).cloned()
    }

    /// Our other devices.
    pub fn own_devices(&self) -> Vec<DeviceId> {
        let pages = self.pages();
        pages.own_doors.iter().map(|door| door.device).collect()
    }

    /// `PAIR-11`: from now on strangers may knock because of a link for a new device, or no more.
    pub fn admit_strangers(&self, pairing: bool) {
        self.pages_mut().pairing = pairing;
    }

    /// Supernodes that serve us.
    pub fn set_own_supernodes(&self, keys: BTreeSet<EndpointKey>) {
        self.pages_mut().own_supernodes = keys;
    }

    fn pages(&self) -> RwLockReadGuard<'_, Pages> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages_mut(&self) -> RwLockWriteGuard<'_, Pages> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
