//! The account's card: as a session begins with it, and told to contacts when this device has moved.

use starling_store::{StoreError, profile, settings};
use starling_wire::frame;
use starling_wire::limits::SUPERNODES_MAX;
use tracing::debug;

use super::{Session, Start};
use crate::clock::wall_s;
use crate::identity::Identity;

/// Which homes the contacts were told of.
pub(crate) const TOLD_HOMES: &str = "told homes";

/// With the account's card as it was last seen; where there is none, this device's, which it signs now.
pub(super) async fn with_card(start: &Start) -> Result<Identity, StoreError> {
    let mut identity = start.identity.clone();
    if identity.seen.is_some() {
        return Ok(identity);
    }
    let sequence = start.db.write(|tx| profile::next_sequence(tx, wall_s()));
    let homes = &start.homes.supernodes;
    let homes = &homes[..homes.len().min(SUPERNODES_MAX)];
    let card = identity.card(sequence.await?, homes, start.homes.network);
    let card = card
        .verify()
        .map_err(|error| StoreError::Refused(error.to_string()))?;
    identity.follow(&card);
    let row = identity.to_profile();
    start.db.write(move |tx| profile::change(tx, &row)).await?;
    Ok(identity)
}

/// New homes are told to every contact, once.
pub(super) async fn tell_contacts(session: &Session) {
    let homes = session.ctx.home_list();
    let told = data_encoding::HEXLOWER.encode(&frame::encode_body(&homes));
    let before = session
        .ctx
        .db
        .read(|tx| settings::get(tx, TOLD_HOMES))
        .await;
    let first_time = match before {
        Ok(Some(before)) if before == told => return,
        Ok(before) => before.is_none(),
        Err(error) => {
            debug!(%error, "the told homes cannot be read");
            return;
        }
    };
    if !first_time && let Err(error) = session.people.send_updates().await {
        debug!(%error, "contacts could not be told of the new home");
        return;
    }
    let stored = session
        .ctx
        .db
        .write(move |tx| settings::set(tx, TOLD_HOMES, &told))
        .await;
    if let Err(error) = stored {
        debug!(%error, "the told homes cannot be stored");
    }
}
