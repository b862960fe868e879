//! Supernodes among themselves, on real sockets: they find each other, and what one keeps the others find.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use iroh::endpoint::Connection;
use starling_node::clock::{Clock, wall_s};
use starling_node::db::Db;
use starling_node::drivers::supernode::{Supernode, SupernodeConfig};
use starling_node::identity::Identity;
use starling_node::roles::Role;
use starling_node::roles::carrier::Carrier;
use starling_node::transport::front_door::FrontDoor;
use starling_node::transport::pins::Pins;
use starling_node::transport::proxy::ProxySetting;
use starling_node::transport::relay_server::Limits;
use starling_node::transport::requests::Supernodes;
use starling_protocol::mailbox::holder::Caps;
use starling_store::{Store, StoreHandle};
use starling_wire::alpn;
use starling_wire::frame::{decode_body, encode};
use starling_wire::ids::{AccountId, EndpointKey, NetworkId};
use starling_wire::overlay::{COMPARED_MAX, IndexRefusal, Question, Reply, Word};
use starling_wire::placement::IndexKey;
use starling_wire::policy::Trust;
use starling_wire::record::{AccountRecord, Signed};
use starling_wire::supernode::{Answer, Request, SUPERNODES_TOLD, SupernodeAddr};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::cast::{PATIENCE, folder, listen_for_warnings};
use crate::warnings::NoWarnings;

/// Supernodes of one network, without people.
pub struct Land {
    pub network: NetworkId,
    pub towns: Vec<Town>,
    _calm: NoWarnings,
}

pub struct Town {
    pub supernode: Supernode,
    pub carrier: Carrier,
    seed: [u8; 32],
    ip: Ipv4Addr,
    home: TempDir,
}

impl Land {
    /// The first is in the network file; the others know of nobody else.
    pub async fn of(count: u8) -> Self {
        Self::at(count, |_| Ipv4Addr::LOCALHOST).await
    }

    /// The same, each in a block of addresses of its own.
    pub async fn spread(count: u8) -> Self {
        Self::at(count, |number| Ipv4Addr::new(127, 0, 0, 1 + number)).await
    }

    async fn at(count: u8, ip: impl Fn(u8) -> Ipv4Addr) -> Self {
        listen_for_warnings();
        let network = NetworkId(SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes());
        let mut land = Self {
            network,
            towns: Vec::new(),
            _calm: NoWarnings,
        };
        for number in 0..count {
            let seed = [100 + number; 32];
            let town = Town::start(seed, ip(number), folder()).await;
            let listed = land.listed();
            join(&town, network, listed).await;
            land.towns.push(town);
        }
        land
    }

    fn listed(&self) -> Vec<SupernodeAddr> {
        let first = self.towns.first();
        first.map(|town| town.at().clone()).into_iter().collect()
    }

    /// Until every one of them knows all others; how long that took.
    pub async fn whole(&self) -> Duration {
        let began = Instant::now();
        let others = self.towns.len() - 1;
        while !self
            .towns
            .iter()
            .all(|town| town.supernode.others() == others)
        {
            let known: Vec<_> = self.towns.iter().map(|t| t.supernode.others()).collect();
            assert!(
                began.elapsed() < PATIENCE,
                "of {others} they know {known:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    pub async fn end(self) {
        let stops = self.towns.iter().map(|town| town.supernode.stop());
        futures_util::future::join_all(stops).await;
    }
}

impl Town {
    async fn start(seed: [u8; 32], ip: Ipv4Addr, home: TempDir) -> Self {
        let store = Store::open(home.path()).expect("a store");
        let db = Db::new(StoreHandle::start(store).expect("a store's thread"));
        let any = SocketAddr::from((ip, 0));
        let config = SupernodeConfig {
            listen: any,
            also: Vec::new(),
            discovery: Some(any),
            seed,
            private_only: false,
            advertise: None,
            limits: Limits::default(),
            fixed: false,
            udp: true,
            folder: home.path().to_owned(),
            holding: Caps::default(),
        };
        let clock = Clock::start();
        let carrier = Carrier::new(clock);
        for role in Role::ALL {
            carrier.set(role, true);
        }
        let (pins, carries) = (Pins::default(), carrier.clone());
        let supernode = Supernode::start(config, db, pins, clock, carries)
            .await
            .expect("a supernode");
        Self {
            supernode,
            carrier,
            seed,
            ip,
            home,
        }
    }

    /// The same once more, which was stopped. Alone it has nothing but what it held.
    pub async fn again(self, network: NetworkId) -> Self {
        let back = Self::start(self.seed, self.ip, self.home).await;
        join(&back, network, Vec::new()).await;
        back
    }

    pub fn at(&self) -> &SupernodeAddr {
        self.supernode.address()
    }
}

async fn join(town: &Town, network: NetworkId, listed: Vec<SupernodeAddr>) {
    let joined = town.supernode.join(Some(network), listed, Trust::Any).await;
    joined.expect("it joins");
}

/// Somebody with an account, and with nothing else of a node.
pub struct Person {
    pub identity: Identity,
    pub door: Arc<FrontDoor>,
    pub supernodes: Arc<Supernodes>,
}

impl Person {
    pub async fn new(name: &str) -> Self {
        let identity = Identity::create(name, "laptop");
        let (arrivals, _) = mpsc::channel(1);
        let seed = &identity.front_door_seed;
        let (pins, proxy) = (Pins::default(), ProxySetting::None);
        let nobody = Arc::new(|_| None);
        let door = FrontDoor::open(seed, pins, proxy, None, nobody, arrivals)
            .await
            .expect("a front door");
        let door = Arc::new(door);
        Self {
            identity,
            supernodes: Arc::new(Supernodes::new(Arc::clone(&door))),
            door,
        }
    }

    /// Registers there, with the record of this number.
    pub async fn settle(&self, at: &SupernodeAddr, sequence: u64) -> Result<Answer, String> {
        let record = self
            .identity
            .record(sequence, std::slice::from_ref(at))
            .expect("a key");
        let registration = self.identity.registration(record, at.id);
        self.ask(at, Request::Register(Box::new(registration)))
            .await
    }

    /// A connection as another supernode would open it.
    async fn dial(&self, land: &Land) -> Connection {
        let at = land.towns[0].at();
        self.go_to(at).await;
        let dialled = self.door.dial_supernode(at, alpn::INDEX).await;
        dialled.expect("anybody may ask")
    }

    /// A front door speaks to supernodes from behind its home.
    async fn go_to(&self, at: &SupernodeAddr) {
        if self.door.home().as_ref() != Some(at) {
            self.door.set_home(at).await;
        }
    }

    pub async fn ask(&self, at: &SupernodeAddr, request: Request) -> Result<Answer, String> {
        self.go_to(at).await;
        let answer = self.supernodes.ask(at, &request).await;
        answer.map_err(|error| error.to_string())
    }

    /// The record that a supernode finds, once it finds one of this number.
    async fn finds(
        &self,
        at: &SupernodeAddr,
        account: AccountId,
        sequence: u64,
    ) -> Signed<AccountRecord> {
        let began = Instant::now();
        loop {
            let answer = self.ask(at, Request::Lookup { account }).await;
            if let Ok(Answer::Record(Some(record))) = &answer
                && record.record.sequence == sequence
            {
                return record.clone();
            }
            assert!(began.elapsed() < PATIENCE, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_25_whoever_is_told_to_publish_a_record_verifies_it_and_brings_it_to_its_holders() {
    let land = Land::of(2).await;
    land.whole().await;
    let alice = Person::new("Alice").await;
    let [first, second] = [&land.towns[0], &land.towns[1]].map(Town::at);
    let mut record = alice
        .identity
        .record(7, std::slice::from_ref(first))
        .expect("a key");
    let publish =
        |record: &Signed<AccountRecord>| Request::Publish(Box::new(record.clone().into()));
    let answer = alice.ask(first, publish(&record)).await;
    assert_eq!(answer, Ok(Answer::Ok));
    let account = alice.identity.account();
    assert_eq!(alice.finds(second, account, 7).await, record);
    record.record.sequence += 1;
    let forged = alice.ask(first, publish(&record)).await;
    let invalid = starling_wire::supernode::Refusal::InvalidRecord;
    assert_eq!(forged, Err(invalid.to_string()));
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn supernodes_that_know_one_of_them_find_all_and_what_one_keeps_the_others_find() {
    let land = Land::of(5).await;
    eprintln!("five know each other after {:?}", land.whole().await);
    let [alice, bob] = [Person::new("Alice").await, Person::new("Bob").await];
    let account = alice.identity.account();
    let (first, last) = (land.towns[1].at(), land.towns[4].at());
    assert_eq!(alice.settle(first, 3).await, Ok(Answer::Ok));
    bob.finds(last, account, 3)
        .await
        .verify(account, wall_s())
        .expect("hers");
    // An older record is refused, also where she never was.
    let refused = alice.settle(last, 2).await;
    assert!(refused.is_err_and(|error| error.contains("newer")));

    let Ok(Answer::Supernodes(told)) = bob.ask(last, Request::Supernodes).await else {
        panic!("no others are told");
    };
    let mut told: Vec<EndpointKey> = told
        .iter()
        .map(|one| {
            one.verify(Some(land.network), wall_s())
                .expect("signed")
                .id()
        })
        .collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 4.min(SUPERNODES_TOLD));
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_leaves_is_missed_at_once_and_one_that_comes_back_knows_what_it_held() {
    let mut land = Land::of(2).await;
    land.whole().await;
    let [alice, bob] = [Person::new("Alice").await, Person::new("Bob").await];
    let account = alice.identity.account();
    assert_eq!(alice.settle(land.towns[0].at(), 1).await, Ok(Answer::Ok));
    bob.finds(land.towns[1].at(), account, 1).await;
    let leaver = land.towns.remove(1);
    leaver.supernode.stop().await;
    land.whole().await;

    let back = leaver.again(land.network).await;
    bob.finds(back.at(), account, 1).await;
    land.towns.push(back);
    land.end().await;
}

/// Mallory is no supernode, and talks to one as if she were.
#[tokio::test(flavor = "multi_thread")]
async fn over_02_who_is_no_member_brings_no_records() {
    let land = Land::of(1).await;
    let mallory = Person::new("Mallory").await;
    let connection = mallory.dial(&land).await;
    let record = mallory.identity.record(1, &[]).expect("a key");
    let key = IndexKey::account(mallory.identity.account());
    let nothing = Reply::Record(None);
    assert_eq!(ask(&connection, Question::Record(key)).await, nothing);
    let put = Question::Put(Box::new(record.clone().into()));
    let refused = Reply::Refused(IndexRefusal::NotMember);
    assert_eq!(ask(&connection, put).await, refused);
    say(&connection, &Word::Hand(Box::new(record.into()))).await;
    say(&connection, &Word::Gossip(vec![7; 1_200])).await;
    assert_eq!(ask(&connection, Question::Record(key)).await, nothing);
    assert_eq!(land.towns[0].supernode.others(), 0);
    let words = land.towns[0].supernode.index_words();
    assert_eq!(words[0], "0 other supernodes known, 0 records held");
    let counted = "times: only a supernode of this network may bring records";
    let [who, why] = ["account record refused ", counted];
    assert!(
        words[1].starts_with(who) && words[1].ends_with(why),
        "{words:?}"
    );
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_07_supernodes_come_to_use_packets_once_these_have_been_seen_to_arrive() {
    let land = Land::of(3).await;
    land.whole().await;
    let proved = |town: &Town| {
        let words = town.supernode.listening().join("\n");
        assert!(words.contains("packets of other supernodes"), "{words}");
        !words.contains("nothing came in yet")
    };
    let began = Instant::now();
    while !land.towns.iter().all(proved) {
        assert!(began.elapsed() < PATIENCE, "packets do not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("packets arrive at all after {:?}", began.elapsed());
    // They still know each other when what they say goes in packets.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(land.towns[2].supernode.others(), 2);
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_04_nobody_has_more_than_four_connections() {
    let land = Land::of(1).await;
    let mallory = Person::new("Mallory").await;
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(mallory.dial(&land).await);
    }
    let began = Instant::now();
    let closed = |one: &&Connection| one.close_reason().is_some();
    while open.iter().filter(closed).count() < 2 {
        assert!(began.elapsed() < PATIENCE, "all of them are open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let held = open.iter().find(|one| one.close_reason().is_none());
    let described = ask(held.expect("four stay"), Question::Describe).await;
    assert!(matches!(described, Reply::Description(_)));
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_01_who_says_too_much_at_once_is_cut_off() {
    let land = Land::of(1).await;
    let mallory = Person::new("Mallory").await;
    let connection = mallory.dial(&land).await;
    say(
        &connection,
        &Word::Want(vec![IndexKey([1; 32]); COMPARED_MAX]),
    )
    .await;
    assert!(matches!(
        ask(&connection, Question::Describe).await,
        Reply::Description(_)
    ));
    say(
        &connection,
        &Word::Want(vec![IndexKey([1; 32]); COMPARED_MAX + 1]),
    )
    .await;
    let closed = tokio::time::timeout(PATIENCE, connection.closed()).await;
    assert!(closed.is_ok(), "too long a word is the last one");
    land.end().await;
}

async fn ask(connection: &Connection, question: Question) -> Reply {
    let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
    send.write_all(&encode(&question)).await.expect("written");
    send.finish().expect("once");
    let answer = receive.read_to_end(10_000).await.expect("an answer");
    decode_body(&answer[4..], 10_000).expect("a reply")
}

async fn say(connection: &Connection, word: &Word) {
    let mut send = connection.open_uni().await.expect("a stream");
    send.write_all(&encode(word)).await.expect("written");
    send.finish().expect("once");
}
