//! Transactions that fail: what is in memory is as what is on disk.

use std::pin::pin;
use std::task::{Context, Wake};

use starling_store::{Store, StoreHandle, profile};
use starling_wire::account::Change;

use super::*;
use crate::identity::Identity;

struct Device {
    _folder: tempfile::TempDir,
    store: StoreHandle,
    own: Arc<Own>,
    set: Arc<OwnSet>,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreHandle::start(Store::open(folder.path()).unwrap()).unwrap();
        let mut identity = Identity::create("Alice", "laptop");
        identity.follow(&identity.card(1, &[], None).verify().unwrap());
        let row = identity.to_profile();
        let own = Arc::new(Own::new(identity, Arc::default()));
        let loaded = Arc::clone(&own);
        let load = move |tx: &Tx<'_>| {
            profile::create(tx, &row)?;
            OwnSet::load(tx, loaded)
        };
        let set = store.write(load).unwrap();
        Self {
            _folder: folder,
            store,
            own,
            set,
        }
    }

    fn change(&self, mood: &str, outcome: Result<(), StoreError>) {
        let (own, set) = (Arc::clone(&self.own), Arc::clone(&self.set));
        let item = Item::Profile("mood".into(), Some(mood.into()));
        let discovery = mood.len() as u8;
        let expected = outcome.clone();
        let done = self.store.write(move |tx| {
            own.change(tx, |identity| identity.discovery_key = [discovery; 32])?;
            assert_eq!(own.draft().discovery_key, [discovery; 32]);
            assert_ne!(own.get().discovery_key, [discovery; 32], "not on disk yet");
            set.change(tx, &[item])?;
            assert!(set.take().transmits.is_empty());
            outcome
        });
        assert_eq!(done, expected);
    }

    fn stored_mood(&self) -> Option<Vec<u8>> {
        let entries = self.store.read(own_set::list).unwrap();
        let mut moods = entries
            .into_iter()
            .filter(|entry| entry.key.field == "profile/mood");
        moods.next().and_then(|entry| entry.value)
    }
}

#[test]
fn what_is_undone_on_disk_is_undone_in_memory() {
    let device = Device::new();
    device.change("a", Ok(()));
    device.change("bb", Err(StoreError::Full));
    assert_eq!(device.own.get().discovery_key, [1; 32]);
    assert_eq!(device.stored_mood(), Some(b"a".to_vec()));
    // Whoever believed that it is so already would change nothing.
    device.change("bb", Ok(()));
    assert_eq!(device.own.get().discovery_key, [2; 32]);
    assert_eq!(device.stored_mood(), Some(b"bb".to_vec()));
}

/// Looks at the account at the very moment at which the set has news.
struct Looks {
    own: Arc<Own>,
    seen: Mutex<Vec<usize>>,
}

impl Looks {
    fn devices(own: &Own) -> usize {
        own.get().chain.verify().unwrap().devices().len()
    }
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.seen.lock().unwrap().push(Self::devices(&self.own));
    }
}

#[test]
fn whoever_hears_that_the_account_changed_finds_it_changed() {
    let device = Device::new();
    let looks = Arc::new(Looks {
        own: Arc::clone(&device.own),
        seen: Mutex::default(),
    });
    let waker = Arc::clone(&looks).into();
    let mut context = Context::from_waker(&waker);
    let mut first = pin!(device.set.news());
    assert!(
        first.as_mut().poll(&mut context).is_ready(),
        "it was filled"
    );
    let mut news = pin!(device.set.news());
    assert!(news.as_mut().poll(&mut context).is_pending());
    let mut identity = Identity::clone(&device.own.get());
    let phone = Identity::create("Alice", "phone").device_id();
    let key = identity.signing.clone().unwrap();
    identity.chain.append(
        &key,
        Change::AddDevice {
            device: phone,
            name: "phone".into(),
            owner: false,
        },
    );
    let card = identity.card(2, &[], None).verify().unwrap();
    let set = Arc::clone(&device.set);
    device.store.write(move |tx| set.signed(tx, card)).unwrap();
    assert_eq!(*looks.seen.lock().unwrap(), [2]);
    assert!(device.set.take().effects.contains(&Effect::Account));
}
