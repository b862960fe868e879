//! What strangers show of themselves with a contact request, as long as that waits.

use rusqlite::params;
use starling_wire::ids::AccountId;
use starling_wire::profile::Introduction;

use crate::error::StoreError;
use crate::tx::{Tx, pack, unpack};

/// Keeps what came with a request in place of what came before. Its picture was written anew.
pub fn put(tx: &Tx<'_>, account: AccountId, shown: &Introduction) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO introductions (account, shown) VALUES (?1, ?2)
         ON CONFLICT (account) DO UPDATE SET shown = excluded.shown",
        params![account.0, pack(shown)],
    )?;
    Ok(())
}

/// Of one who asks.
pub fn get(tx: &Tx<'_>, account: AccountId) -> Result<Option<Introduction>, StoreError> {
    tx.one(
        "SELECT shown FROM introductions WHERE account = ?1",
        params![account.0],
        |row| unpack(&row.get::<_, Vec<u8>>(0)?),
    )
}

/// The request was answered.
pub(crate) fn remove(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM introductions WHERE account = ?1",
        params![account.0],
    )?;
    Ok(())
}
