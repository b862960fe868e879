//! Rescue copies at a supernode.

use starling_store::rescue::{self, Keeping};
use starling_store::supernode::{self, Kept, Registered};
use starling_wire::ids::AccountId;
use starling_wire::limits::{RESCUE_TTL_S, SEQUENCE_MAX};

use crate::supernode::{NOW_S, leave, record_of, registration};
use crate::{ALICE, carol};

#[test]
fn rescue_05_one_copy_of_each_registered_account_is_kept_for_a_year() {
    let (_dir, mut store) = carol();
    let (account, shown) = registration(1, 1);
    store
        .write(|tx| {
            assert_eq!(
                rescue::keep(tx, ALICE, b"copy", NOW_S)?,
                Keeping::UnknownAccount
            );
            supernode::register(tx, &shown)?;
            assert_eq!(rescue::keep(tx, account, b"first", NOW_S)?, Keeping::Kept);
            assert_eq!(rescue::keep(tx, account, b"second", NOW_S)?, Keeping::Kept);
            let kept = rescue::get(tx, account)?.expect("a copy");
            assert_eq!(kept.copy, b"second");
            let by = &shown.record().signed().record.by;
            assert_eq!(kept.recovery_key, by.inception.recovery_key);
            assert_eq!(rescue::get(tx, AccountId([1; 32]))?, None);
            supernode::expire(tx, NOW_S + RESCUE_TTL_S / 2)?;
            assert_eq!(supernode::record(tx, account)?, None);
            assert_eq!(rescue::expire(tx, NOW_S + RESCUE_TTL_S - 1)?, 0);
            assert_eq!(rescue::expire(tx, NOW_S + RESCUE_TTL_S)?, 1);
            Ok(())
        })
        .unwrap();
}

#[test]
fn ending_03_what_an_ended_account_had_here_is_gone_and_nothing_of_it_comes_back() {
    let (_dir, mut store) = carol();
    let (account, shown) = registration(1, 1);
    let last = record_of(&shown, SEQUENCE_MAX);
    store
        .write(|tx| {
            supernode::end(tx, &last)?;
            assert_eq!(supernode::kept(tx)?, Kept::default(), "it was not here");
            supernode::register(tx, &shown)?;
            leave(tx, account, b"a letter", NOW_S)?;
            supernode::end(tx, &last)?;
            let left = Kept {
                accounts: 1,
                ..Kept::default()
            };
            assert_eq!(supernode::kept(tx)?, left, "the last record alone");
            let (_, newer) = registration(1, SEQUENCE_MAX - 1);
            assert_eq!(supernode::register(tx, &newer)?, Registered::Older);
            assert_eq!(supernode::record(tx, account)?, Some(last));
            Ok(())
        })
        .unwrap();
}
