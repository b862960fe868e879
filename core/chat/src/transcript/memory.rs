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
        self.messages.insert(id, kept.clone());
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

    fn mark(&self, reader: AccountId) -> Result<Option<Mark>, Infallible> {
        Ok(self.marks.get(&reader).copied())
    }

    fn set_mark(&mut self, reader: AccountId, mark: Mark) -> Result<(), Infallible> {
        self.marks.insert(reader, mark);
        Ok(())
    }
}
