//! Contacts on real nodes: how they are kept, what each may do, and what the other side hears of it.

use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, ErrorKind, Event, view};
use starling_store::{Store, StoreError, Tx, contacts, letters, profile};
use starling_wire::envelope;
use tempfile::TempDir;

use crate::cast::{Actor, PATIENCE, Town, befriend, folder};

/// Alice and Bob, contacts, both at a third node's supernode.
async fn friends() -> (Town, [TempDir; 2], Actor, Actor) {
    let town = Town::found().await;
    let homes = [folder(), folder()];
    let mut alice = town.settle(homes[0].path(), "Alice").await;
    let mut bob = town.settle(homes[1].path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    (town, homes, alice, bob)
}

async fn end(town: Town, people: impl IntoIterator<Item = Actor>) {
    for actor in people {
        actor.node.stop().await;
    }
    town.end().await;
}

fn permit(who: &str, what: &str, allowed: bool) -> Command {
    let (who, what) = (who.to_owned(), what.to_owned());
    Command::ContactPermit { who, what, allowed }
}

fn say(text: &str) -> Command {
    let (who, text) = ("Bob".to_owned(), text.to_owned());
    Command::ChatSend { who, text }
}

async fn kind(actor: &Actor, command: Command) -> ErrorKind {
    let refused = actor.try_ask::<serde_json::Value>(command).await;
    refused.expect_err("it is refused").data.kind
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_01_contacts_are_kept_over_a_restart_and_bounds_hold() {
    let (town, homes, alice, bob) = friends().await;
    let who = || "Bob".to_owned();
    let list = |list: &str| Command::ContactListAdd {
        who: who(),
        list: list.to_owned(),
    };
    for name in ["Work", " Friends ", "Work"] {
        alice.ask::<view::Contact>(list(name)).await;
    }
    let note = "Prefers the evening".to_owned();
    let noted = Command::ContactNote { who: who(), note };
    alice.ask::<view::Contact>(noted).await;
    let favourite = Command::ContactFavourite {
        who: who(),
        on: true,
    };
    alice.ask::<view::Contact>(favourite).await;
    alice
        .ask::<view::Contact>(permit("Bob", "files", false))
        .await;
    alice.node.stop().await;
    let alice = Actor::start(homes[0].path()).await;
    let everybody: Vec<view::Contact> = alice.ask(Command::ContactList {}).await;
    let kept = &everybody[0];
    assert!(kept.favourite);
    assert_eq!(kept.note.as_deref(), Some("Prefers the evening"));
    assert_eq!(
        (&kept.lists[..], &kept.denied[..]),
        (
            &["Friends".to_owned(), "Work".to_owned()][..],
            &["files".to_owned()][..]
        )
    );
    let groups: Vec<view::ContactGroup> = alice.ask(Command::ContactLists {}).await;
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0].members, std::slice::from_ref(&kept.id));
    refuses_what_breaks_its_bounds(&alice).await;
    for number in 0..30 {
        alice.ask::<view::Contact>(list(&number.to_string())).await;
    }
    assert_eq!(kind(&alice, list("one more")).await, ErrorKind::State);
    end(town, [alice, bob]).await;
}

async fn refuses_what_breaks_its_bounds(alice: &Actor) {
    let who = || "Bob".to_owned();
    let list = |list: &str| Command::ContactListAdd {
        who: who(),
        list: list.to_owned(),
    };
    for (wrong, expected) in [
        (list(" "), ErrorKind::Usage),
        (list(&"x".repeat(65)), ErrorKind::Usage),
        (list("a\nb"), ErrorKind::Usage),
        (
            Command::ContactNote {
                who: who(),
                note: "x".repeat(4097),
            },
            ErrorKind::Usage,
        ),
        (
            Command::ContactListRemove {
                who: who(),
                list: "Nobody".into(),
            },
            ErrorKind::NotFound,
        ),
        (permit("Bob", "sing", true), ErrorKind::Usage),
    ] {
        assert_eq!(kind(alice, wrong).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_04_whoever_may_not_call_hears_it_ring_and_then_no() {
    let (town, _homes, mut alice, mut bob) = friends().await;
    bob.ask::<view::Contact>(permit("Alice", "call", false))
        .await;
    let call = Command::CallStart {
        who: "Bob".into(),
        sound: Sound {
            echo: true,
            ..Sound::default()
        },
    };
    let began = Instant::now();
    alice.ask::<view::Call>(call).await;
    let state = |wanted| {
        move |event: &Event| match event {
            Event::Call(call) if call.state == wanted => Some(call.clone()),
            _ => None,
        }
    };
    alice
        .until("the ring", state(view::CallState::Ringing))
        .await;
    let over = alice
        .until("the answer", state(view::CallState::Ended))
        .await;
    assert_eq!(over.words, "declined");
    assert!(
        began.elapsed() >= Duration::from_secs(3),
        "nobody is so fast"
    );
    let disturbed = |event: &Event| matches!(event, Event::Call(_));
    while let Ok(event) = bob.events.try_recv() {
        assert!(!disturbed(&event), "Bob hears nothing of it");
    }
    let log: Vec<view::Call> = bob.ask(Command::CallList { limit: None }).await;
    assert!(log.is_empty());
    end(town, [alice, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_05_what_may_not_come_waits_where_it_is_and_goes_when_it_may() {
    let (town, homes, mut alice, mut bob) = friends().await;
    for what in ["chat", "files"] {
        bob.ask::<view::Contact>(permit("Alice", what, false)).await;
    }
    let sent: view::Message = alice.ask(say("hello?")).await;
    let path = alice_file(&homes[0]);
    let offered: view::Transfer = alice
        .ask(Command::FileSend {
            who: "Bob".into(),
            path,
        })
        .await;
    let answer = Command::ChatSend {
        who: "Alice".into(),
        text: "no".into(),
    };
    assert_eq!(kind(&bob, answer).await, ErrorKind::State);
    tokio::time::sleep(Duration::from_secs(3)).await;
    while let Ok(event) = bob.events.try_recv() {
        let came = matches!(event, Event::Message(_) | Event::Transfer(_));
        assert!(!came, "{event:?}");
    }
    let waiting: Vec<view::Contact> = alice.ask(Command::ContactList {}).await;
    assert_eq!(waiting[0].waiting, 1);
    for what in ["chat", "files"] {
        bob.ask::<view::Contact>(permit("Alice", what, true)).await;
    }
    // Alice tries by herself when something new is there.
    alice.ask::<view::Message>(say("hello again")).await;
    let delivered = |event: &Event| match event {
        Event::Message(message)
            if message.id == sent.id && message.delivery == view::Delivery::Delivered =>
        {
            Some(())
        }
        _ => None,
    };
    alice.until("the receipt", delivered).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list: Vec<view::Transfer> = bob.ask(Command::FileList {}).await;
        if list.iter().any(|one| one.id == offered.id) {
            break;
        }
        assert!(Instant::now() < deadline, "the offer did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    end(town, [alice, bob]).await;
}

/// What Alice sees of somebody: how a message stands, how a call ended and after how long.
async fn looks(alice: &mut Actor, who: &str) -> ((view::Delivery, String), Duration) {
    let say = Command::ChatSend {
        who: who.into(),
        text: "are you there?".into(),
    };
    let sent: view::Message = alice.ask(say).await;
    let call = Command::CallStart {
        who: who.into(),
        sound: Sound {
            echo: true,
            ..Sound::default()
        },
    };
    let began = Instant::now();
    let call: view::Call = alice.ask(call).await;
    let over = |event: &Event| match event {
        Event::Call(one) if one.id == call.id && one.state == view::CallState::Ended => {
            Some(one.words.clone())
        }
        _ => None,
    };
    let words = alice.until("the end of the call", over).await;
    let took = began.elapsed();
    let log = Command::ChatLog {
        who: who.into(),
        limit: None,
        before: None,
    };
    let log: Vec<view::Message> = alice.ask(log).await;
    let message = log.iter().find(|one| one.id == sent.id);
    let delivery = message.expect("the message").delivery;
    ((delivery, words), took)
}

async fn until_gone(alice: &Actor, who: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list: Vec<view::Contact> = alice.ask(Command::ContactList {}).await;
        let found = list.iter().find(|one| one.name == who);
        if found.is_some_and(|one| one.presence == view::Presence::Offline) {
            return;
        }
        assert!(Instant::now() < deadline, "{who} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One asks the other, who says yes.
async fn meet(asker: (&mut Actor, &str), asked: (&mut Actor, &str)) {
    let own: view::OwnLink = asked.0.ask(Command::ContactLink {}).await;
    let message = String::new();
    let add = Command::ContactAdd {
        link: own.link,
        message,
    };
    asker.0.ask::<view::Contact>(add).await;
    let request = |event: &Event| match event {
        Event::Request(request) => Some(request.id.clone()),
        _ => None,
    };
    let id = asked.0.until("the request", request).await;
    asked
        .0
        .ask::<view::Contact>(Command::ContactAccept { id })
        .await;
    asked.0.until_online(asker.1).await;
    asker.0.until_online(asked.1).await;
}

/// What lies in a profile whose node does not run.
fn kept<T>(home: &TempDir, read: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> T {
    let store = Store::open(home.path()).expect("the profile");
    store.read(read).expect("its rows")
}

fn request_key(tx: &Tx<'_>) -> Result<[u8; 32], StoreError> {
    let profile = profile::load(tx)?.expect("an account");
    Ok(envelope::request_key(&profile.keys.request))
}

/// The key for letters to `name` that a contact of theirs has.
fn key_of(tx: &Tx<'_>, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
    let everybody = contacts::list(tx)?;
    let found = everybody.into_iter().find(|one| one.name == name);
    let card = found.and_then(|one| one.card);
    Ok(card.map(|card| card.card.request_key))
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_06_07_who_stays_gets_other_keys_when_somebody_is_blocked() {
    let (town, homes, alice, mut bob) = friends().await;
    let carol_home = folder();
    let mut carol = town.settle(carol_home.path(), "Carol").await;
    carol.until_registered().await;
    meet((&mut bob, "Bob"), (&mut carol, "Carol")).await;
    let who = "Alice".to_owned();
    bob.ask::<()>(Command::ContactBlock { who }).await;
    let news = |event: &Event| match event {
        Event::Contact(contact) if contact.name == "Bob" => Some(()),
        _ => None,
    };
    carol.until("Bob's new card", news).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for actor in [alice, bob, carol] {
        actor.node.stop().await;
    }
    let today = kept(&homes[1], request_key);
    assert_eq!(kept(&carol_home, |tx| key_of(tx, "Bob")), Some(today));
    let alices = kept(&homes[0], |tx| key_of(tx, "Bob")).expect("she keeps the card");
    assert_ne!(alices, today);
    // CONTACT-07: what is under way to the key of before is opened.
    let earlier = kept(&homes[1], |tx| {
        Ok(profile::load(tx)?.expect("an account").keys)
    });
    assert_eq!(envelope::request_key(&earlier.earlier_requests[0]), alices);
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contact_08_whoever_is_blocked_sees_what_they_see_of_somebody_away() {
    let (town, homes, mut alice, mut bob) = friends().await;
    let dora_home = folder();
    let mut dora = town.settle(dora_home.path(), "Dora").await;
    dora.until_registered().await;
    meet((&mut dora, "Dora"), (&mut alice, "Alice")).await;
    dora.node.stop().await;
    until_gone(&alice, "Dora").await;
    let who = "Alice".to_owned();
    bob.ask::<()>(Command::ContactBlock { who }).await;
    while bob.events.try_recv().is_ok() {}
    until_gone(&alice, "Bob").await;
    let of_dora = looks(&mut alice, "Dora").await;
    let of_bob = looks(&mut alice, "Bob").await;
    assert_eq!(of_bob.0, of_dora.0);
    let apart = of_bob.1.abs_diff(of_dora.1);
    assert!(apart < Duration::from_secs(3), "{of_bob:?} {of_dora:?}");
    // A letter is taken for both.
    alice
        .ask::<()>(Command::ContactRemove { who: "Dora".into() })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    alice.node.stop().await;
    let waiting = kept(&homes[0], letters::count);
    assert_eq!(waiting, 0);
    while let Ok(event) = bob.events.try_recv() {
        let came = matches!(
            event,
            Event::Message(_) | Event::Call(_) | Event::Request(_)
        );
        assert!(!came, "{event:?}");
    }
    end(town, [bob]).await;
}

/// Each has removed the other, so both have other keys; they see each other as soon as at the first time, and every time.
#[tokio::test(flavor = "multi_thread")]
async fn contact_06_whoever_was_removed_and_comes_back_is_seen_at_once() {
    let (town, _homes, mut alice, mut bob) = friends().await;
    for _ in 0..3 {
        for (actor, who) in [(&alice, "Bob"), (&bob, "Alice")] {
            let who = who.to_owned();
            actor.ask::<()>(Command::ContactRemove { who }).await;
        }
        while alice.events.try_recv().is_ok() || bob.events.try_recv().is_ok() {}
        let begin = Instant::now();
        meet((&mut bob, "Bob"), (&mut alice, "Alice")).await;
        let took = begin.elapsed();
        println!("contacts again after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    end(town, [alice, bob]).await;
}

fn alice_file(home: &TempDir) -> String {
    let path = home.path().join("notes.txt");
    std::fs::write(&path, b"a few words").expect("a file");
    path.display().to_string()
}
