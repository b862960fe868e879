//! A crowd of devices that do nothing but be registered: each is a front door as a node has it, with an account of its own,
//! and nothing else of a node. They may be somebody's contacts, whose presence that person watches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use starling_node::clock::{random, wall_ms};
use starling_node::identity::Identity;
use starling_node::transport::front_door::FrontDoor;
use starling_node::transport::pins::Pins;
use starling_node::transport::proxy::ProxySetting;
use starling_node::transport::requests::{RequestError, Supernodes};
use starling_store::contacts::{self, Contact, Relation};
use starling_store::{Store, StoreError, contact_profiles, profile};
use starling_wire::ids::AccountId;
use starling_wire::presence::{State, subscription};
use starling_wire::profile::{Said, Shown};
use starling_wire::supernode::{Answer, Grant, Request, SupernodeAddr};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// So many come at once.
const AT_ONCE: usize = 16;
/// A device that is not registered by then counts as failed.
const REGISTERED_WITHIN: Duration = Duration::from_secs(20);
/// After so many failures no more devices are tried.
const FAILURES_MAX: usize = 20;

/// One device.
#[derive(Debug)]
pub struct Device {
    identity: Identity,
    door: Arc<FrontDoor>,
    supernodes: Supernodes,
}

/// Why a device is not there.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Its front door.
    #[error("a front door could not be opened: {0}")]
    Door(String),
    /// The supernode.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The profile whose contact it is to be.
    #[error("the profile cannot be used: {0}")]
    Profile(#[from] StoreError),
    /// Something of its presence.
    #[error("it has no presence for that profile")]
    Presence,
    /// Too slow.
    #[error("not registered within {REGISTERED_WITHIN:?}")]
    Late,
}

impl Device {
    /// A new account's device behind that supernode, not registered yet.
    pub async fn new(home: &SupernodeAddr) -> Result<Self, DeviceError> {
        let identity = Identity::create("Device", "lab");
        let (arrivals, _) = mpsc::channel(1);
        let open = FrontDoor::open(
            &identity.front_door_seed,
            Pins::default(),
            ProxySetting::None,
            Some(home.clone()),
            Arc::new(|_| None),
            arrivals,
        );
        let door = open.await.map_err(|e| DeviceError::Door(e.to_string()))?;
        let door = Arc::new(door);
        Ok(Self {
            identity,
            supernodes: Supernodes::new(Arc::clone(&door)),
            door,
        })
    }

    /// Its account.
    pub fn account(&self) -> AccountId {
        self.identity.account()
    }

    /// Registers.
    pub async fn register(&self, home: &SupernodeAddr) -> Result<(), DeviceError> {
        let record = self.identity.record(1, std::slice::from_ref(home));
        let record = record.ok_or(RequestError::Unsigned)?;
        let registration = self.identity.registration(record, home.id);
        self.ask(home, &Request::Register(Box::new(registration)))
            .await
            .map(|_| ())
    }

    /// Is online, and lets that account alone see it.
    async fn show(&self, to: &Identity, home: &SupernodeAddr) -> Result<(), DeviceError> {
        let own = &self.identity;
        let door = own.front_door();
        let id = subscription(&own.request_secret, &to.request_key(), door, to.account());
        let state = State {
            counter: wall_ms(),
            ..State::default()
        };
        let sealed = state.seal(&own.front_door_key(), &own.discovery_key, random());
        let (Some(id), Ok(sealed)) = (id, sealed) else {
            return Err(DeviceError::Presence);
        };
        let grant = Grant {
            ids: vec![id],
            unseen: Vec::new(),
        };
        self.ask(home, &Request::Grant(grant)).await?;
        self.ask(home, &Request::State(sealed)).await?;
        self.fall_silent(home).await;
        Ok(())
    }

    /// As a contact's row.
    fn contact(&self, home: &SupernodeAddr) -> Contact {
        let homes = vec![home.clone()];
        Contact {
            account: self.account(),
            relation: Relation::Contact,
            card: Some(self.identity.card(1, &homes, None)),
            name: self.identity.name.clone(),
            nickname: None,
            network: None,
            homes,
            echo: false,
            added_at: wall_ms(),
        }
    }

    /// Asks a supernode.
    pub async fn ask(&self, at: &SupernodeAddr, request: &Request) -> Result<Answer, DeviceError> {
        Ok(self.supernodes.ask(at, request).await?)
    }

    /// Ends the connection to the supernode, as silence would; the relay link stays.
    pub async fn fall_silent(&self, at: &SupernodeAddr) {
        self.supernodes.forget(at.id).await;
    }

    /// Leaves.
    pub async fn close(&self) {
        self.door.close().await;
    }
}

/// Lets so many devices register at a supernode, which each knows at the next of the addresses, and fall silent. Those that are
/// there, and why the last that is not is not.
pub async fn gather(homes: &[SupernodeAddr], count: usize) -> (Vec<Device>, Option<DeviceError>) {
    let (mut coming, mut devices, mut trouble) = (JoinSet::new(), Vec::new(), None);
    let mut failures = 0;
    let mut next = homes.iter().cycle();
    loop {
        let wanted = devices.len() + coming.len() < count && failures < FAILURES_MAX;
        if wanted && coming.len() < AT_ONCE {
            let Some(home) = next.next().cloned() else {
                break;
            };
            coming.spawn(async move {
                let registered = tokio::time::timeout(REGISTERED_WITHIN, arrive(&home)).await;
                registered.unwrap_or(Err(DeviceError::Late))
            });
            continue;
        }
        match coming.join_next().await {
            Some(Ok(Ok(device))) => devices.push(device),
            Some(Ok(Err(error))) => {
                failures += 1;
                trouble = Some(error);
            }
            // A device's task ended by a panic, which was told.
            Some(Err(_)) => failures += 1,
            None => break,
        }
    }
    (devices, trouble)
}

/// Makes all of them contacts of the account in that profile, whose node does not run and finds them at `home`. Each asks its
/// supernode at the next of `homes`.
pub async fn befriend(
    profile: &Path,
    devices: &[Device],
    (home, homes): (&SupernodeAddr, &[SupernodeAddr]),
) -> Result<(), DeviceError> {
    let mut store = Store::open(profile)?;
    let kept = store.read(profile::load)?;
    let owner = kept.as_ref().map(Identity::from_profile);
    let owner = owner.ok_or(DeviceError::Presence)?;
    for (device, at) in devices.iter().zip(homes.iter().cycle()) {
        device.show(&owner, at).await?;
    }
    let rows: Vec<Contact> = devices.iter().map(|device| device.contact(home)).collect();
    store.write(move |tx| {
        rows.iter().try_for_each(|row| {
            contacts::put(tx, row)?;
            contact_profiles::put(tx, row.account, &nothing(), None)
        })
    })?;
    Ok(())
}

/// Was asked and shows nothing: no front door here talks about profiles.
const fn nothing() -> Shown {
    Shown {
        about: Said {
            number: 0,
            value: None,
        },
        avatar: Said {
            number: 0,
            value: None,
        },
    }
}

async fn arrive(home: &SupernodeAddr) -> Result<Device, DeviceError> {
    let device = Device::new(home).await?;
    device.register(home).await?;
    device.fall_silent(home).await;
    Ok(device)
}
