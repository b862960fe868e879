//! Calls that find no direct way, between whole nodes on loopback: a forwarder carries them, and the relay where there is none.

use std::path::Path;
use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, Event, view};
use starling_wire::link::Link;
use starling_wire::supernode::{Answer, Refusal, Request};

use crate::calls::until_call;
use crate::cast::{Actor, Town, befriend, folder};
use crate::overlay::{Land, Person};

/// 1.5 s are waited for a direct way; the rest is a few round trips. Five times that, where other tests run beside.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn fwd_01_rooms_are_for_those_who_are_registered() {
    let land = Land::of(1).await;
    let at = land.towns[0].at();
    let mallory = Person::new("Mallory").await;
    let refused = mallory.ask(at, Request::OpenRoom).await;
    assert_eq!(refused, Err(Refusal::NotRegistered.to_string()));
    let alice = Person::new("Alice").await;
    alice.settle(at, 1).await.expect("she registers");
    for _ in 0..4 {
        let opened = alice.ask(at, Request::OpenRoom).await;
        assert!(
            matches!(opened, Ok(Answer::Room { port: 1.., .. })),
            "{opened:?}"
        );
    }
    let refused = alice.ask(at, Request::OpenRoom).await;
    assert_eq!(refused, Err(Refusal::Full.to_string()));
    land.end().await;
}

/// Alice and Bob, at home in one town, who never reach each other directly.
async fn apart(town: &Town, folder: &Path) -> (Actor, Actor) {
    let mut alice = town.settle(&folder.join("alice"), "Alice").await;
    let mut bob = town.settle(&folder.join("bob"), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let hide = Command::ContactRelayEverybody { always: true };
    alice.ask::<serde_json::Value>(hide).await;
    (alice, bob)
}

async fn talk(alice: &mut Actor, bob: &mut Actor) {
    let echo = || Sound {
        echo: true,
        ..Sound::default()
    };
    let start = Command::CallStart {
        who: "Bob".to_owned(),
        sound: echo(),
    };
    alice.ask::<view::Call>(start).await;
    until_call(bob, "the ring", view::CallState::Ringing).await;
    let answer = Command::CallAnswer {
        id: None,
        sound: echo(),
    };
    bob.ask::<view::Call>(answer).await;
    until_call(alice, "the call", view::CallState::Established).await;
}

async fn until_path(actor: &mut Actor, path: &str) {
    let what = format!("a call that is {path}");
    let on = |event: &Event| match event {
        Event::Call(call) => call
            .quality
            .as_ref()
            .is_some_and(|q| q.path == path)
            .then_some(()),
        _ => None,
    };
    actor.until(&what, on).await;
}

fn relay(on: bool) -> Command {
    Command::RolesSet(view::RolesChange {
        role: Some("relay".to_owned()),
        on: Some(on),
        cap_kbit_s: None,
        total_kbit_s: None,
        monthly_gb: None,
        clients: None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_09_a_call_that_is_not_direct_moves_to_a_forwarder() {
    let home = folder();
    let town = Town::found().await;
    let (mut alice, mut bob) = apart(&town, home.path()).await;
    talk(&mut alice, &mut bob).await;
    let answered = Instant::now();
    tokio::join!(
        until_path(&mut alice, "forwarded"),
        until_path(&mut bob, "forwarded")
    );
    let took = answered.elapsed();
    println!("forwarded after {took:?}");
    assert!(took < SOON, "only after {took:?}");
    let status: view::Status = alice.ask(Command::Status {}).await;
    let kinds: Vec<&str> = status.paths.iter().map(|path| path.kind.as_str()).collect();
    assert!(
        kinds.contains(&"relay") && kinds.contains(&"forwarded"),
        "{kinds:?}"
    );
    let roles: view::Roles = town.ask(Command::RolesShow {}).await;
    let shown = roles.roles.iter().find(|role| role.name == "relay");
    let words = &shown.expect("a role").words;
    assert!(words.contains("1 call forwarded over UDP"), "{words}");
    let over: view::Call = alice.ask(Command::CallHangup { id: None }).await;
    let quality = over.quality.expect("a quality");
    assert_eq!(quality.path, "forwarded");
    until_call(&mut bob, "the end", view::CallState::Ended).await;
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_06_where_nothing_is_carried_for_others_no_room_is_opened() {
    let town = Town::found().await;
    let link: Link = town.link.parse().expect("a link");
    let at = &link.supernodes[0];
    let alice = Person::new("Alice").await;
    alice.settle(at, 1).await.expect("she registers");
    let opened = alice.ask(at, Request::OpenRoom).await;
    assert!(matches!(opened, Ok(Answer::Room { .. })), "{opened:?}");
    town.ask::<view::Roles>(relay(false)).await;
    let refused = alice.ask(at, Request::OpenRoom).await;
    assert_eq!(refused, Err(Refusal::NoForwarder.to_string()));
    town.end().await;
}
