//! openmls' storage over [`Rows`]: every value in one row, read and written where the group in hand lies.
//!
//! openmls names a group by its id alone; which branch of it is meant is set before each call ([`Storage::enter`]), and a call
//! for another group fails. While messages are opened or sealed the message secrets are not written ([`Storage::hold`]): they
//! are large, and one write at the end of a batch is enough because it is in the same transaction as the messages.

use std::cell::{Cell, RefCell};

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::{Serialize, de::DeserializeOwned};

use super::rows::{CodecError, Kind, Place, Rows, decode, encode, group_key, own_key};

/// Where openmls keeps everything.
pub(super) struct Storage {
    rows: RefCell<Rows>,
    entered: RefCell<Option<Entered>>,
    held: Cell<bool>,
}

/// The group in hand.
struct Entered {
    place: Place,
    /// As openmls names it.
    id: Vec<u8>,
}

/// Why a row could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StorageError {
    /// A value that is not what its key says.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A group that was not entered: a bug of ours.
    #[error("the keys of another conversation were asked for")]
    OtherGroup,
}

type Outcome<T> = Result<T, StorageError>;

impl Storage {
    pub fn new(rows: Rows) -> Self {
        Self {
            rows: RefCell::new(rows),
            entered: RefCell::new(None),
            held: Cell::new(false),
        }
    }

    /// Calls from here on are for this group.
    pub fn enter(&self, place: Place) {
        let id = openmls::group::GroupId::from_slice(place.group.as_bytes());
        let id = encode(&id).expect("an id is bytes");
        *self.entered.borrow_mut() = Some(Entered { place, id });
    }

    /// Whether message secrets are left for later.
    pub fn hold(&self, held: bool) {
        self.held.set(held);
    }

    /// The rows, for as long as no call of openmls runs.
    pub fn rows<T>(&self, work: impl FnOnce(&mut Rows) -> T) -> T {
        work(&mut self.rows.borrow_mut())
    }

    /// Reads a row of ours.
    pub fn read_at<T: DeserializeOwned>(&self, key: &[u8]) -> Outcome<Option<T>> {
        let value = self.rows.borrow().get(key).cloned();
        Ok(value.map(|value| decode(&value)).transpose()?)
    }

    /// Writes a row of ours.
    pub fn write_at<T: Serialize + ?Sized>(&self, key: Vec<u8>, value: &T) -> Outcome<()> {
        let value = encode(value)?;
        self.rows.borrow_mut().set(key, Some(value.into()));
        Ok(())
    }

    fn delete_at(&self, key: Vec<u8>) {
        self.rows.borrow_mut().set(key, None);
    }

    fn key(&self, group: &impl Serialize, kind: Kind, rest: &[u8]) -> Outcome<Vec<u8>> {
        let entered = self.entered.borrow();
        let entered = entered.as_ref().ok_or(StorageError::OtherGroup)?;
        if encode(group)? != entered.id {
            return Err(StorageError::OtherGroup);
        }
        Ok(group_key(entered.place, kind, rest))
    }

    /// All rows of a kind, without the part of the key that they share.
    fn list(&self, group: &impl Serialize, kind: Kind) -> Outcome<Vec<(Vec<u8>, Vec<u8>)>> {
        let start = self.key(group, kind, &[])?;
        let rows = self.rows.borrow();
        let list = rows.starting_with(&start);
        Ok(list
            .map(|(key, value)| (key[start.len()..].to_vec(), value.to_vec()))
            .collect())
    }

    fn clear(&self, group: &impl Serialize, kind: Kind) -> Outcome<()> {
        let start = self.key(group, kind, &[])?;
        self.rows.borrow_mut().clear(&start);
        Ok(())
    }
}

/// Write, read and delete of a value that a group has once.
macro_rules! one_of_a_group {
    ($($kind:ident, $value:ident: $write:ident $(, $read:ident $(, $delete:ident)?)?;)*) => {$(
        fn $write<G: traits::GroupId<CURRENT_VERSION>, V: traits::$value<CURRENT_VERSION>>(
            &self,
            group: &G,
            value: &V,
        ) -> Outcome<()> {
            self.write_at(self.key(group, Kind::$kind, &[])?, value)
        }

        $(fn $read<G: traits::GroupId<CURRENT_VERSION>, V: traits::$value<CURRENT_VERSION>>(
            &self,
            group: &G,
        ) -> Outcome<Option<V>> {
            self.read_at(&self.key(group, Kind::$kind, &[])?)
        }

        $(fn $delete<G: traits::GroupId<CURRENT_VERSION>>(&self, group: &G) -> Outcome<()> {
            self.clear(group, Kind::$kind)
        })?)?
    )*};
}

/// Write and delete of a value of the device. How openmls orders the parameters of its reads differs.
macro_rules! one_of_the_device {
    ($($kind:ident, $name:ident, $value:ident: $write:ident, $delete:ident;)*) => {$(
        fn $write<K: traits::$name<CURRENT_VERSION>, V: traits::$value<CURRENT_VERSION>>(
            &self,
            name: &K,
            value: &V,
        ) -> Outcome<()> {
            self.write_at(own_key(Kind::$kind, &encode(name)?), value)
        }

        fn $delete<K: traits::$name<CURRENT_VERSION>>(&self, name: &K) -> Outcome<()> {
            self.delete_at(own_key(Kind::$kind, &encode(name)?));
            Ok(())
        }
    )*};
}

impl StorageProvider<CURRENT_VERSION> for Storage {
    type Error = StorageError;

    one_of_a_group! {
        JoinConfig, MlsGroupJoinConfig: write_mls_join_config, mls_group_join_config, delete_group_config;
        Tree, TreeSync: write_tree, tree, delete_tree;
        Context, GroupContext: write_context, group_context, delete_context;
        InterimTranscriptHash, InterimTranscriptHash:
            write_interim_transcript_hash, interim_transcript_hash, delete_interim_transcript_hash;
        ConfirmationTag, ConfirmationTag: write_confirmation_tag, confirmation_tag, delete_confirmation_tag;
        ResumptionSecrets, ResumptionPskStore:
            write_resumption_psk_store, resumption_psk_store, delete_all_resumption_psk_secrets;
        OwnLeafIndex, LeafNodeIndex: write_own_leaf_index, own_leaf_index, delete_own_leaf_index;
        EpochSecrets, GroupEpochSecrets: write_group_epoch_secrets, group_epoch_secrets, delete_group_epoch_secrets;
    }

    one_of_the_device! {
        KeyPackage, HashReference, KeyPackage: write_key_package, delete_key_package;
        SignatureKeyPair, SignaturePublicKey, SignatureKeyPair:
            write_signature_key_pair, delete_signature_key_pair;
        EncryptionKeyPair, EncryptionKey, HpkeKeyPair: write_encryption_key_pair, delete_encryption_key_pair;
        PreSharedKey, PskId, PskBundle: write_psk, delete_psk;
    }

    fn write_message_secrets<
        G: traits::GroupId<CURRENT_VERSION>,
        V: traits::MessageSecrets<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        secrets: &V,
    ) -> Outcome<()> {
        if self.held.get() {
            return Ok(());
        }
        self.write_at(self.key(group, Kind::MessageSecrets, &[])?, secrets)
    }

    fn message_secrets<
        G: traits::GroupId<CURRENT_VERSION>,
        V: traits::MessageSecrets<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
    ) -> Outcome<Option<V>> {
        self.read_at(&self.key(group, Kind::MessageSecrets, &[])?)
    }

    fn delete_message_secrets<G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Outcome<()> {
        self.clear(group, Kind::MessageSecrets)
    }

    fn write_group_state<
        V: traits::GroupState<CURRENT_VERSION>,
        G: traits::GroupId<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        state: &V,
    ) -> Outcome<()> {
        self.write_at(self.key(group, Kind::State, &[])?, state)
    }

    fn group_state<V: traits::GroupState<CURRENT_VERSION>, G: traits::GroupId<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Outcome<Option<V>> {
        self.read_at(&self.key(group, Kind::State, &[])?)
    }

    fn delete_group_state<G: traits::GroupId<CURRENT_VERSION>>(&self, group: &G) -> Outcome<()> {
        self.clear(group, Kind::State)
    }

    fn append_own_leaf_node<
        G: traits::GroupId<CURRENT_VERSION>,
        V: traits::LeafNode<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        leaf: &V,
    ) -> Outcome<()> {
        let next = self.list(group, Kind::OwnLeafNode)?.len() as u32;
        let key = self.key(group, Kind::OwnLeafNode, &next.to_be_bytes())?;
        self.write_at(key, leaf)
    }

    fn own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>, V: traits::LeafNode<CURRENT_VERSION>>(
        &self,
        group: &G,
    ) -> Outcome<Vec<V>> {
        let list = self.list(group, Kind::OwnLeafNode)?;
        let read = list.iter().map(|(_, value)| decode(value));
        Ok(read.collect::<Result<_, _>>()?)
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>>(&self, group: &G) -> Outcome<()> {
        self.clear(group, Kind::OwnLeafNode)
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        V: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        reference: &R,
        proposal: &V,
    ) -> Outcome<()> {
        let key = self.key(group, Kind::Proposal, &encode(reference)?)?;
        self.write_at(key, proposal)
    }

    fn queued_proposal_refs<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
    ) -> Outcome<Vec<R>> {
        let list = self.list(group, Kind::Proposal)?;
        let read = list.iter().map(|(reference, _)| decode(reference));
        Ok(read.collect::<Result<_, _>>()?)
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        V: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
    ) -> Outcome<Vec<(R, V)>> {
        let list = self.list(group, Kind::Proposal)?;
        let read = list
            .iter()
            .map(|(reference, value)| Ok((decode(reference)?, decode(value)?)));
        read.collect()
    }

    fn remove_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        reference: &R,
    ) -> Outcome<()> {
        self.delete_at(self.key(group, Kind::Proposal, &encode(reference)?)?);
        Ok(())
    }

    fn clear_proposal_queue<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
    ) -> Outcome<()> {
        self.clear(group, Kind::Proposal)
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        V: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
        pairs: &[V],
    ) -> Outcome<()> {
        let key = self.key(group, Kind::EpochKeyPairs, &encode(&(epoch, leaf))?)?;
        self.write_at(key, pairs)
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
        V: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Outcome<Vec<V>> {
        let key = self.key(group, Kind::EpochKeyPairs, &encode(&(epoch, leaf))?)?;
        Ok(self.read_at(&key)?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<
        G: traits::GroupId<CURRENT_VERSION>,
        E: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Outcome<()> {
        self.delete_at(self.key(group, Kind::EpochKeyPairs, &encode(&(epoch, leaf))?)?);
        Ok(())
    }

    fn key_package<
        K: traits::HashReference<CURRENT_VERSION>,
        V: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        name: &K,
    ) -> Outcome<Option<V>> {
        self.read_at(&own_key(Kind::KeyPackage, &encode(name)?))
    }

    fn signature_key_pair<
        K: traits::SignaturePublicKey<CURRENT_VERSION>,
        V: traits::SignatureKeyPair<CURRENT_VERSION>,
    >(
        &self,
        name: &K,
    ) -> Outcome<Option<V>> {
        self.read_at(&own_key(Kind::SignatureKeyPair, &encode(name)?))
    }

    fn encryption_key_pair<
        V: traits::HpkeKeyPair<CURRENT_VERSION>,
        K: traits::EncryptionKey<CURRENT_VERSION>,
    >(
        &self,
        name: &K,
    ) -> Outcome<Option<V>> {
        self.read_at(&own_key(Kind::EncryptionKeyPair, &encode(name)?))
    }

    fn psk<V: traits::PskBundle<CURRENT_VERSION>, K: traits::PskId<CURRENT_VERSION>>(
        &self,
        name: &K,
    ) -> Outcome<Option<V>> {
        self.read_at(&own_key(Kind::PreSharedKey, &encode(name)?))
    }
}
