//! Mutated bytes of every kind that enters a group: captured ones, which no key opens any more, and ones that would be valid.

use starling_chat::mls::fuzz::{group_rows, groups, groups_of};
use starling_chat::mls::{Change, Suite};

use super::cast::{Device, group_of, now_s};
use crate::{corpus, mutator};

const PACKAGE: u8 = 0;
const WELCOME: u8 = 1;
const INFO: u8 = 3;
const MESSAGE: u8 = 5;

fn tagged(choice: u8, bytes: &[u8]) -> Vec<u8> {
    [&[choice], bytes].concat()
}

#[test]
fn no_captured_bytes_make_a_group_panic() {
    let corpus = corpus::committed("groups", &[]);
    mutator::run(27_476, &corpus, groups);
}

#[test]
fn no_members_bytes_make_a_group_panic_or_end_its_epoch() {
    let mut all = group_of(3, Suite::Classic);
    let mut carol = all.pop().unwrap();
    let (mut bob, mut alice) = (all.pop().unwrap(), all.pop().unwrap());
    let mut dave = Device::new(9, 1);
    let package = bob.client.make_last_resort(Suite::Classic, now_s());
    let package = package.unwrap();
    let change = Change {
        add: vec![dave.package_for(&mut alice, Suite::Classic)],
        remove: vec![carol.id()],
        context: Some(b"another".to_vec()),
    };
    let outgoing = alice.group().stage(&change, b"slot").unwrap();
    let info = alice.group().group_info(true).unwrap();
    let (_, rejoin) = carol.client.rejoin(&info, None).unwrap();
    let valid = [
        tagged(PACKAGE, &package),
        tagged(WELCOME, &outgoing.welcome.unwrap()),
        tagged(INFO, &info),
        tagged(MESSAGE, &outgoing.commit),
        tagged(MESSAGE, &rejoin.commit),
        tagged(MESSAGE, &alice.seal("text")),
        tagged(MESSAGE, &carol.seal("another text")),
    ];
    let bob = std::cell::RefCell::new(bob.client);
    mutator::run(27_477, &valid, |data| {
        let mut bob = bob.borrow_mut();
        groups_of(&mut bob, data);
    });
}

#[test]
fn no_stored_bytes_make_a_client_panic() {
    let mut all = group_of(2, Suite::Classic);
    all[0].commit_disk();
    let mut rows = Vec::new();
    for (key, value) in &all[0].disk {
        rows.push(key.len() as u8);
        rows.extend((value.len() as u16).to_be_bytes());
        rows.extend(key);
        rows.extend(value);
    }
    let corpus = corpus::committed("group-rows", &[]);
    mutator::run(27_478, &[corpus, vec![rows]].concat(), group_rows);
}
