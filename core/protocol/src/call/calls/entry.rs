//! One call among the calls of a device: its signalling, the link it runs on, and where its sound stands.

use starling_wire::call::{Media, TargetMark};
use starling_wire::ids::{CallId, DeviceId};
use starling_wire::peer::InnerAddr;

use super::fork::Fork;
use super::{CallView, LinkId, Phase};
use crate::call::leg::{Leg, Role, State};
use crate::call::switchboard::Line;
use crate::machine::Time;
use crate::tokens::Tokens;

/// Where the sound of a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// Not answered yet.
    Off,
    /// Wanted since the answer.
    First(Time),
    /// It flows.
    On,
    /// It flowed, and is wanted again.
    Again(Time),
}

/// One call: its signalling, its link, its sound.
#[derive(Debug)]
pub struct Entry {
    pub leg: Leg,
    pub link: Option<LinkId>,
    /// Since when it has been this link.
    pub linked_at: Time,
    /// The devices it rings at, while nobody has answered; then `link` is the stream.
    pub fork: Fork,
    /// The device that answered.
    pub device: Option<DeviceId>,
    pub ours: Option<InnerAddr>,
    pub media: Media,
    pub sound: Sound,
    pub holding: bool,
    pub shown: Option<CallView>,
    /// How often this call of ours was forwarded before.
    pub hops: u8,
    /// When it goes to somebody else, if nobody has answered here by then.
    pub forward: Option<(Time, TargetMark)>,
    /// The call in which we were asked to call them.
    pub from: Option<CallId>,
    /// We asked the other side to call somebody else: until when we wait for what becomes of it.
    pub sending_on: Option<Time>,
    /// On hold only because the other side sends us on; nothing any more, once our person decided about it.
    pub held_to_be_put_through: bool,
    /// How often the other side may still send us on; nothing before it did.
    pub sent_on: Option<Tokens>,
    /// How often it may still say what costs us something; nothing before it did.
    pub said: Option<Tokens>,
}

impl Entry {
    /// A call that begins.
    pub const fn new(leg: Leg, link: Option<LinkId>) -> Self {
        Self {
            leg,
            link,
            linked_at: Time::ZERO,
            fork: Fork::new(),
            device: None,
            ours: None,
            media: Media::OPUS,
            sound: Sound::Off,
            holding: false,
            shown: None,
            hops: 0,
            forward: None,
            from: None,
            sending_on: None,
            held_to_be_put_through: false,
            sent_on: None,
            said: None,
        }
    }

    /// Whether this is our call that nobody has answered: it may ring at several devices.
    pub fn is_forked(&self) -> bool {
        self.leg.role() == Role::Caller
            && matches!(self.leg.state(), State::Calling | State::Ringing)
    }

    /// The streams on which the other side hears us.
    pub fn heard_by(&self) -> Vec<LinkId> {
        match self.link {
            Some(link) => vec![link],
            None => self.fork.links(),
        }
    }

    /// When it goes to somebody else, and to whom.
    pub fn forward(&self) -> Option<(Time, TargetMark)> {
        self.forward.filter(|_| self.rings_here())
    }

    /// As the switchboard sees it.
    pub fn line(&self) -> Line {
        Line {
            call: self.leg.call(),
            peer: self.leg.peer(),
            role: self.leg.role(),
            state: self.leg.state(),
            was_heard: matches!(self.sound, Sound::On | Sound::Again(_)),
        }
    }

    /// Whether it is an answered call that we do not hold.
    pub fn is_active(&self) -> bool {
        let answered = matches!(self.leg.state(), State::Established | State::Reconnecting);
        answered && !self.leg.holds().0
    }

    /// Whether it rings here.
    pub fn rings_here(&self) -> bool {
        (self.leg.role(), self.leg.state()) == (Role::Callee, State::Ringing)
    }

    /// As the window sees it; `others` says whether there are calls that do not ring here.
    pub fn view(&self, others: bool) -> CallView {
        CallView {
            call: self.leg.call(),
            peer: self.leg.peer(),
            role: self.leg.role(),
            phase: self.phase(),
            active: self.is_active(),
            waiting: others && self.rings_here(),
        }
    }

    /// Where it stands, in words for people.
    pub fn phase(&self) -> Phase {
        let (ours, theirs) = self.leg.holds();
        match (self.leg.state(), self.sound) {
            (State::Ended(reason), _) => Phase::Ended(reason),
            (State::Calling, _) => Phase::Calling,
            (State::Ringing, _) => Phase::Ringing,
            (_, Sound::Again(_)) => Phase::Reconnecting,
            (State::Reconnecting, sound) if sound != Sound::On => Phase::Reconnecting,
            (_, Sound::Off | Sound::First(_)) => Phase::Connecting,
            (_, Sound::On) if ours || theirs => Phase::Held { ours, theirs },
            (_, Sound::On) => Phase::Established,
        }
    }
}
