//! Four devices do anything in any order: they write, change the group, lag behind, crash, lose a race, are removed and taken in
//! again, come back from outside. Whoever has read the whole log is where all others are, and has every text once that it could
//! read, and none of the time when it was not there.

use std::collections::BTreeSet;

use proptest::prelude::*;
use starling_chat::mls::{Branch, Change, OpenError, Opened, PAST_EPOCHS, StateError, Suite};

use super::cast::{Device, GROUP, group_of, now_s};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A device writes a text.
    Write(usize),
    /// A device makes a commit for the epoch that it is in; the first in the log wins.
    Commit(usize, bool),
    /// A device reads so many entries of the log.
    Read(usize, usize),
    /// Its transaction is committed.
    Save(usize),
    /// It ends and begins again with its disk.
    Crash(usize),
    /// It comes back from outside, with what another member gave it.
    Rejoin(usize),
    /// The first removes the second, or takes it in again.
    Invite(usize, usize),
    /// It makes a copy, does something else, and goes back.
    Wander(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..4_usize;
    prop_oneof![
        4 => device.clone().prop_map(Step::Write),
        3 => (device.clone(), any::<bool>()).prop_map(|(d, context)| Step::Commit(d, context)),
        8 => (device.clone(), 1..6_usize).prop_map(|(d, n)| Step::Read(d, n)),
        3 => device.clone().prop_map(Step::Save),
        2 => device.clone().prop_map(Step::Crash),
        1 => device.clone().prop_map(Step::Rejoin),
        2 => (device.clone(), device.clone()).prop_map(|(who, whom)| Step::Invite(who, whom)),
        1 => device.prop_map(Step::Wander),
    ]
}

/// What all read, in one order.
enum Entry {
    Text {
        epoch: u64,
        bytes: Vec<u8>,
    },
    Commit {
        bytes: Vec<u8>,
        invited: Option<Invited>,
    },
}

/// Whom a commit takes in, if it wins.
struct Invited {
    whom: usize,
    welcome: Vec<u8>,
}

/// How far a device has read.
#[derive(Clone, Default)]
struct Progress {
    cursor: usize,
    read: BTreeSet<usize>,
    came_back_at: u64,
    out: bool,
}

struct Reader {
    number: usize,
    device: Device,
    now: Progress,
    on_disk: Progress,
}

impl Reader {
    fn save(&mut self) {
        self.device.commit_disk();
        self.on_disk = self.now.clone();
    }

    fn crash(&mut self) {
        self.device.restart();
        self.now = self.on_disk.clone();
    }

    fn read(&mut self, at: usize, entry: &Entry) {
        match entry {
            Entry::Text { epoch, bytes } => self.read_text(at, *epoch, bytes),
            Entry::Commit { bytes, invited } if self.now.out => self.enter(bytes, invited.as_ref()),
            Entry::Commit { bytes, .. } => self.read_commit(bytes),
        }
        self.now.cursor = at + 1;
    }

    /// Outside, only a Welcome says anything.
    fn enter(&mut self, commit: &[u8], invited: Option<&Invited>) {
        assert!(self.device.group().open(commit).is_err());
        let Some(invited) = invited.filter(|invited| invited.whom == self.number) else {
            return;
        };
        self.device.client.join(&invited.welcome, None).unwrap();
        self.now.out = false;
        self.now.came_back_at = self.device.group().epoch();
    }

    fn read_text(&mut self, at: usize, epoch: u64, bytes: &[u8]) {
        let mut group = self.device.group();
        let present = group.epoch();
        let gone = epoch + (PAST_EPOCHS as u64) < present || epoch < self.now.came_back_at;
        match group.open(bytes) {
            Ok(Opened::Text(text)) => {
                assert_eq!(text.bytes, b"text");
                assert!(!self.now.out, "entry {at} is not for who was removed");
                assert!(self.now.read.insert(at), "entry {at} was read twice");
            }
            Ok(Opened::OwnText) if !self.now.out => {}
            Err(OpenError::Old) if gone => {}
            Err(OpenError::State(StateError::NotMember)) if self.now.out => {}
            other => panic!("entry {at} of epoch {epoch}, read in {present}: {other:?}"),
        }
    }

    fn read_commit(&mut self, bytes: &[u8]) {
        let mut group = self.device.group();
        match group.open(bytes) {
            Ok(Opened::Commit(commit)) => {
                let next = commit.next;
                group.merge(*commit).unwrap();
                assert_eq!(group.tag().ok(), next);
                self.now.out = next.is_none();
            }
            Ok(Opened::OwnCommit(next)) => {
                group.merge_own().unwrap();
                assert_eq!(group.tag().unwrap(), next);
            }
            Ok(Opened::OwnRejoin(next)) => {
                group.adopt_rejoin().unwrap();
                let group = self.device.group();
                assert_eq!(group.tag().unwrap(), next);
                self.now.came_back_at = self.device.group().epoch();
            }
            Err(OpenError::Old) => {}
            other => panic!("no commit: {other:?}"),
        }
    }
}

struct World {
    readers: Vec<Reader>,
    log: Vec<Entry>,
    /// The epoch after all of the log.
    epoch: u64,
}

impl World {
    fn new() -> Self {
        let devices = group_of(4, Suite::Classic).into_iter();
        let mut readers: Vec<_> = devices
            .enumerate()
            .map(|(number, device)| Reader {
                number,
                device,
                now: Progress::default(),
                on_disk: Progress::default(),
            })
            .collect();
        readers.iter_mut().for_each(Reader::save);
        let epoch = readers[0].device.group().epoch();
        Self {
            readers,
            log: Vec::new(),
            epoch,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(who) if !self.readers[who].now.out => {
                let reader = &mut self.readers[who];
                let epoch = reader.device.group().epoch();
                let bytes = reader.device.seal("text");
                reader.save();
                self.log.push(Entry::Text { epoch, bytes });
            }
            Step::Commit(who, context) => {
                let context = context.then(|| vec![who as u8; 9]);
                let change = Change {
                    context,
                    ..Change::default()
                };
                self.commit(who, &change, None);
            }
            Step::Invite(who, whom) if who != whom => self.invite(who, whom),
            Step::Read(who, count) => self.read(who, count),
            Step::Save(who) => self.readers[who].save(),
            Step::Crash(who) => self.readers[who].crash(),
            Step::Rejoin(who) => self.rejoin(who),
            Step::Wander(who) if !self.readers[who].now.out => {
                let mut group = self.readers[who].device.group();
                let tag = group.tag().unwrap();
                let pending = group.pending();
                group.copy_to(Branch::at(tag)).unwrap();
                group.clear_pending().unwrap();
                group.stage(&Change::default(), b"").unwrap();
                group.merge_own().unwrap();
                group.restore(Branch::at(tag)).unwrap();
                group.forget(Branch::at(tag));
                assert_eq!((group.tag().unwrap(), group.pending()), (tag, pending));
            }
            _ => {}
        }
    }

    fn commit(&mut self, who: usize, change: &Change, whom: Option<usize>) {
        let reader = &mut self.readers[who];
        let mut group = reader.device.group();
        if group.pending().is_some() || !group.is_member() {
            return;
        }
        // The first commit for an epoch wins; only then its Welcome goes out.
        let wins = group.epoch() == self.epoch;
        let outgoing = group.stage(change, b"").unwrap();
        reader.save();
        let welcome = outgoing.welcome.filter(|_| wins);
        let invited = whom.zip(welcome);
        self.log.push(Entry::Commit {
            bytes: outgoing.commit,
            invited: invited.map(|(whom, welcome)| Invited { whom, welcome }),
        });
        self.epoch += u64::from(wins);
    }

    fn invite(&mut self, who: usize, whom: usize) {
        if self.readers[who].now.out {
            return;
        }
        let id = self.readers[whom].device.id();
        let members = self.readers[who].device.group().members().unwrap();
        if members.iter().any(|leaf| leaf.member.device == id) {
            let change = Change {
                remove: vec![id],
                ..Change::default()
            };
            return self.commit(who, &change, None);
        }
        let made_at = now_s();
        let made = &mut self.readers[whom];
        let package = made
            .device
            .client
            .make_key_packages(Suite::Classic, 1, made_at);
        made.save();
        let reader = &mut self.readers[who].device.client;
        let package = reader
            .read_key_package(&package.unwrap()[0], made_at)
            .unwrap();
        let change = Change {
            add: vec![package],
            ..Change::default()
        };
        self.commit(who, &change, Some(whom));
    }

    fn read(&mut self, who: usize, count: usize) {
        let reader = &mut self.readers[who];
        let from = reader.now.cursor;
        for (at, entry) in self.log.iter().enumerate().skip(from).take(count) {
            reader.read(at, entry);
        }
    }

    fn rejoin(&mut self, who: usize) {
        let helper = (who + 1) % 4;
        self.read(helper, usize::MAX);
        self.read(who, usize::MAX);
        if self.readers[helper].now.out || self.readers[who].now.out {
            return;
        }
        let info = self.readers[helper]
            .device
            .group()
            .group_info(true)
            .unwrap();
        let reader = &mut self.readers[who];
        reader.device.client.drop_rejoin(GROUP);
        let (_, outgoing) = reader.device.client.rejoin(&info, None).unwrap();
        reader.save();
        self.log.push(Entry::Commit {
            bytes: outgoing.commit,
            invited: None,
        });
        self.epoch += 1;
    }

    fn end(mut self) {
        for who in 0..4 {
            self.read(who, usize::MAX);
        }
        let (mut there, out): (Vec<_>, Vec<_>) =
            self.readers.into_iter().partition(|reader| !reader.now.out);
        let mut first = there.remove(0);
        let sealed = first.device.seal("all of us");
        let group = first.device.group();
        assert_eq!(
            (group.epoch(), group.leaf_count()),
            (self.epoch, there.len() + 1)
        );
        for reader in &mut there {
            assert_eq!(reader.device.group().tag(), group.tag());
            assert_eq!(reader.device.group().context(), group.context());
            assert!(reader.device.group().copies().is_empty());
            assert_eq!(reader.device.read(&sealed), "all of us");
        }
        for mut reader in out {
            assert!(reader.device.group().open(&sealed).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn four_devices_in_any_order_end_in_one_epoch(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.end();
    }
}
