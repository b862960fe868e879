//! How a call's sound was over time: averages and worst figures of one look a second.

use starling_control::view::{CallCourse, CallQuality, Spread};

/// Of the looks so far.
#[derive(Debug, Clone, Default)]
pub struct Course {
    seconds: u32,
    rtt_ms: Figure,
    loss_percent: Figure,
    jitter_ms: Figure,
    buffer_ms: Figure,
    bitrate: Figure,
    mos: Figure,
}

/// Of one figure: how often it was known, its sum, the least and the most.
#[derive(Debug, Clone, Copy, Default)]
struct Figure {
    count: u32,
    sum: f64,
    range: Option<(f64, f64)>,
}

impl Figure {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        let (least, most) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), most.max(value)));
    }

    fn spread(&self, worst: fn((f64, f64)) -> f64) -> Spread {
        Spread {
            average: self.sum / f64::from(self.count.max(1)),
            worst: self.range.map_or(0.0, worst),
        }
    }

    fn more_is_worse(&self) -> Spread {
        self.spread(|(_, most)| most)
    }

    fn less_is_worse(&self) -> Spread {
        self.spread(|(least, _)| least)
    }
}

impl Course {
    /// A look.
    pub fn add(&mut self, quality: &CallQuality) {
        self.seconds = self.seconds.saturating_add(1);
        if let Some(rtt) = quality.rtt_ms {
            self.rtt_ms.add(rtt);
        }
        self.loss_percent.add(quality.loss_percent);
        self.jitter_ms.add(quality.jitter_ms);
        self.buffer_ms.add(quality.buffer_ms);
        self.bitrate.add(quality.bitrate.into());
        self.mos.add(quality.mos);
    }

    /// For the log, if there was a look at all.
    pub fn view(&self) -> Option<CallCourse> {
        (self.seconds > 0).then(|| CallCourse {
            seconds: self.seconds,
            rtt_ms: self.rtt_ms.more_is_worse(),
            loss_percent: self.loss_percent.more_is_worse(),
            jitter_ms: self.jitter_ms.more_is_worse(),
            buffer_ms: self.buffer_ms.more_is_worse(),
            bitrate: self.bitrate.less_is_worse(),
            mos: self.mos.less_is_worse(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_call_is_its_slowest_and_its_least_understood_second() {
        let mut course = Course::default();
        assert_eq!(course.view(), None);
        for (rtt, mos, bitrate) in [
            (Some(20.0), 4.2, 32_000),
            (Some(80.0), 3.0, 16_000),
            (None, 4.2, 32_000),
        ] {
            course.add(&CallQuality {
                rtt_ms: rtt,
                mos,
                bitrate,
                ..CallQuality::default()
            });
        }
        let view = course.view().expect("three looks");
        let spread = |average, worst| Spread { average, worst };
        assert_eq!(view.seconds, 3);
        assert_eq!(view.rtt_ms, spread(50.0, 80.0));
        assert!((view.mos.average - 3.8).abs() < 1e-9 && view.mos.worst == 3.0);
        assert_eq!(view.bitrate.worst, 16_000.0);
        assert_eq!(view.loss_percent, spread(0.0, 0.0));
    }
}
