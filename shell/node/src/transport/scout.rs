//! Looking for one supernode among many that may all be gone: a TLS handshake with each, several at once, until one proves
//! its key. Nothing is said to it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use rustls::pki_types::ServerName;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::SupernodeAddr;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pins::{Pins, crypto_provider};

/// Handshakes at once.
const AT_ONCE: usize = 20;
/// For one of them.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The first of these that answers.
pub async fn first_alive(pins: &Pins, supernodes: Vec<SupernodeAddr>) -> Option<EndpointKey> {
    let connector = connector(pins)?;
    let attempts = supernodes.into_iter().map(|supernode| {
        let (pins, connector) = (pins.clone(), connector.clone());
        async move {
            let place = pins.place(&supernode);
            pins.learn(&place);
            let shaken = tokio::time::timeout(PATIENCE, shake_hands(&connector, &place)).await;
            matches!(shaken, Ok(Some(()))).then_some(supernode.id)
        }
    });
    let alive = stream::iter(attempts).buffer_unordered(AT_ONCE);
    let mut alive = std::pin::pin!(alive.filter_map(std::future::ready));
    alive.next().await
}

/// Whether the supernode of this key is there.
pub async fn proves_key(pins: &Pins, place: &SupernodeAddr) -> bool {
    pins.learn(place);
    match connector(pins) {
        Some(connector) => shake_hands(&connector, place).await.is_some(),
        None => false,
    }
}

fn connector(pins: &Pins) -> Option<TlsConnector> {
    let provider = crypto_provider();
    let verifier = pins.verifier(Arc::clone(&provider));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
}

async fn shake_hands(connector: &TlsConnector, place: &SupernodeAddr) -> Option<()> {
    let tcp = TcpStream::connect(place.tcp).await.ok()?;
    let name = ServerName::IpAddress(place.tcp.ip().into());
    connector.connect(name, tcp).await.ok()?;
    Some(())
}
