//! The networks a profile joined, and the key of its own supernode.

use rusqlite::{Row, params};
use starling_wire::ids::NetworkId;
use starling_wire::supernode::SupernodeAddr;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::profile::Secret;
use crate::tx::{Tx, int, pack, time, unpack};

/// A joined network.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its owner's key; absent when only supernode addresses from a link are known.
    pub network: Option<NetworkId>,
    /// Its name.
    pub name: String,
    /// The signed file's text, if it was joined by one.
    pub file: Option<String>,
    /// The owner's key, on the owner's machine.
    pub owner: Option<Secret>,
    /// Whom to ask.
    pub supernodes: Vec<SupernodeAddr>,
    /// When it was joined.
    pub joined_at: u64,
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined")
            .field("network", &self.network)
            .field("name", &self.name)
            .field("owner", &self.owner.is_some())
            .field("supernodes", &self.supernodes)
            .finish_non_exhaustive()
    }
}

/// Keeps a network. One that was joined before is replaced, but an owner's key is never forgotten by joining again.
pub fn join(tx: &Tx<'_>, joined: &Joined) -> Result<(), StoreError> {
    let id = joined.network.map(|id| id.0);
    let owner = match &joined.owner {
        Some(seed) => Some(**seed),
        None => tx
            .one(
                "SELECT owner_seed FROM networks WHERE network IS ?1",
                params![id],
                |row| Ok(row.get::<_, Option<[u8; 32]>>(0)?),
            )?
            .flatten(),
    };
    tx.execute("DELETE FROM networks WHERE network IS ?1", params![id])?;
    tx.execute(
        "INSERT INTO networks (network, name, file, owner_seed, supernodes, joined_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            id,
            joined.name,
            joined.file,
            owner,
            pack(&joined.supernodes),
            int(joined.joined_at)
        ],
    )?;
    Ok(())
}

/// All joined networks, the newest first.
pub fn list(tx: &Tx<'_>) -> Result<Vec<Joined>, StoreError> {
    tx.all(
        "SELECT network, name, file, owner_seed, supernodes, joined_at FROM networks ORDER BY number DESC",
        (),
        read,
    )
}

/// The seed of this machine's own supernode, if it ever was one.
pub fn own_supernode(tx: &Tx<'_>) -> Result<Option<Secret>, StoreError> {
    tx.one("SELECT seed FROM own_supernode", (), |row| {
        Ok(Zeroizing::new(row.get(0)?))
    })
}

/// Keeps the seed of this machine's own supernode; the first one stays, since others know it.
pub fn set_own_supernode(tx: &Tx<'_>, seed: &Secret) -> Result<(), StoreError> {
    match tx.execute(
        "INSERT OR IGNORE INTO own_supernode (one, seed) VALUES (1, ?1)",
        params![**seed],
    )? {
        0 => Err(StoreError::Exists("a supernode key in this profile")),
        _ => Ok(()),
    }
}

/// Takes over the seed of a supernode that others know, from a backup.
pub fn replace_own_supernode(tx: &Tx<'_>, seed: &Secret) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO own_supernode (one, seed) VALUES (1, ?1)",
        params![**seed],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Joined, StoreError> {
    Ok(Joined {
        network: row.get::<_, Option<[u8; 32]>>(0)?.map(NetworkId),
        name: row.get(1)?,
        file: row.get(2)?,
        owner: row.get::<_, Option<[u8; 32]>>(3)?.map(Zeroizing::new),
        supernodes: unpack(&row.get::<_, Vec<u8>>(4)?)?,
        joined_at: time(row, 5)?,
    })
}
