//! What waits in a supernode's mailbox: letters of contacts and of strangers, each within a share of their own, and which letters
//! were paid for lately. Which stranger's letter makes room for another is decided by `protocol::people::mailbox`.

use rusqlite::{Row, params};
use starling_wire::ids::{AccountId, EnvelopeId};
use starling_wire::limits::{DEPOSIT_BYTES_PER_ACCOUNT_MAX, DEPOSITS_PER_ACCOUNT_MAX};
use starling_wire::postage::{ContactsKey, Postage, Stamped};
use starling_wire::supernode::{REQUEST_MAX, envelope_id};

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, time, unpack};

/// Bytes of envelopes in one answer: what does not fit is asked for again after the first ones were collected.
const ANSWER_BYTES: usize = REQUEST_MAX - 1024;
/// Of each envelope besides: what it showed, and its length.
const BESIDES: usize = 24;
/// Letters of one account that are remembered as paid for; the one that could be shown again for the shortest time goes first.
const PAID_MAX: u64 = 500;

/// How an account stands to a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be kept.
    New,
    /// It waits, or its work was shown before.
    Known,
    /// No such account is registered.
    UnknownAccount,
}

/// A stranger's letter that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// For [`drop_letter`].
    pub number: i64,
    /// The work that was done for it, in bits.
    pub work: u8,
    /// From where it came.
    pub place: Option<u64>,
    /// How large it is.
    pub bytes: usize,
}

/// The key by which letters of an account's contacts are told: the one of whichever of its devices registered last.
pub fn contacts_key(tx: &Tx<'_>, account: AccountId) -> Result<Option<ContactsKey>, StoreError> {
    tx.one(
        "SELECT contacts_key FROM registered_doors WHERE account = ?1 AND contacts_key IS NOT NULL",
        params![account.0],
        |row| Ok(ContactsKey(row.get(0)?)),
    )
}

/// How an account stands to a letter.
pub fn standing(tx: &Tx<'_>, account: AccountId, id: EnvelopeId) -> Result<Standing, StoreError> {
    let known = "SELECT count(*) FROM registered_accounts WHERE account = ?1";
    if tx.count(known, params![account.0])? == 0 {
        return Ok(Standing::UnknownAccount);
    }
    let same = "SELECT (SELECT count(*) FROM deposits WHERE account = ?1 AND id = ?2)
                     + (SELECT count(*) FROM deposits_paid WHERE account = ?1 AND id = ?2)";
    let same = tx.count(same, params![account.0, id.0])?;
    Ok(if same > 0 {
        Standing::Known
    } else {
        Standing::New
    })
}

/// Keeps a contact's letter to a registered account, if the share of contacts has room, and half of it for what comes from this
/// place. Its size was checked where it came in.
pub fn keep_of_contact(
    tx: &Tx<'_>,
    account: AccountId,
    letter: &Stamped,
    place: Option<u64>,
    now_s: u64,
) -> Result<bool, StoreError> {
    let mut fits = contacts_fit(tx, account, letter, None)?;
    if place.is_some() {
        fits &= contacts_fit(tx, account, letter, place)?;
    }
    if fits {
        keep(tx, account, letter, (0, place), now_s)?;
    }
    Ok(fits)
}

/// Whether one more fits among all letters of contacts, or in the half that those from one place may take.
fn contacts_fit(
    tx: &Tx<'_>,
    account: AccountId,
    letter: &Stamped,
    place: Option<u64>,
) -> Result<bool, StoreError> {
    let taken = tx.one(
        "SELECT count(*), coalesce(sum(length(envelope)), 0) FROM deposits
         WHERE account = ?1 AND work = 0 AND (?2 IS NULL OR place = ?2)",
        params![account.0, place.map(u64::cast_signed)],
        |row| Ok((time(row, 0)?, time(row, 1)?)),
    )?;
    let (count, bytes) = taken.unwrap_or_default();
    let parts = if place.is_some() { 2 } else { 1 };
    let count_max = DEPOSITS_PER_ACCOUNT_MAX as u64 / parts;
    let bytes_max = DEPOSIT_BYTES_PER_ACCOUNT_MAX as u64 / parts;
    Ok(count < count_max && bytes + letter.envelope.len() as u64 <= bytes_max)
}

/// Keeps a stranger's letter to a registered account, and remembers that its work was shown.
pub fn keep_of_stranger(
    tx: &Tx<'_>,
    account: AccountId,
    letter: &Stamped,
    (work, place): (u8, Option<u64>),
    now_s: u64,
) -> Result<(), StoreError> {
    keep(tx, account, letter, (work, place), now_s)?;
    match letter.postage {
        Postage::Work(shown) => {
            let id = envelope_id(&letter.envelope);
            remember(tx, account, id, shown.fresh_until())
        }
        Postage::Contact(_) => Ok(()),
    }
}

fn remember(
    tx: &Tx<'_>,
    account: AccountId,
    id: EnvelopeId,
    until_s: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO deposits_paid (account, id, until_s) VALUES (?1, ?2, ?3)",
        params![account.0, id.0, int(until_s)],
    )?;
    let all = "SELECT count(*) FROM deposits_paid WHERE account = ?1";
    if tx.count(all, params![account.0])? > PAID_MAX {
        tx.execute(
            "DELETE FROM deposits_paid WHERE account = ?1 AND id =
                 (SELECT id FROM deposits_paid WHERE account = ?1 ORDER BY until_s, id LIMIT 1)",
            params![account.0],
        )?;
    }
    Ok(())
}

fn keep(
    tx: &Tx<'_>,
    account: AccountId,
    letter: &Stamped,
    (work, place): (u8, Option<u64>),
    now_s: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO deposits (account, id, envelope, received_s, postage, work, place)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            account.0,
            envelope_id(&letter.envelope).0,
            letter.envelope,
            int(now_s),
            pack(&letter.postage),
            work,
            place.map(u64::cast_signed)
        ],
    )?;
    Ok(())
}

/// The letters of strangers that wait, the oldest first.
pub fn of_strangers(tx: &Tx<'_>, account: AccountId) -> Result<Vec<Waiting>, StoreError> {
    tx.all(
        "SELECT number, work, place, length(envelope) FROM deposits
         WHERE account = ?1 AND work > 0 ORDER BY number",
        params![account.0],
        read,
    )
}

/// Makes room.
pub fn drop_letter(tx: &Tx<'_>, number: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM deposits WHERE number = ?1", params![number])?;
    Ok(())
}

/// What waits for an account, of contacts first, then the oldest first, as many as fit one answer. Nothing is forgotten before
/// [`forget`].
pub fn letters(tx: &Tx<'_>, account: AccountId) -> Result<Vec<Stamped>, StoreError> {
    let waiting = tx.all(
        "SELECT postage, envelope FROM deposits WHERE account = ?1 ORDER BY work > 0, number",
        params![account.0],
        |row| {
            Ok(Stamped {
                postage: unpack(&row.get::<_, Vec<u8>>(0)?)?,
                envelope: row.get(1)?,
            })
        },
    )?;
    let mut bytes = 0;
    let fits = |letter: &Stamped| {
        bytes += letter.envelope.len() + BESIDES;
        bytes <= ANSWER_BYTES
    };
    Ok(waiting.into_iter().take_while(fits).collect())
}

/// The account has these now. Returns how many were forgotten.
pub fn forget(tx: &Tx<'_>, account: AccountId, ids: &[EnvelopeId]) -> Result<usize, StoreError> {
    let mut forgotten = 0;
    for id in ids {
        forgotten += tx.execute(
            "DELETE FROM deposits WHERE account = ?1 AND id = ?2",
            params![account.0, id.0],
        )?;
    }
    Ok(forgotten)
}

fn read(row: &Row<'_>) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        number: row.get(0)?,
        work: row.get(1)?,
        place: row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned),
        bytes: usize::try_from(time(row, 3)?).unwrap_or(usize::MAX),
    })
}
