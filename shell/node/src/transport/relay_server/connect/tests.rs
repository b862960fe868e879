//! A supernode's relay on loopback, asked for tunnels over raw TLS.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use rustls::pki_types::ServerName;
use starling_wire::supernode::SupernodeAddr;
use starling_wire::tunnel::Tunnel;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::clock::Clock;
use crate::transport::pins::Pins;
use crate::transport::relay_server::Limits;
use crate::transport::relay_server::{RelayServer, RelayServerConfig};

const SEED: [u8; 32] = [7; 32];
const SOON: Duration = Duration::from_secs(5);
/// As TLS begins.
const HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x00];

struct Stage {
    relay: RelayServer,
    pins: Pins,
    id: EndpointKey,
    /// Somebody else's relay, as far as anybody can tell.
    other: TcpListener,
}

impl Stage {
    async fn build() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let id = EndpointKey(SigningKey::from_bytes(&SEED).verifying_key().to_bytes());
        let config = RelayServerConfig {
            listen: any,
            also: Vec::new(),
            discovery: Some(any),
            limits: Limits::default(),
            fixed: false,
            seed: SEED,
            private_only: true,
            discovery_ip: None,
            tunnels: TunnelConfig {
                supernode: id,
                private: true,
                registered: Arc::new(|door| Box::pin(async move { door == alice() })),
            },
        };
        let (events, _) = mpsc::unbounded_channel();
        let relay = RelayServer::start(config, Carrier::new(Clock::start()), events)
            .await
            .unwrap();
        let pins = Pins::default();
        pins.learn(&SupernodeAddr {
            id,
            tcp: relay.tcp(),
            discovery_port: 0,
        });
        Self {
            relay,
            pins,
            id,
            other: TcpListener::bind(any).await.unwrap(),
        }
    }

    fn target(&self) -> SocketAddr {
        self.other.local_addr().unwrap()
    }

    fn ticket(&self, target: SocketAddr, seed: u8) -> String {
        let supernode = self.id;
        Tunnel { supernode, target }.ticket(&SigningKey::from_bytes(&[seed; 32]))
    }

    /// Asks for a tunnel; the status, and the connection.
    async fn ask(&self, target: &str, ticket: &str) -> (u16, TlsStream<TcpStream>) {
        let config = Arc::new(self.pins.client_config().unwrap());
        let tcp = TcpStream::connect(self.relay.tcp()).await.unwrap();
        let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        let connector = tokio_rustls::TlsConnector::from(config);
        let mut tls = connector.connect(name, tcp).await.unwrap();
        let ask = format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: {ticket}\r\n\r\n"
        );
        tls.write_all(ask.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tls.read_u8().await.unwrap());
        }
        let status = String::from_utf8(head).unwrap()[9..12].parse().unwrap();
        (status, tls)
    }
}

fn alice() -> EndpointKey {
    EndpointKey(SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_03_whoever_is_registered_reaches_another_relay() {
    let stage = Stage::build().await;
    let target = stage.target();
    let text = target.to_string();
    let (status, mut tls) = stage.ask(&text, &stage.ticket(target, 1)).await;
    assert_eq!(status, 200);
    let (mut relay, _) = stage.other.accept().await.unwrap();
    tls.write_all(HELLO).await.unwrap();
    let mut heard = [0; HELLO.len()];
    relay.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, HELLO);
    relay.write_all(b"hello back").await.unwrap();
    let mut back = [0; 10];
    tls.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello back");
    assert_eq!(stage.relay.tunnels().count(), 1);
    assert_eq!(stage.relay.tunnels().carried(), (4, 10));
    drop(relay);
    let ended = tokio::time::timeout(SOON, tls.read_u8()).await.unwrap();
    assert!(ended.is_err(), "the end is passed on");
    let (status, _) = stage.ask(&text, &stage.ticket(target, 2)).await;
    assert_eq!(status, 403, "Bob is not registered");
    let (status, _) = stage.ask(&text, "Basic QWxpY2U6").await;
    assert_eq!(status, 407);
    let (status, _) = stage.ask("localhost:27474", &stage.ticket(target, 1)).await;
    assert_eq!(status, 400);
    let low = SocketAddr::new(target.ip(), 25);
    let (status, _) = stage.ask(&low.to_string(), &stage.ticket(low, 1)).await;
    assert_eq!(status, 403);
    assert_eq!(
        stage.relay.tunnels().refused(),
        BTreeMap::from([
            (TunnelError::Ticket, 1),
            (TunnelError::Target(TargetError::NoAddress), 1),
            (TunnelError::Target(TargetError::Port), 1),
            (TunnelError::NotRegistered, 1),
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_04_one_front_door_has_so_many_tunnels() {
    let stage = Stage::build().await;
    let (target, text) = (stage.target(), stage.target().to_string());
    let ticket = stage.ticket(target, 1);
    let mut open = Vec::new();
    for _ in 0..TUNNELS_OF_ONE {
        let (status, tls) = stage.ask(&text, &ticket).await;
        assert_eq!(status, 200);
        open.push((tls, stage.other.accept().await.unwrap()));
    }
    let (status, _) = stage.ask(&text, &ticket).await;
    assert_eq!(status, 429);
    open.pop();
    let begin = std::time::Instant::now();
    while stage.ask(&text, &ticket).await.0 != 200 {
        assert!(begin.elapsed() < SOON, "the place is free again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnel_05_nothing_but_tls_goes_through() {
    let stage = Stage::build().await;
    let (target, text) = (stage.target(), stage.target().to_string());
    let (status, mut tls) = stage.ask(&text, &stage.ticket(target, 1)).await;
    assert_eq!(status, 200);
    let (mut relay, _) = stage.other.accept().await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let heard = tokio::time::timeout(SOON, relay.read(&mut [0; 16])).await;
    assert_eq!(heard.unwrap().unwrap(), 0, "closed, and nothing came");
    assert_eq!(
        stage.relay.tunnels().refused(),
        BTreeMap::from([(TunnelError::NotTls, 1)])
    );
}
