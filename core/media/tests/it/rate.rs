//! Both directions' machines together: a sender that follows the reports, over a link with a rate of its own.

use std::time::Duration;

use starling_media::rate::MOST;
use starling_media::{Encoded, FRAME, Packetizer, Plan, Playout, Protection, Rate, Report, Time};

use crate::call::START;
use crate::network::Network;

/// What each datagram costs besides: QUIC, UDP and IP.
const OVERHEAD: usize = 60;
const NOTICED: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

/// A link with a queue that drops nothing, and losses before it.
struct Link {
    bits_per_second: fn(Time) -> u64,
    free_at: Time,
    network: Network,
}

impl Link {
    fn carry(&mut self, bytes: usize, at: Time) -> Option<Time> {
        let bits = (bytes + OVERHEAD) as u64 * 8;
        let start = self.free_at.max(at);
        let sending = Duration::from_micros(bits * 1_000_000 / (self.bits_per_second)(at));
        let arrival = self.network.carry(at).first().copied()?;
        self.free_at = start + sending;
        Some(arrival + (self.free_at - at))
    }
}

/// How the stream was planned, and how long its packets stood in the queue, each second.
struct Seen {
    plans: Vec<Plan>,
    queues: Vec<Duration>,
}

fn run(seconds: u32, mut link: Link) -> Seen {
    let mut sender = Packetizer::new(1);
    let mut rate = Rate::new(MOST, true);
    let mut playout = Playout::new();
    let mut arrivals: Vec<(Time, Vec<u8>)> = Vec::new();
    let mut reports: Vec<(Time, Report)> = Vec::new();
    let (mut plans, mut queues) = (Vec::new(), Vec::new());
    for frame in 0..seconds * 50 {
        let now = FRAME * frame;
        for (_, report) in reports.extract_if(.., |(at, _)| *at <= now) {
            let read = Report::parse(&report.write()).unwrap();
            assert_eq!(read.ssrc, sender.ssrc());
            rate.handle_report(&read, START + now);
        }
        if let Some((at, _)) = link
            .network
            .moved
            .filter(|(at, _)| (*at..*at + FRAME).contains(&now))
        {
            // It takes a while until that is noticed.
            rate.handle_moved(START + at + NOTICED);
        }
        let plan = rate.plan();
        let back = match plan.protection {
            Protection::Repeat { back, .. } => Some(back),
            _ => None,
        };
        sender.repeat(back);
        sender.join(plan.joined);
        let payload = vec![0x78; plan.bitrate as usize / 400];
        let deep = matches!(plan.protection, Protection::Deep { .. });
        let payload = &payload;
        for datagram in sender.packets(Encoded { deep, payload }) {
            rate.handle_sent(START + now);
            if let Some(at) = link.carry(datagram.len(), now) {
                arrivals.push((at, datagram));
            }
        }
        let due = arrivals.extract_if(.., |(at, _)| *at <= now);
        let due: Vec<_> = due.collect();
        for (at, datagram) in due {
            let _ = playout.insert(&datagram, START + at);
        }
        playout.pull(START + now);
        if let Some(report) = playout.report(START + now) {
            reports.push((now + link.network.delay, report));
        }
        if frame % 50 == 49 {
            plans.push(plan);
            queues.push(link.free_at.saturating_sub(now));
        }
    }
    Seen { plans, queues }
}

#[test]
fn a_drop_of_the_links_rate_is_followed_within_three_seconds_and_climbed_back_from() {
    let link = Link {
        bits_per_second: |at| match at {
            at if at < SECOND * 10 => 1_000_000,
            at if at < SECOND * 30 => 44_000,
            _ => 1_000_000,
        },
        free_at: Duration::ZERO,
        network: Network::clean(1),
    };
    let seen = run(60, link);
    assert_eq!(seen.plans[9].bitrate, 30_000);
    for second in 13..30 {
        let (plan, queue) = (seen.plans[second], seen.queues[second]);
        assert!(on_the_wire(plan) <= 48_000, "{second}: {plan:?}");
        let most = if second < 16 { 500 } else { 200 };
        assert!(queue < Duration::from_millis(most), "{second}: {queue:?}");
    }
    assert!(mean(&seen.plans[16..30]) >= 15_000);
    assert_eq!((seen.plans[45].bitrate, seen.plans[45].joined), (30_000, 1));
}

/// From the tenth second on packets take 125 ms longer, over a link of this rate.
fn moves(bits_per_second: fn(Time) -> u64) -> Seen {
    run(
        60,
        Link {
            bits_per_second,
            free_at: Duration::ZERO,
            network: Network {
                moved: Some((SECOND * 10, Duration::from_millis(150))),
                ..Network::clean(1)
            },
        },
    )
}

#[test]
fn a_way_that_becomes_longer_is_no_queue() {
    let seen = moves(|_| 1_000_000);
    for plan in &seen.plans[10..] {
        assert_eq!((plan.bitrate, plan.joined), (30_000, 1), "{plan:?}");
    }
}

#[test]
fn a_longer_way_that_is_narrow_too_is_noticed() {
    let seen = moves(|at| match at {
        at if at < SECOND * 10 => 1_000_000,
        _ => 44_000,
    });
    // When the other side forgets the shorter way, a queue of that moment is taken for the way once more.
    for (second, queue) in seen.queues.iter().enumerate().skip(15) {
        assert!(*queue < Duration::from_millis(400), "{second}: {queue:?}");
    }
    assert!(mean(&seen.plans[20..]) >= 15_000);
}

#[test]
fn where_headers_would_take_all_several_frames_share_one() {
    for (bits_per_second, least) in [
        (rate_of::<32_000> as fn(Time) -> u64, 12_000),
        (rate_of::<24_000>, 8_000),
    ] {
        let link = Link {
            bits_per_second,
            free_at: Duration::ZERO,
            network: Network::clean(1),
        };
        let seen = run(60, link);
        let late = &seen.plans[20..];
        assert!(late.iter().all(|plan| plan.joined > 1), "{late:?}");
        assert!(mean(late) >= least, "{}", mean(late));
        for queue in &seen.queues[20..] {
            assert!(*queue < Duration::from_millis(300), "{queue:?}");
        }
    }
}

const fn rate_of<const BITS: u64>(_: Time) -> u64 {
    BITS
}

fn mean(plans: &[Plan]) -> u32 {
    plans.iter().map(|plan| plan.bitrate).sum::<u32>() / plans.len() as u32
}

/// With all headers.
fn on_the_wire(plan: Plan) -> u32 {
    let header = (12 + OVERHEAD as u32) * 8;
    plan.bitrate + header * 50 / u32::from(plan.joined)
}

#[test]
fn a_path_that_loses_and_has_room_gets_everything_twice() {
    let lossy = Network {
        loss: 0.2,
        ..Network::clean(3)
    };
    let link = Link {
        bits_per_second: |_| 1_000_000,
        free_at: Duration::ZERO,
        network: lossy,
    };
    let seen = run(30, link);
    for plan in &seen.plans[10..] {
        assert!(
            matches!(plan.protection, Protection::Repeat { .. }),
            "{plan:?}"
        );
        assert!((25_000..MOST / 2).contains(&plan.bitrate), "{plan:?}");
    }
}
