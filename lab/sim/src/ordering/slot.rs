//! One slot, completely: every order in which three holders and two members can go about it, run through the register, the
//! proposer and the certificate themselves ([`stateright`] goes through the states).
//!
//! Whatever was asked or said may be delivered at any later time, any number of times, or never: so loss, delay, repetition
//! and a holder that dies are all in it. Signatures are left out; nobody says anything in another's name.
//!
//! A **lying member** asks anything of anybody, with whatever promises exist. A **lying holder** votes for anything, promises anything,
//! and says that it agreed to whatever can be explained by promises that exist, its own false ones among them: a proposer takes nothing
//! else. So what it can say follows from what was signed, and no agreement with a member is needed for it.
//!
//! A state is small, so that millions fit: what was said is a set of bits, and becomes real statements when a machine is asked.

use std::collections::BTreeSet;

use starling_chat::order::proposer::{Proposer, Step};
use starling_protocol::mailbox::register::{Place, Register};
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, MailboxId};
use starling_wire::ordering::choice::{Certificate, Choice, Said, choose, contradict};
use starling_wire::ordering::grounds::{Grounded, Grounds};
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Ballot, Holders, Seat, Slot};
use stateright::{Model, Property};

use super::bits::{Ask, BALLOTS, ENTRIES, HOLDERS, Promises, SmallPromise, SmallVote, Votes};

/// The holder that lies, where one does.
const LIAR: u8 = 2;
/// The member that lies, where one does; it speaks for nobody else.
const LYING_MEMBER: u8 = 1;
const SLOT: Slot = Slot {
    epoch: EpochTag([1; 16]),
    attempt: 0,
};

/// What is checked. Members are 0 and 1, each with an entry of its own; ballot `2 * try + member` is a member's.
#[derive(Debug, Clone)]
pub struct OneSlot {
    tries: [u8; 2],
    member_lies: bool,
    holder_lies: bool,
    holders: Holders,
}

/// What the world is like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    registers: [Register; HOLDERS as usize],
    /// How many ballots each member has begun.
    begun: [u8; 2],
    /// What was asked of holders, and with which promises.
    asked: BTreeSet<Ask>,
    promises: Promises,
    votes: Votes,
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A member tries again.
    Begin(u8),
    /// A holder is asked to promise a ballot.
    Prepare(u8, u8),
    /// A member has heard these promises of its ballot.
    Heard(u8, Vec<Explained>),
    /// A holder is asked to agree.
    Accept(u8, Ask),
    /// The lying holder promises.
    FalsePromise(SmallPromise),
    /// The lying holder votes.
    FalseVote(SmallVote),
}

/// A promise, and the grounds of what it names.
type Explained = (SmallPromise, Promises);

impl OneSlot {
    /// What `make long` goes through.
    pub fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("honest-2-1", Self::honest([2, 1])),
            ("lying-member-1-1", Self::with_a_lying_member([1, 1])),
            ("lying-holder-1-1", Self::with_a_lying_holder([1, 1])),
        ]
    }

    /// What is gone through only when it is asked for: it takes more than a quarter of an hour.
    pub fn open() -> Vec<(&'static str, Self)> {
        vec![
            ("honest-2-2", Self::honest([2, 2])),
            ("lying-member-2-1", Self::with_a_lying_member([2, 1])),
            ("lying-holder-2-1", Self::with_a_lying_holder([2, 1])),
        ]
    }

    /// Nobody lies; each of two members has so many tries.
    pub fn honest(tries: [u8; 2]) -> Self {
        Self {
            tries,
            member_lies: false,
            holder_lies: false,
            holders: holders(),
        }
    }

    /// The second member lies.
    pub fn with_a_lying_member(tries: [u8; 2]) -> Self {
        Self {
            member_lies: true,
            ..Self::honest(tries)
        }
    }

    /// The third holder lies.
    pub fn with_a_lying_holder(tries: [u8; 2]) -> Self {
        Self {
            holder_lies: true,
            ..Self::honest(tries)
        }
    }

    fn begun(world: &World) -> impl Iterator<Item = u8> {
        (0..BALLOTS).filter(|ballot| ballot / 2 < world.begun[usize::from(ballot % 2)])
    }

    fn lies(&self, holder: u8) -> bool {
        self.holder_lies && holder == LIAR
    }

    /// Anything asked: each entry, with each set of promises that there is for its ballot. How these are explained is all the same to
    /// honest holders, so one way will do.
    fn lying_members_acts(&self, world: &World, ballot: u8, acts: &mut Vec<Act>) {
        for top in world.promises.subsets_of(ballot) {
            for entry in 0..ENTRIES {
                let found = self.grounds_on(world.promises, top, (ballot, entry));
                let asks = found.first().map(|promises| Ask {
                    ballot,
                    entry,
                    promises: *promises,
                });
                let ask = |ask| (0..HOLDERS).map(move |holder| Act::Accept(holder, ask));
                acts.extend(asks.into_iter().flat_map(ask));
            }
        }
    }

    /// Anything said about any ballot that is known.
    fn lying_holders_acts(&self, world: &World, ballot: u8, acts: &mut Vec<Act>) {
        let earlier = Self::begun(world).filter(|earlier| *earlier < ballot);
        let claims = earlier.flat_map(|earlier| (0..ENTRIES).map(move |entry| (earlier, entry)));
        let explained = |claim: &(u8, u8)| !self.all_grounds(world.promises, *claim).is_empty();
        let claims = claims.filter(explained).map(Some);
        acts.extend(claims.chain([None]).map(|accepted| {
            Act::FalsePromise(SmallPromise {
                holder: LIAR,
                ballot,
                accepted,
            })
        }));
        acts.extend((0..ENTRIES).map(|entry| {
            Act::FalseVote(SmallVote {
                holder: LIAR,
                ballot,
                entry,
            })
        }));
    }

    /// Each way in which these promises allow an entry in a ballot, down to the beginning.
    fn all_grounds(&self, promises: Promises, (ballot, entry): (u8, u8)) -> Vec<Promises> {
        let tops = promises.subsets_of(ballot).into_iter();
        tops.flat_map(|top| self.grounds_on(promises, top, (ballot, entry)))
            .collect()
    }

    /// The same with these promises of the ballot itself.
    fn grounds_on(&self, all: Promises, top: Promises, (ballot, entry): (u8, u8)) -> Vec<Promises> {
        match self.choice(top, ballot) {
            Some(Choice::Free) => vec![top],
            Some(Choice::Must(last, must)) if must == self::entry(entry) => {
                let last = small_ballot(last).map(|last| (last, entry));
                let below = last.map_or_else(Vec::new, |of| self.all_grounds(all, of));
                below.into_iter().map(|below| below.with(top)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Each set of promises that can be heard in a ballot, each with each way to explain what it names.
    fn heard(&self, world: &World, ballot: u8) -> Vec<Vec<Explained>> {
        let sets = world.promises.subsets_of(ballot).into_iter();
        sets.flat_map(|set| {
            set.iter().fold(vec![Vec::new()], |sets, said| {
                let ways = self.explained(world, said);
                let more = |set: &Vec<Explained>| {
                    let set = set.clone();
                    ways.iter()
                        .map(move |way| [&set[..], &[(said, *way)]].concat())
                        .collect::<Vec<_>>()
                };
                sets.iter().flat_map(more).collect()
            })
        })
        .collect()
    }

    /// An honest holder explains what it agreed to by what it was asked with, the other one by anything.
    fn explained(&self, world: &World, said: SmallPromise) -> Vec<Promises> {
        let Some(named) = said.accepted else {
            return vec![Promises::default()];
        };
        if self.lies(said.holder) {
            return self.all_grounds(world.promises, named);
        }
        let asked = world.asked.iter();
        let asked = asked.filter(|ask| (ask.ballot, ask.entry) == named);
        let asked = asked.map(|ask| ask.promises);
        // Where no holder lies there is nobody to convict, and one way will do.
        let ways = if self.holder_lies { usize::MAX } else { 1 };
        asked.take(ways).collect()
    }

    fn choice(&self, promises: Promises, ballot: u8) -> Option<Choice> {
        let said = promises.iter().map(|said| self.real_promise(said));
        let said: Vec<Promise> = said.collect();
        choose(&self.holders, SLOT, real_ballot(ballot), &said).ok()
    }

    /// What a proposer asks for once it has heard these promises. Entries lie at holders, so what it must fetch it gets.
    fn asks(&self, ballot: u8, heard: Vec<Explained>) -> Option<Ask> {
        let own = entry(ballot % 2);
        let mut proposer = Proposer::new(SLOT, self.holders.clone(), own, real_ballot(ballot).salt);
        while proposer.ballot() < real_ballot(ballot) {
            let _ = proposer.again(real_ballot(ballot).salt);
        }
        for (said, grounds) in heard {
            let said = Known::in_a_model(self.real_promise(said));
            let grounded = Grounded::new(&self.holders, said, self.real_grounds(grounds)).ok()?;
            let mut step = proposer.handle_promise(grounded);
            while let Some(Step::Fetch(entries)) = step {
                step = entries
                    .into_iter()
                    .fold(None, |step, entry| proposer.handle_entry(entry).or(step));
            }
            if let Some(Step::Accept(asked)) = step {
                return Some(Ask {
                    ballot,
                    entry: small_entry(asked.entry)?,
                    promises: self.small_promises(&asked.grounds)?,
                });
            }
        }
        None
    }

    /// Whether more than one entry has the votes of a majority: few states do, and only these are looked at closely.
    fn is_split(&self, world: &World) -> bool {
        let settled = |entry: u8| {
            (0..BALLOTS).any(|ballot| world.votes.count(ballot, entry) >= self.holders.majority())
        };
        (0..ENTRIES).filter(|entry| settled(*entry)).count() > 1
    }

    /// Every certificate that somebody could show.
    fn certificates(&self, world: &World) -> Vec<Certificate> {
        let mut found = Vec::new();
        for ask in &world.asked {
            let votes: Vec<_> = (0..HOLDERS)
                .map(|holder| SmallVote {
                    holder,
                    ballot: ask.ballot,
                    entry: ask.entry,
                })
                .filter(|vote| world.votes.has(*vote))
                .map(|vote| Known::in_a_model(self.real_vote(vote)))
                .collect();
            for left_out in 0..=votes.len() {
                let mut some = votes.clone();
                if left_out < some.len() {
                    some.remove(left_out);
                }
                let grounds = self.real_grounds(ask.promises);
                found.extend(Certificate::new(&self.holders, some, grounds));
            }
        }
        found
    }

    fn place(&self, holder: u8) -> Place<'_> {
        Place {
            holders: &self.holders,
            seat: self.holders.seats[usize::from(holder)],
            slot: SLOT,
        }
    }

    fn number_of(&self, seat: Seat) -> Option<u8> {
        (0..HOLDERS).find(|holder| self.place(*holder).seat == seat)
    }

    fn real_promise(&self, said: SmallPromise) -> Promise {
        Promise {
            seat: self.place(said.holder).seat,
            slot: SLOT,
            ballot: real_ballot(said.ballot),
            accepted: said
                .accepted
                .map(|(ballot, number)| (real_ballot(ballot), entry(number))),
        }
    }

    fn real_grounds(&self, promises: Promises) -> Grounds {
        (0..BALLOTS).fold(Grounds::default(), |below, ballot| {
            let of_ballot = promises.iter().filter(|said| said.ballot == ballot);
            let link = of_ballot.map(|said| Known::in_a_model(self.real_promise(said)));
            below.under(link.collect())
        })
    }

    fn small_promises(&self, grounds: &Grounds) -> Option<Promises> {
        let mut small = Promises::default();
        for promise in grounds.promises().iter().map(Known::get) {
            let accepted = match promise.accepted {
                None => None,
                Some((ballot, agreed)) => Some((small_ballot(ballot)?, small_entry(agreed)?)),
            };
            small.insert(SmallPromise {
                holder: self.number_of(promise.seat)?,
                ballot: small_ballot(promise.ballot)?,
                accepted,
            });
        }
        Some(small)
    }

    fn real_vote(&self, vote: SmallVote) -> Vote {
        Vote {
            seat: self.place(vote.holder).seat,
            slot: SLOT,
            ballot: real_ballot(vote.ballot),
            entry: entry(vote.entry),
        }
    }
}

impl Model for OneSlot {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            registers: [Register::default(); HOLDERS as usize],
            begun: [0; 2],
            asked: BTreeSet::new(),
            promises: Promises::default(),
            votes: Votes::default(),
        }]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        let more =
            |member: &u8| world.begun[usize::from(*member)] < self.tries[usize::from(*member)];
        acts.extend((0..2).filter(more).map(Act::Begin));
        for ballot in Self::begun(world) {
            let honest = (0..HOLDERS).filter(|holder| !self.lies(*holder));
            acts.extend(honest.map(|holder| Act::Prepare(holder, ballot)));
            if self.holder_lies {
                self.lying_holders_acts(world, ballot, acts);
            }
            if self.member_lies && ballot % 2 == LYING_MEMBER {
                self.lying_members_acts(world, ballot, acts);
            } else if !world.asked.iter().any(|ask| ask.ballot == ballot) {
                let heard = self.heard(world, ballot).into_iter();
                acts.extend(heard.map(|heard| Act::Heard(ballot, heard)));
            }
        }
        for ask in &world.asked {
            let honest = (0..HOLDERS).filter(|holder| !self.lies(*holder));
            acts.extend(honest.map(|holder| Act::Accept(holder, *ask)));
        }
    }

    fn next_state(&self, before: &World, act: Act) -> Option<World> {
        let mut world = before.clone();
        match act {
            Act::Begin(member) => world.begun[usize::from(member)] += 1,
            Act::Prepare(holder, ballot) => {
                let register = &mut world.registers[usize::from(holder)];
                register.prepare(real_ballot(ballot), None);
                world.promises.insert(small_promise(holder, register)?);
            }
            Act::Heard(ballot, heard) => {
                world.asked.insert(self.asks(ballot, heard)?);
            }
            Act::Accept(holder, ask) => {
                let register = &mut world.registers[usize::from(holder)];
                let grounds = self.real_grounds(ask.promises);
                let (ballot, wanted) = (real_ballot(ask.ballot), entry(ask.entry));
                register
                    .accept(self.place(holder), ballot, wanted, &grounds)
                    .ok()?;
                world.votes.insert(SmallVote {
                    holder,
                    ballot: ask.ballot,
                    entry: ask.entry,
                });
                world.asked.insert(ask);
            }
            Act::FalsePromise(said) => world.promises.insert(said),
            Act::FalseVote(vote) => world.votes.insert(vote),
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::sometimes("a slot is settled", |model: &Self, world: &World| {
                world.votes.count(0, 0) > 1 && !model.certificates(world).is_empty()
            }),
            Property::always(
                "two certificates show who lied",
                |model: &Self, world: &World| {
                    if !model.is_split(world) {
                        return true;
                    }
                    let shown = model.certificates(world);
                    let fine = |one| shown.iter().all(|other| agree_or_convict(one, other));
                    shown.iter().all(fine)
                },
            ),
        ];
        properties.push(match self.holder_lies {
            false => Property::always("one certificate", |model: &Self, world: &World| {
                !model.is_split(world)
            }),
            // Or the check of lies would check nothing.
            true => Property::sometimes("two certificates", Self::has_two_certificates),
        });
        properties
    }
}

impl OneSlot {
    fn has_two_certificates(&self, world: &World) -> bool {
        let shown = if self.is_split(world) {
            self.certificates(world)
        } else {
            Vec::new()
        };
        shown.windows(2).any(|two| two[0].entry() != two[1].entry())
    }
}

/// Two certificates are for one entry, or they hold two statements of one holder that contradict each other.
fn agree_or_convict(one: &Certificate, other: &Certificate) -> bool {
    let said: Vec<Said> = one.said().chain(other.said()).collect();
    let lie = |a| said.iter().any(|b| contradict(a, b));
    one.entry() == other.entry() || said.iter().any(lie)
}

fn real_ballot(ballot: u8) -> Ballot {
    Ballot {
        counter: u32::from(ballot / 2) + 1,
        salt: [ballot % 2; 8],
    }
}

fn small_ballot(ballot: Ballot) -> Option<u8> {
    (0..BALLOTS).find(|number| real_ballot(*number) == ballot)
}

fn small_promise(holder: u8, register: &Register) -> Option<SmallPromise> {
    let (promised, accepted) = register.kept();
    let accepted = match accepted {
        None => None,
        Some((ballot, agreed)) => Some((small_ballot(ballot)?, small_entry(agreed)?)),
    };
    Some(SmallPromise {
        holder,
        ballot: small_ballot(promised?)?,
        accepted,
    })
}

fn small_entry(id: EntryId) -> Option<u8> {
    (0..ENTRIES).find(|number| entry(*number) == id)
}

fn entry(member: u8) -> EntryId {
    EntryId([0x10 + member; 32])
}

fn holders() -> Holders {
    let seat = |number| Seat {
        holder: EndpointKey([number; 32]),
        mailbox: MailboxId([number; 32]),
    };
    Holders {
        generation: 1,
        seats: (0..HOLDERS).map(seat).collect(),
    }
}
