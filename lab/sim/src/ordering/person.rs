//! A member of a group in [`super::world`], with what it has on disk and what it ever saw.

use std::collections::{BTreeMap, BTreeSet};

use starling_chat::order::group::Commit;
use starling_chat::order::member::{Kept, Member};
use starling_chat::order::pretend::Pretend;
use starling_wire::ids::{EntryId, EpochTag};

#[derive(Debug, Clone)]
pub(super) struct Text {
    pub id: u64,
    pub epoch: EpochTag,
}

/// A member with everything round it.
#[derive(Debug)]
pub(super) struct Person {
    pub machine: Member,
    pub group: Pretend,
    /// What lies on disk.
    pub disk: (Kept, Pretend),
    /// Epochs whose keys it ever had: on whichever branch, they stay readable.
    pub epochs: BTreeSet<EpochTag>,
    /// What was read.
    pub read: BTreeSet<u64>,
    /// Own texts, in the epoch they were sealed in last.
    pub written: BTreeMap<u64, EpochTag>,
    /// Everything ever seen: the log that every member keeps.
    pub commits: BTreeMap<EntryId, Commit>,
    pub texts: BTreeMap<(u64, EpochTag), Text>,
    pub settled: BTreeMap<EpochTag, EntryId>,
    pub away: bool,
    pub copies: usize,
    pub wakes: u64,
}

impl Person {
    /// Keeps a text, and reads it if its epoch was ever ours.
    pub fn take(&mut self, text: Text) {
        if self.epochs.contains(&text.epoch) {
            self.read.insert(text.id);
        }
        self.texts.insert((text.id, text.epoch), text);
    }
}
