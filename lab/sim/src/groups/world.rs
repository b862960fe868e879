//! The world: devices that come, go and say things, holders that begin anew, connections that break.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_chat::group::outputs::Event;
use starling_chat::group::{Edit, Wish};
use starling_wire::group::{Record, Role};
use starling_wire::ids::{DeviceId, EndpointKey, EntryId, EpochTag, MessageId};
use starling_wire::log::frames::{Answer, Ask};
use starling_wire::log::grant::{SignedGrant, Token};
use starling_wire::log::keys::{Ends, Generation, Side};

use super::device::{Device, Question, Told};
use super::{Findings, Setting};
use crate::chance::Chance;
use crate::mailbox::station::{Said, Station};
use crate::queue::Queue;

const TODAY: u32 = 20_800;

#[derive(Debug)]
enum Happens {
    ToHolder(Way, Ask, Arc<[u8]>),
    ToDevice(Way, Answer, Option<Arc<[u8]>>),
    Wake(u8, u64),
    Say(u8),
    Change(u8),
    Connect(u8),
    Cut,
    Crash,
    Back(u8),
    Turn,
}

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    device: u8,
    first: EpochTag,
    station: usize,
    /// Never used twice.
    number: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct World {
    setting: Setting,
    chance: Chance,
    queue: Queue<Happens>,
    now: Duration,
    issuer: SigningKey,
    devices: Vec<Device>,
    stations: Vec<Station>,
    ways: BTreeMap<(u8, EpochTag, usize), Way>,
    /// The last moment at which something arrives on a way: what was sent later does not come before it.
    last: BTreeMap<(Way, bool), Duration>,
    generations: Vec<EpochTag>,
    next: u64,
    /// Who said what, and when.
    said: BTreeMap<MessageId, Duration>,
    /// When a device was taken in, and when it was taken out.
    inside: BTreeMap<u8, (Duration, Option<Duration>)>,
    findings: Findings,
}

impl World {
    /// Before anything happened.
    pub fn new(setting: Setting) -> Self {
        let issuer = SigningKey::from_bytes(&[0x11; 32]);
        let granted_by = EndpointKey(issuer.verifying_key().to_bytes());
        let station = |number| Station::new(number, granted_by, TODAY);
        let mut world = Self {
            chance: Chance::new(setting.seed),
            queue: Queue::new(),
            now: Duration::ZERO,
            issuer,
            devices: (0..setting.devices)
                .map(|number| Device::new(number + 1))
                .collect(),
            stations: (0..setting.holders).map(station).collect(),
            ways: BTreeMap::new(),
            last: BTreeMap::new(),
            generations: Vec::new(),
            next: 0,
            said: BTreeMap::new(),
            inside: BTreeMap::new(),
            findings: Findings::default(),
            setting,
        };
        world.found();
        world
    }

    /// Lets things go wrong, lets them be, and looks.
    pub fn run(mut self) -> Findings {
        self.plan();
        let end = self.setting.trouble;
        self.go_on_until(end);
        for number in 0..self.setting.devices {
            self.come_back(number);
        }
        self.go_on_until(end + Duration::from_secs(3_600));
        self.look()
    }

    fn found(&mut self) {
        let holders = self.stations.iter().take(3).map(Station::id).collect();
        let owner = self.devices[0].member().account;
        let record = Record::group(owner, "a group".into(), holders);
        let seed = self.seed();
        self.devices[0].found(&record, seed);
        self.inside.insert(0, (Duration::ZERO, None));
        let told = self.devices[0].timeout(self.now);
        self.tell(0, told);
        for number in 1..self.setting.devices {
            self.take_in(0, number);
        }
    }

    fn plan(&mut self) {
        for number in 0..self.setting.devices {
            self.after_about(self.setting.changes_every, Happens::Change(number));
            self.after_about(self.setting.says_every, Happens::Say(number));
        }
        self.after_about(self.setting.cuts_every, Happens::Cut);
        self.after_about(self.setting.crashes_every, Happens::Crash);
        self.queue.add(self.now, Happens::Turn);
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
            Happens::ToHolder(way, ask, body) => self.at_holder(way, ask, body),
            Happens::ToDevice(way, answer, body) => self.at_device(way, answer, body),
            Happens::Wake(device, number) => self.wake(device, number),
            Happens::Say(device) => self.say(device),
            Happens::Change(device) => self.change(device),
            Happens::Connect(device) => self.connect(device),
            Happens::Cut => self.cut_some(),
            Happens::Crash => self.crash(),
            Happens::Back(device) => self.come_back(device),
            Happens::Turn => self.turn(),
        }
    }

    fn is_trouble(&self) -> bool {
        self.now < self.setting.trouble
    }

    fn say(&mut self, number: u8) {
        if !self.is_trouble() {
            return;
        }
        self.after_about(self.setting.says_every, Happens::Say(number));
        let (inside, now) = (self.is_inside(number), self.now);
        let device = &mut self.devices[usize::from(number)];
        if !device.up || !inside {
            return;
        }
        let text = format!("message {} of {number}", self.said.len());
        let (id, told) = device.say(&text, now);
        self.said.insert(id, now);
        self.tell(number, told);
    }

    /// New keys, other holders, another topic; somebody is taken out, or in again.
    fn change(&mut self, number: u8) {
        if !self.is_trouble() {
            return;
        }
        self.after_about(self.setting.changes_every, Happens::Change(number));
        if !self.devices[usize::from(number)].up || !self.is_inside(number) {
            return;
        }
        let wish = match self.chance.below(8) {
            0 | 1 => self.other_holders(),
            2 => self.other_topic(),
            3 if number == 0 => self.somebody_out(),
            4 if number == 0 => return self.somebody_in(),
            _ => Wish::default(),
        };
        self.wish(number, wish);
    }

    fn wish(&mut self, number: u8, wish: Wish) {
        self.next += 1;
        let told = self.devices[usize::from(number)].wish(self.next, wish, self.now);
        self.tell(number, told);
    }

    fn other_holders(&mut self) -> Wish {
        let all: Vec<usize> = (0..self.stations.len()).collect();
        let chosen = self.chance.some(&all, 3);
        let holders = chosen
            .into_iter()
            .map(|at| self.stations[at].id())
            .collect();
        Wish {
            edits: vec![Edit::Holders(holders)],
            ..Wish::default()
        }
    }

    fn other_topic(&mut self) -> Wish {
        let topic = format!("topic {}", self.chance.below(1_000));
        Wish {
            edits: vec![Edit::Topic(topic), Edit::Invite(Role::Member)],
            ..Wish::default()
        }
    }

    fn somebody_out(&mut self) -> Wish {
        let inside: Vec<u8> = (1..self.setting.devices)
            .filter(|one| self.is_inside(*one))
            .collect();
        let one = self.chance.some(&inside, 1);
        let remove = one
            .iter()
            .map(|one| self.devices[usize::from(*one)].member().device);
        Wish {
            remove: remove.collect(),
            ..Wish::default()
        }
    }

    fn somebody_in(&mut self) {
        let out = |one: &u8| self.inside.get(one).is_some_and(|(_, out)| out.is_some());
        let outside: Vec<u8> = (1..self.setting.devices).filter(out).collect();
        if let [one] = self.chance.some(&outside, 1)[..]
            && self.devices[usize::from(one)].up
        {
            self.take_in(0, one);
        }
    }

    fn take_in(&mut self, by: u8, number: u8) {
        let package = self.devices[usize::from(number)].package();
        let package = self.devices[usize::from(by)].read_package(&package);
        let wish = Wish {
            add: vec![package],
            ..Wish::default()
        };
        self.wish(by, wish);
    }

    fn is_inside(&self, number: u8) -> bool {
        let inside = self.inside.get(&number);
        inside.is_some_and(|(_, out)| out.is_none())
            && self.devices[usize::from(number)].conversation.is_some()
    }

    fn cut_some(&mut self) {
        if !self.is_trouble() {
            return;
        }
        let ways: Vec<Way> = self.ways.values().copied().collect();
        for way in self.chance.some(&ways, 1) {
            self.cut(way);
            self.reconnect(way.device);
        }
        self.after_about(self.setting.cuts_every, Happens::Cut);
    }

    fn cut(&mut self, way: Way) {
        self.ways.remove(&(way.device, way.first, way.station));
        let visitor = self.visitor(way);
        self.stations[way.station].disconnect(visitor);
        let holder = self.stations[way.station].id();
        self.devices[usize::from(way.device)].cut(way.first, holder, self.now);
    }

    fn crash(&mut self) {
        if !self.is_trouble() {
            return;
        }
        let everybody = self.devices.len() + self.stations.len();
        let one = self.chance.below(everybody);
        if let Some(station) = one.checked_sub(self.devices.len()) {
            let ways = self.ways.values().filter(|way| way.station == station);
            let ways: Vec<Way> = ways.copied().collect();
            for way in ways {
                self.cut(way);
                self.reconnect(way.device);
            }
            self.stations[station].start(TODAY, self.now);
        } else {
            let number = one as u8;
            let ways = self.ways.values().filter(|way| way.device == number);
            let ways: Vec<Way> = ways.copied().collect();
            ways.into_iter().for_each(|way| self.cut(way));
            self.devices[one].crash();
            let back = Duration::from_secs(1 + self.chance.below(90) as u64);
            self.queue.add(self.now + back, Happens::Back(number));
        }
        self.after_about(self.setting.crashes_every, Happens::Crash);
    }

    fn come_back(&mut self, number: u8) {
        if self.devices[usize::from(number)].up {
            return;
        }
        let seed = self.seed();
        let told = self.devices[usize::from(number)].start(seed, self.now);
        self.tell(number, told);
    }

    fn reconnect(&mut self, number: u8) {
        let after = Duration::from_millis(500 + self.chance.below(5_000) as u64);
        self.queue.add(self.now + after, Happens::Connect(number));
    }

    /// To all boxes that it knows and is not connected to.
    fn connect(&mut self, number: u8) {
        if !self.devices[usize::from(number)].up {
            return;
        }
        for generation in self.devices[usize::from(number)].generations() {
            for holder in &generation.holders {
                self.enter(number, &generation, *holder);
            }
        }
    }

    fn enter(&mut self, device: u8, generation: &Generation, holder: EndpointKey) {
        let station = self.stations.iter().position(|one| one.id() == holder);
        let Some(station) = station else {
            return;
        };
        let first = generation.first;
        if self.ways.contains_key(&(device, first, station)) {
            return;
        }
        if !self.generations.contains(&first) {
            self.generations.push(first);
        }
        self.next += 1;
        let way = Way {
            device,
            first,
            station,
            number: self.next,
        };
        let mut asker = [0; 32];
        asker[..8].copy_from_slice(&way.number.to_be_bytes());
        let ends = Ends {
            holder,
            asker: EndpointKey(asker),
        };
        self.ways.insert((device, first, station), way);
        let visitor = self.visitor(way);
        self.stations[station].connect(visitor, ends.asker, self.now);
        for ask in self.entrance(generation, ends) {
            let said = self.stations[station].ask(visitor, ask, Arc::from([]), self.now);
            self.deliver(station, said);
        }
        let told = self.devices[usize::from(device)].connected(first, holder, self.now);
        self.tell(device, told);
    }

    fn entrance(&self, generation: &Generation, ends: Ends) -> Vec<Ask> {
        let plan = generation.plan();
        let (mailbox, keys) = (plan.mailbox(ends.holder), generation.keys(ends.holder));
        let grant = SignedGrant::new(generation.first.0, TODAY + 1, &self.issuer);
        let mut asks = vec![Ask::Open {
            token: Token::Granted(grant),
            plan: Box::new(plan),
        }];
        asks.extend([Side::Read, Side::Deposit].map(|side| Ask::Enter {
            mailbox,
            side,
            proof: side.prove(keys.of(side), mailbox, ends),
        }));
        asks
    }

    fn visitor(&self, way: Way) -> (usize, usize, usize) {
        let generation = self
            .generations
            .iter()
            .position(|first| *first == way.first);
        (0, usize::from(way.device), generation.unwrap_or_default())
    }

    fn at_holder(&mut self, way: Way, ask: Ask, body: Arc<[u8]>) {
        if !self.stands(way) {
            return;
        }
        let visitor = self.visitor(way);
        let said = self.stations[way.station].ask(visitor, ask, body, self.now);
        self.deliver(way.station, said);
    }

    fn at_device(&mut self, way: Way, answer: Answer, body: Option<Arc<[u8]>>) {
        if !self.stands(way) {
            return;
        }
        let holder = self.stations[way.station].id();
        let device = &mut self.devices[usize::from(way.device)];
        let told = device.hear((way.first, holder), answer, body, self.now);
        self.tell(way.device, told);
    }

    fn stands(&self, way: Way) -> bool {
        self.ways.get(&(way.device, way.first, way.station)) == Some(&way)
    }

    fn turn(&mut self) {
        for station in 0..self.stations.len() {
            let said = self.stations[station].pass(self.now);
            self.deliver(station, said);
        }
        self.queue
            .add(self.now + Duration::from_millis(250), Happens::Turn);
    }

    fn deliver(&mut self, station: usize, said: Vec<Said>) {
        for ((_, device, generation), answer, body) in said {
            let key = (device as u8, self.generations[generation], station);
            if let Some(way) = self.ways.get(&key).copied() {
                let at = self.arrives(way, false);
                self.queue.add(at, Happens::ToDevice(way, answer, body));
            }
        }
    }

    /// 10 to 200 ms, in the order in which it was sent.
    fn arrives(&mut self, way: Way, up: bool) -> Duration {
        let after = Duration::from_millis(10 + self.chance.below(190) as u64);
        let last = self.last.entry((way, up)).or_default();
        *last = (self.now + after).max(*last);
        *last
    }

    fn wake(&mut self, number: u8, wake: u64) {
        let device = &mut self.devices[usize::from(number)];
        if !device.up || device.wakes != wake {
            return;
        }
        let told = device.timeout(self.now);
        self.tell(number, told);
    }

    /// Carries out what a device wants.
    fn tell(&mut self, number: u8, told: Told) {
        for (first, holder, ask, body) in told.questions {
            self.ask(number, (first, holder, ask, body));
        }
        for event in told.events {
            self.note(number, event);
        }
        self.connect(number);
        let device = &mut self.devices[usize::from(number)];
        device.wakes += 1;
        let wake = Happens::Wake(number, device.wakes);
        if let Some(at) = device.next_timeout() {
            let at = at.max(self.now + Duration::from_millis(1));
            self.queue.add(at, wake);
        }
    }

    fn ask(&mut self, number: u8, (first, holder, ask, body): Question) {
        let station = self.stations.iter().position(|one| one.id() == holder);
        let way = station.and_then(|station| self.ways.get(&(number, first, station)).copied());
        if let Some(way) = way {
            let at = self.arrives(way, true);
            self.queue.add(at, Happens::ToHolder(way, ask, body));
        }
    }

    fn note(&mut self, number: u8, event: Event) {
        match event {
            Event::Done(_) => self.findings.changes[0] += 1,
            Event::Refused(..) => self.findings.changes[1] += 1,
            Event::Generation { .. } => self.findings.generations += 1,
            Event::Outside(true) => self.findings.outside += 1,
            Event::Removed => {
                if let Some((_, out)) = self.inside.get_mut(&number) {
                    *out = Some(self.now);
                }
            }
            Event::TakenIn { members, welcome } => {
                for member in members {
                    self.invite(number, member.device, welcome);
                }
            }
            Event::Unreadable(_, why) => self.findings.unreadable.push((number, why)),
            _ => {}
        }
    }

    /// The letter: which generation, and where the Welcome is. It is fetched from the inviter's own disk here.
    fn invite(&mut self, by: u8, whom: DeviceId, welcome: EntryId) {
        let Some(number) = self
            .devices
            .iter()
            .position(|one| one.member().device == whom)
        else {
            return;
        };
        let inviter = &self.devices[usize::from(by)];
        let Some((generation, welcome)) = inviter.invitation(welcome) else {
            return;
        };
        let seed = self.seed();
        self.devices[number].leave_group();
        if self.devices[number].come_in(&generation, &welcome, seed) {
            self.inside.insert(number as u8, (self.now, None));
            let told = self.devices[number].timeout(self.now);
            self.tell(number as u8, told);
        }
    }

    fn after_about(&mut self, every: Duration, happens: Happens) {
        let twice = u64::try_from(2 * every.as_millis()).unwrap_or(u64::MAX);
        let after = Duration::from_millis(1 + self.chance.number() % twice.max(1));
        self.queue.add(self.now + after, happens);
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.chance.number().to_be_bytes());
        seed
    }

    fn look(mut self) -> Findings {
        let inside: Vec<u8> = (0..self.setting.devices)
            .filter(|one| self.is_inside(*one))
            .collect();
        self.findings.devices = inside.len();
        self.findings.said = self.said.len();
        for number in inside {
            let device = &mut self.devices[usize::from(number)];
            let members = device.members().into_iter().map(|member| member.device);
            self.findings.views.insert(members.collect());
            let ground = device.conversation.as_ref().map(|one| one.ground().epoch());
            self.findings.epochs.extend(ground);
            let since = self.inside[&number].0;
            let after = self.said.iter().filter(|(_, at)| **at > since);
            let missing = after.filter(|(id, _)| !device.disk.said.contains_key(*id));
            self.findings.lost += missing.count();
        }
        for (number, (_, out)) in &self.inside {
            let Some(out) = out else { continue };
            let device = &self.devices[usize::from(*number)];
            let later = self
                .said
                .iter()
                .filter(|(_, at)| **at > *out + Duration::from_secs(120));
            let read = later.filter(|(id, _)| device.disk.said.contains_key(*id));
            self.findings.leaked += read.count();
        }
        self.findings
    }
}
