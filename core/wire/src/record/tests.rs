//! Each kind at its largest, and each thing it is refused for.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::device::{DeviceHome, SEALED};
use super::gateways::{GATEWAYS_MAX, Gateway, PREFIXES_MAX, Publisher};
use super::name::NAME_AHEAD_MAX_S;
use super::registrar::Registrar;
use super::*;
use crate::account::Chain;
use crate::frame::{decode_body, encode_body};
use crate::ids::{AccountId, DeviceId, EndpointKey};
use crate::limits::{RECOVERIES_MAX, SEQUENCE_MAX, SUPERNODES_MAX};
use crate::name::{BYTES_MAX, CHARS_MAX, Name};
use crate::name_log::Position;
use crate::speaker::Recovery;
use crate::supernode::SupernodeAddr;

const NOW: u64 = 1_800_000_000;
/// Dates for the largest records: their numbers take as many bytes as any.
const LATE: u64 = u64::MAX - 1;
const SECRET: [u8; 32] = [8; 32];

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

/// The network whose owner has key 20; its registrar has key 21.
fn network() -> NetworkId {
    NetworkId(public(20))
}

fn registrar(until: u64) -> Registrar {
    Registrar::appoint(&key(20), AccountId([5; 32]), public(21), until)
}

fn chain() -> Chain {
    let recovery = key(2).verifying_key();
    Chain::create(
        &key(1),
        &recovery,
        [0; 16],
        DeviceId([4; 32]),
        "Alice's laptop",
    )
}

/// The chain after its owner entered the 24 words as often as he can: key 10 signs.
fn recovered(number: u16) -> Speaker {
    let account = chain().id();
    let word = Recovery::new(&key(2), account, number, &key(10).verifying_key());
    Speaker {
        recovery: Some(word),
        ..chain().speaker()
    }
}

fn homes() -> Vec<SupernodeAddr> {
    let home = SupernodeAddr {
        id: EndpointKey([5; 32]),
        tcp: "[2001:db8::1]:65535".parse().unwrap(),
        discovery_port: u16::MAX,
    };
    vec![home; SUPERNODES_MAX]
}

fn alice(expires: u64) -> Signed<AccountRecord> {
    AccountRecord {
        head: chain().head(),
        by: chain().speaker(),
        request_key: [6; 32],
        home: homes(),
        sequence: NOW,
        expires,
    }
    .sign(&key(1))
}

fn device(sequence: u64, expires: u64) -> DeviceRecord {
    let home = DeviceHome {
        home: homes(),
        request_key: [6; 32],
    };
    DeviceRecord {
        publisher: public(3),
        sealed: home.seal(&public(3), &SECRET, [9; 32]).unwrap(),
        sequence,
        expires,
    }
}

/// Letters of two bytes: as many bytes as a name may have.
fn largest_name() -> Name {
    let name = Name::typed(&"\u{434}".repeat(CHARS_MAX)).unwrap();
    assert_eq!(name.as_str().len(), BYTES_MAX);
    name
}

fn name(sequence: u64, expires: u64) -> NameRecord {
    NameRecord {
        registrar: registrar(expires),
        name: largest_name(),
        account: Some(AccountId([7; 32])),
        sequence,
        expires,
    }
}

fn head(sequence: u64, expires: u64) -> LogHead {
    LogHead {
        registrar: registrar(expires),
        position: Position::sign(&registrar(expires), (sequence, [5; 32]), NOW, &key(21)),
        sequence,
        expires,
    }
}

fn gateways(by: Publisher, count: usize, sequence: u64, expires: u64) -> GatewaysRecord {
    let mut gateways: Vec<Gateway> = (0..count)
        .map(|_| Gateway {
            account: chain().id(),
            prefixes: vec![],
        })
        .collect();
    for number in 0..PREFIXES_MAX {
        gateways[number % count]
            .prefixes
            .push("123456789012345".into());
    }
    GatewaysRecord {
        by,
        gateways,
        sequence,
        expires,
    }
}

fn owners(sequence: u64, expires: u64) -> GatewaysRecord {
    gateways(Publisher::Owner(network()), GATEWAYS_MAX, sequence, expires)
}

fn own(sequence: u64, expires: u64) -> GatewaysRecord {
    gateways(Publisher::Gateway(chain().speaker()), 1, sequence, expires)
}

/// One of every kind, as large as it can be.
fn largest() -> Vec<(SignedRecord, usize)> {
    let account = AccountRecord {
        by: recovered(RECOVERIES_MAX),
        sequence: SEQUENCE_MAX,
        ..alice(LATE).record
    };
    let own = GatewaysRecord {
        by: Publisher::Gateway(recovered(RECOVERIES_MAX)),
        ..own(SEQUENCE_MAX, LATE)
    };
    vec![
        (account.sign(&key(10)).into(), 493),
        (device(u64::MAX, LATE).sign(&key(3)).into(), 375),
        (name(u64::MAX, LATE).sign(&key(21)).into(), 387),
        (head(u64::MAX, LATE).sign(&key(21)).into(), 400),
        (owners(u64::MAX, LATE).sign(&key(20)).into(), 573),
        (own.sign(&key(10)).into(), 553),
    ]
}

fn verify<T: Content>(signed: &Signed<T>) -> Result<Verified<T>, RecordError> {
    signed.verify_in(Some(network()), NOW)
}

#[test]
fn record_01_the_largest_of_each_kind_fits_and_a_larger_one_is_refused() {
    assert_eq!(
        alice(NOW + 100).encoded_len(),
        386,
        "three supernodes on IPv6, whatever the history"
    );
    for (record, size) in largest() {
        assert_eq!(record.encoded_len(), size, "{}", record.kind());
        assert!(size <= RECORD_MAX);
        let verified = record.verify(Some(network()), LATE - 1);
        assert!(verified.is_ok(), "{}: {verified:?}", record.kind());
    }
    let mut large = alice(NOW + 100);
    large.record.home.push(large.record.home[0].clone());
    let account = large.account();
    assert_eq!(large.verify(account, NOW), Err(RecordError::TooLarge));
    let mut long = device(1, NOW + 1);
    long.sealed.resize(RECORD_MAX, 0);
    assert_eq!(verify(&long.sign(&key(3))), Err(RecordError::TooLarge));
    let mut many = owners(1, NOW + 1);
    many.gateways[0].prefixes.push("1".into());
    assert_eq!(verify(&many.sign(&key(20))), Err(RecordError::TooLarge));
}

#[test]
fn record_02_another_accounts_record_is_no_answer() {
    assert_eq!(
        alice(NOW + 100).verify(AccountId([9; 32]), NOW),
        Err(RecordError::WrongAccount)
    );
}

#[test]
fn record_02_no_record_is_found_by_the_key_of_another() {
    let mut keys: Vec<IndexKey> = largest()
        .iter()
        .map(|(record, _)| record.verify(Some(network()), LATE - 1).unwrap().key())
        .collect();
    keys.push(IndexKey::name(network(), "b"));
    keys.push(IndexKey::device(&public(1)));
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[test]
fn record_03_expired_or_far_ahead_is_refused() {
    let id = alice(NOW).account();
    assert_eq!(alice(NOW).verify(id, NOW), Err(RecordError::Expired));
    assert_eq!(
        alice(NOW + 3 * RECORD_TTL_S).verify(id, NOW),
        Err(RecordError::Expired)
    );
    let valid = alice(NOW + RECORD_TTL_S).verify(id, NOW).unwrap();
    assert_eq!(valid.account(), id);
}

#[test]
fn record_03_a_name_lives_for_a_year_and_nothing_else_does() {
    let year = NOW + NAME_AHEAD_MAX_S;
    assert!(verify(&name(1, year).sign(&key(21))).is_ok());
    let over = name(1, year + 1).sign(&key(21));
    assert_eq!(verify(&over), Err(RecordError::Expired));
    let expired = Err(RecordError::Expired);
    assert_eq!(verify(&device(1, year).sign(&key(3))).map(|_| ()), expired);
    assert_eq!(verify(&head(1, year).sign(&key(21))).map(|_| ()), expired);
    assert_eq!(verify(&owners(1, year).sign(&key(20))).map(|_| ()), expired);
    assert_eq!(verify(&own(1, NOW).sign(&key(1))).map(|_| ()), expired);
}

#[test]
fn record_04_a_key_that_is_none_is_refused() {
    let mut record = alice(NOW + 100);
    let no_point = |bytes: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(bytes).is_err();
    record.record.by.inception.recovery_key = (0..=u8::MAX)
        .map(|byte| [byte; 32])
        .find(no_point)
        .expect("half of all are none");
    assert_eq!(
        record.verify(record.account(), NOW),
        Err(RecordError::Account(AccountError::Key))
    );
}

#[test]
fn record_05_a_changed_supernode_breaks_the_signature() {
    let mut record = alice(NOW + 100);
    record.record.home[0].tcp.set_port(1);
    let id = record.account();
    assert_eq!(record.verify(id, NOW), Err(RecordError::Signature));
}

#[test]
fn record_05_a_signature_counts_for_one_kind_only() {
    let contexts = [
        AccountRecord::CONTEXT,
        DeviceRecord::CONTEXT,
        NameRecord::CONTEXT,
        LogHead::CONTEXT,
        GatewaysRecord::CONTEXT,
    ];
    let mut head = head(1, NOW + 1).sign(&key(21));
    for context in contexts {
        // The same bytes and key; only what they are signed as differs.
        let bytes = [context, &encode_body(&head.record)].concat();
        head.signature = sign(&key(21), &bytes);
        assert_eq!(verify(&head).is_ok(), context == LogHead::CONTEXT);
        let begins = |other: &&&[u8]| other.starts_with(context);
        assert_eq!(
            contexts.iter().filter(begins).count(),
            1,
            "none begins as another"
        );
    }
}

#[test]
fn record_06_a_supernode_nowhere_is_refused() {
    let mut record = alice(NOW + 100);
    record.record.home[0].tcp.set_ip("0.0.0.0".parse().unwrap());
    assert_eq!(
        record.verify(record.account(), NOW),
        Err(RecordError::Address)
    );
}

#[test]
fn record_07_a_devices_record_is_signed_by_the_key_it_names_and_as_long_as_all_others() {
    let record = device(1, NOW + 1);
    assert!(verify(&record.clone().sign(&key(3))).is_ok());
    // Not even its account's key may.
    let others = record.clone().sign(&key(1));
    assert_eq!(verify(&others), Err(RecordError::Signature));
    let mut shorter = record;
    shorter.sealed.pop();
    assert_eq!(verify(&shorter.sign(&key(3))), Err(RecordError::Sealed));
    let one = DeviceHome {
        home: vec![],
        request_key: [0; 32],
    };
    let sealed = one.seal(&public(3), &SECRET, [1; 32]).unwrap();
    assert_eq!(sealed.len(), SEALED, "one home or three");
}

#[test]
fn record_08_only_whoever_holds_the_secret_learns_where_a_device_is_at_home() {
    let record = verify(&device(1, NOW + 1).sign(&key(3))).unwrap();
    let home = record.open(&SECRET).unwrap();
    assert_eq!(home.home, homes());
    assert_eq!(record.open(&[9; 32]), Err(RecordError::Sealed));
    // It says nothing of supernodes in clear.
    let bytes = encode_body(record.signed());
    let ip = [0x20, 0x01, 0x0d, 0xb8];
    assert!(!bytes.windows(4).any(|four| four == ip));
    assert!(!bytes.windows(32).any(|id| id == [5; 32]));
    // Nor can it be published as another device's.
    let stolen = DeviceRecord {
        publisher: public(4),
        ..record.record().clone()
    };
    let stolen = verify(&stolen.sign(&key(4))).unwrap();
    assert_eq!(stolen.open(&SECRET), Err(RecordError::Sealed));
}

#[test]
fn record_08_what_is_sealed_is_checked() {
    let mut home = homes();
    home.push(home[0].clone());
    let too_many = DeviceHome {
        home,
        request_key: [0; 32],
    };
    let sealed = too_many.seal(&public(3), &SECRET, [1; 32]);
    assert_eq!(sealed, Err(RecordError::TooLarge));
    let mut nowhere = homes();
    nowhere[0].tcp.set_port(0);
    let nowhere = DeviceHome {
        home: nowhere,
        request_key: [0; 32],
    };
    let mut record = device(1, NOW + 1);
    record.sealed = nowhere.seal(&public(3), &SECRET, [1; 32]).unwrap();
    let record = verify(&record.sign(&key(3))).unwrap();
    assert_eq!(record.open(&SECRET), Err(RecordError::Address));
}

#[test]
fn record_09_another_networks_record_is_refused() {
    let vouched: [SignedRecord; 3] = [
        name(1, NOW + 1).sign(&key(21)).into(),
        head(1, NOW + 1).sign(&key(21)).into(),
        owners(1, NOW + 1).sign(&key(20)).into(),
    ];
    for record in vouched {
        assert!(
            record
                .verify(Some(network()), NOW)
                .unwrap()
                .is_vouched_for()
        );
        for other in [None, Some(NetworkId(public(22)))] {
            let refused = record.verify(other, NOW);
            assert_eq!(refused, Err(RecordError::OtherNetwork));
        }
    }
    for record in [alice(NOW + 1).into(), own(1, NOW + 1).sign(&key(1)).into()] {
        let record: SignedRecord = record;
        assert!(!record.verify(None, NOW).unwrap().is_vouched_for());
    }
}

#[test]
fn record_10_only_a_registrar_whom_the_owner_appointed_signs_names_and_heads() {
    let refused = Err(RecordError::Registrar);
    let mallory = Registrar::appoint(&key(23), AccountId([5; 32]), public(23), NOW + 1);
    let mut by_mallory = name(1, NOW + 1);
    by_mallory.registrar = Registrar {
        network: network(),
        ..mallory
    };
    assert_eq!(verify(&by_mallory.sign(&key(23))).map(|_| ()), refused);
    // Appointed, but for a shorter time.
    let mut late = head(1, NOW + 2);
    late.registrar = registrar(NOW + 1);
    assert_eq!(verify(&late.sign(&key(21))).map(|_| ()), refused);
    // Whoever copies the appointment has not the registrar's key.
    let forged = name(1, NOW + 1).sign(&key(23));
    assert_eq!(verify(&forged), Err(RecordError::Signature));
}

#[test]
fn record_11_a_name_in_another_form_is_not_read() {
    let record: SignedRecord = name(1, NOW + 1).sign(&key(21)).into();
    let (bytes, letters) = (encode_body(&record), largest_name());
    let letters = letters.as_str().as_bytes();
    let at = bytes
        .windows(letters.len())
        .position(|part| part == letters);
    let begins = |with: &str| {
        let mut other = bytes.clone();
        other[at.unwrap()..][..2].copy_from_slice(with.as_bytes());
        decode_body::<SignedRecord>(&other, RECORD_MAX)
    };
    // A small letter, its capital, a Greek letter among Cyrillic ones, a letter that nobody writes names with.
    assert!(begins("\u{44f}").is_ok());
    for odd in ["\u{42f}", "\u{3b5}", "\u{482}"] {
        assert!(begins(odd).is_err(), "{odd}");
    }
}

#[test]
fn record_12_a_prefix_is_the_beginning_of_a_telephone_number() {
    for bad in ["", "0", "049", "+49", "49 ", "4x", "1234567890123456"] {
        let mut record = own(1, NOW + 1);
        record.gateways[0].prefixes[0] = bad.into();
        let refused = verify(&record.sign(&key(1)));
        assert_eq!(refused, Err(RecordError::Gateways), "{bad}");
    }
}

#[test]
fn record_13_a_gateway_speaks_for_itself_alone() {
    assert!(verify(&own(1, NOW + 1).sign(&key(1))).is_ok());
    let mut other = own(1, NOW + 1);
    other.gateways[0].account = AccountId([9; 32]);
    let mut two = own(1, NOW + 1);
    two.gateways.push(Gateway {
        account: AccountId([9; 32]),
        prefixes: vec![],
    });
    let mut none = own(1, NOW + 1);
    none.gateways.clear();
    for record in [other, two, none] {
        let refused = verify(&record.sign(&key(1)));
        assert_eq!(refused, Err(RecordError::Gateways));
    }
    // Nor does it sign for the network's owner.
    let owners = owners(1, NOW + 1).sign(&key(1));
    assert_eq!(verify(&owners), Err(RecordError::Signature));
}

/// Alice's record after a recovery of this number, signed with key 10.
fn back(number: u16, sequence: u64) -> Signed<AccountRecord> {
    let record = AccountRecord {
        by: recovered(number),
        sequence,
        ..alice(NOW + 100).record
    };
    record.sign(&key(10))
}

#[test]
fn record_14_another_key_signs_only_by_the_recovery_keys_word() {
    let good = back(1, 1);
    assert!(good.verify(chain().id(), NOW).is_ok());
    let refused = |by: Speaker| {
        let record = AccountRecord {
            by,
            ..good.record.clone()
        };
        record.sign(&key(10)).verify(chain().id(), NOW)
    };
    // The thief's own word, by the signing key that he stole; and the word on another account's key.
    let (id, thief) = (chain().id(), key(10).verifying_key());
    let words = [
        Recovery::new(&key(1), id, 1, &thief),
        Recovery::new(&key(10), id, 1, &thief),
        Recovery::new(&key(2), AccountId([9; 32]), 1, &thief),
        Recovery::new(&key(2), id, 0, &thief),
        Recovery::new(&key(2), id, RECOVERIES_MAX + 1, &thief),
    ];
    for word in words {
        let mut by = recovered(1);
        by.recovery = Some(word);
        let reason = RecordError::Account(AccountError::Recovery);
        assert_eq!(refused(by), Err(reason));
    }
    // A word that counts for more than was said.
    let mut by = recovered(1);
    by.recovery.as_mut().unwrap().number = 2;
    assert!(refused(by).is_err());
    // The old key has nothing to say beside it.
    let old = good.record.clone().sign(&key(1));
    assert_eq!(old.verify(id, NOW), Err(RecordError::Signature));
    // A gateway's own list is looked at in the same way.
    let list = |word| GatewaysRecord {
        by: Publisher::Gateway(Speaker {
            recovery: Some(word),
            ..chain().speaker()
        }),
        ..own(1, NOW + 1)
    };
    let good = list(Recovery::new(&key(2), id, 1, &thief)).sign(&key(10));
    assert!(verify(&good).is_ok());
    let forged = list(Recovery::new(&key(1), id, 1, &thief)).sign(&key(10));
    assert!(verify(&forged).is_err());
}

#[test]
fn record_14_no_number_reaches_into_the_recoveries() {
    let with = |sequence| AccountRecord {
        sequence,
        ..alice(NOW + 100).record
    };
    let id = chain().id();
    let highest = with(SEQUENCE_MAX).sign(&key(1));
    assert!(highest.verify(id, NOW).is_ok());
    let higher = with(SEQUENCE_MAX + 1).sign(&key(1));
    assert_eq!(higher.verify(id, NOW), Err(RecordError::Number));
    let list = own(SEQUENCE_MAX + 1, NOW + 1).sign(&key(1));
    assert_eq!(verify(&list), Err(RecordError::Number));
}

#[test]
fn record_15_the_recovery_keys_word_comes_before_every_number() {
    let stolen = AccountRecord {
        sequence: SEQUENCE_MAX,
        ..alice(NOW + 100).record
    };
    let orders = [
        alice(NOW + 100).record.order(),
        stolen.order(),
        back(1, 0).record.order(),
        back(1, SEQUENCE_MAX).record.order(),
        back(2, 5).record.order(),
        back(RECOVERIES_MAX, SEQUENCE_MAX).record.order(),
    ];
    assert!(orders.is_sorted_by(|one, next| one < next), "{orders:?}");
    assert!(i64::try_from(orders[5]).is_ok(), "a database keeps it");
}

proptest! {
    #[test]
    fn whatever_is_changed_in_a_record_it_is_refused(which in 0_usize..6, at: usize, bit in 0_u8..8) {
        let (record, _) = &largest()[which];
        let mut bytes = encode_body(record);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = decode_body::<SignedRecord>(&bytes, RECORD_MAX) {
            // A longer way to write the same number is read as the same record, and written as before.
            prop_assert!(changed == *record || changed.verify(Some(network()), LATE - 1).is_err());
        }
    }

    #[test]
    fn record_01_whatever_verifies_is_within_the_bound(
        homes_count in 0_usize..6,
        sealed in 0_usize..700,
        gateways_count in 1_usize..9,
        prefixes in proptest::collection::vec("[0-9]{0,17}", 0..24),
        sequence: u64,
    ) {
        let mut account = alice(NOW + 1).record;
        account.home = vec![homes()[0].clone(); homes_count];
        account.sequence = sequence >> 16;
        let device = DeviceRecord { sealed: vec![7; sealed], ..device(sequence, NOW + 1) };
        let mut list = owners(sequence, NOW + 1);
        list.gateways = (0..gateways_count)
            .map(|_| Gateway { account: chain().id(), prefixes: vec![] })
            .collect();
        list.gateways[0].prefixes = prefixes;
        let records: [SignedRecord; 3] = [
            account.sign(&key(1)).into(),
            device.sign(&key(3)).into(),
            list.sign(&key(20)).into(),
        ];
        for record in records {
            if record.verify(Some(network()), NOW).is_ok() {
                prop_assert!(record.encoded_len() <= RECORD_MAX);
                let again = decode_body::<SignedRecord>(&encode_body(&record), RECORD_MAX);
                prop_assert_eq!(again, Ok(record));
            }
        }
    }
}
