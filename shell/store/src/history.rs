//! What is said in conversations: the rows that `core/chat`'s transcript is made of, paged by place, with the words for
//! [`crate::search`] kept in step in the same transaction.

use rusqlite::{Row, params};
use starling_chat::transcript::{self, Archive, Author, Change, Kept, Kind, Mark, Said};
use starling_wire::content::{Body, Words};
use starling_wire::ids::{AccountId, DeviceId, GroupId, MessageId};
use starling_wire::limits::PREDECESSORS_MAX;

use crate::conversations;
use crate::error::StoreError;
use crate::search;
use crate::tx::{Tx, int, time};

mod rows;

pub(crate) use rows::author;
use rows::{COLUMNS, Rows};

/// A message that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its name.
    pub id: MessageId,
    /// What is known of it, what became of it.
    pub kept: Kept,
    /// Our clock when it came.
    pub stored_at: u64,
    /// Whether the person saw it.
    pub seen: bool,
}

/// Where a page begins: place and id of a message that is not on it.
pub type Turn = (u64, MessageId);

/// A message that is named and not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub id: MessageId,
    /// Who named it: they, or whoever answers for them, have it.
    pub named_by: Author,
    /// Since when we know.
    pub since: u64,
}

/// Takes a message into a conversation. `own` is the account here. In the same transaction: its words, and the time of the
/// conversation's last message.
pub fn take(
    tx: &Tx<'_>,
    id: GroupId,
    own: AccountId,
    said: Said,
    may_delete: &dyn Fn(&Author, &Author) -> bool,
    now: u64,
) -> Result<Vec<Change>, StoreError> {
    let mut rows = rows(tx, id)?;
    rows.own = own;
    rows.now = now;
    let changes = transcript::take(&mut rows, said, may_delete)?;
    for change in &changes {
        match change {
            Change::Added(message) => {
                index(&rows, *message, false)?;
                tx.execute(
                    "UPDATE conversations SET last_at = max(last_at, ?2) WHERE number = ?1",
                    params![rows.conversation, int(now)],
                )?;
            }
            Change::Changed(message) | Change::Refused(message, _) => {
                index(&rows, *message, true)?;
            }
            _ => {}
        }
    }
    Ok(changes)
}

/// One message that is shown.
pub fn get(tx: &Tx<'_>, id: GroupId, message: MessageId) -> Result<Option<Post>, StoreError> {
    let sql = select("AND id = ?2");
    tx.one(
        &sql,
        params![conversations::number(tx, id)?, message.0],
        read,
    )
}

/// A page: the newest `limit` messages, or those just before `before`; oldest first.
pub fn page(
    tx: &Tx<'_>,
    id: GroupId,
    before: Option<Turn>,
    limit: u32,
) -> Result<Vec<Post>, StoreError> {
    let (place, message) = before.unwrap_or((u64::MAX, MessageId([0xff; 16])));
    let sql = select("AND (place, id) < (?2, ?3) ORDER BY place DESC, id DESC LIMIT ?4");
    let conversation = conversations::number(tx, id)?;
    let mut posts = tx.all(
        &sql,
        params![conversation, int(place), message.0, limit],
        read,
    )?;
    posts.reverse();
    Ok(posts)
}

/// A page in the other direction: the oldest `limit` messages, or those just after `after`; oldest first. For jumping to a
/// message, and for an export, which reads page after page.
pub fn page_after(
    tx: &Tx<'_>,
    id: GroupId,
    after: Option<Turn>,
    limit: u32,
) -> Result<Vec<Post>, StoreError> {
    let (place, message) = after.map_or((-1, MessageId([0; 16])), |(place, id)| (int(place), id));
    let sql = select("AND (place, id) > (?2, ?3) ORDER BY place, id LIMIT ?4");
    let conversation = conversations::number(tx, id)?;
    tx.all(&sql, params![conversation, place, message.0, limit], read)
}

/// What a message says now: after its edits, put together from its parts. None while parts are missing, or once it was deleted.
pub fn body(tx: &Tx<'_>, id: GroupId, kept: &Kept) -> Result<Option<Body>, StoreError> {
    transcript::whole(&rows(tx, id)?, kept)
}

/// What a message said before, and when that was written by its author's clock; from the first words to the last.
pub fn versions(
    tx: &Tx<'_>,
    id: GroupId,
    message: MessageId,
) -> Result<Vec<(u64, Words)>, StoreError> {
    let rows = rows(tx, id)?;
    let post = rows.get(message)?.ok_or(StoreError::Missing("message"))?;
    let mut found = Vec::new();
    if let Some(Body::Text(text)) = transcript::whole(&rows, &post)? {
        found.push((post.place, post.sent_at, text.words));
    }
    for edit in rows.links_to(message, transcript::Link::Target)? {
        let Some(edit) = rows.get(edit)?.filter(|edit| edit.kind == Kind::Edit) else {
            continue;
        };
        if let Some(Body::Edit { words, .. }) = edit.body() {
            found.push((edit.place, edit.sent_at, words.clone()));
        }
    }
    found.sort_by_key(|(place, ..)| *place);
    Ok(found
        .into_iter()
        .map(|(_, at, words)| (at, words))
        .collect())
}

/// What the next message of ours names as seen.
pub fn heads(tx: &Tx<'_>, id: GroupId) -> Result<Vec<MessageId>, StoreError> {
    tx.all(
        "SELECT id FROM history WHERE conversation = ?1 AND head = 1 ORDER BY place DESC, id DESC LIMIT ?2",
        params![conversations::number(tx, id)?, PREDECESSORS_MAX as u32],
        |row| Ok(MessageId(row.get(0)?)),
    )
}

/// Messages that are named and not here, at most `limit` of them.
pub fn missing(tx: &Tx<'_>, id: GroupId, limit: u32) -> Result<Vec<Missing>, StoreError> {
    tx.all(
        "SELECT named, account, device, rank, min(stored_at) FROM links
         JOIN history ON history.number = source JOIN authors ON authors.number = history.author
         WHERE links.conversation = ?1 AND here = 0 GROUP BY named LIMIT ?2",
        params![conversations::number(tx, id)?, limit],
        |row| {
            Ok(Missing {
                id: MessageId(row.get(0)?),
                named_by: Author {
                    account: AccountId(row.get(1)?),
                    device: DeviceId(row.get(2)?),
                    rank: row.get(3)?,
                },
                since: time(row, 4)?,
            })
        },
    )
}

/// The plaintext of any message of the history, for whoever misses it.
pub fn plaintext(
    tx: &Tx<'_>,
    id: GroupId,
    message: MessageId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let found = tx.one(
        "SELECT content FROM history WHERE conversation = ?1 AND id = ?2",
        params![conversations::number(tx, id)?, message.0],
        |row| Ok(row.get::<_, Option<Vec<u8>>>(0)?),
    )?;
    Ok(found.flatten())
}

/// Shown messages that the person has not seen.
pub fn unseen(tx: &Tx<'_>, id: GroupId) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM history WHERE conversation = ?1 AND seen = 0";
    let count = tx.count(sql, [conversations::number(tx, id)?])?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The person saw all up to `place`. Returns how many were new.
pub fn mark_seen(tx: &Tx<'_>, id: GroupId, place: u64) -> Result<usize, StoreError> {
    tx.execute(
        "UPDATE history SET seen = 1 WHERE conversation = ?1 AND seen = 0 AND place <= ?2",
        params![conversations::number(tx, id)?, int(place)],
    )
}

/// How far each account says it has read, and our clock when it last said so.
pub fn marks(tx: &Tx<'_>, id: GroupId) -> Result<Vec<(AccountId, Mark, u64)>, StoreError> {
    tx.all(
        "SELECT account, place, up_to, at FROM read_marks WHERE conversation = ?1 ORDER BY account",
        [conversations::number(tx, id)?],
        |row| {
            let mark = Mark {
                place: time(row, 1)?,
                up_to: MessageId(row.get(2)?),
            };
            Ok((AccountId(row.get(0)?), mark, time(row, 3)?))
        },
    )
}

/// Moves the messages with a contact, as they were kept before there were groups, into the pair's conversation, in the order
/// in which they stand. Returns how many. What waits in the outbox is queued there.
pub fn adopt(
    tx: &Tx<'_>,
    id: GroupId,
    own: AccountId,
    contact: AccountId,
) -> Result<usize, StoreError> {
    let unknown = DeviceId([0; 32]);
    let conversation = conversations::number(tx, id)?;
    let theirs = author(tx, contact, unknown)?;
    let authors = params![conversation, contact.0, author(tx, own, unknown)?, theirs];
    // A place is the time of storage, but one more than the one before where the clock stood still or went back.
    let moved = tx.execute(
        "INSERT INTO history (conversation, id, author, rank, sent_at, place, kind, text, edits, complete, head, stored_at,
             seen)
         SELECT ?1, id, iif(outgoing, ?3, ?4), 0, min(sent_at, 253402300799999),
             turn + max(stored_at - turn) OVER (ORDER BY turn), 0, text, 0, 0, 0, stored_at, seen
         FROM (SELECT *, row_number() OVER (ORDER BY place) AS turn FROM messages WHERE contact = ?2) ORDER BY turn",
        authors,
    )?;
    tx.execute(
        "UPDATE history SET head = 1 WHERE number = (
             SELECT number FROM history WHERE conversation = ?1 AND kind = 0 ORDER BY place DESC, id DESC LIMIT 1)",
        [conversation],
    )?;
    crate::delivery::adopt(tx, conversation, contact, theirs)?;
    tx.execute(
        "DELETE FROM messages WHERE contact = ?1",
        params![contact.0],
    )?;
    let rows = rows(tx, id)?;
    let texts = "SELECT id FROM history WHERE conversation = ?1 AND text IS NOT NULL";
    for message in tx.all(texts, [conversation], |row| Ok(MessageId(row.get(0)?)))? {
        index(&rows, message, false)?;
    }
    Ok(moved)
}

/// Keeps the words of what is shown of a message; `anew` where there may be words already.
fn index(rows: &Rows<'_>, message: MessageId, anew: bool) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, history.number FROM history JOIN authors ON authors.number = history.author
         WHERE conversation = ?1 AND id = ?2"
    );
    let found = rows
        .tx
        .one(&sql, params![rows.conversation, message.0], |row| {
            Ok((rows::read(row, 0)?, row.get(14)?))
        })?;
    let (kept, number) = found.ok_or(StoreError::Missing("message"))?;
    let is_post = kept.kind == Kind::Post;
    // A reaction changes no words.
    let is_long = matches!(kept.body(), Some(Body::Long(_)));
    let has_its_own = kept.state.edits == 0 && kept.state.deleted_by.is_none() && !is_long;
    if anew && is_post && has_its_own {
        return Ok(());
    }
    if anew {
        search::forget(rows.tx, number)?;
    }
    if !is_post {
        return Ok(());
    }
    let text = shown_text(rows, &kept)?;
    search::keep(rows.tx, rows.conversation, number, &text)
}

/// What can be found of a message.
fn shown_text(rows: &Rows<'_>, kept: &Kept) -> Result<String, StoreError> {
    if let Some(words) = &kept.state.words {
        return Ok(words.text.clone());
    }
    Ok(match transcript::whole(rows, kept)? {
        Some(Body::Text(text)) => text.words.text,
        Some(Body::Image(image)) => format!("{}\n{}", image.caption, image.file.name),
        _ => String::new(),
    })
}

/// Of a message by its number, for what was found.
pub(crate) fn by_number(
    tx: &Tx<'_>,
    number: i64,
) -> Result<Option<(GroupId, Post, String)>, StoreError> {
    let sql = format!(
        "SELECT history.id, stored_at, seen, {COLUMNS}, conversations.id FROM history
         JOIN authors ON authors.number = history.author
         JOIN conversations ON conversations.number = conversation
         WHERE history.number = ?1 AND kind = 0"
    );
    let found = tx.one(&sql, [number], |row| {
        Ok((GroupId(row.get(17)?), read(row)?))
    })?;
    let Some((id, post)) = found else {
        return Ok(None);
    };
    let text = shown_text(&rows(tx, id)?, &post.kept)?;
    Ok(Some((id, post, text)))
}

/// By which number the tables know a message.
pub(crate) fn number_of(tx: &Tx<'_>, id: GroupId, message: MessageId) -> Result<i64, StoreError> {
    number(&rows(tx, id)?, message)
}

fn number(rows: &Rows<'_>, message: MessageId) -> Result<i64, StoreError> {
    let found = rows.tx.one(
        "SELECT number FROM history WHERE conversation = ?1 AND id = ?2",
        params![rows.conversation, message.0],
        |row| Ok(row.get(0)?),
    )?;
    found.ok_or(StoreError::Missing("message"))
}

fn rows<'a>(tx: &'a Tx<'a>, id: GroupId) -> Result<Rows<'a>, StoreError> {
    Ok(Rows {
        tx,
        conversation: conversations::number(tx, id)?,
        own: AccountId([0; 32]),
        now: 0,
    })
}

fn select(which: &str) -> String {
    format!(
        "SELECT id, stored_at, seen, {COLUMNS} FROM history JOIN authors ON authors.number = history.author
         WHERE conversation = ?1 AND kind = 0 {which}"
    )
}

fn read(row: &Row<'_>) -> Result<Post, StoreError> {
    Ok(Post {
        id: MessageId(row.get(0)?),
        stored_at: time(row, 1)?,
        seen: row.get(2)?,
        kept: rows::read(row, 3)?,
    })
}
