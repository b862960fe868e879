//! Two hundred real supernodes, each on a host of its own with the reference line to each other; what they say to each other
//! at rest, and how long a look-up takes. They share this process: what a supernode has beside them, the rest of a node, is
//! not there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use starling_node::clock::Clock;
use starling_node::db::Db;
use starling_node::descriptors;
use starling_node::drivers::supernode::{Supernode, SupernodeConfig};
use starling_node::roles::carrier::Carrier;
use starling_node::transport::pins::Pins;
use starling_node::transport::relay_server::Limits;
use starling_protocol::mailbox::holder::Caps;
use starling_store::{Store, StoreHandle};
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::policy::Trust;
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::runtime::Runtime;

use crate::actor::{ActorError, PORT};
use crate::bench::Findings;
use crate::bench::swarm::{Device, DeviceError};
use crate::host::Host;
use crate::story;
use crate::{LabError, Line, Net};

const SUPERNODES: usize = 200;
/// The network every one of them belongs to; who owns it does not matter here.
const NETWORK: NetworkId = NetworkId([7; 32]);
/// Lists are compared every three minutes: what the news missed is known after one comparison, or two.
const WHOLE_WITHIN: Duration = Duration::from_secs(420);
/// How long after the last has started they are listened to. What each of them tells anew of itself after its start spreads by
/// comparisons; the last time is that of the simulator, and what counts.
const AT_REST_AFTER: [Duration; 3] = [
    Duration::from_secs(600),
    Duration::from_secs(1200),
    Duration::from_secs(1800),
];
const WINDOW: Duration = Duration::from_secs(60);
const ACCOUNTS: usize = 60;
/// So many supernodes are asked, for so many accounts each, no account twice: hardly ever is a holder asked whose link is open.
const ASKED: usize = 10;
const LOOKUPS_OF_ONE: usize = 30;

/// One supernode, and what it runs on.
struct Town {
    supernode: Supernode,
    _runtime: Runtime,
}

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    descriptors::raise();
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
    let started = Instant::now();
    findings.remark(format!(
        "{SUPERNODES} supernodes in one process, each on a host of its own; started within {:.0} s, the first alone having been \
         told to the others. {}",
        began.elapsed().as_secs_f64(),
        acquaint(&towns)
    ));
    lookups(net.host("alice"), &towns, findings)?;
    membership(&net, &names, started, findings)?;
    lateness(&net, &names, findings);
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
        folder: home.clone(),
        holding: Caps::default(),
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

/// Waits until all know all. How soon they did, in words.
fn acquaint(towns: &[Town]) -> String {
    let began = Instant::now();
    let (all, most) = (towns.len() - 1, (towns.len() - 1) * 99 / 100);
    let mut most_after = None;
    loop {
        let least = towns.iter().map(|town| town.supernode.others()).min();
        let least = least.unwrap_or_default();
        let seconds = began.elapsed().as_secs_f64();
        if least >= most {
            most_after.get_or_insert(seconds);
        }
        if least < all && began.elapsed() < WHOLE_WITHIN {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        let most_after = most_after.map_or(String::new(), |after| {
            format!("Each knew {most} of the {all} others {after:.0} s after the last had started")
        });
        return if least == all {
            format!("{most_after}, and all of them after {seconds:.0} s.")
        } else {
            format!("{most_after}. After {seconds:.0} s one knew {least}, and no other fewer.")
        };
    }
}

/// What each of them sends while there is nobody but them.
fn membership(
    net: &Net,
    names: &[String],
    started: Instant,
    findings: &mut Findings,
) -> Result<(), ActorError> {
    let mut medians = Vec::new();
    let mut sent = Vec::new();
    for after in AT_REST_AFTER {
        std::thread::sleep(after.saturating_sub(started.elapsed()));
        sent = listen(net, names)?;
        sent.sort_by(f64::total_cmp);
        let median = sent[sent.len() / 2];
        medians.push(format!(
            "{median:.0} B/s after {} min",
            after.as_secs() / 60
        ));
    }
    let (least, greatest) = (sent.first().copied(), sent.last().copied());
    findings.remark(format!(
        "Membership traffic: sent by a supernode with all headers, the median of all, within {} s: {}; at the end {:.0} to {:.0} B/s. \
         The budget of 50 B/s is for 1,000 supernodes.",
        WINDOW.as_secs(),
        medians.join(", "),
        least.unwrap_or_default(),
        greatest.unwrap_or_default(),
    ));
    Ok(())
}

/// What each of them sends within a window, in bytes a second.
fn listen(net: &Net, names: &[String]) -> Result<Vec<f64>, LabError> {
    let read = || {
        let counters = names.iter().map(|name| net.host(name).counters());
        counters.collect::<Result<Vec<_>, _>>()
    };
    let before = read()?;
    std::thread::sleep(WINDOW);
    let after = read()?;
    let sent = before.iter().zip(&after);
    let sent = sent.map(|(before, after)| after.tx_bytes - before.tx_bytes);
    Ok(sent
        .map(|bytes| bytes as f64 / WINDOW.as_secs_f64())
        .collect())
}

/// Accounts register all over the network; people who are registered elsewhere look them up there.
fn lookups(alice: &Host, towns: &[Town], findings: &mut Findings) -> Result<(), ActorError> {
    let runtime = runtime_on(alice)?;
    // A prime step spreads them.
    let at = |number: usize| {
        let town = &towns[number * 37 % towns.len()];
        town.supernode.address().clone()
    };
    let homes: Vec<SupernodeAddr> = (0..ACCOUNTS).map(at).collect();
    let asked: Vec<SupernodeAddr> = (ACCOUNTS..ACCOUNTS + ASKED).map(at).collect();
    let times = on(&runtime, async move {
        let mut accounts = Vec::new();
        for home in &homes {
            let device = Device::new(home).await?;
            device.register(home).await?;
            accounts.push(device.account());
            device.close().await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut times = Vec::new();
        for (number, home) in asked.iter().enumerate() {
            let device = Device::new(home).await?;
            device.register(home).await?;
            let first = number * LOOKUPS_OF_ONE;
            for number in first..first + LOOKUPS_OF_ONE {
                times.push(look_up(&device, home, accounts[number % ACCOUNTS]).await?);
            }
            device.close().await;
        }
        Ok::<_, DeviceError>(times)
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
) -> Result<Option<Duration>, DeviceError> {
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
    // A look-up that found nothing has no time that counts.
    if found.len() == asked {
        findings.add("name", at(0.95));
    }
    findings.remark(format!(
        "Look-ups of accounts' records, one after the other, by devices whose connection to their home is open, while their homes \
         hardly ever have one to a holder: {} of {asked} found, p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms.",
        found.len(),
        at(0.5),
        at(0.95),
        at(0.99)
    ));
}

/// How exact the emulation was.
fn lateness(net: &Net, names: &[String], findings: &mut Findings) {
    let others = |from: &str| {
        let to = names.iter().filter(move |to| *to != from);
        to.map(|to| net.stats(from, to).worst_lateness).max()
    };
    let worst = names.iter().filter_map(|from| others(from)).max();
    findings.remark(format!(
        "The latest packet between two supernodes was {:.1} ms later than the link asked for.",
        worst.unwrap_or_default().as_secs_f64() * 1e3
    ));
}
