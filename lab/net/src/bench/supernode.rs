//! What idle devices cost the supernode at which they are registered: real front doors over real links on loopback.
//!
//! A supernode takes few new accounts from one block of addresses within an hour. So the loopback interface has many
//! addresses, each in a block of its own, and the supernode is reached at all of them: whoever is told one of them comes
//! from it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::LabError;
use crate::actor::usage::Usage;
use crate::actor::{Actor, ActorError, PORT, Seat};
use crate::bench::Findings;
use crate::bench::stage::PATIENCE;
use crate::namespace::{HostProcess, Namespace};
use crate::story;

/// As many as a supernode takes.
const DEVICES: usize = 10_000;
/// A device takes four descriptors here, and a process may often hold 20,000.
const OF_ONE_PROCESS: usize = 2_500;
/// From one block of addresses.
pub(super) const OF_ONE_BLOCK: usize = 125;
/// The first half of all addresses.
const NETWORK: [u8; 2] = [10, 77];
const BLOCKS_OF_ONE_PROCESS: usize = OF_ONE_PROCESS / OF_ONE_BLOCK;
/// For what registering left behind to end.
const SETTLING: Duration = Duration::from_secs(40);
const WINDOW: Duration = Duration::from_secs(60);

/// The devices that came.
#[derive(Default)]
struct Crowd {
    processes: Vec<HostProcess>,
    devices: usize,
    took: Duration,
    /// Why no more came.
    trouble: String,
}

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let namespace = Namespace::create()?;
    namespace.set_sysctl("ipv4/ip_local_port_range", "1024 65000")?;
    let addresses = addresses(DEVICES.div_ceil(OF_ONE_BLOCK));
    number(&namespace, &addresses)?;
    let folder = story::temporary_folder()?;
    let mut seat = Seat::inside(&namespace);
    seat.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    seat.address = addresses[0];
    let (supernode, network) = story::found_network(folder.path(), seat, PATIENCE)?;
    let file = folder.path().join("network.toml");
    std::fs::write(&file, network).map_err(|source| ActorError::File {
        what: "cannot write",
        path: file.clone(),
        source,
    })?;
    let empty = supernode.usage()?;
    let crowd = Crowd::gather(&namespace, &file, &addresses)?;
    std::thread::sleep(SETTLING);
    report((&namespace, &supernode), &empty, &crowd, findings)?;
    drop(crowd);
    supernode.stop()
}

/// So many addresses, each in a block of its own.
pub(super) fn addresses(count: usize) -> Vec<IpAddr> {
    (1..=u8::MAX)
        .take(count)
        .map(|block| IpAddr::from([NETWORK[0], NETWORK[1], block, 1]))
        .collect()
}

/// Gives the addresses to the loopback interface.
pub(super) fn number(namespace: &Namespace, addresses: &[IpAddr]) -> Result<(), LabError> {
    let mut lines = String::new();
    for address in addresses {
        let _ = writeln!(lines, "address add {address}/32 dev lo");
    }
    namespace.ip_commands(&lines)
}

/// What the supernode uses while nobody does anything.
fn report(
    (namespace, supernode): (&Namespace, &Actor),
    empty: &Usage,
    crowd: &Crowd,
    findings: &mut Findings,
) -> Result<(), ActorError> {
    let (before, linked_before) = (supernode.usage()?, linked(namespace)?);
    std::thread::sleep(WINDOW);
    let (after, linked_after) = (supernode.usage()?, linked(namespace)?);
    let linked = linked_before.min(linked_after);
    let more = after.anonymous.saturating_sub(empty.anonymous) as f64;
    let share = after.cpu_since(&before) * 100.0;
    findings.add("supernode_devices", linked as f64);
    // These rows are about all of them: what fewer use says nothing of that.
    if linked >= DEVICES {
        findings.add("supernode_memory", more / linked as f64 / 1e3);
        findings.add("supernode_cpu", share);
    }
    let seconds = crowd.took.as_secs_f64();
    findings.remark(format!(
        "{} devices (front doors without the rest of a node, {} processes on the same machine, {OF_ONE_BLOCK} from each block of \
         addresses) registered within {seconds:.0} s, {:.0} a second, and were idle on loopback; {linked_before} of their links were \
         up before the window and {linked_after} after it. The supernode then had {:.0} MB of its own ({:.1} MB before any came) \
         and used {share:.1} % of a core. Sockets' memory in the kernel is not counted.{}",
        crowd.devices,
        crowd.processes.len(),
        crowd.devices as f64 / seconds.max(1e-9),
        after.anonymous as f64 / 1e6,
        empty.anonymous as f64 / 1e6,
        crowd.words(),
    ));
    Ok(())
}

/// Links of devices that are up, as the kernel sees the supernode's ends of them (proc_pid_net(5)). A device that has registered
/// may have lost its link since.
fn linked(namespace: &Namespace) -> Result<usize, LabError> {
    let table = namespace
        .run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))?
        .map_err(|source| LabError::Os {
            what: "cannot read the list of connections",
            source,
        })?;
    Ok(table.lines().filter(|line| is_link(line)).count())
}

/// An established connection, from one of our addresses, at the supernode's port.
fn is_link(line: &str) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1));
    let local = local.split_once(':').and_then(|(ip, port)| {
        let ip = u32::from_str_radix(ip, 16).ok()?;
        let port = u16::from_str_radix(port, 16).ok()?;
        Some((Ipv4Addr::from(ip.to_ne_bytes()).octets(), port))
    });
    let ours = |([a, b, ..], port): ([u8; 4], u16)| [a, b] == NETWORK && port == PORT;
    state == Some("01") && local.is_some_and(ours)
}

impl Crowd {
    /// Starts one process after the other, until all are there or no more come.
    fn gather(
        namespace: &Namespace,
        file: &std::path::Path,
        addresses: &[IpAddr],
    ) -> Result<Self, ActorError> {
        let began = Instant::now();
        let mut crowd = Self::default();
        for blocks in addresses.chunks(BLOCKS_OF_ONE_PROCESS) {
            let wanted = blocks.len() * OF_ONE_BLOCK;
            let (process, came, trouble) = gather(namespace, file, (wanted, &[]), blocks)?;
            crowd.processes.push(process);
            crowd.devices += came;
            crowd.trouble = trouble;
            if came < wanted {
                break;
            }
        }
        crowd.took = began.elapsed();
        Ok(crowd)
    }

    fn words(&self) -> String {
        if self.devices >= DEVICES {
            return String::new();
        }
        format!(" No more came: {}.", self.trouble)
    }
}

/// One more process of so many devices, with other arguments: it, how many came, and the last trouble.
pub(super) fn gather(
    namespace: &Namespace,
    file: &std::path::Path,
    (count, arguments): (usize, &[&std::ffi::OsStr]),
    blocks: &[IpAddr],
) -> Result<(HostProcess, usize, String), ActorError> {
    let program = crate::actor::program()?.with_file_name("starling-swarm");
    let failed = |reason: String| LabError::Program {
        program: "starling-swarm".into(),
        reason,
    };
    let mut command = Command::new(&program);
    command
        .arg(file)
        .arg(count.to_string())
        .args(arguments)
        .args(blocks.iter().map(IpAddr::to_string))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_an_established_connection_at_the_supernode() {
        let line = |local: [u8; 4], port: u16, state: &str| {
            let ip = u32::from_ne_bytes(local);
            format!("   7: {ip:08X}:{port:04X} 0100007F:C350 {state} 00000000:00000000 00:00000000")
        };
        assert!(is_link(&line([10, 77, 3, 1], PORT, "01")));
        assert!(!is_link(&line([10, 77, 3, 1], PORT, "06")), "it is over");
        assert!(
            !is_link(&line([10, 77, 3, 1], 50_000, "01")),
            "a device's end"
        );
        assert!(
            !is_link(&line([127, 0, 0, 1], PORT, "01")),
            "the supernode's own"
        );
        assert!(!is_link("  sl  local_address rem_address   st"));
    }
}
