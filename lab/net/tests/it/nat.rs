//! The NAT lab's routers, seen through plain sockets: what a node will meet there.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use starling_lab_net::nat::OPEN_TCP_PORTS;
use starling_lab_net::{Access, Host, NatLab};

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    ("nat_home_x_home_can_be_punched", home_x_home),
    ("nat_symmetric_x_home_cannot_be_punched", symmetric_x_home),
    ("nat_udp_blocked_x_home_has_only_tcp", udp_blocked_x_home),
    ("nat_public_x_home_answers_only", public_x_home),
];

/// How long to wait for what should come, and for what should not.
const PATIENCE: Duration = Duration::from_millis(400);

fn udp_on(host: &Host) -> UdpSocket {
    let address = SocketAddr::from((host.ip(), 0));
    let socket = host.run(move || UdpSocket::bind(address)).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The address of `socket` as `observer` sees it, if a packet gets there.
fn seen_by(observer: &UdpSocket, socket: &UdpSocket) -> Option<SocketAddr> {
    socket
        .send_to(b"who am I", observer.local_addr().unwrap())
        .ok()?;
    Some(observer.recv_from(&mut [0; 64]).ok()?.1)
}

/// Whether a packet from `from` to the address `to` is received by `socket`.
fn reaches(from: &UdpSocket, to: SocketAddr, socket: &UdpSocket) -> bool {
    let mark = from.local_addr().unwrap().to_string();
    from.send_to(mark.as_bytes(), to).unwrap();
    let mut buffer = [0; 64];
    while let Ok(length) = socket.recv(&mut buffer) {
        if &buffer[..length] == mark.as_bytes() {
            return true;
        }
    }
    false
}

fn home_x_home() {
    let lab = NatLab::build(Access::Home, Access::Home).unwrap();
    let [supernode, witness] = ["supernode", "witness"].map(|name| udp_on(lab.host(name)));
    let [alice, bob] = ["alice", "bob"].map(|name| udp_on(lab.host(name)));
    let alice_outside = seen_by(&supernode, &alice).unwrap();
    let bob_outside = seen_by(&supernode, &bob).unwrap();
    assert_ne!(alice_outside.ip(), lab.host("alice").ip());
    assert_ne!(alice_outside.ip(), bob_outside.ip());
    // Filtering: who was not written to is not heard, not even from a known address.
    assert!(reaches(&supernode, alice_outside, &alice));
    assert!(!reaches(&witness, alice_outside, &alice));
    let other_port = udp_on(lab.host("supernode"));
    assert!(!reaches(&other_port, alice_outside, &alice));
    assert!(!reaches(&bob, alice_outside, &alice));
    // Mapping: the same for another destination.
    assert_eq!(seen_by(&witness, &alice), Some(alice_outside));
    // Bob's attempt above opened his router for Alice; hers opens her own for him.
    assert!(reaches(&alice, bob_outside, &bob));
    assert!(reaches(&bob, alice_outside, &alice));
}

fn symmetric_x_home() {
    let lab = NatLab::build(Access::Symmetric, Access::Home).unwrap();
    let [supernode, witness] = ["supernode", "witness"].map(|name| udp_on(lab.host(name)));
    let [alice, bob] = ["alice", "bob"].map(|name| udp_on(lab.host(name)));
    let alice_outside = seen_by(&supernode, &alice).unwrap();
    let bob_outside = seen_by(&supernode, &bob).unwrap();
    assert_ne!(seen_by(&witness, &alice), Some(alice_outside));
    for _ in 0..2 {
        assert!(!reaches(&alice, bob_outside, &bob));
        assert!(!reaches(&bob, alice_outside, &alice));
    }
}

fn udp_blocked_x_home() {
    let lab = NatLab::build(Access::UdpBlocked, Access::Home).unwrap();
    let public = lab.host("supernode");
    let supernode = udp_on(public);
    let [alice, bob] = ["alice", "bob"].map(|name| udp_on(lab.host(name)));
    assert_eq!(seen_by(&supernode, &alice), None);
    assert!(seen_by(&supernode, &bob).is_some());
    for port in OPEN_TCP_PORTS {
        assert!(tcp_connects(lab.host("alice"), public, port), "port {port}");
    }
    assert!(!tcp_connects(lab.host("alice"), public, 8080));
    assert!(tcp_connects(lab.host("bob"), public, 8080));
}

fn public_x_home() {
    let lab = NatLab::build(Access::Public, Access::Home).unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| udp_on(lab.host(name)));
    let alice_outside = alice.local_addr().unwrap();
    let bob_outside = seen_by(&alice, &bob).unwrap();
    assert!(reaches(&bob, alice_outside, &alice));
    assert!(reaches(&alice, bob_outside, &bob));
    let witness = udp_on(lab.host("witness"));
    assert!(reaches(&witness, alice_outside, &alice));
    assert!(!reaches(&witness, bob_outside, &bob));
}

fn tcp_connects(from: &Host, to: &Host, port: u16) -> bool {
    let address = SocketAddr::from((to.ip(), port));
    let _listener = to.run(move || TcpListener::bind(address)).unwrap().unwrap();
    from.run(|| TcpStream::connect_timeout(&address, PATIENCE))
        .unwrap()
        .is_ok()
}
