//! A whole group: members, holders, and a network that loses, delays, repeats and parts. Members and holders are the machines themselves
//! over a pretended group; members may crash and come back with what they had on disk, and one holder may lie.
//!
//! At the end the network heals, everybody talks to everybody, and the world is asked what must hold then ([`Findings`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use starling_chat::order::chain::Outcome;
use starling_chat::order::group::Group;
use starling_chat::order::member::{Event, Kept, Member, Request, Word};
use starling_chat::order::pretend::{Change, Pretend};
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, MailboxId};
use starling_wire::ordering::{Holders, Seat};

use super::findings::{Findings, Setting};
use super::holder::{Holder, Manner};
use super::person::{Person, Text};
use crate::chance::Chance;
use crate::queue::Queue;

#[derive(Debug)]
enum Happens {
    ToHolder(u8, Request),
    ToMember(u8, Option<Seat>, Vec<Word>),
    Text(u8, Text),
    Wake(u8, u64),
    Commit(u8),
    Write(u8),
    Meet(u8),
    Part,
    Heal,
    Crash,
    Back(u8),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct World {
    setting: Setting,
    chance: Chance,
    queue: Queue<Happens>,
    now: Duration,
    people: Vec<Person>,
    holders: Vec<Holder>,
    /// The side everybody is on while the network is parted: members first, then holders.
    sides: Vec<bool>,
    parted: bool,
    settled: BTreeMap<EpochTag, BTreeSet<EntryId>>,
    texts: u64,
    findings: Findings,
}

impl World {
    /// Before anything happened.
    pub fn new(setting: Setting) -> Self {
        let mut chance = Chance::new(setting.seed);
        let first = Holders {
            generation: 1,
            seats: (0..setting.holders.min(3))
                .map(|number| seat(number, 1))
                .collect(),
        };
        let person = |number| {
            let group = Pretend::new(number, first.clone());
            Person {
                machine: Member::new(Kept::default(), seed(&mut chance)),
                disk: (Kept::default(), group.clone()),
                epochs: BTreeSet::from([group.epoch()]),
                group,
                read: BTreeSet::new(),
                written: BTreeMap::new(),
                commits: BTreeMap::new(),
                texts: BTreeMap::new(),
                settled: BTreeMap::new(),
                away: false,
                copies: 0,
                wakes: 0,
            }
        };
        let people: Vec<_> = (0..setting.members).map(person).collect();
        let manner = |number| match setting.liar && number == 2 {
            true => Manner::Lies,
            false => Manner::Honest,
        };
        Self {
            people,
            holders: (0..setting.holders)
                .map(|number| Holder::new(number, manner(number)))
                .collect(),
            sides: vec![false; usize::from(setting.members) + usize::from(setting.holders)],
            parted: false,
            chance,
            queue: Queue::new(),
            now: Duration::ZERO,
            settled: BTreeMap::new(),
            texts: 0,
            findings: Findings::default(),
            setting,
        }
    }

    /// Lets things go wrong, heals, waits until all is quiet, and looks.
    pub fn run(mut self) -> Findings {
        self.plan();
        let end = self.setting.trouble;
        self.go_on_until(end);
        self.heal();
        // Long enough for the slowest retry (ten minutes, and as much by chance), twice.
        self.go_on_until(end + Duration::from_secs(3_600));
        self.look()
    }

    fn plan(&mut self) {
        for number in 0..self.setting.members {
            for (every, happens) in [
                (self.setting.commits_every, Happens::Commit(number)),
                (self.setting.texts_every, Happens::Write(number)),
                (Duration::from_secs(60), Happens::Meet(number)),
            ] {
                self.after_about(every, happens);
            }
        }
        self.after_about(self.setting.parts_every, Happens::Part);
        self.after_about(self.setting.crashes_every, Happens::Crash);
    }

    fn go_on_until(&mut self, end: Duration) {
        while let Some((at, happens)) = self.queue.next_by(end) {
            self.now = at;
            self.let_happen(happens);
        }
        self.now = end;
    }

    fn let_happen(&mut self, happens: Happens) {
        match happens {
            Happens::ToHolder(from, request) => self.at_holder(from, request),
            Happens::ToMember(to, seat, words) => self.at_member(to, seat, words),
            Happens::Text(to, text) => self.take_text(to, text),
            Happens::Wake(to, number) => self.wake(to, number),
            Happens::Commit(member) => self.commit(member),
            Happens::Write(member) => self.write(member),
            Happens::Meet(member) => self.meet(member),
            Happens::Part => self.part(),
            Happens::Heal => self.parted = false,
            Happens::Crash => self.crash(),
            Happens::Back(member) => self.come_back(member),
        }
    }

    fn is_trouble(&self) -> bool {
        self.now < self.setting.trouble
    }

    fn heal(&mut self) {
        self.parted = false;
        for number in 0..self.setting.members {
            if self.people[usize::from(number)].away {
                self.come_back(number);
            }
        }
    }

    fn part(&mut self) {
        if !self.is_trouble() {
            return;
        }
        self.parted = true;
        for side in &mut self.sides {
            *side = self.chance.is(0.5);
        }
        let lasts = self.setting.parts_every / 2;
        self.queue.add(self.now + lasts, Happens::Heal);
        self.after_about(self.setting.parts_every, Happens::Part);
    }

    fn crash(&mut self) {
        if !self.is_trouble() {
            return;
        }
        let number = self.chance.below(self.people.len()) as u8;
        self.people[usize::from(number)].away = true;
        let back = Duration::from_secs(1 + self.chance.below(120) as u64);
        self.queue.add(self.now + back, Happens::Back(number));
        self.after_about(self.setting.crashes_every, Happens::Crash);
    }

    /// `ORDER-10`: with what was on disk, and nothing else.
    fn come_back(&mut self, number: u8) {
        let seed = seed(&mut self.chance);
        let person = &mut self.people[usize::from(number)];
        if !std::mem::take(&mut person.away) {
            return;
        }
        let (kept, group) = person.disk.clone();
        person.machine = Member::new(kept, seed);
        person.group = group;
        let now = self.now;
        person
            .machine
            .handle_words(None, [], &mut person.group, now);
        self.drain(number);
        self.meet(number);
    }

    fn commit(&mut self, number: u8) {
        if !self.is_trouble() {
            return;
        }
        self.after_about(self.setting.commits_every, Happens::Commit(number));
        let salt = self.chance.number();
        let change = self.some_change(number);
        let now = self.now;
        let person = &mut self.people[usize::from(number)];
        if person.away || person.machine.own().is_some() {
            return;
        }
        let (slot, _) = person
            .machine
            .chain()
            .candidates(person.group.epoch(), &person.group);
        let commit = person.group.commit(slot.attempt, &change, salt);
        person.commits.insert(commit.id, commit.clone());
        person
            .machine
            .handle_proposal(commit, &mut person.group, now);
        self.drain(number);
    }

    /// Mostly nothing special; sometimes garbage, and sometimes other holders.
    fn some_change(&mut self, number: u8) -> Change {
        match self.chance.below(20) {
            0 => Change::Garbage,
            1 | 2 => {
                let generation = self.people[usize::from(number)].group.holders().generation + 1;
                let all: Vec<u8> = (0..self.setting.holders).collect();
                let chosen = self.chance.some(&all, 3);
                let seats = chosen
                    .into_iter()
                    .map(|one| seat(one, generation))
                    .collect();
                Change::Holders(Holders { generation, seats })
            }
            _ => Change::Update,
        }
    }

    fn write(&mut self, number: u8) {
        if !self.is_trouble() {
            return;
        }
        self.after_about(self.setting.texts_every, Happens::Write(number));
        if self.people[usize::from(number)].away {
            return;
        }
        self.texts += 1;
        self.seal(number, self.texts);
    }

    /// Encrypts a text for the epoch its author is in, and sends it to all.
    fn seal(&mut self, number: u8, id: u64) {
        let person = &mut self.people[usize::from(number)];
        let text = Text {
            id,
            epoch: person.group.epoch(),
        };
        person.written.insert(id, text.epoch);
        person.read.insert(id);
        person.texts.insert((id, text.epoch), text.clone());
        for to in 0..self.setting.members {
            self.send_member(number, to, Happens::Text(to, text.clone()));
        }
    }

    fn take_text(&mut self, to: u8, text: Text) {
        let person = &mut self.people[usize::from(to)];
        if !person.away {
            person.take(text);
        }
    }

    /// Everything a member has seen goes to somebody else: so what was lost comes again.
    fn meet(&mut self, number: u8) {
        let often = if self.is_trouble() { 60 } else { 10 };
        self.queue
            .add(self.now + Duration::from_secs(often), Happens::Meet(number));
        let other = self.chance.below(self.people.len()) as u8;
        let person = &self.people[usize::from(number)];
        if person.away || other == number {
            return;
        }
        let commits = person.commits.values().cloned().map(Word::Commit);
        let words: Vec<Word> = commits.chain(person.machine.words(&person.group)).collect();
        let lost = person.machine.chain().lost();
        let texts: Vec<Text> = person.texts.values().cloned().collect();
        self.send_member(number, other, Happens::ToMember(other, None, words));
        for text in texts {
            self.send_member(number, other, Happens::Text(other, text));
        }
        if let Some((epoch, entry)) = lost {
            self.rejoin(number, other, epoch, entry);
        }
        self.ask_author(number, other);
    }

    fn at_holder(&mut self, from: u8, request: Request) {
        let Some(holder) = self
            .holders
            .iter_mut()
            .find(|holder| holder.is(request.seat))
        else {
            return;
        };
        // The holder knows who decides the slot since the box was opened; here the commit's author tells.
        let person = &self.people[usize::from(from)];
        let slot = super::holder::slot_of(&request.ask);
        let Some(holders) = person.machine.holders_of(slot.epoch, &person.group) else {
            return;
        };
        let words = holder.answer(request.seat, &holders, request.ask, &mut self.chance);
        let number = usize::from(self.setting.members) + usize::from(holder.number());
        self.send(
            number,
            usize::from(from),
            Happens::ToMember(from, Some(request.seat), words),
        );
    }

    fn at_member(&mut self, to: u8, seat: Option<Seat>, words: Vec<Word>) {
        let now = self.now;
        let person = &mut self.people[usize::from(to)];
        if person.away {
            return;
        }
        for word in &words {
            if let Word::Commit(commit) = word {
                person.commits.insert(commit.id, commit.clone());
            }
        }
        person
            .machine
            .handle_words(seat, words, &mut person.group, now);
        self.drain(to);
    }

    fn wake(&mut self, to: u8, number: u64) {
        let now = self.now;
        let person = &mut self.people[usize::from(to)];
        if person.away || person.wakes != number {
            return;
        }
        person.machine.handle_timeout(&mut person.group, now);
        self.drain(to);
    }

    /// Carries out what a machine wants, what is to be kept first.
    fn drain(&mut self, number: u8) {
        let person = &mut self.people[usize::from(number)];
        if let Some(kept) = person.machine.poll_persist() {
            person.disk = (kept, person.group.clone());
        }
        let requests: Vec<Request> =
            std::iter::from_fn(|| person.machine.poll_transmit()).collect();
        let events: Vec<Event> = std::iter::from_fn(|| person.machine.poll_event()).collect();
        person.copies = person.copies.max(person.group.copies());
        for request in requests {
            if let Some(holder) = self.holders.iter().find(|holder| holder.is(request.seat)) {
                let to = usize::from(self.setting.members) + usize::from(holder.number());
                self.send(usize::from(number), to, Happens::ToHolder(number, request));
            }
        }
        for event in events {
            self.note(number, event);
        }
        let person = &mut self.people[usize::from(number)];
        person.wakes += 1;
        if let Some((at, _)) = person.machine.poll_timeout(&person.group) {
            let wake = Happens::Wake(number, person.wakes);
            self.queue
                .add(at.max(self.now + Duration::from_millis(1)), wake);
        }
    }

    fn note(&mut self, number: u8, event: Event) {
        match event {
            Event::Tell(word) => {
                for to in 0..self.setting.members {
                    self.send_member(number, to, Happens::ToMember(to, None, vec![word.clone()]));
                }
            }
            Event::Lost(_) => {}
            Event::Outcome(outcome) => self.follow(number, outcome),
        }
    }

    fn follow(&mut self, number: u8, outcome: Outcome) {
        let person = &mut self.people[usize::from(number)];
        match outcome {
            Outcome::Merged {
                epoch,
                entry,
                settled,
            } => {
                if settled {
                    person.settled.insert(epoch, entry);
                    self.settled.entry(epoch).or_default().insert(entry);
                }
                self.enter(number);
            }
            Outcome::Settled { epoch, entry } => {
                person.settled.insert(epoch, entry);
                self.settled.entry(epoch).or_default().insert(entry);
            }
            Outcome::Overturned { epoch, fallen } => {
                self.findings.overturned += fallen.len();
                self.findings.settled_overturned +=
                    usize::from(person.settled.contains_key(&epoch));
                self.write_again(number, &fallen);
            }
            // Nobody is taken out here; the others come with a meeting.
            Outcome::Fetch(..) | Outcome::Rejoin(..) | Outcome::Removed(..) => {}
        }
    }

    /// In another epoch than before: what could not be read may be now.
    fn enter(&mut self, number: u8) {
        let person = &mut self.people[usize::from(number)];
        person.epochs.insert(person.group.epoch());
        let waiting: Vec<Text> = person.texts.values().cloned().collect();
        for text in waiting {
            person.take(text);
        }
    }

    /// Texts of a branch that fell away are sent again under the same ids.
    fn write_again(&mut self, number: u8, fallen: &[(EntryId, EpochTag)]) {
        let person = &self.people[usize::from(number)];
        let fell = |epoch: &EpochTag| fallen.iter().any(|(_, next)| next == epoch);
        let texts: Vec<u64> = person
            .written
            .iter()
            .filter(|(_, epoch)| fell(epoch))
            .map(|(id, _)| *id)
            .collect();
        for id in texts {
            self.seal(number, id);
        }
    }

    /// What cannot be read is asked for again from its author.
    fn ask_author(&mut self, number: u8, author: u8) {
        let asking = &self.people[usize::from(number)];
        let written = &self.people[usize::from(author)];
        if asking.away || written.away {
            return;
        }
        let missing = |id: &&u64| {
            !asking.read.contains(*id)
                && asking
                    .texts
                    .range((**id, EpochTag([0; 16]))..)
                    .next()
                    .is_some_and(|((text, _), _)| text == *id)
        };
        let missing: Vec<u64> = written.written.keys().filter(missing).copied().collect();
        for id in missing {
            self.seal(author, id);
        }
    }

    /// A member on the right branch lets another one in again.
    fn rejoin(&mut self, number: u8, other: u8, epoch: EpochTag, entry: EntryId) {
        let helper = &self.people[usize::from(other)];
        let right =
            helper.machine.chain().has(epoch, entry) && helper.machine.chain().lost().is_none();
        if helper.away || !right {
            return;
        }
        self.findings.rejoined += 1;
        let (from, chain) = (helper.group.clone(), helper.machine.chain().clone());
        let (now, person) = (self.now, &mut self.people[usize::from(number)]);
        person.group.join(&from);
        person
            .machine
            .handle_rejoined(chain, &mut person.group, now);
        let texts: Vec<u64> = person.written.keys().copied().collect();
        self.enter(number);
        self.drain(number);
        for id in texts {
            self.seal(number, id);
        }
    }

    fn send_member(&mut self, from: u8, to: u8, happens: Happens) {
        if from != to {
            self.send(usize::from(from), usize::from(to), happens);
        }
    }

    /// Between 10 and 300 ms, in any order; in trouble some are lost, some come late.
    fn send(&mut self, from: usize, to: usize, happens: Happens) {
        let trouble = self.is_trouble();
        let cut = self.parted && self.sides[from] != self.sides[to];
        if cut || (trouble && self.chance.is(self.setting.loss)) {
            return;
        }
        let slow = if trouble && self.chance.is(0.05) {
            20_000
        } else {
            290
        };
        let delay = Duration::from_millis(10 + self.chance.below(slow) as u64);
        self.queue.add(self.now + delay, happens);
    }

    fn after_about(&mut self, every: Duration, happens: Happens) {
        let twice = u64::try_from(2 * every.as_millis()).unwrap_or(u64::MAX);
        let after = Duration::from_millis(1 + self.chance.number() % twice.max(1));
        self.queue.add(self.now + after, happens);
    }

    fn look(mut self) -> Findings {
        for person in &self.people {
            let branch = self
                .findings
                .branches
                .entry(person.group.epoch())
                .or_default();
            *branch = person.group.merged().len();
        }
        let own = self
            .people
            .iter()
            .filter(|person| person.machine.own().is_some());
        self.findings.pending = own.count();
        let evidence = self
            .people
            .iter()
            .flat_map(|person| person.machine.chain().told());
        let liars = evidence.flat_map(|evidence| evidence.liars().map(|seat| seat.holder));
        self.findings.liars = liars.collect::<BTreeSet<_>>().len();
        self.findings.split = self
            .settled
            .values()
            .filter(|entries| entries.len() > 1)
            .count();
        self.findings.texts = usize::try_from(self.texts).unwrap_or(usize::MAX);
        let everywhere = |id: &u64| self.people.iter().all(|person| person.read.contains(id));
        self.findings.lost = (1..=self.texts).filter(|id| !everywhere(id)).count();
        self.findings.copies = self
            .people
            .iter()
            .map(|person| person.copies)
            .max()
            .unwrap_or(0);
        self.findings
    }
}

fn seat(number: u8, generation: u32) -> Seat {
    let mut mailbox = [number; 32];
    mailbox[..4].copy_from_slice(&generation.to_be_bytes());
    Seat {
        holder: EndpointKey([number; 32]),
        mailbox: MailboxId(mailbox),
    }
}

fn seed(chance: &mut Chance) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&chance.number().to_be_bytes());
    seed
}
