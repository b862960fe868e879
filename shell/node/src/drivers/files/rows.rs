//! Transfers in the store: the machine's entries and steps as rows, and what a transfer leaves behind on disk.

use std::path::PathBuf;
use std::sync::Arc;

use starling_protocol::transfer::entry::{Entry, State, Step};
use starling_protocol::transfer::exchange::Persist;
use starling_store::StoreError;
use starling_store::blobs::Downloads;
use starling_store::transfers::{self, Transfer, TransferState};
use starling_wire::file::{Offer, safe_file_name};
use starling_wire::ids::{AccountId, TransferId};
use tracing::debug;

use super::outboard_path;
use super::show::sentence;
use crate::clock::wall_ms;
use crate::context::Context;

/// A row as the machine knows it.
pub fn entry(row: &Transfer) -> Entry {
    Entry {
        offer: Offer {
            id: row.id,
            name: row.name.clone(),
            size: row.size,
            root: row.root,
            sent_at: row.offered_at,
        },
        outgoing: row.outgoing,
        state: match row.state {
            TransferState::Offered => State::Offered,
            TransferState::Accepted => State::Accepted,
            TransferState::Done => State::Done,
            TransferState::Cancelled => State::Cancelled,
            TransferState::Failed => State::Failed,
        },
    }
}

/// A new row. What others call a file is made harmless here (`FILE-03`).
pub fn fresh(contact: AccountId, offer: Offer, outgoing: bool, path: Option<PathBuf>) -> Transfer {
    let now = wall_ms();
    Transfer {
        id: offer.id,
        contact,
        outgoing,
        name: safe_file_name(&offer.name),
        size: offer.size,
        root: offer.root,
        path,
        part: None,
        state: TransferState::Offered,
        done: 0,
        ranges: Vec::new(),
        reason: None,
        offered_at: now,
        changed_at: now,
    }
}

/// Commits one drain of the machine. `finished` says where a complete file lies.
pub async fn commit(
    ctx: &Arc<Context>,
    account: AccountId,
    persists: Vec<Persist>,
    finished: Option<(TransferId, PathBuf)>,
) -> Result<(), StoreError> {
    let (who, now) = (ctx.title(account), wall_ms());
    let write = ctx.db.write(move |tx| {
        for persist in persists {
            match persist {
                Persist::Offer(offer) => {
                    transfers::insert(tx, &fresh(account, offer, false, None))?;
                    transfers::forget_unanswered(tx, account)?;
                }
                Persist::Step(id, Step { state, reason }) => {
                    let reason = reason.map(|reason| sentence(&reason, &who));
                    let state = stored(state);
                    transfers::step(tx, account, id, state, reason.as_deref(), now)?;
                }
            }
        }
        if let Some((id, path)) = finished {
            transfers::place(tx, account, id, &path, None)?;
        }
        Ok(())
    });
    write.await
}

const fn stored(state: State) -> TransferState {
    match state {
        State::Offered => TransferState::Offered,
        State::Accepted => TransferState::Accepted,
        State::Done => TransferState::Done,
        State::Cancelled => TransferState::Cancelled,
        State::Failed => TransferState::Failed,
    }
}

/// The receiving folder of an accepted transfer, and the name noted for its file when it was complete (`FILE-11`).
pub fn place(row: &Transfer) -> Option<(PathBuf, Option<String>)> {
    let folder = row.part.as_ref()?.parent()?;
    // Until the name is noted, the path is the folder's.
    let noted = row.path.as_deref().filter(|path| *path != folder);
    let name = noted.and_then(|path| path.file_name()?.to_str());
    Some((folder.to_owned(), name.map(str::to_owned)))
}

/// Names what a removed contact's transfers were cancelled for, or what was left so by a node that was killed (`None`: all),
/// and clears up after them. Who they were.
pub async fn clear_cancelled(
    ctx: &Arc<Context>,
    contact: Option<AccountId>,
) -> Result<Vec<Transfer>, StoreError> {
    let reason = "the contact was removed";
    let taken = ctx
        .db
        .write(move |tx| transfers::take_cancelled(tx, contact, reason));
    let rows = taken.await?;
    for row in &rows {
        tidy(ctx, row.clone()).await;
    }
    Ok(rows)
}

/// Removes what a transfer that is over has left behind: the source's index, or the unfinished file.
pub async fn tidy(ctx: &Arc<Context>, row: Transfer) {
    let outboard = outboard_path(ctx, row.id);
    let work = tokio::task::spawn_blocking(move || {
        if row.outgoing {
            let _ = std::fs::remove_file(outboard);
        } else if let Some(part) = &row.part
            && let Some(folder) = part.parent()
            && let Err(error) = Downloads::open(folder).and_then(|folder| folder.discard(row.id))
        {
            debug!(%error, "an unfinished file stays");
        }
    });
    let _ = work.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_03_a_hostile_name_is_stored_harmless() {
        let long = "n".repeat(400) + ".txt";
        let names = [
            "../../x",
            "/etc/passwd",
            "..\\..\\x",
            "CON",
            "nul.txt",
            "a\0b",
            ".desktop",
            ".bashrc",
            "..",
            "",
            "photo\u{202e}gpj.exe",
            "line\nbreak",
            &long,
        ];
        for name in names {
            let offer = Offer {
                id: TransferId([1; 16]),
                name: name.into(),
                size: 1,
                root: [0; 32],
                sent_at: 0,
            };
            let stored = fresh(AccountId([2; 32]), offer, false, None).name;
            let harmless = !stored.is_empty()
                && stored.len() <= 255
                && !stored.starts_with('.')
                && !stored.contains(['/', '\\', '\0', '\n', '\u{202e}'])
                && !["CON", "nul.txt"].contains(&stored.as_str());
            assert!(harmless, "{name:?} became {stored:?}");
        }
    }
}
