//! What a person or the program wants changed in a group, and the commit that does it.

use std::collections::BTreeSet;

use starling_wire::credential::Member;
use starling_wire::group::leave::{LEAVES_SHOWN_MAX, Leave};
use starling_wire::group::{Record, RecordError, Role};
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, GroupId};

use super::rules::{Asked, Denied, judge};
use crate::mls::{Change, KeyPackage, Leaf, StageError, StateError};

/// What is to be changed. An empty one gives this device new keys, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Devices to take in.
    pub add: Vec<KeyPackage>,
    /// Devices to take out.
    pub remove: Vec<DeviceId>,
    /// The wishes of those who leave, to be shown.
    pub leaves: Vec<Leave>,
    /// Changes to the record.
    pub edits: Vec<Edit>,
}

/// A change to a group's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// What it is called.
    Topic(String),
    /// Its picture.
    Picture(Option<Vec<u8>>),
    /// Whether newcomers are given what was said before.
    History(bool),
    /// Who may take in others.
    Invite(Role),
    /// What an account may do.
    Role(AccountId, Role),
    /// Where the log lies.
    Holders(Vec<EndpointKey>),
}

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// Not by this account.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The record would not be valid.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The commit.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Larger than an entry.
    #[error("this change is too large to be sent in one piece")]
    TooLarge,
    /// Others were always quicker.
    #[error("others changed the conversation again and again; try once more")]
    Overtaken,
    /// This device is outside.
    #[error("this device is not in the conversation, or waits to be let in again")]
    Outside,
}

impl From<StateError> for WishError {
    fn from(error: StateError) -> Self {
        Self::Stage(error.into())
    }
}

/// A group as its members have it, before a change.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// Which.
    pub group: GroupId,
    /// Its record.
    pub record: &'a Record,
    /// Its devices.
    pub members: &'a [Leaf],
    /// The check of its present generation.
    pub check: [u8; 32],
}

impl Wish {
    /// The change and what is signed beside it; `None` if there is nothing left of it to do: who is to be taken in is there, who is to be
    /// taken out is gone, the record says it already.
    pub fn prepare(
        &self,
        before: Before<'_>,
        by: Member,
    ) -> Result<Option<(Change, Vec<u8>)>, WishError> {
        let there: BTreeSet<DeviceId> = before
            .members
            .iter()
            .map(|leaf| leaf.member.device)
            .collect();
        let new = |package: &&KeyPackage| !there.contains(&package.member().device);
        let add: Vec<KeyPackage> = self.add.iter().filter(new).cloned().collect();
        let gone = |device: &&DeviceId| there.contains(*device);
        let remove: Vec<DeviceId> = self.remove.iter().filter(gone).copied().collect();
        let record = self.record(before, &add, &remove);
        let changed = record != *before.record;
        let empty = add.is_empty() && remove.is_empty() && !changed;
        if empty && !self.is_update() {
            return Ok(None);
        }
        let context = changed.then(|| record.write()).transpose()?;
        let leaves = self.leaves_that_count(before, &there);
        let aad = Leave::write_list(&leaves);
        let added: Vec<Member> = add.iter().map(KeyPackage::member).collect();
        let of = |device: &DeviceId| {
            before
                .members
                .iter()
                .find(|leaf| leaf.member.device == *device)
        };
        let removed: Vec<Member> = remove
            .iter()
            .filter_map(of)
            .map(|leaf| leaf.member)
            .collect();
        let asked = Asked {
            by,
            external: false,
            added: &added,
            removed: &removed,
            context: context.as_deref(),
            aad: &aad,
        };
        judge(
            before.record,
            before.members,
            before.check,
            before.group,
            &asked,
        )?;
        let change = Change {
            add,
            remove,
            context,
        };
        Ok(Some((change, aad)))
    }

    /// One that does not count any more would make the whole change void.
    fn leaves_that_count(&self, before: Before<'_>, there: &BTreeSet<DeviceId>) -> Vec<Leave> {
        let now = before.record.generation.number;
        let counts = |leave: &&Leave| there.contains(&leave.device) && leave.wish.generation == now;
        let leaves = self.leaves.iter().filter(counts).copied();
        leaves.take(LEAVES_SHOWN_MAX).collect()
    }

    fn is_update(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.edits.is_empty()
    }

    /// The record that follows, with the generation that it begins or goes on with (`MLS-26`).
    fn record(&self, before: Before<'_>, add: &[KeyPackage], remove: &[DeviceId]) -> Record {
        let mut record = before.record.clone();
        for edit in &self.edits {
            match edit.clone() {
                Edit::Topic(topic) => record.topic = topic,
                Edit::Picture(picture) => record.picture = picture,
                Edit::History(history) => record.history = history,
                Edit::Invite(invite) => record.invite = invite,
                Edit::Role(account, role) => record.set_role(account, role),
                Edit::Holders(holders) => record.generation.holders = holders,
            }
        }
        let stays = before.members.iter().map(|leaf| leaf.member);
        let stays = stays.filter(|member| !remove.contains(&member.device));
        let there: BTreeSet<AccountId> = stays
            .chain(add.iter().map(KeyPackage::member))
            .map(|member| member.account)
            .collect();
        record.keep_roles(|account| there.contains(&account));
        let other = record.generation.holders != before.record.generation.holders;
        if !remove.is_empty() || other {
            record.generation.number = record.generation.number.saturating_add(1);
            record.generation.check = None;
        } else if !add.is_empty() {
            record.generation.check = Some(before.check);
        }
        record
    }
}
