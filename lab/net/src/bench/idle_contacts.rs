//! What 1,000 contacts cost a node while nobody does anything, against one. The contacts are front doors at the same supernode,
//! each with an account of its own: registered, online, and seen by Alice alone. They are beside the supernode, so that Alice's
//! line carries nothing but what is hers.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use starling_control::{Command, view};

use super::supernode::{OF_ONE_BLOCK, addresses, gather, number};
use crate::actor::{Actor, ActorError, Seat};
use crate::bench::Findings;
use crate::bench::stage::PATIENCE;
use crate::namespace::HostProcess;
use crate::{Line, Net, story};

const CONTACTS: usize = 1_000;
/// Connections close after 30 s of silence.
const SETTLING: Duration = Duration::from_secs(75);
/// Each list of contacts is asked for once in it.
const WINDOW: Duration = Duration::from_secs(300);

/// What Alice used, each second.
struct Rest {
    received: f64,
    sent: f64,
    memory_mb: f64,
    cpu_percent: f64,
}

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let net = Net::builder(Line::reference())
        .host("supernode")
        .host("alice")
        .build()?;
    let folder = story::temporary_folder()?;
    let seat = |name: &str| Seat::on(net.host(name));
    let (supernode, network) = story::found_network(folder.path(), seat("supernode"), PATIENCE)?;
    let file = folder.path().join("network.toml");
    std::fs::write(&file, &network).map_err(|source| ActorError::File {
        what: "cannot write",
        path: file.clone(),
        source,
    })?;
    let alice = story::join_network("Alice", folder.path(), seat("alice"), &network, PATIENCE)?;
    let home = alice.home().to_owned();
    alice.stop()?;
    let beside = net.host("supernode").namespace();
    number(beside, &addresses(CONTACTS.div_ceil(OF_ONE_BLOCK)))?;
    let one = befriend(&net, &file, &home, 1)?;
    let with_one = rest(&net, &home, 1)?;
    let others = befriend(&net, &file, &home, CONTACTS - 1)?;
    let with_all = rest(&net, &home, CONTACTS)?;
    report(&with_one, &with_all, findings);
    drop((one, others));
    supernode.stop()
}

/// So many more contacts, who are online as long as the process runs.
fn befriend(net: &Net, file: &Path, home: &Path, count: usize) -> Result<HostProcess, ActorError> {
    let beside = net.host("supernode").namespace();
    let profile = [OsStr::new("--contacts-of"), home.as_os_str()];
    let addresses = addresses(count.div_ceil(OF_ONE_BLOCK));
    let (process, came, trouble) = gather(beside, file, (count, &profile), &addresses)?;
    if came < count || !trouble.is_empty() {
        let story = format!("{came} of {count} contacts came: {trouble}");
        return Err(ActorError::Story(story));
    }
    Ok(process)
}

/// Starts Alice, waits until she sees all of them, and looks at what she uses at rest.
fn rest(net: &Net, home: &Path, contacts: usize) -> Result<Rest, ActorError> {
    let host = net.host("alice");
    let alice = Actor::start("Alice", home, Seat::on(host), false, PATIENCE)?;
    wait_online(&alice, contacts)?;
    std::thread::sleep(SETTLING);
    let (before, used) = (host.counters()?, alice.usage()?);
    std::thread::sleep(WINDOW);
    let (after, using) = (host.counters()?, alice.usage()?);
    wait_online(&alice, contacts)?;
    alice.stop()?;
    let per_second = |bytes: u64| bytes as f64 / WINDOW.as_secs_f64();
    Ok(Rest {
        received: per_second(after.rx_bytes - before.rx_bytes),
        sent: per_second(after.tx_bytes - before.tx_bytes),
        memory_mb: using.rss as f64 / 1e6,
        cpu_percent: using.cpu_since(&used) * 100.0,
    })
}

fn wait_online(alice: &Actor, count: usize) -> Result<(), ActorError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list: Vec<view::Contact> = alice.ask(Command::ContactList {})?;
        let there = list.iter().filter(|one| one.presence.is_there()).count();
        if there == count {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(alice.story(format!("sees {there} of {count} contacts online")));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn report(one: &Rest, all: &Rest, findings: &mut Findings) {
    findings.add("idle_contacts_received", all.received);
    findings.add("idle_contacts_sent", all.sent);
    let figures = |rest: &Rest| {
        format!(
            "{:.1} B/s received and {:.1} sent, {:.1} MB resident, {:.3} % of a core",
            rest.received, rest.sent, rest.memory_mb, rest.cpu_percent
        )
    };
    findings.remark(format!(
        "Idle with {CONTACTS} contacts online, all at the own home: {}; with one: {}.",
        figures(all),
        figures(one)
    ));
}
