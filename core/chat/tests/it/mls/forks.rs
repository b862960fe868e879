//! Two commits for one epoch: copies, going back, following the winner.

use starling_chat::mls::{Branch, Change, MergeError, Mine, OpenError, Opened, Suite, Void};

use super::cast::{Device, GROUP, group_of};

/// Alice and Bob commit in the same epoch; Carol is there.
fn fork() -> ([Device; 3], Vec<u8>, Vec<u8>, Branch) {
    let mut all = group_of(3, Suite::Classic);
    let tag = all[0].group().tag().unwrap();
    let of_alice = all[0].group().stage(&Change::default(), b"").unwrap();
    let of_bob = all[1].group().stage(&Change::default(), b"").unwrap();
    let all = all.try_into().ok().unwrap();
    (all, of_alice.commit, of_bob.commit, Branch::at(tag))
}

#[test]
fn the_loser_goes_back_and_follows_the_winner() {
    let ([mut alice, mut bob, mut carol], of_alice, of_bob, branch) = fork();
    // Carol saw Bob's first. Alice's wins.
    carol.group().copy_to(branch).unwrap();
    carol.follow(&of_bob);
    bob.group().merge_own().unwrap();
    let lost = bob.seal("in the branch that loses");
    assert_eq!(carol.read(&lost), "in the branch that loses");
    alice.group().merge_own().unwrap();
    // MLS alone cannot tell a fork from damage.
    let sealed = alice.seal("in the branch that wins");
    assert_eq!(
        carol.group().open(&sealed).unwrap_err(),
        OpenError::Void(Void::Sealed)
    );
    let losing = Branch::at(carol.group().tag().unwrap());
    carol.group().copy_to(losing).unwrap();
    carol.group().restore(branch).unwrap();
    carol.follow(&of_alice);
    assert_eq!(carol.read(&sealed), "in the branch that wins");
    // Stragglers of the losing branch are still read where it lies.
    let straggler = bob.seal("late");
    let mut beside = carol.client.branch(GROUP, losing).unwrap().unwrap();
    match beside.open(&straggler) {
        Ok(Opened::Text(text)) => assert_eq!(text.bytes, b"late"),
        other => panic!("no text: {other:?}"),
    }
    let mut copies = carol.group().copies();
    copies.sort();
    let mut expected = [branch, losing];
    expected.sort();
    assert_eq!(copies, expected);
    carol.group().forget(losing);
    carol.group().forget(branch);
    assert!(carol.group().copies().is_empty());
    assert!(carol.client.branch(GROUP, losing).unwrap().is_none());
    assert_eq!(carol.group().restore(branch), Err(MergeError::Nothing));
}

#[test]
fn an_own_commit_that_wins_after_all_is_merged_from_the_copy() {
    let ([mut alice, mut bob, mut carol], of_alice, of_bob, branch) = fork();
    bob.group().copy_to(branch).unwrap();
    // openmls drops Bob's own commit with this.
    bob.follow(&of_alice);
    assert_eq!(bob.group().pending(), None);
    assert_eq!(bob.group().merge_own(), Err(MergeError::Nothing));
    bob.commit_disk();
    bob.restart();
    bob.group().restore(branch).unwrap();
    let next = bob.group().pending().unwrap();
    assert!(matches!(bob.group().open(&of_bob), Ok(Opened::OwnCommit(tag)) if tag == next));
    bob.group().merge_own().unwrap();
    carol.follow(&of_bob);
    assert_eq!(carol.group().tag().unwrap(), next);
    assert_eq!(bob.group().tag().unwrap(), next);
    alice.group().clear_pending().unwrap();
    alice.follow(&of_bob);
    let sealed = bob.seal("one branch");
    assert_eq!(carol.read(&sealed), "one branch");
    assert_eq!(alice.read(&sealed), "one branch");
}

#[test]
fn mls_09_own_commits_are_known_by_their_bytes() {
    let mut all = group_of(2, Suite::Classic);
    let first = all[0].group().stage(&Change::default(), b"").unwrap();
    let opened = all[0].group().open(&first.commit);
    assert!(matches!(opened, Ok(Opened::OwnCommit(next)) if next == first.next));
    all[0].group().clear_pending().unwrap();
    let second = all[0].group().stage(&Change::default(), b"").unwrap();
    // The first has won although it was given up: nobody but Alice can follow it.
    let opened = all[0].group().open(&first.commit).unwrap_err();
    assert_eq!(opened, OpenError::Mine(Mine::Lost));
    let opened = all[0].group().open(&second.commit);
    assert!(matches!(opened, Ok(Opened::OwnCommit(next)) if next == second.next));
    // Bytes that Alice never made, under her name, are nobody's commit.
    let mut forged = second.commit.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let opened = all[0].group().open(&forged).unwrap_err();
    assert!(matches!(opened, OpenError::Void(_)), "{opened:?}");
    let opened = all[1].group().open(&forged).unwrap_err();
    assert!(matches!(opened, OpenError::Void(_)), "{opened:?}");
}

#[test]
fn a_commit_that_was_read_in_another_state_is_not_merged() {
    let ([mut alice, _, mut carol], of_alice, of_bob, branch) = fork();
    let read = carol.look(&of_bob);
    carol.group().copy_to(branch).unwrap();
    carol.follow(&of_alice);
    assert_eq!(carol.group().merge(read), Err(MergeError::Stale));
    assert_eq!(alice.group().merge_own(), Ok(()));
    assert_eq!(alice.group().merge_own(), Err(MergeError::Nothing));
}

/// What the order does with a group: look, keep a copy, go on, and all of it again.
fn settle(device: &mut Device, body: &[u8]) {
    let before = device.group().tag().unwrap();
    device.group().copy_to(Branch::at(before)).unwrap();
    for _ in 0..2 {
        let looked = device.group().look(body).unwrap();
        let next = looked.next();
        assert_eq!(device.group().tag().unwrap(), before);
        device.group().follow(looked).unwrap();
        assert_eq!(device.group().tag().ok(), next);
        device.group().restore(Branch::at(before)).unwrap();
        assert_eq!(device.group().tag().unwrap(), before);
    }
    let looked = device.group().look(body).unwrap();
    device.group().follow(looked).unwrap();
}

#[test]
fn a_commit_is_looked_at_and_followed_again_from_a_copy() {
    let mut all = group_of(2, Suite::Classic);
    let mut bob = all.pop().unwrap();
    let mut alice = all.pop().unwrap();
    let staged = alice.group().stage(&Change::default(), b"").unwrap();
    let lost = bob.group().stage(&Change::default(), b"").unwrap();
    settle(&mut alice, &staged.commit);
    bob.group().clear_pending().unwrap();
    settle(&mut bob, &staged.commit);
    let read = |device: &mut Device, body: &[u8]| device.group().look(body).unwrap_err();
    assert_eq!(read(&mut alice, &lost.commit), OpenError::Old);
    assert_eq!(read(&mut alice, b"no"), OpenError::Void(Void::Malformed));
    let sealed = bob.seal("a text");
    assert_eq!(read(&mut alice, &sealed), OpenError::Void(Void::Commit));
    // It was only looked at.
    assert_eq!(alice.read(&sealed), "a text");
    // An external commit of ours ends an epoch like any other.
    let info = alice.group().group_info(true).unwrap();
    let (_, outgoing) = bob.client.rejoin(&info, None).unwrap();
    let looked = bob.group().look(&outgoing.commit).unwrap();
    assert_eq!(looked.next(), Some(outgoing.next));
    bob.group().follow(looked).unwrap();
    assert_eq!(bob.group().tag(), Ok(outgoing.next));
    settle(&mut alice, &outgoing.commit);
    assert_eq!(alice.group().tag(), Ok(outgoing.next));
}
