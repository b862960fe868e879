//! Migrations: one SQL file each, numbered, forward only. `user_version` holds the number of the last one applied.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;

/// In order; the first has number 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_index.sql"),
    include_str!("migrations/0003_kinds_of_records.sql"),
    include_str!("migrations/0004_devices.sql"),
    include_str!("migrations/0005_recoveries.sql"),
    include_str!("migrations/0006_about.sql"),
    include_str!("migrations/0007_rescue.sql"),
    include_str!("migrations/0008_own_set.sql"),
    include_str!("migrations/0009_verified.sql"),
    include_str!("migrations/0010_names.sql"),
    include_str!("migrations/0011_postage.sql"),
    include_str!("migrations/0012_profiles.sql"),
    include_str!("migrations/0013_letters_about.sql"),
    include_str!("migrations/0014_call_log.sql"),
    include_str!("migrations/0015_conversations.sql"),
    include_str!("migrations/0016_logs.sql"),
    include_str!("migrations/0017_changes.sql"),
    include_str!("migrations/0018_key_packages.sql"),
];

/// The format this version writes.
pub(crate) const LATEST: u32 = MIGRATIONS.len() as u32;

/// Brings the database to [`LATEST`], each step in a transaction of its own.
pub(crate) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > LATEST {
        return Err(StoreError::Newer {
            found,
            known: LATEST,
        });
    }
    for (number, sql) in (1..).zip(MIGRATIONS).skip(found as usize) {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "user_version", number)?;
        tx.commit()?;
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
