//! The way to the overlay for the rest of the supernode.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use starling_protocol::index::holder::PutRefusal;
use starling_protocol::index::resolver::LONGEST;
use starling_wire::descriptor::{Descriptor, SignedDescriptor, VerifiedDescriptor};
use starling_wire::ids::EndpointKey;
use starling_wire::overlay::IndexRefusal;
use starling_wire::placement::IndexKey;
use starling_wire::record::{Kind, RecordError, SignedRecord, VerifiedRecord};
use tokio::sync::{mpsc, oneshot};

use crate::clock::random;
use crate::transport::overlay::{Peer, Place};
use crate::transport::relay_server::block_of;

/// A look-up ends by itself; this is for one that was not even begun.
const LOOKUP_TIME: Duration = LONGEST.saturating_add(Duration::from_secs(1));

/// What the rest of the supernode asks.
pub(super) enum OverlayInput {
    /// A client's record: keep it, bring it to its holders.
    Publish {
        record: Box<VerifiedRecord>,
        block: Option<IpAddr>,
        kept: oneshot::Sender<Result<(), PutRefusal>>,
    },
    /// A client wants a record.
    Lookup {
        key: IndexKey,
        found: oneshot::Sender<Option<SignedRecord>>,
    },
    /// Clients at home here, in percent of those that fit.
    Load(u8),
    /// Ask some others how full they are.
    LoadWanted,
    /// What they said lately.
    OthersLoad(oneshot::Sender<Option<u8>>),
    /// Hand everything over and say goodbye.
    Leave(oneshot::Sender<()>),
}

/// Asks the overlay. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::drivers::supernode) struct Overlay {
    inputs: mpsc::Sender<OverlayInput>,
    seen: Seen,
}

impl Overlay {
    pub(super) const fn new(inputs: mpsc::Sender<OverlayInput>, seen: Seen) -> Self {
        Self { inputs, seen }
    }

    /// Keeps a client's record where it belongs. `block` is where in the network the client sits.
    pub(in crate::drivers::supernode) async fn publish(
        &self,
        record: VerifiedRecord,
        block: Option<IpAddr>,
    ) -> Result<(), PutRefusal> {
        let (kept, answer) = oneshot::channel();
        let record = Box::new(record);
        let input = OverlayInput::Publish {
            record,
            block,
            kept,
        };
        self.inputs
            .send(input)
            .await
            .map_err(|_| PutRefusal::Full)?;
        answer.await.unwrap_or(Err(PutRefusal::Full))
    }

    /// A client's record was refused.
    pub(in crate::drivers::supernode) fn count(&self, kind: Kind, why: Refused) {
        self.seen.count(kind, why);
    }

    /// Looks a record up, here and at its holders.
    pub(in crate::drivers::supernode) async fn look_up(
        &self,
        key: IndexKey,
    ) -> Option<SignedRecord> {
        let (found, answer) = oneshot::channel();
        let input = OverlayInput::Lookup { key, found };
        self.inputs.send(input).await.ok()?;
        tokio::time::timeout(LOOKUP_TIME, answer).await.ok()?.ok()?
    }

    /// Some of the other supernodes, by chance.
    pub(in crate::drivers::supernode) fn some(&self, count: usize) -> Vec<SignedDescriptor> {
        self.seen.some_signed(count)
    }

    /// Some that keep mailboxes, this one among them, by chance; nobody twice from one block of addresses as long as there are others.
    pub(in crate::drivers::supernode) fn holders(&self, count: usize) -> Vec<SignedDescriptor> {
        self.seen.holders(count)
    }

    /// The other supernodes that are known.
    pub(in crate::drivers::supernode) fn members(&self) -> usize {
        self.seen.members().len()
    }

    /// How many others are known, what is held and what was refused, in words.
    pub(in crate::drivers::supernode) fn words(&self) -> Vec<String> {
        self.seen.words()
    }

    /// How full this supernode is.
    pub(in crate::drivers::supernode) async fn load(&self, percent: u8) {
        let _ = self.inputs.send(OverlayInput::Load(percent)).await;
    }

    /// Asks some others how full they are.
    pub(in crate::drivers::supernode) async fn ask_load(&self) {
        let _ = self.inputs.send(OverlayInput::LoadWanted).await;
    }

    /// How full others are, by what some of them said lately.
    pub(in crate::drivers::supernode) async fn others_load(&self) -> Option<u8> {
        let (said, answer) = oneshot::channel();
        let input = OverlayInput::OthersLoad(said);
        self.inputs.send(input).await.ok()?;
        answer.await.ok()?
    }

    /// The other supernodes, by their keys.
    pub(in crate::drivers::supernode) fn keys(&self) -> Vec<EndpointKey> {
        self.seen.members()
    }

    /// A member, and where it is.
    pub(in crate::drivers::supernode) fn peer(&self, key: EndpointKey) -> Peer {
        let place = self.seen.read().members.get(&key).map(place_of);
        Peer { key, place }
    }

    /// Hands everything over and says goodbye.
    pub(in crate::drivers::supernode) async fn leave(&self) {
        let (left, done) = oneshot::channel();
        if self.inputs.send(OverlayInput::Leave(left)).await.is_ok() {
            let _ = done.await;
        }
    }
}

/// Where a supernode says that it is.
pub(super) fn place_of(description: &VerifiedDescriptor) -> Place {
    Place {
        at: description.get().at.clone(),
        udp_port: description.get().udp_port,
        packet_port: description.get().packet_port,
    }
}

/// What the driver knows and others may see.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<RwLock<Lists>>);

#[derive(Debug, Default)]
struct Lists {
    own: Option<VerifiedDescriptor>,
    members: BTreeMap<EndpointKey, VerifiedDescriptor>,
    records: usize,
    refused: BTreeMap<(Kind, Refused), u64>,
}

/// Why a record was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(in crate::drivers::supernode) enum Refused {
    /// It does not verify.
    #[error(transparent)]
    Invalid(#[from] RecordError),
    /// The index has no use for it.
    #[error(transparent)]
    ByIndex(#[from] PutRefusal),
    /// Who brought it is no member.
    #[error(transparent)]
    ByRule(#[from] IndexRefusal),
}

impl Seen {
    /// Whether it is new.
    pub(super) fn insert(&self, member: &VerifiedDescriptor) -> bool {
        let before = self.write().members.insert(member.id(), member.clone());
        before.is_none()
    }

    pub(super) fn remove(&self, member: EndpointKey) {
        self.write().members.remove(&member);
    }

    pub(super) fn contains(&self, member: EndpointKey) -> bool {
        self.read().members.contains_key(&member)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read().members.is_empty()
    }

    /// `INDEX-27`: one more record of this kind was refused for this reason.
    pub(super) fn count(&self, kind: Kind, why: Refused) {
        *self.write().refused.entry((kind, why)).or_default() += 1;
    }

    /// So many records are held.
    pub(super) fn hold(&self, records: usize) {
        self.write().records = records;
    }

    fn words(&self) -> Vec<String> {
        let lists = self.read();
        let held = format!(
            "{} other supernodes known, {} records held",
            lists.members.len(),
            lists.records
        );
        let refused = lists.refused.iter();
        let refused =
            refused.map(|((kind, why), count)| format!("{kind} refused {count} times: {why}"));
        std::iter::once(held).chain(refused).collect()
    }

    /// Some, by chance.
    pub(super) fn some(&self, count: usize) -> Vec<Descriptor> {
        let signed = self.some_signed(count).into_iter();
        signed.map(|one| one.descriptor).collect()
    }

    fn some_signed(&self, count: usize) -> Vec<SignedDescriptor> {
        // From a place by chance on: enough to spread those who ask.
        let start = EndpointKey(random());
        let lists = self.read();
        let later = lists.members.range(start..);
        let earlier = lists.members.range(..start);
        let some = later.chain(earlier).take(count);
        some.map(|(_, member)| member.signed().clone()).collect()
    }

    /// What this supernode says about itself from now on.
    pub(super) fn describe(&self, own: VerifiedDescriptor) {
        self.write().own = Some(own);
    }

    fn holders(&self, count: usize) -> Vec<SignedDescriptor> {
        let start = EndpointKey(random());
        let lists = self.read();
        let later = lists.members.range(start..);
        let earlier = lists.members.range(..start);
        let others = later.chain(earlier).map(|(_, member)| member);
        let (mut chosen, mut again) = (Vec::new(), Vec::new());
        let mut blocks = BTreeSet::new();
        for one in lists
            .own
            .iter()
            .chain(others)
            .filter(|one| one.get().roles.mailbox)
        {
            match blocks.insert(block_of(one.get().at.tcp.ip())) {
                true => chosen.push(one.signed().clone()),
                false => again.push(one.signed().clone()),
            }
        }
        chosen.extend(again);
        chosen.truncate(count);
        chosen
    }

    fn members(&self) -> Vec<EndpointKey> {
        self.read().members.keys().copied().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Lists> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Lists> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refused {
    /// As the other supernode is told.
    pub(super) const fn told(self) -> IndexRefusal {
        match self {
            Self::Invalid(_) => IndexRefusal::Invalid,
            Self::ByRule(refusal) => refusal,
            Self::ByIndex(PutRefusal::Older | PutRefusal::Conflict | PutRefusal::Changed) => {
                IndexRefusal::Older
            }
            Self::ByIndex(PutRefusal::NotHolder) => IndexRefusal::NotHolder,
            Self::ByIndex(PutRefusal::Full | PutRefusal::TooMany | PutRefusal::BlockFull) => {
                IndexRefusal::Full
            }
        }
    }
}
