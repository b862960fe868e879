//! Alice with one device, bob with two, a network that is cut at any moment, and people who press anything: whatever
//! happens, once the network is whole and every timer has run, all sides agree. The seeds are fixed; a failure names its own.

use std::collections::VecDeque;

use super::*;

const CASES: u64 = 10_000;
const STEPS: u64 = 40;
/// Whose each device is.
const PEOPLE: [AccountId; 3] = [ALICE, BOB, BOB];
const EVERYBODY: [usize; 3] = [0, 1, 2];

/// The devices of the other person.
fn others(who: usize) -> &'static [usize] {
    if who == 0 { &[1, 2] } else { &[0] }
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
    devices: [Device; 3],
    streams: Vec<Stream>,
    dials: VecDeque<(usize, CallId, Option<DeviceId>)>,
    /// Which call each side's sound belongs to, and to whom it goes, if it is connected.
    sound: [Option<(CallId, usize)>; 3],
    wants_sound: [Option<CallId>; 3],
    /// Where each side was told that the other one's sound comes from.
    found: [usize; 3],
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
            sound: [None; 3],
            wants_sound: [None; 3],
            found: [1, 0, 0],
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
        for event in self.devices[who].happened() {
            match event {
                CallEvent::Dial(call, _, device) => self.dials.push_back((who, call, device)),
                CallEvent::StartMedia(call, _) => self.wants_sound[who] = Some(call),
                CallEvent::StopMedia(_) => {
                    self.wants_sound[who] = None;
                    self.sound[who] = None;
                }
                CallEvent::CloseLink(link) | CallEvent::CutLink(link) => self.close(who, link),
                CallEvent::Bind(call) => {
                    self.devices[who].calls.handle_bound(call, inner(who as u8));
                    self.carry_out(who);
                }
                CallEvent::PeerInner(_, inner) => {
                    self.found[who] = usize::from(inner.endpoint.0[0]);
                }
                CallEvent::HoldMedia(..) | CallEvent::Changed(_) | CallEvent::Room(..) => {}
            }
        }
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
        let Some((who, call, device)) = self.dials.pop_front() else {
            return;
        };
        for other in others(who) {
            let meant = device.is_none_or(|device| device == key(*other));
            if meant && self.network && self.random.below(8) > 0 {
                self.open(who, *other, call);
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

    fn connect_sound(&mut self) {
        for bob in [1, 2] {
            let Some(call) =
                self.wants_sound[0].filter(|call| self.wants_sound[bob] == Some(*call))
            else {
                continue;
            };
            let meant = match self.devices[0].calls.views().first() {
                Some(view) if view.role == Role::Caller => self.found[0] == bob,
                _ => true,
            };
            for (who, other) in [(0, bob), (bob, 0)] {
                if meant && self.network && self.sound[who] != Some((call, other)) {
                    self.sound[who] = Some((call, other));
                    self.devices[who].calls.handle_sound(call, self.now);
                    self.carry_out(who);
                }
            }
        }
        for who in EVERYBODY {
            let Some((call, other)) = self.sound[who] else {
                continue;
            };
            let end = match self.network {
                false if self.random.below(2) == 0 => SoundEnd::Silent,
                false => SoundEnd::Lost,
                true if self.sound[other] != Some((call, who)) => SoundEnd::ClosedByPeer,
                true => continue,
            };
            self.sound[who] = None;
            let calls = &mut self.devices[who].calls;
            calls.handle_sound_lost(call, end, self.now);
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
        let who = self.random.below(3) as usize;
        let call = self.devices[who]
            .calls
            .views()
            .first()
            .map(|view| view.call);
        self.next += 1;
        let mut fresh = [0; 16];
        fresh[..8].copy_from_slice(&self.random.below(u64::MAX).to_be_bytes());
        fresh[8..].copy_from_slice(&self.next.to_be_bytes());
        let command = match (self.random.below(8), call) {
            (0..=2, _) | (_, None) => CallCommand::Start {
                call: CallId(fresh),
                peer: PEOPLE[others(who)[0]],
            },
            (3..=5, Some(call)) => CallCommand::Answer(call),
            (6, Some(call)) => CallCommand::Hold(call, self.random.below(2) == 0),
            (_, Some(call)) => CallCommand::HangUp(call),
        };
        // A refusal is an answer as well.
        let _ = self.devices[who].calls.handle_command(command, self.now);
        self.carry_out(who);
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        for who in EVERYBODY {
            self.devices[who].calls.handle_timeout(self.now);
            self.carry_out(who);
        }
    }

    /// The network is whole from here on; everything is delivered and every timer runs.
    fn settle(&mut self) {
        self.network = true;
        for _ in 0..60 {
            for _ in 0..40 {
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
        let views: Vec<Vec<CallView>> = world
            .devices
            .iter()
            .map(|device| device.calls.views())
            .collect();
        let of_bob: Vec<&CallView> = views[1..].iter().flatten().collect();
        match (&views[0][..], &of_bob[..]) {
            ([], []) => {
                for device in &world.devices {
                    assert_eq!(device.calls.poll_timeout(), None, "seed {seed}");
                }
            }
            ([a], [b]) => {
                talking += 1;
                agree(seed, a, b);
            }
            _ => panic!("seed {seed}: {views:?}"),
        }
    }
    assert!(
        (CASES / 20..CASES).contains(&talking),
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
