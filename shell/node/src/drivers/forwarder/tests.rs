//! A forwarder on a real socket, and two who meet there.

use std::net::SocketAddr;

use iroh::{Endpoint, EndpointAddr};
use starling_media::Packet;
use starling_media::sframe::{Direction, Opener, Sealer};
use starling_wire::alpn;
use starling_wire::ids::AccountId;

use super::*;
use crate::roles::Role;
use crate::roles::carrier::RoleRates;
use crate::transport::endpoint;
use crate::transport::pins::Pins;
use crate::transport::{congestion, dial};

const CLIENT: Asker = Asker {
    door: EndpointKey([7; 32]),
    account: AccountId([7; 32]),
    block: None,
};
const PATIENCE: Duration = Duration::from_secs(5);
/// For what should not come.
const MOMENT: Duration = Duration::from_millis(300);

struct Stage {
    forwarder: Forwarder,
    carrier: Carrier,
    at: EndpointAddr,
    _tasks: JoinSet<()>,
}

struct Guest {
    connection: Connection,
    _endpoint: Endpoint,
}

async fn bind(alpns: Vec<Vec<u8>>) -> Endpoint {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let bound = endpoint::direct(&random(), &Pins::default(), listen, alpns).await;
    bound.expect("a free port")
}

impl Stage {
    async fn set() -> Self {
        let clock = Clock::start();
        let carrier = Carrier::new(clock);
        carrier.set(Role::Relay, true);
        let forwarder = Forwarder::new(carrier.clone(), clock);
        let endpoint = bind(vec![alpn::FOCUS.to_vec()]).await;
        let sockets = endpoint.bound_sockets();
        let at = EndpointAddr::new(endpoint.id()).with_ip_addr(sockets[0]);
        let (visitors, visiting) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        tasks.spawn(forwarder.clone().serve(visiting));
        tasks.spawn(carrier.clone().pace());
        tasks.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                if let Ok(connection) = incoming.await {
                    let _ = visitors.send(connection).await;
                }
            }
        });
        Self {
            forwarder,
            carrier,
            at,
            _tasks: tasks,
        }
    }

    async fn dial(&self, endpoint: &Endpoint) -> Connection {
        let transport = congestion::voice();
        let dialled = dial::connect(endpoint, self.at.clone(), alpn::FOCUS, transport).await;
        dialled.expect("it listens")
    }

    async fn enter(&self, room: RoomId) -> (Guest, Joined) {
        let endpoint = bind(Vec::new()).await;
        let connection = self.dial(&endpoint).await;
        let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
        stream::write(&mut send, &Join { room })
            .await
            .expect("it is written");
        let answer = stream::read::<Joined>(&mut receive, FOCUS_FRAME_MAX);
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .expect("in time");
        let answer = answer.expect("a frame").expect("an answer");
        let guest = Guest {
            connection,
            _endpoint: endpoint,
        };
        (guest, answer)
    }

    async fn meeting(&self) -> [Guest; 2] {
        let room = self.forwarder.open(CLIENT).expect("there is place");
        let (alice, first) = self.enter(room).await;
        let (bob, second) = self.enter(room).await;
        assert_eq!([first, second], [Joined::Welcome; 2]);
        [alice, bob]
    }
}

impl Guest {
    fn say(&self, bytes: &[u8]) {
        let said = self.connection.send_datagram(bytes.to_vec().into());
        said.expect("it fits");
    }

    async fn hears(&self, patience: Duration) -> Option<Vec<u8>> {
        let heard = tokio::time::timeout(patience, self.connection.read_datagram()).await;
        Some(heard.ok()?.ok()?.to_vec())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_03_two_in_a_room_hear_each_other_and_nobody_else_gets_in() {
    let stage = Stage::set().await;
    let [alice, bob] = stage.meeting().await;
    alice.say(b"to Bob");
    assert_eq!(bob.hears(PATIENCE).await.as_deref(), Some(&b"to Bob"[..]));
    bob.say(b"to Alice");
    assert_eq!(
        alice.hears(PATIENCE).await.as_deref(),
        Some(&b"to Alice"[..])
    );
    assert_eq!(bob.hears(MOMENT).await, None);
    let (_mallory, answer) = stage.enter(RoomId([9; 16])).await;
    assert_eq!(answer, Joined::Refused(JoinRefusal::NoRoom));
    let words = stage.forwarder.words().expect("a call");
    assert!(words.starts_with("1 call forwarded"), "{words}");
    stage.forwarder.close();
    let closed = tokio::time::timeout(PATIENCE, alice.connection.closed());
    assert!(
        closed
            .await
            .expect("in time")
            .to_string()
            .contains("leaving")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_06_what_is_forwarded_counts_as_the_relays_and_obeys_its_switch_and_cap() {
    let stage = Stage::set().await;
    let [alice, bob] = stage.meeting().await;
    alice.say(&[1; 100]);
    assert!(bob.hears(PATIENCE).await.is_some());
    let carried = stage.carrier.meter().carried(Role::Relay);
    assert_eq!((carried.received, carried.sent), (132, 132));
    stage.carrier.set(Role::Relay, false);
    alice.say(&[1; 100]);
    assert_eq!(bob.hears(MOMENT).await, None);
    stage.carrier.set(Role::Relay, true);
    // 8 kbit/s are ten such packets in 1.3 s.
    let mut rates = RoleRates::default();
    rates.roles[Role::Relay as usize] = Some(8);
    stage.carrier.set_rates(rates);
    for _ in 0..10 {
        alice.say(&[1; 100]);
    }
    let mut heard = 0;
    while bob.hears(MOMENT).await.is_some() {
        heard += 1;
    }
    assert!((1..6).contains(&heard), "{heard} of 10 passed");
    let words = stage.forwarder.words().expect("a call");
    assert!(words.contains("1 dropped: role off"), "{words}");
    assert!(words.contains("dropped: over the cap"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_08_nothing_that_passes_the_forwarder_shows_what_is_said() {
    let stage = Stage::set().await;
    let [alice, bob] = stage.meeting().await;
    let key = [5; 32];
    let mut sealer = Sealer::new(&key, Direction::Opener);
    let mut opener = Opener::new(&key, Direction::Opener);
    let mut packetizer = starling_media::Packetizer::new(1);
    for n in 0..30_u8 {
        let frame = starling_media::Encoded {
            deep: false,
            payload: &[n; 60],
        };
        let plain = packetizer.packets(frame).remove(0);
        assert!(Packet::parse(&plain).is_ok());
        alice.say(&sealer.seal(&plain));
        // What Bob gets is what the forwarder had in its hands.
        let passed = bob.hears(PATIENCE).await.expect("it is forwarded");
        assert!(Packet::parse(&passed).is_err(), "it is no packet of voice");
        let shown = plain
            .windows(4)
            .any(|part| passed.windows(4).any(|other| other == part));
        assert!(!shown, "four bytes of it are readable");
        assert_eq!(opener.open(&passed), Ok(plain));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_14_whoever_comes_and_says_nothing_takes_few_places() {
    let stage = Stage::set().await;
    let endpoint = bind(Vec::new()).await;
    let mut silent = Vec::new();
    for _ in 0..ENTERING_OF_BLOCK {
        silent.push(stage.dial(&endpoint).await);
    }
    let one_more = stage.dial(&endpoint).await;
    let closed = tokio::time::timeout(PATIENCE, one_more.closed()).await;
    assert!(closed.expect("in time").to_string().contains("full"));
    assert!(silent.iter().all(|one| one.close_reason().is_none()));
    // They are not waited for.
    let closed = tokio::time::timeout(JOIN_TIME * 2, silent[0].closed()).await;
    assert!(closed.is_ok(), "it is still open");
    let [_alice, _bob] = stage.meeting().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_14_many_addresses_of_one_owner_are_one() {
    let forwarder = Forwarder::new(Carrier::new(Clock::start()), Clock::start());
    let at = |subnet: usize| {
        let address = format!("2001:db8:7:{subnet:x}::1");
        address.parse().expect("an address")
    };
    let turns: Vec<_> = (0..100).filter_map(|n| forwarder.turn(at(n))).collect();
    assert_eq!(turns.len(), ENTERING_OF_BLOCK);
    let elsewhere = "2001:db8:8::1".parse().expect("an address");
    assert!(forwarder.turn(elsewhere).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn fwd_03_whoever_does_not_hear_that_he_is_let_in_is_not_in_the_room() {
    let stage = Stage::set().await;
    let room = stage.forwarder.open(CLIENT).expect("there is place");
    let endpoint = bind(Vec::new()).await;
    let ghost = stage.dial(&endpoint).await;
    let (mut send, mut receive) = ghost.open_bi().await.expect("a stream");
    receive.stop(0u32.into()).expect("it is open");
    // That nothing is heard is known before anything is said.
    tokio::time::sleep(MOMENT).await;
    stream::write(&mut send, &Join { room })
        .await
        .expect("it is written");
    let closed = tokio::time::timeout(PATIENCE, ghost.closed()).await;
    assert!(closed.is_ok(), "it is not carried on");
    let (_alice, first) = stage.enter(room).await;
    let (_bob, second) = stage.enter(room).await;
    assert_eq!([first, second], [Joined::Welcome; 2]);
}
