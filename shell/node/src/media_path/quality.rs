//! How a call is, for the person and for whoever looks into it.

use std::time::Duration;

use starling_control::view;
use starling_media::opinion::mean_opinion;
use starling_media::{FRAME, Plan, Protection, Statistics};

use super::voice::VoiceStatistics;

/// What the encoder looks ahead, after the frame.
const LOOK_AHEAD: Duration = Duration::from_micros(6_500);

/// What is known of the voice; the path is for the driver to add.
pub fn quality(voice: &VoiceStatistics, rtt: Option<Duration>) -> view::CallQuality {
    let received = &voice.received;
    let plan = voice.plan;
    view::CallQuality {
        rtt_ms: rtt.map(milliseconds),
        loss_percent: received.loss_percent,
        jitter_ms: received.jitter_ms,
        buffer_ms: received.depth_ms.into(),
        delay_ms: received.delay_ms.into(),
        recovered: received.repeated + received.recovered,
        concealed: received.concealed,
        codec: codec(plan),
        bitrate: plan.map_or(0, |plan| plan.bitrate),
        protection: plan.map_or_else(String::new, protection),
        mos: opinion(received, rtt),
        ..view::CallQuality::default()
    }
}

fn opinion(received: &Statistics, rtt: Option<Duration>) -> f64 {
    let path = rtt.unwrap_or_default() / 2 + FRAME + LOOK_AHEAD;
    let delay = milliseconds(path) + f64::from(received.delay_ms);
    let missing = received.concealed as f64 / received.expected.max(1) as f64;
    // Tenths: it is an estimate.
    (mean_opinion(delay, missing) * 10.0).round() / 10.0
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
        let near = quality(&VoiceStatistics::default(), Some(Duration::from_millis(50)));
        let far = quality(&VoiceStatistics::default(), Some(Duration::from_secs(1)));
        assert!(near.mos > 4.2 && far.mos < 3.0, "{} {}", near.mos, far.mos);
    }
}
