//! Where this machine is: looks twice a second which address packets to the rest of the world would come from, and at the clocks, and
//! tells the others when that changed. Nothing is sent for it. Owns the machine `overlay::surroundings`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use starling_protocol::overlay::surroundings::{LOOK_EVERY, Look, Surroundings};
use tracing::debug;

use crate::clock::wall_ms;
use crate::context::{Context, Signal};

/// Somewhere else, whatever our home is: documentation addresses (RFC 5737, RFC 3849). A home in this machine, or another one than
/// before, is no other network.
const WORLD_V4: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
const WORLD_V6: (Ipv6Addr, u16) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9);

/// Runs until the session ends.
pub async fn run(ctx: Arc<Context>) {
    let mut here = Surroundings::default();
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let look = Look {
            now: ctx.clock.now(),
            wall_ms: wall_ms(),
            source: source(WORLD_V4.into()).or_else(|| source(WORLD_V6.into())),
        };
        if let Some(change) = here.handle_look(look) {
            debug!(?change, source = ?look.source, "this machine is elsewhere, or was asleep");
            ctx.signal(Signal::Network);
        }
    }
}

/// The address that packets to `there` would come from, as the routes are now.
fn source(there: SocketAddr) -> Option<IpAddr> {
    let any = if there.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    // Connecting a UDP socket sends nothing: the system looks at its routes.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(there).ok()?;
    let source = socket.local_addr().ok()?.ip();
    (!source.is_unspecified()).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_the_address_is_loopback() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source(SocketAddr::new(loopback, 9)), Some(loopback));
    }
}
