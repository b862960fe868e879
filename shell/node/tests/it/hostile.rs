//! People who do not keep to the protocol: they speak frames of their own to whole nodes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_control::{Command, Event, view};
use starling_node::clock::{random, wall_s};
use starling_node::identity::Identity;
use starling_node::transport::dial::DialError;
use starling_node::transport::front_door::{Arrival, Doorkeeper, FrontDoor, Visitor};
use starling_node::transport::pins::Pins;
use starling_node::transport::proxy::ProxySetting;
use starling_node::transport::requests::{RequestError, Supernodes};
use starling_store::contacts::{self, Contact};
use starling_store::{Store, networks, profile};
use starling_wire::account::Chain;
use starling_wire::alpn;
use starling_wire::card::{Door, SignedCard};
use starling_wire::envelope::{Letter, Sender, seal};
use starling_wire::frame::{decode_body, encode};
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::link::{Link, Target};
use starling_wire::postage::{ContactsKey, WORK_MIN};
use starling_wire::record::{AccountRecord, Signed};
use starling_wire::registration::{Place, Registration};
use starling_wire::supernode::{Answer, Notice, Refusal, Request, SupernodeAddr};
use tokio::sync::mpsc;

use crate::cast::{Actor, PATIENCE, befriend, folder, paid};

mod devices;
mod profiles;
mod recovered;
mod rescue;
mod strangers;
mod supernode;

use self::strangers::request_text;

/// A front door of Mallory's that says what she likes.
struct Mallory {
    identity: Identity,
    door: Arc<FrontDoor>,
    supernodes: Supernodes,
    arrivals: mpsc::Receiver<Arrival>,
    gate: Arc<Gate>,
}

/// Whether she opens, and how often somebody knocked in vain.
#[derive(Default)]
struct Gate {
    shut: AtomicBool,
    turned_away: AtomicUsize,
}

impl Mallory {
    /// Somebody nobody knows.
    async fn stranger() -> Self {
        Self::with(Identity::create("Mallory", "laptop")).await
    }

    async fn with(identity: Identity) -> Self {
        let gate = Arc::new(Gate::default());
        let seen = Arc::clone(&gate);
        let keeper: Doorkeeper = Arc::new(move |_| {
            if seen.shut.load(Ordering::SeqCst) {
                seen.turned_away.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            Some(Visitor::Supernode)
        });
        let (sender, arrivals) = mpsc::channel(8);
        let seed = &identity.front_door_seed;
        let (pins, proxy) = (Pins::default(), ProxySetting::None);
        let door = FrontDoor::open(seed, pins, proxy, None, keeper, sender)
            .await
            .expect("a front door opens");
        let door = Arc::new(door);
        Self {
            supernodes: Supernodes::new(Arc::clone(&door)),
            identity,
            door,
            arrivals,
            gate,
        }
    }

    /// Registers at a supernode.
    async fn settle(&self, home: &SupernodeAddr) -> Known {
        self.door.set_home(home).await;
        let record = self.identity.record(1, std::slice::from_ref(home));
        let record = record.expect("a key");
        let request = self.identity.registration(record.clone(), home.id);
        let registered = self.ask(home, Request::Register(Box::new(request))).await;
        assert_eq!(registered.ok(), Some(Answer::Ok));
        Known {
            account: self.identity.account(),
            record,
            home: home.clone(),
        }
    }

    /// Many connections at once.
    async fn open(&self, door: &Door, protocol: &'static [u8], count: usize) -> Vec<Connection> {
        self.near(&door.home[0]).await;
        let mut dials = tokio::task::JoinSet::new();
        for _ in 0..count {
            let (from, door) = (Arc::clone(&self.door), door.clone());
            dials.spawn(async move { from.dial(&door, protocol).await });
        }
        let open: Vec<_> = dials.join_all().await.into_iter().flatten().collect();
        assert_eq!(open.len(), count, "she is let in");
        open
    }

    /// The next notice of a supernode.
    async fn notice(&mut self, from: EndpointKey) -> Notice {
        let wait = tokio::time::timeout(PATIENCE, self.arrivals.recv());
        let arrival = wait.await.expect("in time").expect("a connection");
        assert_eq!(arrival.key, from);
        let mut receive = arrival.connection.accept_uni().await.expect("a stream");
        let bytes = receive.read_to_end(300).await.expect("a notice");
        decode_body(&bytes[4..], 256).expect("a notice")
    }

    async fn ask(&self, at: &SupernodeAddr, request: Request) -> Result<Answer, RequestError> {
        self.near(at).await;
        self.supernodes.ask(at, &request).await
    }

    /// A front door reaches relays by its home; hers is the first that she asks, registered or not.
    async fn near(&self, home: &SupernodeAddr) {
        if self.door.home().is_none() {
            self.door.set_home(home).await;
        }
    }

    /// A letter to `to` with this card, as the number of its device's door.
    async fn write(&self, to: &Known, letter: Letter, card: SignedCard) {
        let sender = Sender {
            key: &self.identity.device,
            number: card.doors[0].sequence,
            card,
        };
        let sealed = seal(
            sender,
            to.account,
            &to.record.record.request_key,
            letter,
            wall_s(),
            random(),
        );
        let request = paid(to.account, sealed.expect("it is short"), WORK_MIN);
        assert_eq!(self.ask(&to.home, request).await.ok(), Some(Answer::Ok));
    }

    fn card(&self, sequence: u64) -> SignedCard {
        self.card_at(sequence, "Mallory", &[])
    }

    fn card_at(&self, sequence: u64, name: &str, home: &[SupernodeAddr]) -> SignedCard {
        let identity = Identity {
            name: name.to_owned(),
            ..self.identity.clone()
        };
        identity.card(sequence, home, None)
    }
}

/// What a link leads to.
struct Known {
    account: AccountId,
    record: Signed<AccountRecord>,
    home: SupernodeAddr,
}

async fn find(mallory: &Mallory, link: &str) -> Known {
    let link: Link = link.parse().expect("a link");
    let (Target::Account(account), home) = (link.target, link.supernodes[0].clone()) else {
        panic!("a link to a person");
    };
    let lookup = Request::Lookup { account };
    let Ok(Answer::Record(Some(record))) = mallory.ask(&home, lookup).await else {
        panic!("Alice is registered");
    };
    Known {
        account,
        record,
        home,
    }
}

/// What a node that was stopped had on disk: who it was, and whom it knew.
fn read_profile(home: &Path) -> (Identity, Vec<Contact>) {
    let store = Store::open(home).expect("the store opens");
    let profile = store
        .read(profile::load)
        .expect("it is whole")
        .expect("an account");
    let identity = Identity::from_profile(&profile);
    (identity, store.read(contacts::list).expect("it is whole"))
}

fn card_of<'a>(known: &'a [Contact], name: &str) -> &'a SignedCard {
    let cards = known.iter().filter_map(|contact| contact.card.as_ref());
    let mut named = cards.filter(|card| card.card.name == name);
    named.next().expect("a contact of that name")
}

async fn link_of(actor: &Actor) -> String {
    actor.until_registered().await;
    actor
        .ask::<view::OwnLink>(Command::ContactLink {})
        .await
        .link
}

/// A supernode for everybody, and the link to its network.
async fn sue_with_a_network(home: &Path) -> (Actor, String) {
    let sue = Actor::create(home, "Sue").await;
    let network: view::NetworkMade = sue
        .ask(Command::NetworkInit {
            name: "Family".into(),
            advertise: Some("127.0.0.1".into()),
        })
        .await;
    (sue, network.link)
}

async fn join(actor: &Actor, source: &str) {
    let source = source.to_owned();
    actor
        .ask::<view::Network>(Command::NetworkJoin { source })
        .await;
    actor.until_registered().await;
}

/// Registers Mallory's door with Alice's record and history, as a device of Mallory's and as one of Alice's.
async fn claims_a_device_of(mallory: &Mallory, alice: &Known, chain: Chain) {
    let place = Place {
        door: mallory.door.key(),
        supernode: alice.home.id,
    };
    let devices = chain.verify().expect("valid").devices().clone();
    let device = &mallory.identity.device;
    let mut forged = Registration::new(
        alice.record.clone(),
        chain,
        device,
        place,
        ContactsKey([0; 32]),
    );
    for device in devices.into_keys().chain([forged.device]) {
        forged.device = device;
        let request = Request::Register(Box::new(forged.clone()));
        assert!(
            matches!(
                mallory.ask(&alice.home, request).await,
                Err(RequestError::Refused(Refusal::InvalidRecord))
            ),
            "a door of Mallory's was taken for one of Alice's"
        );
    }
}

/// Mallory is even a contact of Alice's and has her whole history. Alice is away, and Carol's letter waits for her.
#[tokio::test(flavor = "multi_thread")]
async fn super_06_mallory_cannot_register_a_door_as_alices() {
    let [s, a, m, c] = [folder(), folder(), folder(), folder()];
    let (sue, network) = sue_with_a_network(s.path()).await;
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut contact = Actor::create(m.path(), "Mallory").await;
    join(&alice, &network).await;
    join(&contact, &network).await;
    befriend_as(&mut alice, &mut contact, ["Alice", "Mallory"]).await;
    let link = link_of(&alice).await;
    alice.node.stop().await;
    contact.node.stop().await;
    let carol = Actor::create(c.path(), "Carol").await;
    join(&carol, &network).await;
    carol
        .ask::<view::Contact>(Command::ContactAdd {
            link: link.clone(),
            message: "It is Carol".into(),
        })
        .await;

    let (identity, known) = read_profile(m.path());
    let chain = card_of(&known, "Alice").card.chain.clone();
    let mallory = Mallory::with(identity).await;
    let at = find(&mallory, &link).await;
    claims_a_device_of(&mallory, &at, chain).await;
    // The door is still registered as Mallory's own, and so is what it collects.
    let waiting = mallory.ask(&at.home, Request::Collect).await;
    assert!(
        !matches!(&waiting, Ok(Answer::Envelopes { letters, .. }) if !letters.is_empty()),
        "Mallory was given Alice's letters: {waiting:?}"
    );

    let mut alice = Actor::start(a.path()).await;
    let request = alice
        .until("Carol's request", |event| match event {
            Event::Request(request) => Some(request.clone()),
            _ => None,
        })
        .await;
    assert_eq!(request.name, "Carol");
    for actor in [alice, carol, sue] {
        actor.node.stop().await;
    }
}

/// Mallory is a contact of both, so she has Bob's card with the proof of his door.
#[tokio::test(flavor = "multi_thread")]
async fn card_04_mallory_cannot_list_bobs_front_door_as_hers() {
    let [a, b, m] = [folder(), folder(), folder()];
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut bob = Actor::create(b.path(), "Bob").await;
    let mut contact = Actor::create(m.path(), "Mallory").await;
    befriend(&mut alice, &mut bob).await;
    befriend_as(&mut alice, &mut contact, ["Alice", "Mallory"]).await;
    befriend_as(&mut bob, &mut contact, ["Bob", "Mallory"]).await;
    let link = link_of(&alice).await;
    contact.node.stop().await;
    let (identity, known) = read_profile(m.path());
    let bobs = card_of(&known, "Bob").doors[0].clone();
    let mallory = Mallory::with(identity).await;
    let at = find(&mallory, &link).await;
    let mut forged = mallory.card_at(wall_s() + 100, "Not Mallory", &[]);
    forged.doors[0].endpoint = bobs.endpoint;
    forged.doors[0].proof = bobs.proof;
    mallory.write(&at, Letter::Update, forged).await;
    // As a supernode she may name any key; it gives her nothing and takes Bob nothing.
    let bobs_key = SupernodeAddr {
        id: bobs.endpoint,
        ..at.home.clone()
    };
    let named = mallory.card_at(wall_s() + 200, "Mallory II", &[bobs_key]);
    mallory.write(&at, Letter::Update, named).await;
    alice
        .until("Mallory's valid card", |event| match event {
            Event::Contact(contact) => {
                assert_ne!(
                    contact.name, "Not Mallory",
                    "a card with Bob's door was kept"
                );
                (contact.name == "Mallory II").then_some(())
            }
            _ => None,
        })
        .await;
    bob.ask::<view::Message>(Command::ChatSend {
        who: "Alice".into(),
        text: "It is me".into(),
    })
    .await;
    let got = alice
        .until("Bob's message", |event| match event {
            Event::Message(message) if !message.outgoing => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!((got.who.as_str(), got.text.as_str()), ("Bob", "It is me"));
    alice.node.stop().await;
    bob.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_06_a_request_that_is_replayed_is_dropped() {
    let a = folder();
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mallory = Mallory::stranger().await;
    let at = find(&mallory, &link_of(&alice).await).await;
    let letter = |text: &str| Letter::request(text);
    mallory.write(&at, letter("first"), mallory.card(500)).await;
    let request = alice.until("a request", request_text).await;
    assert_eq!(request.0, "first");
    alice
        .ask::<()>(Command::ContactDecline { id: request.1 })
        .await;
    mallory.write(&at, letter("again"), mallory.card(500)).await;
    mallory.write(&at, letter("older"), mallory.card(499)).await;
    mallory.write(&at, letter("newer"), mallory.card(501)).await;
    assert_eq!(alice.until("a request", request_text).await.0, "newer");
    alice.node.stop().await;
}

/// A stranger, a contact with another protocol, and a contact of a later version, all at Alice's front door.
#[tokio::test(flavor = "multi_thread")]
async fn peer_02_04_06_who_is_let_in_at_the_front_door() {
    let [a, m] = [folder(), folder()];
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut contact = Actor::create(m.path(), "Mallory").await;
    befriend_as(&mut alice, &mut contact, ["Alice", "Mallory"]).await;
    contact.node.stop().await;
    let (identity, known) = read_profile(m.path());
    let door = card_of(&known, "Alice").doors[0].clone();

    let stranger = Mallory::stranger().await;
    stranger.near(&door.home[0]).await;
    // Nobody answers: a stranger, and whoever is blocked, cannot tell a closed door from an empty house (CONTACT-08).
    let knocks = [alpn::CHAT, alpn::LINK, alpn::SUPER];
    let knocks = knocks.map(|protocol| stranger.door.dial(&door, protocol));
    for refused in futures_util::future::join_all(knocks).await {
        assert_eq!(refused.err(), Some(DialError::TimedOut), "PEER-02");
    }
    let mallory = Mallory::with(identity).await;
    mallory.near(&door.home[0]).await;
    let later = mallory.door.dial(&door, b"starling/2/chat").await;
    assert_eq!(later.err(), Some(DialError::Version), "PEER-06");
    let wrong = mallory
        .door
        .dial(&door, alpn::SUPER)
        .await
        .expect("a contact completes the handshake");
    let closed = tokio::time::timeout(Duration::from_secs(5), wrong.closed()).await;
    let reason = closed.expect("PEER-04: it is closed").to_string();
    assert!(reason.contains("not here"), "{reason}");
    alice.node.stop().await;
}

/// Mallory behind the key of the supernode in her profile, and a contact's front door.
async fn as_her_supernode(home: &Path, contact: &str) -> (Mallory, Door) {
    let (mut identity, known) = read_profile(home);
    let door = card_of(&known, contact).doors[0].clone();
    let store = Store::open(home).expect("the store opens");
    let seed = store.read(networks::own_supernode).expect("it is whole");
    identity.front_door_seed = *seed.expect("Mallory's supernode");
    (Mallory::with(identity).await, door)
}

/// Mallory runs a supernode and is a contact, so Alice lets her supernode's key in. It is not Alice's home.
#[tokio::test(flavor = "multi_thread")]
async fn home_08_another_supernode_cannot_send_us_away() {
    let [a, m] = [folder(), folder()];
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut contact = Actor::create(m.path(), "Mallory").await;
    befriend_as(&mut alice, &mut contact, ["Alice", "Mallory"]).await;
    contact.node.stop().await;
    let (mallory, door) = as_her_supernode(m.path(), "Alice").await;
    mallory.near(&door.home[0]).await;
    let connection = mallory
        .door
        .dial(&door, alpn::SUPER)
        .await
        .expect("a contact's supernode is let in");
    let mut send = connection.open_uni().await.expect("a stream");
    send.write_all(&encode(&Notice::Leaving))
        .await
        .expect("written");
    send.finish().expect("once");
    let _ = send.stopped().await;
    for _ in 0..100 {
        let status: view::Status = alice.ask(Command::Status {}).await;
        assert!(
            status.supernode.is_some_and(|home| home.connected),
            "Alice left her home because Mallory said so"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    alice.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_21_a_contact_that_says_nothing_holds_four_streams_and_not_for_long() {
    let held = Held::open(alpn::CALL).await;
    within(PATIENCE, || held.closed("") == 20).await;
    assert_eq!(held.closed("silent"), 4);
    held.alice.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_07_a_contact_that_asks_much_at_once_is_answered_four_times() {
    let held = Held::open(alpn::LINK).await;
    held.alice.node.stop().await;
}

/// Mallory is a contact of Alice's, opens twenty connections and says half a word on each.
struct Held {
    alice: Actor,
    silent: Vec<Connection>,
    /// Dropped, they would say that they are over.
    _streams: Vec<(SendStream, RecvStream)>,
    _mallory: Mallory,
    _folders: [tempfile::TempDir; 2],
}

impl Held {
    /// All but four are turned away.
    async fn open(protocol: &'static [u8]) -> Self {
        let folders = [folder(), folder()];
        let mut alice = Actor::create(folders[0].path(), "Alice").await;
        let mut contact = Actor::create(folders[1].path(), "Mallory").await;
        befriend_as(&mut alice, &mut contact, ["Alice", "Mallory"]).await;
        contact.node.stop().await;
        let (identity, known) = read_profile(folders[1].path());
        let door = card_of(&known, "Alice").doors[0].clone();
        let mallory = Mallory::with(identity).await;
        let silent = mallory.open(&door, protocol, 20).await;
        let mut streams = Vec::new();
        for connection in &silent {
            if let Ok((mut send, receive)) = connection.open_bi().await {
                let _ = send.write_all(&[0, 0]).await;
                streams.push((send, receive));
            }
        }
        let held = Self {
            alice,
            silent,
            _streams: streams,
            _mallory: mallory,
            _folders: folders,
        };
        within(Duration::from_secs(5), || held.closed("busy") >= 16).await;
        assert_eq!(held.closed("busy"), 16, "four are heard out");
        held
    }

    fn closed(&self, reason: &str) -> usize {
        self.silent.iter().filter(|one| said(one, reason)).count()
    }
}

fn said(connection: &Connection, reason: &str) -> bool {
    let closed = connection.close_reason();
    closed.is_some_and(|closed| closed.to_string().contains(reason))
}

async fn within(patience: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + patience;
    while !holds() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supernode_that_stops_tells_those_who_are_at_home_there() {
    let s = folder();
    let sue = Actor::create(s.path(), "Sue").await;
    let link = link_of(&sue).await;
    let mut guest = Mallory::stranger().await;
    let home = find(&guest, &link).await.home;
    guest.settle(&home).await;
    let stopping = tokio::spawn(sue.node.stop());
    assert_eq!(guest.notice(home.id).await, Notice::Leaving);
    stopping.await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn super_09_a_door_that_did_not_open_hears_of_its_letter_later() {
    let s = folder();
    let sue = Actor::create(s.path(), "Sue").await;
    let link = link_of(&sue).await;
    let mut guest = Mallory::stranger().await;
    let home = find(&guest, &link).await.home;
    let at = guest.settle(&home).await;
    guest.gate.shut.store(true, Ordering::SeqCst);
    let writer = Mallory::stranger().await;
    let text = Letter::request("hi");
    writer.write(&at, text, writer.card(1)).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while guest.gate.turned_away.load(Ordering::SeqCst) == 0 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "nobody knocked at all"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    guest.gate.shut.store(false, Ordering::SeqCst);
    assert_eq!(guest.notice(home.id).await, Notice::EnvelopeWaiting);
    sue.node.stop().await;
}

/// `befriend` of the cast for people of other names: the host's and the guest's.
async fn befriend_as(host: &mut Actor, guest: &mut Actor, [own, name]: [&str; 2]) {
    let link = link_of(host).await;
    guest.until_registered().await;
    guest
        .ask::<view::Contact>(Command::ContactAdd {
            link,
            message: String::new(),
        })
        .await;
    let id = host
        .until("a request", |event| match event {
            Event::Request(request) if request.name == name => Some(request.id.clone()),
            _ => None,
        })
        .await;
    host.ask::<view::Contact>(Command::ContactAccept { id })
        .await;
    host.until_online(name).await;
    guest.until_online(own).await;
}
