//! Who decides which commit ends an epoch of a group, and how that is shown (spec page "ordering").
//!
//! Each epoch waits for one commit. Where it waits is a [`Slot`]; up to three **holders** keep, for each slot, a register that is
//! written once. Members propose: single-decree Paxos (Lamport, "Paxos Made Simple", 2001), as in CASPaxos (Rystsov, 2018). A
//! holder neither reads what it orders nor learns who proposed it.
//!
//! [`statement`] has what a holder signs, [`choice`] what follows from it: which entry may be proposed, what is settled, who lied;
//! [`grounds`] why something could be agreed to at all.
//! All of it is a pure function of signed statements, so everybody who has the same ones comes to the same answer.

pub mod choice;
pub mod grounds;
pub mod statement;

use serde::{Deserialize, Serialize};

use crate::ids::{EndpointKey, EpochTag, MailboxId};

/// Holders of one group at most.
pub const HOLDERS_MAX: usize = 3;
/// How often a slot can begin anew because what it settled on is void.
pub const ATTEMPTS_MAX: u16 = 1_000;

/// Where a commit goes: the epoch that it ends. What everybody finds void counts as not said, and the next attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The epoch.
    pub epoch: EpochTag,
    /// 0 for the first attempt; at most [`ATTEMPTS_MAX`].
    pub attempt: u16,
}

/// One proposer's try at a slot. Higher beats lower; chance keeps two proposers' apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// 1 for a first try.
    pub counter: u32,
    /// Chosen by chance by the proposer.
    pub salt: [u8; 8],
}

/// One holder of a group, and its box there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// The holder, whose key signs its statements.
    pub holder: EndpointKey,
    /// Its box for this group and generation; another one at each holder.
    pub mailbox: MailboxId,
}

/// Who holds a group's log and decides its next slot; the same for all members, since it stands in the group's context.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holders {
    /// Grows with each change of holders and each removal of a member.
    pub generation: u32,
    /// At most [`HOLDERS_MAX`], each holder once.
    pub seats: Vec<Seat>,
}

/// Why a list of holders is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldersError {
    /// Too many.
    #[error("a group has at most {HOLDERS_MAX} holders")]
    TooMany,
    /// One twice.
    #[error("a group names one of its holders twice")]
    Twice,
}

impl Slot {
    /// The first attempt at an epoch's end.
    pub const fn first(epoch: EpochTag) -> Self {
        Self { epoch, attempt: 0 }
    }

    /// Whether its attempt is one that there can be.
    pub const fn is_within_bounds(&self) -> bool {
        self.attempt <= ATTEMPTS_MAX
    }
}

impl Holders {
    /// Bounds that the codec does not know (`ORDER-01`).
    pub fn check(&self) -> Result<(), HoldersError> {
        if self.seats.len() > HOLDERS_MAX {
            return Err(HoldersError::TooMany);
        }
        let twice = |(at, seat): (usize, &Seat)| {
            let before = &self.seats[..at];
            before.iter().any(|other| other.holder == seat.holder)
        };
        match self.seats.iter().enumerate().any(twice) {
            true => Err(HoldersError::Twice),
            false => Ok(()),
        }
    }

    /// Whether this holder has a seat with this box.
    pub fn has(&self, seat: Seat) -> bool {
        self.seats.contains(&seat)
    }

    /// How many have to agree: two of three, all of fewer. Nobody decides where nobody holds.
    pub fn majority(&self) -> usize {
        self.seats.len() / 2 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(number: u8) -> Seat {
        Seat {
            holder: EndpointKey([number; 32]),
            mailbox: MailboxId([number ^ 0xff; 32]),
        }
    }

    fn holders(numbers: &[u8]) -> Holders {
        Holders {
            generation: 1,
            seats: numbers.iter().map(|number| seat(*number)).collect(),
        }
    }

    #[test]
    fn order_01_holders_are_at_most_three_and_each_is_there_once() {
        assert_eq!(holders(&[]).check(), Ok(()));
        assert_eq!(holders(&[1, 2, 3]).check(), Ok(()));
        assert_eq!(holders(&[1, 2, 3, 4]).check(), Err(HoldersError::TooMany));
        let mut twice = holders(&[1, 2, 1]);
        twice.seats[2].mailbox = MailboxId([9; 32]);
        assert_eq!(twice.check(), Err(HoldersError::Twice));
    }

    #[test]
    fn two_of_three_agree_and_all_of_fewer() {
        let majority = |numbers: &[u8]| holders(numbers).majority();
        assert_eq!(
            [majority(&[1, 2, 3]), majority(&[1, 2]), majority(&[1])],
            [2, 2, 1]
        );
        assert_eq!(majority(&[]), 1, "more than there are");
    }

    #[test]
    fn a_ballot_with_a_higher_counter_is_higher_whatever_its_salt() {
        let ballot = |counter, salt| Ballot {
            counter,
            salt: [salt; 8],
        };
        assert!(ballot(2, 0) > ballot(1, 255));
        assert!(ballot(1, 2) > ballot(1, 1));
    }
}
