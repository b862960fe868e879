//! A call's second way: over a forwarder, sealed (SFrame, RFC 9605) because it passes somebody else's machine in between. The
//! connection between the two sides stays beside it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_media::sframe::Sealer;

use super::voice::Shared;
use crate::paths::{self, Way};

/// Where a call's voice is sent, for whoever decides the way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outlet(Arc<Shared>);

/// The way over a forwarder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Detour {
    connection: Connection,
    sealer: Arc<Mutex<Sealer>>,
    /// The other side's round-trip time to the forwarder.
    beyond: Arc<Mutex<Duration>>,
}

impl Outlet {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// From now on what is said goes over the forwarder; `None`: over the call's own connection.
    pub fn take(&self, detour: Option<Detour>) {
        *self.0.detour() = detour;
    }

    /// Whether the call's own connection goes straight from machine to machine; `None` where there is none.
    pub fn is_direct(&self) -> Option<bool> {
        let wire = self.0.wire().clone()?;
        paths::travel(&wire).map(|travel| travel.direct)
    }
}

impl Detour {
    /// Over this connection to a forwarder.
    pub fn new(connection: Connection, sealer: Sealer) -> Self {
        Self {
            connection,
            sealer: Arc::new(Mutex::new(sealer)),
            beyond: Arc::default(),
        }
    }

    /// Seals and sends; whether it went.
    pub fn send(&self, plain: &[u8]) -> bool {
        let mut sealer = self.sealer.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = sealer.seal(plain);
        drop(sealer);
        self.connection.send_datagram(sealed.into()).is_ok()
    }

    /// The way to the forwarder.
    pub fn way(&self) -> Option<Way> {
        paths::way(&self.connection)
    }

    /// From here to the forwarder and back.
    pub fn own_rtt(&self) -> Duration {
        paths::travel(&self.connection).map_or(Duration::ZERO, |travel| travel.rtt)
    }

    /// The other side told how far it has to the forwarder.
    pub fn learn(&self, beyond: Duration) {
        *self.beyond.lock().unwrap_or_else(PoisonError::into_inner) = beyond;
    }

    /// From here to the other side and back.
    pub fn rtt(&self) -> Duration {
        self.own_rtt() + *self.beyond.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
