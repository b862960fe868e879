//! Where own messages are: queued, held by so many, on so many devices, or failed and why.

use rusqlite::params;
use starling_wire::ids::{AccountId, DeviceId, GroupId, MessageId};

use crate::error::StoreError;
use crate::history::{author, number_of};
use crate::tx::{Tx, int, time};

/// How far an own message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a network, or for its turn.
    Queued,
    /// Holders or devices have it.
    Sent,
    /// It cannot go on; the person may try again.
    Failed,
}

/// Where an own message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// How far it is.
    pub stage: Stage,
    /// Durable copies at holders.
    pub held: u8,
    /// Why it failed.
    pub reason: Option<String>,
    /// Devices that have it, and since when; the first ones first.
    pub delivered: Vec<(AccountId, DeviceId, u64)>,
}

/// Keeps how far an own message is. Once there is a copy somewhere it is never queued or failed again: `false`.
pub fn put(
    tx: &Tx<'_>,
    id: GroupId,
    message: MessageId,
    (stage, held, reason): (Stage, u8, Option<&str>),
    now: u64,
) -> Result<bool, StoreError> {
    let rows = tx.execute(
        "INSERT INTO outgoing (message, state, held, reason, changed_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (message) DO UPDATE
         SET state = excluded.state, held = max(held, excluded.held), reason = excluded.reason,
             changed_at = excluded.changed_at
         WHERE state <> 1 OR excluded.state = 1",
        params![number_of(tx, id, message)?, stage.code(), held, reason, int(now)],
    )?;
    Ok(rows > 0)
}

/// A device said that it has an own message. `false` when that was known.
pub fn delivered(
    tx: &Tx<'_>,
    id: GroupId,
    message: MessageId,
    (account, device): (AccountId, DeviceId),
    now: u64,
) -> Result<bool, StoreError> {
    let number = number_of(tx, id, message)?;
    let device = author(tx, account, device)?;
    let rows = tx.execute(
        "INSERT OR IGNORE INTO deliveries (message, device, at) VALUES (?1, ?2, ?3)",
        params![number, device, int(now)],
    )?;
    put(tx, id, message, (Stage::Sent, 0, None), now)?;
    Ok(rows > 0)
}

/// Where an own message is. None for those of others.
pub fn get(
    tx: &Tx<'_>,
    id: GroupId,
    message: MessageId,
) -> Result<Option<Whereabouts>, StoreError> {
    let number = number_of(tx, id, message)?;
    let found = tx.one(
        "SELECT state, held, reason FROM outgoing WHERE message = ?1",
        [number],
        |row| Ok((Stage::from_code(row.get(0)?)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some((stage, held, reason)) = found else {
        return Ok(None);
    };
    let delivered = tx.all(
        "SELECT account, authors.device, at FROM deliveries JOIN authors ON authors.number = deliveries.device
         WHERE message = ?1 ORDER BY at, account, authors.device",
        [number],
        |row| Ok((AccountId(row.get(0)?), DeviceId(row.get(1)?), time(row, 2)?)),
    )?;
    Ok(Some(Whereabouts {
        stage,
        held,
        reason,
        delivered,
    }))
}

/// Own messages of a conversation that wait, in the order in which they were written, at most `limit`.
pub fn queued(tx: &Tx<'_>, id: GroupId, limit: u32) -> Result<Vec<MessageId>, StoreError> {
    tx.all(
        "SELECT history.id FROM outgoing CROSS JOIN history ON history.number = message
         JOIN conversations ON conversations.number = conversation
         WHERE state = 0 AND conversations.id = ?1 ORDER BY message LIMIT ?2",
        params![id.0, limit],
        |row| Ok(MessageId(row.get(0)?)),
    )
}

/// Of a contact's messages from before there were groups.
pub(crate) fn adopt(
    tx: &Tx<'_>,
    conversation: i64,
    contact: AccountId,
    device: i64,
) -> Result<(), StoreError> {
    let old = "FROM messages JOIN history ON history.id = messages.id AND conversation = ?1 WHERE contact = ?2 AND outgoing";
    tx.execute(
        &format!(
            "INSERT INTO outgoing (message, state, held, changed_at)
             SELECT number, iif(delivery = 1, 0, 1), 0, ifnull(delivered_at, messages.stored_at) {old}"
        ),
        params![conversation, contact.0],
    )?;
    tx.execute(
        &format!(
            "INSERT INTO deliveries (message, device, at) SELECT number, ?3, delivered_at {old} AND delivered_at IS NOT NULL"
        ),
        params![conversation, contact.0, device],
    )?;
    Ok(())
}

impl Stage {
    /// Also in the migration's index (`state = 0`) and in the statements above.
    const fn code(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Failed => 2,
        }
    }

    const fn from_code(code: i64) -> Result<Self, StoreError> {
        match code {
            0 => Ok(Self::Queued),
            1 => Ok(Self::Sent),
            2 => Ok(Self::Failed),
            _ => Err(StoreError::Damaged),
        }
    }
}
