//! LAN discovery: mDNS (RFC 6762, 6763) under our own service name `_starling._tcp`. What is announced is the port of
//! this machine's supernode and the account's daily token; instance and host name are that token, so neither the person's
//! nor the machine's name is on the air. Only contacts recognise the token.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use data_encoding::HEXLOWER;
use mdns_sd::{Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use starling_wire::discovery::Token;
use starling_wire::supernode::is_private;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

const SERVICE: &str = "_starling._tcp.local.";
const DISCOVERY_PROPERTY: &str = "q";

/// Somebody's announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Daily token.
    pub token: Token,
    /// Where that machine's supernode answers.
    pub tcp: SocketAddr,
    /// Its UDP port for address discovery.
    pub discovery_port: u16,
}

/// Announces and listens until dropped.
pub struct Lan {
    daemon: ServiceDaemon,
    _listening: JoinSet<()>,
}

/// Why there is no LAN discovery.
#[derive(Debug, thiserror::Error)]
#[error("looking for contacts on the local network is not possible: {0}")]
pub struct LanError(#[from] mdns_sd::Error);

impl Lan {
    /// Starts to listen; what is seen goes to the channel.
    pub fn start(sightings: mpsc::Sender<Sighting>) -> Result<Self, LanError> {
        let daemon = ServiceDaemon::new()?;
        let events = daemon.browse(SERVICE)?;
        let mut listening = JoinSet::new();
        listening.spawn(listen(events, sightings));
        Ok(Self {
            daemon,
            _listening: listening,
        })
    }

    /// Announces this machine's supernode under `token`, in place of what was announced before.
    pub fn announce(
        &self,
        previous: Option<&Token>,
        token: &Token,
        address: SocketAddr,
        discovery_port: u16,
    ) -> Result<(), LanError> {
        if let Some(previous) = previous {
            self.daemon
                .unregister(&format!("{}.{SERVICE}", HEXLOWER.encode(previous)))?;
        }
        let name = HEXLOWER.encode(token);
        let properties = [(DISCOVERY_PROPERTY, discovery_port.to_string())];
        let host = format!("{name}.local.");
        let info = ServiceInfo::new(
            SERVICE,
            &name,
            &host,
            address.ip(),
            address.port(),
            &properties[..],
        )?;
        self.daemon.register(info)?;
        Ok(())
    }
}

impl std::fmt::Debug for Lan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lan").finish_non_exhaustive()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

async fn listen(events: Receiver<ServiceEvent>, sightings: mpsc::Sender<Sighting>) {
    while let Ok(event) = events.recv_async().await {
        let ServiceEvent::ServiceResolved(service) = event else {
            continue;
        };
        let name = service.get_fullname().split('.').next().unwrap_or_default();
        let Some(token) = HEXLOWER
            .decode(name.as_bytes())
            .ok()
            .and_then(|bytes| Token::try_from(bytes).ok())
        else {
            debug!("ignored a LAN announcement whose name is no token");
            continue;
        };
        let discovery_port = service
            .get_property_val_str(DISCOVERY_PROPERTY)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        // An announcement may name any address; only this network's own are believed.
        for ip in service
            .get_addresses_v4()
            .into_iter()
            .map(IpAddr::V4)
            .filter(|ip| is_private(*ip))
        {
            let tcp = SocketAddr::new(ip, service.get_port());
            if sightings
                .send(Sighting {
                    token,
                    tcp,
                    discovery_port,
                })
                .await
                .is_err()
            {
                return;
            }
        }
    }
    // The daemon ended; give its thread time to close its sockets before the task goes.
    tokio::time::sleep(Duration::from_millis(10)).await;
}
