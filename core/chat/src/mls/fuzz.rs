//! Fuzz bodies: what a hostile member, a stranger or a holder can do to a group, and a damaged disk to a client. Plain functions,
//! run in the tests by a seeded mutator and usable by `cargo fuzz` as they are.

use std::cell::RefCell;

use ed25519_dalek::SigningKey;
use starling_wire::account::Founding;
use starling_wire::credential::Credential;
use starling_wire::ids::{DeviceId, GroupId};

use super::{Client, OpenError, Suite};

/// The group of these bodies.
pub const GROUP: GroupId = GroupId([7; 32]);
/// When it is, in Unix seconds.
const NOW_S: u64 = 1_800_000_000;

thread_local! {
    static ALICE: RefCell<Client> = RefCell::new(alice());
}

/// Whatever enters a device's groups from outside. Nothing of it is valid here: the keys are others each time.
pub fn groups(data: &[u8]) {
    ALICE.with_borrow_mut(|alice| groups_of(alice, data));
}

/// The same with a device whose groups are real, and bytes that may be too. The first byte says what the rest is.
pub fn groups_of(client: &mut Client, data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let half = rest.split_at(rest.len() / 2);
    match choice % 6 {
        0 => {
            let _ = client.read_key_package(rest, NOW_S);
        }
        1 => drop(client.join(rest, None)),
        2 => drop(client.join(half.0, Some(half.1))),
        3 => drop(client.rejoin(rest, None)),
        4 => drop(client.rejoin(half.0, Some(half.1))),
        _ => {
            let Ok(Some(mut group)) = client.group(GROUP) else {
                return;
            };
            let before = group.epoch();
            let opened = group.open(rest);
            let broken = matches!(opened, Err(OpenError::State(_)));
            assert!(!broken, "bytes from outside broke a group");
            assert_eq!(group.epoch(), before, "what is opened is not merged");
        }
    }
}

/// Stored rows: from this disk, and perhaps damaged.
pub fn group_rows(data: &[u8]) {
    let mut rows = Vec::new();
    let mut rest = data;
    while let Some((&[key, high, low], tail)) = rest.split_first_chunk::<3>() {
        let (key, tail) = tail.split_at(usize::from(key).min(tail.len()));
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (value, tail) = tail.split_at(length);
        rows.push((key.to_vec(), value.to_vec()));
        rest = tail;
    }
    let (key, credential) = identity();
    if let Ok(mut client) = Client::new(&key, &credential, rows) {
        for group in client.groups() {
            if let Ok(Some(mut group)) = client.group(group) {
                let _ = (group.members().map(|leaves| leaves.len()), group.tag());
                let _ = group.open(b"nothing");
            }
        }
        let _ = client.count_key_packages(Suite::Classic, NOW_S);
    }
}

fn identity() -> (SigningKey, Credential) {
    let key = SigningKey::from_bytes(&[3; 32]);
    let device = DeviceId(key.verifying_key().to_bytes());
    let chain = Founding::new(&[1; 32]).found(device, "laptop");
    let credential = Credential::of(&chain, device);
    (key, credential.expect("its first device is listed"))
}

fn alice() -> Client {
    let (key, credential) = identity();
    let mut client = Client::new(&key, &credential, []).expect("nothing is stored yet");
    let made = client.create(GROUP, Suite::Classic, b"record", NOW_S);
    made.expect("the first group");
    client
}
