//! Two hundred real supernodes, each on a host of its own with the reference line to each other; what they say to each other
//! at rest, and how long a look-up takes. They share this process: what a supernode has beside them, the rest of a node, is
//! not there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use starling_node::clock::Clock;
use starling_node::db::Db;
use starling_node::drivers::supernode::{Supernode, SupernodeConfig};
use starling_node::roles::carrier::Carrier;
use starling_node::transport::pins::Pins;
use starling_node::transport::relay_server::Limits;
use starling_store::{Store, StoreHandle};
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::policy::Trust;
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::runtime::Runtime;

use crate::actor::{ActorError, PORT};
use crate::bench::Findings;
use crate::bench::swarm::Device;
use crate::host::Host;
use crate::story;
use crate::{LabError, Line, Net};

const SUPERNODES: usize = 200;
/// The network every one of them belongs to; who owns it does not matter here.
const NETWORK: NetworkId = NetworkId([7; 32]);
/// All know all by then.
const WHOLE_WITHIN: Duration = Duration::from_secs(120);
const SETTLING: Duration = Duration::from_secs(20);
const WINDOW: Duration = Duration::from_secs(60);
const ACCOUNTS: usize = 60;
const LOOKUPS: usize = 300;

/// One supernode, and what it runs on.
struct Town {
    supernode: Supernode,
    _runtime: Runtime,
}

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let names: Vec<String> = (1..=SUPERNODES).map(|n| format!("supernode{n}")).collect();
    let mut builder = Net::builder(Line::reference()).apart().host("alice");
    for name in &names {
        builder = builder.host(name);
    }
    let net = builder.build()?;
    let folder = story::temporary_folder()?;
    let began = Instant::now();
    let mut towns: Vec<Town> = Vec::new();
    for (number, name) in (0_u8..).zip(&names) {
        let first = towns.first().map(|town| town.supernode.address().clone());
        towns.push(settle(net.host(name), number, folder.path(), first)?);
    }
    let started = began.elapsed();
    whole(&towns)?;
    let joined = began.elapsed();
    std::thread::sleep(SETTLING);
    membership(&net, &names, findings)?;
    lookups(net.host("alice"), &towns, findings)?;
    findings.remark(format!(
        "{SUPERNODES} supernodes in one process, each on a host of its own; started within {:.0} s, all knew all after {:.0} s, \
         the first alone having been told to the others.",
        started.as_secs_f64(),
        joined.as_secs_f64()
    ));
    Ok(())
}

/// Starts a supernode on a host and lets it join.
fn settle(
    host: &Host,
    number: u8,
    folder: &std::path::Path,
    first: Option<SupernodeAddr>,
) -> Result<Town, ActorError> {
    let home = folder.join(host.name());
    std::fs::create_dir_all(&home).map_err(|source| ActorError::File {
        what: "cannot make the folder",
        path: home.clone(),
        source,
    })?;
    let runtime = runtime_on(host)?;
    let at = |port| SocketAddr::from((host.ip(), port));
    let config = SupernodeConfig {
        listen: at(PORT),
        also: Vec::new(),
        discovery: Some(at(PORT + 2)),
        seed: [number + 1; 32],
        private_only: false,
        advertise: None,
        limits: Limits::default(),
        fixed: true,
        udp: true,
    };
    let start = async move {
        let store = Store::open(&home).map_err(|e| e.to_string())?;
        let db = Db::new(StoreHandle::start(store).map_err(|e| e.to_string())?);
        let clock = Clock::start();
        let carrier = Carrier::new(clock);
        let started = Supernode::start(config, db, Pins::default(), clock, carrier).await;
        let supernode = started.map_err(|e| e.to_string())?;
        let listed = first.into_iter().collect();
        let joined = supernode
            .join(Some(NETWORK), listed, Trust::default())
            .await;
        joined.map_err(|e| e.to_string())?;
        Ok::<_, String>(supernode)
    };
    let supernode = on(&runtime, start)?.map_err(ActorError::Story)?;
    Ok(Town {
        supernode,
        _runtime: runtime,
    })
}

/// A runtime whose threads, and so their sockets, are on the host.
fn runtime_on(host: &Host) -> Result<Runtime, LabError> {
    host.run(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
    })?
    .map_err(|source| LabError::Os {
        what: "cannot start a host's runtime",
        source,
    })
}

/// Runs it on the runtime's own thread and waits.
fn on<T: Send + 'static>(
    runtime: &Runtime,
    job: impl Future<Output = T> + Send + 'static,
) -> Result<T, ActorError> {
    runtime
        .block_on(runtime.spawn(job))
        .map_err(|e| ActorError::Story(e.to_string()))
}

fn whole(towns: &[Town]) -> Result<(), ActorError> {
    let deadline = Instant::now() + WHOLE_WITHIN;
    let others = |town: &Town| town.supernode.others();
    while towns.iter().any(|town| others(town) + 1 < towns.len()) {
        if Instant::now() > deadline {
            let least = towns.iter().map(others).min().unwrap_or_default();
            let complaint = format!("one supernode knows only {least} others");
            return Err(ActorError::Story(complaint));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// What each of them sends and receives while there is nobody but them.
fn membership(net: &Net, names: &[String], findings: &mut Findings) -> Result<(), ActorError> {
    let read = || {
        let counters = names.iter().map(|name| net.host(name).counters());
        counters.collect::<Result<Vec<_>, _>>()
    };
    let before = read()?;
    std::thread::sleep(WINDOW);
    for (before, after) in before.iter().zip(&read()?) {
        let sent = after.tx_bytes - before.tx_bytes;
        findings.add("membership", sent as f64 / WINDOW.as_secs_f64());
    }
    Ok(())
}

/// Accounts register all over the network; somebody who is registered with one supernode looks them up there.
fn lookups(alice: &Host, towns: &[Town], findings: &mut Findings) -> Result<(), ActorError> {
    let runtime = runtime_on(alice)?;
    let at = |number: usize| towns[number % towns.len()].supernode.address().clone();
    // A prime step spreads them.
    let homes: Vec<SupernodeAddr> = (0..ACCOUNTS).map(|n| at(n * 37)).collect();
    let asked = at(towns.len() / 2);
    let times = on(&runtime, async move {
        let mut accounts = Vec::new();
        for home in &homes {
            let device = Device::new(home).await?;
            device.register(home).await?;
            accounts.push(device.account());
            device.close().await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let device = Device::new(&asked).await?;
        device.register(&asked).await?;
        let mut times = Vec::new();
        for number in 0..LOOKUPS {
            times.push(look_up(&device, &asked, accounts[number % ACCOUNTS]).await?);
        }
        device.close().await;
        Ok::<_, crate::bench::swarm::DeviceError>(times)
    })?
    .map_err(|e| ActorError::Story(e.to_string()))?;
    report(times, findings);
    Ok(())
}

/// How long it took; `None` if it was not found.
async fn look_up(
    device: &Device,
    at: &SupernodeAddr,
    account: AccountId,
) -> Result<Option<Duration>, crate::bench::swarm::DeviceError> {
    let begin = Instant::now();
    let answer = device.ask(at, &Request::Lookup { account }).await?;
    Ok(matches!(answer, Answer::Record(Some(_))).then(|| begin.elapsed()))
}

fn report(times: Vec<Option<Duration>>, findings: &mut Findings) {
    let asked = times.len();
    let mut found: Vec<Duration> = times.into_iter().flatten().collect();
    found.sort();
    let at = |share: f64| {
        let place = ((found.len() as f64 * share) as usize).min(found.len().saturating_sub(1));
        found
            .get(place)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    if !found.is_empty() {
        findings.add("name", at(0.95));
    }
    findings.remark(format!(
        "Look-ups of accounts' records, one after the other, by a device whose connection to its home is open: {} of {asked} \
         found, p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms.",
        found.len(),
        at(0.5),
        at(0.95),
        at(0.99)
    ));
}
