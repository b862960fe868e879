//! Caps over real sockets: clients that push as hard as they can get what was set, and each a fair part of it.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{SinkExt, StreamExt};
use iroh::SecretKey;
use iroh::dns::DnsResolver;
use iroh_relay::client::{Client, ClientBuilder};
use iroh_relay::protos::relay::{ClientToRelayMsg, Datagrams, RelayToClientMsg};
use iroh_relay::tls::CaTlsConfig;
use tokio::time::Instant;

use super::tests::Stage;
use super::*;
use crate::roles::Role;
use crate::roles::carrier::RoleRates;
use crate::transport::endpoint::{self, relay_url, through};
use crate::transport::pins::{Pins, crypto_provider};

const PAIRS: u8 = 5;
/// 1 Mbit/s.
const CAP_KBIT: u32 = 1_000;
const CAP_BYTES: u64 = 125_000;
const PACKET: usize = 1_200;

/// A bare client of the relay: no congestion control, no manners.
async fn client(stage: &Stage, seed: u8) -> Client {
    let pins = Pins::default();
    pins.learn(&stage.address);
    let verifier = CaTlsConfig::custom_server_cert_verifier(Arc::new(move |provider| {
        Ok(pins.verifier(provider))
    }));
    let tls = verifier.client_config(crypto_provider()).unwrap();
    let url = relay_url(&stage.address).unwrap();
    let key = SecretKey::from_bytes(&[seed; 32]);
    ClientBuilder::new(url, key, DnsResolver::new())
        .tls_client_config(tls)
        .connect()
        .await
        .unwrap()
}

fn capped(relay: Option<u32>, total: Option<u32>) -> RoleRates {
    let mut rates = RoleRates {
        total,
        ..RoleRates::default()
    };
    rates.roles[Role::Relay as usize] = relay;
    rates
}

/// Counts what one client pushes to another, until the tasks are dropped.
async fn pair(stage: &Stage, number: u8, tasks: &mut JoinSet<()>) -> Arc<AtomicU64> {
    let mut from = client(stage, 2 * number).await;
    let mut to = client(stage, 2 * number + 1).await;
    let receiver = SecretKey::from_bytes(&[2 * number + 1; 32]).public();
    let through = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&through);
    tasks.spawn(async move {
        while let Some(Ok(message)) = to.next().await {
            if let RelayToClientMsg::Datagrams { datagrams, .. } = message {
                count.fetch_add(datagrams.contents.len() as u64, Ordering::Relaxed);
            }
        }
    });
    tasks.spawn(async move {
        loop {
            let message = ClientToRelayMsg::Datagrams {
                dst_endpoint_id: receiver,
                datagrams: Datagrams::from([0; PACKET]),
            };
            if from.send(message).await.is_err() {
                return;
            }
        }
    });
    through
}

/// What went through in a time that begins when everything is full.
async fn measured(counters: &[Arc<AtomicU64>], time: Duration) -> Vec<u64> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before: Vec<u64> = counters.iter().map(|c| c.load(Ordering::Relaxed)).collect();
    let began = Instant::now();
    tokio::time::sleep(time).await;
    let passed = began.elapsed().as_secs_f64();
    let rate = |(after, before): (&Arc<AtomicU64>, &u64)| {
        ((after.load(Ordering::Relaxed) - before) as f64 / passed) as u64
    };
    counters.iter().zip(&before).map(rate).collect()
}

fn assert_fair(rates: &[u64], what: &str) {
    let all: u64 = rates.iter().sum();
    assert!(
        all.abs_diff(CAP_BYTES) * 10 <= CAP_BYTES,
        "{what}: {all} B/s in all"
    );
    let half = CAP_BYTES / u64::from(PAIRS) / 2;
    assert!(rates.iter().all(|rate| *rate >= half), "{what}: {rates:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_04_pairs_that_push_get_what_was_set_and_each_a_fair_part() {
    let stage = Stage::with(20, 20).await;
    stage.carrier.set(Role::Relay, true);
    stage.carrier.set_rates(capped(Some(CAP_KBIT), None));
    let mut tasks = JoinSet::new();
    let mut counters = Vec::new();
    for number in 1..=PAIRS {
        counters.push(pair(&stage, number, &mut tasks).await);
    }
    let rates = measured(&counters, Duration::from_secs(5)).await;
    println!("relay cap, bare clients: {rates:?} B/s");
    assert_fair(&rates, "relay");
    let used = stage.carrier.meter().kbit_s(Role::Relay);
    assert!((900..=1_100).contains(&used), "the meter shows {used}");
    // The cap of all roles together holds as well, and a cap that is lifted is gone.
    stage.carrier.set_rates(capped(None, Some(CAP_KBIT)));
    let rates = measured(&counters, Duration::from_secs(4)).await;
    println!("total cap, bare clients: {rates:?} B/s");
    assert_fair(&rates, "total");
    stage.carrier.set_rates(RoleRates::default());
    let rates = measured(&counters, Duration::from_secs(1)).await;
    assert!(rates.iter().sum::<u64>() > 10 * CAP_BYTES, "{rates:?}");
    let carried = stage.carrier.meter().carried(Role::Relay);
    assert!(carried.received > CAP_BYTES && carried.sent > CAP_BYTES);
    tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_04_connections_that_are_held_back_stay_up() {
    let stage = Stage::with(20, 20).await;
    stage.carrier.set(Role::Relay, true);
    stage.carrier.set_rates(capped(Some(CAP_KBIT), None));
    let pins = Pins::default();
    pins.learn(&stage.address);
    let alpn = b"starling/1/test";
    let mut tasks = JoinSet::new();
    let mut counters = Vec::new();
    for number in 1..=PAIRS {
        let open = async |seed: u8| {
            let seed = [seed; 32];
            let alpns = vec![alpn.to_vec()];
            let opened = endpoint::supernode(&seed, &pins, alpns, &stage.address);
            opened.await.unwrap()
        };
        let (from, to) = (open(2 * number).await, open(2 * number + 1).await);
        let receiver = through(endpoint::endpoint_key(to.id()), &stage.address).unwrap();
        let count = Arc::new(AtomicU64::new(0));
        counters.push(Arc::clone(&count));
        tasks.spawn(async move {
            let connection = to.accept().await.unwrap().await.unwrap();
            let mut stream = connection.accept_uni().await.unwrap();
            while let Ok(Some(chunk)) = stream.read_chunk(64 * 1024).await {
                count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        });
        tasks.spawn(async move {
            let connection = from.connect(receiver, alpn).await.unwrap();
            let mut stream = connection.open_uni().await.unwrap();
            while stream.write_all(&[0; 64 * 1024]).await.is_ok() {}
        });
    }
    let rates = measured(&counters, Duration::from_secs(22)).await;
    println!("relay cap, QUIC: {rates:?} B/s");
    let half = CAP_BYTES / u64::from(PAIRS) / 2;
    assert!(rates.iter().all(|rate| *rate >= half), "{rates:?}");
    assert_eq!(stage.relay.links(), 2 * usize::from(PAIRS));
    tasks.shutdown().await;
}
