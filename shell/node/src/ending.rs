//! The end of an account: contacts and supernodes are told, then nothing of it is left on this machine. It is decided on disk
//! first; what could not be told before the program ends is not told, but the data goes at the next start.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use starling_control::{ErrorKind, Failure, view};
use starling_store::letters::{self, LetterKind};
use starling_store::{StoreError, Tx, settings};
use starling_wire::account::{Chain, Change};
use starling_wire::ending::Ending;
use starling_wire::envelope::Letter;
use starling_wire::ids::AccountId;
use starling_wire::postage::LetterKeys;
use starling_wire::supernode::{Answer, Request};
use tracing::debug;

use crate::book::Relation;
use crate::clock::{wall_ms, wall_s};
use crate::context::{Context, store_failure};
use crate::drivers::letters::{next_sequence, seal};
use crate::node::App;
use crate::session::Session;

/// The account of this profile was deleted.
const DELETED: &str = "deleted";
/// Contacts and supernodes are told for so long.
const TELL_TIME: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The database says until it goes that everything has to; its key is the last.
const FILES: [&str; 4] = ["store.db", "store.db-wal", "store.db-shm", "store.key"];
const FOLDERS: [&str; 4] = ["transfers", "window", "ui", "echo"];

/// Deletes the account. `name` is its display name, typed by whoever means it; `with_network`: also where the network's owner's key
/// goes with it.
pub async fn delete(
    app: &Arc<App>,
    name: &str,
    with_network: bool,
) -> Result<view::Deleted, Failure> {
    let session = app.session()?;
    let ctx = &session.ctx;
    let identity = ctx.identity.get();
    check_meant(app, &identity.name, name, with_network).await?;
    let Some(signing) = identity.signing.clone() else {
        let sentence = "this device does not hold the account's key; delete the account on one that is marked as owner, or remove \
            this device there";
        return Err(Failure::new(ErrorKind::State, sentence));
    };
    let _one = app.changing.lock().await;
    let mut ended = identity.chain.clone();
    ended.append(&signing, Change::Delete);
    let contacts = say_farewell(ctx, &ended).await?;
    release_names(&session).await;
    let ending = Ending::new(ended, &signing, wall_s());
    session.people.retry_post().await;
    let told = tell(ctx, ending).await;
    let waiting = app.db.read(letters::count).await.map_err(store_failure)?;
    app.forget_everything();
    Ok(view::Deleted {
        told: contacts.saturating_sub(waiting),
        not_told: waiting.min(contacts),
        supernodes: told,
    })
}

/// Whether it is meant, with all that goes.
async fn check_meant(app: &App, own: &str, typed: &str, with_network: bool) -> Result<(), Failure> {
    if own.trim() != typed.trim() {
        let sentence =
            format!("nothing was deleted: type this account's name, {own}, to delete it");
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    if !with_network && app.owns_network().await? {
        let sentence = "this profile has the key of its network's owner, which would be lost, too: write a backup first, or say \
            --with-network";
        return Err(Failure::new(ErrorKind::State, sentence));
    }
    Ok(())
}

/// Decided, and a last letter to each contact is written: how many.
async fn say_farewell(ctx: &Context, ended: &Chain) -> Result<usize, Failure> {
    let sequence = next_sequence(ctx).await.map_err(store_failure)?;
    let sealed = last_letters(ctx, ended, sequence);
    let count = sealed.len();
    let stored = ctx.db.write(move |tx| {
        letters::drop_all(tx)?;
        for (account, letter) in &sealed {
            letters::put(tx, *account, LetterKind::Farewell, letter, wall_ms())?;
        }
        settings::set(tx, DELETED, "yes")
    });
    stored.await.map_err(store_failure)?;
    Ok(count)
}

fn last_letters(ctx: &Context, ended: &Chain, sequence: u64) -> Vec<(AccountId, letters::Sealed)> {
    let mut sealed = Vec::new();
    let Some(last) = ended.entries.last() else {
        return sealed;
    };
    for (account, person) in ctx.book.people() {
        let Some(card) = person.card.filter(|_| person.relation == Relation::Contact) else {
            continue;
        };
        let letter = Letter::Farewell(Box::new(last.clone()));
        let keys = LetterKeys::of(account, &card.card);
        match seal(ctx, sequence, account, &keys, letter) {
            Ok(letter) => sealed.push((account, letter)),
            Err(error) => debug!(%error, "a contact cannot be told of the end"),
        }
    }
    sealed
}

/// Names are for others once their registrar has read this, and they have rested.
async fn release_names(session: &Session) {
    let held = session.names.list().await.unwrap_or_default();
    for own in held.iter().filter(|own| own.state == "held") {
        if let Err(failure) = session.names.release(&own.name).await {
            debug!(%failure, "a name was not given up");
        }
    }
}

/// Until all letters are out, then the homes: how many of these know.
async fn tell(ctx: &Context, ending: Ending) -> usize {
    let out = async {
        while ctx.db.read(letters::count).await.unwrap_or_default() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let _ = tokio::time::timeout(TELL_TIME, out).await;
    let request = Request::End(Box::new(ending));
    let mut told = 0;
    for home in ctx.home_list() {
        let asked = tokio::time::timeout(TELL_TIME, ctx.supernodes.ask(&home, &request)).await;
        match asked {
            Ok(Ok(Answer::Ok)) => told += 1,
            other => debug!(?other, "a home was not told of the end"),
        }
    }
    told
}

/// Whether this profile's account was deleted, and its data is still to go.
pub fn is_due(tx: &Tx<'_>) -> Result<bool, StoreError> {
    Ok(settings::get(tx, DELETED)?.is_some())
}

/// Removes what Starling keeps in a profile's folder. Received files lie elsewhere and stay.
pub fn wipe(home: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for folder in FOLDERS {
        gone(std::fs::remove_dir_all(home.join(folder)))?;
    }
    for file in FILES {
        gone(std::fs::remove_file(home.join(file)))?;
    }
    Ok(())
}
