//! The names of this profile's account, and those that it asked for. Times are Unix seconds.

use rusqlite::{Row, params};
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::name::Name;
use starling_wire::name_claim::Refusal;
use starling_wire::name_log::Listing;
use starling_wire::own_name::{Answered, Claimed, Held};
use starling_wire::record::{NameRecord, Signed};

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, time, unpack};

/// A name, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnName {
    /// It.
    pub name: Name,
    /// In which network.
    pub network: NetworkId,
    /// Whom we asked.
    pub registrar: AccountId,
    /// By which we want to be found.
    pub listing: Option<Listing>,
    /// What says that it is ours.
    pub certificate: Option<Signed<NameRecord>>,
    /// Why not, if that was the last answer.
    pub refusal: Option<Refusal>,
    /// When we asked last.
    pub asked_at: u64,
}

impl From<Held> for OwnName {
    fn from(held: Held) -> Self {
        Self {
            name: held.name,
            network: held.claimed.network,
            registrar: held.claimed.registrar,
            listing: held.claimed.listing,
            certificate: held.answered.certificate,
            refusal: held.answered.refusal,
            asked_at: held.claimed.asked_at,
        }
    }
}

impl From<OwnName> for Held {
    fn from(own: OwnName) -> Self {
        Self {
            name: own.name,
            claimed: Claimed {
                network: own.network,
                registrar: own.registrar,
                listing: own.listing,
                asked_at: own.asked_at,
            },
            answered: Answered {
                certificate: own.certificate,
                refusal: own.refusal,
            },
        }
    }
}

const COLUMNS: &str = "name, network, registrar, listing, certificate, answer, asked_at_s";

/// Keeps one, whole.
pub fn put(tx: &Tx<'_>, own: &OwnName) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO own_names (name, network, registrar, listing, certificate, answer, asked_at_s)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            own.name.as_str(),
            own.network.0,
            own.registrar.0,
            own.listing.as_ref().map(Listing::as_str),
            own.certificate.as_ref().map(pack),
            own.refusal.as_ref().map(pack),
            int(own.asked_at)
        ],
    )?;
    Ok(())
}

/// One.
pub fn get(tx: &Tx<'_>, name: &Name) -> Result<Option<OwnName>, StoreError> {
    tx.one(
        &format!("SELECT {COLUMNS} FROM own_names WHERE name = ?1"),
        params![name.as_str()],
        read,
    )
}

/// All.
pub fn list(tx: &Tx<'_>) -> Result<Vec<OwnName>, StoreError> {
    tx.all(
        &format!("SELECT {COLUMNS} FROM own_names ORDER BY name"),
        (),
        read,
    )
}

/// It was given up, or never ours.
pub fn forget(tx: &Tx<'_>, name: &Name) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM own_names WHERE name = ?1",
        params![name.as_str()],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<OwnName, StoreError> {
    let name: String = row.get(0)?;
    let listing: Option<String> = row.get(3)?;
    let packed = |column| row.get::<_, Option<Vec<u8>>>(column);
    Ok(OwnName {
        name: Name::try_from(name).map_err(|_| StoreError::Damaged)?,
        network: NetworkId(row.get(1)?),
        registrar: AccountId(row.get(2)?),
        listing: listing
            .map(Listing::new)
            .transpose()
            .map_err(|_| StoreError::Damaged)?,
        certificate: packed(4)?.map(|bytes| unpack(&bytes)).transpose()?,
        refusal: packed(5)?.map(|bytes| unpack(&bytes)).transpose()?,
        asked_at: time(row, 6)?,
    })
}
