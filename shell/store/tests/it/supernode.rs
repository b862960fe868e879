//! What a supernode keeps for others.

use ed25519_dalek::SigningKey;
use starling_store::error::StoreError;
use starling_store::mailbox;
use starling_store::supernode::{self, Expired, Kept, Registered};
use starling_store::{Store, Tx, index_records};
use starling_wire::account::{Chain, Change};
use starling_wire::ids::{AccountId, DeviceId, EndpointKey};
use starling_wire::limits::{DEPOSIT_TTL_S, SEQUENCE_MAX};
use starling_wire::postage::{ContactsKey, Postage, Stamped};
use starling_wire::record::{AccountRecord, Content, Signed, SignedRecord};
use starling_wire::registration::{Place, Registration, VerifiedRegistration};
use starling_wire::speaker::Recovery;

use crate::{carol, faults};

pub const NOW_S: u64 = 1_795_500_000;
const DOOR: EndpointKey = EndpointKey([8; 32]);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn device(seed: u8) -> DeviceId {
    DeviceId(key(seed).verifying_key().to_bytes())
}

/// The account of `seed` with two devices, 100 and 101.
fn chain(seed: u8) -> Chain {
    let recovery = key(2).verifying_key();
    let mut chain = Chain::create(&key(seed), &recovery, [3; 16], device(100), "desk");
    let phone = Change::AddDevice {
        device: device(101),
        name: "phone".into(),
        owner: false,
    };
    chain.append(&key(seed), phone);
    chain
}

fn shown(
    seed: u8,
    chain: Chain,
    own: u8,
    door: EndpointKey,
    sequence: u64,
) -> VerifiedRegistration {
    let place = Place {
        door,
        supernode: EndpointKey([9; 32]),
    };
    let record = AccountRecord {
        by: chain.speaker(),
        head: chain.head(),
        request_key: [0; 32],
        home: vec![],
        sequence,
        expires: NOW_S + 100,
    };
    Registration::new(
        record.sign(&key(seed)),
        chain,
        &key(own),
        place,
        ContactsKey([own; 32]),
    )
    .verify(place, NOW_S)
    .unwrap()
}

/// The same account's record with another number.
pub fn record_of(shown: &VerifiedRegistration, sequence: u64) -> Signed<AccountRecord> {
    let record = shown.record().record().clone();
    AccountRecord { sequence, ..record }.sign(&key(1))
}

pub fn registration(seed: u8, sequence: u64) -> (AccountId, VerifiedRegistration) {
    let shown = shown(seed, chain(seed), 100, DOOR, sequence);
    (shown.account(), shown)
}

/// A contact's letter.
pub fn leave(
    tx: &Tx<'_>,
    account: AccountId,
    envelope: &[u8],
    now_s: u64,
) -> Result<bool, StoreError> {
    let letter = Stamped {
        postage: Postage::Contact([0; 16]),
        envelope: envelope.to_vec(),
    };
    mailbox::keep_of_contact(tx, account, &letter, None, now_s)
}

#[test]
fn postage_03_only_the_newest_contacts_key_counts() {
    let (_dir, mut store) = carol();
    let (alice, first) = registration(1, 1);
    let other = shown(1, chain(1), 101, EndpointKey([8; 32]), 1);
    store
        .write(|tx| {
            for (registered, byte) in [(&first, 100), (&other, 101), (&first, 100)] {
                supernode::register(tx, registered)?;
                let key = mailbox::contacts_key(tx, alice)?;
                assert_eq!(key, Some(ContactsKey([byte; 32])));
            }
            Ok(())
        })
        .unwrap();
}

fn put(tx: &Tx<'_>, seed: u8, own: u8, door: u8) -> Result<Registered, StoreError> {
    supernode::register(
        tx,
        &shown(seed, chain(seed), own, EndpointKey([door; 32]), 1),
    )
}

#[test]
fn records_in_an_earlier_shape_are_forgotten() {
    let (dir, mut store) = carol();
    let (alice, shown) = registration(5, 1);
    let record = SignedRecord::from(shown.record().signed().clone());
    store
        .write(|tx| {
            supernode::register(tx, &shown)?;
            leave(tx, alice, b"a letter", NOW_S)?;
            index_records::keep(tx, shown.record().key(), &record)
        })
        .unwrap();
    drop(store);
    let before = faults::behind(&dir.path().join("profile"));
    before
        .execute_batch(
            "ALTER TABLE registered_accounts RENAME COLUMN record_order TO sequence;
             UPDATE registered_accounts SET record = x'00';
             UPDATE index_records SET record = x'00';",
        )
        .and_then(|()| {
            before.execute_batch(include_str!("../../src/migrations/0005_recoveries.sql"))
        })
        .unwrap();
    let mut store = Store::open(&dir.path().join("profile")).unwrap();
    store
        .write(|tx| {
            assert_eq!(index_records::load(tx, NOW_S)?, []);
            assert_eq!(supernode::kept(tx)?, Kept::default());
            assert_eq!(supernode::register(tx, &shown)?, Registered::New);
            Ok(())
        })
        .unwrap();
}

#[test]
fn super_02_a_lower_sequence_never_replaces_a_higher_one() {
    let (_dir, mut store) = carol();
    let (alice, fifth) = registration(1, 5);
    let (_, fourth) = registration(1, 4);
    // The same sequence, but another record: its head is another.
    let alone = Chain {
        entries: chain(1).entries[..1].to_vec(),
        ..chain(1)
    };
    let other = shown(1, alone, 100, EndpointKey([7; 32]), 5);
    store
        .write(|tx| {
            assert_eq!(supernode::standing(tx, &fifth)?, Registered::New);
            assert_eq!(supernode::register(tx, &fifth)?, Registered::New);
            assert_eq!(supernode::standing(tx, &fourth)?, Registered::Older);
            assert_eq!(supernode::standing(tx, &fifth)?, Registered::Known);
            assert_eq!(supernode::register(tx, &fourth)?, Registered::Older);
            assert_eq!(supernode::register(tx, &other)?, Registered::Older);
            assert_eq!(supernode::register(tx, &fifth)?, Registered::Known);
            let kept = supernode::record(tx, alice)?;
            assert_eq!(kept.as_ref(), Some(fifth.record().signed()));
            assert_eq!(supernode::account_of(tx, DOOR)?, Some(alice));
            assert_eq!(supernode::doors(tx, alice)?, [DOOR]);
            Ok(())
        })
        .unwrap();
}

/// The account of `seed`, recovered for the `number`-th time on device 102; its signing key is `signer` now.
fn recovered(seed: u8, number: u16, signer: u8) -> Chain {
    let mut chain = chain(seed);
    let signing = key(signer).verifying_key();
    let word = Recovery::new(&key(2), chain.id(), number, &signing);
    let (device, name) = (device(102), "found again".into());
    chain.append(&key(2), Change::Recover { word, device, name });
    chain
}

#[test]
fn super_02_a_stolen_key_outbids_no_recovered_account() {
    let (_dir, mut store) = carol();
    // The thief has registered his door under the highest number there is.
    let (alice, thief) = registration(1, SEQUENCE_MAX);
    let door = |number: u8| EndpointKey([number; 32]);
    let back = recovered(1, 1, 10);
    let first = shown(10, back.clone(), 102, door(20), 1);
    let next = shown(10, back, 102, door(20), 2);
    let again = shown(11, recovered(1, 2, 11), 102, door(21), 0);
    store
        .write(|tx| {
            assert_eq!(supernode::register(tx, &thief)?, Registered::New);
            assert_eq!(supernode::register(tx, &first)?, Registered::New);
            assert_eq!(supernode::doors(tx, alice)?, [door(20)], "the thief is out");
            assert_eq!(supernode::register(tx, &thief)?, Registered::Older);
            assert_eq!(supernode::register(tx, &next)?, Registered::New);
            assert_eq!(supernode::register(tx, &first)?, Registered::Older);
            assert_eq!(supernode::register(tx, &again)?, Registered::New);
            assert_eq!(supernode::register(tx, &next)?, Registered::Older);
            let kept = supernode::record(tx, alice)?;
            assert_eq!(kept.as_ref(), Some(again.record().signed()));
            assert_eq!(supernode::doors(tx, alice)?, [door(21)]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn index_24_a_record_that_comes_again_is_no_news_from_whichever_device() {
    let (_dir, mut store) = carol();
    let (_, first) = registration(1, 5);
    let second = shown(1, chain(1), 101, EndpointKey([10; 32]), 5);
    store
        .write(|tx| {
            assert_eq!(supernode::register(tx, &first)?, Registered::New);
            assert_eq!(supernode::register(tx, &second)?, Registered::Known);
            assert_eq!(supernode::all_doors(tx)?.len(), 2);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_device_has_one_door_and_a_removed_device_none() {
    let (_dir, mut store) = carol();
    let alice = chain(1).id();
    let mut shorter = chain(1);
    shorter.append(
        &key(1),
        Change::RemoveDevice {
            device: device(101),
        },
    );
    let removed = shown(1, shorter, 100, EndpointKey([12; 32]), 2);
    store
        .write(|tx| {
            put(tx, 1, 100, 10)?;
            put(tx, 1, 101, 11)?;
            put(tx, 1, 100, 12)?;
            let doors = [EndpointKey([11; 32]), EndpointKey([12; 32])];
            assert_eq!(supernode::doors(tx, alice)?, doors);
            assert_eq!(supernode::all_doors(tx)?, doors);
            assert_eq!(supernode::account_of(tx, EndpointKey([10; 32]))?, None);
            assert_eq!(supernode::register(tx, &removed)?, Registered::New);
            assert_eq!(supernode::doors(tx, alice)?, [EndpointKey([12; 32])]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn super_07_what_is_too_old_is_forgotten_and_an_account_that_is_waited_for_later() {
    let (_dir, mut store) = carol();
    let (alice, bob) = (chain(1).id(), chain(9).id());
    let gone = |accounts, deposits| Expired { accounts, deposits };
    store
        .write(|tx| {
            put(tx, 1, 100, 7)?;
            put(tx, 9, 100, 8)?;
            leave(tx, alice, b"hello", NOW_S)?;
            assert_eq!(supernode::expire(tx, NOW_S + 99)?, gone(0, 0));
            assert_eq!(supernode::expire(tx, NOW_S + 100)?, gone(1, 0));
            assert_eq!(supernode::account_of(tx, EndpointKey([8; 32]))?, None);
            assert_eq!(supernode::record(tx, bob)?, None);
            assert_eq!(mailbox::letters(tx, alice)?.len(), 1);
            // Strangers who go on writing do not keep it here.
            leave(tx, alice, b"again", NOW_S + DEPOSIT_TTL_S)?;
            assert_eq!(supernode::expire(tx, NOW_S + DEPOSIT_TTL_S)?, gone(0, 1));
            let late = NOW_S + DEPOSIT_TTL_S + 100;
            assert_eq!(supernode::expire(tx, late)?, gone(1, 0));
            assert_eq!(supernode::kept(tx)?, Kept::default());
            Ok(())
        })
        .unwrap();
}
