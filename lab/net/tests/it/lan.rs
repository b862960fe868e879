//! Contacts on one LAN: two real nodes, each its own supernode, behind one switch with multicast, and a stranger who
//! listens. Both machines get other addresses while they are off, so neither can reach what it remembers of the other.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use patchbay::{Lab, Nat};
use serde::de::DeserializeOwned;
use starling_control::{Command, view};
use starling_lab_net::Namespace;
use starling_node::{ControlHandle, Node, NodeConfig};
use tokio::runtime::Runtime;

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    (
        "lan_contacts_whose_addresses_changed_find_each_other",
        find_each_other,
    ),
    ("lan_without_discovery_they_do_not", do_not),
    (
        "discovery_04_a_supernode_of_the_lan_stands_in_while_no_other_answers",
        one_stands_in,
    ),
];

const PATIENCE: Duration = Duration::from_secs(15);
/// mDNS: group and port (RFC 6762 section 3).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const MDNS_PORT: u16 = 5353;
const INTERFACE: &str = "eth0";

/// A machine behind the switch.
struct Machine {
    namespace: Namespace,
    /// Its threads live in the namespace.
    runtime: Runtime,
    address: Ipv4Addr,
    home: PathBuf,
}

/// A node on a machine.
struct Person<'a> {
    machine: &'a Machine,
    node: Node,
    control: ControlHandle,
}

/// The switch is the router's LAN side.
struct Lan {
    machines: Vec<Machine>,
    _lab: Lab,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Lan {
    fn build() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (lab, machines) = runtime.block_on(async {
            let lab = Lab::builder().allow_real_root().build().await.unwrap();
            let switch = lab.add_router("switch").nat(Nat::Moderate);
            let switch = switch.build().await.unwrap();
            let mut machines = Vec::new();
            for name in ["alice", "bob", "stranger"] {
                let device = lab.add_device(name).uplink(switch.id());
                let device = device.build().await.unwrap();
                let address = device.ip().unwrap();
                let namespace = device
                    .run_sync(|| Ok(Namespace::of_this_thread()?))
                    .unwrap();
                machines.push(Machine::new(namespace, address, folder.path().join(name)));
            }
            (lab, machines)
        });
        Self {
            machines,
            _lab: lab,
            _runtime: runtime,
            _folder: folder,
        }
    }
}

impl Machine {
    fn new(namespace: Namespace, address: Ipv4Addr, home: PathBuf) -> Self {
        let runtime = namespace
            .run(|| {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap()
            })
            .unwrap();
        Self {
            namespace,
            runtime,
            address,
            home,
        }
    }

    /// Runs it on this machine's threads.
    fn run<T: Send + 'static>(&self, job: impl Future<Output = T> + Send + 'static) -> T {
        let task = self.runtime.spawn(job);
        self.runtime.block_on(task).unwrap()
    }

    /// What DHCP does overnight: the same network, another address.
    fn move_to(&self, last_byte: u8) {
        let [a, b, c, _] = self.address.octets();
        self.namespace
            .ip_commands(&format!(
                "address flush dev {INTERFACE}\n\
                 address add {a}.{b}.{c}.{last_byte}/24 broadcast {a}.{b}.{c}.255 dev {INTERFACE}\n\
                 route replace default dev {INTERFACE}\n"
            ))
            .unwrap();
    }

    fn start(&self, lan_discovery: bool) -> Person<'_> {
        let mut config = NodeConfig::new(self.home.clone());
        config.lan_discovery = lan_discovery;
        let node = self.run(async move { Box::pin(Node::start(config)).await.unwrap() });
        Person {
            control: node.control(),
            machine: self,
            node,
        }
    }
}

impl Person<'_> {
    fn ask<T: DeserializeOwned + Send + 'static>(&self, command: Command) -> T {
        let control = self.control.clone();
        let answer = async move { tokio::time::timeout(PATIENCE, control.ask(command)).await };
        self.machine.run(answer).unwrap().unwrap()
    }

    fn create(&self, name: &str) -> view::Account {
        self.ask(Command::AccountCreate { name: name.into() })
    }

    fn sees(&self, name: &str) -> bool {
        let list: Vec<view::Contact> = self.ask(Command::ContactList {});
        list.iter()
            .any(|contact| contact.name == name && contact.presence.is_there())
    }

    fn stop(self) {
        let Self { machine, node, .. } = self;
        let begin = Instant::now();
        machine.run(async move { node.stop().await });
        eprintln!("stopped after {:?}", begin.elapsed());
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("{what} after {:?}", begin.elapsed());
}

fn befriend(alice: &Person<'_>, bob: &Person<'_>) {
    make_contacts(alice, bob, ["Alice", "Bob"]);
}

fn make_contacts(alice: &Person<'_>, bob: &Person<'_>, names: [&str; 2]) {
    let registered = |person: &Person<'_>| {
        let status: view::Status = person.ask(Command::Status {});
        status.supernode.is_some_and(|at| at.connected)
    };
    until("both at home", || registered(alice) && registered(bob));
    let link: view::OwnLink = alice.ask(Command::ContactLink {});
    let (link, message) = (link.link, "It is Bob".to_owned());
    bob.ask::<view::Contact>(Command::ContactAdd { link, message });
    let requests = || alice.ask::<Vec<view::ContactRequest>>(Command::ContactRequests {});
    until("the request", || !requests().is_empty());
    let id = requests().remove(0).id;
    alice.ask::<view::Contact>(Command::ContactAccept { id });
    let [own, other] = names;
    until("each other", || alice.sees(other) && bob.sees(own));
}

fn say(from: &Person<'_>, to: &Person<'_>, name: &str, sender: &str) {
    let text = format!("good morning, {name}");
    from.ask::<view::Message>(Command::ChatSend {
        who: name.into(),
        text: text.clone(),
    });
    let log = || {
        to.ask::<Vec<view::Message>>(Command::ChatLog {
            who: sender.into(),
            limit: None,
            before: None,
        })
    };
    until("the message", || {
        log().iter().any(|message| message.text == text)
    });
}

/// Everything a stranger on the LAN hears of mDNS.
fn eavesdrop(machine: &Machine) -> UdpSocket {
    let socket = machine
        .namespace
        .run(|| {
            let socket = UdpSocket::bind(SocketAddr::from((GROUP, MDNS_PORT)))?;
            socket.join_multicast_v4(&GROUP, &machine.address)?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(socket)
        })
        .unwrap();
    socket.unwrap()
}

fn heard(socket: &UdpSocket) -> Vec<u8> {
    let mut all = Vec::new();
    let mut packet = [0; 9_000];
    while let Ok(length) = socket.recv(&mut packet) {
        all.extend_from_slice(&packet[..length]);
    }
    all.to_ascii_lowercase()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    let needle = needle.to_ascii_lowercase();
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

fn host_name() -> String {
    let name = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    name.trim().to_owned()
}

fn find_each_other() {
    let lan = Lan::build();
    let [a, b, stranger] = &lan.machines[..] else {
        unreachable!("three machines were built");
    };
    let ear = eavesdrop(stranger);
    let (alice, bob) = (a.start(true), b.start(true));
    let accounts = [alice.create("Alice"), bob.create("Bob")];
    befriend(&alice, &bob);
    say(&alice, &bob, "Bob", "Alice");
    alice.stop();
    bob.stop();
    a.move_to(201);
    b.move_to(202);
    let (alice, bob) = (a.start(true), b.start(true));
    until("each other at new addresses", || {
        alice.sees("Bob") && bob.sees("Alice")
    });
    say(&alice, &bob, "Bob", "Alice");
    say(&bob, &alice, "Alice", "Bob");
    alice.stop();
    bob.stop();
    let heard = heard(&ear);
    assert!(contains(&heard, "_starling"), "the stranger listened");
    let secret = [host_name(), "alice".into(), "bob".into()].into_iter();
    let ids = accounts.iter().flat_map(|account| {
        let own = [account.id.clone(), account.device.clone()];
        own.into_iter().chain([account.device_name.clone()])
    });
    for word in secret.chain(ids).filter(|word| !word.is_empty()) {
        assert!(!contains(&heard, &word), "{word} was on the air");
    }
}

/// The same without the switch: what the other test shows is discovery's doing.
fn do_not() {
    let lan = Lan::build();
    let [a, b, stranger] = &lan.machines[..] else {
        unreachable!("three machines were built");
    };
    let ear = eavesdrop(stranger);
    let (alice, bob) = (a.start(false), b.start(false));
    alice.create("Alice");
    bob.create("Bob");
    befriend(&alice, &bob);
    alice.stop();
    bob.stop();
    a.move_to(201);
    b.move_to(202);
    let (alice, bob) = (a.start(false), b.start(false));
    std::thread::sleep(Duration::from_secs(4));
    assert!(!alice.sees("Bob") && !bob.sees("Alice"));
    assert!(!contains(&heard(&ear), "_starling"), "nothing is announced");
    alice.stop();
    bob.stop();
}

/// Somebody whose machine is the supernode of a network, and the network's file.
fn found<'a>(machine: &'a Machine, name: &str) -> (Person<'a>, String) {
    let server = machine.start(true);
    server.create(name);
    let made: view::NetworkMade = server.ask(Command::NetworkInit {
        name: name.into(),
        advertise: None,
    });
    (server, made.file)
}

/// The network's only supernode is gone for good. Another one, of a network that nobody joined, is on the same LAN.
fn one_stands_in() {
    let lan = Lan::build();
    let [a, b, c] = &lan.machines[..] else {
        unreachable!("three machines were built");
    };
    let (gone, source) = found(a, "Gone");
    let (bob, carol) = (b.start(true), c.start(true));
    for (person, name) in [(&bob, "Bob"), (&carol, "Carol")] {
        let source = source.clone();
        person.ask::<view::Network>(Command::NetworkJoin { source });
        person.create(name);
    }
    make_contacts(&bob, &carol, ["Bob", "Carol"]);
    gone.stop();
    std::fs::remove_dir_all(&a.home).unwrap();
    a.move_to(203);
    let (other, _) = found(a, "Other");
    let stands_in = |person: &Person<'_>| {
        let status: view::Status = person.ask(Command::Status {});
        let at = status.supernode.filter(|at| at.connected);
        at.is_some_and(|at| at.words.contains("found on the local network"))
    };
    until("both at the one that stands in", || {
        stands_in(&bob) && stands_in(&carol)
    });
    until("each other there", || {
        bob.sees("Carol") && carol.sees("Bob")
    });
    say(&bob, &carol, "Carol", "Bob");
    for person in [bob, carol, other] {
        person.stop();
    }
}
