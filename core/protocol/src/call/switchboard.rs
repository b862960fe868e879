//! What an invitation means, given the calls this device has: it rings, it is refused, or it is the other half of a call
//! that both wanted.

use starling_wire::call::EndReason;
use starling_wire::ids::{AccountId, CallId};

use super::leg::{Role, State};

/// A call as the switchboard sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The call.
    pub call: CallId,
    /// The other side.
    pub peer: AccountId,
    /// Who called.
    pub role: Role,
    /// Where it stands.
    pub state: State,
    /// Whether its sound has ever been connected.
    pub was_heard: bool,
}

/// What to do with an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Let it ring.
    Ring,
    /// Refuse it.
    Refuse(EndReason),
    /// Both called: end this call of ours as merged and answer theirs at once.
    Merge(CallId),
    /// They call anew while we still think we talk: end the old call as lost, let the new one ring.
    Replace(CallId),
}

/// Decides about an invitation (`CALL-12` to `CALL-15`). `lines` are the calls that are not over.
pub fn invitation(lines: &[Line], call: CallId, peer: AccountId) -> Verdict {
    if lines.is_empty() {
        return Verdict::Ring;
    }
    // CALL-12: the same invitation twice.
    if lines.iter().any(|line| line.call == call) {
        return Verdict::Refuse(EndReason::Protocol);
    }
    // CALL-13: one call at a time.
    let Some(same) = lines.iter().find(|line| line.peer == peer) else {
        return Verdict::Refuse(EndReason::Busy);
    };
    match (same.role, same.state) {
        // CALL-14: glare. The lower id lives on both sides; whoever loses answers the other's call at once.
        (Role::Caller, State::Calling | State::Ringing) if call < same.call => {
            Verdict::Merge(same.call)
        }
        (Role::Caller, State::Calling | State::Ringing) => Verdict::Refuse(EndReason::Merged),
        // CALL-14: the invitation that lost the glare may come after the answer to ours; streams keep no common order.
        (Role::Caller, State::Established) if !same.was_heard && same.call < call => {
            Verdict::Refuse(EndReason::Merged)
        }
        // CALL-15: they have forgotten the call we still hold.
        _ => Verdict::Replace(same.call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: AccountId = AccountId([2; 32]);
    const CAROL: AccountId = AccountId([3; 32]);

    fn line(call: u8, role: Role, state: State) -> Line {
        Line {
            call: CallId([call; 16]),
            peer: BOB,
            role,
            state,
            was_heard: state == State::Established,
        }
    }

    #[test]
    fn call_12_the_same_invitation_twice_is_refused() {
        let ringing = line(5, Role::Callee, State::Ringing);
        assert_eq!(
            invitation(&[ringing], CallId([5; 16]), BOB),
            Verdict::Refuse(EndReason::Protocol)
        );
        assert_eq!(invitation(&[], CallId([5; 16]), BOB), Verdict::Ring);
    }

    #[test]
    fn call_13_a_second_caller_hears_busy() {
        for state in [
            State::Calling,
            State::Ringing,
            State::Established,
            State::Reconnecting,
        ] {
            let talking = line(5, Role::Caller, state);
            assert_eq!(
                invitation(&[talking], CallId([1; 16]), CAROL),
                Verdict::Refuse(EndReason::Busy)
            );
        }
    }

    #[test]
    fn call_14_two_people_who_call_each_other_get_one_call() {
        let alices = line(5, Role::Caller, State::Calling);
        let bobs = Line {
            call: CallId([7; 16]),
            peer: CAROL,
            role: Role::Caller,
            state: State::Ringing,
            was_heard: false,
        };
        assert_eq!(
            invitation(&[alices], bobs.call, BOB),
            Verdict::Refuse(EndReason::Merged),
            "alice keeps hers"
        );
        assert_eq!(
            invitation(&[bobs], alices.call, CAROL),
            Verdict::Merge(bobs.call),
            "bob takes alice's"
        );
    }

    #[test]
    fn call_14_the_losing_invitation_may_come_after_the_answer() {
        let answered = Line {
            was_heard: false,
            ..line(5, Role::Caller, State::Established)
        };
        assert_eq!(
            invitation(&[answered], CallId([7; 16]), BOB),
            Verdict::Refuse(EndReason::Merged)
        );
        assert_eq!(
            invitation(&[answered], CallId([3; 16]), BOB),
            Verdict::Replace(answered.call),
            "theirs would have won: it is a new call"
        );
    }

    #[test]
    fn call_15_a_peer_that_restarted_may_call_anew() {
        let stale = line(5, Role::Caller, State::Established);
        assert_eq!(
            invitation(&[stale], CallId([9; 16]), BOB),
            Verdict::Replace(stale.call)
        );
    }
}
