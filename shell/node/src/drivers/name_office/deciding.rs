//! What comes of claims: into the log, answered and forgotten, each in one transaction.

use std::sync::Arc;

use starling_control::{ErrorKind, Failure};
use starling_protocol::names::registrar::{By, Event, Persist, Registrar, Standing};
use starling_store::StoreError;
use starling_store::letters::{self as post, LetterKind};
use starling_store::registrar::{self as rows, Waiting};
use starling_wire::name_claim::{Refusal, Verdict};

use super::super::names::{seal_verdict, take_verdict};
use super::{NameOffice, UNPUBLISHED_MAX, lock, persist};
use crate::clock::{wall_ms, wall_s};
use crate::context::{Signal, store_failure};

/// Claims decided before others have a turn.
const AT_ONCE: usize = 32;
/// `NAMES-12`: a claim waits so long for a person, in seconds.
const WAITS_S: u64 = 30 * 24 * 3600;

/// What came of one claim, to be committed as one.
struct Decided {
    claim: Waiting,
    persists: Vec<Persist>,
    verdict: Verdict,
    by_hand: bool,
}

impl NameOffice {
    /// All that no person has to decide, in the order in which they came; and what no person decided in time.
    pub(super) async fn decide_all(&self) -> Result<(), StoreError> {
        while self.decide_some().await? {}
        while self.expire_some().await? {}
        Ok(())
    }

    /// A few that no person decided in time; whether there may be more.
    async fn expire_some(&self) -> Result<bool, StoreError> {
        // Before they are read: a person may have decided a moment ago, and nobody does meanwhile.
        let _machine = self.machine.lock().await;
        let since = wall_s().saturating_sub(WAITS_S);
        let overdue = self.ctx.db.read(move |tx| rows::overdue(tx, since)).await?;
        let mut overdue = overdue.into_iter();
        for claim in overdue.by_ref().take(AT_ONCE) {
            self.refuse(claim, Refusal::Expired).await?;
        }
        Ok(overdue.next().is_some())
    }

    async fn refuse(&self, claim: Waiting, refusal: Refusal) -> Result<(), StoreError> {
        let refused = Decided {
            claim,
            persists: Vec::new(),
            verdict: Err(refusal),
            by_hand: false,
        };
        self.commit(refused).await
    }

    /// A few of them; whether there may be more.
    async fn decide_some(&self) -> Result<bool, StoreError> {
        let mut machine = self.machine.lock().await;
        let decides = |registrar: &mut Registrar| registrar.standing() != Standing::Behind;
        // NAMES-07: it is back when all is on disk. Else the next round begins from there, and nobody signs meanwhile.
        let Some(mut registrar) = machine.take_if(decides) else {
            return Ok(false);
        };
        let claims = self.ctx.db.read(rows::claims).await?;
        let mut claims = claims.into_iter().filter(|claim| !claim.by_hand);
        for claim in claims.by_ref().take(AT_ONCE) {
            self.decide(&mut registrar, claim, By::Rules).await?;
        }
        *machine = Some(registrar);
        Ok(claims.next().is_some())
    }

    /// A person says yes or no to the claim about a name.
    pub(super) async fn decide_by_hand(
        &self,
        text: &str,
        who: Option<&str>,
        yes: bool,
    ) -> Result<(), Failure> {
        let mut machine = self.machine.lock().await;
        let claim = self.waiting_claim(text, who).await?;
        if yes && machine.as_ref().map(Registrar::standing) == Some(Standing::Behind) {
            let sentence = "the registrar has not heard enough of the network's supernodes yet; the claim waits, try again in a minute";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        // NAMES-07: it is back when all is on disk.
        let Some(mut registrar) = machine.take() else {
            let trouble = self.warning();
            let sentence = trouble.unwrap_or_else(|| {
                "the registrar is not at work; `starling registrar start` begins it".to_owned()
            });
            return Err(Failure::new(ErrorKind::State, sentence));
        };
        let decided = if yes {
            self.decide(&mut registrar, claim, By::Operator).await
        } else {
            self.refuse(claim, Refusal::Declined).await
        };
        decided.map_err(store_failure)?;
        *machine = Some(registrar);
        Ok(())
    }

    /// One claim: into the log, answered, and forgotten, in one transaction.
    async fn decide(
        &self,
        registrar: &mut Registrar,
        claim: Waiting,
        by: By,
    ) -> Result<(), StoreError> {
        let (account, wish) = (claim.account, claim.claim.clone());
        registrar.handle_claim(account, wish, by, self.ctx.clock.now(), wall_s());
        let persists = std::iter::from_fn(|| registrar.poll_persist()).collect();
        let (mut verdict, mut by_hand) = outcome(registrar);
        // What is only too early waits as it is.
        if matches!(by, By::Operator)
            && matches!(verdict, Err(Refusal::NotReady | Refusal::TooOften))
        {
            return Ok(());
        }
        // NAMES-11
        if by_hand
            && !self
                .ctx
                .db
                .read(move |tx| rows::may_wait(tx, account))
                .await?
        {
            (verdict, by_hand) = (Err(Refusal::Crowded), false);
        }
        let certificate = verdict.as_ref().ok().cloned();
        let decided = Decided {
            claim,
            persists,
            verdict,
            by_hand,
        };
        self.commit(decided).await?;
        let mut unpublished = lock(&self.unpublished);
        if unpublished.len() < UNPUBLISHED_MAX {
            unpublished.extend(certificate);
        }
        Ok(())
    }

    async fn commit(&self, decided: Decided) -> Result<(), StoreError> {
        let own = self.ctx.identity.account();
        let account = decided.claim.account;
        let sealed = if account == own {
            None
        } else {
            let (name, keys) = (&decided.claim.claim.name, &decided.claim.keys);
            seal_verdict(&self.ctx, (account, keys), name, &decided.verdict).await?
        };
        let name = decided.claim.claim.name.clone();
        let own_set = Arc::clone(&self.ctx.own_set);
        let stored = self.ctx.db.write(move |tx| {
            persist(tx, &decided.persists)?;
            if decided.by_hand {
                rows::by_hand(tx, decided.claim.number)?;
            } else {
                rows::decided(tx, decided.claim.number)?;
            }
            match sealed {
                Some(sealed) => post::put_about(
                    tx,
                    account,
                    (LetterKind::Verdict, &name),
                    &sealed,
                    wall_ms(),
                ),
                None if account == own => {
                    take_verdict(tx, &own_set, (own, &name), decided.verdict, wall_s())
                }
                None => Ok(()),
            }
        });
        stored.await?;
        if account == own {
            self.ctx.signal(Signal::Verdict);
        }
        Ok(())
    }
}

/// What it says of a claim, and whether a person has to.
fn outcome(registrar: &mut Registrar) -> (Verdict, bool) {
    let (mut verdict, mut by_hand) = (Err(Refusal::NotReady), false);
    while let Some(event) = registrar.poll_event() {
        match event {
            Event::Answer(_, _, said) => verdict = said,
            Event::Decide(..) => by_hand = true,
            _ => {}
        }
    }
    (verdict, by_hand)
}
