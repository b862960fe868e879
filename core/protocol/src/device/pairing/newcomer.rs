//! The side that reads the link: a machine that has no account yet.
//!
//! It dials the front door that the link names until it is in, somebody says no, or ten minutes are over. What it is sent is stored
//! before the other side hears that it was.

use std::time::Duration;

use starling_wire::pairing::{
    Doors, EndReason, Hello, PairingFrame, Secret, VerifiedWelcome, Welcome, Words,
};

use super::Failure;
use super::owner::VALID;
use crate::backoff::{Backoff, Jitter};
use crate::machine::{Deadline, Outputs, Time};

const REDIAL: Duration = Duration::from_secs(1);
const REDIAL_MAX: Duration = Duration::from_secs(15);

/// What is to be shown or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewcomerEvent {
    /// Connect to the link's front door; answer with `handle_connected` or `handle_lost`.
    Dial,
    /// Show these words, and ask whether they are the same at the other device: answer with `handle_confirm` or `handle_cancel`.
    Words(Words),
    /// This device is one of the account's now. The other side closes the connection.
    Joined,
    /// No, for this reason. Close the connection once what was transmitted is flushed.
    Failed(Failure),
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewcomerWake {
    /// Try to connect again.
    Redial,
    /// It has taken too long.
    Expired,
}

/// One attempt to join.
#[derive(Debug)]
pub struct Newcomer {
    secret: Secret,
    doors: Doors,
    hello: Hello,
    number: [u8; 32],
    state: State,
    redial_at: Option<Time>,
    backoff: Backoff,
    jitter: Jitter,
    deadline: Time,
    persist: Outputs<Box<VerifiedWelcome>>,
    transmits: Outputs<PairingFrame>,
    events: Outputs<NewcomerEvent>,
}

#[derive(Debug)]
enum State {
    /// The other side's number is not known.
    Greeting,
    /// Ours was revealed, and the words are shown.
    Shown {
        /// The other side's number.
        owners: [u8; 32],
        /// The person here said that they are the same.
        same: bool,
        /// The other side went on already.
        welcome: Option<Box<VerifiedWelcome>>,
    },
    Joined,
    Failed,
}

impl Newcomer {
    /// With the link's secret, the doors, a [`Hello`] for them and the number it is bound to. Begins with
    /// [`NewcomerEvent::Dial`].
    pub fn new(secret: Secret, doors: Doors, hello: Hello, number: [u8; 32], now: Time) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = hello.commitment;
        let mut newcomer = Self {
            secret,
            doors,
            hello,
            number,
            state: State::Greeting,
            redial_at: None,
            backoff: Backoff::new(REDIAL, REDIAL_MAX),
            jitter: Jitter::new(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            deadline: now + VALID,
            persist: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        };
        newcomer.events.push(NewcomerEvent::Dial);
        newcomer
    }

    /// The person says that the words are the same (`PAIR-13`).
    pub fn handle_confirm(&mut self) {
        self.assert_drained();
        if let State::Shown { same, welcome, .. } = &mut self.state {
            *same = true;
            if let Some(welcome) = welcome.take() {
                self.join(welcome);
            }
        }
    }

    /// The person gives up. Whoever is in already stays in.
    pub fn handle_cancel(&mut self) {
        self.assert_drained();
        if self.goes_on() {
            self.transmits.push(PairingFrame::End(EndReason::Cancelled));
            self.fail(Failure::Cancelled);
        }
    }

    /// A stream to the link's front door is open.
    pub fn handle_connected(&mut self) {
        self.assert_drained();
        if self.goes_on() {
            self.redial_at = None;
            self.transmits.push(PairingFrame::Hello(self.hello.clone()));
        }
    }

    /// It cannot be reached now, or the connection is lost.
    pub fn handle_lost(&mut self, now: Time) {
        self.assert_drained();
        if self.goes_on() {
            self.redial_at = Some(now + self.backoff.next(&mut self.jitter));
        }
    }

    /// What the owner's front door said.
    pub fn handle_frame(&mut self, frame: PairingFrame) {
        self.assert_drained();
        match frame {
            PairingFrame::Number(number) => self.number(number),
            PairingFrame::Welcome(welcome) => self.welcome(*welcome),
            PairingFrame::End(reason) if self.goes_on() => self.fail(Failure::There(reason)),
            // These are ours to say.
            PairingFrame::Hello(_)
            | PairingFrame::Reveal(_)
            | PairingFrame::Kept
            | PairingFrame::End(_) => {}
        }
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        if !self.goes_on() {
            return;
        }
        if now >= self.deadline {
            self.fail(Failure::Expired);
        } else if self.redial_at.is_some_and(|at| at <= now) {
            self.redial_at = None;
            self.events.push(NewcomerEvent::Dial);
        }
    }

    /// What must be durable first: the whole account.
    pub fn poll_persist(&mut self) -> Option<Box<VerifiedWelcome>> {
        self.persist.pop()
    }

    /// What is to be sent to the owner's front door.
    pub fn poll_transmit(&mut self) -> Option<PairingFrame> {
        self.transmits.pop()
    }

    /// What is to be shown or done.
    pub fn poll_event(&mut self) -> Option<NewcomerEvent> {
        self.events.pop()
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Option<Deadline<NewcomerWake>> {
        if !self.goes_on() {
            return None;
        }
        let expired = Deadline::new(self.deadline, NewcomerWake::Expired);
        let redial = self.redial_at;
        let redial = redial.map(|at| Deadline::new(at, NewcomerWake::Redial));
        Deadline::earliest([Some(expired), redial])
    }

    fn number(&mut self, owners: [u8; 32]) {
        match &self.state {
            State::Greeting => {
                self.state = State::Shown {
                    owners,
                    same: false,
                    welcome: None,
                };
                let words = self
                    .hello
                    .words(&self.secret, self.doors, &owners, &self.number);
                self.events.push(NewcomerEvent::Words(words));
                self.transmits.push(PairingFrame::Reveal(self.number));
            }
            State::Shown { owners: before, .. } if *before == owners => {
                self.transmits.push(PairingFrame::Reveal(self.number));
            }
            // PAIR-12: whoever knows our number could choose his own to go with it.
            State::Shown { .. } => self.refuse(Failure::Altered),
            State::Joined | State::Failed => {}
        }
    }

    fn welcome(&mut self, welcome: Welcome) {
        match &mut self.state {
            State::Shown {
                same,
                welcome: waiting,
                ..
            } => match welcome.verify(self.hello.device) {
                Ok(verified) if *same => self.join(Box::new(verified)),
                // PAIR-13: whoever made the link, this person has to have compared the words.
                Ok(verified) => *waiting = Some(Box::new(verified)),
                Err(error) => self.refuse(error.into()),
            },
            // The word that it was stored may have been lost.
            State::Joined => self.transmits.push(PairingFrame::Kept),
            // PAIR-10: nobody is let in whose words nobody has seen.
            State::Greeting | State::Failed => {}
        }
    }

    fn join(&mut self, welcome: Box<VerifiedWelcome>) {
        self.state = State::Joined;
        self.persist.push(welcome);
        self.transmits.push(PairingFrame::Kept);
        self.events.push(NewcomerEvent::Joined);
    }

    fn refuse(&mut self, failure: Failure) {
        self.transmits.push(PairingFrame::End(EndReason::Malformed));
        self.fail(failure);
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Failed;
        self.redial_at = None;
        self.events.push(NewcomerEvent::Failed(failure));
    }

    const fn goes_on(&self) -> bool {
        matches!(self.state, State::Greeting | State::Shown { .. })
    }

    #[track_caller]
    fn assert_drained(&self) {
        self.persist.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}
