//! Records of every kind over real sockets: what one client brings to a supernode, another finds at another one; and what is
//! refused is counted, by kind and reason.

use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use starling_node::clock::wall_s;
use starling_wire::account::Inception;
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::name::Name;
use starling_wire::name_log::Position;
use starling_wire::placement::IndexKey;
use starling_wire::record::device::DeviceHome;
use starling_wire::record::gateways::{Gateway, Publisher};
use starling_wire::record::name::NAME_AHEAD_MAX_S;
use starling_wire::record::registrar::Registrar;
use starling_wire::record::{
    AccountRecord, Content, DeviceRecord, GatewaysRecord, Kind, LogHead, NameRecord, RecordError,
    Signed, SignedRecord,
};
use starling_wire::speaker::Speaker;
use starling_wire::supernode::{Answer, Refusal, Request, SupernodeAddr};

use crate::cast::PATIENCE;
use crate::overlay::{Land, Person};

/// Known to the device's contacts.
const SECRET: [u8; 32] = [8; 32];

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

/// The owner of the land's network has key 7, its registrar 31, the device's publisher 32, the gateway's account 33.
fn registrar() -> Registrar {
    Registrar::appoint(
        &key(7),
        AccountId(public(41)),
        public(31),
        wall_s() + NAME_AHEAD_MAX_S,
    )
}

fn name(sequence: u64) -> NameRecord {
    NameRecord {
        registrar: registrar(),
        name: Name::typed("alice").expect("it is one"),
        account: Some(AccountId([1; 32])),
        sequence,
        expires: wall_s() + 300 * 24 * 3600,
    }
}

fn log_head(sequence: u64) -> LogHead {
    LogHead {
        registrar: registrar(),
        position: Position::sign(&registrar(), (sequence, [5; 32]), wall_s(), &key(31)),
        sequence,
        expires: wall_s() + 3600,
    }
}

fn device(home: &SupernodeAddr, sequence: u64) -> DeviceRecord {
    let homes = DeviceHome {
        home: vec![home.clone()],
        request_key: [6; 32],
    };
    DeviceRecord {
        publisher: public(32),
        sealed: homes.seal(&public(32), &SECRET, [9; 32]).expect("short"),
        sequence,
        expires: wall_s() + 3600,
    }
}

fn inception() -> Inception {
    Inception {
        signing_key: public(33),
        recovery_key: public(34),
        salt: [0; 16],
    }
}

fn gateway() -> Speaker {
    Speaker {
        inception: inception(),
        recovery: None,
    }
}

fn gateways(by: Publisher, sequence: u64) -> GatewaysRecord {
    GatewaysRecord {
        by,
        gateways: vec![Gateway {
            account: inception().id(),
            prefixes: vec!["4930".into()],
        }],
        sequence,
        expires: wall_s() + 3600,
    }
}

/// One of every kind but the account's, which other tests bring.
fn one_of_each(network: NetworkId, home: &SupernodeAddr, sequence: u64) -> [SignedRecord; 5] {
    [
        name(sequence).sign(&key(31)).into(),
        device(home, sequence).sign(&key(32)).into(),
        log_head(sequence).sign(&key(31)).into(),
        gateways(Publisher::Owner(network), sequence)
            .sign(&key(7))
            .into(),
        gateways(Publisher::Gateway(gateway()), sequence)
            .sign(&key(33))
            .into(),
    ]
}

fn keys(network: NetworkId) -> [IndexKey; 5] {
    [
        IndexKey::name(network, "alice"),
        IndexKey::device(&public(32)),
        IndexKey::log_head(network),
        IndexKey::gateways_of_network(network),
        IndexKey::gateway(inception().id()),
    ]
}

async fn publish(
    person: &Person,
    at: &SupernodeAddr,
    record: impl Into<SignedRecord>,
) -> Result<Answer, String> {
    let record = Box::new(record.into());
    person.ask(at, Request::Publish(record)).await
}

/// Asks until it is found.
async fn find(person: &Person, at: &SupernodeAddr, key: IndexKey) -> SignedRecord {
    let began = Instant::now();
    loop {
        let answer = person.ask(at, Request::Find(key)).await;
        if let Ok(Answer::Found(Some(record))) = answer {
            return *record;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn index_25_a_record_of_any_kind_that_one_client_brings_another_finds_elsewhere() {
    let mut land = Land::of(2).await;
    land.whole().await;
    let [alice, bob] = [Person::new("Alice").await, Person::new("Bob").await];
    let (first, second) = (land.towns[0].at().clone(), land.towns[1].at().clone());
    let (network, now) = (land.network, wall_s());
    let nothing = bob
        .ask(&second, Request::Find(IndexKey::log_head(network)))
        .await;
    assert_eq!(nothing, Ok(Answer::Found(None)));
    let records = one_of_each(network, &first, 5);
    for record in &records {
        let kept = publish(&alice, &first, record.clone()).await;
        assert_eq!(kept, Ok(Answer::Ok), "{}", record.kind());
    }
    for (key, record) in keys(network).into_iter().zip(&records) {
        let found = find(&bob, &second, key).await;
        assert_eq!(found, *record);
        assert_eq!(
            found.verify(Some(network), now).expect("valid").key(),
            key,
            "it answers the question"
        );
    }
    // Only who has the device's secret learns where it is at home.
    let SignedRecord::Device(found) = find(&bob, &second, keys(network)[1]).await else {
        panic!("a device's record");
    };
    let found = found.verify_in(Some(network), now).expect("valid");
    assert_eq!(found.open(&SECRET).expect("sealed for Bob").home, [first]);
    assert_eq!(found.open(&[9; 32]), Err(RecordError::Sealed));

    // What the second holds is on its disk.
    let leaver = land.towns.remove(1);
    leaver.supernode.stop().await;
    land.whole().await;
    let back = leaver.again(network).await;
    for (key, record) in keys(network).into_iter().zip(records) {
        assert_eq!(find(&bob, back.at(), key).await, record);
    }
    land.towns.push(back);
    land.end().await;
}

/// What Mallory makes of a record that was valid: each with what it is counted as.
fn spoilt<T: Content>(
    valid: &T,
    signer: &SigningKey,
    expire: impl Fn(&mut T),
) -> Vec<(Signed<T>, &'static str)> {
    let mut expired = valid.clone();
    expire(&mut expired);
    let mut forged = valid.clone().sign(signer);
    forged.signature.0[7] ^= 1;
    vec![
        (expired.sign(signer), "the record has expired"),
        (forged, "the record was not signed by its owner"),
    ]
}

/// For each kind: its valid record of number 5, and what is refused beside it.
fn refused(network: NetworkId, home: &SupernodeAddr) -> Vec<(Kind, SignedRecord, &'static str)> {
    let mut all: Vec<(SignedRecord, &'static str)> = Vec::new();
    let names = spoilt(&name(6), &key(31), |record| record.expires = 1);
    let devices = spoilt(&device(home, 6), &key(32), |record| record.expires = 1);
    let heads = spoilt(&log_head(6), &key(31), |record| record.expires = 1);
    let owners = gateways(Publisher::Owner(network), 6);
    let lists = spoilt(&owners, &key(7), |record| record.expires = 1);
    all.extend(names.into_iter().map(|(record, why)| (record.into(), why)));
    all.extend(
        devices
            .into_iter()
            .map(|(record, why)| (record.into(), why)),
    );
    all.extend(heads.into_iter().map(|(record, why)| (record.into(), why)));
    all.extend(lists.into_iter().map(|(record, why)| (record.into(), why)));
    // Replayed: what was valid once, and is older than what is known.
    let older = one_of_each(network, home, 4).into_iter();
    all.extend(older.map(|record| (record, "a newer record is known")));
    let too_large = "the record is larger than Starling allows";
    let mut long = device(home, 6);
    long.sealed = vec![0; 600];
    all.push((long.sign(&key(32)).into(), too_large));
    let mut long = owners;
    long.gateways[0].prefixes = vec!["1".into(); 200];
    all.push((long.sign(&key(7)).into(), too_large));
    // Another one with the same number.
    let mut other = log_head(5);
    other.position = Position::sign(&other.registrar, (5, [6; 32]), wall_s(), &key(31));
    let conflict = "another record with this number is known";
    all.push((other.sign(&key(31)).into(), conflict));
    // Of a network of Mallory's own.
    let foreign = gateways(Publisher::Owner(NetworkId(public(40))), 6);
    let foreign = foreign.sign(&key(40));
    all.push((foreign.into(), "the record is another network's"));
    all.into_iter()
        .map(|(record, why)| (record.kind(), record, why))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn index_27_what_is_forged_stale_oversized_replayed_or_expired_is_refused_and_counted() {
    let land = Land::of(1).await;
    let mallory = Person::new("Mallory").await;
    let (at, network) = (land.towns[0].at(), land.network);
    let records = one_of_each(network, at, 5);
    for record in &records {
        assert_eq!(publish(&mallory, at, record.clone()).await, Ok(Answer::Ok));
    }
    for (kind, record, why) in refused(network, at) {
        let before = count(&land, kind, why);
        let answer = publish(&mallory, at, record).await;
        let told = [Refusal::InvalidRecord, Refusal::Older].map(|one| Err(one.to_string()));
        assert!(told.contains(&answer), "{kind}, {why}: {answer:?}");
        assert_eq!(count(&land, kind, why), before + 1, "{kind}, {why}");
    }
    for (key, record) in keys(network).into_iter().zip(records) {
        assert_eq!(find(&mallory, at, key).await, record, "nothing was changed");
    }
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn index_27_a_record_that_is_too_large_is_counted_in_a_registration_too() {
    let land = Land::of(1).await;
    let mallory = Person::new("Mallory").await;
    let at = land.towns[0].at();
    let why = "the record is larger than Starling allows";
    assert_eq!(count(&land, Kind::Account, why), 0);
    let record = mallory
        .identity
        .record(1, &vec![at.clone(); 30])
        .expect("a key");
    let refused = Err(Refusal::InvalidRecord.to_string());
    assert_eq!(register(&mallory, at, record).await, refused);
    assert_eq!(count(&land, Kind::Account, why), 1);
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn index_33_a_record_that_was_not_brought_to_its_holders_is_registered_nowhere() {
    let land = Land::of(1).await;
    let alice = Person::new("Alice").await;
    let at = land.towns[0].at();
    let record = |number| {
        let record = alice.identity.record(number, std::slice::from_ref(at));
        record.expect("a key")
    };
    assert_eq!(publish(&alice, at, record(7)).await, Ok(Answer::Ok));
    // The holders refuse it each time, so they are asked each time.
    let older = Err(Refusal::Older.to_string());
    let why = "a newer record is known";
    for times in 1..=2 {
        assert_eq!(register(&alice, at, record(6)).await, older);
        assert_eq!(count(&land, Kind::Account, why), times);
    }
    let collected = alice.ask(at, Request::Collect).await;
    assert_eq!(collected, Err(Refusal::NotRegistered.to_string()));
    for _ in 0..2 {
        assert_eq!(register(&alice, at, record(8)).await, Ok(Answer::Ok));
    }
    let collected = alice.ask(at, Request::Collect).await;
    assert_eq!(collected, nothing_waits());
    land.end().await;
}

fn nothing_waits() -> Result<Answer, String> {
    let letters = Vec::new();
    Ok(Answer::Envelopes { letters, work: 16 })
}

/// The index has no room for the record of somebody from a block that has brought too many, but his home serves him.
#[tokio::test(flavor = "multi_thread")]
async fn index_33_whom_the_index_has_no_room_for_is_registered_all_the_same() {
    let land = Land::of(1).await;
    let [mallory, alice] = [Person::new("Mallory").await, Person::new("Alice").await];
    let at = land.towns[0].at();
    let full = Err(Refusal::Full.to_string());
    let throwaway = |number: u16| {
        let mut seed = [99; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let key = SigningKey::from_bytes(&seed);
        let mut record = device(at, 1);
        record.publisher = key.verifying_key().to_bytes();
        record.sign(&key)
    };
    let mut brought = 0;
    while publish(&mallory, at, throwaway(brought)).await == Ok(Answer::Ok) {
        brought += 1;
    }
    assert_eq!(publish(&mallory, at, throwaway(brought)).await, full);
    let record = alice
        .identity
        .record(1, std::slice::from_ref(at))
        .expect("a key");
    assert_eq!(register(&alice, at, record).await, Ok(Answer::Ok));
    let collected = alice.ask(at, Request::Collect).await;
    assert_eq!(collected, nothing_waits());
    let why = "too many new records came from there";
    assert_eq!(count(&land, Kind::Account, why), 1, "after {brought}");
    land.end().await;
}

async fn register(
    person: &Person,
    at: &SupernodeAddr,
    record: Signed<AccountRecord>,
) -> Result<Answer, String> {
    let registration = person.identity.registration(record, at.id);
    let request = Request::Register(Box::new(registration));
    person.ask(at, request).await
}

/// How often records of this kind were refused for this reason, by the supernode's own words.
fn count(land: &Land, kind: Kind, why: &str) -> u64 {
    let words = land.towns[0].supernode.index_words();
    let refused = format!("{kind} refused ");
    let counts = words
        .iter()
        .filter_map(|line| line.strip_prefix(&refused)?.split_once(" times: "));
    let counts = counts.filter(|(_, reason)| reason.starts_with(why));
    counts
        .map(|(count, _)| count.parse::<u64>().expect("a number"))
        .sum()
}
