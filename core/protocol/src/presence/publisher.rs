//! The client's side: how the own person is, and when that is said. The supernode hears the same from somebody invisible as
//! from somebody visible, and as often.

use std::time::Duration;

use starling_wire::presence::{Availability, State};

use crate::machine::Time;
use crate::tokens::{Rate, Tokens};

/// Without an act for so long, whoever leaves it to the machine is away.
pub const IDLE: Duration = Duration::from_secs(10 * 60);
/// Changes that are said.
const RATE: Rate = Rate {
    at_once: 3,
    every: Duration::from_secs(5),
};
/// What could not be said is said again after this, doubling.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// What is said is said anew so often: contacts do not believe it for ever.
const ANEW: Duration = Duration::from_secs(24 * 3600);
/// When somebody was seen is told to the minute.
const ROUND_S: u64 = 60;

/// What a person chose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// There, or away, as the machine sees it.
    #[default]
    Auto,
    /// As this says.
    Set(Availability),
}

/// What is the same on all devices of the account, and over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// How the person wants to be seen.
    pub choice: Choice,
    /// When that was chosen, Unix seconds; later than all before.
    pub chosen: u64,
    /// What the person says.
    pub mood: String,
    /// Whether contacts may know of calls.
    pub share_calls: bool,
    /// While invisible: what was last said and seen of the person before that.
    pub before: Option<Before>,
}

/// What contacts go on seeing of somebody who became invisible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// Unix seconds.
    pub seen: Option<u64>,
    /// The mood of then.
    pub mood: String,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishReason {
    /// Something is to be said.
    Due,
    /// What was said is to be said anew.
    Anew,
    /// Nobody has done anything for a while.
    Idle,
}

/// What the person does, whether or not it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    own: Own,
    idle: bool,
    in_call: bool,
}

/// Says how the own person is.
#[derive(Debug)]
pub struct Publisher {
    own: Own,
    idle_after: Duration,
    acted: Time,
    idle: bool,
    in_call: bool,
    /// What was said last, and whether that arrived.
    said: Option<Facts>,
    /// Something is being said.
    saying: bool,
    /// When it is said anew.
    anew: Time,
    /// Nothing is said before this.
    not_before: Time,
    failures: u32,
    tokens: Tokens,
}

impl Publisher {
    /// Starting counts as an act.
    pub const fn new(own: Own, idle_after: Duration, now: Time) -> Self {
        Self {
            own,
            idle_after,
            acted: now,
            idle: false,
            in_call: false,
            said: None,
            saying: false,
            anew: now,
            not_before: now,
            failures: 0,
            tokens: Tokens::full(RATE, now),
        }
    }

    /// Without an act for so long, whoever leaves it to the machine is away.
    pub const fn set_idle_after(&mut self, idle_after: Duration) {
        self.idle_after = idle_after;
    }

    /// What the person chose.
    pub const fn own(&self) -> &Own {
        &self.own
    }

    /// The person chose something else. `wall_s` is Unix seconds.
    pub fn set(&mut self, choice: Choice, mood: String, share_calls: bool, wall_s: u64) {
        let invisible = Choice::Set(Availability::Invisible);
        let later = wall_s.max(self.own.chosen.saturating_add(1));
        let (before, chosen) = match (self.own.choice == invisible, choice == invisible) {
            (_, false) => (None, later),
            // PRESENCE-22: nothing that happens shows.
            (true, true) => (self.own.before.clone(), self.own.chosen),
            (false, true) => {
                let before = Before {
                    seen: Some(wall_s / ROUND_S * ROUND_S),
                    mood: self.own.mood.clone(),
                };
                (Some(before), later)
            }
        };
        self.own = Own {
            choice,
            chosen,
            mood,
            share_calls,
            before,
        };
    }

    /// Another device of the account says what was chosen there.
    pub fn adopt(&mut self, own: Own) {
        self.own = own;
    }

    /// The person did something.
    pub const fn handle_act(&mut self, now: Time) {
        self.acted = now;
        self.idle = false;
    }

    /// A call began or the last one ended.
    pub const fn set_in_call(&mut self, in_call: bool, now: Time) {
        self.in_call = in_call;
        self.handle_act(now);
    }

    /// Nobody can read what was said before: we are at home elsewhere, or seal with another key. It is said anew, at once:
    /// until then contacts see nothing.
    pub fn say_anew(&mut self, now: Time) {
        self.tokens.allow_one();
        self.said = None;
        self.saying = false;
        self.failures = 0;
        self.not_before = now;
    }

    /// What was said arrived, or not.
    pub fn handle_said(&mut self, arrived: bool, now: Time) {
        if !std::mem::take(&mut self.saying) {
            return;
        }
        if arrived {
            self.failures = 0;
            return;
        }
        self.said = None;
        let wait = RETRY.saturating_mul(1 << self.failures.min(8));
        self.failures += 1;
        self.not_before = now + wait.min(RETRY_MAX);
    }

    /// How the person is shown.
    pub const fn availability(&self) -> Availability {
        match self.own.choice {
            Choice::Set(availability) => availability,
            Choice::Auto if self.idle => Availability::Away,
            Choice::Auto => Availability::Online,
        }
    }

    /// What is to be said now, if anything; of several changes the newest. `counter` is for the driver to choose.
    pub fn poll_state(&mut self, now: Time) -> Option<State> {
        self.look(now);
        let facts = self.facts();
        if self.saying || now < self.next_say() || self.said.as_ref() == Some(&facts) {
            return None;
        }
        self.tokens.take(RATE, now);
        self.said = Some(facts);
        self.saying = true;
        self.anew = now + ANEW;
        Some(self.state())
    }

    /// When to be woken, and why.
    pub fn poll_timeout(&self) -> (Time, PublishReason) {
        if !self.saying && self.said.as_ref() != Some(&self.facts()) {
            return (self.next_say(), PublishReason::Due);
        }
        let idle = self.acted + self.idle_after;
        if !self.idle && idle < self.anew {
            return (idle, PublishReason::Idle);
        }
        (self.anew, PublishReason::Anew)
    }

    fn look(&mut self, now: Time) {
        // PRESENCE-24: a conversation is an act as long as it lasts.
        if self.in_call {
            self.acted = now;
        }
        self.idle = now >= self.acted + self.idle_after;
        if now >= self.anew {
            self.said = None;
        }
        self.tokens.refill(RATE, now);
    }

    /// `PRESENCE-23`: what is said is bounded, however often it changes.
    fn next_say(&self) -> Time {
        self.not_before.max(self.tokens.next(RATE))
    }

    /// `PRESENCE-22`: something is said when one of these changes, shown or not. Who is invisible does it as often as others.
    fn facts(&self) -> Facts {
        Facts {
            own: self.own.clone(),
            idle: self.idle,
            in_call: self.in_call && self.own.share_calls,
        }
    }

    fn state(&self) -> State {
        let (availability, chosen) = (self.availability(), self.own.chosen);
        if availability == Availability::Invisible {
            let before = self.own.before.clone().unwrap_or_default();
            return State {
                availability,
                chosen,
                seen: before.seen,
                mood: before.mood,
                ..State::default()
            };
        }
        State {
            availability,
            chosen,
            in_call: self.in_call && self.own.share_calls,
            mood: self.own.mood.clone(),
            ..State::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INVISIBLE: Choice = Choice::Set(Availability::Invisible);
    const WALL: u64 = 1_800_000_059;

    fn seconds(n: u64) -> Time {
        Duration::from_secs(n)
    }

    fn say(publisher: &mut Publisher, now: Time) -> Option<State> {
        let state = publisher.poll_state(now);
        publisher.handle_said(true, now);
        state
    }

    fn started() -> Publisher {
        let mut publisher = Publisher::new(Own::default(), IDLE, seconds(0));
        assert!(say(&mut publisher, seconds(0)).is_some());
        publisher
    }

    #[test]
    fn presence_24_whoever_does_nothing_is_away_and_back_at_the_first_act() {
        let mut publisher = started();
        let idle = publisher.poll_timeout();
        assert_eq!(idle, (IDLE, PublishReason::Idle));
        let away = say(&mut publisher, IDLE).map(|state| state.availability);
        assert_eq!(away, Some(Availability::Away));
        let anew = publisher.poll_timeout();
        assert_eq!(anew, (IDLE + ANEW, PublishReason::Anew));
        publisher.handle_act(IDLE + seconds(5));
        let back = say(&mut publisher, IDLE + seconds(5)).map(|state| state.availability);
        assert_eq!(back, Some(Availability::Online));
        // Whoever chose to be online is not sent away; whoever talks is there.
        publisher.set(
            Choice::Set(Availability::Online),
            String::new(),
            false,
            WALL,
        );
        say(&mut publisher, IDLE + seconds(20));
        publisher.look(3 * IDLE);
        assert_eq!(publisher.availability(), Availability::Online);
        publisher.set(Choice::Auto, String::new(), false, WALL);
        publisher.set_in_call(true, 3 * IDLE);
        publisher.look(5 * IDLE);
        assert_eq!(publisher.availability(), Availability::Online);
    }

    #[test]
    fn presence_22_an_invisible_person_says_the_same_whatever_happens_and_as_often_as_others() {
        let mut visible = started();
        let mut hidden = started();
        for one in [&mut visible, &mut hidden] {
            one.set(Choice::Auto, "hello".into(), true, WALL);
            say(one, seconds(10));
        }
        hidden.set(INVISIBLE, "hello".into(), true, WALL);
        let first = say(&mut hidden, seconds(30)).expect("said");
        assert_eq!(first.availability, Availability::Invisible);
        assert_eq!(
            (first.seen, first.mood.as_str()),
            (Some(1_800_000_000), "hello")
        );
        visible.set(Choice::Auto, "hello".into(), true, WALL);
        for (at, in_call) in [(40, true), (60, false)] {
            for one in [&mut visible, &mut hidden] {
                one.set_in_call(in_call, seconds(at));
            }
            assert!(say(&mut visible, seconds(at)).is_some());
            assert_eq!(say(&mut hidden, seconds(at)), Some(first.clone()));
        }
        hidden.set(INVISIBLE, "a new mood".into(), true, WALL + 900);
        assert_eq!(say(&mut hidden, seconds(80)), Some(first.clone()));
        let idle = seconds(60) + IDLE;
        assert!(say(&mut visible, idle).is_some());
        assert_eq!(say(&mut hidden, idle), Some(first));
        hidden.set(Choice::Auto, "a new mood".into(), true, WALL + 900);
        let mood = say(&mut hidden, idle + seconds(9)).map(|state| state.mood);
        assert_eq!(mood.as_deref(), Some("a new mood"));
    }

    #[test]
    fn presence_23_of_many_changes_the_first_goes_at_once_and_the_newest_at_last() {
        let mut publisher = started();
        publisher.say_anew(seconds(100));
        say(&mut publisher, seconds(100));
        let mut said = Vec::new();
        for step in 0..500_u64 {
            let now = seconds(200) + Duration::from_millis(20 * step);
            publisher.set(Choice::Auto, format!("mood {step}"), false, WALL);
            said.extend(say(&mut publisher, now).map(|state| state.mood));
        }
        assert_eq!(said[..3], ["mood 0", "mood 1", "mood 2"]);
        assert!(said.len() <= 5, "{said:?}");
        let (due, _) = publisher.poll_timeout();
        let last = say(&mut publisher, due).map(|state| state.mood);
        assert_eq!(last.as_deref(), Some("mood 499"));
        // Nobody could read what was said before.
        assert_eq!(say(&mut publisher, due), None);
        publisher.say_anew(due);
        let anew = say(&mut publisher, due).map(|state| state.mood);
        assert_eq!(anew.as_deref(), Some("mood 499"));
    }

    #[test]
    fn what_did_not_arrive_is_said_again_ever_more_slowly() {
        let mut publisher = Publisher::new(Own::default(), IDLE, seconds(0));
        let mut now = seconds(0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(publisher.poll_state(now).is_some());
            assert_eq!(publisher.poll_state(now), None, "it is on its way");
            publisher.handle_said(false, now);
            let (next, _) = publisher.poll_timeout();
            waits.push(next - now);
            now = next;
        }
        assert!(waits[0] == RETRY && waits[7] == RETRY_MAX, "{waits:?}");
        publisher.say_anew(now);
        assert!(publisher.poll_state(now).is_some(), "elsewhere, at once");
    }

    proptest! {
        #[test]
        fn presence_23_whatever_a_person_does_the_newest_is_said_in_the_end(
            acts in proptest::collection::vec((0..4_u8, 0..9_000_u64), 1..60)
        ) {
            let mut publisher = Publisher::new(Own::default(), IDLE, seconds(0));
            let (mut now, mut count, mut last) = (seconds(0), 0_u32, None);
            for (act, wait) in acts {
                match act {
                    0 => publisher.set(Choice::Auto, format!("{wait}"), true, WALL),
                    1 => publisher.set(INVISIBLE, "x".into(), true, WALL),
                    2 => publisher.set_in_call(wait % 2 == 0, now),
                    _ => publisher.handle_act(now),
                }
                if let Some(state) = publisher.poll_state(now) {
                    count += 1;
                    last = Some(state);
                    publisher.handle_said(true, now);
                }
                now += Duration::from_millis(wait);
            }
            while let (due, PublishReason::Due) = publisher.poll_timeout() {
                now = now.max(due);
                last = publisher.poll_state(now).or(last);
                publisher.handle_said(true, now);
                count += 1;
            }
            prop_assert_eq!(last, Some(publisher.state()));
            let allowed = 3 + now.as_secs() / 5 + 1;
            prop_assert!(u64::from(count) <= allowed, "{} in {:?}", count, now);
        }
    }
}
