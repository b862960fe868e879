//! Members who mean well.

use starling_chat::mls::{
    CONTEXT_MAX, Change, JoinError, KeyPackageError, OUT_OF_ORDER_MAX, OpenError, Opened,
    StageError, StateError, Suite, TEXT_MAX, key_package,
};
use starling_wire::ids::{EpochTag, GroupId};

use super::cast::{Device, GROUP, group_of, now_s, two};

#[test]
fn two_accounts_with_two_devices_each_read_each_other() {
    for suite in [Suite::Hybrid, Suite::Classic] {
        let (mut laptop, mut phone) = (Device::new(1, 1), Device::new(1, 2));
        let (mut bob, mut tablet) = (Device::new(2, 1), Device::new(2, 2));
        laptop
            .client
            .create(GROUP, suite, b"record", now_s())
            .unwrap();
        let first = laptop.take_in(&mut bob);
        assert!(!first.is_empty());
        let second = bob.take_in(&mut tablet);
        laptop.follow(&second);
        let third = laptop.take_in(&mut phone);
        bob.follow(&third);
        tablet.follow(&third);
        let account = laptop.member().account;
        let sealed = phone.seal("hello");
        for device in [&mut laptop, &mut bob, &mut tablet] {
            let text = device.text(&sealed);
            assert_eq!(text.bytes, b"hello");
            assert_eq!(text.aad, b"seen");
            assert_eq!(text.from, phone.member());
            assert_eq!(text.from.account, account);
            let group = device.group();
            assert_eq!(group.suite().unwrap(), suite);
            assert_eq!(group.leaf_count(), 4);
            assert_eq!(group.context().unwrap(), b"record");
        }
        assert!(matches!(phone.group().open(&sealed), Ok(Opened::OwnText)));
    }
}

#[test]
fn a_commit_says_what_it_does_before_it_is_merged() {
    let mut all = group_of(3, Suite::Classic);
    let mut carol = all.pop().unwrap();
    let (mut bob, mut alice) = (all.pop().unwrap(), all.pop().unwrap());
    let mut dave = Device::new(9, 1);
    let change = Change {
        add: vec![dave.package_for(&mut alice, Suite::Classic)],
        remove: vec![carol.id()],
        context: Some(b"another".to_vec()),
    };
    let before = bob.group().tag().unwrap();
    let outgoing = alice.group().stage(&change, b"slot").unwrap();
    assert_eq!(alice.group().pending(), Some(outgoing.next));
    assert_eq!(alice.group().tag().unwrap(), before);
    for _ in 0..2 {
        let commit = bob.look(&outgoing.commit);
        assert_eq!(commit.by, alice.member());
        assert_eq!(commit.aad, b"slot");
        assert_eq!(commit.added, [dave.member()]);
        assert_eq!(commit.removed, [carol.member()]);
        assert_eq!(commit.context.as_deref(), Some(&b"another"[..]));
        assert_eq!(commit.next, Some(outgoing.next));
        assert!(!commit.external);
        assert_eq!(bob.group().tag().unwrap(), before);
    }
    let removal = carol.look(&outgoing.commit);
    assert_eq!(removal.next, None);
    bob.follow(&outgoing.commit);
    assert_eq!(bob.group().context().unwrap(), b"another");
    carol.group().merge(removal).unwrap();
    assert!(!carol.group().is_member());
}

#[test]
fn a_removed_member_reads_and_writes_nothing_after() {
    let mut all = group_of(3, Suite::Classic);
    let mut carol = all.pop().unwrap();
    let (mut bob, mut alice) = (all.pop().unwrap(), all.pop().unwrap());
    let change = Change {
        remove: vec![carol.id()],
        ..Change::default()
    };
    let outgoing = alice.commit(&change);
    bob.follow(&outgoing.commit);
    let sealed = alice.seal("without carol");
    // Carol has not seen the commit: the epoch is not hers.
    assert!(matches!(
        carol.group().open(&sealed),
        Err(OpenError::Future)
    ));
    let late = carol.seal("still here");
    carol.group().merge_staged(&outgoing.commit);
    let gone = OpenError::State(StateError::NotMember);
    assert_eq!(carol.group().open(&sealed).unwrap_err(), gone);
    assert!(carol.group().seal(b"x", b"").is_err());
    assert!(carol.group().tag().is_err());
    assert!(carol.group().group_info(true).is_err());
    assert!(carol.group().stage(&Change::default(), b"").is_err());
    assert_eq!(bob.read(&sealed), "without carol");
    // What she wrote before is still read: its epoch is not forgotten yet.
    assert_eq!(bob.read(&late), "still here");
    // She may come back if somebody takes her in.
    let commit = alice.take_in(&mut carol);
    bob.follow(&commit);
    let sealed = bob.seal("welcome back");
    assert_eq!(carol.read(&sealed), "welcome back");
}

trait Follow {
    fn merge_staged(&mut self, commit: &[u8]);
}

impl Follow for starling_chat::mls::Group<'_> {
    fn merge_staged(&mut self, commit: &[u8]) {
        match self.open(commit) {
            Ok(Opened::Commit(commit)) => self.merge(*commit).unwrap(),
            other => panic!("no commit: {other:?}"),
        }
    }
}

#[test]
fn texts_of_two_past_epochs_are_read_and_no_older_ones() {
    let (mut alice, mut bob) = two();
    let mut waiting = Vec::new();
    for epoch in 0..4 {
        waiting.push(bob.seal(&format!("epoch {epoch}")));
        let outgoing = alice.commit(&Change::default());
        bob.follow(&outgoing.commit);
    }
    assert_eq!(alice.group().open(&waiting[0]).unwrap_err(), OpenError::Old);
    assert_eq!(alice.group().open(&waiting[1]).unwrap_err(), OpenError::Old);
    assert_eq!(alice.read(&waiting[2]), "epoch 2");
    assert_eq!(alice.read(&waiting[3]), "epoch 3");
}

#[test]
fn texts_come_out_of_order_and_twice() {
    let (mut alice, mut bob) = two();
    let last = OUT_OF_ORDER_MAX as usize + 1;
    let sealed: Vec<_> = (0..=last).map(|n| alice.seal(&n.to_string())).collect();
    assert_eq!(bob.read(&sealed[last]), last.to_string());
    assert_eq!(bob.group().open(&sealed[0]).unwrap_err(), OpenError::Old);
    for n in (2..last).rev() {
        assert_eq!(bob.read(&sealed[n]), n.to_string());
    }
    for n in [2, last] {
        let again = bob.group().open(&sealed[n]).unwrap_err();
        assert_eq!(again, OpenError::Repeated);
    }
}

#[test]
fn what_is_of_an_epoch_to_come_waits() {
    let (mut alice, mut bob) = two();
    let first = alice.commit(&Change::default());
    let second = alice.commit(&Change::default());
    let sealed = alice.seal("later");
    assert_eq!(
        bob.group().open(&second.commit).unwrap_err(),
        OpenError::Future
    );
    assert_eq!(bob.group().open(&sealed).unwrap_err(), OpenError::Future);
    bob.follow(&first.commit);
    assert_eq!(bob.group().open(&first.commit).unwrap_err(), OpenError::Old);
    bob.follow(&second.commit);
    assert_eq!(bob.read(&sealed), "later");
}

#[test]
fn forty_eight_devices_follow_one_of_them() {
    let mut alice = Device::new(1, 1);
    alice
        .client
        .create(GROUP, Suite::Classic, b"record", now_s())
        .unwrap();
    let mut others: Vec<_> = (2..=48).map(|n| Device::new(n, 1)).collect();
    let packages = others
        .iter_mut()
        .map(|other| other.package_for(&mut alice, Suite::Classic));
    let change = Change {
        add: packages.collect(),
        ..Change::default()
    };
    let outgoing = alice.commit(&change);
    assert_eq!(outgoing.tree, None, "the Welcome carries it");
    let welcome = outgoing.welcome.unwrap();
    for other in &mut others {
        other.client.join(&welcome, None).unwrap();
    }
    let outgoing = others[20].commit(&Change::default());
    let sealed = others[20].seal("to 47");
    alice.follow(&outgoing.commit);
    assert_eq!(alice.read(&sealed), "to 47");
    for (n, other) in others.iter_mut().enumerate().filter(|(n, _)| *n != 20) {
        other.follow(&outgoing.commit);
        assert_eq!(other.read(&sealed), "to 47", "device {n}");
    }
    let members = alice.group().members().unwrap();
    assert_eq!(members.len(), 48);
    assert_eq!(members[21].member, others[20].member());
}

#[test]
fn a_large_groups_tree_stands_beside_the_welcome() {
    let mut alice = Device::new(1, 1);
    alice
        .client
        .create(GROUP, Suite::Classic, b"", now_s())
        .unwrap();
    let mut others: Vec<_> = (2..=51).map(|n| Device::new(n, 1)).collect();
    let packages = others
        .iter_mut()
        .map(|other| other.package_for(&mut alice, Suite::Classic));
    let change = Change {
        add: packages.collect(),
        ..Change::default()
    };
    let outgoing = alice.commit(&change);
    let (welcome, tree) = (outgoing.welcome.unwrap(), outgoing.tree.unwrap());
    assert_eq!(tree, alice.group().tree().unwrap());
    let last = others.last_mut().unwrap();
    assert_eq!(last.client.join(&welcome, None), Err(JoinError::NoTree));
    let other_tree = two().0.group().tree().unwrap();
    assert_eq!(
        last.client.join(&welcome, Some(&other_tree)),
        Err(JoinError::Invalid)
    );
    // A Welcome that was refused has not used up the key package.
    last.client.join(&welcome, Some(&tree)).unwrap();
    assert_eq!(last.group().tag().unwrap(), outgoing.next);
}

#[test]
fn all_derive_the_same_secret_and_another_one_in_the_next_epoch() {
    let (mut alice, mut bob) = two();
    let secret = alice.group().export("starling envelope", 32).unwrap();
    assert_eq!(bob.group().export("starling envelope", 32).unwrap(), secret);
    assert_ne!(bob.group().export("starling deposit", 32).unwrap(), secret);
    let outgoing = bob.commit(&Change::default());
    alice.follow(&outgoing.commit);
    assert_ne!(
        alice.group().export("starling envelope", 32).unwrap(),
        secret
    );
    let tags: [EpochTag; 2] = [alice.group().tag().unwrap(), bob.group().tag().unwrap()];
    assert_eq!(tags[0], tags[1]);
}

#[test]
fn a_device_that_lost_its_state_comes_back_in_its_own_place() {
    for with_tree in [true, false] {
        let mut all = group_of(3, Suite::Classic);
        let (alice, rest) = all.split_at_mut(1);
        let (bob, carol) = rest.split_at_mut(1);
        let (alice, bob, carol) = (&mut alice[0], &mut bob[0], &mut carol[0]);
        let info = alice.group().group_info(with_tree).unwrap();
        let tree = (!with_tree).then(|| alice.group().tree().unwrap());
        bob.client.remove(GROUP);
        assert!(bob.client.groups().is_empty());
        if !with_tree {
            assert_eq!(bob.client.rejoin(&info, None), Err(JoinError::NoTree));
        }
        let (group, outgoing) = bob.client.rejoin(&info, tree.as_deref()).unwrap();
        assert_eq!(group, GROUP);
        assert!(bob.client.group(GROUP).unwrap().is_none(), "not won yet");
        let commit = alice.look(&outgoing.commit);
        assert!(commit.external);
        assert_eq!(
            (commit.by, &commit.removed[..]),
            (bob.member(), &[bob.member()][..])
        );
        assert_eq!(commit.next, Some(outgoing.next));
        alice.follow(&outgoing.commit);
        carol.follow(&outgoing.commit);
        assert!(bob.client.adopt_rejoin(GROUP).unwrap());
        assert!(!bob.client.adopt_rejoin(GROUP).unwrap());
        assert_eq!(bob.group().tag().unwrap(), outgoing.next);
        let sealed = bob.seal("back");
        assert_eq!(carol.read(&sealed), "back");
        let sealed = carol.seal("good");
        assert_eq!(bob.read(&sealed), "good");
        assert_eq!(alice.group().leaf_count(), 3);
    }
}

#[test]
fn a_device_with_a_broken_state_keeps_it_until_it_has_come_back() {
    let (mut alice, mut bob) = two();
    let info = alice.group().group_info(true).unwrap();
    let before = bob.group().tag().unwrap();
    let (_, outgoing) = bob.client.rejoin(&info, None).unwrap();
    assert_eq!(bob.group().tag().unwrap(), before);
    // Its own commit comes back to it.
    let opened = bob.group().open(&outgoing.commit);
    assert!(matches!(opened, Ok(Opened::OwnRejoin(next)) if next == outgoing.next));
    alice.follow(&outgoing.commit);
    bob.group().adopt_rejoin().unwrap();
    assert_eq!(bob.group().tag().unwrap(), alice.group().tag().unwrap());
    // Another one that does not win is dropped.
    let info = alice.group().group_info(true).unwrap();
    bob.client.rejoin(&info, None).unwrap();
    bob.client.drop_rejoin(GROUP);
    assert!(!bob.client.adopt_rejoin(GROUP).unwrap());
    let sealed = bob.seal("here");
    assert_eq!(alice.read(&sealed), "here");
}

#[test]
fn changes_that_cannot_be_made_are_refused_with_a_sentence() {
    let (mut alice, mut bob) = two();
    let stage = |alice: &mut Device, change: Change| alice.group().stage(&change, b"").unwrap_err();
    let remove = |device| Change {
        remove: vec![device],
        ..Change::default()
    };
    let own = alice.id();
    assert_eq!(stage(&mut alice, remove(own)), StageError::NotThere);
    let carol = Device::new(3, 1).id();
    assert_eq!(stage(&mut alice, remove(carol)), StageError::NotThere);
    let add = Change {
        add: vec![bob.package_for(&mut alice, Suite::Classic)],
        ..Change::default()
    };
    assert_eq!(stage(&mut alice, add), StageError::Present);
    let add = Change {
        add: vec![Device::new(3, 1).package_for(&mut alice, Suite::Hybrid)],
        ..Change::default()
    };
    assert_eq!(stage(&mut alice, add), StageError::Suite);
    let large = Change {
        context: Some(vec![0; CONTEXT_MAX + 1]),
        ..Change::default()
    };
    assert_eq!(stage(&mut alice, large), StageError::Context);
    assert!(alice.group().seal(&vec![0; TEXT_MAX + 1], b"").is_err());
    alice.group().stage(&Change::default(), b"").unwrap();
    assert_eq!(stage(&mut alice, Change::default()), StageError::Pending);
    alice.group().clear_pending().unwrap();
    let largest = Change {
        context: Some(vec![1; CONTEXT_MAX]),
        ..Change::default()
    };
    let outgoing = alice.commit(&largest);
    bob.follow(&outgoing.commit);
    assert_eq!(bob.group().context().unwrap(), vec![1; CONTEXT_MAX]);
}

#[test]
fn a_key_package_is_used_once_and_the_last_resort_again() {
    let mut carol = Device::new(3, 1);
    let suite = Suite::Classic;
    let made = carol.client.make_key_packages(suite, 3, now_s()).unwrap();
    let last = carol.client.make_last_resort(suite, now_s()).unwrap();
    let count = |carol: &Device| carol.client.count_key_packages(suite, now_s()).unwrap();
    assert_eq!((made.len(), count(&carol)), (3, 3));
    let mut uses = |package: &[u8], id: u8| {
        let mut alice = Device::new(1, 1);
        let group = GroupId([id; 32]);
        alice.client.create(group, suite, b"", now_s()).unwrap();
        let package = alice.client.read_key_package(package, now_s()).unwrap();
        assert_eq!(package.member(), carol.member());
        let change = Change {
            add: vec![package],
            ..Change::default()
        };
        let mut there = alice.client.group(group).unwrap().unwrap();
        let welcome = there.stage(&change, b"").unwrap().welcome.unwrap();
        carol.client.join(&welcome, None).map(|joined| joined.group)
    };
    assert_eq!(uses(&made[0], 1), Ok(GroupId([1; 32])));
    assert_eq!(uses(&made[0], 2), Err(JoinError::NoKeyPackage));
    assert_eq!(uses(&last, 3), Ok(GroupId([3; 32])));
    assert_eq!(uses(&last, 4), Ok(GroupId([4; 32])));
    assert_eq!(count(&carol), 2);
    let later = now_s() + key_package::LIFETIME_S + 1;
    carol.client.forget_expired_key_packages(later).unwrap();
    assert_eq!(count(&carol), 0);
    let mut alice = Device::new(1, 1);
    let soon = now_s() + key_package::LIFETIME_S - key_package::LEFT_MIN_S;
    let read = alice.client.read_key_package(&made[1], soon + 60);
    assert_eq!(read.err(), Some(KeyPackageError::Expires));
}
