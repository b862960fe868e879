//! What a supernode keeps for others.

use ed25519_dalek::SigningKey;
use starling_store::supernode::{self, Deposit, Kept, Registered};
use starling_wire::account::Chain;
use starling_wire::frame;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey};
use starling_wire::limits::{DEPOSIT_TTL_S, DEPOSITS_PER_ACCOUNT_MAX, DEVICES_MAX, ENVELOPE_MAX};
use starling_wire::record::{AccountRecord, SignedRecord};
use starling_wire::supernode::{Answer, REQUEST_MAX, envelope_id};

use crate::carol;

const NOW_S: u64 = 1_795_500_000;
const DOOR: EndpointKey = EndpointKey([8; 32]);

fn record(seed: u8, sequence: u64) -> (AccountId, SignedRecord) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let recovery = SigningKey::from_bytes(&[2; 32]).verifying_key();
    let chain = Chain::create(&key, &recovery, [3; 16], DeviceId([4; 32]), "desk");
    let id = chain.id();
    let record = AccountRecord {
        chain,
        request_key: [0; 32],
        home: vec![],
        sequence,
        expires: NOW_S + 100,
    };
    (id, record.sign(&key))
}

#[test]
fn super_02_a_lower_sequence_never_replaces_a_higher_one() {
    let (_dir, mut store) = carol();
    let (alice, fifth) = record(1, 5);
    let (_, fourth) = record(1, 4);
    store
        .write(|tx| {
            assert_eq!(
                supernode::register(tx, alice, DOOR, &fifth)?,
                Registered::Stored
            );
            assert_eq!(
                supernode::register(tx, alice, DOOR, &fourth)?,
                Registered::Older
            );
            assert_eq!(supernode::record(tx, alice)?, Some(fifth));
            assert_eq!(supernode::account_of(tx, DOOR)?, Some(alice));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_door_has_one_account_and_an_account_few_doors() {
    let (_dir, mut store) = carol();
    let (alice, alices) = record(1, 1);
    let (bob, bobs) = record(9, 1);
    store
        .write(|tx| {
            for number in 0..DEVICES_MAX as u8 {
                let door = EndpointKey([number; 32]);
                assert_eq!(
                    supernode::register(tx, alice, door, &alices)?,
                    Registered::Stored
                );
            }
            let more = supernode::register(tx, alice, EndpointKey([99; 32]), &alices)?;
            assert_eq!(more, Registered::TooManyDoors);
            supernode::register(tx, bob, EndpointKey([0; 32]), &bobs)?;
            assert_eq!(supernode::account_of(tx, EndpointKey([0; 32]))?, Some(bob));
            assert_eq!(supernode::doors(tx, alice)?.len(), DEVICES_MAX - 1);
            Ok(())
        })
        .unwrap();
}

#[test]
fn super_03_envelopes_are_bounded_and_only_for_registered_accounts() {
    let (_dir, mut store) = carol();
    let (alice, signed) = record(1, 1);
    store
        .write(|tx| {
            let stranger = supernode::deposit(tx, alice, b"hello", NOW_S)?;
            assert_eq!(stranger, Deposit::UnknownAccount);
            supernode::register(tx, alice, DOOR, &signed)?;
            for number in 0..DEPOSITS_PER_ACCOUNT_MAX {
                let mut envelope = vec![0; ENVELOPE_MAX];
                envelope[0] = u8::try_from(number).unwrap();
                assert_eq!(
                    supernode::deposit(tx, alice, &envelope, NOW_S)?,
                    Deposit::Kept
                );
                assert_eq!(
                    supernode::deposit(tx, alice, &envelope, NOW_S)?,
                    Deposit::Kept
                );
            }
            assert_eq!(
                supernode::deposit(tx, alice, b"one more", NOW_S)?,
                Deposit::Full
            );
            Ok(())
        })
        .unwrap();
    let kept = Kept {
        accounts: 1,
        doors: 1,
        deposits: DEPOSITS_PER_ACCOUNT_MAX as u64,
        deposit_bytes: (DEPOSITS_PER_ACCOUNT_MAX * ENVELOPE_MAX) as u64,
    };
    assert_eq!(store.read(supernode::kept), Ok(kept));
    // All of them leave in answers that fit their frame, the oldest first.
    for round in 0..=DEPOSITS_PER_ACCOUNT_MAX {
        let waiting = store.read(|tx| supernode::envelopes(tx, alice)).unwrap();
        if waiting.is_empty() {
            assert!(round > 1);
            return;
        }
        let ids: Vec<_> = waiting.iter().map(|bytes| envelope_id(bytes)).collect();
        assert!(frame::encode_body(&Answer::Envelopes(waiting)).len() <= REQUEST_MAX);
        let forgotten = store.write(|tx| supernode::forget_envelopes(tx, alice, &ids));
        assert_eq!(forgotten, Ok(ids.len()));
    }
    panic!("envelopes were never all collected");
}

#[test]
fn what_is_too_old_is_forgotten_but_not_an_account_that_is_waited_for() {
    let (_dir, mut store) = carol();
    let (alice, alices) = record(1, 1);
    let (bob, bobs) = record(9, 1);
    store
        .write(|tx| {
            supernode::register(tx, alice, DOOR, &alices)?;
            supernode::register(tx, bob, EndpointKey([7; 32]), &bobs)?;
            supernode::deposit(tx, alice, b"hello", NOW_S)?;
            assert_eq!(supernode::expire(tx, NOW_S + 99)?, 0);
            assert_eq!(supernode::expire(tx, NOW_S + 100)?, 1);
            assert_eq!(supernode::account_of(tx, EndpointKey([7; 32]))?, None);
            assert_eq!(supernode::envelopes(tx, alice)?.len(), 1);
            assert_eq!(supernode::expire(tx, NOW_S + DEPOSIT_TTL_S)?, 2);
            assert_eq!(supernode::kept(tx)?, Kept::default());
            Ok(())
        })
        .unwrap();
}
