//! Bob has a phone and a desk; alice calls him.

use super::*;

/// Alice calls bob: his phone on link 1, his desk on link 2; both ring.
fn ringing_twice() -> Device {
    let mut alice = Device::default();
    let start = CallCommand::Start {
        call: LOW,
        peer: BOB,
    };
    alice.command(start, seconds(0)).expect("free");
    assert!(alice.happened().contains(&CallEvent::Dial(LOW, BOB, None)));
    alice.opened_to(LOW, 1, PHONE, seconds(0));
    alice.opened_to(LOW, 2, DESK, seconds(0));
    alice.calls.handle_dialled(LOW, seconds(0));
    alice.drain();
    assert_eq!(alice.frames(), [invite(LOW), invite(LOW)]);
    for (link, device) in [(1, 1), (2, 2)] {
        let inner = Some(inner(device));
        alice.frame(BOB, link, CallFrame::Ringing { inner }, seconds(1));
    }
    alice
}

fn heard(link: LinkId, reason: EndReason) -> CallTransmit {
    CallTransmit {
        link,
        frame: end(reason),
    }
}

#[test]
fn call_23_the_first_that_answers_has_the_call_and_the_others_hear_which() {
    let mut alice = ringing_twice();
    let prepared = CallEvent::PeerInner(LOW, inner(1));
    assert!(alice.happened().contains(&prepared), "one place at a time");
    alice.frame(BOB, 2, ACCEPT, seconds(2));
    assert_eq!(alice.sent, [heard(1, EndReason::AnsweredOn(DESK))]);
    let wanted = alice.happened();
    let sound = [
        CallEvent::CloseLink(1),
        CallEvent::PeerInner(LOW, inner(2)),
        CallEvent::StartMedia(LOW, Media::OPUS),
    ];
    assert_eq!(wanted[..3], sound, "the sound goes where it was answered");
    // The phone's person pressed at the same moment.
    alice.sent.clear();
    alice.frame(BOB, 1, ACCEPT, seconds(2));
    alice.sound(LOW, seconds(2));
    assert_eq!(alice.phase(), Some(Phase::Established));
    let mut phone = Device::default();
    phone.frame(ALICE, 1, invite(LOW), seconds(0));
    phone
        .command(CallCommand::Answer(LOW), seconds(2))
        .expect("rings");
    phone.frame(ALICE, 1, end(EndReason::AnsweredOn(DESK)), seconds(2));
    assert_eq!(
        phone.phases().last(),
        Some(&Phase::Ended(EndReason::AnsweredOn(DESK)))
    );
}

#[test]
fn call_23_a_lost_call_is_sought_at_the_device_that_answered() {
    let mut alice = ringing_twice();
    alice.frame(BOB, 2, ACCEPT, seconds(2));
    alice.sound(LOW, seconds(2));
    alice.happened();
    alice.lost(2, seconds(3));
    assert_eq!(alice.happened(), [CallEvent::Dial(LOW, BOB, Some(DESK))]);
    alice.frames();
    alice.opened_to(LOW, 3, PHONE, seconds(4));
    assert_eq!(alice.frames(), [], "the phone knows nothing of it");
    alice.opened_to(LOW, 4, DESK, seconds(4));
    assert!(matches!(alice.frames()[..], [CallFrame::Resume { .. }]));
}

#[test]
fn call_24_a_person_who_says_no_is_not_rung_elsewhere() {
    let mut alice = ringing_twice();
    alice.frame(BOB, 1, end(EndReason::Declined), seconds(2));
    assert_eq!(alice.sent, [heard(2, EndReason::DeclinedOn(PHONE))]);
    assert_eq!(
        alice.phases().last(),
        Some(&Phase::Ended(EndReason::Declined))
    );
    assert_eq!(alice.calls.poll_timeout(), None);
}

#[test]
fn call_24_one_busy_or_lost_device_is_not_the_end() {
    let mut alice = ringing_twice();
    alice.happened();
    alice.frame(BOB, 1, end(EndReason::Busy), seconds(2));
    assert_eq!(alice.phase(), Some(Phase::Ringing));
    let wanted = alice.happened();
    assert!(
        wanted.contains(&CallEvent::PeerInner(LOW, inner(2))),
        "the sound is prepared for who is left: {wanted:?}"
    );
    alice.lost(2, seconds(3));
    assert_eq!(alice.phases(), [Phase::Ended(EndReason::Busy)]);
}

#[test]
fn call_24_nobody_is_unreachable_while_another_door_is_being_tried() {
    let mut alice = Device::default();
    let start = CallCommand::Start {
        call: LOW,
        peer: BOB,
    };
    alice.command(start, seconds(0)).expect("free");
    alice.opened_to(LOW, 1, PHONE, seconds(0));
    alice.lost(1, seconds(1));
    assert_eq!(alice.phase(), Some(Phase::Calling));
    alice.calls.handle_dialled(LOW, seconds(2));
    alice.drain();
    let over = Phase::Ended(EndReason::Unreachable);
    assert_eq!(alice.phases(), [Phase::Calling, over]);
}

#[test]
fn whoever_hangs_up_stops_the_ringing_everywhere() {
    let mut alice = ringing_twice();
    alice
        .command(CallCommand::HangUp(LOW), seconds(2))
        .expect("rings");
    let cancelled = |link| heard(link, EndReason::Cancelled);
    assert_eq!(alice.sent, [cancelled(1), cancelled(2)]);
    let wanted = alice.happened();
    let closed = [CallEvent::CloseLink(1), CallEvent::CloseLink(2)];
    assert!(wanted.ends_with(&closed), "{wanted:?}");
}

#[test]
fn an_endpoint_that_is_bound_late_is_told_to_everybody_who_rings() {
    let mut alice = ringing_twice();
    alice.calls.handle_bound(LOW, inner(9));
    alice.drain();
    let told = CallFrame::Inner { inner: inner(9) };
    assert_eq!(alice.frames(), [told.clone(), told]);
}
