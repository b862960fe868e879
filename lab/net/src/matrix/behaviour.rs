//! How a router behaves, found out with plain sockets before any node starts, and what follows from it for two of them.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::error::LabError;
use crate::host::Host;

/// What comes at all comes within a round trip.
const PATIENCE: Duration = Duration::from_millis(300);
/// A cable that was just plugged in is said to be up within a second, and loses what is sent before.
const TRIES: usize = 5;

/// Of what a mapping or a filter depends (RFC 4787, sections 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependence {
    /// Of nothing: it is the same for everybody.
    Independent,
    /// Of the other's address and port. (Of the address alone is not told from it.)
    AddressAndPort,
}

/// What UDP can do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing.
    NoUdp,
    /// It gets out.
    Udp {
        /// Whether the port outside differs by destination.
        mapping: Dependence,
        /// From whom packets are let in.
        filtering: Dependence,
    },
}

/// How two machines reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The caller's packets are let in at the called.
    Direct,
    /// The called one's packets are let in at the caller, not the other way round.
    Reversed,
    /// Each lets the other's in because it has sent there itself.
    Punched,
    /// Over UDP, through a forwarder.
    Forwarded,
    /// Through a relay.
    Relayed,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Reversed => "reversed",
            Self::Punched => "punched",
            Self::Forwarded => "forwarded",
            Self::Relayed => "relayed",
        })
    }
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Independent => "endpoint-independent",
            Self::AddressAndPort => "address and port-dependent",
        })
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUdp => f.write_str("no UDP"),
            Self::Udp { mapping, filtering } => {
                write!(f, "mapping {mapping}, filtering {filtering}")
            }
        }
    }
}

impl Behaviour {
    /// Whether strangers who know the address are let in.
    const fn lets_in(self) -> bool {
        matches!(
            self,
            Self::Udp {
                mapping: Dependence::Independent,
                filtering: Dependence::Independent
            }
        )
    }

    /// Whether the address that the supernode saw is the one for others, too.
    const fn is_known(self) -> bool {
        matches!(
            self,
            Self::Udp {
                mapping: Dependence::Independent,
                ..
            }
        )
    }

    /// Asks two public hosts what they see of a machine, and what gets to it.
    pub fn observe(host: &Host, supernode: &Host, witness: &Host) -> Result<Self, LabError> {
        let (own, first, second) = (socket_on(host)?, socket_on(supernode)?, socket_on(witness)?);
        let Some(seen) = (0..TRIES).find_map(|_| seen_by(&first, &own)) else {
            return Ok(Self::NoUdp);
        };
        // Before anything is sent to the witness, he is a stranger.
        let filtering = if reaches(&second, seen, &own) {
            Dependence::Independent
        } else {
            Dependence::AddressAndPort
        };
        let mapping = if seen_by(&second, &own) == Some(seen) {
            Dependence::Independent
        } else {
            Dependence::AddressAndPort
        };
        Ok(Self::Udp { mapping, filtering })
    }
}

/// What two behaviours let expect.
///
/// Without UDP at one of them there is the relay alone. Whoever lets strangers in is reached at the address that the
/// supernode saw. Two that do not can each send to the other's address, which opens their own filters, if both addresses are
/// known beforehand. A mapping made for this one destination is not known to anybody, and the other's filter waits for the
/// port that the supernode saw: forwarded, since both get out to a supernode. (Prediction of ports, as some do, is not attempted.)
pub fn predict(caller: Behaviour, callee: Behaviour) -> Way {
    if caller == Behaviour::NoUdp || callee == Behaviour::NoUdp {
        return Way::Relayed;
    }
    if caller.lets_in() || callee.lets_in() || (caller.is_known() && callee.is_known()) {
        return kind_of_direct(caller, callee);
    }
    Way::Forwarded
}

/// Which kind of direct it is when it is direct. Nodes do not know: they know that no relay is in between.
pub fn kind_of_direct(caller: Behaviour, callee: Behaviour) -> Way {
    if callee.lets_in() {
        Way::Direct
    } else if caller.lets_in() {
        Way::Reversed
    } else {
        Way::Punched
    }
}

fn socket_on(host: &Host) -> Result<UdpSocket, LabError> {
    let address = SocketAddr::from((host.ip(), 0));
    host.run(move || {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    })?
    .map_err(|source| LabError::Os {
        what: "cannot open a socket in the lab",
        source,
    })
}

/// The address of `socket` as `observer` sees it, if a packet gets there.
fn seen_by(observer: &UdpSocket, socket: &UdpSocket) -> Option<SocketAddr> {
    socket
        .send_to(b"who am I", observer.local_addr().ok()?)
        .ok()?;
    Some(observer.recv_from(&mut [0; 64]).ok()?.1)
}

/// Whether a packet from `from` to the address `to` is received by `socket`.
fn reaches(from: &UdpSocket, to: SocketAddr, socket: &UdpSocket) -> bool {
    from.send_to(b"a stranger", to).is_ok() && socket.recv_from(&mut [0; 64]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Behaviour = of(Dependence::Independent, Dependence::Independent);
    const HOME: Behaviour = of(Dependence::Independent, Dependence::AddressAndPort);
    const SYMMETRIC: Behaviour = of(Dependence::AddressAndPort, Dependence::AddressAndPort);

    const fn of(mapping: Dependence, filtering: Dependence) -> Behaviour {
        Behaviour::Udp { mapping, filtering }
    }

    #[test]
    fn pairs_are_predicted_as_rfc_4787_lets_expect() {
        for (caller, callee, way) in [
            (HOME, OPEN, Way::Direct),
            (OPEN, HOME, Way::Reversed),
            (OPEN, OPEN, Way::Direct),
            (HOME, HOME, Way::Punched),
            (SYMMETRIC, OPEN, Way::Direct),
            (OPEN, SYMMETRIC, Way::Reversed),
            (SYMMETRIC, HOME, Way::Forwarded),
            (HOME, SYMMETRIC, Way::Forwarded),
            (SYMMETRIC, SYMMETRIC, Way::Forwarded),
            (Behaviour::NoUdp, OPEN, Way::Relayed),
            (OPEN, Behaviour::NoUdp, Way::Relayed),
        ] {
            assert_eq!(predict(caller, callee), way, "{caller} x {callee}");
        }
    }
}
