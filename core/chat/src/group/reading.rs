//! Entries as they come: what was said, commits, and what waits for an epoch that is not here yet.

use std::time::Duration;

use starling_wire::ids::{EntryId, EpochTag};
use starling_wire::log::seal::Inside;
use starling_wire::log::{Entry, Kind};

use super::conversation::{Conversation, WAITING_BYTES_MAX, WAITING_MAX};
use super::ground::Lent;
use super::outputs::{Persist, Unreadable};
use crate::mls::{Branch, Client, OpenError, Opened, StateError, Void};
use crate::order::group::Commit;
use crate::order::member::Word;

/// What came of an entry.
enum Came {
    /// It is dealt with.
    Read,
    /// Its epoch is not here yet, or it is of a branch that is not.
    Early,
    /// Nothing can be made of it.
    Never(Unreadable),
}

impl Conversation {
    /// An entry of a box of the generation that began with `first`.
    pub(super) fn take(
        &mut self,
        first: EpochTag,
        entry: Entry,
        client: &mut Client,
        now: Duration,
    ) {
        let head = *entry.head();
        match head.kind {
            Kind::Commit { next } => self.take_commit(&entry, next, false, client, now),
            Kind::ExternalCommit { next } => self.take_commit(&entry, next, true, client, now),
            Kind::Message => self.take_message(first, entry, client),
            Kind::Certificate => self.take_certificate(first, &entry, client, now),
            // A Welcome is for those who are told of it, a GroupInfo for those who are outside.
            Kind::Welcome | Kind::GroupInfo | Kind::Moved => {}
        }
    }

    fn take_commit(
        &mut self,
        entry: &Entry,
        next: EpochTag,
        external: bool,
        client: &mut Client,
        now: Duration,
    ) {
        let commit = Commit {
            id: entry.id(),
            slot: entry.head().slot,
            next,
            external,
            body: entry.body().to_vec(),
        };
        self.hear(vec![Word::Commit(commit)], client, now);
    }

    fn take_certificate(
        &mut self,
        first: EpochTag,
        entry: &Entry,
        client: &mut Client,
        now: Duration,
    ) {
        let inside = match self.inside(first, entry) {
            Ok(inside) => inside,
            Err(why) => return self.unreadable(entry.id(), why),
        };
        let Inside::Certificate(signed) = inside else {
            return self.unreadable(entry.id(), Unreadable::Kind);
        };
        let holders = self.holders_of(entry.head().slot.epoch, client);
        let certificate = holders.and_then(|holders| signed.verify(&holders).ok());
        if let Some(certificate) = certificate {
            self.hear(vec![Word::Certificate(certificate)], client, now);
        }
    }

    fn take_message(&mut self, first: EpochTag, entry: Entry, client: &mut Client) {
        if self.waiting.contains_key(&entry.id()) {
            return;
        }
        match self.read(first, &entry, client) {
            Came::Read => {}
            Came::Never(why) => self.unreadable(entry.id(), why),
            Came::Early => self.wait(first, entry),
        }
    }

    /// What waited, read again: the epoch is another one than before.
    pub(super) fn read_what_waited(&mut self, client: &mut Client) {
        let epoch = self.ground.epoch();
        if self.waited_in == Some(epoch) {
            return;
        }
        self.waited_in = Some(epoch);
        let waiting: Vec<EntryId> = self.waiting.keys().copied().collect();
        for id in waiting {
            let Some((first, entry)) = self.waiting.get(&id).cloned() else {
                continue;
            };
            match self.read(first, &entry, client) {
                Came::Early => continue,
                Came::Read => {}
                Came::Never(why) => self.unreadable(id, why),
            }
            self.waiting.remove(&id);
            self.persists.push_back(Persist::WaitsNoMore(id));
        }
    }

    fn read(&mut self, first: EpochTag, entry: &Entry, client: &mut Client) -> Came {
        let bytes = match self.inside(first, entry) {
            Ok(Inside::Mls(bytes)) => bytes,
            Ok(_) => return Came::Never(Unreadable::Kind),
            Err(why) => return Came::Never(why),
        };
        let epoch = entry.head().slot.epoch;
        let opened = match self.open_in(Branch::MAIN, &bytes, client) {
            // It is of an epoch that is over, or of a branch that lost: if there is a copy, it is read there.
            Err(OpenError::Old | OpenError::Void(_)) if self.ground.is_copied(epoch) => {
                self.open_in(Branch::at(epoch), &bytes, client)
            }
            other => other,
        };
        match opened {
            Ok(Opened::Text(text)) => {
                self.persists.push_back(Persist::Said {
                    from: text.from,
                    bytes: text.bytes,
                    entry: entry.id(),
                });
                Came::Read
            }
            // What we said ourselves is here.
            Ok(Opened::OwnText) | Err(OpenError::Repeated) => Came::Read,
            Ok(_) => Came::Never(Unreadable::Kind),
            Err(OpenError::Future | OpenError::State(StateError::NotMember)) => Came::Early,
            // MLS cannot tell another branch from damage; the epoch that the entry names can.
            Err(OpenError::Void(Void::Sealed)) if self.ground.begun_at(epoch).is_none() => {
                Came::Early
            }
            Err(why) => Came::Never(why.into()),
        }
    }

    fn open_in(
        &mut self,
        branch: Branch,
        bytes: &[u8],
        client: &mut Client,
    ) -> Result<Opened, OpenError> {
        let id = self.ground.id();
        let group = client.branch(id, branch)?;
        group.ok_or(StateError::NotMember)?.open(bytes)
    }

    fn inside(&self, first: EpochTag, entry: &Entry) -> Result<Inside, Unreadable> {
        let generation = self.ground.generation_of(first);
        let plain = generation.ok_or(Unreadable::Generation)?.open(entry)?;
        Ok(Inside::read(entry.head().kind, &plain)?)
    }

    fn hear(&mut self, words: Vec<Word>, client: &mut Client, now: Duration) {
        let mut lent = Lent::new(client, &mut self.ground);
        self.order.handle_words(None, words, &mut lent, now);
        let seen = lent.take_seen();
        self.follow(seen, client, now);
    }

    /// Keeps an entry for later. If there is no room, the lowest ids stay, as with commits: it is a matter of nobody's wish.
    fn wait(&mut self, first: EpochTag, entry: Entry) {
        self.persists
            .push_back(Persist::Waits(first, entry.clone()));
        self.waiting.insert(entry.id(), (first, entry));
        let size = |waiting: &(EpochTag, Entry)| waiting.1.body().len();
        let mut bytes: usize = self.waiting.values().map(size).sum();
        while (self.waiting.len() > WAITING_MAX || bytes > WAITING_BYTES_MAX)
            && let Some((id, gone)) = self.waiting.pop_last()
        {
            bytes -= size(&gone);
            self.persists.push_back(Persist::WaitsNoMore(id));
            self.unreadable(id, Unreadable::Room);
        }
    }
}
