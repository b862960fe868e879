//! Changes of ours: a commit that waits until it is known to have won.

use std::collections::BTreeSet;

use openmls::group::MlsGroup;
use openmls::prelude::tls_codec::Serialize as _;
use openmls::prelude::{
    CreateCommitError, LeafNodeIndex, LeafNodeParameters, OpenMlsProvider as _,
};
use openmls::treesync::RatchetTree;
use starling_wire::ids::{DeviceId, EpochTag};

use super::client::context_extensions;
use super::error::{StageError, StateError};
use super::group::{Group, Parts, next_tag};
use super::key_package::KeyPackage;
use super::rows::{Kind, Place, encode, group_key};
use super::{ADDS_MAX, CONTEXT_MAX, LEAVES_MAX, TREE_INSIDE_MAX};

/// What a commit changes. Every commit gives its author new keys besides; an empty change does only that.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Devices to take in, at most [`ADDS_MAX`].
    pub add: Vec<KeyPackage>,
    /// Devices to remove.
    pub remove: Vec<DeviceId>,
    /// Another record of the group.
    pub context: Option<Vec<u8>>,
}

/// What goes out for a commit of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The commit: to all members.
    pub commit: Vec<u8>,
    /// To the devices that it takes in, once it is settled and not before.
    pub welcome: Option<Vec<u8>>,
    /// Beside the Welcome, if it does not carry the tree.
    pub tree: Option<Vec<u8>>,
    /// The tag of the epoch that begins with it.
    pub next: EpochTag,
}

impl Group<'_> {
    /// Prepares a commit. It waits in the rows; nothing of the group changes before [`Group::merge_own`]. `aad` is signed
    /// with it and stands in the clear of the MLS message.
    pub fn stage(&mut self, change: &Change, aad: &[u8]) -> Result<Outgoing, StageError> {
        if !self.is_member() {
            return Err(StateError::NotMember.into());
        }
        if self.live().mls.pending_commit().is_some() {
            return Err(StageError::Pending);
        }
        let removed = self.check(change)?;
        let place = self.place;
        self.change(|parts| build(parts, place, change, removed, aad))
    }

    /// Drops the commit of ours that waits, if there is one. Should it have won all the same, this device has to rejoin.
    pub fn clear_pending(&mut self) -> Result<(), StateError> {
        self.change(|Parts { provider, live, .. }| {
            Ok(live.mls.clear_pending_commit(&provider.storage)?)
        })
    }

    /// The tag of the epoch that the commit of ours leads to, while it waits.
    pub fn pending(&self) -> Option<EpochTag> {
        let staged = self.live().mls.pending_commit()?;
        next_tag(self.client.provider.crypto(), staged)
    }

    /// Hashes of the commits that this device made in this epoch, the last one last.
    pub(super) fn own_commits(&self) -> Result<Vec<[u8; 32]>, StateError> {
        let key = group_key(self.place, Kind::OwnCommits, &[]);
        Ok(self
            .client
            .provider
            .storage
            .read_at(&key)?
            .unwrap_or_default())
    }

    pub(super) fn forget_own_commits(&mut self) {
        let key = group_key(self.place, Kind::OwnCommits, &[]);
        self.client
            .provider
            .storage
            .rows(|rows| rows.set(key, None));
    }

    /// The places of the leaves to remove, if the change can be made.
    fn check(&mut self, change: &Change) -> Result<Vec<LeafNodeIndex>, StageError> {
        let suite = self.suite()?;
        let leaves = self.members()?;
        let own = self.client.member().device;
        if change.add.len() > ADDS_MAX || leaves.len() + change.add.len() > LEAVES_MAX {
            return Err(StageError::TooMany);
        }
        if change
            .context
            .as_ref()
            .is_some_and(|context| context.len() > CONTEXT_MAX)
        {
            return Err(StageError::Context);
        }
        let mut present: BTreeSet<_> = leaves.iter().map(|leaf| leaf.member.device).collect();
        let mut removed = Vec::new();
        for device in &change.remove {
            let leaf = leaves.iter().find(|leaf| leaf.member.device == *device);
            match leaf {
                Some(leaf) if *device != own && present.remove(device) => {
                    removed.push(LeafNodeIndex::new(leaf.index));
                }
                _ => return Err(StageError::NotThere),
            }
        }
        for package in &change.add {
            if package.suite() != suite {
                return Err(StageError::Suite);
            }
            if !present.insert(package.member().device) {
                return Err(StageError::Present);
            }
        }
        Ok(removed)
    }
}

fn build(
    Parts {
        provider,
        identity,
        live,
        ..
    }: Parts<'_>,
    place: Place,
    change: &Change,
    removed: Vec<LeafNodeIndex>,
    aad: &[u8],
) -> Result<Outgoing, StageError> {
    let mls = &mut live.mls;
    let leaves = mls.members().count() + change.add.len() - removed.len();
    let inside = leaves <= TREE_INSIDE_MAX;
    mls.set_aad(aad.to_vec());
    let leaf = LeafNodeParameters::builder()
        .with_credential_with_key(identity.credential_with_key())
        .build();
    let mut builder = mls
        .commit_builder()
        .force_self_update(true)
        .leaf_node_parameters(leaf)
        .propose_adds(change.add.iter().map(|package| package.inner.clone()))
        .propose_removals(removed);
    if let Some(context) = &change.context {
        let extensions = context_extensions(context).ok_or(StageError::Context)?;
        builder = builder
            .propose_group_context_extensions(extensions)
            .map_err(refused)?;
    }
    let bundle = builder
        .load_psks(&provider.storage)
        .and_then(|builder| {
            builder.use_ratchet_tree_extension(inside).build(
                provider.rand(),
                provider.crypto(),
                identity,
                |_| true,
            )
        })
        .map_err(refused)?
        .stage_commit(provider)
        .map_err(|_| StateError::Fault)?;
    let commit = bundle.commit().to_bytes().map_err(|_| StateError::Fault)?;
    let welcome = bundle.to_welcome_msg();
    let welcome = welcome.map(|welcome| welcome.to_bytes().map_err(|_| StateError::Fault));
    remember(provider, place, &commit)?;
    let next = mls
        .pending_commit()
        .and_then(|staged| next_tag(provider.crypto(), staged));
    let tree = (welcome.is_some() && !inside).then(|| next_tree(mls, provider.crypto()));
    Ok(Outgoing {
        commit,
        welcome: welcome.transpose()?,
        tree: tree.transpose()?,
        next: next.ok_or(StateError::Fault)?,
    })
}

/// What openmls refuses of a change that was checked is a fault, but for a package whose time it judges by its own clock.
fn refused(error: CreateCommitError) -> StageError {
    match error {
        CreateCommitError::ProposalValidationError(_) => StageError::NotThere,
        _ => StageError::State(StateError::Fault),
    }
}

/// The tree after the commit that waits.
fn next_tree(
    mls: &MlsGroup,
    crypto: &openmls_rust_crypto::RustCrypto,
) -> Result<Vec<u8>, StateError> {
    let staged = mls.pending_commit().ok_or(StateError::Fault)?;
    let tree: Option<RatchetTree> = staged
        .export_ratchet_tree(crypto, mls.export_ratchet_tree())
        .map_err(|_| StateError::Fault)?;
    let tree = tree.ok_or(StateError::Fault)?;
    tree.tls_serialize_detached().map_err(|_| StateError::Fault)
}

/// Notes that a commit is ours: encrypted, it cannot be read by its author.
pub(super) fn remember(
    provider: &super::client::Provider,
    place: Place,
    commit: &[u8],
) -> Result<(), StateError> {
    let key = group_key(place, Kind::OwnCommits, &[]);
    let mut hashes: Vec<[u8; 32]> = provider.storage.read_at(&key)?.unwrap_or_default();
    hashes.push(*blake3::hash(commit).as_bytes());
    let value = encode(&hashes)?;
    provider
        .storage
        .rows(|rows| rows.set(key, Some(value.into())));
    Ok(())
}
