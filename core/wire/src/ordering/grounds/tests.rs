//! Grounds as they hold and as they are broken, and what follows from them: two certificates always convict somebody.

use super::*;
use crate::ids::{EndpointKey, EpochTag, MailboxId};
use crate::ordering::Seat;
use crate::ordering::choice::{Certificate, contradict};
use crate::ordering::statement::Vote;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

const SLOT: Slot = Slot {
    epoch: EpochTag([1; 16]),
    attempt: 0,
};
const X: EntryId = EntryId([0x10; 32]);
const Y: EntryId = EntryId([0x20; 32]);

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn seat(number: u8) -> Seat {
    Seat {
        holder: EndpointKey(key(number).verifying_key().to_bytes()),
        mailbox: MailboxId([number; 32]),
    }
}

fn three() -> Holders {
    Holders {
        generation: 1,
        seats: (1..=3).map(seat).collect(),
    }
}

fn ballot(counter: u32) -> Ballot {
    Ballot {
        counter,
        salt: [0; 8],
    }
}

fn promise(holder: u8, counter: u32, accepted: Option<(u32, EntryId)>) -> Known<Promise> {
    let promise = Promise {
        seat: seat(holder),
        slot: SLOT,
        ballot: ballot(counter),
        accepted: accepted.map(|(counter, entry)| (ballot(counter), entry)),
    };
    Signed::new(promise, &key(holder)).verify().unwrap()
}

/// Two holders promised; the first of them names X in the ballot below.
fn chain(links: u32) -> Grounds {
    let mut grounds = Grounds::first(vec![promise(1, 1, None), promise(2, 1, None)]);
    for counter in 2..=links {
        let named = promise(1, counter, Some((counter - 1, X)));
        grounds = grounds.under(vec![named, promise(2, counter, None)]);
    }
    grounds
}

fn allow(grounds: &Grounds, counter: u32, entry: EntryId) -> Result<(), GroundsError> {
    grounds.allow(&three(), SLOT, (ballot(counter), entry))
}

#[test]
fn order_12_grounds_go_down_to_a_ballot_before_which_nothing_was_agreed_to() {
    assert_eq!(allow(&chain(1), 1, X), Ok(()));
    assert_eq!(allow(&chain(1), 1, Y), Ok(()), "anything");
    assert_eq!(allow(&chain(3), 3, X), Ok(()));
    assert_eq!(allow(&chain(3), 3, Y), Err(GroundsError::OtherEntry));
    assert_eq!(chain(3).links(), 3);
    let said = chain(3);
    let cut = Grounds(said.promises()[..2].to_vec());
    let too_few = Err(GroundsError::Link(ProofError::TooFew));
    assert_eq!(
        allow(&cut, 3, X),
        too_few,
        "what was agreed to needs grounds"
    );
    let hole = Grounds([&said.promises()[..2], &said.promises()[4..]].concat());
    assert_eq!(allow(&hole, 3, X), too_few);
    let surplus = chain(1).under(vec![promise(1, 2, None), promise(2, 2, None)]);
    assert_eq!(allow(&surplus, 2, X), Err(GroundsError::Surplus));
    assert_eq!(allow(&Grounds::default(), 1, X), too_few);
    assert_eq!(allow(&chain(2), 3, X), too_few, "another ballot");
    let low = Grounds::first(vec![promise(1, 2, Some((1, Y))), promise(2, 2, None)]);
    let other = chain(1).under(low.0.clone());
    assert_eq!(allow(&other, 2, X), Err(GroundsError::OtherEntry));
}

#[test]
fn order_12_grounds_have_at_most_64_links() {
    let most = u32::try_from(LINKS_MAX).unwrap();
    assert_eq!(allow(&chain(most), most, X), Ok(()));
    let longer = chain(most + 1);
    assert_eq!(allow(&longer, most + 1, X), Err(GroundsError::TooMany));
    let flood = SignedGrounds(vec![*promise(1, 1, None).signed(); PROMISES_MAX + 1]);
    assert!(!flood.is_within_bounds());
    let verified = flood.verify(&three(), SLOT, (ballot(1), X));
    assert_eq!(verified, Err(GroundsError::TooMany));
}

#[test]
fn order_12_a_promise_comes_with_the_grounds_of_what_it_names() {
    let holders = three();
    let named = promise(1, 4, Some((3, X)));
    let told = Grounded::new(&holders, named, chain(3)).unwrap();
    assert_eq!(told.signed().verify(&holders), Ok(told.clone()));
    let without = Grounded::new(&holders, named, Grounds::default());
    assert_eq!(without, Err(GroundsError::Link(ProofError::TooFew)));
    let nothing = Grounded::new(&holders, promise(1, 4, None), chain(1));
    assert_eq!(nothing, Err(GroundsError::Surplus));
    let mut forged = told.signed();
    forged.grounds.0[3].signature.0[0] ^= 1;
    assert_eq!(forged.verify(&holders), Err(GroundsError::NotSigned));
    let mut stranger = told.signed();
    stranger.promise = *promise(9, 4, None).signed();
    let foreign = Err(GroundsError::Link(ProofError::Foreign));
    assert_eq!(stranger.verify(&holders), foreign);
    let bytes = crate::frame::encode_body(&told);
    let read: SignedGrounded = crate::frame::decode_body(&bytes, 4_000).unwrap();
    assert_eq!(read, told.signed());
}

/// The lie that was found by going through all states: the third holder names an entry in a ballot in which it never agreed to it.
#[test]
fn order_12_a_holder_cannot_name_what_it_was_not_allowed_to_agree_to() {
    let holders = three();
    // X is settled in ballot 1 by the first two. In ballot 2 the first and the third promised.
    let lie = promise(3, 3, Some((2, Y)));
    let heard = Grounds::first(vec![promise(1, 2, Some((1, X))), promise(3, 2, None)]);
    let lied = Grounded::new(&holders, lie, heard.under(vec![]));
    assert_eq!(lied, Err(GroundsError::OtherEntry));
}

/// A slot in which one holder lies as it likes, and proposers ask for whatever some promises allow. What was promised and what was
/// agreed to is kept, and everything that can be made of it is tried.
#[derive(Default)]
struct Slots {
    promised: [u32; 2],
    accepted: [Option<(u32, EntryId, Grounds)>; 2],
    said: Vec<Known<Promise>>,
    grounds: Vec<(u32, EntryId, Grounds)>,
    votes: Vec<(u8, u32, EntryId)>,
}

impl Slots {
    fn honest(&mut self, holder: u8, counter: u32) {
        let at = usize::from(holder - 1);
        if counter > self.promised[at] {
            self.promised[at] = counter;
            let accepted = self.accepted[at].as_ref();
            let accepted = accepted.map(|(ballot, entry, _)| (*ballot, *entry));
            self.said.push(promise(holder, counter, accepted));
        }
    }

    fn lie(&mut self, counter: u32, pick: usize) {
        let below: Vec<_> = self
            .grounds
            .iter()
            .filter(|(at, ..)| *at < counter)
            .collect();
        let named = below.get(pick % (below.len() + 1));
        let named = named.map(|(at, entry, _)| (*at, *entry));
        self.said.push(promise(3, counter, named));
    }

    /// Every way to ask for an entry in this ballot.
    fn ask(&mut self, counter: u32) {
        let of = |holder| {
            let said = self.said.iter().filter(move |said| {
                said.get().ballot == ballot(counter) && said.get().seat == seat(holder)
            });
            said.copied().map(Some).chain([None]).collect::<Vec<_>>()
        };
        let (first, second, third) = (of(1), of(2), of(3));
        let mut found = Vec::new();
        for a in &first {
            for b in &second {
                for c in &third {
                    let top: Vec<_> = [*a, *b, *c].into_iter().flatten().collect();
                    let lower = self.grounds.iter().map(|(_, _, grounds)| grounds.clone());
                    for lower in lower.chain([Grounds::default()]) {
                        let grounds = lower.under(top.clone());
                        for entry in [X, Y] {
                            if allow(&grounds, counter, entry).is_ok() {
                                found.push((counter, entry, grounds.clone()));
                            }
                        }
                    }
                }
            }
        }
        found.retain(|one| !self.grounds.contains(one));
        self.grounds.extend(found.into_iter().take(8));
    }

    fn agree(&mut self, holder: u8, pick: usize) {
        let Some((counter, entry, grounds)) =
            self.grounds.get(pick % self.grounds.len().max(1)).cloned()
        else {
            return;
        };
        if holder < 3 {
            let at = usize::from(holder - 1);
            let last = self.accepted[at].as_ref();
            let other = last.is_some_and(|(last, one, _)| *last == counter && *one != entry);
            if counter < self.promised[at] || other {
                return;
            }
            self.promised[at] = counter;
            self.accepted[at] = Some((counter, entry, grounds));
        }
        self.votes.push((holder, counter, entry));
    }

    fn certificates(&self) -> Vec<Certificate> {
        let mut found = Vec::new();
        for (counter, entry, grounds) in &self.grounds {
            let voted = |holder: &u8| self.votes.contains(&(*holder, *counter, *entry));
            let votes: Vec<_> = (1..=3)
                .filter(voted)
                .map(|holder| Vote {
                    seat: seat(holder),
                    slot: SLOT,
                    ballot: ballot(*counter),
                    entry: *entry,
                })
                .collect();
            let known = votes.iter().zip((1..=3).filter(voted));
            let known =
                known.map(|(vote, holder)| Signed::new(*vote, &key(holder)).verify().unwrap());
            found.extend(Certificate::new(&three(), known.collect(), grounds.clone()));
        }
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// `ORDER-05`, `ORDER-12`.
    #[test]
    fn order_12_two_certificates_for_different_entries_always_convict_the_liar(
        acts in proptest::collection::vec((0_u8..5, 1_u8..4, 1_u32..6, any::<usize>()), 10..50)
    ) {
        let mut slots = Slots::default();
        for (act, holder, counter, pick) in acts {
            match (act, holder) {
                (0 | 1, 1 | 2) => slots.honest(holder, counter),
                (0 | 1, _) => slots.lie(counter, pick),
                (2, _) => slots.ask(counter),
                _ => slots.agree(holder, pick),
            }
        }
        let certificates = slots.certificates();
        for one in &certificates {
            for other in certificates.iter().filter(|other| other.entry() != one.entry()) {
                let said: Vec<_> = one.said().chain(other.said()).collect();
                let mut lies = said.iter().flat_map(|a| said.iter().map(move |b| (a, b)));
                let lie = lies.find(|(a, b)| contradict(a, b));
                prop_assert!(lie.is_some_and(|(a, _)| a.seat() == seat(3)), "{one:?} {other:?}");
            }
        }
    }
}
