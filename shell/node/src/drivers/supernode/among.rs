//! The supernode joins the others of its network, and leaves them.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use starling_wire::alpn;
use starling_wire::descriptor::SignedDescriptor;
use starling_wire::ids::NetworkId;
use starling_wire::policy::Trust;
use starling_wire::supernode::{SUPERNODES_TOLD, SupernodeAddr};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use super::holding;
use super::names::{self, Names};
use super::overlay::{self, Membercard, Overlay};
use super::{LEAVING_TIME, Service, Supernode, SupernodeError};
use crate::transport::endpoint;
use crate::transport::overlay::OverlayLinks;
use crate::transport::packets::PacketPort;

/// How often it is looked how full it is.
const LOAD_EVERY: Duration = Duration::from_secs(30);
/// What other supernodes said and nobody has looked at yet.
const UNHEARD_MAX: usize = 1_024;
/// Who wants to be forwarded for, and was not looked at yet.
const VISITORS_WAITING: usize = 64;

/// How it reaches the other supernodes.
#[derive(Debug, Clone)]
pub(super) struct Among {
    pub(super) overlay: Overlay,
    pub(super) links: Arc<OverlayLinks>,
    /// The network they all belong to.
    pub(super) network: Option<NetworkId>,
    /// Its copy of the registrar's log.
    pub(super) names: Names,
}

impl Supernode {
    /// From now on it belongs to this network, whose file lists these supernodes; whether others are trusted, too.
    pub async fn join(
        &self,
        network: Option<NetworkId>,
        listed: Vec<SupernodeAddr>,
        trust: Trust,
    ) -> Result<(), SupernodeError> {
        self.part().await;
        let service = &self.service;
        let direct = match self.direct {
            Some(at) => {
                let alpns = vec![alpn::INDEX.to_vec(), alpn::FOCUS.to_vec()];
                Some(endpoint::direct(&self.seed, &service.pins, at, alpns).await?)
            }
            None => None,
        };
        let packets = match self.direct {
            Some(at) => self.packet_port(at).await,
            None => None,
        };
        let (heard_sender, heard) = mpsc::channel(UNHEARD_MAX);
        let (relayed, pins) = (service.endpoint.clone(), service.pins.clone());
        let links = Arc::new(OverlayLinks::new(
            relayed,
            direct,
            packets,
            pins,
            heard_sender,
        ));
        let card = self.membercard(network, listed, trust);
        let mut tasks = JoinSet::new();
        let (names, asked) = Names::new();
        let kept = (service.db.clone(), self.clock, names.clone());
        let overlay = overlay::start(card, Arc::clone(&links), heard, kept, &mut tasks).await?;
        if let Some(network) = network {
            let desk = self.names_desk(network, &overlay, &links);
            tasks.spawn(names::run(desk, asked));
        }
        let (visitors, visiting) = mpsc::channel(VISITORS_WAITING);
        tasks.spawn(Arc::clone(&links).accept_direct(visitors));
        tasks.spawn(service.forwarder.clone().serve(visiting));
        tasks.spawn(Arc::clone(&links).hear_packets());
        tasks.spawn(tell_load(overlay.clone(), Arc::clone(service)));
        tasks.spawn(holding::tell_issuers(
            overlay.clone(),
            service.holder.clone(),
        ));
        *self.among.lock().await = tasks;
        *service
            .among
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Among {
            overlay,
            links,
            network,
            names,
        });
        Ok(())
    }

    /// How it introduces itself.
    fn membercard(
        &self,
        network: Option<NetworkId>,
        listed: Vec<SupernodeAddr>,
        trust: Trust,
    ) -> Membercard {
        Membercard {
            key: ed25519_dalek::SigningKey::from_bytes(&self.seed),
            at: self.address.clone(),
            network,
            carrier: self.service.carrier.clone(),
            clients_max: u32::try_from(self.relay.links_max()).unwrap_or(u32::MAX),
            listed,
            listed_only: trust == Trust::Listed,
        }
    }

    /// What the copy of the registrar's log works with.
    fn names_desk(
        &self,
        network: NetworkId,
        overlay: &Overlay,
        links: &Arc<OverlayLinks>,
    ) -> names::Desk {
        names::Desk {
            network,
            overlay: overlay.clone(),
            links: Arc::clone(links),
            db: self.service.db.clone(),
            clock: self.clock,
        }
    }

    /// The port after the one for links; without it everything is said over links.
    async fn packet_port(&self, direct: SocketAddr) -> Option<PacketPort> {
        let port = direct.port().checked_add(1).filter(|port| *port != 1);
        let at = SocketAddr::new(direct.ip(), port.unwrap_or(0));
        let key = ed25519_dalek::SigningKey::from_bytes(&self.seed);
        match PacketPort::open(at, key).await {
            Ok(port) => Some(port),
            Err(error) => {
                warn!(%error, "no port for packets of other supernodes could be opened");
                None
            }
        }
    }

    /// Leaves the other supernodes, after handing over what it held for the index.
    pub(super) async fn part(&self) {
        let among = self
            .service
            .among
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.service.forwarder.close();
        if let Some(among) = among {
            let _ = tokio::time::timeout(LEAVING_TIME, among.overlay.leave()).await;
            self.among.lock().await.shutdown().await;
            among.links.close().await;
        }
    }

    /// The UDP port at which other supernodes reach it.
    pub(super) fn udp_port(&self) -> Option<u16> {
        let among = self.service.among()?;
        Some(among.links.udp_port()).filter(|port| *port != 0)
    }

    /// The port for packets, and whether others reach it.
    pub(super) fn packets(&self) -> Option<(u16, bool)> {
        let links = self.service.among()?.links;
        let (_, reached) = links.ports();
        links
            .unproved()
            .map(|port| (port, false))
            .or((reached != 0).then_some((reached, true)))
    }

    /// How many others it knows, what it holds of the index and what it refused, in words.
    pub fn index_words(&self) -> Vec<String> {
        self.service
            .among()
            .map(|among| among.overlay.words())
            .unwrap_or_default()
    }

    /// How full it is, and how full some others say they are, in percent.
    pub async fn loads(&self) -> (u8, Option<u8>) {
        let others = match self.service.among() {
            Some(among) => {
                among.overlay.ask_load().await;
                among.overlay.others_load().await
            }
            None => None,
        };
        (self.service.percent(), others)
    }

    /// Other supernodes that it knows.
    pub fn others(&self) -> usize {
        self.service
            .among()
            .map_or(0, |among| among.overlay.members())
    }
}

impl Service {
    pub(super) fn among(&self) -> Option<Among> {
        self.among
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn some_others(&self) -> Vec<SignedDescriptor> {
        self.among()
            .map(|among| among.overlay.some(SUPERNODES_TOLD))
            .unwrap_or_default()
    }
}

/// How full this supernode is, for those who ask.
async fn tell_load(overlay: Overlay, service: Arc<Service>) {
    loop {
        overlay.load(service.percent()).await;
        tokio::time::sleep(LOAD_EVERY).await;
    }
}
