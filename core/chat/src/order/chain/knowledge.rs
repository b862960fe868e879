//! What a member knows about the end of one epoch: the commits that are there, which of them are void, and what holders said.

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::ids::EntryId;
use starling_wire::ordering::Holders;

use crate::order::evidence::Evidence;
use crate::order::group::Commit;

/// Commits kept for one epoch that nobody agreed to, and their bytes.
pub(super) const COMMITS_MAX: usize = 64;
const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is known about the end of one epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Knowledge {
    pub commits: BTreeMap<EntryId, Commit>,
    pub void: BTreeSet<EntryId>,
    pub own: Option<EntryId>,
    /// By attempt.
    pub evidence: BTreeMap<u16, Evidence>,
    /// Whether what wins may be merged before it is settled.
    pub may_be_provisional: bool,
}

impl Knowledge {
    /// The attempt that is on: the first that is not settled on something void.
    pub fn attempt(&self, holders: &Holders) -> u16 {
        let is_over = |attempt: &u16| {
            let evidence = self.evidence.get(attempt);
            let winner = evidence.and_then(|evidence| evidence.winner(holders, [].into_iter()));
            winner.is_some_and(|(entry, _)| self.void.contains(&entry))
        };
        // As many as there is evidence for.
        let begun = self.evidence.len().try_into().unwrap_or(u16::MAX);
        (0..begun)
            .find(|attempt| !is_over(attempt))
            .unwrap_or(begun)
    }

    /// Takes a commit in. Of those that nobody agreed to and nobody merged the lowest ids stay, since of those the lowest wins: so junk
    /// keeps nothing out that counts, and what stays does not depend on what came first.
    pub fn take(&mut self, commit: Commit, merged: Option<EntryId>) -> bool {
        let id = commit.id;
        if self.commits.contains_key(&id) {
            return false;
        }
        self.commits.insert(id, commit);
        let agreed = self.evidence.values().flat_map(Evidence::named);
        let stay: BTreeSet<EntryId> = agreed.chain(merged).chain(self.own).collect();
        let idle = self
            .commits
            .values()
            .filter(|commit| !stay.contains(&commit.id));
        let mut idle: Vec<_> = idle.map(|commit| (commit.id, commit.body.len())).collect();
        let mut bytes: usize = idle.iter().map(|(_, bytes)| bytes).sum();
        while (idle.len() > COMMITS_MAX || bytes > COMMIT_BYTES_MAX)
            && let Some((gone, size)) = idle.pop()
        {
            bytes -= size;
            self.commits.remove(&gone);
        }
        self.commits.contains_key(&id)
    }

    /// Commits of an attempt that are not void.
    pub fn open(&self, attempt: u16) -> Vec<EntryId> {
        let commits = self.commits.values();
        let open = commits
            .filter(|commit| commit.slot.attempt == attempt && !self.void.contains(&commit.id));
        open.map(|commit| commit.id).collect()
    }
}
