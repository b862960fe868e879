//! Two commits for one epoch: copies, going back, following the winner. And the same by the order's own view of a group.

use starling_chat::mls::{
    Branch, Change, Group, MergeError, Mine, OpenError, Opened, Reading, Replica, Suite, Void,
};

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

/// What the order does with a group, without knowing what it is.
fn settle(replica: &mut impl Replica<Error: std::fmt::Debug>, body: &[u8]) {
    let before = replica.tag().unwrap();
    replica.save().unwrap();
    let next = match replica.read(body).unwrap() {
        Reading::Next(next) => next,
        Reading::Own(next) => Some(next),
        other => panic!("{other:?}"),
    };
    assert_eq!(replica.tag().unwrap(), before);
    assert_eq!(replica.merge(body).unwrap(), next);
    assert_eq!(replica.tag().ok(), next);
    assert!(replica.restore(before).unwrap());
    assert_eq!(replica.tag().unwrap(), before);
    assert_eq!(replica.merge(body).unwrap(), next);
    replica.forget(before);
    assert!(!replica.restore(before).unwrap());
}

#[test]
fn the_order_sees_a_group_as_bytes_and_tags() {
    let mut all = group_of(2, Suite::Classic);
    let mut bob = all.pop().unwrap();
    let mut alice = all.pop().unwrap();
    let staged = Replica::stage(&mut alice.group(), &Change::default()).unwrap();
    let lost = Replica::stage(&mut bob.group(), &Change::default()).unwrap();
    settle(&mut alice.group(), &staged.commit);
    Replica::drop_staged(&mut bob.group()).unwrap();
    settle(&mut bob.group(), &staged.commit);
    let read = |device: &mut Device, body: &[u8]| {
        let mut group: Group<'_> = device.group();
        Replica::read(&mut group, body).unwrap()
    };
    assert_eq!(read(&mut alice, &lost.commit), Reading::Elsewhere);
    assert_eq!(read(&mut alice, b"no"), Reading::Void(Void::Malformed));
    let sealed = bob.seal("a text");
    assert_eq!(read(&mut alice, &sealed), Reading::Void(Void::Commit));
    // It was only looked at.
    assert_eq!(alice.read(&sealed), "a text");
    // An external commit of ours ends an epoch like any other.
    let info = alice.group().group_info(true).unwrap();
    let (_, outgoing) = bob.client.rejoin(&info, None).unwrap();
    let before = bob.group().tag().unwrap();
    assert_eq!(
        read(&mut bob, &outgoing.commit),
        Reading::Own(outgoing.next)
    );
    assert_eq!(
        Replica::merge(&mut bob.group(), &outgoing.commit).unwrap(),
        Some(outgoing.next)
    );
    assert_ne!(bob.group().tag().unwrap(), before);
    settle(&mut alice.group(), &outgoing.commit);
}
