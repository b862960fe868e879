//! What contacts show us, and what of ours was told to whom.

use rusqlite::params;
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::profile::{Said, Shown};

use crate::error::StoreError;
use crate::tx::{Tx, int, time};

/// A contact's; none of somebody who was not asked yet.
pub fn get(tx: &Tx<'_>, account: AccountId) -> Result<Option<Shown>, StoreError> {
    tx.one(
        "SELECT about_number, about, avatar_number, avatar_hash FROM contact_profiles WHERE account = ?1",
        params![account.0],
        |row| {
            Ok(Shown {
                about: Said {
                    number: time(row, 0)?,
                    value: row.get(1)?,
                },
                avatar: Said {
                    number: time(row, 2)?,
                    value: row.get(3)?,
                },
            })
        },
    )
}

/// A contact's picture, as it was written anew here.
pub fn avatar(tx: &Tx<'_>, account: AccountId) -> Result<Option<Vec<u8>>, StoreError> {
    let found = tx.one(
        "SELECT avatar FROM contact_profiles WHERE account = ?1",
        params![account.0],
        |row| Ok(row.get::<_, Option<Vec<u8>>>(0)?),
    )?;
    Ok(found.flatten())
}

/// Keeps what a contact shows. `avatar` is the picture of that hash, or none where there is none.
pub fn put(
    tx: &Tx<'_>,
    account: AccountId,
    shown: &Shown,
    avatar: Option<&[u8]>,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO contact_profiles (account, about_number, about, avatar_number, avatar_hash, avatar)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (account) DO UPDATE
         SET about_number = excluded.about_number, about = excluded.about, avatar_number = excluded.avatar_number,
             avatar_hash = excluded.avatar_hash, avatar = excluded.avatar",
        params![
            account.0,
            int(shown.about.number),
            shown.about.value,
            int(shown.avatar.number),
            shown.avatar.value,
            avatar
        ],
    )?;
    Ok(())
}

/// What was told at a contact's front doors: a hash for each.
pub fn told(tx: &Tx<'_>, account: AccountId) -> Result<Vec<(EndpointKey, [u8; 32])>, StoreError> {
    tx.all(
        "SELECT door, told FROM told_profiles WHERE account = ?1",
        params![account.0],
        |row| Ok((EndpointKey(row.get(0)?), row.get(1)?)),
    )
}

/// A contact's device knows what has this hash.
pub fn note_told(
    tx: &Tx<'_>,
    account: AccountId,
    door: EndpointKey,
    told: [u8; 32],
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO told_profiles (door, account, told) VALUES (?1, ?2, ?3)
         ON CONFLICT (door) DO UPDATE SET account = excluded.account, told = excluded.told",
        params![door.0, account.0, told],
    )?;
    Ok(())
}

/// `PROFILE-12`: they are no contact any more.
pub(crate) fn forget(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM contact_profiles WHERE account = ?1",
        params![account.0],
    )?;
    tx.execute(
        "DELETE FROM told_profiles WHERE account = ?1",
        params![account.0],
    )?;
    Ok(())
}
