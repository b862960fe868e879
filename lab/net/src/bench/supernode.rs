//! What idle devices cost the supernode at which they are registered: real front doors over real links on loopback.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::LabError;
use crate::actor::{ActorError, Seat};
use crate::bench::Findings;
use crate::bench::stage::PATIENCE;
use crate::namespace::{HostProcess, Namespace};
use crate::story;

/// As many as a supernode takes.
const DEVICES: usize = 10_000;
/// A device takes four descriptors here, and a process may often hold 20,000.
const OF_ONE_PROCESS: usize = 2_500;
/// For what registering left behind to end.
const SETTLING: Duration = Duration::from_secs(40);
const WINDOW: Duration = Duration::from_secs(60);

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let namespace = Namespace::create()?;
    namespace.set_sysctl("ipv4/ip_local_port_range", "1024 65000")?;
    let folder = story::temporary_folder()?;
    let seat = Seat::inside(&namespace);
    let (supernode, network) = story::found_network(folder.path(), seat, PATIENCE)?;
    let file = folder.path().join("network.toml");
    std::fs::write(&file, network).map_err(|source| ActorError::File {
        what: "cannot write",
        path: file.clone(),
        source,
    })?;
    let empty = supernode.usage()?;
    let began = Instant::now();
    let mut crowd = Vec::new();
    let (mut devices, mut why) = (0, String::new());
    while devices < DEVICES && why.is_empty() {
        let (process, came, trouble) = gather(&namespace, &file)?;
        crowd.push(process);
        devices += came;
        why = trouble;
    }
    let gathering = began.elapsed();
    std::thread::sleep(SETTLING);
    let before = supernode.usage()?;
    std::thread::sleep(WINDOW);
    let after = supernode.usage()?;
    let each = after.anonymous.saturating_sub(empty.anonymous) as f64 / devices.max(1) as f64;
    findings.add("supernode_devices", devices as f64);
    findings.add("supernode_memory", each / 1e3);
    let share = after.cpu_since(&before) * 100.0;
    findings.add(
        "supernode_cpu",
        share * DEVICES as f64 / devices.max(1) as f64,
    );
    findings.remark(format!(
        "{devices} devices (front doors without the rest of a node, {} processes) came within {:.0} s and were idle on loopback; \
         the supernode then had {:.0} MB of its own ({:.1} MB before) and used {share:.1} % of a core. Sockets' memory in the \
         kernel is not counted. {}",
        crowd.len(),
        gathering.as_secs_f64(),
        after.anonymous as f64 / 1e6,
        empty.anonymous as f64 / 1e6,
        if why.is_empty() {
            "No more were tried.".to_owned()
        } else {
            format!("No more came: {why}.")
        },
    ));
    drop(crowd);
    supernode.stop()
}

/// One more process of devices: it, how many came, and why not more.
fn gather(
    namespace: &Namespace,
    file: &std::path::Path,
) -> Result<(HostProcess, usize, String), ActorError> {
    let program = crate::actor::program()?.with_file_name("starling-swarm");
    let failed = |reason: String| LabError::Program {
        program: "starling-swarm".into(),
        reason,
    };
    let mut command = Command::new(&program);
    command
        .arg(file)
        .arg(OF_ONE_PROCESS.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = namespace.spawn(&mut command)?;
    let output = process.stdout.take();
    let output = output.ok_or_else(|| failed("it has no output".into()))?;
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .map_err(|e| failed(e.to_string()))?;
    let (count, why) = line.trim_end().split_once(' ').unwrap_or((line.trim(), ""));
    let count = count
        .parse()
        .map_err(|_| failed(format!("it said {line:?}")))?;
    Ok((process, count, why.to_owned()))
}
