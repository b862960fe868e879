//! Tunnels through a home supernode (HTTP `CONNECT`, RFC 9110 section 9.3.6): the ticket that a front door shows, and
//! which addresses a supernode connects to for others. Spec page `ladder.md`.

use std::net::{IpAddr, SocketAddr};

use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::SigningKey;

use crate::account::{sign, signed_by};
use crate::ids::EndpointKey;
use crate::supernode::{is_private, is_public};

const CONTEXT: &[u8] = b"starling 1 tunnel";
/// The scheme of the `Proxy-Authorization` header.
pub const SCHEME: &str = "Starling";
/// Door and signature.
const TICKET_BYTES: usize = 32 + 64;
/// Below this, ports are services' own, and no relay is there but on the two that every network lets out.
const FIRST_FREE_PORT: u16 = 1024;
const WELL_KNOWN: [u16; 2] = [443, 80];

/// Whom a tunnel is for and where it leads: at one supernode, to one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunnel {
    /// The supernode that is asked to connect.
    pub supernode: EndpointKey,
    /// Whereto.
    pub target: SocketAddr,
}

/// Where a supernode and whoever asks it are: what it connects to depends on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Others reach the supernode on a private address only.
    pub private: bool,
    /// Where the asker's packets come from.
    pub asker: IpAddr,
}

/// Why a supernode does not connect to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum TargetError {
    /// Not an IP address and a port.
    #[error("a relay is named by an IP address and a port")]
    NoAddress,
    /// Not a machine that everybody reaches.
    #[error("no relay of a network can be at this address")]
    Address,
    /// A port of something else.
    #[error("no relay is at this port")]
    Port,
}

impl Tunnel {
    /// What the front door shows in its `Proxy-Authorization` header.
    pub fn ticket(&self, door: &SigningKey) -> String {
        let (first, second) = sign(door, &self.signed_bytes());
        let key = door.verifying_key().to_bytes();
        let bytes = [key, first, second].concat();
        format!("{SCHEME} {}", HEXLOWER_PERMISSIVE.encode(&bytes))
    }

    /// `TUNNEL-01`: the front door that signed for this tunnel; `None` if nobody did.
    pub fn door(&self, header: &[u8]) -> Option<EndpointKey> {
        let (scheme, text) = header.split_at_checked(SCHEME.len())?;
        let text = text.strip_prefix(b" ")?;
        if scheme != SCHEME.as_bytes() || text.len() != 2 * TICKET_BYTES {
            return None;
        }
        let bytes = HEXLOWER_PERMISSIVE.decode(text).ok()?;
        let part = |at: usize| <[u8; 32]>::try_from(bytes.get(at..at + 32)?).ok();
        let (door, proof) = (part(0)?, (part(32)?, part(64)?));
        signed_by(&door, &self.signed_bytes(), proof).then_some(EndpointKey(door))
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend_from_slice(self.supernode.as_bytes());
        bytes.extend_from_slice(self.target.to_string().as_bytes());
        bytes
    }
}

/// Whether a supernode may be at a port: below 1024 they belong to other services.
pub fn may_serve_at(port: u16) -> bool {
    port >= FIRST_FREE_PORT || WELL_KNOWN.contains(&port)
}

/// Reads what `CONNECT` asks for; a name is never looked up.
pub fn target(text: &str) -> Result<SocketAddr, TargetError> {
    text.parse().map_err(|_| TargetError::NoAddress)
}

impl Standing {
    /// `TUNNEL-02`: public addresses; from a supernode on a private address private ones too, but this machine itself for
    /// its own users only, and never a link's own range: there are routers and other machines' secrets, but no relay.
    pub fn may_reach(&self, target: SocketAddr) -> Result<(), TargetError> {
        if !may_serve_at(target.port()) {
            return Err(TargetError::Port);
        }
        let ip = target.ip().to_canonical();
        let here = self.private && is_private(ip) && !is_link_local(ip);
        let own = !ip.is_loopback() || self.asker.to_canonical().is_loopback();
        if is_public(ip) || (here && own) {
            Ok(())
        } else {
            Err(TargetError::Address)
        }
    }
}

const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(target: &str) -> Tunnel {
        Tunnel {
            supernode: EndpointKey([8; 32]),
            target: target.parse().expect("an address"),
        }
    }

    #[test]
    fn tunnel_01_a_ticket_is_good_for_one_door_one_supernode_and_one_address() {
        let door = SigningKey::from_bytes(&[7; 32]);
        let there = tunnel("203.0.113.7:443");
        let ticket = there.ticket(&door);
        let key = EndpointKey(door.verifying_key().to_bytes());
        assert_eq!(there.door(ticket.as_bytes()), Some(key));
        let elsewhere = tunnel("203.0.113.8:443");
        assert_eq!(elsewhere.door(ticket.as_bytes()), None);
        let at_another = Tunnel {
            supernode: EndpointKey([9; 32]),
            ..there
        };
        assert_eq!(at_another.door(ticket.as_bytes()), None);
        let basic = ticket.replace(SCHEME, "Digested");
        assert_eq!(there.door(basic.as_bytes()), None);
        for end in 0..ticket.len() {
            assert_eq!(there.door(&ticket.as_bytes()[..end]), None, "{end}");
        }
        assert_eq!(there.door(format!("{ticket}0").as_bytes()), None);
    }

    #[test]
    fn tunnel_02_a_public_supernode_connects_to_public_relays_only() {
        let public = Standing {
            private: false,
            asker: IpAddr::from([203, 0, 113, 9]),
        };
        let reach = |text: &str| public.may_reach(target(text).expect("an address"));
        assert_eq!(reach("203.0.113.7:443"), Ok(()));
        assert_eq!(reach("[2001:db8::7]:27474"), Ok(()));
        for private in [
            "127.0.0.1:27474",
            "[::1]:27474",
            "[::ffff:127.0.0.1]:27474",
            "10.0.0.1:443",
            "192.168.1.1:443",
            "169.254.169.254:80",
            "0.0.0.0:27474",
            "100.64.0.1:443",
            "[fe80::1]:443",
            "[64:ff9b::a00:1]:443",
            "255.255.255.255:443",
        ] {
            assert_eq!(reach(private), Err(TargetError::Address), "{private}");
        }
        for port in ["203.0.113.7:25", "203.0.113.7:0", "203.0.113.7:22"] {
            assert_eq!(reach(port), Err(TargetError::Port), "{port}");
        }
        for name in ["example.org:443", "203.0.113.7", "localhost:27474", ""] {
            assert_eq!(target(name), Err(TargetError::NoAddress), "{name}");
        }
    }

    #[test]
    fn tunnel_02_a_private_supernode_opens_its_own_machine_to_its_own_users_only() {
        let private = |asker: [u8; 4]| Standing {
            private: true,
            asker: IpAddr::from(asker),
        };
        let reach = |from, text: &str| private(from).may_reach(text.parse().expect("an address"));
        let (neighbour, own) = ([192, 168, 1, 9], [127, 0, 0, 1]);
        assert_eq!(reach(neighbour, "192.168.1.7:27474"), Ok(()));
        assert_eq!(reach(neighbour, "203.0.113.7:27474"), Ok(()));
        assert_eq!(reach(own, "127.0.0.1:27474"), Ok(()));
        let refused = Err(TargetError::Address);
        assert_eq!(reach(neighbour, "127.0.0.1:27474"), refused);
        assert_eq!(reach(neighbour, "[::ffff:127.0.0.1]:27474"), refused);
        assert_eq!(reach(own, "169.254.169.254:80"), refused);
    }
}
