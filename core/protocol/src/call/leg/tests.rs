//! Tests of one call: alice calls bob.

use std::time::Duration;

use proptest::prelude::*;
use starling_wire::call::{CallFrame, EndReason, Media};
use starling_wire::ids::{AccountId, CallId, EndpointKey};
use starling_wire::peer::InnerAddr;

use super::*;

const CALL: CallId = CallId([1; 16]);

fn inner(n: u8) -> InnerAddr {
    InnerAddr {
        endpoint: EndpointKey([n; 32]),
        home: None,
        direct: vec![],
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn alice() -> Leg {
    Leg::outgoing(CALL, AccountId([2; 32]), inner(1), seconds(0))
}

fn bob() -> Leg {
    Leg::incoming(
        CALL,
        AccountId([1; 32]),
        &[Media::OPUS],
        inner(1),
        inner(2),
        seconds(0),
    )
}

/// Carries out all actions: frames go to the other side, the rest is returned.
fn deliver(from: &mut Leg, to: &mut Leg, now: Duration) -> Vec<Action> {
    let mut rest = Vec::new();
    while let Some(action) = from.poll_action() {
        match action {
            Action::Send(CallFrame::Invite { .. }) => {}
            Action::Send(frame) => to.handle_frame(frame, now),
            other => rest.push(other),
        }
    }
    rest
}

fn established() -> (Leg, Leg) {
    let (mut alice, mut bob) = (alice(), bob());
    assert_eq!(
        deliver(&mut bob, &mut alice, seconds(0)),
        [Action::Prepare(inner(1))]
    );
    bob.answer();
    assert_eq!(
        deliver(&mut bob, &mut alice, seconds(1)),
        [Action::Start(Media::OPUS)]
    );
    assert_eq!(
        deliver(&mut alice, &mut bob, seconds(1)),
        [Action::Prepare(inner(2)), Action::Start(Media::OPUS)]
    );
    (alice, bob)
}

#[test]
fn call_03_late_and_repeated_frames_change_nothing() {
    let (mut alice, _) = established();
    alice.handle_frame(
        CallFrame::Ringing {
            inner: Some(inner(9)),
        },
        seconds(2),
    );
    alice.handle_frame(
        CallFrame::Accept {
            answer: Media::OPUS,
        },
        seconds(2),
    );
    assert_eq!(
        (alice.state(), alice.poll_action()),
        (State::Established, None)
    );
    let mut bob = bob();
    bob.handle_frame(
        CallFrame::Accept {
            answer: Media::OPUS,
        },
        seconds(2),
    );
    assert_eq!(
        bob.state(),
        State::Ringing,
        "only the callee's person answers"
    );
}

#[test]
fn call_04_nothing_rings_within_15_seconds() {
    let mut alice = alice();
    alice.handle_timeout(seconds(14));
    assert_eq!(alice.state(), State::Calling);
    alice.handle_timeout(CONNECT);
    assert_eq!(alice.state(), State::Ended(EndReason::Unreachable));
    assert_eq!(alice.poll_timeout(), None);
}

#[test]
fn call_05_nobody_answers() {
    let (mut alice, mut bob) = (alice(), bob());
    deliver(&mut bob, &mut alice, seconds(1));
    alice.handle_timeout(seconds(61));
    assert_eq!(alice.state(), State::Ended(EndReason::NoAnswer));
    deliver(&mut alice, &mut bob, seconds(61));
    assert_eq!(bob.state(), State::Ended(EndReason::NoAnswer));
    let mut alone = self::bob();
    alone.handle_timeout(NO_ANSWER_CALLEE);
    assert_eq!(alone.state(), State::Ended(EndReason::NoAnswer));
}

#[test]
fn call_06_an_answer_after_the_cancel_is_no_call() {
    let (mut alice, mut bob) = (alice(), bob());
    deliver(&mut bob, &mut alice, seconds(0));
    alice.hang_up();
    bob.answer();
    deliver(&mut bob, &mut alice, seconds(1));
    deliver(&mut alice, &mut bob, seconds(1));
    assert_eq!(alice.state(), State::Ended(EndReason::Cancelled));
    assert_eq!(bob.state(), State::Ended(EndReason::Cancelled));
}

#[test]
fn call_07_one_button_three_words() {
    let mut calling = alice();
    calling.hang_up();
    assert_eq!(calling.state(), State::Ended(EndReason::Cancelled));
    let mut ringing = bob();
    ringing.hang_up();
    assert_eq!(ringing.state(), State::Ended(EndReason::Declined));
    let (mut talking, _) = established();
    talking.hang_up();
    talking.hang_up();
    assert_eq!(talking.state(), State::Ended(EndReason::HungUp));
}

#[test]
fn call_08_a_stream_lost_again_on_the_way_back_is_sought_again() {
    let (mut alice, mut bob) = established();
    alice.handle_lost(seconds(10));
    bob.handle_lost(seconds(10));
    assert_eq!(alice.poll_action(), Some(Action::Redial));
    alice.handle_lost(seconds(11));
    bob.handle_lost(seconds(11));
    let (at, reason) = alice.poll_timeout().expect("it goes on seeking");
    assert_eq!(reason, Reason::Redial);
    alice.handle_timeout(at);
    bob.handle_timeout(at);
    assert_eq!(
        (alice.poll_action(), bob.poll_action()),
        (Some(Action::Redial), None)
    );
    alice.handle_lost(seconds(34));
    assert_eq!(
        alice.poll_timeout(),
        Some((seconds(35), Reason::GiveUp)),
        "not beyond 25 seconds"
    );
}

#[test]
fn call_08_an_answered_call_is_sought_for_25_seconds() {
    let (mut alice, mut bob) = established();
    alice.handle_lost(seconds(10));
    bob.handle_lost(seconds(10));
    assert_eq!(
        (alice.state(), bob.state()),
        (State::Reconnecting, State::Reconnecting)
    );
    assert_eq!(
        (alice.poll_action(), bob.poll_action()),
        (Some(Action::Redial), None)
    );
    alice.handle_unreachable(seconds(11));
    alice.handle_timeout(seconds(13));
    assert_eq!(alice.poll_action(), Some(Action::Redial));
    alice.handle_timeout(seconds(35));
    bob.handle_timeout(seconds(35));
    assert_eq!(alice.state(), State::Ended(EndReason::Lost));
    assert_eq!(bob.state(), State::Ended(EndReason::Lost));
    let mut ringing = self::alice();
    ringing.handle_lost(seconds(1));
    assert_eq!(
        ringing.state(),
        State::Ended(EndReason::Unreachable),
        "an unanswered call is not sought"
    );
}

#[test]
fn call_09_a_call_found_again_is_the_same_call_and_still_held() {
    let (mut alice, mut bob) = established();
    bob.hold(true);
    deliver(&mut bob, &mut alice, seconds(5));
    assert_eq!(alice.holds(), (false, true));
    alice.handle_lost(seconds(10));
    bob.handle_lost(seconds(10));
    bob.handle_resume(inner(3), inner(4));
    assert_eq!(
        bob.poll_action(),
        Some(Action::Send(CallFrame::Ringing {
            inner: Some(inner(4))
        }))
    );
    alice.poll_action();
    alice.handle_resumed(inner(4));
    deliver(&mut bob, &mut alice, seconds(12));
    assert_eq!(
        (alice.state(), bob.state()),
        (State::Established, State::Established)
    );
    assert_eq!((alice.holds(), bob.holds()), ((false, true), (true, false)));
}

#[test]
fn call_10_no_codec_in_common() {
    let silent = Media {
        codec: 9,
        ..Media::OPUS
    };
    let bob = Leg::incoming(
        CALL,
        AccountId([1; 32]),
        &[silent],
        inner(1),
        inner(2),
        seconds(0),
    );
    assert_eq!(bob.state(), State::Ended(EndReason::Incompatible));
    let mut alice = alice();
    alice.handle_frame(CallFrame::Accept { answer: silent }, seconds(1));
    assert_eq!(alice.state(), State::Ended(EndReason::Incompatible));
}

#[derive(Debug, Clone)]
enum Step {
    Answer,
    HangUp(bool),
    Hold(bool, bool),
    Lose,
    Resume,
    Wait(u64),
    Deliver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Answer),
        any::<bool>().prop_map(Step::HangUp),
        any::<(bool, bool)>().prop_map(|(who, on)| Step::Hold(who, on)),
        Just(Step::Lose),
        Just(Step::Resume),
        (0u64..40).prop_map(Step::Wait),
        Just(Step::Deliver),
        Just(Step::Deliver),
        Just(Step::Deliver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// Whatever people and networks do: once everything is delivered and every timer has run, both sides are done or talk.
    #[test]
    fn call_11_no_call_stays_stuck(steps in proptest::collection::vec(step(), 0..40)) {
        let (mut alice, mut bob) = (alice(), bob());
        let mut now = seconds(0);
        let mut cut = false;
        for step in steps {
            match step {
                Step::Answer => bob.answer(),
                Step::HangUp(true) => alice.hang_up(),
                Step::HangUp(false) => bob.hang_up(),
                Step::Hold(true, on) => alice.hold(on),
                Step::Hold(false, on) => bob.hold(on),
                Step::Lose => {
                    cut = true;
                    while alice.poll_action().is_some() {}
                    while bob.poll_action().is_some() {}
                    alice.handle_lost(now);
                    bob.handle_lost(now);
                }
                Step::Resume if cut && alice.state() == State::Reconnecting && bob.state() == State::Reconnecting => {
                    cut = false;
                    bob.handle_resume(inner(3), inner(4));
                    alice.handle_resumed(inner(4));
                }
                Step::Resume => {}
                Step::Wait(n) => {
                    now += seconds(n);
                    alice.handle_timeout(now);
                    bob.handle_timeout(now);
                }
                Step::Deliver if !cut => {
                    deliver(&mut alice, &mut bob, now);
                    deliver(&mut bob, &mut alice, now);
                }
                Step::Deliver => {}
            }
        }
        for _ in 0..60 {
            now += seconds(5);
            if !cut {
                deliver(&mut alice, &mut bob, now);
                deliver(&mut bob, &mut alice, now);
            }
            alice.handle_timeout(now);
            bob.handle_timeout(now);
        }
        let talks = |leg: &Leg| leg.state() == State::Established;
        prop_assert!(alice.is_over() || talks(&alice), "{:?}", alice.state());
        prop_assert!(bob.is_over() || talks(&bob), "{:?}", bob.state());
        if !cut {
            prop_assert_eq!(talks(&alice), talks(&bob));
        }
    }
}
