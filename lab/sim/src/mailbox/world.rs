//! The world: who is online, who dies, who tells whom, and what is looked at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_wire::ids::{EndpointKey, EntryId, EpochTag};
use starling_wire::log::frames::{Answer, Ask};
use starling_wire::log::grant::{SignedGrant, Token};
use starling_wire::log::keys::{Ends, Generation, Plan, Side};
use starling_wire::log::{Entry, KEPT_DAYS, Kind};
use starling_wire::ordering::Slot;

use super::member::{Member, Told};
use super::station::{Said, Station, Visitor};
use super::{Middle, Report, Scenario};
use crate::chance::Chance;

const HOUR: Duration = Duration::from_secs(3600);
const FIRST_DAY: u32 = 20_800;
/// Those who are away are back on this day.
const BACK: u32 = 30;
/// Whoever comes or goes does so every so many hours.
const STAYS: u32 = 6;
/// While something is copied, an hour has so many steps of [`STEP`].
const STEPS: u32 = 120;
const STEP: Duration = Duration::from_secs(5);

/// Conversations and holders.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    chance: Chance,
    now: Duration,
    day: u32,
    issuer: SigningKey,
    stations: Vec<Station>,
    /// Where each holder is.
    index: BTreeMap<EndpointKey, usize>,
    conversations: Vec<Conversation>,
    fates: Vec<(u32, usize, Fate)>,
    askers: u64,
    report: Report,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Dies,
    Leaves,
}

#[derive(Debug)]
struct Conversation {
    /// Each with its plan and the day on which the next began.
    generations: Vec<(Generation, Plan, Option<u32>)>,
    members: Vec<Member>,
    shown: BTreeMap<EntryId, Shown>,
}

/// What its author was shown of a message.
#[derive(Debug, Default)]
struct Shown {
    day: u32,
    by: usize,
    receipts: BTreeSet<usize>,
}

impl World {
    /// At its beginning.
    pub fn new(scenario: Scenario) -> Self {
        let issuer = SigningKey::from_bytes(&[0x11; 32]);
        let granted_by = EndpointKey(issuer.verifying_key().to_bytes());
        let station = |number| Station::new(number, granted_by, FIRST_DAY);
        let stations: Vec<Station> = (0..scenario.holders).map(station).collect();
        let index = stations.iter().enumerate();
        let index = index.map(|(at, one)| (one.id(), at)).collect();
        let report = Report {
            scenario: scenario.name.clone(),
            seed: scenario.seed,
            ..Report::default()
        };
        let mut world = Self {
            chance: Chance::new(scenario.seed),
            scenario,
            now: Duration::ZERO,
            day: FIRST_DAY,
            issuer,
            stations,
            index,
            conversations: Vec::new(),
            fates: Vec::new(),
            askers: 0,
            report,
        };
        world.plan_fates();
        for number in 0..world.scenario.conversations {
            world.found(number);
        }
        world
    }

    /// All days.
    pub fn run(mut self) -> Report {
        for hour in 0..self.scenario.days * 24 {
            self.now = HOUR * hour;
            if hour.is_multiple_of(24) {
                self.begin_day(hour / 24);
            }
            self.befall(hour);
            if hour.is_multiple_of(STAYS) {
                self.switch_members(hour / 24);
            }
            for at in 0..self.conversations.len() {
                self.connect(at);
                self.write(at);
            }
            self.pass();
        }
        self.finish()
    }

    /// Which holders die or leave, and when: one after another, over the middle of the time.
    fn plan_fates(&mut self) {
        let all: Vec<usize> = (0..self.stations.len()).collect();
        let count = |share: f64| (share * all.len() as f64) as usize;
        let (deaths, leaving) = (count(self.scenario.deaths), count(self.scenario.leaving));
        let chosen = self.chance.some(&all, deaths + leaving);
        let hours = self.scenario.days.saturating_sub(4) * 24;
        for (turn, station) in chosen.into_iter().enumerate() {
            let fate = if turn < deaths {
                Fate::Dies
            } else {
                Fate::Leaves
            };
            let hour = 48 + self.chance.below(hours as usize) as u32;
            self.fates.push((hour, station, fate));
        }
    }

    fn found(&mut self, number: u32) {
        let mut members = Vec::new();
        for member in 0..self.scenario.members {
            // Never the first one: somebody has to be there.
            let away = member > 0 && self.chance.is(self.scenario.away);
            members.push(Member::new(away));
        }
        self.conversations.push(Conversation {
            generations: Vec::new(),
            members,
            shown: BTreeMap::new(),
        });
        let holders = self.choose(&[], 3);
        self.begin_generation(number as usize, holders);
    }

    /// Holders in blocks that none of those who stay is in.
    fn choose(&mut self, stay: &[usize], count: usize) -> Vec<usize> {
        let mut chosen = stay.to_vec();
        while chosen.len() < count {
            let blocks: BTreeSet<u32> = chosen.iter().map(|at| self.stations[*at].block).collect();
            let free = |at: &usize| {
                let station = &self.stations[*at];
                station.lives() && !station.leaving && !blocks.contains(&station.block)
            };
            let free: Vec<usize> = (0..self.stations.len()).filter(free).collect();
            let Some(next) = free.get(self.chance.below(free.len())) else {
                break;
            };
            chosen.push(*next);
        }
        chosen
    }

    fn begin_generation(&mut self, at: usize, holders: Vec<usize>) {
        let conversation = &mut self.conversations[at];
        let number = conversation.generations.len() as u32 + 1;
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(at as u64).to_be_bytes());
        secret[8..12].copy_from_slice(&number.to_be_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&secret[..16]);
        let generation = Generation {
            number,
            secret: secret.into(),
            first: EpochTag(first),
            holders: holders.iter().map(|at| self.stations[*at].id()).collect(),
        };
        if let Some((.., ended)) = conversation.generations.last_mut() {
            *ended = Some(self.day);
        }
        let plan = generation.plan();
        conversation.generations.push((generation, plan, None));
    }

    fn begin_day(&mut self, day: u32) {
        self.day = FIRST_DAY + day;
        for station in &mut self.stations {
            station.day(self.day);
        }
        self.look();
    }

    /// Starts, deaths, departures.
    fn befall(&mut self, hour: u32) {
        for at in 0..self.stations.len() {
            let starts = self.chance.is(self.scenario.restarts_a_day / 24.0);
            if starts && self.stations[at].lives() && !self.stations[at].leaving {
                let cut = self.stations[at].start(self.day, self.now);
                self.report.fates[0] += 1;
                self.cut(at, cut);
            }
            if self.stations[at].timeout(self.now) {
                let cut = self.stations[at].die();
                self.cut(at, cut);
            }
        }
        let due: Vec<_> = self
            .fates
            .iter()
            .filter(|fate| fate.0 == hour)
            .copied()
            .collect();
        for (_, at, fate) in due {
            match fate {
                Fate::Dies => {
                    let cut = self.stations[at].die();
                    self.report.fates[2] += 1;
                    self.cut(at, cut);
                }
                Fate::Leaves => {
                    let said = self.stations[at].leave(self.now);
                    self.report.fates[1] += 1;
                    self.deliver(at, said);
                }
            }
        }
    }

    /// Connections that are gone with a holder.
    fn cut(&mut self, station: usize, visitors: Vec<Visitor>) {
        let holder = self.stations[station].id();
        for (at, member, generation) in visitors {
            let member = &mut self.conversations[at].members[member];
            member.lost(generation, holder, self.now);
        }
    }

    fn switch_members(&mut self, day: u32) {
        let now = self.now;
        for at in 0..self.conversations.len() {
            for number in 0..self.conversations[at].members.len() {
                let by_chance = self.chance.is(self.scenario.online);
                let member = &mut self.conversations[at].members[number];
                let online = match member.away {
                    true => day == 0 || day >= BACK,
                    false => by_chance,
                };
                if member.online == online {
                    continue;
                }
                member.switch(online, now);
                if online {
                    continue;
                }
                for generation in 0..member.generations() {
                    let holders = self.conversations[at].generations[generation]
                        .0
                        .holders
                        .clone();
                    for holder in holders {
                        let station = &mut self.stations[self.index[&holder]];
                        station.disconnect((at, number, generation));
                        let member = &mut self.conversations[at].members[number];
                        member.lost(generation, holder, now);
                    }
                }
            }
        }
    }

    /// Whoever is online connects to all holders that have something for it.
    fn connect(&mut self, at: usize) {
        for number in 0..self.conversations[at].members.len() {
            if !self.conversations[at].members[number].online {
                continue;
            }
            self.learn(at, number);
            for generation in 0..self.conversations[at].generations.len() {
                let (of, _, ended) = &self.conversations[at].generations[generation];
                let over = ended.is_some_and(|day| day + KEPT_DAYS < self.day);
                let holders = if over { vec![] } else { of.holders.clone() };
                for holder in holders {
                    self.enter((at, number, generation), holder);
                }
            }
        }
    }

    fn learn(&mut self, at: usize, number: usize) {
        let conversation = &mut self.conversations[at];
        let member = &mut conversation.members[number];
        for (generation, ..) in conversation.generations.iter().skip(member.generations()) {
            let blocks = generation.holders.iter();
            let blocks: Vec<u32> = blocks
                .map(|holder| self.stations[self.index[holder]].block)
                .collect();
            member.learn(generation, &blocks, self.now);
        }
    }

    fn enter(&mut self, visitor: Visitor, holder: EndpointKey) {
        let station = self.index[&holder];
        if !self.stations[station].lives() || self.stations[station].has(visitor) {
            return;
        }
        self.askers += 1;
        let mut asker = [0; 32];
        asker[..8].copy_from_slice(&self.askers.to_be_bytes());
        let ends = Ends {
            holder,
            asker: EndpointKey(asker),
        };
        let (at, number, generation) = visitor;
        let (of, plan, ended) = &self.conversations[at].generations[generation];
        let (mailbox, keys) = (plan.mailbox(holder), of.keys(holder));
        let mut asks = Vec::new();
        if ended.is_none() {
            let mut serial = [0; 16];
            serial[..8].copy_from_slice(&(at as u64).to_be_bytes());
            serial[8..12].copy_from_slice(&of.number.to_be_bytes());
            let grant = SignedGrant::new(serial, self.day + 1, &self.issuer);
            asks.push(Ask::Open {
                token: Token::Granted(grant),
                plan: Box::new(plan.clone()),
            });
        }
        for side in [Side::Read, Side::Deposit] {
            let proof = side.prove(keys.of(side), mailbox, ends);
            asks.push(Ask::Enter {
                mailbox,
                side,
                proof,
            });
        }
        self.stations[station].connect(visitor, ends.asker, self.now);
        let mut entered = false;
        for ask in asks {
            let said = self.stations[station].ask(visitor, ask, Arc::from([]), self.now);
            let inside = |(_, answer, _): &Said| matches!(answer, Answer::Entered(_));
            entered |= said.iter().any(inside);
            self.deliver(station, said);
        }
        if entered {
            let member = &mut self.conversations[at].members[number];
            let told = member.connected(generation, holder, self.day, self.now);
            self.tell(at, number, told);
        } else {
            self.stations[station].disconnect(visitor);
        }
    }

    /// Perhaps somebody says something.
    fn write(&mut self, at: usize) {
        let hourly = self.scenario.messages_a_day / 24.0;
        let count = hourly as u32 + u32::from(self.chance.is(hourly.fract()));
        for _ in 0..count {
            let conversation = &self.conversations[at];
            let online = conversation.members.iter().enumerate();
            let online: Vec<usize> = online.filter(|(_, m)| m.online).map(|(n, _)| n).collect();
            let Some(number) = online.get(self.chance.below(online.len())).copied() else {
                return;
            };
            let class = [512, 512, 512, 1_024, 4_096][self.chance.below(5)];
            let mut body = vec![0; class];
            body[..8].copy_from_slice(&self.report.messages.to_be_bytes());
            let Some(entry) = self.entry(at, body) else {
                return;
            };
            self.report.messages += 1;
            let shown = Shown {
                day: self.day,
                ..Shown::default()
            };
            let conversation = &mut self.conversations[at];
            conversation.shown.insert(entry.id(), shown);
            let member = &mut conversation.members[number];
            let id = entry.id();
            let told = member.write(entry, self.day, self.now);
            self.tell(at, number, told);
            let by = self.conversations[at].shown[&id].by;
            self.report.held_by[3 - by.min(3)] += 1;
        }
    }

    fn entry(&self, at: usize, body: Vec<u8>) -> Option<Entry> {
        let (generation, plan, _) = self.conversations[at].generations.last()?;
        let holder = *generation.holders.first()?;
        let slot = Slot {
            epoch: generation.first,
            attempt: 0,
        };
        let place = (plan.mailbox(holder), &generation.keys(holder).deposit);
        Entry::new((Kind::Message, slot), body.into(), place).ok()
    }

    /// The hour passes: what waits is tried again, what is copied goes on.
    fn pass(&mut self) {
        for _ in 0..STEPS {
            self.now += STEP;
            for at in 0..self.conversations.len() {
                for number in 0..self.conversations[at].members.len() {
                    let member = &mut self.conversations[at].members[number];
                    if member.online {
                        let told = member.timeout(self.day, self.now);
                        self.tell(at, number, told);
                    }
                }
            }
            let busy = |member: &Member| member.online && member.is_busy();
            let mut all = self.conversations.iter().flat_map(|one| &one.members);
            if !all.any(busy) {
                return;
            }
        }
    }

    /// What holders said reaches members.
    fn deliver(&mut self, station: usize, said: Vec<Said>) {
        let holder = self.stations[station].id();
        for ((at, number, generation), answer, body) in said {
            let moment = (self.day, self.now);
            let member = &mut self.conversations[at].members[number];
            let told = member.hear((generation, holder), answer, body, moment);
            self.tell(at, number, told);
        }
    }

    /// What a member has to say, and all that follows from it.
    fn tell(&mut self, at: usize, number: usize, told: Told) {
        let mut waiting = VecDeque::from([(at, number, told)]);
        while let Some((at, number, told)) = waiting.pop_front() {
            let gone = told.gone.clone();
            self.note(at, &told);
            for (generation, holder, ask, body) in told.questions {
                let station = self.index[&holder];
                let visitor = (at, number, generation);
                let said = self.stations[station].ask(visitor, ask, body, self.now);
                for ((at, number, generation), answer, body) in said {
                    let moment = (self.day, self.now);
                    let member = &mut self.conversations[at].members[number];
                    let told = member.hear((generation, holder), answer, body, moment);
                    waiting.push_back((at, number, told));
                }
            }
            for (generation, holder) in gone {
                self.replace((at, number, generation), holder);
            }
        }
    }

    fn note(&mut self, at: usize, told: &Told) {
        let shown = &mut self.conversations[at].shown;
        for (holder, entry) in &told.receipts {
            if let Some(shown) = shown.get_mut(entry) {
                shown.receipts.insert(self.index[holder]);
            }
        }
        for (entry, by) in &told.held {
            if let Some(shown) = shown.get_mut(entry) {
                shown.by = shown.by.max(*by);
            }
        }
    }

    /// A holder is gone: another generation begins, with one in its place, and whoever noticed brings it the last days.
    fn replace(&mut self, (at, number, generation): Visitor, holder: EndpointKey) {
        let generations = &self.conversations[at].generations;
        if generation + 1 != generations.len() {
            return;
        }
        let holders = generations[generation].0.holders.iter();
        let stay: Vec<usize> = holders
            .filter(|one| **one != holder)
            .map(|one| self.index[one])
            .collect();
        let chosen = self.choose(&stay, 3);
        let Some(new) = chosen.get(stay.len()).copied() else {
            return;
        };
        self.report.changes += 1;
        self.begin_generation(at, chosen);
        self.learn(at, number);
        let since = self.day.saturating_sub(KEPT_DAYS);
        let conversation = &mut self.conversations[at];
        if let Some((of, ..)) = conversation.generations.last() {
            let to = self.stations[new].id();
            let member = &mut conversation.members[number];
            self.stations[new].repaired += member.copy(generation + 1, of, to, since);
        }
        self.connect(at);
    }

    /// Whether what was shown is so.
    fn look(&mut self) {
        let disks: Vec<_> = self.stations.iter().map(Station::entries).collect();
        for conversation in &self.conversations {
            let kept = |shown: &&Shown| shown.by > 0 && shown.day + KEPT_DAYS >= self.day;
            let shown = conversation.shown.iter();
            for (id, shown) in shown.filter(|(_, shown)| kept(shown)) {
                let (live, gone): (Vec<&usize>, Vec<&usize>) = shown
                    .receipts
                    .iter()
                    .partition(|at| self.stations[**at].lives());
                let broken = live.iter().filter(|at| !disks[***at].contains(id)).count();
                self.report.broken_receipts += broken as u64;
                if disks.iter().any(|disk| disk.contains(id)) {
                    continue;
                }
                match gone.len() < shown.by {
                    true => self.report.lost += 1,
                    false => self.report.gone_with_holders += 1,
                }
            }
        }
    }

    fn finish(mut self) -> Report {
        for conversation in &self.conversations {
            let away = conversation.shown.iter().filter(|(_, shown)| {
                let day = shown.day - FIRST_DAY;
                shown.by > 0 && (1..BACK).contains(&day)
            });
            let meanwhile: BTreeSet<EntryId> = away.map(|(id, _)| *id).collect();
            for member in conversation.members.iter().filter(|member| member.away) {
                let missed = member.lacks(&meanwhile);
                self.report.missed += missed;
                self.report.collected += meanwhile.len() as u64 - missed;
            }
        }
        self.report.stored_bytes = Middle::of(self.stations.iter().map(|one| one.stored));
        self.report.repair_bytes = Middle::of(self.stations.iter().map(|one| one.repaired));
        self.report
    }
}
