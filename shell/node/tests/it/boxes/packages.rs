//! Key packages at home supernodes: left by a device that goes away, taken by a contact.

use starling_node::drivers::key_packages::{leave, take};
use starling_wire::ids::{AccountId, DeviceId};
use starling_wire::key_package::Packages;
use starling_wire::postage::ContactsKey;

use super::*;

fn whose(person: &Person) -> (AccountId, DeviceId) {
    (person.identity.account(), person.identity.device_id())
}

fn contacts_key(person: &Person) -> ContactsKey {
    ContactsKey::new(person.identity.account(), &person.identity.discovery_key)
}

fn package(number: u8) -> Vec<u8> {
    vec![number; 2_821]
}

#[tokio::test(flavor = "multi_thread")]
async fn package_03_a_contact_takes_each_once_and_a_stranger_none() {
    let land = Land::of(1).await;
    let at = land.towns[0].at();
    let alice = Person::new("Alice").await;
    let packages = Packages {
        fresh: (0..30).map(package).collect(),
        last_resort: Some(package(99)),
    };
    // Nobody leaves anything before it is registered.
    alice.door.set_home(at).await;
    let refused = leave(&alice.supernodes, at, packages.clone()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("register")));
    assert_eq!(alice.settle(at, 1).await, Ok(Answer::Ok));
    let kept = leave(&alice.supernodes, at, packages).await;
    assert_eq!(kept.ok(), Some(30), "in several requests");
    let bob = Person::new("Bob").await;
    assert_eq!(bob.settle(at, 1).await, Ok(Answer::Ok));
    let homes = [at.clone()];
    let ask = async |key: &ContactsKey| {
        take(&bob.door, &bob.supernodes, &homes, (whose(&alice), key)).await
    };
    let stranger = ask(&ContactsKey([1; 32])).await;
    assert!(stranger.is_err_and(|error| error.to_string().contains("contact")));
    let key = contacts_key(&alice);
    let mut taken = BTreeSet::new();
    for _ in 0..5 {
        let one = ask(&key).await.expect("an answer").expect("a package");
        assert!(taken.insert(one), "handed out twice");
    }
    let left = leave(&alice.supernodes, at, Packages::default()).await;
    assert_eq!(left.ok(), Some(25), "she sees how many to make");
    land.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn package_04_whoever_takes_too_many_gets_the_one_of_last_resort() {
    let mut land = Land::of(1).await;
    let at = land.towns[0].at().clone();
    let alice = Person::new("Alice").await;
    assert_eq!(alice.settle(&at, 1).await, Ok(Answer::Ok));
    let packages = Packages {
        fresh: (0..25).map(package).collect(),
        last_resort: Some(package(99)),
    };
    leave(&alice.supernodes, &at, packages).await.expect("kept");
    let mallory = Person::new("Mallory").await;
    assert_eq!(mallory.settle(&at, 1).await, Ok(Answer::Ok));
    let (key, homes) = (contacts_key(&alice), [at.clone()]);
    let mut last = 0;
    for _ in 0..40 {
        let about = (whose(&alice), &key);
        let one = take(&mallory.door, &mallory.supernodes, &homes, about).await;
        last += usize::from(one.expect("an answer") == Some(package(99)));
    }
    assert_eq!(last, 20);
    // They are there after a restart, too.
    let town = land.towns.pop().expect("one");
    town.supernode.stop().await;
    let town = town.again(land.network).await;
    assert_eq!(alice.settle(town.at(), 2).await, Ok(Answer::Ok));
    let left = leave(&alice.supernodes, town.at(), Packages::default()).await;
    assert_eq!(left.ok(), Some(5));
    // Where no letters are kept, no packages are.
    town.carrier.set(Role::Mailbox, false);
    let refused = leave(&alice.supernodes, town.at(), Packages::default()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("keeps no letters")));
    town.supernode.stop().await;
    land.end().await;
}
