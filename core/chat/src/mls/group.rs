//! One group in hand: who is in it, its tag, what is sealed in it, and the end of an epoch.

use std::fmt;

use openmls::prelude::OpenMlsProvider as _;
use openmls_traits::crypto::OpenMlsCrypto;
use starling_wire::credential::Member;
use starling_wire::ids::{EpochTag, GroupId};

use super::client::{Client, Live, Provider, read_context};
use super::error::{MergeError, SealError, StateError};
use super::identity::{Identity, Members};
use super::open::{Commit, Looked};
use super::rows::{Branch, Place};
use super::suite::Suite;
use super::{TAG_LABEL, TEXT_MAX};

/// A group of a [`Client`].
pub struct Group<'a> {
    pub(super) client: &'a mut Client,
    pub(super) place: Place,
}

/// One device of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// Its place in the tree; of someone who left, a later one takes it over.
    pub index: u32,
    /// Who it is.
    pub member: Member,
}

/// What a group's work needs, borrowed apart.
pub(super) struct Parts<'a> {
    pub provider: &'a Provider,
    pub identity: &'a Identity,
    pub members: &'a mut Members,
    pub live: &'a mut Live,
}

impl<'a> Group<'a> {
    /// Of a group that is in memory.
    pub(super) fn in_hand(client: &'a mut Client, place: Place) -> Self {
        Self { client, place }
    }

    /// Its id.
    pub const fn id(&self) -> GroupId {
        self.place.group
    }

    /// Which of its states this is.
    pub const fn branch(&self) -> Branch {
        self.place.branch
    }

    /// Its suite.
    pub fn suite(&self) -> Result<Suite, StateError> {
        Suite::of(self.live().mls.ciphersuite()).ok_or(StateError::Unreadable)
    }

    /// The number of its epoch. Another branch may have an epoch of the same number.
    pub fn epoch(&self) -> u64 {
        self.live().mls.epoch().as_u64()
    }

    /// Whether this device is in it.
    pub fn is_member(&self) -> bool {
        self.live().mls.is_active()
    }

    /// Our record of it.
    pub fn context(&self) -> Result<&[u8], StateError> {
        read_context(self.live().mls.extensions()).ok_or(StateError::Unreadable)
    }

    /// How many devices are in it.
    pub fn leaf_count(&self) -> usize {
        self.live().mls.members().count()
    }

    /// The devices in it, in the order of the tree.
    pub fn members(&mut self) -> Result<Vec<Leaf>, StateError> {
        let Parts { members, live, .. } = self.parts();
        live.mls
            .members()
            .map(|leaf| {
                let member = members.read(&leaf.credential);
                Ok(Leaf {
                    index: leaf.index.u32(),
                    member: member.map_err(|_| StateError::Unreadable)?,
                })
            })
            .collect()
    }

    /// The tag of its epoch.
    pub fn tag(&self) -> Result<EpochTag, StateError> {
        let bytes = self.export(TAG_LABEL, 16)?;
        bytes
            .try_into()
            .map(EpochTag)
            .map_err(|_| StateError::Fault)
    }

    /// A secret of the epoch that all members and nobody else can derive (RFC 9420 section 8.5). The label says for what.
    pub fn export(&self, label: &str, length: usize) -> Result<Vec<u8>, StateError> {
        let live = self.live();
        if !live.mls.is_active() {
            return Err(StateError::NotMember);
        }
        live.mls
            .export_secret(self.client.provider.crypto(), label, &[], length)
            .map_err(|_| StateError::Fault)
    }

    /// What a member needs who lost the group's state and comes back by [`Client::rejoin`]: signed by this device. Without the
    /// tree it is small, and [`Group::tree`] goes beside it.
    pub fn group_info(&mut self, with_tree: bool) -> Result<Vec<u8>, StateError> {
        let Parts {
            provider,
            identity,
            live,
            ..
        } = self.parts();
        if !live.mls.is_active() {
            return Err(StateError::NotMember);
        }
        let info = live
            .mls
            .export_group_info(provider.crypto(), identity, with_tree);
        let info = info.map_err(|_| StateError::Fault)?;
        info.to_bytes().map_err(|_| StateError::Fault)
    }

    /// The tree of all devices, for those whose Welcome does not carry it.
    pub fn tree(&self) -> Result<Vec<u8>, StateError> {
        use openmls::prelude::tls_codec::Serialize as _;
        let tree = self.live().mls.export_ratchet_tree();
        tree.tls_serialize_detached().map_err(|_| StateError::Fault)
    }

    /// Encrypts for all members. `aad` is signed with it and stands in the clear. The key is spent: the result goes out as it is,
    /// however often it has to be sent.
    pub fn seal(&mut self, text: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
        if text.len() > TEXT_MAX || aad.len() > TEXT_MAX {
            return Err(SealError::TooLong);
        }
        let Parts {
            provider,
            identity,
            live,
            ..
        } = self.parts();
        if !live.mls.is_active() {
            return Err(StateError::NotMember.into());
        }
        live.unwritten = true;
        live.mls.set_aad(aad.to_vec());
        provider.storage.hold(true);
        let sealed = live.mls.create_message(provider, identity, text);
        provider.storage.hold(false);
        let sealed = sealed.map_err(|_| StateError::Fault)?;
        Ok(sealed.to_bytes().map_err(|_| StateError::Fault)?)
    }

    /// Ends the epoch with a commit, ours or another's.
    pub fn follow(&mut self, looked: Looked) -> Result<(), MergeError> {
        match looked {
            Looked::Commit(commit) => self.merge(*commit),
            Looked::Own(_) => self.merge_own(),
            Looked::OwnRejoin(_) => self.adopt_rejoin(),
        }
    }

    /// Ends the epoch with a commit of another member. A commit of ours that waited is dropped; a copy still has it.
    pub fn merge(&mut self, commit: Commit) -> Result<(), MergeError> {
        if commit.place != self.place || commit.epoch != self.epoch() {
            return Err(MergeError::Stale);
        }
        self.change(|Parts { provider, live, .. }| {
            live.mls
                .merge_staged_commit(provider, *commit.staged)
                .map_err(|_| StateError::Fault)
        })?;
        self.forget_own_commits();
        Ok(())
    }

    /// Ends the epoch with the commit of ours that waits.
    pub fn merge_own(&mut self) -> Result<(), MergeError> {
        if self.live().mls.pending_commit().is_none() {
            return Err(MergeError::Nothing);
        }
        self.change(|Parts { provider, live, .. }| {
            live.mls
                .merge_pending_commit(provider)
                .map_err(|_| StateError::Fault)
        })?;
        self.forget_own_commits();
        Ok(())
    }

    /// Does something to the group that either happens whole or leaves it as it was, in the rows and in memory.
    pub(super) fn change<T, E: From<StateError>>(
        &mut self,
        work: impl FnOnce(Parts<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let place = self.place;
        self.client.write_secrets(place)?;
        let outcome = self.client.whole(|client| work(parts(client, place)));
        if outcome.is_err() {
            self.reload()?;
        }
        outcome
    }

    /// Reads the group anew from its rows.
    pub(super) fn reload(&mut self) -> Result<(), StateError> {
        let before = self.client.live.remove(&self.place);
        if self.client.load(self.place) == Ok(true) {
            return Ok(());
        }
        // Whoever has the group in hand keeps one in memory.
        self.client
            .live
            .extend(before.map(|live| (self.place, live)));
        Err(StateError::Unreadable)
    }

    pub(super) fn live(&self) -> &Live {
        let live = self.client.live.get(&self.place);
        live.expect("a group in hand is in memory")
    }

    pub(super) fn parts(&mut self) -> Parts<'_> {
        parts(self.client, self.place)
    }
}

impl fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({:?}, {:?})", self.place.group, self.place.branch)
    }
}

/// Borrows a client's parts for a group that is in memory, and says so to the storage.
fn parts(client: &mut Client, place: Place) -> Parts<'_> {
    client.provider.storage.enter(place);
    let live = client.live.get_mut(&place);
    Parts {
        provider: &client.provider,
        identity: &client.identity,
        members: &mut client.members,
        live: live.expect("a group in hand is in memory"),
    }
}

/// The tag of the epoch after a commit; none if it removes this device.
pub(super) fn next_tag(
    crypto: &impl OpenMlsCrypto,
    staged: &openmls::group::StagedCommit,
) -> Option<EpochTag> {
    let bytes = staged.export_secret(crypto, TAG_LABEL, &[], 16).ok()?;
    bytes.try_into().ok().map(EpochTag)
}
