//! What a node costs while nobody does anything.

use std::time::Duration;

use crate::actor::{ActorError, Seat};
use crate::bench::Findings;
use crate::bench::stage::PATIENCE;
use crate::story;
use crate::{Line, Net};

const CONTACTS: usize = 10;
/// Connections close after 30 s of silence, the inner endpoint 30 s after its last use.
const SETTLING: Duration = Duration::from_secs(75);
const WINDOW: Duration = Duration::from_secs(60);
const WINDOWS: usize = 3;

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let names: Vec<String> = (1..=CONTACTS)
        .map(|number| format!("friend{number}"))
        .collect();
    let mut builder = Net::builder(Line::reference())
        .host("supernode")
        .host("alice");
    for name in &names {
        builder = builder.host(name);
    }
    let net = builder.build()?;
    let folder = story::temporary_folder()?;
    let seat = |name: &str| Seat::on(net.host(name));
    let (supernode, network) = story::found_network(folder.path(), seat("supernode"), PATIENCE)?;
    let alice = story::join_network("Alice", folder.path(), seat("alice"), &network, PATIENCE)?;
    let mut friends = Vec::new();
    for name in &names {
        let friend = story::join_network(name, folder.path(), seat(name), &network, PATIENCE)?;
        story::befriend(&friend, &alice)?;
        friends.push(friend);
    }
    std::thread::sleep(SETTLING);
    for _ in 0..WINDOWS {
        let (before, used) = (net.host("alice").counters()?, alice.usage()?);
        std::thread::sleep(WINDOW);
        let (after, using) = (net.host("alice").counters()?, alice.usage()?);
        let per_second = |bytes: u64| bytes as f64 / WINDOW.as_secs_f64();
        findings.add(
            "idle_received",
            per_second(after.rx_bytes - before.rx_bytes),
        );
        findings.add("idle_sent", per_second(after.tx_bytes - before.tx_bytes));
        findings.add("idle_memory", using.rss as f64 / 1e6);
        findings.add("idle_cpu", using.cpu_since(&used) * 100.0);
    }
    let usage = alice.usage()?;
    findings.remark(format!(
        "Of the resident memory of an idle node {:.1} MB are its own data; the rest is the program's file, mapped.",
        usage.anonymous as f64 / 1e6
    ));
    for name in &names {
        story::wait_presence(&alice, name, true)?;
    }
    for actor in friends.into_iter().chain([alice, supernode]) {
        actor.stop()?;
    }
    Ok(())
}
