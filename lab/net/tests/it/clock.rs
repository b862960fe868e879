//! Machines whose clocks are wrong by hours: people meet, see each other and keep their devices together all the same.

use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::{Duration, Instant};

use starling_control::{Command, Event, view};
use starling_lab_net::story::{self, devices};
use starling_lab_net::{Actor, Seat};

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[("clock_hours_ahead_and_behind", hours_apart)];

const PATIENCE: Duration = Duration::from_secs(20);
/// Seconds.
const AHEAD: &str = "18000";
const BEHIND: &str = "-18000";

/// Stands before the system's library in a program, and moves its wall clock.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    const char *wrong_by = getenv("LAB_CLOCK_WRONG_BY");
    if (!failed && clock == CLOCK_REALTIME && wrong_by) now->tv_sec += atol(wrong_by);
    return failed;
}
"#;

/// Why these tests cannot run here.
pub fn missing() -> Option<String> {
    let found = Program::new("cc").arg("--version").output();
    let there = found.is_ok_and(|output| output.status.success());
    (!there).then(|| "there is no C compiler called cc".to_owned())
}

fn build(folder: &Path) -> PathBuf {
    let (source, shim) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, SHIM).unwrap();
    let mut compiler = Program::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
    compiler.arg(&shim).arg(&source).arg("-ldl");
    assert!(compiler.status().unwrap().success());
    shim
}

fn hours_apart() {
    let folder = story::temporary_folder().unwrap();
    let shim = build(folder.path());
    let preloaded = shim.to_str().unwrap();
    let wrong = |by| [("LD_PRELOAD", preloaded), ("LAB_CLOCK_WRONG_BY", by)];
    let (ahead, behind) = (wrong(AHEAD), wrong(BEHIND));
    let (supernode, network) = story::found_network(folder.path(), Seat::here(), PATIENCE).unwrap();
    let join = |name: &str, clock| {
        let seat = Seat::here().with(clock);
        story::join_network(name, folder.path(), seat, &network, PATIENCE).unwrap()
    };
    let (alice, bob) = (join("Alice", &ahead), join("Bob", &behind));
    story::befriend(&bob, &alice).unwrap();
    story::chat(&alice, &bob, "what time is it?").unwrap();
    assert!(hours_off(&alice) >= 4 && hours_off(&bob) <= -4);
    for (number, (who, other)) in [(&alice, &bob), (&bob, &alice)].into_iter().enumerate() {
        changes(who, other, &format!("mood {number}"));
    }
    // A second device of Alice's is ten hours behind her first: under a day, so they keep together.
    let home = folder.path().join("phone");
    let seat = Seat::here().with(&behind);
    let phone = Actor::start("Alice", &home, seat, false, PATIENCE).unwrap();
    devices::add(&alice, &phone, "phone").unwrap();
    for device in [&alice, &phone] {
        let list: Vec<view::Device> = device.ask(Command::DeviceList {}).unwrap();
        assert_eq!(list.len(), 2, "{list:?}");
    }
    story::wait_presence(&phone, "Bob", true).unwrap();
    // The later choice counts, whichever clock is behind.
    for (device, other, mood) in [(&alice, &phone, "desk"), (&phone, &alice, "phone")] {
        changes(device, &bob, mood);
        agrees(other, mood);
    }
    devices::remove(&alice, &phone, "phone").unwrap();
    for actor in [&alice, &bob, &supernode] {
        assert_eq!(actor.warnings(), Vec::<String>::new());
    }
    Actor::stop_all([alice, bob, phone, supernode]).unwrap();
}

/// How wrong a node's clock is, by when it stored its last message.
fn hours_off(actor: &Actor) -> i64 {
    let contacts: Vec<view::Contact> = actor.ask(Command::ContactList {}).unwrap();
    let stored = contacts[0].last.last_at.expect("a message");
    (stored as i64 - starling_node::clock::wall_ms() as i64) / 3_600_000
}

/// Somebody says something else, and the other sees it.
fn changes(who: &Actor, other: &Actor, mood: &str) {
    let change = view::PresenceChange {
        mood: Some(mood.to_owned()),
        ..view::PresenceChange::default()
    };
    let _: view::OwnPresence = who.ask(Command::PresenceSet(change)).unwrap();
    let seen = |event: &Event| match event {
        Event::Contact(contact) => (contact.mood == mood).then_some(()),
        _ => None,
    };
    other.until("the change", seen).unwrap();
}

/// The other device of the account has heard of it.
fn agrees(device: &Actor, mood: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let own: view::OwnPresence = device.ask(Command::PresenceShow {}).unwrap();
        if own.mood == mood {
            return;
        }
        assert!(Instant::now() < deadline, "{own:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
