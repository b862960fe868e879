//! LAN discovery: mDNS (RFC 6762, 6763) under our own service name `_starling._tcp`. What is announced is the port of
//! this machine's supernode and the account's daily token; instance and host name are that token, so neither the person's
//! nor the machine's name is on the air. Only contacts recognise the token. Decisions are `protocol::overlay::lan`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use starling_protocol::overlay::lan::{self as rules, Announcement, Sighting};
use starling_wire::discovery;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::home::HomeInput;
use crate::clock::wall_s;
use crate::context::Context;

const SERVICE: &str = "_starling._tcp.local.";
const DISCOVERY_PROPERTY: &str = "q";
/// How often it is checked that what is announced is still true: the day, and whether this machine serves.
const CHECK: Duration = Duration::from_secs(60);

/// Why there is no LAN discovery.
#[derive(Debug, thiserror::Error)]
#[error("contacts on the local network cannot be looked for: {0}")]
pub struct LanError(#[from] mdns_sd::Error);

/// Supernodes, which announce themselves openly: key, address, and that they serve somebody.
const SUPERNODES: &str = "_starling-node._tcp.local.";
const KEY_PROPERTY: &str = "k";

/// Announces and listens until the session ends.
pub async fn run(ctx: Arc<Context>, home: mpsc::Sender<HomeInput>) {
    if ctx.config.listen.ip().is_loopback() {
        // Not on any network: there is nothing to be found, and nobody to be told.
        return;
    }
    if let Err(error) = announce_and_listen(&ctx, &home).await {
        warn!(%error, "LAN discovery is off");
    }
}

async fn announce_and_listen(
    ctx: &Context,
    home: &mpsc::Sender<HomeInput>,
) -> Result<(), LanError> {
    let mut air = Air::open(ctx.config.listen.ip())?;
    let mut signals = ctx.signals.subscribe();
    loop {
        let now = wall_s();
        let identity = ctx.identity.get();
        let (account, key) = (identity.account(), &identity.discovery_key);
        let wanted = rules::announcement(account, key, ctx.homes().own.as_ref(), now);
        air.announce(wanted)?;
        let homes = ctx.homes();
        air.offer(rules::offer(homes.own.as_ref(), homes.network.is_some()))?;
        tokio::select! {
            event = air.offers.recv_async() => match event {
                Ok(event) => {
                    let seen = offer_seen(&event, ctx.homes().own.as_ref());
                    if let Some(seen) = seen && home.send(seen).await.is_err() {
                        return Ok(());
                    }
                }
                Err(_) => return Ok(()),
            },
            event = air.events.recv_async() => match event {
                Ok(ServiceEvent::ServiceResolved(service)) => {
                    if let Some(sighting) = sighting(&service)
                        && home.send(HomeInput::Sighting(sighting)).await.is_err()
                    {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(_) => return Ok(()),
            },
            // At home elsewhere: this machine may be a supernode now, or none any more.
            _ = signals.recv() => {}
            () = tokio::time::sleep(CHECK.min(rules::until_next_token(now))) => {}
        }
    }
}

/// The multicast daemon and what it announces for us; both end when this is dropped.
struct Air {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    offers: Receiver<ServiceEvent>,
    /// The one address listened on; all of this machine's if `None`.
    listening: Option<IpAddr>,
    announced: Option<Announcement>,
    offered: Option<SupernodeAddr>,
}

impl Air {
    fn open(listening: IpAddr) -> Result<Self, LanError> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6, IfKind::IPv6])?;
        let events = daemon.browse(SERVICE)?;
        let offers = daemon.browse(SUPERNODES)?;
        Ok(Self {
            daemon,
            events,
            offers,
            listening: (!listening.is_unspecified()).then_some(listening),
            announced: None,
            offered: None,
        })
    }

    fn announce(&mut self, wanted: Option<Announcement>) -> Result<(), LanError> {
        if self.announced == wanted {
            return Ok(());
        }
        if let Some(old) = self.announced.take() {
            let name = HEXLOWER.encode(&old.token);
            self.daemon.unregister(&format!("{name}.{SERVICE}"))?;
        }
        if let Some(new) = &wanted {
            debug!("announcing today's token");
            self.daemon.register(self.service(new)?)?;
        }
        self.announced = wanted;
        Ok(())
    }

    /// Says openly that a supernode is here.
    fn offer(&mut self, wanted: Option<SupernodeAddr>) -> Result<(), LanError> {
        if self.offered == wanted {
            return Ok(());
        }
        if let Some(old) = self.offered.take() {
            let name = offer_name(old.id);
            self.daemon.unregister(&format!("{name}.{SUPERNODES}"))?;
        }
        if let Some(new) = &wanted {
            debug!("announcing this machine's supernode");
            let properties = [
                (KEY_PROPERTY, HEXLOWER.encode(&new.id.0)),
                (DISCOVERY_PROPERTY, new.discovery_port.to_string()),
            ];
            let name = offer_name(new.id);
            let info = self.info(SUPERNODES, &name, new.tcp.port(), &properties)?;
            self.daemon.register(info)?;
        }
        self.offered = wanted;
        Ok(())
    }

    fn service(&self, announcement: &Announcement) -> Result<ServiceInfo, LanError> {
        let name = HEXLOWER.encode(&announcement.token);
        let properties = [(DISCOVERY_PROPERTY, announcement.discovery_port.to_string())];
        self.info(SERVICE, &name, announcement.port, &properties)
    }

    fn info(
        &self,
        service: &str,
        name: &str,
        port: u16,
        properties: &[(&str, String)],
    ) -> Result<ServiceInfo, LanError> {
        let addresses: Vec<IpAddr> = self.listening.into_iter().collect();
        let host = format!("{name}.local.");
        let info = ServiceInfo::new(service, name, &host, &addresses[..], port, properties)?;
        Ok(match self.listening {
            Some(_) => info,
            // The addresses of the moment, also after they changed.
            None => info.enable_addr_auto(),
        })
    }
}

impl Drop for Air {
    fn drop(&mut self) {
        // It says goodbye by itself; its thread ends when it is done.
        let _ = self.daemon.shutdown();
    }
}

/// What an announcement says; `None` if its name is no token.
fn sighting(service: &ResolvedService) -> Option<Sighting> {
    let Some(token) = discovery::from_service_name(service.get_fullname()) else {
        debug!(
            reason = "malformed",
            "ignored a LAN announcement whose name is no token"
        );
        return None;
    };
    Some(Sighting {
        token,
        addresses: addresses(service),
        discovery_port: discovery_port(service),
    })
}

fn addresses(service: &ResolvedService) -> Vec<SocketAddr> {
    let at = |ip| SocketAddr::new(IpAddr::V4(ip), service.get_port());
    let mut addresses: Vec<SocketAddr> = service.get_addresses_v4().into_iter().map(at).collect();
    addresses.sort_unstable();
    addresses
}

fn discovery_port(service: &ResolvedService) -> u16 {
    service
        .get_property_val_str(DISCOVERY_PROPERTY)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// A label has 63 bytes at most: half of the key, the whole is a property.
fn offer_name(id: EndpointKey) -> String {
    HEXLOWER.encode(&id.0[..16])
}

/// What a supernode's announcement says, unless it is our own.
fn offer_seen(event: &ServiceEvent, own: Option<&SupernodeAddr>) -> Option<HomeInput> {
    let service = match event {
        ServiceEvent::ServiceResolved(service) => service,
        ServiceEvent::ServiceRemoved(_, name) => {
            return discovery::from_service_name(name).map(HomeInput::NearbyGone);
        }
        _ => return None,
    };
    let key = service.get_property_val_str(KEY_PROPERTY)?;
    // Two digits a byte: nothing longer is decoded.
    let key = (key.len() == 64).then(|| HEXLOWER.decode(key.as_bytes()).ok())??;
    let id = EndpointKey(key.try_into().ok()?);
    let is_own = own.is_some_and(|own| own.id == id);
    (!is_own).then(|| HomeInput::Nearby(id, addresses(service), discovery_port(service)))
}
