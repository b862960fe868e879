//! What a supernode keeps for others: account records, which front doors belong to which account. Letters are `mailbox`'s.
//! Times are Unix seconds, as in the records themselves. Bounds are those of `wire::limits`.

use std::collections::BTreeSet;

use rusqlite::params;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey};
use starling_wire::limits::{ACCOUNTS_MAX, DEPOSIT_TTL_S};
use starling_wire::record::{AccountRecord, Content, Signed};
use starling_wire::registration::VerifiedRegistration;

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, unpack};

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// Record and door are kept; this record was not known here.
    New,
    /// The door is kept; the record was known.
    Known,
    /// A newer record, or another equally new one, is known. Nothing was changed.
    Older,
    /// There are too many accounts. Nothing was changed.
    Full,
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

/// What was forgotten because its time was over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Accounts whose record had expired.
    pub accounts: usize,
    /// Envelopes that nobody collected.
    pub deposits: usize,
}

/// Keeps an account's record and the front door of one of its devices (`SUPER-02`: the recovery key's word comes first, then
/// the number; a lower one never replaces a higher one). A device has one door; doors of devices that the account lists no more are forgotten.
pub fn register(
    tx: &Tx<'_>,
    registration: &VerifiedRegistration,
) -> Result<Registered, StoreError> {
    let standing = standing(tx, registration)?;
    if matches!(standing, Registered::Older | Registered::Full) {
        return Ok(standing);
    }
    let account = registration.account();
    let signed = registration.record().signed();
    tx.execute(
        "INSERT INTO registered_accounts (account, record, record_order, expires_s) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account) DO UPDATE
         SET record = excluded.record, record_order = excluded.record_order, expires_s = excluded.expires_s",
        params![
            account.0,
            pack(signed),
            int(signed.record.order()),
            int(signed.record.expires)
        ],
    )?;
    let listed: BTreeSet<DeviceId> = registration.devices().collect();
    for device in devices(tx, account)? {
        if !listed.contains(&device) || device == registration.device() {
            tx.execute(
                "DELETE FROM registered_doors WHERE account = ?1 AND device = ?2",
                params![account.0, device.0],
            )?;
        }
    }
    tx.execute(
        "INSERT INTO registered_doors (door, account, device, contacts_key) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (door) DO UPDATE
         SET account = excluded.account, device = excluded.device, contacts_key = excluded.contacts_key",
        params![
            registration.door().0,
            account.0,
            registration.device().0,
            registration.contacts().0
        ],
    )?;
    // POSTAGE-03: what the account's other devices said before, perhaps long ago, counts no more.
    tx.execute(
        "UPDATE registered_doors SET contacts_key = NULL WHERE account = ?1 AND contacts_key <> ?2",
        params![account.0, registration.contacts().0],
    )?;
    Ok(standing)
}

/// An account that was at home here has ended: its doors and letters go, and this last record stands above whatever is signed
/// by the same key until it has expired.
pub fn end(tx: &Tx<'_>, last: &Signed<AccountRecord>) -> Result<(), StoreError> {
    let account = last.account();
    match known(tx, account)? {
        Some((order, _)) if order < int(last.record.order()) => {}
        _ => return Ok(()),
    }
    tx.execute(
        "UPDATE registered_accounts SET record = ?2, record_order = ?3, expires_s = ?4 WHERE account = ?1",
        params![
            account.0,
            pack(last),
            int(last.record.order()),
            int(last.record.expires)
        ],
    )?;
    for rows in ["registered_doors", "deposits"] {
        tx.execute(
            &format!("DELETE FROM {rows} WHERE account = ?1"),
            params![account.0],
        )?;
    }
    Ok(())
}

/// What [`register`] would say. Nothing is changed.
pub fn standing(
    tx: &Tx<'_>,
    registration: &VerifiedRegistration,
) -> Result<Registered, StoreError> {
    let signed = registration.record().signed();
    match known(tx, registration.account())? {
        Some((_, record)) if record == pack(signed) => Ok(Registered::Known),
        Some((order, _)) if int(signed.record.order()) <= order => Ok(Registered::Older),
        Some(_) => Ok(Registered::New),
        None => {
            let all = tx.count("SELECT count(*) FROM registered_accounts", ())?;
            let full = all >= ACCOUNTS_MAX as u64;
            Ok(if full {
                Registered::Full
            } else {
                Registered::New
            })
        }
    }
}

fn known(tx: &Tx<'_>, account: AccountId) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
    tx.one(
        "SELECT record_order, record FROM registered_accounts WHERE account = ?1",
        params![account.0],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

fn devices(tx: &Tx<'_>, account: AccountId) -> Result<Vec<DeviceId>, StoreError> {
    tx.all(
        "SELECT device FROM registered_doors WHERE account = ?1 ORDER BY device",
        params![account.0],
        |row| Ok(DeviceId(row.get(0)?)),
    )
}

/// The newest record of an account, expired or not: its own dates say that.
pub fn record(
    tx: &Tx<'_>,
    account: AccountId,
) -> Result<Option<Signed<AccountRecord>>, StoreError> {
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

/// The front doors of every account.
pub fn all_doors(tx: &Tx<'_>) -> Result<Vec<EndpointKey>, StoreError> {
    tx.all(
        "SELECT door FROM registered_doors ORDER BY door",
        (),
        |row| Ok(EndpointKey(row.get(0)?)),
    )
}

/// Forgets envelopes and records whose time is over. An account whose record has expired stays while something waits for
/// it, but no longer than an envelope would: otherwise strangers could keep it here for ever.
pub fn expire(tx: &Tx<'_>, now_s: u64) -> Result<Expired, StoreError> {
    let long_ago = int(now_s.saturating_sub(DEPOSIT_TTL_S));
    let deposits = tx.execute(
        "DELETE FROM deposits WHERE received_s <= ?1",
        params![long_ago],
    )?;
    tx.execute(
        "DELETE FROM deposits_paid WHERE until_s <= ?1",
        params![int(now_s)],
    )?;
    let accounts = tx.execute(
        "DELETE FROM registered_accounts
         WHERE expires_s <= ?1 OR (expires_s <= ?2 AND NOT EXISTS
             (SELECT 1 FROM deposits WHERE deposits.account = registered_accounts.account))",
        params![long_ago, int(now_s)],
    )?;
    Ok(Expired { accounts, deposits })
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
