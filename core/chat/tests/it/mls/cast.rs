//! The people of these tests. Each device has a client and a disk: rows, and what was written to them in one transaction.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use ed25519_dalek::SigningKey;
use starling_chat::mls::{
    Change, Client, Commit, Group, KeyPackage, Opened, Outgoing, Suite, Text,
};
use starling_wire::account::{Change as Entry, Founding};
use starling_wire::credential::{Credential, Member};
use starling_wire::ids::{DeviceId, GroupId};

pub const GROUP: GroupId = GroupId([7; 32]);

/// One device.
pub struct Device {
    pub client: Client,
    pub disk: BTreeMap<Vec<u8>, Vec<u8>>,
    pub key: SigningKey,
    pub credential: Credential,
}

/// Now, in Unix seconds: openmls looks at the wall clock too.
pub fn now_s() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The key and the credential of an account's device.
pub fn identity(account: u8, device: u8) -> (SigningKey, Credential) {
    let key = |seed: [u8; 2]| {
        SigningKey::from_bytes(&[seed, [0x5a; 2]].concat().repeat(8).try_into().unwrap())
    };
    let id = |seed| DeviceId(key(seed).verifying_key().to_bytes());
    let founding = Founding::new(&[account; 32]);
    let mut chain = founding.found(id([account, 1]), "laptop");
    let entry = Entry::AddDevice {
        device: id([account, device]),
        name: format!("device {device}"),
        owner: false,
    };
    chain.append(&founding.signing, entry);
    let credential = Credential::of(&chain, id([account, device])).unwrap();
    (key([account, device]), credential)
}

impl Device {
    pub fn new(account: u8, device: u8) -> Self {
        let (key, credential) = identity(account, device);
        let client = Client::new(&key, &credential, []).unwrap();
        Self {
            client,
            disk: BTreeMap::new(),
            key,
            credential,
        }
    }

    pub fn member(&self) -> Member {
        self.client.member()
    }

    pub fn id(&self) -> DeviceId {
        self.member().device
    }

    pub fn group(&mut self) -> Group<'_> {
        self.client.group(GROUP).unwrap().unwrap()
    }

    /// One transaction.
    pub fn commit_disk(&mut self) {
        let changes = self.client.take_changes().unwrap();
        for key in changes.delete {
            self.disk.remove(&key);
        }
        for (key, value) in changes.put {
            self.disk.insert(key, value.to_vec());
        }
    }

    /// The process ends and begins again with what is on disk.
    pub fn restart(&mut self) {
        self.client = Client::new(&self.key, &self.credential, self.disk.clone()).unwrap();
    }

    /// A package of this device, as another one reads it.
    pub fn package_for(&mut self, other: &mut Self, suite: Suite) -> KeyPackage {
        let made = self.client.make_key_packages(suite, 1, now_s()).unwrap();
        other.client.read_key_package(&made[0], now_s()).unwrap()
    }

    pub fn seal(&mut self, text: &str) -> Vec<u8> {
        self.group().seal(text.as_bytes(), b"seen").unwrap()
    }

    pub fn read(&mut self, sealed: &[u8]) -> String {
        String::from_utf8(self.text(sealed).bytes).unwrap()
    }

    pub fn text(&mut self, sealed: &[u8]) -> Text {
        match self.group().open(sealed) {
            Ok(Opened::Text(text)) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    pub fn look(&mut self, commit: &[u8]) -> Commit {
        match self.group().open(commit) {
            Ok(Opened::Commit(commit)) => *commit,
            other => panic!("no commit: {other:?}"),
        }
    }

    pub fn follow(&mut self, commit: &[u8]) {
        let commit = self.look(commit);
        let mut group = self.group();
        let next = commit.next;
        group.merge(commit).unwrap();
        assert_eq!(group.tag().ok(), next, "the tag is known before the merge");
    }

    /// Stages and wins at once.
    pub fn commit(&mut self, change: &Change) -> Outgoing {
        let mut group = self.group();
        let outgoing = group.stage(change, b"").unwrap();
        group.merge_own().unwrap();
        assert_eq!(group.tag().unwrap(), outgoing.next);
        outgoing
    }

    /// Takes another device in. The others follow with the commit that is returned.
    pub fn take_in(&mut self, other: &mut Self) -> Vec<u8> {
        let suite = self.group().suite().unwrap();
        let change = Change {
            add: vec![other.package_for(self, suite)],
            ..Change::default()
        };
        let outgoing = self.commit(&change);
        let welcome = outgoing.welcome.unwrap();
        let joined = other.client.join(&welcome, outgoing.tree.as_deref());
        let joined = joined.unwrap();
        assert_eq!((joined.group, joined.by), (GROUP, self.member()));
        assert_eq!(other.group().tag().unwrap(), outgoing.next);
        outgoing.commit
    }
}

/// A group of so many devices, of different accounts, all of which follow.
pub fn group_of(count: u8, suite: Suite) -> Vec<Device> {
    let mut all: Vec<Device> = vec![Device::new(1, 1)];
    all[0]
        .client
        .create(GROUP, suite, b"record", now_s())
        .unwrap();
    for next in 1..count {
        let mut joining = Device::new(next + 1, 1);
        let commit = all[0].take_in(&mut joining);
        for device in &mut all[1..] {
            device.follow(&commit);
        }
        all.push(joining);
    }
    all
}

/// Alice and Bob.
pub fn two() -> (Device, Device) {
    let mut both = group_of(2, Suite::Classic);
    let bob = both.pop().unwrap();
    (both.pop().unwrap(), bob)
}
