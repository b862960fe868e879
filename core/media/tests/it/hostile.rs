//! Any bytes, any order, any clock: no panic, bounded memory, sound in order.

use std::time::Duration;

use proptest::prelude::*;
use starling_media::fuzz::fuzz_media;
use starling_media::{Encoded, Packet, Playout, Repeat, Step};

use crate::call::plain;

#[derive(Debug, Clone)]
enum Act {
    Bytes(Vec<u8>),
    Packet {
        source: u8,
        sequence: i16,
        frame: i16,
        odd: u16,
        marker: bool,
        back: u8,
    },
    Pull,
    Burst(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let near = || prop_oneof![8 => -20_i16..200, 1 => any::<i16>()];
    let odd = prop_oneof![9 => Just(0_u16), 1 => any::<u16>()];
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Act::Bytes),
        8 => (0_u8..20, near(), near(), odd, any::<bool>(), 0_u8..18).prop_map(
            |(source, sequence, frame, odd, marker, back)| Act::Packet {
                source: u8::from(source == 0),
                sequence,
                frame,
                odd,
                marker,
                back,
            }
        ),
        6 => Just(Act::Pull),
        1 => any::<u8>().prop_map(Act::Burst),
    ]
}

/// Mostly some milliseconds forward, sometimes anywhere, backwards too.
fn moment() -> impl Strategy<Value = (bool, u64)> {
    prop_oneof![
        20 => (0_u64..60_000).prop_map(|step| (false, step)),
        1 => (0_u64..10_000_000).prop_map(|step| (false, step)),
        1 => any::<u64>().prop_map(|at| (true, at)),
    ]
}

proptest! {
    #[test]
    fn media_08_no_acts_make_it_panic_or_grow(acts in prop::collection::vec((act(), moment()), 0..300)) {
        let mut playout = Playout::new();
        let mut now = 0_u64;
        for (act, (anywhere, step)) in acts {
            now = if anywhere { step } else { now.saturating_add(step) };
            let at = Duration::from_micros(now);
            let pulls = match act {
                Act::Bytes(bytes) => {
                    let _ = playout.insert(&bytes, at);
                    0
                }
                Act::Packet { source, sequence, frame, odd, marker, back } => {
                    let packet = Packet {
                        marker,
                        sequence: sequence.cast_unsigned(),
                        timestamp: i32::from(frame).wrapping_mul(960).cast_unsigned().wrapping_add(odd.into()),
                        ssrc: source.into(),
                        repeat: (back > 0).then_some(Repeat { back, frame: Encoded { deep: true, payload: &[3] } }),
                        frame: Encoded { deep: back % 2 == 1, payload: &[1, 2] },
                    };
                    let _ = playout.insert(&packet.write(), at);
                    0
                }
                Act::Pull => 1,
                Act::Burst(pulls) => pulls,
            };
            for _ in 0..pulls {
                playout.pull(at);
            }
            let statistics = playout.statistics();
            prop_assert!(statistics.depth_ms <= 3_000, "{:?}", statistics);
            prop_assert!((20..=400).contains(&statistics.target_ms), "{:?}", statistics);
            prop_assert!(statistics.lost <= statistics.expected);
            prop_assert!(statistics.jitter_ms.is_finite());
        }
    }

    #[test]
    fn no_bytes_make_the_fuzz_body_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_media(&bytes);
    }
}

#[test]
fn media_08_nobody_pulls_for_an_hour_and_then_the_present_is_heard() {
    let mut sender = starling_media::Packetizer::new(1);
    let mut playout = Playout::new();
    let mut now = Duration::from_secs(5);
    for frame in 0..180_000_u64 {
        now += Duration::from_millis(20);
        playout
            .insert(&sender.packets(plain(&frame.to_be_bytes()))[0], now)
            .unwrap();
        assert!(playout.statistics().depth_ms <= 3_000);
    }
    let Step::Decode(payload) = playout.pull(now + Duration::from_millis(5)) else {
        panic!("there is something to hear");
    };
    assert!(crate::call::number(&payload) >= 179_997);
    let statistics = playout.statistics();
    assert_eq!((statistics.lost, statistics.received), (0, 180_000));
    assert!(statistics.discarded >= 179_990);
}
