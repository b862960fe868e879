//! The call log.

use rusqlite::{Row, params};
use starling_wire::ids::{AccountId, CallId};

use crate::error::StoreError;
use crate::tx::{Tx, int, opt_int, opt_time, time};

/// A call, running or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Chosen by the caller.
    pub id: CallId,
    /// With whom.
    pub contact: AccountId,
    /// Who called.
    pub outgoing: bool,
    /// When it began.
    pub started_at: u64,
    /// When it was answered.
    pub answered_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// How it ended, in words.
    pub reason: Option<String>,
    /// The last path, "direct", "forwarded" or "relay".
    pub path: Option<String>,
}

const COLUMNS: &str = "id, contact, outgoing, started_at, answered_at, ended_at, reason, path";

/// Keeps a call as it stands now. A call that ended stays as it ended.
pub fn put(tx: &Tx<'_>, call: &Call) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO calls (id, contact, outgoing, started_at, answered_at, ended_at, reason, path)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (contact, id) DO UPDATE
         SET answered_at = excluded.answered_at, ended_at = excluded.ended_at, reason = excluded.reason,
             path = excluded.path
         WHERE calls.ended_at IS NULL",
        params![
            call.id.0,
            call.contact.0,
            call.outgoing,
            int(call.started_at),
            opt_int(call.answered_at),
            opt_int(call.ended_at),
            call.reason,
            call.path
        ],
    )?;
    Ok(())
}

/// The newest first.
pub fn list(tx: &Tx<'_>, limit: u32) -> Result<Vec<Call>, StoreError> {
    tx.all(
        &format!("SELECT {COLUMNS} FROM calls ORDER BY number DESC LIMIT ?1"),
        params![limit],
        read,
    )
}

/// At start: calls that ran when the program ended were ended by that. Returns how many.
pub fn close_open(tx: &Tx<'_>, now: u64) -> Result<usize, StoreError> {
    tx.execute(
        "UPDATE calls SET ended_at = ?1, reason = 'Starling was stopped' WHERE ended_at IS NULL",
        params![int(now)],
    )
}

fn read(row: &Row<'_>) -> Result<Call, StoreError> {
    Ok(Call {
        id: CallId(row.get(0)?),
        contact: AccountId(row.get(1)?),
        outgoing: row.get(2)?,
        started_at: time(row, 3)?,
        answered_at: opt_time(row, 4)?,
        ended_at: opt_time(row, 5)?,
        reason: row.get(6)?,
        path: row.get(7)?,
    })
}
