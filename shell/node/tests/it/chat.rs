//! Conversations on real nodes: both ways, over absences and restarts, against hostile contacts.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iroh::endpoint::{Connection, SendStream};
use starling_control::{Command, ErrorKind, Event, view};
use starling_node::transport::front_door::FrontDoor;
use starling_node::transport::pins::Pins;
use starling_node::transport::proxy::ProxySetting;
use starling_store::{Store, contacts, networks, profile};
use starling_wire::alpn;
use starling_wire::chat::{CHAT_FRAME_MAX, ChatFrame, ChatMessage};
use starling_wire::frame;
use starling_wire::ids::{AccountId, MessageId};
use starling_wire::limits::CHAT_TEXT_MAX;
use tempfile::TempDir;
use tokio::sync::mpsc;

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

async fn say(actor: &Actor, who: &str, text: &str) -> view::Message {
    let (who, text) = (who.to_owned(), text.to_owned());
    actor.ask(Command::ChatSend { who, text }).await
}

async fn log(actor: &Actor, who: &str) -> Vec<view::Message> {
    let command = Command::ChatLog {
        who: who.into(),
        limit: Some(1_000),
        before: None,
    };
    actor.ask(command).await
}

async fn texts(actor: &Actor, who: &str) -> Vec<String> {
    let messages = log(actor, who).await;
    messages.into_iter().map(|message| message.text).collect()
}

async fn contact(actor: &Actor, name: &str) -> view::Contact {
    let list: Vec<view::Contact> = actor.ask(Command::ContactList {}).await;
    let found = list.into_iter().find(|contact| contact.name == name);
    found.expect("a contact of that name")
}

/// Until nothing waits for the contact any more.
async fn until_all_delivered(actor: &Actor, who: &str) {
    let deadline = Instant::now() + PATIENCE;
    while contact(actor, who).await.waiting > 0 {
        assert!(Instant::now() < deadline, "messages to {who} still wait");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_offline(actor: &Actor, who: &str) {
    let deadline = Instant::now() + PATIENCE;
    while contact(actor, who).await.presence != view::Presence::Offline {
        assert!(Instant::now() < deadline, "{who} is still shown as there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the news that a message has that state.
async fn until_shown(actor: &mut Actor, id: &str, delivery: view::Delivery) {
    let what = format!("{delivery:?}");
    actor
        .until(&what, |event| match event {
            Event::Message(message) if message.id == id && message.delivery == delivery => Some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_with_receipts_and_are_counted() {
    let (town, _homes, mut alice, mut bob) = friends().await;
    let hello = say(&alice, "Bob", "hello").await;
    assert_eq!(hello.delivery, view::Delivery::Sending);
    until_shown(&mut bob, &hello.id, view::Delivery::Received).await;
    until_shown(&mut alice, &hello.id, view::Delivery::Delivered).await;
    let answer = say(&bob, "Alice", "hello yourself").await;
    until_shown(&mut alice, &answer.id, view::Delivery::Received).await;
    until_shown(&mut bob, &answer.id, view::Delivery::Delivered).await;
    assert_eq!(contact(&bob, "Alice").await.unread, 1);
    for actor in [&alice, &bob] {
        let status: view::Status = actor.ask(Command::Status {}).await;
        let chat = status.traffic.iter().find(|row| row.purpose == "own: chat");
        let chat = chat.expect("a row for chat");
        // A message and a receipt, with their lengths.
        assert!(chat.sent > 50 && chat.received > 50, "{chat:?}");
        assert!(chat.sent < 500 && chat.received < 500, "{chat:?}");
    }
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_someone_away_waits_says_so_and_goes_when_they_return() {
    let (town, homes, mut alice, bob) = friends().await;
    bob.node.stop().await;
    until_offline(&alice, "Bob").await;
    let sent = say(&alice, "Bob", "are you there?").await;
    assert_eq!(sent.delivery, view::Delivery::Waiting);
    assert_eq!(contact(&alice, "Bob").await.waiting, 1);
    let mut bob = Actor::start(homes[1].path()).await;
    until_shown(&mut alice, &sent.id, view::Delivery::Sending).await;
    until_shown(&mut alice, &sent.id, view::Delivery::Delivered).await;
    until_shown(&mut bob, &sent.id, view::Delivery::Received).await;
    assert_eq!(contact(&alice, "Bob").await.waiting, 0);
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_outbox_survives_its_owners_restart() {
    let (town, homes, alice, bob) = friends().await;
    bob.node.stop().await;
    until_offline(&alice, "Bob").await;
    let said: Vec<String> = (0..300).map(|n| format!("message {n}")).collect();
    for text in &said {
        say(&alice, "Bob", text).await;
    }
    alice.node.stop().await;
    let alice = Actor::start(homes[0].path()).await;
    assert_eq!(contact(&alice, "Bob").await.waiting, 300);
    let waiting = log(&alice, "Bob").await;
    assert!(
        waiting
            .iter()
            .all(|message| message.delivery == view::Delivery::Waiting)
    );
    let bob = Actor::start(homes[1].path()).await;
    until_all_delivered(&alice, "Bob").await;
    assert_eq!(texts(&bob, "Alice").await, said);
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_04_what_was_receipted_is_there_after_an_abrupt_restart() {
    let (town, homes, mut alice, bob) = friends().await;
    let sent = say(&alice, "Bob", "on disk before you are told").await;
    until_shown(&mut alice, &sent.id, view::Delivery::Delivered).await;
    // Without a goodbye, and before any client of Bob's has looked.
    drop(bob);
    let bob = Actor::start(homes[1].path()).await;
    assert_eq!(texts(&bob, "Alice").await, ["on disk before you are told"]);
    assert_eq!(contact(&bob, "Alice").await.unread, 1);
    // What comes later comes after it, and once.
    let next = say(&alice, "Bob", "again").await;
    until_shown(&mut alice, &next.id, view::Delivery::Delivered).await;
    assert_eq!(texts(&bob, "Alice").await.len(), 2);
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_messages_arrive_in_order() {
    let (town, _homes, alice, bob) = friends().await;
    let said: Vec<String> = (0..500).map(|n| format!("number {n}")).collect();
    for text in &said {
        say(&alice, "Bob", text).await;
    }
    until_all_delivered(&alice, "Bob").await;
    assert_eq!(texts(&bob, "Alice").await, said);
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_messages_a_second_are_stored_and_receipted() {
    const COUNT: u32 = 4_000;
    const AT_ONCE: u32 = 200;
    let (town, _homes, alice, bob) = friends().await;
    let begin = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..AT_ONCE {
        let control = alice.control.clone();
        senders.spawn(async move {
            for n in 0..COUNT / AT_ONCE {
                let text = format!("{n} of {sender}");
                let who = "Bob".into();
                let sent = control.ask::<view::Message>(Command::ChatSend { who, text });
                sent.await.expect("it is stored");
            }
        });
    }
    senders.join_all().await;
    until_all_delivered(&alice, "Bob").await;
    let rate = f64::from(COUNT) / begin.elapsed().as_secs_f64();
    println!("{rate:.0} messages a second with receipts");
    assert_eq!(contact(&bob, "Alice").await.unread, COUNT);
    // A fifth of what a release build has to do.
    assert!(rate >= 400.0, "{rate:.0} messages a second");
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_01_the_longest_text_in_any_script_arrives_unchanged_and_a_longer_one_is_refused() {
    let (town, _homes, mut alice, bob) = friends().await;
    let mut text = String::from("\u{202b}שלום עולם، مرحبا بالعالم\u{202c} 👩‍👩‍👧‍👦 e\u{301} 漢字\n\t");
    while text.len() + "🦅".len() <= CHAT_TEXT_MAX {
        text.push('🦅');
    }
    text.push_str(&"x".repeat(CHAT_TEXT_MAX - text.len()));
    let sent = say(&alice, "Bob", &text).await;
    until_shown(&mut alice, &sent.id, view::Delivery::Delivered).await;
    assert_eq!(texts(&bob, "Alice").await, [text.clone()]);
    text.push('y');
    let who = "Bob".into();
    let refused = alice
        .try_ask::<view::Message>(Command::ChatSend { who, text })
        .await
        .expect_err("it is too long");
    assert_eq!(refused.data.kind, ErrorKind::Usage);
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

/// Bob's front door in the hands of a program that does not keep to the protocol.
struct Forger {
    door: FrontDoor,
    to: starling_wire::card::Door,
}

impl Forger {
    /// Takes Bob's keys and what he knows of his only contact. His node must not run.
    async fn with_keys_of(home: &Path) -> Self {
        let store = Store::open(home).expect("the store");
        let read = |tx: &starling_store::Tx<'_>| {
            Ok((profile::load(tx)?, networks::list(tx)?, contacts::list(tx)?))
        };
        let (profile, networks, contacts) = store.read(read).expect("the rows");
        let seed = *profile.expect("an account").keys.front_door;
        let pins = Pins::default();
        let place = networks[0].supernodes[0].clone();
        pins.learn(&place);
        let (arrivals, _) = mpsc::channel(1);
        let (proxy, keeper) = (ProxySetting::None, Arc::new(|_| None));
        let door = FrontDoor::open(&seed, pins, proxy, Some(place), keeper, arrivals)
            .await
            .expect("a front door");
        let card = contacts[0].card.as_ref().expect("a card");
        Self {
            to: card.doors[0].clone(),
            door,
        }
    }

    async fn connect(&self) -> (Connection, SendStream) {
        let connection = self
            .door
            .dial(&self.to, alpn::CHAT)
            .await
            .expect("a way in");
        let (send, _) = connection.open_bi().await.expect("a stream");
        (connection, send)
    }
}

fn message(id: u8, text: &str) -> Vec<u8> {
    frame::encode(&ChatFrame::Message(ChatMessage {
        id: MessageId([id; 16]),
        sent_at: u64::MAX,
        text: text.to_owned(),
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_frames_close_the_link_and_lose_nothing() {
    let (town, homes, alice, bob) = friends().await;
    bob.node.stop().await;
    let forger = Forger::with_keys_of(homes[1].path()).await;
    let too_long = u32::try_from(CHAT_FRAME_MAX + 1)
        .expect("it fits")
        .to_be_bytes();
    let no_receipt = frame::encode(&ChatFrame::Receipt { ids: vec![] });
    let hostile: [(&str, Vec<u8>); 5] = [
        ("too long", too_long.to_vec()),
        ("no frame", [&[0, 0, 0, 3][..], &[9, 9, 9]].concat()),
        ("no text", message(200, " \n")),
        (
            "a text too long",
            message(201, &"x".repeat(CHAT_TEXT_MAX + 1)),
        ),
        ("a receipt for nothing", no_receipt),
    ];
    for (number, (what, bytes)) in (1_u8..).zip(hostile) {
        let (connection, mut send) = forger.connect().await;
        let mut both = message(number, what);
        both.extend(bytes);
        send.write_all(&both).await.expect("it is sent");
        tokio::time::timeout(PATIENCE, connection.closed())
            .await
            .unwrap_or_else(|_| panic!("{what}: still open"));
    }
    let deadline = Instant::now() + PATIENCE;
    let good = [
        "too long",
        "no frame",
        "no text",
        "a text too long",
        "a receipt for nothing",
    ];
    while texts(&alice, "Bob").await != good {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            texts(&alice, "Bob").await
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The real Bob is served as ever.
    drop(forger);
    let mut bob = Actor::start(homes[1].path()).await;
    bob.until_registered().await;
    let sent = say(&bob, "Alice", "it was not me").await;
    until_shown(&mut bob, &sent.id, view::Delivery::Delivered).await;
    alice.node.stop().await;
    bob.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_or_removed_is_cut_off_and_refused() {
    for block in [true, false] {
        let (town, homes, alice, bob) = friends().await;
        bob.node.stop().await;
        let forger = Forger::with_keys_of(homes[1].path()).await;
        let (connection, mut send) = forger.connect().await;
        send.write_all(&message(1, "still welcome"))
            .await
            .expect("it is sent");
        let deadline = Instant::now() + PATIENCE;
        while texts(&alice, "Bob").await.is_empty() {
            assert!(Instant::now() < deadline, "the first message does not come");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let who: String = contact(&alice, "Bob").await.id;
        let command = match block {
            true => Command::ContactBlock { who: who.clone() },
            false => Command::ContactRemove { who: who.clone() },
        };
        alice.ask::<serde_json::Value>(command).await;
        tokio::time::timeout(PATIENCE, connection.closed())
            .await
            .expect("the open connection is closed");
        let refused = forger.door.dial(&forger.to, alpn::CHAT).await;
        assert!(refused.is_err(), "a new connection is refused");
        alice.node.stop().await;
        let account: AccountId = who.parse().expect("an id");
        let store = Store::open(homes[0].path()).expect("the store");
        let kept = store
            .read(|tx| starling_store::messages::page(tx, account, None, 10))
            .expect("the history");
        assert_eq!(kept.len(), 1, "history stays and nothing is added");
        town.end().await;
    }
}
