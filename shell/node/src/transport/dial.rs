//! Dialling: by home supernodes in their order, each with a time limit, with a typed reason when nobody answers.

use std::time::Duration;

use iroh::endpoint::{ConnectOptions, Connection, QuicTransportConfig};
use iroh::{Endpoint, EndpointAddr};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::SupernodeAddr;

use tracing::debug;

use super::endpoint;
use super::pins::Pins;

/// One attempt through one supernode. iroh never gives up on a relay that refuses it, so the limit is ours.
pub const DIAL_TIME: Duration = Duration::from_secs(5);
/// TLS alert 120, `no_application_protocol`, as QUIC carries it (RFC 9001 section 4.8).
const NO_APPLICATION_PROTOCOL: &str = "error 120";

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The other side has no usable address.
    #[error("no supernode is known through which the other side could be reached")]
    NoAddress,
    /// Nobody answered in time.
    #[error("the other side did not answer; it may be offline")]
    TimedOut,
    /// It does not speak this version of the protocol.
    #[error("the other side runs another version of Starling; one of the two has to be updated")]
    Version,
    /// It closed or refused.
    #[error("the other side refused the connection")]
    Refused,
}

/// Dials `key` through each of `homes` until one answers.
pub async fn through_homes(
    from: &Endpoint,
    pins: &Pins,
    key: EndpointKey,
    homes: &[SupernodeAddr],
    alpn: &[u8],
    transport: QuicTransportConfig,
) -> Result<Connection, DialError> {
    let mut last = DialError::NoAddress;
    for home in homes {
        pins.learn(home);
        let Some(address) = endpoint::through(key, home) else {
            continue;
        };
        match connect(from, address, alpn, transport.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(DialError::Version) => return Err(DialError::Version),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Dials one address.
pub async fn connect(
    from: &Endpoint,
    address: EndpointAddr,
    alpn: &[u8],
    transport: QuicTransportConfig,
) -> Result<Connection, DialError> {
    let options = ConnectOptions::new().with_transport_config(transport);
    let attempt = async {
        let connecting = from
            .connect_with_opts(address, alpn, options)
            .await
            .map_err(|_| DialError::NoAddress)?;
        connecting.await.map_err(|error| classify(&error))
    };
    tokio::time::timeout(DIAL_TIME, attempt)
        .await
        .unwrap_or(Err(DialError::TimedOut))
}

fn classify(error: &(dyn std::error::Error + 'static)) -> DialError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    debug!(reason = %text, "a dial failed");
    if text.contains(NO_APPLICATION_PROTOCOL) || text.contains("application protocol") {
        return DialError::Version;
    }
    if text.contains("timed out") {
        DialError::TimedOut
    } else {
        DialError::Refused
    }
}
