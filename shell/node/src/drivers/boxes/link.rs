//! How a log stands with one holder: there, on the way, or waiting until it is tried again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use starling_protocol::backoff::{Backoff, Jitter};
use starling_protocol::machine::Time;
use starling_protocol::mailbox::depositor::ANSWER_WITHIN;
use starling_wire::log::frames::{Ask, Refusal};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Away;
use super::visit::{Question, Target};

/// The first pause after a holder was not reached, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// A connection on which nothing is said for so long is closed, unless the log stays (DESIGN 3.1).
const SILENCE: Duration = Duration::from_secs(30);
/// Questions about slots that wait for a connection. They are asked again by whoever asks them.
const WAITING_MAX: usize = 64;

/// One holder's link.
#[derive(Debug)]
pub struct Link {
    /// Where it is.
    pub target: Target,
    state: State,
    /// Of the visits, so that an earlier one is not heard.
    number: u64,
    backoff: Backoff,
    /// Asked about slots, and not sent yet.
    waiting: VecDeque<Ask>,
    /// To be reached once, whatever else.
    pub wanted: bool,
    /// There was no such box when it was reached last.
    lacked_box: bool,
    /// When something was last said, either way.
    said_at: Time,
    /// When something was asked first after the last answer.
    asked_at: Option<Time>,
}

#[derive(Debug)]
enum State {
    /// Not needed.
    Idle,
    /// Not before this.
    Pause(Time),
    /// On the way.
    Begun(DropGuard),
    /// Both keys were shown.
    There(Visiting),
}

/// A visit that goes on; it ends when this is dropped.
#[derive(Debug)]
struct Visiting {
    asks: mpsc::Sender<Question>,
    _ends: DropGuard,
}

impl Link {
    /// Nothing was said yet.
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            state: State::Idle,
            number: 0,
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
            waiting: VecDeque::new(),
            wanted: false,
            lacked_box: false,
            said_at: Duration::ZERO,
            asked_at: None,
        }
    }

    /// Whether a visit is to begin now, where there is something to say or to hear.
    pub fn is_due(&self, now: Time) -> bool {
        match self.state {
            State::Idle => true,
            State::Pause(until) => until <= now,
            State::Begun(_) | State::There(_) => false,
        }
    }

    /// When it may be tried again.
    pub const fn again_at(&self) -> Option<Time> {
        match self.state {
            State::Pause(until) => Some(until),
            _ => None,
        }
    }

    /// A visit begins, which ends with this token.
    pub fn begin(&mut self) -> (u64, CancellationToken) {
        let token = CancellationToken::new();
        self.number += 1;
        self.state = State::Begun(token.clone().drop_guard());
        (self.number, token)
    }

    /// Whether a report is of the visit that goes on.
    pub const fn is_current(&self, number: u64) -> bool {
        self.number == number
    }

    /// Both keys were shown: what waited is asked.
    pub fn entered(&mut self, asks: mpsc::Sender<Question>, now: Time) {
        let State::Begun(ends) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        self.state = State::There(Visiting { asks, _ends: ends });
        self.backoff.reset();
        self.wanted = false;
        self.said_at = now;
        self.asked_at = None;
        for ask in std::mem::take(&mut self.waiting) {
            self.ask(ask, Arc::default(), now);
        }
    }

    /// Asks something, now or once it is reached.
    pub fn ask_some_time(&mut self, ask: Ask, now: Time) {
        match self.state {
            State::There(_) => self.ask(ask, Arc::default(), now),
            _ if self.waiting.len() < WAITING_MAX => self.waiting.push_back(ask),
            // Whoever asks hears nothing, and asks again.
            _ => {}
        }
    }

    /// Asks something of whoever is there. What does not fit is asked again by the machine that wants it.
    pub fn ask(&mut self, ask: Ask, body: Arc<[u8]>, now: Time) {
        if let State::There(visiting) = &self.state {
            self.said_at = now;
            self.asked_at.get_or_insert(now);
            let _ = visiting.asks.try_send((ask, body));
        }
    }

    /// Something was heard; whether something that was left is not answered yet.
    pub fn heard(&mut self, now: Time, waits: bool) {
        self.said_at = now;
        self.asked_at = waits.then_some(now);
    }

    /// A visit is over, for this reason.
    pub fn over(&mut self, away: Away, now: Time, jitter: &mut Jitter) {
        self.number += 1;
        self.wanted = false;
        self.lacked_box = lacks_box(away);
        self.state = match away {
            Away::Silence => State::Idle,
            _ => State::Pause(now + self.backoff.next(jitter)),
        };
    }

    /// There is something to be left: where there was no box, it is opened now.
    pub fn open_now(&mut self) {
        if std::mem::take(&mut self.lacked_box) {
            self.try_now();
        }
    }

    /// What is heard now is of another network: it is tried at once.
    pub fn try_now(&mut self) {
        self.backoff.reset();
        if matches!(self.state, State::Pause(_)) {
            self.state = State::Idle;
        }
    }

    /// Whether it is there.
    pub const fn is_there(&self) -> bool {
        matches!(self.state, State::There(_))
    }

    /// Whether something waits to be asked.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When it is given up, because what was asked is not answered.
    pub fn unheard_at(&self) -> Option<Time> {
        self.is_there().then_some(self.asked_at? + ANSWER_WITHIN)
    }

    /// When it is closed for silence.
    pub fn silent_at(&self) -> Option<Time> {
        self.is_there().then_some(self.said_at + SILENCE)
    }

    /// Closes it, whatever it was. Whether it was there.
    pub fn close(&mut self) -> bool {
        let there = self.is_there();
        self.number += 1;
        self.state = State::Idle;
        there
    }
}

/// Whether a holder has to be told more before it can be used.
pub const fn lacks_box(away: Away) -> bool {
    matches!(away, Away::Refused(Refusal::NoBox))
}
