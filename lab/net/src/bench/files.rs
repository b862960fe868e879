//! How fast a file goes: on the link, on loopback, through a relay. The time counts from accepting the
//! offer to the whole file being verified and in its place.

use std::path::Path;

use crate::actor::ActorError;
use crate::bench::Findings;
use crate::bench::stage::{self, LinkStage, LoopbackStage};
use crate::story::{self, Cast, Sent};
use crate::{Line, Net};

const MIB: usize = 1 << 20;
const LOSS: f64 = 0.01;
/// A file that mostly goes through the supernode although a direct way is there is another figure.
const RELAYED_AT_MOST: f64 = 0.2;

pub fn on_the_link(findings: &mut Findings) -> Result<(), ActorError> {
    for (key, loss, bytes) in [("file", 0.0, 128 * MIB), ("file_loss", LOSS, 64 * MIB)] {
        let stage = LinkStage::build(Line::reference().loss(loss))?;
        // The first file opens the connection and the direct path.
        send(&stage.cast, stage.folder.path(), MIB)?;
        for _ in 0..3 {
            let before = received(&stage.net, "supernode")?;
            let sent = send(&stage.cast, stage.folder.path(), bytes)?;
            let relayed = received(&stage.net, "supernode")? - before;
            if relayed as f64 > RELAYED_AT_MOST * bytes as f64 {
                let sentence =
                    format!("{key}: {relayed} of {bytes} bytes went through the supernode");
                findings.remark(sentence);
            }
            findings.add(key, megabits(&sent));
        }
        stage.cast.dismiss()?;
    }
    Ok(())
}

pub fn on_loopback(findings: &mut Findings) -> Result<(), ActorError> {
    let stage = LoopbackStage::build()?;
    send(&stage.cast, stage.folder.path(), MIB)?;
    for _ in 0..5 {
        let sent = send(&stage.cast, stage.folder.path(), 256 * MIB)?;
        findings.add("file_loopback", sent.rate() / 1e6);
    }
    stage.cast.dismiss()
}

/// The relay stands at Bob's side of the link; Alice and Bob have no other way to each other.
pub fn through_a_relay(findings: &mut Findings) -> Result<(), ActorError> {
    let controls = [
        ("file_relay_bbr", "bbr", 32 * MIB),
        ("file_relay_reno", "reno", 4 * MIB),
    ];
    for (key, control, bytes) in controls {
        let net = stage::three_hosts(Line::reference())?;
        net.cut("alice", "bob");
        net.set("supernode", "bob", Line::new());
        for host in ["alice", "supernode", "bob"] {
            net.host(host).set_tcp_congestion_control(control)?;
        }
        let stage = LinkStage::enter(net)?;
        stage
            .net
            .set("alice", "supernode", Line::reference().loss(LOSS));
        for _ in 0..3 {
            let sent = send(&stage.cast, stage.folder.path(), bytes)?;
            findings.add(key, megabits(&sent));
        }
        stage.cast.dismiss()?;
    }
    Ok(())
}

fn send(cast: &Cast, folder: &Path, bytes: usize) -> Result<Sent, ActorError> {
    let path = folder.join("sent.bin");
    story::write_noise(&path, bytes, bytes as u64)?;
    let sent = story::send_file(&cast.alice, &cast.bob, &path)?;
    // Many large files would fill the disk.
    let _ = std::fs::remove_file(&sent.path);
    Ok(sent)
}

fn received(net: &Net, host: &str) -> Result<u64, ActorError> {
    Ok(net.host(host).counters()?.rx_bytes)
}

fn megabits(sent: &Sent) -> f64 {
    sent.rate() * 8.0 / 1e6
}
