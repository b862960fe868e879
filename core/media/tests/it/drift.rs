//! Two sound devices that do not run equally fast, for hours.

use std::time::Duration;

use starling_media::{FRAME, Packetizer, Playout, Statistics, Step};

use crate::call::{START, plain};

/// A call of so many hours whose sender's device is `ppm` faster than the listener's. `tuned`: what playout advises is done.
fn call(ppm: f64, hours: u32, tuned: bool) -> Long {
    let mut sender = Packetizer::new(1);
    let mut playout = Playout::new();
    let mut long = Long::default();
    let end = 3_600.0 * f64::from(hours);
    // Seconds: when the next frame is there, and when the device has played what it has.
    let (mut captured, mut pulled, mut correction) = (0.0, 0.05, 0.0);
    while captured < end {
        if captured <= pulled {
            let datagram = sender.packets(plain(&[7; 40])).remove(0);
            // The way is not even to the last bit.
            let unrest = (captured * 977.0).fract() * 0.004;
            let at = START + Duration::from_secs_f64(captured + 0.025 + unrest);
            // A device that is too slow or too fast makes one late now and then.
            let _ = playout.insert(&datagram, at);
            captured += FRAME.as_secs_f64() / (1.0 + ppm / 1e6);
            continue;
        }
        let step = playout.pull(START + Duration::from_secs_f64(pulled + 0.06));
        let frames = match step {
            Step::Shorten(..) => 1.5,
            Step::Lengthen(_) => 1.5,
            _ => 1.0,
        };
        pulled += frames * FRAME.as_secs_f64() / (1.0 + correction / 1e6);
        if let Some(ppm) = playout.hasten()
            && tuned
        {
            correction += ppm;
        }
        long.last = playout.statistics();
        if pulled > 60.0 {
            long.most_ms = long.most_ms.max(long.last.delay_ms);
        }
    }
    long.correction = correction;
    long
}

#[derive(Default)]
struct Long {
    correction: f64,
    most_ms: u32,
    last: Statistics,
}

#[test]
fn a_long_call_between_devices_that_drift_apart_stays_short_of_delay_and_whole() {
    for ppm in [-100.0, 100.0] {
        let long = call(ppm, 4, true);
        assert!((long.correction - ppm).abs() < 25.0, "{}", long.correction);
        assert!(long.most_ms <= 90, "{} ms", long.most_ms);
        let last = long.last;
        // Only what passed until the drift was known, and what is left of it.
        let cut = last.shortened + last.lengthened + last.concealed + last.discarded;
        assert!(cut <= 12, "{last:?}");
    }
}

#[test]
fn without_correction_the_delay_is_bounded_too_and_costs_cuts() {
    for ppm in [-100.0, 100.0] {
        let long = call(ppm, 4, false);
        assert!(long.most_ms <= 90, "{} ms", long.most_ms);
        let last = long.last;
        assert!(
            last.shortened + last.lengthened + last.concealed > 12,
            "{last:?}"
        );
    }
}

#[test]
fn equal_devices_are_left_alone() {
    let long = call(0.0, 1, true);
    assert_eq!(long.correction, 0.0);
    let last = long.last;
    assert_eq!(last.shortened + last.lengthened + last.concealed, 0);
}
