//! Copies of a registrar's log: the one that a supernode keeps for everybody, and the one that a registrar writes. Times are Unix
//! seconds.

use rusqlite::{Row, params};
use starling_wire::ids::NetworkId;
use starling_wire::name::Name;
use starling_wire::name_log::{Equivocation, PAGE_ENTRIES_MAX, Page, Position, SignedEntry};
use starling_wire::record::registrar::Registrar;

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, time, unpack};

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A supernode's copy.
    Copy,
    /// What a registrar wrote.
    Registrar,
    /// What a client was shown: a proof only.
    Seen,
}

/// What is stored, without what the entries say.
#[derive(Debug)]
pub struct Kept {
    /// Who signed it, in the order of their epochs.
    pub offices: Vec<Registrar>,
    /// Every entry's position, from the first on.
    pub positions: Vec<Position>,
    /// The proof against a registrar that came last.
    pub proof: Option<Equivocation>,
}

impl Whose {
    const fn code(self) -> i64 {
        match self {
            Self::Copy => 0,
            Self::Registrar => 1,
            Self::Seen => 2,
        }
    }
}

/// How far a log goes. One of another network is forgotten.
pub fn load(tx: &Tx<'_>, whose: Whose, network: NetworkId) -> Result<Kept, StoreError> {
    let offices = offices(tx, whose)?;
    if offices.iter().any(|office| office.network != network) {
        forget(tx, whose)?;
        return Ok(Kept {
            offices: Vec::new(),
            positions: Vec::new(),
            proof: None,
        });
    }
    let positions = tx.all(
        "SELECT height, hash, at_s, signature FROM name_log WHERE whose = ?1 ORDER BY height",
        params![whose.code()],
        |row| position(row, 0),
    )?;
    let proof = tx.one(
        "SELECT proof FROM name_proofs WHERE whose = ?1",
        params![whose.code()],
        |row| unpack(&row.get::<_, Vec<u8>>(0)?),
    )?;
    Ok(Kept {
        offices,
        positions,
        proof,
    })
}

fn forget(tx: &Tx<'_>, whose: Whose) -> Result<(), StoreError> {
    let whose = params![whose.code()];
    tx.execute("DELETE FROM name_offices WHERE whose = ?1", whose)?;
    tx.execute("DELETE FROM name_log WHERE whose = ?1", whose)?;
    tx.execute("DELETE FROM name_proofs WHERE whose = ?1", whose)?;
    Ok(())
}

fn offices(tx: &Tx<'_>, whose: Whose) -> Result<Vec<Registrar>, StoreError> {
    tx.all(
        "SELECT office FROM name_offices WHERE whose = ?1 ORDER BY epoch",
        params![whose.code()],
        |row| unpack(&row.get::<_, Vec<u8>>(0)?),
    )
}

/// The whole log, for its registrar.
pub fn entries(tx: &Tx<'_>, whose: Whose) -> Result<Vec<SignedEntry>, StoreError> {
    tx.all(
        "SELECT entry, signature FROM name_log WHERE whose = ?1 ORDER BY height",
        params![whose.code()],
        signed,
    )
}

/// Somebody is registrar.
pub fn appoint(tx: &Tx<'_>, whose: Whose, office: &Registrar) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO name_offices (whose, epoch, office) VALUES (?1, ?2, ?3)",
        params![whose.code(), int(office.epoch), pack(office)],
    )?;
    Ok(())
}

/// These come next.
pub fn append(tx: &Tx<'_>, whose: Whose, entries: &[SignedEntry]) -> Result<(), StoreError> {
    for signed in entries {
        let position = signed.position();
        let (one, other) = position.signature;
        tx.execute(
            "INSERT INTO name_log (whose, height, name, entry, hash, at_s, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                whose.code(),
                int(position.height),
                signed.entry.name.as_str(),
                pack(&signed.entry),
                position.hash,
                int(position.at),
                [one, other].concat(),
            ],
        )?;
    }
    Ok(())
}

/// Those after this height count no more.
pub fn keep(tx: &Tx<'_>, whose: Whose, height: u64) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM name_log WHERE whose = ?1 AND height > ?2",
        params![whose.code(), int(height)],
    )?;
    Ok(())
}

/// The registrar contradicted itself.
pub fn prove(tx: &Tx<'_>, whose: Whose, proof: &Equivocation) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO name_proofs (whose, proof) VALUES (?1, ?2)",
        params![whose.code(), pack(proof)],
    )?;
    Ok(())
}

/// It has a successor.
pub fn forget_proof(tx: &Tx<'_>, whose: Whose) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM name_proofs WHERE whose = ?1",
        params![whose.code()],
    )?;
    Ok(())
}

/// What begins at a height, up to `end` and as much as fits; `by` signed it.
pub fn page(
    tx: &Tx<'_>,
    whose: Whose,
    by: Registrar,
    (begin, end): (u64, u64),
) -> Result<Option<Page>, StoreError> {
    let entries = tx.all(
        "SELECT entry, signature FROM name_log WHERE whose = ?1 AND height BETWEEN ?2 AND ?3 ORDER BY height LIMIT ?4",
        params![
            whose.code(),
            int(begin),
            int(end),
            int(PAGE_ENTRIES_MAX as u64)
        ],
        signed,
    )?;
    Ok((!entries.is_empty()).then_some(Page {
        registrar: by,
        entries,
    }))
}

/// The last entry about a name.
pub fn last(tx: &Tx<'_>, whose: Whose, name: &Name) -> Result<Option<SignedEntry>, StoreError> {
    tx.one(
        "SELECT entry, signature FROM name_log WHERE whose = ?1 AND name = ?2 ORDER BY height DESC LIMIT 1",
        params![whose.code(), name.as_str()],
        signed,
    )
}

pub(crate) fn signed(row: &Row<'_>) -> Result<SignedEntry, StoreError> {
    Ok(SignedEntry {
        entry: unpack(&row.get::<_, Vec<u8>>(0)?)?,
        signature: signature(row, 1)?,
    })
}

fn position(row: &Row<'_>, first: usize) -> Result<Position, StoreError> {
    Ok(Position {
        height: time(row, first)?,
        hash: row.get(first + 1)?,
        at: time(row, first + 2)?,
        signature: signature(row, first + 3)?,
    })
}

fn signature(row: &Row<'_>, column: usize) -> Result<([u8; 32], [u8; 32]), StoreError> {
    let bytes: [u8; 64] = row.get(column)?;
    let (mut one, mut other) = ([0; 32], [0; 32]);
    one.copy_from_slice(&bytes[..32]);
    other.copy_from_slice(&bytes[32..]);
    Ok((one, other))
}
