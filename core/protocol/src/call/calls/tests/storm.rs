//! Alice and carol with one device each, bob with two, a network that is cut at any moment, and people who press anything and
//! have several calls: whatever happens, no device ever has two active calls, and once the network is whole and every timer has
//! run, all sides agree. The seeds are fixed; a failure names its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

const CASES: u64 = 10_000;
const STEPS: u64 = 40;
/// Whose each device is.
const PEOPLE: [AccountId; 4] = [ALICE, BOB, BOB, CAROL];
const EVERYBODY: [usize; 4] = [0, 1, 2, 3];

/// The devices of a person.
fn devices_of(person: AccountId) -> impl Iterator<Item = usize> {
    EVERYBODY
        .into_iter()
        .filter(move |who| PEOPLE[*who] == person)
}

fn key(who: usize) -> DeviceId {
    DeviceId([who as u8; 32])
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % n
    }
}

/// A stream: frames in order, each way, until it is cut.
struct Stream {
    link: LinkId,
    alive: bool,
    /// Who opened it, and to whom.
    ends: [usize; 2],
    towards: [VecDeque<CallFrame>; 2],
    /// Who has not noticed the cut yet.
    unaware: [bool; 2],
}

impl Stream {
    /// Which end somebody is.
    fn end(&self, who: usize) -> Option<usize> {
        self.ends.iter().position(|end| *end == who)
    }
}

struct World {
    random: Random,
    devices: [Device; 4],
    streams: Vec<Stream>,
    dials: VecDeque<(usize, CallId, AccountId, Option<DeviceId>)>,
    /// To whom the sound of each side's calls goes, if it is connected.
    sound: BTreeMap<(usize, CallId), usize>,
    wants_sound: BTreeSet<(usize, CallId)>,
    /// Where each side was told that the other one's sound comes from.
    found: BTreeMap<(usize, CallId), usize>,
    network: bool,
    now: Time,
    next: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            devices: Default::default(),
            streams: Vec::new(),
            dials: VecDeque::new(),
            sound: BTreeMap::new(),
            wants_sound: BTreeSet::new(),
            found: BTreeMap::new(),
            network: true,
            now: Time::ZERO,
            next: 0,
        }
    }

    /// Carries out what a device asked for.
    fn carry_out(&mut self, who: usize) {
        self.devices[who].drain();
        for sent in std::mem::take(&mut self.devices[who].sent) {
            let stream = self.streams.iter_mut().find(|s| s.link == sent.link);
            if let Some(stream) = stream.filter(|stream| stream.alive)
                && let Some(end) = stream.end(who)
            {
                stream.towards[1 - end].push_back(sent.frame);
            }
        }
        let (mut redirected, mut sent_on) = (Vec::new(), Vec::new());
        for event in self.devices[who].happened() {
            match event {
                CallEvent::Redirected { call, to, hops } => redirected.push((call, to, hops)),
                CallEvent::Dial(call, peer, device) => {
                    self.dials.push_back((who, call, peer, device));
                }
                CallEvent::StartMedia(call, _) => {
                    self.wants_sound.insert((who, call));
                }
                CallEvent::StopMedia(call) => {
                    self.wants_sound.remove(&(who, call));
                    self.sound.remove(&(who, call));
                }
                CallEvent::CloseLink(link) | CallEvent::CutLink(link) => self.close(who, link),
                CallEvent::Bind(call) => {
                    self.devices[who].calls.handle_bound(call, inner(who as u8));
                    self.carry_out(who);
                }
                CallEvent::PeerInner(call, inner) => {
                    let other = usize::from(inner.endpoint.0[0]);
                    self.found.insert((who, call), other);
                }
                CallEvent::SentOn { call, to } => sent_on.push((call, to)),
                CallEvent::HoldMedia(..)
                | CallEvent::Changed(_)
                | CallEvent::TurnedAway(_)
                | CallEvent::Room(..)
                | CallEvent::TransferFailed(..) => {}
            }
        }
        self.check_lines(who);
        for (call, to, hops) in redirected {
            let follow = self
                .known(call, to)
                .map(|(call, peer)| CallCommand::Follow { call, peer, hops });
            self.answer_driver(who, follow);
        }
        for (from, to) in sent_on {
            let put = self
                .known(from, to)
                .map(|(call, peer)| CallCommand::PutThrough { from, call, peer });
            let refuse = CallCommand::RefuseTransfer(from);
            let follows = self.random.below(4) > 0;
            self.answer_driver(who, put.filter(|_| follows).or(Some(refuse)));
        }
    }

    /// A fresh call to whom a mark stands for.
    fn known(&mut self, call: CallId, to: TargetMark) -> Option<(CallId, AccountId)> {
        let knows = |peer: &AccountId| TargetMark::of(call, *peer) == to;
        let peer = PEOPLE.into_iter().find(knows)?;
        Some((self.fresh(), peer))
    }

    fn answer_driver(&mut self, who: usize, command: Option<CallCommand>) {
        if let Some(command) = command {
            let _ = self.devices[who].calls.handle_command(command, self.now);
            self.carry_out(who);
        }
    }

    /// `CALL-13`, `CALL-25`: few calls, and one of them active.
    fn check_lines(&self, who: usize) {
        let entries = &self.devices[who].calls.entries;
        let active = entries.values().filter(|entry| entry.is_active());
        assert!(active.count() <= 1 && entries.len() <= CALLS_MAX);
    }

    /// A side closes a stream: what it sent before still arrives, then the other side notices.
    fn close(&mut self, who: usize, link: LinkId) {
        let stream = self.streams.iter_mut().find(|s| s.link == link);
        if let Some((stream, end)) = stream.and_then(|s| s.end(who).map(|end| (s, end))) {
            stream.alive = false;
            stream.unaware[end] = false;
            stream.towards[end].clear();
        }
    }

    fn cut(&mut self) {
        self.network = false;
        for stream in self.streams.iter_mut().filter(|stream| stream.alive) {
            stream.alive = false;
            stream.unaware = [true; 2];
            stream.towards.iter_mut().for_each(VecDeque::clear);
        }
    }

    /// One delivery, one noticed loss, one dial or one connection of sound.
    fn network_step(&mut self) {
        match self.random.below(5) {
            0 => self.dial(),
            1 => self.connect_sound(),
            2 => self.notice(),
            _ => self.deliver(),
        }
    }

    fn dial(&mut self) {
        let Some((who, call, peer, device)) = self.dials.pop_front() else {
            return;
        };
        for other in devices_of(peer) {
            let meant = device.is_none_or(|device| device == key(other));
            if meant && self.network && self.random.below(8) > 0 {
                self.open(who, other, call);
            }
        }
        self.devices[who].calls.handle_dialled(call, self.now);
        self.carry_out(who);
    }

    fn open(&mut self, who: usize, other: usize, call: CallId) {
        self.next += 1;
        let link = self.next;
        self.streams.push(Stream {
            link,
            alive: true,
            ends: [who, other],
            towards: [VecDeque::new(), VecDeque::new()],
            unaware: [true; 2],
        });
        let device = &mut self.devices[who].calls;
        device.handle_opened(call, link, key(other), self.now);
        self.carry_out(who);
    }

    /// The caller connects it to where it was told.
    fn connect_sound(&mut self) {
        for (who, call) in self.wants_sound.clone() {
            let views = self.devices[who].calls.views();
            let calls = |view: &CallView| view.call == call && view.role == Role::Caller;
            let other = self.found.get(&(who, call)).copied();
            let Some(other) = other.filter(|_| self.network && views.iter().any(calls)) else {
                continue;
            };
            if self.wants_sound.contains(&(other, call)) {
                self.sound_up(who, other, call);
                self.sound_up(other, who, call);
            }
        }
        for ((who, call), other) in self.sound.clone() {
            let end = match self.network {
                false if self.random.below(2) == 0 => SoundEnd::Silent,
                false => SoundEnd::Lost,
                true if self.sound.get(&(other, call)) != Some(&who) => SoundEnd::ClosedByPeer,
                true => continue,
            };
            self.sound.remove(&(who, call));
            let calls = &mut self.devices[who].calls;
            calls.handle_sound_lost(call, end, self.now);
            self.carry_out(who);
        }
    }

    fn sound_up(&mut self, who: usize, other: usize, call: CallId) {
        if self.sound.insert((who, call), other) != Some(other) {
            self.devices[who].calls.handle_sound(call, self.now);
            self.carry_out(who);
        }
    }

    fn notice(&mut self) {
        for index in 0..self.streams.len() {
            for end in [0, 1] {
                let stream = &mut self.streams[index];
                let over = !stream.alive && stream.towards[end].is_empty();
                if over && std::mem::take(&mut stream.unaware[end]) {
                    let (link, who) = (stream.link, stream.ends[end]);
                    self.devices[who].calls.handle_lost(link, self.now);
                    self.carry_out(who);
                }
            }
        }
        self.streams
            .retain(|stream| stream.alive || stream.unaware != [false; 2]);
    }

    fn deliver(&mut self) {
        let count = self.streams.len() as u64;
        if count == 0 {
            return;
        }
        let index = self.random.below(count) as usize;
        let end = self.random.below(2) as usize;
        let stream = &mut self.streams[index];
        let (link, who, from) = (stream.link, stream.ends[end], stream.ends[1 - end]);
        if let Some(frame) = stream.towards[end].pop_front() {
            let calls = &mut self.devices[who].calls;
            calls.handle_frame(PEOPLE[from], link, frame, self.now);
            self.carry_out(who);
        }
    }

    fn person_step(&mut self) {
        let who = self.random.below(EVERYBODY.len() as u64) as usize;
        let views = self.devices[who].calls.views();
        let which = self.random.below(CALLS_MAX as u64) as usize;
        let call = views.get(which % views.len().max(1)).map(|view| view.call);
        let command = match (self.random.below(9), call) {
            (0..=2, _) | (_, None) => self.start(who),
            (3..=5, Some(call)) => CallCommand::Answer(call),
            (7, Some(call)) => CallCommand::Transfer {
                call,
                to: self.somebody_else(who),
            },
            (6, Some(call)) => CallCommand::Hold(call, self.random.below(2) == 0),
            (_, Some(call)) => CallCommand::HangUp(call),
        };
        let reception = self.reception(who);
        self.devices[who].calls.set_reception(reception);
        // A refusal is an answer as well.
        let _ = self.devices[who].calls.handle_command(command, self.now);
        self.carry_out(who);
    }

    fn start(&mut self, who: usize) -> CallCommand {
        CallCommand::Start {
            call: self.fresh(),
            peer: self.somebody_else(who),
        }
    }

    fn fresh(&mut self) -> CallId {
        self.next += 1;
        let mut fresh = [0; 16];
        fresh[..8].copy_from_slice(&self.random.below(u64::MAX).to_be_bytes());
        fresh[8..].copy_from_slice(&self.next.to_be_bytes());
        CallId(fresh)
    }

    fn somebody_else(&mut self, who: usize) -> AccountId {
        let others = PEOPLE.into_iter().filter(|other| *other != PEOPLE[who]);
        let others: Vec<AccountId> = others.collect();
        others[self.random.below(others.len() as u64) as usize]
    }

    fn reception(&mut self, who: usize) -> Reception {
        let sometimes = |world: &mut Self| {
            let to = world.somebody_else(who);
            (world.random.below(10) == 0).then_some(to)
        };
        let forwarding = Forwarding {
            always: sometimes(self),
            busy: sometimes(self),
            no_answer: sometimes(self).map(|to| (to, seconds(20))),
        };
        Reception {
            waiting: self.random.below(4) > 0,
            quiet: self.random.below(8) == 0,
            forwarding,
        }
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        for who in EVERYBODY {
            self.devices[who].calls.handle_timeout(self.now);
            self.carry_out(who);
        }
    }

    /// The calls that somebody's devices have with somebody else.
    fn calls(&self, person: AccountId, peer: AccountId) -> Vec<CallView> {
        let views = devices_of(person).flat_map(|who| self.devices[who].calls.views());
        views.filter(|view| view.peer == peer).collect()
    }

    /// The network is whole from here on; everything is delivered and every timer runs.
    fn settle(&mut self) {
        self.network = true;
        for _ in 0..60 {
            for _ in 0..80 {
                self.network_step();
            }
            self.wait(seconds(2));
        }
    }
}

#[test]
fn call_11_whatever_happens_both_sides_agree_in_the_end() {
    let mut talking = 0;
    for seed in 1..=CASES {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            match world.random.below(12) {
                0..=2 => world.person_step(),
                3 => world.cut(),
                4 => world.network = true,
                5 => {
                    let span = Duration::from_millis(world.random.below(30_000));
                    world.wait(span);
                }
                _ => world.network_step(),
            }
        }
        world.settle();
        for (one, other) in [(ALICE, BOB), (ALICE, CAROL), (BOB, CAROL)] {
            match (&world.calls(one, other)[..], &world.calls(other, one)[..]) {
                ([], []) => {}
                ([a], [b]) => {
                    talking += 1;
                    agree(seed, a, b);
                }
                views => panic!("seed {seed}: {views:?}"),
            }
        }
        for device in &world.devices {
            let at_rest = device.calls.poll_timeout().is_none();
            assert!(at_rest, "seed {seed}: {:?}", device.calls.poll_timeout());
        }
    }
    assert!(
        (CASES / 20..CASES * 3).contains(&talking),
        "the storm is neither a calm nor the end of everything: {talking}"
    );
}

fn agree(seed: u64, a: &CallView, b: &CallView) {
    let up = |phase| matches!(phase, Phase::Established | Phase::Held { .. });
    assert_eq!(a.call, b.call, "seed {seed}");
    assert_ne!(a.role, b.role, "seed {seed}");
    assert!(up(a.phase) && up(b.phase), "seed {seed}: {a:?} {b:?}");
    if let Phase::Held { ours, theirs } = a.phase {
        let mirrored = Phase::Held {
            ours: theirs,
            theirs: ours,
        };
        assert_eq!(b.phase, mirrored, "seed {seed}");
    }
}
