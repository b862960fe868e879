//! One side of a call that may be better off with a forwarder than with the relay: when to seek one, which room counts, and
//! where the sound goes at this moment. The sound's own connection stays as it is all the while, so there is always a way.
//!
//! Both sides hear on both ways at any time; each decides for itself where it speaks.

use std::time::Duration;

use starling_wire::conference::Room;

use crate::machine::{Deadline, Outputs, Time};
use crate::tokens::{Rate, Tokens};

/// `FWD-12`: for so long a direct way is waited for before the caller seeks a forwarder.
pub const CALLER_AFTER: Duration = Duration::from_millis(1_500);
/// And the one called, if the caller has found none.
pub const CALLEE_AFTER: Duration = Duration::from_secs(5);
/// `FWD-09`: whoever has given no sign for so long is not there.
pub const SILENCE: Duration = Duration::from_millis(350);
/// A home has so long to open a room.
const ASKING: Duration = Duration::from_secs(6);
/// And so long it may take to enter.
const JOINING: Duration = Duration::from_secs(5);
/// A room that is of no use for so long is left.
const USELESS: Duration = Duration::from_secs(4);
/// One is kept for so long beside a direct way, which may break again.
const BESIDE_DIRECT: Duration = Duration::from_secs(3);
/// Until the next attempt; twice as long each time.
const AGAIN: Duration = Duration::from_secs(10);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// Rooms that the other side names are entered so often: whoever needs another one in earnest has failed with the last.
const FOLLOWING: Rate = Rate {
    at_once: 3,
    every: AGAIN,
};

/// Which side of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who called.
    Caller,
    /// Who was called.
    Callee,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParticipantEvent {
    /// Ask a home for a room, another one with each number; answer with `handle_room`.
    Ask(u32),
    /// Enter this room; answer with `handle_joined` or `handle_gone`. Another one is left before.
    Join {
        /// Which.
        room: Room,
        /// Whether we opened it.
        ours: bool,
    },
    /// We are in this one: tell the other side.
    Tell(Room),
    /// Leave it.
    Leave,
    /// From now on we speak there, or no more.
    Carry(bool),
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParticipantReason {
    /// A forwarder is sought.
    Seek,
    /// Something took too long.
    Late,
    /// Nothing was heard.
    Silence,
    /// The room is of no use.
    Useless,
}

/// One side of one call.
#[derive(Debug)]
pub struct Participant {
    side: Side,
    phase: Phase,
    /// Since when there has been a direct way.
    direct: Option<Time>,
    /// Whether we speak in the room.
    carries: bool,
    /// Attempts that came to nothing, since the last that did not.
    failed: u32,
    /// Attempts in all.
    asked: u32,
    /// Rooms of the other side's that we may still enter.
    following: Tokens,
    events: Outputs<ParticipantEvent>,
}

#[derive(Debug)]
enum Phase {
    /// Nothing to do before this moment.
    Resting(Time),
    /// A home was asked, which has until then.
    Asking(Time),
    /// A room is being entered.
    Joining { room: Room, ours: bool, until: Time },
    /// We are in one.
    There(There),
}

#[derive(Debug)]
struct There {
    /// The other one's last sign.
    heard_at: Option<Time>,
    /// Whether that said that it hears us.
    hears_us: bool,
    /// When it was of use last.
    useful: Time,
}

impl Participant {
    /// The call's sound is connected.
    pub fn new(side: Side, now: Time) -> Self {
        Self {
            side,
            phase: Phase::Resting(now + after(side)),
            direct: None,
            carries: false,
            failed: 0,
            asked: 0,
            following: Tokens::full(FOLLOWING, now),
            events: Outputs::default(),
        }
    }

    /// How the sound's own connection travels. `FWD-10`: a direct way is better than any room.
    pub fn handle_path(&mut self, direct: bool, now: Time) {
        self.events.assert_drained();
        match (direct, self.direct) {
            (true, None) => self.direct = Some(now),
            (false, Some(_)) => {
                self.direct = None;
                if let Phase::Resting(until) = &mut self.phase {
                    *until = (*until).max(now + after(self.side));
                }
                if let Phase::There(there) = &mut self.phase {
                    there.useful = now;
                }
            }
            _ => {}
        }
        self.settle(now);
    }

    /// A home opened a room, or did not.
    pub fn handle_room(&mut self, room: Option<Room>, now: Time) {
        self.events.assert_drained();
        if !matches!(self.phase, Phase::Asking(_)) {
            return;
        }
        match room {
            Some(room) => self.join(room, true, now),
            None => self.fail(now),
        }
    }

    /// The other side told us of a room. `FWD-12`: of two that cross the caller's counts. `FWD-15`: where it is the other side says,
    /// so that we go there now and then only.
    pub fn handle_told(&mut self, room: Room, now: Time) {
        self.events.assert_drained();
        let free = matches!(self.phase, Phase::Resting(_) | Phase::Asking(_));
        let wanted = self.direct.is_none() && (free || self.side == Side::Callee);
        if wanted && self.following.take(FOLLOWING, now) {
            self.join(room, false, now);
            self.settle(now);
        }
    }

    /// We are in the room.
    pub fn handle_joined(&mut self, now: Time) {
        self.events.assert_drained();
        let Phase::Joining { room, ours, .. } = &self.phase else {
            return;
        };
        if *ours {
            self.events.push(ParticipantEvent::Tell(room.clone()));
        }
        self.phase = Phase::There(There {
            heard_at: None,
            hears_us: false,
            useful: now,
        });
    }

    /// It could not be entered, or the connection ended.
    pub fn handle_gone(&mut self, now: Time) {
        self.events.assert_drained();
        if matches!(self.phase, Phase::Joining { .. } | Phase::There(_)) {
            self.fail(now);
        }
    }

    /// The other one's sign of life came through the room.
    pub fn handle_sign(&mut self, hears_us: bool, now: Time) {
        self.events.assert_drained();
        if let Phase::There(there) = &mut self.phase {
            there.heard_at = Some(now);
            there.hears_us = hears_us;
        }
        self.settle(now);
    }

    /// Whether the other one is heard in the room: what our own signs say.
    pub fn hears(&self, now: Time) -> bool {
        matches!(&self.phase, Phase::There(there) if there.hears(now))
    }

    /// Timers.
    pub fn handle_timeout(&mut self, now: Time) {
        self.events.assert_drained();
        match &self.phase {
            Phase::Resting(until) if *until <= now && self.direct.is_none() => {
                self.phase = Phase::Asking(now + ASKING);
                self.events.push(ParticipantEvent::Ask(self.asked));
                self.asked = self.asked.wrapping_add(1);
            }
            Phase::Asking(until) | Phase::Joining { until, .. } if *until <= now => self.fail(now),
            Phase::There(there) => {
                if self
                    .direct
                    .is_some_and(|since| since + BESIDE_DIRECT <= now)
                {
                    self.rest(now + after(self.side));
                } else if self.direct.is_none() && there.useful + USELESS <= now {
                    self.fail(now);
                }
            }
            _ => {}
        }
        self.settle(now);
    }

    /// When to be woken, and why.
    pub fn poll_timeout(&self) -> Option<Deadline<ParticipantReason>> {
        let at = |at, reason| Some(Deadline::new(at, reason));
        match &self.phase {
            Phase::Resting(_) if self.direct.is_some() => None,
            Phase::Resting(until) => at(*until, ParticipantReason::Seek),
            Phase::Asking(until) | Phase::Joining { until, .. } => {
                at(*until, ParticipantReason::Late)
            }
            Phase::There(there) => {
                let silence = there.heard_at.filter(|_| self.carries);
                let silence = silence.map(|heard| heard + SILENCE);
                let useless = match self.direct {
                    Some(since) => since + BESIDE_DIRECT,
                    None => there.useful + USELESS,
                };
                Deadline::earliest([
                    silence.map(|at| Deadline::new(at, ParticipantReason::Silence)),
                    at(useless, ParticipantReason::Useless),
                ])
            }
        }
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<ParticipantEvent> {
        self.events.pop()
    }

    fn join(&mut self, room: Room, ours: bool, now: Time) {
        self.events.push(ParticipantEvent::Join {
            room: room.clone(),
            ours,
        });
        let until = now + JOINING;
        self.phase = Phase::Joining { room, ours, until };
    }

    /// It came to nothing; the next attempt is later than the last one was.
    fn fail(&mut self, now: Time) {
        let doubled = AGAIN.saturating_mul(1 << self.failed.min(8));
        self.failed += 1;
        self.rest(now + doubled.min(AGAIN_MAX));
    }

    fn rest(&mut self, until: Time) {
        if matches!(self.phase, Phase::Joining { .. } | Phase::There(_)) {
            self.events.push(ParticipantEvent::Leave);
        }
        self.phase = Phase::Resting(until);
        self.settle(until);
    }

    /// `FWD-09`: we speak in the room while the other one is heard there and says that it hears us.
    fn settle(&mut self, now: Time) {
        let mut carries = false;
        if let Phase::There(there) = &mut self.phase {
            let works = there.hears(now) && there.hears_us;
            carries = works && self.direct.is_none();
            if works {
                there.useful = now;
                self.failed = 0;
            }
        }
        if std::mem::replace(&mut self.carries, carries) != carries {
            self.events.push(ParticipantEvent::Carry(carries));
        }
    }
}

impl There {
    fn hears(&self, now: Time) -> bool {
        self.heard_at.is_some_and(|heard| now < heard + SILENCE)
    }
}

const fn after(side: Side) -> Duration {
    match side {
        Side::Caller => CALLER_AFTER,
        Side::Callee => CALLEE_AFTER,
    }
}

#[cfg(test)]
mod tests;
