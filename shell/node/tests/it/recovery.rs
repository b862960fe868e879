//! What the 24 words do on a device that is there, how an account ends, and how a call finds all devices.

use starling_control::command::Sound;
use starling_control::{Command, Event, view};
use starling_store::Store;

use crate::calls::{play_and_record, tune, until_call};
use crate::cast::{Actor, PATIENCE, Town, befriend, folder};
use crate::devices::{add, until_knows, until_removed};

async fn words_of(actor: &Actor) -> String {
    let phrase: view::Phrase = actor.ask(Command::AccountPhrase {}).await;
    phrase.words.join(" ")
}

async fn chat(from: &Actor, to: &mut Actor, who: &str) {
    let (who, text) = (who.to_owned(), "it is me".to_owned());
    let said: view::Message = from.ask(Command::ChatSend { who, text }).await;
    to.until("the message", |event| match event {
        Event::Message(message) if message.id == said.id && !message.outgoing => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record_16_the_words_throw_out_a_stolen_device_that_has_the_key() {
    let town = Town::found().await;
    let [a, b, p] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let mut phone = Actor::start(p.path()).await;
    add(&mut alice, &mut phone, "phone", true).await;
    until_knows(&phone, "Bob").await;
    phone.until_online("Bob").await;
    let words = words_of(&alice).await;
    // Without the words there is no way, and with others neither.
    let device = "phone".to_owned();
    let revoked = alice
        .try_ask::<Vec<view::Device>>(Command::DeviceRevoke { device })
        .await;
    let revoked = revoked.expect_err("it has the key").message;
    assert!(revoked.contains("24 words"), "{revoked}");
    let zero = format!("{}art", "abandon ".repeat(23));
    let others = Command::AccountRecover { words: zero };
    let others = alice.try_ask::<view::Account>(others).await;
    assert!(
        others
            .expect_err("others")
            .message
            .contains("another account")
    );

    let id = alice.ask::<view::Account>(Command::AccountShow {}).await.id;
    let recovered: view::Account = alice.ask(Command::AccountRecover { words }).await;
    assert_eq!(recovered.id, id);
    let left: Vec<view::Device> = alice.ask(Command::DeviceList {}).await;
    assert_eq!(left.len(), 1);
    until_removed(&phone).await;
    alice.until_online("Bob").await;
    chat(&alice, &mut bob, "Bob").await;
    chat(&bob, &mut alice, "Alice").await;
    for actor in [alice, bob, phone] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_were_forgotten_are_on_paper_alone() {
    let home = folder();
    let alice = Actor::create(home.path(), "Alice").await;
    let words = words_of(&alice).await;
    let forget = |words: String| Command::AccountPhraseForget { words };
    let others = forget("abandon ".repeat(23) + "art");
    assert!(alice.try_ask::<()>(others).await.is_err());
    alice.ask::<()>(forget(words.clone())).await;
    let shown = alice
        .try_ask::<view::Phrase>(Command::AccountPhrase {})
        .await;
    assert!(shown.expect_err("gone").message.contains("on paper alone"));
    alice.node.stop().await;
    let store = Store::open(home.path()).expect("the profile");
    let profile = store.read(starling_store::profile::load).expect("a row");
    assert_eq!(profile.expect("an account").keys.recovery, None);
    drop(store);
    let alice = Actor::start(home.path()).await;
    alice.until_registered().await;
    alice
        .ask::<view::Account>(Command::AccountRecover { words })
        .await;
    alice.node.stop().await;
}

fn assert_nothing_is_stored(home: &std::path::Path) {
    let left = std::fs::read_dir(home).expect("the folder");
    let names = left.map(|entry| entry.expect("an entry").file_name());
    let stored = |name: &std::ffi::OsString| name.to_string_lossy().contains("store");
    let left: Vec<_> = names.filter(stored).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Until Bob knows that somebody's account is no more.
async fn until_told(bob: &Actor) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let ended = |one: &view::Contact| one.relation == view::Relation::Ended;
    loop {
        let earlier: Vec<view::Contact> = bob.ask(Command::ContactEarlier {}).await;
        if earlier.iter().any(ended) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "Bob is not told");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let left: Vec<view::Contact> = bob.ask(Command::ContactList {}).await;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_08_a_deleted_account_is_gone_here_and_with_its_contacts() {
    let town = Town::found().await;
    let [a, b, fresh] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let words = words_of(&alice).await;
    let delete = |name: &str| Command::AccountDelete {
        name: name.to_owned(),
        with_network: false,
    };
    let refused = alice.try_ask::<view::Deleted>(delete("Alise")).await;
    assert!(
        refused
            .expect_err("a typo")
            .message
            .contains("nothing was deleted")
    );
    let deleted: view::Deleted = alice.ask(delete("Alice")).await;
    assert_eq!(
        (deleted.told, deleted.not_told, deleted.supernodes),
        (1, 0, 1)
    );
    tokio::time::timeout(PATIENCE, alice.node.wait())
        .await
        .expect("it ends");
    alice.node.stop().await;
    assert_nothing_is_stored(a.path());
    until_told(&bob).await;
    // The words bring it back, and nothing else.
    let again = town.join(fresh.path()).await;
    let words = words.clone();
    let anyway = false;
    let restored: view::Restored = again
        .ask(Command::AccountRestorePhrase { words, anyway })
        .await;
    assert_eq!(restored.contacts, 0);
    again.until_registered().await;
    for actor in [bob, again] {
        actor.node.stop().await;
    }
    town.end().await;
}

async fn until_over(actor: &mut Actor, id: &str) -> view::Call {
    let over = actor.until("the end of the call", |event| match event {
        Event::Call(call) if call.id == id && call.state == view::CallState::Ended => {
            Some(call.clone())
        }
        _ => None,
    });
    over.await
}

/// Calls and hangs up, until it rang there.
async fn until_rings(bob: &Actor, phone: &Actor) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (who, sound) = ("Alice".to_owned(), Sound::default());
        let call: view::Call = bob.ask(Command::CallStart { who, sound }).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let rung: Vec<view::Call> = phone.ask(Command::CallList { limit: None }).await;
        let id = Some(call.id.clone());
        bob.ask::<view::Call>(Command::CallHangup { id }).await;
        if rung.iter().any(|rung| rung.id == call.id) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never rings");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_23_a_call_rings_at_all_devices_and_one_answers() {
    let town = Town::found().await;
    let [a, b, p, wavs] = [folder(), folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let mut phone = Actor::start(p.path()).await;
    add(&mut alice, &mut phone, "Alice's phone", false).await;
    until_knows(&phone, "Bob").await;
    phone.until_online("Bob").await;
    // Until Bob's node has the card with the new door, his calls ring at the old one alone.
    until_rings(&bob, &phone).await;
    for name in ["alice", "bob"] {
        tune(1, &wavs.path().join(format!("{name}-says.wav")));
    }
    let (who, sound) = ("Alice".to_owned(), play_and_record(wavs.path(), "bob"));
    let call: view::Call = bob.ask(Command::CallStart { who, sound }).await;
    for device in [&mut alice, &mut phone] {
        device
            .until("the ring", |event| match event {
                Event::Call(rings) if rings.id == call.id => Some(()),
                _ => None,
            })
            .await;
    }
    let sound = Sound {
        limit_ms: Some(500),
        ..play_and_record(wavs.path(), "alice")
    };
    phone
        .ask::<view::Call>(Command::CallAnswer { id: None, sound })
        .await;
    let elsewhere = until_over(&mut alice, &call.id).await;
    assert_eq!(elsewhere.words, "answered on Alice's phone");
    until_call(&mut phone, "sound", view::CallState::Established).await;
    assert_eq!(until_over(&mut bob, &call.id).await.words, "ended");
    for actor in [alice, bob, phone] {
        actor.node.stop().await;
    }
    town.end().await;
}
