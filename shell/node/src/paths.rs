//! Open paths to contacts: what `status` shows under "which path to whom", and a call under "direct" or "relay". An entry
//! lives as long as the guard its driver keeps beside the connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::TransportAddr;
use iroh::endpoint::{Connection, WeakConnectionHandle};
use starling_wire::ids::AccountId;

/// How packets of a connection travel at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Travel {
    /// Straight from machine to machine, or through a relay.
    pub direct: bool,
    /// The other end: its address, or the relay's.
    pub remote: String,
    /// Measured round-trip time.
    pub rtt: Duration,
}

/// An open path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPath {
    /// To whom.
    pub account: AccountId,
    /// What for.
    pub purpose: &'static str,
    /// How.
    pub travel: Travel,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Paths(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    open: BTreeMap<u64, (AccountId, &'static str, WeakConnectionHandle)>,
}

/// Takes the entry out when dropped.
#[derive(Debug)]
pub struct PathGuard {
    paths: Arc<Paths>,
    number: u64,
}

impl Paths {
    /// From now on this connection is shown.
    pub fn enter(
        self: &Arc<Self>,
        account: AccountId,
        purpose: &'static str,
        connection: &Connection,
    ) -> PathGuard {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.next += 1;
        let number = entries.next;
        let entry = (account, purpose, connection.weak_handle());
        entries.open.insert(number, entry);
        PathGuard {
            paths: Arc::clone(self),
            number,
        }
    }

    /// Those whose connection is up.
    pub fn list(&self) -> Vec<OpenPath> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open =
            |(account, purpose, handle): &(AccountId, &'static str, WeakConnectionHandle)| {
                let travel = travel(&handle.upgrade()?)?;
                Some(OpenPath {
                    account: *account,
                    purpose,
                    travel,
                })
            };
        entries.open.values().filter_map(open).collect()
    }
}

impl Drop for PathGuard {
    fn drop(&mut self) {
        let mut entries = self.paths.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.open.remove(&self.number);
    }
}

/// The selected path of a connection; `None` when it is closed.
pub fn travel(connection: &Connection) -> Option<Travel> {
    let paths = connection.paths();
    let path = paths.iter().find(|path| path.is_selected())?;
    let remote = match path.remote_addr() {
        TransportAddr::Ip(address) => address.to_string(),
        TransportAddr::Relay(url) => url.to_string(),
        other => format!("{other:?}"),
    };
    Some(Travel {
        direct: path.is_ip(),
        remote,
        rtt: path.rtt(),
    })
}
