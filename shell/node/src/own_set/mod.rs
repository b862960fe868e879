//! The set of entries that own devices keep together (spec page `devices.md`), beside the tables that say the same. Owns the machine
//! `device::sync`.
//!
//! Everything is told to the machine inside the transaction that changes the tables, so both are on disk together. What it wants
//! to send or to have done is there for the devices driver ([`OwnSet::take`]) once the transaction is on disk. If it was undone
//! instead, the machine begins anew with what is.

mod apply;
mod mirror;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ed25519_dalek::SigningKey;
use starling_protocol::device::sync::{
    LinkId, Stored, Sync, SyncCommand, SyncEvent, SyncPersist, SyncRefused, SyncTransmit,
};
use starling_store::own_names::{self, OwnName};
use starling_store::{StoreError, Tx, contacts, own_set, requests};
use starling_wire::card::{SignedCard, VerifiedCard};
use starling_wire::ids::{AccountId, DeviceId, EndpointKey};
use starling_wire::name::Name;
use starling_wire::own_name::Answered;
use starling_wire::sync::item::Item;
use starling_wire::sync::{Author, Entry, Key, Seed, SyncFrame};
use tokio::sync::Notify;
use tracing::debug;

pub use self::apply::Effect;
use crate::clock::wall_ms;
use crate::drivers::profiles;
use crate::identity::Identity;
use crate::own::Own;

/// What was before there were stamps is older than every change.
const BEFORE_ALL: u64 = 0;

/// One device's set.
#[derive(Debug)]
pub struct OwnSet {
    own: Arc<Own>,
    machine: Mutex<Machine>,
    news: Notify,
}

#[derive(Debug)]
struct Machine {
    sync: Sync,
    /// What was written last did not stay: the machine is to be as the tables are.
    undone: bool,
    /// Of transactions that are not on disk yet, oldest first.
    drafts: VecDeque<Waiting>,
    waiting: Waiting,
}

/// What is to be done, since the transaction that it came of is on disk.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Frames for links.
    pub transmits: Vec<SyncTransmit>,
    /// What the machine wants.
    pub events: Vec<SyncEvent>,
    /// What is another than before.
    pub effects: Vec<Effect>,
}

impl OwnSet {
    /// As it is stored. The first time it is filled from the tables.
    pub fn load(tx: &Tx<'_>, own: Arc<Own>) -> Result<Arc<Self>, StoreError> {
        let identity = own.get();
        let author = Author::new(identity.account(), identity.device.clone());
        let sync = Sync::new(author, stored(tx, &identity)?);
        let set = Arc::new(Self {
            own,
            machine: Mutex::new(Machine {
                sync,
                undone: false,
                drafts: VecDeque::new(),
                waiting: Waiting::default(),
            }),
            news: Notify::new(),
        });
        if own_set::settled(tx)?.is_none() {
            set.fill(tx)?;
        }
        Ok(set)
    }

    fn fill(self: &Arc<Self>, tx: &Tx<'_>) -> Result<(), StoreError> {
        let rows = contacts::list(tx)?;
        let mut known: BTreeSet<AccountId> = rows.iter().map(|row| row.account).collect();
        known.extend(requests::list(tx)?.iter().map(|request| request.account));
        for account in known {
            self.change_at(tx, &mirror::items(tx, account)?, BEFORE_ALL)?;
        }
        for own in own_names::list(tx)? {
            self.change_at(tx, &mirror::name(own), BEFORE_ALL)?;
        }
        self.change_at(tx, &profiles::kept(tx)?, BEFORE_ALL)?;
        own_set::settle(tx, None)
    }

    /// These change, all or none: on this device the transaction sees to it, on all others the set does.
    pub fn change(self: &Arc<Self>, tx: &Tx<'_>, items: &[Item]) -> Result<(), StoreError> {
        self.change_at(tx, items, wall_ms())
    }

    fn change_at(
        self: &Arc<Self>,
        tx: &Tx<'_>,
        items: &[Item],
        clock: u64,
    ) -> Result<(), StoreError> {
        let changes = items.iter().map(Item::write).collect();
        let mut machine = self.machine(tx)?;
        let changed = machine
            .sync
            .handle_command(SyncCommand::Change(changes), clock);
        changed.map_err(|refused: SyncRefused| StoreError::Refused(refused.to_string()))?;
        self.keep(tx, &mut machine, false)
    }

    /// A unique name of ours stands so from now on, on all devices.
    pub fn keep_name(self: &Arc<Self>, tx: &Tx<'_>, own: OwnName) -> Result<(), StoreError> {
        own_names::put(tx, &own)?;
        self.change(tx, &mirror::name(own))
    }

    /// It is ours no more.
    pub fn forget_name(self: &Arc<Self>, tx: &Tx<'_>, name: &Name) -> Result<(), StoreError> {
        own_names::forget(tx, name)?;
        let gone = Item::NameAnswer(name.clone(), Answered::default());
        self.change(tx, &[Item::Name(name.clone(), None), gone])
    }

    /// Whatever the tables say of somebody by now, all devices hear.
    pub fn mirror(self: &Arc<Self>, tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
        self.change(tx, &mirror::items(tx, account)?)
    }

    /// This device signed a card, or its own door in it.
    pub fn signed(self: &Arc<Self>, tx: &Tx<'_>, card: VerifiedCard) -> Result<(), StoreError> {
        self.act(tx, |sync, clock| {
            let command = SyncCommand::Card(Box::new(card));
            if let Err(refused) = sync.handle_command(command, clock) {
                debug!(%refused, "a card was refused by the set");
            }
        })
    }

    /// A stream with another own device is open.
    pub fn link_up(
        self: &Arc<Self>,
        tx: &Tx<'_>,
        link: LinkId,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        self.act(tx, |sync, clock| sync.handle_link_up(link, device, clock))
    }

    /// It is gone.
    pub fn link_down(self: &Arc<Self>, tx: &Tx<'_>, link: LinkId) -> Result<(), StoreError> {
        self.act(tx, |sync, _| sync.handle_link_down(link))
    }

    /// What another own device said.
    pub fn heard(
        self: &Arc<Self>,
        tx: &Tx<'_>,
        link: LinkId,
        frame: SyncFrame,
    ) -> Result<(), StoreError> {
        self.act(tx, |sync, clock| sync.handle_frame(link, frame, clock))
    }

    fn act(
        self: &Arc<Self>,
        tx: &Tx<'_>,
        act: impl FnOnce(&mut Sync, u64),
    ) -> Result<(), StoreError> {
        let mut machine = self.machine(tx)?;
        act(&mut machine.sync, wall_ms());
        self.keep(tx, &mut machine, true)
    }

    /// What came of it is on disk with the transaction; `follow`: the tables hear of it, too.
    fn keep(
        self: &Arc<Self>,
        tx: &Tx<'_>,
        machine: &mut Machine,
        follow: bool,
    ) -> Result<(), StoreError> {
        let mut draft = Waiting::default();
        let mut kept = Ok(());
        // Drained to the end whatever happens: the machine goes on.
        while let Some(persist) = machine.sync.poll_persist() {
            if kept.is_ok() {
                kept = self.persist(tx, persist, follow, &mut draft.effects);
            }
        }
        draft
            .transmits
            .extend(std::iter::from_fn(|| machine.sync.poll_transmit()));
        draft
            .events
            .extend(std::iter::from_fn(|| machine.sync.poll_event()));
        machine.drafts.push_back(draft);
        // After what was changed above: whoever hears of the set finds the account as the set says.
        let set = Arc::clone(self);
        tx.at_end(move |stands| set.settle(stands));
        kept
    }

    /// The transaction is on disk, or was undone.
    fn settle(&self, stands: bool) {
        let mut machine = self.lock();
        if !stands {
            machine.drafts.pop_back();
            machine.undone = true;
            return;
        }
        if let Some(mut draft) = machine.drafts.pop_front() {
            let waiting = &mut machine.waiting;
            waiting.transmits.append(&mut draft.transmits);
            waiting.events.append(&mut draft.events);
            waiting.effects.append(&mut draft.effects);
        }
        self.news.notify_one();
    }

    fn persist(
        &self,
        tx: &Tx<'_>,
        persist: SyncPersist,
        follow: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), StoreError> {
        match persist {
            SyncPersist::Put(entry) => {
                own_set::put(tx, &entry)?;
                if follow && let Some(effect) = follow_entry(tx, &entry)? {
                    effects.extend(self.at_once(tx, effect)?);
                }
            }
            SyncPersist::Remove(key) => {
                own_set::remove(tx, &key)?;
                effects.extend(follow_value(tx, &key, None)?);
            }
            SyncPersist::Card(card) => effects.extend(self.follow_card(tx, &card)?),
            SyncPersist::SigningKey(seed) => {
                let signing = SigningKey::from_bytes(&seed.0);
                self.own
                    .change(tx, |identity| identity.signing = Some(signing))?;
                effects.push(Effect::Account);
            }
            SyncPersist::Settled(head) => {
                let before = own_set::settled(tx)?.flatten();
                own_set::settle(tx, Some(head))?;
                effects.extend(before.is_none().then_some(Effect::Complete));
            }
        }
        Ok(())
    }

    /// A key that came is kept with the entry that brought it; everything else is for the driver.
    fn at_once(&self, tx: &Tx<'_>, effect: Effect) -> Result<Option<Effect>, StoreError> {
        let Effect::RequestKey(seed) = effect else {
            return Ok(Some(effect));
        };
        let renew = |identity: &mut Identity| identity.renew_request_secret(seed.0);
        self.own.change(tx, renew)?;
        Ok(None)
    }

    /// The account is another one than before: a device came or went, or has moved.
    fn follow_card(&self, tx: &Tx<'_>, card: &SignedCard) -> Result<Option<Effect>, StoreError> {
        let Ok(card) = card.verify() else {
            return Ok(None);
        };
        let before = self.own.draft();
        let listed = card.account().devices();
        let said = before.seen.iter().flat_map(|seen| &seen.doors);
        let said = said.map(|door| (door.device, door.endpoint));
        // Some joined, and never said where they were.
        for (device, door) in said.chain(own_set::joined_doors(tx)?) {
            if !listed.contains_key(&device) {
                own_set::door_removed(tx, door, wall_ms())?;
            }
        }
        let head = self.own.change(tx, |identity| {
            identity.follow(&card);
            identity.chain.head()
        })?;
        Ok(Some(if head != before.chain.head() {
            Effect::Account
        } else {
            Effect::Doors
        }))
    }

    /// As the tables are in this transaction.
    fn machine(self: &Arc<Self>, tx: &Tx<'_>) -> Result<MutexGuard<'_, Machine>, StoreError> {
        let mut machine = self.lock();
        if machine.undone {
            machine.sync.handle_undone(stored(tx, &self.own.draft())?);
            self.keep(tx, &mut machine, true)?;
            machine.undone = false;
        }
        Ok(machine)
    }

    /// What is to be done.
    pub fn take(&self) -> Waiting {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Until something may wait.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stored(tx: &Tx<'_>, identity: &Identity) -> Result<Stored, StoreError> {
    let card = identity.seen.as_ref().and_then(|card| card.verify().ok());
    Ok(Stored {
        card: card.ok_or(StoreError::Damaged)?,
        signing_key: identity.signing.as_ref().map(|key| Seed(key.to_bytes())),
        entries: own_set::list(tx)?,
        settled: own_set::settled(tx)?.flatten(),
    })
}

fn follow_entry(tx: &Tx<'_>, entry: &Entry) -> Result<Option<Effect>, StoreError> {
    follow_value(tx, &entry.key, entry.value.as_deref())
}

fn follow_value(
    tx: &Tx<'_>,
    key: &Key,
    value: Option<&[u8]>,
) -> Result<Option<Effect>, StoreError> {
    match Item::read(key, value) {
        Ok(Some(item)) => apply::item(tx, item),
        Ok(None) => Ok(None),
        // SYNC-10: kept and passed on all the same.
        Err(error) => {
            debug!(%error, "an entry was not followed");
            Ok(None)
        }
    }
}

/// Doors of removed devices, which may knock to be told so.
pub fn removed_doors(tx: &Tx<'_>) -> Result<BTreeSet<EndpointKey>, StoreError> {
    Ok(own_set::removed_doors(tx)?.into_iter().collect())
}

#[cfg(test)]
mod tests;
