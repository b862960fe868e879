//! `starling-swarm NETWORK-FILE COUNT`: so many devices register at the network's first supernode and stay until standard
//! input ends. Prints how many there are, and why no more. For the benchmark of a supernode, which needs more than one process
//! may hold open. Exit code 1 if there was trouble, 2 if it is called wrongly.

use std::io::Read as _;
use std::process::ExitCode;

use starling_lab_net::bench::swarm;
use starling_node::descriptors;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, count] = arguments.as_slice() else {
        eprintln!("usage: starling-swarm NETWORK-FILE COUNT");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        eprintln!("{count} is no number");
        return ExitCode::from(2);
    };
    match first_supernode(file).and_then(|home| stay(&home, count)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn first_supernode(file: &str) -> Result<SupernodeAddr, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let network = Network::from_file(&text).map_err(|e| e.to_string())?;
    let first = network.supernodes.first();
    first
        .cloned()
        .ok_or_else(|| format!("{file}: no supernode"))
}

fn stay(home: &SupernodeAddr, count: usize) -> Result<(), String> {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let (devices, trouble) = runtime.block_on(swarm::gather(home, count));
    let why = trouble.map(|error| error.to_string()).unwrap_or_default();
    println!("{} {why}", devices.len());
    // They live on the runtime's own threads meanwhile.
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
