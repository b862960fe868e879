//! Presence between two contacts on one supernode: what is seen, how soon, and what is not.

use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, Event, view};
use starling_node::NodeConfig;
use starling_store::{Store, settings};
use starling_wire::ids::NetworkId;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;
use tempfile::TempDir;

use crate::cast::{Actor, PATIENCE, Town, befriend, folder};
use crate::devices;
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
        Event::Call(call) => (call.state == view::CallState::Ringing).then_some(()),
        _ => None,
    });
    rings.await;
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
    let busy = pair.bob.until("the end", |event| match event {
        Event::Call(call) if call.state == view::CallState::Ended => Some(call.words.clone()),
        _ => None,
    });
    assert_eq!(busy.await, "busy");
    let missed = pair.alice.until("the missed call", |event| match event {
        Event::Call(call) => Some((call.state, call.answered_at)),
        _ => None,
    });
    assert_eq!(
        missed.await,
        (view::CallState::Ended, None),
        "nothing rings"
    );
    // It is written down a moment after it is told.
    let mut logged = 0;
    for _ in 0..40 {
        let log: Vec<view::Call> = pair.alice.ask(Command::CallList { limit: None }).await;
        logged = log.len();
        if logged > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(logged, 1);
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

/// What a device chose, once the others have heard of it.
async fn chosen(device: &Actor, choice: view::PresenceChoice, mood: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let own: view::OwnPresence = device.ask(Command::PresenceShow {}).await;
        if (own.choice, own.mood.as_str()) == (choice, mood) {
            return;
        }
        assert!(Instant::now() < deadline, "{own:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `PRESENCE-19`, `PRESENCE-26`: what is chosen on one device is so on all, and the contact sees one person.
#[tokio::test(flavor = "multi_thread")]
async fn presence_26_two_devices_agree_on_what_was_chosen_last() {
    let mut pair = Pair::meet().await;
    let home = folder();
    let mut phone = devices::fresh(home.path()).await;
    devices::add(&mut pair.alice, &mut phone, "phone", false).await;
    devices::until_connected(&pair.alice, 1).await;
    set(&pair.alice, view::PresenceChoice::Dnd, "in a meeting").await;
    chosen(&phone, view::PresenceChoice::Dnd, "in a meeting").await;
    let busy = view::Presence::DoNotDisturb;
    seen(&mut pair.bob, "Alice", busy, "in a meeting").await;
    set(&phone, view::PresenceChoice::Away, "walking").await;
    chosen(&pair.alice, view::PresenceChoice::Away, "walking").await;
    seen(&mut pair.bob, "Alice", view::Presence::Away, "walking").await;
    // PRESENCE-19: one that was off hears of it when it is back, and gives nobody away before that.
    phone.node.stop().await;
    set(&pair.alice, view::PresenceChoice::Invisible, "walking").await;
    seen(&mut pair.bob, "Alice", view::Presence::Offline, "walking").await;
    let mut seen_by_bob = pair.bob.control.events();
    let phone = Actor::start(home.path()).await;
    chosen(&phone, view::PresenceChoice::Invisible, "walking").await;
    phone.until_registered().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    while let Ok(event) = seen_by_bob.try_recv() {
        if let Event::Contact(contact) = event {
            assert_eq!(contact.presence, view::Presence::Offline);
        }
    }
    phone.node.stop().await;
    pair.part().await;
}

/// `PRESENCE-24`: the machine alone turns a person to away, and the first act turns them back.
#[tokio::test(flavor = "multi_thread")]
async fn presence_24_whoever_does_nothing_is_shown_as_away_until_the_next_act() {
    let mut pair = Pair::meet().await;
    pair.alice.node.stop().await;
    let mut store = Store::open(pair.homes[0].path()).expect("the profile");
    store
        .write(|tx| settings::set(tx, "presence away after seconds", "2"))
        .expect("written");
    drop(store);
    pair.alice = Actor::start(pair.homes[0].path()).await;
    let away = seen(&mut pair.bob, "Alice", view::Presence::Away, "").await;
    assert!(away.presence.is_there());
    let begin = Instant::now();
    let _: serde_json::Value = pair.alice.ask(Command::PresenceActive {}).await;
    seen(&mut pair.bob, "Alice", view::Presence::Online, "").await;
    println!("back after {:?}", begin.elapsed());
    seen(&mut pair.bob, "Alice", view::Presence::Away, "").await;
    pair.part().await;
}

/// `CONTACT-08`, `PRESENCE-15`: whoever may not see the presence sees what they see of somebody who left, and goes on seeing it.
#[tokio::test(flavor = "multi_thread")]
async fn presence_15_whoever_was_denied_it_sees_somebody_who_left_and_is_answered() {
    let mut pair = Pair::meet().await;
    let home = folder();
    let mut dora = pair.town.settle(home.path(), "Dora").await;
    befriend(&mut dora, &mut pair.bob).await;
    for actor in [&pair.alice, &dora] {
        set(actor, view::PresenceChoice::Auto, "hello").await;
    }
    for name in ["Alice", "Dora"] {
        seen(&mut pair.bob, name, view::Presence::Online, "hello").await;
    }
    dora.node.stop().await;
    let (who, what) = ("Bob".to_owned(), "presence".to_owned());
    let deny = Command::ContactPermit {
        who,
        what,
        allowed: false,
    };
    let _: view::Contact = pair.alice.ask(deny).await;
    let mut views = Vec::new();
    for name in ["Alice", "Dora"] {
        let left = seen(&mut pair.bob, name, view::Presence::Offline, "hello").await;
        let seen = left.last_seen.expect("a minute");
        assert_eq!(seen % 60_000, 0, "to the minute");
        views.push((left.in_call, left.waiting, left.denied));
    }
    assert_eq!(views[0], views[1]);
    let mut seen_by_bob = pair.bob.control.events();
    set(&pair.alice, view::PresenceChoice::Dnd, "not for Bob").await;
    let (who, text) = ("Alice".to_owned(), "are you there?".to_owned());
    let _: view::Message = pair.bob.ask(Command::ChatSend { who, text }).await;
    let came = |event: &Event| match event {
        Event::Message(message) if message.text == "are you there?" => Some(()),
        _ => None,
    };
    pair.alice.until("the message", came).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    while let Ok(event) = seen_by_bob.try_recv() {
        if let Event::Contact(contact) = event {
            let shown = (contact.presence, contact.mood.as_str());
            assert_eq!(shown, (view::Presence::Offline, "hello"));
        }
    }
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
    tokio::join!(alice.node.stop(), bob.node.stop(), sven.node.stop());
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
