//! The call log. It is bounded: [`KEPT`] calls, of the last [`KEPT_MS`].

use rusqlite::{Row, params};
use starling_wire::ids::{AccountId, CallId};

use crate::error::StoreError;
use crate::tx::{Tx, int, opt_int, opt_time, time};

/// Calls that are kept; the oldest goes first (`CALL-27`).
pub const KEPT: u32 = 10_000;
/// How long they are kept: a year.
pub const KEPT_MS: u64 = 366 * 24 * 3_600 * 1_000;

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
    /// When it rang.
    pub rang_at: Option<u64>,
    /// When it was answered.
    pub answered_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// How it ended, in words.
    pub reason: Option<String>,
    /// The last path, "direct", "forwarded" or "relay".
    pub path: Option<String>,
    /// The own device that answered.
    pub answered_on: Option<String>,
    /// Nobody answered what was for us.
    pub missed: bool,
    /// The person knows; always where it was not missed.
    pub seen: bool,
    /// What its sound was like, as whoever shows it wrote it.
    pub technical: Option<String>,
}

const COLUMNS: &str = "id, contact, outgoing, started_at, rang_at, answered_at, ended_at, reason, path, answered_on, missed, \
    seen, technical";

/// Keeps a call as it stands now. A call that ended stays as it ended.
pub fn put(tx: &Tx<'_>, call: &Call) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO calls (id, contact, outgoing, started_at, rang_at, answered_at, ended_at, reason, path, answered_on, missed,
             seen, technical)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (contact, id) DO UPDATE
         SET rang_at = excluded.rang_at, answered_at = excluded.answered_at, ended_at = excluded.ended_at,
             reason = excluded.reason, path = excluded.path, answered_on = excluded.answered_on, missed = excluded.missed,
             seen = excluded.seen, technical = excluded.technical
         WHERE calls.ended_at IS NULL",
        params![
            call.id.0,
            call.contact.0,
            call.outgoing,
            int(call.started_at),
            opt_int(call.rang_at),
            opt_int(call.answered_at),
            opt_int(call.ended_at),
            call.reason,
            call.path,
            call.answered_on,
            call.missed,
            call.seen,
            call.technical
        ],
    )?;
    Ok(())
}

/// The newest first; all, or the missed ones.
pub fn list(tx: &Tx<'_>, missed: bool, limit: u32) -> Result<Vec<Call>, StoreError> {
    let which = if missed { "WHERE missed = 1" } else { "" };
    tx.all(
        &format!("SELECT {COLUMNS} FROM calls {which} ORDER BY number DESC LIMIT ?1"),
        params![limit],
        read,
    )
}

/// Those whose id begins so, two at most.
pub fn find(tx: &Tx<'_>, id: &str) -> Result<Vec<Call>, StoreError> {
    let all = tx.all(
        "SELECT number, id FROM calls ORDER BY number DESC",
        params![],
        |row| Ok((row.get::<_, i64>(0)?, CallId(row.get(1)?))),
    )?;
    let begins = |(_, call): &(i64, CallId)| call.to_string().starts_with(id);
    let found = all.into_iter().filter(begins).take(2);
    let row = |(number, _)| {
        let sql = format!("SELECT {COLUMNS} FROM calls WHERE number = ?1");
        tx.one(&sql, params![number], read)
    };
    let rows: Result<Vec<Option<Call>>, StoreError> = found.map(row).collect();
    Ok(rows?.into_iter().flatten().collect())
}

/// How many were missed and not seen.
pub fn missed(tx: &Tx<'_>) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM calls WHERE missed = 1 AND seen = 0";
    let count = tx.one(sql, params![], |row| Ok(row.get(0)?))?;
    Ok(count.unwrap_or(0))
}

/// The person has seen the missed ones.
pub fn see(tx: &Tx<'_>) -> Result<usize, StoreError> {
    let sql = "UPDATE calls SET seen = 1 WHERE missed = 1 AND seen = 0";
    tx.execute(sql, params![])
}

/// Forgets what is too old or too much (`CALL-27`). Returns how many.
pub fn prune(tx: &Tx<'_>, now: u64) -> Result<usize, StoreError> {
    tx.execute(
        "DELETE FROM calls WHERE started_at < ?1
         OR number <= (SELECT number FROM calls ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        params![int(now.saturating_sub(KEPT_MS)), KEPT],
    )
}

/// At start: calls that ran when the program ended were ended by that; what rang was missed. Returns how many.
pub fn close_open(tx: &Tx<'_>, now: u64) -> Result<usize, StoreError> {
    tx.execute(
        "UPDATE calls SET ended_at = ?1, reason = 'Starling was stopped',
             missed = (outgoing = 0 AND answered_at IS NULL), seen = (outgoing = 1 OR answered_at IS NOT NULL)
         WHERE ended_at IS NULL",
        params![int(now)],
    )
}

fn read(row: &Row<'_>) -> Result<Call, StoreError> {
    Ok(Call {
        id: CallId(row.get(0)?),
        contact: AccountId(row.get(1)?),
        outgoing: row.get(2)?,
        started_at: time(row, 3)?,
        rang_at: opt_time(row, 4)?,
        answered_at: opt_time(row, 5)?,
        ended_at: opt_time(row, 6)?,
        reason: row.get(7)?,
        path: row.get(8)?,
        answered_on: row.get(9)?,
        missed: row.get(10)?,
        seen: row.get(11)?,
        technical: row.get(12)?,
    })
}
