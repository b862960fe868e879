//! The real node behind real NATs: a public supernode, Alice and Bob at home as `starling` processes.
//! Which way a file went is read from the supernode's interface, not from what the nodes say.

use std::time::{Duration, Instant};

use starling_lab_net::story::call::{self, Tracks};
use starling_lab_net::story::{self, Cast};
use starling_lab_net::{Access, NatLab, Seat};

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    ("nat_home_x_home", home_x_home),
    ("nat_udp_blocked_x_home", udp_blocked_x_home),
];

const PATIENCE: Duration = Duration::from_secs(15);
/// Start to contact online must take 1.5 s with or without UDP (DESIGN 5); tests allow five times that.
const ONLINE_BUDGET: Duration = Duration::from_millis(5 * 1500);
const CALL: Duration = Duration::from_secs(5);
const FILE_BYTES: usize = 8_000_000;

/// The lab, and in it the cast, who became contacts and chatted.
pub struct Scene {
    pub lab: NatLab,
    pub cast: Cast,
    folder: tempfile::TempDir,
}

fn set(alice: Access, bob: Access) -> Scene {
    set_with(NatLab::build(alice, bob).unwrap(), &[], &[])
}

/// In a lab that stands, with these arguments for the supernode and variables for Alice.
pub fn set_with(lab: NatLab, supernode: &[&str], alice: &[(&str, &str)]) -> Scene {
    let folder = story::temporary_folder().unwrap();
    let [public, a, b] = ["supernode", "alice", "bob"].map(|name| Seat::on(lab.host(name)));
    let (supernode, a) = (public.given(supernode), a.with(alice));
    let mut cast = Cast::assemble(folder.path(), supernode, a, b, PATIENCE).unwrap();
    story::befriend(&cast.bob, &cast.alice).unwrap();
    let home = cast.alice.home().to_owned();
    cast.alice.stop().unwrap();
    story::wait_presence(&cast.bob, "Alice", false).unwrap();
    let online;
    (cast.alice, online) = story::start_to_online("Alice", &home, a, "Bob", PATIENCE).unwrap();
    eprintln!("start to contact online: {online:?}");
    assert!(online < ONLINE_BUDGET, "{online:?}");
    story::wait_presence(&cast.bob, "Alice", true).unwrap();
    story::chat(&cast.alice, &cast.bob, "Are you at home?").unwrap();
    story::chat(&cast.bob, &cast.alice, "Behind a router, like you.").unwrap();
    Scene { lab, cast, folder }
}

impl Scene {
    /// Alice sends Bob a file; returns which share of it the supernode carried.
    pub fn relayed_share(&self, name: &str) -> f64 {
        let path = self.folder.path().join(name);
        story::write_noise(&path, FILE_BYTES, 1).unwrap();
        let received = || self.lab.host("supernode").counters().unwrap().rx_bytes;
        let before = received();
        let sent = story::send_file(&self.cast.alice, &self.cast.bob, &path).unwrap();
        let share = (received() - before) as f64 / FILE_BYTES as f64;
        eprintln!(
            "{name}: {:.1} MB/s, {:.0} % through the supernode",
            sent.rate() / 1e6,
            share * 100.0
        );
        share
    }

    /// Alice calls Bob; both hear the other, and the path is the one named.
    pub fn call(&self, path: &str) {
        let tracks = Tracks::prepare(self.folder.path(), CALL).unwrap();
        let (alice, bob) = (&self.cast.alice, &self.cast.bob);
        let called = call::call((alice, &tracks.alice), (bob, &tracks.bob), CALL).unwrap();
        eprintln!("{called:?}");
        for (said, heard) in [(&tracks.alice, &tracks.bob), (&tracks.bob, &tracks.alice)] {
            let score = call::score(&said.play, &heard.record).unwrap();
            eprintln!("{score:?}");
            assert!(call::is_good(&score), "{score:?}");
        }
        assert_eq!([&called.caller.path, &called.callee.path], [path, path]);
    }

    pub fn end(self) {
        let warnings: Vec<String> = [&self.cast.supernode, &self.cast.alice, &self.cast.bob]
            .iter()
            .flat_map(|actor| actor.warnings())
            .collect();
        assert!(warnings.is_empty(), "{warnings:#?}");
        self.cast.dismiss().unwrap();
    }
}

fn home_x_home() {
    let scene = set(Access::Home, Access::Home);
    scene.call("direct");
    // The first bytes may go through the relay until the routers are punched.
    let deadline = Instant::now() + PATIENCE;
    let mut share = scene.relayed_share("first.bin");
    while share > 0.05 && Instant::now() < deadline {
        share = scene.relayed_share("again.bin");
    }
    assert!(share <= 0.05, "{share} of the last file was relayed");
    scene.end();
}

fn udp_blocked_x_home() {
    let scene = set(Access::UdpBlocked, Access::Home);
    scene.call("relay");
    let share = scene.relayed_share("relayed.bin");
    assert!(
        share >= 1.0,
        "only {share} of the file was relayed, yet UDP is blocked"
    );
    scene.end();
}
