//! When a machine that may serve others begins to, and when it ends (`PROMOTE-01` to `PROMOTE-04`).
//!
//! Home supernodes say how full they are and how many of their clients could serve. While one is nearly full it says so once
//! a minute, and each of these decides once, by chance, so that about one a minute begins: nobody chooses, and no herd comes. Who serves nearly
//! nobody for hours while the others have room ends again, and hands its clients over first.

use std::time::Duration;

use crate::backoff::Jitter;
use crate::machine::{Deadline, Outputs, Time};

/// A supernode is nearly full from here on, in percent.
pub const BUSY: u8 = 70;
/// How often a candidate decides.
pub const DECIDE_EVERY: Duration = Duration::from_secs(60);
/// What was said about load counts for so long, and for one decision.
const LOAD_COUNTS: Duration = Duration::from_secs(90);
/// Below this own load, in percent, a supernode may be superfluous.
const IDLE: u8 = 10;
/// And the others have room while their load is below this.
const ROOM: u8 = 40;
/// For so long, without a break.
pub const IDLE_FOR: Duration = Duration::from_secs(6 * 3600);

/// What the node is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotionEvent {
    /// Serve others.
    Begin,
    /// Hand over and end.
    End,
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Time to decide.
    Decide,
    /// It has served nobody for long enough.
    Idle,
}

/// One machine's decision.
#[derive(Debug)]
pub struct Promotion {
    eligible: bool,
    serving: bool,
    load: Option<Load>,
    decide_at: Option<Time>,
    idle_since: Option<Time>,
    decide_within: Duration,
    chance: Jitter,
    events: Outputs<PromotionEvent>,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    percent: u8,
    candidates: u32,
    at: Time,
}

impl Promotion {
    /// Serves nobody and may not yet.
    pub fn new(seed: u64) -> Self {
        Self::deciding_within(DECIDE_EVERY, seed)
    }

    /// One that decides sooner, or later, after it was told.
    pub fn deciding_within(decide_within: Duration, seed: u64) -> Self {
        Self {
            decide_within,
            eligible: false,
            serving: false,
            load: None,
            decide_at: None,
            idle_since: None,
            chance: Jitter::new(seed),
            events: Outputs::default(),
        }
    }

    /// Whether dial-back, rate, uptime, policy and the user allow it (`PROMOTE-01`).
    pub fn handle_eligible(&mut self, eligible: bool, now: Time) {
        self.events.assert_drained();
        self.eligible = eligible;
        if !eligible && self.serving {
            self.serving = false;
            self.events.push(PromotionEvent::End);
        }
        self.plan(now);
    }

    /// The home supernode says how full it is, and how many of its clients could serve.
    pub fn handle_home_load(&mut self, percent: u8, candidates: u32, now: Time) {
        self.events.assert_drained();
        self.load = Some(Load {
            percent,
            candidates,
            at: now,
        });
        self.plan(now);
    }

    /// A serving machine's own load, and that of the others as far as it is known.
    pub fn handle_own_load(&mut self, own: u8, others: u8, now: Time) {
        self.events.assert_drained();
        let superfluous = self.serving && own < IDLE && others < ROOM;
        self.idle_since = superfluous.then(|| self.idle_since.unwrap_or(now));
    }

    /// The service runs already: the user asked for it, or it did before a restart.
    pub fn handle_serving(&mut self) {
        self.events.assert_drained();
        self.serving = true;
        self.decide_at = None;
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.events.assert_drained();
        if self.idle_since.is_some_and(|since| since + IDLE_FOR <= now) {
            // PROMOTE-04: superfluous for hours.
            self.idle_since = None;
            self.serving = false;
            self.events.push(PromotionEvent::End);
        }
        if self.decide_at.is_some_and(|at| at <= now) {
            self.decide_at = None;
            self.decide(now);
        }
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        let idle = self.idle_since.map(|since| since + IDLE_FOR);
        Deadline::earliest([
            self.decide_at.map(|at| Deadline::new(at, Wake::Decide)),
            idle.map(|at| Deadline::new(at, Wake::Idle)),
        ])
    }

    /// What to do.
    pub fn poll_event(&mut self) -> Option<PromotionEvent> {
        self.events.pop()
    }

    fn plan(&mut self, now: Time) {
        let wanted = self.eligible && !self.serving && self.busy(now).is_some();
        self.decide_at = match self.decide_at {
            Some(at) if wanted => Some(at),
            _ => wanted.then(|| now + self.chance.spread(self.decide_within)),
        };
    }

    /// PROMOTE-02: nearly full, by news that is not old.
    fn busy(&self, now: Time) -> Option<Load> {
        self.load
            .filter(|load| load.percent >= BUSY && load.at + LOAD_COUNTS > now)
    }

    /// PROMOTE-03: one in as many as could.
    fn decide(&mut self, now: Time) {
        let Some(load) = self.busy(now) else {
            return;
        };
        // Else one word would be many decisions, while the first of them has helped already.
        self.load = None;
        let one_of = load.candidates.max(1);
        if self.eligible && self.chance.below(one_of) == 0 {
            self.serving = true;
            self.events.push(PromotionEvent::Begin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Duration::from_secs(100);

    fn minutes(n: u64) -> Time {
        START + Duration::from_secs(60 * n)
    }

    /// Runs for so many minutes; when it began to serve.
    fn begins(
        promotion: &mut Promotion,
        load: u8,
        candidates: u32,
        for_minutes: u64,
    ) -> Option<u64> {
        for minute in 0..for_minutes {
            promotion.handle_home_load(load, candidates, minutes(minute));
            while let Some(due) = promotion.poll_timeout().filter(|d| d.at <= minutes(minute)) {
                promotion.handle_timeout(due.at);
                if promotion.poll_event() == Some(PromotionEvent::Begin) {
                    return Some(minute);
                }
            }
        }
        None
    }

    #[test]
    fn promote_01_who_may_not_never_begins_and_who_may_no_more_ends() {
        let mut promotion = Promotion::new(1);
        assert_eq!(begins(&mut promotion, 100, 1, 60), None);
        promotion.handle_eligible(true, START);
        assert!(begins(&mut promotion, 100, 1, 60).is_some());
        promotion.handle_eligible(false, minutes(61));
        assert_eq!(promotion.poll_event(), Some(PromotionEvent::End));
    }

    #[test]
    fn promote_02_nobody_begins_while_there_is_room_or_on_old_news() {
        let mut promotion = Promotion::new(1);
        promotion.handle_eligible(true, START);
        assert_eq!(begins(&mut promotion, BUSY - 1, 1, 600), None);
        promotion.handle_home_load(BUSY, 1_000_000, START);
        let due = promotion.poll_timeout().unwrap();
        assert_eq!(due.reason, Wake::Decide);
        promotion.handle_timeout(minutes(2));
        assert_eq!(promotion.poll_timeout(), None, "old news");
        promotion.handle_home_load(BUSY, 1_000_000, minutes(3));
        promotion.handle_timeout(minutes(4));
        assert_eq!(promotion.poll_timeout(), None, "one word, one decision");
    }

    #[test]
    fn promote_03_of_a_hundred_about_one_a_minute_begins() {
        let mut begun = 0;
        for seed in 0..100 {
            let mut promotion = Promotion::new(seed * 7_919);
            promotion.handle_eligible(true, START);
            begun += u32::from(begins(&mut promotion, 90, 100, 20).is_some());
        }
        assert!((5..=45).contains(&begun), "{begun} in twenty minutes");
    }

    #[test]
    fn promote_04_a_superfluous_one_ends_after_hours_and_a_useful_one_does_not() {
        let mut promotion = Promotion::new(1);
        promotion.handle_serving();
        promotion.handle_own_load(5, 30, START);
        assert_eq!(promotion.poll_timeout().unwrap().reason, Wake::Idle);
        promotion.handle_own_load(15, 30, minutes(300));
        assert_eq!(promotion.poll_timeout(), None);
        promotion.handle_own_load(5, 50, minutes(301));
        assert_eq!(promotion.poll_timeout(), None, "the others are busy");
        promotion.handle_own_load(5, 30, minutes(302));
        promotion.handle_timeout(minutes(302) + IDLE_FOR);
        assert_eq!(promotion.poll_event(), Some(PromotionEvent::End));
    }
}
