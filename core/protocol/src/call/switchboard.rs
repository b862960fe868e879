//! What an invitation means, given the calls this device has and how its person wants to be called: it rings, it is refused, or
//! it is the other half of a call that both wanted.

use starling_wire::call::{EndReason, TargetMark};
use starling_wire::ids::{AccountId, CallId};

use super::calls::{CALLS_MAX, Reception};
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
pub fn invitation(lines: &[Line], reception: Reception, call: CallId, peer: AccountId) -> Verdict {
    // CALL-12: the same invitation twice.
    if lines.iter().any(|line| line.call == call) {
        return Verdict::Refuse(EndReason::Protocol);
    }
    let Some(same) = lines.iter().find(|line| line.peer == peer) else {
        return without_a_call(lines, reception, (call, peer));
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

/// `CALL-13`: from somebody with whom there is no call.
fn without_a_call(
    lines: &[Line],
    reception: Reception,
    (call, peer): (CallId, AccountId),
) -> Verdict {
    // CALL-28
    let forwarded = |to: Option<AccountId>| {
        let to = to.filter(|to| *to != peer)?;
        Some(EndReason::Forwarded(TargetMark::of(call, to)))
    };
    if let Some(reason) = forwarded(reception.forwarding.always) {
        return Verdict::Refuse(reason);
    }
    // CALL-26: the callee's person is not to be disturbed, or busy.
    let free = lines.is_empty() || reception.waiting && lines.len() < CALLS_MAX;
    if free && !reception.quiet {
        return Verdict::Ring;
    }
    Verdict::Refuse(forwarded(reception.forwarding.busy).unwrap_or(EndReason::Busy))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: AccountId = AccountId([2; 32]);
    const CAROL: AccountId = AccountId([3; 32]);

    fn judged(lines: &[Line], call: u8, peer: AccountId) -> Verdict {
        invitation(lines, Reception::default(), CallId([call; 16]), peer)
    }

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
        let protocol = Verdict::Refuse(EndReason::Protocol);
        assert_eq!(judged(&[ringing], 5, BOB), protocol);
        assert_eq!(judged(&[], 5, BOB), Verdict::Ring);
    }

    #[test]
    fn call_13_a_second_caller_waits_or_hears_busy() {
        let (busy, waiting) = (Verdict::Refuse(EndReason::Busy), Reception::default());
        let alone = Reception {
            waiting: false,
            ..waiting
        };
        for state in [
            State::Calling,
            State::Ringing,
            State::Established,
            State::Reconnecting,
        ] {
            let talking = line(5, Role::Caller, state);
            let judged = |reception| invitation(&[talking], reception, CallId([1; 16]), CAROL);
            assert_eq!(judged(waiting), Verdict::Ring);
            assert_eq!(judged(alone), busy);
        }
        let many: Vec<Line> = (10..10 + CALLS_MAX as u8)
            .map(|call| line(call, Role::Callee, State::Ringing))
            .collect();
        assert_eq!(judged(&many, 1, CAROL), busy);
        assert_eq!(judged(&many[1..], 1, CAROL), Verdict::Ring);
    }

    #[test]
    fn call_26_nothing_rings_for_whoever_is_not_to_be_disturbed() {
        let quiet = Reception {
            quiet: true,
            ..Reception::default()
        };
        let judged = |lines: &[Line], peer| invitation(lines, quiet, CallId([1; 16]), peer);
        assert_eq!(judged(&[], CAROL), Verdict::Refuse(EndReason::Busy));
        let ours = line(5, Role::Caller, State::Calling);
        assert_eq!(
            judged(&[ours], BOB),
            Verdict::Merge(ours.call),
            "we called them"
        );
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
            judged(&[alices], 7, BOB),
            Verdict::Refuse(EndReason::Merged),
            "alice keeps hers"
        );
        assert_eq!(
            judged(&[bobs], 5, CAROL),
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
        let merged = Verdict::Refuse(EndReason::Merged);
        assert_eq!(judged(&[answered], 7, BOB), merged);
        assert_eq!(
            judged(&[answered], 3, BOB),
            Verdict::Replace(answered.call),
            "theirs would have won: it is a new call"
        );
    }

    #[test]
    fn call_15_a_peer_that_restarted_may_call_anew() {
        let stale = line(5, Role::Caller, State::Established);
        assert_eq!(judged(&[stale], 9, BOB), Verdict::Replace(stale.call));
    }
}
