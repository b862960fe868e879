//! A holder's register for one slot: written once by a majority of holders (single-decree Paxos, the acceptor's part). It
//! has no clock and no chance; who is asked when is the holder's business, as is that a change is on disk before it is told.

use starling_wire::ids::EntryId;
use starling_wire::ordering::grounds::Grounds;
use starling_wire::ordering::statement::{Promise, Vote};
use starling_wire::ordering::{Ballot, Holders, Seat, Slot};

/// How far a ballot's number may lie above those promised before, here or at another holder: nobody uses up the numbers.
pub const STEP_MAX: u32 = 8;

/// What was promised and agreed to. Empty at first. The grounds of what was agreed to are kept beside it, by whoever keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register {
    promised: Option<Ballot>,
    accepted: Option<(Ballot, EntryId)>,
}

/// Whose register of which slot this is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Who decides the slot.
    pub holders: &'a Holders,
    /// Our seat among them.
    pub seat: Seat,
    /// The slot.
    pub slot: Slot,
}

/// Why an entry was not agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A higher ballot was promised: its promise goes back.
    #[error("somebody else's proposal came later")]
    Overtaken,
    /// In this ballot another entry was agreed to.
    #[error("another entry was agreed to in this ballot")]
    OneEach,
    /// The grounds shown do not allow it (`ORDER-03`, `ORDER-12`).
    #[error("the promises shown do not allow this entry")]
    NotAllowed,
}

impl Register {
    /// As it was kept: what was promised, and what was agreed to.
    pub const fn restored(promised: Option<Ballot>, accepted: Option<(Ballot, EntryId)>) -> Self {
        Self { promised, accepted }
    }

    /// What to keep.
    pub const fn kept(&self) -> (Option<Ballot>, Option<(Ballot, EntryId)>) {
        (self.promised, self.accepted)
    }

    /// `ORDER-11`: whether `asked` would be promised. `seen` is the highest ballot that another holder of the slot is shown to have promised.
    pub fn may_promise(&self, asked: Ballot, seen: Option<Ballot>) -> bool {
        let before = self.promised.max(seen).map_or(0, |ballot| ballot.counter);
        // Zero is nobody's number; nobody jumps to the end of them.
        let within = (1..=before.saturating_add(STEP_MAX)).contains(&asked.counter);
        within && self.promised.is_none_or(|promised| asked > promised)
    }

    /// Promises a ballot; `true` when that changed something. The answer is [`Self::promise`] either way, unless nothing was ever
    /// promised.
    pub fn prepare(&mut self, asked: Ballot, seen: Option<Ballot>) -> bool {
        let may = self.may_promise(asked, seen);
        if may {
            self.promised = Some(asked);
        }
        may
    }

    /// Whether this was agreed to already, or cannot be: to be asked before the grounds are looked at, which costs more.
    pub fn has_agreed(&self, ballot: Ballot, entry: EntryId) -> Result<bool, Refusal> {
        if self.promised.is_some_and(|promised| ballot < promised) {
            return Err(Refusal::Overtaken);
        }
        match self.accepted {
            Some((last, one)) if last == ballot && one != entry => Err(Refusal::OneEach),
            accepted => Ok(accepted == Some((ballot, entry))),
        }
    }

    /// Agrees to an entry, if the grounds allow it. The entry is on our disk. The answer is then a [`Vote`], also when it had
    /// been given before.
    pub fn accept(
        &mut self,
        place: Place<'_>,
        ballot: Ballot,
        entry: EntryId,
        grounds: &Grounds,
    ) -> Result<Vote, Refusal> {
        if !self.has_agreed(ballot, entry)? {
            let allowed = grounds.allow(place.holders, place.slot, (ballot, entry));
            allowed.map_err(|_| Refusal::NotAllowed)?;
            self.promised = Some(ballot);
            self.accepted = Some((ballot, entry));
        }
        Ok(Vote {
            seat: place.seat,
            slot: place.slot,
            ballot,
            entry,
        })
    }

    /// What was promised and agreed to, as a statement to be signed.
    pub fn promise(&self, place: Place<'_>) -> Option<Promise> {
        Some(Promise {
            seat: place.seat,
            slot: place.slot,
            ballot: self.promised?,
            accepted: self.accepted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use starling_wire::ids::{EndpointKey, EpochTag, MailboxId};
    use starling_wire::ordering::choice::{Said, contradict};
    use starling_wire::ordering::statement::Known;

    const SLOT: Slot = Slot {
        epoch: EpochTag([1; 16]),
        attempt: 0,
    };
    const X: EntryId = EntryId([0x10; 32]);
    const Y: EntryId = EntryId([0x20; 32]);

    fn seat(number: u8) -> Seat {
        Seat {
            holder: EndpointKey([number; 32]),
            mailbox: MailboxId([number; 32]),
        }
    }

    fn three() -> Holders {
        Holders {
            generation: 1,
            seats: (0..3).map(seat).collect(),
        }
    }

    fn ballot(counter: u32, salt: u8) -> Ballot {
        Ballot {
            counter,
            salt: [salt; 8],
        }
    }

    struct Holder(u8, Register);

    impl Holder {
        fn prepare(&mut self, ballot: Ballot) -> Known<Promise> {
            self.1.prepare(ballot, None);
            let holders = three();
            Known::in_a_model(self.1.promise(place(&holders, self.0)).unwrap())
        }

        fn accept(&mut self, b: Ballot, entry: EntryId, grounds: &Grounds) -> Result<(), Refusal> {
            let holders = three();
            let place = place(&holders, self.0);
            self.1.accept(place, b, entry, grounds).map(|_| ())
        }
    }

    fn place(holders: &Holders, number: u8) -> Place<'_> {
        Place {
            holders,
            seat: seat(number),
            slot: SLOT,
        }
    }

    fn holder(number: u8) -> Holder {
        Holder(number, Register::default())
    }

    #[test]
    fn order_12_a_holder_agrees_only_to_what_the_grounds_allow() {
        let (mut one, mut two, mut three) = (holder(0), holder(1), holder(2));
        let first = ballot(1, 1);
        let promises = vec![one.prepare(first), two.prepare(first)];
        let few = Grounds::first(promises[..1].to_vec());
        assert_eq!(one.accept(first, X, &few), Err(Refusal::NotAllowed));
        let proof = Grounds::first(promises);
        assert_eq!(one.accept(first, X, &proof), Ok(()));
        assert_eq!(one.accept(first, X, &proof), Ok(()), "said again");
        assert_eq!(one.accept(first, Y, &proof), Err(Refusal::OneEach));
        let second = ballot(2, 2);
        let top = vec![one.prepare(second), three.prepare(second)];
        let missing = three.accept(second, X, &Grounds::first(top.clone()));
        assert_eq!(missing, Err(Refusal::NotAllowed), "without its grounds");
        let longer = proof.under(top);
        assert_eq!(three.accept(second, Y, &longer), Err(Refusal::NotAllowed));
        assert_eq!(three.accept(second, X, &longer), Ok(()));
        assert_eq!(
            two.accept(second, X, &longer),
            Ok(()),
            "without a promise of its own"
        );
        assert_eq!(one.accept(first, X, &proof), Err(Refusal::Overtaken));
    }

    #[test]
    fn a_ballots_number_goes_up_in_small_steps() {
        let mut register = Register::default();
        let mut prepare = |counter, salt| register.prepare(ballot(counter, salt), None);
        assert!(!prepare(0, 9), "nobody's number");
        assert!(!prepare(STEP_MAX + 1, 1));
        assert!(prepare(STEP_MAX, 1));
        assert!(!prepare(STEP_MAX, 1), "promised already");
        assert!(!prepare(STEP_MAX - 1, 9));
        assert!(prepare(STEP_MAX, 2));
        let mut last = Register::restored(Some(ballot(u32::MAX, 1)), None);
        assert!(
            last.prepare(ballot(u32::MAX, 2), None),
            "and nothing overflows"
        );
    }

    /// A holder that was away while the others were asked again and again.
    #[test]
    fn what_another_holder_promised_lets_a_number_be_higher() {
        let mut away = Register::default();
        assert!(!away.prepare(ballot(100, 1), Some(ballot(50, 1))));
        assert!(away.prepare(ballot(100, 1), Some(ballot(99, 1))));
    }

    proptest! {
        /// Whatever is asked in whatever order, an honest holder's statements never contradict each other.
        #[test]
        fn order_05_an_honest_holder_never_contradicts_itself(
            asked in proptest::collection::vec((1_u32..5, 0_u8..3, any::<bool>(), any::<bool>(), any::<bool>()), 1..40)
        ) {
            let mut three = [holder(0), holder(1), holder(2)];
            let mut said: Vec<Said> = Vec::new();
            let holders = self::three();
            let mut known: Vec<Known<Promise>> = Vec::new();
            let mut agreed: Vec<(Ballot, EntryId, Grounds)> = Vec::new();
            for (counter, number, prepare, entry, other) in asked {
                let at = usize::from(number);
                let b = ballot(counter, u8::from(other));
                if prepare {
                    let promise = three[at].prepare(b);
                    said.push(Said::Promise(*promise.get()));
                    known.push(promise);
                    continue;
                }
                let mut proof: Vec<_> = known.iter().filter(|p| p.get().ballot == b).copied().collect();
                proof.sort_unstable();
                proof.dedup_by_key(|p| p.get().seat);
                let wanted = if entry { X } else { Y };
                let named = proof.iter().filter_map(|p| p.get().accepted).max();
                let lower = named.and_then(|named| agreed.iter().find(|(b, e, _)| (*b, *e) == named));
                let grounds = lower.map(|(_, _, grounds)| grounds.clone()).unwrap_or_default();
                let grounds = grounds.under(proof);
                if let Ok(vote) = three[at].1.accept(place(&holders, number), b, wanted, &grounds) {
                    said.push(Said::Vote(vote));
                    agreed.push((b, wanted, grounds));
                }
            }
            for one in &said {
                prop_assert!(said.iter().all(|other| !contradict(one, other)));
            }
        }
    }
}
