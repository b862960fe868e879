//! Credentials that verify alone, and those that do not.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::account::Founding;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn device(seed: u8) -> DeviceId {
    DeviceId(key(seed).verifying_key().to_bytes())
}

fn alice() -> (Founding, Chain) {
    let founding = Founding::new(&[1; 32]);
    let chain = founding.found(device(3), "laptop");
    (founding, chain)
}

fn phone(owner: bool) -> Change {
    Change::AddDevice {
        device: device(4),
        name: "phone".into(),
        owner,
    }
}

#[test]
fn a_devices_credential_verifies_without_the_chain() {
    let (founding, mut chain) = alice();
    chain.append(&founding.signing, phone(false));
    for listed in [device(3), device(4)] {
        let credential = Credential::of(&chain, listed).unwrap();
        let member = Credential::read(&credential.to_bytes())
            .unwrap()
            .verify()
            .unwrap();
        let expected = Member {
            account: chain.id(),
            device: listed,
            recoveries: 0,
        };
        assert_eq!(member, expected);
    }
    assert_eq!(Credential::of(&chain, device(9)), None);
}

#[test]
fn a_device_that_was_taken_out_gets_no_credential() {
    let (founding, mut chain) = alice();
    chain.append(&founding.signing, phone(false));
    chain.append(
        &founding.signing,
        Change::RemoveDevice { device: device(4) },
    );
    assert_eq!(Credential::of(&chain, device(4)), None);
    chain.append(&founding.signing, phone(true));
    assert!(Credential::of(&chain, device(4)).is_some());
    chain.append(&founding.signing, Change::Delete);
    assert_eq!(Credential::of(&chain, device(4)), None);
}

#[test]
fn after_a_recovery_only_its_device_and_later_ones_have_credentials() {
    let (founding, _) = alice();
    let mut chain = founding.inception().recover(
        &founding.recovery,
        2,
        &key(7).verifying_key(),
        (device(5), "tablet"),
    );
    chain.append(&key(7), phone(false));
    assert_eq!(Credential::of(&chain, device(3)), None);
    for listed in [device(5), device(4)] {
        let member = Credential::of(&chain, listed).unwrap().verify().unwrap();
        assert_eq!((member.device, member.recoveries), (listed, 2));
    }
}

#[test]
fn mls_01_what_is_too_long_or_written_otherwise_is_refused() {
    let (_, chain) = alice();
    let mut bytes = Credential::of(&chain, device(3)).unwrap().to_bytes();
    assert_eq!(bytes.len(), 80 + 1 + 1 + 32 + 1 + 32 + 7 + 1 + 64);
    // The entry's number as two bytes.
    let mut longer = bytes.clone();
    longer.splice(81..82, [0x81, 0]);
    assert_eq!(Credential::read(&longer), Err(CredentialError::Malformed));
    bytes.push(0);
    assert_eq!(Credential::read(&bytes), Err(CredentialError::Malformed));
    assert_eq!(
        Credential::read(&[0; CREDENTIAL_MAX + 1]),
        Err(CredentialError::TooLarge)
    );
}

#[test]
fn mls_01_the_largest_one_fits() {
    let (founding, _) = alice();
    let name = "x".repeat(DEVICE_NAME_MAX);
    let signing = key(7).verifying_key();
    let word = (device(5), name.as_str());
    let chain = founding.inception().recover(
        &founding.recovery,
        crate::limits::RECOVERIES_MAX,
        &signing,
        word,
    );
    let largest = Credential::of(&chain, device(5)).unwrap();
    assert!(largest.verify().is_ok());
    assert!(largest.to_bytes().len() <= CREDENTIAL_MAX);
}

#[test]
fn mls_02_a_word_that_the_recovery_key_did_not_say_counts_for_nothing() {
    let (_, chain) = alice();
    let mut credential = Credential::of(&chain, device(3)).unwrap();
    let account = chain.id();
    let mallory = key(8);
    credential.speaker.recovery = Some(crate::speaker::Recovery::new(
        &mallory,
        account,
        1,
        &mallory.verifying_key(),
    ));
    assert_eq!(
        credential.verify(),
        Err(CredentialError::Account(AccountError::Recovery))
    );
    // Another first record is another account: Mallory speaks for hers only.
    credential.speaker.recovery = None;
    credential.speaker.inception.signing_key = mallory.verifying_key().to_bytes();
    assert_eq!(credential.verify(), Err(CredentialError::Signature));
    assert_ne!(credential.speaker.account(), account);
}

#[test]
fn mls_03_an_entry_that_the_account_did_not_sign_is_refused() {
    let (_, mut chain) = alice();
    chain.append(&key(8), phone(true));
    let credential = Credential::of(&chain, device(4)).unwrap();
    assert_eq!(credential.verify(), Err(CredentialError::Signature));
}

#[test]
fn mls_03_an_entry_that_adds_nobody_is_no_proof() {
    let (founding, mut chain) = alice();
    chain.append(
        &founding.signing,
        Change::RemoveDevice { device: device(4) },
    );
    let mut credential = Credential::of(&chain, device(3)).unwrap();
    credential.entry = chain.entries[1].clone();
    assert_eq!(credential.verify(), Err(CredentialError::NoDevice));
}

proptest! {
    #[test]
    fn mls_03_no_changed_bit_is_accepted(at: prop::sample::Index, bit in 0_u8..8) {
        let (_, chain) = alice();
        let mut bytes = Credential::of(&chain, device(3)).unwrap().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let verified = Credential::read(&bytes).and_then(|read| read.verify());
        prop_assert!(verified.is_err(), "byte {} changed", at);
    }
}
