//! The host cache: supernodes that others told us of, ordered by how well they answered. Times are Unix seconds.

use rusqlite::params;
use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::supernode::SupernodeAddr;

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, unpack};

/// Supernodes remembered of one network.
pub const CACHE_MAX: usize = 200;
/// Whoever could not be reached so often in a row is forgotten first.
const FAILURES_MAX: u32 = 10;

/// Notes supernodes that somebody told us of. Where one is known, its newer address counts. Beyond [`CACHE_MAX`] those
/// are forgotten that answered worst.
pub fn told(
    tx: &Tx<'_>,
    network: Option<NetworkId>,
    supernodes: &[SupernodeAddr],
    now_s: u64,
) -> Result<(), StoreError> {
    for supernode in supernodes {
        tx.execute(
            "INSERT INTO host_cache (network, id, address, told_s, reached_s, failures)
             VALUES (?1, ?2, ?3, ?4, 0, 0)
             ON CONFLICT (network, id) DO UPDATE SET
                 failures = CASE WHEN address = excluded.address THEN failures ELSE 0 END,
                 address = excluded.address, told_s = excluded.told_s",
            params![name(network), supernode.id.0, pack(supernode), int(now_s)],
        )?;
    }
    forget_worst(tx, network)
}

fn forget_worst(tx: &Tx<'_>, network: Option<NetworkId>) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM host_cache WHERE network = ?1 AND id IN (
             SELECT id FROM host_cache WHERE network = ?1
             ORDER BY failures, reached_s DESC, told_s DESC, id LIMIT -1 OFFSET ?2)",
        params![name(network), int(CACHE_MAX as u64)],
    )?;
    Ok(())
}

/// It answered.
pub fn reached(
    tx: &Tx<'_>,
    network: Option<NetworkId>,
    id: EndpointKey,
    now_s: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE host_cache SET failures = 0, reached_s = ?3 WHERE network = ?1 AND id = ?2",
        params![name(network), id.0, int(now_s)],
    )?;
    Ok(())
}

/// It did not answer.
pub fn failed(tx: &Tx<'_>, network: Option<NetworkId>, id: EndpointKey) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE host_cache SET failures = failures + 1 WHERE network = ?1 AND id = ?2",
        params![name(network), id.0],
    )?;
    tx.execute(
        "DELETE FROM host_cache WHERE network = ?1 AND failures > ?2",
        params![name(network), FAILURES_MAX],
    )?;
    Ok(())
}

/// Those of a network, the best first.
pub fn list(tx: &Tx<'_>, network: Option<NetworkId>) -> Result<Vec<SupernodeAddr>, StoreError> {
    tx.all(
        "SELECT address FROM host_cache WHERE network = ?1
         ORDER BY failures, reached_s DESC, told_s DESC, id",
        params![name(network)],
        |row| unpack(&row.get::<_, Vec<u8>>(0)?),
    )
}

fn name(network: Option<NetworkId>) -> Vec<u8> {
    network.map(|id| id.0.to_vec()).unwrap_or_default()
}
