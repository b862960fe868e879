//! Letters about names: claims, where this profile is a registrar, and registrars' answers.

use std::sync::Arc;

use starling_store::letters::{self as post, LetterKind, Sealed};
use starling_store::own_names::{self, OwnName};
use starling_store::{StoreError, Tx, registrar, requests};
use starling_wire::envelope::{Letter, Opened};
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::name::Name;
use starling_wire::name_claim::{Refusal, Verdict};
use starling_wire::postage::LetterKeys;
use tracing::debug;

use super::super::letters::{next_sequence, seal};
use crate::clock::{wall_ms, wall_s};
use crate::context::{Context, Signal};
use crate::own_set::OwnSet;

/// What came of a letter.
enum Heard {
    /// A claim waits.
    Claim,
    /// There was no place for it.
    TooMany(AccountId, LetterKeys, Name),
    /// An answer is on disk.
    Verdict,
}

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
        let wanted = is_wanted(tx, account, &opened.letter, network)?;
        // PEOPLE-06
        if !wanted || !requests::first_read(tx, account, stamp.device, stamp.number, wall_ms())? {
            return Ok(None);
        }
        match opened.letter {
            Letter::Claim(claim) => {
                let key = LetterKeys::of(account, opened.sender.card());
                let kept = registrar::keep_claim(tx, account, &claim, &key, now)?;
                Ok(Some(if kept {
                    Heard::Claim
                } else {
                    Heard::TooMany(account, key, claim.name)
                }))
            }
            Letter::Verdict(name, verdict) => {
                take_verdict(tx, &own_set, (own, &name), *verdict, now)?;
                Ok(Some(Heard::Verdict))
            }
            _ => Ok(None),
        }
    });
    match stored.await? {
        Some(Heard::Claim) => ctx.signal(Signal::Claim),
        Some(Heard::TooMany(account, keys, name)) => {
            turn_away(ctx, (account, &keys), name).await?;
        }
        Some(Heard::Verdict) => ctx.signal(Signal::Verdict),
        None => debug!("dropped a letter about names"),
    }
    Ok(())
}

/// Claims, where a registrar is at work; and answers of the registrar that was asked.
fn is_wanted(
    tx: &Tx<'_>,
    account: AccountId,
    letter: &Letter,
    network: Option<NetworkId>,
) -> Result<bool, StoreError> {
    match letter {
        Letter::Claim(_) => Ok(registrar::office(tx)?.is_some_and(|office| office.running)),
        Letter::Verdict(name, verdict) => Ok(match own_names::get(tx, name)? {
            Some(known) => known.registrar == account,
            // Another own device asked for it, and we have not heard of that yet.
            None => certified(name, verdict)
                .is_some_and(|one| one.registrar == account && Some(one.network) == network),
        }),
        _ => Ok(false),
    }
}

/// Whoever finds no place among the claims hears that.
async fn turn_away(
    ctx: &Context,
    (account, keys): (AccountId, &LetterKeys),
    name: Name,
) -> Result<(), StoreError> {
    let crowded = Err(Refusal::Crowded);
    let Some(sealed) = seal_verdict(ctx, (account, keys), &name, &crowded).await? else {
        return Ok(());
    };
    let stored = ctx.db.write(move |tx| {
        post::put_about(
            tx,
            account,
            (LetterKind::Verdict, &name),
            &sealed,
            wall_ms(),
        )
    });
    stored.await?;
    // A registrar that looks after its claims brings its answers out.
    ctx.signal(Signal::Claim);
    Ok(())
}

/// An answer, sealed to whoever claimed the name; `None` if that cannot be.
pub(in super::super) async fn seal_verdict(
    ctx: &Context,
    (account, keys): (AccountId, &LetterKeys),
    name: &Name,
    verdict: &Verdict,
) -> Result<Option<Sealed>, StoreError> {
    let sequence = next_sequence(ctx).await?;
    let letter = Letter::Verdict(name.clone(), Box::new(verdict.clone()));
    let sealed = seal(ctx, sequence, account, keys, letter);
    if let Err(error) = &sealed {
        debug!(%error, "an answer about a name could not be sealed");
    }
    Ok(sealed.ok())
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
