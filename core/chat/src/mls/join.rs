//! How this device comes into a group: by a Welcome, or, having lost the group, by an external commit in the place of its own leaf.
//!
//! The external commit waits like any other commit until it has won: openmls ends the epoch at once, so the new state stands in a
//! branch of its own until it is adopted.

use openmls::group::{
    ExternalCommitBuilderError, JoinBuilder, MlsGroup, ProcessedWelcome, StagedWelcome,
    WelcomeError,
};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, RatchetTreeIn,
    Welcome,
};
use starling_wire::credential::Member;
use starling_wire::ids::{EpochTag, GroupId};

use super::client::{Client, join_config, main, read_context};
use super::error::{JoinError, MergeError, StateError};
use super::group::Group;
use super::identity::capabilities;
use super::rows::{Branch, Kind, Place, group_key, group_start};
use super::stage::{Outgoing, remember};
use super::storage::StorageError;
use super::suite::Suite;
use super::{LEAVES_MAX, TREE_MAX};

/// A group that this device came into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Which.
    pub group: GroupId,
    /// Who took it in.
    pub by: Member,
}

impl Client {
    /// Comes in by a Welcome. `tree` is what stood beside it, if it does not carry the tree. The key package is used up, unless
    /// the Welcome is refused.
    pub fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<Joined, JoinError> {
        let MlsMessageBodyIn::Welcome(welcome) = read_message(welcome)? else {
            return Err(JoinError::Malformed);
        };
        let tree = tree.map(read_tree).transpose()?;
        self.whole(|client| client.enter_by(welcome, tree))
    }

    /// Comes back to a group whose state this device lost, or cannot follow any more: an external commit from a member's
    /// [`Group::group_info`]. It waits until [`Group::adopt_rejoin`] or [`Client::adopt_rejoin`].
    pub fn rejoin(
        &mut self,
        info: &[u8],
        tree: Option<&[u8]>,
    ) -> Result<(GroupId, Outgoing), JoinError> {
        let MlsMessageBodyIn::GroupInfo(info) = read_message(info)? else {
            return Err(JoinError::Malformed);
        };
        let tree = match info.extensions().ratchet_tree() {
            Some(inside) => inside.ratchet_tree().clone(),
            None => read_tree(tree.ok_or(JoinError::NoTree)?)?,
        };
        let group = group_id(info.group_id())?;
        self.check_return(&info, &tree)?;
        self.live.remove(&rejoin(group));
        let outgoing = self.whole(|client| client.commit_from_outside(group, info, tree));
        if outgoing.is_err() {
            self.live.remove(&rejoin(group));
        }
        Ok((group, outgoing?))
    }

    /// Makes the state after an external commit of ours the one that counts. `false` if none waits.
    pub fn adopt_rejoin(&mut self, group: GroupId) -> Result<bool, StateError> {
        let (waiting, counts) = (rejoin(group), main(group));
        if !self.load(waiting)? {
            return Ok(false);
        }
        self.write_secrets(waiting)?;
        self.live.remove(&waiting);
        self.live.remove(&counts);
        self.provider.storage.rows(|rows| {
            rows.copy(waiting, counts);
            rows.clear(&group_start(waiting));
        });
        if let Some(mut there) = self.group(group)? {
            there.forget_own_commits();
        }
        Ok(true)
    }

    /// Drops an external commit of ours that waits.
    pub fn drop_rejoin(&mut self, group: GroupId) {
        let waiting = rejoin(group);
        self.live.remove(&waiting);
        self.provider
            .storage
            .rows(|rows| rows.clear(&group_start(waiting)));
    }

    fn enter_by(
        &mut self,
        welcome: Welcome,
        tree: Option<RatchetTreeIn>,
    ) -> Result<Joined, JoinError> {
        let config = join_config();
        let processed = ProcessedWelcome::new_from_welcome(&self.provider, &config, welcome)
            .map_err(refused_welcome)?;
        let group = group_id(processed.unverified_group_info().group_id())?;
        let inside = processed
            .unverified_group_info()
            .extensions()
            .ratchet_tree();
        let inside = inside.map(|tree| tree.ratchet_tree().leaves().count());
        let outside = tree.as_ref().map(|tree| tree.leaves().count());
        if inside.or(outside).is_some_and(|leaves| leaves > LEAVES_MAX) {
            return Err(JoinError::Foreign);
        }
        let place = main(group);
        if self.load(place)? {
            if self.live[&place].mls.is_active() {
                return Err(JoinError::Present);
            }
            self.live.remove(&place);
        }
        self.provider
            .storage
            .rows(|rows| rows.clear(&group_start(place)));
        self.provider.storage.enter(place);
        // Lifetimes of leaves that were never renewed are no reason to stay outside.
        let mut builder = JoinBuilder::new(&self.provider, processed).skip_lifetime_validation();
        if let Some(tree) = tree {
            builder = builder.with_ratchet_tree(tree);
        }
        let staged = builder.build().map_err(refused_welcome)?;
        let by = self.check_welcome(&staged)?;
        let mls = staged.into_group(&self.provider).map_err(refused_welcome)?;
        self.keep(place, mls, 0);
        Ok(Joined { group, by })
    }

    /// Everybody who is there, and that it is a group of Starling. Tells who took this device in.
    fn check_welcome(&mut self, staged: &StagedWelcome) -> Result<Member, JoinError> {
        let context = staged.group_context();
        let known = Suite::of(context.ciphersuite()).is_some();
        if !known || read_context(context.extensions()).is_none() {
            return Err(JoinError::Foreign);
        }
        for leaf in staged.members() {
            self.members.verify(&leaf.credential, &leaf.signature_key)?;
        }
        let by = staged.welcome_sender().map_err(|_| JoinError::Invalid)?;
        Ok(self.members.read(by.credential())?)
    }

    /// The same before an external commit, and that this device is there.
    fn check_return(
        &mut self,
        info: &VerifiableGroupInfo,
        tree: &RatchetTreeIn,
    ) -> Result<(), JoinError> {
        let context = info.group_context();
        let known = Suite::of(context.ciphersuite()).is_some();
        if !known || read_context(context.extensions()).is_none() {
            return Err(JoinError::Foreign);
        }
        if tree.leaves().count() > LEAVES_MAX {
            return Err(JoinError::Foreign);
        }
        let own = self.member();
        let mut there = false;
        for leaf in tree.leaves() {
            let key = leaf.signature_key().as_slice();
            let member = self.members.verify(leaf.credential(), key)?;
            there |= (member.account, member.device) == (own.account, own.device);
        }
        there.then_some(()).ok_or(JoinError::Stranger)
    }

    fn commit_from_outside(
        &mut self,
        group: GroupId,
        info: VerifiableGroupInfo,
        tree: RatchetTreeIn,
    ) -> Result<Outgoing, JoinError> {
        let place = rejoin(group);
        self.provider
            .storage
            .rows(|rows| rows.clear(&group_start(place)));
        self.provider.storage.enter(place);
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .build();
        let (mls, bundle) = MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(join_config())
            .skip_lifetime_validation()
            .build_group(&self.provider, info, self.identity.credential_with_key())
            .map_err(refused_info)?
            .leaf_node_parameters(leaf)
            .load_psks(&self.provider.storage)
            .and_then(|builder| {
                let (rand, crypto) = (self.provider.rand(), self.provider.crypto());
                builder.build(rand, crypto, &self.identity, |_| true)
            })
            .map_err(|_| JoinError::Invalid)?
            .finalize(&self.provider)
            .map_err(|_| StateError::Fault)?;
        let commit = bundle.commit().to_bytes().map_err(|_| StateError::Fault)?;
        remember(&self.provider, place, &commit)?;
        let began = mls.epoch().as_u64();
        self.provider
            .storage
            .write_at(group_key(place, Kind::Began, &[]), &began)?;
        self.keep(place, mls, began);
        let next = Group::in_hand(self, place).tag()?;
        Ok(Outgoing {
            commit,
            welcome: None,
            tree: None,
            next,
        })
    }
}

impl Group<'_> {
    /// Makes the state after an external commit of ours the one that counts.
    pub fn adopt_rejoin(&mut self) -> Result<(), MergeError> {
        let adopted = self.client.adopt_rejoin(self.place.group)?;
        self.client.load(self.place)?;
        adopted.then_some(()).ok_or(MergeError::Nothing)
    }

    /// The tag of the epoch that an external commit of ours leads to, while it waits.
    pub(super) fn pending_rejoin(&mut self) -> Option<EpochTag> {
        let place = rejoin(self.place.group);
        self.client.load(place).ok()?.then_some(())?;
        Group::in_hand(self.client, place).tag().ok()
    }
}

const fn rejoin(group: GroupId) -> Place {
    Place {
        branch: Branch::REJOIN,
        group,
    }
}

fn read_message(bytes: &[u8]) -> Result<MlsMessageBodyIn, JoinError> {
    if bytes.len() > TREE_MAX {
        return Err(JoinError::Malformed);
    }
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes);
    message
        .map(MlsMessageIn::extract)
        .map_err(|_| JoinError::Malformed)
}

fn read_tree(bytes: &[u8]) -> Result<RatchetTreeIn, JoinError> {
    if bytes.len() > TREE_MAX {
        return Err(JoinError::Malformed);
    }
    RatchetTreeIn::tls_deserialize_exact_bytes(bytes).map_err(|_| JoinError::Malformed)
}

fn group_id(id: &openmls::group::GroupId) -> Result<GroupId, JoinError> {
    let bytes = id.as_slice().try_into();
    bytes.map(GroupId).map_err(|_| JoinError::Foreign)
}

fn refused_welcome(error: WelcomeError<StorageError>) -> JoinError {
    match error {
        WelcomeError::NoMatchingKeyPackage | WelcomeError::JoinerSecretNotFound => {
            JoinError::NoKeyPackage
        }
        WelcomeError::MissingRatchetTree => JoinError::NoTree,
        WelcomeError::UnsupportedCiphersuite(_)
        | WelcomeError::UnsupportedMlsVersion
        | WelcomeError::UnsupportedCapability
        | WelcomeError::UnsupportedExtensions => JoinError::Foreign,
        WelcomeError::GroupAlreadyExists => JoinError::Present,
        WelcomeError::StorageError(error) => error.into(),
        _ => JoinError::Invalid,
    }
}

fn refused_info(error: ExternalCommitBuilderError<StorageError>) -> JoinError {
    match error {
        ExternalCommitBuilderError::MissingRatchetTree => JoinError::NoTree,
        ExternalCommitBuilderError::UnsupportedCiphersuite(_) => JoinError::Foreign,
        ExternalCommitBuilderError::StorageError(error) => error.into(),
        _ => JoinError::Invalid,
    }
}
