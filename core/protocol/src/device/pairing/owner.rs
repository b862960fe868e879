//! The side that shows the link: a device that holds the account's signing key.
//!
//! One [`Owner`] is one link. It is valid for ten minutes and for the first device that knows its secret. The machine signs
//! nothing: once a person has said that the words are the same, the driver signs the chain with the device in it and gives the
//! whole welcome to [`OwnerCommand::Confirm`]; only what the machine then persists counts.

use std::time::Duration;

use starling_wire::ids::{DeviceId, EndpointKey};
use starling_wire::pairing::{Doors, EndReason, Hello, PairingFrame, Secret, Welcome, Words};

use super::Failure;
use crate::machine::{Deadline, Outputs, Time};

/// How long a link is valid, and then how long the new device may take to fetch its welcome.
pub const VALID: Duration = Duration::from_secs(600);
/// So many wrong secrets end a link.
pub const WRONG_MAX: u32 = 5;

/// What the person at this side wants.
#[derive(Debug)]
pub enum OwnerCommand {
    /// The words are the same: this is the welcome, with a card whose chain lists the device.
    Confirm(Box<Welcome>),
    /// They are not, or something else is.
    Cancel,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OwnerRefused {
    /// Nobody waits for it.
    #[error("no new device waits to be added")]
    NoDevice,
    /// The welcome is for another device.
    #[error("this is not the device whose words were compared; begin again with a new link")]
    AnotherDevice,
    /// It is in already.
    #[error("this device was added already; remove it from the list of your devices instead")]
    Added,
}

/// What must survive a restart: the account's card, as it stands in the welcome, and the new device's front door, by which it
/// may knock from now on.
#[derive(Debug, PartialEq, Eq)]
pub struct Added {
    /// The device.
    pub device: DeviceId,
    /// Its front door.
    pub door: EndpointKey,
    /// With the card.
    pub welcome: Welcome,
}

/// A frame, for the newest stream of this front door. Where there is none it may be dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnerTransmit {
    /// The front door.
    pub to: EndpointKey,
    /// The frame.
    pub frame: PairingFrame,
}

/// What is to be shown or counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerEvent {
    /// Show these words beside the new device's name, and ask whether they are the same there.
    Words {
        /// Four words.
        words: Words,
        /// What the device calls itself.
        name: String,
        /// Its key.
        device: DeviceId,
    },
    /// It is in, and has stored what it was sent. The link is done.
    Joined(DeviceId),
    /// The link is done, for this reason.
    Failed(Failure),
    /// Somebody was refused. [`EndReason::Used`]: another device has the link, too, and the person should hear of it.
    Refused(EndReason),
}

/// Why the machine wakes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerWake {
    /// The link, or the time to fetch the welcome, is over.
    Expired,
}

/// One link.
#[derive(Debug)]
pub struct Owner {
    door: EndpointKey,
    secret: Secret,
    number: [u8; 32],
    state: State,
    wrong: u32,
    deadline: Time,
    persist: Outputs<Added>,
    transmits: Outputs<OwnerTransmit>,
    events: Outputs<OwnerEvent>,
}

#[derive(Debug)]
enum State {
    /// Nobody knew the secret yet.
    Open,
    /// One device did.
    Claimed(Claim),
    /// And is in the chain.
    Added(Claim, Box<Welcome>),
    /// Nothing happens any more; whoever comes late hears this.
    Done(EndReason),
}

/// The device that came first.
#[derive(Debug, Clone)]
struct Claim {
    door: EndpointKey,
    hello: Hello,
    /// Once it has revealed its number.
    words: Option<Words>,
}

impl Owner {
    /// A link of this front door's. `secret` and `number` are fresh randomness; the secret stands in the link.
    pub fn new(door: EndpointKey, secret: Secret, number: [u8; 32], now: Time) -> Self {
        Self {
            door,
            secret,
            number,
            state: State::Open,
            wrong: 0,
            deadline: now + VALID,
            persist: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// `PAIR-11`: whether front doors that are nobody's we know may knock because of this link. Also while it is used or given up, so that
    /// whoever comes late hears why.
    pub fn admits(&self, now: Time) -> bool {
        now < self.deadline
    }

    /// What the person wants.
    pub fn handle_command(&mut self, command: OwnerCommand, now: Time) -> Result<(), OwnerRefused> {
        self.assert_drained();
        match command {
            OwnerCommand::Confirm(welcome) => self.confirm(welcome, now),
            OwnerCommand::Cancel => self.cancel(),
        }
    }

    /// What the front door `from` said.
    pub fn handle_frame(&mut self, from: EndpointKey, frame: PairingFrame, now: Time) {
        self.assert_drained();
        if now >= self.deadline {
            self.expire();
        }
        match frame {
            PairingFrame::Hello(hello) => self.hello(from, hello, now),
            PairingFrame::Reveal(number) => self.reveal(from, &number),
            PairingFrame::Kept => self.kept(from),
            PairingFrame::End(reason) => self.ended(from, reason),
            // These are ours to say.
            PairingFrame::Number(_) | PairingFrame::Welcome(_) => {}
        }
    }

    /// Time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        if now >= self.deadline {
            self.expire();
        }
    }

    /// What must be durable first.
    pub fn poll_persist(&mut self) -> Option<Added> {
        self.persist.pop()
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<OwnerTransmit> {
        self.transmits.pop()
    }

    /// What is to be shown.
    pub fn poll_event(&mut self) -> Option<OwnerEvent> {
        self.events.pop()
    }

    /// When to come back.
    pub const fn poll_timeout(&self) -> Option<Deadline<OwnerWake>> {
        match self.state {
            State::Done(_) => None,
            _ => Some(Deadline::new(self.deadline, OwnerWake::Expired)),
        }
    }

    fn hello(&mut self, from: EndpointKey, hello: Hello, now: Time) {
        match &self.state {
            State::Open => self.first(from, hello, now),
            // Back on another connection, and the same as before.
            State::Claimed(claim) if claim.is(from, &hello) => {
                self.send(from, PairingFrame::Number(self.number));
            }
            State::Added(claim, welcome) if claim.is(from, &hello) => {
                let welcome = PairingFrame::Welcome(welcome.clone());
                self.send(from, welcome);
            }
            // PAIR-07: the first one it is and remains. Nobody else's secret is looked at any more.
            State::Claimed(_) | State::Added(..) => self.refuse(from, EndReason::Used),
            State::Done(reason) => self.send(from, PairingFrame::End(*reason)),
        }
    }

    /// `PAIR-02`, `PAIR-03`, `PAIR-09`.
    fn first(&mut self, from: EndpointKey, hello: Hello, now: Time) {
        if let Err(reason) = hello.verify(&self.secret, self.doors(from)) {
            self.wrong += 1;
            self.refuse(from, reason);
            // PAIR-09: nobody tries again and again.
            if self.wrong >= WRONG_MAX {
                self.deadline = now;
                self.fail(Failure::Guessed);
            }
            return;
        }
        self.state = State::Claimed(Claim {
            door: from,
            hello,
            words: None,
        });
        self.send(from, PairingFrame::Number(self.number));
    }

    fn reveal(&mut self, from: EndpointKey, number: &[u8; 32]) {
        let doors = self.doors(from);
        let State::Claimed(claim) = &mut self.state else {
            return;
        };
        if claim.door != from || claim.words.is_some() {
            return;
        }
        // PAIR-04: another number than it was bound to.
        if !claim.hello.commits_to(number) {
            self.send(from, PairingFrame::End(EndReason::Malformed));
            self.fail(Failure::Altered);
            return;
        }
        let words = claim.hello.words(&self.secret, doors, &self.number, number);
        claim.words = Some(words);
        self.events.push(OwnerEvent::Words {
            words,
            name: claim.hello.name.clone(),
            device: claim.hello.device,
        });
    }

    /// `PAIR-10`: nothing is signed or sent before the words were shown here and a person has compared them.
    fn confirm(&mut self, welcome: Box<Welcome>, now: Time) -> Result<(), OwnerRefused> {
        if now >= self.deadline {
            self.expire();
        }
        let claim = match &self.state {
            State::Claimed(claim) if claim.words.is_some() => claim.clone(),
            State::Added(..) => return Err(OwnerRefused::Added),
            _ => return Err(OwnerRefused::NoDevice),
        };
        let verified = welcome.clone().verify(claim.hello.device);
        if verified.is_err() {
            return Err(OwnerRefused::AnotherDevice);
        }
        self.persist.push(Added {
            device: claim.hello.device,
            door: claim.door,
            welcome: (*welcome).clone(),
        });
        self.send(claim.door, PairingFrame::Welcome(welcome.clone()));
        self.state = State::Added(claim, welcome);
        self.deadline = now + VALID;
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), OwnerRefused> {
        match &self.state {
            State::Open => {}
            State::Claimed(claim) => {
                let end = PairingFrame::End(EndReason::Cancelled);
                self.send(claim.door, end);
            }
            State::Added(..) => return Err(OwnerRefused::Added),
            State::Done(_) => return Err(OwnerRefused::NoDevice),
        }
        self.fail(Failure::Cancelled);
        Ok(())
    }

    fn kept(&mut self, from: EndpointKey) {
        if let State::Added(claim, _) = &self.state
            && claim.door == from
        {
            self.events.push(OwnerEvent::Joined(claim.hello.device));
            self.state = State::Done(EndReason::Used);
        }
    }

    fn ended(&mut self, from: EndpointKey, reason: EndReason) {
        match &self.state {
            State::Claimed(claim) if claim.door == from => self.fail(Failure::There(reason)),
            State::Added(claim, _) if claim.door == from => self.fail(Failure::GaveUp),
            _ => {}
        }
    }

    /// `PAIR-08`: ten minutes for the link, and again for fetching what was signed.
    fn expire(&mut self) {
        match &self.state {
            State::Open => self.fail(Failure::Expired),
            State::Claimed(claim) => {
                let end = PairingFrame::End(EndReason::Expired);
                self.send(claim.door, end);
                self.fail(Failure::Expired);
            }
            State::Added(..) => self.fail(Failure::Unheard),
            State::Done(_) => {}
        }
    }

    fn refuse(&mut self, from: EndpointKey, reason: EndReason) {
        self.send(from, PairingFrame::End(reason));
        self.events.push(OwnerEvent::Refused(reason));
    }

    fn fail(&mut self, failure: Failure) {
        let reason = match failure {
            Failure::Cancelled => EndReason::Cancelled,
            _ => EndReason::Expired,
        };
        self.state = State::Done(reason);
        self.events.push(OwnerEvent::Failed(failure));
    }

    fn send(&mut self, to: EndpointKey, frame: PairingFrame) {
        self.transmits.push(OwnerTransmit { to, frame });
    }

    const fn doors(&self, newcomer: EndpointKey) -> Doors {
        Doors {
            owner: self.door,
            newcomer,
        }
    }

    #[track_caller]
    fn assert_drained(&self) {
        self.persist.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

impl Claim {
    fn is(&self, from: EndpointKey, hello: &Hello) -> bool {
        self.door == from && self.hello == *hello
    }
}
