//! Parting ways: whoever is removed or blocked keeps a card of ours whose keys lead nowhere any more.

use std::sync::Arc;

use starling_store::{StoreError, Tx};
use starling_wire::card::VerifiedCard;
use starling_wire::ids::AccountId;
use starling_wire::sync::Seed;
use starling_wire::sync::item::Item;
use tracing::debug;

use super::People;
use crate::book::Relation;
use crate::clock::random;
use crate::context::{Context, Signal};
use crate::drivers::letters::next_sequence;
use crate::identity::Identity;

/// Other keys than the card has that somebody keeps.
pub(super) struct OtherKeys {
    ctx: Arc<Context>,
    request: [u8; 32],
    discovery: [u8; 32],
    card: VerifiedCard,
}

impl OtherKeys {
    /// Keeps them, for all devices of ours.
    pub(super) fn keep(self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.ctx.identity.change(tx, |identity| {
            identity.renew_request_secret(self.request);
            identity.discovery_key = self.discovery;
        })?;
        let set = &self.ctx.own_set;
        set.signed(tx, self.card)?;
        set.change(tx, &[Item::RequestKey(Seed(self.request))])
    }
}

impl People {
    /// `CONTACT-06`: what our card is to say from now on, if this account has one and this device may sign another.
    pub(super) async fn other_keys(
        &self,
        account: AccountId,
    ) -> Result<Option<OtherKeys>, StoreError> {
        let ctx = &self.ctx;
        let person = ctx.book.person(account);
        // Contacts, and whoever we asked.
        let knows_us = person.is_some_and(|person| person.relation != Relation::Blocked);
        let mut identity = Identity::clone(&ctx.identity.get());
        if !knows_us || !identity.can_sign() {
            return Ok(None);
        }
        let (request, discovery) = (random(), random());
        identity.renew_request_secret(request);
        identity.discovery_key = discovery;
        let sequence = next_sequence(ctx).await?;
        let card = identity.card(sequence, &ctx.home_list(), ctx.homes().network);
        let card = card.verify();
        let keys = card.map(|card| OtherKeys {
            ctx: Arc::clone(ctx),
            request,
            discovery,
            card,
        });
        Ok(keys.ok())
    }

    /// Everybody else gets the new card, and the record shows the new key.
    pub(super) async fn tell_others(&self, changed: bool) {
        if !changed {
            return;
        }
        if let Err(error) = self.send_updates().await {
            debug!(%error, "contacts could not be told of the new keys");
        }
        self.ctx.signal(Signal::Candidates);
    }
}
