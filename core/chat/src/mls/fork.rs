//! Copies of a group for the repair of forks. A copy is made before a commit is merged of which it is not certain that it stays;
//! whoever turns out to be on the losing branch goes back to it and follows the winner. A commit of our own that waited is in
//! the copy, and is merged from there if it won.

use super::error::{MergeError, StateError};
use super::group::Group;
use super::rows::{Branch, Place, group_start};

impl Group<'_> {
    /// Makes a copy of this state. An older one of the same name is replaced.
    pub fn copy_to(&mut self, branch: Branch) -> Result<(), StateError> {
        self.client.write_secrets(self.place)?;
        let to = self.beside(branch);
        self.client.live.remove(&to);
        if to != self.place {
            let from = self.place;
            self.client
                .provider
                .storage
                .rows(|rows| rows.copy(from, to));
        }
        Ok(())
    }

    /// Makes this state what a copy is. The copy stays.
    pub fn restore(&mut self, branch: Branch) -> Result<(), MergeError> {
        let from = self.beside(branch);
        if !self.client.load(from)? {
            return Err(MergeError::Nothing);
        }
        self.client.write_secrets(from)?;
        let to = self.place;
        self.client.whole(|client| {
            client.provider.storage.rows(|rows| rows.copy(from, to));
            Ok::<_, StateError>(())
        })?;
        Ok(self.reload()?)
    }

    /// Takes a copy away.
    pub fn forget(&mut self, branch: Branch) {
        let gone = self.beside(branch);
        if gone != self.place {
            self.client.live.remove(&gone);
            let start = group_start(gone);
            self.client.provider.storage.rows(|rows| rows.clear(&start));
        }
    }

    /// The copies there are, in no order that means anything.
    pub fn copies(&self) -> Vec<Branch> {
        let places = self.client.provider.storage.rows(|rows| rows.places());
        places
            .into_iter()
            .filter(|at| at.group == self.place.group && *at != self.place)
            .map(|at| at.branch)
            .filter(|branch| ![Branch::MAIN, Branch::REJOIN].contains(branch))
            .collect()
    }

    const fn beside(&self, branch: Branch) -> Place {
        Place {
            branch,
            group: self.place.group,
        }
    }
}
