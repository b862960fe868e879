//! The outbox: outgoing messages without a receipt, per contact, in the order in which they were written. It is no table
//! of its own but an index over the messages, so the two can never disagree.

use rusqlite::params;
use starling_wire::chat::ChatMessage;
use starling_wire::ids::{AccountId, MessageId};

use crate::error::StoreError;
use crate::messages::{self, COLUMNS};
use crate::tx::Tx;

/// The next messages to send to a contact, those after `after` (from the beginning if `None`), at most `limit`.
/// The flag says that these are the last ones.
pub fn pending(
    tx: &Tx<'_>,
    contact: AccountId,
    after: Option<MessageId>,
    limit: u32,
) -> Result<(Vec<ChatMessage>, bool), StoreError> {
    let after = match after {
        None => 0,
        Some(id) => messages::get(tx, contact, id)?.map_or(0, |message| message.place),
    };
    let mut found = tx.all(
        &format!(
            "SELECT {COLUMNS} FROM messages WHERE contact = ?1 AND place > ?2 AND delivery = 1 ORDER BY place LIMIT ?3"
        ),
        params![contact.0, after, i64::from(limit) + 1],
        messages::read,
    )?;
    let last = found.len() <= limit as usize;
    found.truncate(limit as usize);
    let texts = found.into_iter().map(|message| ChatMessage {
        id: message.id,
        sent_at: message.sent_at,
        text: message.text,
    });
    Ok((texts.collect(), last))
}

/// The newest messages that wait for a contact, oldest first.
pub fn newest(
    tx: &Tx<'_>,
    contact: AccountId,
    limit: u32,
) -> Result<Vec<messages::Message>, StoreError> {
    let mut found = tx.all(
        &format!(
            "SELECT {COLUMNS} FROM messages WHERE contact = ?1 AND delivery = 1 ORDER BY place DESC LIMIT ?2"
        ),
        params![contact.0, limit],
        messages::read,
    )?;
    found.reverse();
    Ok(found)
}

/// Contacts for whom something waits.
pub fn contacts(tx: &Tx<'_>) -> Result<Vec<AccountId>, StoreError> {
    tx.all(
        "SELECT DISTINCT contact FROM messages WHERE delivery = 1",
        (),
        |row| Ok(AccountId(row.get(0)?)),
    )
}

/// Forgets what waits for a contact.
pub(crate) fn drop_to(tx: &Tx<'_>, contact: AccountId) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM messages WHERE contact = ?1 AND delivery = 1",
        params![contact.0],
    )?;
    Ok(())
}
