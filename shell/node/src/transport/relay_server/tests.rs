//! A relay server on loopback with little room: who gets in, who does not, and who loses nothing by it.

use std::net::Ipv4Addr;
use std::time::Instant;

use starling_wire::supernode::SupernodeAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::clock::Clock;
use crate::transport::front_door::FrontDoor;
use crate::transport::pins::Pins;
use crate::transport::proxy::ProxySetting;

const SEED: [u8; 32] = [7; 32];
/// Anything on loopback is there by then.
const SOON: Duration = Duration::from_secs(5);

pub(super) struct Stage {
    pub(super) relay: RelayServer,
    pub(super) address: SupernodeAddr,
    events: mpsc::UnboundedReceiver<LinkEvent>,
    pub(super) carrier: Carrier,
}

impl Stage {
    pub(super) async fn with(links: usize, handshakes: usize) -> Self {
        Self::within(links, handshakes, Limits::default()).await
    }

    async fn within(links: usize, handshakes: usize, limits: Limits) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = RelayServerConfig {
            listen: any,
            also: Vec::new(),
            discovery: Some(any),
            seed: SEED,
            private_only: true,
            discovery_ip: None,
            tunnels: TunnelConfig {
                supernode: key(),
                private: true,
                registered: Arc::new(|_| Box::pin(async { true })),
            },
            limits,
            fixed: false,
        };
        let (sender, events) = mpsc::unbounded_channel();
        let room = Room {
            links,
            handshakes,
            tunnels: 1,
        };
        let carrier = Carrier::new(Clock::start());
        let relay = RelayServer::start_in(room, config, carrier.clone(), sender)
            .await
            .unwrap();
        let address = SupernodeAddr {
            id: key(),
            tcp: relay.tcp(),
            discovery_port: relay.discovery_port(),
        };
        Self {
            relay,
            address,
            events,
            carrier,
        }
    }

    /// Somebody's front door, at home here.
    async fn at_home(&self, seed: u8) -> FrontDoor {
        let (arrivals, _) = mpsc::channel(1);
        let home = Some(self.address.clone());
        let (pins, proxy) = (Pins::default(), ProxySetting::None);
        let keeper = Arc::new(|_| None);
        FrontDoor::open(&[seed; 32], pins, proxy, home, keeper, arrivals)
            .await
            .unwrap()
    }

    async fn event(&mut self) -> Option<LinkEvent> {
        let event = tokio::time::timeout(SOON, self.events.recv());
        event.await.ok().flatten()
    }

    /// A connection that says nothing.
    async fn silent(&self) -> TcpStream {
        TcpStream::connect(self.relay.tcp()).await.unwrap()
    }
}

fn key() -> EndpointKey {
    let key = ed25519_dalek::SigningKey::from_bytes(&SEED);
    EndpointKey(key.verifying_key().to_bytes())
}

/// Until the other side closes it.
async fn is_closed_within(mut tcp: TcpStream, time: Duration) -> bool {
    let read = tokio::time::timeout(time, tcp.read(&mut [0; 16])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_01_the_silent_take_no_place_and_are_sent_away() {
    let mut stage = Stage::with(10, 2).await;
    let alice = stage.at_home(1).await;
    let up = stage.event().await;
    assert_eq!(up, Some(LinkEvent::Up(alice.key(), 1)));
    let began = Instant::now();
    let silent = [stage.silent().await, stage.silent().await];
    let third = stage.silent().await;
    assert!(is_closed_within(third, SOON).await, "two are shaking hands");
    assert_eq!(stage.relay.links(), 1, "who is here stays");
    for tcp in silent {
        assert!(is_closed_within(tcp, HANDSHAKE_TIME * 2).await);
    }
    let waited = began.elapsed();
    assert!(waited >= HANDSHAKE_TIME / 2, "closed after {waited:?}");
    let bob = stage.at_home(2).await;
    let up = stage.event().await;
    assert_eq!(up, Some(LinkEvent::Up(bob.key(), 2)), "there is room again");
    alice.close().await;
    bob.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_03_a_full_relay_says_no_and_keeps_whom_it_has() {
    let mut stage = Stage::with(1, 4).await;
    let alice = stage.at_home(1).await;
    assert_eq!(stage.event().await, Some(LinkEvent::Up(alice.key(), 1)));
    let bob = stage.at_home(2).await;
    assert_eq!(stage.event().await, None, "Bob is not let in");
    assert_eq!(stage.relay.links(), 1);
    alice.close().await;
    assert_eq!(stage.event().await, Some(LinkEvent::Down(alice.key(), 1)));
    let carol = stage.at_home(3).await;
    let up = stage.event().await;
    let keys = [bob.key(), carol.key()];
    assert!(
        matches!(up, Some(LinkEvent::Up(key, 2)) if keys.contains(&key)),
        "{up:?}"
    );
    bob.close().await;
    carol.close().await;
}

#[test]
fn relay_03_links_and_handshakes_fit_the_descriptors() {
    let room = |links, handshakes, tunnels| Room {
        links,
        handshakes,
        tunnels,
    };
    for (descriptors, expected) in [
        (0, room(0, 0, 0)),
        (256, room(76, 32, 10)),
        (1_024, room(300, 128, 42)),
        (4_096, room(2_476, 512, 298)),
        (13_023, room(9_999, 512, 1_000)),
        (13_024, room(10_000, 512, 1_000)),
        (u64::MAX, room(10_000, 512, 1_000)),
    ] {
        assert_eq!(Room::within(descriptors), expected, "{descriptors}");
        let all = (expected.links + expected.handshakes + 2 * expected.tunnels) as u64;
        assert!(all <= descriptors - descriptors.min(RESERVED).min(descriptors / 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_05_a_place_is_free_again_as_soon_as_its_holder_left() {
    let limits = Limits {
        links: Some(2),
        ..Limits::default()
    };
    let mut stage = Stage::within(9, 4, limits).await;
    let [alice, bob] = [stage.at_home(1).await, stage.at_home(2).await];
    assert!(stage.event().await.is_some() && stage.event().await.is_some());
    let carol = stage.at_home(3).await;
    let mut refused = carol.refused();
    let told = tokio::time::timeout(SOON, refused.wait_for(Option::is_some));
    let reason = told.await.expect("Carol is told").unwrap().clone();
    assert_eq!(reason.as_deref(), Some("this supernode is full"));
    let _own = stage.carrier.own(carol.key());
    // Whoever is of this process takes no place.
    let up = stage.event().await;
    assert_eq!(up, Some(LinkEvent::Up(carol.key(), 3)));
    assert_eq!(stage.relay.links(), 2);
    alice.close().await;
    let down = stage.event().await;
    assert!(matches!(down, Some(LinkEvent::Down(key, _)) if key == alice.key()));
    assert_eq!(stage.relay.links(), 1);
    bob.close().await;
    carol.close().await;
}
