//! Messages, both ways, in the order in which they were stored here.

use rusqlite::{Row, params};
use starling_chat::{Batch, Outcome};
use starling_wire::chat::ChatMessage;
use starling_wire::ids::{AccountId, MessageId};

use crate::error::StoreError;
use crate::tx::{Tx, int, opt_time, time};

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Incoming: it is here.
    Received,
    /// Outgoing, no receipt yet: on its way, or waiting for the contact to return.
    Pending,
    /// Outgoing, stored at a device of theirs.
    Delivered,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Order of storage, for paging.
    pub place: i64,
    /// Chosen by its author; unique within a contact.
    pub id: MessageId,
    /// With whom.
    pub contact: AccountId,
    /// Ours or theirs.
    pub outgoing: bool,
    /// The text.
    pub text: String,
    /// Author's clock.
    pub sent_at: u64,
    /// Our clock.
    pub stored_at: u64,
    /// Where it is.
    pub delivery: Delivery,
    /// When the receipt came.
    pub delivered_at: Option<u64>,
    /// Whether the user saw it.
    pub seen: bool,
}

/// What a list of contacts shows beside each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Incoming messages not seen.
    pub unseen: u32,
    /// Outgoing messages without a receipt.
    pub pending: u32,
    /// The newest message.
    pub last: Option<Message>,
}

pub(crate) const COLUMNS: &str =
    "place, id, contact, outgoing, text, sent_at, stored_at, delivery, delivered_at, seen";

/// Does what a conversation asked for; all of it in this transaction.
pub fn commit(
    tx: &Tx<'_>,
    contact: AccountId,
    batch: &Batch,
    now: u64,
) -> Result<Outcome, StoreError> {
    let mut fresh = Vec::new();
    for message in &batch.incoming {
        if insert_incoming(tx, contact, message, now)? {
            fresh.push(message.id);
        }
    }
    Ok(Outcome {
        number: batch.number,
        fresh,
        delivered: mark_delivered(tx, contact, &batch.delivered, now)?,
    })
}

/// Keeps a message of ours: from now on it is sent until its receipt has come.
pub fn insert_outgoing(
    tx: &Tx<'_>,
    contact: AccountId,
    message: &ChatMessage,
    now: u64,
) -> Result<(), StoreError> {
    match insert(tx, contact, message, Delivery::Pending, now)? {
        true => Ok(()),
        false => Err(StoreError::Exists("a message with this id")),
    }
}

/// Keeps a message of theirs. `false` when it is here already (`CHAT-03`).
pub fn insert_incoming(
    tx: &Tx<'_>,
    contact: AccountId,
    message: &ChatMessage,
    now: u64,
) -> Result<bool, StoreError> {
    insert(tx, contact, message, Delivery::Received, now)
}

fn insert(
    tx: &Tx<'_>,
    contact: AccountId,
    message: &ChatMessage,
    delivery: Delivery,
    now: u64,
) -> Result<bool, StoreError> {
    let outgoing = delivery == Delivery::Pending;
    let rows = tx.execute(
        "INSERT INTO messages (id, contact, outgoing, text, sent_at, stored_at, delivery, seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (contact, id) DO NOTHING",
        params![
            message.id.0,
            contact.0,
            outgoing,
            message.text,
            int(message.sent_at),
            int(now),
            delivery.code(),
            outgoing
        ],
    )?;
    Ok(rows > 0)
}

/// Their receipt came. Returns the ids that were still pending.
pub fn mark_delivered(
    tx: &Tx<'_>,
    contact: AccountId,
    ids: &[MessageId],
    now: u64,
) -> Result<Vec<MessageId>, StoreError> {
    let mut changed = Vec::new();
    for id in ids {
        let rows = tx.execute(
            "UPDATE messages SET delivery = ?3, delivered_at = ?4
             WHERE contact = ?1 AND id = ?2 AND delivery = 1",
            params![contact.0, id.0, Delivery::Delivered.code(), int(now)],
        )?;
        if rows > 0 {
            changed.push(*id);
        }
    }
    Ok(changed)
}

/// One message.
pub fn get(tx: &Tx<'_>, contact: AccountId, id: MessageId) -> Result<Option<Message>, StoreError> {
    tx.one(
        &format!("SELECT {COLUMNS} FROM messages WHERE contact = ?1 AND id = ?2"),
        params![contact.0, id.0],
        read,
    )
}

/// A page of a conversation: the newest `limit` messages, or those just before `before`; oldest first.
pub fn page(
    tx: &Tx<'_>,
    contact: AccountId,
    before: Option<MessageId>,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let end = match before {
        None => i64::MAX,
        Some(id) => {
            get(tx, contact, id)?
                .ok_or(StoreError::Missing("message"))?
                .place
        }
    };
    let mut messages = tx.all(
        &format!("SELECT {COLUMNS} FROM messages WHERE contact = ?1 AND place < ?2 ORDER BY place DESC LIMIT ?3"),
        params![contact.0, end, limit],
        read,
    )?;
    messages.reverse();
    Ok(messages)
}

/// The user saw the conversation. Returns how many messages were new to them.
pub fn mark_seen(tx: &Tx<'_>, contact: AccountId) -> Result<usize, StoreError> {
    tx.execute(
        "UPDATE messages SET seen = 1 WHERE contact = ?1 AND seen = 0",
        params![contact.0],
    )
}

/// Counts and newest message of one contact.
pub fn summary(tx: &Tx<'_>, contact: AccountId) -> Result<Summary, StoreError> {
    let unseen = "SELECT count(*) FROM messages WHERE contact = ?1 AND seen = 0";
    let pending = "SELECT count(*) FROM messages WHERE contact = ?1 AND delivery = 1";
    let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Summary {
        unseen: small(tx.count(unseen, params![contact.0])?),
        pending: small(tx.count(pending, params![contact.0])?),
        last: page(tx, contact, None, 1)?.pop(),
    })
}

impl Delivery {
    /// Also in the partial index of the migrations and in `WHERE delivery = 1`.
    const fn code(self) -> i64 {
        match self {
            Self::Received => 0,
            Self::Pending => 1,
            Self::Delivered => 2,
        }
    }

    const fn from_code(code: i64) -> Result<Self, StoreError> {
        match code {
            0 => Ok(Self::Received),
            1 => Ok(Self::Pending),
            2 => Ok(Self::Delivered),
            _ => Err(StoreError::Damaged),
        }
    }
}

pub(crate) fn read(row: &Row<'_>) -> Result<Message, StoreError> {
    Ok(Message {
        place: row.get(0)?,
        id: MessageId(row.get(1)?),
        contact: AccountId(row.get(2)?),
        outgoing: row.get(3)?,
        text: row.get(4)?,
        sent_at: time(row, 5)?,
        stored_at: time(row, 6)?,
        delivery: Delivery::from_code(row.get(7)?)?,
        delivered_at: opt_time(row, 8)?,
        seen: row.get(9)?,
    })
}
