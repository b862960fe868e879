//! Dialling: by home supernodes in their order, each with a time limit, with a typed reason when nobody answers.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use iroh::endpoint::{
    ConnectOptions, ConnectingError, Connection, ConnectionError, QuicTransportConfig,
    TransportErrorCode,
};
use iroh::{Endpoint, EndpointAddr};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::SupernodeAddr;

use tracing::debug;

use super::{congestion, endpoint};

/// One attempt through one supernode. iroh never gives up on a relay that refuses it, so the limit is ours.
pub const DIAL_TIME: Duration = Duration::from_secs(5);
/// How long the next supernode is held back while one has not answered.
const NEXT_AFTER: Duration = Duration::from_millis(700);
const AGAIN_AFTER: Duration = Duration::from_millis(400);
/// TLS alert `no_application_protocol` (RFC 7301), which QUIC carries in its own error code (RFC 9001 section 4.8).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The other side has no usable address.
    #[error("no supernode is known through which the other side could be reached")]
    NoAddress,
    /// Its supernode is where ours does not connect to for us.
    #[error("the other side names a supernode at an address where ours reaches none")]
    Unreachable,
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

/// Tries `candidates` in their order; whoever has not answered after [`NEXT_AFTER`] competes with the next (after RFC
/// 8305). The first success counts; `nobody` is the answer when there is no candidate.
pub async fn staggered<C, T, E, F>(
    candidates: impl IntoIterator<Item = C>,
    attempt: impl Fn(C) -> F,
    nobody: E,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    competing(candidates, NEXT_AFTER, attempt, nobody).await
}

/// The same, with another time until the next one competes.
async fn competing<C, T, E, F>(
    candidates: impl IntoIterator<Item = C>,
    next_after: Duration,
    attempt: impl Fn(C) -> F,
    nobody: E,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut candidates = candidates.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut last = nobody;
    while candidates.peek().is_some() || !running.is_empty() {
        running.extend(candidates.next().map(&attempt));
        tokio::select! {
            Some(result) = running.next() => match result {
                Ok(value) => return Ok(value),
                Err(error) => last = error,
            },
            () = tokio::time::sleep(next_after), if candidates.peek().is_some() => {}
        }
    }
    Err(last)
}

/// Dials `key` through `homes` until one answers; `place` says where each is dialled.
pub async fn through_homes(
    from: &Endpoint,
    place: impl Fn(&SupernodeAddr) -> Result<SupernodeAddr, DialError>,
    key: EndpointKey,
    homes: &[SupernodeAddr],
    alpn: &[u8],
    transport: QuicTransportConfig,
) -> Result<Connection, DialError> {
    let attempt = |home: &SupernodeAddr| {
        let (place, transport) = (place(home), transport.clone());
        async move {
            let address = endpoint::through(key, &place?).ok_or(DialError::NoAddress)?;
            match connect(from, address, alpn, transport).await {
                // It was reached and will not say anything else by another way.
                Err(DialError::Version) => Ok(Err(DialError::Version)),
                other => other.map(Ok),
            }
        }
    };
    staggered(homes, attempt, DialError::NoAddress).await?
}

/// Dials `key` through all these relays at once, so many times.
pub async fn by_all_homes(
    from: &Endpoint,
    key: EndpointKey,
    homes: &[SupernodeAddr],
    alpn: &[u8],
    attempts: usize,
) -> Result<Connection, DialError> {
    let id = endpoint::endpoint_id(key).ok_or(DialError::NoAddress)?;
    let relays = homes.iter().filter_map(endpoint::relay_url);
    let address = relays.fold(EndpointAddr::new(id), EndpointAddr::with_relay_url);
    if address.is_empty() {
        return Err(DialError::NoAddress);
    }
    persistently(from, &address, alpn, &congestion::signalling(), attempts).await
}

/// Dials one address so many times, [`AGAIN_AFTER`] apart: a first packet that nobody took is repeated by QUIC after a whole
/// second.
pub async fn persistently(
    from: &Endpoint,
    address: &EndpointAddr,
    alpn: &[u8],
    transport: &QuicTransportConfig,
    attempts: usize,
) -> Result<Connection, DialError> {
    let attempt = |_| connect(from, address.clone(), alpn, transport.clone());
    competing(0..attempts, AGAIN_AFTER, attempt, DialError::NoAddress).await
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

fn classify(error: &ConnectingError) -> DialError {
    debug!(reason = %error, "a dial failed");
    let ConnectingError::ConnectionError { source, .. } = error else {
        return DialError::Refused;
    };
    let version = TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL);
    match source {
        ConnectionError::ConnectionClosed(close) if close.error_code == version => {
            DialError::Version
        }
        ConnectionError::TransportError(error) if error.code == version => DialError::Version,
        ConnectionError::VersionMismatch => DialError::Version,
        ConnectionError::TimedOut => DialError::TimedOut,
        _ => DialError::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(after_ms: u64, result: Result<u64, u64>) -> Result<u64, u64> {
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        result
    }

    #[tokio::test]
    async fn one_that_is_silent_costs_a_moment_and_one_that_refuses_costs_nothing() {
        let attempt = |n: u64| match n {
            0 => answer(60_000, Ok(0)),
            1 => answer(1, Err(1)),
            2 => answer(900, Ok(2)),
            _ => answer(1, Ok(n)),
        };
        let begin = tokio::time::Instant::now();
        assert_eq!(staggered([1, 1, 3], attempt, 9).await, Ok(3));
        assert!(begin.elapsed() < NEXT_AFTER);
        assert_eq!(staggered([0, 1, 3], attempt, 9).await, Ok(3));
        assert!(begin.elapsed() >= NEXT_AFTER);
        assert_eq!(
            staggered([2, 1], attempt, 9).await,
            Ok(2),
            "late is not refused"
        );
        assert_eq!(staggered([1, 1], attempt, 9).await, Err(1));
        assert_eq!(staggered([0; 0], attempt, 9).await, Err(9));
    }
}
