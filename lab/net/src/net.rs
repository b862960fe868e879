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
use std::process::Command;

use crate::LabError;
use crate::link_model::Line;
use crate::link_tun::{Device, Forwarder, PairStats, Port};
use crate::namespace::{HostProcess, Namespace};

/// The most hosts one net can have: their last address byte is their number.
const MOST_HOSTS: usize = 250;

/// A set of hosts and the lines between them. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Net {
    // Before the hosts, so that the forwarder stops before the devices' namespaces go.
    forwarder: Forwarder,
    hosts: Vec<Host>,
}

/// A machine on the net.
#[derive(Debug)]
pub struct Host {
    name: String,
    address: Ipv4Addr,
    namespace: Namespace,
}

/// What a host's interface has carried, from the kernel's own counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InterfaceCounters {
    /// Bytes received, whole IP packets.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets the kernel dropped because the forwarder was too slow; a measurement wants 0.
    pub tx_dropped: u64,
}

/// Describes a net before it is built.
#[derive(Debug, Clone)]
pub struct NetBuilder {
    line: Line,
    names: Vec<String>,
    multicast: bool,
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
            if hosts.iter().any(|host: &Host| host.name == *name) {
                return Err(LabError::Usage(format!("two hosts are called {name}")));
            }
            let host = Host {
                name: name.clone(),
                address: Ipv4Addr::new(198, 18, 0, number),
                namespace: Namespace::create()?,
            };
            ports.push(Port {
                address: host.address,
                device: host.plug_in()?,
            });
            hosts.push(host);
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
            .position(|host| host.name == name)
            .unwrap_or_else(|| panic!("this net has no host called {name}"))
    }
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn ip(&self) -> Ipv4Addr {
        self.address
    }

    /// Starts a program on this host; it is killed when the handle is dropped.
    pub fn spawn(&self, command: &mut Command) -> Result<HostProcess, LabError> {
        self.namespace.spawn(command)
    }

    /// Runs a closure on a thread of this host and waits for it. Sockets opened there stay on this
    /// host and may be carried out.
    pub fn run<R: Send>(&self, job: impl FnOnce() -> R + Send) -> Result<R, LabError> {
        self.namespace.run(job)
    }

    /// Reads the interface's counters.
    pub fn counters(&self) -> Result<InterfaceCounters, LabError> {
        let table = self
            .run(|| std::fs::read_to_string("/proc/thread-self/net/dev"))?
            .map_err(|source| LabError::Os {
                what: "cannot read the interface counters",
                source,
            })?;
        parse_counters(&table, "tun0").ok_or_else(|| {
            LabError::Usage("the kernel's interface table has no line for tun0".into())
        })
    }

    /// Makes the interface and gives it its address. IPv6 is off: the lines carry IPv4 only.
    fn plug_in(&self) -> Result<Device, LabError> {
        let device = self
            .run(|| {
                tun_rs::DeviceBuilder::new()
                    .name("tun0")
                    .enable(false)
                    .build_sync()
            })?
            .map_err(LabError::Tun)?;
        device.set_nonblocking(true).map_err(LabError::Tun)?;
        // Absent where the kernel has no IPv6: then there is nothing to switch off.
        let _ = self.namespace.set_sysctl("ipv6/conf/all/disable_ipv6", "1");
        self.namespace.ip_commands(&format!(
            "link set tun0 mtu 1500 txqueuelen 10000\n\
             address add {}/24 broadcast 255.255.255.255 dev tun0\n\
             link set tun0 up\n\
             route add default dev tun0\n",
            self.address
        ))?;
        Ok(Device(device))
    }
}

/// Finds one interface in the text of `/proc/net/dev` (proc_pid_net(5)).
fn parse_counters(table: &str, interface: &str) -> Option<InterfaceCounters> {
    let numbers = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<u64>, _>>()
        .ok()?;
    Some(InterfaceCounters {
        rx_bytes: *numbers.first()?,
        rx_packets: *numbers.get(1)?,
        tx_bytes: *numbers.get(8)?,
        tx_packets: *numbers.get(9)?,
        tx_dropped: *numbers.get(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_by_column() {
        let table = "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                     tun0:    120       2    0    0    0     0          0         0      300       \
                     4    0    5    0     0       0          0\n";
        let counters = parse_counters(table, "tun0").expect("the line is there");
        assert_eq!(
            counters,
            InterfaceCounters {
                rx_bytes: 120,
                rx_packets: 2,
                tx_bytes: 300,
                tx_packets: 4,
                tx_dropped: 5
            }
        );
        assert_eq!(parse_counters(table, "tun1"), None);
    }

    #[test]
    fn a_net_needs_two_hosts_with_different_names() {
        assert!(Net::builder(Line::new()).host("alice").build().is_err());
    }
}
