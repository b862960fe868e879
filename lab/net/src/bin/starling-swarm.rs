//! `starling-swarm NETWORK-FILE COUNT [ADDRESS...]`: so many devices register at the network's first supernode, each at the next
//! of these addresses of it, and stay until standard input ends. On loopback an address that is reached is also the address one
//! comes from: so devices come from many blocks of addresses. Prints how many there are, and the last trouble. For the
//! benchmark of a supernode, which needs more than one process may hold open. Exit code 1 if there was trouble, 2 if it is
//! called wrongly.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use starling_lab_net::bench::swarm;
use starling_node::descriptors;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((file, count, addresses)) = parse(&arguments) else {
        eprintln!("usage: starling-swarm NETWORK-FILE COUNT [ADDRESS...]");
        return ExitCode::from(2);
    };
    let homes = first_supernode(file).map(|home| at(&home, &addresses));
    match homes.and_then(|homes| stay(&homes, count)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<(&str, usize, Vec<IpAddr>)> {
    let [file, count, addresses @ ..] = arguments else {
        return None;
    };
    let addresses = addresses.iter().map(|address| address.parse().ok());
    Some((file, count.parse().ok()?, addresses.collect::<Option<_>>()?))
}

/// The supernode as it is reached at each of the addresses; where there are none, at its own.
fn at(home: &SupernodeAddr, addresses: &[IpAddr]) -> Vec<SupernodeAddr> {
    let own = [home.tcp.ip()];
    let addresses = if addresses.is_empty() {
        &own
    } else {
        addresses
    };
    let place = |ip: &IpAddr| SupernodeAddr {
        tcp: SocketAddr::new(*ip, home.tcp.port()),
        ..home.clone()
    };
    addresses.iter().map(place).collect()
}

fn first_supernode(file: &str) -> Result<SupernodeAddr, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let network = Network::from_file(&text).map_err(|e| e.to_string())?;
    let first = network.supernodes.first();
    first
        .cloned()
        .ok_or_else(|| format!("{file}: no supernode"))
}

fn stay(homes: &[SupernodeAddr], count: usize) -> Result<(), String> {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let (devices, trouble) = runtime.block_on(swarm::gather(homes, count));
    let why = trouble.map(|error| error.to_string()).unwrap_or_default();
    println!("{} {why}", devices.len());
    // They live on the runtime's own threads meanwhile.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
