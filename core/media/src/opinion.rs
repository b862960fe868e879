//! An estimate of how listeners would judge a call, after the E-model (ITU-T G.107): from delay and from what is missing. No
//! measurement of sound: two calls with the same figure may sound different.

/// The rating of a call without any impairment, with the defaults of G.107.
const BEST: f64 = 93.2;
/// How well Opus with its concealment bears losses ("packet-loss robustness factor", G.113). G.113 has no row for Opus; this is that of
/// codecs that conceal well.
const ROBUSTNESS: f64 = 20.0;
/// From this one-way delay on, conversation suffers more. Milliseconds.
const BEARABLE_MS: f64 = 177.3;

/// The mean opinion score, 1 to 4.4. `delay_ms`: from mouth to ear; `missing`: the share of frames that were made up, 0 to 1.
pub fn mean_opinion(delay_ms: f64, missing: f64) -> f64 {
    let delay = 0.024 * delay_ms + 0.11 * (delay_ms - BEARABLE_MS).max(0.0);
    let percent = missing.clamp(0.0, 1.0) * 100.0;
    let losses = 95.0 * percent / (percent + ROBUSTNESS);
    let rating = (BEST - delay - losses).clamp(0.0, 100.0);
    let curve = rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    (1.0 + 0.035 * rating + curve).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn worse_is_never_judged_better(delay in 0.0..1_000.0_f64, missing in 0.0..1.0_f64, more in 0.0..0.3_f64) {
            let score = mean_opinion(delay, missing);
            prop_assert!((1.0..=4.5).contains(&score));
            prop_assert!(mean_opinion(delay + more * 500.0, missing) <= score);
            prop_assert!(mean_opinion(delay, missing + more) <= score);
        }
    }

    #[test]
    fn the_scale_is_that_of_the_e_model() {
        assert!((mean_opinion(0.0, 0.0) - 4.41).abs() < 0.01);
        let far = mean_opinion(400.0, 0.0);
        assert!((3.0..3.6).contains(&far), "{far}");
        let lossy = mean_opinion(60.0, 0.1);
        assert!((2.8..3.3).contains(&lossy), "{lossy}");
    }
}
