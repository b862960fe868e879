//! The list of own devices: shown, and changed by who holds the account's key.

use std::sync::Arc;

use starling_control::{ErrorKind, Failure, view};
use starling_store::StoreError;
use starling_wire::account::Change;
use starling_wire::ids::DeviceId;
use starling_wire::limits::DEVICE_NAME_MAX;
use starling_wire::sync::Seed;
use starling_wire::sync::item::Item;

use super::Devices;
use super::owner::{broken, can_sign, card_of, signed};
use crate::clock::random;
use crate::context::store_failure;
use crate::identity::Identity;

impl Devices {
    /// All devices of the account, this one first.
    pub fn list(&self) -> Result<Vec<view::Device>, Failure> {
        let identity = self.ctx.identity.get();
        let account = identity.chain.verify().map_err(broken)?;
        let own = identity.device_id();
        let mut devices: Vec<view::Device> = account
            .devices()
            .iter()
            .map(|(id, device)| view::Device {
                id: id.to_string(),
                name: device.name.clone(),
                owner: device.owner,
                this: *id == own,
                connected: *id == own || self.links.has(*id),
            })
            .collect();
        devices.sort_by_key(|device| !device.this);
        Ok(devices)
    }

    /// Gives a device another name.
    pub async fn rename(
        self: &Arc<Self>,
        which: &str,
        name: &str,
    ) -> Result<Vec<view::Device>, Failure> {
        can_sign(&self.ctx, "rename devices")?;
        let device = self.find(which)?;
        let name = checked(name)?;
        self.change(Change::AddDevice {
            device: id_of(&device)?,
            name,
            owner: device.owner,
        })
        .await
    }

    /// Whether a device is to hold the account's key. It gets it from this one when they meet.
    pub async fn mark(
        self: &Arc<Self>,
        which: &str,
        owner: bool,
    ) -> Result<Vec<view::Device>, Failure> {
        can_sign(&self.ctx, "mark devices")?;
        let device = self.find(which)?;
        if device.owner && !owner {
            let sentence = "a device that holds the account's key cannot forget it; remove the device and add it again";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        self.change(Change::AddDevice {
            device: id_of(&device)?,
            name: device.name,
            owner,
        })
        .await
    }

    /// Removes a device. What it had changed stays, what it changes from now on counts nowhere, and letters are sealed to another key
    /// than it has.
    pub async fn revoke(self: &Arc<Self>, which: &str) -> Result<Vec<view::Device>, Failure> {
        can_sign(&self.ctx, "remove devices")?;
        let device = self.find(which)?;
        if device.this {
            let sentence = "this is the device in front of you; remove it on another one of yours";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        if device.owner {
            let sentence = "this device holds the account's key, so removing it from the list does not stop whoever has it; \
                that takes the 24 words: recover the account with them";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let change = Change::RemoveDevice {
            device: id_of(&device)?,
        };
        let mut identity = Identity::clone(&self.ctx.identity.get());
        let secret: [u8; 32] = random();
        identity.renew_request_secret(secret);
        let discovery = random();
        identity.discovery_key = discovery;
        let key = identity.signing.clone();
        if let Some(key) = key {
            identity.chain.append(&key, change);
        }
        let card = card_of(&self.ctx, &identity).await?;
        let set = Arc::clone(&self.ctx.own_set);
        let own = Arc::clone(&self.ctx.identity);
        let kept = self.ctx.db.write(move |tx| {
            own.change(tx, |now| {
                now.renew_request_secret(secret);
                now.discovery_key = discovery;
            })?;
            // The history first: whoever is in it no more is not told the key.
            set.signed(tx, card)?;
            set.change(tx, &[Item::RequestKey(Seed(secret))])
        });
        kept.await.map_err(store_failure)?;
        self.told().await.map_err(store_failure)?;
        self.list()
    }

    async fn change(self: &Arc<Self>, change: Change) -> Result<Vec<view::Device>, Failure> {
        let card = signed(&self.ctx, change).await?;
        self.keep(card).await?;
        self.list()
    }

    /// Contacts and supernodes hear of it.
    pub(super) async fn told(self: &Arc<Self>) -> Result<(), StoreError> {
        self.doors().await?;
        self.people.send_updates().await
    }

    /// The device that a person means: its id, the beginning of that, or its name.
    fn find(&self, which: &str) -> Result<view::Device, Failure> {
        let wanted = which.trim().to_lowercase();
        let all = self.list()?;
        let named = |device: &view::Device| {
            device.name.trim().to_lowercase() == wanted
                || (wanted.len() >= PREFIX_MIN && device.id.starts_with(&wanted))
        };
        let mut found: Vec<view::Device> = all.into_iter().filter(named).collect();
        match found.len() {
            0 => Err(Failure::new(
                ErrorKind::NotFound,
                format!("none of your devices is called \"{which}\""),
            )),
            1 => Ok(found.remove(0)),
            _ => {
                let candidates = found.iter();
                let candidates = candidates.map(|device| format!("{} {}", device.id, device.name));
                Err(Failure::ambiguous(
                    format!("\"{which}\" fits several devices; use one of these ids"),
                    candidates.collect(),
                ))
            }
        }
    }
}

/// Characters of an id that are enough to mean it.
const PREFIX_MIN: usize = 4;

fn id_of(device: &view::Device) -> Result<DeviceId, Failure> {
    let parsed = device.id.parse();
    parsed.map_err(|_| Failure::new(ErrorKind::System, "this device has no id"))
}

fn checked(name: &str) -> Result<String, Failure> {
    let name = name.trim();
    let fits = !name.is_empty() && name.len() <= DEVICE_NAME_MAX;
    if !fits || name.chars().any(char::is_control) {
        let sentence =
            format!("a device's name has 1 to {DEVICE_NAME_MAX} bytes and no control characters");
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    Ok(name.to_owned())
}
