//! Key packages that a supernode keeps for devices at home there, each handed out once. Times are Unix seconds.

use rusqlite::params;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey};
use starling_wire::key_package::{PACKAGE_DAYS, PACKAGES_MAX, Packages};

use crate::error::StoreError;
use crate::tx::{Tx, int};

const DAY_S: u64 = 24 * 3600;
const LISTED: &str = "SELECT 1 FROM registered_doors
     WHERE registered_doors.account = key_packages.account AND registered_doors.device = key_packages.device";

/// Whose front door this is, and on which device.
pub fn device_of(
    tx: &Tx<'_>,
    door: EndpointKey,
) -> Result<Option<(AccountId, DeviceId)>, StoreError> {
    tx.one(
        "SELECT account, device FROM registered_doors WHERE door = ?1",
        params![door.0],
        |row| Ok((AccountId(row.get(0)?), DeviceId(row.get(1)?))),
    )
}

/// `PACKAGE-02`: keeps a device's packages; with too many, the oldest go. Returns how many are kept beside the one of last resort.
pub fn keep(
    tx: &Tx<'_>,
    (account, device): (AccountId, DeviceId),
    packages: &Packages,
    now_s: u64,
) -> Result<u64, StoreError> {
    if packages.last_resort.is_some() {
        tx.execute(
            "DELETE FROM key_packages WHERE account = ?1 AND device = ?2 AND last_resort = 1",
            params![account.0, device.0],
        )?;
    }
    let fresh = packages.fresh.iter().map(|one| (one, false));
    let last = packages.last_resort.iter().map(|one| (one, true));
    for (package, is_last) in fresh.chain(last) {
        tx.execute(
            "INSERT INTO key_packages (account, device, last_resort, kept_s, package) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![account.0, device.0, is_last, int(now_s), package],
        )?;
    }
    tx.execute(
        "DELETE FROM key_packages WHERE account = ?1 AND device = ?2 AND last_resort = 0 AND number NOT IN
             (SELECT number FROM key_packages WHERE account = ?1 AND device = ?2 AND last_resort = 0
              ORDER BY number DESC LIMIT ?3)",
        params![account.0, device.0, int(PACKAGES_MAX as u64)],
    )?;
    tx.count(
        "SELECT count(*) FROM key_packages WHERE account = ?1 AND device = ?2 AND last_resort = 0",
        params![account.0, device.0],
    )
}

/// `PACKAGE-03`: hands one out, the oldest first; it is gone then. The one of last resort, if there is no other or none is to be used up,
/// stays. `None` if there is none, or the device is not at home here any more.
pub fn take(
    tx: &Tx<'_>,
    (account, device): (AccountId, DeviceId),
    may_use_up: bool,
    now_s: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let found = tx.one(
        &format!(
            "SELECT number, last_resort, package FROM key_packages
             WHERE account = ?1 AND device = ?2 AND kept_s > ?3 AND (last_resort = 1 OR ?4) AND EXISTS ({LISTED})
             ORDER BY last_resort, number LIMIT 1"
        ),
        params![account.0, device.0, too_old(now_s), may_use_up],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, Vec<u8>>(2)?,
            ))
        },
    )?;
    let Some((number, is_last, package)) = found else {
        return Ok(None);
    };
    if !is_last {
        tx.execute(
            "DELETE FROM key_packages WHERE number = ?1",
            params![number],
        )?;
    }
    Ok(Some(package))
}

/// `PACKAGE-05`: those that are too old, and those of devices that are not at home here any more, go. Returns how many.
pub fn expire(tx: &Tx<'_>, now_s: u64) -> Result<usize, StoreError> {
    tx.execute(
        &format!("DELETE FROM key_packages WHERE kept_s <= ?1 OR NOT EXISTS ({LISTED})"),
        params![too_old(now_s)],
    )
}

fn too_old(now_s: u64) -> i64 {
    int(now_s.saturating_sub(u64::from(PACKAGE_DAYS) * DAY_S))
}
