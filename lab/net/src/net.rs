//! Hosts joined by emulated lines: what a test or a benchmark builds.
//!
//! Every host is a network namespace with one interface and an address of the benchmarking range
//! (RFC 2544, 198.18.0.0/24). Between each two hosts there are two lines, one for each direction,
//! which can be changed while traffic flows. Programs and closures run on a host.
//!
//! ```no_run
//! use starling_lab_net::{Line, Net};
//! let net = Net::builder(Line::reference().loss(0.01)).host("alice").host("bob").build()?;
//! let alice = net.host("alice");
//! let process = alice.spawn(std::process::Command::new("starling").arg("node"))?;
//! net.cut("alice", "bob");
//! # Ok::<(), starling_lab_net::LabError>(())
//! ```

use std::net::Ipv4Addr;

use crate::LabError;
use crate::host::Host;
use crate::link_model::Line;
use crate::link_tun::{Device, Forwarder, PairStats, Port};
use crate::namespace::Namespace;

/// The most hosts one net can have: their last address byte is their number.
const MOST_HOSTS: usize = 250;
/// What a host calls its only interface.
const INTERFACE: &str = "tun0";

/// A set of hosts and the lines between them. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Net {
    // Before the hosts, so that the forwarder stops before the devices' namespaces go.
    forwarder: Forwarder,
    hosts: Vec<Host>,
}

/// Describes a net before it is built.
#[derive(Debug, Clone)]
pub struct NetBuilder {
    line: Line,
    names: Vec<String>,
    multicast: bool,
    apart: bool,
    seed: u64,
}

impl NetBuilder {
    /// Adds a host.
    #[must_use]
    pub fn host(mut self, name: &str) -> Self {
        self.names.push(name.to_owned());
        self
    }

    /// Lets multicast and broadcast reach every host, as on one LAN.
    #[must_use]
    pub fn lan(mut self) -> Self {
        self.multicast = true;
        self
    }

    /// Gives each host a block of addresses of its own (198.18.N.1), as supernodes of different operators have.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// Chooses other losses and another jitter.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes the namespaces and starts the forwarder.
    pub fn build(self) -> Result<Net, LabError> {
        if !(2..=MOST_HOSTS).contains(&self.names.len()) {
            return Err(LabError::Usage(format!(
                "a net has 2 to {MOST_HOSTS} hosts, not {}",
                self.names.len()
            )));
        }
        let mut hosts = Vec::new();
        let mut ports = Vec::new();
        for (number, name) in (1_u8..).zip(&self.names) {
            if hosts.iter().any(|host: &Host| host.name() == name) {
                return Err(LabError::Usage(format!("two hosts are called {name}")));
            }
            let address = if self.apart {
                Ipv4Addr::new(198, 18, number, 1)
            } else {
                Ipv4Addr::new(198, 18, 0, number)
            };
            let namespace = Namespace::create()?;
            ports.push(Port {
                address,
                device: plug_in(&namespace, address)?,
            });
            hosts.push(Host::new(name, address, INTERFACE, namespace));
        }
        let forwarder = Forwarder::start(ports, self.line, self.multicast, self.seed)?;
        Ok(Net { forwarder, hosts })
    }
}

impl Net {
    /// Starts a description; every line, both ways, begins as `line`.
    pub fn builder(line: Line) -> NetBuilder {
        NetBuilder {
            line,
            names: Vec::new(),
            multicast: false,
            apart: false,
            seed: 1,
        }
    }

    /// Two hosts, `alice` and `bob`.
    pub fn pair(line: Line) -> Result<Self, LabError> {
        Self::builder(line).host("alice").host("bob").build()
    }

    /// The host of that name. Panics if there is none: the test is wrong.
    pub fn host(&self, name: &str) -> &Host {
        &self.hosts[self.index(name)]
    }

    /// Changes one direction from now on. Packets under way are not touched.
    pub fn set_one_way(&self, from: &str, to: &str, line: Line) {
        self.forwarder
            .set(self.index(from), self.index(to), |old| *old = line);
    }

    /// Changes both directions from now on.
    pub fn set(&self, a: &str, b: &str, line: Line) {
        self.set_one_way(a, b, line);
        self.set_one_way(b, a, line);
    }

    /// Nothing passes between the two any more, either way; what is under way still arrives.
    pub fn cut(&self, a: &str, b: &str) {
        self.set_cut(a, b, true);
    }

    /// Mends a cut line with the qualities it had.
    pub fn mend(&self, a: &str, b: &str) {
        self.set_cut(a, b, false);
    }

    /// What passed from one host to another.
    pub fn stats(&self, from: &str, to: &str) -> PairStats {
        self.forwarder.stats(self.index(from), self.index(to))
    }

    fn set_cut(&self, a: &str, b: &str, cut: bool) {
        for (from, to) in [(a, b), (b, a)] {
            self.forwarder
                .set(self.index(from), self.index(to), |line| line.cut = cut);
        }
    }

    fn index(&self, name: &str) -> usize {
        self.hosts
            .iter()
            .position(|host| host.name() == name)
            .unwrap_or_else(|| panic!("this net has no host called {name}"))
    }
}

/// Makes a host's interface and gives it its address. IPv6 is off: the lines carry IPv4 only.
fn plug_in(namespace: &Namespace, address: Ipv4Addr) -> Result<Device, LabError> {
    let make = || {
        tun_rs::DeviceBuilder::new()
            .name(INTERFACE)
            .enable(false)
            .build_sync()
    };
    let device = namespace.run(make)?.map_err(LabError::Tun)?;
    device.set_nonblocking(true).map_err(LabError::Tun)?;
    // Absent where the kernel has no IPv6: then there is nothing to switch off.
    let _ = namespace.set_sysctl("ipv6/conf/all/disable_ipv6", "1");
    // The long queue makes sure that only the model drops packets.
    namespace.ip_commands(&format!(
        "link set {INTERFACE} mtu 1500 txqueuelen 10000\n\
         address add {address}/24 broadcast 255.255.255.255 dev {INTERFACE}\n\
         link set {INTERFACE} up\n\
         route add default dev {INTERFACE}\n"
    ))?;
    Ok(Device(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_net_needs_two_hosts_with_different_names() {
        assert!(Net::builder(Line::new()).host("alice").build().is_err());
    }
}
