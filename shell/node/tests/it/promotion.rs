//! How an ordinary node becomes a supernode and ceases to be one, on real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use starling_control::{Command, view};
use starling_node::NodeConfig;
use starling_node::drivers::promotion::Pace;
use starling_node::transport::reach::Doors;
use starling_protocol::overlay::qualification::Demands;
use starling_wire::supernode::{Answer, Ports, Reached, Refusal, Request, UPSTREAM_MAX};

use crate::cast::{Actor, PATIENCE, config, folder};
use crate::overlay::{Land, Person};

fn loopback(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))
}

fn dial_back(ports: (u16, u16)) -> Request {
    Request::DialBack(Ports {
        tcp: ports.0,
        udp: ports.1,
    })
}

fn reached(tcp: bool, udp: bool) -> Result<Answer, String> {
    Ok(Answer::Reached(Reached {
        ip: Ipv4Addr::LOCALHOST.into(),
        tcp,
        udp,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn dial_03_who_answers_under_his_key_is_reached_and_may_ask_once_a_minute() {
    let land = Land::of(2).await;
    let alice = Person::new("Alice").await;
    let [first, second] = [land.towns[0].at(), land.towns[1].at()];
    let seed = &alice.identity.front_door_seed;
    let doors = Doors::open(seed, loopback(1)).await.expect("free ports");
    let began = Instant::now();
    let found = alice.ask(first, dial_back(doors.ports())).await;
    eprintln!("dialled back within {:?}", began.elapsed());
    assert_eq!(found, reached(true, true));
    let again = alice.ask(first, dial_back(doors.ports())).await;
    assert_eq!(again, Err(Refusal::TooSoon.to_string()));
    // Another key from the same address waits as well.
    let bob = Person::new("Bob").await;
    let refused = bob.ask(first, dial_back(doors.ports())).await;
    assert_eq!(refused, Err(Refusal::TooSoon.to_string()));
    let found = alice.ask(second, dial_back(doors.ports())).await;
    assert_eq!(
        found,
        reached(true, true),
        "every supernode counts for itself"
    );
    doors.close().await;
    land.end().await;
}

/// The supernode's own ports are open and answer, but not under Mallory's key.
#[tokio::test(flavor = "multi_thread")]
async fn dial_04_a_port_where_another_key_answers_is_not_reached() {
    let land = Land::of(1).await;
    let at = land.towns[0].at();
    let mallory = Person::new("Mallory").await;
    let ports = (at.tcp.port(), at.tcp.port());
    assert_eq!(
        mallory.ask(at, dial_back(ports)).await,
        reached(false, false)
    );
    land.end().await;
}

/// Mallory answers under her key at another address of the same machine: nobody is dialled there, she cannot even say so.
#[tokio::test(flavor = "multi_thread")]
async fn dial_01_nobody_is_dialled_but_at_the_address_he_comes_from() {
    let land = Land::of(1).await;
    let mallory = Person::new("Mallory").await;
    let seed = &mallory.identity.front_door_seed;
    let doors = Doors::open(seed, loopback(2)).await.expect("free ports");
    let found = mallory.ask(land.towns[0].at(), dial_back(doors.ports()));
    assert_eq!(found.await, reached(false, false));
    doors.close().await;
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dial_02_ports_of_other_services_are_refused_and_measuring_is_bounded() {
    let land = Land::of(1).await;
    let mallory = Person::new("Mallory").await;
    let at = land.towns[0].at();
    let refused = mallory.ask(at, dial_back((22, 27474))).await;
    assert_eq!(refused, Err(Refusal::Malformed.to_string()));
    let filler = || Request::Upstream {
        filler: vec![0; UPSTREAM_MAX],
    };
    for _ in 0..4 {
        assert_eq!(mallory.ask(at, filler()).await, Ok(Answer::Ok));
    }
    let refused = mallory.ask(at, filler()).await;
    assert_eq!(refused, Err(Refusal::TooSoon.to_string()));
    // Who is not at home here is told nothing about those who are.
    let stranger = mallory.ask(at, Request::Willing(true)).await;
    assert_eq!(stranger, Err(Refusal::NotRegistered.to_string()));
    land.end().await;
}

fn roles(role: Option<&str>, on: Option<bool>, clients: Option<u32>) -> Command {
    Command::RolesSet(view::RolesChange {
        role: role.map(str::to_owned),
        on,
        cap_kbit_s: None,
        total_kbit_s: None,
        monthly_gb: None,
        clients,
    })
}

/// Somebody who has run for long enough at once, and decides quickly.
fn hasty(home: &Path) -> NodeConfig {
    let mut config = config(home);
    config.promotion = Pace {
        demands: Demands {
            uptime: Duration::ZERO,
            private_too: true,
            ..Demands::default()
        },
        decide_within: Duration::from_millis(200),
        look_every: Duration::from_millis(200),
    };
    config
}

/// Somebody who was told to serve.
fn told(home: &Path) -> NodeConfig {
    let mut config = config(home);
    config.supernode = true;
    config
}

async fn settle(config: NodeConfig, name: &str, link: &str) -> Actor {
    let actor = Actor::start_with(config).await;
    let source = link.to_owned();
    actor
        .ask::<view::Network>(Command::NetworkJoin { source })
        .await;
    let name = name.to_owned();
    actor
        .ask::<view::Account>(Command::AccountCreate { name })
        .await;
    actor.until_registered().await;
    actor
}

/// Until the status is as wanted; how long that took.
async fn until(actor: &Actor, what: &str, fits: impl Fn(&view::Status) -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let status: view::Status = actor.ask(Command::Status {}).await;
        if fits(&status) {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn words(status: &view::Status) -> &str {
    &status.roles[0].words
}

/// Where the node is at home; empty while it is nowhere.
async fn home_of(actor: &Actor) -> String {
    let status: view::Status = actor.ask(Command::Status {}).await;
    let home = status.supernode.filter(|home| home.connected);
    home.map(|home| home.address).unwrap_or_default()
}

fn at(address: &str) -> impl Fn(&view::Status) -> bool + '_ {
    move |status| {
        let home = status.supernode.as_ref();
        home.is_some_and(|home| home.connected && home.address == address)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promote_06_a_full_home_finds_a_helper_who_serves_and_hands_over_when_switched_off() {
    let [s, a, b, c] = [folder(), folder(), folder(), folder()];
    let sven = Actor::start_with(told(s.path())).await;
    let init = Command::NetworkInit {
        name: "Town".to_owned(),
        advertise: None,
    };
    let made: view::NetworkMade = sven.ask(init).await;
    let alice = settle(config(a.path()), "Alice", &made.link).await;
    let bob = settle(hasty(b.path()), "Bob", &made.link).await;
    let first = home_of(&alice).await;
    // Nobody serves who was not asked.
    bob.ask::<view::Roles>(roles(None, Some(true), None)).await;
    let took = until(&bob, "Bob qualifies", |status| {
        words(status).contains("not asked by the network yet")
    });
    eprintln!("found out to be reached within {:?}", took.await);
    // Three of four are at home then, and a place is left for the new supernode to introduce itself.
    sven.ask::<view::Roles>(roles(None, None, Some(4))).await;
    let carol = settle(config(c.path()), "Carol", &made.link).await;
    let took = until(&bob, "Bob serves", serves).await;
    eprintln!("serves {took:?} after the home was full");
    let status: view::Status = bob.ask(Command::Status {}).await;
    assert!(status.roles[1].on, "{:?}", status.roles);
    assert!(
        status.roles[2].words.contains("run for days"),
        "{:?}",
        status.roles
    );
    let second = status.listening[0].split(' ').next().expect("an address");
    until(&sven, "Sven knows Bob", |status| {
        status.index[0].starts_with("1 other")
    })
    .await;
    carol.node.stop().await;
    // Whoever comes now hears of both.
    let carol = Actor::start_with(config(c.path())).await;
    carol.until_registered().await;
    assert_eq!(home_of(&carol).await, first);
    tokio::time::sleep(Duration::from_millis(500)).await;
    sven.node.stop().await;
    let took = until(&carol, "Carol is at Bob's", at(second)).await;
    eprintln!("at the new supernode after {took:?}");
    let sven = Actor::start_with(told(s.path())).await;
    bob.ask::<view::Roles>(roles(Some("supernode"), Some(false), None))
        .await;
    let took = until(&carol, "Carol is back", at(&first)).await;
    eprintln!("at the old one again after {took:?}");
    let status: view::Status = bob.ask(Command::Status {}).await;
    assert!(
        words(&status).contains("switched off"),
        "{}",
        words(&status)
    );
    assert!(status.listening.is_empty(), "{:?}", status.listening);
    for actor in [alice, bob, carol, sven] {
        actor.node.stop().await;
    }
}

/// Serves, and says where.
fn serves(status: &view::Status) -> bool {
    status.roles[0].on && !status.listening.is_empty()
}
