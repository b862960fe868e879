//! Own devices: the fuzz bodies of what they say to each other, over mutated inputs of their committed corpus.

use ed25519_dalek::SigningKey;
use starling_wire::account::{Chain, Change};
use starling_wire::card::{Card, Door, DoorKeys, SignedCard};
use starling_wire::envelope::request_key;
use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::ids::{DeviceId, EndpointKey, NetworkId};
use starling_wire::name::Name;
use starling_wire::name_claim::Refusal;
use starling_wire::own_name::{Answered, Claimed};
use starling_wire::pairing::{Doors, EndReason, Hello, PairingFrame, PairingLink, Secret, Welcome};
use starling_wire::record::{AccountRecord, Content, Signed};
use starling_wire::supernode::SupernodeAddr;
use starling_wire::sync::item::{Asked, Item, Known, Relation};
use starling_wire::sync::{Author, BUCKETS, Entry, Have, Seed, SyncFrame};

use crate::{corpus, mutator};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn device(seed: u8) -> DeviceId {
    DeviceId(key(seed).verifying_key().to_bytes())
}

fn supernode() -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp: "192.0.2.7:27474".parse().expect("an address"),
        discovery_port: 27476,
    }
}

/// Alice's, with a laptop (3) and a phone (5) that is marked as owner.
fn card() -> SignedCard {
    let recovery = key(2).verifying_key();
    let mut chain = Chain::create(&key(1), &recovery, [0; 16], device(3), "laptop");
    let phone = Change::AddDevice {
        device: device(5),
        name: "phone".into(),
        owner: true,
    };
    chain.append(&key(1), phone);
    let keeper = DoorKeys {
        account: chain.id(),
        device: &key(3),
        door: &key(4),
    };
    let door = Door::new(&keeper, vec![supernode()], 1_800_000_000);
    let card = Card {
        chain,
        network: None,
        name: "Alice".into(),
        request_key: request_key(&[8; 32]),
        discovery_key: [7; 32],
        sequence: 1_800_000_000,
    };
    card.sign(&key(1), vec![door])
}

#[test]
fn pairing() {
    let secret = Secret::new([9; 16]);
    let doors = Doors {
        owner: EndpointKey([7; 32]),
        newcomer: EndpointKey([8; 32]),
    };
    let hello = Hello::new(&key(5), "phone".into(), &secret, doors, &[2; 32]);
    assert_eq!(hello.verify(&secret, doors), Ok(()));
    let welcome = Welcome {
        card: card(),
        request_secret: [8; 32],
        signing_key: Some([1; 32]),
        network: "Family".into(),
        supernodes: vec![supernode(); 2],
    };
    assert!(welcome.clone().verify(device(5)).is_ok());
    let link = PairingLink {
        secret,
        door: doors.owner,
        supernodes: vec![supernode()],
    };
    let made = [
        ("hello", encode_body(&PairingFrame::Hello(hello))),
        ("number", encode_body(&PairingFrame::Number([1; 32]))),
        ("reveal", encode_body(&PairingFrame::Reveal([2; 32]))),
        (
            "welcome",
            encode_body(&PairingFrame::Welcome(Box::new(welcome))),
        ),
        ("kept", encode_body(&PairingFrame::Kept)),
        ("end", encode_body(&PairingFrame::End(EndReason::Used))),
        // A mutated text does not get past its check bytes: the body is fed on its own.
        ("link-body", encode_body(&link)),
        ("link", link.to_string().into_bytes()),
    ];
    mutator::run(11, &corpus::committed("pairing", &made), fuzz::pairing);
}

/// What Alice publishes.
fn record() -> Signed<AccountRecord> {
    let chain = card().card.chain;
    AccountRecord {
        by: chain.speaker(),
        head: chain.head(),
        request_key: [6; 32],
        home: vec![supernode()],
        sequence: 7,
        expires: 1_800_000_000,
    }
    .sign(&key(1))
}

/// One entry of every kind, each of which says what it is meant to.
fn entries() -> Vec<Entry> {
    let alice = card().card.chain.id();
    let known = Known {
        relation: Relation::Contact,
        name: "Alice".into(),
        network: None,
        homes: vec![supernode()],
        added_at: 1_800_000_000_000,
    };
    let asked = Asked {
        card: card(),
        text: "Hi".into(),
        at: 1_800_000_000_000,
        work: 16,
    };
    let name = Name::typed("alice").expect("a name");
    let claimed = Claimed {
        network: NetworkId([3; 32]),
        registrar: alice,
        listing: None,
        asked_at: 5,
    };
    let answered = Answered {
        certificate: None,
        refusal: Some(Refusal::Waiting),
    };
    let items = [
        Item::Contact(alice, Some(known)),
        Item::Card(alice, Some(Box::new(card()))),
        Item::Request(alice, Some(Box::new(asked))),
        Item::Nickname(alice, Some("Al".into())),
        Item::Favourite(alice, true),
        Item::Note(alice, None),
        Item::Profile("mood".into(), Some(vec![1, 2])),
        Item::Setting("theme".into(), Some("dark".into())),
        Item::Record(Some(Box::new(record()))),
        Item::RequestKey(Seed([5; 32])),
        Item::Name(name.clone(), Some(claimed)),
        Item::NameAnswer(name, answered),
    ];
    let author = Author::new(alice, key(3));
    let entry = |item: Item| {
        let (key, value) = item.write();
        assert_eq!(Item::read(&key, value.as_deref()), Ok(Some(item)));
        author.sign(key, value, 1_800_000_000_000)
    };
    items.into_iter().map(entry).collect()
}

#[test]
fn sync() {
    let head = card().card.chain.head();
    let own = SyncFrame::Card {
        card: Box::new(card()),
        clock: 1_800_000_000_000,
        wants_key: true,
    };
    let digests = SyncFrame::Digests {
        digests: vec![[7; 8]; BUCKETS],
        settled: Some(head),
    };
    let listed = entries();
    let listed = listed
        .iter()
        .map(|entry| (entry.key.place(), entry.version()));
    let have = Have {
        first: [0; 16],
        last: [255; 16],
        listed: listed.collect(),
        more: false,
    };
    let made = [
        ("card", encode_body(&own)),
        ("digests", encode_body(&digests)),
        ("have", encode_body(&SyncFrame::Have(have))),
        ("entries", encode_body(&SyncFrame::Entries(entries()))),
        ("done", encode_body(&SyncFrame::Done { settled: None })),
        (
            "signing-key",
            encode_body(&SyncFrame::SigningKey(Seed([1; 32]))),
        ),
    ];
    mutator::run(12, &corpus::committed("sync", &made), fuzz::sync);
}
