//! What we keep about contacts, in memory: asked at every knock, for every view. The store is the truth behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use starling_store::about::{self, About};
use starling_store::{StoreError, Tx};
use starling_wire::ids::AccountId;
use starling_wire::permissions::Permission;

/// About everybody. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Abouts(Arc<RwLock<BTreeMap<AccountId, About>>>);

impl Abouts {
    /// As it was kept.
    pub fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let all = about::all(tx)?.into_iter().collect();
        Ok(Self(Arc::new(RwLock::new(all))))
    }

    /// About one.
    pub fn of(&self, account: AccountId) -> About {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&account).cloned().unwrap_or_default()
    }

    /// `CONTACT-03`: whether a contact may do this here: ring, write, offer files, see whether we are there.
    pub fn allows(&self, account: AccountId, what: Permission) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&account)
            .is_none_or(|about| about.permissions.allows(what))
    }

    /// Changes what is kept about one: here when it is on disk, and not where the write is undone.
    pub fn change(
        &self,
        tx: &Tx<'_>,
        account: AccountId,
        change: impl FnOnce(&mut About),
    ) -> Result<(), StoreError> {
        let mut next = about::get(tx, account)?;
        change(&mut next);
        about::put(tx, account, &next)?;
        let abouts = self.clone();
        tx.at_end(move |stands| {
            if stands {
                abouts.set(account, next);
            }
        });
        Ok(())
    }

    /// As it was kept since.
    pub fn set(&self, account: AccountId, about: About) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(account, about);
    }

    /// They are no contact any more; what is left is the store's.
    pub fn forget(&self, account: AccountId) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.remove(&account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_store::{Store, StoreHandle};

    #[test]
    fn contact_03_what_was_not_kept_does_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("it opens");
        let store = StoreHandle::start(store).expect("it starts");
        let (abouts, bob) = (Abouts::default(), AccountId([2; 32]));
        let deny = |abouts: &Abouts, end: Result<(), StoreError>| {
            let abouts = abouts.clone();
            let _ = store.write(move |tx| {
                abouts.change(tx, bob, |about| {
                    about.permissions = about.permissions.with(Permission::Call, false);
                })?;
                end
            });
        };
        deny(&abouts, Err(StoreError::Damaged));
        assert!(abouts.allows(bob, Permission::Call));
        deny(&abouts, Ok(()));
        assert!(!abouts.allows(bob, Permission::Call));
    }
}
