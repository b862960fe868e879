//! Where the benchmarks' actors stand: a supernode, Alice and Bob on three hosts joined by emulated
//! lines, or all three on the loopback interface of a namespace of their own.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::actor::{ActorError, Seat};
use crate::namespace::Namespace;
use crate::story::{self, Cast};
use crate::{LabError, Line, Net};

/// Every step of a benchmark ends within this.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Propagation of the reference line, one way.
pub const PROPAGATION: Duration = Duration::from_millis(25);
/// Fsyncs of which the median counts.
const FSYNCS: usize = 51;

/// A supernode, Alice and Bob, who are contacts, on three hosts.
pub struct LinkStage {
    /// The hosts and the lines between them.
    pub net: Net,
    /// The actors.
    pub cast: Cast,
    /// For files; the profiles are below it.
    pub folder: tempfile::TempDir,
}

/// The same on loopback.
pub struct LoopbackStage {
    /// The actors.
    pub cast: Cast,
    /// For files; the profiles are below it.
    pub folder: tempfile::TempDir,
    /// Holds the interface.
    _namespace: Namespace,
}

impl LinkStage {
    /// Builds it with that line between each two hosts.
    pub fn build(line: Line) -> Result<Self, ActorError> {
        Self::enter(three_hosts(line)?)
    }

    /// Lets the actors enter hosts that were prepared.
    pub fn enter(net: Net) -> Result<Self, ActorError> {
        let folder = story::temporary_folder()?;
        let [supernode, alice, bob] =
            ["supernode", "alice", "bob"].map(|name| Seat::on(net.host(name)));
        let cast = Cast::assemble(folder.path(), supernode, alice, bob, PATIENCE)?;
        story::befriend(&cast.bob, &cast.alice)?;
        Ok(Self { net, cast, folder })
    }

    /// Drops every UDP packet from and to Alice's host, without a word to the sender.
    pub fn block_udp_of_alice(&self) -> Result<(), ActorError> {
        let alice = self.net.host("alice").ip();
        // At the receivers, because a rule at the sender would answer it with an error.
        let rules = [
            ("alice", "ip protocol udp drop".to_owned()),
            ("bob", format!("ip saddr {alice} ip protocol udp drop")),
            (
                "supernode",
                format!("ip saddr {alice} ip protocol udp drop"),
            ),
        ];
        for (host, rule) in rules {
            let ruleset = format!(
                "table ip lab {{\nchain arriving {{\ntype filter hook input priority 0\n{rule}\n}}\n}}\n"
            );
            let mut nft = Command::new("nft");
            nft.arg(&ruleset).stdout(Stdio::null());
            let status = self.net.host(host).spawn(&mut nft)?.wait();
            if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
                let reason = format!("{status:?}");
                return Err(ActorError::Lab(LabError::Program {
                    program: "nft".into(),
                    reason,
                }));
            }
        }
        Ok(())
    }
}

impl LoopbackStage {
    /// Builds it.
    pub fn build() -> Result<Self, ActorError> {
        let namespace = Namespace::create()?;
        let folder = story::temporary_folder()?;
        let seat = Seat::inside(&namespace);
        let cast = Cast::assemble(folder.path(), seat, seat, seat, PATIENCE)?;
        story::befriend(&cast.bob, &cast.alice)?;
        Ok(Self {
            cast,
            folder,
            _namespace: namespace,
        })
    }
}

/// Hosts for the supernode, Alice and Bob.
pub fn three_hosts(line: Line) -> Result<Net, LabError> {
    Net::builder(line)
        .host("supernode")
        .host("alice")
        .host("bob")
        .build()
}

/// How long one small write takes to reach this machine's disk, the median of many.
pub fn fsync_time(folder: &std::path::Path) -> Result<Duration, ActorError> {
    let path = folder.join("fsync");
    let measure = || {
        let file = std::fs::File::create(&path)?;
        let mut times = Vec::new();
        for number in 0..FSYNCS {
            std::io::Write::write_all(&mut &file, &[number as u8; 4096])?;
            let start = Instant::now();
            file.sync_data()?;
            times.push(start.elapsed());
        }
        times.sort();
        Ok(times[FSYNCS / 2])
    };
    measure().map_err(|source| ActorError::File {
        what: "cannot measure the disk with",
        path: path.clone(),
        source,
    })
}
