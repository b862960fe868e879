//! What a group agrees on: the fuzz body over mutated records and wishes to leave.

use ed25519_dalek::SigningKey;
use starling_wire::account::Founding;
use starling_wire::credential::{Credential, Member};
use starling_wire::fuzz;
use starling_wire::group::leave::Leave;
use starling_wire::group::{Form, Record, Role};
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, EntryId, EpochTag, GroupId};
use starling_wire::invitation::Invitation;
use starling_wire::log::keys::Generation;

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

#[test]
fn what_invites_to_a_group() {
    let generation = |number| Generation {
        number,
        secret: [6; 32].into(),
        first: EpochTag([2; 16]),
        holders: vec![EndpointKey([1; 32]), EndpointKey([2; 32])],
    };
    let invitation = |earlier| Invitation {
        group: GroupId([7; 32]),
        form: Form::Group,
        title: "Sailing".into(),
        welcome: EntryId([8; 32]),
        generation: generation(300),
        earlier,
        sent_at: 1_795_500_000,
    };
    let key = |seed| SigningKey::from_bytes(&[seed; 32]);
    let device = |seed| DeviceId(key(seed).verifying_key().to_bytes());
    let chain = Founding::new(&[1; 32]).found(device(4), "phone");
    let credential = Credential::of(&chain, device(4)).expect("it is listed");
    let by = (&key(4), &credential);
    let inside = |earlier| invitation(earlier).inside(by, device(5));
    let sealed = invitation(Vec::new()).seal(by, device(5), [3; 32]);
    let made = [
        ("inside", inside(Vec::new())),
        ("with-history", inside(vec![generation(299), generation(7)])),
        ("sealed", sealed.expect("it is valid")),
    ];
    mutator::run(
        36,
        &corpus::committed("invitations", &made),
        fuzz::invitation,
    );
}
