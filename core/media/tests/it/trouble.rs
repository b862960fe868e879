//! Paths that lose, delay and stall: what is counted, and how the delay follows.

use std::time::Duration;

use starling_media::{Dropped, Packet, Packetizer, Playout, Step};

use crate::call::{Call, Heard, Pulled, START, number, plain};
use crate::network::Network;

const SECOND: Duration = Duration::from_secs(1);

fn run(seconds: u64, network: Network) -> Heard {
    let heard = Call {
        seconds,
        ..Call::over(network)
    }
    .run();
    heard.check();
    heard
}

#[test]
fn random_loss_is_counted_and_recovered_from_the_next_packet() {
    for (seed, loss) in [(1, 0.02), (2, 0.05), (3, 0.1), (4, 0.2)] {
        let heard = run(
            60,
            Network {
                loss,
                ..Network::clean(seed)
            },
        );
        let last = heard.last();
        assert_eq!(last.late, 0);
        // A lost packet whose successor came can be recovered. That is (1 - loss) of them; the rest is concealed.
        let recovered = last.recovered as f64 / last.lost as f64;
        assert!(recovered > 1.0 - loss - 0.1, "{loss}: {recovered}");
        assert!(
            last.recovered + last.concealed - last.stretched <= last.lost + 10,
            "{last:?}"
        );
        let (shortest, longest) = heard.delays(5 * SECOND, Duration::MAX);
        assert!(shortest >= 20 && longest <= 80, "{shortest} {longest}");
    }
}

#[test]
fn redundancy_is_waited_for_where_packets_are_lost_and_jitter_too() {
    for seed in 1..6 {
        let heard = run(
            60,
            Network {
                loss: 0.05,
                jitter: Duration::from_millis(30),
                ..Network::clean(seed)
            },
        );
        let last = heard.last();
        let missing = last.lost + last.late;
        assert!(
            last.recovered * 100 >= missing * 80,
            "{seed}: {missing} {last:?}"
        );
        let (_, longest) = heard.delays(5 * SECOND, Duration::MAX);
        assert!(longest <= 80, "{longest}");
    }
}

#[test]
fn everything_at_once_is_still_counted_in_order_and_bounded() {
    for seed in 1..41 {
        let heard = run(
            30,
            Network {
                jitter: Duration::from_millis(seed * 4),
                loss: 0.03,
                bursts: Some((0.01, 0.25)),
                duplicates: 0.05,
                detours: 0.02,
                stall: Some((6 * SECOND, Duration::from_millis(seed * 30))),
                moved: Some((15 * SECOND, Duration::from_millis(seed * 5))),
                ..Network::clean(seed)
            },
        );
        let last = heard.last();
        let unheard = last.late + last.discarded;
        assert!(unheard * 100 <= last.received * 12, "{seed}: {last:?}");
        let (_, longest) = heard.delays(20 * SECOND, Duration::MAX);
        // Jitter, detour, redundancy and the move to the slower path; and what is too little to be got rid of.
        let needed = u128::from(seed * 4) + 50 + 20 + u128::from(seed * 5);
        assert!(longest <= needed + 60, "{seed}: {longest}");
    }
}

#[test]
fn bursts_are_counted_and_do_not_make_the_delay_grow() {
    for seed in 1..6 {
        // Bursts of four packets on average, 10 % of all packets.
        let heard = run(
            60,
            Network {
                bursts: Some((0.028, 0.25)),
                ..Network::clean(seed)
            },
        );
        let last = heard.last();
        assert!(last.late * 100 <= last.received, "{last:?}");
        let (_, longest) = heard.delays(5 * SECOND, Duration::MAX);
        assert!(longest <= 100, "{longest}");
    }
}

#[test]
fn the_delay_follows_jitter_up_and_down() {
    for seed in 1..6 {
        let heard = run(
            90,
            Network {
                jitter: Duration::from_millis(80),
                jitter_from: 10 * SECOND,
                jitter_until: 30 * SECOND,
                ..Network::clean(seed)
            },
        );
        let at = |second: usize| heard.pulls[second * 50].statistics;
        assert_eq!(at(10).target_ms, 20);
        assert!((60..=90).contains(&at(20).target_ms), "{:?}", at(20));
        assert_eq!(at(85).target_ms, 20);
        // Once it has adapted, hardly a packet comes too late.
        assert!(at(29).late - at(13).late <= 8, "{:?} {:?}", at(13), at(29));
        let (_, during) = heard.delays(13 * SECOND, 29 * SECOND);
        let (_, after) = heard.delays(85 * SECOND, Duration::MAX);
        assert!((60..=150).contains(&during), "{during}");
        assert!(after <= 60 + 20, "{after}");
        assert!(at(85).shortened <= 5, "{:?}", at(85));
    }
}

#[test]
fn after_a_stall_the_delay_is_back_within_two_seconds() {
    for milliseconds in [100, 300, 1_000, 3_000] {
        for phase in [0, 3, 9, 17] {
            let length = Duration::from_millis(milliseconds);
            let stalled = 5 * SECOND;
            let network = Network {
                stall: Some((stalled, length)),
                ..Network::clean(1)
            };
            let heard = Call {
                seconds: 15,
                phase: Duration::from_millis(phase),
                ..Call::over(network)
            }
            .run();
            heard.check();
            let back = stalled + length + 2 * SECOND;
            let (shortest, longest) = heard.delays(back, Duration::MAX);
            assert!(
                shortest >= 20 && longest <= 60,
                "{milliseconds} ms: {shortest} {longest}"
            );
            assert_eq!(heard.last().lost, 0);
            let after = heard.pulls[usize::try_from(back.as_millis() / 20).unwrap()].statistics;
            let end = heard.pulls[745].statistics;
            assert_eq!(after.concealed, end.concealed, "{milliseconds} ms");
        }
    }
}

#[test]
fn when_all_of_a_stall_is_lost_it_is_counted_and_sound_comes_back_at_once() {
    let heard = run(
        10,
        Network {
            outage: Some((5 * SECOND, SECOND)),
            ..Network::clean(1)
        },
    );
    let silent = |pulls: &[Pulled]| {
        let silent = |pull: &&Pulled| pull.step == Step::Silence;
        pulls.iter().filter(silent).count()
    };
    // Ten frames are concealed, then it is silent until the first packet has its delay: 40 ms, since packets were lost.
    assert_eq!(silent(&heard.pulls[250..304]), 41);
    assert_eq!(silent(&heard.pulls[304..500]), 0);
    let last = heard.last();
    assert_eq!((last.lost, last.expected), (50, 500));
}

#[test]
fn a_path_that_becomes_slower_or_faster_is_followed_within_two_seconds() {
    let (near, far) = (Duration::from_millis(25), Duration::from_millis(175));
    for (delay, then) in [(near, far), (far, near)] {
        let heard = run(
            15,
            Network {
                delay,
                moved: Some((5 * SECOND, then)),
                ..Network::clean(1)
            },
        );
        let (shortest, longest) = heard.delays(7 * SECOND, Duration::MAX);
        assert!(
            shortest >= 20 && longest <= 60,
            "{then:?}: {shortest} {longest}"
        );
    }
}

#[test]
fn a_path_that_becomes_a_little_slower_costs_a_few_frames() {
    let heard = run(
        15,
        Network {
            moved: Some((5 * SECOND, Duration::from_millis(85))),
            ..Network::clean(1)
        },
    );
    let last = heard.last();
    assert_eq!(last.late, 3, "the fourth that is late begins anew");
    // Ten are concealed at the end of every call.
    assert!(last.concealed <= 10 + 8, "{last:?}");
}

#[test]
fn on_a_path_that_becomes_a_little_faster_speech_is_shortened_and_nothing_is_cut() {
    let heard = run(
        15,
        Network {
            delay: Duration::from_millis(125),
            moved: Some((5 * SECOND, Duration::from_millis(25))),
            ..Network::clean(1)
        },
    );
    let folds = |pull: &(usize, &Pulled)| matches!(pull.1.step, Step::Shorten(..));
    let folds: Vec<usize> = heard
        .pulls
        .iter()
        .enumerate()
        .filter(folds)
        .map(|(pull, _)| pull)
        .collect();
    // From 122 ms to 42 ms, never two close together.
    assert!((5..=6).contains(&folds.len()), "{folds:?}");
    assert!(
        folds.windows(2).all(|two| two[1] - two[0] >= 3),
        "{folds:?}"
    );
    let (shortest, longest) = heard.delays(7 * SECOND, Duration::MAX);
    assert!(shortest >= 20 && longest <= 55, "{shortest} {longest}");
    let last = heard.last();
    assert_eq!((last.late, last.discarded), (0, 0));
    assert_eq!(heard.decoded().len(), 750);
    assert_eq!(last.concealed, 10, "only the end of the call");
}

#[test]
fn media_05_two_packets_for_one_frame_are_one() {
    let mut playout = Playout::new();
    let packet = |sequence, timestamp| Packet {
        marker: false,
        sequence,
        timestamp,
        ssrc: 1,
        repeat: None,
        frame: plain(&[1]),
    };
    assert_eq!(playout.insert(&packet(7, 960).write(), START), Ok(()));
    let second = playout.insert(&packet(8, 961).write(), START);
    assert_eq!(second, Err(Dropped::Duplicate));
    assert_eq!(playout.statistics().duplicated, 1);
}

#[test]
fn a_device_that_stopped_for_seconds_plays_the_present_within_two_seconds() {
    for pulls in [25, 50, 250] {
        let mut sender = Packetizer::new(3);
        let mut playout = Playout::new();
        let mut after = Vec::new();
        for frame in 0..700_u64 {
            let now = START + Duration::from_millis(frame * 20);
            playout
                .insert(&sender.packets(plain(&frame.to_be_bytes()))[0], now)
                .unwrap();
            if (100..100 + pulls).contains(&frame) {
                continue;
            }
            if let Step::Decode(payload) = playout.pull(now + Duration::from_millis(1)) {
                let heard = number(&payload);
                after.push((frame, frame - heard));
            }
        }
        let back = 100 + pulls + 100;
        for (frame, behind) in after.into_iter().filter(|(frame, _)| *frame >= back) {
            assert!(behind <= 3, "{pulls}: {frame} {behind}");
        }
    }
}

#[test]
fn clocks_that_drift_apart_do_not_change_the_delay() {
    // 1,000 parts per million, ten times what sound devices are allowed: 0.6 s in ten minutes.
    for period in [19_980, 20_020] {
        let mut sender = Packetizer::new(3);
        let mut playout = Playout::new();
        let mut pulled = Duration::ZERO;
        for frame in 0..30_000_u32 {
            let sent = frame * Duration::from_millis(20);
            // The device pulls by its own clock.
            while pulled < sent {
                playout.pull(START + pulled);
                pulled += Duration::from_micros(period);
            }
            playout
                .insert(&sender.packets(plain(&[1; 3])).remove(0), START + sent)
                .unwrap();
            let delay = playout.statistics().delay_ms;
            assert!(delay <= 65, "{period}: {frame} {delay}");
        }
        let statistics = playout.statistics();
        let (more, fewer) = (statistics.concealed, statistics.shortened);
        let (adjusted, other) = if period < 20_000 {
            (more, fewer)
        } else {
            (fewer, more)
        };
        assert!((28..=31).contains(&adjusted), "{statistics:?}");
        assert_eq!(other, 0, "{statistics:?}");
    }
}

#[test]
fn media_07_a_frame_that_was_passed_is_not_heard_later() {
    let mut sender = Packetizer::new(1);
    let datagrams: Vec<Vec<u8>> = (0..20)
        .map(|_| sender.packets(plain(&[1; 3])).remove(0))
        .collect();
    let at = |frame: u32| START + frame * Duration::from_millis(20);
    let mut playout = Playout::new();
    for frame in (0..15).filter(|frame| *frame != 8) {
        playout
            .insert(&datagrams[frame as usize], at(frame))
            .unwrap();
        playout.pull(at(frame));
    }
    let recovered = playout.statistics().recovered;
    assert_eq!(recovered, 1);
    assert_eq!(playout.insert(&datagrams[8], at(15)), Err(Dropped::Late));
    assert_eq!(
        playout.insert(&datagrams[8], at(15)),
        Err(Dropped::Duplicate)
    );
    assert_eq!(playout.insert(&datagrams[15], at(15)), Ok(()));
    let statistics = playout.statistics();
    assert_eq!((statistics.late, statistics.lost), (1, 0));
}

#[test]
fn media_06_a_peer_that_begins_anew_is_heard_again_at_once() {
    let mut playout = Playout::new();
    let mut now = START;
    let mut dropped = 0;
    for encoder in 0..5 {
        let mut sender = Packetizer::new(encoder);
        let mut silent = 0;
        for frame in 0..100 {
            now += Duration::from_millis(20);
            let datagram = sender
                .packets(plain(&[u8::try_from(encoder).unwrap(); 3]))
                .remove(0);
            dropped += u32::from(playout.insert(&datagram, now).is_err());
            let step = playout.pull(now + Duration::from_millis(3));
            if frame >= 10 {
                silent += u32::from(!matches!(step, Step::Decode(_)));
            }
        }
        assert_eq!(silent, 0, "{encoder}");
    }
    assert_eq!(dropped, 4, "one packet each time, until the next confirms");
    let statistics = playout.statistics();
    assert_eq!(statistics.foreign, 4);
    assert_eq!(statistics.lost, 0);
    assert_eq!(statistics.expected, 496);
}

#[test]
fn media_06_a_sequence_that_jumps_is_followed() {
    let mut playout = Playout::new();
    let mut sender = Packetizer::new(1);
    let mut datagrams: Vec<Vec<u8>> = (0..200)
        .map(|_| sender.packets(plain(&[1; 3])).remove(0))
        .collect();
    for datagram in &mut datagrams[100..] {
        let packet = Packet::parse(datagram).unwrap();
        let jumped = Packet {
            sequence: packet.sequence.wrapping_add(20_000),
            timestamp: packet.timestamp.wrapping_add(3_000_000_000),
            ..packet
        };
        *datagram = jumped.write();
    }
    let mut now = START;
    let mut decoded = 0;
    for datagram in &datagrams {
        now += Duration::from_millis(20);
        let _ = playout.insert(datagram, now);
        decoded += u32::from(matches!(playout.pull(now), Step::Decode(_)));
    }
    assert!(decoded >= 190, "{decoded}");
    assert_eq!(playout.statistics().lost, 0);
}
