//! What a supernode keeps for others: account records, which front doors belong to which account, sealed envelopes.
//! Times are Unix seconds, as in the records themselves. Bounds are those of `wire::limits`.

use rusqlite::params;
use starling_wire::ids::{AccountId, EndpointKey, EnvelopeId};
use starling_wire::limits::{DEPOSIT_TTL_S, DEPOSITS_PER_ACCOUNT_MAX, DEVICES_MAX};
use starling_wire::record::SignedRecord;
use starling_wire::supernode::{REQUEST_MAX, envelope_id};

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, unpack};

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// Record and door are kept.
    Stored,
    /// A record with a higher sequence number is known; the door was kept.
    Older,
    /// The account has too many doors.
    TooManyDoors,
}

/// What became of a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposit {
    /// It is kept, or was here already.
    Kept,
    /// The account has too many.
    Full,
    /// No such account is registered.
    UnknownAccount,
}

/// What is kept, for `status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Accounts.
    pub accounts: u64,
    /// Front doors.
    pub doors: u64,
    /// Envelopes.
    pub deposits: u64,
    /// Bytes of those envelopes.
    pub deposit_bytes: u64,
}

/// Bytes of envelopes in one answer: what does not fit is asked for again after the first ones were collected.
const ANSWER_BYTES: usize = REQUEST_MAX - 1024;

/// Keeps an account's record, verified by the caller, and one of its front doors (`SUPER-02`: a lower sequence never
/// replaces a higher one). A door belongs to the account that registered it last: its owner proved to hold its key.
pub fn register(
    tx: &Tx<'_>,
    account: AccountId,
    door: EndpointKey,
    record: &SignedRecord,
) -> Result<Registered, StoreError> {
    let rows = tx.execute(
        "INSERT INTO registered_accounts (account, record, sequence, expires_s) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account) DO UPDATE
         SET record = excluded.record, sequence = excluded.sequence, expires_s = excluded.expires_s
         WHERE excluded.sequence >= registered_accounts.sequence",
        params![
            account.0,
            pack(record),
            int(record.record.sequence),
            int(record.record.expires)
        ],
    )?;
    let others = tx.count(
        "SELECT count(*) FROM registered_doors WHERE account = ?1 AND door <> ?2",
        params![account.0, door.0],
    )?;
    if others >= DEVICES_MAX as u64 {
        return Ok(Registered::TooManyDoors);
    }
    tx.execute(
        "INSERT INTO registered_doors (door, account) VALUES (?1, ?2)
         ON CONFLICT (door) DO UPDATE SET account = excluded.account",
        params![door.0, account.0],
    )?;
    Ok(match rows {
        0 => Registered::Older,
        _ => Registered::Stored,
    })
}

/// The newest record of an account, expired or not: its own dates say that.
pub fn record(tx: &Tx<'_>, account: AccountId) -> Result<Option<SignedRecord>, StoreError> {
    tx.one(
        "SELECT record FROM registered_accounts WHERE account = ?1",
        params![account.0],
        |row| unpack(&row.get::<_, Vec<u8>>(0)?),
    )
}

/// Whose front door this is.
pub fn account_of(tx: &Tx<'_>, door: EndpointKey) -> Result<Option<AccountId>, StoreError> {
    tx.one(
        "SELECT account FROM registered_doors WHERE door = ?1",
        params![door.0],
        |row| Ok(AccountId(row.get(0)?)),
    )
}

/// The front doors of an account.
pub fn doors(tx: &Tx<'_>, account: AccountId) -> Result<Vec<EndpointKey>, StoreError> {
    tx.all(
        "SELECT door FROM registered_doors WHERE account = ?1 ORDER BY door",
        params![account.0],
        |row| Ok(EndpointKey(row.get(0)?)),
    )
}

/// Keeps an envelope for a registered account. Its size was checked where it came in.
pub fn deposit(
    tx: &Tx<'_>,
    account: AccountId,
    envelope: &[u8],
    now_s: u64,
) -> Result<Deposit, StoreError> {
    let known = "SELECT count(*) FROM registered_accounts WHERE account = ?1";
    if tx.count(known, params![account.0])? == 0 {
        return Ok(Deposit::UnknownAccount);
    }
    let id = envelope_id(envelope);
    let same = "SELECT count(*) FROM deposits WHERE account = ?1 AND id = ?2";
    if tx.count(same, params![account.0, id.0])? > 0 {
        return Ok(Deposit::Kept);
    }
    let all = "SELECT count(*) FROM deposits WHERE account = ?1";
    if tx.count(all, params![account.0])? >= DEPOSITS_PER_ACCOUNT_MAX as u64 {
        return Ok(Deposit::Full);
    }
    tx.execute(
        "INSERT INTO deposits (account, id, envelope, received_s) VALUES (?1, ?2, ?3, ?4)",
        params![account.0, id.0, envelope, int(now_s)],
    )?;
    Ok(Deposit::Kept)
}

/// What waits for an account, the oldest first, as many as fit one answer. Nothing is forgotten before
/// [`forget_envelopes`].
pub fn envelopes(tx: &Tx<'_>, account: AccountId) -> Result<Vec<Vec<u8>>, StoreError> {
    let all = tx.all(
        "SELECT envelope FROM deposits WHERE account = ?1 ORDER BY number",
        params![account.0],
        |row| Ok(row.get::<_, Vec<u8>>(0)?),
    )?;
    let mut bytes = 0;
    let fits = |envelope: &Vec<u8>| {
        // Three bytes at most for the length in front of each.
        bytes += envelope.len() + 3;
        bytes <= ANSWER_BYTES
    };
    Ok(all.into_iter().take_while(fits).collect())
}

/// The account has these now. Returns how many were forgotten.
pub fn forget_envelopes(
    tx: &Tx<'_>,
    account: AccountId,
    ids: &[EnvelopeId],
) -> Result<usize, StoreError> {
    let mut forgotten = 0;
    for id in ids {
        forgotten += tx.execute(
            "DELETE FROM deposits WHERE account = ?1 AND id = ?2",
            params![account.0, id.0],
        )?;
    }
    Ok(forgotten)
}

/// Forgets envelopes and records whose time is over. Returns how many of both.
pub fn expire(tx: &Tx<'_>, now_s: u64) -> Result<usize, StoreError> {
    let deposits = tx.execute(
        "DELETE FROM deposits WHERE received_s <= ?1",
        params![int(now_s.saturating_sub(DEPOSIT_TTL_S))],
    )?;
    // An account stays while something waits for it, expired or not.
    let accounts = tx.execute(
        "DELETE FROM registered_accounts
         WHERE expires_s <= ?1 AND NOT EXISTS (SELECT 1 FROM deposits WHERE deposits.account = registered_accounts.account)",
        params![int(now_s)],
    )?;
    Ok(deposits + accounts)
}

/// How much is kept.
pub fn kept(tx: &Tx<'_>) -> Result<Kept, StoreError> {
    Ok(Kept {
        accounts: tx.count("SELECT count(*) FROM registered_accounts", ())?,
        doors: tx.count("SELECT count(*) FROM registered_doors", ())?,
        deposits: tx.count("SELECT count(*) FROM deposits", ())?,
        deposit_bytes: tx.count(
            "SELECT coalesce(sum(length(envelope)), 0) FROM deposits",
            (),
        )?,
    })
}
