//! One slot of a group's ordering, in bounds that fit a test. `make long` goes through more.

use starling_lab_sim::ordering::slot::OneSlot;
use stateright::{Checker, Model};

/// Goes through all states; says the way to one where a property does not hold.
fn states(model: OneSlot) -> usize {
    let checker = model.checker().threads(2).spawn_dfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

#[test]
fn order_03_two_members_never_get_two_certificates_whatever_is_lost_late_or_repeated() {
    assert_eq!(states(OneSlot::honest([1, 1])), HONEST);
}

#[test]
fn order_03_a_member_that_lies_never_gets_a_second_certificate() {
    assert_eq!(states(OneSlot::with_a_lying_member([1, 1])), LYING_MEMBER);
}

#[test]
fn order_05_two_certificates_convict_the_holder_that_lied() {
    assert_eq!(states(OneSlot::with_a_lying_holder([1, 1])), LYING_HOLDER);
}

// Should one of these change, the rules have: the complete check in `make long` is due.
const HONEST: usize = 29_241;
const LYING_MEMBER: usize = 378_171;
const LYING_HOLDER: usize = 449_265;
