//! Who we are at this moment: other devices of the account, or a command, may make it another than before.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use starling_wire::ids::{AccountId, DeviceId};
use tokio::sync::{Notify, watch};

use crate::identity::Identity;

/// The identity that counts now.
#[derive(Debug)]
pub struct Own {
    account: AccountId,
    device: DeviceId,
    now: RwLock<Arc<Identity>>,
    revoked: AtomicBool,
    /// Own devices whose clocks say another day.
    apart: Mutex<BTreeSet<DeviceId>>,
    /// Whoever shows the status looks again.
    changed: Arc<Notify>,
    /// Contacts are to know other keys than before.
    keys: watch::Sender<()>,
}

impl Own {
    /// As it begins.
    pub fn new(identity: Identity, changed: Arc<Notify>) -> Self {
        Self {
            account: identity.account(),
            device: identity.device_id(),
            revoked: AtomicBool::new(!identity.is_listed()),
            now: RwLock::new(Arc::new(identity)),
            apart: Mutex::default(),
            changed,
            keys: watch::channel(()).0,
        }
    }

    /// As it is.
    pub fn get(&self) -> Arc<Identity> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on.
    pub fn set(&self, identity: Identity) {
        let keys = |identity: &Identity| (identity.request_secret, identity.discovery_key);
        let after = keys(&identity);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let before: Arc<Identity> = std::mem::replace(&mut *now, Arc::new(identity));
        drop(now);
        if keys(&before) != after {
            self.keys.send_replace(());
        }
        self.changed.notify_one();
    }

    /// Hears when request key or discovery key change.
    pub fn keys(&self) -> watch::Receiver<()> {
        self.keys.subscribe()
    }

    /// The account, which stays.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// This device.
    pub const fn device_id(&self) -> DeviceId {
        self.device
    }

    /// This device is none of the account's any more.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Whether that is so.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    /// `SYNC-08`: this device's clock and ours are more than a day apart.
    pub fn note_clock_apart(&self, device: DeviceId) {
        self.apart().insert(device);
        self.changed.notify_one();
    }

    /// Names of devices of which that is so.
    pub fn clocks_apart(&self) -> Vec<String> {
        let apart = self.apart().clone();
        let account = self.get().chain.verify();
        let devices = account.iter().flat_map(|account| account.devices());
        let named = devices.filter(|(id, _)| apart.contains(id));
        named.map(|(_, device)| device.name.clone()).collect()
    }

    fn apart(&self) -> MutexGuard<'_, BTreeSet<DeviceId>> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
