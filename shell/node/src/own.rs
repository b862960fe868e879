//! Who we are at this moment: other devices of the account, or a command, may make it another than before.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use starling_store::{StoreError, Tx, profile};
use starling_wire::ids::{AccountId, DeviceId};
use tokio::sync::{Notify, watch};

use crate::identity::Identity;

/// The identity that counts now.
#[derive(Debug)]
pub struct Own {
    account: AccountId,
    device: DeviceId,
    now: RwLock<Arc<Identity>>,
    /// As it will be once what the store's writer does is on disk, oldest first.
    drafts: Mutex<VecDeque<Arc<Identity>>>,
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
            drafts: Mutex::default(),
            apart: Mutex::default(),
            changed,
            keys: watch::channel(()).0,
        }
    }

    /// As it is.
    pub fn get(&self) -> Arc<Identity> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes it another in a transaction: whoever writes after it sees that at once, everybody else when it is on disk.
    pub fn change<T>(
        self: &Arc<Self>,
        tx: &Tx<'_>,
        change: impl FnOnce(&mut Identity) -> T,
    ) -> Result<T, StoreError> {
        let mut identity = Identity::clone(&self.draft());
        let changed = change(&mut identity);
        profile::change(tx, &identity.to_profile())?;
        self.drafts().push_back(Arc::new(identity));
        let own = Arc::clone(self);
        tx.at_end(move |stands| own.settle(stands));
        Ok(changed)
    }

    /// As the transaction sees it that is open now.
    pub fn draft(&self) -> Arc<Identity> {
        let last = self.drafts().back().cloned();
        last.unwrap_or_else(|| self.get())
    }

    fn settle(&self, stands: bool) {
        if !stands {
            self.drafts().pop_back();
            return;
        }
        let Some(identity) = self.drafts().pop_front() else {
            return;
        };
        let keys = |identity: &Identity| (identity.request_secret, identity.discovery_key);
        let after = keys(&identity);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *now, identity);
        drop(now);
        if keys(&before) != after {
            self.keys.send_replace(());
        }
        self.changed.notify_one();
    }

    fn drafts(&self) -> MutexGuard<'_, VecDeque<Arc<Identity>>> {
        self.drafts.lock().unwrap_or_else(PoisonError::into_inner)
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
