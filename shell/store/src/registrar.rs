//! A registrar of this profile: its office, the claims that came, and the invitations that may be used.

use rusqlite::{Row, params};
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_claim::Claim;
use starling_wire::postage::{ContactsKey, LetterKeys};
use starling_wire::record::registrar::Registrar;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::profile::Secret;
use crate::tx::{Tx, int, pack, time, unpack};

/// Claims that were not looked at yet, at most; of strangers' making.
const FRESH_MAX: u64 = 1_000;
/// Of one account.
const FRESH_OF_ONE: u64 = 5;
/// Claims that wait for a person.
pub const WAITING_MAX: u64 = 1_000;
/// Of one account.
pub const WAITING_OF_ONE: u64 = 3;

const COLUMNS: &str = "number, account, claim, request_key, contacts_key, waiting, came_at_s";

/// An office, and how it is held.
pub struct Office {
    /// The owner's word.
    pub appointment: Registrar,
    /// The registrar's key.
    pub seed: Secret,
    /// To whom names are given: 0 everybody, 1 the invited, 2 by hand.
    pub admission: u8,
    /// Names of one account.
    pub names_of_one: u32,
    /// Whether it is at work.
    pub running: bool,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office")
            .field("epoch", &self.appointment.epoch)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

/// A claim that was not decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// For the functions below.
    pub number: i64,
    /// Whose.
    pub account: AccountId,
    /// What is wanted.
    pub claim: Claim,
    /// What the answer is sealed to.
    pub keys: LetterKeys,
    /// Whether a person decides.
    pub by_hand: bool,
    /// When it came.
    pub came_at: u64,
}

/// The office, if there ever was one.
pub fn office(tx: &Tx<'_>) -> Result<Option<Office>, StoreError> {
    tx.one(
        "SELECT office, seed, admission, names_of_one, running FROM registrar",
        (),
        |row| {
            Ok(Office {
                appointment: unpack(&row.get::<_, Vec<u8>>(0)?)?,
                seed: Zeroizing::new(row.get(1)?),
                admission: row.get(2)?,
                names_of_one: row.get(3)?,
                running: row.get(4)?,
            })
        },
    )
}

/// Keeps it.
pub fn set_office(tx: &Tx<'_>, office: &Office) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO registrar (one, office, seed, admission, names_of_one, running)
         VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        params![
            pack(&office.appointment),
            *office.seed,
            office.admission,
            office.names_of_one,
            office.running
        ],
    )?;
    Ok(())
}

/// Keeps a claim that came, in place of an earlier one of the same account about the same name. Whether there was room; for
/// that there always is.
pub fn keep_claim(
    tx: &Tx<'_>,
    account: AccountId,
    claim: &Claim,
    keys: &LetterKeys,
    now_s: u64,
) -> Result<bool, StoreError> {
    let fresh = tx.count(
        "SELECT count(*) FROM name_claims WHERE waiting = 0 AND NOT (account = ?1 AND name = ?2)",
        params![account.0, claim.name.as_str()],
    )?;
    let of_one = tx.count(
        "SELECT count(*) FROM name_claims WHERE waiting = 0 AND account = ?1 AND name <> ?2",
        params![account.0, claim.name.as_str()],
    )?;
    if fresh >= FRESH_MAX || of_one >= FRESH_OF_ONE {
        return Ok(false);
    }
    tx.execute(
        "INSERT OR REPLACE INTO name_claims (account, name, claim, request_key, contacts_key, waiting, came_at_s)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
        params![
            account.0,
            claim.name.as_str(),
            pack(claim),
            keys.request,
            keys.contacts.map(|key| key.0),
            int(now_s)
        ],
    )?;
    Ok(true)
}

/// All that were not decided, in the order in which they came.
pub fn claims(tx: &Tx<'_>) -> Result<Vec<Waiting>, StoreError> {
    tx.all(
        &format!("SELECT {COLUMNS} FROM name_claims ORDER BY number"),
        (),
        read,
    )
}

/// `NAMES-11`: whether one more claim of this account may wait for a person.
pub fn may_wait(tx: &Tx<'_>, account: AccountId) -> Result<bool, StoreError> {
    let all = tx.count("SELECT count(*) FROM name_claims WHERE waiting = 1", ())?;
    let of_one = tx.count(
        "SELECT count(*) FROM name_claims WHERE waiting = 1 AND account = ?1",
        params![account.0],
    )?;
    Ok(all < WAITING_MAX && of_one < WAITING_OF_ONE)
}

/// Those that have waited for a person since before then.
pub fn overdue(tx: &Tx<'_>, since_s: u64) -> Result<Vec<Waiting>, StoreError> {
    tx.all(
        &format!(
            "SELECT {COLUMNS} FROM name_claims
         WHERE waiting = 1 AND came_at_s <= ?1 ORDER BY number"
        ),
        params![int(since_s)],
        read,
    )
}

/// A person decides about it.
pub fn by_hand(tx: &Tx<'_>, number: i64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE name_claims SET waiting = 1 WHERE number = ?1",
        params![number],
    )?;
    Ok(())
}

/// It was decided.
pub fn decided(tx: &Tx<'_>, number: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM name_claims WHERE number = ?1", params![number])?;
    Ok(())
}

/// This invitation may be used, or was.
pub fn invite(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR IGNORE INTO name_invitations (hash) VALUES (?1)",
        params![*hash],
    )?;
    Ok(())
}

/// It was used.
pub fn spent(tx: &Tx<'_>, hash: &[u8; 32]) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM name_invitations WHERE hash = ?1",
        params![*hash],
    )?;
    Ok(())
}

/// All that may be used.
pub fn invitations(tx: &Tx<'_>) -> Result<Vec<[u8; 32]>, StoreError> {
    tx.all("SELECT hash FROM name_invitations", (), |row| {
        Ok(row.get(0)?)
    })
}

/// How somebody's claim about a name is found.
pub fn claims_about(tx: &Tx<'_>, name: &Name) -> Result<Vec<Waiting>, StoreError> {
    tx.all(
        &format!(
            "SELECT {COLUMNS} FROM name_claims
         WHERE name = ?1 AND waiting = 1 ORDER BY number"
        ),
        params![name.as_str()],
        read,
    )
}

fn read(row: &Row<'_>) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        number: row.get(0)?,
        account: AccountId(row.get(1)?),
        claim: unpack(&row.get::<_, Vec<u8>>(2)?)?,
        keys: LetterKeys {
            request: row.get(3)?,
            contacts: row.get::<_, Option<_>>(4)?.map(ContactsKey),
        },
        by_hand: row.get(5)?,
        came_at: time(row, 6)?,
    })
}
