//! How a call is, for the person and for whoever looks into it.

use std::collections::VecDeque;
use std::time::Duration;

use starling_control::view;
use starling_media::opinion::mean_opinion;
use starling_media::{FRAME, Plan, Protection, Statistics};

use super::voice::VoiceStatistics;

/// What the encoder looks ahead, after the frame.
const LOOK_AHEAD: Duration = Duration::from_micros(6_500);
/// Losses are those of so many seconds: enough packets for a share, and still what is heard now.
const LATELY: usize = 5;

/// What the counts were, a second apart, to tell what came lately from what came since the beginning.
#[derive(Debug, Default)]
pub struct Lately(VecDeque<Statistics>);

/// Of what was promised lately, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Losses {
    /// Did not come (RFC 3550 section 6.4.1, "fraction lost").
    lost: f64,
    /// Was made up.
    missing: f64,
}

impl Lately {
    /// A second has passed.
    pub fn note(&mut self, now: &Statistics) {
        // Another playout counts anew.
        self.0.retain(|before| before.expected <= now.expected);
        if self.0.is_empty() {
            self.0.push_back(Statistics::default());
        }
        self.0.push_back(*now);
        if self.0.len() > LATELY + 1 {
            self.0.pop_front();
        }
    }

    /// `CALL-35`: since the oldest look.
    pub fn losses(&self, now: &Statistics) -> Losses {
        let zero = Statistics::default();
        let oldest = self.0.front();
        let before = oldest.filter(|before| before.expected <= now.expected);
        let before = before.unwrap_or(&zero);
        let expected = now.expected.saturating_sub(before.expected);
        let lost = expected.saturating_sub(now.received.saturating_sub(before.received));
        // What only makes time for the delay to grow is not missing.
        let made_up = |at: &Statistics| at.concealed.saturating_sub(at.stretched);
        let missing = made_up(now).saturating_sub(made_up(before));
        let share = |part: u64| (part as f64 / expected.max(1) as f64).min(1.0);
        Losses {
            lost: share(lost),
            missing: share(missing),
        }
    }
}

/// What is known of the voice; the path is for the driver to add.
pub fn quality(
    voice: &VoiceStatistics,
    losses: Losses,
    rtt: Option<Duration>,
) -> view::CallQuality {
    let received = &voice.received;
    let plan = voice.plan;
    view::CallQuality {
        rtt_ms: rtt.map(milliseconds),
        loss_percent: losses.lost * 100.0,
        jitter_ms: received.jitter_ms,
        buffer_ms: received.depth_ms.into(),
        delay_ms: received.delay_ms.into(),
        recovered: received.repeated + received.recovered,
        concealed: received.concealed,
        codec: codec(plan),
        bitrate: plan.map_or(0, |plan| plan.bitrate),
        protection: plan.map_or_else(String::new, protection),
        mos: opinion(received, losses, rtt),
        ..view::CallQuality::default()
    }
}

fn opinion(received: &Statistics, losses: Losses, rtt: Option<Duration>) -> f64 {
    let path = rtt.unwrap_or_default() / 2 + FRAME + LOOK_AHEAD;
    let delay = milliseconds(path) + f64::from(received.delay_ms);
    // Tenths: it is an estimate.
    (mean_opinion(delay, losses.missing) * 10.0).round() / 10.0
}

fn codec(plan: Option<Plan>) -> String {
    let frames = plan.map_or(1, |plan| u32::from(plan.joined));
    format!("Opus, 48 kHz, {} ms", (FRAME * frames).as_millis())
}

fn protection(plan: Plan) -> String {
    match plan.protection {
        Protection::Off => "off".to_owned(),
        Protection::Fec(percent) => format!("in-band FEC for {percent} % loss"),
        Protection::Deep { ms, .. } => format!("deep redundancy of {ms} ms"),
        Protection::Repeat { back, .. } => {
            format!("sent again after {} ms", u64::from(back) * 20)
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_against_losses_is_said_in_words() {
        let words = |protection| {
            super::protection(Plan {
                bitrate: 30_000,
                protection,
                joined: 1,
            })
        };
        assert_eq!(words(Protection::Off), "off");
        assert_eq!(words(Protection::Fec(7)), "in-band FEC for 7 % loss");
        let deep = Protection::Deep { loss: 20, ms: 260 };
        assert_eq!(words(deep), "deep redundancy of 260 ms");
        let again = Protection::Repeat { back: 9, loss: 3 };
        assert_eq!(words(again), "sent again after 180 ms");
    }

    #[test]
    fn a_call_that_begins_is_judged_by_its_path_alone() {
        let of = |rtt| quality(&VoiceStatistics::default(), Losses::default(), Some(rtt));
        let near = of(Duration::from_millis(50));
        let far = of(Duration::from_secs(1));
        assert!(near.mos > 4.2 && far.mos < 3.0, "{} {}", near.mos, far.mos);
    }

    fn counts(expected: u64, received: u64, concealed: u64) -> Statistics {
        Statistics {
            expected,
            received,
            concealed,
            ..Statistics::default()
        }
    }

    #[test]
    fn call_35_a_bad_minute_is_shown_while_it_lasts_and_not_after() {
        let mut lately = Lately::default();
        // Ten good minutes.
        for second in 1..=600 {
            lately.note(&counts(50 * second, 50 * second, 0));
        }
        let good = counts(30_000, 30_000, 0);
        assert_eq!(lately.losses(&good), Losses::default());
        // Half is lost for five seconds; a third of it is made up.
        for second in 1..=5 {
            lately.note(&counts(
                30_000 + 50 * second,
                30_000 + 25 * second,
                8 * second,
            ));
        }
        let shown = lately.losses(&counts(30_250, 30_125, 40));
        assert_eq!((shown.lost, shown.missing), (0.5, 0.16));
        // And it is good again.
        for second in 0..6 {
            lately.note(&counts(30_250 + 50 * second, 30_125 + 50 * second, 40));
        }
        let after = lately.losses(&counts(30_550, 30_425, 40));
        assert_eq!(after, Losses::default());
    }

    #[test]
    fn call_35_counts_that_begin_anew_are_no_gain() {
        let mut lately = Lately::default();
        lately.note(&counts(5_000, 4_000, 900));
        let anew = counts(100, 90, 5);
        let shown = lately.losses(&anew);
        assert_eq!((shown.lost, shown.missing), (0.1, 0.05));
        lately.note(&anew);
        assert_eq!(lately.losses(&anew), shown);
    }
}
