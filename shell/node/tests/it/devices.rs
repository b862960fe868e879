//! Several devices of one account, on real sockets.

use std::path::Path;
use std::time::Duration;

use starling_control::{Command, ErrorKind, Event, view};

use crate::cast::{Actor, PATIENCE, Town, befriend, folder};

/// A node without an account, at home in the town's network by the link alone.
pub async fn fresh(home: &Path) -> Actor {
    Actor::start(home).await
}

fn words(event: &Event) -> Option<String> {
    match event {
        Event::Pairing(pairing) if pairing.failed.is_none() => pairing.words.clone(),
        _ => None,
    }
}

fn ended(event: &Event) -> Option<view::Pairing> {
    match event {
        Event::Pairing(pairing) if pairing.joined.is_some() || pairing.failed.is_some() => {
            Some(pairing.clone())
        }
        _ => None,
    }
}

async fn link_of(owner: &Actor, marked: bool) -> String {
    let added: view::Pairing = owner.ask(Command::DeviceAdd { owner: marked }).await;
    added.link.expect("a link")
}

async fn join(device: &Actor, link: &str, name: &str) {
    let (link, name) = (link.to_owned(), Some(name.to_owned()));
    device
        .ask::<view::Pairing>(Command::DeviceJoin { link, name })
        .await;
}

async fn say(actor: &Actor, same: bool) -> view::Pairing {
    actor.ask(Command::DeviceAnswer { same }).await
}

/// A device of the owner's, with everything that follows.
pub async fn add(owner: &mut Actor, device: &mut Actor, name: &str, marked: bool) {
    let link = link_of(owner, marked).await;
    join(device, &link, name).await;
    let shown = owner.until("words at the owner's", words).await;
    assert_eq!(device.until("words at the device", words).await, shown);
    assert_eq!(shown.split(' ').count(), 4);
    say(device, true).await;
    say(owner, true).await;
    let joined = device.until("the device to join", ended).await;
    assert_eq!(joined.failed, None);
    let joined = owner.until("the owner to hear of it", ended).await;
    assert_eq!(joined.failed, None);
}

/// Until a listing fits.
pub async fn until_list<T: serde::de::DeserializeOwned>(
    actor: &Actor,
    command: Command,
    what: &str,
    fits: impl Fn(&[T]) -> bool,
) -> Vec<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let list: Vec<T> = actor.ask(command.clone()).await;
        if fits(&list) {
            return list;
        }
        assert!(tokio::time::Instant::now() < deadline, "no {what} in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub async fn until_knows(actor: &Actor, name: &str) {
    until_list(actor, Command::ContactList {}, name, |list| {
        list.iter().any(|contact: &view::Contact| {
            contact.name == name && contact.relation == view::Relation::Contact
        })
    })
    .await;
}

pub async fn until_connected(actor: &Actor, count: usize) {
    until_list(actor, Command::DeviceList {}, "link", |list| {
        list.iter()
            .filter(|device: &&view::Device| device.connected)
            .count()
            == count
    })
    .await;
}

/// Until a device knows that it is out.
pub async fn until_removed(device: &Actor) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let status: view::Status = device.ask(Command::Status {}).await;
        let removed = |line: &String| line.contains("was removed from its account");
        if status.warnings.iter().any(removed) {
            assert_eq!(status.supernode, None);
            return;
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "it does not learn it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Somebody asks by a link, and is accepted.
pub async fn befriend_as(asked: &mut Actor, by: &Actor, name: &str) {
    let link: view::OwnLink = asked.ask(Command::ContactLink {}).await;
    let (link, message) = (link.link, format!("It is {name}"));
    by.until_registered().await;
    by.ask::<view::Contact>(Command::ContactAdd { link, message })
        .await;
    let request = asked.until("a request", |event| match event {
        Event::Request(request) if request.name == name => Some(request.id.clone()),
        _ => None,
    });
    let id = request.await;
    asked
        .ask::<view::Contact>(Command::ContactAccept { id })
        .await;
    asked.until_online(name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_device_joins_and_both_have_the_same() {
    let town = Town::found().await;
    let [a, b, c, p] = [folder(), folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    let carol = town.settle(c.path(), "Carol").await;
    befriend(&mut alice, &mut bob).await;
    let mut phone = fresh(p.path()).await;
    add(&mut alice, &mut phone, "phone", false).await;
    until_knows(&phone, "Bob").await;
    phone.until_registered().await;
    let devices: Vec<view::Device> = phone.ask(Command::DeviceList {}).await;
    assert_eq!(devices.len(), 2);
    assert!(devices[0].this && devices[0].name == "phone" && !devices[0].owner);
    // The phone writes to Bob, and Bob to whichever he reaches.
    phone.until_online("Bob").await;
    phone
        .ask::<view::Message>(Command::ChatSend {
            who: "Bob".into(),
            text: "from the phone".into(),
        })
        .await;
    bob.until("the phone's message", |event| match event {
        Event::Message(message) if message.text == "from the phone" => Some(()),
        _ => None,
    })
    .await;
    // A nickname given here is there.
    let (who, nickname) = ("Bob".to_owned(), "Bobby".to_owned());
    alice
        .ask::<view::Contact>(Command::ContactNickname { who, nickname })
        .await;
    until_list(&phone, Command::ContactList {}, "nickname", |list| {
        list.iter()
            .any(|contact: &view::Contact| contact.nickname.as_deref() == Some("Bobby"))
    })
    .await;
    // And a contact made on the phone, on the laptop that was off meanwhile.
    alice.node.stop().await;
    befriend_as(&mut phone, &carol, "Carol").await;
    let alice = Actor::start(a.path()).await;
    until_knows(&alice, "Carol").await;
    for actor in [alice, bob, carol, phone] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_for_one_device_and_for_whoever_has_its_secret() {
    let town = Town::found().await;
    let [a, p, q] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    alice.until_registered().await;
    let mut phone = fresh(p.path()).await;
    let mut other = fresh(q.path()).await;
    let link = link_of(&alice, false).await;
    // A newer one stands in its place.
    let link = {
        let newer = link_of(&alice, false).await;
        assert_ne!(link, newer);
        newer
    };
    join(&phone, &link, "phone").await;
    let shown = alice.until("words", words).await;
    assert_eq!(phone.until("words", words).await, shown);
    let twice = alice
        .try_ask::<view::Pairing>(Command::DeviceAdd { owner: false })
        .await;
    let twice = twice.expect_err("one at a time");
    assert!(twice.message.contains("yes or no"), "{twice}");
    // Somebody else has the link, too, and is late.
    join(&other, &link, "other").await;
    let refused = other.until("the answer", ended).await.failed;
    assert!(refused.is_some_and(|why| why.contains("used by another device")));
    let noted = alice.until("a note", |event| match event {
        Event::Pairing(pairing) => pairing.note.clone(),
        _ => None,
    });
    assert!(noted.await.contains("another device tried this link"));
    // The person says no: nothing was signed.
    let cancelled = say(&alice, false).await;
    assert!(
        cancelled
            .failed
            .is_some_and(|why| why.contains("cancelled"))
    );
    let cancelled = phone.until("the answer", ended).await.failed;
    assert!(cancelled.is_some_and(|why| why.contains("cancelled on the other device")));
    let devices: Vec<view::Device> = alice.ask(Command::DeviceList {}).await;
    assert_eq!(devices.len(), 1);
    assert_eq!(
        phone
            .ask::<Option<view::Account>>(Command::AccountShow {})
            .await,
        None
    );
    for actor in [alice, phone, other] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_joins_by_another_secret_or_before_both_have_compared_the_words() {
    let town = Town::found().await;
    let [a, p, q] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    alice.until_registered().await;
    let mut phone = fresh(p.path()).await;
    let mut other = fresh(q.path()).await;
    // Another secret than the link's.
    let link = link_of(&alice, false).await;
    let mut wrong: starling_wire::pairing::PairingLink = link.parse().expect("a link");
    wrong.secret = starling_wire::pairing::Secret::new([9; 16]);
    join(&other, &wrong.to_string(), "other").await;
    let refused = other.until("the answer", ended).await.failed;
    assert!(refused.is_some_and(|why| why.contains("does not know this link")));
    // The right one still counts.
    join(&phone, &link, "phone").await;
    let shown = alice.until("words", words).await;
    assert_eq!(phone.until("words", words).await, shown);
    say(&alice, true).await;
    // PAIR-13: the welcome is there, and this person has not compared the words yet.
    assert_eq!(
        phone
            .ask::<Option<view::Account>>(Command::AccountShow {})
            .await,
        None
    );
    say(&phone, true).await;
    assert_eq!(phone.until("the device to join", ended).await.failed, None);
    until_connected(&alice, 2).await;
    for actor in [alice, phone, other] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_marked_later_gets_the_key_and_changes_the_list() {
    let town = Town::found().await;
    let [a, p, q] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut phone = fresh(p.path()).await;
    alice.until_registered().await;
    add(&mut alice, &mut phone, "phone", false).await;
    until_connected(&alice, 2).await;
    let device = "phone".to_owned();
    let owner = true;
    alice
        .ask::<Vec<view::Device>>(Command::DeviceOwner { device, owner })
        .await;
    let marked = |list: &[view::Device]| list.iter().all(|device| device.owner);
    until_list(&phone, Command::DeviceList {}, "mark", marked).await;
    // The key comes with the next word.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let (device, name) = ("phone".to_owned(), "pocket".to_owned());
    let rename = Command::DeviceRename { device, name };
    while phone
        .try_ask::<Vec<view::Device>>(rename.clone())
        .await
        .is_err()
    {
        assert!(tokio::time::Instant::now() < deadline, "no key");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // And it may add another one.
    let mut tablet = fresh(q.path()).await;
    phone.until_registered().await;
    add(&mut phone, &mut tablet, "tablet", true).await;
    for actor in [&alice, &phone, &tablet] {
        let three = |list: &[view::Device]| {
            list.len() == 3 && list.iter().any(|device| device.name == "pocket")
        };
        until_list(actor, Command::DeviceList {}, "third device", three).await;
    }
    let device = "tablet".to_owned();
    let refused = alice.try_ask::<serde_json::Value>(Command::DeviceRevoke { device });
    let refused = refused.await.expect_err("it has the key");
    assert!(refused.message.contains("24 words"), "{refused}");
    for actor in [alice, phone, tablet] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_hear_no_more_of_a_device_that_was_removed_while_it_was_off() {
    let town = Town::found().await;
    let [a, b, p] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let mut phone = fresh(p.path()).await;
    add(&mut alice, &mut phone, "phone", false).await;
    until_knows(&phone, "Bob").await;
    phone.until_online("Bob").await;
    phone.node.stop().await;
    // The phone is off, and so is Bob.
    bob.node.stop().await;
    let device = "phone".to_owned();
    alice
        .ask::<Vec<view::Device>>(Command::DeviceRevoke { device })
        .await;
    let mut bob = Actor::start(b.path()).await;
    let text = "from the desk".to_owned();
    alice.until_online("Bob").await;
    let who = "Bob".to_owned();
    alice
        .ask::<view::Message>(Command::ChatSend { who, text })
        .await;
    bob.until("the desk's message", |event| match event {
        Event::Message(message) if message.text == "from the desk" => Some(()),
        _ => None,
    })
    .await;
    // The phone comes back, knocks at the desk, and is told.
    let phone = Actor::start(p.path()).await;
    until_removed(&phone).await;
    for actor in [alice, bob, phone] {
        actor.node.stop().await;
    }
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_link_for_a_device_is_refused_with_a_sentence() {
    let town = Town::found().await;
    let [a, p] = [folder(), folder()];
    let alice = town.settle(a.path(), "Alice").await;
    alice.until_registered().await;
    let phone = fresh(p.path()).await;
    let own: view::OwnLink = alice.ask(Command::ContactLink {}).await;
    for (link, why) in [
        (own.link, "not for a device"),
        ("starling-device:aaaa".to_owned(), ""),
        (String::new(), ""),
    ] {
        let join = Command::DeviceJoin { link, name: None };
        let failure = phone
            .try_ask::<view::Pairing>(join)
            .await
            .expect_err("no link");
        assert_eq!(failure.data.kind, ErrorKind::Usage);
        println!("{why}: {}", failure.message);
    }
    let refused = [
        (
            &phone,
            Command::DeviceAnswer { same: true },
            ErrorKind::State,
        ),
        (
            &phone,
            Command::DeviceAdd { owner: false },
            ErrorKind::State,
        ),
        (
            &alice,
            Command::DeviceAnswer { same: true },
            ErrorKind::State,
        ),
        (
            &alice,
            Command::DeviceRevoke {
                device: "phone".into(),
            },
            ErrorKind::NotFound,
        ),
        (
            &alice,
            Command::DeviceRename {
                device: "nobody".into(),
                name: "x".into(),
            },
            ErrorKind::NotFound,
        ),
    ];
    for (actor, command, kind) in refused {
        let failure = actor.try_ask::<serde_json::Value>(command).await;
        assert_eq!(failure.expect_err("refused").data.kind, kind);
    }
    alice.node.stop().await;
    phone.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_a_name_and_does_not_remove_itself() {
    let town = Town::found().await;
    let a = folder();
    let alice = town.settle(a.path(), "Alice").await;
    let devices: Vec<view::Device> = alice.ask(Command::DeviceList {}).await;
    let device = devices[0].id.clone();
    let own = alice
        .try_ask::<serde_json::Value>(Command::DeviceRevoke { device })
        .await;
    assert!(own.expect_err("itself").message.contains("in front of you"));
    let device = devices[0].id.clone();
    for name in [String::new(), "n".repeat(65), "a\nb".to_owned()] {
        let device = device.clone();
        let rename = Command::DeviceRename { device, name };
        let failure = alice.try_ask::<serde_json::Value>(rename).await;
        assert_eq!(failure.expect_err("no name").data.kind, ErrorKind::Usage);
    }
    let name = "desk".to_owned();
    let renamed: Vec<view::Device> = alice.ask(Command::DeviceRename { device, name }).await;
    assert_eq!(renamed[0].name, "desk");
    alice.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_09_a_removed_device_is_out_and_can_remove_nobody() {
    let town = Town::found().await;
    let [a, b, p] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let mut phone = fresh(p.path()).await;
    add(&mut alice, &mut phone, "phone", false).await;
    until_knows(&phone, "Bob").await;
    phone.until_online("Bob").await;
    until_connected(&alice, 2).await;
    // The thief is first, and has no key to do it with.
    let device = alice.ask::<Vec<view::Device>>(Command::DeviceList {}).await[0]
        .id
        .clone();
    let refused = phone
        .try_ask::<serde_json::Value>(Command::DeviceRevoke { device })
        .await;
    assert!(
        refused
            .expect_err("no key")
            .message
            .contains("does not hold the account's key")
    );
    let device = "phone".to_owned();
    let left: Vec<view::Device> = alice.ask(Command::DeviceRevoke { device }).await;
    assert_eq!(left.len(), 1);
    until_removed(&phone).await;
    // What it has can be read, and nothing goes out.
    until_knows(&phone, "Bob").await;
    let (who, text) = ("Bob".to_owned(), "still here".to_owned());
    let send = phone
        .try_ask::<view::Message>(Command::ChatSend { who, text })
        .await;
    assert!(send.expect_err("removed").message.contains("was removed"));
    phone.node.stop().await;
    // Also after it was started again.
    let phone = Actor::start(p.path()).await;
    until_removed(&phone).await;
    for actor in [alice, bob, phone] {
        actor.node.stop().await;
    }
    town.end().await;
}
