//! What the person shows, what contacts show, and what of it goes with a contact.

use starling_store::contacts;
use starling_store::{contact_profiles, introductions, own_parts, requests};
use starling_wire::ids::EndpointKey;
use starling_wire::profile::{Introduction, OwnPart, Part, Said, Shown, Visibility};

use crate::{ALICE, BOB, carol_with_friends};

fn shown(text: &str) -> Shown {
    Shown {
        about: Said {
            number: 7,
            value: Some(text.into()),
        },
        avatar: Said {
            number: 8,
            value: Some([9; 32]),
        },
    }
}

#[test]
fn own_parts_are_kept_as_they_were_chosen() {
    let (_dir, mut store) = carol_with_friends();
    let part = OwnPart {
        number: 5,
        visibility: Visibility::Network,
        value: Some(b"Sailor.".to_vec()),
    };
    let wanted = part.clone();
    store
        .write(move |tx| {
            assert_eq!(own_parts::get(tx, Part::About)?, None);
            own_parts::put(tx, Part::About, &OwnPart::default())?;
            own_parts::put(tx, Part::About, &part)
        })
        .unwrap();
    let read = store.read(|tx| own_parts::get(tx, Part::About)).unwrap();
    assert_eq!(read, Some(wanted));
}

#[test]
fn profile_12_what_a_contact_showed_goes_with_them() {
    let (_dir, mut store) = carol_with_friends();
    store
        .write(|tx| {
            for (account, door) in [(ALICE, 1), (BOB, 2)] {
                contact_profiles::put(tx, account, &shown("hello"), Some(b"picture"))?;
                contact_profiles::note_told(tx, account, EndpointKey([door; 32]), [3; 32])?;
                contact_profiles::note_told(tx, account, EndpointKey([door; 32]), [4; 32])?;
            }
            contacts::block(tx, ALICE)
        })
        .unwrap();
    store
        .read(|tx| {
            assert_eq!(contact_profiles::get(tx, ALICE)?, None);
            assert_eq!(contact_profiles::avatar(tx, ALICE)?, None);
            assert!(contact_profiles::told(tx, ALICE)?.is_empty());
            assert_eq!(contact_profiles::get(tx, BOB)?, Some(shown("hello")));
            let told = contact_profiles::told(tx, BOB)?;
            assert_eq!(told, [(EndpointKey([2; 32]), [4; 32])]);
            Ok(())
        })
        .unwrap();
    let large = store.write(|tx| {
        let avatar = vec![0; 16 * 1024 + 1];
        contact_profiles::put(tx, BOB, &shown("hello"), Some(&avatar))
    });
    assert!(large.is_err(), "the table is bounded, too");
}

#[test]
fn profile_14_what_came_with_a_request_goes_with_it() {
    let (_dir, mut store) = carol_with_friends();
    let introduction = Introduction {
        about: Some("Sailor.".into()),
        ..Introduction::default()
    };
    store
        .write(|tx| {
            introductions::put(tx, ALICE, &Introduction::default())?;
            introductions::put(tx, ALICE, &introduction)?;
            assert_eq!(introductions::get(tx, ALICE)?, Some(introduction));
            requests::remove(tx, ALICE)?;
            assert_eq!(introductions::get(tx, ALICE)?, None);
            Ok(())
        })
        .unwrap();
}
