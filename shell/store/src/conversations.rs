//! Conversations: who is in them, how they are called, what is being written. What is said stands in [`crate::history`].

use rusqlite::{Row, params};
use starling_wire::ids::{AccountId, GroupId, MessageId};

use crate::error::StoreError;
use crate::history::{self, Post};
use crate::tx::{Tx, int, opt_int, opt_time, time};

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The group.
    pub id: GroupId,
    /// The other account, where there are two.
    pub contact: Option<AccountId>,
    /// What the group is called; empty where it has no name.
    pub topic: String,
    /// Whether new messages stay silent.
    pub muted: bool,
    /// When it was made here.
    pub made_at: u64,
    /// When something was shown last.
    pub last_at: u64,
}

/// What a list of conversations shows of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub conversation: Conversation,
    /// Shown messages that the person has not seen.
    pub unseen: u32,
    /// The newest that is shown.
    pub last: Option<Post>,
    /// What is being written.
    pub draft: Option<Draft>,
}

/// Somebody in a conversation, now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub account: AccountId,
    /// As a number that the group's rules understand.
    pub role: u8,
    /// Since when.
    pub joined_at: u64,
    /// Until when.
    pub left_at: Option<u64>,
}

/// A message that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it says so far.
    pub text: String,
    /// What it answers.
    pub reply_to: Option<MessageId>,
    /// Unix milliseconds; of two devices' drafts the later one counts.
    pub changed_at: u64,
}

const COLUMNS: &str = "id, contact, topic, muted, made_at, last_at";

/// Keeps a conversation, in place of what was known of it. `last_at` never goes back.
pub fn put(tx: &Tx<'_>, conversation: &Conversation) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO conversations (id, contact, topic, muted, made_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE
         SET contact = excluded.contact, topic = excluded.topic, muted = excluded.muted,
             last_at = max(last_at, excluded.last_at)",
        params![
            conversation.id.0,
            conversation.contact.map(|contact| contact.0),
            conversation.topic,
            conversation.muted,
            int(conversation.made_at),
            int(conversation.last_at)
        ],
    )?;
    Ok(())
}

/// One conversation.
pub fn get(tx: &Tx<'_>, id: GroupId) -> Result<Option<Conversation>, StoreError> {
    tx.one(
        &format!("SELECT {COLUMNS} FROM conversations WHERE id = ?1"),
        params![id.0],
        read,
    )
}

/// The conversation with one contact.
pub fn with(tx: &Tx<'_>, contact: AccountId) -> Result<Option<Conversation>, StoreError> {
    tx.one(
        &format!("SELECT {COLUMNS} FROM conversations WHERE contact = ?1"),
        params![contact.0],
        read,
    )
}

/// All of them with what a list shows, the one where something happened last first.
pub fn list(tx: &Tx<'_>) -> Result<Vec<Summary>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM conversations ORDER BY last_at DESC, number DESC");
    let all = tx.all(&sql, (), read)?;
    let summary = |conversation: Conversation| {
        Ok(Summary {
            unseen: history::unseen(tx, conversation.id)?,
            last: history::page(tx, conversation.id, None, 1)?.pop(),
            draft: draft(tx, conversation.id)?,
            conversation,
        })
    };
    all.into_iter().map(summary).collect()
}

/// Forgets a conversation and all that was said in it.
pub fn remove(tx: &Tx<'_>, id: GroupId) -> Result<(), StoreError> {
    let number = number(tx, id)?;
    // Words have no reference to follow.
    tx.execute(
        "DELETE FROM history_words WHERE rowid IN (SELECT number FROM history WHERE conversation = ?1)",
        [number],
    )?;
    tx.execute("DELETE FROM conversations WHERE number = ?1", [number])?;
    Ok(())
}

/// Keeps somebody's part in a conversation.
pub fn put_member(tx: &Tx<'_>, id: GroupId, member: &Member) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO members (conversation, account, role, joined_at, left_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (conversation, account) DO UPDATE
         SET role = excluded.role, joined_at = excluded.joined_at, left_at = excluded.left_at",
        params![
            number(tx, id)?,
            member.account.0,
            member.role,
            int(member.joined_at),
            opt_int(member.left_at)
        ],
    )?;
    Ok(())
}

/// Who is in a conversation and who was, by id.
pub fn members(tx: &Tx<'_>, id: GroupId) -> Result<Vec<Member>, StoreError> {
    tx.all(
        "SELECT account, role, joined_at, left_at FROM members WHERE conversation = ?1 ORDER BY account",
        [number(tx, id)?],
        |row| {
            Ok(Member {
                account: AccountId(row.get(0)?),
                role: row.get(1)?,
                joined_at: time(row, 2)?,
                left_at: opt_time(row, 3)?,
            })
        },
    )
}

/// Keeps what is being written; an empty text ends it. `false` when what is kept was changed later.
pub fn put_draft(tx: &Tx<'_>, id: GroupId, draft: &Draft) -> Result<bool, StoreError> {
    let rows = tx.execute(
        "INSERT INTO drafts (conversation, text, reply_to, changed_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (conversation) DO UPDATE
         SET text = excluded.text, reply_to = excluded.reply_to, changed_at = excluded.changed_at
         WHERE changed_at < excluded.changed_at",
        params![
            number(tx, id)?,
            draft.text,
            draft.reply_to.map(|id| id.0),
            int(draft.changed_at)
        ],
    )?;
    Ok(rows > 0)
}

/// What is being written.
pub fn draft(tx: &Tx<'_>, id: GroupId) -> Result<Option<Draft>, StoreError> {
    tx.one(
        "SELECT text, reply_to, changed_at FROM drafts WHERE conversation = ?1 AND text <> ''",
        [number(tx, id)?],
        |row| {
            Ok(Draft {
                text: row.get(0)?,
                reply_to: row.get::<_, Option<_>>(1)?.map(MessageId),
                changed_at: time(row, 2)?,
            })
        },
    )
}

/// By which number the tables know it.
pub(crate) fn number(tx: &Tx<'_>, id: GroupId) -> Result<i64, StoreError> {
    let found = tx.one(
        "SELECT number FROM conversations WHERE id = ?1",
        params![id.0],
        |row| Ok(row.get(0)?),
    )?;
    found.ok_or(StoreError::Missing("conversation"))
}

fn read(row: &Row<'_>) -> Result<Conversation, StoreError> {
    Ok(Conversation {
        id: GroupId(row.get(0)?),
        contact: row.get::<_, Option<_>>(1)?.map(AccountId),
        topic: row.get(2)?,
        muted: row.get(3)?,
        made_at: time(row, 4)?,
        last_at: time(row, 5)?,
    })
}
