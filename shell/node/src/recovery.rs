//! What brings an account back when this machine is lost: its 24 words, or a backup. A person is reminded until one of the two
//! was checked once; then never again.

use std::collections::BTreeSet;
use std::sync::Arc;

use starling_control::command::PhraseWord;
use starling_control::{ErrorKind, Failure, view};
use starling_store::{StoreError, Tx, settings};
use starling_wire::phrase;

use crate::clock::random;
use crate::context::store_failure;
use crate::identity::Identity;
use crate::node::App;

/// Which of the two was checked.
const CHECKED: &str = "recovery checked";
const REMINDER: &str = "this account lies on this device alone. Write its 24 words down (`starling account phrase`), or keep a \
    backup on another device, and let one of them be checked once (`starling account phrase check`, \
    `starling account backup --check FILE`); then this line is gone";

/// How somebody can get the account back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They have the words.
    Phrase,
    /// They have a backup and its passphrase.
    Backup,
}

/// It was seen to work.
pub fn note(tx: &Tx<'_>, way: Way) -> Result<(), StoreError> {
    let words = match way {
        Way::Phrase => "phrase",
        Way::Backup => "backup",
    };
    settings::set(tx, CHECKED, words)
}

/// The same, and whoever watches the status hears of it.
pub async fn checked(app: &App, way: Way) -> Result<(), Failure> {
    let noted = app.db.write(move |tx| note(tx, way));
    noted.await.map_err(store_failure)?;
    app.changed.notify_one();
    Ok(())
}

/// What to remind of, if anything.
pub async fn reminder(app: &App) -> Result<Option<String>, Failure> {
    let checked = app.db.read(|tx| settings::get(tx, CHECKED));
    let checked = checked.await.map_err(store_failure)?;
    Ok(checked.is_none().then(|| REMINDER.to_owned()))
}

/// The 24 words.
pub fn phrase(app: &Arc<App>) -> Result<view::Phrase, Failure> {
    let session = app.session()?;
    let identity = session.ctx.identity.get();
    let key = key_of(&identity)?;
    let chance = u64::from_ne_bytes(random());
    Ok(view::Phrase {
        words: phrase::words(key).split(' ').map(str::to_owned).collect(),
        ask: phrase::drawn(chance).map(|number| number as u8).to_vec(),
    })
}

/// Whether these are some of the words.
pub async fn check(app: &Arc<App>, words: &[PhraseWord]) -> Result<(), Failure> {
    let session = app.session()?;
    let identity = session.ctx.identity.get();
    let key = key_of(&identity)?;
    let numbers: BTreeSet<u8> = words.iter().map(|word| word.number).collect();
    if numbers.len() < phrase::ASKED || words.len() > phrase::WORDS {
        let sentence = "give three different ones of the 24 words, each with its number";
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let wrong = |word: &&PhraseWord| !phrase::is_word(key, usize::from(word.number), &word.word);
    match words.iter().find(wrong) {
        Some(word) => Err(Failure::new(
            ErrorKind::Refused,
            format!(
                "word {} is another one; look at what you wrote down, or at all words again with `starling account phrase`",
                word.number
            ),
        )),
        None => checked(app, Way::Phrase).await,
    }
}

/// From now on the words are on paper alone, so whoever steals this device cannot recover the account.
pub async fn forget(app: &Arc<App>, words: &str) -> Result<(), Failure> {
    let session = app.session()?;
    let given =
        phrase::key(words).map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
    let own = Arc::clone(&session.ctx.identity);
    if key_of(&own.get())? != &*given {
        let sentence = "these are the words of another account; nothing was forgotten";
        return Err(Failure::new(ErrorKind::Refused, sentence));
    }
    let kept = app.db.write(move |tx| {
        own.change(tx, |identity| identity.recovery_seed = None)?;
        note(tx, Way::Phrase)
    });
    kept.await.map_err(store_failure)
}

/// A device that only joined the account was not given this key.
fn key_of(identity: &Identity) -> Result<&[u8; 32], Failure> {
    identity.recovery_seed.as_ref().ok_or_else(|| {
        let sentence =
            "this device does not have the account's 24 words: they are on the device on which the account was made, or on paper alone";
        Failure::new(ErrorKind::State, sentence)
    })
}
