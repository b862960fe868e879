//! The receiver's side of one transfer: what an offer, its repetition and its withdrawal mean, and how a fetch ends.

use starling_wire::file::{FileError, Offer, ReceiverState};

use super::entry::{Entry, Reason, State, Step};

/// Open offers of one contact, and those it withdrew a moment ago; more are refused (`FILE-10`).
pub const OFFERS_MAX: usize = 100;

/// What an offer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new: store it, ask the person.
    Store,
    /// It is known: say how it stands.
    Repeat(ReceiverState),
    /// It is refused, with an answer where there is one.
    Refuse(Refusal, Option<ReceiverState>),
}

/// Why a frame or a connection was not followed. For logs and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `FILE-01`.
    #[error(transparent)]
    Malformed(FileError),
    /// `FILE-09`: an id of ours, or another file under a known id.
    #[error("the other side offered another file under a known number")]
    Conflict,
    /// `FILE-10`.
    #[error("the other side has too many open offers")]
    TooMany,
    /// Too many connections.
    #[error("the other side has too many connections")]
    Links,
}

/// How a fetch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchEnd {
    /// Complete and verified, without its name yet.
    Complete,
    /// Complete, verified, under its name.
    Done,
    /// The connection was lost, or the other side fell silent.
    Lost,
    /// The other side says that there is no such transfer (any more).
    Gone,
    /// The other side's file is not the one it offered.
    Changed,
    /// Bytes that do not belong to the file.
    Corrupt,
    /// It cannot be stored; in words for people.
    Storage(String),
}

/// Judges an offer. `known` is what is stored under its id, open or past; `open` how many of theirs count as open.
pub fn offered(offer: &Offer, known: Option<&Entry>, open: usize) -> Verdict {
    if let Err(error) = offer.check() {
        return Verdict::Refuse(Refusal::Malformed(error), None);
    }
    match known {
        Some(known) if known.outgoing || !is_same(&known.offer, offer) => {
            Verdict::Refuse(Refusal::Conflict, Some(ReceiverState::Failed))
        }
        Some(known) => Verdict::Repeat(word(known.state)),
        None if open >= OFFERS_MAX => {
            Verdict::Refuse(Refusal::TooMany, Some(ReceiverState::Declined))
        }
        None => Verdict::Store,
    }
}

fn is_same(known: &Offer, offer: &Offer) -> bool {
    known.root == offer.root && known.size == offer.size
}

/// A state as the sender hears it.
pub const fn word(state: State) -> ReceiverState {
    match state {
        State::Offered => ReceiverState::Offered,
        State::Accepted => ReceiverState::Accepted,
        State::Done => ReceiverState::Done,
        State::Cancelled => ReceiverState::Declined,
        State::Failed => ReceiverState::Failed,
    }
}

/// What the end of a fetch changes; `None` when it goes on or is to be tried again.
pub fn fetched(end: FetchEnd) -> Option<Step> {
    match end {
        FetchEnd::Complete | FetchEnd::Lost => None,
        FetchEnd::Done => Some(Step::to(State::Done)),
        FetchEnd::Gone => Some(Step::cancelled(Reason::CancelledByThem)),
        FetchEnd::Changed => Some(Step::failed(Reason::ChangedThere)),
        FetchEnd::Corrupt => Some(Step::failed(Reason::Corrupt)),
        FetchEnd::Storage(words) => Some(Step::failed(Reason::StorageHere(words))),
    }
}

#[cfg(test)]
mod tests {
    use starling_wire::ids::TransferId;
    use starling_wire::limits::{FILE_NAME_MAX, FILE_SIZE_MAX};

    use super::*;

    fn offer() -> Offer {
        Offer {
            id: TransferId([1; 16]),
            name: "holiday.jpg".into(),
            size: 5,
            root: [7; 32],
            sent_at: 1,
        }
    }

    fn known(outgoing: bool, state: State) -> Entry {
        Entry {
            offer: offer(),
            outgoing,
            state,
        }
    }

    #[test]
    fn file_01_an_offer_beyond_the_bounds_is_dropped() {
        let long = Offer {
            name: "a".repeat(FILE_NAME_MAX + 1),
            ..offer()
        };
        let huge = Offer {
            size: FILE_SIZE_MAX + 1,
            ..offer()
        };
        for bad in [long, huge] {
            let verdict = offered(&bad, None, 0);
            assert_eq!(
                verdict,
                Verdict::Refuse(Refusal::Malformed(FileError::TooLarge), None)
            );
        }
    }

    #[test]
    fn a_repeated_offer_hears_how_it_stands() {
        let states = [
            (State::Offered, ReceiverState::Offered),
            (State::Accepted, ReceiverState::Accepted),
            (State::Done, ReceiverState::Done),
            (State::Cancelled, ReceiverState::Declined),
            (State::Failed, ReceiverState::Failed),
        ];
        for (state, said) in states {
            let entry = known(false, state);
            assert_eq!(offered(&offer(), Some(&entry), 500), Verdict::Repeat(said));
        }
    }

    #[test]
    fn file_09_another_file_under_a_known_id_is_refused() {
        let conflict = Verdict::Refuse(Refusal::Conflict, Some(ReceiverState::Failed));
        let ours = known(true, State::Accepted);
        assert_eq!(offered(&offer(), Some(&ours), 0), conflict);
        let theirs = known(false, State::Accepted);
        let other_root = Offer {
            root: [8; 32],
            ..offer()
        };
        let other_size = Offer { size: 6, ..offer() };
        assert_eq!(offered(&other_root, Some(&theirs), 0), conflict);
        assert_eq!(offered(&other_size, Some(&theirs), 0), conflict);
        let renamed = Offer {
            name: "new name".into(),
            ..offer()
        };
        assert_eq!(
            offered(&renamed, Some(&theirs), 0),
            Verdict::Repeat(ReceiverState::Accepted),
            "the first name stays"
        );
    }

    #[test]
    fn file_10_offers_without_end_are_refused() {
        assert_eq!(offered(&offer(), None, OFFERS_MAX - 1), Verdict::Store);
        assert_eq!(
            offered(&offer(), None, OFFERS_MAX),
            Verdict::Refuse(Refusal::TooMany, Some(ReceiverState::Declined))
        );
    }
}
