//! Commands about one contact: organising, permissions.

use serde_json::Value;
use starling_control::{Command, Failure};

use super::commands::value;
use super::presence;
use crate::session::Session;

/// Does what is asked.
pub(super) async fn carry_out(session: &Session, command: Command) -> Result<Value, Failure> {
    let people = &session.people;
    match command {
        Command::ContactFavourite { who, on } => value(people.favourite(&who, on).await?),
        Command::ContactNote { who, note } => value(people.note(&who, &note).await?),
        Command::ContactListAdd { who, list } => value(people.list_add(&who, &list).await?),
        Command::ContactListRemove { who, list } => value(people.list_remove(&who, &list).await?),
        Command::ContactSafety { who } => value(people.safety(&who).await?),
        Command::ContactVerify { who, words, code } => {
            let (words, code) = (words.as_deref(), code.as_deref());
            value(people.verify(&who, words, code).await?)
        }
        Command::ContactUnverify { who } => value(people.unverify(&who).await?),
        Command::ContactKeySeen { who } => value(people.key_seen(&who).await?),
        Command::ContactAcceptRelayed { id } => value(people.accept_relayed(&id).await?),
        Command::ContactExport {} => value(people.carried().await?),
        Command::ContactImport { contact, message } => {
            value(people.import(contact, &message).await?)
        }
        Command::ContactLists {} => value(people.lists()),
        Command::ContactPermit { who, what, allowed } => {
            value(people.permit(&who, &what, allowed).await?)
        }
        other => presence::carry_out(session, other).await,
    }
}
