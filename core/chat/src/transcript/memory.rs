//! An archive in memory, for tests and simulations.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use starling_wire::ids::{AccountId, MessageId};

use super::archive::{Archive, Brief, Kept, Kind, Link, Mark};

/// One conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    messages: BTreeMap<MessageId, Kept>,
    /// Who names a message, by what is named.
    named: BTreeMap<(MessageId, Link), BTreeSet<MessageId>>,
    /// Changes by what they change, what they are and whose they are; by clock.
    changes: BTreeMap<(MessageId, Kind, AccountId), BTreeSet<(u64, MessageId)>>,
    missing: BTreeSet<MessageId>,
    marks: BTreeMap<AccountId, Mark>,
}

impl Memory {
    /// What is shown, in order.
    pub fn shown(&self) -> Vec<(MessageId, &Kept)> {
        let is_post = |(_, kept): &(&MessageId, &Kept)| kept.kind == Kind::Post;
        let mut shown: Vec<_> = self.messages.iter().filter(is_post).collect();
        shown.sort_by_key(|(id, kept)| (kept.place, **id));
        shown.into_iter().map(|(id, kept)| (*id, kept)).collect()
    }

    /// All that is known, in the order of the ids.
    pub fn all(&self) -> impl Iterator<Item = (MessageId, &Kept)> {
        self.messages.iter().map(|(id, kept)| (*id, kept))
    }

    /// What a new message names as seen: the last `limit` of those that no other one names.
    pub fn heads(&self, limit: usize) -> Vec<MessageId> {
        let is_head = |id: &MessageId| !self.named.contains_key(&(*id, Link::Before));
        let mut heads: Vec<_> = self
            .messages
            .iter()
            .filter(|(id, _)| is_head(id))
            .map(|(id, kept)| (kept.place, *id))
            .collect();
        heads.sort_unstable_by(|a, b| b.cmp(a));
        heads.truncate(limit);
        heads.into_iter().map(|(_, id)| id).collect()
    }

    /// Messages that are named and not here.
    pub const fn missing(&self) -> &BTreeSet<MessageId> {
        &self.missing
    }
}

impl Archive for Memory {
    type Error = Infallible;

    fn get(&self, id: MessageId) -> Result<Option<Kept>, Infallible> {
        Ok(self.messages.get(&id).cloned())
    }

    fn brief(&self, id: MessageId) -> Result<Option<Brief>, Infallible> {
        Ok(self.messages.get(&id).map(Kept::brief))
    }

    fn add(&mut self, id: MessageId, kept: &Kept) -> Result<(), Infallible> {
        self.put(id, kept)
    }

    fn put(&mut self, id: MessageId, kept: &Kept) -> Result<(), Infallible> {
        let before = self.messages.insert(id, kept.clone());
        let key = |kept: &Kept| Some((kept.target?, kept.kind, kept.author.account));
        if let Some(key) = before.as_ref().and_then(key)
            && let Some(same) = self.changes.get_mut(&key)
        {
            same.remove(&(kept.sent_at, id));
            if same.is_empty() {
                self.changes.remove(&key);
            }
        }
        if let Some(key) = key(kept) {
            let same = self.changes.entry(key).or_default();
            same.insert((kept.sent_at, id));
        }
        Ok(())
    }

    fn lift(&mut self, id: MessageId, place: u64) -> Result<(), Infallible> {
        if let Some(kept) = self.messages.get_mut(&id) {
            kept.place = place;
        }
        Ok(())
    }

    fn link(
        &mut self,
        from: MessageId,
        to: MessageId,
        link: Link,
        here: bool,
    ) -> Result<(), Infallible> {
        self.named.entry((to, link)).or_default().insert(from);
        if !here {
            self.missing.insert(to);
        }
        Ok(())
    }

    fn arrived(&mut self, id: MessageId) -> Result<bool, Infallible> {
        Ok(self.missing.remove(&id))
    }

    fn links_to(&self, to: MessageId, link: Link) -> Result<Vec<MessageId>, Infallible> {
        let named = self.named.get(&(to, link));
        Ok(named.into_iter().flatten().copied().collect())
    }

    fn changes(
        &self,
        to: MessageId,
        kinds: &[Kind],
        by: Option<AccountId>,
    ) -> Result<Vec<MessageId>, Infallible> {
        let (first, last) = (AccountId([0; 32]), AccountId([0xff; 32]));
        let of = |kind: &Kind| {
            let accounts = (to, *kind, by.unwrap_or(first))..=(to, *kind, by.unwrap_or(last));
            self.changes.range(accounts).flat_map(|(_, same)| same)
        };
        let mut found: Vec<_> = kinds.iter().flat_map(of).collect();
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, id)| *id).collect())
    }

    fn mark(&self, reader: AccountId) -> Result<Option<Mark>, Infallible> {
        Ok(self.marks.get(&reader).copied())
    }

    fn set_mark(&mut self, reader: AccountId, mark: Mark) -> Result<(), Infallible> {
        self.marks.insert(reader, mark);
        Ok(())
    }
}
