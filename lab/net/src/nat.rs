//! The NAT lab: two people behind routers of a chosen kind, and two machines on the public network.
//!
//! Routers are those of the `patchbay` library (nftables in namespaces); terms are RFC 4787's. Nothing
//! here delays or loses packets: the library's link conditions need a kernel module that is often
//! missing and say nothing when it is. For delay use [`crate::Net`]. Only IPv4.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use patchbay::{Firewall, FirewallConfig, Lab, Nat, NodeId, PortPolicy, RouterPreset};
use tokio::runtime::Runtime;

use crate::LabError;
use crate::host::Host;
use crate::namespace::Namespace;

/// What stands between a machine and the public network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: a public address.
    Public,
    /// A home router: one mapping for all destinations (endpoint-independent mapping), answers only
    /// from where something was sent (address and port-dependent filtering).
    Home,
    /// A home router behind which only TCP to ports 80, 443 and 27474 gets out.
    UdpBlocked,
    /// A home router behind which only TCP to ports 80 and 443 gets out.
    WebOnly,
    /// An office: only TCP to port 3128 gets out, which is where a proxy listens ([`PROXY_PORT`]).
    ProxyOnly,
    /// A router with a new mapping for each destination (address and port-dependent mapping).
    Symmetric,
}

/// TCP ports that [`Access::UdpBlocked`] lets out: the usual two and Starling's own.
pub const OPEN_TCP_PORTS: [u16; 3] = [80, 443, 27474];

/// Where the proxy of [`Access::ProxyOnly`] is asked, on any public host.
pub const PROXY_PORT: u16 = 3128;

/// The public hosts' names. There are two because telling one mapping from many needs two observers.
pub const PUBLIC_HOSTS: [&str; 2] = ["supernode", "witness"];

/// Hosts `alice` and `bob` behind their routers, `neighbour` behind Alice's, `supernode` and `witness` in public. Everything ends
/// when it is dropped.
pub struct NatLab {
    hosts: Vec<Host>,
    /// Holds the routers; nothing is asked of it later.
    _lab: Lab,
    /// Ran the construction; the lab may keep tasks on it.
    _runtime: Runtime,
}

/// Says whether the program that configures the routers is there.
pub fn probe() -> Result<(), LabError> {
    let failed = |e: io::Error| LabError::Program {
        program: "nft --version".into(),
        reason: format!("{e}; the NAT lab needs the package nftables"),
    };
    Command::new("nft")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_| ())
        .map_err(failed)
}

impl fmt::Debug for NatLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatLab")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl NatLab {
    /// Builds the lab with that access for Alice and for Bob.
    pub fn build(alice: Access, bob: Access) -> Result<Self, LabError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| LabError::Os {
                what: "cannot start the NAT lab's runtime",
                source,
            })?;
        let (lab, hosts) = runtime
            .block_on(wire(alice, bob))
            .map_err(|e| LabError::Nat(format!("{e:#}")))?;
        Ok(Self {
            hosts,
            _lab: lab,
            _runtime: runtime,
        })
    }

    /// The host of that name. Panics if there is none: the test is wrong.
    pub fn host(&self, name: &str) -> &Host {
        self.hosts
            .iter()
            .find(|host| host.name() == name)
            .unwrap_or_else(|| panic!("the NAT lab has no host called {name}"))
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

async fn wire(alice: Access, bob: Access) -> Outcome<(Lab, Vec<Host>)> {
    // As root in the first user namespace the library asks for this; in one of our own it changes
    // nothing. Its mounts are private to its threads.
    let lab = Lab::builder().allow_real_root().build().await?;
    let mut hosts = Vec::new();
    for name in PUBLIC_HOSTS {
        hosts.push(add_host(&lab, name, Access::Public).await?);
    }
    let home = add_router(&lab, "alice", alice).await?;
    hosts.push(plug_in(&lab, "alice", home).await?);
    hosts.push(plug_in(&lab, "neighbour", home).await?);
    hosts.push(add_host(&lab, "bob", bob).await?);
    Ok((lab, hosts))
}

/// Adds a router of the kind and a host behind it.
async fn add_host(lab: &Lab, name: &str, access: Access) -> Outcome<Host> {
    let router = add_router(lab, name, access).await?;
    plug_in(lab, name, router).await
}

async fn add_router(lab: &Lab, name: &str, access: Access) -> Outcome<NodeId> {
    let router = lab.add_router(&format!("router-of-{name}"));
    let only = |ports: &[u16]| Firewall::Custom(only_tcp_out(ports));
    let router = match access {
        Access::Public => router.preset(RouterPreset::PublicV4),
        Access::Home => router.nat(Nat::Moderate),
        Access::Symmetric => router.nat(Nat::Strict),
        Access::UdpBlocked => router.nat(Nat::Moderate).firewall(only(&OPEN_TCP_PORTS)),
        Access::WebOnly => router.nat(Nat::Moderate).firewall(only(&[80, 443])),
        Access::ProxyOnly => router.nat(Nat::Moderate).firewall(only(&[PROXY_PORT])),
    };
    Ok(router.build().await?.id())
}

/// Adds a host behind a router.
async fn plug_in(lab: &Lab, name: &str, router: NodeId) -> Outcome<Host> {
    let device = lab.add_device(name).uplink(router).build().await?;
    let address: Ipv4Addr = device.ip().ok_or("the library gave no address")?;
    let namespace = device.run_sync(|| Ok(Namespace::of_this_thread()?))?;
    Ok(Host::new(name, address, "eth0", namespace))
}

fn only_tcp_out(ports: &[u16]) -> FirewallConfig {
    FirewallConfig::builder()
        .block_inbound()
        .outbound_tcp(PortPolicy::Allow(ports.to_vec()))
        .block_udp()
        .build()
}
