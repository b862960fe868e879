//! Being at home: the registration that is shown to the home supernode, and the letters that wait there (spec page
//! `super.md`). When to do either is decided by the home driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starling_store::profile;
use starling_wire::limits::{DEPOSITS_PER_ACCOUNT_MAX, RECORD_TTL_S};
use starling_wire::record::SignedRecord;
use starling_wire::supernode::{Answer, Refusal, Request, SupernodeAddr, envelope_id};
use tracing::debug;

use crate::clock::wall_s;
use crate::context::Context;
use crate::transport::requests::RequestError;

/// Registers and collects.
#[derive(Debug, Default)]
pub struct Registrar {
    /// The record shown last.
    record: Mutex<Option<SignedRecord>>,
    collecting: tokio::sync::Mutex<()>,
    /// Where letters are to be asked for next.
    wanted: Mutex<Option<SupernodeAddr>>,
}

impl Registrar {
    /// Registers at a supernode, with a record that is valid for half its time at least.
    pub async fn register(
        &self,
        ctx: &Context,
        supernode: &SupernodeAddr,
    ) -> Result<(), RequestError> {
        let homes = ctx.home_list();
        let kept = self.kept().clone();
        let mut record = match kept {
            Some(record) if is_current(&record, &homes) => record,
            _ => new_record(ctx, &homes).await?,
        };
        // It stays good, whether or not this supernode can be reached.
        *self.kept() = Some(record.clone());
        match show(ctx, supernode, record).await {
            // A backup was restored, or a clock was set back: our own newer record says where to go on.
            Err(RequestError::Refused(Refusal::Older)) => {
                learn_sequence(ctx, supernode).await?;
                record = new_record(ctx, &homes).await?;
                *self.kept() = Some(record.clone());
                show(ctx, supernode, record).await
            }
            other => other,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<SignedRecord>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Whether a record may be shown again: it says the same and has more than half of its time left.
fn is_current(record: &SignedRecord, homes: &[SupernodeAddr]) -> bool {
    record.record.home == homes && record.record.expires > wall_s() + RECORD_TTL_S / 2
}

async fn new_record(ctx: &Context, homes: &[SupernodeAddr]) -> Result<SignedRecord, RequestError> {
    let sequence = ctx
        .db
        .write(|tx| profile::next_sequence(tx, wall_s()))
        .await?;
    Ok(ctx.identity.record(sequence, homes))
}

async fn show(
    ctx: &Context,
    supernode: &SupernodeAddr,
    record: SignedRecord,
) -> Result<(), RequestError> {
    let registration = ctx.identity.registration(record, supernode.id);
    let request = Request::Register(Box::new(registration));
    match ctx.supernodes.ask(supernode, &request).await? {
        Answer::Ok => Ok(()),
        _ => Err(RequestError::Unexpected),
    }
}

/// Our own record as the supernode has it. It is signed by us, so nobody can make us jump further than we ever were.
async fn learn_sequence(ctx: &Context, supernode: &SupernodeAddr) -> Result<(), RequestError> {
    let account = ctx.identity.account();
    let request = Request::Lookup { account };
    let Answer::Record(Some(record)) = ctx.supernodes.ask(supernode, &request).await? else {
        return Err(RequestError::Unexpected);
    };
    let record = record
        .verify(account, wall_s())
        .map_err(|_| RequestError::Unexpected)?;
    let sequence = record.record().sequence;
    debug!(
        sequence,
        "a newer record of ours is known: going on from there"
    );
    ctx.db
        .write(move |tx| profile::used_sequence(tx, sequence))
        .await?;
    Ok(())
}

async fn collect_all(ctx: &Arc<Context>, supernode: &SupernodeAddr) -> Result<(), RequestError> {
    // A supernode that always has one more is not asked for ever.
    for _ in 0..=DEPOSITS_PER_ACCOUNT_MAX {
        if !collect_some(ctx, supernode).await? {
            break;
        }
    }
    Ok(())
}

/// One answer full of envelopes. Whether there may be more.
async fn collect_some(ctx: &Arc<Context>, supernode: &SupernodeAddr) -> Result<bool, RequestError> {
    let answer = ctx.supernodes.ask(supernode, &Request::Collect).await?;
    let Answer::Envelopes(envelopes) = answer else {
        return Err(RequestError::Unexpected);
    };
    let all = envelopes.len();
    let mut ids = Vec::new();
    for envelope in envelopes.iter().take(DEPOSITS_PER_ACCOUNT_MAX) {
        match super::letters::receive(ctx, envelope).await {
            Ok(()) => ids.push(envelope_id(envelope)),
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
