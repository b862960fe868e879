//! A machine of a lab: a namespace with one interface and one address, on which programs and closures
//! run.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::LabError;
use crate::capture::Capture;
use crate::namespace::{HostProcess, Namespace};

/// A machine of a lab.
#[derive(Debug)]
pub struct Host {
    name: String,
    address: Ipv4Addr,
    interface: &'static str,
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

impl Host {
    pub(crate) fn new(
        name: &str,
        address: Ipv4Addr,
        interface: &'static str,
        namespace: Namespace,
    ) -> Self {
        Self {
            name: name.to_owned(),
            address,
            interface,
            namespace,
        }
    }

    /// Where it is.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

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

    /// Captures what goes over its interfaces.
    pub fn capture(&self) -> Result<Capture, LabError> {
        Capture::start(&self.namespace)
    }

    /// Chooses how TCP connections opened on this host from now on control congestion (tcp(7)).
    pub fn set_tcp_congestion_control(&self, control: &str) -> Result<(), LabError> {
        self.namespace
            .set_sysctl("ipv4/tcp_congestion_control", control)
    }

    /// Reads the interface's counters.
    pub fn counters(&self) -> Result<InterfaceCounters, LabError> {
        let table = self
            .run(|| std::fs::read_to_string("/proc/thread-self/net/dev"))?
            .map_err(|source| LabError::Os {
                what: "cannot read the interface counters",
                source,
            })?;
        parse_counters(&table, self.interface).ok_or_else(|| {
            LabError::Usage(format!(
                "the kernel's interface table has no line for {}",
                self.interface
            ))
        })
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
}
