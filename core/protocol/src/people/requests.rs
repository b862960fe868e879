//! What a sealed letter means, given how its sender stands to us. Pure decisions; the driver stores and answers.

use starling_wire::envelope::Letter;

/// How the sender of a letter stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody we know.
    Stranger,
    /// We asked them and wait.
    Requested,
    /// A contact.
    Contact,
    /// Blocked.
    Blocked,
}

/// What to do with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Show the request.
    Ask,
    /// They are a contact now; `answer` when they still have to be told.
    Befriend {
        /// Whether to send an acceptance.
        answer: bool,
    },
    /// Keep their newer card.
    Update,
    /// Their account is no more, if its history says so.
    End,
    /// Drop it.
    Drop(DropReason),
}

/// Why a letter was dropped. Its sender never learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The sender is blocked.
    Blocked,
    /// A stranger's that no work was done for (`PEOPLE-09`).
    Unpaid,
    /// So many requests wait for which more work was done.
    TooMany,
    /// An acceptance that nobody asked for.
    Unasked,
    /// An update from somebody who is no contact.
    NoContact,
    /// Its device's number is not higher than that of a letter that was read before (`PEOPLE-06`): a replay.
    Replayed,
    /// Its device was revoked (`PEOPLE-07`).
    Revoked,
    /// It says that an account has ended whose history goes on (`PEOPLE-08`).
    GoesOn,
    /// About names, between an account and a registrar: nothing that contacts write.
    NotForPeople,
}

/// Decides (`PEOPLE-01` to `PEOPLE-05`). `paid` says whether the letter showed work.
pub const fn decide(standing: Standing, letter: &Letter, paid: bool) -> Outcome {
    match (standing, letter) {
        // PEOPLE-01: blocked people get silence.
        (Standing::Blocked, _) => Outcome::Drop(DropReason::Blocked),
        // PEOPLE-02: crossing requests make a contact without a question.
        (Standing::Requested, Letter::Request { .. }) => Outcome::Befriend { answer: true },
        (Standing::Requested, Letter::Accept) => Outcome::Befriend { answer: false },
        // PEOPLE-03: a contact who asks again has lost us (a restored backup): they are answered.
        (Standing::Contact, Letter::Request { .. }) => Outcome::Befriend { answer: true },
        (Standing::Contact, Letter::Accept | Letter::Update) => Outcome::Update,
        // PEOPLE-08: whose account has ended is no contact any more; the driver looks whether it has.
        (Standing::Contact | Standing::Requested, Letter::Farewell(_)) => Outcome::End,
        // PEOPLE-09: what all contacts know opens the box, but makes nobody who leaked it a spammer.
        (Standing::Stranger, Letter::Request { .. }) if !paid => Outcome::Drop(DropReason::Unpaid),
        // PEOPLE-04: strangers may ask, within a bound that the store keeps.
        (Standing::Stranger, Letter::Request { .. }) => Outcome::Ask,
        // PEOPLE-05: nobody becomes a contact by saying so.
        (_, Letter::Claim(_) | Letter::Verdict(..)) => Outcome::Drop(DropReason::NotForPeople),
        (Standing::Stranger, Letter::Accept) => Outcome::Drop(DropReason::Unasked),
        (Standing::Stranger | Standing::Requested, Letter::Update)
        | (Standing::Stranger, Letter::Farewell(_)) => Outcome::Drop(DropReason::NoContact),
    }
}

#[cfg(test)]
mod tests {
    use starling_wire::account::{Change, Founding};
    use starling_wire::ids::DeviceId;

    use super::*;

    fn request() -> Letter {
        Letter::request("hello")
    }

    #[test]
    fn people_01_blocked_people_get_silence() {
        for letter in [request(), Letter::Accept, Letter::Update] {
            assert_eq!(
                decide(Standing::Blocked, &letter, false),
                Outcome::Drop(DropReason::Blocked)
            );
        }
    }

    #[test]
    fn people_02_crossing_requests_make_a_contact() {
        assert_eq!(
            decide(Standing::Requested, &request(), false),
            Outcome::Befriend { answer: true }
        );
        assert_eq!(
            decide(Standing::Requested, &Letter::Accept, false),
            Outcome::Befriend { answer: false }
        );
    }

    #[test]
    fn people_03_a_contact_who_asks_again_is_answered() {
        assert_eq!(
            decide(Standing::Contact, &request(), false),
            Outcome::Befriend { answer: true }
        );
        assert_eq!(
            decide(Standing::Contact, &Letter::Update, false),
            Outcome::Update
        );
    }

    #[test]
    fn people_09_strangers_may_ask_if_they_worked_for_it() {
        assert_eq!(decide(Standing::Stranger, &request(), true), Outcome::Ask);
        assert_eq!(
            decide(Standing::Stranger, &request(), false),
            Outcome::Drop(DropReason::Unpaid)
        );
    }

    #[test]
    fn people_08_only_whom_we_know_can_say_farewell() {
        let founding = Founding::new(&[1; 32]);
        let mut chain = founding.found(DeviceId([2; 32]), "desk");
        chain.append(&founding.signing, Change::Delete);
        let last = chain.entries.pop().expect("the end");
        let farewell = Letter::Farewell(Box::new(last));
        for (standing, outcome) in [
            (Standing::Contact, Outcome::End),
            (Standing::Requested, Outcome::End),
            (Standing::Stranger, Outcome::Drop(DropReason::NoContact)),
            (Standing::Blocked, Outcome::Drop(DropReason::Blocked)),
        ] {
            assert_eq!(decide(standing, &farewell, false), outcome);
        }
    }

    #[test]
    fn people_05_nobody_becomes_a_contact_by_saying_so() {
        assert_eq!(
            decide(Standing::Stranger, &Letter::Accept, false),
            Outcome::Drop(DropReason::Unasked)
        );
        assert_eq!(
            decide(Standing::Stranger, &Letter::Update, false),
            Outcome::Drop(DropReason::NoContact)
        );
        assert_eq!(
            decide(Standing::Requested, &Letter::Update, false),
            Outcome::Drop(DropReason::NoContact)
        );
    }
}
