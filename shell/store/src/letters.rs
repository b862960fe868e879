//! Sealed envelopes of ours that still have to be deposited at somebody's home supernode.

use rusqlite::{Row, params};
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::postage::Mark;

use crate::error::StoreError;
use crate::tx::{Tx, int, time};

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// We would like to be their contact.
    Request,
    /// We accepted them.
    Accept,
    /// Our card has changed.
    Update,
    /// Our account is no more.
    Farewell,
    /// To a registrar, about one name.
    Claim,
    /// From a registrar, about one name.
    Verdict,
}

/// A letter that is ready to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Only its recipient opens it.
    pub envelope: Vec<u8>,
    /// By which the recipient's supernode knows that a contact wrote it; who has no card of the recipient has none.
    pub mark: Option<Mark>,
}

/// Whose letters go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Those of people who know us. They do not wait for the others.
    Known,
    /// Those of strangers, which cost work.
    Strangers,
}

/// A letter on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// For the functions below.
    pub number: i64,
    /// To whom.
    pub account: AccountId,
    /// What it is for.
    pub kind: LetterKind,
    /// The sealed bytes, and the mark.
    pub sealed: Sealed,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: u64,
    /// When it was written.
    pub written_at: u64,
}

/// Letters tried in one go.
const AT_ONCE: u32 = 20;
/// Letters of one kind about names that wait for one account: whoever claims ever more names fills no disk.
pub const ABOUT_NAMES_MAX: u32 = 16;
const COLUMNS: &str = "number, account, kind, envelope, mark, attempts, next_at, written_at";

/// Keeps a letter, due at once. One of the same kind to the same account is replaced: the newer one says it better, and
/// takes its place at the end.
pub fn put(
    tx: &Tx<'_>,
    account: AccountId,
    kind: LetterKind,
    sealed: &Sealed,
    now: u64,
) -> Result<(), StoreError> {
    insert(tx, account, (kind, ""), sealed, now)
}

/// Keeps a letter about a name, due at once. Only one of the same kind about the same name is replaced; of many to one account the
/// newest are kept.
pub fn put_about(
    tx: &Tx<'_>,
    account: AccountId,
    (kind, name): (LetterKind, &Name),
    sealed: &Sealed,
    now: u64,
) -> Result<(), StoreError> {
    insert(tx, account, (kind, name.as_str()), sealed, now)?;
    tx.execute(
        "DELETE FROM letters WHERE account = ?1 AND kind = ?2 AND number NOT IN
             (SELECT number FROM letters WHERE account = ?1 AND kind = ?2 ORDER BY number DESC LIMIT ?3)",
        params![account.0, kind.code(), ABOUT_NAMES_MAX],
    )?;
    Ok(())
}

fn insert(
    tx: &Tx<'_>,
    account: AccountId,
    (kind, about): (LetterKind, &str),
    sealed: &Sealed,
    now: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO letters (account, kind, about, envelope, mark, attempts, next_at, written_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6)",
        params![
            account.0,
            kind.code(),
            about,
            sealed.envelope,
            sealed.mark,
            int(now)
        ],
    )?;
    Ok(())
}

/// Letters to try now, the longest due first. Letters to one account go in the order in which they were
/// written, so the card in the last one is the newest.
pub fn due(tx: &Tx<'_>, to: To, now: u64) -> Result<Vec<Letter>, StoreError> {
    tx.all(
        &format!(
            "SELECT {COLUMNS} FROM letters WHERE next_at <= ?1 AND {} AND NOT EXISTS
                 (SELECT 1 FROM letters AS other WHERE other.account = letters.account AND other.number < letters.number)
             ORDER BY next_at, number LIMIT {AT_ONCE}",
            to.condition()
        ),
        params![int(now)],
        read,
    )
}

/// Letters to one account.
pub fn to(tx: &Tx<'_>, account: AccountId) -> Result<Vec<Letter>, StoreError> {
    tx.all(
        &format!("SELECT {COLUMNS} FROM letters WHERE account = ?1 ORDER BY number"),
        params![account.0],
        read,
    )
}

/// When the next letter is due.
pub fn next_due(tx: &Tx<'_>, to: To) -> Result<Option<u64>, StoreError> {
    tx.one(
        &format!(
            "SELECT next_at FROM letters WHERE {} AND NOT EXISTS
             (SELECT 1 FROM letters AS other WHERE other.account = letters.account AND other.number < letters.number)
             ORDER BY next_at LIMIT 1",
            to.condition()
        ),
        (),
        |row| time(row, 0),
    )
}

/// It did not work; try again at `next_at`.
pub fn failed(tx: &Tx<'_>, number: i64, next_at: u64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE letters SET attempts = attempts + 1, next_at = ?2 WHERE number = ?1",
        params![number, int(next_at)],
    )?;
    Ok(())
}

/// Everything may be tried again now: a supernode can be reached once more.
pub fn retry_all(tx: &Tx<'_>, now: u64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE letters SET next_at = ?1 WHERE next_at > ?1",
        params![int(now)],
    )?;
    Ok(())
}

/// A supernode keeps it now. A number is never given twice, so a letter that was replaced meanwhile stays.
pub fn deposited(tx: &Tx<'_>, number: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM letters WHERE number = ?1", params![number])?;
    Ok(())
}

/// How many wait.
pub fn count(tx: &Tx<'_>) -> Result<usize, StoreError> {
    let count = tx.count("SELECT count(*) FROM letters", ())?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Forgets all letters: none of them matters any more.
pub fn drop_all(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute("DELETE FROM letters", ())?;
    Ok(())
}

/// Forgets all letters to an account.
pub fn drop_to(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM letters WHERE account = ?1", params![account.0])?;
    Ok(())
}

impl To {
    const fn condition(self) -> &'static str {
        match self {
            Self::Known => "kind NOT IN (0, 4)",
            Self::Strangers => "kind IN (0, 4)",
        }
    }
}

impl LetterKind {
    const fn code(self) -> i64 {
        match self {
            Self::Request => 0,
            Self::Accept => 1,
            Self::Update => 2,
            Self::Farewell => 3,
            Self::Claim => 4,
            Self::Verdict => 5,
        }
    }

    const fn from_code(code: i64) -> Result<Self, StoreError> {
        match code {
            0 => Ok(Self::Request),
            1 => Ok(Self::Accept),
            2 => Ok(Self::Update),
            3 => Ok(Self::Farewell),
            4 => Ok(Self::Claim),
            5 => Ok(Self::Verdict),
            _ => Err(StoreError::Damaged),
        }
    }
}

fn read(row: &Row<'_>) -> Result<Letter, StoreError> {
    Ok(Letter {
        number: row.get(0)?,
        account: AccountId(row.get(1)?),
        kind: LetterKind::from_code(row.get(2)?)?,
        sealed: Sealed {
            envelope: row.get(3)?,
            mark: row.get(4)?,
        },
        attempts: row.get(5)?,
        next_at: time(row, 6)?,
        written_at: time(row, 7)?,
    })
}
