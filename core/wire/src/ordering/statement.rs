//! What holders sign. A statement from outside is a [`Signed`]; only [`Signed::verify`] makes a [`Known`] of it, and machines
//! take nothing else.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::{Ballot, Seat, Slot};
use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::EntryId;

/// Something a holder says of itself, under its own context.
pub trait Statement: Serialize {
    /// Goes before what is signed, so that one statement is never taken for another.
    const CONTEXT: &'static [u8];

    /// Who says it.
    fn seat(&self) -> Seat;
}

/// "To no lower ballot shall I agree any more, and this is what I agreed to last." The answer to every proposal: a
/// promise of the ballot asked for, or of the higher one that stands in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Promise {
    /// Who promises.
    pub seat: Seat,
    /// For which slot.
    pub slot: Slot,
    /// The highest ballot that was promised here.
    pub ballot: Ballot,
    /// What was agreed to here last, with its ballot.
    pub accepted: Option<(Ballot, EntryId)>,
}

/// "I agree to this entry." Those of a majority, with one ballot, settle a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// Who agrees.
    pub seat: Seat,
    /// For which slot.
    pub slot: Slot,
    /// In which ballot.
    pub ballot: Ballot,
    /// To what.
    pub entry: EntryId,
}

/// "This entry is on my disk", until the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Receipt {
    /// Who has it.
    pub seat: Seat,
    /// What.
    pub entry: EntryId,
    /// Its place in the order of arrival there, from 1 on, with gaps.
    pub number: u64,
    /// The last day it is kept: days since 1970, UTC.
    pub until_day: u32,
}

/// A statement and a signature nobody has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signed<T> {
    /// What is said.
    pub statement: T,
    /// Ed25519 by the holder over context and statement.
    pub signature: ([u8; 32], [u8; 32]),
}

/// A statement whose holder signed it. Written as the [`Signed`] that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Known<T>(Signed<T>);

/// A statement that its holder did not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a statement is not signed by the holder that it names")]
pub struct NotSigned;

impl<T: Statement> Signed<T> {
    /// Signed with the holder's key.
    pub fn new(statement: T, holder: &SigningKey) -> Self {
        let signature = sign(holder, &signed_bytes(&statement));
        Self {
            statement,
            signature,
        }
    }

    /// `ORDER-02`: the holder that it names signed it.
    pub fn verify(self) -> Result<Known<T>, NotSigned> {
        let message = signed_bytes(&self.statement);
        let key = &self.statement.seat().holder.0;
        match signed_by(key, &message, self.signature) {
            true => Ok(Known(self)),
            false => Err(NotSigned),
        }
    }
}

impl<T> Known<T> {
    /// What is said.
    pub const fn get(&self) -> &T {
        &self.0.statement
    }

    /// As it travels.
    pub const fn signed(&self) -> &Signed<T> {
        &self.0
    }

    /// For models of the protocol, which have no keys: there a lie is a statement of a liar, and nothing else is forged.
    #[doc(hidden)]
    pub const fn in_a_model(statement: T) -> Self {
        Self(Signed {
            statement,
            signature: ([0; 32], [0; 32]),
        })
    }
}

impl Statement for Promise {
    const CONTEXT: &'static [u8] = b"starling 1 promise";

    fn seat(&self) -> Seat {
        self.seat
    }
}

impl Statement for Vote {
    const CONTEXT: &'static [u8] = b"starling 1 vote";

    fn seat(&self) -> Seat {
        self.seat
    }
}

impl Statement for Receipt {
    const CONTEXT: &'static [u8] = b"starling 1 log receipt";

    fn seat(&self) -> Seat {
        self.seat
    }
}

fn signed_bytes<T: Statement>(statement: &T) -> Vec<u8> {
    let mut bytes = T::CONTEXT.to_vec();
    bytes.extend(frame::encode_body(statement));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EndpointKey, EpochTag, MailboxId};

    fn promise(key: &SigningKey) -> Promise {
        Promise {
            seat: Seat {
                holder: EndpointKey(key.verifying_key().to_bytes()),
                mailbox: MailboxId([2; 32]),
            },
            slot: Slot {
                epoch: EpochTag([3; 16]),
                attempt: 0,
            },
            ballot: Ballot {
                counter: 1,
                salt: [4; 8],
            },
            accepted: None,
        }
    }

    #[test]
    fn order_02_a_statement_counts_only_with_its_holders_signature() {
        let (holder, other) = (
            SigningKey::from_bytes(&[1; 32]),
            SigningKey::from_bytes(&[2; 32]),
        );
        let signed = Signed::new(promise(&holder), &holder);
        assert_eq!(
            signed.verify().map(|known| *known.get()),
            Ok(promise(&holder))
        );
        assert_eq!(
            Signed::new(promise(&holder), &other).verify(),
            Err(NotSigned)
        );
        let mut changed = signed;
        changed.statement.ballot.counter = 2;
        assert_eq!(changed.verify(), Err(NotSigned));
    }

    #[test]
    fn order_02_a_vote_is_not_taken_for_a_receipt() {
        let holder = SigningKey::from_bytes(&[1; 32]);
        let promise = promise(&holder);
        let vote = Vote {
            seat: promise.seat,
            slot: promise.slot,
            ballot: promise.ballot,
            entry: EntryId([5; 32]),
        };
        let receipt = Receipt {
            seat: promise.seat,
            entry: vote.entry,
            number: 1,
            until_day: 20_800,
        };
        let borrowed = Signed {
            statement: receipt,
            signature: Signed::new(vote, &holder).signature,
        };
        assert_eq!(borrowed.verify(), Err(NotSigned));
    }
}
