//! A member's side of conversations' logs: what is left in the boxes of one generation at its holders, and what is collected there
//! (ALPN `starling/1/log`, spec page `mailbox.md`). Owns the machines `mailbox::depositor` and `mailbox::collector`.
//!
//! A [`Log`] is one generation of one conversation. It does not know what entries say. What has to survive is handed to its
//! [`Keeper`] before anything that follows from it is sent or told.

mod link;
mod log;
mod visit;

use std::pin::Pin;
use std::sync::Arc;

use starling_protocol::mailbox::depositor::DepositError;
use starling_store::StoreError;
use starling_wire::ids::{EndpointKey, EntryId, NetworkId};
use starling_wire::log::frames::{Answer, Ask, Refusal};
use starling_wire::log::grant::SignedGrant;
use starling_wire::log::keys::Generation;
use starling_wire::log::{Entry, Kind};
use starling_wire::ordering::statement::{Known, Receipt};
use starling_wire::ordering::{HOLDERS_MAX, Slot};
use starling_wire::supernode::{Answer as Told, Request, SupernodeAddr};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use self::log::{Input, Running};
use crate::clock::{Clock, wall_s};
use crate::roles::carrier::Carrier;
use crate::transport::front_door::FrontDoor;
use crate::transport::relay_server::block_of;
use crate::transport::requests::{RequestError, Supernodes};

pub use starling_protocol::mailbox::depositor::Standing;

/// Connections to boxes at once: a home supernode has 64 tunnels for a front door.
const VISITS_MAX: usize = 48;
/// What the owner of a log wants and was not done yet.
const INPUTS_MAX: usize = 64;

/// Work that ends some time.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gets a grant to open boxes, or why there is none.
pub type Granter = Arc<dyn Fn() -> Later<'static, Result<SignedGrant, RequestError>> + Send + Sync>;

/// What all logs of a device work with.
#[derive(Clone)]
pub struct Desk {
    /// The way to holders.
    pub door: Arc<FrontDoor>,
    /// Whose connections of this process are not carried for others.
    pub carrier: Carrier,
    /// Time.
    pub clock: Clock,
    /// Grants.
    pub granter: Granter,
    visits: Arc<Semaphore>,
}

/// One generation of a conversation, and what is known of it already.
#[derive(Debug, Clone)]
pub struct Start {
    /// Keys and holders.
    pub generation: Generation,
    /// Where each holder is.
    pub homes: Vec<SupernodeAddr>,
    /// Up to where each was read.
    pub cursors: Vec<(EndpointKey, u64)>,
    /// Entries that are here already.
    pub seen: Vec<EntryId>,
    /// What was left and is not everywhere yet.
    pub pending: Vec<Pending>,
}

/// Something to be left, with the receipts that there are.
#[derive(Debug, Clone)]
pub struct Pending {
    /// What and where.
    pub kind: (Kind, Slot),
    /// Sealed and padded.
    pub body: Arc<[u8]>,
    /// Who has it.
    pub receipts: Vec<Known<Receipt>>,
}

/// What has to be on disk before the log goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A holder has an entry.
    Receipt(Known<Receipt>),
    /// An entry that was not seen before.
    Entry(Entry),
    /// A holder was read up to here.
    Cursor {
        /// Which.
        holder: EndpointKey,
        /// The number.
        number: u64,
    },
}

/// Who keeps it.
pub trait Keeper: Send + Sync + 'static {
    /// All of it, in one transaction. What fails is tried again, and the log stands still until then.
    fn keep(&self, kept: Vec<Kept>) -> Later<'_, Result<(), StoreError>>;
}

/// What becomes of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// Both keys were shown at a holder.
    Entered(EndpointKey),
    /// A connection has ended, or there was none, for this reason.
    Away(EndpointKey, Away),
    /// An entry has so many copies in different blocks of addresses.
    Held {
        /// Which.
        entry: EntryId,
        /// How many.
        by: usize,
    },
    /// An entry has to be encrypted again in the epoch that followed.
    Stale(EntryId),
    /// No holder takes an entry.
    Failed(EntryId, Refusal),
    /// All that a holder had is here.
    CaughtUp(EndpointKey),
    /// At a holder something made room before it was read.
    Gap {
        /// Where.
        holder: EndpointKey,
        /// Read up to here.
        after: u64,
        /// The last one that made room.
        up_to: u64,
    },
    /// No holder has this entry, which others name.
    Missing(EntryId),
    /// A holder sent what no member signed.
    Wrong(EndpointKey),
    /// A holder has no such box.
    NoBox(EndpointKey),
    /// A holder stops, or was silent for a day: another one is needed.
    Lost(EndpointKey),
    /// A box takes nothing after this day.
    Closing(EndpointKey, u32),
    /// About slots: a promise, a vote, that one is settled or untouched, a refusal. Nobody has looked at it.
    Said(EndpointKey, Answer),
}

/// Why a holder is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// It did not answer.
    #[error("the mailbox holder could not be reached")]
    Unreachable,
    /// It keeps nothing for others.
    #[error("that machine keeps no mailboxes, or no more")]
    NoMailbox,
    /// The connection was lost, or what came was no answer.
    #[error("the connection to the mailbox holder was lost")]
    Lost,
    /// It was not needed any more.
    #[error("there is nothing to be said to the mailbox holder")]
    Silence,
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No supernode grants a box.
    #[error("no supernode grants a box now")]
    NoGrant,
}

/// Why a log was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// None, too many, or one twice.
    #[error("a conversation has one to three different mailbox holders")]
    Holders,
    /// It is not known where a holder is.
    #[error("it is not known where a mailbox holder of the conversation is")]
    Unknown,
    /// The log has ended.
    #[error("the conversation's log is not open any more")]
    Ended,
    /// It cannot be left.
    #[error(transparent)]
    Deposit(#[from] DepositError),
}

/// One generation's log. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Log {
    inputs: mpsc::Sender<Input>,
    _task: JoinSet<()>,
}

impl Desk {
    /// No connection is open.
    pub fn new(door: Arc<FrontDoor>, carrier: Carrier, clock: Clock, granter: Granter) -> Self {
        Self {
            door,
            carrier,
            clock,
            granter,
            visits: Arc::new(Semaphore::new(VISITS_MAX)),
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Log {
    /// Begins where it was left. Holders are dialled when there is something to say to them, or always after [`Self::stay`].
    pub fn start(
        desk: Desk,
        start: Start,
        keeper: Arc<dyn Keeper>,
    ) -> Result<(Self, mpsc::Receiver<LogEvent>), LogError> {
        let (inputs, wanted) = mpsc::channel(INPUTS_MAX);
        let (running, events) = Running::new(desk, start, keeper)?;
        let mut task = JoinSet::new();
        task.spawn(running.run(wanted));
        let log = Self {
            inputs,
            _task: task,
        };
        Ok((log, events))
    }

    /// Leaves a sealed and padded body at all holders. It is on the caller's disk already.
    pub async fn deposit(&self, kind: (Kind, Slot), body: Arc<[u8]>) -> Result<EntryId, LogError> {
        let (answer, answered) = oneshot::channel();
        self.send(Input::Deposit { kind, body, answer }).await?;
        Ok(answered.await.map_err(|_| LogError::Ended)??)
    }

    /// An entry that was left is not needed any more.
    pub async fn drop_entry(&self, entry: EntryId) -> Result<(), LogError> {
        self.send(Input::Drop(entry)).await
    }

    /// How an entry that is not everywhere yet stands at each holder; nothing for others.
    pub async fn standing(&self, entry: EntryId) -> Result<Vec<(EndpointKey, Standing)>, LogError> {
        let (answer, answered) = oneshot::channel();
        self.send(Input::Standing(entry, answer)).await?;
        answered.await.map_err(|_| LogError::Ended)
    }

    /// Asks a holder about slots, or closes the box; what it says comes as [`LogEvent::Said`] or [`LogEvent::Closing`].
    pub async fn ask(&self, holder: EndpointKey, ask: Ask) -> Result<(), LogError> {
        self.send(Input::Ask(holder, Box::new(ask))).await
    }

    /// Looks for an entry that others name.
    pub async fn want(&self, entry: EntryId) -> Result<(), LogError> {
        self.send(Input::Want(entry)).await
    }

    /// Asks all holders once what is new.
    pub async fn collect(&self) -> Result<(), LogError> {
        self.send(Input::Collect).await
    }

    /// Whether connections stay up and hear of what is new at once.
    pub async fn stay(&self, stay: bool) -> Result<(), LogError> {
        self.send(Input::Stay(stay)).await
    }

    /// Whether this device has a network; at first it has none. Said again, it has another one: connections begin anew.
    pub async fn online(&self, online: bool) -> Result<(), LogError> {
        self.send(Input::Online(online)).await
    }

    async fn send(&self, input: Input) -> Result<(), LogError> {
        self.inputs.send(input).await.map_err(|_| LogError::Ended)
    }
}

/// Some machines that keep boxes, three at most, in as many different blocks of addresses as there are.
pub async fn find_holders(
    supernodes: &Supernodes,
    home: &SupernodeAddr,
    network: Option<NetworkId>,
) -> Result<Vec<SupernodeAddr>, RequestError> {
    let Told::Supernodes(told) = supernodes.ask(home, &Request::Holders).await? else {
        return Err(RequestError::Unexpected);
    };
    let now = wall_s();
    let known = told.iter().filter_map(|one| one.verify(network, now).ok());
    let holders = known.filter(|one| one.get().roles.mailbox);
    let mut places: Vec<SupernodeAddr> = Vec::new();
    for place in holders.map(|one| one.get().at.clone()) {
        if !places.iter().any(|other| other.id == place.id) {
            places.push(place);
        }
    }
    // The first of each block first.
    let mut blocks = std::collections::BTreeSet::new();
    let (mut chosen, again): (Vec<_>, Vec<_>) = places
        .into_iter()
        .partition(|place| blocks.insert(block_of(place.tcp.ip())));
    chosen.extend(again);
    chosen.truncate(HOLDERS_MAX);
    Ok(chosen)
}

/// Asks a home supernode for a grant to open one box at each holder.
pub async fn ask_grant(
    supernodes: &Supernodes,
    home: &SupernodeAddr,
) -> Result<SignedGrant, RequestError> {
    match supernodes.ask(home, &Request::GrantBox).await? {
        Told::BoxGranted(grant) => Ok(grant),
        _ => Err(RequestError::Unexpected),
    }
}
