//! What holders said of one slot, and what wins by it. Certificates and lies are passed on among members; [`Evidence::winner`] is a pure
//! function of what is known, so all with the same come to the same entry. There is no clock in it, no order of arrival, no depth
//! and no "mine".

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::ids::EntryId;
use starling_wire::ordering::choice::{Certificate, Said, contradict};
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Ballot, Holders, Seat};

/// Statements kept of one holder about one slot, those in certificates not counted; an honest one says two for each ballot.
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
        let mut news = self.keep(certificate);
        for vote in certificate.votes() {
            news |= self.vote(holders, vote);
        }
        for promise in certificate.grounds().promises() {
            news |= self.promise(holders, promise);
        }
        news
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
        let accepted = self
            .honest()
            .flat_map(|seat| self.of(seat))
            .filter_map(|spoken| spoken.said().accepted());
        accepted
            .filter(|(_, agreed)| *agreed == entry)
            .map(|(ballot, _)| ballot)
            .max()
    }

    /// Whether a majority voted for what a certificate settles, without the liars. Whoever's votes stand in it: there may be
    /// several for one entry and ballot, of which one is kept.
    fn is_sound(&self, holders: &Holders, settled: (Ballot, EntryId)) -> bool {
        let voted = |spoken: Spoken| {
            matches!(spoken, Spoken::Vote(_)) && spoken.said().accepted() == Some(settled)
        };
        let voters = self.honest().filter(|seat| self.of(*seat).any(voted));
        voters.count() >= holders.majority()
    }

    /// Who said something, and nothing that contradicts it.
    fn honest(&self) -> impl Iterator<Item = Seat> {
        let seats = self.said.keys().copied();
        seats.filter(|seat| !self.liars.contains_key(seat))
    }

    /// Of certificates the lowest are kept, and one for each ballot and entry: the same ones whatever came first.
    fn keep(&mut self, certificate: &Certificate) -> bool {
        let settles = (certificate.ballot(), certificate.entry());
        let known = self.certificates.get(&settles);
        if known.is_some_and(|known| known <= certificate) {
            return false;
        }
        self.certificates.insert(settles, certificate.clone());
        let full = self.certificates.len() > CERTIFICATES_MAX;
        let gone = full.then(|| self.certificates.pop_last()).flatten();
        let seats: Vec<Seat> = self.said.keys().copied().collect();
        seats.into_iter().for_each(|seat| self.judge(seat));
        gone.is_none_or(|(gone, _)| gone != settles)
    }

    fn add(&mut self, holders: &Holders, spoken: Spoken) -> bool {
        let seat = spoken.said().seat();
        if !holders.has(seat) {
            return false;
        }
        let of_seat = self.said.entry(seat).or_default();
        if !of_seat.insert(spoken) {
            return false;
        }
        // What goes is the same for everybody, whatever came first: promises before votes, the lowest ballots first. So it does not
        // matter either whether somebody is known to have lied when more of his is heard.
        let gone = (of_seat.len() > OF_SEAT_MAX).then(|| of_seat.pop_first());
        self.judge(seat);
        gone.flatten() != Some(spoken)
    }

    /// Whether a holder lied, by what is kept of it and nothing else: a lie that was shown by something that is gone counts for nobody.
    fn judge(&mut self, seat: Seat) {
        let said: BTreeSet<Spoken> = self.of(seat).collect();
        let of_known = |(one, other): &(Spoken, Spoken)| said.contains(one) && said.contains(other);
        if self.liars.get(&seat).is_some_and(of_known) {
            return;
        }
        self.liars.remove(&seat);
        let lie = |one: &Spoken| {
            let other = said.range(*one..);
            let mut other = other.filter(|other| contradict(&one.said(), &other.said()));
            other.next().map(|other| (*one, *other))
        };
        if let Some(lie) = said.iter().find_map(lie) {
            self.liars.insert(seat, lie);
        }
    }

    /// What is kept of a holder: by itself, and in certificates.
    fn of(&self, seat: Seat) -> impl Iterator<Item = Spoken> {
        let alone = self.said.get(&seat).into_iter().flatten().copied();
        let shown = self.certificates.values().flat_map(|certificate| {
            let votes = certificate.votes().iter().copied().map(Spoken::Vote);
            let promises = certificate.grounds().promises().iter().copied();
            votes.chain(promises.map(Spoken::Promise))
        });
        alone.chain(shown.filter(move |spoken| spoken.said().seat() == seat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use starling_wire::ids::{EndpointKey, EpochTag, MailboxId};
    use starling_wire::ordering::Slot;
    use starling_wire::ordering::grounds::Grounds;

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
        Certificate::new(&three(), votes, Grounds::first(proof)).unwrap()
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
        let below = Grounds::first(vec![promise(0, 1, None), promise(2, 1, None)]);
        let proof = vec![promise(0, 3, Some((1, Y))), promise(2, 3, None)];
        let settled = Certificate::new(&three(), votes, below.under(proof)).unwrap();
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
        let below = Grounds::first(vec![promise(1, 2, None), promise(2, 2, None)]);
        let sound = Certificate::new(&three(), votes, below.under(proof)).unwrap();
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

    /// A holder that lied says more and more, so that what convicts it is dropped.
    #[test]
    fn order_09_a_flood_does_not_drive_out_what_certificates_say() {
        let mut evidence = Evidence::default();
        evidence.certificate(&three(), &certificate(1, [0, 2], X));
        evidence.certificate(&three(), &certificate(2, [1, 2], Y));
        for counter in 3..1_000 {
            evidence.vote(&three(), &vote(2, counter, Y));
        }
        assert_eq!(evidence.said[&seat(2)].len(), OF_SEAT_MAX);
        assert_eq!(evidence.liars().collect::<Vec<_>>(), [seat(2)]);
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

    /// What was heard, in this order.
    fn evidence(heard: &[Heard]) -> Evidence {
        let mut evidence = Evidence::default();
        for one in heard {
            match one {
                Heard::Promise(promise) => evidence.promise(&three(), promise),
                Heard::Vote(vote) => evidence.vote(&three(), vote),
                Heard::Certificate(certificate) => evidence.certificate(&three(), certificate),
            };
        }
        evidence
    }

    #[derive(Debug, Clone)]
    enum Heard {
        Promise(Known<Promise>),
        Vote(Known<Vote>),
        Certificate(Certificate),
    }

    fn heard() -> impl Strategy<Value = Heard> {
        let entry = || prop_oneof![Just(X), Just(Y)];
        let named = proptest::option::of((1_u32..100, entry()));
        prop_oneof![
            12 => (0_u8..2, 101_u32..130, named).prop_map(|(h, c, n)| Heard::Promise(promise(h, c, n))),
            8 => (0_u8..3, 1_u32..100, entry()).prop_map(|(h, c, e)| Heard::Vote(vote(h, c, e))),
            1 => (0_u8..3, 1_u32..100, entry())
                .prop_map(|(h, c, e)| Heard::Certificate(certificate(c, [h, (h + 1) % 3], e))),
        ]
    }

    /// More than is kept of a holder, and of certificates.
    fn flood() -> impl Strategy<Value = (Vec<Heard>, Vec<Heard>)> {
        let heard = proptest::collection::vec(heard(), 1..400);
        heard.prop_flat_map(|heard| {
            let shuffled = Just(heard.clone()).prop_shuffle();
            (Just(heard), shuffled)
        })
    }

    proptest! {
        /// Also where there is more than is kept.
        #[test]
        fn order_09_what_is_kept_does_not_depend_on_what_came_first((one, other) in flood()) {
            let (one, other) = (evidence(&one), evidence(&other));
            prop_assert_eq!(winner(&one), winner(&other));
            prop_assert!(one.liars().eq(other.liars()));
            prop_assert_eq!(&one.said, &other.said);
            prop_assert_eq!(&one.certificates, &other.certificates);
        }

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
