//! `starling-swarm NETWORK-FILE COUNT [--contacts-of PROFILE] [ADDRESS...]`: so many devices register at the network's first supernode, each at the next
//! of these addresses of it, and stay until standard input ends. On loopback an address that is reached is also the address one
//! comes from: so devices come from many blocks of addresses. Prints how many there are, and the last trouble. With a
//! profile, whose node does not run, they become its contacts, and are online. For the
//! benchmark of a supernode, which needs more than one process may hold open. Exit code 1 if there was trouble, 2 if it is
//! called wrongly.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use starling_lab_net::bench::swarm;
use starling_node::descriptors;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(wanted) = parse(&arguments) else {
        eprintln!("usage: starling-swarm NETWORK-FILE COUNT [--contacts-of PROFILE] [ADDRESS...]");
        return ExitCode::from(2);
    };
    match first_supernode(wanted.file).and_then(|home| stay(&wanted, &home)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

struct Wanted<'a> {
    file: &'a str,
    count: usize,
    contacts_of: Option<&'a Path>,
    addresses: Vec<IpAddr>,
}

fn parse(arguments: &[String]) -> Option<Wanted<'_>> {
    let [file, count, rest @ ..] = arguments else {
        return None;
    };
    let (contacts_of, addresses) = match rest {
        [option, profile, addresses @ ..] if option == "--contacts-of" => {
            (Some(Path::new(profile)), addresses)
        }
        addresses => (None, addresses),
    };
    let addresses = addresses.iter().map(|address| address.parse().ok());
    Some(Wanted {
        file,
        count: count.parse().ok()?,
        contacts_of,
        addresses: addresses.collect::<Option<_>>()?,
    })
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

fn stay(wanted: &Wanted<'_>, home: &SupernodeAddr) -> Result<(), String> {
    let homes = at(home, &wanted.addresses);
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let (devices, mut trouble) = runtime.block_on(swarm::gather(&homes, wanted.count));
    if let Some(profile) = wanted.contacts_of {
        let befriended = runtime.block_on(swarm::befriend(profile, &devices, (home, &homes)));
        trouble = befriended.err().or(trouble);
    }
    let why = trouble.map(|error| error.to_string()).unwrap_or_default();
    println!("{} {why}", devices.len());
    // They live on the runtime's own threads meanwhile.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
