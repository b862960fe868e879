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

/// Which way packets go: over which connection, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    connection: usize,
    remote: String,
}

/// An open path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPath {
    /// To whom.
    pub account: AccountId,
    /// What for.
    pub purpose: &'static str,
    /// Whether the other end is a forwarder, which passes on what is sent.
    pub forwarded: bool,
    /// How.
    pub travel: Travel,
}

impl OpenPath {
    /// In one word: the rung.
    pub const fn kind(&self) -> &'static str {
        match (self.forwarded, self.travel.direct) {
            (true, _) => FORWARDED,
            (false, true) => "direct",
            (false, false) => "relay",
        }
    }
}

/// The rung between a direct way and the relay.
pub const FORWARDED: &str = "forwarded";

/// All of them.
#[derive(Debug, Default)]
pub struct Paths(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    account: AccountId,
    purpose: &'static str,
    forwarded: bool,
    connection: WeakConnectionHandle,
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
        self.put(Entry {
            account,
            purpose,
            forwarded: false,
            connection: connection.weak_handle(),
        })
    }

    /// And this one, to a forwarder, for a call with this person.
    pub fn enter_forwarded(
        self: &Arc<Self>,
        account: AccountId,
        connection: &Connection,
    ) -> PathGuard {
        self.put(Entry {
            account,
            purpose: "call",
            forwarded: true,
            connection: connection.weak_handle(),
        })
    }

    fn put(self: &Arc<Self>, entry: Entry) -> PathGuard {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.next += 1;
        let number = entries.next;
        entries.open.insert(number, entry);
        PathGuard {
            paths: Arc::clone(self),
            number,
        }
    }

    /// Those whose connection is up.
    pub fn list(&self) -> Vec<OpenPath> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |entry: &Entry| {
            Some(OpenPath {
                account: entry.account,
                purpose: entry.purpose,
                forwarded: entry.forwarded,
                travel: travel(&entry.connection.upgrade()?)?,
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

/// How many packets came on the selected path so far.
pub fn packets_heard(connection: &Connection) -> Option<u64> {
    let paths = connection.paths();
    let path = paths.iter().find(|path| path.is_selected())?;
    Some(path.stats().udp_rx.datagrams)
}

/// The way that a connection's packets go; `None` when it is closed.
pub fn way(connection: &Connection) -> Option<Way> {
    travel(connection).map(|travel| Way {
        connection: connection.stable_id(),
        remote: travel.remote,
    })
}
