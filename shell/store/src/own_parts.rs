//! What the person here shows: name, mood, text and picture, each with the choice who sees it.

use rusqlite::params;
use starling_wire::profile::{OwnPart, Part};

use crate::error::StoreError;
use crate::tx::{Tx, pack, unpack};

/// A part; as nobody has chosen it yet, where nobody has.
pub fn get(tx: &Tx<'_>, part: Part) -> Result<Option<OwnPart>, StoreError> {
    tx.one(
        "SELECT kept FROM own_parts WHERE part = ?1",
        params![part.word()],
        |row| unpack(&row.get::<_, Vec<u8>>(0)?),
    )
}

/// Keeps a part, whole.
pub fn put(tx: &Tx<'_>, part: Part, kept: &OwnPart) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO own_parts (part, kept) VALUES (?1, ?2)
         ON CONFLICT (part) DO UPDATE SET kept = excluded.kept",
        params![part.word(), pack(kept)],
    )?;
    Ok(())
}
