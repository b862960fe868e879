//! A mailbox holder as far as the ordering needs one: its registers, the commits left with it, certificates. It has everything on disk
//! before it answers, so a crash is an answer that never comes.

use std::collections::BTreeMap;

use starling_chat::order::group::Commit;
use starling_chat::order::member::{Ask, Word};
use starling_protocol::mailbox::register::{Place, Register};
use starling_wire::ids::{EndpointKey, EntryId};
use starling_wire::ordering::choice::Certificate;
use starling_wire::ordering::grounds::{Grounded, Grounds};
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Holders, Seat, Slot};

use crate::chance::Chance;

/// How a holder behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Honest,
    /// It promises everybody everything, remembers nothing it agreed to, and agrees to whatever is asked; and often it is silent.
    Lies,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Holder {
    number: u8,
    manner: Manner,
    registers: BTreeMap<(Seat, Slot), Register>,
    commits: BTreeMap<(Seat, Slot), BTreeMap<EntryId, Commit>>,
    /// Of what was agreed to.
    grounds: BTreeMap<(Seat, Slot), Grounds>,
    settled: BTreeMap<(Seat, Slot), Certificate>,
}

/// Which slot a question is about.
pub fn slot_of(ask: &Ask) -> Slot {
    match ask {
        Ask::State(slot) | Ask::Prepare(slot, ..) | Ask::Accept(slot, _) => *slot,
        Ask::Deposit(commit) => commit.slot,
        Ask::Settle(certificate) => certificate.slot(),
    }
}

impl Holder {
    /// Knowing nothing.
    pub fn new(number: u8, manner: Manner) -> Self {
        Self {
            number,
            manner,
            registers: BTreeMap::new(),
            commits: BTreeMap::new(),
            grounds: BTreeMap::new(),
            settled: BTreeMap::new(),
        }
    }

    /// Which one.
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// Whether this is the holder of a seat.
    pub fn is(&self, seat: Seat) -> bool {
        seat.holder == EndpointKey([self.number; 32])
    }

    /// What it says to a question about a slot of these holders.
    pub fn answer(
        &mut self,
        seat: Seat,
        holders: &Holders,
        ask: Ask,
        chance: &mut Chance,
    ) -> Vec<Word> {
        let slot = slot_of(&ask);
        if let Ask::Deposit(commit) = ask {
            let commits = self.commits.entry((seat, slot)).or_default();
            commits.insert(commit.id, commit);
            return Vec::new();
        }
        if self.manner == Manner::Lies {
            return self.lie(seat, holders, &ask, chance);
        }
        if let Ask::Settle(certificate) = ask {
            self.settled.insert((seat, slot), certificate);
            return Vec::new();
        }
        if let Some(certificate) = self.settled.get(&(seat, slot)) {
            let certificate = Word::Certificate(certificate.clone());
            return self.commits_of(seat, slot).chain([certificate]).collect();
        }
        self.answer_open(seat, holders, slot, ask)
    }

    fn answer_open(&mut self, seat: Seat, holders: &Holders, slot: Slot, ask: Ask) -> Vec<Word> {
        let place = Place {
            holders,
            seat,
            slot,
        };
        let register = self.registers.entry((seat, slot)).or_default();
        match ask {
            Ask::Prepare(_, ballot, seen) => {
                let seen =
                    seen.filter(|seen| seen.get().slot == slot && holders.has(seen.get().seat));
                register.prepare(ballot, seen.map(|seen| seen.get().ballot));
            }
            Ask::Accept(_, asked) => {
                let commits = self.commits.get(&(seat, slot));
                let here = commits.is_some_and(|commits| commits.contains_key(&asked.entry));
                let before = *register;
                let accept = |()| {
                    register
                        .accept(place, asked.ballot, asked.entry, &asked.grounds)
                        .ok()
                };
                if let Some(vote) = here.then_some(()).and_then(accept) {
                    if *register != before {
                        self.grounds.insert((seat, slot), asked.grounds);
                    }
                    return vec![Word::Vote(Known::in_a_model(vote))];
                }
            }
            Ask::State(_) => {}
            Ask::Deposit(_) | Ask::Settle(_) => return Vec::new(),
        }
        let promise = register.promise(place).map(Known::in_a_model);
        let promised = promise.and_then(|promise| {
            let kept = self.grounds.get(&(seat, slot)).cloned();
            Grounded::new(holders, promise, kept.unwrap_or_default()).ok()
        });
        let promised = promised.map(Word::Promised);
        self.commits_of(seat, slot).chain(promised).collect()
    }

    fn lie(&self, seat: Seat, holders: &Holders, ask: &Ask, chance: &mut Chance) -> Vec<Word> {
        if chance.is(0.2) {
            return Vec::new();
        }
        match ask {
            Ask::Prepare(slot, ballot, _) => {
                let promise = Known::in_a_model(Promise {
                    seat,
                    slot: *slot,
                    ballot: *ballot,
                    accepted: None,
                });
                let promised = Grounded::new(holders, promise, Grounds::default());
                promised.map(Word::Promised).into_iter().collect()
            }
            Ask::Accept(slot, asked) => vec![Word::Vote(Known::in_a_model(Vote {
                seat,
                slot: *slot,
                ballot: asked.ballot,
                entry: asked.entry,
            }))],
            Ask::State(_) | Ask::Deposit(_) | Ask::Settle(_) => Vec::new(),
        }
    }

    fn commits_of(&self, seat: Seat, slot: Slot) -> impl Iterator<Item = Word> + use<> {
        let commits = self.commits.get(&(seat, slot)).cloned().unwrap_or_default();
        commits.into_values().map(Word::Commit)
    }
}
