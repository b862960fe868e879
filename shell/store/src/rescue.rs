//! Rescue copies: those a supernode keeps for accounts that are or were at home here, and whom a restored account still has to
//! ask for their cards.

use rusqlite::params;
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::limits::{RESCUE_BYTES_MAX, RESCUE_TTL_S};
use starling_wire::supernode::SupernodeAddr;

use crate::error::StoreError;
use crate::supernode;
use crate::tx::{Tx, int, pack, unpack};

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It is kept.
    Kept,
    /// There are too many bytes of them.
    Full,
    /// No such account is registered.
    UnknownAccount,
}

/// A copy that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Who may have it.
    pub recovery_key: [u8; 32],
    /// Sealed.
    pub copy: Vec<u8>,
}

/// `RESCUE-05`: keeps the copy of a registered account in place of the one before.
pub fn keep(
    tx: &Tx<'_>,
    account: AccountId,
    copy: &[u8],
    now_s: u64,
) -> Result<Keeping, StoreError> {
    let Some(record) = supernode::record(tx, account)? else {
        return Ok(Keeping::UnknownAccount);
    };
    let others = tx.count(
        "SELECT coalesce(sum(length(copy)), 0) FROM rescue_copies WHERE account <> ?1",
        params![account.0],
    )?;
    if others + copy.len() as u64 > RESCUE_BYTES_MAX {
        return Ok(Keeping::Full);
    }
    let recovery_key = record.record.by.inception.recovery_key;
    tx.execute(
        "INSERT INTO rescue_copies (account, recovery_key, copy, kept_s) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account) DO UPDATE
         SET recovery_key = excluded.recovery_key, copy = excluded.copy, kept_s = excluded.kept_s",
        params![account.0, recovery_key, copy, int(now_s)],
    )?;
    Ok(Keeping::Kept)
}

/// The copy of an account.
pub fn get(tx: &Tx<'_>, account: AccountId) -> Result<Option<Copy>, StoreError> {
    tx.one(
        "SELECT recovery_key, copy FROM rescue_copies WHERE account = ?1",
        params![account.0],
        |row| {
            Ok(Copy {
                recovery_key: row.get(0)?,
                copy: row.get(1)?,
            })
        },
    )
}

/// Forgets the copy of an account that was deleted.
pub fn forget(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM rescue_copies WHERE account = ?1",
        params![account.0],
    )?;
    Ok(())
}

/// Forgets copies that were not renewed. Returns how many.
pub fn expire(tx: &Tx<'_>, now_s: u64) -> Result<usize, StoreError> {
    let long_ago = int(now_s.saturating_sub(RESCUE_TTL_S));
    tx.execute(
        "DELETE FROM rescue_copies WHERE kept_s <= ?1",
        params![long_ago],
    )
}

/// Somebody a restored account knows, and has no card of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Who.
    pub account: AccountId,
    /// Their network, where it is another one.
    pub network: Option<NetworkId>,
    /// Where they were found, where their network is another one.
    pub home: Option<SupernodeAddr>,
}

/// This person has to be asked.
pub fn put_missing(tx: &Tx<'_>, missing: &Missing) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO missing_cards (account, network, home) VALUES (?1, ?2, ?3)",
        params![
            missing.account.0,
            missing.network.map(|network| network.0),
            missing.home.as_ref().map(pack)
        ],
    )?;
    Ok(())
}

/// Who has to be asked.
pub fn missing(tx: &Tx<'_>) -> Result<Vec<Missing>, StoreError> {
    tx.all(
        "SELECT account, network, home FROM missing_cards ORDER BY account",
        (),
        |row| {
            let network: Option<[u8; 32]> = row.get(1)?;
            let home: Option<Vec<u8>> = row.get(2)?;
            Ok(Missing {
                account: AccountId(row.get(0)?),
                network: network.map(NetworkId),
                home: home.as_deref().map(unpack).transpose()?,
            })
        },
    )
}

/// This person was asked, or is no contact any more.
pub fn asked(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM missing_cards WHERE account = ?1",
        params![account.0],
    )?;
    Ok(())
}
