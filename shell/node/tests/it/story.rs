//! Two people find each other and talk.

use starling_control::{Command, Event, view};

use crate::cast::{Actor, befriend};

#[tokio::test(flavor = "multi_thread")]
async fn alice_and_bob_become_contacts_and_chat() {
    let (a, b) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut bob = Actor::create(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let sent: view::Message = alice.ask(Command::ChatSend { who: "bob".into(), text: "Hello, Bob! 👋".into() }).await;
    let got = bob
        .until("the message", |event| match event {
            Event::Message(message) if !message.outgoing => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!((got.text.as_str(), got.who.as_str(), got.id.as_str()), ("Hello, Bob! 👋", "Alice", sent.id.as_str()));
    alice
        .until("the receipt", |event| match event {
            Event::Message(message) if message.delivery == view::Delivery::Delivered => Some(()),
            _ => None,
        })
        .await;
    alice.node.stop().await;
    bob.node.stop().await;
}
