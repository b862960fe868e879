//! A sound that says for each moment when it was made: its pitch rises by 700 Hz in each second. From a recording of it
//! follows how long nothing new was heard, and how much of what was said never was.

use starling_lab_net::score::Recording;

const RATE: u32 = 48_000;
const LOWEST: f64 = 300.0;
/// Hertz per second.
const SLOPE: f64 = 700.0;
/// Looked at each time: half a frame later.
const STEP: usize = 480;
/// Looked at for its pitch.
const WINDOW: usize = 960;
/// Quieter than this is silence.
const SILENT: f64 = 0.02;
/// Seconds by which the pitch's moment may be wrong.
const BLUR: f64 = 0.006;
/// Share by which a period may differ from its neighbours.
const UNEVEN: f64 = 0.15;

/// What a recording lacks, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lack {
    /// The longest time in which nothing new was heard.
    pub interrupted: f64,
    /// Sound that was never heard, all together.
    pub lost: f64,
}

/// So many seconds of it.
pub fn sound(seconds: u32) -> Recording {
    let mut phase = 0.0_f64;
    let samples = (0..seconds * RATE).map(|n| {
        phase += (LOWEST + SLOPE * f64::from(n) / f64::from(RATE)) / f64::from(RATE);
        (0.4 * (phase * std::f64::consts::TAU).sin()) as f32
    });
    Recording {
        samples: samples.collect(),
        rate: RATE,
    }
}

/// What a recording of [`sound`] lacks from its first moment on.
pub fn lack(heard: &Recording) -> Lack {
    assert_eq!(heard.rate, RATE);
    let [step, width] = [STEP, WINDOW].map(|samples| samples as f64 / f64::from(RATE));
    let windows = heard.samples.windows(WINDOW).step_by(STEP);
    let moments = windows.enumerate().filter_map(|(at, window)| {
        let moment = moment(window)?;
        Some((at as f64 * step, moment))
    });
    let mut last: Option<(f64, f64)> = None;
    let mut lack = Lack {
        interrupted: 0.0,
        lost: 0.0,
    };
    for (at, moment) in moments {
        let Some((before, was)) = last else {
            last = Some((at, moment));
            continue;
        };
        // What is concealed stays where it was.
        if moment < was + step - BLUR {
            continue;
        }
        // Windows that hold both sides of a break are none.
        lack.interrupted = lack.interrupted.max(at - before - width);
        if moment > was + step + BLUR {
            lack.lost += (moment - was - width).max(0.0);
        }
        last = Some((at, moment));
    }
    // Nothing may have come any more.
    let end = heard.samples.len() as f64 / f64::from(RATE);
    let before = last.map_or(0.0, |(before, _)| before + width);
    lack.interrupted = lack.interrupted.max(end - before);
    lack
}

/// When a window's sound was made, in seconds; none for silence.
fn moment(window: &[f32]) -> Option<f64> {
    let is_loud = |part: &[f32]| {
        let power: f64 = part.iter().map(|s| f64::from(*s).powi(2)).sum();
        (power / part.len() as f64).sqrt() > SILENT
    };
    if !window.chunks(WINDOW / 6).all(is_loud) {
        return None;
    }
    let rises: Vec<f64> = window
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(n, pair)| n as f64 + f64::from(pair[0] / (pair[0] - pair[1])))
        .collect();
    let (first, last) = (rises.first()?, rises.last()?);
    if rises.len() < 4 {
        return None;
    }
    // The edge of a silence is no period.
    let period = (last - first) / (rises.len() - 1) as f64;
    let is_even = |pair: &[f64]| ((pair[1] - pair[0]) / period - 1.0).abs() < UNEVEN;
    if !rises.windows(2).all(is_even) {
        return None;
    }
    let hertz = (rises.len() - 1) as f64 * f64::from(RATE) / (last - first);
    let aside = (first + last - WINDOW as f64) / 2.0;
    Some((hertz - LOWEST) / SLOPE - aside / f64::from(RATE))
}

/// The ruler itself is tested.
pub fn measures_what_is_missing() {
    let whole = sound(6);
    let nothing = lack(&whole);
    assert!(
        nothing.interrupted < 0.03 && nothing.lost < 0.01,
        "{nothing:?}"
    );
    let samples = &whole.samples;
    let cut = |from: usize, to: usize, silence: usize| Recording {
        samples: [&samples[..from], &vec![0.0; silence], &samples[to..]].concat(),
        rate: RATE,
    };
    // 60 ms are missing with and without silence in their place.
    for silence in [0, 2_880] {
        let lack = lack(&cut(100_000, 102_880, silence));
        assert!((lack.lost - 0.06).abs() < 0.015, "{lack:?}");
    }
    // 300 ms late, and nothing lost.
    let late = lack(&cut(100_000, 100_000, 14_400));
    assert!(
        late.lost < 0.015 && (late.interrupted - 0.3).abs() < 0.03,
        "{late:?}"
    );
    // Two seconds and a half of silence.
    let long = lack(&cut(100_000, 220_000, 120_000));
    assert!((long.lost - 2.5).abs() < 0.03, "{long:?}");
    assert!((long.interrupted - 2.5).abs() < 0.04, "{long:?}");
    // It never came back.
    let silent = lack(&cut(100_000, samples.len(), 144_000));
    assert!((silent.interrupted - 3.0).abs() < 0.04, "{silent:?}");
}
