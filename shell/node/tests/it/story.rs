//! Two people find each other and talk.

use starling_control::{Command, Event, view};

use crate::cast::{Actor, befriend};

#[tokio::test(flavor = "multi_thread")]
async fn alice_and_bob_become_contacts_and_chat() {
    let (a, b) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut bob = Actor::create(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let sent: view::Message = alice
        .ask(Command::ChatSend {
            who: "bob".into(),
            text: "Hello, Bob! 👋".into(),
        })
        .await;
    let got = bob
        .until("the message", |event| match event {
            Event::Message(message) if !message.outgoing => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!(
        (got.text.as_str(), got.who.as_str(), got.id.as_str()),
        ("Hello, Bob! 👋", "Alice", sent.id.as_str())
    );
    alice
        .until("the receipt", |event| match event {
            Event::Message(message) if message.delivery == view::Delivery::Delivered => Some(()),
            _ => None,
        })
        .await;
    alice.node.stop().await;
    bob.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_both_ways_and_arrives_identical() {
    let (a, b) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut bob = Actor::create(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    for (size, name) in [
        (20_000_003_usize, "holiday.bin"),
        (0, "empty.txt"),
        (1, "one"),
    ] {
        let bytes: Vec<u8> = (0..size).map(|n| (n * 7919 % 251) as u8).collect();
        let path = a.path().join(name);
        std::fs::write(&path, &bytes).expect("a file");
        alice
            .ask::<view::Transfer>(Command::FileSend {
                who: "Bob".into(),
                path: path.display().to_string(),
            })
            .await;
        let offer = bob
            .until("the offer", |event| match event {
                Event::Transfer(transfer) if transfer.name == name => Some(transfer.clone()),
                _ => None,
            })
            .await;
        assert_eq!((offer.size, offer.outgoing), (size as u64, false));
        bob.ask::<view::Transfer>(Command::FileAccept {
            id: offer.id,
            to: None,
        })
        .await;
        let done = bob
            .until("the file", |event| match event {
                Event::Transfer(transfer) if transfer.state == view::TransferState::Done => {
                    Some(transfer.clone())
                }
                Event::Transfer(transfer) if transfer.state == view::TransferState::Failed => {
                    panic!("{}", transfer.words)
                }
                _ => None,
            })
            .await;
        assert_eq!(
            std::fs::read(done.path.expect("a path")).expect("a file"),
            bytes
        );
        alice
            .until("Bob's word that it is there", |event| match event {
                Event::Transfer(transfer) if transfer.state == view::TransferState::Done => {
                    Some(())
                }
                _ => None,
            })
            .await;
    }
    alice.node.stop().await;
    bob.node.stop().await;
}
