//! Four devices do anything in any order: they write, change the group, lag behind, crash, lose a race, come back from outside.
//! Whoever has read the whole log is where all others are, and has every text once that it could read.

use std::collections::BTreeSet;

use proptest::prelude::*;
use starling_chat::mls::{Branch, Change, OpenError, Opened, PAST_EPOCHS, Suite};

use super::cast::{Device, GROUP, group_of};

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
        1 => device.prop_map(Step::Wander),
    ]
}

/// What all read, in one order.
enum Entry {
    Text { epoch: u64, bytes: Vec<u8> },
    Commit(Vec<u8>),
}

/// How far a device has read.
#[derive(Clone, Default)]
struct Progress {
    cursor: usize,
    read: BTreeSet<usize>,
    came_back_at: u64,
}

struct Reader {
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
            Entry::Commit(bytes) => self.read_commit(bytes),
        }
        self.now.cursor = at + 1;
    }

    fn read_text(&mut self, at: usize, epoch: u64, bytes: &[u8]) {
        let mut group = self.device.group();
        let present = group.epoch();
        let gone = epoch + (PAST_EPOCHS as u64) < present || epoch < self.now.came_back_at;
        match group.open(bytes) {
            Ok(Opened::Text(text)) => {
                assert_eq!(text.bytes, b"text");
                assert!(self.now.read.insert(at), "entry {at} was read twice");
            }
            Ok(Opened::OwnText) => {}
            Err(OpenError::Old) if gone => {}
            other => panic!("entry {at} of epoch {epoch}, read in {present}: {other:?}"),
        }
    }

    fn read_commit(&mut self, bytes: &[u8]) {
        let mut group = self.device.group();
        match group.open(bytes) {
            Ok(Opened::Commit(commit)) => {
                let next = commit.next.unwrap();
                group.merge(*commit).unwrap();
                assert_eq!(group.tag().unwrap(), next);
            }
            Ok(Opened::OwnCommit(next)) => {
                group.merge_own().unwrap();
                assert_eq!(group.tag().unwrap(), next);
            }
            Ok(Opened::OwnRejoin(next)) => {
                group.adopt_rejoin().unwrap();
                let mut group = self.device.group();
                assert_eq!(group.tag().unwrap(), next);
                assert_eq!(group.members().unwrap().len(), 4);
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
}

impl World {
    fn new() -> Self {
        let devices = group_of(4, Suite::Classic).into_iter();
        let mut readers: Vec<_> = devices
            .map(|device| Reader {
                device,
                now: Progress::default(),
                on_disk: Progress::default(),
            })
            .collect();
        readers.iter_mut().for_each(Reader::save);
        Self {
            readers,
            log: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(who) => {
                let reader = &mut self.readers[who];
                let epoch = reader.device.group().epoch();
                let bytes = reader.device.seal("text");
                reader.save();
                self.log.push(Entry::Text { epoch, bytes });
            }
            Step::Commit(who, context) => self.commit(who, context),
            Step::Read(who, count) => self.read(who, count),
            Step::Save(who) => self.readers[who].save(),
            Step::Crash(who) => self.readers[who].crash(),
            Step::Rejoin(who) => self.rejoin(who),
            Step::Wander(who) => {
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
        }
    }

    fn commit(&mut self, who: usize, context: bool) {
        let reader = &mut self.readers[who];
        let mut group = reader.device.group();
        if group.pending().is_some() {
            return;
        }
        let change = Change {
            context: context.then(|| vec![who as u8; 9]),
            ..Change::default()
        };
        let outgoing = group.stage(&change, b"").unwrap();
        reader.save();
        self.log.push(Entry::Commit(outgoing.commit));
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
        let info = self.readers[helper]
            .device
            .group()
            .group_info(true)
            .unwrap();
        let reader = &mut self.readers[who];
        reader.device.client.drop_rejoin(GROUP);
        let (_, outgoing) = reader.device.client.rejoin(&info, None).unwrap();
        reader.save();
        self.log.push(Entry::Commit(outgoing.commit));
    }

    fn end(mut self) {
        for who in 0..4 {
            self.read(who, usize::MAX);
        }
        let tag = self.readers[0].device.group().tag().unwrap();
        let context = self.readers[0].device.group().context().unwrap().to_vec();
        for reader in &mut self.readers {
            assert_eq!(reader.device.group().tag().unwrap(), tag);
            assert_eq!(reader.device.group().context().unwrap(), context);
            assert!(reader.device.group().copies().is_empty());
        }
        let sealed = self.readers[0].device.seal("all of us");
        for reader in &mut self.readers[1..] {
            assert_eq!(reader.device.read(&sealed), "all of us");
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
