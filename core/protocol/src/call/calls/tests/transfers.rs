//! Alice talks to bob and puts him through to carol.

use super::*;

const PUT: CallCommand = CallCommand::PutThrough {
    from: LOW,
    call: HIGH,
    peer: CAROL,
};

fn to_carol() -> TargetMark {
    TargetMark::of(LOW, CAROL)
}

fn transfer(to: AccountId) -> CallCommand {
    CallCommand::Transfer { call: LOW, to }
}

/// Bob talks to alice on link 1 and calls carol on link 2, as alice asked.
fn sent_on() -> Device {
    let mut bob = talking_bob();
    let to = to_carol();
    bob.frame(ALICE, 1, CallFrame::Transfer { to }, seconds(5));
    assert_eq!(bob.happened(), [CallEvent::SentOn { call: LOW, to }]);
    assert_eq!(bob.command(PUT, seconds(5)), Ok(HIGH));
    assert_eq!(bob.frames(), [CallFrame::Hold { on: true }], "alice waits");
    bob.opened(HIGH, 2, seconds(5));
    bob.frame(CAROL, 2, RINGING, seconds(6));
    bob.frames();
    bob.happened();
    bob
}

#[test]
fn call_30_a_call_that_is_answered_takes_the_place_of_the_one_before() {
    let mut bob = sent_on();
    bob.frame(CAROL, 2, ACCEPT, seconds(7));
    assert_eq!(bob.frames(), [end(EndReason::Transferred)]);
    bob.sound(HIGH, seconds(7));
    assert_eq!(bob.phase(), Some(Phase::Established));
    assert_eq!(bob.calls.views().len(), 1);
    let mut alice = talking_alice();
    alice.command(transfer(CAROL), seconds(5)).expect("talking");
    let to = to_carol();
    assert_eq!(alice.frames(), [CallFrame::Transfer { to }]);
    alice.frame(BOB, 1, end(EndReason::Transferred), seconds(7));
    let over = Phase::Ended(EndReason::Transferred);
    assert_eq!(alice.phases(), [over]);
}

#[test]
fn call_31_who_is_not_reached_leaves_the_two_together() {
    let mut bob = sent_on();
    bob.frame(CAROL, 2, end(EndReason::Declined), seconds(7));
    let failed = CallFrame::TransferFailed {
        reason: EndReason::Declined,
    };
    assert_eq!(
        bob.frames(),
        [failed.clone(), CallFrame::Hold { on: false }]
    );
    assert_eq!(bob.phase(), Some(Phase::Established));
    let mut alice = talking_alice();
    alice.command(transfer(CAROL), seconds(5)).expect("talking");
    alice.happened();
    alice.frame(BOB, 1, failed.clone(), seconds(7));
    let heard = CallEvent::TransferFailed(LOW, EndReason::Declined);
    assert_eq!(alice.happened(), [heard]);
    alice.frame(BOB, 1, failed, seconds(8));
    assert_eq!(alice.happened(), [], "once");
}

#[test]
fn call_31_no_word_is_not_waited_for_for_ever() {
    let mut alice = talking_alice();
    alice.command(transfer(CAROL), seconds(5)).expect("talking");
    let again = alice.command(transfer(CAROL), seconds(6));
    assert_eq!(again, Err(CallRefused::Transferring));
    let deadline = Deadline::new(seconds(95), CallReason::Transfer);
    assert_eq!(alice.calls.poll_timeout(), Some(deadline));
    alice.happened();
    alice.time(seconds(95));
    let heard = CallEvent::TransferFailed(LOW, EndReason::NoAnswer);
    assert_eq!(alice.happened(), [heard]);
    assert_eq!(alice.calls.poll_timeout(), None);
}

#[test]
fn call_30_only_a_call_that_was_answered_is_put_through_and_once_at_a_time() {
    let to = to_carol();
    let mut ringing = Device::default();
    ringing.frame(ALICE, 1, invite(LOW), seconds(0));
    ringing.happened();
    ringing.frame(ALICE, 1, CallFrame::Transfer { to }, seconds(1));
    assert_eq!(ringing.happened(), []);
    let refused = ringing.command(transfer(CAROL), seconds(1));
    assert_eq!(refused, Err(CallRefused::NotTalking));
    let mut bob = sent_on();
    bob.frame(ALICE, 1, CallFrame::Transfer { to }, seconds(6));
    assert_eq!(bob.happened(), [], "already on its way");
    let to_themselves = talking_alice().command(transfer(BOB), seconds(5));
    assert_eq!(to_themselves, Err(CallRefused::NotTalking));
}

#[test]
fn call_30_whoever_is_on_hold_sends_nobody_on() {
    let mut bob = talking_bob();
    bob.command(CallCommand::Hold(LOW, true), seconds(5))
        .expect("talking");
    bob.happened();
    let to = to_carol();
    bob.frame(ALICE, 1, CallFrame::Transfer { to }, seconds(6));
    assert_eq!(bob.happened(), []);
    let (ours, theirs) = (true, false);
    assert_eq!(bob.phase(), Some(Phase::Held { ours, theirs }));
}

#[test]
fn call_31_who_does_not_follow_says_so() {
    let mut bob = talking_bob();
    let to = to_carol();
    bob.frame(ALICE, 1, CallFrame::Transfer { to }, seconds(5));
    bob.command(CallCommand::RefuseTransfer(LOW), seconds(5))
        .expect("talking");
    let declined = CallFrame::TransferFailed {
        reason: EndReason::Declined,
    };
    assert_eq!(bob.frames(), [declined]);
    assert_eq!(bob.phase(), Some(Phase::Established));
}

#[test]
fn call_30_whoever_hangs_up_meanwhile_leaves_the_other_to_the_new_call() {
    let mut bob = sent_on();
    bob.frame(ALICE, 1, end(EndReason::HungUp), seconds(7));
    bob.frame(CAROL, 2, ACCEPT, seconds(8));
    bob.sound(HIGH, seconds(8));
    assert_eq!(bob.phase(), Some(Phase::Established));
}

#[test]
fn call_31_whom_the_person_put_on_hold_meanwhile_stays_there() {
    let mut bob = sent_on();
    bob.command(CallCommand::Hold(LOW, true), seconds(6))
        .expect("a call");
    bob.frame(CAROL, 2, end(EndReason::Declined), seconds(7));
    let reason = EndReason::Declined;
    assert_eq!(bob.frames(), [CallFrame::TransferFailed { reason }]);
    let (ours, theirs) = (true, false);
    assert_eq!(bob.phase(), Some(Phase::Held { ours, theirs }));
}

#[test]
fn call_32_whoever_sends_on_and_on_is_refused_unread() {
    let mut bob = talking_bob();
    let (mut read, mut refused) = (0, 0);
    for n in 0..1_000_u64 {
        let now = seconds(5) + Duration::from_millis(n * 60);
        let to = to_carol();
        bob.frame(ALICE, 1, CallFrame::Transfer { to }, now);
        let asked = |event: &CallEvent| matches!(event, CallEvent::SentOn { .. });
        let is_read = bob.happened().iter().any(asked);
        read += u32::from(is_read);
        refused += bob.frames().len();
    }
    assert_eq!(read, 5 + 1, "in a minute");
    assert_eq!(refused, 1_000 - 6);
    assert_eq!(bob.phase(), Some(Phase::Established));
}
