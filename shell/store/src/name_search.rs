//! Searching a supernode's copy of the registrar's log: the exact name, and for those who want to be found the beginnings of the
//! words of their name and of their display name. Full text by SQLite's FTS5; what somebody types reaches it in quotes only.

use rusqlite::params;
use starling_wire::name::Name;
use starling_wire::name_log::SignedEntry;
use starling_wire::name_query::FOUND_MAX;

use crate::error::StoreError;
use crate::name_log;
use crate::tx::{Tx, int};

/// Words of one search; more are not looked at.
const WORDS_MAX: usize = 8;
/// Letters and digits of a word, at least.
const LETTERS_MIN: usize = 2;

/// An entry of the log: from now on it is what can be found.
pub fn apply(tx: &Tx<'_>, signed: &SignedEntry) -> Result<(), StoreError> {
    let entry = &signed.entry;
    let name = entry.name.as_str();
    let known = tx.one(
        "SELECT number, listed FROM names_held WHERE name = ?1",
        params![name],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
    )?;
    if let Some((number, listed)) = known {
        if listed {
            tx.execute("DELETE FROM name_words WHERE rowid = ?1", params![number])?;
        }
        tx.execute("DELETE FROM names_held WHERE number = ?1", params![number])?;
    }
    if entry.account.is_none() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO names_held (name, height, until_s, listed) VALUES (?1, ?2, ?3, ?4)",
        params![
            name,
            int(entry.height),
            int(entry.until),
            entry.listing.is_some()
        ],
    )?;
    if let Some(listing) = &entry.listing {
        tx.execute(
            "INSERT INTO name_words (rowid, name, listing)
             SELECT number, name, ?2 FROM names_held WHERE name = ?1",
            params![name, listing.as_str()],
        )?;
    }
    Ok(())
}

/// After entries were dropped: made anew from those that are left.
pub fn rebuild(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute("DELETE FROM name_words", ())?;
    tx.execute("DELETE FROM names_held", ())?;
    for signed in name_log::entries(tx, name_log::Whose::Copy)? {
        apply(tx, &signed)?;
    }
    Ok(())
}

/// `SEARCH-02`, `SEARCH-03`: the last entries about at most [`FOUND_MAX`] names that fit, the exact one first.
pub fn search(tx: &Tx<'_>, text: &str, now_s: u64) -> Result<Vec<SignedEntry>, StoreError> {
    let mut found = Vec::new();
    if let Ok(name) = Name::typed(text) {
        found.extend(exact(tx, &name, now_s)?);
    }
    let Some(wanted) = query(text) else {
        return Ok(found);
    };
    let listed = tx.all(
        "SELECT entry, signature FROM name_words
         JOIN names_held ON names_held.number = name_words.rowid
         JOIN name_log ON name_log.whose = 0 AND name_log.height = names_held.height
         WHERE name_words MATCH ?1 AND until_s > ?2 LIMIT ?3",
        params![wanted, int(now_s), int(FOUND_MAX as u64)],
        name_log::signed,
    )?;
    for one in listed {
        if found.len() < FOUND_MAX && !found.contains(&one) {
            found.push(one);
        }
    }
    Ok(found)
}

fn exact(tx: &Tx<'_>, name: &Name, now_s: u64) -> Result<Option<SignedEntry>, StoreError> {
    tx.one(
        "SELECT entry, signature FROM names_held
         JOIN name_log ON name_log.whose = 0 AND name_log.height = names_held.height
         WHERE names_held.name = ?1 AND until_s > ?2",
        params![name.as_str(), int(now_s)],
        name_log::signed,
    )
}

/// `SEARCH-02`: each word in quotes, as the beginning of one; `None` if there is none.
fn query(text: &str) -> Option<String> {
    let letters = |word: &&str| word.chars().filter(|c| c.is_alphanumeric()).count() >= LETTERS_MIN;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control() || c == '"');
    let words = words.filter(letters).take(WORDS_MAX);
    let quoted: Vec<String> = words.map(|word| format!("\"{word}\"*")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_02_what_somebody_types_is_never_a_command() {
        for (typed, asked) in [
            ("alice", Some("\"alice\"*")),
            ("Zoë  Müller", Some("\"Zoë\"* \"Müller\"*")),
            ("a", None),
            ("", None),
            ("- * \" ( )", None),
            (
                "al\" OR name:\"bo",
                Some("\"al\"* \"OR\"* \"name:\"* \"bo\"*"),
            ),
            ("NEAR(al bo, 5)", Some("\"NEAR(al\"* \"bo,\"*")),
            ("a\0lice", Some("\"lice\"*")),
        ] {
            assert_eq!(query(typed).as_deref(), asked, "{typed}");
        }
        let many = "word ".repeat(60);
        assert_eq!(query(&many).expect("some").matches('*').count(), WORDS_MAX);
    }
}
