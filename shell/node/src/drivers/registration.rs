//! Being at home: the registration that is shown to the home supernode, and the letters that wait there (spec page
//! `super.md`). When to do either is decided by the home driver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use starling_protocol::people::own_record::{Lesson, lesson};
use starling_store::{StoreError, Tx, profile, settings};
use starling_wire::frame;
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::limits::{DEPOSITS_TOLD_MAX, RECORD_MAX, RECORD_TTL_S};
use starling_wire::record::{AccountRecord, Content, Signed, Verified};
use starling_wire::supernode::{Answer, Refusal, Request, SupernodeAddr, envelope_id};
use starling_wire::sync::item::Item;
use tracing::debug;

use crate::clock::wall_s;
use crate::context::{Context, Signal};
use crate::db::Db;
use crate::transport::requests::RequestError;

/// The record of ours that was signed last: it is the same one after a restart, since a new one tells everybody that its
/// owner is there (`INDEX-18`).
const OWN_RECORD: &str = "own record";
/// A record is shown as long as so much of its time is left, in seconds.
const LEFT_S: u64 = RECORD_TTL_S / 14;

/// Registers and collects.
#[derive(Debug, Default)]
pub struct Registrar {
    /// The record signed last, by this device or another one.
    record: Mutex<Option<Signed<AccountRecord>>>,
    /// It was another one.
    adopted: AtomicBool,
    /// Where it was shown last, and its place in the order of our records.
    shown: Mutex<Option<(EndpointKey, u64)>>,
    /// One record is signed at a time.
    signing: tokio::sync::Mutex<()>,
    collecting: tokio::sync::Mutex<()>,
    /// Where letters are to be asked for next.
    wanted: Mutex<Option<SupernodeAddr>>,
}

impl Registrar {
    /// With the record of the last run.
    pub async fn load(db: &Db) -> Result<Self, StoreError> {
        let stored = db.read(|tx| settings::get(tx, OWN_RECORD)).await?;
        let bytes = stored.and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
        let record = bytes.and_then(|bytes| frame::decode_body(&bytes, RECORD_MAX).ok());
        Ok(Self {
            record: Mutex::new(record),
            ..Self::default()
        })
    }

    /// Our record, if there is one that still counts.
    pub fn record(&self, account: AccountId) -> Option<Verified<AccountRecord>> {
        self.kept().as_ref()?.verify(account, wall_s()).ok()
    }

    /// The homes that our record names.
    pub fn homes(&self) -> Vec<SupernodeAddr> {
        let kept = self.kept();
        kept.as_ref()
            .map(|signed| signed.record.home.clone())
            .unwrap_or_default()
    }

    /// Whether our record names these homes and this key for letters, or was signed by another device, which names its own.
    pub fn says(&self, homes: &[SupernodeAddr], request_key: Option<[u8; 32]>) -> bool {
        let kept = self.kept();
        let says = |signed: &Signed<AccountRecord>| {
            let key = request_key.is_none_or(|key| signed.record.request_key == key);
            key && signed.record.home == homes
        };
        self.is_adopted() || kept.as_ref().is_some_and(says)
    }

    fn is_adopted(&self) -> bool {
        self.adopted.load(Ordering::Relaxed)
    }

    /// Another own device signed this record; whether it is newer than ours and counts from now on.
    pub async fn adopt(
        &self,
        ctx: &Context,
        record: Signed<AccountRecord>,
    ) -> Result<bool, StoreError> {
        let _one = self.signing.lock().await;
        let account = ctx.identity.account();
        let Ok(record) = record.verify(account, wall_s()) else {
            return Ok(false);
        };
        let known = self.kept().as_ref().map(|known| known.record.order());
        let of_now = record.record().head == ctx.identity.get().chain.head();
        if !of_now || known >= Some(record.record().order()) {
            return Ok(false);
        }
        learn(ctx, record.record()).await?;
        let record = record.signed().clone();
        let stored = HEXLOWER.encode(&frame::encode_body(&record));
        let keep = move |tx: &Tx<'_>| settings::set(tx, OWN_RECORD, &stored);
        ctx.db.write(keep).await?;
        *self.kept() = Some(record);
        self.adopted.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Whether the record of this place in the order was the last shown, and there.
    pub fn has_shown(&self, supernode: EndpointKey, order: u64) -> bool {
        *self.shown() == Some((supernode, order))
    }

    /// Signs a new record.
    pub async fn renew(&self, ctx: &Context) -> Result<(), RequestError> {
        let _one = self.signing.lock().await;
        self.sign(ctx).await.map(|_| ())
    }

    /// Registers at a supernode, with the record that was signed last unless it says something else by now.
    pub async fn register(
        &self,
        ctx: &Context,
        supernode: &SupernodeAddr,
    ) -> Result<(), RequestError> {
        let record = self.current(ctx).await?;
        match self.show(ctx, supernode, record).await {
            // A backup was restored, or a clock was set back: our own newer record says where to go on.
            Err(RequestError::Refused(Refusal::Older)) => {
                let known = learn_sequence(ctx, supernode).await?;
                if ctx.identity.get().can_sign() {
                    self.renew(ctx).await?;
                } else {
                    self.adopt(ctx, known).await?;
                }
                let record = self.current(ctx).await?;
                self.show(ctx, supernode, record).await
            }
            other => other,
        }
    }

    async fn current(&self, ctx: &Context) -> Result<Signed<AccountRecord>, RequestError> {
        let _one = self.signing.lock().await;
        let kept = self.kept().clone();
        match kept.filter(|record| is_current(record, ctx, self.is_adopted())) {
            Some(record) => Ok(record),
            None => self.sign(ctx).await,
        }
    }

    async fn sign(&self, ctx: &Context) -> Result<Signed<AccountRecord>, RequestError> {
        let sequence = |tx: &Tx<'_>| profile::next_sequence(tx, wall_s());
        let sequence = ctx.db.write(sequence).await?;
        let identity = ctx.identity.get();
        let record = identity.record(sequence, &ctx.home_list());
        let record = record.ok_or(RequestError::Unsigned)?;
        let stored = HEXLOWER.encode(&frame::encode_body(&record));
        let own_set = Arc::clone(&ctx.own_set);
        let item = Item::Record(Some(Box::new(record.clone())));
        let keep = move |tx: &Tx<'_>| {
            settings::set(tx, OWN_RECORD, &stored)?;
            own_set.change(tx, &[item])
        };
        ctx.db.write(keep).await?;
        self.adopted.store(false, Ordering::Relaxed);
        *self.kept() = Some(record.clone());
        Ok(record)
    }

    async fn show(
        &self,
        ctx: &Context,
        supernode: &SupernodeAddr,
        record: Signed<AccountRecord>,
    ) -> Result<(), RequestError> {
        let order = record.record.order();
        let registration = ctx.identity.get().registration(record, supernode.id);
        let request = Request::Register(Box::new(registration));
        match ctx.supernodes.ask(supernode, &request).await? {
            Answer::Ok => {
                *self.shown() = Some((supernode.id, order));
                Ok(())
            }
            _ => Err(RequestError::Unexpected),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Signed<AccountRecord>>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Option<(EndpointKey, u64)>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches everything that waits, hands it on, and tells the supernode to forget what was acted on durably. A wish
    /// that comes while this runs is part of it. Whether the supernode asked last answered.
    pub async fn collect(&self, ctx: &Arc<Context>, supernode: &SupernodeAddr) -> bool {
        *self.wanted() = Some(supernode.clone());
        let mut answered = true;
        while self.wanted().is_some() {
            let Ok(_one) = self.collecting.try_lock() else {
                return true;
            };
            while let Some(supernode) = self.take_wanted() {
                let collected = collect_all(ctx, &supernode).await;
                answered = collected.is_ok();
                if let Err(error) = collected {
                    debug!(%error, "the letters could not be collected");
                }
            }
        }
        answered
    }

    fn take_wanted(&self) -> Option<SupernodeAddr> {
        self.wanted().take()
    }

    fn wanted(&self) -> MutexGuard<'_, Option<SupernodeAddr>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a record may be shown again: it says what is still so, for a while.
fn is_current(record: &Signed<AccountRecord>, ctx: &Context, adopted: bool) -> bool {
    let identity = ctx.identity.get();
    let record = &record.record;
    let homes = adopted || record.home == ctx.home_list();
    // Whoever cannot sign shows what he has as long as it counts.
    let left = if identity.can_sign() { LEFT_S } else { 0 };
    // Whoever cannot sign shows the key of before.
    let key = adopted || !identity.can_sign() || record.request_key == identity.request_key();
    homes && key && record.head == identity.chain.head() && record.expires > wall_s() + left
}

/// Our own record as the supernode has it. It is signed by us, so nobody can make us jump further than we ever were.
async fn learn_sequence(
    ctx: &Context,
    supernode: &SupernodeAddr,
) -> Result<Signed<AccountRecord>, RequestError> {
    let account = ctx.identity.account();
    let request = Request::Lookup { account };
    let Answer::Record(Some(record)) = ctx.supernodes.ask(supernode, &request).await? else {
        return Err(RequestError::Unexpected);
    };
    let record = record
        .verify(account, wall_s())
        .map_err(|_| RequestError::Unexpected)?;
    learn(ctx, record.record()).await?;
    Ok(record.signed().clone())
}

/// Somebody with our keys signed this: the next of ours goes on from there. Numbers from before or after another recovery say
/// nothing of ours.
pub(super) async fn learn(ctx: &Context, record: &AccountRecord) -> Result<(), StoreError> {
    let own = ctx.identity.get().chain.speaker();
    let lesson = lesson(record, &own, wall_s());
    debug!(
        ?lesson,
        "a record of ours is known that is newer, or another"
    );
    match lesson {
        Lesson::Out => {
            ctx.identity.revoke();
            ctx.signal(Signal::Revoked);
            Ok(())
        }
        Lesson::GoOn(sequence) => {
            ctx.db
                .write(move |tx| profile::used_sequence(tx, sequence))
                .await
        }
        Lesson::Nothing => Ok(()),
    }
}

async fn collect_all(ctx: &Arc<Context>, supernode: &SupernodeAddr) -> Result<(), RequestError> {
    // A supernode that always has one more is not asked for ever.
    for _ in 0..=DEPOSITS_TOLD_MAX {
        if !collect_some(ctx, supernode).await? {
            break;
        }
    }
    Ok(())
}

/// One answer full of envelopes. Whether there may be more.
async fn collect_some(ctx: &Arc<Context>, supernode: &SupernodeAddr) -> Result<bool, RequestError> {
    let answer = ctx.supernodes.ask(supernode, &Request::Collect).await?;
    let Answer::Envelopes { letters, work } = answer else {
        return Err(RequestError::Unexpected);
    };
    ctx.strangers.note_asked_here(work);
    let all = letters.len();
    let mut ids = Vec::new();
    for letter in letters.iter().take(DEPOSITS_TOLD_MAX) {
        match super::letters::receive(ctx, letter).await {
            Ok(()) => ids.push(envelope_id(&letter.envelope)),
            Err(error) => {
                debug!(%error, "an envelope stays at the supernode: the store refused it");
            }
        }
    }
    // One that stays would come again at once: the rest waits for the next time.
    let go_on = !ids.is_empty() && ids.len() == all;
    if !ids.is_empty() {
        let receipt = Request::Collected { ids };
        ctx.supernodes.ask(supernode, &receipt).await?;
    }
    Ok(go_on)
}
