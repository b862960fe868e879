//! What a group agrees on: the fuzz body over mutated records and wishes to leave.

use ed25519_dalek::SigningKey;
use starling_wire::credential::Member;
use starling_wire::fuzz;
use starling_wire::group::leave::Leave;
use starling_wire::group::{Record, Role};
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, GroupId};

use crate::{corpus, mutator};

const ALICE: AccountId = AccountId([0xa1; 32]);
const BOB: AccountId = AccountId([0xb0; 32]);

fn leave(seed: u8, all_devices: bool) -> Leave {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let member = Member {
        account: BOB,
        device: DeviceId(key.verifying_key().to_bytes()),
        recoveries: 0,
    };
    Leave::new((GroupId([7; 32]), 300), member, all_devices, &key)
}

#[test]
fn what_a_group_agrees_on() {
    let holders = vec![EndpointKey([1; 32]), EndpointKey([2; 32])];
    let pair = Record::pair(ALICE, BOB, holders.clone()).expect("they are two");
    let mut group = Record::group(ALICE, "Sailing".into(), holders);
    group.set_role(BOB, Role::Listener);
    group.picture = Some(b"RIFF\x08\0\0\0WEBPVP8 ".to_vec());
    group.generation.number = 300;
    group.generation.check = Some([5; 32]);
    let write = |record: &Record| record.write().expect("it is valid");
    let made = [
        ("pair", write(&pair)),
        ("group", write(&group)),
        ("one-leaves", Leave::write_list(&[leave(1, false)])),
        (
            "two-leave",
            Leave::write_list(&[leave(1, true), leave(2, false)]),
        ),
    ];
    mutator::run(35, &corpus::committed("group-records", &made), fuzz::group);
}
