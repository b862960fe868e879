//! Rescue copies: the fuzz body over mutated plaintexts and sealed ones.

use ed25519_dalek::SigningKey;
use starling_wire::fuzz;
use starling_wire::ids::{AccountId, EndpointKey, NetworkId};
use starling_wire::name::Name;
use starling_wire::own_name::{Answered, Claimed, Held};
use starling_wire::profile::{OwnPart, Part};
use starling_wire::rescue::{Rescue, Rescued};
use starling_wire::supernode::SupernodeAddr;

use crate::{corpus, mutator};

fn rescue() -> Rescue {
    let home = SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp: "192.0.2.7:27474".parse().expect("an address"),
        discovery_port: 27476,
    };
    let person = |number: u8, elsewhere: bool| Rescued {
        account: AccountId([number; 32]),
        blocked: number == 2,
        name: "Bob".into(),
        network: elsewhere.then_some(NetworkId([3; 32])),
        home: elsewhere.then(|| home.clone()),
    };
    Rescue {
        name: "Alice".into(),
        made_at: 1_795_500_000_000,
        names: vec![Held {
            name: Name::typed("alice").expect("a name"),
            claimed: Claimed {
                network: NetworkId([3; 32]),
                registrar: AccountId([4; 32]),
                listing: None,
                asked_at: 5,
            },
            answered: Answered::default(),
        }],
        shown: vec![(Part::Name, OwnPart::default())],
        people: vec![person(1, false), person(2, false), person(3, true)],
    }
}

#[test]
fn rescue_01_no_bytes_make_the_reader_of_copies_fail() {
    let signing = SigningKey::from_bytes(&[1; 32]);
    let account = AccountId([7; 32]);
    let key = signing.verifying_key().to_bytes();
    let sealed = rescue()
        .seal(&signing, account, &key, [5; 32])
        .expect("fits");
    let made = [
        ("inside", rescue().inside(&signing, account)),
        ("sealed", sealed),
    ];
    mutator::run(31, &corpus::committed("rescue", &made), fuzz::rescue);
}
