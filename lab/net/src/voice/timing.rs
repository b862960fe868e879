//! From the last sample of a frame that is there to the first that goes to the device: what two nodes wrote down of one call
//! ([`Sound::trace`](starling_control::command::Sound)). Both on one machine, so with one clock.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The delay of each frame that was heard, in milliseconds, without `propagation` and the first `before` of the call.
pub fn added_delays(
    said: &Path,
    heard: &Path,
    propagation: Duration,
    before: Duration,
) -> std::io::Result<Vec<f64>> {
    let said = times(&std::fs::read_to_string(said)?, "said");
    let heard = times(&std::fs::read_to_string(heard)?, "heard");
    Ok(delays(&said, &heard, propagation, before))
}

fn delays(said: &Times, heard: &Times, propagation: Duration, before: Duration) -> Vec<f64> {
    let micros = |time: Duration| time.as_micros() as f64;
    let Some(begin) = said.values().copied().reduce(f64::min) else {
        return Vec::new();
    };
    said.iter()
        .filter(|(_, at)| **at >= begin + micros(before))
        .filter_map(|(frame, at)| Some(heard.get(frame)? - at))
        .map(|delay| (delay - micros(propagation)) / 1_000.0)
        .collect()
}

/// When each frame came or went: microseconds, by the frame's number.
type Times = BTreeMap<i64, f64>;

fn times(text: &str, wanted: &str) -> Times {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (what, frame, at) = (words.next()?, words.next()?, words.next()?);
        (what == wanted).then_some((frame.parse().ok()?, at.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frames_delay_is_from_being_there_to_being_played_less_the_way() {
        let said = times(
            "said 7 1000000\nheard 9 5\nsaid 8 1020000\nsaid 9 1040000",
            "said",
        );
        let heard = times("heard 7 1060000\nheard 9 1105500\nsaid 1 1", "heard");
        let way = Duration::from_millis(25);
        assert_eq!(delays(&said, &heard, way, Duration::ZERO), [35.0, 40.5]);
        let late = Duration::from_millis(30);
        assert_eq!(delays(&said, &heard, way, late), [40.5]);
        assert!(delays(&Times::new(), &heard, way, late).is_empty());
    }
}
