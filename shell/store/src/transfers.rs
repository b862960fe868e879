//! File transfers, both ways, with what is needed to go on after a restart.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rusqlite::{Row, params};
use starling_wire::ids::{AccountId, TransferId};

use crate::contacts::PREFIX_MIN;
use crate::error::StoreError;
use crate::tx::{Tx, int, time};

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferState {
    /// Offered, no answer yet.
    Offered,
    /// Accepted; it goes on whenever both are there.
    Accepted,
    /// Complete and verified.
    Done,
    /// Cancelled or declined.
    Cancelled,
    /// It cannot go on.
    Failed,
}

/// Offers of one contact that ended unanswered are kept up to this many, the newest ones.
pub const UNANSWERED_KEPT: u32 = 100;

/// One transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Chosen by the sender; unique within a contact.
    pub id: TransferId,
    /// With whom.
    pub contact: AccountId,
    /// Ours or theirs.
    pub outgoing: bool,
    /// Safe name.
    pub name: String,
    /// Bytes in all.
    pub size: u64,
    /// BLAKE3 of the whole file.
    pub root: [u8; 32],
    /// The source; or, once accepted, the receiving folder, then where the complete file is about to lie, or lies.
    pub path: Option<PathBuf>,
    /// The unfinished file.
    pub part: Option<PathBuf>,
    /// Where it stands.
    pub state: TransferState,
    /// Bytes verified at the receiver.
    pub done: u64,
    /// Which ranges are verified, in the form of the driver that writes them.
    pub ranges: Vec<u8>,
    /// Why it ended or waits, in words.
    pub reason: Option<String>,
    /// When it was offered.
    pub offered_at: u64,
    /// When the row last changed.
    pub changed_at: u64,
}

const COLUMNS: &str = "id, contact, outgoing, name, size, root, path, part, state, done, ranges, reason, offered_at, changed_at";

/// Keeps a new transfer. `false` when that contact used the id before: the first one stays.
pub fn insert(tx: &Tx<'_>, transfer: &Transfer) -> Result<bool, StoreError> {
    let rows = tx.execute(
        "INSERT INTO transfers (id, contact, outgoing, name, size, root, path, part, state, done, ranges, reason,
                                offered_at, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (contact, id) DO NOTHING",
        params![
            transfer.id.0,
            transfer.contact.0,
            transfer.outgoing,
            transfer.name,
            int(transfer.size),
            transfer.root,
            path_bytes(transfer.path.as_deref()),
            path_bytes(transfer.part.as_deref()),
            transfer.state.code(),
            int(transfer.done),
            transfer.ranges,
            transfer.reason,
            int(transfer.offered_at),
            int(transfer.changed_at)
        ],
    )?;
    Ok(rows > 0)
}

/// A step of a transfer that may still go on. `false`, and nothing is changed, when it is over already.
pub fn step(
    tx: &Tx<'_>,
    contact: AccountId,
    id: TransferId,
    state: TransferState,
    reason: Option<&str>,
    now: u64,
) -> Result<bool, StoreError> {
    let rows = tx.execute(
        "UPDATE transfers SET state = ?3, reason = ?4, changed_at = ?5,
                              done = CASE WHEN ?3 = ?6 THEN size ELSE done END
         WHERE contact = ?1 AND id = ?2 AND state < 3",
        params![
            contact.0,
            id.0,
            state.code(),
            reason,
            int(now),
            TransferState::Done.code()
        ],
    )?;
    Ok(rows > 0)
}

/// Forgets the oldest offers of a contact that ended before anybody said yes to them: offering and withdrawing in a loop
/// fills no disk (`FILE-10`).
pub fn forget_unanswered(tx: &Tx<'_>, contact: AccountId) -> Result<(), StoreError> {
    // Only an acceptance gives an offer of theirs a path.
    let unanswered = "contact = ?1 AND outgoing = 0 AND state = ?2 AND path IS NULL";
    let sql = format!(
        "DELETE FROM transfers WHERE {unanswered} AND number <=
         (SELECT number FROM transfers WHERE {unanswered} ORDER BY number DESC LIMIT 1 OFFSET ?3)"
    );
    let cancelled = TransferState::Cancelled.code();
    tx.execute(&sql, params![contact.0, cancelled, UNANSWERED_KEPT])?;
    Ok(())
}

/// Where its file goes and where the unfinished one lies; or, with the last step, where the finished one does.
pub fn place(
    tx: &Tx<'_>,
    contact: AccountId,
    id: TransferId,
    path: &Path,
    part: Option<&Path>,
) -> Result<(), StoreError> {
    let rows = tx.execute(
        "UPDATE transfers SET path = ?3, part = ?4 WHERE contact = ?1 AND id = ?2",
        params![contact.0, id.0, path_bytes(Some(path)), path_bytes(part)],
    )?;
    match rows {
        0 => Err(StoreError::Missing("transfer")),
        _ => Ok(()),
    }
}

/// Notes where a complete file is about to lie (`FILE-11`). `false`, and it must not go there, when the transfer is over.
pub fn name(
    tx: &Tx<'_>,
    contact: AccountId,
    id: TransferId,
    path: &Path,
) -> Result<bool, StoreError> {
    let rows = tx.execute(
        "UPDATE transfers SET path = ?3 WHERE contact = ?1 AND id = ?2 AND state < 3",
        params![contact.0, id.0, path_bytes(Some(path))],
    )?;
    Ok(rows > 0)
}

/// What is verified and on disk of a transfer that goes on.
pub fn note(
    tx: &Tx<'_>,
    contact: AccountId,
    id: TransferId,
    done: u64,
    ranges: &[u8],
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE transfers SET done = ?3, ranges = ?4 WHERE contact = ?1 AND id = ?2 AND state < 3",
        params![contact.0, id.0, int(done), ranges],
    )?;
    Ok(())
}

/// One transfer.
pub fn get(
    tx: &Tx<'_>,
    contact: AccountId,
    id: TransferId,
) -> Result<Option<Transfer>, StoreError> {
    tx.one(
        &format!("SELECT {COLUMNS} FROM transfers WHERE contact = ?1 AND id = ?2"),
        params![contact.0, id.0],
        read,
    )
}

/// The newest, and all that may still go on; the newest first.
pub fn list(tx: &Tx<'_>, limit: u32) -> Result<Vec<Transfer>, StoreError> {
    tx.all(
        &format!(
            "SELECT {COLUMNS} FROM transfers
             WHERE state < 3 OR number IN (SELECT number FROM transfers ORDER BY number DESC LIMIT ?1)
             ORDER BY number DESC"
        ),
        params![limit],
        read,
    )
}

/// Transfers with a contact that may still go on, the oldest first.
pub fn open(tx: &Tx<'_>, contact: AccountId) -> Result<Vec<Transfer>, StoreError> {
    tx.all(
        &format!(
            "SELECT {COLUMNS} FROM transfers WHERE contact = ?1 AND state < 3 ORDER BY number"
        ),
        params![contact.0],
        read,
    )
}

/// Every transfer whose id is `id` or begins so ([`PREFIX_MIN`] characters at least), the newest first.
pub fn find(tx: &Tx<'_>, id: &str) -> Result<Vec<Transfer>, StoreError> {
    let wanted = id.trim().to_lowercase();
    if wanted.len() < PREFIX_MIN {
        return Ok(Vec::new());
    }
    let mut all = list(tx, u32::MAX)?;
    all.retain(|transfer| transfer.id.to_string().starts_with(&wanted));
    Ok(all)
}

/// What [`cancel_all`] cancelled and nobody has cleared up after, with a contact or with anybody: each is named once.
pub fn take_cancelled(
    tx: &Tx<'_>,
    contact: Option<AccountId>,
    reason: &str,
) -> Result<Vec<Transfer>, StoreError> {
    let contact = contact.map(|contact| contact.0);
    let cancelled = TransferState::Cancelled.code();
    tx.all(
        &format!(
            "UPDATE transfers SET reason = ?3
             WHERE state = ?2 AND reason IS NULL AND (?1 IS NULL OR contact = ?1) RETURNING {COLUMNS}"
        ),
        params![contact, cancelled, reason],
        read,
    )
}

/// Cancels everything that may still go on with a contact. The reason is missing until [`take_cancelled`] has named it.
pub fn cancel_all(tx: &Tx<'_>, contact: AccountId) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE transfers SET state = ?2, reason = NULL WHERE contact = ?1 AND state < 3",
        params![contact.0, TransferState::Cancelled.code()],
    )?;
    Ok(())
}

/// The ids of our own files that are offered or on their way.
pub fn outgoing(tx: &Tx<'_>) -> Result<Vec<TransferId>, StoreError> {
    let sql = "SELECT id FROM transfers WHERE state < 3 AND outgoing = 1";
    tx.all(sql, [], |row| Ok(TransferId(row.get(0)?)))
}

impl TransferState {
    /// Also in the partial index of the migrations: below 3 a transfer may go on.
    const fn code(self) -> i64 {
        match self {
            Self::Offered => 0,
            Self::Accepted => 1,
            Self::Done => 3,
            Self::Cancelled => 4,
            Self::Failed => 5,
        }
    }

    const fn from_code(code: i64) -> Result<Self, StoreError> {
        match code {
            0 => Ok(Self::Offered),
            1 => Ok(Self::Accepted),
            3 => Ok(Self::Done),
            4 => Ok(Self::Cancelled),
            5 => Ok(Self::Failed),
            _ => Err(StoreError::Damaged),
        }
    }
}

/// Paths are bytes: not every file name is UTF-8.
fn path_bytes(path: Option<&Path>) -> Option<&[u8]> {
    path.map(|path| path.as_os_str().as_bytes())
}

fn read(row: &Row<'_>) -> Result<Transfer, StoreError> {
    let path = |column: usize| -> Result<Option<PathBuf>, StoreError> {
        let bytes: Option<Vec<u8>> = row.get(column)?;
        Ok(bytes.map(|bytes| PathBuf::from(OsString::from_vec(bytes))))
    };
    Ok(Transfer {
        id: TransferId(row.get(0)?),
        contact: AccountId(row.get(1)?),
        outgoing: row.get(2)?,
        name: row.get(3)?,
        size: time(row, 4)?,
        root: row.get(5)?,
        path: path(6)?,
        part: path(7)?,
        state: TransferState::from_code(row.get(8)?)?,
        done: time(row, 9)?,
        ranges: row.get(10)?,
        reason: row.get(11)?,
        offered_at: time(row, 12)?,
        changed_at: time(row, 13)?,
    })
}
