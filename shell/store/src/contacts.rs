//! Contacts, and who they are to us. A removed contact keeps a row without its card, so that the history still has a
//! name and nobody can knock any more.

use rusqlite::{Row, params};
use starling_wire::card::SignedCard;
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::supernode::SupernodeAddr;

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, time, unpack};
use crate::{about, contact_profiles, letters, outbox, transfers};

/// Characters of an id that are enough to mean it.
pub const PREFIX_MIN: usize = 4;

/// How somebody stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Both agreed.
    Contact,
    /// We asked; no answer yet.
    Requested,
    /// Blocked here.
    Blocked,
    /// Was a contact; only the history is left.
    Removed,
    /// The same, because they deleted their account.
    Ended,
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Account id.
    pub account: AccountId,
    /// How they stand to us.
    pub relation: Relation,
    /// Their newest card, verified before it was stored. Only contacts have one.
    pub card: Option<SignedCard>,
    /// Name they gave themselves; not verified.
    pub name: String,
    /// Our name for them.
    pub nickname: Option<String>,
    /// Their network.
    pub network: Option<NetworkId>,
    /// Where their record was last found.
    pub homes: Vec<SupernodeAddr>,
    /// Whether this is the Echo / Sound Test node.
    pub echo: bool,
    /// When they were added.
    pub added_at: u64,
}

const COLUMNS: &str = "account, relation, card, name, nickname, network, homes, echo, added_at";

/// Keeps a contact, whole, in place of what was known.
pub fn put(tx: &Tx<'_>, contact: &Contact) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO contacts (account, relation, card, name, nickname, network, homes, echo, added_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (account) DO UPDATE
         SET relation = excluded.relation, card = excluded.card, name = excluded.name, nickname = excluded.nickname,
             network = excluded.network, homes = excluded.homes, echo = excluded.echo, added_at = excluded.added_at",
        params![
            contact.account.0,
            contact.relation.code(),
            contact.card.as_ref().map(pack),
            contact.name,
            contact.nickname,
            contact.network.map(|network| network.0),
            pack(&contact.homes),
            contact.echo,
            int(contact.added_at)
        ],
    )?;
    Ok(())
}

/// One account, whatever its relation.
pub fn get(tx: &Tx<'_>, account: AccountId) -> Result<Option<Contact>, StoreError> {
    tx.one(
        &format!("SELECT {COLUMNS} FROM contacts WHERE account = ?1"),
        params![account.0],
        read,
    )
}

/// Everybody but the removed.
pub fn list(tx: &Tx<'_>) -> Result<Vec<Contact>, StoreError> {
    tx.all(
        &format!("SELECT {COLUMNS} FROM contacts WHERE relation NOT IN (?1, ?2) ORDER BY added_at, account"),
        params![Relation::Removed.code(), Relation::Ended.code()],
        read,
    )
}

/// The removed, whose history is still here.
pub fn removed(tx: &Tx<'_>) -> Result<Vec<Contact>, StoreError> {
    tx.all(
        &format!(
            "SELECT {COLUMNS} FROM contacts WHERE relation IN (?1, ?2) ORDER BY added_at, account"
        ),
        params![Relation::Removed.code(), Relation::Ended.code()],
        read,
    )
}

/// Everybody that `who` may mean, so that the caller can ask back instead of guessing:
/// the exact id; else who has that nickname, since the user chose it; else everybody whose id begins so
/// ([`PREFIX_MIN`] characters at least) or who calls themselves that. Neither case counts.
///
/// Ids and own names are chosen by others, so one never hides the other: a stranger's id that begins with a friend's
/// name makes an ambiguous answer, not a wrong one.
pub fn find(tx: &Tx<'_>, who: &str) -> Result<Vec<Contact>, StoreError> {
    Ok(meant(list(tx)?, who))
}

/// The same, for what only reads: where nobody fits, the removed are asked too.
pub fn find_with_removed(tx: &Tx<'_>, who: &str) -> Result<Vec<Contact>, StoreError> {
    let found = find(tx, who)?;
    if !found.is_empty() {
        return Ok(found);
    }
    Ok(meant(removed(tx)?, who))
}

fn meant(all: Vec<Contact>, who: &str) -> Vec<Contact> {
    let wanted = Wanted::new(who);
    if let Some(exact) = all.iter().find(|contact| wanted.is_id(contact.account)) {
        return vec![exact.clone()];
    }
    let nicknamed = |contact: &&Contact| {
        contact
            .nickname
            .as_ref()
            .is_some_and(|name| wanted.is_name(name))
    };
    let named: Vec<Contact> = all.iter().filter(nicknamed).cloned().collect();
    if !named.is_empty() {
        return named;
    }
    all.into_iter()
        .filter(|contact| wanted.begins(contact.account) || wanted.is_name(&contact.name))
        .collect()
}

/// Our name for somebody; `None` takes it away.
pub fn set_nickname(
    tx: &Tx<'_>,
    account: AccountId,
    nickname: Option<&str>,
) -> Result<(), StoreError> {
    changed(tx.execute(
        "UPDATE contacts SET nickname = ?2 WHERE account = ?1",
        params![account.0, nickname],
    )?)
}

/// Marks the Echo / Sound Test node.
pub fn set_echo(tx: &Tx<'_>, account: AccountId, echo: bool) -> Result<(), StoreError> {
    changed(tx.execute(
        "UPDATE contacts SET echo = ?2 WHERE account = ?1",
        params![account.0, echo],
    )?)
}

/// Ends a contact: the card goes, letters and unsent messages go, running transfers are cancelled, the history stays.
pub fn remove(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    end(tx, account, Relation::Removed)
}

/// The same, because they deleted their account.
pub fn bury(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    end(tx, account, Relation::Ended)
}

/// The same, and nothing of theirs is accepted again. The row must exist: somebody who only sent a request is put
/// in the table first.
pub fn block(tx: &Tx<'_>, account: AccountId) -> Result<(), StoreError> {
    end(tx, account, Relation::Blocked)
}

fn end(tx: &Tx<'_>, account: AccountId, relation: Relation) -> Result<(), StoreError> {
    changed(tx.execute(
        "UPDATE contacts SET relation = ?2, card = NULL WHERE account = ?1",
        params![account.0, relation.code()],
    )?)?;
    letters::drop_to(tx, account)?;
    about::forget(tx, account)?;
    contact_profiles::forget(tx, account)?;
    outbox::drop_to(tx, account)?;
    transfers::cancel_all(tx, account)
}

fn changed(rows: usize) -> Result<(), StoreError> {
    match rows {
        0 => Err(StoreError::Missing("contact")),
        _ => Ok(()),
    }
}

/// A `WHO` as it was typed.
pub(crate) struct Wanted {
    text: String,
}

impl Wanted {
    pub(crate) fn new(who: &str) -> Self {
        Self {
            text: who.trim().to_lowercase(),
        }
    }

    pub(crate) fn is_id(&self, account: AccountId) -> bool {
        account.to_string() == self.text
    }

    pub(crate) fn begins(&self, account: AccountId) -> bool {
        self.text.len() >= PREFIX_MIN && account.to_string().starts_with(&self.text)
    }

    pub(crate) fn is_name(&self, name: &str) -> bool {
        !self.text.is_empty() && name.trim().to_lowercase() == self.text
    }
}

impl Relation {
    const fn code(self) -> i64 {
        match self {
            Self::Contact => 0,
            Self::Requested => 1,
            Self::Blocked => 2,
            Self::Removed => 3,
            Self::Ended => 4,
        }
    }

    const fn from_code(code: i64) -> Result<Self, StoreError> {
        match code {
            0 => Ok(Self::Contact),
            1 => Ok(Self::Requested),
            2 => Ok(Self::Blocked),
            3 => Ok(Self::Removed),
            4 => Ok(Self::Ended),
            _ => Err(StoreError::Damaged),
        }
    }
}

fn read(row: &Row<'_>) -> Result<Contact, StoreError> {
    let card: Option<Vec<u8>> = row.get(2)?;
    Ok(Contact {
        account: AccountId(row.get(0)?),
        relation: Relation::from_code(row.get(1)?)?,
        card: card.map(|bytes| unpack(&bytes)).transpose()?,
        name: row.get(3)?,
        nickname: row.get(4)?,
        network: row.get::<_, Option<[u8; 32]>>(5)?.map(NetworkId),
        homes: unpack(&row.get::<_, Vec<u8>>(6)?)?,
        echo: row.get(7)?,
        added_at: time(row, 8)?,
    })
}
