//! Two devices, a network that is cut at any moment, and two people who press anything: whatever happens, once the
//! network is whole and every timer has run, both sides agree. The seeds are fixed; a failure names its own.

use std::collections::VecDeque;

use super::*;

const CASES: u64 = 10_000;
const STEPS: u64 = 40;
const PEOPLE: [AccountId; 2] = [ALICE, BOB];

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
    towards: [VecDeque<CallFrame>; 2],
    /// Who has not noticed the cut yet.
    unaware: [bool; 2],
}

struct World {
    random: Random,
    devices: [Device; 2],
    streams: Vec<Stream>,
    dials: VecDeque<(usize, CallId)>,
    /// Which call each side's sound belongs to, if it is connected.
    sound: [Option<CallId>; 2],
    wants_sound: [Option<CallId>; 2],
    network: bool,
    now: Time,
    next: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            devices: [Device::default(), Device::default()],
            streams: Vec::new(),
            dials: VecDeque::new(),
            sound: [None; 2],
            wants_sound: [None; 2],
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
            if let Some(stream) = stream.filter(|stream| stream.alive) {
                stream.towards[1 - who].push_back(sent.frame);
            }
        }
        for event in self.devices[who].happened() {
            match event {
                CallEvent::Dial(call, _) => self.dials.push_back((who, call)),
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
                CallEvent::PeerInner(..) | CallEvent::HoldMedia(..) | CallEvent::Changed(_) => {}
            }
        }
    }

    /// A side closes a stream: what it sent before still arrives, then the other side notices.
    fn close(&mut self, who: usize, link: LinkId) {
        if let Some(stream) = self.streams.iter_mut().find(|s| s.link == link) {
            stream.alive = false;
            stream.unaware[who] = false;
            stream.towards[who].clear();
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
        let Some((who, call)) = self.dials.pop_front() else {
            return;
        };
        if !self.network {
            self.devices[who].calls.handle_unreachable(call, self.now);
            return self.carry_out(who);
        }
        self.next += 1;
        let link = self.next;
        self.streams.push(Stream {
            link,
            alive: true,
            towards: [VecDeque::new(), VecDeque::new()],
            unaware: [true; 2],
        });
        self.devices[who].calls.handle_opened(call, link, self.now);
        self.carry_out(who);
    }

    fn connect_sound(&mut self) {
        let [alice, bob] = self.wants_sound;
        if let Some(call) = alice.filter(|call| self.network && bob == Some(*call)) {
            for who in [0, 1] {
                if self.sound[who] != Some(call) {
                    self.sound[who] = Some(call);
                    self.devices[who].calls.handle_sound(call, self.now);
                    self.carry_out(who);
                }
            }
        }
        for who in [0, 1] {
            let Some(call) = self.sound[who] else {
                continue;
            };
            let end = match self.network {
                false if self.random.below(2) == 0 => SoundEnd::Silent,
                false => SoundEnd::Lost,
                true if self.sound[1 - who] != Some(call) => SoundEnd::ClosedByPeer,
                true => continue,
            };
            self.sound[who] = None;
            self.devices[who]
                .calls
                .handle_sound_lost(call, end, self.now);
            self.carry_out(who);
        }
    }

    fn notice(&mut self) {
        for index in 0..self.streams.len() {
            for who in [0, 1] {
                let stream = &mut self.streams[index];
                let over = !stream.alive && stream.towards[who].is_empty();
                if over && std::mem::take(&mut stream.unaware[who]) {
                    let link = stream.link;
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
        let who = self.random.below(2) as usize;
        let stream = &mut self.streams[index];
        let link = stream.link;
        if let Some(frame) = stream.towards[who].pop_front() {
            self.devices[who]
                .calls
                .handle_frame(PEOPLE[1 - who], link, frame, self.now);
            self.carry_out(who);
        }
    }

    fn person_step(&mut self) {
        let who = self.random.below(2) as usize;
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
                peer: PEOPLE[1 - who],
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
        for who in [0, 1] {
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
        let [alice, bob] = &world.devices;
        let (ours, theirs) = (alice.calls.views(), bob.calls.views());
        match (&ours[..], &theirs[..]) {
            ([], []) => {
                assert_eq!(alice.calls.poll_timeout(), None, "seed {seed}");
            }
            ([a], [b]) => {
                talking += 1;
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
            _ => panic!("seed {seed}: {ours:?} against {theirs:?}"),
        }
    }
    assert!(
        (CASES / 20..CASES).contains(&talking),
        "the storm is neither a calm nor the end of everything: {talking}"
    );
}
