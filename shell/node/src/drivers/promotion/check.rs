//! Finding out whether others reach this machine, and how fast it sends: supernodes are asked one after the other until two
//! have answered. The machine asks as the supernode it would be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_protocol::overlay::qualification::{
    ASKED_MAX, Asked, Demands, Obstacle, WITNESSES, Witness, judge,
};
use starling_wire::alpn;
use starling_wire::supernode::{Answer, Ports, Reached, Request, SupernodeAddr, UPSTREAM_MAX};
use tokio::time::Instant;
use tracing::debug;
use zeroize::Zeroizing;

use crate::transport::pins::Pins;
use crate::transport::reach::{Doors, DoorsError};
use crate::transport::requests::{RequestError, exchange};
use crate::transport::{congestion, dial, endpoint};

/// The fastest of so many counts: the first one has to find out what the way bears.
const MEASUREMENTS: usize = 3;

/// What is to be found out.
#[derive(Debug)]
pub struct Check {
    /// Of the supernode it would be, or is.
    pub seed: Zeroizing<[u8; 32]>,
    /// Known keys.
    pub pins: Pins,
    /// Where it would listen.
    pub listen: SocketAddr,
    /// Where it listens already: TCP, UDP.
    pub serving: Option<(u16, u16)>,
    /// Whom to ask, in this order.
    pub witnesses: Vec<SupernodeAddr>,
    /// What is asked of it.
    pub demands: Demands,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Where others reach it, or what is in the way.
    pub verdict: Result<Option<SocketAddr>, Obstacle>,
    /// The ports looked at.
    pub ports: Option<(u16, u16)>,
}

impl Check {
    /// Opens the ports unless they are open, and asks.
    pub async fn run(self) -> Found {
        let doors = match self.serving {
            Some(_) => None,
            None => match Doors::open(&self.seed, self.listen).await {
                Ok(doors) => Some(doors),
                Err(error) => return Found::nothing(obstacle(error)),
            },
        };
        let Some(ports) = self.serving.or(doors.as_ref().map(Doors::ports)) else {
            return Found::nothing(Obstacle::NoNetwork);
        };
        let verdict = self.ask_all(ports).await;
        if let Some(doors) = doors {
            doors.close().await;
        }
        Found {
            verdict,
            ports: Some(ports),
        }
    }

    async fn ask_all(&self, ports: (u16, u16)) -> Result<Option<SocketAddr>, Obstacle> {
        let mut answers = Vec::new();
        for witness in self.witnesses.iter().take(ASKED_MAX) {
            match self.ask(witness, ports).await {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    debug!(%error, witness = %witness.tcp, "a supernode did not dial us back");
                }
            }
            if answers.len() == WITNESSES {
                break;
            }
        }
        let asked = Asked {
            ports,
            known: self.witnesses.len(),
            local: self.witnesses.first().and_then(|one| local(one.tcp)),
        };
        judge(&asked, &answers, &self.demands)
    }

    async fn ask(
        &self,
        witness: &SupernodeAddr,
        (tcp, udp): (u16, u16),
    ) -> Result<Witness, RequestError> {
        self.pins.learn(witness);
        let unreachable = |_| RequestError::Dial(dial::DialError::NoAddress);
        let from = endpoint::inner(
            &self.seed,
            &self.pins,
            Some(witness),
            None,
            Vec::new(),
            None,
        );
        let from = from.await.map_err(unreachable)?;
        let asked = async {
            let to = endpoint::through(witness.id, witness).ok_or(dial::DialError::NoAddress)?;
            let dialled = dial::connect(&from, to, alpn::SUPER, congestion::signalling());
            let connection = dialled.await?;
            let dial_back = Request::DialBack(Ports { tcp, udp });
            let Answer::Reached(reached) = exchange(&connection, &dial_back).await? else {
                return Err(RequestError::Unexpected);
            };
            let kbit_s = if reached.tcp && reached.udp {
                measure(&connection).await?
            } else {
                0
            };
            connection.close(0u32.into(), b"thank you");
            Ok(Witness {
                reached: canonical(reached),
                kbit_s,
            })
        };
        let answer = asked.await;
        tokio::spawn(async move { endpoint::close(&from).await });
        answer
    }
}

impl Found {
    const fn nothing(obstacle: Obstacle) -> Self {
        Self {
            verdict: Err(obstacle),
            ports: None,
        }
    }
}

/// `PROMOTE-09`: by what really went there.
async fn measure(connection: &Connection) -> Result<u32, RequestError> {
    let mut shortest = Duration::MAX;
    for _ in 0..MEASUREMENTS {
        let request = Request::Upstream {
            filler: vec![0; UPSTREAM_MAX],
        };
        let began = Instant::now();
        match exchange(connection, &request).await {
            Ok(Answer::Ok) => shortest = shortest.min(began.elapsed()),
            // Too slow to be heard in time: what was measured before counts.
            Err(RequestError::TimedOut) => break,
            Ok(_) => return Err(RequestError::Unexpected),
            Err(error) => return Err(error),
        }
    }
    let milliseconds = shortest.as_millis().max(1);
    let bits = 8 * UPSTREAM_MAX as u128;
    Ok(u32::try_from(bits / milliseconds).unwrap_or(u32::MAX))
}

fn canonical(reached: Reached) -> Reached {
    Reached {
        ip: reached.ip.to_canonical(),
        ..reached
    }
}

/// This machine's own address on the way there; nothing is sent.
fn local(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|at| at.ip())
}

const fn obstacle(error: DoorsError) -> Obstacle {
    match error {
        DoorsError::InUse(port) => Obstacle::PortInUse(port),
        DoorsError::Refused => Obstacle::NoNetwork,
    }
}
