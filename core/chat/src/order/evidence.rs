//! What holders said of one slot, and what wins by it. Certificates and lies are passed on among members; [`Evidence::winner`] is a pure
//! function of what is known, so all with the same come to the same entry. There is no clock in it, no order of arrival, no depth
//! and no "mine".

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::ids::EntryId;
use starling_wire::ordering::choice::{Certificate, Said, contradict};
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Ballot, Holders, Seat};

/// Statements kept of one holder about one slot; an honest one says two for each ballot.
const OF_SEAT_MAX: usize = 64;
/// Certificates kept of one slot: there is one, or somebody lied.
const CERTIFICATES_MAX: usize = 4;

/// A statement of a holder, signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoken {
    /// A promise.
    Promise(Known<Promise>),
    /// A vote.
    Vote(Known<Vote>),
}

impl Spoken {
    const fn said(&self) -> Said {
        match self {
            Self::Promise(promise) => Said::Promise(*promise.get()),
            Self::Vote(vote) => Said::Vote(*vote.get()),
        }
    }
}

/// What is known of a slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    said: BTreeMap<Seat, BTreeSet<Spoken>>,
    certificates: BTreeMap<(Ballot, EntryId), Certificate>,
    /// Who contradicted itself, and by what.
    liars: BTreeMap<Seat, (Spoken, Spoken)>,
}

/// How firmly an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nobody agreed to it yet.
    Named,
    /// A holder agreed to it, in this ballot.
    Agreed(Ballot),
    /// It is settled.
    Settled,
}

impl Evidence {
    /// Adds a promise. `true` if it was news.
    pub fn promise(&mut self, holders: &Holders, promise: &Known<Promise>) -> bool {
        self.add(holders, Spoken::Promise(*promise))
    }

    /// Adds a vote. `true` if it was news.
    pub fn vote(&mut self, holders: &Holders, vote: &Known<Vote>) -> bool {
        self.add(holders, Spoken::Vote(*vote))
    }

    /// Adds a certificate, with all that is said in it. `true` if it was news.
    pub fn certificate(&mut self, holders: &Holders, certificate: &Certificate) -> bool {
        for vote in certificate.votes() {
            self.vote(holders, vote);
        }
        for promise in certificate.proof() {
            self.promise(holders, promise);
        }
        let settles = (certificate.ballot(), certificate.entry());
        if self.certificates.contains_key(&settles) {
            return false;
        }
        self.certificates.insert(settles, certificate.clone());
        // The lowest count, so the highest goes.
        let full = self.certificates.len() > CERTIFICATES_MAX;
        let gone = full.then(|| self.certificates.pop_last()).flatten();
        gone.is_none_or(|(gone, _)| gone != settles)
    }

    /// `ORDER-05`: who lied about this slot.
    pub fn liars(&self) -> impl Iterator<Item = Seat> {
        self.liars.keys().copied()
    }

    /// The pairs of statements that show it.
    pub fn lies(&self) -> impl Iterator<Item = &(Spoken, Spoken)> {
        self.liars.values()
    }

    /// The certificates that are known.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// Entries that some holder says it agreed to, settled or not.
    pub fn named(&self) -> impl Iterator<Item = EntryId> {
        let settled = self.certificates.keys().map(|(_, entry)| *entry);
        let accepted = |spoken: &Spoken| spoken.said().accepted();
        let agreed = self.said.values().flatten().filter_map(accepted);
        settled.chain(agreed.map(|(_, entry)| entry))
    }

    /// What holders said that they agreed to.
    pub fn agreements(&self) -> impl Iterator<Item = &Spoken> {
        let said = self.said.values().flatten();
        said.filter(|spoken| spoken.said().accepted().is_some())
    }

    /// `ORDER-06`: what wins. What is settled, first without the votes of proven liars, of two the one with the lower ballot and then the
    /// lower entry; then what was agreed to in the highest ballot by somebody who did not lie; then the lowest. Settled entries win also if they are not
    /// among `here`: then they have to be fetched. Others are chosen from `here` alone, since anybody can speak of an entry that
    /// does not exist.
    pub fn winner(
        &self,
        holders: &Holders,
        here: impl Iterator<Item = EntryId>,
    ) -> Option<(EntryId, Standing)> {
        // One that a liar took part in still has an honest vote, and people went on from it: another one takes its place, a mere
        // agreement does not.
        let settled = self.certificates.keys().copied();
        let ranked = settled.map(|one| (!self.is_sound(holders, one), one));
        if let Some((_, (_, entry))) = ranked.min() {
            return Some((entry, Standing::Settled));
        }
        let standing = |entry: EntryId| match self.agreed(entry) {
            Some(ballot) => Standing::Agreed(ballot),
            None => Standing::Named,
        };
        // The highest standing, and of equal ones the lowest entry.
        let ranked = here.map(|entry| (standing(entry), entry));
        let best = ranked.min_by(|(a, x), (b, y)| b.cmp(a).then(x.cmp(y)));
        best.map(|(standing, entry)| (entry, standing))
    }

    /// The highest ballot in which somebody who did not lie agreed to the entry.
    fn agreed(&self, entry: EntryId) -> Option<Ballot> {
        let honest = self
            .said
            .iter()
            .filter(|(seat, _)| !self.liars.contains_key(seat));
        let accepted =
            honest.flat_map(|(_, said)| said.iter().filter_map(|spoken| spoken.said().accepted()));
        accepted
            .filter(|(_, agreed)| *agreed == entry)
            .map(|(ballot, _)| ballot)
            .max()
    }

    /// Whether a majority voted for what a certificate settles, without the liars. Whoever's votes stand in it: there may be
    /// several for one entry and ballot, of which one is kept.
    fn is_sound(&self, holders: &Holders, settled: (Ballot, EntryId)) -> bool {
        let voted = |spoken: &Spoken| {
            matches!(spoken, Spoken::Vote(_)) && spoken.said().accepted() == Some(settled)
        };
        let honest = self
            .said
            .iter()
            .filter(|(seat, _)| !self.liars.contains_key(seat));
        honest.filter(|(_, said)| said.iter().any(voted)).count() >= holders.majority()
    }

    fn add(&mut self, holders: &Holders, spoken: Spoken) -> bool {
        let seat = spoken.said().seat();
        if !holders.has(seat) || self.liars.contains_key(&seat) {
            return false;
        }
        let of_seat = self.said.entry(seat).or_default();
        let lie = |other: &&Spoken| contradict(&other.said(), &spoken.said());
        if let Some(other) = of_seat.iter().find(lie) {
            self.liars.insert(seat, (*other, spoken));
            return true;
        }
        let news = of_seat.insert(spoken);
        // What goes is the same for everybody: promises before votes, the lowest ballots first.
        let gone = (of_seat.len() > OF_SEAT_MAX).then(|| of_seat.pop_first());
        news && gone.flatten() != Some(spoken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use starling_wire::ids::{EndpointKey, EpochTag, MailboxId};
    use starling_wire::ordering::Slot;

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

    fn ballot(counter: u32) -> Ballot {
        Ballot {
            counter,
            salt: [0; 8],
        }
    }

    fn promise(holder: u8, counter: u32, accepted: Option<(u32, EntryId)>) -> Known<Promise> {
        Known::in_a_model(Promise {
            seat: seat(holder),
            slot: SLOT,
            ballot: ballot(counter),
            accepted: accepted.map(|(counter, entry)| (ballot(counter), entry)),
        })
    }

    fn vote(holder: u8, counter: u32, entry: EntryId) -> Known<Vote> {
        Known::in_a_model(Vote {
            seat: seat(holder),
            slot: SLOT,
            ballot: ballot(counter),
            entry,
        })
    }

    fn certificate(counter: u32, voters: [u8; 2], entry: EntryId) -> Certificate {
        let votes = voters.map(|holder| vote(holder, counter, entry)).to_vec();
        let proof = voters.map(|holder| promise(holder, counter, None)).to_vec();
        Certificate::new(&three(), votes, proof).unwrap()
    }

    fn winner(evidence: &Evidence) -> Option<(EntryId, Standing)> {
        evidence.winner(&three(), [X, Y].into_iter())
    }

    #[test]
    fn order_06_settled_beats_agreed_beats_named() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.winner(&three(), [].into_iter()), None);
        assert_eq!(winner(&evidence), Some((X, Standing::Named)), "the lowest");
        assert!(evidence.vote(&three(), &vote(0, 1, Y)));
        assert!(!evidence.vote(&three(), &vote(0, 1, Y)), "no news");
        assert_eq!(winner(&evidence), Some((Y, Standing::Agreed(ballot(1)))));
        evidence.promise(&three(), &promise(1, 3, Some((2, X))));
        assert_eq!(
            winner(&evidence),
            Some((X, Standing::Agreed(ballot(2)))),
            "a promise tells it, too"
        );
        let votes = vec![vote(0, 3, Y), vote(2, 3, Y)];
        let proof = vec![promise(0, 3, Some((1, Y))), promise(2, 3, None)];
        let settled = Certificate::new(&three(), votes, proof).unwrap();
        assert!(evidence.certificate(&three(), &settled));
        assert!(!evidence.certificate(&three(), &settled), "no news");
        assert_eq!(winner(&evidence), Some((Y, Standing::Settled)));
        assert_eq!(
            evidence.winner(&three(), [X].into_iter()),
            Some((Y, Standing::Settled)),
            "to be fetched"
        );
    }

    #[test]
    fn order_06_an_entry_that_nobody_has_does_not_win_by_a_word() {
        let mut evidence = Evidence::default();
        evidence.vote(&three(), &vote(0, 9, EntryId([0x30; 32])));
        assert_eq!(winner(&evidence), Some((X, Standing::Named)));
    }

    #[test]
    fn order_05_a_liars_word_counts_for_nothing_and_its_statements_are_kept() {
        let mut evidence = Evidence::default();
        evidence.certificate(&three(), &certificate(1, [0, 2], X));
        assert_eq!(winner(&evidence), Some((X, Standing::Settled)));
        // The last holder hides it and takes part in another.
        evidence.certificate(&three(), &certificate(2, [1, 2], Y));
        assert_eq!(evidence.liars().collect::<Vec<_>>(), [seat(2)]);
        let (one, other) = evidence.lies().next().unwrap();
        assert!(contradict(&one.said(), &other.said()));
        assert_eq!(
            winner(&evidence),
            Some((X, Standing::Settled)),
            "of two that a liar took part in, the lower ballot"
        );
        let votes = vec![vote(0, 3, Y), vote(1, 3, Y)];
        let told = Some((2, Y));
        let proof = vec![promise(0, 3, Some((1, X))), promise(1, 3, told)];
        let sound = Certificate::new(&three(), votes, proof).unwrap();
        evidence.certificate(&three(), &sound);
        assert_eq!(
            winner(&evidence),
            Some((Y, Standing::Settled)),
            "without a liar"
        );
    }

    #[test]
    fn order_06_what_is_settled_stays_so_when_one_of_its_voters_is_found_to_have_lied() {
        let mut evidence = Evidence::default();
        evidence.certificate(&three(), &certificate(1, [0, 2], X));
        evidence.vote(&three(), &vote(1, 5, Y));
        evidence.vote(&three(), &vote(2, 1, Y));
        assert_eq!(evidence.liars().count(), 1);
        assert_eq!(winner(&evidence), Some((X, Standing::Settled)));
    }

    #[test]
    fn strangers_and_floods_are_not_kept() {
        let mut evidence = Evidence::default();
        assert!(!evidence.vote(&three(), &vote(7, 1, X)));
        for counter in 1..1_000 {
            evidence.promise(&three(), &promise(0, counter, None));
        }
        assert_eq!(evidence.said[&seat(0)].len(), OF_SEAT_MAX);
        assert!(
            !evidence.promise(&three(), &promise(0, 3, None)),
            "gone already"
        );
        assert!(
            evidence.vote(&three(), &vote(0, 1_000, X)),
            "votes stay longest"
        );
    }

    proptest! {
        /// The same statements in any order, some of them twice, make the same winner.
        #[test]
        fn order_06_the_same_evidence_makes_the_same_winner(
            said in proptest::collection::vec((0_u8..3, 1_u32..4, 0_u8..4), 1..12),
            turns in proptest::collection::vec(any::<prop::sample::Index>(), 24),
        ) {
            let add = |evidence: &mut Evidence, (holder, counter, what): (u8, u32, u8)| match what {
                0 => evidence.vote(&three(), &vote(holder, counter, X)),
                1 => evidence.vote(&three(), &vote(holder, counter, Y)),
                2 => evidence.promise(&three(), &promise(holder, counter + 1, Some((counter, X)))),
                _ => evidence.certificate(&three(), &certificate(counter, [holder, (holder + 1) % 3], Y)),
            };
            let (mut one, mut other) = (Evidence::default(), Evidence::default());
            said.iter().for_each(|what| { add(&mut one, *what); });
            for turn in &turns {
                add(&mut other, said[turn.index(said.len())]);
            }
            said.iter().for_each(|what| { add(&mut other, *what); });
            prop_assert_eq!(winner(&one), winner(&other));
        }
    }
}
