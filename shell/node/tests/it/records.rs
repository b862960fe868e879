//! What the index and other supernodes know of somebody: the record over a restart, the other homes; and one good
//! supernode among two hundred.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use starling_control::{Command, view};
use starling_node::clock::wall_s;
use starling_store::{Store, host_cache};
use starling_wire::ids::{AccountId, EndpointKey, NetworkId};
use starling_wire::link::Link;
use starling_wire::network::Network;
use starling_wire::postage::WORK_MIN;
use starling_wire::record::{AccountRecord, Signed};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};

use crate::cast::{Actor, PATIENCE, folder, paid};
use crate::home::supernode;
use crate::overlay::Person;

fn file(supernodes: &[&SupernodeAddr]) -> (NetworkId, String) {
    let owner = SigningKey::from_bytes(&[7; 32]);
    let network = Network {
        id: NetworkId(owner.verifying_key().to_bytes()),
        name: "Records".to_owned(),
        supernodes: supernodes.iter().map(|&one| one.clone()).collect(),
    };
    (network.id, network.to_file(&owner))
}

async fn join(actor: &Actor, source: String) {
    let join = Command::NetworkJoin { source };
    actor.ask::<view::Network>(join).await;
}

async fn create(actor: &Actor, name: &str) -> AccountId {
    let create = Command::AccountCreate { name: name.into() };
    let account: view::Account = actor.ask(create).await;
    account.id.parse().expect("an id")
}

/// Asks until there is an answer that fits.
async fn until<T>(
    bob: &Person,
    at: &SupernodeAddr,
    request: Request,
    fits: impl Fn(&Answer) -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        let answer = bob.ask(at, request.clone()).await;
        if let Some(fit) = answer.as_ref().ok().and_then(&fits) {
            return fit;
        }
        assert!(begin.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn record_of(bob: &Person, at: &SupernodeAddr, account: AccountId) -> Signed<AccountRecord> {
    let record = |answer: &Answer| match answer {
        Answer::Record(record) => record.clone(),
        _ => None,
    };
    until(bob, at, Request::Lookup { account }, record).await
}

#[tokio::test(flavor = "multi_thread")]
async fn index_18_a_restart_shows_the_record_that_was_signed_before() {
    let homes = [folder(), folder()];
    let (sven, at) = supernode(&homes[0], "Sven").await;
    let alice = Actor::start(homes[1].path()).await;
    join(&alice, file(&[&at]).1).await;
    let account = create(&alice, "Alice").await;
    alice.until_registered().await;
    let bob = Person::new("Bob").await;
    let before = record_of(&bob, &at, account).await;
    alice.node.stop().await;
    let again = Actor::start(homes[1].path()).await;
    again.until_registered().await;
    assert_eq!(record_of(&bob, &at, account).await, before);
    again.node.stop().await;
    sven.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn home_20_letters_are_taken_at_the_other_home_too() {
    let homes = [folder(), folder(), folder()];
    let (sven, first) = supernode(&homes[0], "Sven").await;
    let (sue, second) = supernode(&homes[1], "Sue").await;
    let alice = Actor::start(homes[2].path()).await;
    join(&alice, file(&[&first, &second]).1).await;
    let account = create(&alice, "Alice").await;
    alice.until_registered().await;
    let bob = Person::new("Bob").await;
    let letter = paid(account, b"sealed".to_vec(), WORK_MIN);
    let begin = Instant::now();
    until(&bob, &second, letter, |answer| {
        (*answer == Answer::Ok).then_some(())
    })
    .await;
    println!("registered at the other home after {:?}", begin.elapsed());
    let record = record_of(&bob, &second, account).await;
    assert_eq!(record.record.home, [first, second]);
    for actor in [alice, sven, sue] {
        actor.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_14_a_home_that_denies_everybody_keeps_nobody_from_being_found() {
    let homes = [folder(), folder(), folder(), folder()];
    let (lee, liar) = supernode(&homes[0], "Lee").await;
    let (sue, honest) = supernode(&homes[1], "Sue").await;
    let bob = Actor::start(homes[2].path()).await;
    join(&bob, file(&[&honest]).1).await;
    create(&bob, "Bob").await;
    bob.until_registered().await;
    let mut link: Link = bob
        .ask::<view::OwnLink>(Command::ContactLink {})
        .await
        .link
        .parse()
        .expect("a link");
    let alice = Actor::start(homes[3].path()).await;
    join(&alice, file(&[&liar, &honest]).1).await;
    create(&alice, "Alice").await;
    alice.until_registered().await;
    // The link names the liar alone, as an old one might.
    link.supernodes = vec![liar];
    let (link, message) = (link.to_string(), String::new());
    let added: view::Contact = alice.ask(Command::ContactAdd { link, message }).await;
    assert_eq!(added.relation, view::Relation::Requested);
    for actor in [alice, bob, sue, lee] {
        actor.node.stop().await;
    }
}

/// Takes connections and says nothing.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let at = listener.local_addr().expect("an address");
    (listener, at)
}

#[tokio::test(flavor = "multi_thread")]
async fn home_13_a_first_start_with_one_good_address_in_two_hundred_succeeds() {
    let homes = [folder(), folder()];
    let (sven, good) = supernode(&homes[0], "Sven").await;
    let (_silent, tcp) = silent();
    let gone = |number: u8| SupernodeAddr {
        id: EndpointKey(
            SigningKey::from_bytes(&[number; 32])
                .verifying_key()
                .to_bytes(),
        ),
        tcp,
        discovery_port: 0,
    };
    let listed = [gone(1), gone(2), gone(3)];
    let (network, source) = file(&listed.each_ref());
    let newcomer = Actor::start(homes[1].path()).await;
    join(&newcomer, source).await;
    newcomer.node.stop().await;
    let mut store = Store::open(homes[1].path()).expect("the store");
    let mut told: Vec<SupernodeAddr> = (4..200).map(gone).collect();
    told.push(good.clone());
    let noted = store.write(|tx| host_cache::told(tx, Some(network), &told, wall_s()));
    noted.expect("they are noted");
    drop(store);
    let begin = Instant::now();
    let newcomer = Actor::start(homes[1].path()).await;
    create(&newcomer, "Nadia").await;
    newcomer.until_registered().await;
    println!(
        "one good address in 200: at home after {:?}",
        begin.elapsed()
    );
    let status: view::Status = newcomer.ask(Command::Status {}).await;
    let home = status.supernode.expect("a supernode");
    assert_eq!(home.address, good.tcp.to_string());
    newcomer.node.stop().await;
    sven.node.stop().await;
}
