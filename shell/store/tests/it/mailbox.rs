//! What waits in a supernode's mailbox.

use starling_store::mailbox::{self, Standing};
use starling_store::supernode::{self, Kept};
use starling_wire::frame;
use starling_wire::limits::{
    DEPOSIT_BYTES_PER_ACCOUNT_MAX, DEPOSITS_PER_ACCOUNT_MAX, ENVELOPE_MAX,
    STRANGERS_PER_ACCOUNT_MAX,
};
use starling_wire::postage::{ContactsKey, Postage, Stamped, Work};
use starling_wire::supernode::{Answer, REQUEST_MAX, envelope_id};

use crate::carol;
use crate::supernode::{NOW_S, leave, registration};

/// As many of these as may wait are as many bytes as may wait.
const SIZE: usize = DEPOSIT_BYTES_PER_ACCOUNT_MAX / DEPOSITS_PER_ACCOUNT_MAX;

fn numbered(number: usize, size: usize) -> Vec<u8> {
    let mut envelope = vec![0; size];
    envelope[0] = u8::try_from(number).unwrap();
    envelope
}

fn of_stranger(envelope: Vec<u8>, day: u64) -> Stamped {
    let (day, nonce) = (u32::try_from(day).unwrap(), u64::MAX);
    Stamped {
        postage: Postage::Work(Work { day, nonce }),
        envelope,
    }
}

#[test]
fn super_03_large_envelopes_are_bounded_together() {
    let (_dir, mut store) = carol();
    let (alice, first) = registration(1, 1);
    store
        .write(|tx| {
            supernode::register(tx, &first)?;
            let fit = DEPOSIT_BYTES_PER_ACCOUNT_MAX / ENVELOPE_MAX;
            for number in 0..=fit {
                let kept = leave(tx, alice, &numbered(number, ENVELOPE_MAX), NOW_S)?;
                assert_eq!(kept, number < fit, "{number}");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn super_03_contacts_letters_from_one_place_take_half_of_their_share() {
    let (_dir, mut store) = carol();
    let (alice, first) = registration(1, 1);
    let letter = |number: usize| Stamped {
        postage: Postage::Contact([0; 16]),
        envelope: numbered(number, 10),
    };
    store
        .write(|tx| {
            supernode::register(tx, &first)?;
            let half = DEPOSITS_PER_ACCOUNT_MAX / 2;
            for number in 0..=half {
                let kept = mailbox::keep_of_contact(tx, alice, &letter(number), Some(7), NOW_S)?;
                assert_eq!(kept, number < half, "{number}");
            }
            for (number, place) in [(200, Some(8)), (201, None)] {
                let letter = letter(number);
                assert!(mailbox::keep_of_contact(tx, alice, &letter, place, NOW_S)?);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn super_03_both_shares_leave_in_answers_that_fit_contacts_first() {
    let (_dir, mut store) = carol();
    let (alice, first) = registration(1, 1);
    store
        .write(|tx| {
            let id = envelope_id(b"hello");
            assert_eq!(mailbox::standing(tx, alice, id)?, Standing::UnknownAccount);
            supernode::register(tx, &first)?;
            assert_eq!(mailbox::standing(tx, alice, id)?, Standing::New);
            for number in 0..STRANGERS_PER_ACCOUNT_MAX {
                let letter = of_stranger(numbered(number, SIZE + 1), NOW_S / 86_400);
                mailbox::keep_of_stranger(tx, alice, &letter, (16, None), NOW_S)?;
            }
            for number in 0..DEPOSITS_PER_ACCOUNT_MAX {
                assert!(leave(tx, alice, &numbered(number, SIZE), NOW_S)?);
            }
            let known = envelope_id(&numbered(3, SIZE));
            assert_eq!(mailbox::standing(tx, alice, known)?, Standing::Known);
            assert!(!leave(tx, alice, b"one more", NOW_S)?);
            assert_eq!(
                mailbox::contacts_key(tx, alice)?,
                Some(ContactsKey([100; 32]))
            );
            Ok(())
        })
        .unwrap();
    let all = DEPOSITS_PER_ACCOUNT_MAX + STRANGERS_PER_ACCOUNT_MAX;
    let bytes = DEPOSITS_PER_ACCOUNT_MAX * SIZE + STRANGERS_PER_ACCOUNT_MAX * (SIZE + 1);
    let kept = Kept {
        accounts: 1,
        doors: 1,
        deposits: all as u64,
        deposit_bytes: bytes as u64,
    };
    assert_eq!(store.read(supernode::kept), Ok(kept));
    let mut order = Vec::new();
    for _ in 0..=all {
        let letters = store.read(|tx| mailbox::letters(tx, alice)).unwrap();
        if letters.is_empty() {
            break;
        }
        let ids: Vec<_> = letters
            .iter()
            .map(|letter| envelope_id(&letter.envelope))
            .collect();
        order.extend(
            letters
                .iter()
                .map(|letter| (letter.envelope.len(), letter.envelope[0])),
        );
        let answer = Answer::Envelopes { letters, work: 26 };
        assert!(frame::encode_body(&answer).len() <= REQUEST_MAX);
        let forgotten = store.write(|tx| mailbox::forget(tx, alice, &ids));
        assert_eq!(forgotten, Ok(ids.len()));
    }
    assert!(order.len() == all && order.is_sorted(), "{order:?}");
}

#[test]
fn postage_04_work_is_remembered_when_its_letter_made_room() {
    let (_dir, mut store) = carol();
    let (alice, first) = registration(1, 1);
    let (day, letter) = (NOW_S / 86_400, b"sealed".to_vec());
    let id = envelope_id(&letter);
    let letter = of_stranger(letter, day);
    store
        .write(|tx| {
            supernode::register(tx, &first)?;
            mailbox::keep_of_stranger(tx, alice, &letter, (18, Some(u64::MAX)), NOW_S)?;
            let waiting = mailbox::of_strangers(tx, alice)?;
            assert_eq!((waiting[0].work, waiting[0].bytes), (18, 6));
            assert_eq!(waiting[0].place, Some(u64::MAX));
            mailbox::drop_letter(tx, waiting[0].number)?;
            assert_eq!(mailbox::letters(tx, alice)?, []);
            assert_eq!(mailbox::standing(tx, alice, id)?, Standing::Known);
            Ok(())
        })
        .unwrap();
}

#[test]
fn postage_04_work_that_is_stale_is_forgotten_and_what_is_remembered_is_bounded() {
    let (_dir, mut store) = carol();
    let (alice, first) = registration(1, 1);
    let (day, id) = (NOW_S / 86_400, envelope_id(b"sealed"));
    store
        .write(|tx| {
            supernode::register(tx, &first)?;
            let stale = of_stranger(b"sealed".to_vec(), day - 2);
            mailbox::keep_of_stranger(tx, alice, &stale, (18, None), NOW_S)?;
            mailbox::forget(tx, alice, &[id])?;
            supernode::expire(tx, NOW_S)?;
            assert_eq!(mailbox::standing(tx, alice, id)?, Standing::New);
            let fresh = (0..600u16).map(|number| of_stranger(number.to_be_bytes().to_vec(), day));
            for letter in fresh {
                mailbox::keep_of_stranger(tx, alice, &letter, (18, None), NOW_S)?;
                mailbox::forget(tx, alice, &[envelope_id(&letter.envelope)])?;
            }
            let known = (0..600u16).filter(|number| {
                let id = envelope_id(&number.to_be_bytes());
                mailbox::standing(tx, alice, id) == Ok(Standing::Known)
            });
            assert_eq!(known.count(), 500, "bounded");
            Ok(())
        })
        .unwrap();
}
