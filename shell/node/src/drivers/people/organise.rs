//! Organising contacts: favourites, notes, lists, and what each of them may do here. All of it is ours alone; every change goes
//! through [`People::keep`].

use std::sync::Arc;

use starling_control::{ErrorKind, Failure, view};
use starling_store::about::About;
use starling_wire::ids::AccountId;
use starling_wire::limits::{LIST_NAME_MAX, LISTS_MAX, NOTE_MAX};
use starling_wire::permissions::Permission;

use super::People;
use crate::context::{Signal, store_failure};
use crate::drivers::views;

/// The permission that *always relay* is the denial of.
pub const DIRECT: &str = "direct";

/// A permission in the local API.
pub const fn permission_name(what: Permission) -> &'static str {
    match what {
        Permission::Call => "call",
        Permission::Chat => "chat",
        Permission::Files => "files",
        Permission::Presence => "presence",
    }
}

impl People {
    /// Shown first, or no more.
    pub async fn favourite(&self, who: &str, on: bool) -> Result<view::Contact, Failure> {
        self.keep(who, move |about| about.favourite = on).await
    }

    /// Own words about somebody; empty removes them.
    pub async fn note(&self, who: &str, note: &str) -> Result<view::Contact, Failure> {
        if note.len() > NOTE_MAX {
            return Err(usage(format!("a note may have {NOTE_MAX} bytes")));
        }
        let note = Some(note.trim().to_owned()).filter(|note| !note.is_empty());
        self.keep(who, move |about| about.note = note).await
    }

    /// Puts somebody into a list.
    pub async fn list_add(&self, who: &str, list: &str) -> Result<view::Contact, Failure> {
        let list = list.trim().to_owned();
        // CONTACT-01
        if list.is_empty() || list.len() > LIST_NAME_MAX || list.chars().any(char::is_control) {
            return Err(usage(format!(
                "a list's name has 1 to {LIST_NAME_MAX} bytes on one line"
            )));
        }
        let lists = self.ctx.abouts.of(views::find(&self.ctx, who).await?).lists;
        if lists.len() >= LISTS_MAX && !lists.contains(&list) {
            let sentence =
                format!("somebody can be in {LISTS_MAX} lists; take them out of one first");
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let add = move |about: &mut About| {
            if let Err(place) = about.lists.binary_search(&list) {
                about.lists.insert(place, list);
            }
        };
        self.keep(who, add).await
    }

    /// Takes somebody out of a list.
    pub async fn list_remove(&self, who: &str, list: &str) -> Result<view::Contact, Failure> {
        let list = list.trim().to_owned();
        let account = views::find(&self.ctx, who).await?;
        if !self.ctx.abouts.of(account).lists.contains(&list) {
            let sentence = format!("they are in no list called \"{list}\"");
            return Err(Failure::new(ErrorKind::NotFound, sentence));
        }
        self.keep(who, move |about| about.lists.retain(|one| *one != list))
            .await
    }

    /// The lists and who is in them.
    pub fn lists(&self) -> Vec<view::ContactGroup> {
        let mut groups = std::collections::BTreeMap::<String, Vec<String>>::new();
        for (account, _) in self.ctx.book.people() {
            for list in self.ctx.abouts.of(account).lists {
                groups.entry(list).or_default().push(account.to_string());
            }
        }
        let group = |(name, members)| view::ContactGroup { name, members };
        groups.into_iter().map(group).collect()
    }

    /// Allows or denies something.
    pub async fn permit(
        &self,
        who: &str,
        what: &str,
        allowed: bool,
    ) -> Result<view::Contact, Failure> {
        let account = views::find(&self.ctx, who).await?;
        if what == DIRECT {
            return self.relay(account, !allowed).await;
        }
        let named = |permission: &Permission| permission_name(*permission) == what;
        let Some(permission) = Permission::ALL.into_iter().find(named) else {
            return Err(usage(format!(
                "\"{what}\" cannot be allowed or denied; say call, chat, files, presence or direct"
            )));
        };
        let change = move |about: &mut About| {
            about.permissions = about.permissions.with(permission, allowed);
        };
        let contact = self.keep(who, change).await?;
        self.ctx.signal(Signal::Permissions(account));
        Ok(contact)
    }

    /// Changes what is kept about somebody, on disk, in memory and for the clients.
    pub(super) async fn keep(
        &self,
        who: &str,
        change: impl FnOnce(&mut About) + Send + 'static,
    ) -> Result<view::Contact, Failure> {
        let account: AccountId = views::find(&self.ctx, who).await?;
        let abouts = self.ctx.abouts.clone();
        let own_set = Arc::clone(&self.ctx.own_set);
        let stored = self.ctx.db.write(move |tx| {
            abouts.change(tx, account, change)?;
            own_set.mirror(tx, account)
        });
        stored.await.map_err(store_failure)?;
        self.announced(account).await
    }
}

fn usage(sentence: String) -> Failure {
    Failure::new(ErrorKind::Usage, sentence)
}
