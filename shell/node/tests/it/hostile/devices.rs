//! A device that its owner revoked goes on as if nothing had happened.

use std::time::Instant;

use ed25519_dalek::SigningKey;
use starling_control::{Command, Event, view};
use starling_node::identity::Identity;
use starling_wire::account::Change;
use starling_wire::alpn;
use starling_wire::card::{Card, SignedCard};
use starling_wire::envelope::Letter;
use starling_wire::ids::DeviceId;

use super::{
    Mallory, PATIENCE, befriend_as, card_of as card_named, find, link_of, read_profile, wall_s,
};
use crate::cast::{Actor, Town, befriend, folder};
use crate::devices;

/// Bob's phone, as it was before he revoked it.
fn phone_of(bob: &Identity) -> Identity {
    Identity {
        device: SigningKey::from_bytes(&[77; 32]),
        front_door_seed: [78; 32],
        name: "Thief".into(),
        ..bob.clone()
    }
}

fn card_of(identity: &Identity, sequence: u64) -> SignedCard {
    identity.card(sequence, &[], None)
}

/// The name by which Alice knows her contact from now on. That Bob has gone is told with the name he had.
fn new_name(event: &Event) -> Option<String> {
    match event {
        Event::Contact(view::Contact { name, .. }) if name != "Bob" => Some(name.clone()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_07_a_revoked_device_says_nothing_for_its_account_any_more() {
    let [a, b] = [folder(), folder()];
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut bob = Actor::create(b.path(), "Bob").await;
    befriend_as(&mut alice, &mut bob, ["Alice", "Bob"]).await;
    let link = link_of(&alice).await;
    bob.node.stop().await;
    let (mut identity, _) = read_profile(b.path());
    let mut phone = phone_of(&identity);
    let device = phone.device_id();
    let (name, owner) = ("phone".to_owned(), true);
    let add = Change::AddDevice {
        device,
        name,
        owner,
    };
    let signing = identity.signing.clone().expect("a key");
    identity.chain.append(&signing, add);
    phone.chain = identity.chain.clone();
    let mut desk = Mallory::with(identity).await;
    let phone = Mallory::with(phone).await;
    let at = find(&desk, &link).await;
    let now = wall_s();
    // It is one of Bob's devices, and may say so.
    phone
        .write(&at, Letter::Update, card_of(&phone.identity, now + 100))
        .await;
    assert_eq!(alice.until("the phone's word", new_name).await, "Thief");
    // He revokes it; the phone knows better, by the same key and with higher numbers.
    let change = Change::RemoveDevice { device };
    desk.identity.chain.append(&signing, change);
    desk.identity.name = "Bob again".into();
    desk.write(&at, Letter::Update, card_of(&desk.identity, now + 200))
        .await;
    assert_eq!(alice.until("the desk's word", new_name).await, "Bob again");
    phone
        .write(&at, Letter::Update, card_of(&phone.identity, now + 900))
        .await;
    desk.identity.name = "Bob still".into();
    desk.write(&at, Letter::Update, card_of(&desk.identity, now + 300))
        .await;
    let named = alice.until("the next name", new_name).await;
    assert_eq!(named, "Bob still", "nothing of the phone's came in between");
    alice.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_07_a_revoked_device_does_not_change_a_request_that_waits() {
    let [a, b] = [folder(), folder()];
    let mut alice = Actor::create(a.path(), "Alice").await;
    let bob = Actor::create(b.path(), "Bob").await;
    let link = link_of(&alice).await;
    bob.node.stop().await;
    let (mut identity, _) = read_profile(b.path());
    let phone = phone_of(&identity);
    let device = phone.device_id();
    let signing = identity.signing.clone().expect("a key");
    let add = Change::AddDevice {
        device,
        name: "phone".to_owned(),
        owner: true,
    };
    identity.chain.append(&signing, add);
    let phone = Identity {
        chain: identity.chain.clone(),
        ..phone
    };
    identity
        .chain
        .append(&signing, Change::RemoveDevice { device });
    let (desk, phone) = (Mallory::with(identity).await, Mallory::with(phone).await);
    let at = find(&desk, &link).await;
    let asks = |text: &str| Letter::request(text);
    let now = wall_s();
    let texts = [
        (&desk, "hello"),
        (&phone, "I have another phone"),
        (&desk, "still me"),
    ];
    for (number, (from, text)) in (now + 100..).zip(texts) {
        from.write(&at, asks(text), card_of(&from.identity, number))
            .await;
    }
    for (name, text) in [("Bob", "hello"), ("Bob", "still me")] {
        let asked = |event: &Event| match event {
            Event::Request(request) => Some((request.name.clone(), request.message.clone())),
            _ => None,
        };
        let asked = alice.until("a request", asked).await;
        assert_eq!(asked, (name.to_owned(), text.to_owned()));
    }
    alice.node.stop().await;
}

/// A card in which the phone says that the desk is removed.
fn coup(phone: &Identity, desk: DeviceId, sequence: u64) -> SignedCard {
    let mut chain = phone.chain.clone();
    chain.append(&phone.device, Change::RemoveDevice { device: desk });
    let card = Card {
        chain,
        network: None,
        name: "Thief".into(),
        request_key: [0; 32],
        discovery_key: [0; 32],
        sequence,
    };
    let doors = phone.card(sequence, &[], None).doors;
    card.sign(&phone.device, doors)
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_09_a_contact_closes_the_door_to_a_removed_device_that_goes_on() {
    let town = Town::found().await;
    let [a, b, p] = [folder(), folder(), folder()];
    let mut alice = town.settle(a.path(), "Alice").await;
    let mut bob = town.settle(b.path(), "Bob").await;
    befriend(&mut alice, &mut bob).await;
    let mut phone = devices::fresh(p.path()).await;
    devices::add(&mut alice, &mut phone, "phone", false).await;
    devices::until_knows(&phone, "Bob").await;
    phone.until_online("Bob").await;
    phone.node.stop().await;
    // Whoever has the phone now lets nobody tell it anything.
    let (identity, known) = read_profile(p.path());
    let door = card_named(&known, "Bob").doors[0].clone();
    let thief = Mallory::with(identity).await;
    let open = thief.open(&door, alpn::CHAT, 1).await;
    let list: Vec<view::Device> = alice.ask(Command::DeviceList {}).await;
    let desk = list[0].id.parse().expect("an id");
    let device = "phone".to_owned();
    alice
        .ask::<Vec<view::Device>>(Command::DeviceRevoke { device })
        .await;
    let began = Instant::now();
    let closed = tokio::time::timeout(PATIENCE, open[0].closed()).await;
    println!("closed after {:?}: {closed:?}", began.elapsed());
    assert!(closed.is_ok(), "Bob still hears the thief");
    assert!(thief.door.dial(&door, alpn::CHAT).await.is_err());
    // Now it removes the others, without the account's key, and says so to Bob.
    let link = link_of(&bob).await;
    let at = find(&thief, &link).await;
    let card = coup(&thief.identity, desk, wall_s() + 900);
    thief.write(&at, Letter::Update, card).await;
    let (who, text) = ("Bob".to_owned(), "still me".to_owned());
    alice
        .ask::<view::Message>(Command::ChatSend { who, text })
        .await;
    let heard = bob.until("the desk's message", |event| match event {
        Event::Message(message) => Some((message.who.clone(), message.text.clone())),
        _ => None,
    });
    assert_eq!(heard.await, ("Alice".to_owned(), "still me".to_owned()));
    for actor in [alice, bob] {
        actor.node.stop().await;
    }
    town.end().await;
}
