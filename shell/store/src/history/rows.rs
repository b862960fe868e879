//! The rows of one conversation, as the transcript's rules want them.

use rusqlite::{Row, params};
use starling_chat::transcript::{Archive, Author, Brief, Kept, Kind, Link, Mark, Refusal, State};
use starling_wire::content::{Body, Content, Text, Words};
use starling_wire::frame;
use starling_wire::ids::{AccountId, DeviceId, MessageId};

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, time};

/// One conversation in an open transaction.
pub(super) struct Rows<'a> {
    pub(super) tx: &'a Tx<'a>,
    pub(super) conversation: i64,
    /// Whose own messages count as seen.
    pub(super) own: AccountId,
    /// Unix milliseconds.
    pub(super) now: u64,
}

/// What [`read`] reads, from `history` and `authors`.
pub(super) const COLUMNS: &str = "account, device, rank, sent_at, place, kind, target, content, text, deleted_by, edits, \
     words, reactions, complete";

impl Archive for Rows<'_> {
    type Error = StoreError;

    fn get(&self, id: MessageId) -> Result<Option<Kept>, StoreError> {
        self.tx.one(
            &format!(
                "SELECT {COLUMNS} FROM history JOIN authors ON authors.number = history.author
                 WHERE conversation = ?1 AND id = ?2"
            ),
            params![self.conversation, id.0],
            |row| read(row, 0),
        )
    }

    fn brief(&self, id: MessageId) -> Result<Option<Brief>, StoreError> {
        self.tx.one(
            "SELECT account, sent_at, place, kind, target FROM history JOIN authors ON authors.number = history.author
             WHERE conversation = ?1 AND id = ?2",
            params![self.conversation, id.0],
            |row| {
                Ok(Brief {
                    author: AccountId(row.get(0)?),
                    sent_at: time(row, 1)?,
                    place: time(row, 2)?,
                    kind: kind(row.get(3)?)?,
                    target: row.get::<_, Option<_>>(4)?.map(MessageId),
                })
            },
        )
    }

    fn add(&mut self, id: MessageId, kept: &Kept) -> Result<(), StoreError> {
        let seen = kept.kind != Kind::Post || kept.author.account == self.own;
        self.tx.execute(
            "INSERT INTO history (conversation, id, author, rank, sent_at, place, kind, target, content, edits, complete,
                 head, stored_at, seen)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0,
                 NOT EXISTS (SELECT 1 FROM links WHERE conversation = ?1 AND named = ?2 AND link = 0), ?10, ?11)",
            params![
                self.conversation,
                id.0,
                author(self.tx, kept.author.account, kept.author.device)?,
                kept.author.rank,
                int(kept.sent_at),
                int(kept.place),
                code(kept.kind),
                kept.target.map(|target| target.0),
                written(kept)?,
                int(self.now),
                seen
            ],
        )?;
        Ok(())
    }

    fn put(&mut self, id: MessageId, kept: &Kept) -> Result<(), StoreError> {
        let state = &kept.state;
        self.tx.execute(
            "UPDATE history SET kind = ?3, content = ?4, text = NULL, deleted_by = ?5, edits = ?6, words = ?7,
                 reactions = ?8, complete = ?9, seen = iif(?3 = 0 AND ?5 IS NULL, seen, 1)
             WHERE conversation = ?1 AND id = ?2",
            params![
                self.conversation,
                id.0,
                code(kept.kind),
                written(kept)?,
                state.deleted_by.map(|by| by.0),
                state.edits,
                state.words.as_ref().map(pack),
                (!state.reactions.is_empty()).then(|| pack(&state.reactions)),
                state.complete
            ],
        )?;
        Ok(())
    }

    fn lift(&mut self, id: MessageId, place: u64) -> Result<(), StoreError> {
        self.tx.execute(
            "UPDATE history SET place = ?3 WHERE conversation = ?1 AND id = ?2",
            params![self.conversation, id.0, int(place)],
        )?;
        Ok(())
    }

    fn link(
        &mut self,
        from: MessageId,
        to: MessageId,
        link: Link,
        here: bool,
    ) -> Result<(), StoreError> {
        self.tx.execute(
            "INSERT OR IGNORE INTO links (conversation, named, link, source, here)
             SELECT ?1, ?3, ?4, number, ?5 FROM history WHERE conversation = ?1 AND id = ?2",
            params![self.conversation, from.0, to.0, link_code(link), here],
        )?;
        if link == Link::Before && here {
            self.tx.execute(
                "UPDATE history SET head = 0 WHERE conversation = ?1 AND id = ?2 AND head = 1",
                params![self.conversation, to.0],
            )?;
        }
        Ok(())
    }

    fn arrived(&mut self, id: MessageId) -> Result<bool, StoreError> {
        let rows = self.tx.execute(
            "UPDATE links SET here = 1 WHERE conversation = ?1 AND named = ?2 AND here = 0",
            params![self.conversation, id.0],
        )?;
        Ok(rows > 0)
    }

    fn links_to(&self, to: MessageId, link: Link) -> Result<Vec<MessageId>, StoreError> {
        self.tx.all(
            "SELECT id FROM links JOIN history ON history.number = source
             WHERE links.conversation = ?1 AND named = ?2 AND link = ?3 ORDER BY id",
            params![self.conversation, to.0, link_code(link)],
            |row| Ok(MessageId(row.get(0)?)),
        )
    }

    fn changes(
        &self,
        to: MessageId,
        kinds: &[Kind],
        by: Option<AccountId>,
    ) -> Result<Vec<MessageId>, StoreError> {
        let codes: Vec<_> = kinds.iter().map(|kind| code(*kind).to_string()).collect();
        let whose = by.map_or(
            "",
            |_| "AND author IN (SELECT number FROM authors WHERE account = ?3)",
        );
        self.tx.all(
            &format!(
                "SELECT id FROM history WHERE conversation = ?1 AND target = ?2 AND kind IN ({}) {whose}
                 ORDER BY sent_at, id",
                codes.join(", ")
            ),
            rusqlite::params_from_iter(
                [
                    rusqlite::types::Value::from(self.conversation),
                    to.0.to_vec().into(),
                ]
                .into_iter()
                .chain(by.map(|by| by.0.to_vec().into())),
            ),
            |row| Ok(MessageId(row.get(0)?)),
        )
    }

    fn mark(&self, reader: AccountId) -> Result<Option<Mark>, StoreError> {
        self.tx.one(
            "SELECT place, up_to FROM read_marks WHERE conversation = ?1 AND account = ?2",
            params![self.conversation, reader.0],
            |row| {
                Ok(Mark {
                    place: time(row, 0)?,
                    up_to: MessageId(row.get(1)?),
                })
            },
        )
    }

    fn set_mark(&mut self, reader: AccountId, mark: Mark) -> Result<(), StoreError> {
        self.tx.execute(
            "INSERT OR REPLACE INTO read_marks (conversation, account, place, up_to, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.conversation, reader.0, int(mark.place), mark.up_to.0, int(self.now)],
        )?;
        Ok(())
    }
}

fn written(kept: &Kept) -> Result<Option<Vec<u8>>, StoreError> {
    let bytes = kept.content.as_ref().map(Content::write).transpose();
    bytes.map_err(|error| StoreError::Refused(error.to_string()))
}

/// By which number a device is known.
pub(crate) fn author(tx: &Tx<'_>, account: AccountId, device: DeviceId) -> Result<i64, StoreError> {
    let sql = "SELECT number FROM authors WHERE account = ?1 AND device = ?2";
    let find = || tx.one(sql, params![account.0, device.0], |row| Ok(row.get(0)?));
    if let Some(number) = find()? {
        return Ok(number);
    }
    tx.execute(
        "INSERT INTO authors (account, device) VALUES (?1, ?2)",
        params![account.0, device.0],
    )?;
    find()?.ok_or(StoreError::Damaged)
}

/// A row, its columns from `at` on.
pub(super) fn read(row: &Row<'_>, at: usize) -> Result<Kept, StoreError> {
    let sent_at = time(row, at + 3)?;
    let content: Option<Vec<u8>> = row.get(at + 7)?;
    let content = match (content, row.get::<_, Option<String>>(at + 8)?) {
        (Some(bytes), _) => Some(Content::read(&bytes).map_err(|_| StoreError::Damaged)?),
        (None, Some(text)) => Some(adopted(sent_at, text)),
        (None, None) => None,
    };
    Ok(Kept {
        author: Author {
            account: AccountId(row.get(at)?),
            device: DeviceId(row.get(at + 1)?),
            rank: row.get(at + 2)?,
        },
        sent_at,
        place: time(row, at + 4)?,
        kind: kind(row.get(at + 5)?)?,
        target: row.get::<_, Option<_>>(at + 6)?.map(MessageId),
        content,
        state: State {
            deleted_by: row.get::<_, Option<_>>(at + 9)?.map(AccountId),
            edits: row.get(at + 10)?,
            words: row.get::<_, Option<_>>(at + 11)?.map(unpack).transpose()?,
            reactions: row
                .get::<_, Option<_>>(at + 12)?
                .map(unpack)
                .transpose()?
                .unwrap_or_default(),
            complete: row.get(at + 13)?,
        },
    })
}

/// A message from before there were groups.
fn adopted(sent_at: u64, text: String) -> Content {
    Content {
        sent_at,
        predecessors: Vec::new(),
        body: Body::Text(Text {
            words: Words::new(text),
            reply_to: None,
        }),
    }
}

/// What we wrote ourselves, however long it is.
fn unpack<T: serde::de::DeserializeOwned>(bytes: Vec<u8>) -> Result<T, StoreError> {
    frame::decode_body(&bytes, bytes.len()).map_err(|_| StoreError::Damaged)
}

/// Also in the indexes of the migration (`kind = 0`).
const KINDS: [Kind; 11] = [
    Kind::Post,
    Kind::Edit,
    Kind::Delete,
    Kind::Reaction,
    Kind::Part,
    Kind::Notice,
    Kind::Refused(Refusal::ForeignEdit),
    Kind::Refused(Refusal::ForeignDelete),
    Kind::Refused(Refusal::NotAMessage),
    Kind::Refused(Refusal::TooManyChanges),
    Kind::Refused(Refusal::Parts),
];

fn code(kind: Kind) -> i64 {
    KINDS
        .iter()
        .position(|one| *one == kind)
        .map_or(-1, |at| at as i64)
}

fn kind(code: i64) -> Result<Kind, StoreError> {
    let at = usize::try_from(code).map_err(|_| StoreError::Damaged)?;
    KINDS.get(at).copied().ok_or(StoreError::Damaged)
}

/// `Before` is 0 in the statements above and in `history`.
const fn link_code(link: Link) -> i64 {
    match link {
        Link::Before => 0,
        Link::Target => 1,
        Link::Answer => 2,
        Link::Part => 3,
    }
}
