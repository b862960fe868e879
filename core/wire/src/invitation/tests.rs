//! Bob's phone invites Alice's laptop.

use proptest::prelude::*;

use super::*;
use crate::account::Founding;
use crate::ids::AccountId;
use crate::limits::ENVELOPE_MAX;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn device(seed: u8) -> DeviceId {
    DeviceId(key(seed).verifying_key().to_bytes())
}

/// Bob's phone is 4, Alice's laptop 5.
fn bob() -> Credential {
    let chain = Founding::new(&[1; 32]).found(device(4), "phone");
    Credential::of(&chain, device(4)).unwrap()
}

fn generation(number: u32, holders: u8) -> Generation {
    Generation {
        number,
        secret: [number.to_be_bytes()[3]; 32].into(),
        first: EpochTag([2; 16]),
        holders: (0..holders).map(|n| EndpointKey([n; 32])).collect(),
    }
}

fn invitation() -> Invitation {
    Invitation {
        group: GroupId([7; 32]),
        form: Form::Group,
        title: "Sailing".into(),
        welcome: EntryId([8; 32]),
        generation: generation(9, 3),
        earlier: vec![generation(8, 3), generation(4, 1)],
        sent_at: 1_795_500_000,
    }
}

fn sealed(invitation: &Invitation) -> Result<Vec<u8>, InvitationError> {
    invitation.seal((&key(4), &bob()), device(5), [3; 32])
}

fn said(invitation: &Invitation) -> Vec<u8> {
    frame::encode_body(&Told::of(invitation))
}

fn open_for(letter: &[u8], seed: u8) -> Result<Vec<u8>, InvitationError> {
    open(letter, &key(seed)).map(|opened| said(&opened.invitation))
}

#[test]
fn invite_01_it_is_bounded_whatever_it_names_and_fits_a_mailbox() {
    let mut most = invitation();
    most.title = "é".repeat(100);
    most.sent_at = u64::MAX;
    let first = u32::MAX - EARLIER_MAX as u32;
    most.generation = generation(u32::MAX, 3);
    most.earlier = (first..u32::MAX).rev().map(|n| generation(n, 3)).collect();
    let letter = sealed(&most).unwrap();
    assert!(letter.len() <= INVITATION_MAX && INVITATION_MAX < ENVELOPE_MAX);
    assert_eq!(open_for(&letter, 5), Ok(said(&most)));
    let long = vec![VERSION; INVITATION_MAX + 1];
    assert_eq!(open_for(&long, 5), Err(InvitationError::TooLarge));
    assert!(is_one(&letter));
    for other in [&[][..], &[1, 2, 3]] {
        assert!(!is_one(other));
        assert_eq!(open_for(other, 5), Err(InvitationError::Unreadable));
    }
}

#[test]
fn invite_02_only_its_device_opens_it_and_its_length_says_little() {
    let letter = sealed(&invitation()).unwrap();
    assert_eq!(open_for(&letter, 5), Ok(said(&invitation())));
    assert_eq!(open(&letter, &key(5)).unwrap().by, bob().verify().unwrap());
    assert_eq!(open_for(&letter, 6), Err(InvitationError::Unreadable));
    let mut longer = invitation();
    longer.title.push_str(" every Sunday");
    assert_eq!(sealed(&longer).unwrap().len(), letter.len());
    for at in 1..letter.len() {
        let mut damaged = letter.clone();
        damaged[at] ^= 1;
        assert_eq!(open_for(&damaged, 5), Err(InvitationError::Unreadable));
    }
}

#[test]
fn invite_03_what_is_out_of_bounds_or_order_is_neither_written_nor_read() {
    let changes: [fn(&mut Invitation); 8] = [
        |one| one.title = "é".repeat(101),
        |one| one.title = "two\nlines".into(),
        |one| one.generation.holders = vec![EndpointKey([1; 32]); 2],
        |one| one.earlier[1].holders = vec![EndpointKey([1; 32]); 4],
        |one| one.earlier.reverse(),
        |one| one.generation.number = 8,
        |one| {
            one.earlier = (0..=EARLIER_MAX as u32)
                .rev()
                .map(|n| generation(n, 1))
                .collect()
        },
        |one| one.form = Form::Pair([AccountId([1; 32]); 2]),
    ];
    for change in changes {
        let mut odd = invitation();
        odd.generation.number = 1_000;
        change(&mut odd);
        let refused = Err(InvitationError::TooLarge);
        assert_eq!(sealed(&odd), refused);
        let inside = odd.inside((&key(4), &bob()), device(5));
        assert_eq!(
            read_inside(&inside, device(5)).map(drop),
            refused.map(|_: Vec<u8>| ())
        );
    }
    let mut pair = invitation();
    pair.form = Form::Pair([AccountId([1; 32]), AccountId([2; 32])]);
    assert!(sealed(&pair).is_err(), "a pair has no title");
    pair.title.clear();
    assert!(sealed(&pair).is_ok());
}

#[test]
fn invite_04_a_device_that_its_account_took_in_signed_it_for_this_one() {
    let read = |inside: &[u8], to| read_inside(inside, to).map(|opened| opened.by);
    let inside = invitation().inside((&key(4), &bob()), device(5));
    assert_eq!(read(&inside, device(5)), Ok(bob().verify().unwrap()));
    let passed_on = read(&inside, device(6));
    assert_eq!(passed_on, Err(InvitationError::Signature));
    let borrowed = invitation().inside((&key(6), &bob()), device(5));
    assert_eq!(read(&borrowed, device(5)), Err(InvitationError::Signature));
    let mut forged = bob();
    forged.entry.number += 1;
    let forged = invitation().inside((&key(4), &forged), device(5));
    let refused = InvitationError::Credential(CredentialError::Signature);
    assert_eq!(read(&forged, device(5)), Err(refused));
    let more = [&inside[..], &[0]].concat();
    assert_eq!(read(&more, device(5)), Err(InvitationError::Malformed));
}

#[test]
fn no_secret_is_shown() {
    let shown = format!("{:?}", invitation());
    assert!(!shown.contains("9, 9, 9"), "{shown}");
}

proptest! {
    #[test]
    fn invite_03_no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::invitation(&bytes);
    }
}
