//! The shim asked as iroh asks it, and as others on this machine would.

use std::net::IpAddr;

use starling_wire::ids::EndpointKey;
use tokio::io::AsyncReadExt;

use super::*;
use crate::transport::pins::Pins;
use crate::transport::proxy::ProxySetting;

fn supernode(tcp: SocketAddr) -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp,
        discovery_port: 0,
    }
}

async fn shim(home: Option<&str>) -> Shim {
    let ladder = Ladder::new(Pins::default(), ProxySetting::None);
    let shim = Shim::open(&[1; 32], ladder).await.unwrap();
    if let Some(home) = home {
        let home = supernode(home.parse().unwrap());
        shim.set_home(&home, &home);
    }
    shim
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn login(shim: &Shim, side: Side) -> String {
    let (name, password) = shim.shared.login(side);
    let text = format!("{name}:{password}");
    format!("Basic {}", data_encoding::BASE64.encode(text.as_bytes()))
}

/// The answer's status, and the connection.
async fn ask(shim: &Shim, target: SocketAddr, login: &str) -> (u16, TcpStream) {
    let mut tcp = TcpStream::connect(shim.address).await.unwrap();
    let ask = format!("CONNECT {target} HTTP/1.1\r\nProxy-Authorization: {login}\r\n\r\n");
    tcp.write_all(ask.as_bytes()).await.unwrap();
    let head = http_head::read(&mut tcp).await.unwrap();
    (head.status().unwrap(), tcp)
}

#[tokio::test]
async fn shim_01_others_on_this_machine_get_nothing() {
    let (relay, at) = listener().await;
    let shim = shim(Some(&at.to_string())).await;
    let own = login(&shim, Side::FrontDoor);
    for wrong in [
        "Basic QQ==",
        "Basic ",
        "",
        &own[..own.len() - 4],
        "Starling 00",
    ] {
        assert_eq!(ask(&shim, at, wrong).await.0, 407, "{wrong}");
    }
    let (status, mut tcp) = ask(&shim, at, &own).await;
    assert_eq!(status, 200);
    let (mut far, _) = relay.accept().await.unwrap();
    tcp.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn shim_02_what_our_home_would_not_reach_is_refused_here_already() {
    let (bait, at) = listener().await;
    let homeless = shim(None).await;
    let own = login(&homeless, Side::FrontDoor);
    assert_eq!(ask(&homeless, at, &own).await.0, 403, "no home yet");
    let shim = shim(Some("203.0.113.7:27474")).await;
    let own = login(&shim, Side::FrontDoor);
    assert_eq!(ask(&shim, at, &own).await.0, 403, "this very machine");
    for place in [
        "192.168.1.7:27474",
        "10.0.0.1:443",
        "169.254.0.1:80",
        "203.0.113.9:22",
    ] {
        let refused = shim.allows(place.parse().unwrap());
        assert!(matches!(refused, Err(ShimError::Target(_))), "{place}");
    }
    assert!(shim.allows("203.0.113.9:443".parse().unwrap()).is_ok());
    let knock = tokio::time::timeout(Duration::from_millis(200), bait.accept());
    assert!(knock.await.is_err(), "nobody came");
    // The inner endpoint's peers know our address: its links go straight.
    let (status, _tcp) = ask(&shim, at, &login(&shim, Side::Inner)).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn shim_03_other_relays_are_asked_of_our_home_and_never_connected_to() {
    let (home, at) = listener().await;
    let (bait, other) = listener().await;
    let shim = shim(Some(&at.to_string())).await;
    let own = login(&shim, Side::FrontDoor);
    let asking = tokio::spawn(async move { ask(&shim, other, &own).await.0 });
    let (mut knock, from) = home.accept().await.unwrap();
    assert_eq!(from.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(knock.read_u8().await.unwrap(), 0x16, "TLS to our home");
    drop(knock);
    assert_eq!(asking.await.unwrap(), 502);
    let knock = tokio::time::timeout(Duration::from_millis(200), bait.accept());
    assert!(knock.await.is_err(), "nobody came");
}

/// A home supernode that opens every tunnel, and what it was asked.
async fn opening_home() -> (SupernodeAddr, Pins, tokio::task::JoinHandle<String>) {
    let seed = [5; 32];
    let key = SigningKey::from_bytes(&seed).verifying_key();
    let (listener, tcp) = listener().await;
    let home = SupernodeAddr {
        id: EndpointKey(key.to_bytes()),
        ..supernode(tcp)
    };
    let pins = Pins::default();
    pins.set_home(&home);
    let config = crate::transport::pins::server_config(&seed).unwrap();
    let asked = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let mut tls = acceptor.accept(tcp).await.unwrap();
        let head = http_head::read(&mut tls).await.unwrap();
        tls.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Until the tunnel ends, however it does.
        let _ = tls.read(&mut [0; 16]).await;
        head.connect().unwrap().to_owned()
    });
    (home, pins, asked)
}

#[tokio::test]
async fn shim_03_what_went_through_the_old_home_ends_with_it() {
    let (home, pins, asked) = opening_home().await;
    let ladder = Ladder::new(pins, ProxySetting::None);
    let shim = Shim::open(&[1; 32], ladder).await.unwrap();
    shim.set_home(&home, &home);
    let relay = SocketAddr::from((Ipv4Addr::LOCALHOST, 27474));
    let (status, mut tcp) = ask(&shim, relay, &login(&shim, Side::FrontDoor)).await;
    assert_eq!(status, 200);
    let other = supernode(SocketAddr::from((Ipv4Addr::LOCALHOST, 27475)));
    shim.set_home(&other, &other);
    let end = tokio::time::timeout(Duration::from_secs(5), tcp.read_u8()).await;
    assert!(matches!(end, Ok(Err(_))));
    assert_eq!(asked.await.unwrap(), relay.to_string());
}
