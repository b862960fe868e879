//! What own devices keep together: entries as they were signed, and by which history of the account they are complete.

use rusqlite::params;
use starling_wire::account::ChainHead;
use starling_wire::ids::{DeviceId, EndpointKey};
use starling_wire::sync::{Entry, Key};

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, unpack};

/// Doors of removed devices that are remembered; the one removed longest ago is forgotten first.
const REMOVED_MAX: u64 = 100;

/// Keeps an entry in place of the one with its key.
pub fn put(tx: &Tx<'_>, entry: &Entry) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO own_set (place, entry) VALUES (?1, ?2)
         ON CONFLICT (place) DO UPDATE SET entry = excluded.entry",
        params![entry.key.place(), pack(entry)],
    )?;
    Ok(())
}

/// It is gone, and leaves no trace.
pub fn remove(tx: &Tx<'_>, key: &Key) -> Result<(), StoreError> {
    tx.execute("DELETE FROM own_set WHERE place = ?1", params![key.place()])?;
    Ok(())
}

/// One entry.
pub fn get(tx: &Tx<'_>, key: &Key) -> Result<Option<Entry>, StoreError> {
    tx.one(
        "SELECT entry FROM own_set WHERE place = ?1",
        params![key.place()],
        |row| unpack(&row.get::<_, Vec<u8>>(0)?),
    )
}

/// All of them.
pub fn list(tx: &Tx<'_>) -> Result<Vec<Entry>, StoreError> {
    tx.all("SELECT entry FROM own_set ORDER BY place", (), |row| {
        unpack(&row.get::<_, Vec<u8>>(0)?)
    })
}

/// By which history the set is complete; nothing at all before [`settle`] was called for the first time.
pub fn settled(tx: &Tx<'_>) -> Result<Option<Option<ChainHead>>, StoreError> {
    tx.one("SELECT settled FROM own_set_state", (), |row| {
        let head: Option<Vec<u8>> = row.get(0)?;
        head.map(|bytes| unpack(&bytes)).transpose()
    })
}

/// Notes it.
pub fn settle(tx: &Tx<'_>, head: Option<ChainHead>) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO own_set_state (one, settled) VALUES (1, ?1)
         ON CONFLICT (one) DO UPDATE SET settled = excluded.settled",
        params![head.as_ref().map(pack)],
    )?;
    Ok(())
}

/// A device joined that is behind this door.
pub fn door_joined(tx: &Tx<'_>, device: DeviceId, door: EndpointKey) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO joined_doors (device, door) VALUES (?1, ?2)
         ON CONFLICT (device) DO UPDATE SET door = excluded.door",
        params![device.0, door.0],
    )?;
    Ok(())
}

/// Doors of devices when they joined.
pub fn joined_doors(tx: &Tx<'_>) -> Result<Vec<(DeviceId, EndpointKey)>, StoreError> {
    tx.all("SELECT device, door FROM joined_doors", (), |row| {
        Ok((DeviceId(row.get(0)?), EndpointKey(row.get(1)?)))
    })
}

/// The device behind this door was removed.
pub fn door_removed(tx: &Tx<'_>, door: EndpointKey, now_ms: u64) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO removed_doors (door, removed_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![door.0, int(now_ms)],
    )?;
    tx.execute(
        "DELETE FROM removed_doors WHERE door NOT IN
             (SELECT door FROM removed_doors ORDER BY removed_at DESC LIMIT ?1)",
        params![int(REMOVED_MAX)],
    )?;
    Ok(())
}

/// Doors of removed devices.
pub fn removed_doors(tx: &Tx<'_>) -> Result<Vec<EndpointKey>, StoreError> {
    tx.all("SELECT door FROM removed_doors", (), |row| {
        Ok(EndpointKey(row.get(0)?))
    })
}
