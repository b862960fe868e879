//! Paths on which nothing may be heard of the network.

use std::time::Duration;

use proptest::prelude::*;
use starling_media::{FRAME, Packetizer, Playout, Step};

use crate::call::{Call, START, number, plain};
use crate::network::Network;

/// Silence until the first frame, then every frame once and in order, without a gap.
fn assert_continuous(call: Call) {
    let frames = call.seconds * 50;
    let heard = call.run();
    heard.check();
    let sound: Vec<&Step> = heard
        .pulls
        .iter()
        .map(|pull| &pull.step)
        .skip_while(|step| **step == Step::Silence)
        .collect();
    for (frame, step) in (0..frames).zip(sound) {
        assert!(
            matches!(step, Step::Decode(payload) if number(payload) == frame),
            "{frame}: {step:?}"
        );
    }
    assert_eq!(heard.decoded().len() as u64, frames);
    assert_eq!(heard.dropped, []);
}

#[test]
fn a_steady_path_is_heard_to_the_sample_with_at_most_two_frames_of_delay() {
    for phase in 0..20 {
        let phase = Duration::from_millis(phase);
        let call = || Call {
            phase,
            ..Call::over(Network::clean(1))
        };
        assert_continuous(call());
        let heard = call().run();
        let (shortest, longest) = heard.delays(Duration::ZERO, Duration::MAX);
        assert!(shortest >= 20 && longest <= 40, "{shortest} {longest}");
        let last = heard.last();
        assert_eq!((last.lost, last.late, last.stretched), (0, 0, 0));
        assert_eq!(last.jitter_ms, 0.0);
        let in_call = heard.pulls[400].statistics;
        assert_eq!(
            (in_call.concealed, in_call.target_ms, in_call.received),
            (0, 20, 400 - u64::from(phase < Duration::from_millis(5)))
        );
    }
}

#[test]
fn a_minute_with_a_little_jitter_is_heard_to_the_sample() {
    for seed in 1..20 {
        assert_continuous(Call {
            seconds: 60,
            ..Call::over(Network {
                jitter: Duration::from_millis(12),
                ..Network::clean(seed)
            })
        });
    }
}

#[test]
fn a_device_that_pulls_in_bursts_hears_it_to_the_sample() {
    // Two frames at once, each 40 ms; and one that stops for 300 ms and then takes what it missed.
    let pairs = |pull: u64| FRAME * u32::try_from(1 - pull % 2).unwrap();
    let pause = |pull: u64| match pull {
        200..215 => FRAME * u32::try_from(215 - pull).unwrap(),
        _ => Duration::ZERO,
    };
    for device in [pairs, pause] {
        assert_continuous(Call {
            device,
            ..Call::over(Network::clean(1))
        });
    }
}

#[test]
fn packets_out_of_order_are_heard_in_order() {
    let heard = Call {
        seconds: 20,
        ..Call::over(Network {
            detours: 0.1,
            ..Network::clean(3)
        })
    }
    .run();
    heard.check();
    // After two seconds the buffer knows that 50 ms are needed.
    let late = heard
        .pulls
        .iter()
        .map(|pull| pull.statistics.late)
        .collect::<Vec<_>>();
    assert_eq!(heard.last().late, late[100], "none is late any more");
    assert_eq!(heard.last().lost, 0);
    let (shortest, longest) = heard.delays(Duration::from_secs(3), Duration::MAX);
    assert!(shortest >= 50 && longest <= 100, "{shortest} {longest}");
}

#[test]
fn media_05_what_comes_twice_is_heard_once() {
    let network = Network {
        duplicates: 0.3,
        ..Network::clean(5)
    };
    let heard = Call::over(network).run();
    heard.check();
    assert!(heard.network.duplicated > 100);
    assert_eq!(heard.decoded().len(), 500);
    assert_eq!(heard.dropped.len() as u64, heard.network.duplicated);
}

#[test]
fn a_pause_is_silent_and_what_follows_is_heard_whole() {
    let call = Call {
        sends: |frame| !(200..350).contains(&frame),
        ..Call::over(Network::clean(1))
    };
    let heard = call.run();
    heard.check();
    assert_eq!(heard.decoded().len(), 350);
    let last = heard.last();
    assert_eq!((last.lost, last.expected), (0, 350));
    // Nobody can know at first that it is a pause: that is concealed, and the end of the call too.
    assert_eq!(last.concealed, 20);
    let (shortest, longest) = heard.delays(Duration::from_secs(7), Duration::MAX);
    assert!(shortest >= 20 && longest <= 40, "{shortest} {longest}");
}

#[test]
fn in_a_pause_the_delay_shrinks_unheard() {
    // The device begins late, so there is more delay than needed, but not enough to touch speech for it.
    let heard = Call {
        phase: Duration::from_millis(80),
        sends: |frame| !(200..205).contains(&frame),
        ..Call::over(Network::clean(1))
    }
    .run();
    heard.check();
    let pause = Duration::from_millis(4_100);
    assert_eq!(heard.delays(Duration::ZERO, pause), (55, 55));
    assert_eq!(heard.delays(pause, Duration::MAX), (35, 35));
    let last = heard.last();
    assert_eq!((last.shortened, last.discarded, last.late), (0, 0, 0));
}

/// What is heard of eight frames: those that are lost, and those that are not sent. The device pulls 55 ms after capture.
fn steps(lost: &[u64], paused: &[u64]) -> String {
    let mut sender = Packetizer::new(1);
    let mut playout = Playout::new();
    let mut heard = String::new();
    for frame in 0..11 {
        let now = START + FRAME * u32::try_from(frame).unwrap();
        if frame > 2 {
            heard.push(match playout.pull(now - Duration::from_millis(5)) {
                Step::Decode(_) => 'd',
                Step::Lengthen(_) => 'l',
                Step::Recover { payload, back } => {
                    assert_eq!(number(&payload), frame - 3 + u64::from(back));
                    'r'
                }
                Step::Conceal => 'c',
                Step::Comfort => '.',
                Step::Silence => '-',
                Step::Shorten(..) => 's',
            });
        }
        if paused.contains(&frame) {
            sender.skip();
            continue;
        }
        let datagram = sender.packets(plain(&frame.to_be_bytes())).remove(0);
        if !lost.contains(&frame) {
            playout.insert(&datagram, now).unwrap();
        }
    }
    heard
}

#[test]
fn a_loss_is_told_from_a_pause_even_beside_it() {
    assert_eq!(steps(&[], &[]), "dddddddd");
    assert_eq!(steps(&[4], &[]), "ddddrddd");
    assert_eq!(steps(&[4, 5], &[]), "ddddcrdd");
    assert_eq!(steps(&[], &[4, 5]), "dddd--dd");
    // The marker of the first packet after the pause says which came first.
    assert_eq!(steps(&[4], &[5]), "ddddc-dd");
    assert_eq!(steps(&[5], &[4]), "dddd-rdd");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn where_the_numbers_begin_is_not_heard(seed: u64) {
        assert_continuous(Call { seed, seconds: 3, ..Call::over(Network::clean(1)) });
    }
}
