//! Contact requests that came in and wait for an answer, and which letters were read already.

use rusqlite::{Row, params};
use starling_wire::card::SignedCard;
use starling_wire::ids::{AccountId, DeviceId};
use starling_wire::limits::REQUESTS_MAX;

use crate::error::StoreError;
use crate::introductions;
use crate::tx::{Tx, int, pack, time, unpack};

/// Devices whose newest letter is remembered; the one heard of longest ago is forgotten first.
const READ_MAX: u64 = 10_000;

/// A request. Its card was verified before it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub account: AccountId,
    /// Their card.
    pub card: SignedCard,
    /// What they wrote.
    pub text: String,
    /// When it came.
    pub at: u64,
    /// The work that was done for it, in bits.
    pub work: u8,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It waits, in the place of this one if there is any.
    Kept(Option<AccountId>),
    /// More work was done for all that wait.
    TooMany,
}

/// `PEOPLE-04`: keeps a request; a second one of the same account replaces the first. Of too many, the one for which least work was
/// done goes, the oldest of those.
pub fn put(tx: &Tx<'_>, request: &Request) -> Result<Put, StoreError> {
    let mut gone = None;
    if get(tx, request.account)?.is_none()
        && tx.count("SELECT count(*) FROM requests", ())? >= REQUESTS_MAX as u64
    {
        let Some(account) = least(tx, request.work)? else {
            return Ok(Put::TooMany);
        };
        remove(tx, account)?;
        gone = Some(account);
    }
    tx.execute(
        "INSERT INTO requests (account, card, text, at, work) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (account) DO UPDATE
         SET card = excluded.card, text = excluded.text, at = excluded.at, work = max(work, excluded.work)",
        params![
            request.account.0,
            pack(&request.card),
            request.text,
            int(request.at),
            request.work
        ],
    )?;
    Ok(Put::Kept(gone))
}

/// Whose request goes first, if no more than so much work was done for it.
fn least(tx: &Tx<'_>, most: u8) -> Result<Option<AccountId>, StoreError> {
    let least = "SELECT account, work FROM requests ORDER BY work, at, account LIMIT 1";
    let least = tx.one(least, (), |row| {
        Ok((AccountId(row.get(0)?), row.get::<_, u8>(1)?))
    })?;
    Ok(least
        .filter(|(_, work)| *work <= most)
        .map(|(account, _)| account))
}

/// One account's request.
pub fn get(tx: &Tx<'_>, account: AccountId) -> Result<Option<Request>, StoreError> {
    tx.one(
        "SELECT account, card, text, at, work FROM requests WHERE account = ?1",
        params![account.0],
        read,
    )
}

/// All, the newest first.
pub fn list(tx: &Tx<'_>) -> Result<Vec<Request>, StoreError> {
    tx.all(
        "SELECT account, card, text, at, work FROM requests ORDER BY at DESC, account",
        (),
        read,
    )
}

/// Every request that `who` may mean: the exact id, else those whose id begins so or whose sender has that name.
pub fn find(tx: &Tx<'_>, who: &str) -> Result<Vec<Request>, StoreError> {
    let all = list(tx)?;
    let wanted = crate::contacts::Wanted::new(who);
    if let Some(exact) = all.iter().find(|request| wanted.is_id(request.account)) {
        return Ok(vec![exact.clone()]);
    }
    Ok(all
        .into_iter()
        .filter(|request| wanted.begins(request.account) || wanted.is_name(&request.card.card.name))
        .collect())
}

/// The request was answered.
pub fn remove(tx: &Tx<'_>, account: AccountId) -> Result<bool, StoreError> {
    introductions::remove(tx, account)?;
    Ok(tx.execute(
        "DELETE FROM requests WHERE account = ?1",
        params![account.0],
    )? > 0)
}

/// Whether a letter of this device is newer than all of it that were read; if so it is the newest from now on.
pub fn first_read(
    tx: &Tx<'_>,
    account: AccountId,
    device: DeviceId,
    number: u64,
    now: u64,
) -> Result<bool, StoreError> {
    let rows = tx.execute(
        "INSERT INTO letters_read (account, device, number, read_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account, device) DO UPDATE SET number = excluded.number, read_at = excluded.read_at
         WHERE excluded.number > letters_read.number",
        params![account.0, device.0, int(number), int(now)],
    )?;
    if tx.count("SELECT count(*) FROM letters_read", ())? > READ_MAX {
        tx.execute(
            "DELETE FROM letters_read WHERE (account, device) =
                 (SELECT account, device FROM letters_read ORDER BY read_at, account, device LIMIT 1)",
            (),
        )?;
    }
    Ok(rows > 0)
}

fn read(row: &Row<'_>) -> Result<Request, StoreError> {
    Ok(Request {
        account: AccountId(row.get(0)?),
        card: unpack(&row.get::<_, Vec<u8>>(1)?)?,
        text: row.get(2)?,
        at: time(row, 3)?,
        work: row.get(4)?,
    })
}
