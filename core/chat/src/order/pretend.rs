//! A group that encrypts nothing: for models, simulations and tests. Its epochs follow from its commits as MLS's do: the same commits in the
//! same order make the same tag, any others another one.

use std::collections::BTreeMap;

use starling_wire::ids::{EntryId, EpochTag};
use starling_wire::ordering::{Holders, Slot};

use super::group::{Commit, Group, Look};

/// What a commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// New keys, nothing else.
    Update,
    /// Other holders.
    Holders(Holders),
    /// Nothing that anybody could read.
    Garbage,
    /// Right for all but this member.
    NotFor(u8),
    /// Takes this member out.
    Remove(u8),
}

/// One branch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Branch {
    epoch: EpochTag,
    holders: Holders,
    merged: Vec<EntryId>,
}

/// A member's group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pretend {
    member: u8,
    now: Branch,
    copies: BTreeMap<EpochTag, Branch>,
}

impl Pretend {
    /// A group in its first epoch, as one of its members has it.
    pub fn new(member: u8, holders: Holders) -> Self {
        Self {
            member,
            now: Branch {
                epoch: EpochTag([0xe0; 16]),
                holders,
                merged: Vec::new(),
            },
            copies: BTreeMap::new(),
        }
    }

    /// A commit for the epoch we are in.
    pub fn commit(&self, attempt: u16, change: &Change, salt: u64) -> Commit {
        let mut body = salt.to_be_bytes().to_vec();
        body.extend(encoded(change));
        let id = EntryId(mixed(&[
            &self.now.epoch.0[..],
            &attempt.to_be_bytes(),
            &body,
        ]));
        Commit {
            id,
            slot: Slot {
                epoch: self.now.epoch,
                attempt,
            },
            next: next(self.now.epoch, id),
            external: false,
            body,
        }
    }

    /// What was merged on the branch we are on, oldest first.
    pub fn merged(&self) -> &[EntryId] {
        &self.now.merged
    }

    /// How many copies there are.
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// Whether there is a copy of an epoch.
    pub fn is_copied(&self, epoch: EpochTag) -> bool {
        self.copies.contains_key(&epoch)
    }

    /// Takes over the state of another member, as one does who is let in again.
    pub fn join(&mut self, other: &Self) {
        self.now = other.now.clone();
        self.copies.clear();
    }
}

impl Group for Pretend {
    fn epoch(&self) -> EpochTag {
        self.now.epoch
    }

    fn holders(&self) -> Holders {
        self.now.holders.clone()
    }

    fn look(&mut self, commit: &Commit) -> Option<Look> {
        let epoch = commit.slot.epoch;
        if epoch != self.now.epoch && !self.copies.contains_key(&epoch) {
            return None;
        }
        let change = decoded(&commit.body).filter(|_| commit.next == next(epoch, commit.id));
        Some(match change {
            None | Some(Change::Garbage) => Look::Void,
            Some(Change::NotFor(member)) if member == self.member => Look::Mine,
            Some(Change::Remove(member)) if member == self.member => Look::Removes,
            Some(_) => Look::Fits,
        })
    }

    fn merge(&mut self, commit: &Commit) -> bool {
        if let Some(left) = self.copies.remove(&commit.next) {
            self.now = left;
            return true;
        }
        if let Some(Change::Holders(holders)) = decoded(&commit.body) {
            self.now.holders = holders;
        }
        self.now.merged.push(commit.id);
        self.now.epoch = commit.next;
        true
    }

    fn keep(&mut self) {
        self.copies.insert(self.now.epoch, self.now.clone());
    }

    fn back_to(&mut self, epoch: EpochTag) -> bool {
        let Some(copy) = self.copies.remove(&epoch) else {
            return false;
        };
        self.keep();
        self.now = copy;
        true
    }

    fn forget(&mut self, epoch: EpochTag) {
        self.copies.remove(&epoch);
    }
}

fn encoded(change: &Change) -> Vec<u8> {
    match change {
        Change::Update => vec![0],
        Change::Holders(holders) => {
            let mut bytes = vec![1];
            bytes.extend(starling_wire::frame::encode_body(holders));
            bytes
        }
        Change::Garbage => vec![2],
        Change::NotFor(member) => vec![3, *member],
        Change::Remove(member) => vec![4, *member],
    }
}

fn decoded(body: &[u8]) -> Option<Change> {
    match body.get(8..)? {
        [0] => Some(Change::Update),
        [1, holders @ ..] => {
            let holders: Holders = starling_wire::frame::decode_body(holders, 1_000).ok()?;
            holders.check().ok()?;
            Some(Change::Holders(holders))
        }
        [2] => Some(Change::Garbage),
        [3, member] => Some(Change::NotFor(*member)),
        [4, member] => Some(Change::Remove(*member)),
        _ => None,
    }
}

fn next(epoch: EpochTag, entry: EntryId) -> EpochTag {
    let mut tag = [0; 16];
    tag.copy_from_slice(&mixed(&[&epoch.0[..], &entry.0[..]])[..16]);
    EpochTag(tag)
}

/// Stands in for a hash: different input, different output, in a model where nobody searches for a collision.
fn mixed(parts: &[&[u8]]) -> [u8; 32] {
    let mut lanes = [0x9e37_79b9_7f4a_7c15_u64, 1, 2, 3];
    for byte in parts.iter().flat_map(|part| part.iter()) {
        for (number, lane) in (1_u64..).zip(lanes.iter_mut()) {
            let word = (*lane ^ u64::from(*byte)).wrapping_mul(0x1000_0000_01b3 + 2 * number);
            *lane = word ^ (word >> 29);
        }
    }
    let mut out = [0; 32];
    for (chunk, lane) in out.chunks_mut(8).zip(lanes) {
        chunk.copy_from_slice(&lane.to_be_bytes());
    }
    out
}
