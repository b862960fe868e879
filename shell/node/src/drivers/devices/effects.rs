//! What another device changed is on disk: those who keep it in memory hear of it, and so do clients.

use std::sync::Arc;

use starling_control::Event;
use starling_store::{StoreError, about, contacts, introductions, own_set, requests};
use starling_wire::ids::{AccountId, DeviceId};
use starling_wire::record::{AccountRecord, Signed};
use starling_wire::sync::item::Item;
use tracing::{debug, warn};

use super::Devices;
use crate::context::Signal;
use crate::drivers::{people, views};
use crate::own_set::{Effect, removed_doors};
use crate::relaying::Relaying;

impl Devices {
    pub(super) async fn carry_out(self: &Arc<Self>, effect: Effect) {
        let done = match effect {
            Effect::Person(account) => self.person(account).await,
            Effect::KeyChanged(account) => self.key_changed(account).await,
            Effect::About(account) => self.about(account).await,
            Effect::Request(account) => self.request(account).await,
            Effect::Relaying => self.relaying().await,
            Effect::Presence => self.ctx.own_presence.reload(&self.ctx).await,
            Effect::Profile => self.ctx.own_presence.profiles.reload(&self.ctx).await,
            Effect::Account => self.account().await,
            Effect::Doors => self.doors().await,
            Effect::Record(record) => self.record(*record).await,
            Effect::Calls => {
                self.ctx.signal(Signal::CallSettings);
                Ok(())
            }
            Effect::Names => {
                self.ctx.signal(Signal::Verdict);
                Ok(())
            }
            // Contacts are to know this device, too.
            Effect::Complete => self.people.send_updates().await,
            // The set has kept it already.
            Effect::RequestKey(_) => Ok(()),
        };
        if let Err(error) = done {
            warn!(%error, "a change of another own device could not be followed");
        }
    }

    async fn person(&self, account: AccountId) -> Result<(), StoreError> {
        let ctx = &self.ctx;
        let row = ctx.db.read(move |tx| contacts::get(tx, account)).await?;
        match row {
            Some(row) if is_there(row.relation) => {
                if row.relation == contacts::Relation::Blocked {
                    self.people.forget(account).await;
                }
                people::remember(ctx, &row);
                ctx.signal(Signal::Contact(account));
                views::announce_contact(ctx, account).await;
            }
            _ => {
                self.people.forget(account).await;
                ctx.emit(Event::ContactRemoved(account.to_string()));
            }
        }
        Ok(())
    }

    async fn key_changed(&self, account: AccountId) -> Result<(), StoreError> {
        self.person(account).await?;
        self.about(account).await?;
        people::announce_key(&self.ctx, account).await;
        Ok(())
    }

    async fn about(&self, account: AccountId) -> Result<(), StoreError> {
        let about = self.ctx.db.read(move |tx| about::get(tx, account)).await?;
        self.ctx.abouts.set(account, about);
        self.ctx.signal(Signal::Permissions(account));
        views::announce_contact(&self.ctx, account).await;
        Ok(())
    }

    async fn request(&self, account: AccountId) -> Result<(), StoreError> {
        let waiting = self.ctx.db.read(move |tx| {
            let shown = introductions::get(tx, account)?;
            Ok((requests::get(tx, account)?, shown))
        });
        let (waiting, shown) = waiting.await?;
        self.ctx.emit(match waiting {
            Some(request) => Event::Request(views::request(&request, shown.as_ref())),
            None => Event::RequestGone(account.to_string()),
        });
        Ok(())
    }

    async fn relaying(&self) -> Result<(), StoreError> {
        let stored = self.ctx.db.read(Relaying::load).await?;
        self.ctx.relaying.set(&stored);
        Ok(())
    }

    /// Doors that may knock are others now. Whoever was removed is not heard any more.
    pub async fn doors(self: &Arc<Self>) -> Result<(), StoreError> {
        let (joined, removed) = self
            .ctx
            .db
            .read(|tx| Ok((own_set::joined_doors(tx)?, removed_doors(tx)?)))
            .await?;
        let identity = self.ctx.identity.get();
        let device = identity.device_id();
        let account = identity.chain.verify();
        let listed = |device: &DeviceId| {
            let account = account.as_ref();
            account.is_ok_and(|account| account.devices().contains_key(device))
        };
        let joined = joined.into_iter().filter(|(device, _)| listed(device));
        let joined = joined.map(|(device, door)| (door, device)).collect();
        let doors = identity.seen.iter().flat_map(|seen| &seen.doors);
        let others = doors.filter(|door| door.device != device);
        self.ctx
            .book
            .set_own_devices(others.cloned().collect(), joined, removed);
        let book = &self.ctx.book;
        self.ctx
            .door
            .close_strangers(|key| book.visitor(key).is_some());
        Ok(())
    }

    /// History or key are others now: the record has to be, too, and may have come before.
    async fn account(self: &Arc<Self>) -> Result<(), StoreError> {
        self.doors().await?;
        let (key, _) = Item::Record(None).write();
        let entry = self.ctx.db.read(move |tx| own_set::get(tx, &key)).await?;
        let item = entry.map(|entry| Item::read(&entry.key, entry.value.as_deref()));
        if let Some(Ok(Some(Item::Record(Some(record))))) = item {
            self.record(*record).await?;
        }
        if self.ctx.identity.get().can_sign() {
            self.ctx.signal(Signal::Account);
        }
        Ok(())
    }

    async fn record(&self, record: Signed<AccountRecord>) -> Result<(), StoreError> {
        if self.registrar.adopt(&self.ctx, record).await? {
            debug!("the account's record was signed on another own device");
            self.records.account().await;
        }
        Ok(())
    }
}

const fn is_there(relation: contacts::Relation) -> bool {
    !matches!(
        relation,
        contacts::Relation::Removed | contacts::Relation::Ended
    )
}
