//! One direction of a call: a sender that captures a frame each 20 ms, a network, and a device that pulls one each 20 ms.

use std::time::Duration;

use starling_media::{Dropped, Encoded, FRAME, Packetizer, Playout, Statistics, Step, Time};

use crate::network::Network;

pub const START: Time = Duration::from_secs(1_000);
/// What two shortened frames are longer than one, and a lengthened one.
const CUT: Duration = Duration::from_millis(5);
const LONGER: Duration = Duration::from_millis(10);

/// What the device got for one pull.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// When, from the start of the call.
    pub at: Time,
    pub step: Step,
    pub statistics: Statistics,
}

/// Everything that was heard.
#[derive(Debug)]
pub struct Heard {
    pub pulls: Vec<Pulled>,
    pub dropped: Vec<Dropped>,
    pub network: Network,
}

pub struct Call {
    pub network: Network,
    pub seconds: u64,
    /// Which frames are sent.
    pub sends: fn(u64) -> bool,
    /// When the device's first pull comes.
    pub phase: Duration,
    /// When the device pulls for the n-th time, if not each 20 ms: by how much later.
    pub device: fn(u64) -> Duration,
    pub seed: u64,
    /// By how many frames later each is sent again.
    pub repeat: Option<u8>,
    /// Whether packets describe earlier frames.
    pub deep: bool,
}

impl Call {
    pub fn over(network: Network) -> Self {
        Self {
            network,
            seconds: 10,
            sends: |_| true,
            phase: Duration::from_millis(7),
            device: |_| Duration::ZERO,
            seed: 1,
            repeat: None,
            deep: false,
        }
    }

    /// Sends all frames, pulls until all of them are through.
    pub fn run(mut self) -> Heard {
        let arrivals = self.send();
        let mut arrivals = arrivals.into_iter().peekable();
        let mut playout = Playout::new();
        let (mut pulls, mut dropped) = (Vec::new(), Vec::new());
        // What the decoder made more than was taken.
        let mut waiting = Duration::ZERO;
        for pull in 0..self.seconds * 50 + 50 {
            let at = self.phase + FRAME * u32::try_from(pull).unwrap() + (self.device)(pull);
            while let Some((when, datagram)) = arrivals.next_if(|(when, _)| *when <= at) {
                let outcome = playout.insert(&datagram, START + when);
                dropped.extend(outcome.err());
            }
            if waiting >= FRAME {
                waiting -= FRAME;
                continue;
            }
            let at = at + waiting;
            let step = playout.pull(START + at);
            waiting += match step {
                Step::Shorten(..) => CUT,
                Step::Lengthen(_) => LONGER,
                _ => Duration::ZERO,
            };
            let statistics = playout.statistics();
            pulls.push(Pulled {
                at,
                step,
                statistics,
            });
        }
        Heard {
            pulls,
            dropped,
            network: self.network,
        }
    }

    fn send(&mut self) -> Vec<(Time, Vec<u8>)> {
        let mut sender = Packetizer::new(self.seed);
        sender.repeat(self.repeat);
        let mut arrivals = Vec::new();
        for frame in 0..self.seconds * 50 {
            if !(self.sends)(frame) {
                sender.skip();
                continue;
            }
            let payload = &frame.to_be_bytes();
            let datagrams = sender.packets(Encoded {
                deep: self.deep,
                payload,
            });
            let datagram = &datagrams[0];
            let sent = FRAME * u32::try_from(frame).unwrap();
            for at in self.network.carry(sent) {
                arrivals.push((at, datagram.clone()));
            }
        }
        arrivals.sort_by_key(|(at, _)| *at);
        arrivals
    }
}

/// A frame as the codec made it.
pub fn plain(payload: &[u8]) -> Encoded<'_> {
    Encoded {
        deep: false,
        payload,
    }
}

/// The frame that a payload is of.
pub fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload.try_into().unwrap())
}

impl Heard {
    /// Frames that were decoded from their own packets, in the order of hearing, with the moment.
    pub fn decoded(&self) -> Vec<(Time, u64)> {
        let mut decoded = Vec::new();
        for pull in &self.pulls {
            match &pull.step {
                Step::Decode(payload) | Step::Lengthen(payload) => {
                    decoded.push((pull.at, number(payload)))
                }
                Step::Shorten(first, second) => {
                    decoded.push((pull.at, number(first)));
                    decoded.push((pull.at, number(second)));
                }
                Step::Recover { .. } | Step::Comfort | Step::Conceal | Step::Silence => {}
            }
        }
        decoded
    }

    pub fn last(&self) -> Statistics {
        self.pulls.last().unwrap().statistics
    }

    /// How long after its capture a frame was heard, less the network's delay, for all frames heard in a span of time:
    /// the shortest and the longest, in milliseconds.
    pub fn delays(&self, from: Time, until: Time) -> (u128, u128) {
        let delay = |(at, frame): (Time, u64)| {
            let captured = FRAME * u32::try_from(frame).unwrap();
            (at - captured - self.network.delay_at(captured)).as_millis()
        };
        let heard = self.decoded().into_iter();
        let delays: Vec<u128> = heard
            .filter(|(at, _)| (from..until).contains(at))
            .map(delay)
            .collect();
        let shortest = delays.iter().min();
        let longest = delays.iter().max();
        shortest
            .zip(longest)
            .map(|(shortest, longest)| (*shortest, *longest))
            .unwrap_or_else(|| panic!("nothing was heard between {from:?} and {until:?}"))
    }

    /// What holds for every call.
    pub fn check(&self) {
        let decoded = self.decoded();
        let in_order = decoded.windows(2).all(|pair| pair[0].1 < pair[1].1);
        assert!(in_order, "frames are heard in order, each once");
        for pull in &self.pulls {
            assert!(pull.statistics.depth_ms <= 3_000, "{pull:?}");
        }
        let last = self.last();
        assert_eq!(last.lost, self.network.lost, "{last:?}");
        assert_eq!(last.duplicated, self.network.duplicated);
        assert_eq!(last.expected, last.received + last.lost);
        let heard = decoded.len() as u64;
        let own = heard - last.repeated;
        assert_eq!(last.received, own + last.late + last.discarded);
    }
}
