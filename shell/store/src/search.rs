//! Search over all that is shown. The words of each message stand in an index of SQLite's (FTS5); how texts become words is
//! decided here ([`terms`]), the same way for what is kept and for what is asked, so the snippet marks what the index found.
//!
//! All words have to occur, each as the beginning of a word. Found messages come in the order in which they were stored
//! here, the newest first.

use std::ops::Range;

use rusqlite::params;
use starling_wire::ids::GroupId;

use crate::conversations;
use crate::error::StoreError;
use crate::history::{self, Post};
use crate::tx::Tx;

mod terms;

use terms::{Kind, Term, terms};

/// Words of one question that count.
const WORDS_MAX: usize = 16;
/// Bytes of text before the first hit, and behind, in a snippet.
const SNIPPET_BEFORE: usize = 40;
const SNIPPET_AFTER: usize = 160;

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where the next page begins.
    pub number: i64,
    /// In which conversation.
    pub conversation: GroupId,
    /// The message.
    pub post: Post,
    /// The place in its text.
    pub snippet: Snippet,
}

/// Part of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The text.
    pub text: String,
    /// Whether there is more before it.
    pub cut_before: bool,
    /// Whether there is more behind it.
    pub cut_after: bool,
    /// What was found in it, in bytes.
    pub hits: Vec<Range<usize>>,
}

/// Looks for a question's words, in one conversation or in all, before a message that was found already.
pub fn find(
    tx: &Tx<'_>,
    question: &str,
    conversation: Option<GroupId>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Found>, StoreError> {
    let asked = asked(question);
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let mut words = format!("words : ({})", expression(&asked));
    if let Some(id) = conversation {
        words = format!(
            "conversation : c{} AND {words}",
            conversations::number(tx, id)?
        );
    }
    let numbers: Vec<i64> = tx.all(
        "SELECT rowid FROM history_words WHERE history_words MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC LIMIT ?3",
        params![words, before.unwrap_or(i64::MAX), limit],
        |row| Ok(row.get(0)?),
    )?;
    let mut found = Vec::new();
    for number in numbers {
        let (conversation, post, text) =
            history::by_number(tx, number)?.ok_or(StoreError::Damaged)?;
        found.push(Found {
            number,
            conversation,
            post,
            snippet: snippet(&text, &asked),
        });
    }
    Ok(found)
}

/// Keeps the words of a message.
pub(crate) fn keep(
    tx: &Tx<'_>,
    conversation: i64,
    number: i64,
    text: &str,
) -> Result<(), StoreError> {
    let words: Vec<String> = terms(text).into_iter().map(|term| term.text).collect();
    if words.is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO history_words (rowid, conversation, words) VALUES (?1, ?2, ?3)",
        params![number, format!("c{conversation}"), words.join(" ")],
    )?;
    Ok(())
}

/// Forgets them.
pub(crate) fn forget(tx: &Tx<'_>, number: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM history_words WHERE rowid = ?1", [number])?;
    Ok(())
}

/// What is asked for. A run of several characters is its pairs; its last character stands in the last of them.
fn asked(question: &str) -> Vec<Term> {
    let mut asked: Vec<Term> = Vec::new();
    for term in terms(question).into_iter().take(WORDS_MAX) {
        let in_pair = asked
            .last()
            .is_some_and(|last| last.kind == Kind::Pair && last.range.end == term.range.end);
        if !(term.kind == Kind::Last && in_pair) {
            asked.push(term);
        }
    }
    asked
}

/// In FTS5's language. Terms hold letters and digits only, so quoting them is enough.
fn expression(asked: &[Term]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut end = None;
    for term in asked {
        let quoted = format!("\"{}\"", term.text);
        match (term.kind, parts.last_mut()) {
            // Pairs of one run stand next to each other.
            (Kind::Pair, Some(phrase)) if end.is_some_and(|end| end > term.range.start) => {
                phrase.push_str(" + ");
                phrase.push_str(&quoted);
            }
            (Kind::Pair, _) => parts.push(quoted),
            // One letter begins too many words.
            (Kind::Word, _) if term.text.len() == 1 => parts.push(quoted),
            _ => parts.push(quoted + " *"),
        }
        end = (term.kind == Kind::Pair).then_some(term.range.end);
    }
    parts.join(" AND ")
}

fn snippet(text: &str, asked: &[Term]) -> Snippet {
    let is_hit = |term: &Term| asked.iter().any(|asked| meets(asked, term));
    let mut hits: Vec<Range<usize>> = Vec::new();
    for term in terms(text).into_iter().filter(is_hit) {
        match hits.last_mut() {
            // Pairs lie over each other.
            Some(last) if term.range.start < last.end => last.end = last.end.max(term.range.end),
            _ => hits.push(term.range),
        }
    }
    let first = hits.first().map_or(0, |hit| hit.start);
    let start = text.floor_char_boundary(first.saturating_sub(SNIPPET_BEFORE));
    let end = text.floor_char_boundary((first + SNIPPET_AFTER).min(text.len()));
    let inside = |hit: &Range<usize>| hit.start >= start && hit.end <= end;
    let hits = hits.into_iter().filter(inside);
    Snippet {
        text: text[start..end].to_owned(),
        cut_before: start > 0,
        cut_after: end < text.len(),
        hits: hits.map(|hit| hit.start - start..hit.end - start).collect(),
    }
}

fn meets(asked: &Term, term: &Term) -> bool {
    match asked.kind {
        Kind::Pair => term.text == asked.text,
        Kind::Word if asked.text.len() == 1 => term.text == asked.text,
        Kind::Word | Kind::Last => term.text.starts_with(&asked.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_an_expression() {
        for (question, expected) in [
            ("Café au", "\"cafe\" * AND \"au\" *"),
            ("a b", "\"a\" AND \"b\""),
            ("喜欢你", "\"喜欢\" + \"欢你\""),
            ("你", "\"你\" *"),
            ("喜欢 东京 x", "\"喜欢\" AND \"东京\" AND \"x\""),
            ("\"); DROP", "\"drop\" *"),
        ] {
            assert_eq!(expression(&asked(question)), expected, "{question:?}");
        }
        assert!(asked(" !? \u{301}").is_empty());
    }

    #[test]
    fn a_snippet_shows_what_was_found() {
        let text = format!("{} The Café is open. {}", "x".repeat(100), "y".repeat(300));
        let found = snippet(&text, &asked("cafe"));
        assert!(found.cut_before && found.cut_after);
        assert_eq!(found.hits.len(), 1);
        assert_eq!(&found.text[found.hits[0].clone()], "Café");
        let chinese = snippet("我喜欢你们", &asked("喜欢你"));
        assert_eq!(&chinese.text[chinese.hits[0].clone()], "喜欢你");
        let nothing = snippet("", &asked("a"));
        assert_eq!(nothing, Snippet::default());
    }
}
