//! What a supernode finds out for others: whether they are reached at their own address, and how fast they send (spec page
//! `overlay.md`, `DIAL-01` to `DIAL-04`).

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use starling_protocol::overlay::dial_back::{DIAL_BACKS, Gate, MEASUREMENTS};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{Answer, Ports, Reached, Refusal};
use tokio::sync::Semaphore;

use super::Service;
use crate::clock::Clock;
use crate::transport::reach;

/// Dial-backs at once.
const DIALS_MAX: usize = 16;

/// Who has asked lately, and how many are being dialled.
#[derive(Debug)]
pub(super) struct DialBacks {
    clock: Clock,
    dials: Mutex<Gate>,
    measurements: Mutex<Gate>,
    running: Semaphore,
}

impl DialBacks {
    /// Nobody has asked.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            dials: Mutex::new(Gate::new(DIAL_BACKS)),
            measurements: Mutex::new(Gate::new(MEASUREMENTS)),
            running: Semaphore::new(DIALS_MAX),
        }
    }
}

impl Service {
    /// `DIAL-01`: only at the address that the asker's packets come from, and only the asker's own key.
    pub(super) async fn dial_back(
        &self,
        asker: EndpointKey,
        ports: Ports,
    ) -> Result<Answer, Refusal> {
        // Whoever finds no place has not used up his turn.
        let running = self.dial_backs.running.try_acquire();
        let _place = running.map_err(|_| Refusal::Full)?;
        let ip = self.admitted(&self.dial_backs.dials, asker)?.to_canonical();
        let at = |port| SocketAddr::new(ip, port);
        let (tcp, udp) = tokio::join!(
            reach::over_tcp(asker, at(ports.tcp)),
            reach::over_udp(asker, at(ports.udp)),
        );
        Ok(Answer::Reached(Reached { ip, tcp, udp }))
    }

    /// What was sent is here; the asker knows how long it took.
    pub(super) fn upstream(&self, asker: EndpointKey) -> Result<Answer, Refusal> {
        self.admitted(&self.dial_backs.measurements, asker)?;
        Ok(Answer::Ok)
    }

    /// `DIAL-03`: the asker's address, if it may ask now.
    fn admitted(
        &self,
        gate: &Mutex<Gate>,
        asker: EndpointKey,
    ) -> Result<std::net::IpAddr, Refusal> {
        let ip = self.relay.address_of(asker);
        let ip = ip.ok_or(Refusal::NotRegistered)?;
        // Of this process itself there is no block.
        let block = self.relay.block_of(asker).unwrap_or(ip);
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let may = gate.admit(asker, ip, block, self.dial_backs.clock.now());
        may.then_some(ip).ok_or(Refusal::TooSoon)
    }
}
