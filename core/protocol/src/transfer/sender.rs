//! The sender's side of one transfer: what the receiver's words mean in each state, and which pulls are answered with
//! bytes.

use starling_wire::file::{FileFrame, Pull, PullAnswer, ReceiverState};

use super::entry::{Entry, Reason, State, Step};
use super::plan::groups;

/// What a word of the receiver changes in an open transfer of ours.
pub const fn heard(state: State, word: ReceiverState) -> Option<Step> {
    match (state, word) {
        (State::Offered, ReceiverState::Accepted) => Some(Step::to(State::Accepted)),
        (State::Offered, ReceiverState::Declined) => Some(Step::cancelled(Reason::DeclinedByThem)),
        (State::Accepted, ReceiverState::Declined) => {
            Some(Step::cancelled(Reason::CancelledByThem))
        }
        (State::Offered | State::Accepted, ReceiverState::Done) => Some(Step::to(State::Done)),
        (State::Offered | State::Accepted, ReceiverState::Failed) => {
            Some(Step::failed(Reason::FailedThere))
        }
        _ => None,
    }
}

/// The answer to a word about a transfer that is not open here: the receiver need not wait for it (`FILE-08`). One that
/// failed here is not withdrawn from somebody who pulls: the pull is told why.
pub fn heard_late(past: Option<&Entry>, frame: &FileFrame) -> Option<FileFrame> {
    let FileFrame::State { id, state: word } = *frame else {
        return None;
    };
    let withdraw = match (past, word) {
        (None, ReceiverState::Offered | ReceiverState::Accepted) => true,
        (Some(past), ReceiverState::Offered) => past.outgoing,
        (Some(past), ReceiverState::Accepted) => past.outgoing && past.state != State::Failed,
        _ => false,
    };
    withdraw.then_some(FileFrame::Withdraw { id })
}

/// The answer to a pull (`FILE-02`, `FILE-07`): bytes of what was offered to this contact, and nothing else. That the person
/// said yes is told on another stream and may arrive later; the pull itself says it as well.
pub fn pulled(known: Option<&Entry>, pull: &Pull) -> PullAnswer {
    match known {
        Some(entry) if entry.outgoing && entry.state.is_open() => {
            match pull.check(groups(entry.offer.size)) {
                Ok(()) => PullAnswer::Bytes,
                Err(_) => PullAnswer::Gone,
            }
        }
        Some(entry) if entry.outgoing && entry.state == State::Failed => PullAnswer::Changed,
        _ => PullAnswer::Gone,
    }
}

#[cfg(test)]
mod tests {
    use starling_wire::file::Offer;
    use starling_wire::ids::TransferId;

    use super::*;

    const ID: TransferId = TransferId([1; 16]);
    const WORDS: [ReceiverState; 5] = [
        ReceiverState::Offered,
        ReceiverState::Accepted,
        ReceiverState::Declined,
        ReceiverState::Done,
        ReceiverState::Failed,
    ];

    fn entry(outgoing: bool, state: State) -> Entry {
        let offer = Offer {
            id: ID,
            name: "holiday.jpg".into(),
            size: 100_000,
            root: [7; 32],
            sent_at: 1,
        };
        Entry {
            offer,
            outgoing,
            state,
        }
    }

    #[test]
    fn every_word_in_every_state() {
        use State::{Accepted, Cancelled, Done, Failed, Offered};
        let table = [
            (
                Offered,
                [
                    None,
                    Some(Accepted),
                    Some(Cancelled),
                    Some(Done),
                    Some(Failed),
                ],
            ),
            (
                Accepted,
                [None, None, Some(Cancelled), Some(Done), Some(Failed)],
            ),
            (Done, [None; 5]),
            (Cancelled, [None; 5]),
            (Failed, [None; 5]),
        ];
        for (state, expected) in table {
            let next = WORDS.map(|word| heard(state, word).map(|step| step.state));
            assert_eq!(next, expected, "{state:?}");
        }
    }

    #[test]
    fn file_07_only_what_was_offered_is_served() {
        let pull = |start, end| Pull { id: ID, start, end };
        let cases = [
            (None, pull(0, 1), PullAnswer::Gone),
            (
                Some(entry(false, State::Accepted)),
                pull(0, 1),
                PullAnswer::Gone,
            ),
            (
                Some(entry(true, State::Offered)),
                pull(0, 7),
                PullAnswer::Bytes,
            ),
            (
                Some(entry(true, State::Accepted)),
                pull(6, 7),
                PullAnswer::Bytes,
            ),
            (
                Some(entry(true, State::Accepted)),
                pull(0, 8),
                PullAnswer::Gone,
            ),
            (
                Some(entry(true, State::Accepted)),
                pull(3, 3),
                PullAnswer::Gone,
            ),
            (
                Some(entry(true, State::Accepted)),
                pull(5, 1),
                PullAnswer::Gone,
            ),
            (Some(entry(true, State::Done)), pull(0, 1), PullAnswer::Gone),
            (
                Some(entry(true, State::Cancelled)),
                pull(0, 1),
                PullAnswer::Gone,
            ),
            (
                Some(entry(true, State::Failed)),
                pull(0, 1),
                PullAnswer::Changed,
            ),
        ];
        for (known, pull, answer) in cases {
            assert_eq!(pulled(known.as_ref(), &pull), answer, "{known:?} {pull:?}");
        }
    }

    #[test]
    fn file_08_nobody_waits_for_what_is_over() {
        let withdrawn = |known: Option<Entry>| {
            WORDS.map(|state| {
                heard_late(known.as_ref(), &FileFrame::State { id: ID, state }).is_some()
            })
        };
        let waits = [true, true, false, false, false];
        assert_eq!(withdrawn(None), waits);
        assert_eq!(withdrawn(Some(entry(true, State::Cancelled))), waits);
        assert_eq!(withdrawn(Some(entry(true, State::Done))), waits);
        assert_eq!(
            withdrawn(Some(entry(true, State::Failed))),
            [true, false, false, false, false]
        );
        assert_eq!(
            withdrawn(Some(entry(false, State::Done))),
            [false; 5],
            "not theirs to speak of"
        );
    }
}
