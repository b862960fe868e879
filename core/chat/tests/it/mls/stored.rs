//! What a crash leaves. A device that begins again with what is on disk is where one is that never stopped (I8), and what was not
//! committed has not happened.

use starling_chat::mls::{Change, LEAVES_MAX, OpenError, Opened, Suite};

use super::cast::{Device, GROUP, group_of, now_s, two};

/// Everything about a group that another member can notice.
fn shown(device: &mut Device) -> (Vec<u8>, u64, Vec<u8>, usize) {
    let group = device.group();
    assert!(group.leaf_count() <= LEAVES_MAX);
    let context = group.context().unwrap().to_vec();
    let tag = group.tag().unwrap().0.to_vec();
    (tag, group.epoch(), context, group.leaf_count())
}

/// Crashes after the transaction; what comes back is what was there.
fn crash(device: &mut Device) {
    let before = shown(device);
    device.commit_disk();
    device.restart();
    assert_eq!(shown(device), before);
    device.commit_disk();
}

#[test]
fn a_device_that_restarts_after_each_step_is_where_it_would_be() {
    for suite in [Suite::Classic, Suite::Hybrid] {
        let mut all = group_of(3, suite);
        let mut carol = all.pop().unwrap();
        let (mut bob, mut alice) = (all.pop().unwrap(), all.pop().unwrap());
        for device in [&mut alice, &mut bob, &mut carol] {
            crash(device);
        }
        let sealed = alice.seal("one");
        crash(&mut alice);
        assert_eq!(bob.read(&sealed), "one");
        crash(&mut bob);
        assert_eq!(bob.group().open(&sealed).unwrap_err(), OpenError::Repeated);
        let staged = bob.group().stage(&Change::default(), b"").unwrap();
        crash(&mut bob);
        assert_eq!(bob.group().pending(), Some(staged.next));
        let opened = bob.group().open(&staged.commit);
        assert!(matches!(opened, Ok(Opened::OwnCommit(_))));
        bob.group().merge_own().unwrap();
        crash(&mut bob);
        carol.look(&staged.commit);
        crash(&mut carol);
        carol.follow(&staged.commit);
        crash(&mut carol);
        alice.follow(&staged.commit);
        crash(&mut alice);
        let sealed = carol.seal("two");
        crash(&mut carol);
        assert_eq!(alice.read(&sealed), "two");
        assert_eq!(bob.read(&sealed), "two");
        let info = alice.group().group_info(true).unwrap();
        let (_, outgoing) = carol.client.rejoin(&info, None).unwrap();
        crash(&mut carol);
        assert!(carol.client.adopt_rejoin(GROUP).unwrap());
        crash(&mut carol);
        for device in [&mut alice, &mut bob] {
            device.follow(&outgoing.commit);
        }
        let sealed = carol.seal("three");
        assert_eq!(bob.read(&sealed), "three");
    }
}

#[test]
fn secrets_are_written_once_for_a_batch_and_reading_goes_on_after_it() {
    let (mut alice, mut bob) = two();
    let sealed: Vec<_> = (0..100).map(|n| alice.seal(&format!("{n}"))).collect();
    bob.commit_disk();
    for (n, text) in sealed[..50].iter().enumerate() {
        assert_eq!(bob.read(text), n.to_string());
    }
    let changes = bob.client.take_changes().unwrap();
    assert_eq!(changes.put.len(), 1, "the message secrets, once");
    assert!(changes.delete.is_empty());
    for (key, value) in changes.put {
        bob.disk.insert(key, value.to_vec());
    }
    bob.restart();
    for (n, text) in sealed.iter().enumerate().skip(50) {
        assert_eq!(bob.read(text), n.to_string());
    }
    for text in &sealed[..50] {
        assert_eq!(bob.group().open(text).unwrap_err(), OpenError::Repeated);
    }
    // The same with what this device sealed: no key is used twice.
    bob.seal("spent");
    bob.commit_disk();
    bob.restart();
    let next = bob.seal("next");
    assert_eq!(alice.read(&next), "next");
}

#[test]
fn a_batch_that_was_not_committed_is_read_again() {
    let (mut alice, mut bob) = two();
    let outgoing = alice.commit(&Change::default());
    let sealed: Vec<_> = (0..20).map(|n| alice.seal(&format!("{n}"))).collect();
    bob.commit_disk();
    let before = shown(&mut bob);
    bob.follow(&outgoing.commit);
    for text in &sealed {
        bob.read(text);
    }
    // The power goes before the transaction.
    bob.restart();
    assert_eq!(shown(&mut bob), before);
    bob.follow(&outgoing.commit);
    for (n, text) in sealed.iter().enumerate() {
        assert_eq!(bob.read(text), n.to_string());
    }
}

#[test]
fn a_refused_message_changes_no_row() {
    let (mut alice, mut bob) = two();
    let sealed = alice.seal("x");
    let commit = alice.group().stage(&Change::default(), b"").unwrap().commit;
    bob.commit_disk();
    for good in [&sealed, &commit] {
        for at in (0..good.len()).step_by(7) {
            let mut damaged = good.clone();
            damaged[at] ^= 0x55;
            assert!(bob.group().open(&damaged).is_err(), "byte {at}");
        }
    }
    assert!(bob.client.join(&commit, None).is_err());
    assert!(bob.client.rejoin(&sealed, None).is_err());
    assert!(bob.client.take_changes().unwrap().is_empty());
    assert_eq!(bob.read(&sealed), "x");
    bob.follow(&commit);
}

#[test]
fn damaged_rows_are_an_error_and_no_panic() {
    let (mut alice, mut bob) = two();
    let sealed = alice.seal("x");
    bob.commit_disk();
    let whole = bob.disk.clone();
    for (n, key) in whole.keys().enumerate() {
        for damage in 0..3 {
            bob.disk = whole.clone();
            let value = bob.disk.get_mut(key).unwrap();
            match damage {
                0 => value.truncate(value.len() / 2),
                1 => value.clear(),
                _ => {
                    bob.disk.remove(key);
                }
            }
            let Ok(client) =
                starling_chat::mls::Client::new(&bob.key, &bob.credential, bob.disk.clone())
            else {
                assert_eq!(n, 0, "only the format is looked at before a group is");
                continue;
            };
            bob.client = client;
            if let Ok(Some(mut group)) = bob.client.group(GROUP) {
                let _ = group.open(&sealed);
                let _ = group.stage(&Change::default(), b"");
            }
        }
    }
}

#[test]
fn copies_cost_no_more_rows_than_they_have_and_leave_none() {
    let (_, mut bob) = two();
    bob.commit_disk();
    let alone = bob.disk.len();
    let branch = starling_chat::mls::Branch::at(bob.group().tag().unwrap());
    bob.group().copy_to(branch).unwrap();
    bob.commit_disk();
    assert!(bob.disk.len() > alone && bob.disk.len() <= 2 * alone);
    bob.group().forget(branch);
    bob.commit_disk();
    assert_eq!(bob.disk.len(), alone);
    bob.client.remove(GROUP);
    bob.commit_disk();
    assert_eq!(bob.disk.len(), 1, "the format");
    let again = bob.client.create(GROUP, Suite::Classic, b"", now_s());
    assert!(again.is_ok());
}
