//! What happens to a call when the network is away for a while, or the other side's process: the same call goes on, or is over with a
//! sentence that says why.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use starling_control::command::Sound;
use starling_control::view::CallState;
use starling_control::{Command, view};
use starling_lab_net::{Actor, Seat, story};

use super::{HEALED, PATIENCE, Scene, sweep, wait};

/// What a call is silent for before that is noticed, and the way there.
const NOTICED: Duration = Duration::from_secs(5);

/// For a second: too short to be told.
pub fn away_for_1_s() {
    away(Duration::from_secs(1), false);
}

pub fn away_for_5_s() {
    away(Duration::from_secs(5), true);
}

pub fn away_for_20_s() {
    away(Duration::from_secs(20), true);
}

/// Nothing comes to Alice's machine or from it for so long.
fn away(time: Duration, is_told: bool) {
    let scene = Scene::set();
    let people = [&scene.alice, &scene.bob];
    let call = begin(&scene);
    for other in ["bob", "first", "second"] {
        scene.net.cut("alice", other);
    }
    let gone = Instant::now();
    if is_told {
        for person in people {
            assert_eq!(wait(person, CallState::Reconnecting).id, call);
            assert!(gone.elapsed() < NOTICED, "{:?}", gone.elapsed());
        }
    }
    std::thread::sleep(time.saturating_sub(gone.elapsed()));
    for person in people {
        person.drain();
    }
    for other in ["bob", "first", "second"] {
        scene.net.mend("alice", other);
    }
    let back = Instant::now();
    for person in people {
        assert_eq!(wait(person, CallState::Established).id, call);
    }
    eprintln!("away for {time:?}, back after {:?}", back.elapsed());
    assert!(back.elapsed().as_secs_f64() < HEALED);
    hang_up(&scene, &call);
    scene.end();
}

/// Bob's process is killed in a call, and begins again. What it forgot, Alice is told of when he calls.
pub fn killed_in_a_call() {
    let mut scene = Scene::set();
    let call = begin(&scene);
    let bob = nix::unistd::Pid::from_raw(scene.bob.pid().try_into().unwrap());
    nix::sys::signal::kill(bob, Signal::SIGKILL).unwrap();
    assert_eq!(wait(&scene.alice, CallState::Reconnecting).id, call);
    let home = scene.bob.home().to_owned();
    let seat = Seat::on(scene.net.host("bob"));
    scene.bob = Actor::start("Bob", &home, seat, false, PATIENCE).unwrap();
    story::wait_registered(&scene.bob).unwrap();
    let start = Command::CallStart {
        who: "Alice".into(),
        sound: Sound::default(),
    };
    let again: view::Call = scene.bob.ask(start).unwrap();
    let over = wait(&scene.alice, CallState::Ended);
    assert_eq!(
        (over.id, over.words.as_str()),
        (call, "the connection was lost")
    );
    assert_eq!(wait(&scene.alice, CallState::Ringing).id, again.id);
    hang_up_ringing(&scene, &again.id);
    scene.end();
}

/// Alice calls Bob, both hear each other.
fn begin(scene: &Scene) -> String {
    let file = |name: &str| scene.folder.path().join(name).display().to_string();
    let says = scene.folder.path().join("says.wav");
    sweep::sound(60).write_wav(&says).unwrap();
    let sound = |name: &str| Sound {
        play: Some(file("says.wav")),
        record: Some(file(name)),
        ..Sound::default()
    };
    let call: view::Call = scene
        .alice
        .ask(Command::CallStart {
            who: "Bob".into(),
            sound: sound("alice.wav"),
        })
        .unwrap();
    wait(&scene.bob, CallState::Ringing);
    let answer = Command::CallAnswer {
        id: None,
        sound: sound("bob.wav"),
    };
    scene.bob.ask::<view::Call>(answer).unwrap();
    for person in [&scene.alice, &scene.bob] {
        assert_eq!(wait(person, CallState::Established).id, call.id);
    }
    std::thread::sleep(Duration::from_secs(2));
    call.id
}

/// Both have had one call.
fn hang_up(scene: &Scene, call: &str) {
    let end = Command::CallHangup {
        id: Some(call.to_owned()),
    };
    scene.alice.ask::<view::Call>(end).unwrap();
    for person in [&scene.alice, &scene.bob] {
        let over = wait(person, CallState::Ended);
        assert_eq!((over.id.as_str(), over.words.as_str()), (call, "ended"));
        let log: Vec<view::Call> = person.ask(Command::CallList { limit: None }).unwrap();
        let ids: Vec<&str> = log.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids, [call]);
    }
}

fn hang_up_ringing(scene: &Scene, call: &str) {
    let end = Command::CallHangup {
        id: Some(call.to_owned()),
    };
    scene.bob.ask::<view::Call>(end).unwrap();
    assert_eq!(wait(&scene.alice, CallState::Ended).id, call);
}
