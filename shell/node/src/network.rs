//! Which network a profile belongs to, and the supernode it runs for it: made, joined, told to clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ed25519_dalek::SigningKey;
use starling_control::{ErrorKind, Failure, view};
use starling_store::networks::{self, Joined};
use starling_store::{StoreError, host_cache, settings};
use starling_wire::ids::NetworkId;
use starling_wire::limits::SUPERNODES_MAX;
use starling_wire::link::{Link, LinkError, Target};
use starling_wire::network::Network;
use starling_wire::policy::{Permission, Trust};
use starling_wire::supernode::SupernodeAddr;
use zeroize::Zeroizing;

use crate::clock::{random, wall_ms};
use crate::config::PORT;
use crate::context::{Homes, store_failure};
use crate::drivers::supernode::{Advertise, Supernode, SupernodeConfig};
use crate::node::{App, NodeError, checked_name};
use crate::roles::Role;
use crate::roles::settings::Scope;
use crate::transport::relay_server::Limits;

/// The setting with the ports (TCP, address discovery) of this profile's supernode.
pub(crate) const SUPERNODE_PORTS: &str = "supernode_ports";

/// How a supernode that is asked for serves.
#[derive(Debug, Default, Clone, Copy)]
struct Serving {
    /// Whom.
    scope: Scope,
    /// So many at most.
    limits: Limits,
    /// What others are told in place of the address listened on.
    advertise: Option<Advertise>,
    /// At another port nobody would reach it.
    fixed: bool,
}

impl App {
    /// The network joined, with its supernodes; without one, this very process.
    pub async fn homes(&self) -> Result<Homes, StoreError> {
        let own = self
            .supernode()
            .map(|supernode| supernode.address().clone());
        let listed_only = self.trust() == Trust::Listed;
        Ok(match self.joined().await? {
            // A link is not the network's file: whoever wrote it named whom he liked.
            Some(joined) if listed_only && joined.file.is_none() => Homes {
                network: joined.network,
                supernodes: own.clone().into_iter().collect(),
                own,
            },
            Some(joined) => {
                let (network, mut supernodes) = (joined.network, joined.supernodes);
                let cached = self.db.read(move |tx| host_cache::list(tx, network));
                for supernode in cached.await? {
                    let known = supernodes.iter().any(|one| one.id == supernode.id);
                    if !known && !listed_only {
                        supernodes.push(supernode);
                    }
                }
                Homes {
                    network,
                    supernodes,
                    own,
                }
            }
            None => Homes {
                network: None,
                supernodes: own.clone().into_iter().collect(),
                own,
            },
        })
    }

    /// Which supernodes are trusted: as the administrator decided.
    fn trust(&self) -> Trust {
        self.config.policy().network.supernodes
    }

    /// The network joined last.
    pub async fn joined(&self) -> Result<Option<Joined>, StoreError> {
        Ok(self.db.read(networks::list).await?.into_iter().next())
    }

    /// Whether this profile holds the key of its network's owner.
    pub(crate) async fn owns_network(&self) -> Result<bool, Failure> {
        let joined = self.joined().await.map_err(store_failure)?;
        Ok(joined.is_some_and(|joined| joined.owner.is_some()))
    }

    /// The network joined, as clients see it.
    pub async fn network_view(&self) -> Result<Option<view::Network>, Failure> {
        Ok(self.joined().await.map_err(store_failure)?.map(shown))
    }

    /// Serves as a supernode where this profile is one: as user and administrator decided, or alone on its LAN.
    pub(crate) async fn serve_as_before(&self) -> Result<(), NodeError> {
        let rules = self.rules().await?;
        self.obey(&rules);
        let (scope, limits) = (rules.scope(), rules.limits());
        self.set_serving(scope, limits);
        if scope == Scope::None {
            return Ok(());
        }
        let joined = self.joined().await?;
        let seed = self.supernode_seed().await?;
        let listed = joined.as_ref().and_then(|joined| listed(joined, &seed));
        let promoted = self.candidacy.get().promoted;
        let serving = Serving {
            scope,
            limits,
            advertise: listed
                .as_ref()
                .map(|listed| Advertise {
                    ip: listed.tcp.ip(),
                    port: Some(listed.tcp.port()),
                })
                .or(promoted
                    .and_then(|promoted| promoted.at)
                    .map(|at| Advertise {
                        ip: at.ip(),
                        port: Some(at.port()),
                    })),
            fixed: listed.is_none() && promoted.is_some(),
        };
        self.serve(serving, listed.as_ref()).await
    }

    /// Starts the supernode. Others know its ports, from cards, links and the network file: they stay.
    async fn serve(
        &self,
        serving: Serving,
        listed: Option<&SupernodeAddr>,
    ) -> Result<(), NodeError> {
        let before = self.ports_before().await?;
        let known = before.or(listed.map(|listed| (listed.tcp.port(), listed.discovery_port)));
        let (mut listen, mut discovery) = (self.config.tcp(), self.config.discovery());
        let decided = &self.config.policy().network;
        if let Some((tcp, udp)) = known
            && matches!(self.config.listen.port(), 0 | PORT)
        {
            listen.set_port(decided.tcp_port.unwrap_or(tcp));
            let udp = decided.discovery_port.unwrap_or(udp);
            discovery = discovery.map(|at| SocketAddr::new(at.ip(), udp));
        }
        if serving.scope == Scope::ThisMachine {
            listen.set_ip(Ipv4Addr::LOCALHOST.into());
            discovery = discovery.map(|at| SocketAddr::new(listen.ip(), at.port()));
        }
        let config = SupernodeConfig {
            listen,
            // Nobody else on a LAN needs another way in.
            also: if serving.scope == Scope::Everybody {
                self.config.also_listen.clone()
            } else {
                Vec::new()
            },
            discovery,
            seed: *self.supernode_seed().await?,
            private_only: serving.scope != Scope::Everybody,
            advertise: serving.advertise,
            limits: serving.limits,
            fixed: serving.fixed || decided.tcp_port.is_some(),
            udp: decided.udp.unwrap_or(true),
            folder: self.config.home.clone(),
            holding: self.rules().await?.holding(),
        };
        let supernode = Supernode::start(
            config,
            self.db.clone(),
            self.pins.clone(),
            self.clock,
            self.carrier.clone(),
        )
        .await?;
        let ports = supernode.ports();
        if before != Some(ports) {
            self.keep_ports(ports).await?;
        }
        if let Some(joined) = self.joined().await? {
            supernode
                .join(joined.network, joined.supernodes, self.trust())
                .await?;
        }
        self.set_supernode(supernode);
        Ok(())
    }

    async fn keep_ports(&self, (tcp, udp): (u16, u16)) -> Result<(), StoreError> {
        let text = format!("{tcp} {udp}");
        let kept = self
            .db
            .write(move |tx| settings::set(tx, SUPERNODE_PORTS, &text));
        kept.await
    }

    /// Where its relay would listen, were it a supernode.
    pub(crate) async fn would_listen(&self) -> Result<SocketAddr, StoreError> {
        let mut listen = self.config.tcp();
        if let Some((tcp, _)) = self.ports_before().await?
            && matches!(self.config.listen.port(), 0 | PORT)
        {
            let decided = self.config.policy().network.tcp_port;
            listen.set_port(decided.unwrap_or(tcp));
        }
        Ok(listen)
    }

    /// The seed of this profile's supernode, made when it is first needed.
    pub(crate) async fn supernode_seed(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        if let Some(seed) = self.db.read(networks::own_supernode).await? {
            return Ok(seed);
        }
        let seed = Zeroizing::new(random());
        let row = seed.clone();
        self.db
            .write(move |tx| networks::set_own_supernode(tx, &row))
            .await?;
        Ok(seed)
    }

    /// Ports that this profile's supernode listened on when it ran last.
    pub(crate) async fn ports_before(&self) -> Result<Option<(u16, u16)>, StoreError> {
        let text = self
            .db
            .read(|tx| settings::get(tx, SUPERNODE_PORTS))
            .await?;
        Ok(text.and_then(|text| {
            let (tcp, udp) = text.split_once(' ')?;
            Some((tcp.parse().ok()?, udp.parse().ok()?))
        }))
    }

    /// Makes a network with this machine as its first supernode. Where that fails, all is as before.
    pub async fn init_network(
        &self,
        name: &str,
        advertise: Option<&str>,
    ) -> Result<view::NetworkMade, Failure> {
        let name = checked_name(name)?;
        let advertise = advertise.map(advertised).transpose()?;
        let _one = self.changing.lock().await;
        let rules = self.rules().await.map_err(store_failure)?;
        if rules.permission(Role::Supernode) == Permission::Never {
            return Err(Failure::new(
                ErrorKind::Refused,
                "set by your organisation: policy: supernode = never",
            ));
        }
        if self.joined().await.map_err(store_failure)?.is_some() {
            return Err(Failure::new(
                ErrorKind::State,
                "this profile belongs to a network already; use another --profile",
            ));
        }
        self.stop_supernode().await;
        let serving = Serving {
            scope: Scope::Everybody,
            limits: rules.limits(),
            advertise,
            fixed: false,
        };
        let made = match self.serve(serving, None).await {
            Ok(()) => self.found(name).await,
            Err(error) => Err(Failure::new(ErrorKind::System, error.to_string())),
        };
        if made.is_ok() {
            self.set_serving(serving.scope, serving.limits);
            self.answer_yes().await.map_err(store_failure)?;
            self.obey(&self.rules().await.map_err(store_failure)?);
        } else {
            self.stop_supernode().await;
            self.serve_as_before()
                .await
                .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        }
        self.move_session().await?;
        made
    }

    /// Signs the network file of a new network and keeps it, with its owner's key.
    async fn found(&self, name: &str) -> Result<view::NetworkMade, Failure> {
        let supernode = self
            .supernode()
            .ok_or_else(|| Failure::new(ErrorKind::System, "the supernode did not start"))?;
        let address = supernode.address().clone();
        let seed: [u8; 32] = random();
        let owner = SigningKey::from_bytes(&seed);
        let network = Network {
            id: NetworkId(owner.verifying_key().to_bytes()),
            name: name.to_owned(),
            supernodes: vec![address.clone()],
        };
        let file = network.to_file(&owner);
        let row = Joined {
            network: Some(network.id),
            name: network.name,
            file: Some(file.clone()),
            owner: Some(Zeroizing::new(seed)),
            supernodes: network.supernodes,
            joined_at: wall_ms(),
        };
        let (id, listed) = (row.network, row.supernodes.clone());
        self.db
            .write(move |tx| networks::join(tx, &row))
            .await
            .map_err(store_failure)?;
        among_others(&supernode, id, listed, self.trust()).await?;
        let network = self.network_view().await?.unwrap_or_default();
        Ok(view::NetworkMade {
            link: network.link.clone().unwrap_or_default(),
            network,
            file,
            notes: notes(&address, supernode.ports().0, self.grant()),
        })
    }

    /// What lets this program listen on TCP 443, where that is missing. The package grants it; from source somebody has to.
    fn grant(&self) -> Option<String> {
        let at = SocketAddr::new(self.config.listen.ip(), 443);
        let denied = |error: std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
        let missing = std::net::TcpListener::bind(at).is_err_and(denied);
        let program = std::env::current_exe().ok().filter(|_| missing)?;
        let program = program.display();
        Some(format!("sudo setcap cap_net_bind_service=+ep {program}"))
    }

    /// Joins a network by its file or a link.
    pub async fn join_network(&self, source: &str) -> Result<view::Network, Failure> {
        let joined = read_source(source)?;
        let listed_only = self.trust() == Trust::Listed;
        if listed_only && joined.file.is_none() {
            let sentence =
                "set by your organisation: policy: supernodes = listed; join by the network's file";
            return Err(Failure::new(ErrorKind::Refused, sentence));
        }
        let _one = self.changing.lock().await;
        let (id, listed) = (joined.network, joined.supernodes.clone());
        self.db
            .write(move |tx| networks::join(tx, &joined))
            .await
            .map_err(store_failure)?;
        self.apply_roles().await?;
        if let Some(supernode) = self.supernode() {
            among_others(&supernode, id, listed, self.trust()).await?;
        }
        self.move_session().await?;
        Ok(self.network_view().await?.unwrap_or_default())
    }

    pub(crate) async fn move_session(&self) -> Result<(), Failure> {
        let homes = self.homes().await.map_err(store_failure)?;
        if let Ok(session) = self.session() {
            session.set_homes(homes).await;
        }
        self.changed.notify_one();
        Ok(())
    }
}

/// The supernode joins the others of its network.
async fn among_others(
    supernode: &Supernode,
    network: Option<NetworkId>,
    listed: Vec<SupernodeAddr>,
    trust: Trust,
) -> Result<(), Failure> {
    let joined = supernode.join(network, listed, trust).await;
    joined.map_err(|error| Failure::new(ErrorKind::System, error.to_string()))
}

/// With what its owner hands out to those who should join.
fn shown(joined: Joined) -> view::Network {
    let owner = joined.owner.is_some();
    let link = Link {
        target: Target::Network,
        network: joined.network,
        supernodes: joined
            .supernodes
            .iter()
            .take(SUPERNODES_MAX)
            .cloned()
            .collect(),
    };
    view::Network {
        id: joined.network.map(|id| id.to_string()),
        name: joined.name,
        supernodes: joined
            .supernodes
            .iter()
            .map(|s| format!("{} ({})", s.tcp, s.id.short()))
            .collect(),
        owner,
        file: joined.file.filter(|_| owner),
        link: owner.then(|| link.to_string()),
    }
}

/// An address to tell others: `IP`, or `IP:PORT` where a port is forwarded.
fn advertised(text: &str) -> Result<Advertise, Failure> {
    let text = text.trim();
    let with_port = text.parse::<SocketAddr>().map(|at| Advertise {
        ip: at.ip(),
        port: Some(at.port()),
    });
    with_port
        .or_else(|_| {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            let ip = bare.parse::<IpAddr>();
            ip.map(|ip| Advertise { ip, port: None })
        })
        .map_err(|_| {
            Failure::new(
                ErrorKind::Usage,
                format!("\"{text}\" is no address: give the IP, or IP:PORT, that others reach this machine at"),
            )
        })
}

/// What a network file or a link says.
fn read_source(source: &str) -> Result<Joined, Failure> {
    let usage = |text: String| Failure::new(ErrorKind::Usage, text);
    if source.trim_start().starts_with("starling:") {
        let link: Link = source
            .parse()
            .map_err(|error: LinkError| usage(error.to_string()))?;
        let name = link
            .network
            .map_or_else(|| "by link".to_owned(), |id| id.short());
        return Ok(Joined {
            network: link.network,
            name,
            file: None,
            owner: None,
            supernodes: link.supernodes,
            joined_at: wall_ms(),
        });
    }
    let network = Network::from_file(source).map_err(|error| usage(error.to_string()))?;
    Ok(Joined {
        network: Some(network.id),
        name: network.name,
        file: Some(source.to_owned()),
        owner: None,
        supernodes: network.supernodes,
        joined_at: wall_ms(),
    })
}

/// This supernode's entry in the network file, if it has one.
fn listed(joined: &Joined, seed: &[u8; 32]) -> Option<SupernodeAddr> {
    let own = SigningKey::from_bytes(seed).verifying_key().to_bytes();
    joined
        .supernodes
        .iter()
        .find(|supernode| supernode.id.0 == own)
        .cloned()
}

/// What is still to be done by hand for others to reach `address`; `port` is the one listened on.
fn notes(address: &SupernodeAddr, port: u16, grant: Option<String>) -> Vec<String> {
    let mut notes = Vec::new();
    if !address.is_public() {
        notes.push(format!(
            "{} is no public address: only machines on this network reach it; give the public one with --advertise",
            address.tcp.ip()
        ));
    }
    if address.tcp.port() != 443 {
        notes.push(format!(
            "some networks let nothing but port 443 out; where you can, forward TCP 443 to port {port} and make the \
             network with --advertise {}",
            SocketAddr::new(address.tcp.ip(), 443)
        ));
        if let Some(grant) = grant {
            notes.push(format!(
                "or let this program listen there itself, and start it with --also-listen 443: {grant}"
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port() {
        let read = |text| advertised(text).ok().map(|a| (a.ip.to_string(), a.port));
        let v4 = "203.0.113.7".to_owned();
        let v6 = "2001:db8::7".to_owned();
        assert_eq!(read("203.0.113.7"), Some((v4.clone(), None)));
        assert_eq!(read(" 203.0.113.7:443 "), Some((v4, Some(443))));
        assert_eq!(read("2001:db8::7"), Some((v6.clone(), None)));
        assert_eq!(read("[2001:db8::7]"), Some((v6.clone(), None)));
        assert_eq!(read("[2001:db8::7]:443"), Some((v6, Some(443))));
        for bad in ["", "example.org", "203.0.113.7:", "203.0.113.7:70000"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
