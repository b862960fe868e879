//! Presence between two contacts on one supernode: what is seen, how soon, and what is not.

use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, Event, view};
use starling_node::NodeConfig;
use starling_wire::ids::NetworkId;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;
use tempfile::TempDir;

use crate::cast::{Actor, PATIENCE, Town, befriend, folder};
use crate::home::supernode;
use crate::shim::Shim;

/// Five times what a change may take where the way costs nothing.
const SOON: Duration = Duration::from_millis(500);

async fn set(actor: &Actor, choice: view::PresenceChoice, mood: &str) {
    let change = view::PresenceChange {
        choice: Some(choice),
        mood: Some(mood.to_owned()),
        ..view::PresenceChange::default()
    };
    let _: view::OwnPresence = actor.ask(Command::PresenceSet(change)).await;
}

async fn seen(
    actor: &mut Actor,
    name: &str,
    presence: view::Presence,
    mood: &str,
) -> view::Contact {
    let list: Vec<view::Contact> = actor.ask(Command::ContactList {}).await;
    let fits = |contact: &view::Contact| {
        contact.name == name && contact.presence == presence && contact.mood == mood
    };
    if let Some(contact) = list.into_iter().find(&fits) {
        return contact;
    }
    actor
        .until(
            &format!("{name} {presence:?} {mood}"),
            |event| match event {
                Event::Contact(contact) if fits(contact) => Some(contact.clone()),
                _ => None,
            },
        )
        .await
}

async fn contact(actor: &Actor, name: &str) -> view::Contact {
    let list: Vec<view::Contact> = actor.ask(Command::ContactList {}).await;
    let found = list.into_iter().find(|contact| contact.name == name);
    found.expect("the contact")
}

struct Pair {
    town: Town,
    homes: [TempDir; 2],
    alice: Actor,
    bob: Actor,
}

impl Pair {
    async fn meet() -> Self {
        let town = Town::found().await;
        let homes = [folder(), folder()];
        let mut alice = town.settle(homes[0].path(), "Alice").await;
        let mut bob = town.settle(homes[1].path(), "Bob").await;
        befriend(&mut alice, &mut bob).await;
        Self {
            town,
            homes,
            alice,
            bob,
        }
    }

    async fn part(self) {
        self.alice.node.stop().await;
        self.bob.node.stop().await;
        self.town.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_23_a_change_is_seen_at_once_with_its_mood() {
    let mut pair = Pair::meet().await;
    // What it said when it came used up part of what may be said at once.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let begin = Instant::now();
    set(&pair.alice, view::PresenceChoice::Away, "on the train").await;
    seen(&mut pair.bob, "Alice", view::Presence::Away, "on the train").await;
    let took = begin.elapsed();
    println!("a change was seen after {took:?}");
    assert!(took < SOON, "{took:?}");
    set(&pair.alice, view::PresenceChoice::Auto, "home").await;
    seen(&mut pair.bob, "Alice", view::Presence::Online, "home").await;
    pair.part().await;
}

/// `PRESENCE-22`: an invisible person is shown as gone, whatever comes of it; letters arrive and calls ring.
#[tokio::test(flavor = "multi_thread")]
async fn presence_22_an_invisible_person_is_reached_and_shown_as_gone() {
    let mut pair = Pair::meet().await;
    set(&pair.alice, view::PresenceChoice::Invisible, "secret").await;
    let gone = seen(&mut pair.bob, "Alice", view::Presence::Offline, "").await;
    let last = gone.last_seen.expect("it is known");
    assert_eq!(last % 60_000, 0, "to the minute");
    let mut seen_by_bob = pair.bob.control.events();
    for (from, who) in [(&mut pair.bob, "Alice"), (&mut pair.alice, "Bob")] {
        let (who, text) = (who.to_owned(), "are you there?".to_owned());
        let sent: view::Message = from.ask(Command::ChatSend { who, text }).await;
        from.until("the receipt", |event| match event {
            Event::Message(message) if message.id == sent.id => {
                (message.delivery == view::Delivery::Delivered).then_some(())
            }
            _ => None,
        })
        .await;
    }
    let call = Command::CallStart {
        who: "Alice".to_owned(),
        sound: Sound::default(),
    };
    let _: view::Call = pair.bob.ask(call).await;
    let rings = pair.alice.until("the call", |event| match event {
        Event::Call(call) => (call.state == view::CallState::Ringing).then_some(call.quiet),
        _ => None,
    });
    assert!(!rings.await, "it rings");
    let _: view::Call = pair.bob.ask(Command::CallHangup { id: None }).await;
    while let Ok(event) = seen_by_bob.try_recv() {
        if let Event::Contact(contact) = event {
            let shown = (contact.presence, contact.last_seen, contact.mood.as_str());
            assert_eq!(shown, (view::Presence::Offline, Some(last), ""));
        }
    }
    // The choice holds over a restart, and Bob hears nothing of it.
    pair.alice.node.stop().await;
    pair.alice = Actor::start(pair.homes[0].path()).await;
    pair.alice.until_registered().await;
    let own: view::OwnPresence = pair.alice.ask(Command::PresenceShow {}).await;
    assert_eq!(own.choice, view::PresenceChoice::Invisible);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let still = contact(&pair.bob, "Alice").await;
    assert_eq!(
        (still.presence, still.last_seen),
        (view::Presence::Offline, Some(last))
    );
    pair.part().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_25_whoever_is_not_to_be_disturbed_misses_calls() {
    let mut pair = Pair::meet().await;
    set(&pair.alice, view::PresenceChoice::Dnd, "").await;
    seen(&mut pair.bob, "Alice", view::Presence::DoNotDisturb, "").await;
    let call = Command::CallStart {
        who: "Alice".to_owned(),
        sound: Sound::default(),
    };
    let _: view::Call = pair.bob.ask(call).await;
    let quiet = pair.alice.until("the call", |event| match event {
        Event::Call(call) => (call.state == view::CallState::Ringing).then_some(call.quiet),
        _ => None,
    });
    assert!(quiet.await, "nothing rings");
    pair.bob
        .until("it rings for Bob", |event| match event {
            Event::Call(call) => (call.state == view::CallState::Ringing).then_some(()),
            _ => None,
        })
        .await;
    let _: view::Call = pair.bob.ask(Command::CallHangup { id: None }).await;
    pair.part().await;
}

/// `PRESENCE-15`: from the moment somebody is blocked, nothing that happens is seen there.
#[tokio::test(flavor = "multi_thread")]
async fn presence_15_a_blocked_person_sees_the_other_leave_and_nothing_more() {
    let mut pair = Pair::meet().await;
    let who = "Bob".to_owned();
    let _: serde_json::Value = pair.alice.ask(Command::ContactBlock { who }).await;
    let gone = seen(&mut pair.bob, "Alice", view::Presence::Offline, "").await;
    assert!(gone.last_seen.is_some(), "as if she had left");
    let mut seen_by_bob = pair.bob.control.events();
    set(&pair.alice, view::PresenceChoice::Away, "nobody's business").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let news = std::iter::from_fn(|| seen_by_bob.try_recv().ok());
    let about = news.filter(|event| matches!(event, Event::Contact(one) if one.name == "Alice"));
    let about: Vec<_> = about.collect();
    assert!(about.is_empty(), "{about:?}");
    pair.part().await;
}

/// `PRESENCE-23`, `PRESENCE-17`: fifty changes a second are a few for everybody else, and the last of them counts.
#[tokio::test(flavor = "multi_thread")]
async fn presence_23_flapping_hurts_nobody() {
    let mut pair = Pair::meet().await;
    let mut seen_by_bob = pair.bob.control.events();
    let begin = Instant::now();
    for step in 0..150 {
        let choice = [view::PresenceChoice::Online, view::PresenceChoice::Away][step % 2];
        set(&pair.alice, choice, &format!("step {step}")).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen(&mut pair.bob, "Alice", view::Presence::Away, "step 149").await;
    let took = begin.elapsed().as_secs();
    let mut changes = 0;
    while let Ok(event) = seen_by_bob.try_recv() {
        changes += u64::from(matches!(event, Event::Contact(_)));
    }
    println!("{changes} changes were seen of 150 in {took} s");
    assert!(changes <= 4 + took / 5, "{changes} in {took} s");
    pair.part().await;
}

/// A machine that vanishes closes nothing: its supernode has to find out.
#[tokio::test(flavor = "multi_thread")]
async fn presence_02_a_machine_that_vanishes_is_shown_as_gone_within_a_minute() {
    let homes = [folder(), folder(), folder()];
    let (sven, behind) = supernode(&homes[0], "Sven").await;
    let shim = Shim::before(behind.tcp).await;
    let shimmed = SupernodeAddr {
        tcp: shim.address,
        ..behind.clone()
    };
    let mut alice = at_home(&homes[1], "Alice", &shimmed).await;
    let mut bob = at_home(&homes[2], "Bob", &behind).await;
    befriend(&mut alice, &mut bob).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begin = Instant::now();
    shim.fall_silent();
    let gone = async {
        while contact(&bob, "Alice").await.presence != view::Presence::Offline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), gone).await;
    println!("shown as gone after {:?}", begin.elapsed());
    assert!(waited.is_ok(), "within a minute");
    assert!(contact(&bob, "Alice").await.last_seen.is_some());
    alice.node.stop().await;
    bob.node.stop().await;
    sven.node.stop().await;
}

/// A node with an account whose only supernode this is.
async fn at_home(home: &TempDir, name: &str, supernode: &SupernodeAddr) -> Actor {
    let owner = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let network = Network {
        id: NetworkId(owner.verifying_key().to_bytes()),
        name: "Lane".to_owned(),
        supernodes: vec![supernode.clone()],
    };
    let config: NodeConfig = crate::cast::config(home.path());
    let actor = Actor::start_with(config).await;
    let source = network.to_file(&owner);
    let _: view::Network = actor.ask(Command::NetworkJoin { source }).await;
    let name = name.to_owned();
    let _: view::Account = actor.ask(Command::AccountCreate { name }).await;
    tokio::time::timeout(PATIENCE, actor.until_registered())
        .await
        .expect("in time");
    actor
}
