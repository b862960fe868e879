//! How an ordinary node becomes a supernode and ceases to be one, on real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use starling_node::transport::reach::Doors;
use starling_wire::supernode::{Answer, Ports, Reached, Refusal, Request, UPSTREAM_MAX};

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
