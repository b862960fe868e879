//! A network of which everything is known: the same seed carries the same packets at the same moments.

use std::time::Duration;

use starling_media::Time;

/// What the network does to packets. Shares are 0 to 1.
#[derive(Debug, Clone)]
pub struct Network {
    pub delay: Duration,
    /// Uniform, on top of the delay.
    pub jitter: Duration,
    /// Jitter only from this moment on.
    pub jitter_from: Time,
    /// And until this one.
    pub jitter_until: Time,
    /// Each packet by itself.
    pub loss: f64,
    /// Gilbert: from good to bad, and from bad to good; in the bad state everything is lost.
    pub bursts: Option<(f64, f64)>,
    pub duplicates: f64,
    /// Packets that take 50 ms longer than the others.
    pub detours: f64,
    /// Nothing arrives from this moment on for so long; then everything at once.
    pub stall: Option<(Time, Duration)>,
    /// What is sent from this moment on for so long is lost.
    pub outage: Option<(Time, Duration)>,
    /// Another path: the delay from this moment on.
    pub moved: Option<(Time, Duration)>,
    /// Whether the Gilbert model is in its bad state.
    pub bad: bool,
    pub random: Random,
    /// What it lost between the first packet that arrived and the last one: of others nobody can know.
    pub lost: u64,
    pub lost_since: Option<u64>,
    pub duplicated: u64,
}

impl Network {
    /// 25 ms and nothing else.
    pub fn clean(seed: u64) -> Self {
        Self {
            delay: Duration::from_millis(25),
            jitter: Duration::ZERO,
            jitter_from: Duration::ZERO,
            jitter_until: Duration::MAX,
            loss: 0.0,
            bursts: None,
            duplicates: 0.0,
            detours: 0.0,
            stall: None,
            outage: None,
            moved: None,
            bad: false,
            random: Random(seed | 1),
            lost: 0,
            lost_since: None,
            duplicated: 0,
        }
    }

    /// When a packet that was sent at `sent` arrives: never, once or twice.
    pub fn carry(&mut self, sent: Time) -> Vec<Time> {
        if self.loses(sent) {
            self.lost_since = self.lost_since.map(|lost| lost + 1);
            return vec![];
        }
        self.lost += self.lost_since.replace(0).unwrap_or(0);
        let first = self.arrival(sent);
        if !self.random.happens(self.duplicates) {
            return vec![first];
        }
        self.duplicated += 1;
        vec![first, self.arrival(sent)]
    }

    /// The delay of a packet that meets no trouble.
    pub fn delay_at(&self, sent: Time) -> Duration {
        match self.moved {
            Some((from, delay)) if sent >= from => delay,
            _ => self.delay,
        }
    }

    fn loses(&mut self, sent: Time) -> bool {
        if let Some((enter, leave)) = self.bursts {
            let changes = if self.bad { leave } else { enter };
            self.bad ^= self.random.happens(changes);
        }
        let is_out = self
            .outage
            .is_some_and(|(from, length)| (from..from + length).contains(&sent));
        self.random.happens(self.loss) || self.bad || is_out
    }

    fn arrival(&mut self, sent: Time) -> Time {
        let mut at = sent + self.delay_at(sent);
        let share = self.random.share();
        if (self.jitter_from..self.jitter_until).contains(&sent) {
            at += self.jitter.mul_f64(share);
        }
        if self.random.happens(self.detours) {
            at += Duration::from_millis(50);
        }
        match self.stall {
            Some((from, length)) if (from..from + length).contains(&at) => from + length,
            _ => at,
        }
    }
}

/// xorshift64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn happens(&mut self, share: f64) -> bool {
        self.share() < share
    }
}
