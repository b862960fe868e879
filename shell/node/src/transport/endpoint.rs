//! The three kinds of iroh endpoint (DESIGN 1): front door (relay only), inner endpoint (UDP, direct paths) and the
//! supernode's own. None of them ever uses anybody else's infrastructure: no preset, no name server of others, no port
//! mapper unless the user asks, relays only from our own list.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Builder, NetReportConfig, PortmapperConfig, QuicTransportConfig, presets};
use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayConfig, RelayMap, RelayMode, RelayUrl, SecretKey,
    Watcher,
};
use iroh_relay::RelayQuicConfig;
use iroh_relay::tls::CaTlsConfig;
use starling_wire::alpn;
use starling_wire::ids::EndpointKey;
use starling_wire::peer::InnerAddr;
use starling_wire::supernode::SupernodeAddr;

use super::congestion;
use super::dial;
use super::names::resolver;
use super::pins::{Pins, crypto_provider};

/// How long closing waits for the other sides to say that they have heard.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why an endpoint could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The system refused the socket.
    #[error("the network could not be opened: {0}")]
    Bind(String),
}

/// Relay only: no UDP socket, no address of ours in any packet; and to relays by `shim` alone.
pub async fn front_door(
    secret: &[u8; 32],
    pins: &Pins,
    home: Option<&SupernodeAddr>,
    alpns: Vec<Vec<u8>>,
    shim: &RelayUrl,
) -> Result<Endpoint, EndpointError> {
    let map = RelayMap::empty();
    if let Some((url, config)) = home.and_then(|home| relay_config(home, false)) {
        map.insert(url, config);
    }
    let builder = builder(secret, pins, alpns, congestion::signalling())
        .clear_ip_transports()
        .proxy_url((**shim).clone())
        .relay_mode(RelayMode::Custom(map));
    let endpoint = bind(builder).await?;
    debug_assert!(
        endpoint.bound_sockets().is_empty(),
        "a front door must not own a UDP socket"
    );
    Ok(endpoint)
}

/// UDP and the home relay, with address discovery there. `listen` is the wanted UDP address, a free port if taken; without
/// one it has the relay only. `shim` is the way to relays where a plain connection is none; UDP is not touched by it.
pub async fn inner(
    secret: &[u8; 32],
    pins: &Pins,
    home: Option<&SupernodeAddr>,
    listen: Option<SocketAddr>,
    alpns: Vec<Vec<u8>>,
    shim: Option<&RelayUrl>,
) -> Result<Endpoint, EndpointError> {
    let bound_to = async |address: Option<SocketAddr>| {
        let map = RelayMap::empty();
        let discovery = address.is_some();
        if let Some((url, config)) = home.and_then(|home| relay_config(home, discovery)) {
            map.insert(url, config);
        }
        let mut builder = builder(secret, pins, alpns.clone(), congestion::direct());
        if let Some(shim) = shim {
            builder = builder.proxy_url((**shim).clone());
        }
        builder = builder
            .relay_mode(RelayMode::Custom(map))
            .clear_ip_transports();
        if let Some(address) = address {
            builder = builder
                .bind_addr(address)
                .map_err(|error| EndpointError::Bind(error.to_string()))?;
        }
        bind(builder).await
    };
    match bound_to(listen).await {
        Ok(endpoint) => Ok(endpoint),
        Err(_) => bound_to(listen.map(|listen| SocketAddr::new(listen.ip(), 0))).await,
    }
}

/// The supernode's own endpoint: clients reach it through its own relay, and it reaches them the same way, over loopback.
pub async fn supernode(
    secret: &[u8; 32],
    pins: &Pins,
    alpns: Vec<Vec<u8>>,
    own: &SupernodeAddr,
) -> Result<Endpoint, EndpointError> {
    let map = RelayMap::empty();
    if let Some((url, config)) = relay_config(own, false) {
        map.insert(url, config);
    }
    bind(
        builder(secret, pins, alpns, congestion::signalling())
            .clear_ip_transports()
            .relay_mode(RelayMode::Custom(map)),
    )
    .await
}

/// UDP only, known by its address and without a relay: a supernode for other supernodes. A free port if `listen` is taken.
pub async fn direct(
    secret: &[u8; 32],
    pins: &Pins,
    listen: SocketAddr,
    alpns: Vec<Vec<u8>>,
) -> Result<Endpoint, EndpointError> {
    let bound_to = async |address: SocketAddr| {
        let builder = builder(secret, pins, alpns.clone(), congestion::direct())
            .relay_mode(RelayMode::Custom(RelayMap::empty()))
            .clear_ip_transports()
            .bind_addr(address)
            .map_err(|error| EndpointError::Bind(error.to_string()))?;
        bind(builder).await
    };
    match bound_to(listen).await {
        Ok(endpoint) => Ok(endpoint),
        Err(_) => bound_to(SocketAddr::new(listen.ip(), 0)).await,
    }
}

fn builder(
    secret: &[u8; 32],
    pins: &Pins,
    alpns: Vec<Vec<u8>>,
    transport: QuicTransportConfig,
) -> Builder {
    let pins = pins.clone();
    let verifier = CaTlsConfig::custom_server_cert_verifier(Arc::new(move |provider| {
        Ok(pins.verifier(provider))
    }));
    let mut report = NetReportConfig::default();
    report.captive_portal_check = false;
    Endpoint::builder(presets::Empty)
        .crypto_provider(crypto_provider())
        .secret_key(SecretKey::from_bytes(secret))
        .alpns(alpns)
        .transport_config(transport)
        .dns_resolver(resolver())
        .ca_tls_config(verifier)
        .portmapper_config(PortmapperConfig::Disabled)
        .net_report_config(report)
}

async fn bind(builder: Builder) -> Result<Endpoint, EndpointError> {
    builder
        .bind()
        .await
        .map_err(|error| EndpointError::Bind(error.to_string()))
}

/// Closes an endpoint whose key is not used again. Whoever is silent is waited for in the background: iroh gives each three
/// seconds.
pub async fn close(endpoint: &Endpoint) {
    let endpoint = endpoint.clone();
    let closing = tokio::spawn(async move { endpoint.close().await });
    let _ = tokio::time::timeout(FAREWELL, closing).await;
}

/// A supernode's relay as iroh names it; `None` if the address makes no URL.
pub fn relay_config(
    supernode: &SupernodeAddr,
    discovery: bool,
) -> Option<(RelayUrl, Arc<RelayConfig>)> {
    let url = relay_url(supernode)?;
    let quic = (discovery && supernode.discovery_port != 0)
        .then(|| RelayQuicConfig::new(supernode.discovery_port));
    Some((url.clone(), Arc::new(RelayConfig::new(url, quic))))
}

/// A supernode's relay URL.
pub fn relay_url(supernode: &SupernodeAddr) -> Option<RelayUrl> {
    supernode.relay_url().parse().ok()
}

/// An endpoint reached through a supernode's relay only.
pub fn through(key: EndpointKey, supernode: &SupernodeAddr) -> Option<EndpointAddr> {
    Some(EndpointAddr::new(endpoint_id(key)?).with_relay_url(relay_url(supernode)?))
}

/// Waits until an endpoint can be reached behind its home's relay. iroh goes there once it has looked at the network, which takes
/// three seconds where UDP is blocked; something to say to the supernode takes it there at once.
pub async fn arrive(endpoint: &Endpoint, home: &SupernodeAddr, patience: Duration) {
    let say = async {
        let address = through(home.id, home)?;
        let (alpn, transport) = (alpn::SUPER, congestion::signalling());
        let met = dial::connect(endpoint, address, alpn, transport)
            .await
            .ok()?;
        met.close(0u32.into(), b"met");
        Some(())
    };
    let there = async {
        tokio::select! {
            () = endpoint.online() => {}
            Some(()) = say => {}
        }
    };
    let _ = tokio::time::timeout(patience, there).await;
}

/// Waits until an endpoint's link to its relay is up, and then until it is lost. Behind a relay that is the other side's own, whoever was
/// there is gone or has forgotten the connection; QUIC itself would wait for 30 s.
pub async fn relay_lost(endpoint: &Endpoint) {
    let mut status = endpoint.home_relay_status();
    let mut was_up = false;
    loop {
        let up = status.get().iter().any(|relay| relay.is_connected());
        if was_up && !up {
            return;
        }
        was_up |= up;
        if status.updated().await.is_err() {
            return;
        }
    }
}

/// An inner endpoint, by relay and by every direct address its owner told.
pub fn inner_addr(inner: &InnerAddr) -> Option<EndpointAddr> {
    let mut address = EndpointAddr::new(endpoint_id(inner.endpoint)?);
    if let Some(url) = inner.home.as_ref().and_then(relay_url) {
        address = address.with_relay_url(url);
    }
    for direct in &inner.direct {
        address = address.with_ip_addr(*direct);
    }
    Some(address)
}

/// iroh's name of a key; `None` if it is no Ed25519 point.
pub fn endpoint_id(key: EndpointKey) -> Option<EndpointId> {
    EndpointId::from_bytes(key.as_bytes()).ok()
}

/// Our name of iroh's id.
pub fn endpoint_key(id: EndpointId) -> EndpointKey {
    EndpointKey(*id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_voice_of_whoever_was_called_has_a_window_that_no_loss_closes() {
        let open = async |key: u8| {
            let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            let alpns = vec![alpn::MEDIA.to_vec()];
            let pins = Pins::default();
            let opened = inner(&[key; 32], &pins, None, listen, alpns, None).await;
            opened.expect("it opens")
        };
        let (alice, bob) = (open(1).await, open(2).await);
        let to = bob.bound_sockets().into_iter();
        let to = to.fold(EndpointAddr::new(bob.id()), EndpointAddr::with_ip_addr);
        let calls = dial::connect(&alice, to, alpn::MEDIA, congestion::voice());
        let answers = async { bob.accept().await.expect("it is open").await };
        let (calling, answering) = tokio::join!(calls, answers);
        let (_calling, answering) = (calling.expect("it calls"), answering.expect("it answers"));
        let paths = answering.paths();
        let windows: Vec<u64> = paths.iter().map(|path| path.stats().cwnd).collect();
        let least = congestion::LEAST_WINDOW;
        assert!(!windows.is_empty() && windows.iter().all(|window| *window >= least));
        for endpoint in [alice, bob] {
            close(&endpoint).await;
        }
    }
}
