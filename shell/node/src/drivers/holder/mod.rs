//! The mailbox holder: conversations' logs that this machine keeps for others, beside its supernode (ALPN `starling/1/log`, spec page
//! `mailbox.md`). Owns the machine `mailbox::holder`; the switch, the cap and the meter of the mailbox role count for it.
//!
//! One loop drives the machine: what came in meanwhile is put to it one after the other, what it wants on disk is committed in one
//! transaction, and only then anything is answered. Each connection has a task of its own.

mod keeper;
mod rows;
mod visit;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use iroh::endpoint::Connection;
use starling_protocol::mailbox::holder::{Caps, Connection as Who, Figures};
use starling_store::StoreError;
use starling_wire::ids::EndpointKey;
use starling_wire::log::frames::{Ask, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::keeper::Keeper;
pub use self::rows::today;
use crate::clock::Clock;
use crate::db::Db;
use crate::roles::carrier::Carrier;

/// What was asked and was not looked at yet; a body of 1 MiB may be with each.
const INPUTS_MAX: usize = 64;
/// So much of the disk stays free for this machine's own user, in bytes.
const RESERVE: u64 = 256 * 1024 * 1024;
/// For telling everybody that this holder stops.
const LEAVING_TIME: Duration = Duration::from_secs(2);

/// What a holder works with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it keeps things.
    pub db: Db,
    /// Of which the disk may not fill up.
    pub folder: PathBuf,
    /// The supernode's key: it signs what the holder states.
    pub key: SigningKey,
    /// Time.
    pub clock: Clock,
    /// Whether the role is on, how much may pass, how much has passed.
    pub carrier: Carrier,
    /// How much it keeps at most.
    pub caps: Caps,
}

/// What the loop hears.
#[derive(Debug)]
pub enum Input {
    /// Somebody connected, from this block of addresses.
    Arrived(Connection, IpAddr),
    /// Somebody asks something; the body of a deposit is with it.
    Asked(Who, Box<Ask>, Arc<[u8]>),
    /// Somebody says what cannot be read.
    Unreadable(Who),
    /// A connection has ended.
    Gone(Who),
    /// It keeps so much at most, from now on.
    Caps(Caps),
    /// Whose grants count from now on, beside the own ones.
    Issuers(BTreeSet<EndpointKey>),
    /// Stop: those who are here are told that another holder is needed if the role is over.
    Stop(oneshot::Sender<()>),
}

/// What a holder has and what it refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// How much it keeps, and who is connected.
    pub figures: Figures,
    /// How often it refused something, and why.
    pub refused: BTreeMap<Refusal, u64>,
    /// It gives what it has for a while, and takes no more messages.
    pub leaving: bool,
    /// The disk has no room for more.
    pub crowded: bool,
}

/// The way to the running holder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MailboxHolder {
    inputs: mpsc::Sender<Input>,
    shown: Arc<Mutex<Shown>>,
}

impl MailboxHolder {
    /// Takes up what was kept; the loop runs in `tasks`.
    pub async fn start(setup: Setup, tasks: &mut JoinSet<()>) -> Result<Self, StoreError> {
        let (inputs, asked) = mpsc::channel(INPUTS_MAX);
        let shown = Arc::new(Mutex::default());
        let keeper = Keeper::new(setup, inputs.clone(), Arc::clone(&shown)).await?;
        tasks.spawn(keeper.run(asked));
        Ok(Self { inputs, shown })
    }

    /// Somebody connected to a box.
    pub async fn attend(&self, connection: Connection, block: IpAddr) {
        let _ = self.inputs.send(Input::Arrived(connection, block)).await;
    }

    /// It keeps so much at most; what is above that stays until it expires.
    pub async fn set_caps(&self, caps: Caps) {
        let _ = self.inputs.send(Input::Caps(caps)).await;
    }

    /// These may grant boxes.
    pub async fn set_issuers(&self, issuers: BTreeSet<EndpointKey>) {
        let _ = self.inputs.send(Input::Issuers(issuers)).await;
    }

    /// Ends all connections, after telling why.
    pub async fn stop(&self) {
        let (told, all_told) = oneshot::channel();
        if self.inputs.send(Input::Stop(told)).await.is_ok() {
            let _ = tokio::time::timeout(LEAVING_TIME, all_told).await;
        }
    }

    /// As it stands.
    pub fn shown(&self) -> Shown {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
