//! A device's side of all its groups: its identity, its rows, the groups it has in memory.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::SigningKey;
use openmls::group::{
    GroupId as MlsGroupId, MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupJoinConfig,
    NewGroupError, PastEpochDeletionPolicy,
};
use openmls::prelude::{
    Extension, ExtensionType, Extensions, GroupContext, RequiredCapabilitiesExtension,
    SenderRatchetConfiguration, UnknownExtension,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use starling_wire::credential::{Credential, Member};
use starling_wire::ids::GroupId;

use super::error::{CreateError, StateError};
use super::group::Group;
use super::identity::{Identity, IdentityError, Members, capabilities};
use super::key_package::lifetime;
use super::rows::{Branch, Changes, Kind, LoadError, Place, Rows, group_key, group_start};
use super::storage::{Storage, StorageError};
use super::suite::Suite;
use super::{CONTEXT_EXTENSION, CONTEXT_MAX, FORWARD_MAX, OUT_OF_ORDER_MAX, PAST_EPOCHS};

/// A device in its groups.
///
/// Every input may change rows. The driver takes the changes of a drain with [`Client::take_changes`] and commits them in one
/// transaction with everything else of that drain, before anything of it is sent. If the transaction fails the client is ahead of
/// the disk: it is dropped and loaded again.
pub struct Client {
    pub(super) provider: Provider,
    pub(super) identity: Identity,
    pub(super) members: Members,
    pub(super) live: BTreeMap<Place, Live>,
}

/// A group in memory.
pub(super) struct Live {
    pub mls: MlsGroup,
    /// Whether its message secrets are newer than their row.
    pub unwritten: bool,
    /// The first epoch whose secrets are here. Of the one before an external commit openmls keeps some that open nothing.
    pub began: u64,
}

/// What openmls works with. Its random numbers come from the operating system.
pub(super) struct Provider {
    pub storage: Storage,
    crypto: RustCrypto,
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Storage;

    fn storage(&self) -> &Storage {
        &self.storage
    }

    fn crypto(&self) -> &RustCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto
    }
}

/// Why a client cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The device's key and credential.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What was stored.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Client {
    /// With the device's key, its credential, and the rows that were stored: none on a new device.
    pub fn new(
        key: &SigningKey,
        credential: &Credential,
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            provider: Provider {
                storage: Storage::new(Rows::load(rows)?),
                crypto: RustCrypto::default(),
            },
            identity: Identity::new(key, credential)?,
            members: Members::default(),
            live: BTreeMap::new(),
        })
    }

    /// Who this device is.
    pub const fn member(&self) -> Member {
        self.identity.member()
    }

    /// Another credential for the same device, after a change of the account. Groups learn it with the next own commit.
    pub fn set_credential(
        &mut self,
        key: &SigningKey,
        credential: &Credential,
    ) -> Result<(), IdentityError> {
        let identity = Identity::new(key, credential)?;
        let (new, old) = (identity.member(), self.member());
        if (new.account, new.device) != (old.account, old.device) {
            return Err(IdentityError::OtherDevice);
        }
        self.identity = identity;
        Ok(())
    }

    /// All rows that changed since the last time. Message secrets of groups that opened or sealed something are written here,
    /// once, however many messages there were.
    pub fn take_changes(&mut self) -> Result<Changes, StateError> {
        let places: Vec<_> = self.live.keys().copied().collect();
        for place in places {
            self.write_secrets(place)?;
        }
        Ok(self.provider.storage.rows(Rows::take_changes))
    }

    /// Groups that have a state that counts.
    pub fn groups(&self) -> Vec<GroupId> {
        let places = self.provider.storage.rows(|rows| rows.places());
        let main = places.into_iter().filter(|at| at.branch == Branch::MAIN);
        main.map(|at| at.group).collect()
    }

    /// Makes a group with this device in it. `context` is our own record of the group, opaque here.
    pub fn create(
        &mut self,
        group: GroupId,
        suite: Suite,
        context: &[u8],
        now_s: u64,
    ) -> Result<Group<'_>, CreateError> {
        let place = main(group);
        if self.load(place)? {
            return Err(CreateError::Exists);
        }
        let extensions = context_extensions(context).ok_or(CreateError::Context)?;
        self.provider.storage.enter(place);
        let mls = MlsGroup::builder()
            .with_group_id(MlsGroupId::from_slice(group.as_bytes()))
            .with_wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .ciphersuite(suite.ciphersuite())
            .lifetime(lifetime(now_s))
            .with_capabilities(capabilities())
            .with_group_context_extensions(extensions)
            .sender_ratchet_configuration(ratchet())
            .set_past_epoch_deletion_policy(past_epochs())
            .build(
                &self.provider,
                &self.identity,
                self.identity.credential_with_key(),
            )
            .map_err(|error: NewGroupError<StorageError>| match error {
                NewGroupError::GroupAlreadyExists => CreateError::Exists,
                _ => CreateError::State(StateError::Fault),
            })?;
        self.keep(place, mls, 0);
        Ok(Group::in_hand(self, place))
    }

    /// A group that this device has, or had.
    pub fn group(&mut self, group: GroupId) -> Result<Option<Group<'_>>, StateError> {
        self.branch(group, Branch::MAIN)
    }

    /// A copy of it. What its branch lost is still read there.
    pub fn branch(
        &mut self,
        group: GroupId,
        branch: Branch,
    ) -> Result<Option<Group<'_>>, StateError> {
        let place = Place { branch, group };
        let there = self.load(place)?;
        Ok(there.then(|| Group::in_hand(self, place)))
    }

    /// Takes away all that is known of a group, copies included.
    pub fn remove(&mut self, group: GroupId) {
        self.live.retain(|place, _| place.group != group);
        self.provider.storage.rows(|rows| {
            for place in rows.places() {
                if place.group == group {
                    rows.clear(&group_start(place));
                }
            }
        });
    }

    /// Lets go of the memory of groups that are not in use; their rows stay.
    pub fn unload(&mut self) -> Result<(), StateError> {
        let places: Vec<_> = self.live.keys().copied().collect();
        for place in places {
            self.write_secrets(place)?;
        }
        self.live.clear();
        Ok(())
    }

    /// Whether there is a group, which then is in memory.
    pub(super) fn load(&mut self, place: Place) -> Result<bool, StateError> {
        if self.live.contains_key(&place) {
            return Ok(true);
        }
        self.provider.storage.enter(place);
        let id = MlsGroupId::from_slice(place.group.as_bytes());
        let Some(mls) = MlsGroup::load(&self.provider.storage, &id)? else {
            return Ok(false);
        };
        let began = self
            .provider
            .storage
            .read_at(&group_key(place, Kind::Began, &[]))?;
        self.keep(place, mls, began.unwrap_or_default());
        Ok(true)
    }

    pub(super) fn keep(&mut self, place: Place, mls: MlsGroup, began: u64) {
        let live = Live {
            mls,
            unwritten: false,
            began,
        };
        self.live.insert(place, live);
    }

    /// Brings the row of a group's message secrets up to date. openmls writes it when it is told the policy that it has.
    pub(super) fn write_secrets(&mut self, place: Place) -> Result<(), StateError> {
        let Some(live) = self.live.get_mut(&place).filter(|live| live.unwritten) else {
            return Ok(());
        };
        self.provider.storage.enter(place);
        live.mls
            .set_past_epoch_deletion_policy(&self.provider, past_epochs())
            .map_err(|_| StateError::Unreadable)?;
        live.unwritten = false;
        Ok(())
    }

    /// Does something to rows that is taken back whole if it fails.
    pub(super) fn whole<T, E>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.provider.storage.rows(Rows::begin);
        let outcome = work(self);
        let keep = outcome.is_ok();
        self.provider.storage.rows(|rows| rows.end(keep));
        outcome
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.member())
    }
}

pub(super) const fn main(group: GroupId) -> Place {
    Place {
        branch: Branch::MAIN,
        group,
    }
}

/// How a device that joins sets up its side.
pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .sender_ratchet_configuration(ratchet())
        .set_past_epoch_deletion_policy(past_epochs())
        .build()
}

/// The extensions of a group's context: our record, and that every leaf must know what it is. None if it is too large.
pub(super) fn context_extensions(context: &[u8]) -> Option<Extensions<GroupContext>> {
    if context.len() > CONTEXT_MAX {
        return None;
    }
    let record = Extension::Unknown(CONTEXT_EXTENSION, UnknownExtension(context.to_vec()));
    Extensions::from_vec(vec![required(), record]).ok()
}

/// The record in a group's extensions (`MLS-07`): they are as we write them, and nothing else.
pub(super) fn read_context(extensions: &Extensions<GroupContext>) -> Option<&[u8]> {
    let mut all = extensions.iter();
    let (Some(first), Some(second), None) = (all.next(), all.next(), all.next()) else {
        return None;
    };
    let Extension::Unknown(CONTEXT_EXTENSION, record) = second else {
        return None;
    };
    let ours = *first == required() && record.0.len() <= CONTEXT_MAX;
    ours.then_some(record.0.as_slice())
}

/// openmls takes an extension of the group context only if it is required of all leaves.
fn required() -> Extension {
    let extension = ExtensionType::Unknown(CONTEXT_EXTENSION);
    Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(&[extension], &[], &[]))
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_MAX, FORWARD_MAX)
}

fn past_epochs() -> PastEpochDeletionPolicy {
    PastEpochDeletionPolicy::MaxEpochs(PAST_EPOCHS)
}
