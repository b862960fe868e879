//! Bob's calls go to carol; alice calls him.

use super::*;

fn forwarding(forwarding: Forwarding) -> Device {
    let mut bob = Device::default();
    bob.calls.set_reception(Reception {
        forwarding,
        ..Reception::default()
    });
    bob
}

fn forwarded(call: CallId) -> EndReason {
    EndReason::Forwarded(TargetMark::of(call, CAROL))
}

/// Alice calls bob's phone and his desk, forwarded `hops` times before.
fn calling(hops: u8) -> Device {
    let mut alice = Device::default();
    let follow = CallCommand::Follow {
        call: LOW,
        peer: BOB,
        hops,
    };
    alice.command(follow, seconds(0)).expect("free");
    alice.opened_to(LOW, 1, PHONE, seconds(0));
    alice.opened_to(LOW, 2, DESK, seconds(0));
    alice.calls.handle_dialled(LOW, seconds(0));
    alice.drain();
    alice.frames();
    alice.happened();
    alice
}

#[test]
fn call_28_always_busy_or_after_a_while() {
    let to = Some(CAROL);
    let mut bob = forwarding(Forwarding {
        always: to,
        ..Forwarding::default()
    });
    bob.frame(ALICE, 1, invite(LOW), seconds(0));
    assert_eq!(bob.frames(), [end(forwarded(LOW))]);
    assert_eq!(bob.calls.views(), []);

    let busy = Forwarding {
        busy: to,
        ..Forwarding::default()
    };
    let mut bob = forwarding(busy);
    bob.frame(ALICE, 1, invite(LOW), seconds(0));
    assert_eq!(bob.frames(), [RINGING], "he is not");
    bob.calls.set_reception(Reception {
        waiting: false,
        quiet: false,
        forwarding: busy,
    });
    bob.frame(AccountId([7; 32]), 2, invite(HIGH), seconds(1));
    assert_eq!(bob.frames(), [end(forwarded(HIGH))]);

    let mut bob = forwarding(Forwarding {
        no_answer: Some((CAROL, seconds(20))),
        ..Forwarding::default()
    });
    bob.frame(ALICE, 1, invite(LOW), seconds(0));
    bob.frames();
    let deadline = Deadline::new(seconds(20), CallReason::Forward);
    assert_eq!(bob.calls.poll_timeout(), Some(deadline));
    bob.time(seconds(20));
    assert_eq!(bob.frames(), [end(forwarded(LOW))]);
}

#[test]
fn call_28_nobody_is_forwarded_to_themselves_or_after_the_answer() {
    let all = Forwarding {
        always: Some(ALICE),
        busy: Some(ALICE),
        no_answer: Some((CAROL, seconds(20))),
    };
    let mut bob = forwarding(all);
    bob.frame(ALICE, 1, invite(LOW), seconds(0));
    bob.command(CallCommand::Answer(LOW), seconds(19))
        .expect("it rings");
    bob.sound(LOW, seconds(19));
    bob.time(seconds(30));
    assert_eq!(bob.phase(), Some(Phase::Established));
}

#[test]
fn call_29_the_caller_is_told_once_and_the_other_devices_stop_ringing() {
    let mut alice = calling(0);
    alice.frame(BOB, 1, end(forwarded(LOW)), seconds(1));
    assert_eq!(alice.frames(), [end(forwarded(LOW))], "the desk");
    let redirected = CallEvent::Redirected {
        call: LOW,
        to: TargetMark::of(LOW, CAROL),
        hops: 1,
    };
    let wanted = alice.happened();
    assert!(wanted.contains(&redirected), "{wanted:?}");
    let follow = CallCommand::Follow {
        call: HIGH,
        peer: CAROL,
        hops: 1,
    };
    assert_eq!(alice.command(follow, seconds(1)), Ok(HIGH));
    let dial = CallEvent::Dial(HIGH, CAROL, None);
    assert!(alice.happened().contains(&dial));
}

#[test]
fn call_29_a_call_is_forwarded_three_times_at_most() {
    for (hops, follows) in [(2, true), (3, false)] {
        let mut alice = calling(hops);
        alice.frame(BOB, 1, end(forwarded(LOW)), seconds(1));
        let redirected = |event: &CallEvent| matches!(event, CallEvent::Redirected { .. });
        let wanted = alice.happened();
        assert_eq!(wanted.iter().any(redirected), follows, "{wanted:?}");
    }
}
