//! How this machine stands between "the user allows it" and "it serves": whether the network asked it to, and what is in the
//! way. Kept over a restart: whoever served goes on, for its clients come back to it.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use starling_protocol::overlay::qualification::Obstacle;
use starling_store::{StoreError, Tx, settings};
use tokio::sync::Notify;

const SETTING: &str = "promoted";

/// Asked by the network to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// Where others reach it; `None`: at the address it has itself.
    pub at: Option<SocketAddr>,
}

/// One machine's standing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Asked by the network, and serving.
    pub promoted: Option<Promoted>,
    /// What is in the way otherwise.
    pub obstacle: Option<Obstacle>,
    /// It has run long enough to keep letters.
    pub keeps_letters: bool,
}

/// Shared by whoever decides and whoever shows it.
#[derive(Debug, Default)]
pub struct Candidacy {
    now: Mutex<Candidate>,
    /// The rules may be others: look again.
    pub reconsider: Notify,
}

impl Candidacy {
    /// As it is.
    pub fn get(&self) -> Candidate {
        *self.lock()
    }

    /// From now on; whether anything is new.
    pub fn set(&self, candidate: Candidate) -> bool {
        let before = std::mem::replace(&mut *self.lock(), candidate);
        before != candidate
    }

    /// Asked to serve, or no more.
    pub fn set_promoted(&self, promoted: Option<Promoted>) {
        self.lock().promoted = promoted;
    }

    fn lock(&self) -> MutexGuard<'_, Candidate> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As it was kept; what cannot be read counts as nothing.
pub fn load(tx: &Tx<'_>) -> Result<Option<Promoted>, StoreError> {
    let text = settings::get(tx, SETTING)?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// Keeps it.
pub fn store(tx: &Tx<'_>, promoted: Option<Promoted>) -> Result<(), StoreError> {
    let text = serde_json::to_string(&promoted);
    let text = text.map_err(|error| StoreError::Internal(error.to_string()))?;
    settings::set(tx, SETTING, &text)
}
