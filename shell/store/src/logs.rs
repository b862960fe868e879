//! What a mailbox holder keeps of conversations' logs: boxes, entries, registers and certificates of slots. Each function is one of
//! the things that `protocol::mailbox::holder` persists, or reads what it is made anew from. Days are days since 1970, UTC.

use rusqlite::{Row, params};
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, MailboxId};
use starling_wire::log::grant::Grant;
use starling_wire::log::keys::Plan;
use starling_wire::log::{Entry, Head};
use starling_wire::ordering::choice::SignedCertificate;
use starling_wire::ordering::grounds::SignedGrounds;
use starling_wire::ordering::{Ballot, Slot};

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, time, unpack};

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBox {
    /// Its id.
    pub mailbox: MailboxId,
    /// What it follows from.
    pub plan: Plan,
    /// When it was used last.
    pub used_day: u32,
    /// After this day it takes nothing.
    pub closing_day: Option<u32>,
    /// The highest number that an entry was given.
    pub last: u64,
    /// The highest of those that made room before their time.
    pub dropped: u64,
}

/// An entry without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptEntry {
    /// Its number.
    pub number: u64,
    /// Its id.
    pub id: EntryId,
    /// What it says in clear.
    pub head: Head,
    /// The last day it is kept.
    pub until_day: u32,
}

/// What was promised and agreed to at a slot.
pub type Register = (Option<Ballot>, Option<(Ballot, EntryId)>);

/// How a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptSlot {
    /// It is open.
    Open(Register),
    /// It is settled on an entry, which begins an epoch.
    Settled(EntryId, Option<EpochTag>),
}

/// A slot without its grounds or certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRow {
    /// Which.
    pub slot: Slot,
    /// How it stands.
    pub kept: KeptSlot,
    /// Bytes of its grounds or its certificate.
    pub bytes: u64,
}

/// A box was opened with a grant, which is used up.
pub fn open(
    tx: &Tx<'_>,
    mailbox: MailboxId,
    plan: &Plan,
    grant: &Grant,
    day: u32,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO log_boxes (mailbox, plan, used_day) VALUES (?1, ?2, ?3)",
        params![mailbox.0, pack(plan), day],
    )?;
    tx.execute(
        "INSERT OR REPLACE INTO log_grants (issuer, serial, mailbox, until_day) VALUES (?1, ?2, ?3, ?4)",
        params![grant.issuer.0, grant.serial, mailbox.0, grant.until_day],
    )?;
    Ok(())
}

/// A box was used.
pub fn note_used(tx: &Tx<'_>, mailbox: MailboxId, day: u32) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE log_boxes SET used_day = ?2 WHERE mailbox = ?1",
        params![mailbox.0, day],
    )?;
    Ok(())
}

/// A box takes nothing after a day.
pub fn close(tx: &Tx<'_>, mailbox: MailboxId, day: u32) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE log_boxes SET closing_day = ?2 WHERE mailbox = ?1",
        params![mailbox.0, day],
    )?;
    Ok(())
}

/// Keeps an entry under the next number of its box.
pub fn keep(tx: &Tx<'_>, entry: &Entry, number: u64, until_day: u32) -> Result<(), StoreError> {
    let mailbox = entry.head().mailbox;
    let boxes = tx.execute(
        "UPDATE log_boxes SET last = ?2 WHERE mailbox = ?1",
        params![mailbox.0, int(number)],
    )?;
    if boxes == 0 {
        return Err(StoreError::Missing("box"));
    }
    tx.execute(
        "INSERT INTO log_entries (box, number, id, head, until_day, body)
         SELECT number, ?2, ?3, ?4, ?5, ?6 FROM log_boxes WHERE mailbox = ?1",
        params![
            mailbox.0,
            int(number),
            entry.id().0,
            pack(entry.head()),
            until_day,
            &entry.body()[..]
        ],
    )?;
    Ok(())
}

/// Entries go; `dropped` is the highest number of those that ever made room.
pub fn drop_entries(
    tx: &Tx<'_>,
    mailbox: MailboxId,
    numbers: &[u64],
    dropped: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE log_boxes SET dropped = ?2 WHERE mailbox = ?1",
        params![mailbox.0, int(dropped)],
    )?;
    for number in numbers {
        tx.execute(
            "DELETE FROM log_entries
             WHERE number = ?2 AND box = (SELECT number FROM log_boxes WHERE mailbox = ?1)",
            params![mailbox.0, int(*number)],
        )?;
    }
    Ok(())
}

/// Keeps the register of an open slot. The grounds of what was agreed to stay as they are, unless there are others.
pub fn keep_register(
    tx: &Tx<'_>,
    (mailbox, slot): (MailboxId, Slot),
    (promised, accepted): Register,
    grounds: Option<&SignedGrounds>,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO log_slots (box, epoch, attempt, promised, accepted, grounds)
         SELECT number, ?2, ?3, ?4, ?5, ?6 FROM log_boxes WHERE mailbox = ?1
         ON CONFLICT DO UPDATE SET promised = excluded.promised, accepted = excluded.accepted,
             grounds = coalesce(excluded.grounds, grounds)",
        params![
            mailbox.0,
            slot.epoch.0,
            slot.attempt,
            promised.map(|ballot| pack(&ballot)),
            accepted.map(|agreed| pack(&agreed)),
            grounds.map(pack)
        ],
    )?;
    Ok(())
}

/// Keeps a slot's certificate, in place of its register. It was looked at, and settles the slot on `entry`.
pub fn settle(
    tx: &Tx<'_>,
    (mailbox, slot): (MailboxId, Slot),
    entry: EntryId,
    certificate: &SignedCertificate,
    next: Option<EpochTag>,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO log_slots (box, epoch, attempt, settled, next, certificate)
         SELECT number, ?2, ?3, ?4, ?5, ?6 FROM log_boxes WHERE mailbox = ?1",
        params![
            mailbox.0,
            slot.epoch.0,
            slot.attempt,
            entry.0,
            next.map(|tag| tag.0),
            pack(certificate)
        ],
    )?;
    Ok(())
}

/// The epoch that a settled slot's entry begins is known.
pub fn note_next(
    tx: &Tx<'_>,
    (mailbox, slot): (MailboxId, Slot),
    next: EpochTag,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE log_slots SET next = ?4 WHERE epoch = ?2 AND attempt = ?3
         AND box = (SELECT number FROM log_boxes WHERE mailbox = ?1)",
        params![mailbox.0, slot.epoch.0, slot.attempt, next.0],
    )?;
    Ok(())
}

/// A box is over: all of it goes, and its id is remembered up to a day if it decided anything.
pub fn end(tx: &Tx<'_>, mailbox: MailboxId, remembered: Option<u32>) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM log_boxes WHERE mailbox = ?1",
        params![mailbox.0],
    )?;
    if let Some(until) = remembered {
        tx.execute(
            "INSERT OR REPLACE INTO log_over (mailbox, until_day) VALUES (?1, ?2)",
            params![mailbox.0, until],
        )?;
    }
    Ok(())
}

/// Grants and ids of which the last day was before this one are forgotten.
pub fn forget(tx: &Tx<'_>, before: u32) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM log_grants WHERE until_day < ?1",
        params![before],
    )?;
    tx.execute("DELETE FROM log_over WHERE until_day < ?1", params![before])?;
    Ok(())
}

/// The role is over: nothing is kept for others any more. Boxes that decided anything are remembered up to this day, so that nothing is
/// decided twice.
pub fn end_all(tx: &Tx<'_>, remembered: u32) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO log_over (mailbox, until_day)
         SELECT mailbox, ?1 FROM log_boxes WHERE number IN (SELECT box FROM log_slots)",
        params![remembered],
    )?;
    tx.execute("DELETE FROM log_boxes", ())?;
    Ok(())
}

/// All boxes.
pub fn boxes(tx: &Tx<'_>) -> Result<Vec<KeptBox>, StoreError> {
    tx.all(
        "SELECT mailbox, plan, used_day, closing_day, last, dropped FROM log_boxes ORDER BY mailbox",
        (),
        |row| {
            Ok(KeptBox {
                mailbox: MailboxId(row.get(0)?),
                plan: unpack(&row.get::<_, Vec<u8>>(1)?)?,
                used_day: row.get(2)?,
                closing_day: row.get(3)?,
                last: time(row, 4)?,
                dropped: time(row, 5)?,
            })
        },
    )
}

/// A box's entries without their bodies, in the order of their numbers.
pub fn entries(tx: &Tx<'_>, mailbox: MailboxId) -> Result<Vec<KeptEntry>, StoreError> {
    tx.all(
        "SELECT e.number, e.id, e.head, e.until_day FROM log_entries e
         JOIN log_boxes b ON b.number = e.box WHERE b.mailbox = ?1 ORDER BY e.number",
        params![mailbox.0],
        |row| {
            Ok(KeptEntry {
                number: time(row, 0)?,
                id: EntryId(row.get(1)?),
                head: unpack(&row.get::<_, Vec<u8>>(2)?)?,
                until_day: row.get(3)?,
            })
        },
    )
}

/// An entry, to be sent; `None` if it has gone.
pub fn entry(
    tx: &Tx<'_>,
    mailbox: MailboxId,
    number: u64,
) -> Result<Option<(Head, Vec<u8>)>, StoreError> {
    tx.one(
        "SELECT e.head, e.body FROM log_entries e
         JOIN log_boxes b ON b.number = e.box WHERE b.mailbox = ?1 AND e.number = ?2",
        params![mailbox.0, int(number)],
        |row| Ok((unpack(&row.get::<_, Vec<u8>>(0)?)?, row.get(1)?)),
    )
}

/// A box's slots.
pub fn slots(tx: &Tx<'_>, mailbox: MailboxId) -> Result<Vec<SlotRow>, StoreError> {
    tx.all(
        "SELECT s.epoch, s.attempt, s.promised, s.accepted, s.settled, s.next,
             coalesce(length(s.certificate), length(s.grounds), 0) FROM log_slots s
         JOIN log_boxes b ON b.number = s.box WHERE b.mailbox = ?1 ORDER BY s.epoch, s.attempt",
        params![mailbox.0],
        read_slot,
    )
}

fn read_slot(row: &Row<'_>) -> Result<SlotRow, StoreError> {
    let slot = Slot {
        epoch: EpochTag(row.get(0)?),
        attempt: row.get(1)?,
    };
    let bytes = time(row, 6)?;
    if let Some(entry) = row.get::<_, Option<[u8; 32]>>(4)? {
        let next = row.get::<_, Option<[u8; 16]>>(5)?;
        let kept = KeptSlot::Settled(EntryId(entry), next.map(EpochTag));
        return Ok(SlotRow { slot, kept, bytes });
    }
    let promised = row.get::<_, Option<Vec<u8>>>(2)?;
    let accepted = row.get::<_, Option<Vec<u8>>>(3)?;
    let promised = promised.map(|bytes| unpack(&bytes)).transpose()?;
    let accepted = accepted.map(|bytes| unpack(&bytes)).transpose()?;
    let kept = KeptSlot::Open((promised, accepted));
    Ok(SlotRow { slot, kept, bytes })
}

/// The grounds of what was agreed to at an open slot, to be sent with each promise; none if nothing was.
pub fn grounds(tx: &Tx<'_>, mailbox: MailboxId, slot: Slot) -> Result<SignedGrounds, StoreError> {
    let found = tx.one(
        "SELECT s.grounds FROM log_slots s JOIN log_boxes b ON b.number = s.box
         WHERE b.mailbox = ?1 AND s.epoch = ?2 AND s.attempt = ?3",
        params![mailbox.0, slot.epoch.0, slot.attempt],
        |row| Ok(row.get::<_, Option<Vec<u8>>>(0)?),
    )?;
    let found = found.flatten().map(|bytes| unpack(&bytes)).transpose()?;
    Ok(found.unwrap_or_default())
}

/// A settled slot's certificate, to be sent.
pub fn certificate(
    tx: &Tx<'_>,
    mailbox: MailboxId,
    slot: Slot,
) -> Result<Option<SignedCertificate>, StoreError> {
    let found = tx.one(
        "SELECT s.certificate FROM log_slots s JOIN log_boxes b ON b.number = s.box
         WHERE b.mailbox = ?1 AND s.epoch = ?2 AND s.attempt = ?3",
        params![mailbox.0, slot.epoch.0, slot.attempt],
        |row| Ok(row.get::<_, Option<Vec<u8>>>(0)?),
    )?;
    found.flatten().map(|bytes| unpack(&bytes)).transpose()
}

/// Grants that were used, each with the box that it opened.
pub fn grants(tx: &Tx<'_>) -> Result<Vec<(Grant, MailboxId)>, StoreError> {
    tx.all(
        "SELECT issuer, serial, until_day, mailbox FROM log_grants",
        (),
        |row| {
            let grant = Grant {
                issuer: EndpointKey(row.get(0)?),
                serial: row.get(1)?,
                until_day: row.get(2)?,
            };
            Ok((grant, MailboxId(row.get(3)?)))
        },
    )
}

/// Boxes that are over, and up to which day they are remembered.
pub fn over(tx: &Tx<'_>) -> Result<Vec<(MailboxId, u32)>, StoreError> {
    tx.all("SELECT mailbox, until_day FROM log_over", (), |row| {
        Ok((MailboxId(row.get(0)?), row.get(1)?))
    })
}
