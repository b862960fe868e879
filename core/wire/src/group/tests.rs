//! Records and wishes to leave: there and back, and what is refused.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::leave::{LEAVES_SHOWN_MAX, Leave};
use super::*;
use crate::credential::Member;
use crate::ids::{DeviceId, GroupId};

const ALICE: AccountId = AccountId([0xa1; 32]);
const BOB: AccountId = AccountId([0xb0; 32]);
const GROUP: GroupId = GroupId([7; 32]);

fn holders(numbers: &[u8]) -> Vec<EndpointKey> {
    numbers.iter().map(|n| EndpointKey([*n; 32])).collect()
}

fn group() -> Record {
    Record::group(ALICE, "Sailing".into(), holders(&[1, 2, 3]))
}

fn pair() -> Record {
    Record::pair(BOB, ALICE, holders(&[1])).unwrap()
}

fn jpeg(bytes: usize) -> Option<Vec<u8>> {
    let mut picture = vec![0; bytes];
    picture[..3].copy_from_slice(b"\xff\xd8\xff");
    Some(picture)
}

/// What comes of a group's record after a change.
fn changed(change: impl Fn(&mut Record)) -> Result<Vec<u8>, RecordError> {
    let mut record = group();
    change(&mut record);
    let read = Record::read(&record.bytes());
    assert_eq!(read.clone().map(|_| ()), record.write().map(|_| ()));
    assert!(read.is_err() || read == Ok(record.clone()));
    record.write()
}

#[test]
fn mls_14_a_record_has_one_form_and_a_newer_one_is_known_as_such() {
    for record in [group(), pair()] {
        let bytes = record.write().unwrap();
        assert_eq!(Record::read(&bytes), Ok(record));
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(Record::read(&more), Err(RecordError::Malformed));
        for cut in 0..bytes.len() {
            assert_eq!(Record::read(&bytes[..cut]), Err(RecordError::Malformed));
        }
        let newer = [&[2], &bytes[1..]].concat();
        assert_eq!(Record::read(&newer), Err(RecordError::Newer));
        let none = [&[0], &bytes[1..]].concat();
        assert_eq!(Record::read(&none), Err(RecordError::Malformed));
    }
    // The same with the topic's length written in two bytes.
    let bytes = group().write().unwrap();
    let longer = [&bytes[..2], &[0x87, 0], &bytes[3..]].concat();
    assert_eq!(bytes[2], 7);
    assert_eq!(Record::read(&longer), Err(RecordError::Malformed));
    let large = vec![VERSION; GROUP_RECORD_MAX + 1];
    assert_eq!(Record::read(&large), Err(RecordError::TooLarge));
}

#[test]
fn mls_14_a_record_with_everything_at_its_bound_may_be_too_large_and_is_not_written() {
    let full = |roles: u16| {
        changed(|record| {
            record.picture = jpeg(PICTURE_MAX);
            for number in 0..roles {
                let mut account = [0xff; 32];
                account[..2].copy_from_slice(&number.to_be_bytes());
                record.set_role(AccountId(account), Role::Listener);
            }
        })
    };
    assert!(full(980).is_ok());
    assert_eq!(full(999), Err(RecordError::TooLarge));
}

#[test]
fn mls_15_a_topic_is_one_short_line_and_a_picture_looks_like_one() {
    let topic = |topic: &str| changed(|record| record.topic = topic.into());
    for fits in ["", "Sailing ⛵", "הפלגה", &"é".repeat(100)] {
        assert!(topic(fits).is_ok(), "{fits}");
    }
    for odd in [
        "two\nlines",
        "\u{202e}gniliaS",
        "\u{0}",
        "\u{2066}",
        "\u{85}",
        &"é".repeat(101),
    ] {
        assert_eq!(topic(odd), Err(RecordError::Topic), "{odd:?}");
    }
    let picture = |bytes: &[u8]| changed(|record| record.picture = Some(bytes.to_vec()));
    for fits in [
        &b"\xff\xd8\xff\xe0"[..],
        b"\x89PNG\r\n\x1a\n",
        b"RIFF1234WEBPVP8 ",
    ] {
        assert!(picture(fits).is_ok());
    }
    for odd in [
        &b""[..],
        b"GIF89a",
        b"<svg>",
        b"RIFF1234WAVE",
        b"RIFFWEBP",
        b"\xff\xd8",
    ] {
        assert_eq!(picture(odd), Err(RecordError::Picture));
    }
    assert!(picture(&jpeg(PICTURE_MAX).unwrap()).is_ok());
    let large = picture(&jpeg(PICTURE_MAX + 1).unwrap());
    assert_eq!(large, Err(RecordError::Picture));
}

#[test]
fn mls_16_roles_are_in_order_each_once_and_nobody_is_written_as_a_member() {
    assert!(changed(|record| record.set_role(BOB, Role::Listener)).is_ok());
    let refused = Err(RecordError::Roles);
    let listed = |roles: &[(AccountId, Role)]| changed(|record| record.roles = roles.to_vec());
    assert_eq!(listed(&[(BOB, Role::Member)]), refused);
    assert_eq!(listed(&[(BOB, Role::Owner), (ALICE, Role::Owner)]), refused);
    assert_eq!(
        listed(&[(BOB, Role::Owner), (BOB, Role::Listener)]),
        refused
    );
    let many: Vec<_> = (0..=ROLES_MAX as u16)
        .map(|number| {
            let mut account = [0; 32];
            account[..2].copy_from_slice(&number.to_be_bytes());
            (AccountId(account), Role::Moderator)
        })
        .collect();
    assert_eq!(listed(&many), refused);
    assert!(listed(&many[1..]).is_ok());
    assert_eq!(changed(|record| record.invite = Role::Listener), refused);
}

#[test]
fn mls_16_a_pair_is_two_accounts_and_has_neither_roles_nor_topic() {
    assert_eq!(pair().form, Form::Pair([ALICE, BOB]));
    assert_eq!(Record::pair(ALICE, ALICE, Vec::new()), None);
    let changes: [fn(&mut Record); 6] = [
        |record| record.form = Form::Pair([BOB, ALICE]),
        |record| record.form = Form::Pair([ALICE, ALICE]),
        |record| record.topic = "us".into(),
        |record| record.picture = jpeg(10),
        |record| record.set_role(ALICE, Role::Owner),
        |record| record.invite = Role::Moderator,
    ];
    for change in changes {
        let mut record = pair();
        change(&mut record);
        assert_eq!(record.write(), Err(RecordError::Pair));
        assert_eq!(Record::read(&record.bytes()), Err(RecordError::Pair));
    }
}

#[test]
fn mls_17_holders_are_at_most_three_and_each_is_there_once() {
    let with = |numbers: &[u8]| changed(|record| record.generation.holders = holders(numbers));
    assert!(with(&[]).is_ok() && with(&[3, 1, 2]).is_ok());
    assert_eq!(with(&[1, 2, 3, 4]), Err(RecordError::Holders));
    assert_eq!(with(&[1, 2, 1]), Err(RecordError::Holders));
}

#[test]
fn a_role_is_kept_with_its_account() {
    let mut record = group();
    assert_eq!(record.role(ALICE), Role::Owner);
    assert_eq!(record.role(BOB), Role::Member);
    record.set_role(BOB, Role::Moderator);
    record.set_role(BOB, Role::Listener);
    assert_eq!(record.role(BOB), Role::Listener);
    record.set_role(BOB, Role::Member);
    assert_eq!(record, group());
    record.set_role(BOB, Role::Listener);
    record.keep_roles(|account| account == BOB);
    assert_eq!(record.roles().collect::<Vec<_>>(), [(BOB, Role::Listener)]);
    for role in Role::ALL {
        assert_eq!(Role::from_number(role.number()), Some(role));
    }
    assert_eq!(Role::from_number(4), None);
    assert!(Role::Owner.is_at_least(Role::Moderator) && Role::Member.is_at_least(Role::Member));
    assert!(!Role::Listener.is_at_least(Role::Member));
}

fn bobs(seed: u8) -> (SigningKey, Member) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let member = Member {
        account: BOB,
        device: DeviceId(key.verifying_key().to_bytes()),
        recoveries: 0,
    };
    (key, member)
}

#[test]
fn mls_18_a_wish_is_signed_by_its_device_for_one_group_and_generation() {
    let (key, phone) = bobs(1);
    let (_, tablet) = bobs(2);
    let leave = Leave::new((GROUP, 3), phone, false, &key);
    assert!(leave.is_signed(GROUP));
    assert!(!leave.is_signed(GroupId([8; 32])));
    let changes: [fn(&mut Leave); 4] = [
        |leave| leave.account = ALICE,
        |leave| leave.device = bobs(2).1.device,
        |leave| leave.wish.all_devices = true,
        |leave| leave.wish.generation = 4,
    ];
    for change in changes {
        let mut other = leave;
        change(&mut other);
        assert!(!other.is_signed(GROUP));
    }
    assert!(leave.covers(phone) && !leave.covers(tablet));
    let whole = Leave::new((GROUP, 3), phone, true, &key);
    assert!(whole.is_signed(GROUP) && whole.covers(tablet));
    let alices = Member {
        account: ALICE,
        ..phone
    };
    assert!(!whole.covers(alices) && !leave.covers(alices));
}

#[test]
fn mls_18_a_list_of_wishes_is_bounded_and_has_one_form() {
    let (key, phone) = bobs(1);
    let leave = Leave::new((GROUP, u32::MAX), phone, true, &key);
    for count in [0, 1, LEAVES_SHOWN_MAX] {
        let list = vec![leave; count];
        assert_eq!(Leave::read_list(&Leave::write_list(&list)), Ok(list));
    }
    let many = Leave::write_list(&[leave; LEAVES_SHOWN_MAX + 1]);
    let one = Leave::write_list(&[leave]);
    for odd in [
        &many[..],
        &[0],
        &[1],
        &one[1..],
        &[&[0x81], &[0], &one[1..]].concat(),
    ] {
        assert_eq!(Leave::read_list(odd), Err(RecordError::Malformed));
    }
}

fn record() -> impl Strategy<Value = Record> {
    let roles = prop::collection::btree_map(any::<[u8; 32]>(), 0..4_u8, 0..20);
    let holders = prop::collection::btree_set(any::<[u8; 32]>(), 0..=HOLDERS_MAX);
    let generation = (any::<u32>(), holders, prop::option::of(any::<[u8; 32]>()));
    let shown = ("[ -~]{0,100}", prop::option::of(3..PICTURE_MAX));
    (shown, any::<bool>(), 0..3_u8, roles, generation).prop_map(
        |((topic, picture), history, invite, roles, (number, holders, check))| {
            let holders = holders.into_iter().map(EndpointKey).collect();
            let mut record = Record::group(ALICE, topic, holders);
            record.picture = picture.and_then(jpeg);
            record.history = history;
            record.invite = Role::ALL[usize::from(invite)];
            for (account, role) in roles {
                record.set_role(AccountId(account), Role::ALL[usize::from(role)]);
            }
            record.generation.number = number;
            record.generation.check = check;
            record
        },
    )
}

proptest! {
    #[test]
    fn mls_14_what_is_written_is_read(record in record()) {
        prop_assert_eq!(Record::read(&record.write().unwrap()), Ok(record));
    }

    #[test]
    fn mls_14_no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::group(&bytes);
        crate::fuzz::group(&[&[VERSION], &bytes[..]].concat());
    }
}
