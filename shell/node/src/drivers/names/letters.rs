//! Letters about names: claims, where this profile is a registrar, and registrars' answers.

use std::sync::Arc;

use starling_store::own_names::{self, OwnName};
use starling_store::{StoreError, Tx, registrar, requests};
use starling_wire::envelope::{Letter, Opened};
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_claim::Verdict;
use starling_wire::postage::LetterKeys;
use tracing::debug;

use crate::clock::{wall_ms, wall_s};
use crate::context::{Context, Signal};
use crate::own_set::OwnSet;

/// A letter about names. `Ok` when it was acted on or dropped for good.
pub(in super::super) async fn receive(
    ctx: &Arc<Context>,
    opened: Opened,
) -> Result<(), StoreError> {
    let (own, own_set) = (ctx.identity.account(), Arc::clone(&ctx.own_set));
    let several = ctx
        .identity
        .get()
        .chain
        .verify()
        .is_ok_and(|account| account.devices().len() > 1);
    let network = ctx.homes().network.filter(|_| several);
    let stored = ctx.db.write(move |tx| {
        let (account, stamp) = (opened.sender.account().id(), opened.stamp);
        let now = wall_s();
        let wanted = match &opened.letter {
            Letter::Claim(_) => registrar::office(tx)?.is_some_and(|office| office.running),
            Letter::Verdict(name, verdict) => match own_names::get(tx, name)? {
                Some(known) => known.registrar == account,
                // Another own device asked for it, and we have not heard of that yet.
                None => {
                    let certified = certified(name, verdict);
                    certified
                        .is_some_and(|one| one.registrar == account && Some(one.network) == network)
                }
            },
            _ => false,
        };
        // PEOPLE-06
        if !wanted || !requests::first_read(tx, account, stamp.device, stamp.number, wall_ms())? {
            return Ok(None);
        }
        match opened.letter {
            Letter::Claim(claim) => {
                let key = LetterKeys::of(account, opened.sender.card());
                registrar::keep_claim(tx, account, &claim, &key, now)?;
                Ok(Some(Signal::Claim))
            }
            Letter::Verdict(name, verdict) => {
                take_verdict(tx, &own_set, (own, &name), *verdict, now)?;
                Ok(Some(Signal::Verdict))
            }
            _ => Ok(None),
        }
    });
    match stored.await? {
        Some(signal) => ctx.signal(signal),
        None => debug!("dropped a letter about names"),
    }
    Ok(())
}

/// What the registrar says about a name of ours; all own devices hear it.
pub(in super::super) fn take_verdict(
    tx: &Tx<'_>,
    own_set: &Arc<OwnSet>,
    (holder, name): (AccountId, &Name),
    verdict: Verdict,
    now: u64,
) -> Result<(), StoreError> {
    let known = own_names::get(tx, name)?;
    let Some(mut own) = known.or_else(|| certified(name, &verdict)) else {
        return Ok(());
    };
    match verdict {
        Ok(signed) => {
            let Ok(record) = signed.verify_in(Some(own.network), now) else {
                return Ok(());
            };
            if record.record().name != *name {
                return Ok(());
            }
            match record.record().account {
                None => return own_set.forget_name(tx, name),
                Some(account) if account == holder => {
                    own.certificate = Some(signed);
                    own.refusal = None;
                    own.asked_at = 0;
                }
                Some(_) => return Ok(()),
            }
        }
        Err(refusal) => own.refusal = Some(refusal),
    }
    own_set.keep_name(tx, own)
}

/// A name of which the registrar's answer is all that is known.
fn certified(name: &Name, verdict: &Verdict) -> Option<OwnName> {
    let signed = verdict.as_ref().ok()?;
    let registrar = &signed.record.registrar;
    Some(OwnName {
        name: name.clone(),
        network: registrar.network,
        registrar: registrar.account,
        listing: None,
        certificate: None,
        refusal: None,
        asked_at: 0,
    })
}
