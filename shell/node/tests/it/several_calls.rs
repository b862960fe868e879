//! Alice has calls with Bob and with Carol at once, between whole nodes on loopback.

use std::path::Path;
use std::time::Duration;

use starling_control::command::Sound;
use starling_control::view::CallState;
use starling_control::{Command, Event, view};

use crate::cast::{Actor, PATIENCE, acquaint, befriend};

/// Alice knows Bob and Carol, who know each other.
pub struct Trio {
    pub alice: Actor,
    pub bob: Actor,
    pub carol: Actor,
    _folder: tempfile::TempDir,
}

impl Trio {
    pub async fn meet() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = |name: &str| Path::join(folder.path(), name);
        let mut alice = Actor::create(&home("alice"), "Alice").await;
        let mut bob = Actor::create(&home("bob"), "Bob").await;
        let mut carol = Actor::create(&home("carol"), "Carol").await;
        acquaint((&mut alice, "Alice"), (&mut bob, "Bob")).await;
        acquaint((&mut alice, "Alice"), (&mut carol, "Carol")).await;
        acquaint((&mut bob, "Bob"), (&mut carol, "Carol")).await;
        Self {
            alice,
            bob,
            carol,
            _folder: folder,
        }
    }

    pub async fn part(self) {
        for actor in [self.alice, self.bob, self.carol] {
            actor.node.stop().await;
        }
    }
}

pub fn echo() -> Sound {
    Sound {
        echo: true,
        ..Sound::default()
    }
}

pub fn start(who: &str) -> Command {
    Command::CallStart {
        who: who.to_owned(),
        sound: echo(),
    }
}

/// Waits until somebody's call with `who` stands so.
pub async fn until(actor: &mut Actor, who: &str, state: CallState) -> view::Call {
    let what = format!("{state:?} with {who}");
    let fits = |event: &Event| match event {
        Event::Call(call) if call.who == who && call.state == state => Some(call.clone()),
        _ => None,
    };
    actor.until(&what, fits).await
}

/// Somebody calls, the other answers, sound flows.
pub async fn talk((caller, name): (&mut Actor, &str), (callee, who): (&mut Actor, &str)) {
    let call: view::Call = caller.ask(start(who)).await;
    until(callee, name, CallState::Ringing).await;
    let answer = Command::CallAnswer {
        id: Some(call.id),
        sound: echo(),
    };
    let _: view::Call = callee.ask(answer).await;
    until(caller, who, CallState::Established).await;
    until(callee, name, CallState::Established).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_25_one_of_two_calls_is_active_and_they_can_be_swapped() {
    let mut trio = Trio::meet().await;
    talk((&mut trio.alice, "Alice"), (&mut trio.bob, "Bob")).await;
    let _: view::Call = trio.carol.ask(start("Alice")).await;
    let rings = until(&mut trio.alice, "Carol", CallState::Ringing).await;
    assert!(rings.waiting);
    let answer = Command::CallAnswer {
        id: None,
        sound: echo(),
    };
    let _: view::Call = trio.alice.ask(answer).await;
    assert!(
        until(&mut trio.bob, "Alice", CallState::Held)
            .await
            .held_by_peer
    );
    until(&mut trio.carol, "Alice", CallState::Established).await;
    let swap = || Command::CallHold {
        id: None,
        on: false,
    };
    let back: view::Call = trio.alice.ask(swap()).await;
    assert_eq!((back.who.as_str(), back.held), ("Bob", false));
    until(&mut trio.bob, "Alice", CallState::Established).await;
    assert!(
        until(&mut trio.carol, "Alice", CallState::Held)
            .await
            .held_by_peer
    );
    // Without a word which, the active one is meant.
    let over: view::Call = trio.alice.ask(Command::CallHangup { id: None }).await;
    assert_eq!((over.who.as_str(), over.state), ("Bob", CallState::Ended));
    let back: view::Call = trio.alice.ask(swap()).await;
    assert_eq!(back.who, "Carol");
    until(&mut trio.carol, "Alice", CallState::Established).await;
    trio.part().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_13_without_call_waiting_a_second_caller_hears_busy() {
    let mut trio = Trio::meet().await;
    let choice = view::CallChoice {
        waiting: Some(false),
        ..view::CallChoice::default()
    };
    let chosen: view::CallSettings = trio.alice.ask(Command::CallSet(choice)).await;
    assert!(!chosen.waiting);
    talk((&mut trio.alice, "Alice"), (&mut trio.bob, "Bob")).await;
    let _: view::Call = trio.carol.ask(start("Alice")).await;
    let over = until(&mut trio.carol, "Alice", CallState::Ended).await;
    assert_eq!(over.words, "busy");
    let missed = until(&mut trio.alice, "Carol", CallState::Ended).await;
    assert!(missed.record.missed && !missed.record.seen);
    let over: view::Call = trio.alice.ask(Command::CallHangup { id: None }).await;
    assert!(!over.record.missed);
    trio.part().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_29_a_forwarded_call_goes_to_a_contact_of_both() {
    let mut trio = Trio::meet().await;
    let choice = view::CallChoice {
        forward_always: Some("Carol".into()),
        ..view::CallChoice::default()
    };
    let chosen: view::CallSettings = trio.bob.ask(Command::CallSet(choice)).await;
    assert_eq!(chosen.forward_always.expect("Carol").who, "Carol");
    let first: view::Call = trio.alice.ask(start("Bob")).await;
    let over = until(&mut trio.alice, "Bob", CallState::Ended).await;
    assert_eq!(
        (over.id, over.words.as_str()),
        (first.id, "forwarded to Carol")
    );
    let at_bob = until(&mut trio.bob, "Alice", CallState::Ended).await;
    assert_eq!(at_bob.words, "forwarded to Carol");
    assert!(!at_bob.record.missed);
    let rings = until(&mut trio.carol, "Alice", CallState::Ringing).await;
    assert_eq!(Some(&rings.id), over.record.next.as_ref());
    let answer = Command::CallAnswer {
        id: None,
        sound: echo(),
    };
    let _: view::Call = trio.carol.ask(answer).await;
    until(&mut trio.alice, "Carol", CallState::Established).await;
    // Back to the caller it does not go: it rings.
    let choice = view::CallChoice {
        forward_always: Some("Alice".into()),
        ..view::CallChoice::default()
    };
    let _: view::CallSettings = trio.bob.ask(Command::CallSet(choice)).await;
    let _: view::Call = trio.alice.ask(start("Bob")).await;
    until(&mut trio.bob, "Alice", CallState::Ringing).await;
    trio.part().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_28_who_does_not_know_the_target_is_not_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut alice = Actor::create(&folder.path().join("alice"), "Alice").await;
    let mut bob = Actor::create(&folder.path().join("bob"), "Bob").await;
    let mut carol = Actor::create(&folder.path().join("carol"), "Carol").await;
    acquaint((&mut alice, "Alice"), (&mut bob, "Bob")).await;
    acquaint((&mut bob, "Bob"), (&mut carol, "Carol")).await;
    let choice = view::CallChoice {
        forward_no_answer: Some("Carol".into()),
        forward_after: Some(5),
        ..view::CallChoice::default()
    };
    let _: view::CallSettings = bob.ask(Command::CallSet(choice)).await;
    let _: view::Call = alice.ask(start("Bob")).await;
    until(&mut bob, "Alice", CallState::Ringing).await;
    let over = until(&mut alice, "Bob", CallState::Ended).await;
    assert_eq!(
        over.words,
        "forwarded to somebody who is not among your contacts"
    );
    assert_eq!(over.record.next, None);
    for actor in [alice, bob, carol] {
        actor.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_30_bob_is_put_through_to_carol() {
    let mut trio = Trio::meet().await;
    talk((&mut trio.alice, "Alice"), (&mut trio.bob, "Bob")).await;
    let transfer = || Command::CallTransfer {
        id: None,
        who: "Carol".into(),
    };
    let _: view::Call = trio.alice.ask(transfer()).await;
    until(&mut trio.carol, "Bob", CallState::Ringing).await;
    let held = until(&mut trio.alice, "Bob", CallState::Held).await;
    assert_eq!(held.words, "putting Bob through to Carol");
    // Carol does not want to: the two are together again.
    let _: view::Call = trio.carol.ask(Command::CallHangup { id: None }).await;
    let told = |event: &Event| match event {
        Event::Call(call) => call.warnings.first().cloned(),
        _ => None,
    };
    let told = trio.alice.until("the failure", told).await;
    assert_eq!(told, "not put through to Carol: declined");
    until(&mut trio.alice, "Bob", CallState::Established).await;
    // And once more.
    let _: view::Call = trio.alice.ask(transfer()).await;
    until(&mut trio.carol, "Bob", CallState::Ringing).await;
    let answer = Command::CallAnswer {
        id: None,
        sound: echo(),
    };
    let _: view::Call = trio.carol.ask(answer).await;
    let over = until(&mut trio.alice, "Bob", CallState::Ended).await;
    assert_eq!(over.words, "put through to Carol");
    let at_bob = until(&mut trio.bob, "Alice", CallState::Ended).await;
    let goes_on = until(&mut trio.bob, "Carol", CallState::Established).await;
    assert_eq!(at_bob.record.next, Some(goes_on.id));
    trio.part().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_31_who_does_not_let_others_put_him_through_stays() {
    let mut trio = Trio::meet().await;
    let choice = view::CallChoice {
        transfers: Some(false),
        ..view::CallChoice::default()
    };
    let _: view::CallSettings = trio.bob.ask(Command::CallSet(choice)).await;
    talk((&mut trio.alice, "Alice"), (&mut trio.bob, "Bob")).await;
    let transfer = Command::CallTransfer {
        id: None,
        who: "Carol".into(),
    };
    let _: view::Call = trio.alice.ask(transfer).await;
    let told = |event: &Event| match event {
        Event::Call(call) => call.warnings.first().cloned(),
        _ => None,
    };
    let told = trio.alice.until("the refusal", told).await;
    assert_eq!(told, "not put through to Carol: declined");
    trio.part().await;
}

/// The call as the log has it; it is written beside the call.
async fn logged(actor: &Actor, id: &str) -> view::Call {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let id = id.to_owned();
        let shown = actor.try_ask::<view::Call>(Command::CallShow { id }).await;
        if let Ok(call) = shown
            && call.ended_at.is_some()
        {
            return call;
        }
        assert!(tokio::time::Instant::now() < deadline, "it is not logged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_27_the_log_keeps_what_a_call_was_like_and_which_were_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut alice = Actor::create(&folder.path().join("alice"), "Alice").await;
    let mut bob = Actor::create(&folder.path().join("bob"), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    talk((&mut alice, "Alice"), (&mut bob, "Bob")).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let over: view::Call = alice.ask(Command::CallHangup { id: None }).await;
    let shown = logged(&bob, &over.id[..10]).await;
    let quality = shown.quality.expect("its technical information");
    assert!(quality.mos > 1.0 && quality.rtt_ms.is_some(), "{quality:?}");
    let course = shown.record.course.expect("its course");
    assert!((1..=4).contains(&course.seconds), "{course:?}");
    assert!(course.mos.worst <= course.mos.average, "{course:?}");
    assert!(shown.record.answered_on.is_some() && shown.record.rang_at.is_some());
    // A call that nobody answers.
    let missed: view::Call = alice.ask(start("Bob")).await;
    until(&mut bob, "Alice", CallState::Ringing).await;
    let _: view::Call = alice.ask(Command::CallHangup { id: None }).await;
    logged(&bob, &missed.id).await;
    let status: view::Status = bob.ask(Command::Status {}).await;
    assert_eq!(status.missed_calls, 1);
    let listed: Vec<view::Call> = bob.ask(Command::CallMissed { limit: None }).await;
    assert_eq!((listed.len(), &listed[0].id), (1, &missed.id));
    bob.ask::<()>(Command::CallSeen {}).await;
    let status: view::Status = bob.ask(Command::Status {}).await;
    assert_eq!(status.missed_calls, 0);
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
}
