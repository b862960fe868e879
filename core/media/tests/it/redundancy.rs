//! What senders do against losses: whole frames sent again, and packets that describe what was before.

use std::time::Duration;

use proptest::prelude::*;
use starling_media::{Encoded, FRAME, Packetizer, Playout, Step};

use crate::call::{Call, Heard, START, number};
use crate::network::Network;

fn run(repeat: Option<u8>, deep: bool, network: Network) -> Heard {
    let heard = Call {
        seconds: 60,
        repeat,
        deep,
        ..Call::over(network)
    }
    .run();
    heard.check();
    heard
}

/// Bursts of four packets on average, one in five packets in all.
fn bursts(seed: u64) -> Network {
    Network {
        bursts: Some((0.0625, 0.25)),
        ..Network::clean(seed)
    }
}

#[test]
fn what_is_sent_again_is_played_in_its_place() {
    for seed in 1..6 {
        let lossy = Network {
            loss: 0.2,
            ..Network::clean(seed)
        };
        let heard = run(Some(4), false, lossy);
        let last = heard.last();
        // Both are lost once in 25 times.
        assert!(last.repeated * 10 >= last.lost * 7, "{last:?}");
        let guessed = last.concealed - last.stretched;
        assert!(guessed * 100 <= last.expected * 2, "{last:?}");
        let (_, longest) = heard.delays(Duration::from_secs(10), Duration::MAX);
        assert!((80..=140).contains(&longest), "{longest}");
    }
}

#[test]
fn bursts_are_bridged_by_what_comes_after_them() {
    for seed in 1..6 {
        let without = run(None, false, bursts(seed)).last();
        let heard = run(None, true, bursts(seed));
        let last = heard.last();
        assert!(last.recovered * 10 >= last.lost * 6, "{last:?}");
        assert!(last.recovered > without.recovered * 2, "{last:?}");
        let (_, longest) = heard.delays(Duration::from_secs(10), Duration::MAX);
        assert!(longest <= 180, "{longest}");
        // Sent again further away than bursts are long.
        let again = run(Some(12), false, bursts(seed)).last();
        assert!(again.repeated * 10 >= again.lost * 6, "{again:?}");
    }
}

#[test]
fn redundancy_costs_no_delay_where_nothing_is_lost() {
    for (repeat, deep) in [(Some(10), false), (None, true), (Some(17), true)] {
        let heard = run(repeat, deep, Network::clean(1));
        let (_, longest) = heard.delays(Duration::from_secs(1), Duration::MAX);
        assert!(longest <= 40, "{longest}");
        assert_eq!((heard.last().repeated, heard.last().recovered), (0, 0));
    }
}

#[test]
fn media_10_a_repeated_frame_is_heard_once_and_never_before_what_is_due() {
    let mut sender = Packetizer::new(1);
    sender.repeat(Some(2));
    let frames: Vec<u64> = (0..40).collect();
    let datagrams: Vec<Vec<u8>> = frames
        .iter()
        .map(|frame| {
            let payload = &frame.to_be_bytes();
            let deep = false;
            sender.packets(Encoded { deep, payload }).remove(0)
        })
        .collect();
    let mut playout = Playout::new();
    let mut heard = Vec::new();
    for (at, datagram) in datagrams.iter().enumerate() {
        let now = START + FRAME * u32::try_from(at).unwrap();
        // Each frame's own packet comes after the one that repeats it.
        let own = at.checked_sub(3).map(|before| &datagrams[before]);
        for datagram in [Some(datagram).filter(|_| at % 4 == 3), own]
            .into_iter()
            .flatten()
        {
            let _ = playout.insert(datagram, now);
        }
        if let Step::Decode(payload) = playout.pull(now) {
            heard.push(number(&payload));
        }
    }
    assert!(heard.len() > 20, "{heard:?}");
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "{heard:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is lost, doubled and turned around: what is counted fits together, and no frame is heard twice.
    #[test]
    fn any_network_and_any_redundancy_fit_together(
        seed: u64, back in 0_u8..18, deep: bool, loss in 0.0..0.5_f64, jitter in 0_u64..120, detours in 0.0..0.2_f64,
        duplicates in 0.0..0.2_f64, pause in 1_u64..40,
    ) {
        let network = Network {
            loss,
            jitter: Duration::from_millis(jitter),
            detours,
            duplicates,
            ..Network::clean(seed)
        };
        let sends: fn(u64) -> bool = match pause {
            1..5 => |frame| frame % 13 > 3,
            _ => |_| true,
        };
        let call = Call {
            seconds: 8,
            sends,
            repeat: (back > 0).then_some(back),
            deep,
            ..Call::over(network)
        };
        call.run().check();
    }
}
