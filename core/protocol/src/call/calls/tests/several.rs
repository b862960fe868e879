//! Alice talks to bob, and carol is there, too.

use super::*;

fn start(call: CallId, peer: AccountId) -> CallCommand {
    CallCommand::Start { call, peer }
}

fn phase_of(device: &Device, call: CallId) -> Option<Phase> {
    let views = device.calls.views();
    let view = views.iter().find(|view| view.call == call);
    view.map(|view| view.phase)
}

const OURS: Phase = Phase::Held {
    ours: true,
    theirs: false,
};

/// Carol's call is answered; bob's is held.
fn with_two() -> Device {
    let mut alice = talking_alice();
    alice.frame(CAROL, 7, invite(HIGH), seconds(5));
    alice
        .command(CallCommand::Answer(HIGH), seconds(6))
        .expect("it rings");
    alice.sound(HIGH, seconds(6));
    alice
}

#[test]
fn call_13_a_second_call_waits_and_rings_aloud_when_the_first_is_over() {
    let mut alice = talking_alice();
    alice.frame(CAROL, 7, invite(HIGH), seconds(5));
    assert_eq!(alice.frames(), [RINGING]);
    let waits = |event: &CallEvent| matches!(event, CallEvent::Changed(view) if view.waiting);
    assert!(alice.happened().iter().any(waits));
    assert_eq!(phase_of(&alice, LOW), Some(Phase::Established));
    alice
        .command(CallCommand::HangUp(LOW), seconds(6))
        .expect("talking");
    let last = alice.happened().pop().expect("it is shown anew");
    let CallEvent::Changed(view) = last else {
        panic!("{last:?}");
    };
    assert_eq!(
        (view.call, view.phase, view.waiting),
        (HIGH, Phase::Ringing, false)
    );
}

#[test]
fn call_13_without_call_waiting_carol_hears_busy_and_is_shown_as_missed() {
    let mut alice = talking_alice();
    alice.calls.set_reception(Reception {
        waiting: false,
        ..Reception::default()
    });
    alice.frame(CAROL, 7, invite(HIGH), seconds(5));
    assert_eq!(alice.frames(), [end(EndReason::Busy)]);
    let missed = CallView {
        call: HIGH,
        peer: CAROL,
        role: Role::Callee,
        phase: Phase::Ended(EndReason::Busy),
        active: false,
        waiting: false,
    };
    assert_eq!(
        alice.happened(),
        [CallEvent::CloseLink(7), CallEvent::TurnedAway(missed)]
    );
    assert_eq!(alice.phase(), Some(Phase::Established));
}

#[test]
fn call_25_whoever_answers_holds_the_other_call_first() {
    let mut alice = talking_alice();
    alice.frame(CAROL, 7, invite(HIGH), seconds(5));
    alice.frames();
    alice.happened();
    alice
        .command(CallCommand::Answer(HIGH), seconds(6))
        .expect("it rings");
    assert_eq!(alice.frames(), [CallFrame::Hold { on: true }, ACCEPT]);
    let wanted = alice.happened();
    let at = |event| wanted.iter().position(|one| *one == event);
    let (held, starts) = (
        at(CallEvent::HoldMedia(LOW, true)),
        at(CallEvent::StartMedia(HIGH, Media::OPUS)),
    );
    assert!(held.is_some() && held < starts, "{wanted:?}");
}

#[test]
fn call_25_coming_back_to_one_holds_the_other() {
    let mut alice = with_two();
    assert_eq!(phase_of(&alice, LOW), Some(OURS));
    assert_eq!(phase_of(&alice, HIGH), Some(Phase::Established));
    alice
        .command(CallCommand::Hold(LOW, false), seconds(7))
        .expect("held");
    assert_eq!(phase_of(&alice, LOW), Some(Phase::Established));
    assert_eq!(phase_of(&alice, HIGH), Some(OURS));
    // To come back to the active one changes nothing.
    alice.happened();
    alice
        .command(CallCommand::Hold(LOW, false), seconds(8))
        .expect("talking");
    assert_eq!(alice.happened(), []);
}

#[test]
fn call_25_a_call_of_ours_holds_the_active_one_and_one_is_on_its_way_at_a_time() {
    let mut alice = talking_alice();
    let refused = alice.command(start(HIGH, BOB), seconds(5));
    assert_eq!(refused, Err(CallRefused::InCall));
    alice.command(start(HIGH, CAROL), seconds(5)).expect("free");
    assert_eq!(phase_of(&alice, LOW), Some(OURS));
    let dave = AccountId([9; 32]);
    let third = CallId([3; 16]);
    let refused = alice.command(start(third, dave), seconds(6));
    assert_eq!(refused, Err(CallRefused::Calling));
}

#[test]
fn call_25_a_call_that_is_answered_while_we_talk_begins_on_hold() {
    let mut alice = talking_alice();
    alice.command(start(HIGH, CAROL), seconds(5)).expect("free");
    alice.opened(HIGH, 2, seconds(5));
    alice
        .command(CallCommand::Hold(LOW, false), seconds(6))
        .expect("back to bob");
    alice.frames();
    alice.frame(CAROL, 2, ACCEPT, seconds(7));
    assert_eq!(alice.frames(), [CallFrame::Hold { on: true }]);
    alice.sound(HIGH, seconds(7));
    assert_eq!(phase_of(&alice, HIGH), Some(OURS));
    assert_eq!(phase_of(&alice, LOW), Some(Phase::Established));
}

#[test]
fn call_13_more_calls_than_a_device_has_are_refused_both_ways() {
    let mut alice = with_two();
    for n in 10..10 + CALLS_MAX as u8 - 2 {
        let peer = AccountId([n; 32]);
        alice.frame(peer, n.into(), invite(CallId([n; 16])), seconds(7));
    }
    let (dave, third) = (AccountId([90; 32]), CallId([90; 16]));
    let refused = alice.command(start(third, dave), seconds(8));
    assert_eq!(refused, Err(CallRefused::Full));
    alice.frames();
    alice.frame(dave, 90, invite(third), seconds(8));
    assert_eq!(alice.frames(), [end(EndReason::Busy)]);
}
