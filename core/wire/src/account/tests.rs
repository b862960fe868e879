//! Histories that count, and those that do not.

use super::*;
use crate::limits::RECOVERIES_MAX;

fn alice() -> (SigningKey, Chain) {
    let signing = SigningKey::from_bytes(&[1; 32]);
    let recovery = SigningKey::from_bytes(&[2; 32]).verifying_key();
    let chain = Chain::create(&signing, &recovery, [3; 16], DeviceId([4; 32]), "laptop");
    (signing, chain)
}

#[test]
fn account_01_a_history_beyond_the_bound_is_refused() {
    let (signing, mut chain) = alice();
    for _ in 0..CHAIN_ENTRIES_MAX {
        chain.append(
            &signing,
            Change::RemoveDevice {
                device: DeviceId([9; 32]),
            },
        );
    }
    assert_eq!(chain.verify(), Err(AccountError::TooLarge));
}

#[test]
fn account_02_a_missing_entry_is_noticed() {
    let (signing, mut chain) = alice();
    chain.append(
        &signing,
        Change::AddDevice {
            device: DeviceId([5; 32]),
            name: "phone".into(),
            owner: false,
        },
    );
    chain.append(
        &signing,
        Change::RemoveDevice {
            device: DeviceId([5; 32]),
        },
    );
    assert_eq!(chain.verify().unwrap().head(), chain.head());
    chain.entries.remove(1);
    assert_eq!(chain.verify(), Err(AccountError::Gap));
}

#[test]
fn account_03_another_key_cannot_add_a_device() {
    let (_, mut chain) = alice();
    let mallory = SigningKey::from_bytes(&[6; 32]);
    chain.append(
        &mallory,
        Change::AddDevice {
            device: DeviceId([7; 32]),
            name: "mine".into(),
            owner: true,
        },
    );
    assert_eq!(chain.verify(), Err(AccountError::Signature));
}

const THIEF: DeviceId = DeviceId([7; 32]);

fn recovery() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

fn add(device: u8, owner: bool) -> Change {
    Change::AddDevice {
        device: DeviceId([device; 32]),
        name: "phone".into(),
        owner,
    }
}

fn recover(number: u16, key: u8) -> Change {
    let signing = SigningKey::from_bytes(&[key; 32]).verifying_key();
    Change::Recover {
        word: Recovery::new(&recovery(), alice().1.id(), number, &signing),
        device: DeviceId([5; 32]),
        name: "new laptop".into(),
    }
}

#[test]
fn account_04_an_account_needs_a_device_that_signs() {
    let (signing, mut chain) = alice();
    chain.append(&signing, add(5, false));
    let device = DeviceId([4; 32]);
    chain.append(&signing, Change::RemoveDevice { device });
    assert_eq!(chain.verify(), Err(AccountError::NoDevice));
    chain.append(&signing, add(5, true));
    assert_eq!(chain.verify().unwrap().devices().len(), 1);
}

#[test]
fn account_05_only_the_recovery_key_names_another_signing_key() {
    let (signing, mut chain) = alice();
    chain.append(&signing, add(6, false));
    let mut forged = chain.clone();
    forged.append(&signing, recover(1, 9));
    assert_eq!(forged.verify(), Err(AccountError::Signature));
    chain.append(&recovery(), recover(1, 9));
    let account = chain.verify().unwrap();
    assert_eq!(account.recoveries(), 1);
    let [device] = account.devices().keys().collect::<Vec<_>>()[..] else {
        panic!("all others are revoked");
    };
    assert_eq!(*device, DeviceId([5; 32]));
    // The old key has nothing to say any more, the new one has.
    let mut after = chain.clone();
    after.append(&signing, add(6, true));
    assert_eq!(after.verify(), Err(AccountError::Signature));
    chain.append(&SigningKey::from_bytes(&[9; 32]), add(6, true));
    assert_eq!(chain.verify().unwrap().devices().len(), 2);
}

#[test]
fn account_06_what_was_deleted_comes_back_by_the_recovery_key_only() {
    let (signing, mut chain) = alice();
    chain.append(&signing, Change::Delete);
    assert!(chain.verify().unwrap().is_deleted());
    let mut goes_on = chain.clone();
    goes_on.append(&signing, add(6, true));
    assert_eq!(goes_on.verify(), Err(AccountError::Deleted));
    chain.append(&recovery(), recover(1, 9));
    assert!(!chain.verify().unwrap().is_deleted());
}

#[test]
fn account_08_a_recovery_is_the_recovery_keys_word_and_a_later_one_than_the_last() {
    let (signing, chain) = alice();
    let refused = Err(AccountError::Recovery);
    let with = |chain: &Chain, change: Change| {
        let mut chain = chain.clone();
        chain.append(&recovery(), change);
        chain
    };
    // The thief's own word, at a place that the recovery key signed.
    let word = Recovery::new(&signing, chain.id(), 1, &signing.verifying_key());
    let device = DeviceId([5; 32]);
    let name = String::new();
    let own = Change::Recover { word, device, name };
    assert_eq!(with(&chain, own).verify(), refused);
    for number in [0, RECOVERIES_MAX + 1] {
        assert_eq!(with(&chain, recover(number, 9)).verify(), refused);
    }
    let second = with(&chain, recover(2, 9));
    assert_eq!(second.speaker().recoveries(), 2);
    for number in [1, 2] {
        assert_eq!(with(&second, recover(number, 8)).verify(), refused);
    }
    // A later one that stands where an earlier one stood counts for more, however long that history was.
    let mut first = with(&chain, recover(1, 9));
    first.append(&SigningKey::from_bytes(&[9; 32]), add(6, true));
    let [first, second] = [first, second].map(|chain| chain.verify().unwrap());
    assert!(second.supersedes(&first));
}

#[test]
fn account_07_a_thief_with_the_signing_key_loses_to_the_24_words() {
    let (signing, honest) = alice();
    let mut stolen = honest.clone();
    let (device, name) = (DeviceId([4; 32]), "mine now".into());
    let thief = Change::AddDevice {
        device: THIEF,
        name,
        owner: true,
    };
    stolen.append(&signing, thief);
    stolen.append(&signing, Change::RemoveDevice { device });
    while stolen.entries.len() < CHAIN_ENTRIES_MAX {
        stolen.append(&signing, add(8, false));
    }
    let stolen_for_now = stolen.verify().unwrap();
    assert!(stolen_for_now.supersedes(&honest.verify().unwrap()));
    // The history is full: the recovery key drops what the thief wrote.
    stolen.entries.truncate(1);
    stolen.append(&recovery(), recover(1, 9));
    let back = stolen.verify().unwrap();
    assert!(back.supersedes(&stolen_for_now) && !stolen_for_now.supersedes(&back));
    // Nor does deleting help him.
    let mut deleted = honest.clone();
    deleted.append(&signing, Change::Delete);
    assert!(back.supersedes(&deleted.verify().unwrap()));
}

#[test]
fn account_07_two_devices_that_sign_at_once_agree_and_an_end_is_one() {
    let (signing, chain) = alice();
    let with = |change: Change| {
        let mut chain = chain.clone();
        chain.append(&signing, change);
        chain
    };
    let [one, other] = [with(add(6, false)), with(add(7, false))].map(|c| c.verify().unwrap());
    assert_ne!(one.supersedes(&other), other.supersedes(&one));
    assert!(!one.supersedes(&one));
    let mut longer = with(add(6, false));
    longer.append(&signing, add(7, false));
    let ended = with(Change::Delete).verify().unwrap();
    assert!(ended.supersedes(&longer.verify().unwrap()));
    assert!(longer.verify().unwrap().supersedes(&one));
}

#[test]
fn the_id_is_bound_to_the_keys() {
    let (_, chain) = alice();
    let mut other = chain.clone();
    other.inception.recovery_key = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
    assert_ne!(chain.id(), other.id());
    assert_eq!(
        other.verify(),
        Err(AccountError::Gap),
        "entries of one account do not fit another"
    );
}
