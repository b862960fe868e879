//! Calls of people behind routers: the way to the direct path, a router that forgets, and another address.

use std::time::{Duration, Instant};

use starling_control::{Command, view};
use starling_lab_net::matrix::access::masquerading;
use starling_lab_net::{Namespace, Net};

use super::{Scene, assert_healed};

/// What the net's hosts call their only interface, and those behind them theirs.
const OUTER: &str = "tun0";
const INNER: &str = "eth0";
/// A move from one path to another loses no more sound than this.
const LOST: f64 = 0.06;
/// 350 ms without a sign, the way of the last packet, and a busy machine.
const SILENCE_NOTICED: f64 = 0.8;
/// What a forwarded call costs is looked at for so long.
const MEASURED: Duration = Duration::from_secs(2);
/// In kbit/s, taken and sent; a voice of 64 kbit/s with all that stands around it would be half of that.
const DEAREST: f64 = 800.0;
/// So long there is no direct path.
const RELAYED: Duration = Duration::from_millis(1500);
/// For a call to become direct.
const DIRECT_WITHIN: Duration = Duration::from_secs(5);
/// For a router that is away to have forgotten everything.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

/// A machine behind each host that has rules of a router.
pub fn plug_in(net: &Net, rules: [Option<String>; 2]) -> [Option<Namespace>; 2] {
    let [alice, bob] = rules;
    [("alice", 1, alice), ("bob", 2, bob)].map(|(name, number, rules)| {
        let router = net.host(name).namespace();
        router.nft(&rules?).unwrap();
        Some(router.behind([10, 0, number], INNER).unwrap())
    })
}

/// One mapping for all destinations, and answers alone come in.
fn home() -> Option<String> {
    Some(masquerading(OUTER, "masquerade", "accept"))
}

/// Two behind home routers: sound goes by the relay until both have opened their routers for each other.
pub fn relayed_to_direct() {
    let scene = Scene::behind([home(), home()]);
    scene.net.cut("alice", "bob");
    let lacks = scene.call_from_the_start(|scene| {
        std::thread::sleep(RELAYED);
        assert_eq!(path(scene), "relay");
        scene.net.mend("alice", "bob");
        let begin = Instant::now();
        while path(scene) != "direct" {
            assert!(begin.elapsed() < DIRECT_WITHIN, "it is relayed still");
            std::thread::sleep(POLL);
        }
        eprintln!("direct after {:?}", begin.elapsed());
    });
    for lack in lacks {
        assert!(lack.lost < LOST, "{lack:?}");
    }
    scene.end();
}

/// How the caller's sound goes.
fn path(scene: &Scene) -> String {
    let status: view::Status = scene.alice.ask(Command::Status {}).unwrap();
    let mut paths = status.paths.into_iter();
    let path = paths.find(|path| path.purpose == "call");
    path.map(|path| path.kind).unwrap_or_default()
}

/// The direct path: Bob lets everybody in.
pub fn dropped_direct_mapping() {
    let scene = Scene::behind([forgetful(), None]);
    drop_mappings(&scene, "direct");
    scene.end();
}

/// A new mapping for each destination and a filter leave the relay alone, and the link to it is one of TCP.
pub fn dropped_relay_mapping() {
    let scene = Scene::behind([forgetful(), home()]);
    drop_mappings(&scene, "relay");
    scene.end();
}

/// Whatever is mapped anew is at another port than before.
fn forgetful() -> Option<String> {
    let random = "masquerade random,fully-random";
    Some(masquerading(OUTER, random, "accept"))
}

/// Alice's router loses its line for a moment in a call, and with it what it knew.
fn drop_mappings(scene: &Scene, by: &str) {
    let lacks = scene.call(|scene| {
        assert_eq!(path(scene), by);
        let router = scene.net.host("alice").namespace();
        assert!(mappings(router) > 0);
        router.ip_commands("link set tun0 down\n").unwrap();
        let begin = Instant::now();
        while mappings(router) > 0 {
            assert!(begin.elapsed() < FORGOTTEN_WITHIN, "it remembers");
            std::thread::sleep(POLL);
        }
        let up = "link set tun0 up\nroute add default dev tun0\n";
        router.ip_commands(up).unwrap();
        eprintln!("the router was away for {:?}", begin.elapsed());
    });
    assert_healed(lacks);
}

/// A call that a forwarder carries loses UDP at Alice's router: what was sent until it is noticed is lost, and the relay has the rest.
pub fn forwarder_cut_off() {
    let scene = Scene::behind([forgetful(), home()]);
    let lacks = scene.call(|scene| {
        let router = scene.net.host("alice").namespace();
        let begin = Instant::now();
        while !is_forwarded(scene) {
            assert!(begin.elapsed() < DIRECT_WITHIN, "it is not forwarded");
            std::thread::sleep(POLL);
        }
        let before = carried(scene);
        std::thread::sleep(MEASURED);
        let rate = (carried(scene) - before) as f64 * 8.0 / 1e3 / MEASURED.as_secs_f64();
        eprintln!(
            "the supernodes take and send {rate:.0} kbit/s for this call, both directions together"
        );
        assert!(rate < DEAREST, "{rate} kbit/s");
        router
            .nft("insert rule ip lab through meta l4proto udp drop\n")
            .unwrap();
    });
    for lack in lacks {
        let is_short = lack.interrupted < SILENCE_NOTICED && lack.lost < SILENCE_NOTICED;
        assert!(is_short, "{lack:?}");
    }
    scene.end();
}

/// Bytes that both supernodes took and sent for others as relays.
fn carried(scene: &Scene) -> u64 {
    let statuses = scene
        .supernodes
        .iter()
        .map(|one| one.ask::<view::Status>(Command::Status {}));
    let traffic = statuses.flat_map(|status| status.unwrap().traffic);
    let relayed = traffic.filter(|row| row.purpose == "for others: relay");
    relayed.map(|row| row.sent + row.received).sum()
}

fn is_forwarded(scene: &Scene) -> bool {
    let all = [&scene.alice, &scene.bob].into_iter();
    all.map(|person| person.ask::<view::Status>(Command::Status {}).unwrap())
        .all(|status| status.paths.iter().any(|path| path.kind == "forwarded"))
}

/// What a router remembers.
fn mappings(router: &Namespace) -> u32 {
    let read = || std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
    let count = router.run(read).unwrap().unwrap();
    count.trim().parse().unwrap()
}

/// Alice's machine gets another address in her network, and has the old one no more.
pub fn new_address() {
    let scene = Scene::behind([home(), None]);
    let lacks = scene.call(|scene| {
        let machine = scene.inner[0].as_ref().unwrap();
        let changes = format!(
            "address del 10.0.1.2/24 dev {INNER}\naddress add 10.0.1.3/24 dev {INNER}\n\
             route replace default via 10.0.1.1\n"
        );
        machine.ip_commands(&changes).unwrap();
    });
    assert_healed(lacks);
    scene.end();
}
