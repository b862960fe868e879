//! Three people behind routers, two of them with two devices: Alice with a laptop at home and a phone behind a symmetric NAT, Bob
//! with a desk and a phone where UDP is blocked, Carol at home.

use std::time::{Duration, Instant};

use starling_control::{Command, view};
use starling_lab_net::matrix::{Kind, Stage};
use starling_lab_net::story::call::{self, Tracks};
use starling_lab_net::story::{self, devices};
use starling_lab_net::{Actor, Line, Seat};

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[("nat_three_people_with_five_devices", five_devices)];

const PATIENCE: Duration = Duration::from_secs(15);
const CALL: Duration = Duration::from_secs(2);
/// A device that was removed is out within this.
const REMOVED: Duration = Duration::from_secs(60);

struct Scene {
    supernode: Actor,
    alice: [Actor; 2],
    bob: [Actor; 2],
    carol: Actor,
    folder: tempfile::TempDir,
    // Last: what stands on it goes first.
    _stage: Stage,
}

impl Scene {
    fn set() -> Self {
        let callers = [Kind::Home, Kind::Symmetric];
        let callees = [Kind::FullCone, Kind::UdpBlocked, Kind::Home];
        let stage = Stage::build(&callers, &callees, Line::reference()).unwrap();
        let folder = story::temporary_folder().unwrap();
        let public = Seat::on(stage.public());
        let (supernode, network) = story::found_network(folder.path(), public, PATIENCE).unwrap();
        let person = |name: &str, part: usize, number: usize| {
            let seat = Seat::on(stage.host(part, number));
            story::join_network(name, folder.path(), seat, &network, PATIENCE).unwrap()
        };
        let phone = |of: &str, part: usize| {
            let home = folder.path().join(format!("phone of {of}"));
            let seat = Seat::on(stage.host(part, 1));
            Actor::start(of, &home, seat, false, PATIENCE).unwrap()
        };
        let alice = [person("Alice", 0, 0), phone("Alice", 0)];
        let bob = [person("Bob", 1, 0), phone("Bob", 1)];
        let carol = person("Carol", 1, 2);
        Self {
            supernode,
            alice,
            bob,
            carol,
            folder,
            _stage: stage,
        }
    }

    fn everybody(&self) -> impl Iterator<Item = &Actor> {
        let devices = self.alice.iter().chain(&self.bob);
        devices.chain([&self.carol, &self.supernode])
    }

    fn end(self) {
        let warnings: Vec<String> = self.everybody().flat_map(Actor::warnings).collect();
        assert!(warnings.is_empty(), "{warnings:#?}");
        let devices = self.alice.into_iter().chain(self.bob);
        Actor::stop_all(devices.chain([self.carol, self.supernode])).unwrap();
    }
}

fn five_devices() {
    let scene = Scene::set();
    let ([laptop, phone], [desk, bobs]) = (&scene.alice, &scene.bob);
    let joined = devices::add(laptop, phone, "phone").unwrap();
    story::befriend(desk, laptop).unwrap();
    story::befriend(&scene.carol, laptop).unwrap();
    let second = devices::add(desk, bobs, "phone").unwrap();
    eprintln!("joined, the persons' time not counted: {joined:?}, {second:?}");
    // What one device was told, the others know; also a contact that was there before the device.
    for (device, who) in [(phone, "Bob"), (phone, "Carol"), (bobs, "Alice")] {
        story::wait_presence(device, who, true).unwrap();
    }
    answers_elsewhere(&scene);
    let removed = devices::remove(laptop, phone, "phone").unwrap();
    eprintln!("a removed device knew after {removed:?}");
    assert!(removed < REMOVED);
    // For everybody else Alice is there, and rings at her laptop alone.
    let tracks = Tracks::prepare(scene.folder.path(), CALL).unwrap();
    laptop.drain();
    call::call((&scene.carol, &tracks.bob), (laptop, &tracks.alice), CALL).unwrap();
    let heard: Vec<view::Call> = phone.ask(Command::CallList { limit: None }).unwrap();
    assert!(heard.iter().all(|call| call.who != "Carol"), "{heard:#?}");
    scene.end();
}

/// Bob's phone calls, Alice's phone answers, her laptop says so.
fn answers_elsewhere(scene: &Scene) {
    let ([laptop, phone], [_, bobs]) = (&scene.alice, &scene.bob);
    let tracks = Tracks::prepare(scene.folder.path(), CALL).unwrap();
    let called = call::call((bobs, &tracks.bob), (phone, &tracks.alice), CALL).unwrap();
    eprintln!("{called:?}");
    let score = call::score(&tracks.bob.play, &tracks.alice.record).unwrap();
    assert!(call::is_good(&score), "{score:?}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let calls: Vec<view::Call> = laptop.ask(Command::CallList { limit: None }).unwrap();
        if calls.iter().any(|call| call.words == "answered on phone") {
            return;
        }
        assert!(Instant::now() < deadline, "{calls:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
