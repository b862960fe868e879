//! What we keep about a contact, for ourselves alone: notes, lists, what they may do here, whether they were verified.

use rusqlite::{Row, params};
use starling_wire::ids::AccountId;
use starling_wire::permissions::Permissions;

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, unpack};

/// About somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Shown first.
    pub favourite: bool,
    /// For the person's own eyes.
    pub note: Option<String>,
    /// Names of the lists they are in, sorted.
    pub lists: Vec<String>,
    /// What they may do here.
    pub permissions: Permissions,
    /// The key that signed for them when they were verified.
    pub verified: Option<[u8; 32]>,
    /// Since when another key signs for them, until the person has looked.
    pub key_changed_at: Option<u64>,
}

/// What is kept about somebody; nothing where nothing was.
pub fn get(tx: &Tx<'_>, account: AccountId) -> Result<About, StoreError> {
    let found = tx.one(
        "SELECT account, favourite, note, lists, denied, verified, key_changed_at FROM about WHERE account = ?1",
        params![account.0],
        read,
    )?;
    Ok(found.map(|(_, about)| about).unwrap_or_default())
}

/// Everybody about whom something is kept.
pub fn all(tx: &Tx<'_>) -> Result<Vec<(AccountId, About)>, StoreError> {
    tx.all(
        "SELECT account, favourite, note, lists, denied, verified, key_changed_at FROM about",
        (),
        read,
    )
}

/// Keeps it, whole.
pub fn put(tx: &Tx<'_>, account: AccountId, about: &About) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO about (account, favourite, note, lists, denied, verified, key_changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (account) DO UPDATE SET favourite = excluded.favourite, note = excluded.note, lists = excluded.lists,
             denied = excluded.denied, verified = excluded.verified, key_changed_at = excluded.key_changed_at",
        params![
            account.0,
            about.favourite,
            about.note,
            pack(&about.lists),
            about.permissions.denied(),
            about.verified,
            about.key_changed_at.map(int)
        ],
    )?;
    Ok(())
}

/// `CONTACT-02`: they are no contact any more: only the note stays with the history.
pub(crate) fn forget(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    let note = get(tx, account)?.note;
    put(
        tx,
        account,
        &About {
            note,
            ..About::default()
        },
    )
}

fn read(row: &Row<'_>) -> Result<(AccountId, About), StoreError> {
    let about = About {
        favourite: row.get(1)?,
        note: row.get(2)?,
        lists: unpack(&row.get::<_, Vec<u8>>(3)?)?,
        permissions: Permissions::from_denied(row.get(4)?),
        verified: row.get(5)?,
        key_changed_at: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
    };
    Ok((AccountId(row.get(0)?), about))
}
