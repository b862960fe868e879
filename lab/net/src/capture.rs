//! What goes over a machine's interfaces: every packet's two addresses, read from a packet socket (packet(7)).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket};

use crate::LabError;
use crate::namespace::Namespace;

/// How often it is looked whether the capture is over.
const TURN: Duration = Duration::from_millis(50);
/// Room for packets that were not read yet.
const BUFFER: usize = 4 << 20;
/// An IPv6 header (RFC 8200); an IPv4 one without options is shorter.
const HEADER: usize = 40;
/// Routers and hosts say of their own accord which multicast groups they are in (RFC 3376).
const IGMP: u8 = 2;

/// A running capture; ends when dropped.
#[derive(Debug)]
pub struct Capture {
    pairs: Arc<Mutex<BTreeSet<(IpAddr, IpAddr)>>>,
    over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Of all interfaces of a namespace, from now on.
    pub fn start(namespace: &Namespace) -> Result<Self, LabError> {
        let open = || {
            let socket = socket(AddressFamily::PACKET, SocketType::DGRAM, Some(eth::ALL))?;
            set_socket_timeout(&socket, Timeout::Recv, Some(TURN))?;
            set_socket_recv_buffer_size(&socket, BUFFER)?;
            Ok(socket)
        };
        let socket: Result<OwnedFd, rustix::io::Errno> = namespace.run(open)?;
        let socket = socket.map_err(|source| LabError::Os {
            what: "cannot capture packets",
            source: source.into(),
        })?;
        let pairs = Arc::<Mutex<BTreeSet<(IpAddr, IpAddr)>>>::default();
        let over = Arc::new(AtomicBool::new(false));
        let (kept, ending) = (Arc::clone(&pairs), Arc::clone(&over));
        let reader = std::thread::spawn(move || {
            let mut header = [0; HEADER];
            while !ending.load(Ordering::Relaxed) {
                let Ok((_, length)) = recv(&socket, &mut header, RecvFlags::TRUNC) else {
                    continue;
                };
                if let Some(pair) = addresses(&header[..length.min(HEADER)]) {
                    let mut pairs = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    pairs.insert(pair);
                }
            }
        });
        Ok(Self {
            pairs,
            over,
            reader: Some(reader),
        })
    }

    /// Whom the machine with this address sent to or heard from so far. Loopback, and what machines of one link say to each
    /// other to find their addresses, do not count.
    pub fn peers_of(&self, own: IpAddr) -> BTreeSet<IpAddr> {
        std::thread::sleep(2 * TURN);
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let all = pairs.iter().flat_map(|(from, to)| [*from, *to]);
        all.filter(|ip| *ip != own && counts(*ip)).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // It has nothing to say; a panic of it has been printed.
            let _ = reader.join();
        }
    }
}

fn addresses(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&IGMP) => None,
        4 => {
            let at = |from: usize| <[u8; 4]>::try_from(packet.get(from..from + 4)?).ok();
            Some((
                Ipv4Addr::from(at(12)?).into(),
                Ipv4Addr::from(at(16)?).into(),
            ))
        }
        6 => {
            let at = |from: usize| <[u8; 16]>::try_from(packet.get(from..from + 16)?).ok();
            Some((
                Ipv6Addr::from(at(8)?).into(),
                Ipv6Addr::from(at(24)?).into(),
            ))
        }
        // Anything else, such as ARP, has no IP header.
        _ => None,
    }
}

fn counts(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_loopback(),
        IpAddr::V6(v6) => {
            !v6.is_loopback()
                && !v6.is_unspecified()
                && !v6.is_multicast()
                && !v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_stand_where_the_standards_put_them() {
        let mut v4 = [0; 20];
        v4[0] = 0x45;
        v4[12..16].copy_from_slice(&[192, 0, 2, 1]);
        v4[16..20].copy_from_slice(&[192, 0, 2, 2]);
        let pair = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(addresses(&v4), Some((pair[0], pair[1])));
        assert_eq!(addresses(&v4[..19]), None);
        v4[9] = IGMP;
        assert_eq!(addresses(&v4), None);
        let mut v6 = [0; 40];
        v6[0] = 0x60;
        v6[23] = 1;
        v6[39] = 2;
        let pair = ["::1", "::2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(addresses(&v6), Some((pair[0], pair[1])));
        // ARP begins with its kind of hardware.
        assert_eq!(addresses(&[0, 1, 8, 0]), None);
        assert_eq!(addresses(&[]), None);
    }
}
