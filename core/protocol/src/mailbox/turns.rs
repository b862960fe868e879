//! Whose turn it is at a slot (`BOX-16`). A ballot that was promised holds the slot for a while; who comes meanwhile waits, and then
//! one of them is drawn by chance. So nobody is shut out by somebody who proposes all day.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use starling_wire::ordering::Ballot;

use crate::backoff::Jitter;
use crate::machine::Time;

/// How long a ballot that was promised holds its slot.
pub const TURN: Duration = Duration::from_secs(1);

/// The turns at all slots `S` of a holder; who asks is a `C`.
#[derive(Debug)]
pub struct Turns<S, C> {
    turns: BTreeMap<S, Turn<C>>,
    ends: BTreeSet<(Time, S)>,
}

#[derive(Debug)]
struct Turn<C> {
    of: C,
    until: Time,
    /// One ballot for each who waits.
    waiting: BTreeMap<C, Ballot>,
}

/// A turn is over, and somebody waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn<S, C> {
    /// Where.
    pub slot: S,
    /// Who is next.
    pub next: (C, Ballot),
    /// Who is not.
    pub others: Vec<C>,
}

impl<S, C> Default for Turns<S, C> {
    fn default() -> Self {
        Self {
            turns: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }
}

impl<S: Copy + Ord, C: Copy + Ord> Turns<S, C> {
    /// Whether `who` may be promised a ballot now; else it waits, and a later ballot of its own replaces an earlier one.
    pub fn ask(&mut self, slot: S, who: C, ballot: Ballot, now: Time) -> bool {
        match self.turns.get_mut(&slot) {
            Some(turn) if turn.until > now && turn.of != who => {
                turn.waiting.insert(who, ballot);
                false
            }
            _ => true,
        }
    }

    /// `who` was promised a ballot. Another ballot in one's own turn makes it no longer.
    pub fn begin(&mut self, slot: S, who: C, now: Time) {
        let mut waiting = BTreeMap::new();
        if let Some(turn) = self.turns.get_mut(&slot) {
            if turn.of == who && turn.until > now {
                return;
            }
            waiting = std::mem::take(&mut turn.waiting);
            self.ends.remove(&(turn.until, slot));
        }
        waiting.remove(&who);
        let until = now + TURN;
        self.ends.insert((until, slot));
        let of = who;
        self.turns.insert(slot, Turn { of, until, waiting });
    }

    /// Those who wait at a slot that is settled: it has no turns any more.
    pub fn end(&mut self, slot: S) -> Vec<C> {
        let Some(turn) = self.turns.remove(&slot) else {
            return Vec::new();
        };
        self.ends.remove(&(turn.until, slot));
        turn.waiting.into_keys().collect()
    }

    /// Somebody is gone. A turn of his goes on: he may be back.
    pub fn leave(&mut self, who: C) {
        for turn in self.turns.values_mut() {
            turn.waiting.remove(&who);
        }
    }

    /// The next turn that is over and where somebody waited. To be called until there is none.
    pub fn draw(&mut self, now: Time, chance: &mut Jitter) -> Option<Drawn<S, C>> {
        while let Some((until, slot)) = self.ends.first().copied() {
            if until > now {
                break;
            }
            self.ends.remove(&(until, slot));
            let turn = self.turns.remove(&slot)?;
            let waiting: Vec<(C, Ballot)> = turn.waiting.into_iter().collect();
            let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
            let place = chance.below(count) as usize;
            if let Some(next) = waiting.get(place).copied() {
                let others = waiting.iter().map(|(who, _)| *who);
                let others = others.filter(|who| *who != next.0).collect();
                return Some(Drawn { slot, next, others });
            }
        }
        None
    }

    /// When the next turn is over.
    pub fn next(&self) -> Option<Time> {
        self.ends.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: u8 = 7;
    const ALICE: u32 = 1;

    fn ballot(counter: u32) -> Ballot {
        Ballot {
            counter,
            salt: [0; 8],
        }
    }

    #[test]
    fn box_16_a_promise_holds_the_slot_for_a_second_and_no_longer() {
        let (mut turns, mut chance) = (Turns::default(), Jitter::new(1));
        assert!(turns.ask(SLOT, ALICE, ballot(1), Time::ZERO));
        turns.begin(SLOT, ALICE, Time::ZERO);
        let half = TURN / 2;
        assert!(turns.ask(SLOT, ALICE, ballot(2), half), "in one's own turn");
        turns.begin(SLOT, ALICE, half);
        assert_eq!(turns.next(), Some(TURN), "which gets no longer");
        assert!(!turns.ask(SLOT, 2, ballot(3), half));
        assert_eq!(turns.draw(half, &mut chance), None);
        let drawn = turns.draw(TURN, &mut chance).unwrap();
        assert_eq!((drawn.next, drawn.others), ((2, ballot(3)), vec![]));
        assert!(turns.ask(SLOT, 3, ballot(4), TURN));
    }

    #[test]
    fn box_16_who_proposes_all_day_shuts_nobody_out() {
        let (mut turns, mut chance) = (Turns::default(), Jitter::new(5));
        let mut won = BTreeMap::new();
        turns.begin(SLOT, ALICE, Time::ZERO);
        for second in 1..=300_u32 {
            let now = TURN * (second - 1);
            for counter in 0..50 {
                turns.ask(SLOT, ALICE, ballot(counter), now);
            }
            for other in 2..5 {
                turns.ask(SLOT, other, ballot(1), now);
            }
            let now = TURN * second;
            let drawn = turns.draw(now, &mut chance).unwrap();
            *won.entry(drawn.next.0).or_insert(0) += 1;
            turns.begin(SLOT, drawn.next.0, now);
        }
        assert!(
            won.values().all(|count| (45..120).contains(count)),
            "{won:?}"
        );
        assert_eq!(won.len(), 4);
    }

    #[test]
    fn box_16_who_is_gone_is_not_drawn_and_a_settled_slot_has_no_turns() {
        let (mut turns, mut chance) = (Turns::default(), Jitter::new(1));
        turns.begin(SLOT, ALICE, Time::ZERO);
        for who in [2, 3] {
            assert!(!turns.ask(SLOT, who, ballot(2), Time::ZERO));
        }
        turns.leave(2);
        assert_eq!(turns.end(SLOT), [3]);
        assert_eq!((turns.next(), turns.draw(TURN, &mut chance)), (None, None));
        turns.begin(SLOT, ALICE, TURN);
        assert!(!turns.ask(SLOT, 2, ballot(2), TURN));
        turns.leave(2);
        assert_eq!(turns.draw(TURN * 2, &mut chance), None);
    }
}
