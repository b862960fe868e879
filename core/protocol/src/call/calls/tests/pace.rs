//! What a contact says too often.

use super::*;

#[test]
fn call_33_whoever_holds_and_holds_is_left() {
    let mut bob = talking_bob();
    for number in 0..200 {
        let now = seconds(5) + Duration::from_millis(number * 600);
        let on = number % 2 == 0;
        bob.frame(ALICE, 1, CallFrame::Hold { on }, now);
    }
    assert_eq!(bob.phase(), Some(Phase::Established), "a patient person");
    bob.happened();
    for number in 0..200 {
        let on = number % 2 == 0;
        bob.frame(ALICE, 1, CallFrame::Hold { on }, seconds(500));
    }
    let held = |event: &CallEvent| matches!(event, CallEvent::HoldMedia(..));
    let happened = bob.happened();
    assert_eq!(happened.iter().filter(|event| held(event)).count(), 40);
    assert_eq!(bob.phase(), None);
    assert!(bob.frames().contains(&end(EndReason::Protocol)));
}

#[test]
fn call_34_invitations_of_one_are_bounded_and_leave_no_lines() {
    let mut bob = talking_bob();
    bob.happened();
    for number in 0..1_000_u16 {
        let [high, low] = number.to_be_bytes();
        let mut call = [9; 16];
        (call[0], call[1]) = (high, low);
        bob.frame(
            CAROL,
            100 + LinkId::from(number),
            invite(CallId(call)),
            seconds(5),
        );
        bob.frame(
            CAROL,
            100 + LinkId::from(number),
            end(EndReason::Cancelled),
            seconds(5),
        );
    }
    let began = |event: &CallEvent| matches!(event, CallEvent::Bind(_));
    let happened = bob.happened();
    assert_eq!(happened.iter().filter(|event| began(event)).count(), 20);
    assert_eq!(bob.phase(), Some(Phase::Established), "nobody else notices");
    bob.frame(CAROL, 9_999, invite(HIGH), seconds(6));
    let happened = bob.happened();
    assert!(happened.iter().any(began), "two in a second");
}
