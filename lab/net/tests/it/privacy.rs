//! Nobody but a contact's own supernode learns an address (DESIGN 3.2): packets are captured on the machines, while a
//! stranger runs the relay and the supernode that his records name, or names places there that are none of his.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starling_control::{Command, Event, view};
use starling_lab_net::story;
use starling_lab_net::story::call::{self, Tracks};
use starling_lab_net::{Access, Actor, Capture, Host, NatLab, Seat};
use starling_node::clock::{random, wall_s};
use starling_node::identity::Identity;
use starling_node::transport::front_door::{Doorkeeper, FrontDoor, Visitor};
use starling_node::transport::pins::Pins;
use starling_node::transport::proxy::ProxySetting;
use starling_node::transport::requests::Supernodes;
use starling_wire::envelope::{Letter, Sender, seal};
use starling_wire::link::{Link, Target};
use starling_wire::postage::{Postage, Search, Step, WORK_MIN};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::LabTest;
use crate::node::set_with;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    ("nat_stranger_with_a_relay_of_his_own", own_relay),
    ("nat_stranger_on_the_lan", on_the_lan),
    ("nat_stranger_who_names_places_of_others", places_of_others),
];

/// Those that need speech.
pub const SPOKEN: &[LabTest] = &[
    ("nat_always_relay_home_x_home", always_relay),
    (
        "nat_always_relay_between_two_networks",
        always_relay_between,
    ),
];

const PATIENCE: Duration = Duration::from_secs(15);
/// For what should not come.
const MOMENT: Duration = Duration::from_secs(3);
const PORT: u16 = 27474;

fn ip(host: &Host) -> IpAddr {
    host.ip().into()
}

/// Whom a host spoke with.
fn peers(capture: &Capture, host: &Host) -> BTreeSet<IpAddr> {
    capture.peers_of(ip(host))
}

fn link_of(person: &Actor) -> String {
    let link: view::OwnLink = person.ask(Command::ContactLink {}).unwrap();
    link.link
}

fn ask_to_be_contact(person: &Actor, link: &str) -> bool {
    let (link, message) = (link.to_owned(), "Hello".to_owned());
    let add = Command::ContactAdd { link, message };
    person.ask::<view::Contact>(add).is_ok()
}

fn request(person: &Actor) -> view::ContactRequest {
    let (_, request) = person
        .until("the request", |event| match event {
            Event::Request(request) => Some(request.clone()),
            _ => None,
        })
        .unwrap();
    request
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Somebody at home in a network of their own, whose only supernode stands on this public host.
fn settle(lab: &NatLab, folder: &Path, network: &str, name: &str) -> (Actor, Actor) {
    let home = folder.join(network);
    let seat = Seat::on(lab.host(network));
    let (supernode, file) = story::found_network(&home, seat, PATIENCE).unwrap();
    let seat = Seat::on(lab.host(&name.to_lowercase()));
    let person = story::join_network(name, &home, seat, &file, PATIENCE).unwrap();
    (supernode, person)
}

/// Alice is at home in one network, the stranger at a supernode and relay of his own. She looks him up and asks, they become
/// contacts and write: neither machine ever speaks with any but its own supernode, and the stranger's relay sees Alice's
/// supernode only.
fn own_relay() {
    let lab = NatLab::build(Access::Home, Access::Home).unwrap();
    let folder = story::temporary_folder().unwrap();
    let [a, b, theirs] = ["alice", "bob", "witness"].map(|name| lab.host(name));
    let captures = [a, b, theirs].map(|host| host.capture().unwrap());
    let (ours, alice) = settle(&lab, folder.path(), "supernode", "Alice");
    let (his, bob) = settle(&lab, folder.path(), "witness", "Bob");
    let ours_only = BTreeSet::from([ip(lab.host("supernode"))]);
    let his_only = BTreeSet::from([ip(theirs)]);
    let nobody_else = |when: &str| {
        assert_eq!(peers(&captures[0], a), ours_only, "Alice's machine {when}");
        assert_eq!(peers(&captures[1], b), his_only, "the stranger's {when}");
        let at_his_relay = peers(&captures[2], theirs);
        let is_there = at_his_relay.is_superset(&ours_only);
        assert!(is_there, "her supernode came {when}: {at_his_relay:?}");
        assert_eq!(at_his_relay.len(), 2, "and his router: {at_his_relay:?}");
    };
    assert!(ask_to_be_contact(&alice, &link_of(&bob)));
    let asked = request(&bob);
    nobody_else("when she asked");
    bob.ask::<view::Contact>(Command::ContactAccept { id: asked.id })
        .unwrap();
    story::wait_presence(&alice, "Bob", true).unwrap();
    story::wait_presence(&bob, "Alice", true).unwrap();
    story::chat(&alice, &bob, "Where are you?").unwrap();
    story::chat(&bob, &alice, "You cannot see it.").unwrap();
    nobody_else("when they wrote");
    let cast = [alice, bob, his, ours];
    for actor in &cast {
        assert_eq!(actor.warnings(), Vec::<String>::new());
    }
    Actor::stop_all(cast).unwrap();
}

/// The stranger sits behind Alice's own router, with a supernode of his own there.
fn on_the_lan() {
    let lab = NatLab::build(Access::Home, Access::Home).unwrap();
    let folder = story::temporary_folder().unwrap();
    let [public, a, near] = ["supernode", "alice", "neighbour"].map(|name| lab.host(name));
    let (ours, network) = story::found_network(folder.path(), Seat::on(public), PATIENCE).unwrap();
    let alice =
        story::join_network("Alice", folder.path(), Seat::on(a), &network, PATIENCE).unwrap();
    let home = folder.path().join("near");
    let (bob, _) = story::found_network(&home, Seat::on(near), PATIENCE).unwrap();
    let name = "Bob".to_owned();
    bob.ask::<view::Account>(Command::AccountCreate { name })
        .unwrap();
    story::wait_registered(&bob).unwrap();
    let captures = [a, near].map(|host| host.capture().unwrap());
    // His link names an address on her LAN, to which her supernode does not connect.
    assert!(!ask_to_be_contact(&alice, &link_of(&bob)));
    // His own machine is a supernode: that one does speak with hers.
    assert!(ask_to_be_contact(&bob, &link_of(&alice)));
    let asked = request(&alice);
    alice
        .ask::<view::Contact>(Command::ContactAccept { id: asked.id })
        .unwrap();
    std::thread::sleep(MOMENT);
    let ours_only = BTreeSet::from([ip(public)]);
    assert_eq!(peers(&captures[0], a), ours_only, "Alice's machine");
    let his = peers(&captures[1], near);
    assert!(!his.contains(&ip(a)), "the stranger's machine: {his:?}");
    Actor::stop_all([alice, bob, ours]).unwrap();
}

/// Somebody who makes records of his own, at home at Alice's supernode.
struct Mallory {
    runtime: Runtime,
    identity: Identity,
    door: Arc<FrontDoor>,
    home: SupernodeAddr,
}

impl Mallory {
    fn at(host: &Host, home: &SupernodeAddr) -> Self {
        let runtime = host
            .run(|| {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap()
            })
            .unwrap();
        let identity = Identity::create("Mallory", "laptop");
        let (seed, behind) = (identity.front_door_seed, home.clone());
        let opening = runtime.spawn(async move {
            let keeper: Doorkeeper = Arc::new(|_| Some(Visitor::Supernode));
            let (arrivals, _) = mpsc::channel(8);
            let (pins, proxy) = (Pins::default(), ProxySetting::None);
            FrontDoor::open(&seed, pins, proxy, Some(behind), keeper, arrivals).await
        });
        let door = runtime.block_on(opening).unwrap().unwrap();
        Self {
            runtime,
            identity,
            door: Arc::new(door),
            home: home.clone(),
        }
    }

    fn ask(&self, request: Request) -> Answer {
        let (door, home) = (Arc::clone(&self.door), self.home.clone());
        let asking = async move { Supernodes::new(door).ask(&home, &request).await };
        let answer = self.runtime.block_on(self.runtime.spawn(asking));
        answer.unwrap().unwrap()
    }

    /// His record says that he is at home at these places.
    fn register(&self, places: &[SupernodeAddr]) {
        let record = self.identity.record(1, places);
        let registration = self
            .identity
            .registration(record.expect("her key"), self.home.id);
        let answer = self.ask(Request::Register(Box::new(registration)));
        assert_eq!(answer, Answer::Ok);
    }

    fn link(&self) -> String {
        let link = Link {
            target: Target::Account(self.identity.account()),
            network: None,
            supernodes: vec![self.home.clone()],
        };
        link.to_string()
    }

    /// A request to somebody, with a card that says the same.
    fn write(&self, to: &str, places: &[SupernodeAddr]) {
        let link: Link = to.parse().unwrap();
        let Target::Account(account) = link.target else {
            unreachable!("a person's link names a person");
        };
        let Answer::Record(Some(record)) = self.ask(Request::Lookup { account }) else {
            unreachable!("she is registered");
        };
        let key = &self.identity.device;
        let card = self.identity.card(1, places, None);
        let letter = Letter::request("It is Mallory");
        let to = &record.record.request_key;
        let sender = Sender {
            key,
            card,
            number: 1,
        };
        let envelope = seal(sender, account, to, letter, wall_s(), random()).unwrap();
        let found = Search::new(account, &envelope, WORK_MIN, wall_s()).step(u64::MAX);
        let Step::Found(work) = found else {
            unreachable!("work comes to an end");
        };
        let answer = self.ask(Request::Deposit {
            account,
            postage: Postage::Work(work),
            envelope,
        });
        assert_eq!(answer, Answer::Ok);
    }
}

/// Records, links and cards that name this very machine, private addresses, and a machine on Alice's LAN.
fn places_of_others() {
    let lab = NatLab::build(Access::Home, Access::Home).unwrap();
    let folder = story::temporary_folder().unwrap();
    let [public, a, near, far] =
        ["supernode", "alice", "neighbour", "bob"].map(|name| lab.host(name));
    let (ours, network) = story::found_network(folder.path(), Seat::on(public), PATIENCE).unwrap();
    let alice =
        story::join_network("Alice", folder.path(), Seat::on(a), &network, PATIENCE).unwrap();
    let link: Link = link_of(&alice).parse().unwrap();
    let home = link.supernodes[0].clone();
    let baits = [(a, Ipv4Addr::LOCALHOST), (near, near.ip())].map(bait);
    let place = |ip: IpAddr| SupernodeAddr {
        id: starling_wire::ids::EndpointKey(random()),
        tcp: SocketAddr::new(ip, PORT),
        discovery_port: 27476,
    };
    let places = [
        place(Ipv4Addr::LOCALHOST.into()),
        place(ip(near)),
        place(Ipv4Addr::new(10, 99, 0, 1).into()),
    ];
    let mallory = Mallory::at(far, &home);
    let capture = a.capture().unwrap();
    // A link that names them: nobody is asked.
    for named in &places {
        let link = Link {
            supernodes: vec![named.clone()],
            ..mallory.link().parse().unwrap()
        };
        assert!(!ask_to_be_contact(&alice, &link.to_string()));
    }
    // A card that names them: she accepts, and nobody is told.
    mallory.register(&places);
    mallory.write(&link_of(&alice), &places);
    let asked = request(&alice);
    alice
        .ask::<view::Contact>(Command::ContactAccept { id: asked.id })
        .unwrap();
    let listed = || alice.ask::<Vec<view::Contact>>(Command::ContactList {});
    until("the contact", || {
        let list = listed().unwrap();
        list.iter().any(|contact| contact.name == "Mallory")
    });
    std::thread::sleep(MOMENT);
    // A record that names them: the letter goes nowhere.
    let other = Mallory::at(far, &home);
    other.register(&places);
    ask_to_be_contact(&alice, &other.link());
    std::thread::sleep(MOMENT);
    let ours_only = BTreeSet::from([ip(public)]);
    assert_eq!(peers(&capture, a), ours_only, "Alice's machine");
    for bait in baits {
        assert!(bait.accept().is_err(), "nobody came to {bait:?}");
    }
    alice.stop().unwrap();
    ours.stop().unwrap();
}

/// Listens there; nobody should come.
fn bait((host, ip): (&Host, Ipv4Addr)) -> TcpListener {
    let at = SocketAddr::from((ip, PORT));
    let bait = host.run(move || TcpListener::bind(at)).unwrap().unwrap();
    bait.set_nonblocking(true).unwrap();
    bait
}

/// Both could be punched; Alice does not want Bob to learn where she is.
fn always_relay() {
    let lab = NatLab::build(Access::Home, Access::Home).unwrap();
    let scene = set_with(lab, &[], &[]);
    let relay = Command::ContactRelay {
        who: "Bob".into(),
        always: true,
    };
    let contact: view::Contact = scene.cast.alice.ask(relay).unwrap();
    assert!(contact.always_relay);
    let a = scene.lab.host("alice");
    let capture = a.capture().unwrap();
    scene.call("forwarded");
    let share = scene.relayed_share("relayed.bin");
    assert!(share >= 1.0, "only {share} of the file was relayed");
    let ours_only = BTreeSet::from([ip(scene.lab.host("supernode"))]);
    assert_eq!(peers(&capture, a), ours_only, "Alice's machine");
    scene.end();
}

/// At home at different supernodes: her sound goes through both, and only hers knows her.
fn always_relay_between() {
    let lab = NatLab::build(Access::Home, Access::Home).unwrap();
    let folder = story::temporary_folder().unwrap();
    let (ours, alice) = settle(&lab, folder.path(), "supernode", "Alice");
    let (his, bob) = settle(&lab, folder.path(), "witness", "Bob");
    let everybody = Command::ContactRelayEverybody { always: true };
    alice.ask::<serde_json::Value>(everybody).unwrap();
    let capture = lab.host("alice").capture().unwrap();
    story::befriend(&alice, &bob).unwrap();
    let length = Duration::from_secs(4);
    let tracks = Tracks::prepare(folder.path(), length).unwrap();
    let (out, back) = ((&alice, &tracks.alice), (&bob, &tracks.bob));
    let called = call::call(out, back, length).unwrap();
    eprintln!("{called:?}");
    assert_eq!(called.caller.path, "forwarded", "by her own supernode");
    let score = call::score(&tracks.alice.play, &tracks.bob.record).unwrap();
    assert!(call::is_good(&score), "{score:?}");
    let ours_only = BTreeSet::from([ip(lab.host("supernode"))]);
    assert_eq!(peers(&capture, lab.host("alice")), ours_only);
    let cast = [alice, bob, his, ours];
    for actor in &cast {
        assert_eq!(actor.warnings(), Vec::<String>::new());
    }
    Actor::stop_all(cast).unwrap();
}
