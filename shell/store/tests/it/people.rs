//! Account, networks, contacts, requests, letters, settings.

use ed25519_dalek::SigningKey;
use starling_store::about::{self, About};
use starling_store::contacts;
use starling_store::letters::{self, LetterKind, Sealed, To};
use starling_store::networks::{self, Joined};
use starling_store::own_set;
use starling_store::profile::{self, Keys, Profile};
use starling_store::requests::{self, Put, Request};
use starling_store::{Store, StoreError, Tx, settings};
use starling_wire::account::Chain;
use starling_wire::card::{Card, SignedCard};
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, NetworkId};
use starling_wire::limits::REQUESTS_MAX;
use starling_wire::permissions::Permissions;
use starling_wire::supernode::SupernodeAddr;
use starling_wire::sync::{Author, Key, VALUE_MAX};
use zeroize::Zeroizing;

use crate::{ALICE, BOB, NOW, carol, carol_with_friends, contact};

fn chain() -> (SigningKey, Chain) {
    let key = SigningKey::from_bytes(&[1; 32]);
    let recovery = SigningKey::from_bytes(&[2; 32]).verifying_key();
    let chain = Chain::create(&key, &recovery, [3; 16], DeviceId([4; 32]), "desk");
    (key, chain)
}

fn card(name: &str, sequence: u64) -> SignedCard {
    let (key, chain) = chain();
    Card {
        chain,
        network: Some(NetworkId([5; 32])),
        name: name.to_owned(),
        request_key: [0; 32],
        discovery_key: [0; 32],
        sequence,
    }
    .sign(&key, Vec::new())
}

fn home() -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([6; 32]),
        tcp: "192.0.2.1:27474".parse().unwrap(),
        discovery_port: 27476,
    }
}

#[test]
fn an_account_is_made_once_and_reads_back() {
    let (dir, mut store) = carol();
    let (_, chain) = chain();
    let secret = |byte| Zeroizing::new([byte; 32]);
    let mut carol = Profile {
        account: chain.id(),
        chain,
        name: "Carol".into(),
        device_name: "desk".into(),
        card: None,
        keys: Keys {
            signing: Some(secret(1)),
            recovery: Some(secret(2)),
            device: secret(3),
            front_door: secret(4),
            inner: secret(5),
            request: secret(6),
            earlier_requests: vec![secret(8), secret(9)],
            discovery: secret(7),
        },
        sequence: 0,
        created_at: NOW,
    };
    assert_eq!(store.read(profile::load), Ok(None));
    assert_eq!(
        store.write(|tx| profile::next_sequence(tx, 1)),
        Err(StoreError::Missing("account"))
    );
    store.write(|tx| profile::create(tx, &carol)).unwrap();
    assert!(matches!(
        store.write(|tx| profile::create(tx, &carol)),
        Err(StoreError::Exists(_))
    ));
    store
        .write(|tx| {
            assert_eq!(profile::next_sequence(tx, 500)?, 500);
            assert_eq!(profile::next_sequence(tx, 500)?, 501, "the same second");
            assert_eq!(
                profile::next_sequence(tx, 3)?,
                502,
                "a clock that was set back"
            );
            profile::used_sequence(tx, 400)
        })
        .unwrap();
    drop(store);
    let mut store = starling_store::Store::open(&dir.path().join("profile")).unwrap();
    carol.sequence = 502;
    assert_eq!(store.write(|tx| profile::next_sequence(tx, 4)), Ok(503));
    store.write(|tx| profile::used_sequence(tx, 900)).unwrap();
    carol.sequence = 900;
    assert_eq!(store.read(profile::load), Ok(Some(carol.clone())));
    assert!(
        !format!("{carol:?}").contains("[1, 1"),
        "secrets are not printed"
    );
    changes(&mut store, carol);
}

/// Another key, name and card.
fn changes(store: &mut Store, mut carol: Profile) {
    carol.keys.signing = None;
    carol.keys.recovery = None;
    carol.keys.earlier_requests.clear();
    carol.card = Some(card("Carol", 901));
    carol.name = "Caro".into();
    store.write(|tx| profile::change(tx, &carol)).unwrap();
    assert_eq!(store.read(profile::load), Ok(Some(carol)));
}

#[test]
fn what_own_devices_keep_together_reads_back() {
    let (dir, mut store) = carol();
    let author = Author::new(ALICE, SigningKey::from_bytes(&[5; 32]));
    let key = |field: &str| Key {
        about: Some(BOB),
        field: field.into(),
    };
    let largest = author.sign(key("note"), Some(vec![7; VALUE_MAX]), u64::MAX);
    let deleted = author.sign(key("contact"), None, 8);
    let head = chain().1.head();
    assert_eq!(store.read(own_set::settled), Ok(None));
    store
        .write(|tx| {
            own_set::put(tx, &author.sign(key("note"), None, 7))?;
            own_set::put(tx, &largest)?;
            own_set::put(tx, &deleted)?;
            own_set::settle(tx, None)?;
            own_set::door_joined(tx, DeviceId([2; 32]), EndpointKey([4; 32]))?;
            own_set::door_removed(tx, EndpointKey([3; 32]), NOW)?;
            own_set::door_removed(tx, EndpointKey([3; 32]), NOW + 1)
        })
        .unwrap();
    drop(store);
    let mut store = starling_store::Store::open(&dir.path().join("profile")).unwrap();
    assert_eq!(store.read(own_set::settled), Ok(Some(None)));
    store.write(|tx| own_set::settle(tx, Some(head))).unwrap();
    assert_eq!(store.read(own_set::settled), Ok(Some(Some(head))));
    let doors = store.read(own_set::joined_doors);
    assert_eq!(doors, Ok(vec![(DeviceId([2; 32]), EndpointKey([4; 32]))]));
    let doors = store.read(own_set::removed_doors);
    assert_eq!(doors, Ok(vec![EndpointKey([3; 32])]));
    let found = store.read(|tx| own_set::get(tx, &key("note")));
    assert_eq!(found, Ok(Some(largest)));
    assert_eq!(store.read(own_set::list).unwrap().len(), 2);
    store.write(|tx| own_set::remove(tx, &key("note"))).unwrap();
    assert_eq!(store.read(own_set::list), Ok(vec![deleted]));
}

#[test]
fn joining_again_never_forgets_the_owners_key() {
    let (_dir, mut store) = carol();
    let mut family = Joined {
        network: Some(NetworkId([5; 32])),
        name: "Family".into(),
        file: Some("format = 1".into()),
        owner: Some(Zeroizing::new([9; 32])),
        supernodes: vec![home()],
        joined_at: NOW,
    };
    store.write(|tx| networks::join(tx, &family)).unwrap();
    let by_link = Joined {
        owner: None,
        name: "Family 2".into(),
        ..family.clone()
    };
    store.write(|tx| networks::join(tx, &by_link)).unwrap();
    family.name = "Family 2".into();
    assert_eq!(store.read(networks::list), Ok(vec![family.clone()]));
    let alone = Joined {
        network: None,
        owner: None,
        file: None,
        ..family.clone()
    };
    store
        .write(|tx| {
            networks::join(tx, &alone)?;
            networks::join(tx, &alone)
        })
        .unwrap();
    assert_eq!(store.read(networks::list), Ok(vec![alone, family]));
}

#[test]
fn the_own_supernodes_key_stays() {
    let (_dir, mut store) = carol();
    let first = Zeroizing::new([1; 32]);
    store
        .write(|tx| networks::set_own_supernode(tx, &first))
        .unwrap();
    let second = store.write(|tx| networks::set_own_supernode(tx, &Zeroizing::new([2; 32])));
    assert!(second.is_err());
    assert_eq!(store.read(networks::own_supernode), Ok(Some(first)));
}

#[test]
fn who_is_an_id_a_nickname_a_beginning_or_a_name() {
    let (_dir, mut store) = carol_with_friends();
    let prefix = &ALICE.to_string()[..6];
    // Mallory made ids until one began like Alice's, and took her name.
    let mut near = ALICE;
    near.0[31] = 0;
    let mallory = contact(near, "ALICE");
    let found = |store: &starling_store::Store, who: &str| -> Vec<AccountId> {
        let found = store.read(|tx| contacts::find(tx, who)).unwrap();
        found.into_iter().map(|c| c.account).collect()
    };
    assert_eq!(found(&store, " Alice "), [ALICE]);
    assert_eq!(found(&store, prefix), [ALICE]);
    assert_eq!(
        found(&store, &prefix[..3]),
        [],
        "too short to be a beginning"
    );
    assert_eq!(found(&store, ""), []);
    store.write(|tx| contacts::put(tx, &mallory)).unwrap();
    assert_eq!(found(&store, prefix).len(), 2, "two begin so: ask back");
    assert_eq!(found(&store, "alice").len(), 2, "two call themselves so");
    assert_eq!(found(&store, &ALICE.to_string().to_uppercase()), [ALICE]);
    store
        .write(|tx| contacts::set_nickname(tx, ALICE, Some("alice")))
        .unwrap();
    assert_eq!(found(&store, "Alice"), [ALICE], "the user's own choice");
    assert_eq!(
        store.write(|tx| contacts::set_nickname(tx, AccountId([0; 32]), None)),
        Err(StoreError::Missing("contact"))
    );
}

#[test]
fn nobody_keeps_a_blocked_contacts_doors() {
    let (_dir, mut store) = carol_with_friends();
    store.write(|tx| contacts::block(tx, ALICE)).unwrap();
    let blocked = store.read(|tx| contacts::get(tx, ALICE)).unwrap().unwrap();
    assert_eq!(blocked.card, None);
}

#[test]
fn contact_02_of_a_removed_contact_only_the_note_stays() {
    let (_dir, mut store) = carol_with_friends();
    let account = ALICE;
    let kept = About {
        favourite: true,
        note: Some("Met in Tallinn".into()),
        lists: vec!["Friends".into(), "Work".into()],
        permissions: Permissions::from_denied(3),
        verified: Some([8; 32]),
        key_changed_at: Some(NOW),
    };
    store
        .write(|tx| {
            about::put(tx, account, &kept)?;
            assert_eq!(about::get(tx, account)?, kept);
            assert_eq!(about::all(tx)?, [(account, kept.clone())]);
            contacts::remove(tx, account)?;
            let left = About {
                note: kept.note.clone(),
                ..About::default()
            };
            assert_eq!(about::get(tx, account)?, left);
            Ok(())
        })
        .unwrap();
}

#[test]
fn people_04_of_too_many_requests_the_one_with_least_work_goes_and_an_account_has_one() {
    let (_dir, mut store) = carol();
    let request = |number: u64, text: &str, work: u8| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Request {
            account: AccountId(id),
            card: card("Dave", 1),
            text: text.to_owned(),
            at: NOW + number,
            work,
        }
    };
    store
        .write(|tx| {
            for number in 0..REQUESTS_MAX as u64 {
                let work = if number == 7 { 16 } else { 18 };
                let put = requests::put(tx, &request(number, "hi", work))?;
                assert_eq!(put, Put::Kept(None));
            }
            let put = |number: u64, text: &str, work| {
                requests::put(tx, &request(REQUESTS_MAX as u64 + number, text, work))
            };
            assert_eq!(put(0, "too little", 15)?, Put::TooMany);
            let least = request(7, "", 0).account;
            assert_eq!(put(0, "as little, later", 16)?, Put::Kept(Some(least)));
            let newest = request(REQUESTS_MAX as u64, "", 0).account;
            assert_eq!(put(1, "more", 17)?, Put::Kept(Some(newest)));
            assert_eq!(put(1, "again", 16)?, Put::Kept(None));
            let first = request(REQUESTS_MAX as u64 + 1, "", 0).account;
            assert_eq!(put(2, "more", 18)?, Put::Kept(Some(first)));
            let oldest = request(0, "", 0).account;
            assert_eq!(put(3, "more", 18)?, Put::Kept(Some(oldest)));
            let third = requests::put(tx, &request(3, "again", 16))?;
            assert_eq!(third, Put::Kept(None));
            Ok(())
        })
        .unwrap();
    store
        .read(|tx| {
            assert_eq!(requests::list(tx)?.len(), REQUESTS_MAX);
            let third = request(3, "again", 18);
            assert_eq!(
                requests::find(tx, &third.account.to_string())?,
                std::slice::from_ref(&third)
            );
            assert_eq!(requests::get(tx, third.account)?, Some(third));
            assert_eq!(requests::find(tx, "dave")?.len(), REQUESTS_MAX);
            Ok(())
        })
        .unwrap();
    let gone = store.write(|tx| requests::remove(tx, request(3, "", 0).account));
    assert_eq!(gone, Ok(true));
}

#[test]
fn people_06_a_letter_is_read_once_and_an_older_one_never() {
    let (_dir, mut store) = carol();
    let [desk, phone] = [1, 2].map(|n| DeviceId([n; 32]));
    let mut read = |account, device, number| {
        store.write(|tx| requests::first_read(tx, account, device, number, NOW))
    };
    assert_eq!(read(ALICE, desk, 5), Ok(true));
    assert_eq!(read(ALICE, desk, 5), Ok(false));
    assert_eq!(read(ALICE, desk, 4), Ok(false));
    assert_eq!(read(BOB, desk, 4), Ok(true));
    assert_eq!(read(ALICE, desk, 6), Ok(true));
    // Each device counts by itself.
    assert_eq!(read(ALICE, phone, 5), Ok(true));
    assert_eq!(read(ALICE, desk, 6), Ok(false));
}

#[test]
fn letters_to_one_account_go_in_order_and_a_replaced_one_is_another() {
    let (_dir, mut store) = carol();
    store
        .write(|tx| {
            letters::put(tx, ALICE, LetterKind::Accept, &sealed(b"yes"), NOW)?;
            letters::put(tx, ALICE, LetterKind::Update, &sealed(b"moved"), NOW)
        })
        .unwrap();
    let due = store.read(|tx| letters::due(tx, To::Known, NOW)).unwrap();
    assert_eq!(due.len(), 1, "the second waits for the first");
    store
        .write(|tx| {
            letters::failed(tx, due[0].number, NOW + 100)?;
            assert!(letters::due(tx, To::Known, NOW)?.is_empty());
            assert_eq!(letters::next_due(tx, To::Known)?, Some(NOW + 100));
            // While the first one is on its way it is replaced; what arrived was not the newer one.
            letters::put(tx, ALICE, LetterKind::Accept, &sealed(b"still yes"), NOW)?;
            letters::deposited(tx, due[0].number)
        })
        .unwrap();
    let kept = store.read(|tx| letters::to(tx, ALICE)).unwrap();
    let texts: Vec<&[u8]> = kept
        .iter()
        .map(|letter| &letter.sealed.envelope[..])
        .collect();
    assert_eq!(texts, [&b"moved"[..], b"still yes"]);
}

fn sealed(envelope: &[u8]) -> Sealed {
    Sealed {
        envelope: envelope.to_vec(),
        mark: envelope.first().map(|first| [*first; 16]),
    }
}

#[test]
fn letters_to_people_who_know_us_do_not_wait_for_those_to_strangers() {
    let (_dir, mut store) = carol();
    store
        .write(|tx| {
            letters::put(tx, ALICE, LetterKind::Request, &sealed(b""), NOW)?;
            letters::put(tx, BOB, LetterKind::Update, &sealed(b"moved"), NOW + 1)?;
            letters::put(tx, ALICE, LetterKind::Accept, &sealed(b"yes"), NOW + 2)
        })
        .unwrap();
    let due = |to| move |tx: &Tx<'_>| letters::due(tx, to, NOW + 9);
    let strangers = store.read(due(To::Strangers)).unwrap();
    assert_eq!((strangers.len(), strangers[0].sealed.mark), (1, None));
    let known = store.read(due(To::Known)).unwrap();
    let whose: Vec<_> = known.iter().map(|letter| letter.account).collect();
    assert_eq!(whose, [BOB], "in order to one account");
    assert_eq!(known[0].sealed, sealed(b"moved"));
    let next = |to| move |tx: &Tx<'_>| letters::next_due(tx, to);
    assert_eq!(store.read(next(To::Strangers)), Ok(Some(NOW)));
    assert_eq!(store.read(next(To::Known)), Ok(Some(NOW + 1)));
}

#[test]
fn letters_wait_for_their_time_and_the_newer_replaces() {
    let (_dir, mut store) = carol();
    store
        .write(|tx| {
            letters::put(tx, ALICE, LetterKind::Update, &sealed(b"first"), NOW)?;
            letters::put(tx, BOB, LetterKind::Accept, &sealed(b"yes"), NOW + 1)
        })
        .unwrap();
    let due = store.read(|tx| letters::due(tx, To::Known, NOW)).unwrap();
    assert_eq!(due.len(), 1);
    store
        .write(|tx| letters::failed(tx, due[0].number, NOW + 60_000))
        .unwrap();
    assert_eq!(
        store.read(|tx| letters::next_due(tx, To::Known)),
        Ok(Some(NOW + 1))
    );
    let to_alice = store.read(|tx| letters::to(tx, ALICE)).unwrap();
    assert_eq!(
        (to_alice[0].attempts, to_alice[0].next_at),
        (1, NOW + 60_000)
    );
    store
        .write(|tx| {
            letters::retry_all(tx, NOW + 2)?;
            letters::put(tx, ALICE, LetterKind::Update, &sealed(b"second"), NOW + 2)
        })
        .unwrap();
    let due = store
        .read(|tx| letters::due(tx, To::Known, NOW + 2))
        .unwrap();
    assert_eq!(due.len(), 2);
    assert_eq!(
        (&due[1].sealed.envelope[..], due[1].attempts),
        (&b"second"[..], 0)
    );
    store
        .write(|tx| {
            letters::deposited(tx, due[0].number)?;
            letters::drop_to(tx, ALICE)
        })
        .unwrap();
    assert_eq!(store.read(|tx| letters::next_due(tx, To::Known)), Ok(None));
}

#[test]
fn settings_are_text() {
    let (_dir, mut store) = carol();
    store
        .write(|tx| {
            settings::set(tx, "lan", "on")?;
            settings::set(tx, "lan", "off")
        })
        .unwrap();
    assert_eq!(
        store.read(|tx| settings::get(tx, "lan")),
        Ok(Some("off".into()))
    );
    assert_eq!(store.read(|tx| settings::get(tx, "dark")), Ok(None));
}
