//! Key packages at a supernode: each is handed out once, and none of a device that is not at home there any more.

use starling_store::{key_packages, supernode};
use starling_wire::ids::{DeviceId, EndpointKey};
use starling_wire::key_package::{PACKAGES_MAX, Packages};
use starling_wire::limits::SEQUENCE_MAX;

use crate::carol;
use crate::supernode::{NOW_S, record_of, registration};

const DAY_S: u64 = 24 * 3600;

fn packages(numbers: std::ops::Range<u8>, last: Option<u8>) -> Packages {
    Packages {
        fresh: numbers.map(|number| vec![number; 20]).collect(),
        last_resort: last.map(|number| vec![number; 20]),
    }
}

#[test]
fn package_02_03_each_is_handed_out_once_and_the_last_one_again_and_again() {
    let (_dir, mut store) = carol();
    let (account, shown) = registration(1, 1);
    let whose = (account, shown.device());
    store
        .write(|tx| {
            supernode::register(tx, &shown)?;
            let found = key_packages::device_of(tx, shown.door())?;
            assert_eq!(found, Some(whose));
            assert_eq!(key_packages::device_of(tx, EndpointKey([99; 32]))?, None);
            let take = |used_up| key_packages::take(tx, whose, used_up, NOW_S);
            assert_eq!(take(true)?, None);
            assert_eq!(
                key_packages::keep(tx, whose, &packages(0..2, Some(9)), NOW_S)?,
                2
            );
            assert_eq!(take(true)?, Some(vec![0; 20]), "the oldest first");
            assert_eq!(take(false)?, Some(vec![9; 20]), "none is used up");
            assert_eq!(take(true)?, Some(vec![1; 20]));
            assert_eq!(take(true)?, Some(vec![9; 20]));
            assert_eq!(take(true)?, Some(vec![9; 20]));
            assert_eq!(
                key_packages::keep(tx, whose, &packages(0..0, Some(8)), NOW_S)?,
                0
            );
            assert_eq!(take(true)?, Some(vec![8; 20]), "in place of the one before");
            let other = (account, DeviceId([99; 32]));
            assert_eq!(key_packages::take(tx, other, true, NOW_S)?, None);
            for _ in 0..3 {
                key_packages::keep(tx, whose, &packages(0..50, None), NOW_S)?;
            }
            let kept = key_packages::keep(tx, whose, &packages(0..0, None), NOW_S)?;
            assert_eq!(kept, PACKAGES_MAX as u64);
            Ok(())
        })
        .unwrap();
}

#[test]
fn package_05_what_is_old_goes_and_what_belongs_to_a_device_that_left() {
    let (_dir, mut store) = carol();
    let (account, shown) = registration(1, 1);
    let whose = (account, shown.device());
    let last = record_of(&shown, SEQUENCE_MAX);
    store
        .write(|tx| {
            supernode::register(tx, &shown)?;
            key_packages::keep(tx, whose, &packages(0..1, None), NOW_S)?;
            key_packages::keep(tx, whose, &packages(1..3, Some(9)), NOW_S + DAY_S)?;
            let later = NOW_S + 42 * DAY_S;
            let taken = key_packages::take(tx, whose, true, later)?;
            assert_eq!(taken, Some(vec![1; 20]), "the first one is too old");
            assert_eq!(key_packages::expire(tx, later)?, 1);
            assert_eq!(key_packages::expire(tx, later)?, 0);
            // The device registers again, as it does at each start.
            supernode::register(tx, &shown)?;
            assert_eq!(key_packages::expire(tx, later)?, 0);
            supernode::end(tx, &last)?;
            assert_eq!(key_packages::take(tx, whose, true, NOW_S)?, None);
            assert_eq!(key_packages::expire(tx, NOW_S)?, 2);
            Ok(())
        })
        .unwrap();
}
