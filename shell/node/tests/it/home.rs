//! The home supernode dies or falls silent: the next one serves, and contacts hardly notice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use starling_control::{Command, Event, view};
use starling_node::audio::Audio;
use starling_node::clock::Clock;
use starling_node::context::{Homes, Signal};
use starling_node::db::Db;
use starling_node::identity::Identity;
use starling_node::roles::carrier::Carrier;
use starling_node::session::{Session, Start};
use starling_node::transport::pins::Pins;
use starling_store::{Store, StoreHandle, profile, settings};
use starling_wire::ids::NetworkId;
use starling_wire::link::Link;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;
use tempfile::TempDir;
use tokio::sync::broadcast;

use crate::cast::{Actor, PATIENCE, befriend, config, folder};
use crate::shim::Shim;

/// A network of two supernodes; the first is reached through a shim.
struct Twins {
    nodes: [Actor; 2],
    _homes: [TempDir; 2],
    shim: Shim,
    first: SupernodeAddr,
    second: SupernodeAddr,
    owner: SigningKey,
}

impl Twins {
    async fn found() -> Self {
        let homes = [folder(), folder()];
        let (sven, behind) = supernode(&homes[0], "Sven").await;
        let (sue, second) = supernode(&homes[1], "Sue").await;
        let shim = Shim::before(behind.tcp).await;
        Self {
            first: SupernodeAddr {
                tcp: shim.address,
                ..behind
            },
            nodes: [sven, sue],
            _homes: homes,
            shim,
            second,
            owner: SigningKey::from_bytes(&[7; 32]),
        }
    }

    /// A node with an account whose supernodes are these, in this order.
    async fn settle(&self, home: &TempDir, name: &str, supernodes: [&SupernodeAddr; 2]) -> Actor {
        let network = Network {
            id: NetworkId(self.owner.verifying_key().to_bytes()),
            name: "Twins".to_owned(),
            supernodes: supernodes.map(Clone::clone).to_vec(),
        };
        let actor = Actor::start(home.path()).await;
        let source = network.to_file(&self.owner);
        actor
            .ask::<view::Network>(Command::NetworkJoin { source })
            .await;
        actor
            .ask::<view::Account>(Command::AccountCreate { name: name.into() })
            .await;
        until_at(&actor, supernodes[0]).await;
        actor
    }

    async fn end(self) {
        for actor in self.nodes {
            actor.node.stop().await;
        }
    }
}

pub async fn supernode(home: &TempDir, name: &str) -> (Actor, SupernodeAddr) {
    let mut config = config(home.path());
    config.supernode = true;
    let actor = Actor::start_with(config).await;
    actor
        .ask::<view::Account>(Command::AccountCreate { name: name.into() })
        .await;
    actor.until_registered().await;
    let link: view::OwnLink = actor.ask(Command::ContactLink {}).await;
    let link: Link = link.link.parse().expect("a link");
    (actor, link.supernodes[0].clone())
}

/// Until the node is registered there; how long it took.
async fn until_at(actor: &Actor, home: &SupernodeAddr) -> Duration {
    let begin = Instant::now();
    loop {
        let status: view::Status = actor.ask(Command::Status {}).await;
        let there = |at: view::SupernodeStatus| at.connected && at.address == home.tcp.to_string();
        if status.supernode.is_some_and(there) {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < PATIENCE, "not at {} in time", home.tcp);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A message from one to the other, until its receipt is there; how long it took.
async fn say(from: &mut Actor, who: &str) -> Duration {
    let begin = Instant::now();
    let (who, text) = (who.to_owned(), "still there?".to_owned());
    let sent: view::Message = from.ask(Command::ChatSend { who, text }).await;
    from.until("the receipt", |event| match event {
        Event::Message(message) => {
            (message.id == sent.id && message.delivery == view::Delivery::Delivered).then_some(())
        }
        _ => None,
    })
    .await;
    begin.elapsed()
}

/// `PRESENCE-21`: what was seen of somebody until now.
fn never_offline(mut seen: broadcast::Receiver<Event>, name: &str) {
    while let Ok(event) = seen.try_recv() {
        if let Event::Contact(contact) = event
            && contact.name == name
        {
            assert_ne!(contact.presence, view::Presence::Offline, "{contact:?}");
        }
    }
}

async fn presence_of(actor: &Actor, name: &str) -> view::Presence {
    let list: Vec<view::Contact> = actor.ask(Command::ContactList {}).await;
    let found = list.into_iter().find(|contact| contact.name == name);
    found.expect("the contact").presence
}

#[tokio::test(flavor = "multi_thread")]
async fn home_01_when_the_home_supernodes_process_dies_the_next_one_serves_within_a_second() {
    let twins = Twins::found().await;
    let homes = [folder(), folder()];
    let mut alice = twins
        .settle(&homes[0], "Alice", [&twins.first, &twins.second])
        .await;
    let mut bob = twins
        .settle(&homes[1], "Bob", [&twins.second, &twins.first])
        .await;
    befriend(&mut alice, &mut bob).await;
    let seen_by_bob = bob.control.events();
    // The relay's link stands some 200 ms after registering; only a link that stood can be seen to break.
    tokio::time::sleep(Duration::from_millis(500)).await;
    twins.shim.die();
    let took = until_at(&alice, &twins.second).await;
    println!("registered at the second supernode after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    say(&mut bob, "Alice").await;
    say(&mut alice, "Bob").await;
    assert_eq!(presence_of(&bob, "Alice").await, view::Presence::Online);
    assert_eq!(presence_of(&alice, "Bob").await, view::Presence::Online);
    never_offline(seen_by_bob, "Alice");
    alice.node.stop().await;
    bob.node.stop().await;
    twins.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn home_01_two_contacts_at_the_same_dying_supernode_find_each_other_again() {
    let twins = Twins::found().await;
    let homes = [folder(), folder()];
    let mut alice = twins
        .settle(&homes[0], "Alice", [&twins.first, &twins.second])
        .await;
    let mut bob = twins
        .settle(&homes[1], "Bob", [&twins.first, &twins.second])
        .await;
    befriend(&mut alice, &mut bob).await;
    let seen_by_bob = bob.control.events();
    twins.shim.die();
    until_at(&alice, &twins.second).await;
    until_at(&bob, &twins.second).await;
    let (there, back) = (say(&mut bob, "Alice").await, say(&mut alice, "Bob").await);
    println!("delivered after {there:?} and {back:?}");
    never_offline(seen_by_bob, "Alice");
    alice.node.stop().await;
    bob.node.stop().await;
    twins.end().await;
}

/// Alice without a process round her: calls are told to the session directly.
struct Bare {
    session: Arc<Session>,
    _folder: TempDir,
}

impl Bare {
    async fn start(twins: &Twins) -> Self {
        let folder = folder();
        let mut store = Store::open(folder.path()).expect("a store");
        let identity = Identity::create("Alice", "test");
        let profile = identity.to_profile();
        store
            .write(|tx| profile::create(tx, &profile))
            .expect("an account");
        let db = Db::new(StoreHandle::start(store).expect("a store's thread"));
        let start = Start {
            config: config(folder.path()),
            clock: Clock::start(),
            audio: Audio::load(&db).await.expect("a store"),
            db,
            events: broadcast::channel(64).0,
            pins: Pins::default(),
            carrier: Carrier::new(Clock::start()),
            homes: Homes {
                network: None,
                supernodes: vec![twins.first.clone(), twins.second.clone()],
                own: None,
            },
            changed: Arc::default(),
            identity,
        };
        let session = Box::pin(Session::start(start)).await.expect("a session");
        let bare = Self {
            session,
            _folder: folder,
        };
        bare.until_at(&twins.first, PATIENCE).await;
        bare
    }

    async fn until_at(&self, home: &SupernodeAddr, patience: Duration) -> Duration {
        let begin = Instant::now();
        loop {
            let state = self.session.home_state();
            if state.registered && state.supernode.as_ref() == Some(home) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < patience, "still {state:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn home_03_in_a_call_a_silent_home_supernode_is_replaced_within_three_seconds() {
    let twins = Twins::found().await;
    let alice = Bare::start(&twins).await;
    alice.session.ctx.signal(Signal::InCall(true));
    // A supernode that answers its probes is kept.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    alice.until_at(&twins.first, Duration::ZERO).await;
    twins.shim.fall_silent();
    let took = alice.until_at(&twins.second, Duration::from_secs(15)).await;
    println!("registered at the second supernode after {took:?} of silence");
    assert!(
        took > Duration::from_secs(1),
        "only silence counts: {took:?}"
    );
    alice.session.stop().await;
    twins.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn home_05_at_rest_a_silent_home_supernode_is_replaced_within_thirty_seconds() {
    let twins = Twins::found().await;
    let alice = Bare::start(&twins).await;
    // The lasting link comes after the registration.
    tokio::time::sleep(Duration::from_secs(2)).await;
    twins.shim.fall_silent();
    let took = alice.until_at(&twins.second, Duration::from_secs(60)).await;
    println!("registered at the second supernode after {took:?} of silence");
    assert!(took < Duration::from_secs(30), "{took:?}");
    alice.session.stop().await;
    twins.end().await;
}

/// The router does not run before all is sent: this test has one thread. The first signal is lost for certain.
#[tokio::test]
async fn a_home_whose_signal_was_lost_is_told_all_the_same() {
    const TOLD: &str = "told homes";
    let twins = Twins::found().await;
    let alice = Bare::start(&twins).await;
    let ctx = Arc::clone(&alice.session.ctx);
    let is_told = async || {
        let told = ctx.db.read(|tx| settings::get(tx, TOLD)).await;
        told.expect("read").is_some_and(|told| !told.is_empty())
    };
    let begin = Instant::now();
    while !is_told().await {
        assert!(begin.elapsed() < PATIENCE, "never told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let forget = ctx.db.write(|tx| settings::set(tx, TOLD, ""));
    forget.await.expect("cleared");
    let mut events = ctx.events.subscribe();
    ctx.signal(Signal::Home(twins.first.clone()));
    for _ in 0..2_000 {
        ctx.signal(Signal::Contact(ctx.identity.account()));
    }
    let begin = Instant::now();
    while !is_told().await {
        assert!(begin.elapsed() < PATIENCE, "not told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let heard = tokio::time::timeout(PATIENCE, async {
        while !matches!(events.recv().await, Ok(Event::Lagged)) {}
    });
    heard.await.expect("clients ask anew");
    alice.session.stop().await;
    twins.end().await;
}
