//! Settings: a name and a value, both text. What a value means is decided where it is read.

use rusqlite::params;

use crate::error::StoreError;
use crate::tx::Tx;

/// A setting's value.
pub fn get(tx: &Tx<'_>, name: &str) -> Result<Option<String>, StoreError> {
    tx.one(
        "SELECT value FROM settings WHERE name = ?1",
        params![name],
        |row| Ok(row.get(0)?),
    )
}

/// Changes a setting.
pub fn set(tx: &Tx<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO settings (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![name, value],
    )?;
    Ok(())
}
