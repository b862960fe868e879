//! What this supernode holds for the global index. Times are Unix seconds.

use rusqlite::params;
use starling_wire::placement::IndexKey;
use starling_wire::record::SignedRecord;

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, unpack};

/// Keeps a record in place of an older one.
pub fn keep(tx: &Tx<'_>, key: IndexKey, record: &SignedRecord) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO index_records (key, record, expires_s) VALUES (?1, ?2, ?3)
         ON CONFLICT (key) DO UPDATE SET record = excluded.record, expires_s = excluded.expires_s",
        params![key.0, pack(record), int(record.expires())],
    )?;
    Ok(())
}

/// Forgets one.
pub fn forget(tx: &Tx<'_>, key: IndexKey) -> Result<(), StoreError> {
    tx.execute("DELETE FROM index_records WHERE key = ?1", params![key.0])?;
    Ok(())
}

/// All that have not expired; those that have are forgotten.
pub fn load(tx: &Tx<'_>, now_s: u64) -> Result<Vec<SignedRecord>, StoreError> {
    tx.execute(
        "DELETE FROM index_records WHERE expires_s <= ?1",
        params![int(now_s)],
    )?;
    tx.all("SELECT record FROM index_records ORDER BY key", (), |row| {
        unpack(&row.get::<_, Vec<u8>>(0)?)
    })
}
